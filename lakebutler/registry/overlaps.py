# SPDX-License-Identifier: BSD-3-Clause
"""Where on the sky records are: ranges of pixels beside the records, as an index.

A table ``overlap_<element>`` holds, for each record with a region, the ranges of
HTM pixels that cover it.  Ranges are written in pixels of level `FINEST`, whatever
level they were computed at: that level can be changed at any time, old and new
rows go together.  No range leaves its ``cell``, a pixel of level `CELL_LEVEL`, by
which the table is sorted: what is near a place is found by a few look-ups.

The index only says what may overlap; the regions themselves decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from lakebutler.dimensions.elements import DimensionElement, SkyPixDimension
from lakebutler.lake.change import Change
from lakebutler.lake.schema import Column, TableSchema
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry.schema import dimension_schema

if TYPE_CHECKING:
    from lakebutler.dimensions.records import DimensionRecord

__all__ = [
    "CELL_LEVEL",
    "DEFAULT_LEVEL",
    "FINEST",
    "LEVEL_SETTING",
    "OVERLAP_PREFIX",
    "cell_of",
    "extend_index",
    "has_regions",
    "index_level",
    "known_rows",
    "overlap_schema",
    "pieces",
]

OVERLAP_PREFIX = "overlap_"
FINEST = 24
"""HTM level in which ranges are written."""
CELL_LEVEL = 6
"""HTM level of the cells that no range leaves."""
DEFAULT_LEVEL = 8
"""HTM level at which regions are covered, unless the repository says otherwise."""

LEVEL_SETTING = "overlap_level"
"""Name of that setting among those of the repository."""

_PER_CELL = 4 ** (FINEST - CELL_LEVEL)
_SMALL = 1000


def has_regions(element: DimensionElement) -> bool:
    """Whether records of an element have regions of their own.

    Parameters
    ----------
    element : `DimensionElement`
        The element.

    Returns
    -------
    has : `bool`
        False for pixels, too: their regions follow from their numbers.
    """
    return element.spatial is not None and not isinstance(element, SkyPixDimension)


@lru_cache(maxsize=256)
def overlap_schema(element: DimensionElement) -> TableSchema:
    """Table of the pixel ranges of an element's records.

    Parameters
    ----------
    element : `DimensionElement`
        An element with regions.

    Returns
    -------
    schema : `TableSchema`
        Sorted by place.
    """
    records = dimension_schema(element)
    keys = tuple(element.required.names)
    ranges = tuple(Column(name, "int64", False) for name in ("cell", "begin", "end"))
    return TableSchema(
        name=OVERLAP_PREFIX + element.name,
        columns=(*ranges, *(records.column(name) for name in keys)),
        sort=("cell", "begin", *keys),
        scope=(),
        id=None,
    )


def index_level(snapshot: Snapshot) -> int:
    """HTM level at which a repository covers regions.

    Parameters
    ----------
    snapshot : `Snapshot`
        Its state.

    Returns
    -------
    level : `int`
        The level.
    """
    return int(snapshot.state("config").get(LEVEL_SETTING, DEFAULT_LEVEL))


@lru_cache(maxsize=32)
def _pixelization(level: int) -> Any:
    from lsst.sphgeom import HtmPixelization

    return HtmPixelization(level)


def cell_of(pixels: Any) -> Any:
    """Find the cells that pixels are in.

    Parameters
    ----------
    pixels : `int` or `numpy.ndarray`
        Pixels of level `FINEST`.

    Returns
    -------
    cells : `int` or `numpy.ndarray`
        Pixels of level `CELL_LEVEL`.
    """
    return pixels // _PER_CELL


def pieces(region: Any, level: int) -> list[tuple[int, int, int]]:
    """Cover a region.

    Parameters
    ----------
    region : `lsst.sphgeom.Region`
        The region.
    level : `int`
        HTM level of the pixels, at least `CELL_LEVEL`.

    Returns
    -------
    pieces : `list` [`tuple` [`int`, `int`, `int`]]
        Cell, begin and end, the latter in pixels of level `FINEST`.
    """
    scale = 2 * (FINEST - level)
    found = []
    for first, last in _pixelization(level).envelope(region):
        begin, end = first << scale, last << scale
        while begin < end:
            cell = cell_of(begin)
            stop = min(end, (cell + 1) * _PER_CELL)
            found.append((cell, begin, stop))
            begin = stop
    return found


def extend_index(
    snapshot: Snapshot,
    change: Change,
    element: DimensionElement,
    records: Sequence[DimensionRecord],
    replaced: Iterable[tuple[Any, ...]],
) -> None:
    """Let a change that inserts records keep the index.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state that is changed.
    change : `Change`
        Takes the rows.
    element : `DimensionElement`
        The element.
    records : sequence of `DimensionRecord`
        Its new records.
    replaced : iterable of `tuple`
        Keys of records that give way.
    """
    if not has_regions(element):
        return
    schema = overlap_schema(element)
    rows: list[tuple[Any, ...]] = []
    level = index_level(snapshot)
    fresh = schema.name not in snapshot.schemas()
    keys = {tuple(record.dataId.required_values) for record in records}
    if fresh:
        change.create_table(schema)
        rows += known_rows(snapshot, element, level, keys)
    else:
        gone = list(replaced)
        if gone:
            change.delete(schema.name, tuple(element.required.names), gone)
    for record in records:
        region = cast("Any", record).region
        if region is not None:
            key = tuple(record.dataId.required_values)
            rows += [(*piece, *key) for piece in pieces(region, level)]
    _append(change, schema, rows)


def _append(change: Change, schema: TableSchema, rows: Sequence[tuple[Any, ...]]) -> None:
    if len(rows) <= _SMALL:
        if rows:
            change.append_rows(schema.name, rows)
        return
    from lakebutler.lake.sorting import rows_to_table

    change.append_table(schema.name, rows_to_table(schema, rows))


def known_rows(
    snapshot: Snapshot, element: DimensionElement, level: int, without: set[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """Compute the index of the records that there are.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to read.
    element : `DimensionElement`
        Whose records.
    level : `int`
        HTM level of the pixels.
    without : `set`
        Keys of records to leave out.

    Returns
    -------
    rows : `list` [`tuple`]
        Values of the columns of `overlap_schema`.
    """
    table = dimension_schema(element).name
    if table not in snapshot.schemas():
        return []
    from lsst.sphgeom import Region

    names = tuple(element.required.names)
    data = snapshot.scan(table, (*names, "region"))
    rows: list[tuple[Any, ...]] = []
    columns: Mapping[str, list[Any]] = {n: data.column(n).to_pylist() for n in (*names, "region")}
    for key, region in zip(zip(*(columns[n] for n in names), strict=True), columns["region"], strict=True):
        if region is not None and key not in without:
            rows += [(*piece, *key) for piece in pieces(Region.decode(region), level)]
    return rows
