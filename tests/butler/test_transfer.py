# SPDX-License-Identifier: BSD-3-Clause
"""Datasets carried from one repository to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakebutler import Butler, DatasetRef, DatasetType
from lakebutler.errors import (
    ConflictingDatasetTypeError,
    ConflictingDefinitionError,
    DataIdValueError,
    DatasetTypeError,
    FileIntegrityError,
    InconsistentUniverseError,
    MissingDatasetTypeError,
    ReadOnlyButlerError,
    StorageError,
)
from tests.butler.test_import_export import content
from tests.butler.world import CAM, Place, dataset_type, fill, refused


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Butler]:
    Butler.makeRepo(tmp_path / "source")
    with Butler.from_config(tmp_path / "source", run="u/a") as butler:
        fill(butler)
        for detector in (0, 1):
            butler.put({"d": detector}, "bias", instrument=CAM, detector=detector)
            butler.put({"n": detector}, "note", instrument=CAM, exposure=101, detector=detector)
        butler.put({"g": 1}, "setup")
        yield butler


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(str(tmp_path / "target"))
    made.make()
    return made


def everything(butler: Butler) -> list[DatasetRef]:
    kinds = sorted(butler.registry.queryDatasetTypes("*"))
    return [r for k in kinds for r in butler.query_datasets(k, "*", find_first=False, explain=False)]


@pytest.mark.parametrize("transfer", ["auto", "copy", "direct", "hardlink", "link", "symlink", "relsymlink"])
def test_datasets_are_transferred_with_their_ids(source: Butler, place: Place, transfer: str) -> None:
    refs = everything(source)
    with place.open(writeable=True) as target:
        for dry_run in (True, False):
            added = target.transfer_from(
                source,
                refs,
                transfer,
                register_dataset_types=True,
                transfer_dimensions=True,
                dry_run=dry_run,
            )
            assert sorted(r.id for r in added) == sorted(r.id for r in refs)
            assert target.version == (0 if dry_run else 1)
        assert content(target)["datasets"] == content(source)["datasets"]
        assert [target.get(ref) for ref in refs] == [source.get(ref) for ref in refs]
        assert target.transfer_from(source, refs, transfer) == []
        assert target.version == 1
        assert len(place.files()) == (0 if transfer == "direct" else len(refs))


def test_only_what_is_new_is_transferred(source: Butler, place: Place) -> None:
    refs = everything(source)
    with place.open(writeable=True) as target:
        fill(target)
        target.transfer_from(source, refs[:2])
        added = target.transfer_from(source, [*refs, *refs])
        assert sorted(r.id for r in added) == sorted(r.id for r in refs[2:])


def test_records_come_with_what_is_populated_with_them(source: Butler, place: Place) -> None:
    with place.open(writeable=True) as target:
        visit = source.registry.expandDataId(instrument=CAM, visit=101)
        target.transfer_dimension_records_from(source, [visit])
        found = {name: len(records) for name, records in content(target)["records"].items() if records}
        assert found == {
            "instrument": 1,
            "day_obs": 1,
            "physical_filter": 1,
            "visit": 1,
            "visit_definition": 1,
            "visit_system_membership": 1,
            "exposure": 1,
            "group": 1,
            "visit_system": 1,
        }
        version = target.version
        target.transfer_dimension_records_from(source, [visit])
        assert target.version == version
        target.transfer_dimension_records_from(source, everything(source))
        assert len(target.query_dimension_records("detector")) == 2


def test_a_missing_file_is_passed_over_or_registered(source: Butler, place: Place) -> None:
    [setup] = source.query_datasets("setup", "u/a")
    Path(source.getURI(setup).ospath).unlink()
    with place.open(writeable=True) as target:
        fill(target)
        assert setup not in target.transfer_from(source, everything(source))
        assert target.get_dataset(setup.id) is None
        assert target.transfer_from(source, [setup], skip_missing=False) == [setup]
        assert target.get_dataset(setup.id) == setup
        assert not target.stored(setup)
        assert target.transfer_from(source, [setup], skip_missing=False) == []


def test_a_file_outside_stays_where_it_is_unless_it_is_copied(
    source: Butler, place: Place, tmp_path: Path
) -> None:
    from lakebutler import FileDataset

    path = tmp_path / "outside.json"
    path.write_text('{"d": 2}')
    ref = DatasetRef(
        dataset_type(source, "bias"), source.registry.expandDataId(instrument=CAM, detector=2), run="r"
    )
    source.ingest(FileDataset(path, ref), transfer="direct")
    with place.open(writeable=True) as target:
        fill(target)
        target.transfer_from(source, [ref])
        assert target.getURI(ref).ospath == str(path)
        assert target.get(ref) == {"d": 2}
    other = Place(place.url + "2")
    other.make()
    with other.open(writeable=True) as target:
        fill(target)
        target.transfer_from(source, [ref], "copy")
        assert target.getURI(ref).ospath.startswith(other.url)
        assert target.get(ref) == {"d": 2}


def test_wrong_transfers_are_refused_and_change_nothing(source: Butler, place: Place, tmp_path: Path) -> None:
    refs = everything(source)
    with place.open(writeable=True) as target:
        with refused(place, target, MissingDatasetTypeError, "register_dataset_types"):
            target.transfer_from(source, refs)
        with refused(place, target, DataIdValueError, "instrument"):
            target.transfer_from(source, refs, register_dataset_types=True)
        with refused(place, target, StorageError, "move"):
            target.transfer_from(source, refs, "move")
        fill(target)
        with refused(place, target, LookupError, "not in run"):
            target.transfer_from(target, refs)
        kind = dataset_type(target, "bias")
        other = DatasetRef(kind, refs[0].dataId, run="u/a")
        target.collections.register("u/a")
        target.registry.insertDatasets(kind, [other.dataId], run="u/a")
        with refused(place, target, ConflictingDefinitionError, "data ID is taken"):
            target.transfer_from(source, refs)
        [setup] = source.query_datasets("setup", "u/a")
        Path(source.getURI(setup).ospath).write_text('{"g": 2}')
        with refused(place, target, FileIntegrityError, "checksum"):
            target.transfer_from(source, [setup])
    with place.open() as reader, pytest.raises(ReadOnlyButlerError):
        reader.transfer_from(source, refs)


def test_types_and_universes_must_agree(source: Butler, tmp_path: Path) -> None:
    one = Place(str(tmp_path / "one"))
    one.make()
    with one.open(writeable=True) as target:
        fill(target)
        target.registry.removeDatasetType("setup")
        target.registry.registerDatasetType(
            DatasetType("setup", ["instrument"], "StructuredDataDict", universe=target.dimensions)
        )
        with refused(one, target, ConflictingDatasetTypeError, "setup"):
            target.transfer_from(source, source.query_datasets("setup", "u/a"))
    two = Place(str(tmp_path / "two"))
    two.make(dimensionConfig={**source.dimensions.to_config(), "namespace": "mine"})
    with two.open(writeable=True) as target, refused(two, target, InconsistentUniverseError, "mine"):
        target.transfer_from(source, everything(source))


@pytest.mark.parametrize(
    ("storage_class", "calibration", "word"),
    [
        ("ArrowAstropy", True, "storage class ArrowAstropy"),
        ("StructuredDataList", True, "storage class StructuredDataList"),
        ("NoSuchClass", True, "storage class NoSuchClass"),
        ("StructuredDataDict", False, "calibration"),
    ],
)
@pytest.mark.parametrize("by_zip", [False, True])
def test_what_could_not_be_read_here_is_refused(
    source: Butler,
    place: Place,
    tmp_path: Path,
    storage_class: str,
    calibration: bool,
    word: str,
    by_zip: bool,
) -> None:
    refs = source.query_datasets("bias", "u/a")
    made = source.retrieve_artifacts_zip(refs, tmp_path / "zips")
    with place.open(writeable=True) as target:
        target.registry.registerDatasetType(
            DatasetType(
                "bias",
                ["instrument", "detector"],
                storage_class,
                universe=target.dimensions,
                isCalibration=calibration,
            )
        )
        with refused(place, target, ConflictingDatasetTypeError, "'bias'", word):
            if by_zip:
                target.ingest_zip(made, transfer_dimensions=True)
            else:
                target.transfer_from(source, refs, register_dataset_types=True, transfer_dimensions=True)


@pytest.mark.parametrize("storage_class", ["ArrowNumpy", "ArrowTable", "AstropyTable"])
def test_what_can_be_converted_is_taken_and_read(
    source: Butler, place: Place, tmp_path: Path, storage_class: str
) -> None:
    import numpy as np
    from astropy.table import Table

    universe = source.dimensions
    for name in ("one", "two"):
        source.registry.registerDatasetType(DatasetType(name, [], "ArrowAstropy", universe=universe))
    one, two = (source.put(Table({"x": [1, 2]}), name) for name in ("one", "two"))
    with place.open(writeable=True) as target:
        for name in ("one", "two"):
            kind = DatasetType(name, [], storage_class, universe=target.dimensions)
            target.registry.registerDatasetType(kind)
        assert [ref.id for ref in target.transfer_from(source, [one])] == [one.id]
        target.ingest_zip(source.retrieve_artifacts_zip([two], tmp_path))
        for ref in (one, two):
            found = target.get(ref.datasetType.name, collections="u/a")
            assert type(found).__name__ == {"ArrowNumpy": "ndarray"}.get(storage_class, "Table")
            assert [int(x) for x in np.asarray(found["x"])] == [1, 2]


def test_datasets_are_inserted_by_the_type_that_is_registered(place: Place) -> None:
    with place.open(writeable=True) as butler:
        fill(butler)
        butler.collections.register("u/b")
        other = DatasetType(
            "bias", ["instrument", "detector"], "ArrowTable", universe=butler.dimensions, isCalibration=True
        )
        with refused(place, butler, DatasetTypeError, "'bias'"):
            butler.registry.insertDatasets(other, [{"instrument": CAM, "detector": 1}], run="u/b")


def test_datasets_come_out_of_a_lake_file(source: Butler, place: Place, tmp_path: Path) -> None:
    from lakebutler.butler.maintenance.pack import pack

    pack(source.root, str(tmp_path / "all.lake"))
    with Butler.from_config(tmp_path / "all.lake") as packed, place.open(writeable=True) as target:
        refs = everything(packed)
        target.transfer_from(packed, refs, register_dataset_types=True, transfer_dimensions=True)
        assert [target.get(ref) for ref in refs] == [source.get(ref) for ref in refs]


def test_many_datasets_are_one_commit(source: Butler, place: Place) -> None:
    kind = dataset_type(source, "bias")
    source.registry.insertDimensionData(
        "detector", *({"instrument": CAM, "id": i, "full_name": f"D{i}"} for i in range(10, 700))
    )
    with source.transaction():
        refs = [source.put({"d": i}, kind, instrument=CAM, detector=i) for i in range(10, 700)]
    with place.open(writeable=True) as target:
        added = target.transfer_from(source, refs, register_dataset_types=True, transfer_dimensions=True)
        assert target.version == 1
        assert len(added) == len(refs)
        assert target.get(refs[-1]) == {"d": 699}
        assert target.transfer_from(source, refs) == []
