# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints and compactions happen when they are due and change nothing that is read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lakebutler.errors import RepositoryCorruptError, StorageError
from lakebutler.lake import checkpoint as checkpoints
from lakebutler.lake import compact, writer
from lakebutler.lake import lake as lake_module
from lakebutler.lake.checkpoint import prune_checkpoints
from lakebutler.lake.compact import Compaction
from lakebutler.lake.lake import Lake
from lakebutler.lake.naming import log_path
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
    reopened,
    row,
)


def checkpoints_of(root: Path) -> list[int]:
    return sorted(int(p.name[:20]) for p in (root / "registry/checkpoint").glob("*.json"))


def data_files(root: Path) -> int:
    return len(list((root / "registry/data" / NAME).iterdir()))


def live_files(lake: Lake) -> int:
    layer, version = lake.snapshot().view(NAME).layers[0]
    return sum(1 for slot in layer.live_slots(version) if slot.segment.rows)


def test_a_checkpoint_is_made_every_hundred_commits_and_old_ones_go(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    for version in range(1, 351):
        add(lake, [row(version)])
    assert 2 <= len(checkpoints_of(tmp_path)) <= 3
    assert max(checkpoints_of(tmp_path)) >= 299
    hint = json.loads((tmp_path / "registry/checkpoint/_last").read_text())
    assert hint["version"] == max(checkpoints_of(tmp_path))
    again = reopened(tmp_path)
    assert len(everything(again.snapshot())) == 350
    assert everything(again.as_of(120)) == everything(lake.as_of(120))


def test_checkpoints_are_pruned_but_some_of_the_past_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_MILESTONE", 10)
    lake = fresh(tmp_path)
    for version in range(1, 31):
        add(lake, [row(version)])
        lake.checkpoint()
    prune_checkpoints(lake.storage)
    assert checkpoints_of(tmp_path) == [9, 19, 29, 30]
    for version in range(31):
        assert len(everything(reopened(tmp_path).as_of(version))) == version


def test_a_second_process_does_not_repeat_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_module, "_LOCAL_TAIL", 8)
    first, second = fresh(tmp_path), reopened(tmp_path)
    for version in range(1, 33):
        add((first, second)[version % 2], [row(version)])
    assert 2 <= len(checkpoints_of(tmp_path)) <= 3
    listing = (tmp_path / "registry/checkpoint").glob("*.json")
    assert len({p.name[:20] for p in listing}) == len(checkpoints_of(tmp_path))


def test_a_checkpoint_that_cannot_be_written_does_not_undo_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_module, "_LOCAL_TAIL", 2)
    lake = fresh(tmp_path)

    def full(path: str, data: bytes) -> None:
        raise StorageError("No space left on device")

    monkeypatch.setattr(lake.storage, "write", full)
    for version in range(1, 6):
        assert add(lake, [row(version)]).version == version
    assert checkpoints_of(tmp_path) == []
    with pytest.raises(StorageError, match="No space"):
        lake.checkpoint()


def test_rows_in_the_log_are_folded_into_a_file_when_they_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact, "MOST_ROWS", 40)
    lake, other = fresh(tmp_path), reopened(tmp_path)
    kept = []
    for step in range(100):
        kept.append((add(lake, [row(step)]), step + 1))
    assert [entry.op for entry in lake.history()].count("compact") >= 1
    layer, _ = lake.snapshot().view(NAME).layers[0]
    assert layer.store.live <= 40 + 17
    assert len(layer.store.rows) < 100
    for root in (lake, other, reopened(tmp_path)):
        assert len(everything(root.snapshot())) == 100
        assert root.snapshot().find(NAME, ("id",), (row(3)[6],)) == [row(3)]
    assert all(len(everything(snapshot)) == count for snapshot, count in kept[::7])


def test_small_files_are_joined_when_they_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "MOST_FILES", 10)
    monkeypatch.setattr(compact, "OWN_FILE_ROWS", 1500)
    monkeypatch.setattr(writer, "OWN_FILE_ROWS", 1500)
    lake = fresh(tmp_path)
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v, run="large") for v in range(1600)])))
    large = max((tmp_path / "registry/data" / NAME).iterdir(), key=lambda p: p.stat().st_size).name
    for step in range(32):
        rows = [row(step * 2000 + v, run=f"r{step}") for v in range(1001)]
        commit(lake, lambda c, rows=rows: c.append_table(NAME, bulk(rows)))
    assert live_files(lake) <= 10 + 16
    lake.compact(NAME)
    assert live_files(lake) == 2
    names = [s.segment.file.path for s in lake.snapshot().view(NAME).layers[0][0].live_slots(10**6)]  # type: ignore[attr-defined]
    assert any(large in name for name in names), "a large file was rewritten for nothing"
    for root in (lake, reopened(tmp_path)):
        assert root.snapshot().scan(NAME, ["id"]).num_rows == 1600 + 32 * 1001
        assert root.snapshot().find(NAME, DATA_ID, row(2005, run="r1")[:5]) == [row(2005, run="r1")]


def test_deletes_are_folded_into_the_files_they_hit(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(2000)])))
    commit(lake, lambda c: c.delete(NAME, ("visit",), [(v,) for v in range(1990)]))
    commit(lake, lambda c: c.delete(NAME, ("id",), [(row(1995)[6],)]))
    wanted = everything(lake.snapshot())
    assert len(wanted) == 9
    assert lake.compact(everything=True) == [NAME]
    for root in (lake, reopened(tmp_path)):
        assert everything(root.snapshot()) == wanted
        layer, version = root.snapshot().view(NAME).layers[0]
        assert sum(slot.segment.rows for slot in layer.live_slots(version)) == 9
    layer = lake.snapshot().view(NAME).layers[0][0]
    assert not layer.may_delete
    assert lake.compact(everything=True) in ([], [NAME])


def test_a_table_of_which_everything_was_deleted_compacts_to_nothing(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(1500)])))
    commit(lake, lambda c: c.delete(NAME, ("collection",), [("run",)]))
    lake.compact(everything=True)
    assert everything(reopened(tmp_path).snapshot()) == []
    assert live_files(lake) == 0
    add(lake, [row(1)])
    assert everything(reopened(tmp_path).snapshot()) == [row(1)]


def test_nothing_is_compacted_where_there_is_nothing_to_gain(tmp_path: Path) -> None:
    lake = fresh(tmp_path, DATASET, SMALL)
    assert lake.compact() == []
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(1500)])))
    assert lake.compact() == []
    assert lake.snapshot().version == 1


def test_a_compaction_that_would_change_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = fresh(tmp_path)
    add(lake, [row(v) for v in range(50)])
    write = FileWriter.write_rows

    def lossy(self: FileWriter, schema: object, data: object, version: int | None = None) -> object:
        return write(self, schema, data.slice(1), version)  # type: ignore[attr-defined,arg-type]

    monkeypatch.setattr(FileWriter, "write_rows", lossy)
    before = data_files(tmp_path)
    with pytest.raises(RepositoryCorruptError, match="would have changed its rows"):
        lake.compact()
    assert data_files(tmp_path) == before
    assert lake.snapshot().version == 1
    assert len(everything(lake.snapshot())) == 50


def test_a_compaction_whose_files_cannot_be_written_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = fresh(tmp_path)
    add(lake, [row(1)])
    create = lake.storage.create

    def full(path: str, data: bytes) -> None:
        if path.startswith("registry/log/"):
            raise StorageError("No space left on device")
        create(path, data)

    monkeypatch.setattr(lake.storage, "create", full)
    before = data_files(tmp_path)
    with pytest.raises(StorageError):
        lake.compact()
    assert data_files(tmp_path) == before
    assert everything(lake.snapshot()) == [row(1)]


def test_a_checkpoint_tells_rows_files_deletes_and_values(tmp_path: Path) -> None:
    lake = fresh(tmp_path, DATASET, SMALL)
    add(lake, [row(1), row(2), row(3)])
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(10, 1200)])))
    commit(lake, lambda c: c.delete(NAME, ("visit",), [(v,) for v in range(2, 1100)]))
    commit(lake, lambda c: c.delete(NAME, ("id",), [(row(1150)[6],)]))
    commit(lake, lambda c: c.set("tag", "x", 3))
    lake.checkpoint()
    for version in range(1, 5):
        os.unlink(tmp_path / f"registry/log/{version:020d}.json")
    again = reopened(tmp_path)
    assert everything(again.snapshot()) == everything(lake.snapshot())
    assert len(everything(again.snapshot())) == 1 + 99
    assert dict(again.snapshot().state("tag")) == {"x": 3}
    add(again, [row(5), row(1150)])
    commit(again, lambda c: c.delete(NAME, ("visit",), [(1,), (1199,)]))
    assert len(everything(again.snapshot())) == 100
    assert everything(reopened(tmp_path).snapshot()) == everything(again.snapshot())


def test_a_compaction_can_be_prepared_on_a_reopened_lake(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    add(lake, [row(1)])
    lake.checkpoint()
    work = Compaction(NAME, FileWriter(open_storage(tmp_path)))
    change = work.build(reopened(tmp_path).snapshot())
    assert change is not None
    assert len(change.internal) == 2


def test_what_compactions_rewrite_grows_little_faster_than_what_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact, "MOST_ROWS", 40)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    lake = fresh(tmp_path)
    for step in range(1500):
        add(lake, [row(step, run=f"r{step % 5}")])
    rewritten = sum(
        action["add"]["rows"]
        for entry in lake.history()
        if entry.op == "compact"
        for action in entry.actions
        if "add" in action
    )
    assert rewritten < 8 * 1500  # rewriting all of it each time would be 27,000
    assert live_files(lake) < 15
    assert len(everything(reopened(tmp_path).snapshot())) == 1500


@pytest.mark.parametrize("length", [1, 30, 45, 100])
def test_a_gap_in_the_log_is_seen_however_long_it_is(tmp_path: Path, length: int) -> None:
    lake = fresh(tmp_path)
    lake._checkpoint_if_due = lambda version: None  # type: ignore[method-assign]
    for step in range(5 + 2 * length + 40):
        add(lake, [row(step)])
    for version in range(5, 5 + length):
        (tmp_path / log_path(version)).unlink()
    with pytest.raises(RepositoryCorruptError, match="hole"):
        reopened(tmp_path)
