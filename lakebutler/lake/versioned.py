# SPDX-License-Identifier: BSD-3-Clause
"""Values and rows that remember when they came and went.

One layer is shared by every snapshot that looks at it: each snapshot sees it at a
stamp of its own, and what comes later carries a greater stamp.  Committed layers
are stamped with versions, those of an open transaction with its own steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lakebutler.lake.schema import TableSchema

__all__ = ["FOREVER", "RowStore", "StateView", "Tombstones", "VersionedMap"]

FOREVER = 2**62
"""Stamp of the end of what has not ended."""

_GONE: Any = object()
Key = tuple[Any, ...]


class VersionedMap:
    """A mapping whose past can still be read."""

    __slots__ = ("_cells",)

    def __init__(self) -> None:
        self._cells: dict[str, list[tuple[int, Any]]] = {}

    def set(self, name: str, value: Any, stamp: int) -> None:
        """Set a value from a stamp on; `None` removes it."""
        cell = self._cells.setdefault(name, [])
        cell.append((stamp, _GONE if value is None else value))

    def get(self, name: str, stamp: int) -> Any:
        """Return the value at a stamp, or `None` if this map never knew one.

        A removed value is returned as a mark of its own; see `StateView`.
        """
        for since, value in reversed(self._cells.get(name, ())):
            if since <= stamp:
                return value
        return None

    def items_at(self, stamp: int) -> Iterator[tuple[str, Any]]:
        """Yield the names and values there are at a stamp."""
        for name in self.names():
            value = self.get(name, stamp)
            if value is not None and value is not _GONE:
                yield name, value

    def names(self) -> Iterable[str]:
        """Every name there ever was."""
        return list(self._cells)


class StateView(Mapping[str, Any]):
    """One kind of state as a snapshot sees it; treat the values as read-only."""

    __slots__ = ("_layers", "_length")

    def __init__(self, layers: Sequence[tuple[VersionedMap, int]]) -> None:
        self._layers = tuple(reversed(layers))
        self._length = -1

    def __getitem__(self, name: str) -> Any:
        for layer, stamp in self._layers:
            value = layer.get(name, stamp)
            if value is not None:
                if value is _GONE:
                    break
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        seen = set()
        for layer, _ in reversed(self._layers):
            for name in layer.names():
                if name not in seen:
                    seen.add(name)
                    if name in self:
                        yield name

    def __contains__(self, name: object) -> bool:
        try:
            self[name]  # type: ignore[index]
        except KeyError:
            return False
        return True

    def __len__(self) -> int:
        if self._length < 0:
            self._length = sum(1 for _ in self)
        return self._length

    def __repr__(self) -> str:
        return repr(dict(self))


class RowStore:
    """Rows kept in memory, each with the stamps of its coming and going."""

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema
        self.rows: list[Key] = []
        self.begin: list[int] = []
        self.end: list[int] = []
        self.live = 0
        self._indexes: dict[tuple[str, ...], tuple[Callable[[Key], Key], dict[Key, list[int]]]] = {}
        self._lock = threading.Lock()

    def append(self, rows: Sequence[Key], stamp: int) -> None:
        """Add rows from a stamp on."""
        with self._lock:
            first = len(self.rows)
            self.begin.extend([stamp] * len(rows))
            self.end.extend([FOREVER] * len(rows))
            self.rows.extend(rows)
            self.live += len(rows)
            for getter, index in self._indexes.values():
                for place, row in enumerate(rows, first):
                    index.setdefault(getter(row), []).append(place)

    def index(self, columns: tuple[str, ...]) -> dict[Key, list[int]]:
        """Return the places of the rows by their values in some columns."""
        made = self._indexes.get(columns)
        if made is None:
            with self._lock:
                made = self._indexes.get(columns)
                if made is None:
                    getter = self.schema.getter(columns)
                    index: dict[Key, list[int]] = {}
                    for place, row in enumerate(self.rows):
                        index.setdefault(getter(row), []).append(place)
                    made = self._indexes[columns] = (getter, index)
        return made[1]

    def find(self, columns: tuple[str, ...], key: Key, stamp: int) -> list[tuple[int, Key]]:
        """Return the rows there are at a stamp with these values, and their places."""
        places = self.index(columns).get(key)
        if not places:
            return []
        begin, end, rows = self.begin, self.end, self.rows
        return [(i, rows[i]) for i in places if begin[i] <= stamp < end[i]]

    def remove(self, columns: tuple[str, ...], keys: Iterable[Key], stamp: int) -> None:
        """Let the rows of earlier stamps with one of these values end."""
        index, begin, end = self.index(columns), self.begin, self.end
        for key in keys:
            for i in index.get(key, ()):
                if begin[i] < stamp < end[i]:
                    end[i] = stamp
                    self.live -= 1

    def remove_through(self, through: int, stamp: int) -> None:
        """Let every row that came with a stamp up to ``through`` end."""
        for i, came in enumerate(self.begin):
            if came <= through and self.end[i] > stamp:
                self.end[i] = stamp
                self.live -= 1

    def visible(self, stamp: int) -> list[Key]:
        """Return the rows there are at a stamp."""
        return [
            row
            for row, begin, end in zip(self.rows, self.begin, self.end, strict=False)
            if begin <= stamp < end
        ]

    def visible_by_stamp(self, stamp: int) -> list[tuple[int, list[Key]]]:
        """Return the rows there are at a stamp, grouped by the stamp they came with."""
        out: dict[int, list[Key]] = {}
        for row, begin, end in zip(self.rows, self.begin, self.end, strict=False):
            if begin <= stamp < end:
                out.setdefault(begin, []).append(row)
        return sorted(out.items())


class Tombstones:
    """Keys whose rows went, with the stamps at which they did."""

    def __init__(self) -> None:
        self.keys: dict[tuple[str, ...], dict[Key, list[int]]] = {}
        self.count = 0
        self.latest = -1

    def add(self, columns: tuple[str, ...], keys: Iterable[Key], stamp: int) -> None:
        """Note keys over some columns at a stamp."""
        known = self.keys.setdefault(columns, {})
        for key in keys:
            known.setdefault(key, []).append(stamp)
            self.count += 1
        self.latest = max(self.latest, stamp)

    def hits(self, schema: TableSchema, row: Key, after: int, stamp: int) -> bool:
        """Whether a row that came at ``after`` was gone at ``stamp``."""
        for columns, known in self.keys.items():
            for when in known.get(schema.getter(columns)(row), ()):
                if after < when <= stamp:
                    return True
        return False

    def between(self, after: int, stamp: int) -> dict[tuple[str, ...], list[tuple[Key, int]]]:
        """Return the keys noted after one stamp and up to another, with the latest stamp of each."""
        out: dict[tuple[str, ...], list[tuple[Key, int]]] = {}
        for columns, known in list(self.keys.items()):
            found = []
            for key, stamps in list(known.items()):
                when = max((s for s in stamps if after < s <= stamp), default=None)
                if when is not None:
                    found.append((key, when))
            if found:
                out[columns] = found
        return out
