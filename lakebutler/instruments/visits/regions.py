# SPDX-License-Identifier: BSD-3-Clause
"""Regions of all detectors in many exposures at once.

A region is stored as ``lsst.sphgeom.Region.encode`` writes it: of a convex polygon the
letter ``p`` and its vertices, counterclockwise, as little-endian doubles.  Four corners
of a detector stay in their order when their hull is taken, but for the sense of going
around, which is the same in every exposure: so the hulls of a million detectors are
arithmetic on arrays.  Their bytes are those that lsst-sphgeom gives for the same corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakebutler.errors import InstrumentError
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.cameras.geometry import camera_field_angles, convex_hull, sky_of_field_angles

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Bytes = NDArray[np.uint8]

__all__ = ["Footprints", "binary_array", "encode_polygons", "separation_arcsec"]

_POLYGON = ord("p")
_FLAT = 1e-12
"""Sine of a corner below which four corners are not taken to be convex."""
_NEAR_HULL = 1e-10
"""Distance from the camera's outline, in rad, below which rounding may make a corner part of it."""


def encode_polygons(vertices: ArrayLike) -> Bytes:
    """Encode convex polygons as lsst-sphgeom does.

    Parameters
    ----------
    vertices : array-like, (..., k, 3)
        Unit vectors, counterclockwise as seen from outside the sphere.

    Returns
    -------
    encoded : `numpy.ndarray` of `numpy.uint8`, (..., 1 + 24 k)
        The bytes of each.
    """
    import numpy as np

    found = np.ascontiguousarray(vertices, dtype="<f8")
    count = found.shape[-2]
    encoded = np.empty((*found.shape[:-2], 1 + 24 * count), dtype=np.uint8)
    encoded[..., 0] = _POLYGON
    encoded[..., 1:] = found.reshape(*found.shape[:-2], 3 * count).view(np.uint8)
    return encoded


def binary_array(encoded: Bytes) -> pyarrow.Array:
    """Give encoded regions of one length as an Arrow array, without copying them.

    Parameters
    ----------
    encoded : `numpy.ndarray` of `numpy.uint8`, (..., length)
        As `encode_polygons` makes them.

    Returns
    -------
    regions : `pyarrow.BinaryArray`
        In the same order.
    """
    import numpy as np
    import pyarrow as pa

    length = encoded.shape[-1]
    rows = np.ascontiguousarray(encoded).reshape(-1, length)
    if rows.size >= 2**31:
        parts = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
        return pa.chunked_array([c for p in parts for c in pa.chunked_array(binary_array(p)).chunks])
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * length
    return pa.Array.from_buffers(pa.binary(), len(rows), [None, pa.py_buffer(offsets), pa.py_buffer(rows)])


def separation_arcsec(one: bytes, other: bytes) -> float:
    """Measure how far two polygons are from each other's place.

    Parameters
    ----------
    one, other : `bytes`
        Encoded regions.

    Returns
    -------
    separation : `float`
        Largest distance of a vertex from its counterpart, in arcsec, with the vertex lists
        aligned; infinite if they have different numbers of vertices or are no polygons.
    """
    import numpy as np

    if one == other:
        return 0.0
    if len(one) != len(other) or one[:1] != b"p" or other[:1] != b"p":
        return float("inf")
    a, b = (np.frombuffer(raw[1:], "<f8").reshape(-1, 3) for raw in (one, other))
    shift = int(np.argmin(np.linalg.norm(b - a[0], axis=1)))
    distances = [np.linalg.norm(np.roll(b, -k, axis=0) - a, axis=1).max() for k in (shift, 0)]
    return float(np.degrees(min(distances)) * 3600.0)


class Footprints:
    """The outline of a camera on the sky, for any pointing.

    Parameters
    ----------
    camera : `Camera`
        The camera.
    padding_px : `float`, optional
        Pixels added around each detector; default: the camera's.

    Attributes
    ----------
    detectors : `tuple` [`int`]
        Numbers of the detectors, in order.

    Raises
    ------
    InstrumentError
        Raised if the camera's geometry is not known.
    """

    def __init__(self, camera: Camera, padding_px: float | None = None) -> None:
        import numpy as np

        angles = camera_field_angles(camera, padding_px)
        assert camera.focal_plane is not None  # or there would be no angles
        self._flip_x = camera.focal_plane.flip_x
        self.detectors = tuple(d.id for d in camera.detectors)
        turns = _turns(angles)
        convex = (np.abs(turns) > _FLAT).all(axis=1) & (np.abs(np.sign(turns).sum(axis=1)) == 4)
        if not convex.all():
            bad = camera.detectors[int(np.argmin(convex))]
            raise InstrumentError(
                f"{camera.source or camera.name}: detector {bad.name} is not convex on the sky"
            )
        # With a flipped axis the sense of going around on the sky is that of the focal plane.
        clockwise = (turns[:, 0] > 0) != self._flip_x
        self._outline = angles.reshape(-1, 2)[_near_outline(angles.reshape(-1, 2))]
        self._angles = np.where(clockwise[:, None, None], angles[:, [1, 0, 3, 2]], angles)

    def vertices(self, ra_deg: ArrayLike, dec_deg: ArrayLike, sky_angle_deg: ArrayLike) -> Floats:
        """Compute the corners of every detector's region.

        Parameters
        ----------
        ra_deg, dec_deg, sky_angle_deg : array-like, (m,)
            Pointings, in degrees.

        Returns
        -------
        vertices : `numpy.ndarray`, (m, n, 4, 3)
            Unit vectors, in the order in which their convex hull has them.
        """
        return sky_of_field_angles(self._angles, self._flip_x, ra_deg, dec_deg, sky_angle_deg)

    def detector_regions(self, ra_deg: ArrayLike, dec_deg: ArrayLike, sky_angle_deg: ArrayLike) -> Bytes:
        """Compute the regions of every detector.

        Parameters
        ----------
        ra_deg, dec_deg, sky_angle_deg : array-like, (m,)
            Pointings, in degrees.

        Returns
        -------
        regions : `numpy.ndarray` of `numpy.uint8`, (m, n, 97)
            Encoded convex polygons.
        """
        return encode_polygons(self.vertices(ra_deg, dec_deg, sky_angle_deg))

    def visit_region(self, pointings: Sequence[tuple[float, float, float]]) -> bytes:
        """Compute the region of the whole camera.

        Parameters
        ----------
        pointings : sequence of `tuple` [`float`, `float`, `float`]
            Right ascension, declination and sky angle in degrees, of each exposure.

        Returns
        -------
        region : `bytes`
            The encoded convex hull of the corners of all detectors in all exposures.
        """
        ra, dec, angle = zip(*pointings, strict=True)
        return _hull(sky_of_field_angles(self._outline, self._flip_x, ra, dec, angle))

    def merged_regions(self, pointings: Sequence[tuple[float, float, float]]) -> list[bytes]:
        """Compute the region of each detector over several exposures.

        Parameters
        ----------
        pointings : sequence of `tuple` [`float`, `float`, `float`]
            Right ascension, declination and sky angle in degrees, of each exposure.

        Returns
        -------
        regions : `list` [`bytes`]
            For each detector, the encoded convex hull of its corners in all exposures.
        """
        ra, dec, angle = zip(*pointings, strict=True)
        vertices = self.vertices(ra, dec, angle)
        return [_hull(vertices[:, i]) for i in range(len(self.detectors))]


def _hull(vertices: Floats) -> bytes:
    try:
        return bytes(convex_hull(vertices.reshape(-1, 3)).encode())
    except (RuntimeError, ValueError) as err:  # of lsst-sphgeom
        raise InstrumentError(f"the corners of the detectors make no region on the sky: {err}") from err


def _turns(quads: Floats) -> Floats:
    """Sines of the angles by which the outlines of quadrangles, (n, 4, 2), turn at their corners."""
    import numpy as np

    sides = np.roll(quads, -1, axis=1) - quads
    sides /= np.maximum(np.linalg.norm(sides, axis=2, keepdims=True), 1e-300)
    before = np.roll(sides, 1, axis=1)
    found: Floats = before[..., 0] * sides[..., 1] - before[..., 1] * sides[..., 0]
    return found


def _near_outline(points: Floats) -> NDArray[np.bool_]:
    """Find the points, (n, 2), that are corners of their convex hull, or nearly so.

    A great circle is a straight line in the plane of field angles: what lies within the
    hull there does so on the sky, whatever the pointing.
    """
    import numpy as np

    hull = _planar_hull(points)
    sides = np.roll(hull, -1, axis=0) - hull
    sides /= np.linalg.norm(sides, axis=1, keepdims=True)
    offset = points[:, None] - hull[None]
    inside = sides[None, :, 0] * offset[..., 1] - sides[None, :, 1] * offset[..., 0]
    near: NDArray[np.bool_] = inside.min(axis=1) < _NEAR_HULL
    return near


def _planar_hull(points: Floats) -> Floats:
    """Convex hull, counterclockwise, by Andrew's monotone chain."""
    import numpy as np

    ordered = sorted({(float(x), float(y)) for x, y in points})

    def chain(run: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        made: list[tuple[float, float]] = []
        for x, y in run:
            while len(made) > 1:
                (ax, ay), (bx, by) = made[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                made.pop()
            made.append((x, y))
        return made[:-1]

    return np.array(chain(ordered) + chain(ordered[::-1]))
