# SPDX-License-Identifier: BSD-3-Clause
"""Finding the first dataset in a long search path without asking each collection.

A chain of a hundred runs would cost a hundred look-ups.  When one path is searched
again and again at one version, the data IDs of its datasets are gathered once: a
64-bit hash of each, sorted, with the first collection that has it.  A look-up is then a
binary search, and one look-up of a row, which proves it; the index is a hint and
can only cost time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.collections.collection import CollectionType
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry.schema import DatasetLayout

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["LongPaths"]

Path = Sequence[tuple[str, CollectionType]]

_NOWHERE = -1
_SHORTEST = 6
_MOST_ROWS = 5_000_000
_PATIENCE = 100
_KEPT = 16
_MASK = (1 << 64) - 1
_FACTOR = 0x9E3779B97F4A7C15


class LongPaths:
    """Indexes of long search paths, made when it pays."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], _Entry] = {}

    def worth_asking(
        self,
        snapshot: Snapshot,
        layout: DatasetLayout,
        dataset_type: str,
        path: Path,
        values: tuple[Any, ...],
    ) -> Path:
        """Leave out the collections of a path that are known not to have a data ID.

        Parameters
        ----------
        snapshot : `Snapshot`
            Where to look.
        layout : `DatasetLayout`
            The table.
        dataset_type : `str`
            Name of the dataset type.
        path : sequence of `tuple` [`str`, `CollectionType`]
            The path; one object for one path.
        values : `tuple`
            Values of the required dimensions.

        Returns
        -------
        path : sequence of `tuple` [`str`, `CollectionType`]
            Those that may have it, in the same order.
        """
        if len(path) < _SHORTEST or layout.table not in snapshot.schemas():
            return path
        key = (dataset_type, id(path))
        entry = self._known.get(key)
        if entry is None or entry.path is not path or entry.snapshot is not snapshot:
            if len(self._known) >= _KEPT:
                self._known.pop(next(iter(self._known)))
            entry = self._known[key] = _Entry(snapshot, path, _rows(snapshot, layout, dataset_type, path))
        if entry.index is None:
            entry.uses += 1
            if entry.rows > _MOST_ROWS or entry.uses * len(path) * _PATIENCE < entry.rows:
                return path
            entry.index = _Index(snapshot, layout, dataset_type, path)
        first = entry.index.first(values)
        if first == _NOWHERE:
            return [path[place] for place in entry.calibrations]
        if not entry.calibrations:
            return path[first:]
        return [*(path[place] for place in entry.calibrations if place < first), *path[first:]]


class _Entry:
    """How often a path was searched at one version, and its index, if there is one."""

    def __init__(self, snapshot: Snapshot, path: Path, rows: int) -> None:
        self.snapshot = snapshot
        self.path = path
        self.rows = rows
        self.uses = 0
        self.index: _Index | None = None
        kinds = enumerate(kind for _, kind in path)
        self.calibrations = [place for place, kind in kinds if kind is CollectionType.CALIBRATION]


def _rows(snapshot: Snapshot, layout: DatasetLayout, dataset_type: str, path: Path) -> int:
    scopes = snapshot.scopes(layout.table)
    return sum(scopes.get((dataset_type, name), 0) for name, _ in path)


class _Index:
    """Hashes of data IDs, sorted, each with the first collection of the path that has it."""

    def __init__(self, snapshot: Snapshot, layout: DatasetLayout, dataset_type: str, path: Path) -> None:
        import numpy as np

        places = {
            name: place for place, (name, kind) in enumerate(path) if kind is not CollectionType.CALIBRATION
        }
        where = {"dataset_type": dataset_type, "collection": list(places)}
        rows = snapshot.scan(layout.table, columns=("collection", *layout.dimensions), where=where)
        self._codes: list[dict[str, int] | None] = []
        total = np.zeros(rows.num_rows, np.uint64)
        for name in layout.dimensions:
            column, codes = _numbers(rows.column(name))
            self._codes.append(codes)
            total = total * np.uint64(_FACTOR) + column
        encoded = rows.column("collection").combine_chunks().dictionary_encode()
        order = np.array([places[name] for name in encoded.dictionary.to_pylist()] or [0], np.int32)
        position = order[encoded.indices.to_numpy(zero_copy_only=False)] if rows.num_rows else order[:0]
        ranked = np.lexsort((position, total))
        hashes, first = np.unique(total[ranked], return_index=True)
        # A view gives Python's own numbers: for one look-up that is sooner than numpy's search.
        self._hashes: memoryview[int] = hashes.data
        self._positions: memoryview[int] = position[ranked][first].data

    def first(self, values: tuple[Any, ...]) -> int:
        """Position of the first collection, or `_NOWHERE`."""
        total = 0
        for value, codes in zip(values, self._codes, strict=True):
            number: int | None = value if codes is None else codes.get(value)
            if number is None:
                return _NOWHERE
            total = (total * _FACTOR + number) & _MASK
        place = bisect_left(self._hashes, total)
        if place == len(self._hashes) or self._hashes[place] != total:
            return _NOWHERE
        return self._positions[place]


def _numbers(column: pa.ChunkedArray) -> tuple[np.ndarray[Any, Any], dict[str, int] | None]:
    """Values as numbers: integers as they are, texts by a table that is given back."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_integer(column.type):
        return column.to_numpy().astype(np.int64).view(np.uint64), None
    encoded = column.combine_chunks().dictionary_encode()
    codes = {value: number for number, value in enumerate(encoded.dictionary.to_pylist())}
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.uint64), codes
