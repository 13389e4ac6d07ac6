# SPDX-License-Identifier: BSD-3-Clause
"""The storage on S3 keeps the contract on a real server."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakebutler.errors import StorageError, UnsafeStoreError
from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.schema import Column, TableSchema
from lakebutler.lake.storage import Storage, open_storage
from lakebutler.lake.storage import object as storage_object
from lakebutler.lake.storage.object import ObjectStorage
from lakebutler.testing.storage import StorageTests
from tests.s3server import S3Root, s3_root, s3_server  # noqa: F401

pytestmark = pytest.mark.s3
TABLE = TableSchema("t", (Column("a", "string"), Column("b", "int64")), ("a", "b"), ("a",))


class TestObjectStorage(StorageTests):
    racers = 3
    turns = 2

    @pytest.fixture
    def make_storage(self, s3_root: S3Root) -> Callable[[], Storage]:  # noqa: F811
        return lambda: open_storage(s3_root.url, storage_options=s3_root.storage_options)


class Counting:
    """Counts the requests of an `ObjectStorage`."""

    def __init__(self, storage: ObjectStorage) -> None:
        self.made: list[str] = []
        for retries in (True, False):
            fs = storage._fs(retries)
            fs._call_s3 = self._wrap(fs._call_s3)
            fs.call_s3 = self._wrap(fs.call_s3)

    def _wrap(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        def call(method: str, **kwargs: Any) -> Any:
            self.made.append(method)
            return inner(method, **kwargs)

        return call


def lake_of(root: S3Root) -> Lake:
    change = Change()
    change.create_table(TABLE)
    return Lake.create(open_storage(root.url, storage_options=root.storage_options), config={}, change=change)


def adding(*rows: tuple[str, int]) -> Callable[[Any], Change]:
    def build(snapshot: Any) -> Change:
        change = Change()
        change.append_rows("t", list(rows))
        return change

    return build


def test_a_store_that_ignores_the_condition_is_refused_before_anything_is_committed(
    s3_root: S3Root,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage_object, "_safe_endpoints", set())
    storage = open_storage(s3_root.url, storage_options=s3_root.storage_options)
    assert isinstance(storage, ObjectStorage)
    inner = storage._fs(retries=False).call_s3

    def careless(method: str, **kwargs: Any) -> Any:
        kwargs.pop("IfNoneMatch", None)
        return inner(method, **kwargs)

    monkeypatch.setattr(storage._fs(retries=False), "call_s3", careless)
    with pytest.raises(UnsafeStoreError, match="ignores conditional writes"):
        Lake.create(storage, config={})
    assert list(storage.list("registry/")) == []
    assert list(storage.list("registry/log/")) == []


def test_an_endpoint_is_probed_once(s3_root: S3Root, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(storage_object, "_safe_endpoints", set())
    storage = open_storage(s3_root.url, storage_options=s3_root.storage_options)
    assert isinstance(storage, ObjectStorage)
    counting = Counting(storage)
    storage.create("registry/a", b"1")
    assert counting.made.count("put_object") == 3
    open_storage(s3_root.url, storage_options=s3_root.storage_options).create("registry/b", b"1")
    storage.create("registry/c", b"1")
    assert counting.made.count("put_object") == 4
    assert not [info for info in storage.list("registry/") if "probe" in info.path]


def test_opening_takes_few_requests(s3_root: S3Root) -> None:  # noqa: F811
    lake = lake_of(s3_root)
    for number in range(4):
        lake.commit(adding(("x", number)), op="put")
    lake.checkpoint()
    storage = open_storage(s3_root.url, storage_options=s3_root.storage_options)
    assert isinstance(storage, ObjectStorage)
    counting = Counting(storage)
    assert Lake.open(storage).snapshot(refresh=False).version == 4
    assert len(counting.made) <= 6, counting.made


def opened(root: S3Root) -> tuple[Lake, list[str]]:
    storage = open_storage(root.url, storage_options=root.storage_options)
    assert isinstance(storage, ObjectStorage)
    counting = Counting(storage)
    return Lake.open(storage), counting.made


def test_opening_again_is_one_listing(
    s3_root: S3Root,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    writer = lake_of(s3_root)
    writer.commit(adding(("x", 1)), op="put")
    writer.checkpoint()
    first, requests = opened(s3_root)
    assert len(requests) == 4
    again, requests = opened(s3_root)
    assert requests == ["list_objects_v2"]
    assert again.repo_id == first.repo_id
    assert again.snapshot(refresh=False).find("t", ("a",), ("x",)) == [("x", 1)]
    writer.commit(adding(("y", 2)), op="put")
    later, requests = opened(s3_root)
    assert requests == ["list_objects_v2", "get_object"]
    assert later.snapshot(refresh=False).find("t", ("a",), ("y",)) == [("y", 2)]
    for kept in tmp_path.rglob("*.parquet"):
        kept.write_bytes(bytes(kept.stat().st_size))
    spoilt, requests = opened(s3_root)
    assert len(requests) > 2
    assert spoilt.snapshot(refresh=False).version == later.snapshot(refresh=False).version


def test_another_repository_at_the_same_address_is_not_taken_for_the_old_one(
    s3_root: S3Root,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old = lake_of(s3_root)
    old.commit(adding(("old", 1)), op="put")
    old.checkpoint()
    opened(s3_root)
    opened(s3_root)
    storage = old.storage
    for folder in ("registry/", "registry/log/", "registry/checkpoint/"):
        storage.delete([info.path for info in storage.list(folder)])
    time.sleep(1.1)  # times in listings are in seconds
    new = lake_of(s3_root)
    new.commit(adding(("new", 1)), op="put")
    found, _ = opened(s3_root)
    assert found.repo_id == new.repo_id != old.repo_id
    assert found.snapshot(refresh=False).find("t", ("a",), ("new",)) == [("new", 1)]


def test_a_commit_takes_few_requests(s3_root: S3Root) -> None:  # noqa: F811
    lake_of(s3_root)
    storage = open_storage(s3_root.url, storage_options=s3_root.storage_options)
    assert isinstance(storage, ObjectStorage)
    lake = Lake.open(storage)
    counting = Counting(storage)
    for number in range(4):
        lake.commit(adding(("x", number)), op="put")
    assert counting.made == ["put_object"] * 4


def test_files_are_fetched_once_and_a_spoilt_copy_is_fetched_again(
    s3_root: S3Root,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lake = lake_of(s3_root)
    data = os.urandom(5000)
    lake.storage.create("registry/data/t/x.parquet", data)
    digest = hashlib.sha256(data).hexdigest()

    def fetch() -> list[str]:
        storage = open_storage(s3_root.url, storage_options=s3_root.storage_options)
        assert isinstance(storage, ObjectStorage)
        counting = Counting(storage)
        place = Path(storage.fetch("registry/data/t/x.parquet", len(data), digest))
        assert place.read_bytes() == data
        assert place.is_relative_to(tmp_path)
        return counting.made

    first, second = fetch(), fetch()
    assert first == ["get_object", "get_object"]  # who it is, and the file
    assert second == ["get_object"]
    (copy,) = [place for place in tmp_path.rglob("*.parquet") if place.stat().st_size == len(data)]
    copy.write_bytes(bytes(len(data)))
    assert len(fetch()) == 2


def test_wrong_credentials_are_one_line(s3_root: S3Root) -> None:  # noqa: F811
    lake_of(s3_root)
    options = {**s3_root.storage_options, "secret": "wrong"}
    with pytest.raises(StorageError, match=r"cannot read registry/format\.json") as caught:
        Lake.open(open_storage(s3_root.url, storage_options=options))
    assert len(str(caught.value).splitlines()) <= 2
    assert "wrong" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line() -> None:
    options: dict[str, Any] = {"key": "k", "secret": "s", "endpoint_url": "http://127.0.0.1:9"}
    options["config_kwargs"] = {"retries": {"max_attempts": 1}}
    storage = open_storage("s3://bucket/prefix", storage_options=options)
    assert isinstance(storage, ObjectStorage)
    storage._fs().retries = 1
    with pytest.raises(StorageError, match="cannot read"):
        Lake.open(storage)
