# SPDX-License-Identifier: BSD-3-Clause
"""``registry/views.sql``: the current state for plain DuckDB, without this package."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STATE_VIEW", "View"]

STATE_VIEW = "lake_state"
"""View that ``views.sql`` must define before the named ones: the state as rows.

Columns: ``kind`` and ``name`` (VARCHAR) and ``value`` (JSON), one row per named
value that is set at the current version.  The views of the layer above use it.
"""


@dataclass(frozen=True, slots=True)
class View:
    """A view that the layer above wants to have.

    Parameters
    ----------
    name : `str`
        As a person would call it.
    sql : `str`
        A ``SELECT`` over the tables of the lake.
    comment : `str`, optional
        What its rows are, in one line.
    """

    name: str
    sql: str
    comment: str = ""
