# SPDX-License-Identifier: BSD-3-Clause
"""The picture of the sky: footprints where astropy and arithmetic say, at the seam and the poles too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from lsst.sphgeom import Angle, Box, Circle, ConvexPolygon, LonLat, UnitVector3d
from matplotlib.collections import PolyCollection
from matplotlib.image import imread
from matplotlib.path import Path as Outline

from lakebutler.viz.outline import (
    all_densified,
    densified,
    enclosing,
    middle,
    outlines,
    positions,
    view_circle,
)
from lakebutler.viz.sky import Sky, draw_sky, save_sky
from lakebutler.viz.style import choose_colours


def vector(ra: float, dec: float) -> UnitVector3d:
    return UnitVector3d(LonLat.fromDegrees(ra, dec))


def square(ra: float, dec: float, half: float) -> np.ndarray:
    """Four corners about a place, each the same angle away from it."""
    centre = SkyCoord(ra, dec, unit="deg")
    corners = [
        centre.directional_offset_by(turn * u.deg, half * 2**0.5 * u.deg) for turn in (45, 135, 225, 315)
    ]
    return np.array([c.cartesian.xyz.value for c in corners])


def drawn(figure: Any) -> list[np.ndarray]:
    """Polygons of the footprints: the lowest collection."""
    collections = [c for c in figure.axes[0].collections if isinstance(c, PolyCollection)]
    return [path.vertices for path in min(collections, key=lambda c: c.get_zorder()).get_paths()]


# -------------------------------------------------------------------- outlines


def test_regions_of_all_kinds_become_outlines() -> None:
    polygon = ConvexPolygon([vector(10, 0), vector(11, 0), vector(11, 1), vector(10, 1)])
    circle = Circle(vector(200, -80), Angle.fromDegrees(3))
    box = Box(LonLat.fromDegrees(359, -5), Angle.fromDegrees(2), Angle.fromDegrees(1))
    corners, points, edge = outlines([r.encode() for r in (polygon, circle, box)])
    assert corners == pytest.approx(np.array([tuple(v) for v in polygon.getVertices()]), abs=1e-15)
    centre = np.array(tuple(vector(200, -80)))
    assert np.degrees(np.arccos(points @ centre)) == pytest.approx(np.full(len(points), 3.0), abs=1e-6)
    ra, dec = positions(edge)
    assert (dec.min(), dec.max()) == pytest.approx((-6, -4))
    assert set(np.round(ra[[0, -1]], 6)) == {357.0}
    assert positions(middle(edge))[0] == pytest.approx(359.0, abs=1e-6)


def test_points_are_added_on_the_great_circle() -> None:
    corners = np.array([tuple(vector(ra, dec)) for ra, dec in ((0, 0), (40, 0), (20, 30))])
    dense = densified(corners, 2.0)
    steps = np.degrees(np.arccos(np.clip((dense * np.roll(dense, -1, axis=0)).sum(axis=1), -1, 1)))
    assert steps.max() <= 2.1  # chords are parted evenly, not arcs
    assert all(np.abs(dense - corner).sum(axis=1).min() < 1e-15 for corner in corners)
    small = np.array([tuple(vector(ra, dec)) for ra, dec in ((0, 0), (1, 0), (0, 1), (-1, 0))])
    first, second, third = all_densified([small, corners, small], 2.0)
    assert (first is small, third is small) == (True, True)
    assert second == pytest.approx(dense, abs=0)
    normal = np.cross(corners[1], corners[2])
    side = [d for d in dense if abs(d @ normal) < 1e-12]
    assert len(side) > 15


def test_a_circle_holds_everything() -> None:
    parts = [square(359.5, 20, 0.5), square(0.5, 21, 0.5)]
    centre, radius = enclosing(parts)
    assert np.degrees(np.arccos(np.concatenate(parts) @ centre)).max() == pytest.approx(radius)
    assert radius < 1.8
    circle = view_circle(parts)
    assert all(circle.contains(UnitVector3d(*v)) for part in parts for v in part.tolist())
    everywhere = [square(ra, dec, 1) for ra, dec in ((0, 0), (90, 0), (180, 0), (270, 0), (0, 90), (0, -90))]
    assert enclosing(everywhere)[1] == 180.0


# ------------------------------------------------------------------- projections


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.99, 40.0), (120.0, 89.9), (10.0, -90.0)])
def test_a_field_is_where_the_tangent_plane_has_it_with_east_to_the_left(ra: float, dec: float) -> None:
    east, north = square(ra, dec, 0.2), square(ra, min(dec + 0.5, 89.99), 0.1)
    figure = draw_sky(Sky([east, north], ["a", "b"]), title="field", label="which")
    axes = figure.axes[0]
    for polygon, outline in zip(drawn(figure), (east, north), strict=True):
        found = axes.wcs.pixel_to_world(*polygon[:4].T)
        expected = SkyCoord(*positions(outline), unit="deg")
        assert found.separation(expected).arcsec.max() < 1e-6
    x, _ = axes.wcs.world_to_pixel(SkyCoord([ra, ra + 0.1], [dec * 0.999, dec * 0.999], unit="deg"))
    if abs(dec) < 80:
        assert x[1] < x[0]
    assert axes.get_aspect() == 1.0
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["a", "b"]


def test_the_whole_sky_is_split_at_the_seam_and_closed_at_the_poles() -> None:
    places = [(ra, dec) for ra in range(0, 360, 30) for dec in (-60, 0, 60)]
    shown = [square(ra, dec, 2.0) for ra, dec in places]
    seam = [*shown, square(180.0, 10.0, 20.0)]
    poles = [*shown, square(0.0, 90.0, 10.0), square(0.0, -88.0, 10.0)]
    for footprints in (seam, poles):
        figure = draw_sky(Sky(footprints, [None] * len(footprints)))
        polygons = drawn(figure)
        points = np.concatenate(polygons)
        assert (np.abs(points) <= [2 + 1e-9, 1 + 1e-9]).all()
        assert ((points[:, 0] / 2) ** 2 + points[:, 1] ** 2).max() <= 1 + 1e-9
        # Mollweide keeps areas: of the ellipse (2 pi) each has the part that it has of the sphere (4 pi).
        for outline, parts in zip(footprints, _grouped(figure, footprints), strict=True):
            found = sum(_area(p) for p in parts) / (2 * np.pi)
            assert found == pytest.approx(_solid_angle(outline) / (4 * np.pi), rel=0.02)


def _grouped(figure: Any, footprints: list[np.ndarray]) -> list[list[np.ndarray]]:
    from lakebutler.viz import sky

    (middle_deg,) = {sky._far_from_gap(positions(np.concatenate(footprints))[0])}
    globe = object.__new__(sky._Globe)
    globe._middle_deg = middle_deg
    groups = globe.polygons(footprints)
    assert sum(len(g) for g in groups) == len(drawn(figure))
    return groups


def _area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _solid_angle(outline: np.ndarray) -> float:
    """Sum of the angles minus (n - 2) pi (Girard)."""
    n = len(outline)
    total = -(n - 2) * np.pi
    for i in range(n):
        before, here, after = outline[i - 1], outline[i], outline[(i + 1) % n]
        one, two = np.cross(here, before), np.cross(here, after)
        total += np.arccos(one @ two / np.linalg.norm(one) / np.linalg.norm(two))
    return float(total)


def test_tracts_and_patches_are_named_where_there_is_room() -> None:
    tract = square(50.0, 0.0, 1.0)
    patches = [
        (str(i), square(50.0 + dx, dy, 0.5)) for i, (dx, dy) in enumerate([(-0.5, 0), (0.5, 0), (0, 0.5)])
    ]
    figure = draw_sky(Sky([tract], ["r"], [("9813", tract)], patches))
    assert {"9813", "0", "1", "2"} <= {t.get_text() for t in figure.axes[0].texts}
    tiny = [(f"patch {i}", square(50.0, 0.01 * i, 0.004)) for i in range(5)]
    figure = draw_sky(Sky([tract], ["r"], [], tiny))
    assert not {t.get_text() for t in figure.axes[0].texts}
    only = draw_sky(Sky([], [], [("1", tract)]))
    assert len(drawn(only)) == 0
    assert "1" in {t.get_text() for t in only.axes[0].texts}


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_it_is_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"sky.{ending}"
    save_sky(Sky([square(10, 10, 1)], [3.0]), path, title="a", subtitle="b", label="seeing")
    assert path.read_bytes()[:4] in (b"\x89PNG", b"<?xm", b"%PDF")
    if ending == "png":
        assert len(np.unique(imread(path).reshape(-1, 4), axis=0)) > 20
    with pytest.raises(ValueError, match="no regions"):
        draw_sky(Sky([], []))


def test_footprints_are_inside_the_picture() -> None:
    shown = [square(ra % 360, -30, 0.4) for ra in (358.0, 359.0, 0.0, 1.0)]
    figure = draw_sky(Sky(shown, [1.0, 2.0, 3.0, None]), label="airmass")
    axes = figure.axes[0]
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    frame = Outline([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    assert all(frame.contains_points(polygon).all() for polygon in drawn(figure))
    assert axes.child_axes[0].get_ylim() == (1.0, 3.0)


# ----------------------------------------------------------------------- colours


def test_bands_have_their_colours_and_order_and_many_words_a_scale() -> None:
    one, two = choose_colours(["y", "g", "u"]), choose_colours(["g", "r"])
    assert list(one.words) == ["u", "g", "y"]
    assert one.words["g"] == two.words["g"]
    assert list(choose_colours(["10", "9", None]).words) == ["9", "10"]
    many = choose_colours([f"w{i:02}" for i in range(40)])
    assert len(set(many.words.values())) == 40
    numbers = choose_colours([1, 2.5, None, float("nan")])
    assert numbers.of[2:] == [None, None]
    assert numbers.scale is not None
    assert choose_colours([1, "a"]).scale is None
    assert choose_colours([]).of == []
