# SPDX-License-Identifier: BSD-3-Clause
"""Conditions written with Python's operators mean what the same text means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astropy.time import Time

from lakebutler import Butler
from lakebutler.errors import InvalidQueryError
from lakebutler.query.expression_factory import ExpressionFactory, Predicate
from lakebutler.timespan import Timespan
from tests.query.conftest import by_duckdb

A = "instrument = 'A'"

LATE = Time("2020-01-01T04:00:00", scale="tai")

SAME: list[tuple[str, Callable[[Any], Any], str]] = [
    ("visit", lambda x: x.visit == 102, "visit = 102"),
    ("visit", lambda x: x.visit != 102, "visit != 102"),
    ("visit", lambda x: x.literal(102) < x.visit, "visit > 102"),
    ("visit", lambda x: x.visit <= 102, "visit <= 102"),
    ("visit", lambda x: x.all(x.visit >= 102, x.visit < 103), "visit >= 102 AND visit < 103"),
    ("visit", lambda x: x.any(x.visit == 101, x.visit == 103), "visit = 101 OR visit = 103"),
    ("visit", lambda x: x.not_(x.any(x.visit == 101, x.visit == 103)), "NOT (visit = 101 OR visit = 103)"),
    ("visit", lambda x: (x.visit * 2 + 1) % 3 == 1, "(visit * 2 + 1) % 3 = 1"),
    ("visit", lambda x: 210 - x.visit > x.visit / 1 + 4, "210 - visit > visit / 1 + 4"),
    ("visit", lambda x: -x.visit < -101, "-visit < -101"),
    ("visit", lambda x: x.visit.in_iterable([101, 103, 99]), "visit IN (101, 103, 99)"),
    (
        "visit",
        lambda x: x.visit.in_iterable([x.literal(101), x.visit + 1]),
        "visit = 101 OR visit = visit + 1",
    ),
    ("visit", lambda x: x.visit.in_range(101, 103), "visit IN (101..102)"),
    ("visit", lambda x: x.visit.in_range(101, None, 2), "visit >= 101 AND (visit - 101) % 2 = 0"),
    ("visit", lambda x: x.visit.in_range(102), "visit >= 102"),
    ("visit", lambda x: x.visit.name.glob("*1"), "GLOB(visit.name, '*1')"),
    ("visit", lambda x: x.visit.physical_filter == "it's", "physical_filter = 'it''s'"),
    ("visit", lambda x: x.visit.exposure_time > 20, "visit.exposure_time > 20"),
    ("visit", lambda x: x.visit.region.is_null, "visit.region IS NULL"),
    (
        "visit",
        lambda x: x.visit.timespan.overlaps(Timespan.fromInstant(LATE)),
        "visit.timespan OVERLAPS T'2020-01-01T04:00:00/tai'",
    ),
    ("visit", lambda x: x.visit.timespan.begin > LATE, "visit.timespan.begin > T'2020-01-01T04:00:00/tai'"),
    ("visit", lambda x: x.visit.timespan.end > LATE, "visit.timespan.end > T'2020-01-01T04:00:00/tai'"),
    ("exposure", lambda x: x.exposure.can_see_sky.as_boolean(), "exposure.can_see_sky"),
    ("exposure", lambda x: x.not_(x.exposure.can_see_sky.as_boolean()), "NOT exposure.can_see_sky"),
    ("exposure", lambda x: x.exposure.can_see_sky == None, "exposure.can_see_sky IS NULL"),  # noqa: E711
    ("exposure", lambda x: x.exposure.can_see_sky.is_null, "exposure.can_see_sky IS NULL"),
    ("detector", lambda x: x.detector.full_name == "guide", "detector.full_name = 'guide'"),
]


def answer(butler: Butler, dimension: str, condition: object) -> set[Any]:
    with butler.query() as query:
        return set(query.where(A).data_ids([dimension]).where(condition))


@pytest.mark.parametrize(("dimension", "make", "text"), SAME, ids=[text for _, _, text in SAME])
def test_an_expression_means_what_its_text_means(
    butler: Butler, dimension: str, make: Callable[[Any], Any], text: str
) -> None:
    with butler.query() as query:
        made = make(query.expression_factory)
    assert isinstance(made, Predicate)
    found = answer(butler, dimension, made)
    assert found == answer(butler, dimension, text)
    with by_duckdb():
        assert answer(butler, dimension, made) == found


def test_most_of_them_find_something_and_leave_something_out(butler: Butler) -> None:
    everything = {d: len(answer(butler, d, None)) for d in ("visit", "exposure", "detector")}
    sizes = [(len(answer(butler, d, text)), everything[d]) for d, _, text in SAME]
    assert sum(0 < some < every for some, every in sizes) > len(SAME) // 2


def test_fields_of_datasets(butler: Butler) -> None:
    with butler.query() as query:
        x = query.expression_factory
        one = next(iter(query.datasets("raw", "*", find_first=False)))
        condition = x.all(x["raw"].dataset_id == one.id, x["raw"].run == one.run)
        assert list(query.datasets("raw", "*", find_first=False).where(condition)) == [one]


def test_regions(tmp_path: Path) -> None:
    sphgeom = pytest.importorskip("lsst.sphgeom")
    places = [sphgeom.UnitVector3d(sphgeom.LonLat.fromDegrees(lon, 0)) for lon in (10, 50)]
    Butler.makeRepo(tmp_path / "repo")
    with Butler.from_config(tmp_path / "repo", writeable=True) as butler:
        butler.registry.insertDimensionData("skymap", {"name": "S", "hash": b"1"})
        for i, place in enumerate(places):
            region = sphgeom.ConvexPolygon.convexHull(_corners(sphgeom, place))
            butler.registry.insertDimensionData("tract", {"skymap": "S", "id": i, "region": region})
        with butler.query() as query:
            x = query.expression_factory
            near = query.where(x.skymap == "S", x.tract.region.overlaps(sphgeom.LonLat.fromDegrees(10, 0)))
            assert [d["tract"] for d in near.data_ids(["tract"])] == [0]
            large = sphgeom.Circle(places[1], sphgeom.Angle.fromDegrees(45))
            both = query.where(x.skymap == "S", x.tract.region.overlaps(large))
            assert sorted(d["tract"] for d in both.data_ids(["tract"])) == [0, 1]


def _corners(sphgeom: Any, place: Any) -> list[Any]:
    """Corners of a square of two degrees."""
    middle = sphgeom.LonLat(place)
    lon, lat = middle.getLon().asDegrees(), middle.getLat().asDegrees()
    around = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    return [sphgeom.UnitVector3d(sphgeom.LonLat.fromDegrees(lon + a, lat + b)) for a, b in around]


def test_values_of_another_query(butler: Butler) -> None:
    with butler.query() as query:
        x = query.expression_factory
        few = query.where(A).where(x.visit < 103)
        found = set(query.where(A).data_ids(["visit"]).where(x.visit.in_query(x.visit, few)))
        assert found == answer(butler, "visit", "visit < 103") != set()
        names = set(query.where(A).data_ids(["visit"]).where(x.visit.name.in_query(x.visit.name, few)))
        assert names == found


def test_bind_values_of_text_and_of_expressions_do_not_mix(butler: Butler) -> None:
    with butler.query() as query:
        x = query.expression_factory
        results = query.where(A).data_ids(["visit"])
        found = results.where("visit > value_0", x.visit < 104, x.visit != 102, bind={"value_0": 0})
        assert set(found) == answer(butler, "visit", "visit > 0 AND visit < 104 AND visit != 102")


def test_columns_are_terms_of_an_order(butler: Butler) -> None:
    with butler.query() as query:
        x = query.expression_factory
        results = query.where(A).data_ids(["visit"])
        assert list(results.order_by(x.visit.desc)) == list(results.order_by("-visit"))
        assert list(results.order_by(x.visit.timespan.begin.desc, x.visit)) == list(
            results.order_by("-visit.timespan.begin", "visit")
        )
        with pytest.raises(InvalidQueryError, match="is no column"):
            results.order_by((x.visit + 1).desc)


def test_what_there_is_not_is_named(butler: Butler) -> None:
    x = ExpressionFactory(butler.dimensions)
    with pytest.raises(AttributeError, match="visit"):
        x.vist  # noqa: B018
    with pytest.raises(AttributeError, match="exposure_time"):
        x.visit.exposure_tme  # noqa: B018
    with pytest.raises(AttributeError, match="no field 'region'"):
        x.detector.region  # noqa: B018
    with pytest.raises(AttributeError, match="ingest_date"):
        x["flat"].ingest_dat  # noqa: B018
    with pytest.raises(InvalidQueryError, match="neither true nor false"):
        bool(x.visit == 1 and x.detector == 2)
    with pytest.raises(InvalidQueryError, match="is no condition"):
        x.any(x.visit == 1, x.visit)
    with pytest.raises(InvalidQueryError, match="no members"):
        x.visit.in_range(5, 5)
    with butler.query() as query, pytest.raises(InvalidQueryError, match=r"x\.visit > 3"):
        query.where(x.visit)


def test_an_expression_shows_how_it_is_written(butler: Butler) -> None:
    x = ExpressionFactory(butler.dimensions)
    assert repr(x.visit > 5) == "Predicate('(visit > :value_0)', {'value_0': 5})"
    assert x.unwrap(x.detector.full_name) == ("detector.full_name", {})


def test_rows_of_general_results_can_carry_records(butler: Butler) -> None:
    with butler.query() as query:
        plain = query.where(A).general(["exposure"], "exposure.seq_num")
        full = plain.with_dimension_records()
    assert not plain.has_dimension_records
    assert full.has_dimension_records
    rows = list(full.iter_tuples())
    assert rows
    for row in rows:
        assert row.data_id.hasRecords()
        assert row.data_id.records["exposure"].seq_num == row.raw_row["exposure.seq_num"]
    assert not any(row.data_id.hasRecords() for row in plain.iter_tuples())
