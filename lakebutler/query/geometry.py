# SPDX-License-Identifier: BSD-3-Clause
"""Regions in expressions: functions of degrees, and values that callers bind."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["FUNCTIONS", "is_region", "overlapping", "region_bytes", "region_of_value", "regions_overlap"]

_FINITE = "angles must be finite numbers"


def _lonlat(ra: float, dec: float) -> Any:
    from lsst.sphgeom import LonLat

    if not -90.0 <= dec <= 90.0:
        raise ValueError(f"a declination lies between -90 and 90 degrees, not at {dec:g}")
    return LonLat.fromDegrees(math.fmod(ra, 360.0), dec)


def _unit(ra: float, dec: float) -> Any:
    from lsst.sphgeom import UnitVector3d

    return UnitVector3d(_lonlat(ra, dec))


def _positive(name: str, value: float, most: float) -> None:
    if not 0.0 < value <= most:
        raise ValueError(f"{name} lies between 0 and {most:g} degrees, not at {value:g}")


def _point(ra: float, dec: float) -> Any:
    from lsst.sphgeom import Circle

    return Circle(_unit(ra, dec))


def _circle(ra: float, dec: float, radius: float) -> Any:
    from lsst.sphgeom import Angle, Circle

    _positive("a radius", radius, 180.0)
    return Circle(_unit(ra, dec), Angle.fromDegrees(radius))


def _box(ra: float, dec: float, width: float, height: float) -> Any:
    from lsst.sphgeom import Angle, Box

    _positive("the width of a box", width, 360.0)
    _positive("the height of a box", height, 180.0)
    return Box(_lonlat(ra, dec), Angle.fromDegrees(width / 2), Angle.fromDegrees(height / 2))


def _polygon(*values: float) -> Any:
    import numpy as np
    from lsst.sphgeom import ConvexPolygon

    vertices = [_unit(*pair) for pair in zip(values[::2], values[1::2], strict=True)]
    try:
        return ConvexPolygon(vertices)
    except (RuntimeError, ValueError) as exc:
        if np.linalg.matrix_rank([(v.x(), v.y(), v.z()) for v in vertices], tol=1e-6) == 3:
            raise ValueError("the vertices must lie within one hemisphere") from exc
        raise ValueError("three of the vertices at least must be different, and not on one line") from exc


def _pos(text: str) -> Any:
    """Make a region of an IVOA POS string, in which lsst-sphgeom looks at little but the count of numbers."""
    from lsst.sphgeom import Region

    shape, *words = text.split() or [""]
    if not shape:
        raise ValueError("an empty string is no region")
    numbers = [float(word) for word in words]
    # Only a range may be infinite: it then ends at 0 or 360 degrees, or at a pole.
    if not all(math.isfinite(n) or (shape == "RANGE" and math.isinf(n)) for n in numbers):
        raise ValueError(_FINITE)
    if shape == "CIRCLE" and len(numbers) == 3 and not 0.0 <= numbers[2] <= 180.0:
        raise ValueError(f"a radius lies between 0 and 180 degrees, not at {numbers[2]:g}")
    if shape == "RANGE" and len(numbers) == 4 and numbers[2] > numbers[3]:
        raise ValueError(
            f"a range of declinations goes from low to high, not from {numbers[2]:g} to {numbers[3]:g}"
        )
    if shape == "POLYGON" and len(numbers) >= 6 and len(numbers) % 2 == 0:
        return _polygon(*numbers)
    try:
        return Region.from_ivoa_pos(text)
    except (ValueError, RuntimeError) as exc:
        raise ValueError(str(exc).rstrip(".") or f"{text!r} is no IVOA POS string") from None


FUNCTIONS: Mapping[str, tuple[str, Callable[[int], bool], Callable[..., Any]]] = {
    "POINT": ("two numbers: right ascension and declination", lambda n: n == 2, _point),
    "CIRCLE": ("three numbers: right ascension, declination and radius", lambda n: n == 3, _circle),
    "BOX": ("four numbers: right ascension and declination, width and height", lambda n: n == 4, _box),
    "POLYGON": (
        "at least three pairs of right ascension and declination",
        lambda n: n >= 6 and n % 2 == 0,
        _polygon,
    ),
}
"""What each function takes, whether so many numbers are right, and what makes the region."""


def region_bytes(function: str, arguments: Sequence[Any]) -> bytes:
    """Make a region.

    Parameters
    ----------
    function : `str`
        A key of `FUNCTIONS`, or ``REGION`` with one IVOA POS string.
    arguments : sequence
        Its arguments, in degrees.

    Returns
    -------
    region : `bytes`
        As ``lsst.sphgeom.Region.encode`` writes it.

    Raises
    ------
    ValueError
        Raised if there is no such region.
    """
    if function == "REGION":
        made = _pos(*arguments)
    else:
        if not all(math.isfinite(value) for value in arguments):
            raise ValueError(_FINITE)
        made = FUNCTIONS[function][2](*map(float, arguments))
    encoded: bytes = made.encode()
    return encoded


def region_of_value(value: Any) -> bytes | None:
    """Read a region that a caller binds.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    region : `bytes` or `None`
        `None` if the value is no region, and no single position on the sky.

    Raises
    ------
    ValueError
        Raised if it is a region with an angle that is not a number.
    """
    sphgeom = sys.modules.get("lsst.sphgeom")
    if sphgeom is not None:
        if isinstance(value, sphgeom.LonLat):
            value = sphgeom.Circle(sphgeom.UnitVector3d(value))
        elif isinstance(value, sphgeom.UnitVector3d):
            value = sphgeom.Circle(value)
        if is_region(value):
            circle = value.getBoundingCircle()
            if math.isnan(circle.getCenter().x()) or math.isnan(circle.getOpeningAngle().asRadians()):
                raise ValueError(_FINITE)
            return bytes(value.encode())
    if type(value).__module__.split(".")[0] == "astropy":
        from astropy.coordinates import SkyCoord

        if isinstance(value, SkyCoord) and value.isscalar:
            return region_bytes("POINT", (float(value.icrs.ra.deg), float(value.icrs.dec.deg)))
    return None


def is_region(value: Any) -> bool:
    """Whether a value is a region; unions and intersections are collections as well.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    is_region : `bool`
        True for any `lsst.sphgeom.Region`.
    """
    # Who has a region has imported its module.
    sphgeom = sys.modules.get("lsst.sphgeom")
    return sphgeom is not None and isinstance(value, sphgeom.Region)


def overlapping(one: Any, other: Any) -> bool:
    """Whether two regions overlap.

    Parameters
    ----------
    one, other : `lsst.sphgeom.Region`
        The regions.

    Returns
    -------
    overlap : `bool`
        Whether they have a point in common, as far as lsst-sphgeom can tell.
    """
    found = one.overlaps(other)
    if found is not None:
        return bool(found)
    from lsst.sphgeom import DISJOINT

    return not one.relate(other) & DISJOINT


def regions_overlap(one: bytes, other: bytes) -> bool:
    """Whether two encoded regions overlap.

    Parameters
    ----------
    one, other : `bytes`
        The regions.

    Returns
    -------
    overlap : `bool`
        Whether they have a point in common.
    """
    from lsst.sphgeom import Region

    return overlapping(Region.decode(one), Region.decode(other))
