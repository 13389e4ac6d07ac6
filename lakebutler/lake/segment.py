# SPDX-License-Identifier: BSD-3-Clause
"""Sorted rows in one Parquet file, or in one Arrow table, and how to find a few of them."""

from __future__ import annotations

import itertools
import json
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakebutler.errors import RepositoryCorruptError, RepositoryError
from lakebutler.lake.entry import DataFile, decode_rows
from lakebutler.lake.group import ByteCache, SortedKeys, flat, getters, is_constant
from lakebutler.lake.schema import TableSchema
from lakebutler.lake.storage import Storage

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["PARQUET_KEY", "FileSegment", "MemorySegment", "Ordered", "Segment", "SegmentStore", "ordered"]

PARQUET_KEY = b"lakebutler"
"""Key in a Parquet footer under which the first key of each row group stands."""

Key = tuple[Any, ...]
Ordered = tuple[tuple[bool, Any], ...]
_numbers = itertools.count()
_FEW_VALUES = 100
_FEW_ROWS = 200_000


_PHYSICAL = {
    "string": ("BYTE_ARRAY", True),
    "binary": ("BYTE_ARRAY", False),
    "int64": ("INT64", False),
    "timestamp": ("INT64", False),
    "float64": ("DOUBLE", False),
    "bool": ("BOOLEAN", False),
    "uuid": ("FIXED_LEN_BYTE_ARRAY", False),
}


def _stored_as(schema: pq.ParquetSchema) -> list[tuple[str, bool]]:
    """How a Parquet file stores each of its columns, and whether that is text."""
    columns = [schema.column(i) for i in range(len(schema))]
    return [(c.physical_type, c.logical_type.type == "STRING") for c in columns]


def damaged(storage: Storage, path: str) -> RepositoryError:
    """Make the error for a data file that should be there.

    Parameters
    ----------
    storage : `Storage`
        The repository.
    path : `str`
        The file.
    """
    return RepositoryCorruptError(
        f"{path} is missing in {storage.url}",
        hint="the repository was copied while it was written to, or a file was removed by hand",
    )


class SegmentStore:
    """The files of a repository, opened when needed, and what is kept of them in memory.

    Parameters
    ----------
    storage : `Storage`
        Where the files lie.
    missing : callable, optional
        Given the storage and a path, makes the error for a file that is not there.
    key_budget, row_budget : `int`, optional
        Bytes to keep of sort columns and of whole rows.
    """

    def __init__(
        self,
        storage: Storage,
        missing: Callable[[Storage, str], RepositoryError] | None = None,
        *,
        key_budget: int = 48 * 2**20,
        row_budget: int = 64 * 2**20,
    ) -> None:
        self.missing = missing or damaged
        self.number = next(_numbers)
        self.storage = storage
        self.keys = ByteCache(key_budget)
        self.rows = ByteCache(row_budget)
        self.files = ByteCache(256)
        self._segments: dict[Any, FileSegment] = {}

    def segment(
        self, schema: TableSchema, file: DataFile, sort: tuple[str, ...] | None = None
    ) -> FileSegment:
        """Return the segment for a file, always the same one."""
        key = (file.path, file.sha256, schema.name, sort)
        found = self._segments.get(key)
        if found is None:
            found = self._segments[key] = FileSegment(self, schema, file, sort)
        return found

    def close(self) -> None:
        """Keep nothing in memory and no file open."""
        self.keys.clear()
        self.rows.clear()
        self.files.clear()


class Segment(ABC):
    """Sorted rows that never change."""

    schema: TableSchema
    rows: int
    scopes: Mapping[Key, int]
    first: Key
    last: Key

    @abstractmethod
    def find(self, key: Key, width: int | None = None) -> list[Key]:
        """Return the rows, or the first values of each, that begin with a key in the sort order."""

    @abstractmethod
    def take(self, row: int, width: int | None = None) -> Key:
        """Return one row, or its first values."""

    @abstractmethod
    def ids(self) -> np.ndarray[Any, Any]:
        """Return the first eight bytes of each row's id as one unsigned number."""

    def may_have(self, key: Key) -> bool:
        """Whether a row that begins with a key can be here, by the first and the last row."""
        if not self.rows:
            return False
        if not self.first:
            return True
        low, high = self._limits(len(key))
        if None in key or None in low or None in high:
            return ordered(low) <= ordered(key) <= ordered(high)
        return low <= key <= high

    def _limits(self, n: int) -> tuple[Key, Key]:
        return self.first[:n], self.last[:n]


class FileSegment(Segment):
    """Sorted rows in a Parquet file."""

    def __init__(
        self, store: SegmentStore, schema: TableSchema, file: DataFile, sort: tuple[str, ...] | None = None
    ) -> None:
        self._store = store
        self.schema = schema
        self.file = file
        self.sort = schema.sort if sort is None else sort
        self.names = schema.names if sort is None else sort
        self.rows = file.rows
        self.scopes = dict(file.scopes)
        self.first, self.last = file.first, file.last
        self._firsts: dict[int, list[Any]] = {}
        self._cut: dict[int, tuple[Key, Key]] = {}
        self._few: dict[str, frozenset[str] | None] = {}
        self._bounds: dict[str, tuple[Any, Any]] = {}

    def __repr__(self) -> str:
        return f"<FileSegment {self.file.path}, {self.rows} rows>"

    def _limits(self, n: int) -> tuple[Key, Key]:
        made = self._cut.get(n)
        if made is None:
            made = self._cut[n] = self.first[:n], self.last[:n]
        return made

    def local(self) -> str:
        """Return the name of a local file with the content, checked."""
        file = self.file
        try:
            return self._store.storage.fetch(file.path, file.bytes, file.sha256)
        except FileNotFoundError:
            raise self._store.missing(self._store.storage, file.path) from None

    def parquet(self) -> pq.ParquetFile:
        """Return the opened file."""
        opened = self._store.files.get(self.file.path)
        if opened is None:
            opened = self._open()
            self._store.files.put(self.file.path, opened, 1)
        return opened

    def _open(self) -> pq.ParquetFile:
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = self.local()
        try:
            opened = pq.ParquetFile(name, memory_map=True)
            metadata = opened.metadata
            types = [self.schema.column(name).type for name in self.names]
            fits = opened.schema_arrow.names == list(self.names) and metadata.num_rows == self.rows
            fits = fits and _stored_as(metadata.schema) == [_PHYSICAL[kind] for kind in types]
            texts = [i for i, kind in enumerate(types) if kind == "string"]
            repeated = [self.names[i] for i in _repeated(metadata, texts)] if fits else []
            if repeated:
                opened.close()
                opened = pq.ParquetFile(name, memory_map=True, read_dictionary=repeated, metadata=metadata)
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise RepositoryCorruptError(f"{self.file.path} is no Parquet file: {error}") from None
        if not fits:
            raise RepositoryCorruptError(f"{self.file.path} does not have the columns and rows it should")
        return opened

    @cached_property
    def group_starts(self) -> list[int]:
        """Number of the first row of each row group."""
        metadata = self.parquet().metadata
        starts = [0]
        for g in range(metadata.num_row_groups):
            starts.append(starts[-1] + metadata.row_group(g).num_rows)
        return starts[:-1]

    @cached_property
    def _group_firsts(self) -> list[Key]:
        metadata = self.parquet().metadata
        try:
            raw = json.loads((metadata.metadata or {})[PARQUET_KEY])["first"]
            firsts = decode_rows(self.schema, self.sort, raw)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise RepositoryCorruptError(
                f"{self.file.path} does not say where its row groups begin: {error!r}"
            ) from None
        if len(firsts) != metadata.num_row_groups:
            raise RepositoryCorruptError(f"{self.file.path} does not say where all its row groups begin")
        return firsts

    def _prefix_firsts(self, n: int) -> list[Any]:
        made = self._firsts.get(n)
        if made is None:
            made = self._firsts[n] = [ordered(first[:n]) for first in self._group_firsts]
        return made

    def constants(self, n: int) -> list[Key | None]:
        """Return the first values of each row group, where they are the same in all its rows.

        Parameters
        ----------
        n : `int`
            How many columns of the sort order.
        """
        if self.first and self.last and self.first[:n] == self.last[:n]:
            return [self.first[:n]]
        firsts = [first[:n] for first in self._group_firsts]
        nexts = [*firsts[1:], self.last[:n] if self.last else None]
        return [key if key == after else None for key, after in zip(firsts, nexts, strict=True)]

    def find(self, key: Key, width: int | None = None) -> list[Key]:
        """Return the rows, or the first values of each, that begin with a key in the sort order."""
        out: list[Key] = []
        for g, low, high in self.ranges(key):
            take = self.getter(g, self.names[:width])
            out.extend([take(i) for i in range(low, high)])
        return out

    def ranges(self, key: Key) -> list[tuple[int, int, int]]:
        """Return where the rows that begin with a key lie: row group, from and to."""
        if not self.may_have(key):
            return []
        out = []
        for g in self.groups_of(key):
            low, high = self.keys(g).range(key)
            if low < high:
                out.append((g, low, high))
        return out

    def groups_of(self, key: Key) -> range:
        """Return the row groups that may have rows that begin with a key."""
        firsts, wanted = self._prefix_firsts(len(key)), ordered(key)
        start = max(bisect_left(firsts, wanted) - 1, 0)
        return range(start, bisect_right(firsts, wanted, start))

    def take(self, row: int, width: int | None = None) -> Key:
        """Return one row, or its first values."""
        g = bisect_right(self.group_starts, row) - 1
        return self.getter(g, self.names[:width])(row - self.group_starts[g])

    def read(self, group: int | None, columns: Sequence[str]) -> pa.Table:
        """Read some columns of one row group, or of all."""
        import pyarrow as pa

        try:
            if group is None:
                return self.parquet().read(columns=list(columns), use_threads=self.rows > _FEW_ROWS)
            return self.parquet().read_row_group(group, columns=list(columns), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise RepositoryCorruptError(f"{self.file.path} cannot be read: {error}") from None

    def keys(self, g: int) -> SortedKeys:
        """Return the sort columns of a row group."""
        place = (self.file.path, g)
        found: SortedKeys | None = self._store.keys.get(place)
        if found is None:
            found = SortedKeys(self.schema, self.read(g, self.sort), self.sort)
            self._store.keys.put(place, found, found.nbytes)
        return found

    def getter(self, g: int, names: tuple[str, ...]) -> Callable[[int], Key]:
        """Return the function that gives some columns of one row of a row group.

        Parameters
        ----------
        g : `int`
            Number of the row group.
        names : `tuple` [`str`]
            The columns; those never asked for are never read.
        """
        found: _GroupRows | None = self._store.rows.get((self.file.path, g))
        made = None if found is None else found.made.get(names)
        if made is None:
            found = self._with(found, g, names)
            parts = [found.parts[name] for name in names]
            made = found.made[names] = lambda i: tuple([part(i) for part in parts])
        return made

    def parts(self, g: int, names: tuple[str, ...]) -> list[Callable[[int], Any]]:
        """Return for each of some columns the function that gives its value in a row of a row group.

        Parameters
        ----------
        g, names
            As for `getter`.
        """
        found: _GroupRows | None = self._store.rows.get((self.file.path, g))
        if found is None or any(name not in found.parts for name in names):
            found = self._with(found, g, names)
        return [found.parts[name] for name in names]

    def _with(self, found: _GroupRows | None, g: int, names: tuple[str, ...]) -> _GroupRows:
        """Read the columns that are not known of a row group."""
        found = _GroupRows() if found is None else found
        missing = [name for name in names if name not in found.parts]
        if missing:
            found = found.extended(self.schema, self.read(g, missing), missing)
        self._store.rows.put((self.file.path, g), found, found.nbytes)
        return found

    def few_values(self, name: str) -> frozenset[str] | None:
        """Return the values of a column of text, or `None` if they are many; read once, then known."""
        if name not in self._few:
            values = None
            if self.schema.column(name).type == "string":
                found = self.read(None, [name]).column(0).unique()
                values = frozenset(found.to_pylist()) if len(found) <= _FEW_VALUES else None
            self._few[name] = values
        return self._few[name]

    def bounds(self, name: str) -> tuple[Any, Any]:
        """Return the least and the greatest value of a column, `None` if it has none; read once."""
        found = self._bounds.get(name)
        if found is None:
            import pyarrow.compute as pc

            ends = pc.min_max(self.read(None, [name]).column(0)).as_py()
            found = self._bounds[name] = ends["min"], ends["max"]
        return found

    def ids(self) -> np.ndarray[Any, Any]:
        """Return the first eight bytes of each row's id as one unsigned number."""
        assert self.schema.id is not None
        return id_numbers(self.read(None, [self.schema.id]).column(0))


class MemorySegment(Segment):
    """Rows of an open transaction, in an Arrow table.

    Parameters
    ----------
    schema : `TableSchema`
        Shape of the table.
    data : `pyarrow.Table`
        The rows, in any order.
    """

    def __init__(self, schema: TableSchema, data: pa.Table) -> None:
        self.schema = schema
        self._data = data
        self.rows = data.num_rows
        self.first = self.last = ()

    @cached_property
    def sorted(self) -> pa.Table:
        """The rows in the order of the sort columns."""
        from lakebutler.lake.sorting import sort_table

        return sort_table(self.schema, self._data).table

    @cached_property
    def scopes(self) -> Mapping[Key, int]:  # type: ignore[override]
        """How many rows each scope has."""
        from lakebutler.lake.sorting import count_scopes

        return dict(count_scopes(self.schema, self.sorted))

    @cached_property
    def _keys(self) -> SortedKeys:
        return SortedKeys(self.schema, self.sorted)

    @cached_property
    def _getter(self) -> Callable[[int], Key]:
        return row_getter(self.schema, self.sorted, self.schema.names)

    def find(self, key: Key, width: int | None = None) -> list[Key]:
        """Return the rows, or the first values of each, that begin with a key in the sort order."""
        low, high = self._keys.range(key)
        return [self._getter(i)[:width] for i in range(low, high)]

    def take(self, row: int, width: int | None = None) -> Key:
        """Return one row, or its first values."""
        return self._getter(row)[:width]

    def ids(self) -> np.ndarray[Any, Any]:
        """Return the first eight bytes of each row's id as one unsigned number."""
        assert self.schema.id is not None
        return id_numbers(self.sorted.column(self.schema.id))


class _GroupRows:
    """The columns of a row group that were asked for, as functions that give one value."""

    __slots__ = ("made", "nbytes", "parts")

    def __init__(self) -> None:
        self.parts: dict[str, Callable[[int], Any]] = {}
        self.made: dict[tuple[str, ...], Callable[[int], Key]] = {}
        self.nbytes = 2000

    def extended(self, schema: TableSchema, data: pa.Table, names: Sequence[str]) -> _GroupRows:
        """Return the same with more columns."""
        more = _GroupRows()
        more.parts, more.made, more.nbytes = dict(self.parts), dict(self.made), self.nbytes
        for name in names:
            column = flat(data.column(name))
            more.parts[name] = getters(schema.column(name).type, column)
            more.nbytes += 300 if is_constant(column) else column.nbytes + 300
        return more


def _repeated(metadata: pq.FileMetaData, places: Sequence[int]) -> list[int]:
    """Return the columns that the file holds as a dictionary and the numbers of its values.

    Only texts are asked, and only once the schema is known to be ours: what is wrong with
    the facts of a column of another type ends the process in Arrow.
    """
    if not metadata.num_row_groups:
        return []
    group = metadata.row_group(0)
    return [i for i in places if i < group.num_columns and group.column(i).has_dictionary_page]


def row_getter(schema: TableSchema, data: pa.Table, names: Sequence[str]) -> Callable[[int], Key]:
    """Return the function that gives one row of an Arrow table."""
    parts = [getters(schema.column(name).type, flat(data.column(name))) for name in names]
    return lambda i: tuple([part(i) for part in parts])


def id_numbers(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Return the first eight bytes of each UUID of a column as one unsigned number."""
    import numpy as np

    storage = flat(column).storage
    raw = np.frombuffer(storage.buffers()[1], dtype=">u8").reshape(-1, 2)
    return raw[storage.offset : storage.offset + len(storage), 0].astype(np.uint64)


def ordered(key: Sequence[Any]) -> Ordered:
    """Return a key that can be compared even where there are nulls, which come first.

    Parameters
    ----------
    key : sequence
        Values of the first columns of the sort order.
    """
    return tuple([(value is not None, value) for value in key])
