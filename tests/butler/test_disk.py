# SPDX-License-Identifier: BSD-3-Clause
"""A disk that is full, files that may not grow, too few file descriptors: nothing half done, nothing lost."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lakebutler import Butler, ButlerError, DatasetIdGenEnum, DatasetRef, FileDataset, StorageError
from tests.butler.world import CAM, Place, check_message, dataset_type, fill, note_id

PADDING = "x" * 20_000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("needs root to mount a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def place(small: Path) -> Place:
    """A filled repository on it."""
    place = Place(str(small / "repo"))
    place.make()
    with place.open(run="u/test") as butler:
        fill(butler)
        add = butler.registry.insertDimensionData
        add("detector", *({"instrument": CAM, "id": 1000 + i, "full_name": f"D{i}"} for i in range(300)))
    return place


def grow(small: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)


def content(number: int) -> dict[str, object]:
    return {"number": number, "padding": PADDING}


def whole(place: Place, numbers: list[int]) -> None:
    """Exactly these datasets are there, and their files, and nothing else."""
    with place.open(collections="u/test") as butler:
        refs = butler.query_datasets("note", explain=False)
        assert sorted(ref.dataId["detector"] for ref in refs) == numbers
        for ref in refs:
            assert butler.get(ref) == content(ref.dataId["detector"])
        paths = {butler.getURI(ref).ospath for ref in refs}
        assert [e.version for e in butler.history()] == list(range(butler.version, -1, -1))
    assert {str(Path(place.url) / path) for path in place.files()} == paths


def test_puts_on_a_full_disk_fail_cleanly_and_go_on_when_there_is_room(small: Path, place: Place) -> None:
    done: list[int] = []
    failed = 0
    with place.open(run="u/test") as butler:
        for number in range(1000, 1140):
            try:
                butler.put(content(number), "note", note_id(detector=number))
            except StorageError as exc:
                check_message(exc, str(small), "space")
                failed += 1
            else:
                done.append(number)
        assert failed > 10
        assert done
        whole(place, done)
        grow(small)
        for number in range(1140, 1150):
            butler.put(content(number), "note", note_id(detector=number))
            done.append(number)
    whole(place, done)


def test_a_transaction_on_a_full_disk_is_undone_whole(small: Path, place: Place) -> None:
    def many(butler: Butler) -> None:
        with butler.transaction():
            for number in range(1000, 1140):
                butler.put(content(number), "note", note_id(detector=number))

    before = place.tree()
    with place.open(run="u/test") as butler:
        with pytest.raises(StorageError, match="space"):
            many(butler)
        assert place.tree() == before
        grow(small)
        many(butler)
    whole(place, list(range(1000, 1140)))


def test_an_ingest_on_a_full_disk_is_undone_whole(small: Path, place: Place, tmp_path: Path) -> None:
    files = []
    with place.open(run="u/test") as butler:
        for number in range(1000, 1140):
            path = tmp_path / f"{number}.json"
            path.write_text(json.dumps(content(number)))
            ref = DatasetRef(
                dataset_type(butler, "note"),
                note_id(detector=number),
                run="u/test",
                id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN,
            )
            files.append(FileDataset(str(path), ref))
        before = place.tree()
        for mode in ("copy", "move"):
            with pytest.raises(StorageError, match="space"):
                butler.ingest(*files, transfer=mode)
            assert place.tree() == before
            assert all(Path(file.path).exists() for file in files)
        grow(small)
        butler.ingest(*files, transfer="move")
        assert not any(Path(file.path).exists() for file in files)
    whole(place, list(range(1000, 1140)))


def test_a_log_entry_that_does_not_fit_undoes_the_file(small: Path, place: Place) -> None:
    """The last bytes of the disk go to the dataset's file: its commit fails, and the file goes again."""
    filler = small / "filler"
    done, failed = [], 0
    with place.open(run="u/test") as butler:
        for left in range(12):
            fill_up(filler, left * 4096)
            number = 1000 + left
            try:
                butler.put({"n": number}, "note", note_id(detector=number))
            except ButlerError as exc:
                check_message(exc)
                failed += 1
            else:
                done.append(number)
            filler.unlink()
        refs = butler.query_datasets("note", explain=False)
        assert sorted(ref.dataId["detector"] for ref in refs) == done
        assert all(butler.get(ref) == {"n": ref.dataId["detector"]} for ref in refs)
    assert failed
    assert done
    assert len(place.files()) == len(done)


def fill_up(path: Path, left: int) -> None:
    """Take all of a disk but so many bytes."""
    free = os.statvfs(path.parent)
    path.write_bytes(b"\0" * max(0, free.f_bavail * free.f_frsize - left))


def test_a_repository_that_does_not_fit_leaves_a_message_and_can_be_made_again(small: Path) -> None:
    filler = small / "filler"
    fill_up(filler, 0)
    place = Place(str(small / "repo"))
    with pytest.raises(ButlerError) as caught:
        place.make()
    check_message(caught.value, str(small))
    filler.unlink()
    place.make()
    with place.open() as butler:
        assert butler.version == 0


# -------------------------------------------------------------- limits of the process


@contextmanager
def limited(what: int, value: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


def test_a_file_that_may_not_grow_is_refused_and_removed(local: Place, local_butler: Butler) -> None:
    import signal

    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        before = local.tree()
        with limited(resource.RLIMIT_FSIZE, 8192):
            with pytest.raises(StorageError) as caught:
                local_butler.put(content(1), "note", note_id())
            check_message(caught.value, local.url)
        assert local.tree() == before
    finally:
        signal.signal(signal.SIGXFSZ, old)
    local_butler.put(content(1), "note", note_id())
    assert local_butler.get("note", note_id()) == content(1)


def test_too_few_descriptors_are_named_and_nothing_is_lost(local: Place, local_butler: Butler) -> None:
    local_butler.put(content(0), "note", note_id())
    before = local.tree()
    taken = []
    try:
        with limited(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) + 20):
            while True:
                try:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
                except OSError:
                    break
            with pytest.raises(StorageError) as caught:
                local_butler.put(content(1), "note", note_id(102))
            check_message(caught.value, "files")
    finally:
        for descriptor in taken:
            os.close(descriptor)
    assert local.tree() == before
    local_butler.put(content(1), "note", note_id(102))
    assert local_butler.get("note", note_id()) == content(0)
