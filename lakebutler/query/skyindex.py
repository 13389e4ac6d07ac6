# SPDX-License-Identifier: BSD-3-Clause
"""The index of places on the sky, read: what is near some regions, and whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.dimensions.elements import DimensionElement
from lakebutler.lake.select import Allowed, select_table
from lakebutler.query.keysets import distinct
from lakebutler.query.regions import Regions
from lakebutler.registry.overlaps import CELL_LEVEL, index_level, known_rows, overlap_schema, pieces

if TYPE_CHECKING:
    import pyarrow as pa

    from lakebutler.lake.snapshot import Snapshot

__all__ = ["index_table", "near"]

_kept: dict[Any, Any] = {}
_FEW = 100
"""Regions that are covered one by one."""


def near(
    snapshot: Snapshot,
    element: DimensionElement,
    regions: Regions,
    allowed: Mapping[str, Allowed],
    most: int,
) -> pa.Table | None:
    """Find records that may overlap one of some regions.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to read.
    element : `DimensionElement`
        Whose records.
    regions : `Regions`
        The regions.
    allowed : mapping [`str`, `Allowed`]
        What dimensions may be.
    most : `int`
        How many rows of the index to read at most.

    Returns
    -------
    keys : `pyarrow.Table` or `None`
        Keys of the records, each once; `None` if there is more to read.
    """
    wanted = _cover(regions, index_level(snapshot))
    names = tuple(element.required.names)
    schema = overlap_schema(element)
    if schema.name in snapshot.schemas():
        known = {name: allowed[name] for name in names if name in allowed}
        known["cell"] = Allowed(frozenset(wanted))
        table = select_table(snapshot, schema.name, known, ("cell", "begin", "end", *names), most)
        if table is None:
            return None
    else:
        table = index_table(snapshot, element)
    return distinct(_hit(table, wanted).select(list(names)))


def _cover(regions: Regions, level: int) -> dict[int, list[tuple[int, int]] | None]:
    """Cells that some regions touch, each with the ranges in it, or `None` for all of it."""
    wanted: dict[int, list[tuple[int, int]] | None] = {}
    if len(regions) <= _FEW:
        for number in range(len(regions)):
            for cell, begin, end in pieces(regions[number], level):
                wanted.setdefault(cell, []).append((begin, end))  # type: ignore[union-attr]
        return wanted
    # Many regions: those whose centres lie in one cell are covered together.
    from lsst.sphgeom import Angle, Circle, HtmPixelization, UnitVector3d

    coarse = HtmPixelization(CELL_LEVEL)
    groups: dict[int, list[int]] = {}
    for number, (x, y, z) in enumerate(regions.center.tolist()):
        groups.setdefault(coarse.index(UnitVector3d(x, y, z)), []).append(number)
    for members in groups.values():
        center = regions.center[members].sum(axis=0)
        center /= (center**2).sum() ** 0.5
        away = (regions.center[members] @ center).clip(-1.0, 1.0)
        radius = min(math.pi, float((_arccos(away) + regions.radius[members]).max()))
        circle = Circle(UnitVector3d(*center.tolist()), Angle(radius))
        for first, last in coarse.envelope(circle):
            wanted.update(dict.fromkeys(range(first, last)))
    return wanted


def _arccos(values: Any) -> Any:
    import numpy as np

    return np.arccos(values)


def _hit(table: pa.Table, wanted: Mapping[int, Sequence[tuple[int, int]] | None]) -> pa.Table:
    """Rows of the index that have a pixel in common with what is wanted."""
    import numpy as np

    cells, begins, ends = (table.column(name).to_numpy() for name in ("cell", "begin", "end"))
    keep = np.zeros(len(cells), dtype=bool)
    order = np.argsort(cells, kind="stable")
    sorted_cells = cells[order]
    for cell, ranges in wanted.items():
        low, high = np.searchsorted(sorted_cells, (cell, cell + 1))
        rows = order[low:high]
        if ranges is None:
            keep[rows] = True
        elif len(rows):
            begin, end = (np.array(values) for values in zip(*ranges, strict=True))
            hit = (begins[rows][:, None] < end) & (ends[rows][:, None] > begin)
            keep[rows] |= hit.any(axis=1)
    return table.take(np.flatnonzero(keep))


def index_table(snapshot: Snapshot, element: DimensionElement) -> pa.Table:
    """Make the index of a repository that was written without one.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to read.
    element : `DimensionElement`
        Whose records.

    Returns
    -------
    index : `pyarrow.Table`
        With the columns of `lakebutler.registry.overlaps.overlap_schema`.
    """
    key = (snapshot.segments.number, snapshot.version, snapshot.overlay_key, element.name)
    if key not in _kept:
        from lakebutler.lake.sorting import rows_to_table

        rows = known_rows(snapshot, element, index_level(snapshot), set())
        _kept.clear()
        _kept[key] = rows_to_table(overlap_schema(element), rows)
    return _kept[key]
