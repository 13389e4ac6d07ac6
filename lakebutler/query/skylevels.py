# SPDX-License-Identifier: BSD-3-Clause
"""What the index of places on the sky would cost at other levels, measured on a repository's regions."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lakebutler.query.regions import Regions, overlapping_pairs
from lakebutler.registry.overlaps import CELL_LEVEL, has_regions, pieces
from lakebutler.registry.schema import dimension_table

if TYPE_CHECKING:
    from lakebutler.dimensions.elements import DimensionElement
    from lakebutler.dimensions.universe import DimensionUniverse
    from lakebutler.lake.snapshot import Snapshot

__all__ = ["LEVELS", "LevelCost", "best_level", "measure_levels"]

LEVELS = range(CELL_LEVEL, 13)
"""HTM levels that are worth a measurement: about one degree to half an arcminute."""
_NEAREST = 400
_PROBES = 60
_MOST_RECORDS = 200_000
_ALIKE = 1.15


class LevelCost(NamedTuple):
    """What one level costs.

    Attributes
    ----------
    level : `int`
        HTM level of the pixels that cover regions.
    ranges : `float`
        Rows of the index for each region.
    candidates : `float`
        Regions that have to be tested for each one that overlaps.
    cover_us, look_up_us : `float`
        Time to cover one region when it is inserted, and to find all that overlaps one,
        in microseconds.
    """

    level: int
    ranges: float
    candidates: float
    cover_us: float
    look_up_us: float


def measure_levels(
    snapshot: Snapshot,
    universe: DimensionUniverse,
    levels: Sequence[int] = LEVELS,
    *,
    seed: int = 0,
) -> list[LevelCost]:
    """Measure what levels cost, on the regions around one place of the repository.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where the regions are.
    universe : `DimensionUniverse`
        The repository's dimensions.
    levels : sequence of `int`, optional
        HTM levels.
    seed : `int`, optional
        Which place.

    Returns
    -------
    costs : `list` [`LevelCost`]
        One for each level; empty if there are no regions.
    """
    dice = random.Random(seed)
    everything = [_encoded(snapshot, e, dice) for e in universe.elements if has_regions(e)]
    around = _around([Regions(one) for one in everything if one], dice)
    if not around:
        return []
    regions = Regions([encoded for one in around for encoded in one])
    probes = [dice.randrange(len(regions)) for _ in range(_PROBES)]
    return [_measure(regions, probes, level) for level in levels]


def best_level(costs: Sequence[LevelCost]) -> int:
    """Choose the coarsest level whose look-ups are about as fast as any.

    Parameters
    ----------
    costs : sequence of `LevelCost`
        At least one.
    """
    least = min(cost.look_up_us for cost in costs)
    return min(cost.level for cost in costs if cost.look_up_us <= _ALIKE * least)


def _encoded(snapshot: Snapshot, element: DimensionElement, dice: random.Random) -> list[bytes]:
    """Return the regions of an element, or of a random part of its records."""
    table = dimension_table(element.name)
    if table not in snapshot.schemas():
        return []
    column = snapshot.scan(table, ("region",)).column("region")
    if len(column) > _MOST_RECORDS:
        start = dice.randrange(len(column) - _MOST_RECORDS)
        column = column.slice(start, _MOST_RECORDS)
    return [region for region in column.to_pylist() if region is not None]


def _around(everything: Sequence[Regions], dice: random.Random) -> list[list[bytes]]:
    """Return the regions of each kind that are nearest to one of them all."""
    if not everything:
        return []
    finest = min(everything, key=lambda regions: float(regions.radius.mean()))
    place = finest.center[dice.randrange(len(finest))]
    near = [(regions.center @ place).argsort()[::-1][:_NEAREST].tolist() for regions in everything]
    pairs = zip(everything, near, strict=True)
    return [[regions.encoded(i) for i in numbers] for regions, numbers in pairs]


def _measure(regions: Regions, probes: Sequence[int], level: int) -> LevelCost:
    import numpy as np

    decoded = [regions[i] for i in range(len(regions))]
    begun = time.process_time()
    covered = [pieces(region, level) for region in decoded]
    cover = time.process_time() - begun
    rows = [(begin, end, i) for i, found in enumerate(covered) for _, begin, end in found]
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    tested = kept = 0
    begun = time.process_time()
    for probe in probes:
        found = _candidates(table, pieces(decoded[probe], level))
        one, _ = overlapping_pairs(regions.some([probe]), regions.some(found.tolist()))
        tested, kept = tested + len(found), kept + len(one)
    look_up = time.process_time() - begun
    return LevelCost(
        level,
        len(table) / len(regions),
        tested / max(kept, 1),
        1e6 * cover / len(regions),
        1e6 * look_up / len(probes),
    )


def _candidates(table: Any, ranges: Sequence[tuple[int, int, int]]) -> Any:
    """Return the numbers of the regions that have a pixel in common with some ranges."""
    import numpy as np

    keep = np.zeros(len(table), dtype=bool)
    for _, begin, end in ranges:
        keep |= (table[:, 0] < end) & (table[:, 1] > begin)
    return np.unique(table[keep, 2])
