# SPDX-License-Identifier: BSD-3-Clause
"""The rules of a lost race, cell by cell, and what the commit loop makes of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakebutler.errors import CommitConflictError, CommitUnknownError, StorageError, StorageUncertainError
from lakebutler.lake import commit as commit_module
from lakebutler.lake.change import Change
from lakebutler.lake.compact import Compaction
from lakebutler.lake.entry import (
    AddFile,
    CreateTable,
    DataFile,
    Delete,
    DeleteFile,
    Fold,
    RemoveFile,
    Rows,
    SetState,
)
from lakebutler.lake.lake import Lake
from lakebutler.lake.naming import boundary_path, log_path
from lakebutler.lake.protocol import Footprint, conflict, footprint
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.storage import open_storage
from lakebutler.lake.writer import FileWriter
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

SCHEMAS = {NAME: DATASET, "small": SMALL}
FILE = DataFile("registry/data/x/a.parquet", 9, 9, "0" * 64, None, ((("raw", "r1"), 9),))
OLD_FILE = DataFile("registry/data/x/b.parquet", 9, 9, "0" * 64, 3, ((("raw", "r1"), 9),))
ID = uuid.UUID(int=7)
ACTIONS: dict[str, list[Any]] = {
    "insert r1": [Rows(NAME, [row(1, run="r1")])],
    "insert r2": [Rows(NAME, [row(1, run="r2")])],
    "insert file r1": [AddFile(NAME, FILE)],
    "insert small": [Rows("small", [("a", 1)])],
    "delete r1 by key": [Delete(NAME, DATA_ID, [row(1, run="r1")[:5]])],
    "delete r1 whole": [Delete(NAME, ("collection", "dataset_type"), [("r1", "raw")])],
    "delete run r1": [Delete(NAME, ("collection",), [("r1",)])],
    "delete by id": [Delete(NAME, ("id",), [(ID,)])],
    "delete by ids": [DeleteFile(NAME, ("id",), FILE)],
    "delete by id and run": [Delete(NAME, ("id",), [(ID,)]), Delete(NAME, ("collection",), [("r1",)])],
    "delete by file": [DeleteFile(NAME, ("visit",), FILE)],
    "compact": [Fold(NAME, 3), RemoveFile(NAME, "registry/data/x/c.parquet"), AddFile(NAME, OLD_FILE)],
    "compact small": [Fold("small", 3)],
    "set a": [SetState("collection", "a", {})],
    "set b": [SetState("collection", "b", {})],
    "make": [CreateTable(DATASET, FILE)],
    "make small": [CreateTable(SMALL, FILE)],
}
EXTRA: dict[str, dict[str, Any]] = {
    "touch r1": {"touches": {NAME: [("raw", "r1")]}},
    "touch r2": {"touches": {NAME: [("raw", "r2")]}},
    "touch small": {"touches": {"small": [()]}},
    "require a": {"requires": [("collection", "a")]},
}
INSERTS_R1 = {"insert r1", "insert file r1"}
INSERTS = {*INSERTS_R1, "insert r2"}
DELETES_ALL = {"delete run r1", "delete by id", "delete by ids", "delete by id and run", "delete by file"}
CONFLICTS: dict[str, set[str]] = {
    "insert r1": set(),
    "insert r2": set(),
    "insert file r1": set(),
    "insert small": set(),
    "delete r1 by key": INSERTS_R1,
    "delete r1 whole": INSERTS_R1,
    "delete run r1": INSERTS,
    "delete by id": set(),
    "delete by ids": set(),
    "delete by id and run": INSERTS,
    "delete by file": INSERTS,
    "compact": {"compact"},
    "compact small": {"compact small"},
    "set a": {"set a"},
    "set b": {"set b"},
    "make": {"make"},
    "make small": {"make small"},
    "touch r1": {*INSERTS_R1, "delete r1 by key", "delete r1 whole", *DELETES_ALL},
    "touch r2": {"insert r2", *DELETES_ALL},
    "touch small": {"insert small"},
    "require a": {"set a"},
}


def print_of(name: str) -> Footprint:
    return footprint(ACTIONS.get(name, []), SCHEMAS, **EXTRA.get(name, {}))


@pytest.mark.parametrize("theirs", ACTIONS)
@pytest.mark.parametrize("mine", CONFLICTS)
def test_each_pair_conflicts_or_not(mine: str, theirs: str) -> None:
    reason = conflict(print_of(mine), print_of(theirs))
    assert (reason is not None) == (theirs in CONFLICTS[mine]), reason


def test_what_only_read_disturbs_nobody() -> None:
    for name in CONFLICTS:
        for reading in EXTRA:
            assert conflict(print_of(name), print_of(reading)) is None


# ------------------------------------------------------------------ the commit loop


def race(
    first: Lake, second: Lake, mine: Callable[[Change], None], theirs: Callable[[Change], None]
) -> tuple[int, Snapshot]:
    """Build a change, let another commit come first, then commit; return how often it was built."""
    built = 0

    def build(snapshot: Snapshot) -> Change:
        nonlocal built
        built += 1
        change = Change()
        mine(change)
        return change

    base = first.snapshot()
    change = build(base)
    commit(second, theirs)
    return built, first.commit(build, op="mine", base=base, change=change)


@pytest.mark.parametrize("bulky", [False, True])
def test_an_independent_commit_is_not_built_again(tmp_path: Path, bulky: bool) -> None:
    first, second = fresh(tmp_path), reopened(tmp_path)
    rows = [row(v, run="r1") for v in range(2000)]

    def mine(change: Change) -> None:
        if bulky:
            change.append_table(NAME, bulk(rows))
        else:
            change.append_rows(NAME, rows[:3])
        change.touch(NAME, ("raw", "r1"))

    calls: list[int] = []
    built, snapshot = race(
        first,
        second,
        lambda c: (calls.append(1), mine(c))[0],
        lambda c: c.append_rows(NAME, [row(1, run="r2")]),
    )  # type: ignore[func-returns-value]
    assert (built, len(calls), snapshot.version) == (1, 1, 2)
    assert len(everything(reopened(tmp_path).snapshot())) == (2000 if bulky else 3) + 1
    assert len(list((tmp_path / "registry/data" / NAME).iterdir())) == 1 + bulky


def test_a_commit_whose_scope_was_touched_is_built_again_on_what_is_there(tmp_path: Path) -> None:
    first, second = fresh(tmp_path), reopened(tmp_path)
    seen: list[int] = []

    def build(snapshot: Snapshot) -> Change | None:
        seen.append(len(snapshot.find(NAME, DATA_ID, row(1)[:5])))
        if seen[-1]:
            return None
        change = Change()
        change.append_rows(NAME, [row(1)])
        change.touch(NAME, ("raw", "run"))
        return change

    base = first.snapshot()
    change = build(base)
    add(second, [row(1)])
    snapshot = first.commit(build, op="put", base=base, change=change)
    assert seen == [0, 1]
    assert snapshot.version == 1
    assert everything(snapshot) == [row(1)]


def test_files_of_a_bulk_change_that_is_built_again_alike_are_written_once(tmp_path: Path) -> None:
    first, second = fresh(tmp_path), reopened(tmp_path)
    rows = [row(v) for v in range(2000)]

    def build(snapshot: Snapshot) -> Change:
        change = Change()
        change.append_table(NAME, bulk(rows))
        change.touch(NAME, ("raw", "run"))
        return change

    base = first.snapshot()
    change = build(base)
    add(second, [row(5000)])
    first.commit(build, op="ingest", base=base, change=change)
    assert len(list((tmp_path / "registry/data" / NAME).iterdir())) == 2
    assert len(everything(reopened(tmp_path).snapshot())) == 2001


def test_files_of_a_change_that_is_built_again_otherwise_are_removed(tmp_path: Path) -> None:
    first, second = fresh(tmp_path), reopened(tmp_path)

    def build(snapshot: Snapshot) -> Change:
        change = Change()
        change.append_table(NAME, bulk([row(v) for v in range(snapshot.version * 1000, 4000)]))
        change.touch(NAME, ("raw", "run"))
        return change

    base = first.snapshot()
    change = build(base)
    add(second, [row(5000)])
    first.commit(build, op="ingest", base=base, change=change)
    assert len(list((tmp_path / "registry/data" / NAME).iterdir())) == 2
    assert len(everything(reopened(tmp_path).snapshot())) == 3001


def test_a_compaction_gives_way_to_another_of_the_same_table(tmp_path: Path) -> None:
    first, second = fresh(tmp_path), reopened(tmp_path)
    add(first, [row(1)])
    add(first, [row(2)])
    work = Compaction(NAME, FileWriter(first.storage))
    base = first.snapshot()
    change = work.build(base)
    assert change is not None
    second.compact()
    snapshot = first.commit(work.build, op="compact", base=base, change=change)
    assert [entry.op for entry in first.history()] == ["compact", "test", "test", "create"]
    assert everything(snapshot) == [row(1), row(2)] or everything(snapshot) == [row(2), row(1)]


def test_a_delete_that_came_during_a_compaction_survives_it_and_a_checkpoint(tmp_path: Path) -> None:
    """The tombstone must be kept although no file there is yet has its row."""
    first, second = fresh(tmp_path), reopened(tmp_path)
    add(first, [row(1), row(2)])
    work = Compaction(NAME, FileWriter(first.storage))
    base = first.snapshot()
    change = work.build(base)
    commit(second, lambda c: c.delete(NAME, DATA_ID, [row(1)[:5]]))
    second.checkpoint()
    third = reopened(tmp_path)
    first.commit(work.build, op="compact", base=base, change=change)
    for lake in (first, second, third, reopened(tmp_path)):
        assert everything(lake.snapshot()) == [row(2)]


@pytest.mark.parametrize("failure", [StorageError("no answer"), KeyboardInterrupt()])
def test_a_compaction_that_fails_after_its_entry_was_made_leaves_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    lake = fresh(tmp_path)
    rows = [row(v) for v in range(5)]
    for one in rows:
        add(lake, [one])

    def is_void(version: int) -> bool:
        raise failure

    monkeypatch.setattr(lake, "is_void", is_void)
    with pytest.raises((CommitUnknownError, KeyboardInterrupt)):
        lake.compact()
    again = reopened(tmp_path).snapshot()
    assert again.version == 6
    assert everything(again) == ordered(rows)


# ----------------------------------------------------------- answers that do not come


def test_an_answer_that_was_lost_is_neither_a_failure_nor_a_second_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store says that the name is taken: by our own entry."""
    lake = fresh(tmp_path)
    create = lake.storage.create

    def lossy(path: str, data: bytes) -> None:
        create(path, data)
        if path.startswith("registry/log/"):
            raise FileExistsError(path)

    monkeypatch.setattr(lake.storage, "create", lossy)
    for version in range(1, 6):
        assert add(lake, [row(version)]).version == version
    assert len(everything(reopened(tmp_path).snapshot())) == 5
    assert reopened(tmp_path).snapshot().version == 5


@pytest.mark.parametrize("landed", [True, False])
def test_a_remote_store_without_an_answer_is_asked_what_became_of_it(
    monkeypatch: pytest.MonkeyPatch, landed: bool
) -> None:
    name = f"memory://{uuid.uuid4()}"
    lake = fresh(name)
    monkeypatch.setattr(lake.storage, "remote", True, raising=False)
    create = lake.storage.create
    failures = [1, 1]

    def silent(path: str, data: bytes) -> None:
        if path.startswith("registry/log/") and failures:
            failures.pop()
            if landed:
                create(path, data)
            raise StorageUncertainError("connection reset")
        create(path, data)

    monkeypatch.setattr(lake.storage, "create", silent)
    assert add(lake, [row(1)]).version == 1
    assert add(lake, [row(2)]).version == 2
    assert len(everything(reopened(name).snapshot())) == 2
    assert reopened(name).snapshot().version == 2


class LateStore:
    """The request that makes an entry arrives only after the store was asked for the entry."""

    def __init__(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        self.storage = lake.storage
        self.waiting: list[tuple[str, bytes]] = []
        self.late = True
        self._create, self._read = self.storage.create, self.storage.read
        monkeypatch.setattr(self.storage, "remote", True, raising=False)
        monkeypatch.setattr(self.storage, "create", self.create)
        monkeypatch.setattr(self.storage, "read", self.read)

    def create(self, path: str, data: bytes) -> None:
        if path.startswith("registry/log/") and self.late:
            self.late = False
            self.waiting.append((path, data))
            raise StorageUncertainError("timed out")
        self._create(path, data)

    def read(self, path: str) -> bytes:
        try:
            return self._read(path)
        finally:
            while self.waiting:
                self._create(*self.waiting.pop())


@pytest.mark.parametrize("others", [0, 1, 3])
def test_an_entry_that_lands_after_it_was_looked_for_is_found_to_be_ours(
    monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """Else the commit would meet itself: done twice, or refused because it is there already."""
    name = f"memory://{uuid.uuid4()}"
    lake, other = fresh(name), reopened(name)
    late = LateStore(lake, monkeypatch)
    refresh = lake.refresh

    def slow_refresh(lost_to: object = None) -> None:
        if others and not late.late:
            while len(list(other.history())) < 2 + others:
                add(other, [row(len(list(other.history())), run="other")])
        refresh()

    monkeypatch.setattr(lake, "refresh", slow_refresh)

    def build(snapshot: Snapshot) -> Change:
        if snapshot.find(NAME, DATA_ID, row(1)[:5]):
            raise AssertionError("refused because of itself")
        change = Change()
        change.append_rows(NAME, [row(1)])
        change.touch(NAME, ("raw", "run"))
        return change

    made = lake.commit(build, op="put")
    assert made.version == 1
    assert made.find(NAME, DATA_ID, row(1)[:5]) == [row(1)]
    again = reopened(name)
    assert [r for r in everything(again.snapshot()) if r[1] == "run"] == [row(1)]
    assert again.snapshot().version == 1 + others
    txids = [entry.txid for entry in again.history()]
    assert len(set(txids)) == len(txids)


def test_a_refusal_after_an_answer_was_lost_claims_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request may still arrive, so that its files must stay."""
    name = f"memory://{uuid.uuid4()}"
    lake = fresh(name)
    create = lake.storage.create
    asked: list[tuple[str, bytes]] = []

    def failing(path: str, data: bytes) -> None:
        if not path.startswith("registry/log/"):
            return create(path, data)
        asked.append((path, data))
        raise StorageUncertainError("timed out") if len(asked) == 1 else StorageError("access denied")

    monkeypatch.setattr(lake.storage, "remote", True, raising=False)
    monkeypatch.setattr(lake.storage, "create", failing)
    rows = [row(v) for v in range(2000)]
    with pytest.raises(CommitUnknownError) as caught:
        commit(lake, lambda c: c.append_table(NAME, bulk(rows)))
    create(*asked[0])
    again = reopened(name)
    assert again.committed(caught.value.txid)
    assert len(everything(again.snapshot())) == 2000


def test_where_nothing_can_be_known_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"memory://{uuid.uuid4()}"
    lake = fresh(name)
    monkeypatch.setattr(lake.storage, "remote", True, raising=False)
    create = lake.storage.create

    def silent(path: str, data: bytes) -> None:
        create(path, data)
        if path.startswith("registry/log/"):
            raise StorageUncertainError("connection reset")

    def dead(path: str) -> bytes:
        raise StorageError("no route to host")

    monkeypatch.setattr(lake.storage, "create", silent)
    monkeypatch.setattr(lake.storage, "read", dead)
    rows = [row(v) for v in range(2000)]
    with pytest.raises(CommitUnknownError) as caught:
        commit(lake, lambda c: c.append_table(NAME, bulk(rows)))
    monkeypatch.undo()
    assert caught.value.txid
    again = reopened(name)
    assert again.committed(caught.value.txid)
    assert len(everything(again.snapshot())) == 2000  # its file was not cleaned away


def test_a_local_disk_that_does_not_confirm_is_reported_as_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = fresh(tmp_path)
    create = lake.storage.create

    def unsure(path: str, data: bytes) -> None:
        create(path, data)
        raise StorageUncertainError("bad disk")

    monkeypatch.setattr(lake.storage, "create", unsure)
    with pytest.raises(CommitUnknownError, match="not sure to last") as caught:
        add(lake, [row(1)])
    monkeypatch.undo()
    assert lake.committed(caught.value.txid)
    assert add(lake, [row(2)]).version == 2


def test_a_writer_that_always_loses_gives_up_with_a_named_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, other = fresh(tmp_path), reopened(tmp_path)
    monkeypatch.setattr(commit_module, "_PATIENCE", 0.05)
    create = lake.storage.create

    def late(path: str, data: bytes) -> None:
        if path.startswith("registry/log/"):
            add(other, [row(1, run="other")])
        create(path, data)

    monkeypatch.setattr(lake.storage, "create", late)
    monkeypatch.setattr(lake.storage, "lock", open_storage(f"memory://{uuid.uuid4()}").lock)
    with pytest.raises(CommitConflictError, match="lost every race"):
        add(lake, [row(1)])
    assert row(1) not in everything(reopened(tmp_path).snapshot())


@pytest.mark.parametrize("answer", ["comes", "is lost", "is that the name is taken"])
def test_a_writer_that_slept_through_a_clean_up_commits_on_the_new_state(
    tmp_path: Path, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its entry would bear a number that was removed from the log; nobody would ever read it."""
    sleeper, other = fresh(tmp_path), reopened(tmp_path)
    create = sleeper.storage.create

    def lossy(path: str, data: bytes) -> None:
        create(path, data)
        if path == log_path(1) and answer != "comes":
            raise StorageUncertainError("no answer") if answer == "is lost" else FileExistsError(path)

    monkeypatch.setattr(sleeper.storage, "create", lossy)
    if answer == "is lost":  # as on a remote store, where one asks what became of it
        monkeypatch.setattr(sleeper.storage, "remote", True)
        monkeypatch.setattr(sleeper, "_looked", -1e9)
    for version in range(1, 6):
        add(other, [row(version)])
    other.checkpoint()
    open_storage(tmp_path).create(boundary_path(4), b"")
    for version in range(5):
        (tmp_path / log_path(version)).unlink()
    snapshot = add(sleeper, [row(100)])
    assert snapshot.version == 6
    assert not (tmp_path / log_path(1)).exists()
    assert len(everything(snapshot)) == 6
    assert len(everything(reopened(tmp_path).snapshot())) == 6


def test_a_reader_finds_the_newest_checkpoint_although_the_hint_is_old(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    add(lake, [row(1)])
    lake.checkpoint()
    hint = (tmp_path / "registry/checkpoint/_last").read_bytes()
    for version in range(2, 6):
        add(lake, [row(version)])
    lake.checkpoint()
    open_storage(tmp_path).create(boundary_path(4), b"")
    for version in range(5):
        (tmp_path / log_path(version)).unlink()
    (tmp_path / "registry/checkpoint/_last").write_bytes(hint)
    assert len(everything(reopened(tmp_path).snapshot())) == 5


def test_writing_large_files_uses_up_no_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = fresh(tmp_path)
    monkeypatch.setattr(commit_module, "_PATIENCE", 0.0)
    rows = [row(visit) for visit in range(6000)]
    commit(lake, lambda change: change.append_table(NAME, bulk(rows)))
    assert len(everything(reopened(tmp_path).snapshot())) == 6000
