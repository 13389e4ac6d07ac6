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
)
from tests.butler.conftest import RUN, copy_repository
from tests.butler.world import CAM, Place, refused

pytestmark = pytest.mark.s3

COUNT = 4


@pytest.fixture
def biases(butler: Butler) -> list[DatasetRef]:
    """Datasets of the repository at ``place``, all but one of them tagged."""
    refs = [butler.put({"level": d}, "bias", instrument=CAM, detector=d) for d in range(COUNT)]
    butler.collections.register("tag", CollectionType.TAGGED)
    butler.registry.associate("tag", refs[1:])
    return refs


@pytest.fixture
def other(
    request: pytest.FixtureRequest, place: Place, tmp_path: Path, observatory: Path
) -> Iterator[tuple[Place, Butler]]:
    """Another repository of the same observatory: on S3 if ``place`` is local, and the other way."""
    found = Place(str(tmp_path / "other"))
    if not place.remote:
        root = request.getfixturevalue("s3_server").root()
        found = Place(root.url, root.storage_options)
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
    there = other[1]
    for _ in range(2):  # the second time, all is there
        there.import_(directory=tmp_path / "out", format=format, transfer="copy")
        version = there.version
    assert there.version == version
    assert set(there.query_datasets("bias", "tag")) == set(biases[1:])
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


def test_a_file_that_changed_is_not_transferred(
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
