# SPDX-License-Identifier: BSD-3-Clause
"""``registry/views.sql``: the current state for plain DuckDB, without this package."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["View"]


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
