# SPDX-License-Identifier: BSD-3-Clause
"""Between pixels of a tract and the sky.

Pixel positions count from 0 at the centre of the first pixel.  With S the size of a pixel
in rad, r the rotation and d the position relative to the reference pixel::

    xi = S (-d_x cos r + d_y sin r)        eta = S (d_x sin r + d_y cos r)

xi to the east, eta to the north.  About the reference position (Calabretta & Greisen 2002)
``TAN`` has the radius tan(theta), ``STG`` 2 tan(theta / 2); ``CEA`` has xi = longitude and
eta = sin(latitude), the reference being on the equator.  At the north pole itself the
plane is turned by 180 degrees, as the default of LONPOLE in FITS has it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["Projection", "sky_position", "unit_vector"]

_ARCSEC = math.pi / 648000.0
_POLE = 90.0


def unit_vector(ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
    """Turn positions into unit vectors.

    Parameters
    ----------
    ra_deg, dec_deg : array-like, (...)
        In degrees.

    Returns
    -------
    vectors : `numpy.ndarray`, (..., 3)
        Unit vectors.
    """
    import numpy as np

    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def sky_position(vectors: Floats) -> tuple[Floats, Floats]:
    """Turn unit vectors into positions.

    Parameters
    ----------
    vectors : `numpy.ndarray`, (..., 3)
        Unit vectors.

    Returns
    -------
    ra_deg, dec_deg : `numpy.ndarray`, (...)
        In degrees, the former from 0 to 360.
    """
    import numpy as np

    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


@dataclass(frozen=True, slots=True)
class Projection:
    """A projection and its pixel grid, wherever its reference position may be.

    Attributes
    ----------
    name : `str`
        ``TAN``, ``STG`` or ``CEA``.
    scale_arcsec : `float`
        Size of a pixel at the reference position.
    rotation_deg : `float`
        Angle of the grid.
    """

    name: str
    scale_arcsec: float
    rotation_deg: float = 0.0

    def plane(self, offsets: ArrayLike) -> Floats:
        """Place pixels in the plane.

        Parameters
        ----------
        offsets : array-like, (..., 2)
            Pixel positions relative to the reference pixel.

        Returns
        -------
        plane : `numpy.ndarray`, (..., 2)
            xi and eta in rad.
        """
        import numpy as np

        d = np.asarray(offsets, dtype=float) * (self.scale_arcsec * _ARCSEC)
        c, s = math.cos(math.radians(self.rotation_deg)), math.sin(math.radians(self.rotation_deg))
        return np.stack([-d[..., 0] * c + d[..., 1] * s, d[..., 0] * s + d[..., 1] * c], axis=-1)

    def offsets(self, plane: Floats) -> Floats:
        """Undo `plane`.

        Parameters
        ----------
        plane : `numpy.ndarray`, (..., 2)
            xi and eta in rad.

        Returns
        -------
        offsets : `numpy.ndarray`, (..., 2)
            Pixel positions relative to the reference pixel.
        """
        return self.plane(plane) / (self.scale_arcsec * _ARCSEC) ** 2  # a reflection is its own inverse

    def to_sky(self, plane: Floats, ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
        """Project the plane on the sky.

        Parameters
        ----------
        plane : `numpy.ndarray`, (..., 2)
            xi and eta in rad.
        ra_deg, dec_deg : `float` or array-like, (m,)
            Reference positions in degrees; ``dec_deg`` is 0 for ``CEA``.

        Returns
        -------
        vectors : `numpy.ndarray`, (..., 3) or (m, ..., 3)
            Unit vectors.
        """
        import numpy as np

        from lakebutler.instruments.cameras.geometry import sky_of_field_angles

        if self.name == "CEA":
            shape = (*np.shape(ra_deg), *(1,) * (plane.ndim - 1))
            ra = np.reshape(ra_deg, shape) + np.degrees(plane[..., 0])
            return unit_vector(ra, np.degrees(np.arcsin(np.clip(plane[..., 1], -1.0, 1.0))) + 0.0 * ra)
        if self.name == "STG":
            half = np.hypot(plane[..., 0], plane[..., 1]) / 2.0
            # tan(2 atan(h)) / (2 h)
            plane = plane / (1.0 - half * half)[..., np.newaxis]
        turn = np.where(np.asarray(dec_deg) >= _POLE, 180.0, 0.0)
        return sky_of_field_angles(plane, True, ra_deg, dec_deg, turn)

    def from_sky(self, vectors: ArrayLike, ra_deg: float, dec_deg: float) -> Floats:
        """Project the sky on the plane.

        Parameters
        ----------
        vectors : array-like, (..., 3)
            Unit vectors.
        ra_deg, dec_deg : `float`
            Reference position in degrees.

        Returns
        -------
        plane : `numpy.ndarray`, (..., 2)
            xi and eta in rad; NaN for what is on the other side of the sky.
        """
        import numpy as np

        v = np.asarray(vectors, dtype=float)
        ra, dec = math.radians(ra_deg), math.radians(dec_deg)
        east = np.array([-math.sin(ra), math.cos(ra), 0.0])
        if self.name == "CEA":
            towards = np.array([math.cos(ra), math.sin(ra), 0.0])
            return np.stack([np.arctan2(v @ east, v @ towards), v[..., 2]], axis=-1)
        centre = unit_vector(ra_deg, dec_deg)
        north = np.array([-math.sin(dec) * math.cos(ra), -math.sin(dec) * math.sin(ra), math.cos(dec)])
        depth = v @ centre
        depth = depth if self.name == "TAN" else (1.0 + depth) / 2.0
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.where(depth > 1e-9, depth, np.nan) * (-1.0 if dec_deg >= _POLE else 1.0)
            return np.stack([v @ east / depth, v @ north / depth], axis=-1)

    def radius(self, angle_deg: float) -> float:
        """Distance in the plane of what is an angle away from the reference position.

        Parameters
        ----------
        angle_deg : `float`
            In degrees, less than 90.

        Returns
        -------
        radius : `float`
            In rad.
        """
        angle = math.radians(angle_deg)
        return math.tan(angle) if self.name == "TAN" else 2.0 * math.tan(angle / 2.0)
