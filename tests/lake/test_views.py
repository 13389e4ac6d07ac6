# SPDX-License-Identifier: BSD-3-Clause
"""``views.sql`` gives plain DuckDB the same rows as the lake gives us."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakebutler.errors import StorageError
from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.naming import VIEWS
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.storage import open_storage
from lakebutler.lake.views import View
from tests.lake.helpers import DATASET, NAME, SMALL, add, bulk, commit, everything, fresh, reopened, row

BARE = """
import sys, json
sys.modules["lakebutler"] = None  # it cannot be imported
import duckdb
connection = duckdb.connect()
setup, query = json.loads(sys.argv[1])
for statement in setup:
    connection.execute(statement)
connection.execute(open(sys.argv[2]).read())
print(json.dumps(connection.sql(query).fetchall(), default=str))
assert not [name for name in sys.modules if name.startswith(("lakebutler.", "pyarrow"))]
"""
COLUMNS = (
    "dataset_type, collection, visit, detector, valid_begin, id, epoch_us(ingest_date), path, size, "
    "quality, good, hex(hash)"
)


def plain(root: Path, query: str, *, cwd: Path | None = None, setup: tuple[str, ...] = ()) -> list[list[Any]]:
    """Ask plain DuckDB, in a process that cannot import us."""
    command = [sys.executable, "-c", BARE, json.dumps([setup, query]), str(root / VIEWS)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=cwd or root)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def ours(snapshot: Snapshot) -> list[list[Any]]:
    """Return what plain DuckDB should say."""
    out = []
    for r in everything(snapshot):
        microseconds = round(r[7].timestamp() * 1e6)
        out.append([r[0], r[1], *r[3:6], str(r[6]), microseconds, *r[8:12], r[12].hex().upper()])
    return sorted(out, key=repr)


def theirs(root: Path, **how: Any) -> list[list[Any]]:
    return sorted(plain(root, f"SELECT {COLUMNS} FROM {NAME}", **how), key=repr)


def test_plain_duckdb_sees_every_state(tmp_path: Path) -> None:
    lake = fresh(tmp_path, DATASET, SMALL)
    lake.close()
    assert theirs(tmp_path) == []
    add(lake, [row(1), row(2, begin=5)])
    assert theirs(tmp_path) == ours(lake.snapshot())
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v, run="it's") for v in range(100, 1300)])))
    assert theirs(tmp_path) == ours(lake.snapshot())

    def fill(change: Change) -> None:
        change.delete(NAME, ("id",), [(row(1)[6],), (row(101, run="it's")[6],)])
        change.delete(NAME, ("collection", "visit", "valid_begin"), [("it's", 105, None), ("run", 2, None)])
        change.append_rows(NAME, [row(1)])

    commit(lake, fill)
    assert theirs(tmp_path) == ours(lake.snapshot())
    commit(lake, lambda c: c.delete(NAME, ("visit",), [(v,) for v in range(200, 1250)]))
    assert theirs(tmp_path) == ours(lake.snapshot())
    lake.checkpoint()
    assert theirs(tmp_path) == ours(lake.snapshot())
    add(lake, [row(7), row(300, run="it's")])
    assert theirs(tmp_path) == ours(lake.snapshot())
    lake.compact(everything=True)
    assert theirs(tmp_path) == ours(lake.snapshot())
    commit(lake, lambda c: c.delete(NAME, ("dataset_type", "collection"), [("raw", "run")]))
    lake.checkpoint()
    assert theirs(tmp_path) == ours(lake.snapshot())
    assert len(theirs(tmp_path)) > 50
    assert plain(tmp_path, "SELECT count(*) FROM small") == [[0]]


def test_it_can_be_run_from_elsewhere(tmp_path: Path) -> None:
    lake = fresh(tmp_path / "repo")
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(1200)])))
    commit(lake, lambda c: c.delete(NAME, ("visit",), [(3,)]))
    lake.close()
    setup = (f"SET file_search_path = '{tmp_path / 'repo'}'",)
    assert theirs(tmp_path / "repo", cwd=tmp_path, setup=setup) == ours(lake.snapshot())


def named(snapshot: Snapshot) -> list[View]:
    views = [
        View(
            "collection",
            "SELECT name, value->>'type' AS type FROM lake_state WHERE kind = 'collection'",
            "all\nof them",
        )
    ]
    for name in snapshot.state("dataset_type"):
        views.append(View(name, f"SELECT visit, detector FROM {NAME} WHERE dataset_type = '{name}'"))
    return views


def test_views_are_named_as_the_layer_above_calls_them(tmp_path: Path) -> None:
    change = Change()
    change.create_table(DATASET)
    lake = Lake.create(open_storage(tmp_path), config={}, change=change, views=named)
    commit(lake, lambda c: c.set("collection", "u/ü 'x'", {"type": "RUN"}))
    commit(lake, lambda c: c.set("collection", "gone", {"type": "RUN"}))
    commit(lake, lambda c: c.set("collection", "gone", None))
    add(lake, [row(3), row(4, kind="bias")])
    for kind in ("raw", "bias"):
        commit(lake, lambda c, kind=kind: c.set("dataset_type", kind, {}))
    lake.close()
    assert plain(tmp_path, "FROM collection") == [["u/ü 'x'", "RUN"]]
    assert plain(tmp_path, "FROM raw") == [[3, 0]]
    assert plain(tmp_path, "FROM bias") == [[4, 0]]


def test_it_is_rewritten_only_when_tables_or_views_change(tmp_path: Path) -> None:
    change = Change()
    change.create_table(DATASET)
    lake = Lake.create(open_storage(tmp_path), config={}, change=change, views=named)
    commit(lake, lambda c: c.set("dataset_type", "raw", {}))
    lake.close()
    before = (tmp_path / VIEWS).stat().st_mtime_ns
    for version in range(5):
        add(lake, [row(version)])
    commit(lake, lambda c: c.set("collection", "x", {}))
    lake.close()
    assert (tmp_path / VIEWS).stat().st_mtime_ns == before
    commit(lake, lambda c: c.set("dataset_type", "bias", {}))
    lake.close()
    assert "bias" in (tmp_path / VIEWS).read_text()


def test_many_new_views_do_not_each_rewrite_it(tmp_path: Path) -> None:
    change = Change()
    change.create_table(DATASET)
    lake = Lake.create(open_storage(tmp_path), config={}, change=change, views=named)
    write, written = lake.storage.write, []

    def count(path: str, data: bytes) -> None:
        written.append(path)
        write(path, data)

    lake.storage.write = count  # type: ignore[method-assign]
    for number in range(200):
        commit(lake, lambda c, number=number: c.set("dataset_type", f"type{number}", {}))
    lake.close()
    assert written.count(VIEWS) < 100
    assert (tmp_path / VIEWS).read_text().count("VIEW") > 200


def test_a_script_that_cannot_be_written_does_not_undo_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = fresh(tmp_path)
    write = lake.storage.write

    def full(path: str, data: bytes) -> None:
        raise StorageError("No space left on device")

    monkeypatch.setattr(lake.storage, "write", full)
    assert commit(lake, lambda c: c.create_table(SMALL)).version == 1
    monkeypatch.setattr(lake.storage, "write", write)
    assert reopened(tmp_path).snapshot().version == 1
