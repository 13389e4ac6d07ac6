# SPDX-License-Identifier: BSD-3-Clause
"""The storages keep the contract, and the local one keeps a crash out of sight."""

from __future__ import annotations

import errno
import os
import stat
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from lakebutler.errors import RepositoryCorruptError, StorageError, StorageUncertainError
from lakebutler.lake.storage import Storage, open_storage
from lakebutler.lake.storage import local as storage_local
from lakebutler.lake.storage.local import LocalStorage
from lakebutler.testing.storage import StorageTests


class TestLocalStorage(StorageTests):
    @pytest.fixture
    def make_storage(self, tmp_path: Path) -> Callable[[], Storage]:
        return lambda: open_storage(tmp_path / "repo")


class TestLocalStorageWithoutNamelessFiles(StorageTests):
    """As on file systems that know no ``O_TMPFILE``."""

    @pytest.fixture
    def make_storage(self, tmp_path: Path) -> Callable[[], Storage]:
        def make() -> Storage:
            storage = LocalStorage(str(tmp_path / "repo"))
            storage._tmpfile = False
            return storage

        return make


class TestMemoryStorage(StorageTests):
    @pytest.fixture
    def make_storage(self) -> Callable[[], Storage]:
        name = uuid.uuid4().hex
        return lambda: open_storage(f"memory://{name}")


def test_a_file_url_is_a_local_directory(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    open_storage(f"file://{tmp_path}/with%20space").create("x", b"1")
    assert (folder / "x").read_bytes() == b"1"


@pytest.mark.parametrize("root", ["gs://x/y", "http://x/y", "s3://", "s3:///x"])
def test_a_root_without_a_storage_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match=r"no storage|no bucket"):
        open_storage(root)


def test_opening_and_reading_make_nothing(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "none")
    assert list(storage.list("registry/log/")) == []
    with pytest.raises(FileNotFoundError):
        storage.read("registry/format.json")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("nameless", [True, False])
def test_nothing_but_the_file_is_left(tmp_path: Path, nameless: bool) -> None:
    storage = LocalStorage(str(tmp_path))
    storage._tmpfile = nameless and storage._tmpfile
    storage.create("a/x", b"1")
    with pytest.raises(FileExistsError):
        storage.create("a/x", b"2")
    storage.write("a/y", b"1")
    assert sorted(os.listdir(tmp_path / "a")) == ["x", "y"]


def test_files_honour_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        storage = LocalStorage(str(tmp_path))
        storage.create("a/x", b"1")
        storage.write("a/y", b"1")
    finally:
        os.umask(old)
    for name in "xy":
        assert stat.S_IMODE((tmp_path / "a" / name).stat().st_mode) == 0o640


@pytest.mark.parametrize("verb", ["create", "write"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("step", ["open", "write", "fsync"])
def test_a_refusal_at_any_step_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, code: int, step: str
) -> None:
    storage = LocalStorage(str(tmp_path))
    storage.create("a/first", b"1")

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(storage_local.os, step, refuse)
        with pytest.raises(StorageError, match=os.strerror(code)) as caught:
            getattr(storage, verb)("a/x", b"data")
    assert len(str(caught.value).splitlines()) <= 2
    assert not isinstance(caught.value, StorageUncertainError)
    assert os.listdir(tmp_path / "a") == ["first"]
    storage.create("a/x", b"now")


def test_a_disk_that_does_not_confirm_the_name_is_reported_as_unsure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalStorage(str(tmp_path))
    storage.create("a/first", b"1")

    def refuse(folder: str) -> None:
        raise OSError(errno.EIO, "bad disk")

    monkeypatch.setattr(storage_local, "_sync_folder", refuse)
    with pytest.raises(StorageUncertainError, match="bad disk"):
        storage.create("a/x", b"data")


def test_a_symlink_to_the_outside_is_not_fetched(tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_bytes(b"secret")
    folder = tmp_path / "repo/registry/data/t"
    folder.mkdir(parents=True)
    (folder / "x.parquet").symlink_to(outside)
    (tmp_path / "repo/registry/data/u").symlink_to(tmp_path)
    storage = LocalStorage(str(tmp_path / "repo"))
    digest = storage_local.hash_file(str(outside))
    for path in ("registry/data/t/x.parquet", "registry/data/u/secret"):
        with pytest.raises(RepositoryCorruptError):
            storage.fetch(path, 6, digest)


def test_a_file_changed_after_its_check_is_checked_again(tmp_path: Path) -> None:
    storage = LocalStorage(str(tmp_path))
    storage.create("a/x", b"12345")
    digest = storage_local.hash_file(str(tmp_path / "a/x"))
    storage.fetch("a/x", 5, digest)
    (tmp_path / "a/x").write_bytes(b"54321")
    with pytest.raises(RepositoryCorruptError, match="a/x"):
        storage.fetch("a/x", 5, digest)


def test_an_abandoned_lock_holds_nobody_up(tmp_path: Path) -> None:
    """A holder that is killed lets go; one that hangs is not waited for for ever."""
    storage = LocalStorage(str(tmp_path))
    (tmp_path / "registry").mkdir()
    process = os.fork()
    if process == 0:
        with LocalStorage(str(tmp_path)).lock():
            os._exit(0)
    os.waitpid(process, 0)
    with storage.lock():
        pass


def test_a_hanging_lock_holder_is_overtaken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_local, "_LOCK_PATIENCE", 0.05)
    (tmp_path / "registry").mkdir()
    with LocalStorage(str(tmp_path)).lock(), LocalStorage(str(tmp_path)).lock():
        pass


def test_who_waits_for_the_lock_does_something_useful(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    done: list[int] = []
    with LocalStorage(str(tmp_path)).lock():
        waits = threading.Thread(target=_wait, args=(LocalStorage(str(tmp_path)), done))
        waits.start()
        while not done:
            waits.join(0.001)
    waits.join(30)
    assert not waits.is_alive()


def _wait(storage: LocalStorage, done: list[int]) -> None:
    with storage.lock(lambda: done.append(1)):
        pass


def test_what_fails_while_waiting_lets_go_of_the_place_in_the_queue(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()

    def fail() -> None:
        raise RuntimeError

    with (
        LocalStorage(str(tmp_path)).lock(),
        pytest.raises(RuntimeError),
        LocalStorage(str(tmp_path)).lock(fail),
    ):
        pass
    with LocalStorage(str(tmp_path)).lock():
        pass
