# SPDX-License-Identifier: BSD-3-Clause
"""Cover many small quadrangles with HTM pixels, by arithmetic on arrays.

The triangles of the mesh are halved from the eight faces of the octahedron on
(Szalay et al. 2007): from a triangle with corners v0, v1, v2 the midpoints w0, w1, w2
of the opposite sides cut the children (v0 w2 w1), (v1 w0 w2), (v2 w1 w0) and
(w0 w1 w2), in this order.  A child is passed over if the whole quadrangle lies beyond
one of its sides; so pixels near a corner may be too many, never too few.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = ["FINEST_LEVEL", "cover", "quadrangles"]

FINEST_LEVEL = 9
"""Finest HTM level that regions are covered at here."""

_MARGIN = 1e-12
"""Sine of an angle: this near to a side, rounding could decide."""
_WIDEST = 0.5
"""Largest sine of a quadrangle's radius that is dealt with."""
_ROUGH = 5
"""Down to this level quadrangles are taken for their circles, which is less work."""
_BATCH = 60_000
_CORNERS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0), (0, -1, 0), (0, 0, -1))
_FACES = ((0, 5, 1), (1, 5, 3), (3, 5, 4), (4, 5, 0), (0, 2, 4), (4, 2, 3), (3, 2, 1), (1, 2, 0))


def quadrangles(regions: Any) -> tuple[NDArray[np.bool_], Floats]:
    """Find the small convex quadrangles among encoded regions.

    Parameters
    ----------
    regions : `pyarrow.BinaryArray`
        Regions as ``lsst.sphgeom.Region.encode`` writes them, and nulls.

    Returns
    -------
    is_quadrangle : `numpy.ndarray` of `bool`, (n,)
        Which of them `cover` can deal with.
    vertices : `numpy.ndarray`, (m, 4, 3)
        The vertices of those.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.binary_length(regions), 0).to_numpy(zero_copy_only=False)
    found = lengths == 97
    if not found.any():
        return found, np.zeros((0, 4, 3))
    picked = regions if found.all() else regions.filter(pa.array(found))
    start = picked.offset
    ends = np.frombuffer(picked.buffers()[1], np.int32)[start : start + len(picked) + 1]
    raw = np.frombuffer(picked.buffers()[2], np.uint8)[ends[0] : ends[-1]].reshape(-1, 97)
    vertices = np.ascontiguousarray(raw[:, 1:]).view("<f8").reshape(-1, 4, 3)
    centre = vertices.mean(axis=1, keepdims=True)
    good = (raw[:, 0] == ord("p")) & (np.linalg.norm(vertices - centre, axis=2).max(axis=1) < _WIDEST)
    if not good.all():
        found[np.flatnonzero(found)[~good]] = False
        vertices = vertices[good]
    return found, vertices


def cover(vertices: Floats, level: int) -> tuple[Integers, Integers]:
    """Find the pixels that small quadrangles may overlap.

    Parameters
    ----------
    vertices : `numpy.ndarray`, (n, 4, 3)
        Unit vectors.
    level : `int`
        HTM level of the pixels, at most `FINEST_LEVEL`.

    Returns
    -------
    places, pixels : `numpy.ndarray` of `int`, (m,)
        Pairs of the row of a quadrangle and a pixel, ordered by both.
    """
    import numpy as np

    sides = _sides(level)
    parts = [
        _cover(vertices[first : first + _BATCH], sides, first) for first in range(0, len(vertices), _BATCH)
    ]
    empty = np.zeros(0, dtype=np.int64)
    places = np.concatenate([p for p, _ in parts]) if parts else empty
    pixels = np.concatenate([t for _, t in parts]) if parts else empty
    return places, pixels


def _cover(vertices: Floats, sides: list[Floats], first: int) -> tuple[Integers, Integers]:
    import numpy as np

    centre = vertices.mean(axis=1)
    radius = np.linalg.norm(vertices - centre[:, None], axis=2).max(axis=1) + _MARGIN
    round_ones = [centre.T.copy()]
    corners = [np.ascontiguousarray(vertices[:, i].T) for i in range(4)]
    place, pixel = _faces_hit(centre, radius)
    for depth, table in enumerate(sides):
        row = pixel - (8 << 2 * depth)
        normals = [[table[3 * side + k][row] for k in range(3)] for side in range(3)]
        if depth < _ROUGH:
            lowest, highest = _heights(round_ones, place, normals)
            lowest, highest = [h - radius[place] for h in lowest], [h + radius[place] for h in highest]
        else:
            lowest, highest = _heights(corners, place, normals)
        hits = [np.flatnonzero(h <= _MARGIN) for h in lowest]
        hits.append(np.flatnonzero(np.minimum.reduce(highest) >= -_MARGIN))
        rows = np.concatenate(hits)
        child = np.repeat(np.arange(4), [len(h) for h in hits])
        place, pixel = place[rows], pixel[rows] * 4 + child
    order = np.lexsort((pixel, place))
    return place[order] + first, pixel[order]


def _heights(
    points: list[Floats], place: Integers, normals: list[list[Floats]]
) -> tuple[list[Floats], list[Floats]]:
    """Lowest and highest of some points over each of three sides."""
    import numpy as np

    lowest: list[Any] = [None] * 3
    highest: list[Any] = [None] * 3
    for point in points:
        x, y, z = (component[place] for component in point)
        for side, (a, b, c) in enumerate(normals):
            height = x * a + y * b + z * c
            lowest[side] = height if lowest[side] is None else np.minimum(lowest[side], height)
            highest[side] = height if highest[side] is None else np.maximum(highest[side], height)
    return lowest, highest


def _faces_hit(centre: Floats, radius: Floats) -> tuple[Integers, Integers]:
    import numpy as np

    places, pixels = [], []
    for face, corners in enumerate(_roots()):
        normals = np.cross(corners, np.roll(corners, -1, axis=0))
        hit = np.flatnonzero((centre @ normals.T).min(axis=1) >= -radius)
        places.append(hit)
        pixels.append(np.full(len(hit), 8 + face, dtype=np.int64))
    return np.concatenate(places), np.concatenate(pixels)


def _roots() -> Floats:
    import numpy as np

    faces: Floats = np.array(_CORNERS, dtype=np.float64)[np.array(_FACES)]
    return faces


@lru_cache(maxsize=1)
def _sides(level: int) -> list[Floats]:
    """Normals of the sides of the middle children, of all triangles, level by level.

    Side 0 cuts off the child at corner 0, and so on; normals point to the middle.  A
    table has the three components of side 0, then those of the others, as its rows.
    """
    import numpy as np

    corners, found = _roots(), []
    for _ in range(level):
        v0, v1, v2 = corners[:, 0], corners[:, 1], corners[:, 2]
        w0, w1, w2 = _unit(v1 + v2), _unit(v2 + v0), _unit(v0 + v1)
        normals = [_unit(np.cross(a, b)) for a, b in ((w1, w2), (w2, w0), (w0, w1))]
        found.append(np.concatenate([n.T for n in normals]))
        children = [(v0, w2, w1), (v1, w0, w2), (v2, w1, w0), (w0, w1, w2)]
        corners = np.stack([np.stack(c, axis=1) for c in children], axis=1).reshape(-1, 3, 3)
    return found


def _unit(v: Floats) -> Floats:
    import numpy as np

    found: Floats = v / np.linalg.norm(v, axis=1, keepdims=True)
    return found
