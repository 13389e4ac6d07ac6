# SPDX-License-Identifier: BSD-3-Clause
"""Where datasets are, whether they are there, and bringing them out of a repository."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    Butler,
    DatasetNotFoundError,
    DatasetRef,
    ExternalFileError,
    FileDataset,
    FileIntegrityError,
    MissingDatasetTypeError,
    NoDefaultCollectionError,
    StorageError,
)
from lakebutler.butler.existence import DatasetExistence
from lakebutler.errors import DataIdValueError, RepositoryExistsError
from tests.butler.world import CAM, Place, check_message, dataset_type, note_id

# ---------------------------------------------------------------------- finding


def test_a_dataset_is_found_by_its_id(butler: Butler) -> None:
    ref = butler.put({"a": 1}, "note", note_id())
    for one in (ref.id, str(ref.id), ref.id.hex):
        assert butler.get_dataset(one) == ref
    found = butler.get_dataset(ref.id)
    assert found is not None
    assert found.dataId.hasFull()
    assert butler.registry.getDataset(ref.id) == ref
    assert butler.get_dataset(uuid.uuid4()) is None
    with pytest.raises(DataIdValueError, match="not-an-id"):
        butler.get_dataset("not-an-id")


def test_many_datasets_are_found_by_their_ids(butler: Butler) -> None:
    refs = [butler.put({"d": d}, "note", note_id(detector=d)) for d in range(3)]
    refs.append(butler.put("text", "label", instrument=CAM))
    wanted = [refs[2].id, str(refs[0].id), uuid.uuid4(), refs[3].id, refs[2].id]
    assert butler.get_many_datasets(wanted) == [refs[2], refs[0], refs[3]]
    assert butler.get_many_datasets([]) == []


def fill_many(butler: Butler, count: int = 500) -> list[DatasetRef]:
    add = butler.registry.insertDimensionData
    with butler.transaction():
        add("detector", *({"instrument": CAM, "id": 100 + i, "full_name": f"D{i}"} for i in range(count)))
        return butler.registry.insertDatasets(
            "note", [note_id(detector=100 + i) for i in range(count)], run="u/test"
        )


def test_very_many_datasets_are_found_in_one_pass(butler: Butler) -> None:
    refs = fill_many(butler)
    stored = [butler.put({"d": d}, "note", note_id(detector=d)) for d in range(2)]
    butler.registry.registerCollection("tag")
    butler.registry.associate("tag", [*refs, *stored])
    mixed = [*refs[::-1], *stored]
    assert butler.get_many_datasets([ref.id for ref in mixed] + [uuid.uuid4()]) == mixed
    assert [ref for ref, there in butler.stored_many(mixed).items() if there] == stored
    uris = butler.get_many_uris(mixed, allow_missing=True)
    assert list(uris) == stored
    assert uris[stored[0]].primaryURI == butler.getURI(stored[0])
    predicted = butler.get_many_uris(mixed, predict=True)
    assert len(predicted) == len(mixed)
    assert len({str(uri.primaryURI) for uri in predicted.values()}) == len(mixed)
    with pytest.raises(DatasetNotFoundError, match="no file"):
        butler.get_many_uris(mixed)


def test_a_reference_found_by_query_is_the_one_that_was_put(butler: Butler) -> None:
    ref = butler.put({"a": 1}, "note", note_id())
    assert butler.find_dataset("note", note_id()) == ref
    assert butler.query_datasets("note") == [ref]
    found = butler.find_dataset("catalog", instrument=CAM, visit=101)
    assert found is None
    with pytest.raises(MissingDatasetTypeError, match="ctalog"):
        butler.find_dataset("ctalog", instrument=CAM, visit=101)
    assert butler.get_dataset_type("note") == dataset_type(butler, "note")


# -------------------------------------------------------------------- existence


def test_existence_says_what_is_known(local: Place, local_butler: Butler) -> None:
    butler = local_butler
    ref = butler.put({"a": 1}, "note", note_id())
    assert butler.exists(ref) is DatasetExistence.VERIFIED
    assert butler.exists("note", note_id()) is DatasetExistence.VERIFIED
    assert butler.exists("note", note_id(), full_check=False) is DatasetExistence.KNOWN
    assert butler.stored(ref)
    assert butler.stored_many([ref]) == {ref: True}
    Path(butler.getURI(ref).ospath).unlink()
    gone = butler.exists(ref)
    assert not gone
    assert gone == DatasetExistence.RECORDED | DatasetExistence.DATASTORE
    assert butler.exists(ref, full_check=False)
    assert not butler.stored(ref)
    [registered] = butler.registry.insertDatasets("note", [note_id(102)], run="u/test")
    assert butler.exists(registered) is DatasetExistence.RECORDED
    assert not butler.exists(registered)
    unknown = DatasetRef(ref.datasetType, note_id(201), run="u/test")
    assert butler.exists(unknown) is DatasetExistence.UNRECOGNIZED
    assert butler.exists("note", note_id(201)) is DatasetExistence.UNRECOGNIZED
    assert butler.stored_many([registered, unknown]) == {registered: False, unknown: False}


def test_existence_on_any_store(butler: Butler) -> None:
    ref = butler.put({"a": 1}, "note", note_id())
    assert butler.exists(ref)
    assert butler.stored(ref)
    assert not butler.exists("note", note_id(102))
    assert not butler.exists("note", note_id(), collections=[])
    assert butler.registry.getDatasetLocations(ref) == list(butler.get_datastore_names())
    [name] = butler.get_datastore_names()
    root = butler.get_datastore_roots()[name]
    assert str(butler.getURI(ref)).startswith(str(root))


# ------------------------------------------------------------------------- URIs


def test_an_address_names_the_file(place: Place, butler: Butler) -> None:
    ref = butler.put({"a": 1}, "note", note_id())
    uri = butler.getURI(ref)
    [path] = place.files()
    assert str(uri).endswith(path)
    primary, components = butler.getURIs("note", note_id())
    assert (primary, components) == (uri, {})
    assert butler.getURIs(ref).primaryURI == uri
    if not place.remote:
        assert json.loads(uri.read()) == {"a": 1}


def test_an_address_can_be_predicted(place: Place, butler: Butler) -> None:
    before = place.tree()
    uri = butler.getURI("note", note_id(), predict=True)
    assert str(uri).endswith("#predicted")
    ref = DatasetRef(dataset_type(butler, "note"), note_id(), run="u/test")
    predicted = butler.getURI(ref, predict=True)
    assert place.tree() == before
    butler.put({}, ref)
    assert str(butler.getURI(ref)) == str(predicted).removesuffix("#predicted")
    assert butler.getURI(ref, predict=True) == butler.getURI(ref)
    elsewhere = butler.getURI("note", note_id(), predict=True, run="u/other", collections=[])
    assert "u/other" in str(elsewhere)
    with place.open() as other, pytest.raises(NoDefaultCollectionError, match="run="):
        other.getURI("note", note_id(), predict=True, collections=[])


def test_what_is_not_stored_has_no_address(butler: Butler) -> None:
    with pytest.raises(DatasetNotFoundError):
        butler.getURI("note", note_id())
    [ref] = butler.registry.insertDatasets("note", [note_id()], run="u/test")
    with pytest.raises(DatasetNotFoundError, match="no file"):
        butler.getURI(ref)
    assert str(butler.getURI(ref, predict=True)).endswith("#predicted")


# ------------------------------------------------------------------- retrieving


def retrieved(folder: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(folder)): json.loads(path.read_text())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_files_are_brought_out_whole_and_verified(place: Place, butler: Butler, tmp_path: Path) -> None:
    refs = [butler.put({"d": d}, "note", note_id(detector=d)) for d in range(3)]
    target = tmp_path / "out"
    paths = butler.retrieveArtifacts([*refs, refs[0]], target)
    assert len(paths) == 3
    assert all(json.loads(uri.read()) == {"d": d} for d, uri in enumerate(paths))
    names = {path.removeprefix("datastore/") for path in place.files()}
    assert set(retrieved(target)) == names
    flat = butler.retrieveArtifacts(refs, tmp_path / "flat", preserve_path=False)
    assert {Path(uri.ospath).parent for uri in flat} == {tmp_path / "flat"}
    assert sorted(v["d"] for v in retrieved(tmp_path / "flat").values()) == [0, 1, 2]


def test_files_that_are_there_are_not_written_over_unless_asked(
    place: Place, butler: Butler, tmp_path: Path
) -> None:
    refs = [butler.put({"d": d}, "note", note_id(detector=d)) for d in range(2)]
    [first] = butler.retrieveArtifacts(refs[:1], tmp_path / "out")
    Path(first.ospath).write_text('"mine"')
    with pytest.raises(RepositoryExistsError) as caught:
        butler.retrieveArtifacts(refs, tmp_path / "out")
    assert isinstance(caught.value, FileExistsError)
    check_message(caught.value, first.ospath, "overwrite")
    assert list(retrieved(tmp_path / "out").values()) == ["mine"]
    butler.retrieveArtifacts(refs, tmp_path / "out", overwrite=True)
    assert sorted(v["d"] for v in retrieved(tmp_path / "out").values()) == [0, 1]


@pytest.mark.parametrize("mode", ["hardlink", "link", "symlink", "relsymlink", "copy"])
def test_files_can_be_linked(local: Place, local_butler: Butler, tmp_path: Path, mode: str) -> None:
    ref = local_butler.put({"d": 1}, "note", note_id())
    [uri] = local_butler.retrieveArtifacts([ref], tmp_path / "out", transfer=mode)
    assert json.loads(Path(uri.ospath).read_text()) == {"d": 1}
    same = os.path.samefile(uri.ospath, local_butler.getURI(ref).ospath)
    assert same == (mode != "copy")
    assert os.path.islink(uri.ospath) == (mode in {"symlink", "relsymlink"})
    local_butler.retrieveArtifacts([ref], tmp_path / "out", transfer="copy", overwrite=True)
    assert not os.path.samefile(uri.ospath, local_butler.getURI(ref).ospath)
    assert local_butler.get(ref) == {"d": 1}


def test_a_retrieval_that_fails_leaves_nothing_behind(
    local: Place, local_butler: Butler, tmp_path: Path
) -> None:
    refs = [local_butler.put({"d": d}, "note", note_id(detector=d)) for d in range(2)]
    [unstored] = local_butler.registry.insertDatasets("note", [note_id(102)], run="u/test")
    for mode in ("move", "direct", "cpoy"):
        with pytest.raises(StorageError, match=mode):
            local_butler.retrieveArtifacts(refs, tmp_path / "out", transfer=mode)
    with pytest.raises(DatasetNotFoundError, match="no file"):
        local_butler.retrieveArtifacts([*refs, unstored], tmp_path / "out")
    Path(local_butler.getURI(refs[1]).ospath).write_text('{"d": 9}')
    with pytest.raises(FileIntegrityError, match=str(refs[1].id)):
        local_butler.retrieveArtifacts(refs, tmp_path / "out")
    assert not (tmp_path / "out").exists() or retrieved(tmp_path / "out") == {}


def test_files_of_one_name_do_not_meet_outside(
    local: Place, local_butler: Butler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = []
    for detector, name in enumerate(
        ("a/raw.json", "b/raw.json", "c/RAW.json", "d/..json", "e/new\nline.json")
    ):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"from": name}))
        refs.append(
            DatasetRef(
                dataset_type(local_butler, "note"), note_id(101 + detector // 4, detector % 4), run="u/test"
            )
        )
        local_butler.ingest(FileDataset(path, refs[-1]), transfer="direct")
    paths = local_butler.retrieveArtifacts(refs, tmp_path / "out", preserve_path=False)
    assert [json.loads(Path(p.ospath).read_text())["from"][0] for p in paths] == list("abcde")
    assert len({Path(p.ospath).name.casefold() for p in paths}) == 5
    assert all(Path(p.ospath).parent == tmp_path / "out" for p in paths)
    assert not any("\n" in p.ospath for p in paths)
    monkeypatch.setenv("LAKEBUTLER_CONFIG_DIR", str(tmp_path / "somebody else"))
    with local.open() as stranger, pytest.raises(ExternalFileError):
        stranger.retrieveArtifacts(refs, tmp_path / "stolen")
    assert not (tmp_path / "stolen").exists()


def test_a_file_with_several_datasets_comes_once(local: Place, local_butler: Butler, tmp_path: Path) -> None:
    path = tmp_path / "both.json"
    path.write_text('{"both": 1}')
    refs = [DatasetRef(dataset_type(local_butler, "note"), note_id(detector=d), run="u/test") for d in (0, 1)]
    local_butler.ingest(FileDataset(path, refs), transfer="copy")
    assert len(local_butler.retrieveArtifacts(refs, tmp_path / "out")) == 1
