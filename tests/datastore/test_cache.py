# SPDX-License-Identifier: BSD-3-Clause
"""Files of remote repositories are kept after they were read, within a limit."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import pytest

from lakebutler import Butler, ButlerUserError, DatasetType
from lakebutler.datastore.cache import (
    DIRECTORY_VARIABLE,
    LIMIT_VARIABLE,
    CachedFiles,
    FileCache,
    cache_of_user,
)
from lakebutler.datastore.objects import ObjectFiles
from lakebutler.datastore.opening import open_files
from tests.s3server import S3Server, s3_server  # noqa: F401


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    return FileCache(str(tmp_path / "cache"), "files", 3)


@pytest.fixture
def files(cache: FileCache) -> CachedFiles:
    return CachedFiles(f"memory://{uuid.uuid4().hex}", None, cache)


def kept(cache: FileCache) -> list[Path]:
    return sorted(p for p in Path(cache.root).rglob("*") if p.is_file())


def content(files: CachedFiles, path: str, memory: int = 1000) -> bytes:
    found = files.read(path, memory)
    if found.data is not None:
        return found.data
    assert found.stream is not None
    with found.stream as stream:
        data = stream.read()
    if found.temporary:
        os.unlink(found.path or "")
    return data


def test_what_was_read_is_read_from_the_cache(files: CachedFiles, cache: FileCache) -> None:
    name = files.create("datastore/a.json", b"one")
    assert content(files, name) == b"one"
    (file,) = kept(cache)
    file.write_bytes(b"two")  # so that one sees where it comes from
    assert content(files, name) == b"two"
    assert content(files, name, memory=1) == b"two"


def test_a_large_file_is_kept_too(files: CachedFiles, cache: FileCache) -> None:
    name = files.create("datastore/large", bytes(range(256)) * 40)
    assert content(files, name, memory=100) == bytes(range(256)) * 40
    (file,) = kept(cache)
    assert file.stat().st_size == 256 * 40


def test_an_object_that_was_replaced_is_fetched_again(files: CachedFiles) -> None:
    name = files.create("datastore/a.json", b"one")
    assert content(files, name) == b"one"
    files._fs.pipe_file(files._prefix + name, b"other")
    assert content(files, name) == b"other"


def test_a_missing_object_is_missing(files: CachedFiles) -> None:
    name = files.create("datastore/a.json", b"one")
    content(files, name)
    files.delete([name])
    with pytest.raises(FileNotFoundError):
        files.read(name, 10)


@pytest.mark.parametrize(("mode", "limit", "left"), [("files", 2, 2), ("size", 25, 2), ("age", 100, 1)])
def test_the_files_used_last_stay(tmp_path: Path, mode: str, limit: int, left: int) -> None:
    cache = FileCache(str(tmp_path / "cache"), mode, limit)
    files = CachedFiles(f"memory://{uuid.uuid4().hex}", None, cache)
    names = [files.create(f"datastore/{i}", bytes([i]) * 10) for i in range(4)]
    for number, name in enumerate(names):
        content(files, name)
        for file in kept(cache):
            then = time.time() - 1000 + number * 10
            os.utime(file, (then, then)) if file.read_bytes() == bytes([number]) * 10 else None
    cache.expire()
    content(files, names[3])
    found = {file.read_bytes()[0] for file in kept(cache)}
    assert len(found) == left
    assert 3 in found


def test_the_cache_is_the_users_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DIRECTORY_VARIABLE, raising=False)
    assert cache_of_user() is None
    assert type(open_files("memory://x", {}, private=False)) is ObjectFiles
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    assert type(open_files("memory://x", {}, private=False)) is CachedFiles
    for text, mode in (
        ("files=10", "files"),
        ("datasets=10", "files"),
        ("size=5", "size"),
        ("age=60", "age"),
    ):
        monkeypatch.setenv(LIMIT_VARIABLE, text)
        found = cache_of_user()
        assert found is not None
        assert found.mode == mode
    monkeypatch.setenv(LIMIT_VARIABLE, "disabled")
    assert cache_of_user() is None
    for wrong in ("many", "size=", "files=-1"):
        monkeypatch.setenv(LIMIT_VARIABLE, wrong)
        with pytest.raises(ButlerUserError, match=LIMIT_VARIABLE):
            cache_of_user()


def test_a_disk_that_is_full_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no directory")
    files = CachedFiles(f"memory://{uuid.uuid4().hex}", None, FileCache(str(tmp_path / "cache"), "files", 3))
    assert content(files, files.create("datastore/a", b"one")) == b"one"


@pytest.mark.s3
def test_a_butler_reads_through_the_cache(
    s3_server: S3Server,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "cache"))
    root = s3_server.root()
    Butler.makeRepo(root.url, storage_options=root.storage_options)
    with Butler(root.url, run="run", storage_options=root.storage_options) as butler:
        kind = DatasetType("setup", [], "StructuredDataDict", universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        ref = butler.put({"a": 1}, kind)
        assert butler.get(ref) == {"a": 1}
        assert len([p for p in (tmp_path / "cache").rglob("*") if p.is_file()]) == 1
        assert butler.get(ref) == {"a": 1}
