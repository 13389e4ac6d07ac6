# SPDX-License-Identifier: BSD-3-Clause
"""Find the patches of registered skymaps by position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakebutler.errors import ButlerError, DimensionValueError, known_names
from lakebutler.instruments.skymaps.position import Position, position_deg
from lakebutler.instruments.skymaps.register import DATASET_TYPE, STORAGE_CLASS, registered_skymap

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["patches_at"]

Row = tuple[str, int, int, int | None, int | None, bool | None]


def patches_at(butler: Butler, coord: Position, skymap: str | None = None) -> list[Row]:
    """Find the patches that hold a position.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    coord : `lsst.sphgeom.LonLat`, `astropy.coordinates.SkyCoord` or pair of `float`
        The position; a pair is right ascension and declination in degrees.
    skymap : `str`, optional
        Only of this skymap.

    Returns
    -------
    rows : `list` [`tuple`]
        Skymap, tract, patch, its column and row, and whether the position belongs to it: of
        each skymap to one patch at most.  The last is `None` where the parameters of the skymap
        are not kept here.

    Raises
    ------
    DimensionValueError
        Raised if there is no such skymap, or the position is not on the sky.
    """
    ra, dec = position_deg(coord)
    names = [str(r.dataId["skymap"]) for r in butler.query_dimension_records("skymap", explain=False)]
    if skymap is not None and skymap not in names:
        raise DimensionValueError(f"there is no skymap {skymap!r}", hint=known_names(skymap, names))
    found: list[Row] = []
    for name in sorted(names) if skymap is None else [skymap]:
        records = butler.query_dimension_records(
            "patch",
            where="patch.region OVERLAPS POINT(ra, dec)",
            bind={"ra": ra, "dec": dec},
            skymap=name,
            explain=False,
            limit=None,
        )
        own = _own(butler, name, (ra, dec))
        for record in sorted(records, key=lambda r: (r.dataId["tract"], r.dataId["patch"])):
            tract, patch = int(record.dataId["tract"]), int(record.dataId["patch"])
            values: Any = record.toDict()
            mine = None if own is None else (tract, patch) == own
            found.append((name, tract, patch, values["cell_x"], values["cell_y"], mine))
    return found


def _own(butler: Butler, name: str, place: tuple[float, float]) -> tuple[int, int | None] | None:
    """Tract and patch that a position belongs to; `None` where the definition is not kept or not readable."""
    kinds = [t for t in butler.registry.queryDatasetTypes(DATASET_TYPE) if t.name == DATASET_TYPE]
    if not kinds or kinds[0].storageClass_name != STORAGE_CLASS:
        return None
    refs = butler.query_datasets(kinds[0], "*", find_first=False, skymap=name, explain=False)
    runs = [ref.run for ref in refs]
    for run in runs:
        try:
            tract = registered_skymap(butler, name, run).findTract(place)
        except ButlerError:
            continue
        return tract.id, tract.findPatch(place)
    return None
