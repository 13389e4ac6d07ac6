# SPDX-License-Identifier: BSD-3-Clause
"""Old versions go, and everything that is to stay still opens."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakebutler.errors import ButlerUserError, RepositoryExistsError, SnapshotNotFoundError
from lakebutler.lake.lake import Lake
from lakebutler.lake.naming import CHECKPOINT, DATA, LOG, log_path
from lakebutler.lake.references import find_references
from lakebutler.lake.storage import open_storage
from lakebutler.lake.tagging import add_tag
from lakebutler.lake.vacuum import check_window, expire, find_expiry, orphans, remove_orphans, strays
from lakebutler.lake.verify import verify_registry
from tests.lake.helpers import DATASET, NAME, SMALL, add, bulk, commit, everything, fresh, reopened, row
from tests.lake.test_versions import scribble

NOTHING = timedelta(0)


def vacuum(lake: Lake, window: timedelta = NOTHING) -> int:
    """Let go of all versions that may go; return the oldest one left."""
    time.sleep(0.05)  # the clock of a file system ticks slowly
    expiry = find_expiry(lake, window)
    expire(lake, expiry)
    storage = lake.storage
    found = find_references(storage)
    remove_orphans(storage, orphans(storage, found, expiry.cutoff), found)
    return expiry.boundary


@pytest.mark.parametrize("seed", range(3))
def test_after_vacuum_all_that_is_kept_opens_and_the_rest_has_expired(tmp_path: Path, seed: int) -> None:
    lake = fresh(tmp_path, SMALL, DATASET)
    made = scribble(lake, seed, 20)
    add_tag(lake, "early", made[4].version)
    add_tag(lake, "later", made[9].version)
    cut = lake.snapshot()
    cut_time = datetime.now(UTC)
    time.sleep(0.02)
    after = scribble(lake, seed + 50, 12)[1:]
    wanted = {s.version: (everything(s), everything(s, SMALL.name), dict(s.state("collection")))
              for s in (made[4], made[9], cut, *after)}  # fmt: skip
    expiry = find_expiry(lake, NOTHING, now=cut_time)
    assert expiry.boundary == cut.version
    files = set((tmp_path / DATA / NAME).iterdir())
    expire(lake, expiry)
    storage = lake.storage
    found = find_references(storage)
    doomed = orphans(storage, found, expiry.cutoff)
    remove_orphans(storage, doomed, found)
    assert doomed
    assert set((tmp_path / DATA / NAME).iterdir()) < files
    for opened in (lake, reopened(tmp_path)):
        for version, content in wanted.items():
            s = opened.as_of(version)
            assert (everything(s), everything(s, SMALL.name), dict(s.state("collection"))) == content
        assert opened.as_of("early").version == made[4].version
        assert opened.as_of(cut.time).version == cut.version
        for gone in (0, made[3].version, made[6].version, cut.version - 1):
            with pytest.raises(SnapshotNotFoundError, match="no longer kept"):
                opened.as_of(gone)
        with pytest.raises(SnapshotNotFoundError):
            opened.as_of(made[2].time)
    report = verify_registry(storage)
    assert not [f for f in report.findings if f.damage]
    assert (report.first, report.head) == (cut.version, lake.snapshot().version)


def test_a_repository_that_was_vacuumed_to_its_head_goes_on(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    for n in range(5):
        add(lake, [row(n)])
    rows = everything(lake.snapshot())
    assert vacuum(lake) == 5
    assert not list((tmp_path / LOG).iterdir())
    again = reopened(tmp_path)
    assert everything(again.snapshot()) == rows
    assert add(again, [row(9)]).version == 6
    assert lake.snapshot().version == 6
    with pytest.raises(RepositoryExistsError):
        Lake.create(open_storage(tmp_path), config={})


def test_the_checkpoint_at_the_boundary_outlives_newer_ones(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    first = add(lake, [row(1)])
    add_tag(lake, "dr1")
    add(lake, [row(2)])
    edge = vacuum(lake)
    for n in range(260):
        add(lake, [row(1000 + n)])
    assert len(list((tmp_path / CHECKPOINT).glob("0*"))) >= 4
    again = reopened(tmp_path)
    assert everything(again.as_of("dr1")) == everything(first) == [row(1)]
    assert len(everything(again.as_of(edge + 1))) == 3


def test_a_writer_that_slept_through_a_vacuum_cannot_commit_into_the_past(tmp_path: Path) -> None:
    sleeper, lake = fresh(tmp_path), reopened(tmp_path)
    for n in range(6):
        add(lake, [row(n)])
    edge = vacuum(lake)
    assert sleeper.head.version < edge
    assert add(sleeper, [row(50)]).version == edge + 1
    assert not (tmp_path / log_path(1)).exists()
    assert sorted(r[3] for r in everything(reopened(tmp_path).snapshot())) == [0, 1, 2, 3, 4, 5, 50]


def test_what_is_young_stays(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    add(lake, [row(1)])
    orphan = tmp_path / DATA / NAME / "left.parquet"
    orphan.write_bytes(b"left")
    assert find_expiry(lake).boundary == -1
    found = find_references(lake.storage)
    assert not orphans(lake.storage, found, datetime.now(UTC) - timedelta(days=1))
    os.utime(orphan, (time.time() - 2 * 86400,) * 2)
    doomed = orphans(lake.storage, found, datetime.now(UTC) - timedelta(days=1))
    assert [info.path for info in doomed] == [str(orphan.relative_to(tmp_path))]
    assert remove_orphans(lake.storage, doomed, found) == 1
    assert not orphan.exists()


def test_the_clock_of_the_store_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lakebutler.lake import commit as committing

    class Late(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2001, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(committing, "datetime", Late)
    lake = fresh(tmp_path)
    for n in range(3):
        add(lake, [row(n)])
    assert lake.snapshot().time.year == 2001
    assert find_expiry(lake).boundary == -1


def test_an_orphan_that_is_committed_meanwhile_is_not_removed(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    before = find_references(lake.storage)
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(2000)])))
    doomed = orphans(lake.storage, before, datetime.now(UTC) + timedelta(days=1))
    assert doomed
    assert remove_orphans(lake.storage, doomed, before) == 0
    assert len(everything(reopened(tmp_path).snapshot())) == 2000


def test_temporary_files_of_crashes_are_found(tmp_path: Path) -> None:
    fresh(tmp_path)
    left = tmp_path / LOG / ".tmp-0123"
    left.write_bytes(b"x")
    assert strays(str(tmp_path), datetime.now(UTC) + timedelta(seconds=9)) == [str(left)]
    assert not strays(str(tmp_path), datetime.now(UTC) - timedelta(days=1))


def test_a_short_window_is_only_for_who_is_alone() -> None:
    with pytest.raises(ButlerUserError, match="too short"):
        check_window(timedelta(hours=1), offline=False)
    check_window(timedelta(hours=1), offline=True)
    check_window(timedelta(days=1), offline=False)
