# SPDX-License-Identifier: BSD-3-Clause
"""Plans as SQL: names quoted, values bound."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.query.expression_sql import quote
from lakebutler.query.sql import any_sql, count_sql, select_sql
from lakebutler.registry.schema import dataset_layout, dimension_table
from tests.query.expressions import Term, conditions
from tests.query.planning import DIMENSIONS, UNIVERSE, datasets, plan, search

TABLES = [
    *(dimension_table(e.name) for e in UNIVERSE.elements if e.has_own_table),
    *(dataset_layout(UNIVERSE.conform(names)).table for names in DIMENSIONS.values()),
]


def check(sql: str, wanted: str) -> None:
    assert sql == textwrap.dedent(wanted).strip()


def test_records_are_selected_from_their_table() -> None:
    found = select_sql(plan(["detector"], element="detector"), TABLES)
    check(
        found.sql,
        """
        SELECT "detector"."instrument" AS "instrument", "detector"."detector" AS "detector", \
"detector"."full_name" AS "full_name", "detector"."name_in_raft" AS "name_in_raft", \
"detector"."raft" AS "raft", "detector"."purpose" AS "purpose"
        FROM "dimension_detector" AS "detector"
        """,
    )
    assert found.parameters == {}


def test_conditions_bind_their_values_each_once() -> None:
    where = "(exposure IN (1, 5..9:2) OR exposure.exposure_time / 2 > 1.5) AND GLOB(group, 'A*_')"
    where = f"instrument = 'A' AND {where}"
    found = select_sql(plan(["exposure"], where, element="exposure"), TABLES)
    check(
        found.sql.split("WHERE ")[1],
        """
        (("exposure"."instrument" = CAST($p1 AS VARCHAR)) AND \
((("exposure"."exposure" BETWEEN CAST($p2 AS BIGINT) AND CAST($p3 AS BIGINT) AND \
(CAST("exposure"."exposure" AS HUGEINT) - CAST($p2 AS BIGINT)) % CAST($p4 AS BIGINT) = 0) OR \
"exposure"."exposure" IN (CAST($p5 AS BIGINT))) OR \
(nullif(("exposure"."exposure_time" / nullif(CAST($p4 AS BIGINT), 0)), CAST('NaN' AS DOUBLE)) > \
CAST($p6 AS DOUBLE))) AND \
("exposure"."group" LIKE CAST($p7 AS VARCHAR) ESCAPE '^'))
        """,
    )
    assert found.parameters == {"p1": "A", "p2": 5, "p3": 9, "p4": 2, "p5": 1, "p6": 1.5, "p7": "A%^_"}


def test_a_long_list_is_one_parameter() -> None:
    found = select_sql(
        plan(["exposure"], "instrument = 'A' AND exposure IN (:v)", bind={"v": range(5000)}), TABLES
    )
    assert "IN (SELECT unnest(CAST($p2 AS BIGINT[])))" in found.sql
    assert found.parameters["p2"] == list(range(5000))
    found = select_sql(datasets(search("raw", *(f"run{i}" for i in range(50)), result=True)), TABLES)
    assert "collection IN (SELECT unnest(CAST($p2 AS VARCHAR[])))" in found.sql


def test_implied_values_are_followed_from_table_to_table() -> None:
    check(
        select_sql(plan(["exposure"]), TABLES).sql.split("FROM ", 1)[1],
        """
        "dimension_exposure" AS "exposure"
        JOIN "dimension_physical_filter" AS "physical_filter" ON \
"exposure"."instrument" = "physical_filter"."instrument" AND \
"exposure"."physical_filter" = "physical_filter"."physical_filter"
        """,
    )


def test_an_implied_value_that_something_else_has_is_made_equal() -> None:
    sql = select_sql(
        datasets(search("coadd", "run", result=True), "", search("raw", "run")), TABLES, extra=("id",)
    ).sql
    (line,) = [line for line in sql.splitlines() if '"dimension_physical_filter"' in line]
    assert line.endswith(' AND d0."band" = "physical_filter"."band"')


def test_the_first_dataset_is_chosen_inside_the_search_if_nothing_depends_on_it() -> None:
    sql = select_sql(datasets(search("raw", "a", "b", result=True)), TABLES, extra=("id", "run")).sql
    (rank,) = re.findall(r"QUALIFY .*", sql)
    assert rank.startswith('QUALIFY rank() OVER (PARTITION BY "instrument", "detector", "exposure" ORDER BY')
    sql = select_sql(datasets(search("raw", "a", "b", result=True), "raw.run = 'b'"), TABLES).sql
    assert sql.index("WHERE (d0.run") < sql.index('QUALIFY rank() OVER (PARTITION BY d0."instrument"')


def test_a_search_that_only_has_to_exist_gives_each_data_id_once() -> None:
    sql = select_sql(plan(["detector"], "", search("bias", "calib")), TABLES).sql
    assert 'FROM (SELECT DISTINCT "instrument", "detector" FROM "dataset_instrument_detector"' in sql


def test_distinct_records_are_told_apart_by_their_keys_alone() -> None:
    found = plan(
        ["visit"],
        "instrument = 'A' AND detector > 3",
        search("calexp", "run"),
        element="visit",
        order_by=("-calexp.ingest_date", "visit"),
    )
    sql = select_sql(found, TABLES).sql
    assert 'GROUP BY "instrument", "visit"\n) AS k JOIN "dimension_visit" AS e ON' in sql
    assert sql.endswith("ORDER BY k.order_0 DESC NULLS LAST, k.order_1 ASC NULLS LAST")
    assert "max(order_0) AS order_0, min(order_1) AS order_1" in sql


def test_tables_that_do_not_exist_yet_are_empty() -> None:
    assert select_sql(plan(["exposure"]), []).sql.count("WHERE false") == 2
    assert "WHERE false" in select_sql(datasets(search("raw", "run", result=True)), [], extra=("id",)).sql
    assert "WHERE false" in select_sql(datasets(search("raw", result=True)), TABLES, extra=("id",)).sql
    assert "WHERE false" in select_sql(plan(["band"]), []).sql


def test_counting_and_asking_for_any_row_leave_the_order_out() -> None:
    found = datasets(search("raw", "run", result=True), order_by=("-exposure",), limit=3)
    counted = count_sql(found, TABLES).sql
    assert counted.startswith("SELECT count(*) FROM (")
    assert "ORDER BY" not in counted
    assert "LIMIT 3" in counted
    assert any_sql(found, TABLES).sql.endswith("LIMIT 1")
    times = count_sql(datasets(search("bias", "calib", result=True)), TABLES).sql
    assert times.startswith("SELECT count(*), max(answers) FROM (")


@given(st.text())
def test_quoted_names_cannot_be_left(name: str) -> None:
    quoted = quote(name)
    assert quoted[0] == quoted[-1] == '"'
    assert quoted[1:-1].replace('""', "") == name.replace('"', "")


HOSTILE = ["'; DROP TABLE x; --", '"', "''", "$p1", "?", "\\", "%s", "{0}"]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "text", ["band = :v", "band IN (:v, :w)", "band LIKE :v", "GLOB(band, :v)", "band IN (:many)"]
)
def test_values_never_stand_in_the_sql(text: str, value: str) -> None:
    def sql(word: str) -> str:
        binds: dict[str, Any] = {"v": word, "w": f"{word}!", "many": [word] * 30}
        searched = search("raw", f"collection {word}")
        found = plan(["exposure"], text, searched, bind=binds, data_id={"instrument": f"instrument {word}"})
        return select_sql(found, TABLES).sql

    assert sql(value) == sql("harmless")


@given(conditions)
def test_every_parameter_is_used_and_every_column_exists(term: Term) -> None:
    found = select_sql(plan(["exposure"], f"instrument != '' AND ({term.text})", bind=term.binds), TABLES)
    assert set(re.findall(r"\$(p\d+)", found.sql)) == set(found.parameters)
