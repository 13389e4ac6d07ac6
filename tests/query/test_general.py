# SPDX-License-Identifier: BSD-3-Clause
"""Fields side by side, data IDs given, queries run in two steps, and results as columns."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from lakebutler import Butler, DataCoordinate
from lakebutler.errors import InvalidQueryError, MissingDatasetTypeError
from lakebutler.timespan import Timespan
from tests.query.conftest import by_duckdb

A = "instrument = 'A'"


def both(ask: Any) -> list[Any]:
    """Answer here, and by DuckDB; they must agree."""
    found = ask()
    with by_duckdb():
        again = ask()
    assert sorted(map(repr, found)) == sorted(map(repr, again))
    return list(found)


def test_fields_of_dimensions_stand_beside_the_data_id(butler: Butler) -> None:
    with butler.query() as query:
        results = query.where(A).general(["exposure"], "exposure.seq_num", "exposure.timespan", "visit.name")
        rows = both(lambda: list(results))
        named = query.where(A).general(["exposure"], dimension_fields={"exposure": {"seq_num"}})
        assert named.count() == len(butler.query_data_ids("exposure", where=A))
    records = {r.id: r for r in butler.query_dimension_records("exposure", where=A)}
    assert rows
    for row in rows:
        record = records[row["exposure"]]
        assert row["exposure.seq_num"] == record.seq_num
        assert row["exposure.timespan"] == record.timespan
        assert row["visit.name"].startswith("A-")
        assert row["physical_filter"] == record.physical_filter


def test_fields_of_datasets_make_references(butler: Butler) -> None:
    raw = butler.get_dataset_type("raw")
    with butler.query() as query:
        joined = query.join_dataset_search("raw", "raws").where(A)
        results = joined.general(["detector"], dataset_fields={"raw": ...})
        rows = both(lambda: list(results))
        refs = [ref for row in results.iter_tuples(raw) for ref in row.refs]
        assert set(refs) == set(query.datasets("raw", "raws").where(A))
        assert {row["raw.dataset_id"] for row in rows} == {ref.id for ref in refs}
        with pytest.raises(InvalidQueryError, match=r"raw.run is not among the fields"):
            list(joined.general(["detector"], "raw.dataset_id").iter_tuples(raw))
        with pytest.raises(MissingDatasetTypeError, match="no search for 'raw'"):
            query.general(["detector"], "raw.run")


def test_calibrations_of_exposures_are_rows(butler: Butler) -> None:
    with butler.query() as query:
        joined = query.join_dataset_search("bias", "calib").where(A)
        results = joined.general(
            ["exposure", "detector"], dataset_fields={"bias": {"dataset_id", "timespan"}}, find_first=False
        )
        rows = both(lambda: list(results))
        pairs = {(d["exposure"], d["detector"]) for d in joined.data_ids(["exposure", "detector"])}
    assert {(row["exposure"], row["detector"]) for row in rows} == pairs
    assert all(isinstance(row["bias.timespan"], Timespan) for row in rows)
    assert all(isinstance(row["bias.dataset_id"], uuid.UUID) for row in rows)
    spans = {r.id: r.timespan for r in butler.query_dimension_records("exposure", where=A)}
    assert all(
        row["bias.timespan"].overlaps(spans[row["exposure"]]) for row in rows if spans[row["exposure"]]
    )


def test_data_ids_that_are_given_narrow_a_query(butler: Butler) -> None:
    some = butler.query_data_ids(["exposure", "detector"], where=f"{A} AND exposure < 3")[:4]
    with butler.query() as query:
        joined = query.join_data_coordinates(some)
        assert set(both(lambda: list(joined.data_ids(["exposure", "detector"])))) == set(some)
        assert set(joined.data_ids(["exposure"])) == {d.subset(["exposure"]) for d in some}
        found = both(lambda: list(joined.datasets("raw", "raws")))
        assert {ref.dataId for ref in found} <= set(some)
        every = query.join_data_coordinates([DataCoordinate.make_empty(butler.dimensions)])
        assert every.data_ids(["detector"]).count() == len(butler.query_data_ids("detector"))
        table = query.data_ids(["exposure", "detector"]).where(A).to_table()
        again = query.join_data_coordinate_table(table).data_ids(["exposure", "detector"])
        assert again.count() == len(table)
        with pytest.raises(InvalidQueryError, match="no data ID to join"):
            query.join_data_coordinates([])
        with pytest.raises(InvalidQueryError, match="cannot be joined together"):
            query.join_data_coordinates([some[0], some[0].subset(["detector"])])


def test_a_query_goes_on_from_what_it_found(butler: Butler) -> None:
    with butler.query() as query:
        asked = query.join_dataset_search("raw", "raws").where(A, "exposure > 1 AND raw.run = 'A/raw'")
        kept = asked.materialize()
        assert set(kept.datasets("raw", "raws")) == set(asked.datasets("raw", "raws"))
        assert set(kept.data_ids(["exposure"])) == set(asked.data_ids(["exposure"]))
        bare = asked.materialize(dimensions=["exposure"], datasets=())
        assert bare.constraint_dataset_types == frozenset()
        assert set(bare.data_ids(["exposure"])) == set(asked.data_ids(["exposure"]))
        assert bare.any()
        assert not asked.where("exposure = 999").materialize().any()
        assert query.where("instrument = 'Z'").join_dimensions(["detector"]).explain_no_results()
        with pytest.raises(InvalidQueryError, match="no search for 'bias'"):
            query.materialize(datasets=["bias"])


def test_results_are_columns_for_each_kind_of_table(butler: Butler) -> None:
    with butler.query() as query:
        results = query.datasets("raw", "raws").where(A).order_by("exposure", "detector")
        refs = list(results)
        arrow, frame, other, table = (
            results.to_arrow(),
            results.to_pandas(),
            results.to_polars(),
            results.to_table(),
        )
        records = query.dimension_records("exposure").where(A).order_by("exposure").to_table()
    ids = [str(ref.id) for ref in refs]
    assert [
        str(uuid.UUID(bytes=v.bytes) if not isinstance(v, uuid.UUID) else v) for v in arrow["id"].to_pylist()
    ] == ids
    assert frame["id"].tolist() == other["id"].to_list() == table["id"].tolist() == ids
    assert (
        frame["exposure"].tolist() == [ref.dataId["exposure"] for ref in refs] == table["exposure"].tolist()
    )
    assert table["run"].tolist() == [ref.run for ref in refs]
    assert len(records) == len(butler.query_data_ids("exposure", where=A))
    assert np.ma.is_masked(records["timespan_begin"])


@pytest.mark.parametrize("duckdb", [False, True])
def test_rows_with_any_fields_are_columns_too(butler: Butler, duckdb: bool) -> None:
    with by_duckdb() if duckdb else pytest.MonkeyPatch.context(), butler.query() as query:
        asked = query.where(A).general(["exposure"], "exposure.seq_num", "exposure.obs_id", find_first=False)
        rows = sorted((row["exposure"], row["exposure.seq_num"], row["exposure.obs_id"]) for row in asked)
        wanted = ["exposure", "exposure.seq_num", "exposure.obs_id"]
        frame = asked.to_pandas()
        assert sorted(zip(*(frame[name].tolist() for name in wanted), strict=True)) == rows
        assert sorted(asked.to_polars().select(wanted).rows()) == rows
        assert set(wanted) <= set(asked.to_table().colnames)
        nothing = query.where(A, exposure=999).general(["exposure"], "exposure.obs_id", find_first=False)
        assert nothing.to_arrow().num_rows == 0
        assert "exposure.obs_id" in nothing.to_arrow().column_names


@pytest.mark.parametrize("duckdb", [False, True])
def test_integers_beside_missing_ones_are_not_rounded(butler: Butler, duckdb: bool) -> None:
    with by_duckdb() if duckdb else pytest.MonkeyPatch.context(), butler.query() as query:
        records = query.dimension_records("exposure").where(A)
        wanted = records.to_arrow()["timespan_begin"].to_pylist()
        assert None in wanted
        frame = records.to_pandas()
    assert [None if value != value else value for value in map(plain, frame["timespan_begin"])] == wanted
    assert frame["exposure"].dtype == np.int64


def plain(value: Any) -> Any:
    """Give the missing value of pandas as one that is not itself."""
    return value if isinstance(value, int | np.integer) else float("nan")


def test_a_result_of_nothing_is_a_table_of_no_rows(butler: Butler) -> None:
    with butler.query() as query:
        results = query.datasets("raw", "raws").where(A, exposure=999)
        for duckdb in (False, True):
            with by_duckdb() if duckdb else pytest.MonkeyPatch.context():
                assert len(results.to_table()) == len(results.to_pandas()) == 0
                assert results.to_table().colnames == list(results.to_arrow().column_names)


@pytest.mark.parametrize("duckdb", [False, True])
def test_values_can_be_those_of_datasets(butler: Butler, duckdb: bool) -> None:
    calexps = {r.dataId["visit"] for r in butler.query_datasets("calexp", "chain", where=A)}
    with by_duckdb() if duckdb else pytest.MonkeyPatch.context(), butler.query() as query:

        def visits(where: str, **binds: Any) -> set[Any]:
            with butler.query() as fresh:
                found = fresh.data_ids(["visit"]).where(A, where, bind=binds)
                return {d["visit"] for d in found}

        every = visits("visit > 0")
        inside = visits("visit IN (SELECT visit FROM calexp)")
        assert inside >= calexps
        assert visits("visit NOT IN (SELECT visit FROM calexp)") == every - inside
        some = visits(f"visit in (select visit from calexp where ({A}) AND (visit > :low))", low=min(inside))
        assert some == {v for v in inside if v > min(inside)}
        raws = butler.query_datasets("raw", "raws", where=f"{A} AND exposure = 1")
        again = query.datasets("raw", "raws").where(
            f"raw.dataset_id IN (SELECT dataset_id FROM raw WHERE {A} AND exposure = 1)"
        )
        assert set(again) == set(raws)
    for where, message in [
        ("visit IN (SELECT detector FROM", "unexpected 'FROM'"),
        ("visit IN (SELECT nothing FROM calexp)", "no dimension 'nothing'"),
        ("visit IN (SELECT visit FROM calexq)", r"(?s)inner query: .*'calexq'.*\n +\^"),
        ("visit IN (SELECT visit FROM calexp WHERE visit > 'a')", "in the inner query: cannot compare"),
        ("visit IN (SELECT run FROM raw)", "cannot compare"),
    ]:
        with pytest.raises(InvalidQueryError, match=message):
            butler.query_data_ids("visit", where=f"{A} AND {where}", explain=False)


def test_a_limit_is_a_whole_number(butler: Butler) -> None:
    with butler.query() as query:
        results = query.where(A).data_ids(["exposure"])
        for wrong in (2.5, "2"):
            with pytest.raises(InvalidQueryError, match=f"a limit is a whole number, not .* {wrong!r}"):
                results.limit(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("duckdb", [False, True])
def test_a_new_order_replaces_the_old_one(butler: Butler, duckdb: bool) -> None:
    with butler.query() as query:
        kinds: list[Any] = [
            query.where(A).data_ids(["exposure"]),
            query.where(A).dimension_records("exposure"),
            query.where(A, detector=0).datasets("raw", "raws"),
            query.where(A).general(["exposure"], "exposure.exposure_time"),
        ]
    with by_duckdb() if duckdb else pytest.MonkeyPatch.context():
        for results in kinds:
            rising, falling = list(results.order_by("exposure")), list(results.order_by("-exposure"))
            assert len(rising) > 1
            assert rising != falling
            assert list(results.order_by("-exposure").order_by("exposure")) == rising
            assert list(results.order_by("-exposure").order_by().order_by("exposure")) == rising
            assert "order by" not in str(results.order_by("-exposure").order_by().plan())
