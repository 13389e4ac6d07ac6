# SPDX-License-Identifier: BSD-3-Clause
"""DuckDB over a snapshot: right at each, and closed to everything else."""

from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from lakebutler.errors import InvalidQueryError, RepositoryCorruptError
from lakebutler.lake import engine
from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from tests.lake.helpers import DATASET, NAME, SMALL, add, bulk, commit, fresh, reopened, row


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = fresh(tmp_path / "repo", DATASET, SMALL)
    commit(made, lambda c: c.append_table(NAME, bulk([row(v) for v in range(1500)])))
    add(made, [row(5000)])
    add(made, [("a", 1), ("b", None)], "small")
    return made


def count(snapshot: object, where: str = "TRUE", *params: object) -> int:
    table = engine.query(snapshot, f"SELECT count(*) FROM {NAME} WHERE {where}", list(params))  # type: ignore[arg-type]
    return int(table.column(0)[0].as_py())


def test_each_snapshot_has_its_own_rows(lake: Lake) -> None:
    before = lake.snapshot()
    commit(lake, lambda c: c.delete(NAME, ("visit",), [(3,), (5000,)]))
    after = lake.snapshot()
    change = Change()
    change.append_rows(NAME, [row(6000)])
    change.append_table(NAME, bulk([row(v) for v in range(7000, 7010)]))
    change.delete(NAME, ("visit",), [(4,)])
    inside = after.apply(change)
    assert [count(s) for s in (before, after, inside, before)] == [1501, 1499, 1509, 1501]
    assert [count(s, "visit = ?", 4) for s in (before, after, inside)] == [1, 1, 0]
    assert count(lake.as_of(1)) == 1500
    assert count(lake.as_of(0)) == 0


def test_types_are_those_of_the_tables(lake: Lake) -> None:
    table = engine.query(lake.snapshot(), f"SELECT * FROM {NAME} WHERE visit IN (7, 5000) ORDER BY visit")
    assert table.schema.field("id").type == pa.uuid()
    assert table.schema.field("ingest_date").type == pa.timestamp("us")  # UTC, as in views.sql
    place = table.column_names.index("ingest_date")
    expected = [(*r[:place], r[place].replace(tzinfo=None), *r[place + 1 :]) for r in (row(7), row(5000))]
    assert [tuple(r.values()) for r in table.to_pylist()] == expected
    assert count(lake.snapshot(), "id = ?", row(7)[6]) == 1


def test_more_tables_and_views_can_be_named_for_one_query(lake: Lake) -> None:
    more = pa.table({"visit": [3, 4, 99999]})
    sql = "SELECT count(*) AS n FROM part JOIN keys USING (visit)"
    view = {"part": f"SELECT visit FROM {NAME}"}
    for _ in range(2):
        found = engine.query(lake.snapshot(), sql, tables={"keys": more}, views=view)
        assert found.to_pylist() == [{"n": 2}]
    with pytest.raises(InvalidQueryError, match=r"keys|part"):
        engine.query(lake.snapshot(), sql)


def test_the_catalogue_can_be_asked(lake: Lake) -> None:
    names = engine.query(lake.snapshot(), "SHOW TABLES").column(0).to_pylist()
    assert {NAME, "small"} <= set(names)
    columns = engine.query(lake.snapshot(), f"DESCRIBE {NAME}").column(0).to_pylist()
    assert columns == list(DATASET.names)


ESCAPES = [
    "SELECT * FROM '{outside}'",
    "SELECT * FROM read_csv('{outside}')",
    "SELECT * FROM read_text('{outside}')",
    "SELECT * FROM read_blob('{repo}/../{name}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_parquet('{folder}/*.parquet')",
    "SELECT * FROM read_text('{repo}/registry/format.json')",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{file}' (FORMAT parquet)",
    "COPY (SELECT 1) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
    "EXPLAIN  COPY (SELECT 1) TO '{file}'",
    "/* x */ EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
    "--explain\nEXPLAIN ANALYZE COPY (SELECT '\nSELECT 1 --') TO '{file}' (FORMAT csv, USE_TMP_FILE false)",
    "/**/--explain\nEXPLAIN ANALYZE COPY (SELECT '\nSELECT 1 --') TO '.tmp/x.csv' (FORMAT csv)",
    "EXPLAIN ANALYZE/**/COPY (SELECT 1) TO '{file}' (FORMAT csv, USE_TMP_FILE false)",
    "SELECT * FROM glob('.tmp/*')",
    "SELECT * FROM read_text('.tmp/x')",
    "SELECT 1; COPY (SELECT 1) TO '{file}'",
    "ATTACH '{folder}/new.db'",
    "ATTACH '{file}' AS x",
    "EXPORT DATABASE '{folder}/out'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM read_csv('http://127.0.0.1:1/x')",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "PRAGMA enable_profiling",
    "CREATE TABLE t AS SELECT 1",
    "CREATE VIEW v AS SELECT * FROM '{outside}'",
    "DROP VIEW small",
    "CALL pragma_version()",
    "SELECT * FROM variable_of_python",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{file}''')",
    "",
    "SELEC",
]


@pytest.mark.parametrize("escape", ESCAPES)
def test_nothing_else_can_be_reached(lake: Lake, tmp_path: Path, escape: str) -> None:
    outside = tmp_path / "secret.csv"
    outside.write_text("a,b\n1,2\n")
    (tmp_path / "other.parquet").write_bytes(b"")
    variable_of_python = pa.table({"x": [1]})
    assert variable_of_python.num_rows == 1
    repo = tmp_path / "repo"
    file = max((repo / "registry/data" / NAME).iterdir(), key=lambda p: p.stat().st_size)
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in tmp_path.rglob("*")}
    sql = escape.format(outside=outside, name=outside.name, folder=tmp_path, repo=repo, file=file)
    snapshot = lake.snapshot()
    if "FROM" in escape or "COPY" in escape:  # so that the table's files are ones that may be read
        engine.query(snapshot, f"SELECT count(*) FROM {NAME}")
    with pytest.raises(InvalidQueryError) as caught:
        engine.query(snapshot, sql)
    assert len(str(caught.value).splitlines()) <= 2
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in tmp_path.rglob("*")} == before
    assert count(reopened(repo).snapshot()) == 1501


def test_a_symlink_in_the_repository_leads_nowhere(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (tmp_path / "repo/registry/data/link.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(InvalidQueryError):
        engine.query(lake.snapshot(), f"SELECT * FROM '{tmp_path}/repo/registry/data/link.csv', {NAME}")


def test_a_hostile_name_of_a_view_stays_a_name(lake: Lake) -> None:
    name = 'x"; DROP VIEW small; --'
    found = engine.query(lake.snapshot(), "SELECT count(*) AS n FROM small", views={name: "SELECT 1"})
    assert found.to_pylist() == [{"n": 2}]


def test_explain_tells_the_plan(lake: Lake) -> None:
    text = str(engine.query(lake.snapshot(), f"EXPLAIN SELECT count(*) FROM {NAME}").to_pylist())
    assert "SCAN" in text.upper()
    text = str(engine.query(lake.snapshot(), f"explain analyze SELECT count(*) FROM {NAME}").to_pylist())
    assert text


def test_a_damaged_file_is_found_before_the_engine_sees_it(lake: Lake, tmp_path: Path) -> None:
    file = max((tmp_path / "repo/registry/data" / NAME).iterdir(), key=lambda p: p.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    os.unlink(file)
    file.write_bytes(data)
    with pytest.raises(RepositoryCorruptError, match=file.name):
        count(reopened(tmp_path / "repo").snapshot())


def test_threads_may_ask_at_once(lake: Lake) -> None:
    problems: list[object] = []

    def ask(number: int) -> None:
        for step in range(5):
            found = count(lake.snapshot(), "visit >= ?", number * 10 + step)
            if found != 1501 - (number * 10 + step):
                problems.append((number, step, found))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


def test_a_forked_process_asks_on_connections_of_its_own(lake: Lake) -> None:
    """Those of its parent have threads that it does not."""
    snapshot = lake.snapshot()
    everyone = count(snapshot)
    engine.run(snapshot, "SELECT count(*) FROM range(1000000)", {})
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [
        context.Process(target=lambda: queue.put((count(snapshot), snapshot.scan(NAME).num_rows)))
        for _ in range(2)
    ]
    for child in children:
        child.start()
    assert [queue.get(timeout=60) for _ in children] == [(everyone, everyone)] * 2
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    assert count(snapshot) == everyone
