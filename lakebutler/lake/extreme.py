# SPDX-License-Identifier: BSD-3-Clause
"""How large (or small) the greatest (or least) values of a sort column are, from few row groups."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

from lakebutler.lake.segment import FileSegment, Segment

if TYPE_CHECKING:
    from lakebutler.lake.snapshot import Snapshot

__all__ = ["nth_value"]

Key = tuple[Any, ...]
_MOST_KEYS = 20
_MOST_GROUPS = 8


def nth_value(
    snapshot: Snapshot,
    table: str,
    fixed: Mapping[str, frozenset[Any]],
    column: str,
    count: int,
    *,
    greatest: bool,
) -> int | None:
    """Return a value that at least so many rows reach in a column of whole numbers.

    Parameters
    ----------
    snapshot : `Snapshot`
        Which version.
    table : `str`
        Name of the table.
    fixed : mapping [`str`, `frozenset`]
        What other columns may be.
    column : `str`
        A sort column, right behind columns that are fixed.
    count : `int`
        How many rows.
    greatest : `bool`
        Whether the greatest values are looked for, or the least.

    Returns
    -------
    value : `int` or `None`
        A guess, since rows that were deleted count: for nearly always ``count`` rows the
        column is at least (at most) this; `None` if it is not easily told.
    """
    schema = snapshot.view(table).schema
    best: int | None = None
    for _, slot in snapshot.view(table).segments():
        segment = slot.segment
        if not isinstance(segment, FileSegment) or column not in segment.sort:
            continue
        names = segment.sort[: segment.sort.index(column)]
        if schema.column(column).type != "int64" or not all(fixed.get(name) for name in names):
            return None
        keys = list(product(*(fixed[name] for name in names)))
        if len(keys) > _MOST_KEYS:
            return None
        for key in keys:
            found = _nth(segment, key, count, greatest) if _promises(segment, key, best, greatest) else None
            if found is not None and (best is None or (found > best) == greatest):
                best = found
    return best


def _promises(segment: Segment, key: Key, best: int | None, greatest: bool) -> bool:
    """Whether a segment can have such rows, and better ones than are known."""
    if not segment.may_have(key):
        return False
    n = len(key)
    edge = segment.last if greatest else segment.first
    if best is None or edge[:n] != key or edge[n] is None:
        return True
    return bool(edge[n] > best) if greatest else bool(edge[n] < best)


def _nth(segment: FileSegment, key: Key, count: int, greatest: bool) -> int | None:
    groups = segment.groups_of(key)
    left = count
    for group in groups[::-1][:_MOST_GROUPS] if greatest else groups[:_MOST_GROUPS]:
        keys = segment.keys(group)
        low, high = keys.range(key)
        if high - low < left:
            left -= high - low
            continue
        place = high - left if greatest else low + left - 1
        return keys.number(len(key), place)
    return None
