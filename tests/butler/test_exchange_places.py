# SPDX-License-Identifier: BSD-3-Clause
"""Exports, imports, transfers and zips between repositories on the disk and on S3."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    Butler,
    ButlerError,
    CollectionType,
    ConflictingDefinitionError,
    DatasetNotFoundError,
    DatasetRef,
    ExternalFileError,
    FileFormatError,
    FileIntegrityError,
    MissingDatasetTypeError,
    RepositoryFormatError,
    StorageError,
    Timespan,
)
from tests.butler.conftest import RUN, copy_repository
from tests.butler.world import CAM, Place, instant, note_id, refused

pytestmark = pytest.mark.s3

COUNT = 4
WAYS = [("disk", "s3"), ("s3", "disk"), ("s3", "s3")]
"""From where to where; from disk to disk is what the other tests do."""


def empty_place(request: pytest.FixtureRequest, kind: str, local: Path) -> Place:
    if kind == "disk":
        return Place(str(local))
    root = request.getfixturevalue("s3_server").root()
    return Place(root.url, root.storage_options)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """From where to where a test goes; what leaves no trace does so at either kind of target."""
    if "way" in metafunc.fixturenames:
        ways = WAYS[:2] if metafunc.function.__name__.endswith("no_trace") else WAYS
        metafunc.parametrize("way", ways, ids="-to-".join)


@pytest.fixture
def place(request: pytest.FixtureRequest, way: tuple[str, str], tmp_path: Path) -> Place:
    """Where ``butler`` is."""
    return empty_place(request, way[0], tmp_path / "repo")


@pytest.fixture
def biases(butler: Butler) -> list[DatasetRef]:
    """Datasets of the repository at ``place``, all but one of them tagged, and valid for a time."""
    refs = [butler.put({"level": d}, "bias", instrument=CAM, detector=d) for d in range(COUNT)]
    butler.collections.register("tag", CollectionType.TAGGED)
    butler.registry.associate("tag", refs[1:])
    butler.collections.register("calib", CollectionType.CALIBRATION)
    butler.registry.certify("calib", refs[:2], Timespan(instant("2025-01-01"), None))
    return refs


@pytest.fixture
def empty(request: pytest.FixtureRequest, way: tuple[str, str], tmp_path: Path) -> Iterator[Butler]:
    """A repository with nothing in it, where datasets go."""
    found = empty_place(request, way[1], tmp_path / "empty")
    found.make()
    with found.open(writeable=True) as butler:
        yield butler


@pytest.fixture
def other(
    request: pytest.FixtureRequest, way: tuple[str, str], tmp_path: Path, observatory: Path
) -> Iterator[tuple[Place, Butler]]:
    """Another repository of the same observatory, where datasets go."""
    found = empty_place(request, way[1], tmp_path / "other")
    copy_repository(observatory, found)
    with found.open(writeable=True) as butler:
        yield found, butler


def levels(butler: Butler, refs: list[DatasetRef]) -> list[Any]:
    return [butler.get(ref)["level"] for ref in refs]


@pytest.mark.parametrize("format", ["yaml", "parquet"])
def test_what_is_exported_at_one_place_is_imported_at_another(
    butler: Butler, biases: list[DatasetRef], other: tuple[Place, Butler], tmp_path: Path, format: str
) -> None:
    with butler.export(directory=tmp_path / "out", format=format, transfer="copy") as context:
        context.saveDatasets(biases)
        context.saveCollection("tag")
        context.saveCollection("calib")
    there = other[1]
    for _ in range(2):  # the second time, all is there
        there.import_(directory=tmp_path / "out", format=format, transfer="copy")
        version = there.version
    assert there.version == version
    assert set(there.query_datasets("bias", "tag")) == set(biases[1:])
    spans = {a.ref: a.timespan for a in there.registry.queryDatasetAssociations("bias", "calib")}
    assert spans == dict.fromkeys(biases[:2], Timespan(instant("2025-01-01"), None))
    assert levels(there, biases) == list(range(COUNT))
    assert len(other[0].files()) == COUNT


def test_datasets_travel_between_places_once(
    butler: Butler, biases: list[DatasetRef], other: tuple[Place, Butler]
) -> None:
    there = other[1]
    assert set(there.transfer_from(butler, biases, transfer="copy")) == set(biases)
    before = other[0].tree()
    assert there.transfer_from(butler, biases, transfer="copy") == []
    assert other[0].tree() == before
    assert levels(there, biases) == list(range(COUNT))


def test_an_empty_repository_gets_all_that_datasets_need(
    butler: Butler, biases: list[DatasetRef], empty: Butler, tmp_path: Path
) -> None:
    note = butler.put({"level": 7}, "note", note_id(101, 0))
    with butler.export(directory=tmp_path / "out", transfer="copy") as context:
        context.saveDatasets(biases[:2])
    empty.import_(directory=tmp_path / "out", transfer="copy")
    more = empty.transfer_from(butler, [note], register_dataset_types=True, transfer_dimensions=True)
    assert more == [note]
    made = butler.retrieve_artifacts_zip(biases[2:], tmp_path)
    empty.ingest_zip(made.ospath, transfer_dimensions=True)
    assert levels(empty, [*biases, note]) == [*range(COUNT), 7]
    assert empty.query_dimension_records("exposure", instrument=CAM)[0].day_obs == 20250101


def test_a_zip_made_at_one_place_is_unpacked_at_another(
    butler: Butler, biases: list[DatasetRef], other: tuple[Place, Butler], tmp_path: Path
) -> None:
    made = butler.retrieve_artifacts_zip(biases, tmp_path / "zips")
    other[1].ingest_zip(made.ospath)
    assert levels(other[1], biases) == list(range(COUNT))
    assert len(other[0].files()) == COUNT


def damaged_export(butler: Butler, refs: list[DatasetRef], out: Path) -> Path:
    with butler.export(directory=out, transfer="copy") as context:
        context.saveDatasets(refs)
    return out / "export.yaml"


EXPORTS: list[tuple[str, str, str, type[ButlerError]]] = [
    ("of a newer version", "version: 1.0.2", "version: 9.0.0", RepositoryFormatError),
    ("that is no YAML", "description: Butler", "description: [Butler", RepositoryFormatError),
    ("that is another thing", "data:", "DATA:", RepositoryFormatError),
    ("that leads elsewhere", "path: ", "path: ../", ExternalFileError),
]


@pytest.mark.parametrize(("old", "new", "error"), [c[1:] for c in EXPORTS], ids=[c[0] for c in EXPORTS])
def test_an_export_that_is_wrong_leaves_no_trace(
    butler: Butler,
    biases: list[DatasetRef],
    other: tuple[Place, Butler],
    tmp_path: Path,
    old: str,
    new: str,
    error: type[ButlerError],
) -> None:
    export = damaged_export(butler, biases, tmp_path / "out")
    text = export.read_text()
    assert old in text
    export.write_text(text.replace(old, new, 1))
    with refused(*other, error):
        other[1].import_(directory=tmp_path / "out", transfer="copy")


def test_an_export_without_a_file_or_with_taken_data_ids_leaves_no_trace(
    butler: Butler, biases: list[DatasetRef], other: tuple[Place, Butler], tmp_path: Path
) -> None:
    damaged_export(butler, biases, tmp_path / "out")
    files = sorted(path for path in (tmp_path / "out").rglob("*.json") if path.is_file())
    content = files[-1].read_bytes()
    files[-1].unlink()
    with refused(*other, DatasetNotFoundError):
        other[1].import_(directory=tmp_path / "out", transfer="copy")
    files[-1].write_bytes(content)
    other[1].collections.register(RUN)
    other[1].put({"level": 9}, "bias", instrument=CAM, detector=2, run=RUN)
    with refused(*other, ConflictingDefinitionError):
        other[1].import_(directory=tmp_path / "out", transfer="copy")
    with refused(*other, ConflictingDefinitionError):
        other[1].transfer_from(butler, biases, transfer="copy")


def test_a_transfer_that_is_wrong_leaves_no_trace(
    butler: Butler, biases: list[DatasetRef], other: tuple[Place, Butler]
) -> None:
    stranger = DatasetRef(biases[0].datasetType, biases[0].dataId, RUN)
    with refused(*other, DatasetNotFoundError):
        other[1].transfer_from(butler, [*biases, stranger], transfer="copy")
    with refused(*other, StorageError):
        other[1].transfer_from(butler, biases, transfer="move")
    other[1].registry.removeDatasetType("bias")
    with refused(*other, MissingDatasetTypeError):
        other[1].transfer_from(butler, biases, transfer="copy")


def test_a_file_that_is_no_zip_leaves_no_trace(other: tuple[Place, Butler], tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_text("no zip")
    with refused(*other, FileFormatError):
        other[1].ingest_zip(tmp_path / "no.zip")


@pytest.mark.parametrize("name", ["../out.json", "/tmp/out.json"])
def test_a_hostile_zip_leaves_no_trace(
    butler: Butler, biases: list[DatasetRef], other: tuple[Place, Butler], tmp_path: Path, name: str
) -> None:
    made = butler.retrieve_artifacts_zip(biases, tmp_path / "zips").ospath
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr(name, "{}")
    with refused(*other, FileFormatError):
        other[1].ingest_zip(made)
    assert not (tmp_path / "out.json").exists()


def test_a_file_that_changed_leaves_no_trace(
    place: Place, butler: Butler, biases: list[DatasetRef], other: tuple[Place, Butler]
) -> None:
    if place.remote:
        import fsspec

        filesystem, root = fsspec.core.url_to_fs(place.url, **place.storage_options)
        path = f"{root}/{min(place.files())}"
        filesystem.pipe_file(path, filesystem.cat_file(path).replace(b"level", b"LEVEL"))
    else:
        path = Path(place.url) / min(place.files())
        path.write_bytes(path.read_bytes().replace(b"level", b"LEVEL"))
    with refused(*other, FileIntegrityError):
        other[1].transfer_from(butler, biases, transfer="copy")
