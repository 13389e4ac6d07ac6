# SPDX-License-Identifier: BSD-3-Clause
"""A skymap: its tracts and patches, found by number and by position, and their regions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakebutler.errors import DimensionValueError
from lakebutler.instruments.skymaps.definition import Builder, SkyMapDefinition
from lakebutler.instruments.skymaps.layout import Box, Places, healpix_tracts, places, ring_sizes
from lakebutler.instruments.skymaps.position import Position, position_deg
from lakebutler.instruments.skymaps.projection import Projection, sky_position, unit_vector
from lakebutler.instruments.visits.regions import encode_polygons

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Bytes = NDArray[np.uint8]

__all__ = ["SkyMap", "Tract"]


@dataclass(frozen=True, slots=True)
class Tract:
    """A part of the sky with a projection and pixels of its own.

    Attributes
    ----------
    id : `int`
        Its number.
    ra_deg, dec_deg : `float`
        Centre, in degrees.
    reference_dec_deg : `float`
        Declination of the reference position of the projection, in degrees.
    box : `Box`
        Its pixels.
    projection : `Projection`
        Between these and the sky.
    builder : `Builder`
        How it is cut into patches.
    """

    id: int
    ra_deg: float
    dec_deg: float
    reference_dec_deg: float
    box: Box
    projection: Projection
    builder: Builder

    def pixels(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
        """Find where positions lie.

        Parameters
        ----------
        ra_deg, dec_deg : `float` or array-like, (...)
            In degrees.

        Returns
        -------
        pixels : `numpy.ndarray`, (..., 2)
            Pixel positions, which may lie outside the tract; NaN on the other side of
            the sky.
        """
        plane = self.projection.from_sky(unit_vector(ra_deg, dec_deg), self.ra_deg, self.reference_dec_deg)
        return self.projection.offsets(plane) + self.box.reference

    def sky(self, pixels: ArrayLike) -> tuple[Floats, Floats]:
        """Find where pixels lie on the sky.

        Parameters
        ----------
        pixels : array-like, (..., 2)
            Pixel positions.

        Returns
        -------
        ra_deg, dec_deg : `numpy.ndarray`, (...)
            In degrees.
        """
        return sky_position(self._vectors(pixels))

    def _vectors(self, pixels: ArrayLike) -> Floats:
        import numpy as np

        plane = self.projection.plane(np.asarray(pixels, dtype=float) - self.box.reference)
        return self.projection.to_sky(plane, self.ra_deg, self.reference_dec_deg)

    def findPatch(self, coord: Position) -> int | None:
        """Find the patch that a position belongs to.

        Parameters
        ----------
        coord : `lsst.sphgeom.LonLat`, `astropy.coordinates.SkyCoord` or pair of `float`
            The position; a pair is right ascension and declination in degrees.

        Returns
        -------
        patch : `int` or `None`
            Its number; `None` if the position lies outside the tract.
        """
        x, y = (math.floor(v + 0.5) if math.isfinite(v) else -1 for v in self.pixels(*position_deg(coord)))
        (width, height), (across, up) = self.box.size, self.builder.inner
        if not (0 <= x < width and 0 <= y < height):
            return None
        return y // up * self.box.patches[0] + x // across

    def findPatchList(self, coordList: Iterable[Position]) -> list[int]:
        """Find the patches that hold some positions or lie between them, borders included.

        Parameters
        ----------
        coordList : iterable
            Positions as for `findPatch`: one, or the corners of an area.

        Returns
        -------
        patches : `list` [`int`]
            Those that touch the box, along x and y, around all of the positions; those on the
            other side of the sky count for nothing.
        """
        import numpy as np

        corners = patch_boxes(self.box, self.builder)
        found = np.array([self.pixels(*position_deg(coord)) for coord in coordList]).reshape(-1, 2)
        found = found[np.isfinite(found).all(axis=1)]
        if not len(found):
            return []
        (x0, y0), (x1, y1) = found.min(axis=0), found.max(axis=0)
        inside = (corners[:, 0] - 0.5 <= x1) & (x0 < corners[:, 2] + 0.5)
        inside &= (corners[:, 1] - 0.5 <= y1) & (y0 < corners[:, 3] + 0.5)
        return [int(i) for i in inside.nonzero()[0]]

    @property
    def wcs(self) -> dict[str, object]:
        """FITS cards of the tract's WCS: ``CTYPE``, ``CRVAL``, ``CRPIX``, ``CD``, ``CUNIT``, ``RADESYS``."""
        r, scale = math.radians(self.projection.rotation_deg), self.projection.scale_arcsec / 3600.0
        c, s = scale * math.cos(r), scale * math.sin(r)
        name = self.projection.name
        cards: dict[str, object] = {"CTYPE1": f"RA---{name}", "CTYPE2": f"DEC--{name}"}
        cards |= {"CRVAL1": self.ra_deg, "CRVAL2": self.reference_dec_deg}
        cards |= {f"CRPIX{i + 1}": self.box.reference[i] + 1.0 for i in range(2)}
        cards |= {"CD1_1": -c, "CD1_2": s, "CD2_1": s, "CD2_2": c}
        return cards | {"CUNIT1": "deg", "CUNIT2": "deg", "RADESYS": "ICRS"}


def patch_boxes(box: Box, builder: Builder) -> NDArray[np.int64]:
    """Compute the pixels of the patches of a tract, borders included.

    Parameters
    ----------
    box : `Box`
        The tract's pixels.
    builder : `Builder`
        How it is cut.

    Returns
    -------
    boxes : `numpy.ndarray` of `int`, (n, 4)
        First and last pixel, x0, y0, x1, y1, both inclusive.
    """
    import numpy as np

    (nx, ny), (across, up), border = box.patches, builder.inner, builder.border
    iy, ix = np.divmod(np.arange(nx * ny), nx)
    low = np.stack([ix * across, iy * up], axis=-1)
    high = low + np.array([across - 1, up - 1])
    low, high = low - border, high + border
    if builder.clipped:
        low, high = np.maximum(low, 0), np.minimum(high, np.array(box.size) - 1)
    return np.concatenate([low, high], axis=1)


def _outline(boxes: ArrayLike) -> Floats:
    """Corners, (n, 4, 2), of boxes of pixels, (n, 4), counterclockwise on the sky."""
    import numpy as np

    x0, y0, x1, y1 = np.asarray(boxes, dtype=float).T
    low_x, low_y, high_x, high_y = x0 - 0.5, y0 - 0.5, x1 + 0.5, y1 + 0.5
    corners = ((high_x, low_y), (low_x, low_y), (low_x, high_y), (high_x, high_y))
    return np.stack([np.stack(corner, axis=-1) for corner in corners], axis=-2)


class SkyMap:
    """All tracts of a skymap.

    Parameters
    ----------
    definition : `SkyMapDefinition`
        Its parameters.
    """

    def __init__(self, definition: SkyMapDefinition) -> None:
        self.definition = definition
        self.projection = Projection(
            definition.projection, definition.pixel_scale_arcsec, definition.rotation_deg
        )

    @cached_property
    def places(self) -> Places:
        """Where the tracts lie."""
        return places(self.definition, self.projection)

    def __len__(self) -> int:
        return len(self.places.ra_deg)

    def tract(self, number: int) -> Tract:
        """Get a tract by its number.

        Parameters
        ----------
        number : `int`
            From 0.

        Returns
        -------
        tract : `Tract`
            The tract.

        Raises
        ------
        DimensionValueError
            Raised if there is none.
        """
        if not 0 <= number < len(self):
            raise DimensionValueError(f"there is no tract {number}", hint=f"they are 0 to {len(self) - 1}")
        at = self.places
        return Tract(
            number,
            float(at.ra_deg[number]),
            float(at.dec_deg[number]),
            float(at.reference_dec_deg[number]),
            at.boxes[at.box_of[number]],
            self.projection,
            self.definition.builder,
        )

    # ---------------------------------------------------------------- by position

    def findTract(self, coord: Position) -> Tract:
        """Find the tract that a position belongs to.

        Parameters
        ----------
        coord : `lsst.sphgeom.LonLat`, `astropy.coordinates.SkyCoord` or pair of `float`
            The position; a pair is right ascension and declination in degrees.

        Returns
        -------
        tract : `Tract`
            For rings and HEALPix the one whose part of the sky it is in, else the one
            with the nearest centre.
        """
        ra_deg, dec_deg = position_deg(coord)
        return self.tract(int(self.findTractIdArray([ra_deg], [dec_deg], degrees=True)[0]))

    def findTractIdArray(self, ra: ArrayLike, dec: ArrayLike, degrees: bool = False) -> NDArray[np.int64]:
        """Find the tracts that many positions belong to.

        Parameters
        ----------
        ra, dec : array-like, (n,)
            Right ascensions and declinations.
        degrees : `bool`, optional
            Whether they are in degrees, instead of radians.

        Returns
        -------
        tracts : `numpy.ndarray` of `int`, (n,)
            Numbers of tracts, as of `findTract`.
        """
        import numpy as np

        ra_deg, dec_deg = (np.asarray(v, dtype=float) if degrees else np.degrees(v) for v in (ra, dec))
        if self.definition.kind == "rings":
            return self._ring_tracts(ra_deg, dec_deg)
        if self.definition.kind == "healpix":
            return np.array([self._healpix_tract(*place) for place in zip(ra_deg, dec_deg, strict=True)], int)
        vectors = unit_vector(ra_deg, dec_deg)
        return np.array([int((self._centres @ vector).argmax()) for vector in vectors], int)

    def findAllTracts(self, coord: Position) -> list[Tract]:
        """Find all tracts whose pixels hold a position.

        Parameters
        ----------
        coord
            The position, as for `findTract`.

        Returns
        -------
        tracts : `list` [`Tract`]
            Ordered by number.
        """
        near = (self.tract(i) for i in self._near(unit_vector(*position_deg(coord)), 0.0))
        return [tract for tract in near if tract.findPatch(coord) is not None]

    def findTractPatchList(self, coordList: Iterable[Position]) -> list[tuple[Tract, list[int]]]:
        """Find the tracts and patches that hold some positions or lie between them.

        Parameters
        ----------
        coordList : iterable
            Positions as for `findTract`: one, or the corners of an area.

        Returns
        -------
        found : `list` [`tuple` [`Tract`, `list` [`int`]]]
            Tracts ordered by number, with the patches that `Tract.findPatchList` gives.
        """
        import numpy as np

        places = [position_deg(coord) for coord in coordList]
        if not places:
            return []
        vectors = unit_vector(*np.transpose(places))
        middle = vectors.sum(axis=0)
        length = float(np.linalg.norm(middle))
        middle = middle / length if length > 1e-9 else vectors[0]
        reach = float(np.degrees(np.arccos(np.clip(vectors @ middle, -1.0, 1.0))).max())
        tracts = [self.tract(number) for number in self._near(middle, reach)]
        return [(tract, patches) for tract in tracts if (patches := tract.findPatchList(places))]

    def find_overlapping(self, region: Any) -> list[int]:
        """Find the tracts that overlap a region.

        Parameters
        ----------
        region : `lsst.sphgeom.Region`
            The region.

        Returns
        -------
        tracts : `list` [`int`]
            Their numbers, in order.
        """
        import numpy as np
        from lsst.sphgeom import Region

        from lakebutler.query.geometry import overlapping

        circle = region.getBoundingCircle()
        centre = np.array([circle.getCenter().x(), circle.getCenter().y(), circle.getCenter().z()])
        near = self._near(centre, circle.getOpeningAngle().asDegrees())
        encoded = self.tract_regions(near)
        return [
            number
            for number, raw in zip(near, encoded, strict=True)
            if overlapping(Region.decode(raw.tobytes()), region)
        ]

    @cached_property
    def _centres(self) -> Floats:
        return unit_vector(self.places.ra_deg, self.places.dec_deg)

    def _near(self, vector: Floats, radius_deg: float) -> list[int]:
        import numpy as np

        angle = np.degrees(np.arccos(np.clip(self._centres @ vector, -1.0, 1.0)))
        found: list[int] = np.flatnonzero(angle <= self.places.radius_deg + radius_deg + 1e-6).tolist()
        return found

    @cached_property
    def _rings(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many tracts each ring has, and which is its first."""
        import numpy as np

        sizes = np.array(ring_sizes(self.definition.own["numRings"]))
        return sizes, 1 + np.cumsum(sizes) - sizes

    def _ring_tracts(self, ra_deg: Floats, dec_deg: Floats) -> NDArray[np.int64]:
        import numpy as np

        sizes, first = self._rings
        ring = np.floor((dec_deg + 90.0) * (len(sizes) + 1) / 180.0 - 0.5).astype(int)
        known = np.clip(ring, 0, len(sizes) - 1)
        turn = ((ra_deg - self.definition.own["raStart"]) % 360.0) / 360.0
        place = np.floor(turn * sizes[known] + 0.5).astype(int) % sizes[known]
        inside = np.where(ring >= len(sizes), len(self) - 1, first[known] + place)
        return np.where(ring < 0, 0, inside)

    def _healpix_tract(self, ra_deg: float, dec_deg: float) -> int:
        from lsst.sphgeom import HealpixPixelization, LonLat, UnitVector3d

        place = UnitVector3d(LonLat.fromDegrees(ra_deg % 360.0, -dec_deg))  # mirrored
        nested = HealpixPixelization(self.definition.own["log2NSide"]).index(place) % len(self)
        return int((self._healpix_numbers == nested).argmax())

    @cached_property
    def _healpix_numbers(self) -> NDArray[np.int64]:
        return healpix_tracts(2 ** self.definition.own["log2NSide"], nest=self.definition.own["nest"])

    # -------------------------------------------------------------------- regions

    def tract_regions(self, numbers: Sequence[int]) -> list[Bytes]:
        """Compute the regions of tracts, borders included.

        Parameters
        ----------
        numbers : sequence of `int`
            The tracts.

        Returns
        -------
        regions : `list` [`numpy.ndarray`]
            Encoded convex polygons, as arrays of bytes.
        """
        import numpy as np

        found: list[Any] = [None] * len(numbers)
        for box, rows in self._by_box(numbers):
            width, height = box.size
            regions = self._regions(box, np.array([(0, 0, width - 1, height - 1)]), numbers, rows)
            for row, region in zip(rows, regions[:, 0], strict=True):
                found[row] = region
        return found

    def patch_regions(self, number: int) -> Bytes:
        """Compute the regions of all patches of a tract, borders included.

        Parameters
        ----------
        number : `int`
            The tract.

        Returns
        -------
        regions : `numpy.ndarray` of `numpy.uint8`, (n, 97)
            Encoded convex polygons, in the order of the patches.
        """
        found: Bytes = self.batches([number])[0][2][0]
        return found

    def batches(self, numbers: Sequence[int]) -> list[tuple[Box, list[int], Bytes]]:
        """Compute the regions of the patches of many tracts, those with the same box together.

        Parameters
        ----------
        numbers : sequence of `int`
            The tracts.

        Returns
        -------
        batches : `list` [`tuple`]
            A box, the tracts that have it, and the regions of their patches, an
            `numpy.ndarray` of `numpy.uint8`, (tracts, patches, 97).
        """
        made = []
        for box, rows in self._by_box(numbers):
            boxes = patch_boxes(box, self.definition.builder)
            regions = self._regions(box, boxes, numbers, rows)
            made.append((box, [numbers[row] for row in rows], regions))
        return made

    def _by_box(self, numbers: Sequence[int]) -> list[tuple[Box, list[int]]]:
        groups: dict[int, list[int]] = {}
        for row, number in enumerate(numbers):
            groups.setdefault(int(self.places.box_of[number]), []).append(row)
        return [(self.places.boxes[which], rows) for which, rows in groups.items()]

    def _regions(self, box: Box, boxes: NDArray[np.int64], numbers: Sequence[int], rows: list[int]) -> Bytes:
        chosen = [numbers[row] for row in rows]
        plane = self.projection.plane(_outline(boxes) - box.reference)
        at = self.places
        vectors = self.projection.to_sky(plane, at.ra_deg[chosen], at.reference_dec_deg[chosen])
        return encode_polygons(vectors)
