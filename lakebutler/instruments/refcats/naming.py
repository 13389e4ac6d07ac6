# SPDX-License-Identifier: BSD-3-Clause
"""What the collections of reference catalogues are called, and by which pixels they are cut.

The chain ``refcats`` and a dataset type that has the catalogue's name and one dimension of
pixels are the convention of ``lsst.daf.butler``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lakebutler.dimensions.skypix import MAX_LEVELS
from lakebutler.errors import DatasetTypeError, DimensionNameError

if TYPE_CHECKING:
    from lakebutler.datasets.dataset_type import DatasetType
    from lakebutler.dimensions.universe import DimensionUniverse

__all__ = ["DEFAULT_PIXELS", "REFCATS_CHAIN", "pixels_of", "refcat_run", "sky_pixels"]

REFCATS_CHAIN = "refcats"
"""The chain that all catalogues can be found in."""
DEFAULT_PIXELS = "htm7"
"""Pixels that a catalogue is cut by unless told otherwise: a third of a square degree each."""


def refcat_run(name: str) -> str:
    """Name the run of a catalogue.

    Parameters
    ----------
    name : `str`
        The catalogue.

    Returns
    -------
    run : `str`
        ``refcats/<name>``.
    """
    return f"{REFCATS_CHAIN}/{name}"


def sky_pixels(universe: DimensionUniverse, pixels: str) -> Any:
    """Find a dimension of pixels by its name.

    Parameters
    ----------
    universe : `DimensionUniverse`
        The repository's dimensions.
    pixels : `str`
        As ``htm7`` or ``healpix5``.

    Returns
    -------
    dimension : `SkyPixDimension`
        The dimension.

    Raises
    ------
    DimensionNameError
        Raised if there is none.
    """
    found = re.fullmatch(r"([a-z0-9]*[a-z])(\d{1,4})", pixels)
    if found is None or found[1] not in MAX_LEVELS:
        raise DimensionNameError(
            f"there are no pixels {pixels!r}",
            hint=f"a name and a level, as htm7 or healpix5; names: {', '.join(MAX_LEVELS)}",
        )
    return universe.skypix[found[1]][int(found[2])]


def pixels_of(kind: DatasetType) -> Any:
    """Find the pixels that a catalogue is cut by.

    Parameters
    ----------
    kind : `DatasetType`
        Its dataset type.

    Returns
    -------
    dimension : `SkyPixDimension`
        Its only dimension.

    Raises
    ------
    DatasetTypeError
        Raised if it has others: then it is no reference catalogue.
    """
    names = tuple(kind.dimensions.required)
    if len(names) != 1 or names[0] not in kind.dimensions.skypix:
        raise DatasetTypeError(
            f"{kind.name} is no reference catalogue: it is not one dataset for each pixel of the sky"
        )
    return kind.dimensions.universe[names[0]]
