# SPDX-License-Identifier: BSD-3-Clause
"""Regions as outlines: what a picture can draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["all_densified", "densified", "enclosing", "middle", "outlines", "positions", "view_circle"]

_CIRCLE_POINTS = 72


def positions(vectors: Floats) -> tuple[Floats, Floats]:
    """Positions in degrees, right ascension from 0 to 360, of unit vectors, (..., 3)."""
    import numpy as np

    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def outlines(encoded: Sequence[bytes]) -> list[Floats]:
    """Decode regions.

    Parameters
    ----------
    encoded : sequence of `bytes`
        As ``lsst.sphgeom.Region.encode`` writes them.

    Returns
    -------
    outlines : `list` [`numpy.ndarray`], each (n, 3)
        Unit vectors of the corners of polygons and boxes, or of points on the circle that
        holds any other region.
    """
    import numpy as np

    found = []
    for raw in encoded:
        count, rest = divmod(len(raw) - 1, 24)
        if raw[:1] == b"p" and not rest and count >= 3:
            found.append(np.frombuffer(raw, "<f8", offset=1).reshape(count, 3))
        else:
            found.append(_other(raw))
    return found


def _other(raw: bytes) -> Floats:
    import numpy as np
    from lsst.sphgeom import Box, LonLat, Region, UnitVector3d

    region = Region.decode(raw)
    if isinstance(region, Box) and not region.isEmpty() and not region.getLon().isFull():
        lon, lat = region.getLon(), region.getLat()
        first, width = lon.getA().asDegrees(), lon.getSize().asDegrees()
        low, high = lat.getA().asDegrees(), lat.getB().asDegrees()
        along = (first + width * np.linspace(0.0, 1.0, max(2, math.ceil(width)))).tolist()
        corners = [(ra, low) for ra in along] + [(ra, high) for ra in reversed(along)]
        return np.array([tuple(UnitVector3d(LonLat.fromDegrees(*corner))) for corner in corners])
    circle = region.getBoundingCircle()
    centre = np.array(tuple(circle.getCenter()))
    radius = circle.getOpeningAngle().asRadians()
    aside = np.cross(centre, np.eye(3)[np.argmin(np.abs(centre))])
    aside /= np.linalg.norm(aside)
    upward = np.cross(centre, aside)
    turn = np.linspace(0.0, 2 * math.pi, _CIRCLE_POINTS, endpoint=False)[:, np.newaxis]
    edge = np.cos(turn) * aside + np.sin(turn) * upward
    found: Floats = math.cos(radius) * centre + math.sin(radius) * edge
    return found


def middle(outline: Floats) -> Floats:
    """Direction of the mean of an outline's points."""
    import numpy as np

    total = outline.sum(axis=0)
    length = float(np.linalg.norm(total))
    found: Floats = total / length if length > 1e-9 else outline[0]
    return found


def enclosing(shown: Sequence[Floats]) -> tuple[Floats, float]:
    """Find a circle about outlines.

    Parameters
    ----------
    shown : sequence of `numpy.ndarray`, each (n, 3)
        One at least.

    Returns
    -------
    centre : `numpy.ndarray`, (3,)
        The middle of the box that they fill, or of their points.
    radius_deg : `float`
        Angle to the farthest point; 180 if they lie all around.
    """
    import numpy as np

    points = np.concatenate(shown)
    if float(np.linalg.norm(points.sum(axis=0))) < 1e-3 * len(points):
        return np.array([1.0, 0.0, 0.0]), 180.0
    centres = (middle(np.stack([points.min(axis=0), points.max(axis=0)])), middle(points))
    cosines = [float((points @ centre).min()) for centre in centres]
    best = int(np.argmax(cosines))
    return centres[best], math.degrees(math.acos(max(-1.0, min(1.0, cosines[best]))))


def view_circle(shown: Sequence[Floats]) -> Any:
    """Circle that a picture of outlines, with its corners, lies within: an `lsst.sphgeom.Circle`."""
    from lsst.sphgeom import Angle, Circle, UnitVector3d

    centre, radius_deg = enclosing(shown)
    return Circle(UnitVector3d(*centre.tolist()), Angle.fromDegrees(min(180.0, 1.6 * radius_deg + 1e-4)))


def all_densified(shown: Sequence[Floats], step_deg: float) -> list[Floats]:
    """Do for many outlines what `densified` does for one; short edges are found together."""
    import numpy as np

    if not shown:
        return []
    points, ends = np.concatenate(shown), np.cumsum([len(outline) for outline in shown])
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = np.concatenate([[0], ends[:-1]])
    cosines = np.einsum("ij,ij->i", points, points[following])
    starts = np.concatenate([[0], ends[:-1]])
    short = np.minimum.reduceat(cosines, starts) >= math.cos(math.radians(step_deg))
    return [
        outline if enough else densified(outline, step_deg)
        for outline, enough in zip(shown, short.tolist(), strict=True)
    ]


def densified(outline: Floats, step_deg: float) -> Floats:
    """Add points along the great circles between those of an outline.

    Parameters
    ----------
    outline : `numpy.ndarray`, (n, 3)
        Unit vectors; the last is joined to the first.
    step_deg : `float`
        The largest angle between points.

    Returns
    -------
    outline : `numpy.ndarray`, (m, 3)
        The same, with points between.
    """
    import numpy as np

    following = np.roll(outline, -1, axis=0)
    angle = np.arccos(np.clip(np.einsum("ij,ij->i", outline, following), -1.0, 1.0))
    parts = np.maximum(1, np.ceil(np.degrees(angle) / step_deg)).astype(int)
    if parts.max() == 1:
        return outline
    made = []
    for start, end, count in zip(outline, following, parts.tolist(), strict=True):
        share = np.arange(count)[:, np.newaxis] / count
        points = (1.0 - share) * start + share * end
        made.append(points / np.linalg.norm(points, axis=1, keepdims=True))
    return np.concatenate(made)
