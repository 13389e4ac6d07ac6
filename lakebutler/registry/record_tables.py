# SPDX-License-Identifier: BSD-3-Clause
"""Records of dimension elements by the million, as Arrow tables instead of one by one.

The caller vouches for what `insert_records` would look up record by record: that the
records a row refers to exist, and that nothing with its key is there, unless it is
replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.dimensions.elements import DimensionElement
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry.overlaps import (
    FINEST,
    cell_of,
    has_regions,
    index_level,
    known_rows,
    overlap_schema,
    pieces,
)
from lakebutler.registry.schema import dimension_schema
from lakebutler.registry.sky_cover import FINEST_LEVEL, cover, quadrangles

if TYPE_CHECKING:
    import pyarrow

__all__ = ["append_records", "remove_records"]

_LOG_ROWS = 1000
"""Tables up to this size are handed over as rows, which may stay in the log."""

_FEW = 5000
"""Up to so many regions, to prepare for many takes longer than to cover them one by one."""


def remove_records(
    snapshot: Snapshot,
    change: Change,
    element: DimensionElement,
    columns: tuple[str, ...],
    keys: Sequence[tuple[Any, ...]],
) -> None:
    """Let a change take records out, with their part of the index of the sky.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state that is changed.
    change : `Change`
        Takes the deletions.
    element : `DimensionElement`
        The element.
    columns : `tuple` [`str`]
        Some of its required dimensions.
    keys : sequence of `tuple`
        Their values in the records that go.
    """
    if not keys:
        return
    tables = [dimension_schema(element).name]
    if has_regions(element):
        tables.append(overlap_schema(element).name)
    for table in tables:
        if table in snapshot.schemas():
            change.delete(table, columns, keys)


def append_records(
    snapshot: Snapshot, change: Change, element: DimensionElement, data: pyarrow.Table
) -> None:
    """Let a change add records, and extend the index of the sky by their regions.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state that is changed.
    change : `Change`
        Takes the rows.
    element : `DimensionElement`
        The element.
    data : `pyarrow.Table`
        Columns as `lakebutler.dimensions.arrow.element_columns` names them; those that
        are missing are null.
    """
    schema = dimension_schema(element)
    fresh = schema.name not in snapshot.schemas()
    if fresh:
        change.create_table(schema)
    _append(change, schema, data)
    if has_regions(element):
        index = overlap_schema(element)
        level = index_level(snapshot)
        if index.name not in snapshot.schemas():
            change.create_table(index)
            known = [] if fresh else known_rows(snapshot, element, level, set())
            if known:
                change.append_rows(index.name, known)
        _append(change, index, _index_of(data, tuple(element.required.names), level))


def _append(change: Change, schema: Any, data: pyarrow.Table) -> None:
    if data.num_rows > _LOG_ROWS:
        change.append_table(schema.name, data)
        return
    columns = [
        data.column(name).to_pylist() if name in data.column_names else [None] * data.num_rows
        for name in schema.names
    ]
    change.append_rows(schema.name, list(zip(*columns, strict=True)))


def _index_of(data: pyarrow.Table, keys: tuple[str, ...], level: int) -> pyarrow.Table:
    """Compute the rows of the index, columns cell, begin, end and the keys."""
    import numpy as np
    import pyarrow as pa

    columns: list[list[Any]] = [[], [], [], []]  # row of data, cell, begin, end
    first = 0
    for regions in data.column("region").chunks:
        simple, vertices = quadrangles(regions)
        if level > FINEST_LEVEL or data.num_rows <= _FEW:
            simple = np.zeros_like(simple)
        else:
            rows, pixels = cover(vertices, level)
            merged = _ranges(np.flatnonzero(simple)[rows] + first, pixels, level)
            for column, part in zip(columns, merged, strict=True):
                column.append(part)
        others = [
            (first + i, *piece)
            for i in np.flatnonzero(~simple).tolist()
            if (raw := regions[i].as_py()) is not None
            for piece in pieces(_decoded(raw), level)
        ]
        for column, values in zip(columns, zip(*others, strict=True), strict=False):
            column.append(np.array(values, dtype=np.int64))
        first += len(regions)
    row, cell, begin, end = (np.concatenate(c) if c else np.zeros(0, np.int64) for c in columns)
    order = np.lexsort((begin, cell))
    taken = data.select(list(keys)).take(pa.array(row[order]))
    ranges = {"cell": cell[order], "begin": begin[order], "end": end[order]}
    return pa.table({name: pa.array(v) for name, v in ranges.items()} | {k: taken.column(k) for k in keys})


def _decoded(raw: bytes) -> Any:
    from lsst.sphgeom import Region

    return Region.decode(raw)


def _ranges(rows: Any, pixels: Any, level: int) -> tuple[Any, Any, Any, Any]:
    """Join pixels of one row that follow each other, within cells."""
    import numpy as np

    scale = 2 * (FINEST - level)
    cells = cell_of(pixels << scale)
    opens = np.ones(len(rows), dtype=bool)
    opens[1:] = (rows[1:] != rows[:-1]) | (pixels[1:] != pixels[:-1] + 1) | (cells[1:] != cells[:-1])
    starts = np.flatnonzero(opens)
    ends = np.append(starts[1:], len(rows)) - 1
    return rows[starts], cells[starts], pixels[starts] << scale, (pixels[ends[: len(starts)]] + 1) << scale
