# SPDX-License-Identifier: BSD-3-Clause
"""Queries through the butler: what comes back, in which order, and what is said if nothing does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lakebutler
from lakebutler import Butler, DatasetIdGenEnum, DatasetType, Timespan
from lakebutler.errors import (
    CalibrationLookupError,
    DimensionNameError,
    EmptyQueryResultError,
    InvalidQueryError,
    MissingCollectionError,
    MissingDatasetTypeError,
    NoDefaultCollectionError,
)
from lakebutler.query.query import Query
from tests.query.scenario import fill, time

A = {"instrument": "A"}


def exposures(rows: list[Any]) -> list[tuple[str, int]]:
    return [(row["instrument"], row["exposure"]) for row in rows]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Butler]:
    """A repository that a test may change."""
    Butler.makeRepo(str(tmp_path / "own"))
    with Butler.from_config(str(tmp_path / "own"), writeable=True) as butler:
        fill(butler, lakebutler)
        yield butler


@pytest.fixture
def query(butler: Butler) -> Iterator[Query]:
    with butler.query() as found:
        yield found


# ----------------------------------------------------------------------- results


def test_data_ids_have_their_implied_values(butler: Butler) -> None:
    (data_id,) = butler.query_data_ids(["exposure"], instrument="A", exposure=5)
    assert data_id.hasFull()
    assert not data_id.hasRecords()
    assert dict(data_id.mapping) == {
        "band": "g",
        "instrument": "A",
        "day_obs": 20200102,
        "group": "group1",
        "physical_filter": "g2",
        "exposure": 5,
    }


def test_data_ids_of_no_dimensions_say_whether_there_is_anything(butler: Butler, query: Query) -> None:
    assert len(butler.query_data_ids([])) == 1
    assert len(list(query.join_dataset_search("raw", "raws").data_ids([]))) == 1
    assert list(query.join_dataset_search("raw", "empty").data_ids([])) == []
    assert query.join_dataset_search("raw", "raws").data_ids([]).count() == 1


def test_records_can_come_with_data_ids_and_lose_none_of_them(butler: Butler) -> None:
    plain = butler.query_data_ids(["visit", "detector"])
    expanded = butler.query_data_ids(["visit", "detector"], with_dimension_records=True)
    assert sorted(expanded, key=str) == sorted(plain, key=str)
    assert all(data_id.hasRecords() for data_id in expanded)
    known = [d for d in expanded if d.records["visit_detector_region"] is not None]
    assert [(d["visit"], d["detector"]) for d in known] == [(101, 0)]
    (ref,) = butler.query_datasets(
        "raw", "raws", with_dimension_records=True, data_id=A, exposure=3, detector=1
    )
    assert ref.dataId.records["exposure"].target_name == "it's"
    assert ref.dataId.records["physical_filter"].band == "r"


def test_bands_have_records_though_no_table(butler: Butler) -> None:
    assert [r.name for r in butler.query_dimension_records("band", order_by="-band")] == ["z", "r", "g"]
    assert [
        r.name for r in butler.query_dimension_records("band", where="physical_filter = 'r9'", instrument="B")
    ] == ["r"]


def test_pixels_have_no_records(butler: Butler) -> None:
    with pytest.raises(InvalidQueryError, match="'htm7' has no records"):
        butler.query_dimension_records("htm7")


def test_results_can_be_refined_and_read_again(query: Query) -> None:
    results = query.data_ids(["exposure"]).where(A).order_by("-exposure")
    assert [d["exposure"] for d in results] == [6, 5, 4, 3, 2, 1]
    narrower = results.where("exposure < :v", bind={"v": 4}).limit(2)
    assert [d["exposure"] for d in narrower] == [3, 2]
    assert [d["exposure"] for d in results.limit(1)] == [6]
    assert [d["exposure"] for d in results] == [6, 5, 4, 3, 2, 1]
    assert results.dimensions.names == query.universe.conform(["exposure"]).names


def test_data_ids_of_datasets(query: Query) -> None:
    results = query.datasets("calexp", "chain", find_first=False)
    assert results.count() == 7
    assert results.data_ids.count() == len(list(results.data_ids)) == 6
    assert [d["visit"] for d in results.data_ids.order_by("visit", "detector").where(A)][:3] == [
        101,
        101,
        102,
    ]


def test_results_as_arrow_have_the_same_rows(query: Query) -> None:
    table = query.datasets("raw", "raws").where(A).order_by("exposure", "detector").arrow()
    assert table.column_names == [
        "instrument",
        "detector",
        "exposure",
        "band",
        "day_obs",
        "group",
        "physical_filter",
        "id",
        "run",
    ]
    assert table.num_rows == 17
    assert table.column("band").to_pylist()[:4] == ["g", "g", "g", "g"]
    table = query.datasets("bias", "calib").where(A, exposure=1).arrow()
    assert table.column_names == ["instrument", "detector", "id", "run"]


# ------------------------------------------------------------------------- order


def test_rows_are_sorted_by_several_terms(butler: Butler) -> None:
    found = butler.query_data_ids(["exposure"], order_by=["-instrument", "exposure.seq_num", "-exposure"])
    assert exposures(found) == [
        ("B", 30),
        ("B", 1),
        ("B", 2),
        ("A", 5),
        ("A", 1),
        ("A", 6),
        ("A", 2),
        ("A", 3),
        ("A", 4),
    ]


@pytest.mark.parametrize("term", ["exposure.timespan.begin", "-exposure.timespan.begin"])
def test_what_is_unknown_comes_last_whichever_way(butler: Butler, term: str) -> None:
    found = exposures(butler.query_data_ids(["exposure"], order_by=term))
    assert found[-1] == ("A", 6)
    assert found[0] == (("B", 30) if term.startswith("-") else ("A", 1))


def test_what_the_result_does_not_have_is_no_order(butler: Butler) -> None:
    for ask in (
        lambda: butler.query_data_ids(["band"], order_by="exposure.exposure_time"),
        lambda: butler.query_data_ids(["detector"], order_by="-visit"),
        lambda: butler.query_dimension_records("detector", order_by="exposure.seq_num"),
        lambda: butler.query_datasets("bias", "calib", order_by="exposure", find_first=False),
    ):
        with pytest.raises(InvalidQueryError, match="which the result does not have"):
            ask()
    ordered = butler.query_data_ids(["visit"], order_by="-physical_filter")
    assert [d["physical_filter"] for d in ordered] == sorted(
        (d["physical_filter"] for d in ordered), reverse=True
    )


def test_datasets_are_sorted_by_where_and_when_they_came(butler: Butler) -> None:
    found = butler.query_datasets("calexp", "chain", order_by=["run", "-visit", "detector"])
    assert [r.run for r in found] == sorted(r.run for r in found)
    assert found[0].dataId["visit"] == 103
    first = butler.query_datasets(
        "bias", "calib", find_first=False, order_by=["-bias.timespan.begin"], limit=1
    )
    assert (first[0].run, first[0].dataId["detector"]) == ("calibs/two", 1)


# ------------------------------------------------------------------------- limits


def test_a_limit_beyond_any_table_is_none(butler: Butler) -> None:
    everything = butler.query_data_ids("visit", instrument="A")
    assert len(butler.query_data_ids("visit", instrument="A", limit=10**30)) == len(everything)
    with butler.query() as query:
        computed = query.data_ids("visit").where("instrument = 'A' AND visit * 2 > 0").limit(10**30)
        assert len(list(computed)) == len(everything)


@pytest.mark.parametrize("kind", ["data_ids", "datasets", "records"])
def test_limits(butler: Butler, kind: str) -> None:
    ask: dict[str, Callable[..., list[Any]]] = {
        "data_ids": lambda **k: butler.query_data_ids(["exposure", "detector"], **k),
        "datasets": lambda **k: butler.query_datasets("raw", "raws", **k),
        "records": lambda **k: butler.query_dimension_records("detector", **k),
    }
    rows = ask[kind](order_by=["instrument", "detector"])
    assert len(ask[kind](limit=3)) == 3
    assert ask[kind](limit=0) == []
    assert len(ask[kind](limit=1000)) == len(rows)
    with pytest.warns(UserWarning, match="more than 3 rows"):
        assert len(ask[kind](limit=-3)) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(ask[kind](limit=-len(rows))) == len(rows)


def test_limits_of_results_bound_counts_too(query: Query) -> None:
    results = query.data_ids(["exposure"])
    assert results.limit(4).count() == 4
    assert results.limit(0).count() == 0
    assert not results.limit(0).any()
    assert results.limit(0).explain_no_results() == ["the limit is 0"]
    assert results.limit(None).count() == 9
    with pytest.raises(InvalidQueryError, match="cannot be negative"):
        results.limit(-1)


# -------------------------------------------------------------------- collections


def test_the_first_dataset_of_each_data_id_is_that_of_the_first_collection(butler: Butler) -> None:
    def runs(*path: str) -> dict[tuple[int, int], str]:
        found = butler.query_datasets("calexp", list(path), data_id=A)
        return {(r.dataId["visit"], r.dataId["detector"]): r.run for r in found}

    assert runs("chain")[101, 0] == "u/two"
    assert runs("back")[101, 0] == "u/one"
    assert runs("tag", "chain")[101, 0] == "u/one"
    assert len(runs("chain")) == len(runs("back")) == 5


def test_the_condition_comes_before_the_first_is_chosen(butler: Butler) -> None:
    found = butler.query_datasets("calexp", "chain", where="calexp.run = 'u/one'")
    assert len(found) == 4
    assert {r.run for r in found} == {"u/one"}


def test_every_dataset_is_found_once_however_often_it_is_there(butler: Butler) -> None:
    found = butler.query_datasets("raw", "*", find_first=False)
    assert len(found) == len({r.id for r in found}) == 21
    assert len(butler.query_datasets("calexp", ["u/*", "tag"], find_first=False)) == 7
    flats = butler.query_datasets("flat", "calib", find_first=False)
    assert len(flats) == len({r.id for r in flats}) == 2
    assert len(butler.query_datasets("raw", ..., find_first=False)) == 21  # type: ignore[arg-type]


def test_a_pattern_has_no_search_order(butler: Butler) -> None:
    with pytest.raises(InvalidQueryError, match="has no search order"):
        butler.query_datasets("raw", ["A/raw", "u/*"])


def test_datasets_without_dimensions(butler: Butler) -> None:
    (ref,) = butler.query_datasets("config", "chain")
    assert ref.run == "u/two"
    assert len(butler.query_datasets("config", ["u/one", "u/two"], find_first=False)) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("raw", "nope"), MissingCollectionError, "no collection 'nope'"),
        (("raw", "A/ra"), MissingCollectionError, "did you mean 'A/raw'"),
        (("rawr", "A/raw"), MissingDatasetTypeError, "did you mean 'raw'"),
        (("raw",), NoDefaultCollectionError, "no collections to search"),
        (("raw", 5), InvalidQueryError, "given by name, not as int 5"),
        (("raw", [5]), InvalidQueryError, "given by name, not as list"),
    ],
)
def test_wrong_types_and_collections_are_refused(
    butler: Butler, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        butler.query_datasets(*arguments)


def test_wrong_elements_and_dimensions_are_refused(butler: Butler) -> None:
    with pytest.raises(DimensionNameError, match="did you mean 'detector'"):
        butler.query_dimension_records("detectr")
    with pytest.raises(DimensionNameError, match="'detectr'"):
        butler.query_data_ids(["detectr"])
    with pytest.raises(InvalidQueryError, match="not int"):
        butler.query_data_ids(["detector"], data_id=5)  # type: ignore[arg-type]


def test_a_type_is_searched_in_one_place_only(query: Query) -> None:
    joined = query.join_dataset_search("raw", "tag")
    assert joined.join_dataset_search("raw", "tag").constraint_dataset_types == {"raw"}
    assert joined.datasets("raw", "tag").count() == 2
    for again in (joined.join_dataset_search, joined.datasets):
        with pytest.raises(InvalidQueryError, match="'raw' is searched in other collections already"):
            again("raw", "A/raw")


def test_queries_gather_dimensions_and_searches(query: Query) -> None:
    joined = query.join_dimensions(["visit"]).join_dataset_search("raw", "raws").where(A)
    assert set(joined.constraint_dimensions.names) >= {"visit", "exposure", "detector"}
    assert sorted(d["exposure"] for d in joined.data_ids(["exposure"])) == [1, 2, 3]
    assert not query.constraint_dimensions.names
    with pytest.raises(InvalidQueryError, match="instrument is fixed to 'A' already"):
        joined.where(instrument="B")


# ------------------------------------------------------------------------ defaults


def test_defaults_of_the_butler_are_used(root: str) -> None:
    with Butler.from_config(root, instrument="B") as butler:
        assert exposures(butler.query_data_ids(["exposure"], where="exposure = 1")) == [("B", 1)]
        assert len(butler.query_data_ids(["exposure"], where="instrument != 'B'")) == 6
        assert len(butler.query_data_ids(["exposure"], instrument="A")) == 6
    with Butler.from_config(root, collections="A/raw") as butler:
        assert len(butler.query_datasets("raw", where="exposure = 1")) == 3
    with Butler.from_config(root, collections="raws") as butler:
        assert len(butler.query_datasets("raw")) == 21
        with pytest.raises(InvalidQueryError, match="only for one instrument"):
            butler.query_datasets("raw", where="exposure = 1")
    butler = Butler.from_config(root, collections="A/raw", inferDefaults=False)
    with butler, pytest.raises(InvalidQueryError, match="only for one instrument"):
        butler.query_datasets("raw", where="exposure = 1")


# -------------------------------------------------------------------- calibrations


def biases(butler: Butler, where: str, *path: str, **more: Any) -> dict[int, str]:
    found = butler.query_datasets("bias", list(path), where=where, explain=False, data_id=A, **more)
    assert len({r.dataId["detector"] for r in found}) == len(found)
    return {r.dataId["detector"]: r.run for r in found}


def test_a_calibration_is_the_one_valid_at_the_time(butler: Butler) -> None:
    assert biases(butler, "exposure = 1", "calib") == {0: "calibs/one", 1: "calibs/one"}
    assert biases(butler, "exposure = 3", "calib") == {0: "calibs/two"}
    assert biases(butler, "exposure = 3", "calibs") == {0: "calibs/two", 1: "calibs/one"}
    assert biases(butler, "exposure = 5", "calib") == {0: "calibs/two", 1: "calibs/two"}
    assert biases(butler, "exposure = 1", "calib2", "calib") == {
        0: "calibs/two",
        1: "calibs/one",
        2: "calibs/two",
    }
    assert biases(butler, "bias.timespan OVERLAPS T'2020-01-01T03:30:00/tai'", "calib") == {0: "calibs/two"}


def test_what_is_always_valid_is_so_at_an_unknown_time(butler: Butler) -> None:
    assert biases(butler, "exposure = 6", "calib") == {}
    assert biases(butler, "exposure = 6", "tag", "calib") == {1: "calibs/two"}
    assert biases(butler, "exposure = 6", "calibs") == {0: "calibs/one", 1: "calibs/one"}
    (dark,) = butler.query_datasets("dark", "calib", data_id=A, exposure=6)
    assert dark.dataId["detector"] == 0


@pytest.mark.parametrize("where", ["", "exposure IN (1, 3)", "day_obs = 20200101"])
def test_several_answers_for_one_data_id_are_an_error(butler: Butler, query: Query, where: str) -> None:
    with pytest.raises(
        CalibrationLookupError,
        match=r"2 datasets of type 'bias' are valid for \{instrument: 'A', detector: 0\}",
    ):
        butler.query_datasets("bias", "calib", where=where, data_id=A, order_by="detector")
    results = query.datasets("bias", "calib").where(where, A)
    with pytest.raises(CalibrationLookupError):
        results.count()
    assert results.any()
    assert query.datasets("bias", "calib", find_first=False).where(where, A).count() >= 3


def test_different_answers_at_different_times_are_an_error_wherever_they_are_found(butler: Butler) -> None:
    for exposure, run in ((1, "calibs/two"), (5, "calibs/one")):
        assert biases(butler, f"exposure = {exposure}", "calib2", "calibs/one")[0] == run
    with pytest.raises(CalibrationLookupError):
        butler.query_datasets("bias", ["calib2", "calibs/one"], where="exposure IN (1, 5)", data_id=A)


def test_one_dataset_valid_in_two_ranges_is_one_answer(butler: Butler) -> None:
    assert len(butler.query_datasets("flat", "calib", data_id=A)) == 2
    assert len(butler.query_datasets("camera", "calib", where="exposure > 0", data_id=A)) == 1


def test_exposures_are_told_by_their_calibrations(query: Query) -> None:
    joined = query.join_dataset_search("bias", "calib").join_dataset_search("dark", "calib").where(A)
    found = {(d["exposure"], d["detector"]) for d in joined.data_ids(["exposure", "detector"])}
    assert found == {(e, 0) for e in (1, 3, 4, 5)} | {(2, 0)}
    without = joined.data_ids(["detector"])
    assert [d["detector"] for d in without] == [0]
    flats = query.join_dataset_search("flat", "calib").where(A).data_ids(["exposure", "detector"])
    assert {(d["exposure"], d["detector"]) for d in flats} == {(1, 0), (2, 0), (3, 0)}


def test_empty_calibration_collections_change_nothing(own: Butler) -> None:
    own.registry.registerCollection("none", lakebutler.CollectionType.CALIBRATION)
    assert biases(own, "exposure = 3", "none", "calibs/one") == {0: "calibs/one", 1: "calibs/one"}
    own.registry.decertify("calib", "bias", Timespan(None, None))
    assert biases(own, "exposure = 3", "calib") == {}


# ----------------------------------------------------------------- implied values


def test_datasets_of_a_band_meet_the_filters_of_that_band_only(butler: Butler, query: Query) -> None:
    found = butler.query_datasets("coadd", "coadds", data_id=A, physical_filter="g1")
    assert {r.dataId["band"] for r in found} == {"g"}
    pairs = (
        query.join_dataset_search("coadd", "coadds").where(A).data_ids(["physical_filter", "patch", "band"])
    )
    assert {d["band"] for d in pairs} == {"g", "r"}


def test_exposures_without_a_region_meet_no_patch(butler: Butler) -> None:
    with pytest.raises(EmptyQueryResultError, match=r"regions of .* would have to overlap"):
        butler.query_datasets("coadd", "coadds", data_id=A, exposure=1)


# ------------------------------------------------------------------------- nothing


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (
            lambda b: b.query_datasets("raw", "empty"),
            "no raw datasets in 'empty'; there are some in A/raw, B/raw",
        ),
        (
            lambda b: b.query_datasets("unused", "A/raw"),
            "no unused datasets in 'A/raw'; there are none anywhere",
        ),
        (lambda b: b.query_datasets("raw", []), "no raw datasets in no collection"),
        (
            lambda b: b.query_data_ids("exposure", instrument="Nope"),
            "there is no instrument 'Nope' (known: A, B, Empty)",
        ),
        (
            lambda b: b.query_dimension_records("detector", where="instrument = 'Nope'"),
            "there is no instrument 'Nope'",
        ),
        (
            lambda b: b.query_data_ids("exposure", where="instrument IN ('x', 'y')"),
            "there is no instrument 'x' or 'y'",
        ),
        (lambda b: b.query_data_ids("exposure", instrument="A", exposure=77), "nothing has exposure=77"),
        (lambda b: b.query_data_ids("exposure", instrument="Empty"), "nothing has instrument='Empty'"),
        (
            lambda b: b.query_data_ids("exposure", where="exposure.seq_num > 99"),
            "nothing satisfies: exposure.seq_num > 99",
        ),
        (
            lambda b: b.query_data_ids(
                "exposure", where="exposure = 1 AND exposure.seq_num = 4", instrument="A"
            ),
            "nothing satisfies: exposure = 1 AND exposure.seq_num = 4",
        ),
        (
            lambda b: b.query_data_ids("exposure", where="instrument = 'A' AND exposure = 30"),
            "nothing satisfies: instrument = 'A' AND exposure = 30",
        ),
        (
            lambda b: b.query_data_ids("ssp_hypothesis_table"),
            "nothing is left once ssp_hypothesis_table are joined",
        ),
        (
            lambda b: b.query_datasets("flat", "calib", where="exposure IN (4, 5)", data_id=A),
            "nothing is valid when it would have to be: flat at the time of exposure",
        ),
        (
            lambda b: b.query_data_ids("exposure", instrument="B", exposure=2, where="band = 'r'"),
            "nothing with instrument='B', exposure=2 satisfies: band = 'r'",
        ),
        (
            lambda b: b.query_data_ids("exposure", instrument="A", exposure=1, band="r"),
            "nothing has all of instrument='A', exposure=1, band='r'",
        ),
    ],
)
def test_finding_nothing_is_explained(butler: Butler, ask: Callable[[Butler], Any], reason: str) -> None:
    with pytest.raises(EmptyQueryResultError) as caught:
        ask(butler)
    assert any(reason in line for line in caught.value.reasons), caught.value.reasons


def test_nothing_needs_no_explanation_where_none_is_wanted(butler: Butler, query: Query) -> None:
    assert butler.query_datasets("raw", "empty", explain=False) == []
    assert query.datasets("raw", "raws").explain_no_results() == []
    assert query.datasets("raw", "empty").explain_no_results(execute=False)
    assert query.data_ids(["exposure"]).where("exposure.seq_num > 99").explain_no_results(execute=False) == []


def test_an_explanation_shows_plan_and_sql(query: Query) -> None:
    text = query.datasets("bias", "calibs").where("exposure = 1", A).explain()
    assert "overlap     valid(bias.timespan, exposure.timespan)" in text
    assert "\nQUALIFY rank() OVER" in text
    assert "-- $p1 = 'bias'" in text


def test_a_number_beyond_sixty_four_bits_is_said_so(butler: Butler) -> None:
    with pytest.raises(InvalidQueryError, match="leaves the range of 64-bit integers"):
        butler.query_data_ids(["exposure"], where=f"exposure * {2**63 - 1} > 1 AND instrument = 'A'")


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("exposure / 0 = 1", 0),
        ("NOT (exposure / 0 = 1)", 0),
        ("exposure % 0 = 1", 0),
        ("exposure / 0 = NULL", 9),
        ("exposure / 2 = 1.5", 1),
        ("-7 % 3 = -1", 9),
        ("exposure.exposure_time % 7 > 1.4 AND exposure.exposure_time % 7 < 1.6", 1),
    ],
)
def test_arithmetic(butler: Butler, where: str, count: int) -> None:
    assert (
        len(butler.query_data_ids(["exposure"], where=f"instrument != '' AND {where}", explain=False))
        == count
    )


# ------------------------------------------------------------------------ snapshots


def test_a_query_sees_one_state_of_the_repository(own: Butler) -> None:
    with own.query() as query:
        results = query.datasets("raw", "u/one")
        assert results.count() == 0
        with Butler.from_config(own.root, writeable=True) as other:
            other.registry.insertDatasets(
                "raw", [{"instrument": "A", "exposure": 1, "detector": 0}], run="u/one"
            )
        assert results.count() == 0
        assert query.datasets("raw", "u/one").count() == 0
    assert results.count() == 0
    assert len(own.query_datasets("raw", "u/one")) == 1


def test_a_transaction_is_seen_from_inside(own: Butler) -> None:
    with own.transaction():
        own.registry.insertDatasets("raw", [{"instrument": "A", "exposure": 1, "detector": 0}], run="u/one")
        own.registry.insertDimensionData("detector", {"instrument": "A", "id": 9, "full_name": "nine"})
        assert len(own.query_datasets("raw", "u/one")) == 1
        assert len(own.query_data_ids("detector", where="full_name = 'nine'")) == 1


def test_fields_of_datasets(own: Butler) -> None:
    butler = own
    (ref,) = butler.query_datasets(
        "raw",
        "raws",
        where="raw.dataset_id = :i",
        bind={"i": butler.query_datasets("raw", "B/raw", limit=1)[0].id},
    )
    assert ref.run == "B/raw"
    assert len(butler.query_datasets("raw", "raws", where="ingest_date > T'2020-01-01'")) == 21
    assert butler.query_datasets("raw", "raws", where="ingest_date < T'2020-01-01'", explain=False) == []
    assert len(butler.query_datasets("raw", ["tag", "A/raw"], where="collection = 'tag'")) == 2
    assert len(butler.query_datasets("raw", "raws", where="GLOB(run, 'B/*')")) == 4


def test_a_name_with_quotes_and_wildcards_is_only_a_name(own: Butler) -> None:
    registry = own.registry
    kind = DatasetType("odd", ["instrument"], "StructuredDataDict", universe=own.dimensions)
    registry.registerDatasetType(kind)
    for run in ("it's", 'a"b', "50%", "x*y", "$p1"):
        registry.registerRun(run)
        (ref,) = registry.insertDatasets(
            "odd", [A], run=run, idGenerationMode=DatasetIdGenEnum.DATAID_TYPE_RUN
        )
        assert own.query_datasets("odd", run) == [ref]
        assert own.query_datasets("odd", ["it's", run, "A/raw"], where="odd.run = :r", bind={"r": run}) == [
            ref
        ]
    registry.insertDimensionData("instrument", {"name": "O'Brien \"%", "class_name": "x"})
    assert [
        r.name
        for r in own.query_dimension_records("instrument", where="instrument = :i", bind={"i": "O'Brien \"%"})
    ]
    assert len(own.query_data_ids("instrument", where="GLOB(instrument, '*\"%')")) == 1
    assert own.query_data_ids("instrument", where="GLOB(instrument, '_')", explain=False) == []


def test_times_in_python_bind_as_well(butler: Butler) -> None:
    found = butler.query_data_ids(
        "exposure", where="exposure.timespan OVERLAPS :t", bind={"t": Timespan(time(2.5), time(3.5))}
    )
    assert sorted(exposures(found)) == [("A", 2), ("A", 3)]
    found = butler.query_data_ids("exposure", where="exposure.timespan.begin >= :t", bind={"t": time(30)})
    assert sorted(exposures(found)) == [("A", 5), ("B", 30)]
