# SPDX-License-Identifier: BSD-3-Clause
"""Records by the million: the cover of the sky is never too small, and both ways in agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst.sphgeom import Circle, ConvexPolygon, HtmPixelization, LonLat, Region, UnitVector3d

from lakebutler import Butler
from lakebutler.lake.change import Change
from lakebutler.registry.record_tables import append_records, remove_records
from lakebutler.registry.schema import dimension_schema
from lakebutler.registry.sky_cover import cover, quadrangles


def square(ra: float, dec: float, size: float, turn: float) -> Any:
    """A square on the sky; size is the half diagonal in rad."""
    x, y, z = UnitVector3d(LonLat.fromDegrees(ra % 360.0, dec))
    centre = np.array([x, y, z])
    side = np.cross(centre, [0.0, 0.0, 1.0] if abs(z) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    other = np.cross(centre, side)
    angles = turn + np.arange(4) * np.pi / 2
    found = centre + size * (np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * other)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def polygon(vertices: Any) -> Any:
    return ConvexPolygon.convexHull([UnitVector3d(*v) for v in vertices])


places = st.tuples(
    st.sampled_from([0.0, 45.0, 90.0, 180.0, 359.9999]) | st.floats(0, 360),
    st.sampled_from([-90.0, 0.0, 90.0]) | st.floats(-90, 90),
    st.sampled_from([1e-7, 1e-4, 3e-3, 0.1]),
    st.floats(0, 6.3),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(places, min_size=1, max_size=5), st.sampled_from([0, 3, 5]))
def test_every_pixel_that_a_square_touches_is_in_its_cover(squares: Any, level: int) -> None:
    vertices = np.array([square(*place) for place in squares])
    rows, pixels = cover(vertices, level)
    assert (np.diff(rows * 2**40 + pixels) > 0).all()
    pixelization = HtmPixelization(level)
    for row, corners in enumerate(vertices):
        mine = set(pixels[rows == row].tolist())
        inside = {p for first, last in pixelization.interior(polygon(corners)) for p in range(first, last)}
        touched = {pixelization.index(UnitVector3d(*v)) for v in corners}
        assert touched | inside <= mine


def test_the_cover_of_squares_is_hardly_larger_than_it_must_be() -> None:
    rng = np.random.default_rng(7)
    places = zip(rng.uniform(0, 360, 300), rng.uniform(-80, 80, 300), strict=True)
    vertices = np.array([square(ra, dec, 0.0027, 1.0) for ra, dec in places])
    rows, pixels = cover(vertices, 8)
    pixelization = HtmPixelization(8)
    least = [
        {p for first, last in pixelization.envelope(polygon(v)) for p in range(first, last)} for v in vertices
    ]
    found = [set(pixels[rows == i].tolist()) for i in range(300)]
    assert all(small <= large for small, large in zip(least, found, strict=True))
    assert len(pixels) < 1.3 * sum(map(len, least))


def test_only_small_quadrangles_are_covered_here() -> None:
    small, wide = square(10, 10, 0.01, 0.0), square(10, 10, 2.0, 0.0)
    regions = [
        polygon(small).encode(),
        None,
        Circle(UnitVector3d(1, 0, 0)).encode(),
        polygon(wide).encode(),
        polygon(small[:3]).encode(),
        b"c" + bytes(96),
        polygon(small).encode(),
    ]
    found, vertices = quadrangles(pa.array(regions, pa.binary()))
    assert found.tolist() == [True, False, False, False, False, False, True]
    assert vertices.shape == (2, 4, 3)
    sliced, vertices = quadrangles(pa.array(regions, pa.binary())[5:])
    assert sliced.tolist() == [False, True]
    assert vertices.shape == (1, 4, 3)
    nothing, vertices = quadrangles(pa.array([None], pa.binary()))
    assert nothing.tolist() == [False]
    assert cover(vertices, 8)[0].tolist() == []


@pytest.fixture
def skymap(tmp_path: Path) -> Callable[[], Butler]:
    count = 0

    def make() -> Butler:
        nonlocal count
        count += 1
        root = tmp_path / str(count)
        butler = Butler.from_config(Butler.makeRepo(root), writeable=True)
        butler.registry.insertDimensionData("skymap", {"name": "s", "hash": b"x"})
        return butler

    return make


def tracts(count: int) -> pa.Table:
    rng = np.random.default_rng(1)
    regions = [
        polygon(square(rng.uniform(0, 360), rng.uniform(-80, 80), 0.01, 1.0)[: 3 + (i % 5 > 0)]).encode()
        for i in range(count)
    ]
    return pa.table({"skymap": pa.repeat("s", count), "tract": range(count), "region": regions})


@pytest.mark.parametrize("count", [40, 6000])
def test_tables_and_records_give_the_same_answers(skymap: Callable[[], Butler], count: int) -> None:
    data = tracts(count)
    by_table, by_record = skymap(), skymap()

    def build(snapshot: Any) -> Change:
        change = Change()
        append_records(snapshot, change, by_table.dimensions["tract"], data)
        return change

    by_table._session.execute(build, op="test")
    rows = [
        {"skymap": "s", "id": i, "region": Region.decode(raw)}
        for i, raw in enumerate(data.column("region").to_pylist())
    ]
    by_record.registry.insertDimensionData("tract", *rows)
    for butler in (by_table, by_record):
        assert butler.sql("SELECT count(*), sum(tract) FROM tract").fetchall() == [(count, sum(range(count)))]
    for i in range(0, count, count // 13):
        centre = rows[i]["region"].getCentroid()
        bind = {"ra": LonLat(centre).getLon().asDegrees(), "dec": LonLat(centre).getLat().asDegrees()}
        where = "tract.region OVERLAPS CIRCLE(ra, dec, 0.4)"
        one, two = (
            {d["tract"] for d in butler.query_data_ids(["tract"], where=where, bind=bind, skymap="s")}
            for butler in (by_table, by_record)
        )
        assert i in one
        assert one == two


def test_what_is_removed_leaves_the_index_too(skymap: Callable[[], Butler]) -> None:
    butler = skymap()
    tract = butler.dimensions["tract"]

    def add(snapshot: Any) -> Change:
        change = Change()
        append_records(snapshot, change, tract, tracts(5))
        return change

    def drop(snapshot: Any) -> Change:
        change = Change()
        remove_records(snapshot, change, tract, ("skymap", "tract"), [("s", 2)])
        remove_records(snapshot, change, tract, ("skymap", "tract"), [])
        return change

    butler._session.execute(add, op="test")
    butler._session.execute(drop, op="test")
    assert butler.sql("SELECT tract FROM tract ORDER BY ALL").fetchall() == [(0,), (1,), (3,), (4,)]
    index = butler._session.snapshot.scan("overlap_tract", ("tract",)).column("tract").to_pylist()
    assert set(index) == {0, 1, 3, 4}
    bare = skymap()
    bare._session.execute(drop, op="test")


def test_an_index_that_begins_late_takes_up_what_is_there(skymap: Callable[[], Butler]) -> None:
    butler = skymap()
    tract = butler.dimensions["tract"]

    def first(snapshot: Any) -> Change:
        change = Change()
        change.create_table(dimension_schema(tract))
        change.append_rows("dimension_tract", [("s", 77, polygon(square(5, 5, 0.01, 0.0)).encode())])
        return change

    def second(snapshot: Any) -> Change:
        change = Change()
        append_records(snapshot, change, tract, tracts(3))
        return change

    butler._session.execute(first, op="test")
    butler._session.execute(second, op="test")
    found = butler.query_data_ids(
        ["tract"], where="tract.region OVERLAPS POINT(5.0, 5.0)", skymap="s", explain=False
    )
    assert 77 in {d["tract"] for d in found}
