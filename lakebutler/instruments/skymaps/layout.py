# SPDX-License-Identifier: BSD-3-Clause
"""Where the tracts of each kind of skymap lie, and how large they are.

``rings``
    N rings of height s = pi / (N + 1) between two caps; ring i, from the south, is centred
    on declination -pi/2 + s (i + 1) and has floor(2 pi cos(d) / s) + 1 tracts, d the edge
    nearer to the equator.  Tract 0 is the south cap, the last one the north cap.
``discrete``
    Circles given one by one.
``equatorial``
    Equal parts of a band along the equator.
``healpix``
    The pixels of HEALPix (Gorski et al. 2005), numbered as usual but with the latitude
    mirrored, as ``lsst.skymap`` has them.
``dodeca``
    The 12 faces of a dodecahedron, from north to south and then eastwards; on the poles are
    corners (and a face of the first ring at right ascension 0), or faces.

A tract is the box of pixels around some points of the sky, grown to whole patches and
counted from 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebutler.instruments.skymaps.definition import SkyMapDefinition
from lakebutler.instruments.skymaps.projection import Projection, sky_position, unit_vector

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Box", "Places", "box_around", "healpix_tracts", "places", "ring_sizes"]

_FACE_RING = (2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4)
_FACE_TURN = (1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7)
_BEARINGS = 24


@dataclass(frozen=True, slots=True)
class Box:
    """The pixels of a tract.

    Attributes
    ----------
    patches : `tuple` [`int`, `int`]
        Number of patches in x and y.
    size : `tuple` [`int`, `int`]
        Number of pixels in x and y.
    reference : `tuple` [`int`, `int`]
        The pixel position of the reference position.
    """

    patches: tuple[int, int]
    size: tuple[int, int]
    reference: tuple[int, int]


@dataclass(frozen=True)
class Places:
    """The tracts of a skymap.

    Attributes
    ----------
    ra_deg, dec_deg : `numpy.ndarray`, (n,)
        Centres, in degrees.
    reference_dec_deg : `numpy.ndarray`, (n,)
        Declination of the reference positions; their right ascension is the centre's.
    boxes : `tuple` [`Box`]
        The different boxes.
    box_of : `numpy.ndarray` of `int`, (n,)
        Which of them each tract has.
    radius_deg : `numpy.ndarray`, (n,)
        Circles about the centres, in degrees, that hold the tracts.
    """

    ra_deg: Floats
    dec_deg: Floats
    reference_dec_deg: Floats
    boxes: tuple[Box, ...]
    box_of: NDArray[np.int64]
    radius_deg: Floats


def box_around(offsets: Floats, definition: SkyMapDefinition) -> Box:
    """Make the box of a tract.

    Parameters
    ----------
    offsets : `numpy.ndarray`, (n, 2)
        Points that it holds, in pixels relative to the reference position.
    definition : `SkyMapDefinition`
        The skymap.

    Returns
    -------
    box : `Box`
        The box.
    """
    patches, sizes, reference = [], [], []
    for axis in range(2):
        inner = definition.builder.inner[axis]
        first = math.floor(float(offsets[:, axis].min()) + 0.5)
        last = math.ceil(float(offsets[:, axis].max()) - 0.5)
        size = last - first + 1
        count = -(-size // inner)
        first -= (count * inner - size) // 2
        patches.append(count)
        sizes.append(count * inner)
        reference.append(-first)
    return Box((patches[0], patches[1]), (sizes[0], sizes[1]), (reference[0], reference[1]))


def places(definition: SkyMapDefinition, projection: Projection) -> Places:
    """Lay out the tracts of a skymap.

    Parameters
    ----------
    definition : `SkyMapDefinition`
        The skymap.
    projection : `Projection`
        Its pixel grid.

    Returns
    -------
    places : `Places`
        The tracts.
    """
    if definition.kind == "rings":
        return _rings(definition, projection)
    if definition.kind == "discrete":
        return _discrete(definition, projection)
    if definition.kind == "equatorial":
        return _equatorial(definition, projection)
    if definition.kind == "healpix":
        return _healpix(definition, projection)
    return _dodeca(definition, projection)


# ------------------------------------------------------------- rings and discrete


def ring_sizes(rings: int) -> list[int]:
    """Count the tracts of each ring.

    Parameters
    ----------
    rings : `int`
        How many rings.

    Returns
    -------
    sizes : `list` [`int`]
        From south to north.
    """
    height = math.pi / (rings + 1)
    sizes = []
    for i in range(rings):
        low, high = (-math.pi / 2 + height * (i + half) for half in (0.5, 1.5))
        sizes.append(int(2 * math.pi * math.cos(min(abs(low), abs(high))) / height) + 1)
    return sizes


def _circle(definition: SkyMapDefinition, projection: Projection, radius_deg: float) -> Box:
    """Box of a circle about the reference position."""
    import numpy as np

    reach = projection.radius(radius_deg + definition.tract_overlap_deg)
    ends = np.array([(reach, 0.0), (0.0, reach), (-reach, 0.0), (0.0, -reach)])
    return box_around(projection.offsets(ends), definition)


def _reach_deg(box: Box, projection: Projection) -> float:
    """Angle from the reference position to the farthest corner of a box, borders included."""
    import numpy as np

    (width, height), (x, y) = box.size, box.reference
    far = [(-x - 0.5, -y - 0.5), (width - x - 0.5, height - y - 0.5)]
    corners = np.array([(a, b) for a in (far[0][0], far[1][0]) for b in (far[0][1], far[1][1])])
    vectors = projection.to_sky(projection.plane(corners), 0.0, 0.0)
    return math.degrees(float(np.arccos(np.clip(vectors[:, 0], -1.0, 1.0)).max()))


def _rings(definition: SkyMapDefinition, projection: Projection) -> Places:
    import numpy as np

    count, start = definition.own["numRings"], definition.own["raStart"]
    height = 180.0 / (count + 1)
    ra, dec = [0.0], [-90.0]
    for i, size in enumerate(ring_sizes(count)):
        ra += [(start + 360.0 * j / size) % 360.0 for j in range(size)]
        dec += [-90.0 + height * (i + 1)] * size
    ra.append(0.0)
    dec.append(90.0)
    box = _circle(definition, projection, height / 2)
    box_of = np.zeros(len(ra), dtype=np.int64)
    radius = np.full(len(ra), _reach_deg(box, projection))
    return Places(np.array(ra), np.array(dec), np.array(dec), (box,), box_of, radius)


def _discrete(definition: SkyMapDefinition, projection: Projection) -> Places:
    import numpy as np

    own = definition.own
    boxes = tuple(_circle(definition, projection, r) for r in own["radiusList"])
    dec = np.array(own["decList"])
    radius = np.array([_reach_deg(box, projection) for box in boxes])
    return Places(np.array(own["raList"]) % 360.0, dec, dec, boxes, np.arange(len(boxes)), radius)


# ---------------------------------------------------------- equatorial and healpix


def _around(vertices: Floats, distance_deg: float) -> Floats:
    """Points on circles about vertices, (n, 3), every 15 degrees; the vertices, if the radius is 0."""
    import numpy as np

    if not distance_deg:
        return vertices
    bearing = np.arange(_BEARINGS) * (2 * math.pi / _BEARINGS)
    ra = np.radians(sky_position(vertices)[0])
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.cross(vertices, east)
    r = math.radians(distance_deg)
    sideways = np.cos(bearing)[:, None, None] * east + np.sin(bearing)[:, None, None] * north
    found: Floats = (math.cos(r) * vertices + math.sin(r) * sideways).reshape(-1, 3)
    return found


def _vertex_boxes(
    definition: SkyMapDefinition, projection: Projection, centres: tuple[Floats, Floats], vertices: Floats
) -> Places:
    """Tracts with given vertices, (n, 4, 3), about given reference positions."""
    import numpy as np

    ra, dec = centres
    boxes: dict[Box, int] = {}
    box_of = np.zeros(len(ra), dtype=np.int64)
    for i in range(len(ra)):
        points = _around(vertices[i], definition.tract_overlap_deg / 2)
        plane = projection.from_sky(points, float(ra[i]), float(dec[i]))
        box_of[i] = boxes.setdefault(box_around(projection.offsets(plane), definition), len(boxes))
    reach = np.array([_reach_deg(box, projection) for box in boxes])
    return Places(ra, dec, dec, tuple(boxes), box_of, reach[box_of])


def _equatorial(definition: SkyMapDefinition, projection: Projection) -> Places:
    import numpy as np

    count, (low, high) = definition.own["numTracts"], definition.own["decRange"]
    width = 360.0 / count
    begin = np.arange(count) * width
    middle = begin + width / 2
    corner_ra = np.stack([begin, begin + width, begin + width, begin], axis=-1)
    corner_dec = np.array([low, low, high, high])
    vertices = unit_vector(corner_ra, np.broadcast_to(corner_dec, corner_ra.shape))
    found = _vertex_boxes(definition, projection, (middle, np.zeros(count)), vertices)
    centre = np.full(count, (low + high) / 2)
    reach = found.radius_deg + abs(low + high) / 2
    return Places(middle, centre, found.reference_dec_deg, found.boxes, found.box_of, reach)


def _healpix(definition: SkyMapDefinition, projection: Projection) -> Places:
    import numpy as np

    nside = 2 ** definition.own["log2NSide"]
    numbers = healpix_tracts(nside, nest=definition.own["nest"])
    centre = _healpix_points(nside, numbers, 0.5, 0.5)
    ra, dec = sky_position(centre)
    corners = [_healpix_points(nside, numbers, x, y) for x, y in ((1, 1), (0, 1), (0, 0), (1, 0))]
    return _vertex_boxes(definition, projection, (ra, dec), np.stack(corners, axis=1))


def _dodeca(definition: SkyMapDefinition, projection: Projection) -> Places:
    import numpy as np

    if definition.own["withTractsOnPoles"]:
        slope = math.degrees(math.atan(0.5))
        rings = [(90.0, 1, 0.0), (slope, 5, 0.0), (-slope, 5, 36.0), (-90.0, 1, 0.0)]
    else:
        # The faces that meet in the corner on the pole, and the next ones.
        near = math.degrees(math.asin(math.sqrt((5.0 + 2.0 * math.sqrt(5.0)) / 15.0)))
        far = math.degrees(math.asin(math.sqrt((5.0 - 2.0 * math.sqrt(5.0)) / 15.0)))
        rings = [(near, 3, 0.0), (far, 3, 60.0), (-far, 3, 0.0), (-near, 3, 60.0)]
    ra = np.array([first + 360.0 * i / count for _, count, first in rings for i in range(count)])
    dec = np.array([height for height, count, _ in rings for _ in range(count)])
    return _vertex_boxes(definition, projection, (ra, dec), _dodeca_vertices(unit_vector(ra, dec)))


def _dodeca_vertices(faces: Floats) -> Floats:
    """Corners of the faces of a dodecahedron, (12, 5, 3): each is the middle of three that meet."""
    import numpy as np

    touching = faces @ faces.T > 0.4  # 1 / sqrt(5); opposite ones and the others are below 0
    found = []
    for a in range(12):
        others = [b for b in range(12) if b != a and touching[a, b]]
        pairs = [(b, c) for b in others for c in others if b < c and touching[b, c]]
        found.append([faces[a] + faces[b] + faces[c] for b, c in pairs])
    corners = np.array(found)
    middles: Floats = corners / np.linalg.norm(corners, axis=-1, keepdims=True)
    return middles


def healpix_tracts(nside: int, *, nest: bool) -> NDArray[np.int64]:
    """Number the pixels of HEALPix.

    Parameters
    ----------
    nside : `int`
        A power of 2.
    nest : `bool`
        Whether tracts are numbered by the nested scheme, instead of along rings.

    Returns
    -------
    numbers : `numpy.ndarray` of `int`, (12 nside**2,)
        For each tract, its number in the nested scheme.
    """
    import numpy as np

    numbers = np.arange(12 * nside * nside)
    if nest:
        return numbers
    face, x, y = _face_x_y(nside, numbers)
    ring = np.array(_FACE_RING)[face] * nside - x - y - 1
    _, longitude = _z_longitude(nside, face, x + 0.5, y + 0.5)
    return np.lexsort((longitude, ring))


def _face_x_y(nside: int, numbers: NDArray[np.int64]) -> tuple[Any, Any, Any]:
    """Part numbers of the nested scheme: the bits of x and y alternate within a face."""
    import numpy as np

    within = numbers % (nside * nside)
    x, y = np.zeros_like(within), np.zeros_like(within)
    for bit in range(nside.bit_length() - 1):
        x |= (within >> 2 * bit & 1) << bit
        y |= (within >> 2 * bit + 1 & 1) << bit
    return numbers // (nside * nside), x, y


def _z_longitude(nside: int, face: Any, x: Any, y: Any) -> tuple[Floats, Floats]:
    """Sine of the latitude, and longitude in rad, of places x, y in faces."""
    import numpy as np

    ring = np.array(_FACE_RING)[face] - (x + y) / nside
    polar = np.minimum(np.minimum(ring, 4.0 - ring), 1.0)
    cap = np.where(ring < 1.0, 1.0 - polar**2 / 3.0, polar**2 / 3.0 - 1.0)
    z = np.where(polar < 1.0, cap, (2.0 - ring) * 2.0 / 3.0)
    turn = (np.array(_FACE_TURN)[face] * polar + (x - y) / nside) % 8.0
    longitude = np.where(polar > 1e-12, turn * (math.pi / 4) / np.where(polar > 1e-12, polar, 1.0), 0.0)
    return z, longitude


def _healpix_points(nside: int, numbers: NDArray[np.int64], dx: float, dy: float) -> Floats:
    """Places within pixels, as unit vectors with the latitude mirrored."""
    import numpy as np

    face, x, y = _face_x_y(nside, numbers)
    z, longitude = _z_longitude(nside, face, x + dx, y + dy)
    across = np.sqrt(np.maximum(0.0, 1.0 - z * z))
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), -z], axis=-1)
