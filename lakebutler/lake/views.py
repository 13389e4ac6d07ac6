# SPDX-License-Identifier: BSD-3-Clause
"""``registry/views.sql``: the current state for plain DuckDB, without this package.

The script finds the newest checkpoint and the log entries after it by itself, so
that it is right however many commits follow; it only has to be written anew when
there are other tables or other views.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lakebutler.errors import StorageError
from lakebutler.lake.naming import VIEWS
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.storage import Storage

__all__ = ["STATE_VIEW", "View", "ViewWriter", "views_sql"]

STATE_VIEW = "lake_state"
"""Name of the table of state that views may use: ``kind``, ``name``, ``value`` (JSON)."""

_COST_SHARE = 20.0


@dataclass(frozen=True, slots=True)
class View:
    """A view that the layer above wants to have.

    Parameters
    ----------
    name : `str`
        As a person would call it.
    sql : `str`
        A ``SELECT`` over the tables of the lake and `STATE_VIEW`.
    comment : `str`, optional
        What its rows are, in one line.
    """

    name: str
    sql: str
    comment: str = ""


def views_sql(tables: Iterable[str], views: Iterable[View]) -> str:
    """Return the script.

    Parameters
    ----------
    tables : iterable of `str`
        The tables of the lake.
    views : iterable of `View`
        What the layer above wants.
    """
    parts = [_prelude()]
    for table in sorted(tables):
        key = table.replace("'", "''")
        parts.append(
            f"CREATE OR REPLACE TEMP VIEW {_quote(table)} AS FROM query(getvariable('lake_sql')['{key}']);\n"
        )
    parts.append("\n-- Named views.\n")
    for view in views:
        comment = " ".join(view.comment.split())
        parts.append(f"-- {view.name}: {comment}\n" if comment else "")
        parts.append(f"CREATE OR REPLACE TEMP VIEW {_quote(view.name)} AS {view.sql};\n")
    return "".join(parts)


class ViewWriter:
    """Keeps ``views.sql`` in step with the tables and views there are.

    It is a convenience, so it may lag behind for a moment while many tables or
    views come one by one.

    Parameters
    ----------
    storage : `Storage`
        Where it lies.
    views : callable, optional
        Given a snapshot, returns the views to offer.
    """

    def __init__(self, storage: Storage, views: Callable[[Snapshot], list[View]] | None) -> None:
        self._storage = storage
        self._views = views
        self._written: str | None = None
        self._pending: Snapshot | None = None
        self._not_before = 0.0

    def changed(self, snapshot: Snapshot) -> None:
        """Write it anew, at once or a little later, if it would be different now."""
        self._pending = snapshot
        if time.monotonic() >= self._not_before:
            self.flush()

    def catch_up(self) -> None:
        """Write what was put off, if it is time."""
        if self._pending is not None and time.monotonic() >= self._not_before:
            self.flush()

    def flush(self) -> None:
        """Write what was put off."""
        snapshot, self._pending = self._pending, None
        if snapshot is None:
            return
        begin = time.monotonic()
        named = self._views(snapshot) if self._views is not None else []
        text = views_sql(snapshot.schemas(), named)
        if text != self._written:
            with suppress(StorageError):
                self._storage.write(VIEWS, text.encode())
                self._written = text
        now = time.monotonic()
        self._not_before = now + _COST_SHARE * (now - begin)


@cache
def _prelude() -> str:
    return Path(__file__).with_name("views_prelude.sql").read_text(encoding="utf-8")


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
