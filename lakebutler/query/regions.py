# SPDX-License-Identifier: BSD-3-Clause
"""Which of many regions overlap, by arithmetic on arrays; lsst-sphgeom decides what that cannot.

Each region has a bounding circle.  Two convex polygons within a hemisphere are
apart exactly if an edge of one has the whole other on its outer side (after
central projection, which keeps lines straight, this is the theorem of the
separating axis).  Where the distance from being so is below `_MARGIN`, and for all
other shapes, lsst-sphgeom is asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from lakebutler.query.geometry import overlapping

__all__ = ["Regions", "overlapping_pairs", "kept_pairs"]

_MARGIN = 1e-10
"""Sine of an angle: below it, rounding could decide."""
_WIDE = math.radians(40.0)
_BLOCK = 2_000_000
_MOST_VERTICES = 8


class Regions:
    """Many regions as arrays.

    Parameters
    ----------
    encoded : sequence of `bytes`
        As ``lsst.sphgeom.Region.encode`` writes them.
    """

    def __init__(self, encoded: Sequence[bytes]) -> None:
        import numpy as np

        n = len(encoded)
        self._encoded = encoded
        self._decoded: dict[int, Any] = {}
        self.center = np.zeros((n, 3))
        self.radius = np.zeros(n)
        self.vertices = np.zeros((n, 0, 3))
        self.polygon = np.zeros(n, dtype=bool)
        sizes: dict[int, list[int]] = {}
        others = []
        for i, raw in enumerate(encoded):
            count, rest = divmod(len(raw) - 1, 24)
            if raw[:1] == b"p" and not rest and 3 <= count <= _MOST_VERTICES:
                sizes.setdefault(count, []).append(i)
            else:
                others.append(i)
        if sizes:
            self.vertices = np.zeros((n, max(sizes), 3))
        for count, places in sizes.items():
            raw = b"".join([encoded[i][1:] for i in places])
            found = np.frombuffer(raw, "<f8").reshape(len(places), count, 3)
            # A polygon with fewer vertices has its last one several times.
            self.vertices[places, :count] = found
            self.vertices[places, count:] = found[:, -1:]
            center = found.sum(axis=1)
            center /= np.linalg.norm(center, axis=1)[:, None]
            self.center[places] = center
            cosine = np.einsum("nvc,nc->nv", found, center).min(axis=1)
            self.radius[places] = np.arccos(np.clip(cosine, -1.0, 1.0)) + 1e-9
            self.polygon[places] = True
        for i in others:
            circle = self[i].getBoundingCircle()
            vector = circle.getCenter()
            self.center[i] = (vector.x(), vector.y(), vector.z())
            self.radius[i] = min(math.pi, circle.getOpeningAngle().asRadians() + 1e-9)

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, i: int) -> Any:
        """Return one region, an `lsst.sphgeom.Region`."""
        found = self._decoded.get(i)
        if found is None:
            from lsst.sphgeom import Region

            found = self._decoded[i] = Region.decode(self._encoded[i])
        return found

    def encoded(self, i: int) -> bytes:
        """Return one region as bytes."""
        return self._encoded[i]

    def some(self, numbers: Sequence[int]) -> Regions:
        """Return some of the regions."""
        return Regions([self._encoded[i] for i in numbers])

    def circles(self, sign: float) -> Any:
        """Centre, and cosine (with a sign) and sine of the radius; zeros where it is wide."""
        import numpy as np

        made = np.column_stack([self.center, sign * np.cos(self.radius), np.sin(self.radius)])
        made[self.radius > 1.5] = 0.0
        return made

    @cached_property
    def corners(self) -> Any:
        """Vertices of polygons: for each of them, each component of all."""
        import numpy as np

        return np.ascontiguousarray(self.vertices.transpose(1, 2, 0))

    @cached_property
    def normals(self) -> Any:
        """Unit vectors towards the inner side of each polygon's edges; zero for no edge.

        For each edge, each component of all.
        """
        import numpy as np

        following = np.roll(self.vertices, -1, axis=1)
        normals = np.cross(self.vertices, following)
        length = np.linalg.norm(normals, axis=2, keepdims=True)
        normals = np.where(length > 1e-15, normals / np.where(length > 1e-15, length, 1.0), 0.0)
        return np.ascontiguousarray(normals.transpose(1, 2, 0))


def overlapping_pairs(a: Regions, b: Regions) -> tuple[Any, Any]:
    """Find the pairs that overlap, among all.

    Parameters
    ----------
    a, b : `Regions`
        The regions.

    Returns
    -------
    i, j : `numpy.ndarray`
        Their numbers.
    """
    import numpy as np

    if not len(a) or not len(b):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    reach = min(math.pi, float(a.radius.max()) + float(b.radius.max()))
    size = max(2.0 * math.sin(reach / 2.0), 1e-4)
    # cos(distance) - cos(sum of radii), as one product.
    left, right = a.circles(-1.0), b.circles(1.0)
    cells = _cells(b, size)
    ones, twos = [], []
    for cell, rows in _cells(a, size).items():
        found = [mine for step in _STEPS if (mine := cells.get(cell + step)) is not None]
        if not found:
            continue
        mine = np.concatenate(found)
        step = max(1, _BLOCK // len(mine))
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            one, two = (left[block] @ right[mine].T >= -1e-12).nonzero()
            ones.append(block[one])
            twos.append(mine[two])
    if not ones:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return kept_pairs(a, b, np.concatenate(ones), np.concatenate(twos), near=True)


_SIDE = 2**16
_STEPS = [(x * _SIDE + y) * _SIDE + z for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]


def _cells(regions: Regions, size: float) -> dict[int, Any]:
    """Regions by the cube of this size in which their centres lie."""
    import numpy as np

    x, y, z = (np.floor(regions.center.T / size)).astype(np.int64) + _SIDE // 2
    cells = (x * _SIDE + y) * _SIDE + z
    order = np.argsort(cells, kind="stable")
    names, starts = np.unique(cells[order], return_index=True)
    return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True))


def kept_pairs(a: Regions, b: Regions, i: Any, j: Any, *, near: bool) -> tuple[Any, Any]:
    """Keep the pairs that overlap.

    Parameters
    ----------
    a, b : `Regions`
        The regions.
    i, j : `numpy.ndarray`
        Numbers of the pairs to test.
    near : `bool`
        Whether it is known that their bounding circles meet.

    Returns
    -------
    i, j : `numpy.ndarray`
        Those that overlap.
    """
    import numpy as np

    if not near:
        sums = np.minimum(a.radius[i] + b.radius[j], math.pi)
        close = np.einsum("nc,nc->n", a.center[i], b.center[j]) >= np.cos(sums) - 1e-12
        i, j = i[close], j[close]
    keep = np.zeros(len(i), dtype=bool)
    for start in range(0, len(i), _BLOCK // 20):
        part = slice(start, start + _BLOCK // 20)
        keep[part] = _decided(a, b, i[part], j[part])
    return i[keep], j[keep]


def _decided(a: Regions, b: Regions, i: Any, j: Any) -> Any:
    import numpy as np

    plain = a.polygon[i] & b.polygon[j] & (a.radius[i] + b.radius[j] < _WIDE)
    apart = np.zeros(len(i))
    if plain.any():
        one, two = i[plain], j[plain]
        apart[plain] = np.maximum(_outside(a, b, one, two), _outside(b, a, two, one))
    keep = apart < -_MARGIN
    for n in np.flatnonzero(np.abs(apart) <= _MARGIN).tolist():
        keep[n] = overlapping(a[int(i[n])], b[int(j[n])])
    return keep


def _outside(a: Regions, b: Regions, i: Any, j: Any) -> Any:
    """How far outside one edge of a polygon the whole other lies, at most; negative if not."""
    import numpy as np

    vertices = [[part[j] for part in corner] for corner in b.corners]
    most = np.full(len(i), -np.inf)
    for normal in a.normals:
        x, y, z = (part[i] for part in normal)
        inner = np.full(len(i), -np.inf)
        for vx, vy, vz in vertices:
            np.maximum(inner, x * vx + y * vy + z * vz, out=inner)
        inner[(x == 0) & (y == 0) & (z == 0)] = np.inf
        np.maximum(most, -inner, out=most)
    return most
