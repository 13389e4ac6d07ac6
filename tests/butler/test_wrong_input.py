# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: E501 (one case to a line)
"""Wrong input of every operation: the named error, and a repository that is as it was.

All cases share one repository: none of them may leave a trace in it.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    ArgumentError,
    Butler,
    ButlerError,
    CalibrationLookupError,
    CollectionCycleError,
    CollectionExpressionError,
    CollectionNameError,
    CollectionType,
    CollectionTypeError,
    ConflictingDatasetTypeError,
    ConflictingDefinitionError,
    DataIdValueError,
    DatasetIdGenEnum,
    DatasetNotFoundError,
    DatasetRef,
    DatasetType,
    DatasetTypeError,
    DatasetTypeExpressionError,
    DimensionNameError,
    DimensionValueError,
    FileDataset,
    FileFormatError,
    InconsistentDataIdError,
    InvalidQueryError,
    MissingCollectionError,
    MissingDatasetTypeError,
    NoDefaultCollectionError,
    NotARepositoryError,
    OrphanedRecordError,
    ReadOnlyButlerError,
    RepositoryExistsError,
    RepositoryFormatError,
    SnapshotNotFoundError,
    StorageClassError,
    StorageError,
    Timespan,
)
from lakebutler.butler.defaults import RegistryDefaults
from tests.butler.conftest import RUN
from tests.butler.world import CAM, Place, check_message, instant, note_id

ALWAYS = Timespan(None, None)


class World:
    """A repository with a bit of everything."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.butler = place.open(run=RUN)
        self.registry, self.collections = self.butler.registry, self.butler.collections
        self.note = self.butler.put({"n": 1}, "note", note_id())
        self.bias = [self.butler.put({"b": d}, "bias", instrument=CAM, detector=d) for d in range(2)]
        self.collections.register("other")
        self.twin = self.butler.put({"b": 9}, "bias", instrument=CAM, detector=0, run="other")
        self.unstored = self.registry.insertDatasets("label", [{"instrument": CAM}], run=RUN)[0]
        for name, kind in (
            ("tag", "TAGGED"),
            ("calib", "CALIBRATION"),
            ("outer", "CHAINED"),
            ("inner", "CHAINED"),
        ):
            self.collections.register(name, CollectionType[kind])
        self.collections.redefine_chain("inner", ["tag"])
        self.collections.redefine_chain("outer", ["inner", RUN])
        self.registry.associate("tag", self.bias)
        self.registry.certify("calib", self.bias, Timespan(None, instant("2025-01-01")))
        self.registry.certify("calib", [self.twin], Timespan(instant("2025-01-01"), None))
        self.stranger = DatasetRef(self.note.datasetType, self.note.dataId, RUN)
        self.file = Path(place.url).parent / "file.json"
        self.file.write_text("{}")
        self.elsewhere = self.file.with_name("elsewhere")

    def type(self, *dimensions: str, name: str = "bias", **kwargs: Any) -> DatasetType:
        kwargs.setdefault("storageClass", "StructuredDataDict")
        return DatasetType(name, dimensions, universe=self.butler.dimensions, **kwargs)

    def ingest(self, *refs: DatasetRef, path: Path | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("transfer", "copy")
        self.butler.ingest(FileDataset(str(path or self.file), list(refs), formatter="json"), **kwargs)


@pytest.fixture(scope="module")
def world(observatory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = Place(str(tmp_path_factory.mktemp("wrong") / "repo"))
    shutil.copytree(observatory, place.url)
    world = World(place)
    yield world
    world.butler.close()


def same_id(world: World) -> DatasetRef:
    data_id = world.registry.expandDataId(instrument=CAM, detector=3)
    return DatasetRef(world.bias[0].datasetType, data_id, RUN, id=world.bias[0].id)


def fresh(world: World) -> DatasetRef:
    data_id = world.registry.expandDataId(instrument=CAM, detector=3)
    return DatasetRef(world.bias[0].datasetType, data_id, RUN)


Wrong = tuple[str, Callable[[World], Any], type[ButlerError]]

CASES: list[Wrong] = [
    # ------------------------------------------------------------------ put, get, ingest
    ("put twice", lambda w: w.butler.put({}, "note", note_id()), ConflictingDefinitionError),
    ("put under another's ID", lambda w: w.butler.put({}, same_id(w)), ConflictingDefinitionError),
    ("put of no such type", lambda w: w.butler.put({}, "nope", note_id()), MissingDatasetTypeError),
    ("put to no such run", lambda w: w.butler.put({}, "note", note_id(102), run="nope"), MissingCollectionError),
    ("put into a tag", lambda w: w.butler.put({}, "note", note_id(102), run="tag"), CollectionTypeError),
    ("put of what does not fit", lambda w: w.butler.put(3, "note", note_id(102)), StorageClassError),
    ("put to no such detector", lambda w: w.butler.put({}, "note", note_id(101, 77)), DataIdValueError),
    ("put without a key", lambda w: w.butler.put({}, "note", exposure=101), DimensionNameError),
    ("put with a misspelt key", lambda w: w.butler.put({}, "note", note_id(102), detctor=1), DimensionNameError),
    ("put with a wrong band", lambda w: w.butler.put({}, "note", note_id(102), band="z"), InconsistentDataIdError),
    ("put of a component", lambda w: w.butler.put({}, "raw.header", note_id(102)), DatasetTypeError),
    ("put of another definition", lambda w: w.butler.put({}, w.type("instrument"), instrument=CAM),
     ConflictingDatasetTypeError),
    ("get of nothing", lambda w: w.butler.get("note", note_id(102, 3)), DatasetNotFoundError),
    ("get of a stranger", lambda w: w.butler.get(w.stranger), DatasetNotFoundError),
    ("get of what has no file", lambda w: w.butler.get(w.unstored), DatasetNotFoundError),
    ("get without a time", lambda w: w.butler.get("bias", instrument=CAM, detector=0, collections="calib"),
     CalibrationLookupError),
    ("get with a reference and a data ID", lambda w: w.butler.get(w.note, note_id()), DimensionValueError),
    ("get from no such collection", lambda w: w.butler.get("note", note_id(), collections="nope"),
     MissingCollectionError),
    ("ID that is none", lambda w: w.butler.get_dataset("xyz"), DataIdValueError),
    ("ingest twice", lambda w: w.ingest(w.stranger), ConflictingDefinitionError),
    ("ingest under another's ID", lambda w: w.ingest(same_id(w), path=Path("/no/such")), ConflictingDefinitionError),
    ("ingest of no such file", lambda w: w.ingest(fresh(w), path=Path("/no/such")), DatasetNotFoundError),
    ("ingest of one data ID twice", lambda w: w.ingest(*[DatasetRef(w.twin.datasetType, w.registry.expandDataId(
        instrument=CAM, detector=3), RUN) for _ in range(2)]), ConflictingDefinitionError),
    # ------------------------------------------------------------------ collections
    ("name that is none", lambda w: w.collections.register("a/../b"), CollectionNameError),
    ("name taken by another type", lambda w: w.collections.register(RUN, CollectionType.TAGGED),
     ConflictingDefinitionError),
    ("chain in itself", lambda w: w.collections.extend_chain("outer", "outer"), CollectionCycleError),
    ("chain in its child", lambda w: w.collections.prepend_chain("inner", ["outer"]), CollectionCycleError),
    ("chain of what is not there", lambda w: w.collections.redefine_chain("outer", ["nope"]),
     MissingCollectionError),
    ("chain that is none", lambda w: w.collections.extend_chain("tag", [RUN]), CollectionTypeError),
    ("chain that is not there", lambda w: w.collections.remove_from_chain("nope", [RUN]), MissingCollectionError),
    ("removal of a run with datasets", lambda w: w.collections.x_remove("other"), OrphanedRecordError),
    ("removal of a link of a chain", lambda w: w.collections.x_remove("tag"), OrphanedRecordError),
    ("removal of nothing", lambda w: w.collections.x_remove("nope"), MissingCollectionError),
    ("collection of the wrong kind", lambda w: w.registry.queryDatasets("bias", collections=3),
     CollectionExpressionError),
    # ------------------------------------------------------------------ tags, calibrations
    ("tag of a stranger", lambda w: w.registry.associate("tag", [w.stranger]), DatasetNotFoundError),
    ("two in one tag", lambda w: w.registry.associate("tag", [w.bias[0], w.twin]), ConflictingDefinitionError),
    ("another in a tag", lambda w: w.registry.associate("tag", [w.twin], replace=False),
     ConflictingDefinitionError),
    ("tag that is a run", lambda w: w.registry.associate(RUN, w.bias), CollectionTypeError),
    ("disassociation from a run", lambda w: w.registry.disassociate(RUN, w.bias), CollectionTypeError),
    ("overlapping validity", lambda w: w.registry.certify("calib", [w.bias[0]], Timespan(
        instant("2024-12-31"), instant("2025-01-02"))), ConflictingDefinitionError),
    ("validity that is empty", lambda w: w.registry.certify("calib", w.bias, Timespan.makeEmpty()),
     ConflictingDefinitionError),
    ("two valid at once", lambda w: w.registry.certify("calib", [w.bias[1], DatasetRef(
        w.bias[1].datasetType, w.bias[1].dataId, "other")], ALWAYS), ConflictingDefinitionError),
    ("no calibration", lambda w: w.registry.certify("calib", [w.note], ALWAYS), DatasetTypeError),
    ("calibration of a stranger", lambda w: w.registry.certify("calib", [DatasetRef(
        w.bias[0].datasetType, w.registry.expandDataId(instrument=CAM, detector=3), RUN)], ALWAYS),
     DatasetNotFoundError),
    ("certification into a tag", lambda w: w.registry.certify("tag", w.bias, ALWAYS), CollectionTypeError),
    ("decertification of no calibration", lambda w: w.registry.decertify("calib", "note", ALWAYS),
     DatasetTypeError),
    ("decertification from a tag", lambda w: w.registry.decertify("tag", "bias", ALWAYS), CollectionTypeError),
    # ------------------------------------------------------------------ prune, remove
    ("pruning without tags", lambda w: w.butler.pruneDatasets(w.bias), ArgumentError),
    ("purge without unstore", lambda w: w.butler.pruneDatasets(w.bias, purge=True), ArgumentError),
    ("purge without disassociate", lambda w: w.butler.pruneDatasets(
        w.bias, purge=True, unstore=True, disassociate=False), ArgumentError),
    ("pruning what a calibration holds", lambda w: w.butler.pruneDatasets(w.bias, tags=["calib"]),
     CollectionTypeError),
    ("pruning a tag that is not there", lambda w: w.butler.pruneDatasets(w.bias, tags=["nope"]),
     MissingCollectionError),
    ("removal of a run in a chain", lambda w: w.butler.removeRuns([RUN]), OrphanedRecordError),
    ("removal of a run and a tag", lambda w: w.butler.removeRuns(["other", "tag"]), CollectionTypeError),
    ("removal of a run and nothing", lambda w: w.butler.removeRuns(["other", "nope"]), MissingCollectionError),
    # ------------------------------------------------------------------ registry
    ("type of another definition", lambda w: w.registry.registerDatasetType(w.type("instrument")),
     ConflictingDatasetTypeError),
    ("removal of a type with datasets", lambda w: w.registry.removeDatasetType("bias"), OrphanedRecordError),
    ("datasets of no such type", lambda w: w.registry.insertDatasets("nope", [note_id()]),
     MissingDatasetTypeError),
    ("datasets twice", lambda w: w.registry.insertDatasets("note", [note_id()]), ConflictingDefinitionError),
    ("datasets of one ID in all", lambda w: w.registry.insertDatasets(
        "note", [note_id(102), note_id(102)], idGenerationMode=DatasetIdGenEnum.DATAID_TYPE),
     ConflictingDefinitionError),
    ("record of no such element", lambda w: w.registry.insertDimensionData("nope", {}), DimensionNameError),
    ("record without a key", lambda w: w.registry.insertDimensionData("detector", {"id": 9}), DataIdValueError),
    ("record of no such instrument", lambda w: w.registry.insertDimensionData(
        "detector", {"instrument": "Nope", "id": 1, "full_name": "x"}), DataIdValueError),
    ("record that differs", lambda w: w.registry.insertDimensionData(
        "detector", {"instrument": CAM, "id": 1, "full_name": "another"}), ConflictingDefinitionError),
    ("record that differs, in a sync", lambda w: w.registry.syncDimensionData(
        "detector", {"instrument": CAM, "id": 1, "full_name": "another"}), ConflictingDefinitionError),
    ("defaults that have no order", lambda w: setattr(w.registry, "defaults", RegistryDefaults(["no*"])),
     CollectionExpressionError),
    ("data ID of nothing", lambda w: w.registry.expandDataId(instrument="Nope"), DataIdValueError),
    # ------------------------------------------------------------------ questions
    ("expression that is none", lambda w: w.butler.query_datasets("note", where="detector ="), InvalidQueryError),
    ("name that is no dimension", lambda w: w.butler.query_datasets("note", where="detctor = 1"),
     InvalidQueryError),
    ("glob without an order", lambda w: w.butler.query_datasets("note", "u/*"), InvalidQueryError),
    ("order by nothing", lambda w: w.butler.query_datasets("note", order_by="nope"), InvalidQueryError),
    ("data IDs of nothing", lambda w: w.butler.query_data_ids("nope"), DimensionNameError),
    ("records of nothing", lambda w: w.butler.query_dimension_records("nope"), DimensionNameError),
    ("records of the sky", lambda w: w.butler.query_dimension_records("htm7"), InvalidQueryError),
    ("everything nowhere", lambda w: w.butler.query_all_datasets("nope"), MissingCollectionError),
    ("nothing everywhere", lambda w: w.butler.query_all_datasets(RUN, name="nope"), MissingDatasetTypeError),
    ("collections that are not there", lambda w: w.collections.query("nope"), MissingCollectionError),
    ("what is known of nothing", lambda w: w.collections.query_info("nope"), MissingCollectionError),
    ("info of nothing", lambda w: w.collections.get_info("nope"), MissingCollectionError),
    ("types by number", lambda w: w.registry.queryDatasetTypes([3]), DatasetTypeExpressionError),
    ("data IDs of nothing, in the registry", lambda w: w.registry.queryDataIds(["nope"]), DimensionNameError),
    ("records of nothing, in the registry", lambda w: w.registry.queryDimensionRecords("nope"), DimensionNameError),
    ("associations of nothing", lambda w: list(w.registry.queryDatasetAssociations("nope")),
     MissingDatasetTypeError),
    # ------------------------------------------------------------------ finding, files
    ("address of nothing", lambda w: w.butler.getURI("note", note_id(102)), DatasetNotFoundError),
    ("addresses of nothing", lambda w: w.butler.getURIs("note", note_id(102)), DatasetNotFoundError),
    ("addresses of a stranger", lambda w: w.butler.get_many_uris([w.stranger]), DatasetNotFoundError),
    ("handle of nothing", lambda w: w.butler.getDeferred("note", note_id(102)), DatasetNotFoundError),
    ("dataset of no such type", lambda w: w.butler.find_dataset("nope", note_id()), MissingDatasetTypeError),
    ("dataset of no such type, in the registry", lambda w: w.registry.findDataset("nope", note_id()),
     MissingDatasetTypeError),
    ("type that is not there", lambda w: w.butler.get_dataset_type("nope"), MissingDatasetTypeError),
    ("type that is not there, in the registry", lambda w: w.registry.getDatasetType("nope"),
     MissingDatasetTypeError),
    ("existence of half a data ID", lambda w: w.butler.exists("note", instrument=CAM), DimensionNameError),
    ("IDs that are none", lambda w: w.butler.get_many_datasets(["xyz"]), DataIdValueError),
    ("locations of a stranger", lambda w: w.registry.getDatasetLocations(w.stranger), DatasetNotFoundError),
    ("artifacts of a stranger", lambda w: w.butler.retrieveArtifacts([w.stranger], w.elsewhere),
     DatasetNotFoundError),
    ("artifacts moved away", lambda w: w.butler.retrieveArtifacts([w.note], w.elsewhere, transfer="move"),
     StorageError),
    ("address that is none", lambda w: Butler.parse_dataset_uri("http://x"), DataIdValueError),
    ("dataset of an address that is none", lambda w: Butler.get_dataset_from_uri("ivo://x"), DataIdValueError),
    # ------------------------------------------------------------------ exchange
    ("zip of a stranger", lambda w: w.butler.retrieve_artifacts_zip([w.stranger], w.elsewhere),
     DatasetNotFoundError),
    ("zip of nothing", lambda w: w.butler.retrieve_artifacts_zip([], w.elsewhere), DatasetNotFoundError),
    ("zip that is none", lambda w: w.butler.ingest_zip(w.file), FileFormatError),
    ("zip that is not there", lambda w: w.butler.ingest_zip("/no/such.zip"), DatasetNotFoundError),
    ("zip to be linked", lambda w: w.butler.ingest_zip(w.file, transfer="link"), StorageError),
    ("export that is not there", lambda w: w.butler.import_(filename="/no/such.yaml"), DatasetNotFoundError),
    ("export that is none", lambda w: w.butler.import_(filename=str(w.file)), RepositoryFormatError),
    ("export of no such format", lambda w: w.butler.import_(filename=str(w.file), format="xml"), FileFormatError),
    ("export to no such format", lambda w: w.butler.export(filename=str(w.file), format="xml").__enter__(),
     FileFormatError),
    ("export that moves", lambda w: w.butler.export(directory=w.elsewhere, transfer="move").__enter__(),
     StorageError),
    ("transfer that moves", lambda w: w.butler.transfer_from(w.butler, [w.note], transfer="move"), StorageError),
    ("transfer of a stranger", lambda w: w.butler.transfer_from(w.butler, [w.stranger]), DatasetNotFoundError),
    ("transfer of records of texts", lambda w: w.butler.transfer_dimension_records_from(w.butler, ["x"]),
     ArgumentError),
    ("ingest of no such mode", lambda w: w.ingest(fresh(w), transfer="teleport"), StorageError),
    ("ingest in place of what is elsewhere", lambda w: w.ingest(fresh(w), transfer=None), StorageError),
    ("ingest with no such formatter", lambda w: w.butler.ingest(
        FileDataset(str(w.file), [fresh(w)], formatter="nope"), transfer="copy"), FileFormatError),
    # ------------------------------------------------------------------ more of the registry
    ("chain of a tag", lambda w: w.registry.setCollectionChain("tag", [RUN]), CollectionTypeError),
    ("type of nothing", lambda w: w.registry.getCollectionType("nope"), MissingCollectionError),
    ("summary of nothing", lambda w: w.registry.getCollectionSummary("nope"), MissingCollectionError),
    ("words on nothing", lambda w: w.registry.setCollectionDocumentation("nope", "x"), MissingCollectionError),
    ("words of nothing", lambda w: w.registry.getCollectionDocumentation("nope"), MissingCollectionError),
    ("run that is a tag", lambda w: w.registry.registerRun("tag"), ConflictingDefinitionError),
    ("run without a name", lambda w: w.registry.registerRun(""), CollectionNameError),
    ("removal of a run with datasets, in the registry", lambda w: w.registry.removeCollection("other"),
     OrphanedRecordError),
    ("type with a space", lambda w: w.registry.registerDatasetType(w.type("instrument", name="a b")),
     DatasetTypeError),
    ("key of the wrong type", lambda w: w.registry.insertDimensionData(
        "detector", {"instrument": CAM, "id": "x", "full_name": "y"}), DimensionValueError),
    ("field that is not there", lambda w: w.registry.insertDimensionData(
        "detector", {"instrument": CAM, "id": 9, "full_name": "y", "foo": 1}), DimensionNameError),
    ("field that is not there, in a sync", lambda w: w.registry.syncDimensionData(
        "detector", {"instrument": CAM, "id": 9, "full_name": "y", "foo": 1}), DimensionNameError),
    # ------------------------------------------------------------------ repositories
    ("repository over another", lambda w: Butler.makeRepo(w.place.url), RepositoryExistsError),
    ("repository that is not there", lambda w: Butler.from_config("/no/such"), NotARepositoryError),
    ("repository in no such version", lambda w: w.place.open(as_of=99999), SnapshotNotFoundError),
    ("repository with a glob as its default", lambda w: w.place.open(collections="no*"), CollectionExpressionError),
    ("clone with a glob as its default", lambda w: w.butler.clone(collections="no*"), CollectionExpressionError),
    ("label that is not there", lambda w: Butler.get_repo_uri("nope"), NotARepositoryError),
]  # fmt: skip

ASKING_ONLY = {"close", "query", "stored", "stored_many", "isWriteable", "get_datastore_names", "get_datastore_roots",
               "get_known_repos", "has_repo_config", "markInputUnused", "record_metrics", "validateConfiguration"}  # fmt: skip
"""Public methods of `Butler` that have no wrong input of their own."""


def test_every_verb_of_the_field_has_wrong_input_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    table = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    part = table.partition("## Butler\n")[2].partition("\n## ")[0]
    verbs = set(re.findall(r"^\| `(\w+)\(", part, re.MULTILINE)) - ASKING_ONLY
    assert len(verbs) > 30
    assert {verb for verb in verbs if f".{verb}(" not in source and f"w.{verb}(" not in source} == set()


@pytest.mark.parametrize(("act", "error"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_wrong_input_is_refused_by_name_and_leaves_no_trace(
    world: World, act: Callable[[World], Any], error: type[ButlerError]
) -> None:
    before = world.butler.version, world.place.tree(), world.butler.defaults
    with pytest.raises(error) as caught:
        act(world)
    check_message(caught.value)
    assert (world.butler.version, world.place.tree(), world.butler.defaults) == before


@pytest.mark.parametrize(("act", "error"), [case[1:] for case in CASES[::3]], ids=[c[0] for c in CASES[::3]])
def test_wrong_input_in_a_transaction_leaves_what_was_done_before(
    world: World, act: Callable[[World], Any], error: type[ButlerError]
) -> None:
    before = world.butler.version, world.place.tree()
    with pytest.raises(KeyboardInterrupt), world.butler.transaction():
        world.collections.register("meanwhile")
        with pytest.raises(error):
            act(world)
        assert world.collections.get_info("meanwhile").type is CollectionType.RUN
        raise KeyboardInterrupt
    assert (world.butler.version, world.place.tree()) == before


CHANGES: dict[str, Callable[[World, Butler], Any]] = {
    "put": lambda w, b: b.put({}, "note", note_id(102)),
    "ingest": lambda w, b: b.ingest(FileDataset(str(w.file), [w.stranger])),
    "register": lambda w, b: b.collections.register("new"),
    "chain": lambda w, b: b.collections.redefine_chain("outer", []),
    "x_remove": lambda w, b: b.collections.x_remove("outer"),
    "associate": lambda w, b: b.registry.associate("tag", [w.twin]),
    "disassociate": lambda w, b: b.registry.disassociate("tag", w.bias),
    "certify": lambda w, b: b.registry.certify("calib", w.bias, ALWAYS),
    "decertify": lambda w, b: b.registry.decertify("calib", "bias", ALWAYS),
    "prune": lambda w, b: b.pruneDatasets(w.bias, purge=True, unstore=True),
    "removeRuns": lambda w, b: b.removeRuns(["other"]),
    "removeDatasets": lambda w, b: b.registry.removeDatasets(w.bias),
    "removeDatasetType": lambda w, b: b.registry.removeDatasetType("flat"),
    "insertDatasets": lambda w, b: b.registry.insertDatasets("note", [note_id(102)], run=RUN),
    "insertDimensionData": lambda w, b: b.registry.insertDimensionData("instrument", {"name": "New"}),
    "syncDimensionData": lambda w, b: b.registry.syncDimensionData("instrument", {"name": "New"}),
    "setCollectionDocumentation": lambda w, b: b.registry.setCollectionDocumentation("tag", "x"),
    "transaction": lambda w, b: b.transaction().__enter__(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_reader_changes_nothing(world: World, name: str) -> None:
    before = world.butler.version, world.place.tree()
    with world.place.open(collections=RUN) as reader, pytest.raises(ReadOnlyButlerError):
        CHANGES[name](world, reader)
    assert (world.butler.version, world.place.tree()) == before


def test_without_a_run_nothing_is_written(world: World) -> None:
    with world.place.open(writeable=True) as butler:
        with pytest.raises(NoDefaultCollectionError):
            butler.put({}, "note", note_id(102))
        with pytest.raises(NoDefaultCollectionError):
            butler.registry.insertDatasets("note", [note_id(102)])
        with pytest.raises(NoDefaultCollectionError):
            butler.get("note", note_id())
    assert world.butler.get_dataset(uuid.uuid4()) is None
