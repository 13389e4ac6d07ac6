# SPDX-License-Identifier: BSD-3-Clause
"""The level at which a repository covers regions with pixels: measured, and set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebutler.errors import InvalidQueryError
from lakebutler.lake.change import Change
from lakebutler.query.skylevels import LEVELS, LevelCost, best_level, measure_levels
from lakebutler.registry.overlaps import LEVEL_SETTING, index_level

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler
    from lakebutler.lake.snapshot import Snapshot

__all__ = ["LEVELS", "LevelCost", "best_level", "overlap_level", "set_overlap_level", "tune_skypix"]


def tune_skypix(butler: Butler, *, seed: int = 0) -> list[LevelCost]:
    """Measure what the index of places on the sky costs at each level.

    Parameters
    ----------
    butler : `Butler`
        The repository; it is only read.
    seed : `int`, optional
        Which place on its sky to measure at.

    Returns
    -------
    costs : `list` [`LevelCost`]
        One for each level; `best_level` chooses. Empty if the repository has no regions.
    """
    return measure_levels(butler.repository.session.snapshot, butler.dimensions, seed=seed)


def overlap_level(butler: Butler) -> int:
    """Return the HTM level at which a repository covers regions.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    """
    return index_level(butler.repository.session.snapshot)


def set_overlap_level(butler: Butler, level: int) -> None:
    """Set the level at which regions will be covered.

    What is in the index already stays as it is, and goes on to be found: ranges are
    written in the finest pixels, whatever level they were computed at.

    Parameters
    ----------
    butler : `Butler`
        The repository, writeable.
    level : `int`
        An HTM level among `LEVELS`.

    Raises
    ------
    InvalidQueryError
        Raised if the level is none of them.
    """
    if level not in LEVELS:
        raise InvalidQueryError(
            f"{level} is no level for the index of the sky", hint=f"take one of {LEVELS[0]} to {LEVELS[-1]}"
        )

    def build(snapshot: Snapshot) -> Change | None:
        if index_level(snapshot) == level:
            return None
        change = Change()
        change.set("config", LEVEL_SETTING, level)
        return change

    butler.repository.session.execute(build, op="tune-skypix")
