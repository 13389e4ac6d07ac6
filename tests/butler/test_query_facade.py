# SPDX-License-Identifier: BSD-3-Clause
"""The asking verbs of the butler, what they say when nothing is found, and SQL."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    Butler,
    CollectionType,
    DatasetRef,
    DimensionNameError,
    EmptyQueryResultError,
    InvalidQueryError,
    MissingCollectionError,
    MissingDatasetTypeError,
    NoDefaultCollectionError,
    Timespan,
)
from tests.butler.world import CAM, DETECTORS, EXPOSURES, Place, check_message, instant, note_id


@pytest.fixture
def notes(butler: Butler) -> list[DatasetRef]:
    """A note for each exposure and each of two detectors."""
    with butler.transaction():
        return [butler.put({"e": e, "d": d}, "note", note_id(e, d)) for e in EXPOSURES for d in (0, 1)]


def ids(refs: list[DatasetRef]) -> list[tuple[Any, Any]]:
    return [(ref.dataId["exposure"], ref.dataId["detector"]) for ref in refs]


def test_datasets_are_found_by_condition_and_order(butler: Butler, notes: list[DatasetRef]) -> None:
    query = butler.query_datasets
    assert set(query("note")) == set(notes)
    assert all(ref.dataId.hasFull() for ref in query("note"))
    assert all(ref.dataId.hasRecords() for ref in query("note", with_dimension_records=True))
    assert ids(query("note", order_by=["-exposure", "detector"])) == [
        (e, d) for e in sorted(EXPOSURES, reverse=True) for d in (0, 1)
    ]
    assert ids(query("note", order_by="exposure.obs_id", detector=1)) == [(101, 1), (102, 1), (201, 1)]
    assert len(query("note", instrument=CAM, exposure=101)) == 2
    assert len(query("note", data_id={"exposure": 101}, detector=0)) == 1
    assert len(query("note", where="exposure > 101 AND detector IN (0, 7)")) == 2
    assert len(query("note", where="exposure = :e", bind={"e": 201})) == 2
    assert len(query("note", where="band = 'r'")) == 4
    assert len(query("note", where="exposure.seq_num = 2 OR detector.full_name = 'R22_S11'")) == 4
    assert len(query("note", where="NOT (physical_filter = 'Cam1-g')")) == 4
    assert len(query(butler.get_dataset_type("note"), ["u/test"])) == 6


def test_a_limit_cuts_and_a_negative_one_warns(butler: Butler, notes: list[DatasetRef]) -> None:
    assert len(butler.query_datasets("note", limit=2)) == 2
    assert butler.query_datasets("note", limit=0) == []
    with pytest.warns(UserWarning, match="more than 4"):
        assert len(butler.query_datasets("note", limit=-4)) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(butler.query_datasets("note", limit=-6)) == 6


def test_the_first_collection_with_a_data_id_wins(butler: Butler, notes: list[DatasetRef]) -> None:
    butler.collections.register("u/better")
    better = butler.put({"better": 1}, "note", note_id(101, 0), run="u/better")
    both = ["u/better", "u/test"]
    assert better in butler.query_datasets("note", both)
    assert notes[0] not in butler.query_datasets("note", both)
    assert len(butler.query_datasets("note", both)) == 6
    assert len(butler.query_datasets("note", both, find_first=False)) == 7
    assert notes[0] in butler.query_datasets("note", both[::-1])
    assert len(butler.query_datasets("note", "u/*", find_first=False)) == 7
    with pytest.raises(InvalidQueryError, match=r"u/\*"):
        butler.query_datasets("note", "u/*")


def test_data_ids_and_records_are_found(butler: Butler) -> None:
    assert len(butler.query_data_ids(["detector"])) == len(DETECTORS)
    assert len(butler.query_data_ids(["exposure", "detector"])) == len(DETECTORS) * len(EXPOSURES)
    assert butler.query_data_ids("exposure", where="seq_num = 2")[0]["exposure"] == 102
    pairs = butler.query_data_ids(["visit", "exposure"], order_by="visit")
    assert [(p["visit"], p["exposure"]) for p in pairs] == [(101, 101), (201, 201)]
    full = butler.query_data_ids(["exposure"], with_dimension_records=True, instrument=CAM, exposure=101)
    assert full[0].records["exposure"].obs_id == "obs-101"
    records = butler.query_dimension_records("detector", order_by="-full_name", limit=2)
    assert [r.full_name for r in records] == ["R30_S00", "R22_S22"]
    records = butler.query_dimension_records("exposure", where="exposure.timespan OVERLAPS (:a, :b)", bind={
        "a": instant("2025-01-01T18:30:00"), "b": instant("2025-01-02T00:00:00")})  # fmt: skip
    assert [r.id for r in records] == [102]
    assert {r.name for r in butler.query_dimension_records("band")} == {"g", "r"}


def test_calibrations_are_found_at_all_times_of_their_validity(butler: Butler) -> None:
    butler.registry.registerCollection("calib", CollectionType.CALIBRATION)
    ref = butler.put({"b": 1}, "bias", instrument=CAM, detector=0)
    butler.registry.certify("calib", [ref], Timespan(None, None))
    assert butler.query_datasets("bias", "calib", find_first=False) == [ref]


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda b: b.query_datasets("nite"), MissingDatasetTypeError, ("nite", "'note'")),
        (lambda b: b.query_datasets("note", "u/tset"), MissingCollectionError, ("u/tset", "'u/test'")),
        (lambda b: b.query_datasets("note", detectr=1), DimensionNameError, ("detectr", "'detector'")),
        (lambda b: b.query_datasets("note", where="detectr = 1"), InvalidQueryError, ("detectr", "detector")),
        (lambda b: b.query_datasets("note", where="detector = "), InvalidQueryError, ("detector",)),
        (lambda b: b.query_datasets("note", where="detector = :d"), InvalidQueryError, ("d",)),
        (lambda b: b.query_datasets("note", order_by="nothing"), InvalidQueryError, ("nothing",)),
        (lambda b: b.query_data_ids(["detectr"]), DimensionNameError, ("detectr", "detector")),
        (lambda b: b.query_dimension_records("detectr"), DimensionNameError, ("detectr", "detector")),
        (lambda b: b.query_dimension_records("htm7"), InvalidQueryError, ("htm7",)),
    ],
)
def test_a_question_that_makes_no_sense_is_explained(
    butler: Butler, notes: list[DatasetRef], ask: Any, error: type[BaseException], words: tuple[str, ...]
) -> None:
    with pytest.raises(error) as caught:
        ask(butler)
    check_message(caught.value, *words)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda b, **k: b.query_datasets("raw", **k), ("raw", "u/test")),
        (lambda b, **k: b.query_datasets("note", instrument="Cam2", **k), ("Cam2", "Cam1")),
        (lambda b, **k: b.query_datasets("note", exposure=777, **k), ("777",)),
        (lambda b, **k: b.query_datasets("note", where="detector > 100", **k), ("detector > 100",)),
        (lambda b, **k: b.query_data_ids(["exposure"], where="exposure = 5", **k), ("exposure = 5",)),
        (lambda b, **k: b.query_dimension_records("tract", **k), ("tract",)),
    ],
)
def test_an_empty_answer_says_why_unless_told_not_to(
    butler: Butler, notes: list[DatasetRef], ask: Any, words: tuple[str, ...]
) -> None:
    assert ask(butler, explain=False) == []
    with pytest.raises(EmptyQueryResultError) as caught:
        ask(butler)
    check_message(caught.value, *words)
    assert caught.value.reasons


def test_without_collections_a_question_for_datasets_is_refused(place: Place, butler: Butler) -> None:
    with place.open() as other, pytest.raises(NoDefaultCollectionError) as caught:
        other.query_datasets("note")
    check_message(caught.value, "collections")


# -------------------------------------------------------------------------- SQL


def test_sql_reads_views_of_a_persons_names(butler: Butler, notes: list[DatasetRef]) -> None:
    def sql(*asked: Any) -> Any:
        return butler.sql(*asked).to_arrow_table()

    assert sql("SELECT count(*) AS n FROM note WHERE detector = ?", [1]).to_pylist() == [{"n": 3}]
    rows = sql("SELECT exposure, id FROM note WHERE detector = $d ORDER BY exposure", {"d": 0}).to_pylist()
    assert [row["exposure"] for row in rows] == [101, 102, 201]
    assert {row["id"] for row in rows} == {ref.id for ref in notes if ref.dataId["detector"] == 0}
    joined = sql(
        "SELECT e.physical_filter AS f, count(*) AS n FROM note "
        "JOIN exposure e USING (instrument, exposure) GROUP BY 1 ORDER BY 1"
    )
    assert joined.to_pylist() == [{"f": "Cam1-g", "n": 2}, {"f": "Cam1-r", "n": 4}]
    one = sql("SELECT exposure FROM note WHERE id = ?", [notes[2].id]).to_pylist()
    assert one == [{"exposure": 102}]
    twice = sql("SELECT count(*) AS n FROM note a JOIN note b USING (id)").to_pylist()
    assert twice == [{"n": 6}]
    names = sql("SELECT name FROM collection").column("name").to_pylist()
    assert "u/test" in names
    assert "note" in sql("SELECT name FROM dataset_type").column("name").to_pylist()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM nothing",
        "SELEC 1",
        "",
        "SELECT 1; SELECT 2",
        "DROP VIEW note",
        "CREATE TABLE x AS SELECT 1",
        "INSERT INTO note SELECT * FROM note",
        "COPY note TO '/tmp/lakebutler-stolen.csv'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "PRAGMA enable_profiling",
    ],
)
def test_sql_only_reads_the_repository(
    place: Place, butler: Butler, notes: list[DatasetRef], statement: str
) -> None:
    before = place.tree()
    with pytest.raises(InvalidQueryError) as caught:
        butler.sql(statement)
    check_message(caught.value)
    assert place.tree() == before


# ------------------------------------------------------------------ query objects


def test_a_query_object_sees_one_snapshot(butler: Butler, notes: list[DatasetRef]) -> None:
    with butler.query() as query:
        results = query.datasets("note", "u/test").where("detector = 0").order_by("exposure")
        assert results.count() == 3
        butler.put({}, "note", note_id(101, 3))
        assert query.datasets("note", "u/test").count() == 6
        assert results.any()
        assert [ref.dataId["exposure"] for ref in results.limit(2)] == [101, 102]
        assert query.data_ids(["detector"]).count() == len(DETECTORS)
        assert query.dimension_records("exposure").count() == len(EXPOSURES)
    with butler.query() as query:
        assert query.datasets("note", "u/test").count() == 7


def test_sql_gives_a_relation_of_its_snapshot_that_cannot_write(
    place: Place, butler: Butler, notes: list[DatasetRef], tmp_path: Path
) -> None:
    import duckdb

    relation = butler.sql("SELECT detector, exposure FROM note WHERE detector < $d", {"d": 3})
    counts = relation.aggregate("detector, count(*) AS n", "detector").order("detector")
    before = counts.fetchall()
    butler.put({}, "note", note_id(101, 2))
    gc.collect()
    assert counts.fetchall() == before == [(0, 3), (1, 3)]
    assert butler.sql("FROM note WHERE detector = 2").to_arrow_table().num_rows == 1
    tree = place.tree()
    for statement in (
        f"COPY rows TO '{tmp_path}/stolen.csv'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ):
        with pytest.raises(duckdb.Error):
            relation.query("rows", statement)
    with pytest.raises(duckdb.Error):
        relation.write_parquet(str(tmp_path / "stolen.parquet"))
    assert place.tree() == tree
    assert not list(tmp_path.glob("stolen*"))
