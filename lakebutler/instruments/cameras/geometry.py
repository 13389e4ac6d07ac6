# SPDX-License-Identifier: BSD-3-Clause
"""From pixels through the focal plane to the sky.

The steps, with padding P in pixels::

    pixel corners   x in {x0 - 0.5 - P, x1 + 0.5 + P}, y likewise
    focal plane     f = offset + R(yaw, pitch, roll) (p - reference) * pixel size       [mm]
    field angle     a = field_angle(f)                                                  [rad]
    tangent plane   xi = s cos(r) a_x + sin(r) a_y, eta = -s sin(r) a_x + cos(r) a_y    [rad]
    sky             v = normalise(b + xi E + eta N)

with r the sky angle, s = +1 for a flipped x axis and -1 otherwise, b the boresight, and
E, N the directions of east and north there.  These are the conventions of
``lsst.afw.cameraGeom`` and of the regions in existing repositories.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.errors import InstrumentError
from lakebutler.instruments.cameras.camera import Camera, Detector, FieldAngle, FocalPlane, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "camera_field_angles",
    "convex_hull",
    "detector_corners",
    "detector_region",
    "field_angle",
    "focal_plane_mm",
    "pixel_of_boresight",
    "sky_of_field_angles",
    "sky_vectors",
    "tan_wcs",
    "visit_region",
    "without_overscan",
]

_ARCSEC = math.pi / 648000.0
_NEWTON_STEPS = 50


def focal_plane_mm(placement: Placement, pixels: ArrayLike) -> Floats:
    """Place pixel positions in the focal plane.

    Parameters
    ----------
    placement : `Placement`
        Where the detector is.
    pixels : array-like, (..., 2)
        Pixel positions x, y; (0, 0) is the centre of the lower left pixel.

    Returns
    -------
    positions : `numpy.ndarray`, (..., 2)
        In mm.
    """
    import numpy as np

    relative = (np.asarray(pixels, dtype=float) - placement.reference_px) * placement.pixel_mm
    found: Floats = relative @ _rotation(placement).T + placement.offset_mm[:2]
    return found


def _rotation(placement: Placement) -> Floats:
    """Make the part of the rotation by yaw, pitch, roll that acts in the plane."""
    import numpy as np

    yaw, pitch, roll = (math.radians(a) for a in (placement.yaw_deg, placement.pitch_deg, placement.roll_deg))
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    return np.array([[cy * cp, cy * sp * sr - cr * sy], [cp * sy, cy * cr + sy * sp * sr]])


def detector_corners(placement: Placement, padding_px: float = 0.0) -> Floats:
    """Compute the corners of a detector in the focal plane.

    Parameters
    ----------
    placement : `Placement`
        Where the detector is.
    padding_px : `float`, optional
        Pixels added on every side.

    Returns
    -------
    corners : `numpy.ndarray`, (4, 2)
        In mm: lower left, lower right, upper right, upper left in pixel coordinates.
    """
    x0, y0, x1, y1 = placement.bbox
    low_x, low_y = x0 - 0.5 - padding_px, y0 - 0.5 - padding_px
    high_x, high_y = x1 + 0.5 + padding_px, y1 + 0.5 + padding_px
    return focal_plane_mm(placement, [(low_x, low_y), (high_x, low_y), (high_x, high_y), (low_x, high_y)])


def field_angle(optics: FieldAngle, positions: ArrayLike) -> Floats:
    """Map focal-plane positions to field angles.

    Parameters
    ----------
    optics : `FieldAngle`
        The map.
    positions : array-like, (..., 2)
        In mm.

    Returns
    -------
    angles : `numpy.ndarray`, (..., 2)
        In rad.
    """
    import numpy as np
    from numpy.polynomial import polynomial

    f = np.asarray(positions, dtype=float)
    if optics.kind == "polynomial":
        u = f / optics.input_scale_mm
        axes = [polynomial.polyval2d(u[..., 0], u[..., 1], _square(rows)) for rows in (optics.x, optics.y)]
        plane: Floats = np.asarray(np.stack(axes, axis=-1), dtype=np.float64)
        return plane * np.float64(optics.output_scale_arcsec * _ARCSEC)
    radius = np.hypot(f[..., 0], f[..., 1])
    if optics.kind == "radial":
        angle: Floats = np.asarray(polynomial.polyval(radius, optics.coefficients), dtype=float)
    else:
        angle = _inverse(optics.coefficients, radius)
    scale = np.divide(angle, radius, out=np.zeros_like(radius), where=radius > 0)
    found: Floats = np.asarray(f * scale[..., np.newaxis], dtype=float)
    return found


def _square(rows: Sequence[Sequence[float]]) -> Floats:
    import numpy as np

    table = np.zeros((len(rows), max(len(row) for row in rows)))
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table


def _inverse(coefficients: Sequence[float], radius: Floats) -> Floats:
    """Solve ``radius = sum(c[i] a**i)`` for a, by Newton's method."""
    import numpy as np
    from numpy.polynomial import polynomial

    slope = polynomial.polyder(np.asarray(coefficients, dtype=float))
    angle = radius / coefficients[1]
    for _ in range(_NEWTON_STEPS):
        step = (polynomial.polyval(angle, coefficients) - radius) / polynomial.polyval(angle, slope)
        angle = angle - step
        if np.all(np.abs(step) <= 1e-16 + 1e-16 * np.abs(angle)):
            break
    found: Floats = angle
    return found


def sky_vectors(
    focal_plane: FocalPlane, positions: ArrayLike, ra_deg: float, dec_deg: float, sky_angle_deg: float
) -> Floats:
    """Project focal-plane positions on the sky.

    Parameters
    ----------
    focal_plane : `FocalPlane`
        The optics.
    positions : array-like, (..., 2)
        In mm.
    ra_deg, dec_deg : `float`
        Boresight, in degrees.
    sky_angle_deg : `float`
        Angle of the camera on the sky, in degrees.

    Returns
    -------
    vectors : `numpy.ndarray`, (..., 3)
        Unit vectors.
    """
    angles = field_angle(focal_plane.field_angle, positions)
    return sky_of_field_angles(angles, focal_plane.flip_x, ra_deg, dec_deg, sky_angle_deg)


def sky_of_field_angles(
    angles: ArrayLike, flip_x: bool, ra_deg: ArrayLike, dec_deg: ArrayLike, sky_angle_deg: ArrayLike
) -> Floats:
    """Project field angles on the sky, for one pointing or many at once.

    Parameters
    ----------
    angles : array-like, (..., 2)
        In rad.
    flip_x : `bool`
        Whether the x axis is mirrored between focal plane and sky.
    ra_deg, dec_deg, sky_angle_deg : `float` or array-like, (m,)
        Boresight, and angle of the camera on the sky, in degrees.

    Returns
    -------
    vectors : `numpy.ndarray`, (..., 3) or (m, ..., 3)
        Unit vectors.
    """
    import numpy as np

    a = np.asarray(angles, dtype=float)
    pointings = np.broadcast_arrays(*(np.radians(v) for v in (ra_deg, dec_deg, sky_angle_deg)))
    shape = pointings[0].shape
    ra, dec, r = (v.reshape((*shape, *(1,) * (a.ndim - 1))) for v in pointings)
    s = 1.0 if flip_x else -1.0
    xi = s * np.cos(r) * a[..., 0] + np.sin(r) * a[..., 1]
    eta = -s * np.sin(r) * a[..., 0] + np.cos(r) * a[..., 1]
    sin_ra, cos_ra, sin_dec, cos_dec = np.sin(ra), np.cos(ra), np.sin(dec), np.cos(dec)
    v = np.empty((*xi.shape, 3))
    v[..., 0] = cos_dec * cos_ra - xi * sin_ra - eta * (sin_dec * cos_ra)
    v[..., 1] = cos_dec * sin_ra + xi * cos_ra - eta * (sin_dec * sin_ra)
    v[..., 2] = sin_dec + eta * cos_dec
    v /= np.sqrt(v[..., 0] ** 2 + v[..., 1] ** 2 + v[..., 2] ** 2)[..., np.newaxis]
    return v


def camera_field_angles(camera: Camera, padding_px: float | None = None) -> Floats:
    """Compute the field angles of the corners of every detector of a camera.

    Parameters
    ----------
    camera : `Camera`
        The camera.
    padding_px : `float`, optional
        Pixels added around each detector; default: the camera's.

    Returns
    -------
    angles : `numpy.ndarray`, (n, 4, 2)
        In rad, for the detectors in the order of ``camera.detectors``; corners as
        `detector_corners` orders them.

    Raises
    ------
    InstrumentError
        Raised if the camera's geometry is not known.
    """
    return _field_angles(camera, camera.detectors, padding_px)[1]


def detector_region(
    camera: Camera,
    detector: Detector,
    ra_deg: float,
    dec_deg: float,
    sky_angle_deg: float,
    padding_px: float | None = None,
) -> Any:
    """Compute the region of one detector on the sky.

    Parameters
    ----------
    camera : `Camera`
        The camera.
    detector : `Detector`
        One of its detectors.
    ra_deg, dec_deg, sky_angle_deg : `float`
        Pointing of the exposure record, in degrees.
    padding_px : `float`, optional
        Pixels added on every side; default: the camera's.

    Returns
    -------
    region : `lsst.sphgeom.ConvexPolygon`
        Convex hull of the padded corners.

    Raises
    ------
    InstrumentError
        Raised if the camera's geometry is not known.
    """
    return _hull(camera, [detector], ra_deg, dec_deg, sky_angle_deg, padding_px)


def visit_region(
    camera: Camera, ra_deg: float, dec_deg: float, sky_angle_deg: float, padding_px: float | None = None
) -> Any:
    """Compute the region of all detectors of a camera on the sky.

    Parameters
    ----------
    camera : `Camera`
        The camera.
    ra_deg, dec_deg, sky_angle_deg : `float`
        Pointing of the exposure record, in degrees.
    padding_px : `float`, optional
        Pixels added around each detector; default: the camera's.

    Returns
    -------
    region : `lsst.sphgeom.ConvexPolygon`
        Convex hull of the padded corners of every detector, whatever its purpose.

    Raises
    ------
    InstrumentError
        Raised if the camera's geometry is not known.
    """
    return _hull(camera, camera.detectors, ra_deg, dec_deg, sky_angle_deg, padding_px)


def _hull(
    camera: Camera,
    detectors: Sequence[Detector],
    ra_deg: float,
    dec_deg: float,
    sky_angle_deg: float,
    padding_px: float | None,
) -> Any:
    optics, angles = _field_angles(camera, detectors, padding_px)
    vectors = sky_of_field_angles(angles.reshape(-1, 2), optics.flip_x, ra_deg, dec_deg, sky_angle_deg)
    return convex_hull(vectors)


def convex_hull(vectors: ArrayLike) -> Any:
    """Take the convex hull of points on the sky.

    Parameters
    ----------
    vectors : array-like, (n, 3)
        Unit vectors, at least three.

    Returns
    -------
    hull : `lsst.sphgeom.ConvexPolygon`
        Its vertices have exactly the components of some of the vectors.
    """
    import numpy as np
    from lsst.sphgeom import ConvexPolygon

    # The constructor of UnitVector3d scales once more; decoding takes vertices as they are.
    raw = b"p" + np.ascontiguousarray(vectors, dtype="<f8").tobytes()
    points: Any = ConvexPolygon.decode(raw)
    return ConvexPolygon.convexHull(points.getVertices())


def _field_angles(
    camera: Camera, detectors: Sequence[Detector], padding_px: float | None
) -> tuple[FocalPlane, Floats]:
    import numpy as np

    optics = camera.focal_plane
    if optics is None:
        raise InstrumentError(f"the focal-plane geometry of camera {camera.name} is not known")
    padding = optics.padding_px if padding_px is None else padding_px
    corners = np.stack([detector_corners(_placed(camera, d), padding) for d in detectors])
    return optics, field_angle(optics.field_angle, corners)


def _placed(camera: Camera, detector: Detector) -> Placement:
    if detector.placement is None:
        raise InstrumentError(
            f"the position of detector {detector.name} of camera {camera.name} is not known"
        )
    return detector.placement


def without_overscan(placement: Placement, image: NDArray[Any]) -> NDArray[Any]:
    """Cut what lies outside a detector's pixels off the upper and right side of a raw image.

    Parameters
    ----------
    placement : `Placement`
        The detector.
    image : `numpy.ndarray`, (ny, nx)
        As read.

    Returns
    -------
    image : `numpy.ndarray`
        The pixels of the detector, or all of a smaller image.
    """
    x0, y0, x1, y1 = placement.bbox
    return image[y0 : y1 + 1, x0 : x1 + 1]


def pixel_of_boresight(placement: Placement) -> Floats:
    """Find the pixel position that lies on the optical axis.

    Parameters
    ----------
    placement : `Placement`
        Where the detector is.

    Returns
    -------
    pixel : `numpy.ndarray`, (2,)
        Pixel position, which may lie outside the detector.
    """
    import numpy as np

    shift = np.linalg.solve(_rotation(placement), -np.asarray(placement.offset_mm[:2]))
    found: Floats = placement.reference_px + shift / placement.pixel_mm
    return found


def tan_wcs(
    camera: Camera, detector: Detector, ra_deg: float, dec_deg: float, sky_angle_deg: float
) -> dict[str, object]:
    """Make the FITS cards of a detector's tangent-plane WCS, to first order of the optics.

    Parameters
    ----------
    camera : `Camera`
        A camera with radial optics.
    detector : `Detector`
        One of its detectors.
    ra_deg, dec_deg, sky_angle_deg : `float`
        Pointing, in degrees.

    Returns
    -------
    cards : `dict`
        ``CTYPE``, ``CRVAL``, ``CRPIX``, ``CD`` (deg per pixel), ``CUNIT``, ``RADESYS``.

    Raises
    ------
    InstrumentError
        Raised if the camera's geometry is not known or not radial.
    """
    import numpy as np

    optics = camera.focal_plane
    if optics is None or optics.field_angle.kind != "radial":
        raise InstrumentError(f"camera {camera.name} has no radial optics to make a TAN WCS from")
    placement = _placed(camera, detector)
    r, s = math.radians(sky_angle_deg), 1.0 if optics.flip_x else -1.0
    turn = np.array([[s * math.cos(r), math.sin(r)], [-s * math.sin(r), math.cos(r)]])
    scale = math.degrees(optics.field_angle.coefficients[1])
    cd = turn @ _rotation(placement) * placement.pixel_mm * scale
    crpix = pixel_of_boresight(placement) + 1.0  # FITS counts from 1
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": ra_deg,
        "CRVAL2": dec_deg,
        "CRPIX1": float(crpix[0]),
        "CRPIX2": float(crpix[1]),
        "CD1_1": float(cd[0, 0]),
        "CD1_2": float(cd[0, 1]),
        "CD2_1": float(cd[1, 0]),
        "CD2_2": float(cd[1, 1]),
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "RADESYS": "ICRS",
    }
