# SPDX-License-Identifier: BSD-3-Clause
"""Visits and exposures that disagree about what both imply: only those that agree belong together.

The forerunner answers so, too: it joins every element whose dimensions are in
the query by all of its keys, those that are implied among them.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, DatasetType
from lakebutler.query import direct
from tests.query.conftest import by_duckdb

FILTERS = {"f1": "g", "f2": "r", "f3": "r"}
DAYS = (20250101, 20250102)
EXPOSURES, VISITS, DETECTORS = range(1, 13), range(101, 109), (0, 1)

Row = dict[str, Any]


def _facts(rng: random.Random, numbers: range) -> dict[int, tuple[str, int]]:
    """Filter and day of each."""
    return {number: (rng.choice(list(FILTERS)), rng.choice(DAYS)) for number in numbers}


def _made() -> tuple[dict[int, tuple[str, int]], dict[int, tuple[str, int]], list[tuple[int, int]]]:
    rng = random.Random(20250103)
    exposures, visits = _facts(rng, EXPOSURES), _facts(rng, VISITS)
    every = list(itertools.product(VISITS, EXPOSURES))
    return exposures, visits, sorted(rng.sample(every, 40))


EXPOSURE, VISIT, DEFINED = _made()
RAWS = [(e, d) for e in EXPOSURES for d in DETECTORS if (e + d) % 3]
CALEXPS = [(v, d) for v in VISITS for d in DETECTORS if (v + d) % 4]
FLATS = ["f1", "f3"]


@pytest.fixture(scope="module")
def butler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    place = str(tmp_path_factory.mktemp("shared") / "repo")
    Butler.makeRepo(place)
    with Butler.from_config(place, writeable=True) as butler:
        _fill(butler)
    with Butler.from_config(place) as found:
        yield found


def _fill(butler: Butler) -> None:
    add = butler.registry.insertDimensionData
    a = {"instrument": "A"}
    add("instrument", {"name": "A", "class_name": "x.Y"})
    add("physical_filter", *({**a, "name": name, "band": band} for name, band in FILTERS.items()))
    add("detector", *({**a, "id": d, "full_name": f"D{d}"} for d in DETECTORS))
    add("day_obs", *({**a, "id": day} for day in DAYS))
    add("group", {**a, "name": "g"})
    both = (("exposure", EXPOSURE, "obs_id"), ("visit", VISIT, "name"))
    for element, made, name in both:
        group = {"group": "g"} if element == "exposure" else {}
        keys = (
            {**a, "id": n, name: str(n), **group, "physical_filter": f, "day_obs": d}
            for n, (f, d) in made.items()
        )
        add(element, *keys)
    add("visit_definition", *({**a, "visit": v, "exposure": e} for v, e in DEFINED))
    for name, dimensions, values in (
        ("raw", ("exposure", "detector"), RAWS),
        ("calexp", ("visit", "detector"), CALEXPS),
        ("flat", ("physical_filter",), [(f,) for f in FLATS]),
    ):
        kind = DatasetType(
            name, {"instrument", *dimensions}, "StructuredDataDict", universe=butler.dimensions
        )
        butler.registry.registerDatasetType(kind)
        butler.registry.registerRun(f"r/{name}")
        data_ids = [{**a, **dict(zip(dimensions, value, strict=True))} for value in values]
        butler.registry.insertDatasets(kind, data_ids, run=f"r/{name}")


def _rows() -> list[Row]:
    """Visits, exposures and detectors that belong together."""
    rows = []
    for (visit, exposure), detector in itertools.product(DEFINED, DETECTORS):
        if VISIT[visit] == EXPOSURE[exposure]:
            name, day = VISIT[visit]
            rows.append(
                {
                    "instrument": "A",
                    "visit": visit,
                    "exposure": exposure,
                    "detector": detector,
                    "physical_filter": name,
                    "day_obs": day,
                    "band": FILTERS[name],
                    "group": "g",
                }
            )
    return rows


ROWS = _rows()
IN = {
    "raw": lambda row: (row["exposure"], row["detector"]) in RAWS,
    "calexp": lambda row: (row["visit"], row["detector"]) in CALEXPS,
    "flat": lambda row: row["physical_filter"] in FLATS,
}
CONDITIONS: list[tuple[str, Callable[[Row], bool]]] = [
    ("visit > 0 AND exposure > 0", lambda row: True),
    ("visit > 0 AND exposure > 6", lambda row: row["exposure"] > 6),
    ("visit IN (101..104) AND exposure != 3", lambda row: row["visit"] < 105 and row["exposure"] != 3),
    ("visit > 0 AND exposure > 0 AND physical_filter = 'f2'", lambda row: row["physical_filter"] == "f2"),
    ("visit > 0 AND exposure > 0 AND band = 'r'", lambda row: row["band"] == "r"),
    ("visit > 0 AND exposure > 0 AND day_obs = 20250102", lambda row: row["day_obs"] == 20250102),
    ("visit.name > '' AND exposure.obs_id != '4'", lambda row: row["exposure"] != 4),
    ("exposure.day_obs = 20250101 AND visit < 106 AND exposure > 0",
     lambda row: row["day_obs"] == 20250101 and row["visit"] < 106),
]  # fmt: skip


def check(results: Any, expected: set[tuple[Any, ...]], row: Callable[[Any], tuple[Any, ...]]) -> None:
    """Rows, their number and whether there are any are the same question, on both ways."""
    with by_duckdb():
        slow = [row(item) for item in results]
        assert (results.count(), results.any()) == (len(slow), bool(slow))
    fast = [row(item) for item in results]
    assert (results.count(), results.any()) == (len(fast), bool(fast))
    assert sorted(fast) == sorted(slow) == sorted(expected)


def test_the_repository_disagrees_in_every_way() -> None:
    ways = {
        (VISIT[v][0] == EXPOSURE[e][0], VISIT[v][1] == EXPOSURE[e][1], (v, e) in DEFINED)
        for v, e in itertools.product(VISITS, EXPOSURES)
    }
    assert len(ways) == 8
    assert len(ROWS) > 6


@pytest.mark.parametrize(
    "dimensions",
    [
        ["visit"],
        ["exposure"],
        ["visit", "exposure"],
        ["physical_filter"],
        ["band"],
        ["day_obs"],
        ["detector"],
        ["visit", "detector"],
        ["exposure", "detector"],
        ["visit", "band"],
    ],
    ids="-".join,
)
def test_data_ids_are_those_of_visits_and_exposures_that_agree(butler: Butler, dimensions: list[str]) -> None:
    asked = list(itertools.product(CONDITIONS, ((), ("raw",), ("calexp",), ("raw", "flat"))))
    with butler.query() as query:
        for (text, holds), searches in random.Random(str(dimensions)).sample(asked, 10):
            joined = query.where(instrument="A")
            for name in searches:
                joined = joined.join_dataset_search(name, f"r/{name}")
            results = joined.data_ids(dimensions).where(text)
            keys = results.dimensions.data_coordinate_keys
            kept = [row for row in ROWS if holds(row) and all(IN[name](row) for name in searches)]
            expected = {tuple(row[key] for key in keys) for row in kept}
            check(results, expected, lambda found: found.full_values)


@pytest.mark.parametrize("name", ["raw", "calexp", "flat"])
def test_datasets_are_found_once_with_the_values_of_their_own_element(butler: Butler, name: str) -> None:
    with butler.query() as query:
        for text, holds in CONDITIONS:
            results = query.where(instrument="A").datasets(name, f"r/{name}").where(text)
            keys = results.dimensions.data_coordinate_keys
            check(
                results,
                {tuple(row[key] for key in keys) for row in ROWS if holds(row) and IN[name](row)},
                lambda found: found.dataId.full_values,
            )
            assert len({ref.id for ref in results}) == results.count()


@pytest.mark.parametrize("element", ["visit", "exposure", "visit_definition", "physical_filter", "day_obs"])
def test_records_are_those_of_what_agrees(butler: Butler, element: str) -> None:
    keys = butler.dimensions[element].required.names
    with butler.query() as query:
        for text, holds in CONDITIONS:
            check(
                query.where(instrument="A").dimension_records(element).where(text),
                {tuple(row[key] for key in keys) for row in ROWS if holds(row)},
                lambda found: found.dataId.required_values,
            )


def test_fields_and_given_data_ids_are_those_of_what_agrees(butler: Butler) -> None:
    given = butler.query_data_ids("exposure", where="instrument = 'A' AND exposure < 9")
    with butler.query() as query:
        fields = query.where(instrument="A").general(["visit"], "exposure.obs_id")
        check(
            fields,
            {(row["visit"], row["physical_filter"], str(row["exposure"])) for row in ROWS},
            lambda found: (found["visit"], found["physical_filter"], found["exposure.obs_id"]),
        )
        check(
            query.join_data_coordinates(given).data_ids(["visit"]),
            {(row["visit"], row["physical_filter"]) for row in ROWS if row["exposure"] < 9},
            lambda found: (found["visit"], found["physical_filter"]),
        )


def test_a_night_of_one_filter_is_joined_by_what_defines_its_visits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = range(1, 61)
    a = {"instrument": "A"}
    facts = {"physical_filter": "f1", "day_obs": DAYS[0]}
    Butler.makeRepo(tmp_path)
    with Butler.from_config(tmp_path, writeable=True) as butler:
        add = butler.registry.insertDimensionData
        add("instrument", {"name": "A", "class_name": "x.Y"})
        add("physical_filter", {**a, "name": "f1", "band": "g"})
        add("day_obs", {**a, "id": DAYS[0]})
        add("group", {**a, "name": "g"})
        add("exposure", *({**a, **facts, "id": n, "obs_id": str(n), "group": "g"} for n in many))
        add("visit", *({**a, **facts, "id": n, "name": str(n)} for n in many))
        add("visit_definition", *({**a, "visit": n, "exposure": n} for n in many))

    def refuse(*_: Any) -> None:
        raise AssertionError("DuckDB is asked: each visit was joined with each exposure")

    monkeypatch.setattr(direct, "MOST", len(many))
    monkeypatch.setattr("lakebutler.query.results.count_rows", refuse)
    with Butler.from_config(tmp_path) as butler, butler.query() as query:
        assert query.where(instrument="A").data_ids("visit").where("exposure > 0").count() == len(many)


def test_one_element_alone_is_not_asked_about_the_other(butler: Butler) -> None:
    for element, made in (("visit", VISIT), ("exposure", EXPOSURE)):
        data_ids = butler.query_data_ids(element, where="instrument = 'A'")
        assert {d[element]: (d["physical_filter"], d["day_obs"]) for d in data_ids} == made
