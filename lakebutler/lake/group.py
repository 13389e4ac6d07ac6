# SPDX-License-Identifier: BSD-3-Clause
"""A run of sorted rows in memory, made for look-ups of single rows."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lakebutler.ids import uuid_from_int
from lakebutler.lake.buffers import numbers, validity
from lakebutler.lake.schema import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ByteCache", "KeyColumn", "SortedKeys", "getters", "is_constant", "microseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT64_MIN = -(2**63)
_TEXTS = ("string", "binary", "uuid")
_LONG_DICTIONARY = 500
_LONG_PART = 4000  # rows from which numpy's own test for membership is the faster one
_SEVERAL = 4


def microseconds(time: datetime) -> int:
    """Microseconds since 1970 of a UTC time."""
    return (time - _EPOCH) // _MICROSECOND


class ByteCache:
    """What was used last, up to so many bytes.

    Parameters
    ----------
    budget : `int`
        Bytes to keep at most; the last thing put in is always kept.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.used = 0
        self._items: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        """Return what was kept under a key, or `None`."""
        with self._lock:
            found = self._items.get(key)
            if found is None:
                return None
            self._items.move_to_end(key)
            return found[0]

    def put(self, key: Any, value: Any, size: int) -> None:
        """Keep something that takes so many bytes."""
        with self._lock:
            old = self._items.pop(key, None)
            self.used += size - (old[1] if old else 0)
            self._items[key] = (value, size)
            while self.used > self.budget and len(self._items) > 1:
                _, (_, freed) = self._items.popitem(last=False)
                self.used -= freed

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._items.clear()
            self.used = 0


class KeyColumn:
    """One sort column of a run of rows, as numbers in the order of the values.

    Parameters
    ----------
    kind : `str`
        Type of the column.
    column : `pyarrow.Array`
        Its values.
    """

    __slots__ = ("_codes", "_kind", "_limits", "_valid", "array", "constant", "is_constant")

    def __init__(self, kind: str, column: pa.Array) -> None:
        self._kind = kind
        self._codes: dict[Any, int] = {}
        self._valid: Any = None
        self.is_constant = False
        self.constant: Any = None
        if kind in _TEXTS:
            self.array = self._encode_texts(column)
        else:
            self.array = _numbers(kind, column)
            self._valid = validity(column)
        whole = len(self.array) and self.array.dtype.kind in "iu"
        self._limits = (int(self.array.min()), int(self.array.max())) if whole else None
        if column.null_count == len(column) or (self._valid is None and _all_equal(self.array)):
            self._settle(column)

    def _settle(self, column: pa.Array) -> None:
        self.is_constant = True
        self.constant = getters(self._kind, column)(0) if len(column) else None
        self.array = self.array[:0].copy()
        self._valid = None
        self._codes = {}

    def _encode_texts(self, column: pa.Array) -> Any:
        """Return the rank of each value among them all; that of null is 0."""
        import numpy as np

        values, indices, valid = _dictionary(self._kind, column)
        order = sorted(range(len(values)), key=values.__getitem__)
        dtype = np.uint8 if len(values) < 255 else np.uint16 if len(values) < 65535 else np.int64
        rank = np.zeros(len(values) + 1, dtype)
        rank[np.asarray(order, dtype=np.int64)] = np.arange(1, len(values) + 1)
        self._codes = {values[place]: code for code, place in enumerate(order, 1)}
        return rank[indices if valid is None else np.where(valid, indices, len(values))]

    @property
    def nbytes(self) -> int:
        """About how many bytes this takes."""
        valid = 0 if self._valid is None else int(self._valid.nbytes)
        return int(self.array.nbytes) + valid + 120 * len(self._codes) + 200

    def narrow(self, value: Any, low: int, high: int) -> tuple[int, int]:
        """Return the part of a range of rows, sorted by this column, that has a value."""
        if self.is_constant:
            return (low, high) if self.constant == value else (low, low)
        if self._valid is not None:
            middle = low + int(self._valid[low:high].searchsorted(1))
            if value is None:
                return low, middle
            low = middle
        code = self._code(value)
        if code is None:
            return low, low
        part = self.array[low:high]
        return low + int(part.searchsorted(code, "left")), low + int(part.searchsorted(code, "right"))

    def among(self, values: frozenset[Any], part: Any) -> Any:
        """Return for some rows of ``array`` whether they have one of some values."""
        import numpy as np

        if self._kind == "int64" and None not in values:
            wanted = self._within(values).astype(part.dtype)
        else:
            codes = [code for value in values if (code := self._code(value)) is not None]
            wanted = np.asarray(sorted(codes), dtype=part.dtype)
        if len(wanted) == 1:
            return part == wanted[0]
        if not len(wanted) or len(part) > _LONG_PART:
            return np.isin(part, wanted)
        places = wanted.searchsorted(part)
        places[places == len(wanted)] = 0
        return wanted[places] == part

    def narrowed(
        self, values: frozenset[Any], ranges: Sequence[tuple[int, int]], most: int
    ) -> list[tuple[int, int]] | None:
        """Return the parts of ranges of rows, sorted by this column, that have one of some values.

        `None` if more than ``most`` would have to be looked for.
        """
        plain = self._kind == "int64" and None not in values
        possible = self._within(values) if plain and len(values) >= _SEVERAL else values
        if len(possible) * len(ranges) > most:
            return None
        if not plain or self._valid is not None or len(possible) < _SEVERAL:
            parts = [self.narrow(value, *part) for part in ranges for value in possible]
        else:
            import numpy as np

            parts = []
            wanted = np.asarray(possible, self.array.dtype)
            for low, high in ranges:
                part = self.array[low:high]
                starts = (low + part.searchsorted(wanted, "left")).tolist()
                parts += zip(starts, (low + part.searchsorted(wanted, "right")).tolist(), strict=True)
        return [part for part in parts if part[0] < part[1]]

    def _within(self, values: frozenset[int]) -> Any:
        """Return those of some numbers that lie between the least and the greatest here, ascending."""
        wanted = _ascending(values)
        if self._limits is None:
            return wanted
        return wanted[wanted.searchsorted(self._limits[0]) : wanted.searchsorted(self._limits[1], "right")]

    def _code(self, value: Any) -> Any:
        array = self.array
        if self._kind in _TEXTS:
            code = 0 if value is None else self._codes.get(value.bytes if self._kind == "uuid" else value)
            return None if code is None else array.dtype.type(code)
        if value is None:
            return None
        if self._kind == "timestamp":
            value = microseconds(value)
        if self._limits is not None and not self._limits[0] <= value <= self._limits[1]:
            return None
        return array.dtype.type(value)


@lru_cache(maxsize=64)
def _ascending(values: frozenset[int]) -> Any:
    import numpy as np

    return np.sort(np.fromiter(values, np.int64, len(values)))


def _all_equal(array: Any) -> bool:
    return bool(len(array)) and bool(array[0] == array[-1]) and bool((array == array[0]).all())


def _dictionary(kind: str, column: pa.Array) -> tuple[list[Any], Any, Any]:
    """Return the different values of a column of texts, the place of each row's, and where there is one."""
    import numpy as np
    import pyarrow as pa

    if kind == "uuid":
        column = column.storage
    valid = validity(column)
    if pa.types.is_dictionary(column.type):
        values, indices = column.dictionary.to_pylist(), numbers(column.indices)
        return values, indices if len(indices) else np.zeros(0, np.int64), valid
    places: dict[Any, int] = {}
    found = [-1 if value is None else places.setdefault(value, len(places)) for value in column.to_pylist()]
    return list(places), np.asarray(found, dtype=np.int64), valid


def _numbers(kind: str, column: pa.Array) -> Any:
    """Return a column as numbers; what stands in the place of null comes before the others."""
    import numpy as np

    array, valid = numbers(column), validity(column)
    if kind == "bool":
        return array if valid is None else array & valid
    if valid is not None:
        return np.where(valid, array, float("-inf") if kind == "float64" else _INT64_MIN)
    if kind == "float64":
        return array
    if not len(array):
        return array
    low, high = array.min(), array.max()
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if info.min <= low and high <= info.max:
            return array.astype(dtype)
    return array.copy()


class SortedKeys:
    """The sort columns of a run of sorted rows.

    Parameters
    ----------
    schema : `TableSchema`
        Shape of the table.
    data : `pyarrow.Table`
        At least the sort columns.
    sort : sequence of `str`, optional
        The sort columns, if not those of the schema.
    """

    __slots__ = ("_columns", "nbytes", "rows")

    def __init__(self, schema: TableSchema, data: pa.Table, sort: Sequence[str] | None = None) -> None:
        names = schema.sort if sort is None else sort
        self.rows = data.num_rows
        self._columns = [KeyColumn(schema.column(n).type, flat(data.column(n))) for n in names]
        self.nbytes = sum(column.nbytes for column in self._columns)

    def number(self, column: int, row: int) -> int | None:
        """Return the value that a sort column of whole numbers has in a row."""
        keys = self._columns[column]
        if keys.is_constant:
            return None if keys.constant is None else int(keys.constant)
        return int(keys.array[row]) if keys._valid is None or keys._valid[row] else None

    def range(self, key: Sequence[Any]) -> tuple[int, int]:
        """Return the first row that begins with a key, and the one after the last."""
        low, high = 0, self.rows
        for column, value in zip(self._columns, key, strict=False):
            low, high = column.narrow(value, low, high)
            if low == high:
                break
        return low, high


def flat(column: pa.ChunkedArray) -> pa.Array:
    """Return a chunked column as one array."""
    import pyarrow as pa

    if column.num_chunks == 1:
        return column.chunk(0)
    if column.num_chunks == 0:
        return pa.nulls(0, column.type)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return pa.concat_arrays(column.chunks)


def is_constant(column: pa.Array) -> bool:
    """Whether a column has one value throughout, as far as that is quickly told."""
    import pyarrow as pa

    if column.null_count:
        return bool(column.null_count == len(column))
    if pa.types.is_dictionary(column.type):
        return len(column.dictionary) == 1
    if pa.types.is_int64(column.type) or pa.types.is_timestamp(column.type):
        return _all_equal(numbers(column))
    return False


def getters(kind: str, column: pa.Array) -> Callable[[int], Any]:
    """Return the function that gives one value of a column as Python's."""
    if not len(column):
        return lambda _: None
    if is_constant(column):
        first = column[:1]
        only = None if first.null_count else _plain_getter(kind, first)(0)
        return lambda _: only
    return _plain_getter(kind, column)


def _plain_getter(kind: str, column: pa.Array) -> Callable[[int], Any]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        return _dictionary_getter(column)
    if kind == "uuid":
        return _uuid_getter(column)
    if kind == "timestamp":
        times, valid = numbers(column), validity(column)
        if valid is not None:
            return lambda i: _EPOCH + timedelta(microseconds=int(times[i])) if valid[i] else None
        return lambda i: _EPOCH + timedelta(microseconds=int(times[i]))
    if kind in ("int64", "float64") and not column.null_count:
        return numbers(column).item
    return lambda i: column[i].as_py()


def _dictionary_getter(column: pa.Array) -> Callable[[int], Any]:
    if len(column.dictionary) > _LONG_DICTIONARY:
        return lambda i: column[i].as_py()
    values: list[Any] = column.dictionary.to_pylist()
    codes, valid = numbers(column.indices), validity(column.indices)
    if valid is not None:
        return lambda i: values[codes[i]] if valid[i] else None
    return lambda i: values[codes[i]]


def _uuid_getter(column: pa.Array) -> Callable[[int], Any]:
    storage = column.storage
    start = storage.offset * 16
    view = memoryview(storage.buffers()[1])
    if column.null_count:
        return lambda i: (
            uuid.UUID(bytes=bytes(view[start + 16 * i : start + 16 * i + 16])) if column[i].is_valid else None
        )
    return lambda i: uuid_from_int(int.from_bytes(view[start + 16 * i : start + 16 * i + 16], "big"))
