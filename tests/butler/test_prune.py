# SPDX-License-Identifier: BSD-3-Clause
"""Datasets pruned, runs removed: one commit, then the files; nothing outside, nothing that is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakebutler import (
    ArgumentError,
    Butler,
    CollectionType,
    CollectionTypeError,
    ConflictingDefinitionError,
    DatasetNotFoundError,
    DatasetRef,
    FileDataset,
    MissingCollectionError,
    OrphanedRecordError,
    ReadOnlyButlerError,
    Timespan,
)
from lakebutler.butler.existence import DatasetExistence
from tests.butler.conftest import RUN
from tests.butler.world import CAM, DETECTORS, Place


def biases(butler: Butler, run: str = RUN) -> list[DatasetRef]:
    with butler.transaction():
        return [
            butler.put({"level": d}, "bias", instrument=CAM, detector=d, run=run) for d in sorted(DETECTORS)
        ]


def artifacts(place: Place) -> set[str]:
    return {path for path in place.tree() if path.startswith("datastore/")}


def test_purged_datasets_are_gone_from_every_collection_with_their_files(
    butler: Butler, place: Place
) -> None:
    refs = biases(butler)
    butler.collections.register("tag", CollectionType.TAGGED)
    butler.collections.register("calib", CollectionType.CALIBRATION)
    butler.registry.associate("tag", refs)
    butler.registry.certify("calib", refs, Timespan(None, None))
    before, files = butler.version, artifacts(place)
    butler.pruneDatasets(refs[:2], purge=True, unstore=True)
    assert butler.version == before + 1
    assert len(artifacts(place)) == len(files) - 2
    for collection in (RUN, "tag", "calib"):
        left = butler.query_datasets("bias", collection, find_first=False)
        assert {ref.id for ref in left} == {ref.id for ref in refs[2:]}
    assert butler.get_dataset(refs[0].id) is None
    assert butler.get(refs[3]) == {"level": 3}


def test_unstored_datasets_stay_registered_and_can_be_stored_again(butler: Butler, place: Place) -> None:
    refs = biases(butler)
    files = artifacts(place)
    butler.pruneDatasets(refs, disassociate=False, unstore=True)
    assert len(artifacts(place)) == len(files) - len(refs)
    assert set(map(butler.exists, refs)) == {DatasetExistence.RECORDED}
    assert butler.find_dataset("bias", instrument=CAM, detector=1) == refs[1]
    with pytest.raises(DatasetNotFoundError, match="no file"):
        butler.get(refs[0])
    butler.put({"level": 7}, refs[0])
    assert butler.get(refs[0]) == {"level": 7}


def test_many_datasets_are_unstored_in_one_commit_and_can_be_stored_again(
    local_butler: Butler, local: Place, tmp_path: Path
) -> None:
    butler = local_butler
    butler.registry.insertDimensionData(
        "detector", *({"instrument": CAM, "id": 1000 + i, "full_name": f"X{i}"} for i in range(300))
    )
    with butler.transaction():
        refs = [butler.put({"i": i}, "bias", instrument=CAM, detector=1000 + i) for i in range(300)]
    files, version = artifacts(local), butler.version
    butler.pruneDatasets(refs, disassociate=False, unstore=True)
    assert butler.version == version + 1
    assert len(artifacts(local)) == len(files) - 300
    assert not any(butler.stored_many(refs).values())
    given = []
    for i, ref in enumerate(refs[:250]):
        path = tmp_path / f"{i}.json"
        path.write_text(f'{{"again": {i}}}')
        given.append(FileDataset(str(path), ref))
    butler.ingest(*given, transfer="copy")
    stored = butler.stored_many(refs)
    assert [stored[ref] for ref in refs] == [True] * 250 + [False] * 50
    assert butler.get(refs[249]) == {"again": 249}
    assert set(butler.query_datasets("bias", RUN)) == set(refs)
    with pytest.raises(ConflictingDefinitionError, match="and 249 more"):
        butler.ingest(*given, transfer="copy")
    butler.pruneDatasets(refs, purge=True, unstore=True)
    assert butler.get_many_datasets([ref.id for ref in refs]) == []


def test_disassociating_leaves_datasets_and_files(local_butler: Butler, local: Place) -> None:
    refs = biases(local_butler)
    for name in ("a", "b"):
        local_butler.collections.register(name, CollectionType.TAGGED)
        local_butler.registry.associate(name, refs)
    files, version = artifacts(local), local_butler.version
    local_butler.pruneDatasets(refs[:1], tags=["a", "b"])
    assert local_butler.version == version + 1
    assert artifacts(local) == files
    assert len(local_butler.query_datasets("bias", "a")) == len(refs) - 1
    assert local_butler.get(refs[0]) == {"level": 0}


def test_disassociating_and_unstoring_at_once_is_one_commit(local_butler: Butler) -> None:
    refs = biases(local_butler)
    local_butler.collections.register("a", CollectionType.TAGGED)
    local_butler.registry.associate("a", refs)
    version = local_butler.version
    local_butler.pruneDatasets(refs[:1], tags="a", unstore=True)
    assert local_butler.version == version + 1
    assert len(local_butler.query_datasets("bias", "a")) == len(refs) - 1
    assert local_butler.exists(refs[0]) == DatasetExistence.RECORDED


def test_arguments_of_pruning_that_do_not_go_together_change_nothing(
    local_butler: Butler, local: Place
) -> None:
    refs = biases(local_butler)
    local_butler.collections.register("calib", CollectionType.CALIBRATION)
    version, tree = local_butler.version, local.tree()
    wrong = [
        ({}, ArgumentError),
        ({"purge": True}, ArgumentError),
        ({"purge": True, "unstore": True, "disassociate": False}, ArgumentError),
        ({"tags": [RUN]}, CollectionTypeError),
        ({"tags": ["calib"]}, CollectionTypeError),
        ({"tags": ["nope"]}, MissingCollectionError),
    ]
    for arguments, error in wrong:
        with pytest.raises(error):
            local_butler.pruneDatasets(refs, **arguments)
        with pytest.raises((TypeError, LookupError)):
            local_butler.pruneDatasets(refs, **arguments)
    with local.open() as reader, pytest.raises(ReadOnlyButlerError):
        reader.pruneDatasets(refs, purge=True, unstore=True)
    assert (local_butler.version, local.tree()) == (version, tree)


def test_a_file_that_another_dataset_needs_stays(local_butler: Butler, local: Place, tmp_path: Path) -> None:
    shared = tmp_path / "both.json"
    shared.write_text('{"level": 5}')
    kind = local_butler.get_dataset_type("bias")
    refs = [
        DatasetRef(kind, local_butler.registry.expandDataId(instrument=CAM, detector=d), RUN) for d in (0, 1)
    ]
    local_butler.ingest(FileDataset(str(shared), refs, formatter="json"), transfer="copy")
    files = artifacts(local)
    local_butler.pruneDatasets(refs[:1], purge=True, unstore=True)
    assert artifacts(local) == files
    assert local_butler.get(refs[1]) == {"level": 5}
    local_butler.pruneDatasets(refs[1:], purge=True, unstore=True)
    assert len(artifacts(local)) == len(files) - 1


def test_files_outside_the_repository_are_never_removed(local_butler: Butler, tmp_path: Path) -> None:
    outside = tmp_path / "out.json"
    outside.write_text('{"level": 5}')
    kind = local_butler.get_dataset_type("bias")
    ref = DatasetRef(kind, local_butler.registry.expandDataId(instrument=CAM, detector=0), RUN)
    local_butler.ingest(FileDataset(str(outside), [ref], formatter="json"), transfer="direct")
    assert local_butler.get(ref) == {"level": 5}
    local_butler.pruneDatasets([ref], purge=True, unstore=True)
    assert outside.exists()


def test_a_file_of_a_version_with_a_tag_stays(local_butler: Butler, local: Place) -> None:
    refs = biases(local_butler)
    local_butler.tag("dr1")
    files = artifacts(local)
    local_butler.removeRuns([RUN])
    assert artifacts(local) == files
    with local.open(as_of="dr1", collections=RUN) as paper:
        assert paper.get(refs[0]) == {"level": 0}


def test_removal_in_a_transaction_that_fails_removes_nothing(local_butler: Butler, local: Place) -> None:
    refs = biases(local_butler)
    version, tree = local_butler.version, local.tree()
    with pytest.raises(ZeroDivisionError), local_butler.transaction():
        local_butler.pruneDatasets(refs, purge=True, unstore=True)
        assert not local_butler.query_datasets("bias", explain=False)
        _ = 1 / 0
    assert (local_butler.version, local.tree()) == (version, tree)
    with local_butler.transaction():
        with pytest.raises(ZeroDivisionError), local_butler.transaction():
            local_butler.pruneDatasets(refs[:1], purge=True, unstore=True)
            _ = 1 / 0
        local_butler.pruneDatasets(refs[1:2], purge=True, unstore=True)
    assert local_butler.get(refs[0]) == {"level": 0}
    assert not local_butler.stored(refs[1])


def test_removed_runs_are_gone_with_all_they_had(butler: Butler, place: Place) -> None:
    butler.collections.register("other")
    refs, others = biases(butler), biases(butler, "other")
    butler.collections.register("tag", CollectionType.TAGGED)
    butler.registry.associate("tag", [*refs[:2], *others[2:]])
    butler.collections.register("chain", CollectionType.CHAINED)
    butler.collections.redefine_chain("chain", [RUN, "other"])
    with pytest.raises(OrphanedRecordError, match="chain"):
        butler.removeRuns([RUN])
    version, files = butler.version, artifacts(place)
    butler.removeRuns([RUN], unlink_from_chains=True)
    assert butler.version == version + 1
    assert len(artifacts(place)) == len(files) - len(refs)
    assert butler.collections.get_info("chain").children == ("other",)
    assert {ref.id for ref in butler.query_datasets("bias", "tag")} == {ref.id for ref in others[2:]}
    with pytest.raises(MissingCollectionError):
        butler.collections.get_info(RUN)


def test_only_runs_are_removed_as_runs(local_butler: Butler, local: Place) -> None:
    biases(local_butler)
    local_butler.collections.register("tag", CollectionType.TAGGED)
    version, tree = local_butler.version, local.tree()
    with pytest.raises(CollectionTypeError, match="TAGGED"):
        local_butler.removeRuns([RUN, "tag"])
    with pytest.raises(MissingCollectionError):
        local_butler.removeRuns([RUN, "nope"])
    with pytest.raises(OrphanedRecordError, match="4 datasets"):
        local_butler.collections.x_remove(RUN)
    with pytest.raises(OrphanedRecordError, match="4 datasets"):
        local_butler.registry.removeCollection(RUN)
    assert (local_butler.version, local.tree()) == (version, tree)


def test_datasets_removed_from_the_registry_leave_no_files(local_butler: Butler, local: Place) -> None:
    refs = biases(local_butler)
    files = artifacts(local)
    local_butler.registry.removeDatasets(refs[:3])
    assert len(artifacts(local)) == len(files) - 3
    local_butler.registry.removeDatasets(refs[:3])  # nothing to do
    assert {ref.id for ref in local_butler.query_datasets("bias")} == {refs[3].id}
