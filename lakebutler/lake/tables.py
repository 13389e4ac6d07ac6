# SPDX-License-Identifier: BSD-3-Clause
"""The tables and values of one version, without the means to read them in bulk."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from lakebutler.lake.change import Change, key_rows
from lakebutler.lake.schema import TableSchema
from lakebutler.lake.segment import MemorySegment, SegmentStore
from lakebutler.lake.state import Head, LakeState
from lakebutler.lake.table import ScopeCounts, TableLayer, TableView
from lakebutler.lake.versioned import StateView, VersionedMap

__all__ = ["Overlay", "Tables"]

Key = tuple[Any, ...]
_numbers = itertools.count()


class Overlay:
    """What an open transaction has done so far, step by step."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.latest = 0
        self.tables: dict[str, TableLayer] = {}
        self.created: dict[str, tuple[int, TableSchema]] = {}
        self.values: dict[str, VersionedMap] = {}

    def apply(self, change: Change, schemas: Mapping[str, TableSchema]) -> int:
        """Take in a change that was checked; return the stamp at which it is seen."""
        self.latest = stamp = self.latest + 1
        for name, schema in change.tables.items():
            self.created[name] = (stamp, schema)
        for table, by_columns in change.deletes.items():
            for columns, keys in by_columns.items():
                self._layer(table, schemas).delete(columns, keys, stamp)
        for table, tables in change.bulk_deletes.items():
            for gone in tables:
                self._layer(table, schemas).delete(tuple(gone.column_names), key_rows(gone), stamp)
        for table in change.row_tables():
            self._layer(table, schemas).add_rows(change.rows(table), stamp)
        for table, bulk in change.bulk.items():
            for data in bulk:
                layer = self._layer(table, schemas)
                layer.add_segment(MemorySegment(layer.schema, data), stamp, stamp)
        for (kind, name), value in change.sets.items():
            self.values.setdefault(kind, VersionedMap()).set(name, value, stamp)
        return stamp

    def _layer(self, table: str, schemas: Mapping[str, TableSchema]) -> TableLayer:
        layer = self.tables.get(table)
        if layer is None:
            layer = self.tables[table] = TableLayer(schemas[table])
        return layer


class Tables:
    """One version of every table and value; it never changes.

    Parameters
    ----------
    head : `Head`
        Which version.
    state : `LakeState`
        Where it is read from.
    overlays : `tuple`, optional
        What open transactions did on top.
    """

    __slots__ = ("_head", "_overlays", "_schemas", "_segments", "_tables", "_values", "_views")

    def __init__(self, head: Head, state: LakeState) -> None:
        self._head = head
        self._segments = state.segments
        self._tables = state.tables
        self._schemas: Mapping[str, TableSchema] = state.schemas
        self._values = state.values
        self._overlays: tuple[tuple[Overlay, int], ...] = ()
        self._views: dict[str, TableView] = {}

    def __repr__(self) -> str:
        more = f" with {len(self._overlays)} overlays" if self._overlays else ""
        return f"<{type(self).__name__} of version {self.version}{more}>"

    @property
    def version(self) -> int:
        """Number of the version."""
        return self._head.version

    @property
    def txid(self) -> str:
        """Transaction id of the commit that made the version."""
        return self._head.txid

    @property
    def time(self) -> datetime:
        """When the version was committed, UTC."""
        return self._head.time

    @property
    def sha256(self) -> str:
        """Digest of the version's log entry, and through it of the whole history."""
        return self._head.sha256

    @property
    def segments(self) -> SegmentStore:
        """The data files behind the tables."""
        return self._segments

    @property
    def overlay_key(self) -> tuple[tuple[int, int], ...]:
        """What tells apart the open transactions on top of one version."""
        return tuple((overlay.number, stamp) for overlay, stamp in self._overlays)

    # ------------------------------------------------------------------- reading

    def state(self, kind: str) -> Mapping[str, Any]:
        """Return the named values of one kind; treat them as read-only."""
        layers = []
        if kind in self._values:
            layers.append((self._values[kind], self._head.version))
        for overlay, stamp in self._overlays:
            if kind in overlay.values:
                layers.append((overlay.values[kind], stamp))
        return StateView(layers)

    def kinds(self) -> list[str]:
        """Return the kinds of state there are."""
        names = dict.fromkeys(self._values)
        for overlay, _ in self._overlays:
            names.update(dict.fromkeys(overlay.values))
        return [name for name in names if len(self.state(name))]

    def schemas(self) -> Mapping[str, TableSchema]:
        """Return the schemas of the tables, by name."""
        return self._schemas

    def view(self, table: str) -> TableView:
        """Return the layers of a table.

        Raises
        ------
        KeyError
            Raised if there is no such table.
        """
        view = self._views.get(table)
        if view is None:
            schema = self._schemas.get(table)
            if schema is None:
                raise KeyError(f"there is no table {table!r}")
            layers = []
            if table in self._tables:
                layers.append((self._tables[table], self._head.version))
            for overlay, stamp in self._overlays:
                if table in overlay.tables:
                    layers.append((overlay.tables[table], stamp))
            view = self._views[table] = TableView(schema, tuple(layers))
        return view

    def find(self, table: str, columns: tuple[str, ...], key: Key, width: int | None = None) -> list[Key]:
        """Return the rows whose columns equal a key.

        Parameters
        ----------
        table : `str`
            Name of the table.
        columns : `tuple` [`str`]
            A leading part of the sort columns, in any order, or the id column alone.
        key : `tuple`
            One value for each of them.
        width : `int`, optional
            Return only so many leading values of each row (with the id among them if it is
            found by that); the columns behind are not even read.

        Returns
        -------
        rows : `list` [`tuple`]
            Whole rows by default, in no particular order.
        """
        return self.view(table).find(columns, key, width)

    def scopes(self, table: str) -> Mapping[Key, int]:
        """Return how many rows each scope of a table has; a little more while deletes are pending.

        One scope is looked up without counting the others.
        """
        return ScopeCounts(self.view(table))

    # ------------------------------------------------------------------ changing

    def apply(self, change: Change) -> Self:
        """Return this snapshot with a change on top, as an open transaction sees it.

        The cost is that of the change, however many went before.
        """
        change.check(self._schemas)
        schemas = {**self._schemas, **change.tables} if change.tables else self._schemas
        overlays = self._overlays
        if overlays and overlays[-1][0].latest == overlays[-1][1]:
            overlay, below = overlays[-1][0], overlays[:-1]
        else:
            overlay, below = Overlay(), overlays
        made = object.__new__(type(self))
        made._head = self._head
        made._segments = self._segments
        made._tables = self._tables
        made._schemas = schemas
        made._values = self._values
        made._overlays = (*below, (overlay, overlay.apply(change, schemas)))
        made._views = {}
        return made
