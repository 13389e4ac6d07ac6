# SPDX-License-Identifier: BSD-3-Clause
"""A lake is made, opened, read and committed to."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakebutler.errors import (
    ConflictingDefinitionError,
    NotARepositoryError,
    RepositoryCorruptError,
    RepositoryExistsError,
    RepositoryFormatError,
    SnapshotNotFoundError,
    StorageError,
)
from lakebutler.lake import writer
from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.naming import FORMAT, LOCK, log_path, seal
from lakebutler.lake.storage import open_storage
from tests.lake.helpers import (
    DATA_ID,
    DATASET,
    NAME,
    SMALL,
    add,
    bulk,
    commit,
    everything,
    fresh,
    ordered,
    reopened,
    row,
)

SCOPE = DATASET.scope


def test_rows_come_back_as_they_went_in(tmp_path: Path) -> None:
    rows = [row(v, d) for v in range(20) for d in range(3)]
    lake = fresh(tmp_path)
    add(lake, rows)
    for snapshot in (lake.snapshot(), reopened(tmp_path).snapshot()):
        assert everything(snapshot) == ordered(rows)
        assert snapshot.find(NAME, DATA_ID, rows[7][:5]) == [rows[7]]
        assert snapshot.find(NAME, ("id",), (rows[9][6],)) == [rows[9]]
        assert ordered(snapshot.find(NAME, DATA_ID[:4], ("raw", "run", "HSC", 3))) == ordered(rows[9:12])
        assert snapshot.find(NAME, DATA_ID, ("raw", "run", "HSC", 99, 0)) == []
        assert snapshot.find(NAME, ("id",), (uuid.uuid4(),)) == []


@pytest.mark.parametrize("many", [1500, 52_000])
def test_many_rows_go_to_files_and_are_found_there(tmp_path: Path, many: int) -> None:
    rows = [row(v // 10, v % 10, run="bulk") for v in range(many)]
    lake = fresh(tmp_path)
    commit(lake, lambda change: change.append_table(NAME, bulk(rows)))
    assert len(log_entry(tmp_path, 1)) < 3000
    for snapshot in (lake.snapshot(), reopened(tmp_path).snapshot()):
        for place in (0, 1, 777, many // 2, many - 1):
            assert snapshot.find(NAME, DATA_ID, rows[place][:5]) == [rows[place]]
            assert snapshot.find(NAME, ("id",), (rows[place][6],)) == [rows[place]]
        assert len(snapshot.find(NAME, DATA_ID[:4], ("raw", "bulk", "HSC", 77))) == 10
        assert snapshot.find(NAME, DATA_ID, ("raw", "bulk", "HSC", -1, 0)) == []
        assert snapshot.find(NAME, DATA_ID, ("raw", "bulk", "HSC", 2**62, 0)) == []
        assert dict(snapshot.scopes(NAME)) == {("raw", "bulk"): many}
        assert snapshot.scan(NAME, ["id"]).num_rows == many


def log_entry(root: Path, version: int) -> bytes:
    return (root / log_path(version)).read_bytes()


def test_a_row_beyond_what_fits_an_entry_goes_to_a_file(tmp_path: Path) -> None:
    lake = fresh(tmp_path, SMALL)
    commit(lake, lambda change: change.append_rows("small", [("x" * 100_000, 1), ("y", 2)]))
    assert len(log_entry(tmp_path, 1)) < 300_000
    assert reopened(tmp_path).snapshot().find("small", ("name",), ("y",)) == [("y", 2)]
    assert len(reopened(tmp_path).snapshot().find("small", ("name",), ("x" * 100_000,))) == 1


def test_a_delete_hits_earlier_rows_only(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    old, new = row(1), (*row(1)[:6], uuid.uuid4(), *row(1)[7:])
    add(lake, [old])

    def replace(change: Change) -> None:
        change.append_rows(NAME, [new])
        change.delete(NAME, DATA_ID, [old[:5]])

    commit(lake, replace)
    for snapshot in (lake.snapshot(), reopened(tmp_path).snapshot()):
        assert everything(snapshot) == [new]
        assert snapshot.find(NAME, ("id",), (old[6],)) == []


@pytest.mark.parametrize("in_files", [False, True])
@pytest.mark.parametrize("delete_many", [False, True])
def test_deletes_by_any_columns(tmp_path: Path, in_files: bool, delete_many: bool) -> None:
    rows = [row(v, d, run=run) for run in ("r1", "r2", "r3") for v in range(200) for d in range(3)]
    lake = fresh(tmp_path)
    if in_files:
        commit(lake, lambda change: change.append_table(NAME, bulk(rows)))
    else:
        for start in range(0, len(rows), 600):
            add(lake, rows[start : start + 600])
    extra = [(uuid.uuid4(),) for _ in range(1500)] if delete_many else []
    gone = {r[6] for r in rows if r[1] == "r2" and r[3] % 2}

    def fill(change: Change) -> None:
        change.delete(NAME, ("collection",), [("r1",)])
        change.delete(NAME, ("id",), [*((i,) for i in gone), *extra])
        change.delete(NAME, ("valid_begin", "visit"), [(None, 7)])
        change.delete(NAME, ("detector",), [(99,)])

    before = lake.snapshot()
    commit(lake, fill)
    left = [r for r in rows if r[1] != "r1" and r[6] not in gone and r[3] != 7]
    for snapshot in (lake.snapshot(), reopened(tmp_path).snapshot()):
        assert everything(snapshot) == ordered(left)
        assert snapshot.find(NAME, SCOPE, ("raw", "r1")) == []
        assert snapshot.find(NAME, ("id",), (next(iter(gone)),)) == []
        assert snapshot.find(NAME, ("id",), (left[5][6],)) == [left[5]]
        keys = snapshot.scan(NAME, ["id"])
        assert snapshot.match(NAME, ("id",), keys, ["id"]).num_rows == len(left)
    assert everything(before) == ordered(rows)


def test_columns_with_one_value_in_all_keys_still_limit_what_matches(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    rows = [row(v, run=run) for run in ("r1", "r2") for v in range(300)]
    snapshot = commit(lake, lambda c: c.append_table(NAME, bulk(rows)))
    wanted = [r for r in rows if r[1] == "r2" and 100 <= r[3] < 200]
    keys = bulk(wanted).select(list(DATA_ID))
    found = snapshot.match(NAME, DATA_ID, keys, ["id"])
    assert sorted(found.column("id").to_pylist()) == sorted(r[6] for r in wanted)
    numbers = found.column("_key").to_pylist()
    assert [wanted[i][6] for i in numbers] == found.column("id").to_pylist()
    assert snapshot.match(NAME, DATA_ID, keys, ["id"], {SCOPE[1]: ["r2", "r3"]}).num_rows == 100
    assert snapshot.match(NAME, DATA_ID, keys, ["id"], {SCOPE[1]: "r1"}).num_rows == 0


@pytest.mark.parametrize("deletes", [False, True])
@pytest.mark.parametrize("number", [1, 40, 300])
def test_keys_that_end_with_the_id_match_by_all_their_columns(
    tmp_path: Path, number: int, deletes: bool
) -> None:
    lake = fresh(tmp_path)
    rows = [row(v, run=run) for run in ("r1", "r2") for v in range(400)]
    commit(lake, lambda c: c.append_table(NAME, bulk(rows)))
    if deletes:
        commit(lake, lambda c: c.delete(NAME, ("visit",), [(0,), (399,)]))
    columns = (*DATA_ID, "id")
    wanted = [r for r in rows if r[1] == "r2"][:number]
    left = [r for r in wanted if not deletes or r[3] not in (0, 399)]
    snapshot = lake.snapshot()
    for names in (columns, ("collection", "id"), ("visit", "id")):
        found = snapshot.match(NAME, names, bulk(wanted).select(list(names)), ["id", "visit"])
        assert sorted(found.column("id").to_pylist()) == sorted(r[6] for r in left)
        assert [wanted[i][6] for i in found.column("_key").to_pylist()] == found.column("id").to_pylist()


@pytest.mark.parametrize("deletes", [False, True])
def test_distinct_values_are_those_of_a_scan(tmp_path: Path, deletes: bool) -> None:
    lake = fresh(tmp_path)
    rows = [row(v, d, run=run) for run in ("r1", "r2") for v in range(600) for d in (0, 1)]
    commit(lake, lambda c: c.append_table(NAME, bulk(rows)))
    if deletes:
        commit(lake, lambda c: c.delete(NAME, SCOPE, [("raw", "r1")]))
    snapshot = add(lake, [row(9000, 7, run="r3")])
    for column in ("collection", "instrument", "visit", "detector"):
        for where in (
            {},
            {"collection": "r2"},
            {"collection": ["r1", "r3"]},
            {"visit": [3, 5, 9000]},
            {"collection": "-"},
        ):
            expected = set(snapshot.scan(NAME, [column], where).column(0).to_pylist())
            assert snapshot.distinct(NAME, column, where) == expected, (column, where)


def test_a_snapshot_stays_while_the_lake_goes_on(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    seen = []
    for version in range(40):
        snapshot = add(lake, [row(version)])
        if version % 5 == 4:
            snapshot = commit(lake, lambda c, v=version: c.delete(NAME, DATA_ID, [row(v - 2)[:5]]))
        seen.append((snapshot, everything(snapshot), dict(snapshot.scopes(NAME))))
    lake.compact()
    for snapshot, rows, scopes in seen:
        assert everything(snapshot) == rows
        assert dict(snapshot.scopes(NAME)) == scopes
        found = [snapshot.find(NAME, DATA_ID, row(v)[:5]) for v in range(40)]
        assert ordered([r for part in found for r in part]) == rows


def test_values_are_set_and_removed(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    first = commit(lake, lambda c: (c.set("k", "a", {"x": [1, None]}), c.set("k", "b", "ü")))  # type: ignore[arg-type,func-returns-value]
    second = commit(lake, lambda c: (c.set("k", "a", None), c.set("k", "c", 0)))  # type: ignore[arg-type,func-returns-value]
    assert dict(first.state("k")) == {"a": {"x": [1, None]}, "b": "ü"}
    for snapshot in (second, reopened(tmp_path).snapshot()):
        assert dict(snapshot.state("k")) == {"b": "ü", "c": 0}
        assert "a" not in snapshot.state("k")
        assert dict(snapshot.state("none")) == {}
        assert snapshot.state("config")["name"] == "test"
        assert snapshot.kinds() == ["config", "k"]


def test_nothing_to_do_makes_no_version(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    assert lake.commit(lambda snapshot: None, op="nothing").version == 0
    assert lake.snapshot().version == 0


def test_an_error_of_the_builder_goes_to_the_caller_and_nothing_is_committed(tmp_path: Path) -> None:
    lake = fresh(tmp_path)

    def build(snapshot: Any) -> Change:
        raise ConflictingDefinitionError("no")

    with pytest.raises(ConflictingDefinitionError, match="no"):
        lake.commit(build, op="x")
    assert reopened(tmp_path).snapshot().version == 0
    add(lake, [row(1)])


def test_a_value_that_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    wrong = [
        (*row(1)[:3], "3", *row(1)[4:]),
        (*row(1)[:3], 2**70, *row(1)[4:]),
        (*row(1)[:7], datetime(2026, 1, 1), *row(1)[8:]),
        (None, *row(1)[1:]),
        row(1)[:-1],
        ("\ud800", *row(1)[1:]),
    ]
    for bad in wrong:
        with pytest.raises((TypeError, ValueError)):
            add(lake, [row(2), bad])
    with pytest.raises(KeyError, match="no table 'other'"):
        add(lake, [row(1)], "other")
    with pytest.raises(KeyError, match="no column"):
        commit(lake, lambda c: c.delete(NAME, ("nope",), [(1,)]))
    with pytest.raises(ValueError, match=r"JSON|nan"):
        commit(lake, lambda c: c.set("a", "b", float("nan")))
    assert [p for p in sorted(tmp_path.rglob("*")) if p.name != Path(LOCK).name] == [
        p for p in before if p.name != Path(LOCK).name
    ]
    assert reopened(tmp_path).snapshot().version == 0


# ---------------------------------------------------------------- making and opening


def test_a_second_making_is_refused(tmp_path: Path) -> None:
    fresh(tmp_path)
    with pytest.raises(RepositoryExistsError, match="already a repository"):
        fresh(tmp_path)
    assert reopened(tmp_path).snapshot().version == 0


def test_a_making_that_was_broken_off_is_finished_by_the_next(tmp_path: Path) -> None:
    made = fresh(tmp_path)
    (tmp_path / log_path(0)).unlink()
    with pytest.raises(RepositoryCorruptError, match="broken off"):
        reopened(tmp_path)
    again = fresh(tmp_path)
    assert again.repo_id == made.repo_id
    assert reopened(tmp_path).snapshot().version == 0


def test_what_is_no_repository_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(NotARepositoryError, match="not a lakebutler repository") as caught:
            reopened(place)
        assert str(place) in str(caught.value)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        ({"min_reader": 2, "version": 2}, "format version 2"),
        ({"features": ["wormholes"]}, "wormholes"),
    ],
)
def test_a_newer_format_is_refused(tmp_path: Path, change: dict[str, Any], needle: str) -> None:
    import json

    fresh(tmp_path)
    raw = json.loads((tmp_path / FORMAT).read_text())
    del raw["sha256"]
    (tmp_path / FORMAT).write_bytes(seal(json.dumps({**raw, **change})))
    with pytest.raises(RepositoryFormatError, match=needle):
        reopened(tmp_path)


def test_a_format_that_may_only_be_read_is_read_and_not_written(tmp_path: Path) -> None:
    import json

    add(fresh(tmp_path), [row(1)])
    raw = json.loads((tmp_path / FORMAT).read_text())
    del raw["sha256"]
    (tmp_path / FORMAT).write_bytes(seal(json.dumps({**raw, "min_writer": 2})))
    lake = reopened(tmp_path)
    assert everything(lake.snapshot()) == [row(1)]
    with pytest.raises(RepositoryFormatError, match="read but not written"):
        add(lake, [row(2)])


def test_opening_and_reading_write_nothing(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(2000)])))
    add(lake, [row(5000)])
    lake.close()
    (tmp_path / LOCK).unlink()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    snapshot = reopened(tmp_path).snapshot()
    snapshot.find(NAME, DATA_ID, row(7)[:5])
    snapshot.find(NAME, ("id",), (row(7)[6],))
    snapshot.scan(NAME)
    snapshot.match(NAME, ("visit",), snapshot.scan(NAME, ["visit"]))
    reopened(tmp_path).as_of(0)
    list(reopened(tmp_path).history())
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/usr/bin/setpriv").exists(), reason="no way to drop root")
def test_a_read_only_directory_is_read_and_refuses_a_commit(tmp_path: Path) -> None:
    """As a user who does not own it: root may write everywhere."""
    add(fresh(tmp_path), [row(1)])
    for place in [tmp_path, *tmp_path.rglob("*")]:
        place.chmod(0o555 if place.is_dir() else 0o444)
    for above in tmp_path.parents:
        if above.stat().st_uid == os.geteuid() and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o055)
    code = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parents[2]), *sys.path]!r}
from lakebutler.errors import StorageError
from tests.lake.helpers import *
lake = reopened({str(tmp_path)!r})
assert everything(lake.snapshot()) == [row(1)]
for rows in ([row(2)], [row(v) for v in range(2000)]):
    try:
        add(lake, rows)
    except StorageError as error:
        assert "ermission" in str(error), error
        assert len(str(error).splitlines()) == 2, error
    else:
        raise SystemExit("it was written")
assert everything(lake.snapshot()) == [row(1)]
print("fine")
"""
    command = [sys.executable, "-c", code]
    if os.geteuid() == 0:
        command = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd="/", env={"PYTHONDONTWRITEBYTECODE": "1"}
    )
    assert result.stdout == "fine\n", result.stderr


# ------------------------------------------------------------------------- history


def test_the_past_can_be_opened(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    times: list[datetime] = []
    for version in range(1, 8):
        times.append(add(lake, [row(version)]).time)
        if version == 4:
            lake.checkpoint()
    commit(lake, lambda c: c.set("tag", "dr1", {"version": 3}))
    for other in (lake, reopened(tmp_path)):
        for version in range(8):
            assert len(everything(other.as_of(version))) == version
            assert other.as_of(version).version == version
        assert other.as_of("dr1").version == 3
        assert other.as_of("5").version == 5
        assert other.as_of(times[4]).version == 5
        assert other.as_of(times[4] - timedelta(microseconds=1)).version == 4
        assert other.as_of(times[4].isoformat()).version == 5
        assert other.as_of(datetime.now(UTC)).version == 8


@pytest.mark.parametrize("when", [-1, 99, "dr2", "99", "2001-01-01", True, None])
def test_a_past_that_never_was_is_named(tmp_path: Path, when: Any) -> None:
    lake = fresh(tmp_path)
    commit(lake, lambda c: c.set("tag", "dr1", 0))
    with pytest.raises(SnapshotNotFoundError) as caught:
        lake.as_of(when)
    if when == "dr2":
        assert "dr1" in str(caught.value)


def test_history_says_who_did_what(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    lake.commit(lambda s: _with_row(row(1)), op="put", message="first light")
    entries = list(reopened(tmp_path).history())
    assert [entry.version for entry in entries] == [1, 0]
    assert (entries[0].op, entries[0].message, entries[1].op) == ("put", "first light", "create")
    assert entries[0].writer["pid"] == os.getpid()
    assert entries[0].header.prev_txid == entries[1].txid
    assert entries[0].header.prev_sha256 == entries[1].sha256
    assert entries[0].time > entries[1].time
    assert [e.version for e in lake.history(1)] == [1]
    assert lake.committed(entries[0].txid)
    assert not lake.committed(str(uuid.uuid4()))
    assert lake.snapshot().txid == entries[0].txid
    assert lake.snapshot().sha256 == entries[0].sha256


def _with_row(one: tuple[Any, ...]) -> Change:
    change = Change()
    change.append_rows(NAME, [one])
    return change


def test_time_goes_forward_whatever_the_clock_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lakebutler.lake import commit as module

    lake = fresh(tmp_path)

    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2001, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(module, "datetime", Late)
    before = lake.snapshot().time
    after = add(lake, [row(1)]).time
    assert after == before + timedelta(microseconds=1)
    assert reopened(tmp_path).snapshot().time == after


# -------------------------------------------------------------------------- imports


def test_opening_imports_nothing_heavy(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    add(lake, [row(1)])
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(10, 2000)])))
    lake.checkpoint()
    add(lake, [row(2)])
    code = f"""
import sys
from lakebutler.lake.lake import Lake
from lakebutler.lake.storage import open_storage
snapshot = Lake.open(open_storage({str(tmp_path)!r})).snapshot()
assert snapshot.state("config")["name"] == "test" and snapshot.schemas()
heavy = {{"numpy", "pyarrow", "duckdb", "fsspec", "s3fs", "pandas"}} & set(sys.modules)
print(snapshot.version, *heavy)
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert result.stdout == "3\n", result.stdout + result.stderr


def test_a_refused_write_of_the_second_file_leaves_no_orphan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = fresh(tmp_path)
    create = lake.storage.create
    made: list[str] = []

    def full(path: str, data: bytes) -> None:
        if len(made) == 1:
            raise StorageError("cannot create: No space left on device")
        made.append(path)
        create(path, data)

    monkeypatch.setattr(writer, "OWN_FILE_ROWS", 600)
    rows = [row(v, run=run) for run in ("r1", "r2") for v in range(700)]
    before = {p for p in tmp_path.rglob("*") if p.is_file()}
    monkeypatch.setattr(lake.storage, "create", full)
    with pytest.raises(StorageError, match="No space"):
        commit(lake, lambda c: c.append_table(NAME, bulk(rows)))
    assert made
    assert {p for p in tmp_path.rglob("*") if p.is_file()} == before
    monkeypatch.setattr(lake.storage, "create", create)
    commit(lake, lambda c: c.append_table(NAME, bulk(rows)))
    assert reopened(tmp_path).snapshot().scan(NAME, ["id"]).num_rows == len(rows)


def test_a_lake_of_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no storage"):
        Lake.open(open_storage("ftp://x"))
