# SPDX-License-Identifier: BSD-3-Clause
"""One table in memory: its layers, and the view that a snapshot has of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakebutler.lake.entry import encode_rows
from lakebutler.lake.idindex import IdIndex
from lakebutler.lake.schema import TableSchema
from lakebutler.lake.segment import Segment
from lakebutler.lake.versioned import FOREVER, RowStore, Tombstones

__all__ = ["DeleteSlot", "ScopeCounts", "Slot", "TableLayer", "TableView"]

Key = tuple[Any, ...]
Loader = Callable[[], list[tuple[int, list[Key]]]]


@dataclass(slots=True)
class Slot:
    """A segment in a layer.

    Parameters
    ----------
    segment : `Segment`
        The rows.
    begin, end : `int`
        Stamps from which and until which it is part of the table.
    version : `int`
        Tombstones with later stamps hit its rows.
    """

    segment: Segment
    begin: int
    version: int
    end: int = FOREVER


@dataclass(slots=True)
class DeleteSlot:
    """A segment of keys whose rows went at a stamp."""

    segment: Segment
    columns: tuple[str, ...]
    begin: int


class TableLayer:
    """What a repository, or an open transaction, knows of one table.

    It only grows; who looks at it does so at a stamp.
    """

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema
        self._store = RowStore(schema)
        self._later: Loader | None = None
        self._waiting = 0
        self.tombstones = Tombstones()
        self.slots: list[Slot] = []
        self.deletes: list[DeleteSlot] = []
        self.folded = -1
        self._segments: list[Segment] = []
        self._by_scope: dict[Key, list[Slot]] = {}
        self._placed = 0
        self._ids = IdIndex()
        self._lock = threading.Lock()

    @property
    def store(self) -> RowStore:
        """The rows that lie in no segment."""
        if self._later is not None:
            with self._lock:
                if self._later is not None:
                    for stamp, rows in self._later():
                        self._store.append(rows, stamp)
                    self._later = None
        return self._store

    @property
    def live_rows(self) -> int:
        """Number of the newest version's rows that lie in no segment, as far as they were looked at."""
        return self._store.live if self._later is None else self._waiting

    # ------------------------------------------------------------------- growing

    def load_later(self, loader: Loader, count: int) -> None:
        """Give so many rows that lie in no segment as a function, called when they are needed."""
        self._later = loader
        self._waiting = count

    def add_rows(self, rows: Sequence[Key], stamp: int) -> None:
        """Add rows that are kept in memory."""
        self.store.append(rows, stamp)

    def add_segment(self, segment: Segment, stamp: int, version: int) -> None:
        """Add the rows of a segment."""
        self._segments.append(segment)
        self.slots.append(Slot(segment, stamp, version))

    def delete(self, columns: tuple[str, ...], keys: Iterable[Key], stamp: int) -> None:
        """Let the rows with one of the keys go."""
        keys = list(keys)
        self.store.remove(columns, keys, stamp)
        self.tombstones.add(columns, keys, stamp)

    def note_delete_segment(self, segment: Segment, columns: tuple[str, ...], stamp: int) -> None:
        """Let the rows in segments with one of the keys in a segment go."""
        self.deletes.append(DeleteSlot(segment, columns, stamp))

    def delete_segment(self, segment: Segment, columns: tuple[str, ...], stamp: int) -> None:
        """Let the rows with one of the keys in a segment go."""
        self.note_delete_segment(segment, columns, stamp)
        store = self.store
        getter = self.schema.getter(columns)
        for i, row in enumerate(store.rows):
            if store.begin[i] < stamp < store.end[i] and segment.find(getter(row)):
                store.end[i] = stamp
                store.live -= 1

    def remove_file(self, segment: Segment, stamp: int) -> bool:
        """Let a segment go; return whether it was there."""
        for slot in self.slots:
            if slot.segment is segment and slot.end > stamp:
                slot.end = stamp
                return True
        return False

    def fold(self, through: int, stamp: int) -> None:
        """Let the rows in memory go that came up to a version."""
        self.store.remove_through(through, stamp)
        self.folded = max(self.folded, through)

    # ------------------------------------------------------------------- reading

    def live_slots(self, stamp: int) -> list[Slot]:
        """Return the segments there are at a stamp."""
        return [slot for slot in self.slots if slot.begin <= stamp < slot.end]

    def candidates(self, scope: Key | None, stamp: int) -> Iterable[Slot]:
        """Return the segments there are at a stamp that may have rows of a scope."""
        if scope is None:
            return self.live_slots(stamp)
        if self._placed < len(self.slots):
            self._place()
        return [slot for slot in self._by_scope.get(scope, ()) if slot.begin <= stamp < slot.end]

    def _place(self) -> None:
        with self._lock:
            while self._placed < len(self.slots):
                slot = self.slots[self._placed]
                for known in slot.segment.scopes:
                    self._by_scope.setdefault(known, []).append(slot)
                self._placed += 1

    def find_id(self, wanted: Key, stamp: int, width: int | None = None) -> Iterator[tuple[Slot, Key]]:
        """Yield the rows in segments with an id, and the segments they are in."""
        if not self._segments or wanted[0] is None:
            return
        schema = self.schema
        assert schema.id is not None
        place = schema.position[schema.id]
        for number, row_number in self._ids.find(self._segments, wanted[0]):
            if number >= len(self.slots):
                continue  # the index is shared with a newer layer
            slot = self.slots[number]
            if slot.begin <= stamp < slot.end:
                row = slot.segment.take(row_number, width)
                if row[place] == wanted[0]:
                    yield slot, row

    def gone(self, row: Key, after: int, stamp: int) -> bool:
        """Whether a row that came at one stamp was gone at another."""
        if self.tombstones.latest > after and self.tombstones.hits(self.schema, row, after, stamp):
            return True
        for slot in self.deletes:
            if after < slot.begin <= stamp and slot.segment.find(self.schema.getter(slot.columns)(row)):
                return True
        return False

    def store_lines(self, stamp: int) -> list[tuple[int, list[Any]]]:
        """Return the rows that lie in no segment, by the stamp they came with, as JSON can hold them."""
        names = self.schema.names
        return [(s, encode_rows(self.schema, names, rows)) for s, rows in self.store.visible_by_stamp(stamp)]

    def needed_deletes(
        self, stamp: int
    ) -> tuple[dict[tuple[str, ...], list[tuple[Key, int]]], list[DeleteSlot]]:
        """Return the deletes that still hit rows, or may hit those of a compaction under way."""
        oldest = min((slot.version for slot in self.live_slots(stamp) if slot.segment.rows), default=FOREVER)
        after = min(oldest, self.folded)
        return self.tombstones.between(after, stamp), [d for d in self.deletes if after < d.begin <= stamp]

    def renewed(self, stamp: int) -> TableLayer:
        """Return a layer that is equal from a stamp on and has forgotten what was before."""
        made = TableLayer(self.schema)
        made.folded = self.folded
        for came, rows in self.store.visible_by_stamp(stamp):
            made.store.append(rows, came)
        keys, made.deletes = self.needed_deletes(stamp)
        for columns, pairs in keys.items():
            for key, when in pairs:
                made.tombstones.add(columns, (key,), when)
        live = self.live_slots(stamp)
        if len(self.slots) <= 2 * len(live) + 64:
            # The places of the segments stay, and with them the index of ids.
            made.slots, made._segments, made._ids = list(self.slots), list(self._segments), self._ids
        else:
            made.slots, made._segments = live, [slot.segment for slot in live]
        return made

    @property
    def may_delete(self) -> bool:
        """Whether anything was ever deleted here."""
        return bool(self.deletes or self.tombstones.count)


class TableView:
    """One table as a snapshot sees it.

    Parameters
    ----------
    schema : `TableSchema`
        Shape of the table.
    layers : `tuple`
        Pairs of a layer and the stamp at which it is seen; the committed one
        first, then those of open transactions.
    """

    __slots__ = ("layers", "schema")

    def __init__(self, schema: TableSchema, layers: tuple[tuple[TableLayer, int], ...]) -> None:
        self.schema = schema
        self.layers = layers

    def find(self, columns: tuple[str, ...], key: Key, width: int | None = None) -> list[Key]:
        """Return the rows whose columns equal a key; see `Snapshot.find`."""
        schema = self.schema
        places = schema.prefix(columns)
        if not places and columns != (schema.id,):
            raise ValueError(
                f"rows of {schema.name!r} are found by {schema.id!r} or a leading part of {schema.sort!r},"
                f" not by {columns!r}"
            )
        key = schema.check_key(columns, key)
        depth = len(places)
        if places and columns != (lead := schema.sort[:depth]):
            columns, key = lead, tuple([key[place] for place in places])
        scope = key[: len(schema.scope)] if depth >= len(schema.scope) else None
        wanted = width
        if width is not None and any(layer.may_delete for layer, _ in self.layers):
            wanted = None  # tombstones look at any column
        out: list[Key] = []
        for place, (layer, stamp) in enumerate(self.layers):
            above = self.layers[place + 1 :]
            if not depth:
                found = layer.find_id(key, stamp, wanted)
            else:
                found = (
                    (slot, row)
                    for slot in layer.candidates(scope, stamp)
                    for row in slot.segment.find(key, wanted)
                )
            for slot, row in found:
                if not layer.gone(row, slot.version, stamp) and not _gone_above(above, row):
                    out.append(row)
            if layer.store.rows:
                for _, row in layer.store.find(columns, key, stamp):
                    if not _gone_above(above, row):
                        out.append(row)
        return out if width is None else [row[:width] for row in out]

    def memory_rows(self) -> list[Key]:
        """Return the rows that lie in no segment."""
        out: list[Key] = []
        for place, (layer, stamp) in enumerate(self.layers):
            if layer.store.rows:
                above = [pair for pair in self.layers[place + 1 :] if pair[0].may_delete]
                rows = layer.store.visible(stamp)
                out.extend([row for row in rows if not _gone_above(above, row)] if above else rows)
        return out

    def segments(self, scopes: Iterable[Key] | None = None) -> Iterator[tuple[int, Slot]]:
        """Yield the segments, each with the number of its layer.

        Parameters
        ----------
        scopes : iterable, optional
            Only those that may have rows of one of these scopes.
        """
        for place, (layer, stamp) in enumerate(self.layers):
            if scopes is None:
                found = layer.live_slots(stamp)
            else:
                several = (slot for scope in scopes for slot in layer.candidates(scope, stamp))
                found = list({id(slot): slot for slot in several}.values())
            for slot in found:
                if slot.segment.rows:
                    yield place, slot


class ScopeCounts(Mapping[Key, int]):
    """How many rows each scope of a table has, counted when asked.

    Rows in files that tombstones hit are still counted.
    """

    def __init__(self, view: TableView) -> None:
        self._view = view
        self._names: list[Key] | None = None

    def __getitem__(self, scope: Key) -> int:
        total = 0
        columns = self._view.schema.scope
        for place, (layer, stamp) in enumerate(self._view.layers):
            total += sum(slot.segment.scopes[scope] for slot in layer.candidates(scope, stamp))
            if layer.store.rows:
                above = [pair for pair in self._view.layers[place + 1 :] if pair[0].may_delete]
                rows = layer.store.find(columns, scope, stamp)
                total += sum(not _gone_above(above, row) for _, row in rows) if above else len(rows)
        if not total:
            raise KeyError(scope)
        return total

    def __iter__(self) -> Iterator[Key]:
        if self._names is None:
            names: dict[Key, None] = {}
            for layer, stamp in self._view.layers:
                for slot in layer.live_slots(stamp):
                    names.update(dict.fromkeys(slot.segment.scopes))
                if layer.store.rows:
                    names.update(dict.fromkeys(layer.store.index(self._view.schema.scope)))
            self._names = [name for name in names if name in self]
        return iter(self._names)

    def __contains__(self, scope: object) -> bool:
        try:
            self[scope]  # type: ignore[index]
        except KeyError:
            return False
        return True

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


def _gone_above(above: Sequence[tuple[TableLayer, int]], row: Key) -> bool:
    return any(layer.gone(row, -1, stamp) for layer, stamp in above if layer.may_delete)
