# SPDX-License-Identifier: BSD-3-Clause
"""Overlaps on the sky are those that lsst-sphgeom finds among all pairs, however they are asked for."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsst.sphgeom import (
    Angle,
    Box,
    Circle,
    ConvexPolygon,
    HealpixPixelization,
    HtmPixelization,
    IntersectionRegion,
    LonLat,
    Region,
    UnionRegion,
    UnitVector3d,
)

from lakebutler import Butler, DatasetType
from lakebutler.errors import InvalidQueryError
from lakebutler.query import sky, skypairs
from lakebutler.query.geometry import overlapping
from lakebutler.query.regions import Regions, kept_pairs, overlapping_pairs
from lakebutler.registry import overlaps
from lakebutler.timespan import Timespan
from tests.query.conftest import by_duckdb

CAM, MAP = "instrument='Cam'", "skymap='map'"


def tile(ra: float, dec: float, width: float, height: float) -> ConvexPolygon:
    corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
    places = [(ra + x * width / math.cos(math.radians(dec)), dec + y * height) for x, y in corners]
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(*place)) for place in places])


VISITS = {
    **{v: tile(0.4 * (v % 4) - 0.3, 0.37 * (v // 4) - 0.4, 0.55, 0.5) for v in range(12)},
    90: tile(120.0, 89.0, 30.0, 0.9),
    91: Circle(UnitVector3d(LonLat.fromDegrees(0.6, 0.1)), Angle.fromDegrees(0.3)),
    92: None,
}
DETECTORS = {
    (v, d): tile(0.4 * (v % 4) - 0.3 + 0.28 * (d % 2), 0.37 * (v // 4) - 0.4 + 0.26 * (d // 2), 0.25, 0.24)
    for v in range(12)
    for d in range(4)
    if (v + d) % 7
}
TRACTS = {t: tile(1.0 * (t % 2) - 0.5, 1.0 * (t // 2) - 0.6, 1.1, 1.1) for t in range(4)}
PATCHES = {
    (t, p): tile(1.0 * (t % 2) - 0.5 + 0.37 * (p % 3), 1.0 * (t // 2) - 0.6 + 0.37 * (p // 3), 0.38, 0.38)
    for t in range(4)
    for p in range(9)
}


def fill(butler: Butler) -> None:
    insert = butler.registry.insertDimensionData
    cam, sky_map = {"instrument": "Cam"}, {"skymap": "map"}
    insert("instrument", {"name": "Cam"})
    insert("physical_filter", {**cam, "name": "r1", "band": "r"})
    insert("day_obs", {**cam, "id": 20250101})
    insert("detector", *({**cam, "id": d, "full_name": f"D{d}"} for d in range(4)))
    common = {**cam, "physical_filter": "r1", "day_obs": 20250101}
    insert("visit", *({**common, "id": v, "name": f"v{v}", "region": r} for v, r in VISITS.items()))
    insert("group", *({**cam, "name": f"g{v}"} for v in VISITS))
    insert("exposure", *({**common, "id": v, "obs_id": f"o{v}", "group": f"g{v}"} for v in VISITS))
    insert("visit_definition", *({**cam, "exposure": v, "visit": v} for v in VISITS))
    rows = [{**cam, "visit": v, "detector": d, "region": r} for (v, d), r in DETECTORS.items()]
    insert("visit_detector_region", *rows[:20])
    insert("visit_detector_region", *rows[20:])
    insert("skymap", {"name": "map", "hash": b"0" * 20})
    insert("tract", *({**sky_map, "id": t, "region": r} for t, r in TRACTS.items()))
    insert(
        "patch",
        *(
            {**sky_map, "tract": t, "id": p, "cell_x": p % 3, "cell_y": p // 3, "region": r}
            for (t, p), r in PATCHES.items()
        ),
    )
    raw = DatasetType("raw", ["exposure", "detector"], "StructuredDataDict", universe=butler.dimensions)
    butler.registry.registerDatasetType(raw)
    butler.collections.register("raws")
    butler.registry.insertDatasets(
        raw, [{**cam, "exposure": v, "detector": d} for v, d in product(VISITS, range(4))], run="raws"
    )


@pytest.fixture(scope="module")
def butler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    root = str(tmp_path_factory.mktemp("sky") / "repo")
    Butler.makeRepo(root)
    with Butler.from_config(root, writeable=True) as made:
        fill(made)
        yield made


def meet(one: Region | None, two: Region | None) -> bool:
    return one is not None and two is not None and overlapping(one, two)


def ways(ask: Callable[[], Any], patch: pytest.MonkeyPatch) -> list[Any]:
    """Answers in each way that there is to find them."""
    answers = [ask()]
    with by_duckdb():
        answers.append(ask())
        with patch.context() as p:
            p.setattr(skypairs, "_FEW", -1)  # the two indexes joined by DuckDB
            answers.append(ask())
    with patch.context() as p:
        p.setattr(sky, "near", _index_that_is_not_there)
        answers.append(ask())
    return answers


def _index_that_is_not_there(snapshot: Any, element: Any, *rest: Any) -> Any:
    class Older:
        def __getattr__(self, name: str) -> Any:
            return getattr(snapshot, name)

        def schemas(self) -> Any:
            return {k: v for k, v in snapshot.schemas().items() if not k.startswith(overlaps.OVERLAP_PREFIX)}

    from lakebutler.query.skyindex import near

    return near(Older(), element, *rest)  # type: ignore[arg-type]


def check(butler: Butler, dimensions: list[str], where: str, wanted: set[Any], **binds: Any) -> None:
    def ask() -> set[Any]:
        with butler.query() as query:
            results = query.data_ids(dimensions).where(f"{CAM} AND {MAP} AND {where}", bind=binds)
            found = [tuple(d[name] for name in dimensions) for d in results]
            assert len(set(found)) == len(found) == results.count()
            assert results.any() is bool(found)
        return set(found)

    with pytest.MonkeyPatch.context() as patch:
        for answer in ways(ask, patch):
            assert answer == wanted


def test_visits_and_tracts_overlap_without_being_asked(butler: Butler) -> None:
    wanted = {(v, t) for v, t in product(VISITS, TRACTS) if meet(VISITS[v], TRACTS[t])}
    assert 10 < len(wanted) < 50
    check(butler, ["visit", "tract"], "visit >= 0", wanted)
    check(butler, ["exposure", "tract"], "tract >= 0", wanted)
    check(butler, ["visit", "tract"], "tract = 1", {pair for pair in wanted if pair[1] == 1})
    check(butler, ["visit", "tract"], "visit IN (3, 91)", {pair for pair in wanted if pair[0] in (3, 91)})


def test_the_finest_regions_are_those_that_overlap(butler: Butler) -> None:
    wanted = {
        (v, d, t, p) for (v, d), one in DETECTORS.items() for (t, p), two in PATCHES.items() if meet(one, two)
    }
    names = ["visit", "detector", "tract", "patch"]
    check(butler, names, "visit >= 0", wanted)
    one = {row for row in wanted if row[2:] == (1, 4)}
    check(butler, names, "tract = 1 AND patch = 4", one)
    both = {r for r in wanted if meet(VISITS[r[0]], TRACTS[r[2]])}
    check(butler, names, "visit.region OVERLAPS tract.region", both)
    check(butler, ["visit"], "tract = 1 AND patch = 4 AND detector >= 0", {row[:1] for row in one})


def test_raws_in_a_tract_are_not_all_raws(butler: Butler) -> None:
    wanted = {key for key, region in DETECTORS.items() if meet(region, TRACTS[2])}
    for where in (f"{CAM} AND {MAP} AND tract = 2", f"{CAM} AND {MAP} AND tract = 2 AND visit >= 0"):
        for duckdb in (False, True):
            with by_duckdb() if duckdb else pytest.MonkeyPatch.context():
                found = butler.query_datasets("raw", "raws", where=where)
            assert {(r.dataId["exposure"], r.dataId["detector"]) for r in found} == wanted
    assert 0 < len(wanted) < len(DETECTORS)


def test_an_overlap_may_stand_under_or_and_not(butler: Butler) -> None:
    inside = {v for v in VISITS if meet(VISITS[v], TRACTS[0])}
    where = "visit.region OVERLAPS tract.region"
    check(
        butler,
        ["visit", "tract"],
        f"tract = 0 AND NOT ({where})",
        {(v, 0) for v in VISITS if VISITS[v] is not None and v not in inside},
    )
    check(
        butler,
        ["visit", "tract"],
        f"tract = 0 AND ({where} OR visit = 90)",
        {(v, 0) for v in inside | {90}},
    )
    check(
        butler,
        ["visit"],
        "NOT visit.region OVERLAPS CIRCLE(120, 89.5, 60)",
        {(v,) for v in range(12)} | {(91,)},
    )
    check(butler, ["visit"], "visit.region OVERLAPS POINT(0.6, 0.1) OR visit.region IS NULL", _with_point())


def _with_point() -> set[Any]:
    point = Circle(UnitVector3d(LonLat.fromDegrees(0.6, 0.1)))
    return {(v,) for v, region in VISITS.items() if region is None or meet(region, point)}


def at(ra: float, dec: float) -> UnitVector3d:
    return UnitVector3d(LonLat.fromDegrees(ra, dec))


ROUND = Circle(at(0.5, 0.2), Angle.fromDegrees(0.25))
SHAPES: list[tuple[str, Any]] = [
    ("CIRCLE(0.5, 0.2, 0.25)", ROUND),
    ("CIRCLE(1 / 2, -(-0.2), 0.2 + 0.05)", ROUND),
    ("POINT(0.2, -0.3)", Circle(at(0.2, -0.3))),
    ("POLYGON(0, 0, 0.4, 0, 0.2, 0.4)", ConvexPolygon([at(0, 0), at(0.4, 0), at(0.2, 0.4)])),
    ("BOX(0.4, 0.1, 0.4, 0.2)", Box.fromDegrees(0.2, 0.0, 0.6, 0.2)),
    ("REGION('CIRCLE 0.5 0.2 0.25')", ROUND),
]


@pytest.mark.parametrize(("text", "region"), SHAPES, ids=lambda v: v if isinstance(v, str) else "")
def test_functions_make_the_regions_that_they_name(butler: Butler, text: str, region: Region) -> None:
    wanted = {key for key, its in DETECTORS.items() if meet(its, region)}
    assert 0 < len(wanted) < len(DETECTORS)
    names = ["visit", "detector"]
    check(butler, names, f"visit_detector_region.region OVERLAPS {text}", wanted)
    check(butler, names, f"{text} OVERLAPS visit_detector_region.region", wanted)
    check(butler, names, "visit_detector_region.region OVERLAPS :r", wanted, r=region)


def test_a_circle_has_its_radius_and_not_twice_of_it(butler: Butler) -> None:
    far = Circle(UnitVector3d(LonLat.fromDegrees(0.0, -10.0)), Angle.fromDegrees(8.0))
    assert not any(meet(region, far) for region in VISITS.values())
    check(butler, ["visit"], "visit.region OVERLAPS CIRCLE(0, -10, 8)", set())
    assert butler.query_data_ids("visit", where=f"{CAM} AND visit.region OVERLAPS CIRCLE(0, -10, 11)")


def test_positions_can_be_bound(butler: Butler) -> None:
    from astropy.coordinates import SkyCoord

    wanted = {
        (v,)
        for v, region in VISITS.items()
        if meet(region, Circle(UnitVector3d(LonLat.fromDegrees(0.6, 0.1))))
    }
    place = SkyCoord(0.6, 0.1, unit="deg")
    check(butler, ["visit"], "visit.region OVERLAPS here", wanted, here=place)
    check(butler, ["visit"], "visit.region OVERLAPS here", wanted, here=LonLat.fromDegrees(0.6, 0.1))


BOTH = Circle(at(0.7, 0.2), Angle.fromDegrees(0.3))
COMPOUNDS = [
    UnionRegion(ROUND, Circle(at(1.3, -0.2), Angle.fromDegrees(0.1))),
    UnionRegion(ROUND, ROUND),
    IntersectionRegion(ROUND, BOTH),
    UnionRegion(ROUND, IntersectionRegion(BOTH, Circle(at(0.9, 0.2), Angle.fromDegrees(0.2)))),
]


@pytest.mark.parametrize("region", COMPOUNDS, ids=lambda region: type(region).__name__)
def test_unions_and_intersections_of_regions_are_regions(butler: Butler, region: Region) -> None:
    wanted = {(v,) for v, its in VISITS.items() if meet(its, region)}
    assert 0 < len(wanted) < len(VISITS)
    check(butler, ["visit"], "visit.region OVERLAPS :r", wanted, r=region)
    check(butler, ["visit"], "r OVERLAPS visit.region AND r OVERLAPS r AND :r IS NOT NULL", wanted, r=region)
    with butler.query() as query:
        x = query.expression_factory
        found = query.where(x.instrument == "Cam", x.visit.region.overlaps(region)).data_ids(["visit"])
        assert {(d["visit"],) for d in found} == wanted


def test_an_open_range_ends_at_the_poles(butler: Butler) -> None:
    wanted = {(v,) for v, its in VISITS.items() if meet(its, Box.fromDegrees(0.0, 0.5, 359.9, 90.0))}
    assert 0 < len(wanted) < len(VISITS)
    check(butler, ["visit"], "visit.region OVERLAPS REGION('RANGE 0 359.9 0.5 +Inf')", wanted)


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("htm5", HtmPixelization(5)),
        ("htm7", HtmPixelization(7)),
        ("htm9", HtmPixelization(9)),
        ("healpix5", HealpixPixelization(5)),
        ("healpix7", HealpixPixelization(7)),
    ],
)
def test_any_level_of_pixels_joins(butler: Butler, name: str, pixels: Any) -> None:
    regions = {v: region for v, region in VISITS.items() if v < 6 and region is not None}
    wanted = {
        (v, i)
        for v, region in regions.items()
        for low, high in pixels.envelope(region)
        for i in range(low, high)
        if meet(region, pixels.pixel(i))
    }
    check(butler, ["visit", name], "visit < 6", wanted)
    one = min(i for _, i in wanted)
    in_one = {(v,) for v, region in VISITS.items() if meet(region, pixels.pixel(one))}
    check(butler, ["visit"], f"{name} = {one}", in_one)


def test_two_levels_of_pixels_join(butler: Butler) -> None:
    coarse, fine = HtmPixelization(5), HtmPixelization(7)
    one = coarse.index(UnitVector3d(LonLat.fromDegrees(0.1, 0.1)))
    region = coarse.pixel(one)
    near = [i for low, high in fine.envelope(region) for i in range(low, high)]
    wanted = {(one, i) for i in near if meet(region, fine.pixel(i))}
    found = butler.query_data_ids(["htm5", "htm7"], where=f"htm5 = {one}")
    assert {(d["htm5"], d["htm7"]) for d in found} == wanted


def test_records_that_change_their_region_are_found_where_they_are(butler: Butler) -> None:
    record = {"instrument": "Cam", "id": 500, "name": "moving", "physical_filter": "r1", "day_obs": 20250101}

    def here() -> list[int]:
        found = butler.query_data_ids(
            "visit", where=f"{CAM} AND visit.region OVERLAPS CIRCLE(200, -40, 1)", explain=False
        )
        return [d["visit"] for d in found]

    assert here() == []
    butler.registry.insertDimensionData("visit", {**record, "region": tile(200, -40, 1, 1)})
    assert here() == [500]
    with pytest.raises(ZeroDivisionError), butler.transaction():
        butler.registry.insertDimensionData("visit", {**record, "region": tile(100, -40, 1, 1)}, replace=True)
        assert here() == []
        raise ZeroDivisionError
    assert here() == [500]
    butler.registry.insertDimensionData("visit", {**record, "region": None}, replace=True)
    assert here() == []


# ------------------------------------------------------------------- the arithmetic


def some_regions(seed: int, count: int) -> list[Region]:
    source = random.Random(seed)
    made: list[Region] = []
    while len(made) < count:
        ra, dec, size = source.uniform(0, 360), source.uniform(-89, 89), 10 ** source.uniform(-3, 1.2)
        if source.random() < 0.7:
            ra, dec = 10 + source.uniform(0, 3), source.uniform(-2, 2)
        kind = source.randrange(6)
        if kind == 0:
            made.append(Circle(UnitVector3d(LonLat.fromDegrees(ra, dec)), Angle.fromDegrees(size)))
            continue
        points = []
        for _ in range(source.randrange(3, 11)):
            x, y = source.gauss(0, size), source.gauss(0, size)
            points.append(UnitVector3d(LonLat.fromDegrees(ra + x, max(-90, min(90, dec + y)))))
        try:
            made.append(ConvexPolygon.convexHull(points))
        except (RuntimeError, ValueError):
            continue
    return [region for region in made if region is not None]


@given(st.integers(0, 10**6))
def test_pairs_by_arithmetic_are_those_of_the_geometry_library(seed: int) -> None:
    import numpy as np

    one, two = some_regions(seed, 12), some_regions(seed + 1, 15)
    one.append(two[0])
    a, b = (Regions([r.encode() for r in regions]) for regions in (one, two))
    wanted = {(i, j) for i, j in product(range(len(one)), range(len(two))) if overlapping(one[i], two[j])}
    i, j = overlapping_pairs(a, b)
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == wanted
    assert len(i) == len(wanted)
    every = np.indices((len(one), len(two))).reshape(2, -1)
    i, j = kept_pairs(a, b, *every, near=False)
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == wanted


def test_neighbours_that_touch_are_decided_by_the_geometry_library() -> None:
    grid = [tile(x * 0.5, y * 0.5, 0.5, 0.5) for x in range(4) for y in range(4)]
    regions = Regions([region.encode() for region in grid])
    wanted = {(i, j) for i, j in product(range(16), repeat=2) if overlapping(grid[i], grid[j])}
    i, j = overlapping_pairs(regions, regions)
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == wanted


@given(st.integers(0, 10**6), st.sampled_from([6, 7, 8, 11]))
def test_pieces_cover_a_region_and_keep_to_their_cells(seed: int, level: int) -> None:
    (region,) = some_regions(seed, 1)
    per_cell = 4 ** (overlaps.FINEST - overlaps.CELL_LEVEL)
    found = overlaps.pieces(region, level)
    for cell, begin, end in found:
        assert cell * per_cell <= begin < end <= (cell + 1) * per_cell
    center = region.getBoundingCircle().getCenter()
    if region.contains(center):
        index = HtmPixelization(overlaps.FINEST).index(center)
        assert any(begin <= index < end for _, begin, end in found)


def test_a_dataset_has_the_region_and_the_time_of_its_data_id(butler: Butler) -> None:
    def found(where: str, kind: str = "raw", **binds: Any) -> set[tuple[int, int]]:
        refs = butler.query_datasets(kind, "raws", where=f"{CAM} AND {where}", bind=binds, explain=False)
        return {(ref.dataId["exposure"], ref.dataId["detector"]) for ref in refs}

    circle = Circle(UnitVector3d(LonLat.fromDegrees(0.5, 0.1)), Angle.fromDegrees(0.2))
    wanted = {key for key, region in DETECTORS.items() if meet(region, circle)}
    assert 0 < len(wanted) < len(DETECTORS)
    assert found("raw.region OVERLAPS here", here=circle) == wanted
    assert found("raw.region OVERLAPS CIRCLE(0.5, 0.1, 0.2)") == wanted
    noted = DatasetType("about", ["instrument"], "StructuredDataDict", universe=butler.dimensions)
    butler.registry.registerDatasetType(noted)
    with pytest.raises(InvalidQueryError, match="no place on the sky"):
        butler.query_datasets(
            "about", "raws", where=f"{CAM} AND about.region OVERLAPS here", bind={"here": circle}
        )
    times = {v: Timespan(None, None, _nsec=(1000 * v, 1000 * v + 900)) for v in VISITS}
    for v, span in times.items():
        old = butler.query_dimension_records("exposure", where=f"{CAM} AND exposure = {v}")[0].toDict()
        butler.registry.syncDimensionData("exposure", {**old, "timespan": span}, update=True)
    during = Timespan(None, None, _nsec=(3950, 5100))
    assert {e for e, _ in found("raw.timespan OVERLAPS t", t=during)} == {4, 5}
