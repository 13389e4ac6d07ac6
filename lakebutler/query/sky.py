# SPDX-License-Identifier: BSD-3-Clause
"""Pairs of records whose regions overlap.

The index beside the records (`lakebutler.registry.overlaps`) says which may; the
regions, tested by lsst-sphgeom, say which do.  A few regions are looked up in the
index of the other side; for many on both sides DuckDB joins the two indexes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebutler.dimensions.elements import DimensionElement, SkyPixDimension
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import InvalidQueryError
from lakebutler.lake.select import Allowed, estimate, select_table
from lakebutler.query.expression import Constant, Operation
from lakebutler.query.geometry import overlapping
from lakebutler.query.keysets import having
from lakebutler.query.regions import Regions, overlapping_pairs
from lakebutler.query.skyindex import near
from lakebutler.registry.schema import dimension_table

if TYPE_CHECKING:
    import pyarrow as pa

    from lakebutler.lake.snapshot import Snapshot

__all__ = ["Pairs", "Side", "few_pairs", "sides"]

Known = tuple["pa.Table", Regions]
_MOST_PIXELS = 5_000_000


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of records.

    Attributes
    ----------
    left, right : `pyarrow.Table`
        Keys of the records of both sides, the pairs row by row.
    """

    left: pa.Table
    right: pa.Table


@dataclass(frozen=True)
class Side:
    """One of the two whose regions overlap.

    Attributes
    ----------
    element : `DimensionElement` or `None`
        Whose records have the regions; `None` for a region given.
    region : `bytes` or `None`
        The region given.
    """

    element: DimensionElement | None
    region: bytes | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Dimensions that say which record."""
        return tuple(self.element.required.names) if self.element is not None else ()

    @property
    def stored(self) -> bool:
        """Whether the regions are those of records."""
        return self.element is not None and not isinstance(self.element, SkyPixDimension)


def sides(op: Operation, universe: DimensionUniverse) -> tuple[Side, Side]:
    """Read off whose regions an operation relates.

    Parameters
    ----------
    op : `Operation`
        A ``sky`` operation.
    universe : `DimensionUniverse`
        The repository's dimensions.

    Returns
    -------
    left, right : `Side`
        The two.
    """
    made = []
    for operand in op.operands:
        if isinstance(operand, Constant):
            made.append(Side(None, operand.value))
        else:
            made.append(Side(universe[operand.owner]))  # type: ignore[union-attr]
    return made[0], made[1]


def few_pairs(
    snapshot: Snapshot, left: Side, right: Side, allowed: Mapping[str, Allowed], most: int
) -> Pairs | None:
    """Find the pairs that overlap, if one side has a few regions.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to read.
    left, right : `Side`
        The two sides.
    allowed : mapping [`str`, `Allowed`]
        What dimensions may be.
    most : `int`
        Regions of one side, and rows of the index, at most.

    Returns
    -------
    pairs : `Pairs` or `None`
        `None` if both sides have too many.
    """
    found = sorted(
        ((side, _few(snapshot, side, allowed, most)) for side in (left, right)),
        key=lambda pair: (pair[1] is None, len(pair[1][1]) if pair[1] is not None else 0),
    )
    import pyarrow as pa

    (few, known), (other, others) = found
    if known is None:
        return None
    keys, regions = known
    if others is None and isinstance(other.element, SkyPixDimension):
        mine, theirs = _pixels(keys, regions, other.element, allowed)
    else:
        if others is None:
            others = _near(snapshot, regions, other, allowed, most)
        if others is None:
            return None
        i, j = overlapping_pairs(regions, others[1])
        mine, theirs = keys.take(pa.array(i)), others[0].take(pa.array(j))
    return Pairs(mine, theirs) if few is left else Pairs(theirs, mine)


def _few(snapshot: Snapshot, side: Side, allowed: Mapping[str, Allowed], most: int) -> Known | None:
    """Read the regions of a side, if these are few."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if side.element is None:
        return _no_keys(), Regions([side.region or b""])
    if isinstance(side.element, SkyPixDimension):
        known = allowed.get(side.element.name)
        if known is None or known.values is None or len(known.values) > most:
            return None
        pixelization = side.element.pixelization
        universe = pixelization.universe()
        values = (value for value in known.values if isinstance(value, int) and value >= 0)
        there = [value for value in values if universe.intersects(value)]
        keys = pa.table({side.element.name: pa.array(there, pa.int64())})
        return keys, Regions([pixelization.pixel(v).encode() for v in there])
    table = dimension_table(side.element.name)
    if table not in snapshot.schemas():
        return pa.table({name: pa.array([], pa.null()) for name in side.keys}), Regions([])
    mine = {name: allowed[name] for name in side.keys if name in allowed}
    governors = side.element.universe.governor_dimensions.names
    if not set(mine) - set(governors) and estimate(snapshot, table, mine) > most:
        return None
    rows = select_table(snapshot, table, mine, (*side.keys, "region"), most)
    if rows is None:
        return None
    if rows.column("region").null_count:
        rows = rows.filter(pc.is_valid(rows.column("region")))
    return rows.select(list(side.keys)), Regions(rows.column("region").to_pylist())


def _no_keys() -> pa.Table:
    """One row without a column."""
    import pyarrow as pa

    return pa.table({"one": pa.array([1], pa.int8())})


def _pixels(
    keys: pa.Table, regions: Regions, element: SkyPixDimension, allowed: Mapping[str, Allowed]
) -> tuple[pa.Table, pa.Table]:
    """Find the pixels that overlap each region."""
    import pyarrow as pa

    pixelization = element.pixelization
    known = allowed.get(element.name)
    pixels: dict[int, Any] = {}
    total = 0
    rows: list[int] = []
    numbers: list[int] = []
    for i in range(len(regions)):
        region = regions[i]
        for first, last in pixelization.envelope(region):
            total += last - first
            if total > _MOST_PIXELS:
                raise InvalidQueryError(
                    f"too many pixels of {element.name} overlap the regions",
                    hint="choose a coarser level, or fewer regions",
                )
            for number in range(first, last):
                if known is not None and not known.has(number):
                    continue
                pixel = pixels.get(number)
                if pixel is None:
                    pixel = pixels[number] = pixelization.pixel(number)
                if overlapping(region, pixel):
                    rows.append(i)
                    numbers.append(number)
    found = pa.table({element.name: pa.array(numbers, pa.int64())})
    return keys.take(pa.array(rows, pa.int64())), found


def _near(
    snapshot: Snapshot, regions: Regions, other: Side, allowed: Mapping[str, Allowed], most: int
) -> Known | None:
    """Look up what is near some regions in the index of the other side."""
    assert other.element is not None
    keys = near(snapshot, other.element, regions, allowed, 10 * most)
    if keys is None:
        return None
    return _read(snapshot, other, keys)


def _read(snapshot: Snapshot, side: Side, keys: pa.Table) -> Known:
    """Read the regions of some records."""
    import pyarrow.compute as pc

    assert side.element is not None
    table = dimension_table(side.element.name)
    columns = (*side.keys, "region")
    allowed = {name: Allowed(frozenset(keys.column(name).unique().to_pylist())) for name in side.keys}
    rows = select_table(snapshot, table, allowed, columns, 4 * keys.num_rows + 1000)
    rows = snapshot.match(table, side.keys, keys, columns) if rows is None else having(rows, keys)
    rows = rows.filter(pc.is_valid(rows.column("region")))
    return rows.select(list(side.keys)), Regions(rows.column("region").to_pylist())
