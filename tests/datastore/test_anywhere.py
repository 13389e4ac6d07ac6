# SPDX-License-Identifier: BSD-3-Clause
"""The same datastore on a local directory, in memory, and on a real S3 server."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.nddata import CCDData

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.file_dataset import FileDataset
from lakebutler.datastore import datastore as module
from lakebutler.datastore.datastore import Datastore
from lakebutler.errors import DatasetNotFoundError, ExternalFileError, FileIntegrityError, StorageError
from tests.s3server import s3_root, s3_server  # noqa: F401

Make = Callable[..., DatasetRef]


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.s3)])
def make_store(request: pytest.FixtureRequest, root: Path) -> Callable[..., Datastore]:
    if request.param == "local":
        return lambda **kwargs: Datastore(str(root), **kwargs)
    if request.param == "memory":
        place = f"memory://{uuid.uuid4().hex}/repo"
        return lambda **kwargs: Datastore(place, **kwargs)
    s3 = request.getfixturevalue("s3_root")
    return lambda **kwargs: Datastore(s3.url, storage_options=s3.storage_options, **kwargs)


@pytest.fixture
def store(make_store: Callable[..., Datastore]) -> Datastore:
    return make_store()


OBJECTS: list[tuple[str, Any]] = [
    ("StructuredDataDict", {"ü": [1, None]}),
    ("Bytes", b""),
    ("Bytes", b"\x00" * 70_000),
    ("NumpyArray", np.arange(5)),
    ("CCDData", CCDData(np.arange(12, dtype="u2").reshape(3, 4), unit="adu")),
]


@pytest.mark.parametrize(("storage_class", "obj"), OBJECTS)
def test_what_is_put_is_got(store: Datastore, ref: Make, storage_class: str, obj: Any) -> None:
    dataset = ref(storage_class=storage_class)
    record = store.put(obj, dataset)
    store.sync([record.path or ""])
    assert store.exists(record)
    read = store.get(dataset, record)
    assert type(read) is type(obj)
    assert (
        (np.asarray(read) == np.asarray(obj)).all()
        if storage_class in {"NumpyArray", "CCDData"}
        else read == obj
    )
    assert store.get(dataset, record, storage_class="Path").read_bytes() == store.get(
        dataset, record, storage_class="Bytes"
    )


def test_another_process_sees_what_was_put(make_store: Callable[..., Datastore], ref: Make) -> None:
    record = make_store().put({"a": 1}, ref())
    assert make_store().get(ref(), record) == {"a": 1}
    make_store().remove([record])
    reader = make_store()
    assert not reader.exists(record)
    with pytest.raises(DatasetNotFoundError, match="missing"):
        reader.get(ref(), record)
    reader.remove([record])


def test_a_file_is_never_overwritten_not_even_by_a_race(
    make_store: Callable[..., Datastore], ref: Make
) -> None:
    dataset = ref()
    records: list[Any] = []

    def write(n: int) -> None:
        records.append((n, make_store().put({"n": n}, dataset)))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({record.path for _, record in records}) == 6
    reader = make_store()
    for n, record in records:
        assert reader.get(dataset, record) == {"n": n}


def test_rollback_and_remove_take_many(store: Datastore, ref: Make) -> None:
    records = [store.put({"n": n}, ref(n)) for n in range(12)]
    store.rollback([record.path or "" for record in records[:6]])
    store.remove(records[6:])
    assert store.exists_many(records) == [False] * 12


def test_a_name_that_looks_like_a_pattern_is_one_file(store: Datastore, ref: Make) -> None:
    kept = [store.put({"n": n}, ref(n)) for n in range(2)]
    directory = (kept[0].path or "").rpartition("/")[0]
    for name in ("*", "?hing_*", "[a-z]*.json"):
        store.remove([kept[0]._replace(path=f"{directory}/{name}")])
    assert store.exists_many(kept) == [True, True]


def test_many_files_come_in_together_or_not_at_all(store: Datastore, ref: Make, tmp_path: Path) -> None:
    files = []
    for n in range(20):
        (tmp_path / f"{n}.json").write_text(f'{{"n":{n}}}')
        files.append(FileDataset(str(tmp_path / f"{n}.json"), ref(n)))
    done = store.ingest(files, "copy")
    assert [store.get(ref(n), record)["n"] for n, record in enumerate(done.records)] == list(range(20))
    store.remove(done.records)
    with pytest.raises(FileNotFoundError, match="absent"):
        store.ingest([*files, FileDataset(str(tmp_path / "absent"), ref(20))], "copy")
    assert store.exists_many(done.records) == [False] * 20


def test_a_swapped_file_is_found_out(store: Datastore, ref: Make) -> None:
    one, two = store.put({"a": 1}, ref(1)), store.put({"a": 2}, ref(2))
    with pytest.raises(FileIntegrityError, match="expected sha256:"):
        store.get(ref(1), one._replace(path=two.path))
    with pytest.raises(FileIntegrityError, match="bytes"):
        store.get(ref(1), one._replace(size=8))


def test_files_are_copied_in_and_originals_of_moves_go_last(
    store: Datastore, ref: Make, tmp_path: Path
) -> None:
    for mode in ("copy", "auto", "move"):
        source = tmp_path / f"{mode}.json"
        source.write_text('{"a":1}')
        done = store.ingest([FileDataset(str(source), ref())], mode)
        store.sync(done.written)
        assert source.exists()
        assert store.get(ref(), done.records[0]) == {"a": 1}
        store.finish(done.moves)
        assert source.exists() is (mode != "move")
        with pytest.raises(FileNotFoundError):
            store.ingest([FileDataset(str(tmp_path / "absent"), ref())], mode)


def test_a_large_file_goes_through_the_disk(
    store: Datastore, ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMOTE_IN_MEMORY", 1000)
    monkeypatch.setattr(module, "IN_MEMORY", 1000)
    monkeypatch.setattr("lakebutler.datastore.objects._SINGLE_PUT", 64 * 1000)
    pixels = np.random.default_rng(1).normal(size=(40, 50))
    np.save(tmp_path / "x.npy", pixels)
    dataset = ref(storage_class="NumpyArray")
    record = store.ingest([FileDataset(str(tmp_path / "x.npy"), dataset)], "copy").records[0]
    assert (store.get(dataset, record) == pixels).all()
    assert store.get(dataset, record, storage_class="Bytes") == (tmp_path / "x.npy").read_bytes()
    again = store.ingest([FileDataset(str(tmp_path / "x.npy"), dataset)], "copy").records[0]
    assert again.path != record.path
    with pytest.raises(FileIntegrityError):
        store.get(dataset, record._replace(checksum="sha256:" + "0" * 64))


def test_an_address_can_be_used_elsewhere(store: Datastore, ref: Make) -> None:
    record = store.put({"a": 1}, ref())
    if store.root.startswith("memory://"):
        return
    address = store.uri(ref(), record)
    assert str(address).endswith(record.path or "")
    assert address.scheme == store.root.partition("://")[0] or address.scheme == "file"


@pytest.mark.s3
def test_files_in_a_bucket_are_ingested_directly_and_copied(s3_root: Any, ref: Make, root: Path) -> None:  # noqa: F811
    import fsspec

    fs = fsspec.filesystem("s3", **s3_root.storage_options)
    name = s3_root.url.removeprefix("s3://")
    fs.pipe_file(f"{name}/data/x.json", b'{"a":1}')
    store = Datastore(f"{s3_root.url}/repo", storage_options=s3_root.storage_options)
    file = FileDataset(f"{s3_root.url}/data/x.json", ref())
    record = store.ingest([file], "direct").records[0]
    assert record.uri == f"{s3_root.url}/data/x.json"
    with pytest.raises(ExternalFileError):
        store.get(ref(), record)
    store.allow_external([f"{s3_root.url}/data"])
    assert store.get(ref(), record) == {"a": 1}
    with pytest.raises(FileNotFoundError, match="absent"):
        store.ingest([FileDataset(f"{s3_root.url}/data/absent.json", ref())], "direct")
    inside = store.put({"b": 2}, ref(1))
    again = store.ingest([FileDataset(f"{s3_root.url}/repo/{inside.path}", ref(1))], "auto").records[0]
    assert again.path == inside.path
    with pytest.raises(StorageError, match="local disk"):
        store.ingest([file], "symlink")


@pytest.mark.s3
def test_a_store_that_refuses_is_a_storage_error(s3_root: Any, ref: Make) -> None:  # noqa: F811
    record = Datastore(s3_root.url, storage_options=s3_root.storage_options).put({}, ref())
    store = Datastore(s3_root.url, storage_options={**s3_root.storage_options, "secret": "wrong"})
    with pytest.raises(StorageError, match="cannot write s3://"):
        store.put({}, ref())
    with pytest.raises((StorageError, DatasetNotFoundError)):
        store.get(ref(), record)
