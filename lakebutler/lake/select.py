# SPDX-License-Identifier: BSD-3-Clause
"""A few rows by what their sort columns may be, without an engine."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from lakebutler.lake.group import KeyColumn, SortedKeys
from lakebutler.lake.relation import shape
from lakebutler.lake.schema import TableSchema
from lakebutler.lake.segment import FileSegment, MemorySegment, Ordered, ordered, row_getter
from lakebutler.lake.sorting import rows_to_table
from lakebutler.lake.table import Slot, TableView

if TYPE_CHECKING:
    import pyarrow as pa

    from lakebutler.lake.snapshot import Snapshot

__all__ = ["Allowed", "estimate", "select", "select_table"]

Key = tuple[Any, ...]
_MOST_RANGES = 64
Intervals = list[tuple[Ordered, Ordered]]
_MOST_KEYS = 256


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a column may be: one of some values, or a number between two, both included.

    Parameters
    ----------
    values : `frozenset` or `None`
        The values; `None` if there are limits instead.
    low, high : `int` or `None`
        The limits.
    """

    values: frozenset[Any] | None = None
    low: int | None = None
    high: int | None = None

    def has(self, value: Any) -> bool:
        """Whether a value is allowed."""
        if self.values is not None:
            return value in self.values
        if value is None:
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def meet(self, other: Allowed) -> Allowed:
        """What both allow."""
        if self.values is not None:
            return Allowed(frozenset(filter(other.has, self.values)))
        if other.values is not None:
            return other.meet(self)
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        return Allowed(None, max(lows, default=None), min(highs, default=None))


def estimate(snapshot: Snapshot, table: str, allowed: Mapping[str, Allowed]) -> int:
    """Bound how many rows a selection can have, by the scopes alone.

    Parameters
    ----------
    snapshot : `Snapshot`
        Which version.
    table : `str`
        Name of the table.
    allowed : mapping [`str`, `Allowed`]
        What columns may be.

    Returns
    -------
    rows : `int`
        At least as many as there are.
    """
    view = snapshot.view(table)
    scopes = _scopes(view.schema, allowed)
    if scopes is None:
        total = sum(slot.segment.rows for _, slot in view.segments())
        return total + sum(layer.live_rows for layer, _ in view.layers)
    counts = snapshot.scopes(table)
    return sum(counts.get(scope, 0) for scope in scopes)


def select(
    snapshot: Snapshot, table: str, allowed: Mapping[str, Allowed], columns: Sequence[str], most: int
) -> list[Key] | None:
    """Return the rows whose sort columns are what they may be.

    Only sort columns are decoded to find them, and only the wanted columns of the
    row groups in which they lie.

    Parameters
    ----------
    snapshot : `Snapshot`
        Which version.
    table : `str`
        Name of the table.
    allowed : mapping [`str`, `Allowed`]
        What columns may be; columns that are no sort columns are passed over.
    columns : sequence of `str`
        The columns to return.
    most : `int`
        How many rows at most.

    Returns
    -------
    rows : `list` [`tuple`] or `None`
        In no particular order; `None` if there are more than ``most``.
    """
    found = _picked(snapshot.view(table), allowed, columns, most)
    if found is None:
        return None
    out, picked = found
    for one in picked:
        out.extend(_fetch(snapshot.view(table), *one, tuple(columns)))
    return out


def select_table(
    snapshot: Snapshot,
    table: str,
    allowed: Mapping[str, Allowed],
    columns: Sequence[str],
    most: int,
    *,
    keep: Callable[[Key], bool] | None = None,
) -> pa.Table | None:
    """Return the rows whose sort columns are what they may be, as an Arrow table.

    Parameters
    ----------
    snapshot, table, allowed, columns, most
        As for `select`.
    keep : callable, optional
        Which rows the caller will keep: others need not be returned.

    Returns
    -------
    rows : `pyarrow.Table` or `None`
        In no particular order; `None` if there are more than ``most``.
    """
    import pyarrow as pa

    view = snapshot.view(table)
    names = tuple(columns)
    found = _picked(view, allowed, columns, most)
    if found is None:
        return None
    out, picked = found
    parts = []
    for place, slot, group, rows in picked:
        segment = slot.segment
        if group is None or any(layer.may_delete for layer, _ in view.layers[place:]):
            out.extend(_fetch(view, place, slot, group, rows, names))
            continue
        assert isinstance(segment, FileSegment)
        cached = (segment.file.path, group, names, "table")
        data = segment._store.rows.get(cached)
        if data is None:
            data = segment.read(group, names)
            segment._store.rows.put(cached, data, data.nbytes + 2000)
        parts.append(data.take(pa.array(rows, pa.int64())))
    target = pa.schema([view.schema.arrow.field(name) for name in names])
    made = rows_to_table(view.schema, out if keep is None else list(filter(keep, out)), names)
    return pa.concat_tables([made, *(shape(part, target) for part in parts)])


def _picked(
    view: TableView, allowed: Mapping[str, Allowed], columns: Sequence[str], most: int
) -> tuple[list[Key], list[tuple[int, Slot, int | None, Sequence[int]]]] | None:
    """Rows in memory, and where in segments the others are; `None` if these are too many."""
    schema = view.schema
    allowed = {name: allowed[name] for name in schema.sort if name in allowed}
    if any(a.values is not None and not a.values for a in allowed.values()):
        return [], []
    picked = []
    total = 0
    ranges: dict[tuple[str, ...], Intervals] = {}
    for place, slot in view.segments(_scopes(schema, allowed)):
        for group, rows in _places(slot, schema, allowed, ranges):
            total += len(rows)
            if total > most:
                return None
            picked.append((place, slot, group, rows))
    out = _memory_rows(view, allowed, columns)
    return None if total + len(out) > most else (out, picked)


def _scopes(schema: TableSchema, allowed: Mapping[str, Allowed]) -> list[Key] | None:
    lists = []
    for name in schema.scope:
        known = allowed.get(name)
        if known is None or known.values is None:
            return None
        lists.append(known.values)
    return list(product(*lists)) if lists else None


def _places(
    slot: Slot,
    schema: TableSchema,
    allowed: Mapping[str, Allowed],
    ranges: dict[tuple[str, ...], Intervals],
) -> Iterator[tuple[int | None, Sequence[int]]]:
    """Yield where in a segment the rows are: row group and numbers in it."""
    segment = slot.segment
    if isinstance(segment, MemorySegment):
        keys = segment._keys
        rows = _pick(keys, schema.sort, allowed, 0, keys.rows)
        if len(rows):
            yield None, rows
        return
    assert isinstance(segment, FileSegment)
    sort = tuple(segment.sort)
    if sort not in ranges:
        ranges[sort] = _intervals(sort, allowed)
    for group in _groups(segment, ranges[sort]):
        keys = segment.keys(group)
        rows = _pick(keys, segment.sort, allowed, 0, keys.rows)
        if len(rows):
            yield group, rows


def _groups(segment: FileSegment, ranges: Intervals) -> Sequence[int]:
    """Row groups that may have such rows, by the first key of each."""
    intervals = [
        (low, high)
        for low, high in ranges
        if not (segment.first and ordered(segment.first[: len(low)]) > high)
        and not (segment.last and ordered(segment.last[: len(low)]) < low)
    ]
    if not intervals:
        return ()
    n = len(intervals[0][0])
    if not n:
        return range(len(segment.group_starts))
    firsts = segment._prefix_firsts(n)
    groups: set[int] = set()
    for low, high in intervals:
        groups.update(range(max(bisect_left(firsts, low) - 1, 0), bisect_right(firsts, high)))
    return sorted(groups)


def _intervals(sort: Sequence[str], allowed: Mapping[str, Allowed]) -> Intervals:
    """Between what the leading columns may lie: one value each, and at last several or a range."""
    prefix: Ordered = ()
    for name in sort:
        known = allowed.get(name)
        if known is None:
            break
        if known.values is not None and len(known.values) == 1:
            prefix += ((True, next(iter(known.values))),)
        elif known.values is not None and len(known.values) <= _MOST_RANGES:
            return [((*prefix, (True, v)), (*prefix, (True, v))) for v in sorted(known.values)]
        elif known.values is not None:
            return [((*prefix, (True, min(known.values))), (*prefix, (True, max(known.values))))]
        elif known.low is not None and known.high is not None:
            return [((*prefix, (True, known.low)), (*prefix, (True, known.high)))]
        else:
            break
    return [(prefix, prefix)]


def _pick(
    keys: SortedKeys, sort: Sequence[str], allowed: Mapping[str, Allowed], low: int, high: int
) -> Sequence[int]:
    """Numbers of the rows whose sort columns are what they may be."""
    ranges = [(low, high)]
    masks: list[tuple[KeyColumn, Allowed]] = []
    sorted_so_far = True
    for name, column in zip(sort, keys._columns, strict=False):
        known = allowed.get(name)
        if column.is_constant:
            if known is not None and not known.has(column.constant):
                return ()
        elif known is None:
            sorted_so_far = False
        elif (
            sorted_so_far
            and known.values is not None
            and (narrowed := column.narrowed(known.values, ranges, _MOST_RANGES)) is not None
        ):
            ranges = narrowed
        else:
            sorted_so_far = False
            masks.append((column, known))
        if not ranges:
            return ()
    if not masks:
        return [i for part in ranges for i in range(*part)]
    return _masked(masks, ranges)


def _masked(masks: Sequence[tuple[KeyColumn, Allowed]], ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Numbers of the rows in some ranges whose other columns are what they may be."""
    import numpy as np

    low, high = ranges[0]
    several = len(ranges) > 1
    rows: Any = np.concatenate([np.arange(*part) for part in ranges]) if several else slice(low, high)
    keep: Any = None
    for column, known in masks:
        part = column.array[rows]
        tests = []
        if column._valid is not None:
            tests.append(column._valid[rows].astype(bool))
        if known.values is None:
            if known.low is not None:
                tests.append(part >= known.low)
            if known.high is not None:
                tests.append(part <= known.high)
        else:
            tests.append(column.among(known.values, part))
        for test in tests:
            keep = test if keep is None else keep & test
    if keep is None:
        return rows.tolist() if several else list(range(low, high))
    found: list[int] = (rows[keep] if several else keep.nonzero()[0]).tolist()
    return [i + low for i in found] if low and not several else found


def _fetch(
    view: TableView, place: int, slot: Slot, group: int | None, rows: Sequence[int], names: tuple[str, ...]
) -> list[Key]:
    segment = slot.segment
    if any(layer.may_delete for layer, _ in view.layers[place:]):
        getter = view.schema.getter(names)
        if group is None:
            assert isinstance(segment, MemorySegment)
            whole = segment._getter
        else:
            assert isinstance(segment, FileSegment)
            whole = segment.getter(group, segment.names)
        layer, stamp = view.layers[place]
        above = view.layers[place + 1 :]
        found = (whole(i) for i in rows)
        return [
            getter(row)
            for row in found
            if not layer.gone(row, slot.version, stamp) and not _gone_above(above, row)
        ]
    if group is None:
        assert isinstance(segment, MemorySegment)
        take = row_getter(view.schema, segment.sorted.select(list(names)), names)
        return [take(i) for i in rows]
    assert isinstance(segment, FileSegment)
    parts = segment.parts(group, names)
    return list(zip(*[map(part, rows) for part in parts], strict=True)) if parts else [()] * len(rows)


def _gone_above(above: Sequence[Any], row: Key) -> bool:
    return any(layer.gone(row, -1, stamp) for layer, stamp in above if layer.may_delete)


def _memory_rows(view: TableView, allowed: Mapping[str, Allowed], names: Sequence[str]) -> list[Key]:
    """Rows in no segment, looked up by the columns that have few values."""
    schema = view.schema
    columns: list[str] = []
    lists: list[frozenset[Any]] = []
    number = 1
    for name in schema.sort:
        known = allowed.get(name)
        if known is not None and known.values is not None and number * len(known.values) <= _MOST_KEYS:
            columns.append(name)
            lists.append(known.values)
            number *= len(known.values)
    rest = [(schema.position[n], a) for n, a in allowed.items() if n not in columns]
    getter = schema.getter(tuple(names))
    out = []
    for place, (layer, stamp) in enumerate(view.layers):
        if not layer.store.rows:
            continue
        if columns:
            keys = product(*lists)
            rows = [row for key in keys for _, row in layer.store.find(tuple(columns), key, stamp)]
        else:
            rows = layer.store.visible(stamp)
        above = [pair for pair in view.layers[place + 1 :] if pair[0].may_delete]
        for i, known in rest:
            rows = [row for row in rows if known.has(row[i])]
        out += [getter(row) for row in rows if not above or not _gone_above(above, row)]
    return out
