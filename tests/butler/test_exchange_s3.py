# SPDX-License-Identifier: BSD-3-Clause
"""Exports, imports, transfers and zips where repositories, and exports themselves, lie on S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    Butler,
    ButlerError,
    CollectionType,
    ConflictingDefinitionError,
    DatasetRef,
    FileFormatError,
    RepositoryFormatError,
    Timespan,
)
from tests.butler.conftest import RUN, copy_repository
from tests.butler.world import CAM, Place, check_message, dataset_type, instant, note_id
from tests.s3server import S3Server

pytestmark = pytest.mark.s3


@pytest.fixture
def places(s3_server: S3Server) -> Iterator[Any]:
    """Makes empty prefixes."""

    def make() -> Place:
        root = s3_server.root()
        return Place(root.url, root.storage_options)

    return make


@pytest.fixture
def rich(places: Any, observatory: Path) -> Iterator[tuple[Butler, list[DatasetRef]]]:
    """A repository on S3 with datasets, a tag and a calibration."""
    place = places()
    copy_repository(observatory, place)
    with place.open(run=RUN) as butler:
        notes = [butler.put({"n": d}, "note", note_id(101, d)) for d in range(3)]
        bias = [butler.put({"b": d}, "bias", instrument=CAM, detector=d) for d in range(3)]
        butler.collections.register("tag", CollectionType.TAGGED)
        butler.collections.register("calib", CollectionType.CALIBRATION)
        butler.registry.associate("tag", bias)
        butler.registry.certify("calib", bias, Timespan(instant("2025-01-01"), None))
        yield butler, notes + bias


def check_same(one: Butler, other: Butler, refs: list[DatasetRef]) -> None:
    for ref in refs:
        assert other.get_dataset(ref.id) == ref
        assert other.get(ref) == one.get(ref)
    found = list(other.registry.queryDatasetAssociations("bias", "calib"))
    assert sorted((a.ref.id, a.timespan.nsec) for a in found) == sorted(
        (a.ref.id, a.timespan.nsec) for a in one.registry.queryDatasetAssociations("bias", "calib")
    )
    assert {r.id for r in other.query_datasets("bias", "tag")} == {
        r.id for r in one.query_datasets("bias", "tag")
    }


@pytest.mark.parametrize("form", ["yaml", "parquet"])
def test_an_export_of_a_repository_on_s3_is_imported_on_s3_and_here(
    rich: tuple[Butler, list[DatasetRef]], places: Any, tmp_path: Path, form: str
) -> None:
    butler, refs = rich
    with butler.export(directory=tmp_path / "out", format=form, transfer="copy") as context:
        context.saveDatasets(refs)
        context.saveCollection("tag")
        context.saveCollection("calib")
    for place in (places(), Place(str(tmp_path / "repo"))):
        place.make()
        with place.open(writeable=True) as target:
            before = target.version
            target.import_(directory=tmp_path / "out", format=form, transfer="copy")
            assert target.version == before + 1
            check_same(butler, target, refs)
            tree = place.tree()
            target.import_(directory=tmp_path / "out", format=form, transfer="copy")
            assert place.tree() == tree


def test_datasets_are_transferred_between_s3_and_here(
    rich: tuple[Butler, list[DatasetRef]], places: Any, tmp_path: Path
) -> None:
    butler, refs = rich
    on_s3, here = places(), Place(str(tmp_path / "repo"))
    for place in (on_s3, here):
        place.make()
        with place.open(writeable=True) as target:
            done = target.transfer_from(butler, refs, register_dataset_types=True, transfer_dimensions=True)
            assert {ref.id for ref in done} == {ref.id for ref in refs}
            assert all(target.get(ref) == butler.get(ref) for ref in refs)
            assert target.transfer_from(butler, refs) == []
    back = places()
    back.make()
    with back.open(writeable=True) as target, here.open() as source:
        target.transfer_from(source, refs, register_dataset_types=True, transfer_dimensions=True)
        assert all(target.get(ref) == butler.get(ref) for ref in refs)


def test_a_zip_of_datasets_on_s3_is_ingested_on_s3(
    rich: tuple[Butler, list[DatasetRef]], places: Any, tmp_path: Path
) -> None:
    butler, refs = rich
    made = butler.retrieve_artifacts_zip(refs, tmp_path)
    place = places()
    place.make()
    with place.open(writeable=True) as target:
        for name in ("note", "bias"):
            target.registry.registerDatasetType(dataset_type(target, name))
        target.ingest_zip(made, transfer_dimensions=True)
        assert all(target.get(ref) == butler.get(ref) for ref in refs)


def test_what_is_refused_leaves_a_repository_on_s3_as_it_was(
    rich: tuple[Butler, list[DatasetRef]], places: Any, observatory: Path, tmp_path: Path
) -> None:
    butler, refs = rich
    with butler.export(directory=tmp_path / "out", transfer="copy") as context:
        context.saveDatasets(refs)
    (tmp_path / "none.yaml").write_text("[1, 2]")
    (tmp_path / "no.zip").write_text("no zip")
    place = places()
    copy_repository(observatory, place)
    with place.open(run=RUN) as target:
        target.put({"n": "another"}, "note", note_id(101, 0))
        wrong: list[tuple[type[ButlerError], Any]] = [
            (ConflictingDefinitionError, lambda: target.import_(directory=tmp_path / "out", transfer="copy")),
            (ConflictingDefinitionError, lambda: target.transfer_from(butler, refs)),
            (RepositoryFormatError, lambda: target.import_(filename=tmp_path / "none.yaml")),
            (FileFormatError, lambda: target.ingest_zip(tmp_path / "no.zip")),
        ]
        before = target.version, place.tree()
        for error, act in wrong:
            with pytest.raises(error) as caught:
                act()
            check_message(caught.value)
            assert (target.version, place.tree()) == before
