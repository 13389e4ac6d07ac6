# SPDX-License-Identifier: BSD-3-Clause
"""A copy, however made, opens anywhere; a copy of what was written to meanwhile says what it lacks."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, ButlerError
from lakebutler.butler.maintenance.verify import verify
from lakebutler.errors import RepositoryCorruptError, RepositoryError, SnapshotExpiredError
from lakebutler.lake.lake import Lake
from lakebutler.lake.references import find_references
from lakebutler.lake.storage import open_storage
from lakebutler.lake.vacuum import expire, find_expiry, orphans, remove_orphans
from tests.hostile.editing import RUN, make_good
from tests.lake.helpers import NAME, add, bulk, commit, everything, fresh, reopened, row


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "repo"
    make_good(root)
    with Butler.from_config(root, writeable=True) as butler:
        butler.repository.lake.checkpoint()
    return root


def by_cp(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)


def by_tar(source: Path, target: Path) -> None:
    archive = target.with_suffix(".tar.gz")
    subprocess.run(["tar", "czf", str(archive), "-C", str(source), "."], check=True)
    target.mkdir()
    subprocess.run(["tar", "xzf", str(archive), "-C", str(target)], check=True)


def by_zip(source: Path, target: Path) -> None:
    archive = target.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as out:
        for path in sorted(source.rglob("*")):
            out.write(path, path.relative_to(source))
    with zipfile.ZipFile(archive) as archived:
        archived.extractall(target)


def by_sync(source: Path, target: Path) -> None:
    """As a client of an object store does: files only, no folders, in any order, times of its own."""
    paths = [path for path in source.rglob("*") if path.is_file()]
    random.Random(3).shuffle(paths)
    for path in paths:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
        os.utime(place, (1e9, 1e9))


def by_rename(source: Path, target: Path) -> None:
    shutil.copytree(source, target.with_name("first"))
    target.with_name("first").rename(target)


COPIERS = (by_cp, by_tar, by_zip, by_sync, by_rename)


def seen(root: Path) -> Any:
    """What a repository answers."""
    with Butler.from_config(root, collections=["chain", RUN]) as butler:
        found = {}
        for name in ("note", "label", "bias"):
            for ref in butler.query_datasets(name, explain=False):
                found[str(ref.id)] = str(butler.get(ref))
        return butler.version, butler.collections.query("*"), [t.name for t in butler.tags()], found


def tree(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize("copy", COPIERS, ids=lambda copy: copy.__name__)
def test_a_copy_opens_elsewhere_without_being_rewritten(
    copy: Callable[[Path, Path], None], made: Path, tmp_path: Path
) -> None:
    (tmp_path / "other name").mkdir()
    target = tmp_path / "other name" / "cöpy"
    copy(made, target)
    before = tree(target)
    assert seen(target) == seen(made)
    assert tree(target) == before
    assert not verify(target).damaged
    with Butler.from_config(target, run="u/new") as butler:
        butler.put("more", "label", instrument="Cam1")
        assert butler.version > seen(made)[0]


def test_nothing_in_a_repository_says_where_it_lies(made: Path) -> None:
    needle = str(made).encode()
    for path in made.rglob("*"):
        if path.is_file():
            assert needle not in path.read_bytes(), path


def test_a_copy_of_a_live_repository_is_at_a_committed_version_or_says_what_is_missing(
    tmp_path: Path,
) -> None:
    """Copied in no good order while it is written to; every answer is that of some version."""
    root, states = tmp_path / "repo", {}
    lake = fresh(root)
    stop = threading.Event()

    def write() -> None:
        for n in range(400):
            if stop.is_set():
                return
            if n % 20 == 7:
                many = bulk([row(1000 * n + i) for i in range(1100)])
                snapshot = commit(lake, lambda c, many=many: c.append_table(NAME, many))
            else:
                snapshot = add(lake, [row(n)])
            states[snapshot.version] = sorted(map(repr, everything(snapshot)))
            if n % 30 == 29:
                lake.checkpoint()

    states[0] = []
    writer = threading.Thread(target=write)
    writer.start()
    try:
        outcomes = [outcome(root, tmp_path / str(n), n) for n in range(12)]
    finally:
        stop.set()
        writer.join()
    whole = [found for found in outcomes if not isinstance(found, str)]
    assert whole, outcomes
    for version, rows in whole:
        assert rows == states[version]


def outcome(root: Path, target: Path, seed: int) -> Any:
    """Copy, open and read everything; what the repository says if it does not."""
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    random.Random(seed).shuffle(paths)
    for path in paths:
        place = target / path.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.write_bytes(path.read_bytes())
        except FileNotFoundError:
            continue
    try:
        snapshot = reopened(target).snapshot()
        return snapshot.version, sorted(map(repr, everything(snapshot)))
    except RepositoryError as error:
        return error.message


@pytest.mark.parametrize("lacks", ["registry/data", "registry/log", "registry/format.json"])
def test_half_a_copy_says_what_is_missing(lacks: str, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "repo")
    with Butler.from_config(tmp_path / "repo", writeable=True) as butler:
        butler.repository.lake.compact(everything=True)
    place = tmp_path / "repo" / lacks
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    if lacks == "registry/log":
        shutil.rmtree(tmp_path / "repo/registry/checkpoint")
    with pytest.raises(ButlerError, match=r"registry|repository"):
        seen(tmp_path / "repo")


# ------------------------------------------------------------------------------ expired


def vacuumed(lake: Lake) -> None:
    """Let everything but the newest version go."""
    from lakebutler.lake.vacuum import store_clock

    now = store_clock(lake.storage)
    expire(lake, find_expiry(lake, timedelta(0), now=now + timedelta(days=1)))
    found = find_references(lake.storage)
    remove_orphans(lake.storage, orphans(lake.storage, found, now + timedelta(days=1)), found)


def test_a_reader_whose_files_a_vacuum_removed_is_told_so(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(1100)])))
    reader = reopened(tmp_path).snapshot()
    commit(lake, lambda c: c.delete(NAME, ("id",), [(row(v)[6],) for v in range(1100)]))
    add(lake, [row(5000)])
    lake.compact(everything=True)
    vacuumed(lake)
    with pytest.raises(SnapshotExpiredError, match="no longer kept"):
        everything(reader)
    assert everything(reopened(tmp_path).snapshot()) == [row(5000)]
    with pytest.raises(SnapshotExpiredError):
        reopened(tmp_path).as_of(1)


def test_a_file_that_the_newest_version_needs_has_not_expired(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(1100)])))
    add(lake, [row(5000)])
    vacuumed(lake)
    for path in (tmp_path / "registry/data" / NAME).iterdir():
        path.unlink()
    with pytest.raises(RepositoryCorruptError, match="missing"):
        everything(Lake.open(open_storage(tmp_path)).snapshot())
