# SPDX-License-Identifier: BSD-3-Clause
"""Positions on the sky, however a caller has them."""

from __future__ import annotations

import math
from typing import Any

from lakebutler.errors import DimensionValueError

__all__ = ["Position", "position_deg"]

Position = Any
"""``lsst.sphgeom.LonLat`` or ``UnitVector3d``, ``astropy.coordinates.SkyCoord``, or a pair of degrees."""


def position_deg(coord: Position) -> tuple[float, float]:
    """Read a position.

    Parameters
    ----------
    coord : `lsst.sphgeom.LonLat`, `lsst.sphgeom.UnitVector3d`, `astropy.coordinates.SkyCoord` or pair
        A pair is right ascension and declination in degrees.

    Returns
    -------
    ra_deg, dec_deg : `float`
        In degrees, ICRS.

    Raises
    ------
    DimensionValueError
        Raised if it is none, or not on the sky.
    """
    module = type(coord).__module__.partition(".")[0]
    if module == "lsst":
        from lsst.sphgeom import LonLat, UnitVector3d

        place = LonLat(coord) if isinstance(coord, UnitVector3d) else coord
        if not isinstance(place, LonLat):
            raise DimensionValueError(f"a {type(coord).__name__} is no position")
        pair: Any = (place.getLon().asDegrees(), place.getLat().asDegrees())
    elif module == "astropy":
        icrs = getattr(coord, "icrs", None)
        if icrs is None or not icrs.isscalar:
            raise DimensionValueError(f"{coord!r} is no single position")
        pair = (icrs.ra.deg, icrs.dec.deg)
    else:
        pair = coord
    try:
        ra, dec = (float(value) for value in pair)
    except (TypeError, ValueError):
        raise DimensionValueError(
            f"{coord!r} is no position", hint="right ascension and declination in degrees: (10.0, -5.0)"
        ) from None
    if not (math.isfinite(ra) and -90.0 <= dec <= 90.0):
        raise DimensionValueError(f"right ascension {ra:g}, declination {dec:g} is not on the sky")
    return ra, dec
