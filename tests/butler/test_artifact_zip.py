# SPDX-License-Identifier: BSD-3-Clause
"""Zips of datasets: ours, the field's, and those of nobody's friend."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler
from lakebutler.butler.exchange.artifact_zip import INDEX_NAME
from lakebutler.errors import (
    ConflictingDefinitionError,
    DataIdValueError,
    DatasetNotFoundError,
    DimensionNameError,
    FileFormatError,
    RepositoryExistsError,
    RepositoryFormatError,
    StorageError,
)
from tests.butler import incumbent
from tests.butler.test_import_export import content
from tests.butler.test_transfer import everything
from tests.butler.world import CAM, TYPES, Place, dataset_type, fill, refused


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Butler]:
    Butler.makeRepo(tmp_path / "source")
    with Butler.from_config(tmp_path / "source", run="u/a") as butler:
        fill(butler)
        for detector in (0, 1):
            butler.put({"d": detector}, "bias", instrument=CAM, detector=detector)
        butler.put({"n": 1}, "note", instrument=CAM, exposure=101, detector=1)
        butler.put({"g": 1}, "setup")
        butler.put("hello", "label", instrument=CAM)
        yield butler


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(str(tmp_path / "target"))
    made.make()
    with made.open(writeable=True) as butler:
        for name in TYPES:
            butler.registry.registerDatasetType(dataset_type(butler, name))
    return made


def test_a_zip_brings_datasets_to_another_repository(source: Butler, place: Place, tmp_path: Path) -> None:
    refs = everything(source)
    made = source.retrieve_artifacts_zip([*refs, refs[0]], tmp_path / "zips")
    assert Path(made.ospath).parent == tmp_path / "zips"
    with zipfile.ZipFile(made.ospath) as archive:
        assert len(archive.namelist()) == len(refs) + 1
        assert all(str(r.id)[:8] in " ".join(archive.namelist()) for r in refs)
    assert source.retrieve_artifacts_zip(refs, tmp_path / "zips") == made
    with pytest.raises(RepositoryExistsError):
        source.retrieve_artifacts_zip(refs, tmp_path / "zips", overwrite=False)
    with place.open(writeable=True) as butler:
        version = butler.version
        with refused(place, butler, DataIdValueError, "instrument"):
            butler.ingest_zip(made)
        butler.ingest_zip(made, transfer_dimensions=True, dry_run=True)
        assert butler.version == version
        butler.ingest_zip(made, transfer_dimensions=True)
        assert butler.version == version + 1
        assert content(butler)["datasets"] == content(source)["datasets"]
        assert [butler.get(ref) for ref in refs] == [source.get(ref) for ref in refs]
        with refused(place, butler, ConflictingDefinitionError, "skip_existing"):
            butler.ingest_zip(made)
        butler.ingest_zip(made, skip_existing=True)
        assert butler.version == version + 1


def test_the_rest_of_a_zip_is_added(source: Butler, place: Place, tmp_path: Path) -> None:
    refs = everything(source)
    with place.open(writeable=True) as butler:
        some = source.retrieve_artifacts_zip(refs[:2], tmp_path)
        butler.ingest_zip(some, transfer_dimensions=True)
        whole = source.retrieve_artifacts_zip(refs, tmp_path)
        butler.ingest_zip(whole, "move", transfer_dimensions=True, skip_existing=True)
        assert not Path(whole.ospath).exists()
        assert content(butler)["datasets"] == content(source)["datasets"]


def test_the_field_ingests_our_zips_and_we_its(source: Butler, place: Place, tmp_path: Path) -> None:
    refs = [ref for ref in everything(source) if ref.datasetType.name != "label"]
    ours = source.retrieve_artifacts_zip(refs, tmp_path / "ours")
    script = """
Butler.makeRepo("r")
b = Butler.from_config("r", writeable=True)
for name, dimensions, calibration in json.loads(sys.argv[2]):
    b.registry.registerDatasetType(
        DatasetType(name, dimensions, "StructuredDataDict", universe=b.dimensions, isCalibration=calibration))
b.ingest_zip(sys.argv[1], transfer="copy", transfer_dimensions=True)
import os; os.mkdir("theirs")
refs = [r for n in ("bias", "note", "setup") for r in b.query_datasets(n, "u/a", with_dimension_records=True)]
found = state("r")
found["zip"] = b.retrieve_artifacts_zip(refs, "theirs").ospath
found["got"] = b.get("setup", collections="u/a")
print(json.dumps(found))
"""
    types = [(name, list(d), c) for name, (d, s, c) in TYPES.items() if s == "StructuredDataDict"]
    theirs = incumbent.run(script, ours.ospath, json.dumps(types), where=tmp_path)
    assert theirs["got"] == {"g": 1}
    assert sorted(theirs["datasets"]) == sorted(str(ref.id) for ref in refs)
    with place.open(writeable=True) as butler:
        butler.ingest_zip(theirs["zip"], transfer_dimensions=True)
        assert [butler.get(ref) for ref in refs] == [source.get(ref) for ref in refs]


def test_a_zip_brings_the_types_that_its_index_defines(source: Butler, tmp_path: Path) -> None:
    refs = everything(source)
    zipped = source.retrieve_artifacts_zip(refs, tmp_path)
    empty = Place(str(tmp_path / "empty"))
    empty.make()
    with empty.open(writeable=True) as butler:
        butler.ingest_zip(zipped, transfer_dimensions=True, dry_run=True)
        assert list(butler.registry.queryDatasetTypes()) == []
        butler.ingest_zip(zipped, transfer_dimensions=True)
        kinds = {kind.name: kind for kind in butler.registry.queryDatasetTypes()}
        assert kinds == {ref.datasetType.name: ref.datasetType for ref in refs}
        assert butler.version == 1
        assert [butler.get(ref) for ref in refs] == [source.get(ref) for ref in refs]


# ---------------------------------------------------------------------- bad input


def member(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def add(
    name: str, data: bytes = b"x", mode: int = 0o100644
) -> Callable[[zipfile.ZipFile, dict[str, Any]], None]:
    def change(archive: zipfile.ZipFile, _: dict[str, Any]) -> None:
        archive.writestr(member(name, mode), data)

    return change


def bomb(archive: zipfile.ZipFile, _: dict[str, Any]) -> None:
    archive.writestr(member("bomb"), b"\0" * (65 << 20), compress_type=zipfile.ZIP_DEFLATED)


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[zipfile.ZipFile, dict[str, Any]], None]:
    return lambda _, index: (change(index), None)[1]


def first(index: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(index["artifact_map"].values()))
    return found


def rename(index: dict[str, Any], name: str) -> None:
    key = next(iter(index["artifact_map"]))
    index["artifact_map"][name] = index["artifact_map"].pop(key)


HOSTILE: dict[str, Any] = {
    "dots": (add("../evil"), FileFormatError, "../evil"),
    "only dots": (add(".."), FileFormatError, ".."),
    "absolute": (add("/etc/evil"), FileFormatError, "/etc/evil"),
    "backslash": (add("..\\evil"), FileFormatError, "evil"),
    "drive": (add("C:evil"), FileFormatError, "C:evil"),
    "directory": (add("a/b"), FileFormatError, "a/b"),
    "control": (add("a\x1bb"), FileFormatError, "name of a file"),
    "link": (add("link", b"/etc/passwd", stat.S_IFLNK | 0o777), FileFormatError, "no regular file"),
    "fifo": (add("fifo", b"", stat.S_IFIFO | 0o644), FileFormatError, "no regular file"),
    "bomb": (bomb, FileFormatError, "grows"),
    "version": (edit(lambda i: i.update(index_version="V2")), FileFormatError, "V2"),
    "universe": (
        edit(lambda i: i["refs"].update(universe_namespace="other")),
        RepositoryFormatError,
        "other",
    ),
    "newer": (edit(lambda i: i["refs"].update(universe_version=99)), RepositoryFormatError, "99"),
    "no refs": (edit(lambda i: i.pop("refs")), FileFormatError, "refs"),
    "not there": (edit(lambda i: rename(i, "nosuch")), FileFormatError, "nosuch"),
    "leads out": (edit(lambda i: rename(i, "../../x")), FileFormatError, "../../x"),
    "size": (edit(lambda i: first(i)["info"].update(file_size=3)), FileFormatError, "size"),
    "part": (edit(lambda i: first(i)["info"].update(component="wcs")), FileFormatError, "part"),
    "ids": (edit(lambda i: first(i).update(ids=["nonsense"])), FileFormatError, "malformed"),
    "type": (edit(lambda i: i["refs"]["dataset_types"].pop("bias")), FileFormatError, "bias"),
    "nameless": (edit(lambda i: i["refs"]["dataset_types"]["bias"].update(name=[])), FileFormatError, "type"),
    "dimensions": (
        edit(lambda i: i["refs"]["dataset_types"]["bias"].update(dimensions=["moon"])),
        DimensionNameError,
        "moon",
    ),
    "list": (edit(lambda i: i.update(artifact_map=[])), FileFormatError, "malformed"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_zips_are_refused_and_change_nothing(
    source: Butler, place: Place, tmp_path: Path, name: str
) -> None:
    change, error, word = HOSTILE[name]
    good = source.retrieve_artifacts_zip(everything(source), tmp_path / "good").ospath
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(good) as incoming, zipfile.ZipFile(bad, "w") as outgoing:
        index = json.loads(incoming.read(INDEX_NAME))
        for info in incoming.infolist():
            if info.filename != INDEX_NAME:
                outgoing.writestr(info, incoming.read(info))
        change(outgoing, index)
        outgoing.writestr(INDEX_NAME, json.dumps(index))
    with place.open(writeable=True) as butler, refused(place, butler, error, word):
        butler.ingest_zip(bad, transfer_dimensions=True)


def test_what_is_no_zip_of_datasets_is_refused(source: Butler, place: Place, tmp_path: Path) -> None:
    good = Path(source.retrieve_artifacts_zip(everything(source), tmp_path / "good").ospath)
    twice = tmp_path / "twice.zip"
    twice.write_bytes(good.read_bytes())
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[1], b"another")
    cut = tmp_path / "cut.zip"
    cut.write_bytes(good.read_bytes()[:-40])
    flipped = tmp_path / "flipped.zip"
    data = bytearray(good.read_bytes())
    at = data.index(b'{"g')  # inside of a stored member
    data[at + 1] ^= 1
    flipped.write_bytes(data)
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w"):
        pass
    with place.open(writeable=True) as butler:
        for path, error, word in (
            (twice, FileFormatError, "twice"),
            (cut, FileFormatError, "no zip"),
            (flipped, FileFormatError, "damaged"),
            (empty, FileFormatError, INDEX_NAME),
            (tmp_path / "nosuch.zip", DatasetNotFoundError, "nosuch.zip"),
        ):
            with refused(place, butler, error, word):
                butler.ingest_zip(path, transfer_dimensions=True)
        with refused(place, butler, StorageError, "direct"):
            butler.ingest_zip(good, "direct")
    with pytest.raises(DatasetNotFoundError):
        source.retrieve_artifacts_zip([], tmp_path)
