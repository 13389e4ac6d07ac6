# SPDX-License-Identifier: BSD-3-Clause
"""What the registry and the butler answer by their older names, and many types at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from astropy.table import Table

from lakebutler import (
    Butler,
    CalibrationLookupError,
    CollectionExpressionError,
    CollectionType,
    DatasetRef,
    DatasetType,
    DatasetTypeExpressionError,
    InvalidQueryError,
    MissingCollectionError,
    MissingDatasetTypeError,
    Timespan,
    UnknownComponentError,
    ValidationError,
)
from lakebutler.butler.defaults import RegistryDefaults
from lakebutler.butler.existence import DatasetExistence
from lakebutler.butler.index import UnknownRepositoryError, dataset_uri
from tests.butler.conftest import RUN
from tests.butler.world import CAM, Place, instant, note_id


@pytest.fixture
def filled(local_butler: Butler) -> Butler:
    with local_butler.transaction():
        for detector in range(3):
            local_butler.put({"d": detector}, "bias", instrument=CAM, detector=detector)
            local_butler.put({"n": detector}, "note", note_id(101, detector))
    local_butler.collections.register("tag", CollectionType.TAGGED)
    local_butler.collections.register("calib", CollectionType.CALIBRATION)
    refs = local_butler.query_datasets("bias")
    local_butler.registry.associate("tag", refs[:1])
    local_butler.registry.certify("calib", refs[:2], Timespan(None, instant("2030-01-01")))
    return local_butler


def test_datasets_of_several_types_are_found_by_glob(filled: Butler) -> None:
    found = filled.registry.queryDatasets(["bias", "no*"], collections=RUN)
    assert found.count() == 6
    assert found.any()
    assert {ref.datasetType.name for ref in found} == {"bias", "note"}
    assert len(list(found.limit(4))) == 4
    by_type = {part.parentDatasetType.name: len(list(part)) for part in found.byParentDatasetType()}
    assert by_type == {"bias": 3, "note": 3}
    assert all(ref.dataId.hasRecords() for ref in found.expanded())
    with found.materialize() as same:
        assert set(same) == set(found)


def test_a_search_that_finds_nothing_is_empty_and_can_say_why(filled: Butler) -> None:
    found = filled.registry.queryDatasets("bias", collections=RUN, where="detector = 77", instrument=CAM)
    assert list(found) == []
    assert not found.any()
    assert "\n".join(found.explain_no_results())


def test_an_expression_that_names_no_type_or_collection_is_refused(filled: Butler) -> None:
    registry = filled.registry
    for ask in (registry.queryDatasetTypes, registry.queryDatasets, registry.removeDatasetType):
        for wrong in (3, [3], None, re.compile("b.*")):
            with pytest.raises(DatasetTypeExpressionError, match="given by name"):
                ask(wrong)
    with pytest.raises(MissingDatasetTypeError, match="nope"):
        registry.queryDataIds("detector", datasets="nope", collections=RUN)
    for pattern in ("zz*", "bi*", ..., ["bias", "no*"]):
        with pytest.raises(DatasetTypeExpressionError, match="not by pattern"):
            registry.queryDataIds("detector", datasets=pattern, collections=RUN)
    for component in ("bias.x", "nope.x"):
        with pytest.raises(DatasetTypeExpressionError, match="component"):
            registry.removeDatasetType(component)
    with pytest.raises(CollectionExpressionError, match="3"):
        registry.queryDatasets("bias", collections=3)
    with pytest.raises(MissingCollectionError):
        registry.queryDatasets("bias", collections="nope")


def test_a_name_that_is_no_dataset_type_has_no_datasets(filled: Butler) -> None:
    found = filled.registry.queryDatasets("nope", collections=RUN)
    assert list(found) == []
    assert not found.any()
    assert found.count() == 0
    assert list(found.order_by("detector").limit(2).explain_no_results()) == [
        "there is no dataset type 'nope'"
    ]
    both = filled.registry.queryDatasets(["nope", "bias"], collections=RUN)
    assert both.count() == 3


def test_data_ids_of_datasets_are_results_too(filled: Butler) -> None:
    found = filled.registry.queryDatasets("note", collections=RUN, where="detector > 0", instrument=CAM)
    data_ids = found.dataIds
    assert data_ids.count() == 2
    assert [data_id["detector"] for data_id in data_ids.order_by("-detector").limit(1)] == [2]
    assert all(data_id.hasRecords() for data_id in data_ids.expanded())
    assert {data_id["exposure"] for data_id in data_ids.subset(["exposure"])} == {101}
    assert {ref.dataId["detector"] for ref in data_ids.findDatasets("bias", RUN)} == {1, 2}
    several = filled.registry.queryDatasets(["note", "bias"], collections=RUN)
    assert [part.dataIds.count() for part in several.byParentDatasetType()] == [3, 3]
    assert len(list(several.dataIds)) == 6


def test_what_is_wrong_is_also_the_builtin_that_the_field_raises(filled: Butler) -> None:
    ref = filled.query_datasets("bias")[0]
    for ask in (
        lambda: filled.get("bias.foo", ref.dataId),
        lambda: filled.getDeferred("bias", ref.dataId).get(component="foo"),
        lambda: filled.registry.getDatasetType("bias.foo"),
    ):
        with pytest.raises(UnknownComponentError, match="foo") as component:
            ask()
        assert isinstance(component.value, KeyError)
    with pytest.raises(KeyError, match="NoSuchClass"):
        filled.get(ref, storageClass="NoSuchClass")
    for wrong in (["bias"], None, 3):
        with pytest.raises(TypeError, match="given by name") as kind:
            filled.query_datasets(wrong)
        assert isinstance(kind.value, DatasetTypeExpressionError)
    with filled.query() as query:
        with pytest.raises(InvalidQueryError, match="instrument"):
            query.join_data_coordinate_table(Table({"detector": [1]}))
        narrow = query.join_data_coordinate_table(Table({"detector": [1], "instrument": [CAM]}))
        assert narrow.data_ids(["detector"]).count() == 1
    filled.close()
    with pytest.raises(RuntimeError, match="closed"):
        filled.get(ref)


def test_data_ids_lead_to_their_datasets(filled: Butler) -> None:
    ids = filled.registry.queryDataIds(["exposure", "detector"], datasets="note", collections=RUN)
    assert ids.count() == 3
    assert ids.hasFull()
    assert all(data_id.hasRecords() for data_id in ids.expanded())
    assert {data_id["exposure"] for data_id in ids.subset(["exposure"])} == {101}
    assert len(set(ids.findDatasets("bias", RUN))) == 3
    pairs = list(ids.findRelatedDatasets("bias", RUN))
    assert {(data_id["detector"], ref.dataId["detector"]) for data_id, ref in pairs} == {
        (0, 0),
        (1, 1),
        (2, 2),
    }
    with ids.materialize() as same:
        assert same.toSet() == set(ids.toSequence())


def test_related_calibrations_are_those_valid_at_the_time(filled: Butler) -> None:
    registry = filled.registry
    filled.collections.register("night", CollectionType.CALIBRATION)
    registry.registerRun("later/run")
    later = filled.put({"d": "later"}, "bias", instrument=CAM, detector=0, run="later/run")
    earlier = filled.find_dataset("bias", instrument=CAM, detector=0)
    assert earlier is not None
    noon = instant("2025-01-02T12:00:00")
    registry.certify("night", [earlier], Timespan(None, noon))
    registry.certify("night", [later], Timespan(noon, None))
    ids = registry.queryDataIds(["exposure", "detector"], instrument=CAM, detector=0)
    for first in (True, False):
        pairs = ids.findRelatedDatasets("bias", "night", findFirst=first)
        found = sorted((data_id["exposure"], ref.run) for data_id, ref in pairs)
        assert found == [(101, RUN), (102, RUN), (201, "later/run")]
    narrow = list(ids.findRelatedDatasets("bias", "night", dimensions=["detector"]))
    assert sorted(ref.run for _, ref in narrow) == sorted([RUN, "later/run"])
    assert {data_id.dimensions for data_id, _ in narrow} == {ids.universe.conform(["detector"])}
    expanded = ids.expanded().findRelatedDatasets("bias", [RUN, "later/run"])
    assert all(d.hasRecords() and ref.dataId.hasRecords() and ref.run == RUN for d, ref in expanded)
    with pytest.raises(CalibrationLookupError, match="valid"):
        list(ids.subset(["detector"]).findRelatedDatasets("bias", "night"))


def test_records_are_found_and_sorted(filled: Butler) -> None:
    records = filled.registry.queryDimensionRecords("detector", where="detector > 0", instrument=CAM)
    assert [record.id for record in records.order_by("-detector").limit(2)] == [3, 2]
    assert records.element.name == "detector"


def test_associations_say_where_and_when(filled: Butler) -> None:
    found = list(filled.registry.queryDatasetAssociations("bias"))
    where = sorted((a.collection, a.ref.dataId["detector"], a.timespan is None) for a in found)
    assert where == [
        ("calib", 0, False),
        ("calib", 1, False),
        ("tag", 0, True),
        (RUN, 0, True),
        (RUN, 1, True),
        (RUN, 2, True),
    ]
    calib = list(filled.registry.queryDatasetAssociations("bias", collectionTypes=CollectionType.CALIBRATION))
    assert {a.timespan for a in calib} == {Timespan(None, instant("2030-01-01"))}


def test_collections_that_hold_a_type_are_found(filled: Butler) -> None:
    filled.collections.register("chain", CollectionType.CHAINED)
    filled.collections.redefine_chain("chain", ["tag"])
    assert set(filled.registry.queryCollections(datasetType="bias")) == {RUN, "tag", "calib", "chain"}
    assert set(filled.registry.queryCollections(datasetType="note")) == {RUN}


def test_the_registry_has_its_own_transaction_and_one_version_to_read(filled: Butler, local: Place) -> None:
    with pytest.raises(ZeroDivisionError), filled.registry.transaction(savepoint=True):
        filled.registry.registerRun("never")
        _ = 1 / 0
    assert "never" not in filled.collections.query("*")
    with local.open(writeable=True) as other, filled.registry.caching_context():
        before = filled.collections.query("*")
        other.collections.register("meanwhile")
        assert filled.collections.query("*") == before
    assert "meanwhile" in filled.collections.query("*")


def test_defaults_can_be_set_and_are_checked(filled: Butler) -> None:
    registry = filled.registry
    assert registry.defaults == RegistryDefaults(run=RUN)
    with pytest.raises(CollectionExpressionError):
        registry.defaults = RegistryDefaults(["no*"])
    registry.defaults = RegistryDefaults(["tag"], "u/next", instrument=CAM)
    assert filled.run == "u/next"
    assert "u/next" in filled.collections.query("*")
    assert len(filled.query_datasets("bias", where="detector >= 0")) == 1


def test_a_clone_keeps_what_is_left_out(filled: Butler) -> None:
    with filled.clone(run="u/b") as other:
        assert (tuple(other.collections.defaults), other.run) == (("u/b",), "u/b")
    with filled.clone(collections="tag") as tagged:
        assert (tuple(tagged.collections.defaults), tagged.run) == (("tag",), RUN)
        with tagged.clone(run=None) as bare:
            assert (tuple(bare.collections.defaults), bare.run) == (("tag",), None)
    with filled.clone(run=None) as nothing:
        assert (tuple(nothing.collections.defaults), nothing.run) == ((), None)


def test_datasets_of_all_types_are_found_at_once(filled: Butler) -> None:
    assert len(filled.query_all_datasets()) == 6
    assert {ref.datasetType.name for ref in filled.query_all_datasets(RUN, name=["b*"])} == {"bias"}
    assert len(filled.query_all_datasets("*", find_first=False)) >= 6
    where = filled.query_all_datasets(RUN, where="detector = 1", instrument=CAM)
    assert [ref.dataId["detector"] for ref in where] == [1, 1]
    assert len(filled.query_all_datasets(RUN, limit=4)) == 4
    with pytest.warns(UserWarning, match="more than 4"):
        assert len(filled.query_all_datasets(RUN, limit=-4)) == 4
    with pytest.raises(InvalidQueryError, match="glob"):
        filled.query_all_datasets("u/*")
    with pytest.raises(InvalidQueryError, match="no collections"):
        filled.query_all_datasets([])
    assert filled.query_all_datasets([], find_first=False) == []
    for name in ("nope", ["bias", "nope"], "zz*"):
        with pytest.raises(MissingDatasetTypeError):
            filled.query_all_datasets(RUN, name=name)


def test_existence_of_many_is_that_of_each(filled: Butler) -> None:
    refs = filled.query_datasets("bias")
    gone = DatasetRef(refs[0].datasetType, refs[0].dataId, RUN)
    filled.pruneDatasets(refs[1:2], disassociate=False, unstore=True)
    Path(str(filled.getURI(refs[2]).ospath)).unlink()
    assert filled._exists_many([*refs, gone]) == {
        refs[0]: DatasetExistence.VERIFIED,
        refs[1]: DatasetExistence.RECORDED,
        refs[2]: DatasetExistence.RECORDED | DatasetExistence.DATASTORE,
        gone: DatasetExistence.UNRECOGNIZED,
    }
    assert filled._exists_many([refs[0]], full_check=False) == {refs[0]: DatasetExistence.KNOWN}
    for ref in (*refs, gone):
        assert filled.exists(ref) == filled._exists_many([ref])[ref]


def test_types_that_cannot_be_stored_are_named(filled: Butler) -> None:
    filled.validateConfiguration()
    odd = DatasetType("odd", ["instrument"], "NoSuchClass", universe=filled.dimensions)
    filled.registry.registerDatasetType(odd)
    with pytest.raises(ValidationError, match="odd"):
        filled.validateConfiguration()
    filled.validateConfiguration(ignore=["od*"])
    filled.validateConfiguration(datasetTypeNames=["bias"])


def test_a_repository_is_found_by_its_label(
    filled: Butler, local: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Butler.get_known_repos() == set()
    index = tmp_path / "index.yaml"
    index.write_text(f"dr1: {local.url}\n")
    monkeypatch.setenv("DAF_BUTLER_REPOSITORY_INDEX", str(index))
    assert Butler.get_known_repos() == {"dr1"}
    assert Butler.get_repo_uri("dr1").ospath == local.url
    with pytest.raises(UnknownRepositoryError, match="dr1"):
        Butler.get_repo_uri("dr2")
    with pytest.raises(KeyError):
        Butler.get_repo_uri("dr2")
    (ref,) = filled.query_datasets("bias", where="detector = 1", instrument=CAM)
    with Butler("dr1", collections=RUN) as butler:
        assert butler.get_dataset(ref.id) == ref
    for uri in (dataset_uri("dr1", ref), f"butler://dr1/{ref.id}"):
        found = Butler.get_dataset_from_uri(uri)
        assert found.dataset == ref
        found.butler.close()
    assert Butler.parse_dataset_uri(dataset_uri("/repo/main", ref)).label == "/repo/main"
    for wrong in ("http://x/y", "ivo://a/b?repo=dr1", f"ivo://a/b?id={ref.id}", "butler://dr1/12"):
        with pytest.raises(ValueError, match=r"."):
            Butler.parse_dataset_uri(wrong)
    monkeypatch.delenv("DAF_BUTLER_REPOSITORY_INDEX")
    monkeypatch.setenv("DAF_BUTLER_REPOSITORIES", f'{{"inline": "{local.url}"}}')
    assert Butler.get_known_repos() == {"inline"}
    assert Butler.has_repo_config(local.url)
    assert not Butler.has_repo_config(tmp_path)


def test_alternate_keys_are_taken_wherever_a_data_id_is(filled: Butler) -> None:
    named = {"instrument": CAM, "detector": "R22_S11"}
    assert filled.registry.expandDataId(named)["detector"] == 1
    assert filled.registry.expandDataId(named, dimensions=["detector"]).hasRecords()
    assert [ref.dataId["detector"] for ref in filled.query_datasets("bias", **named)] == [1]
    filled.registry.decertify("calib", "bias", Timespan(None, None), dataIds=[named])
    left = filled.registry.queryDatasetAssociations("bias", "calib")
    assert [one.ref.dataId["detector"] for one in left] == [0]
    (ref,) = filled.registry.insertDatasets("flat", [named | {"physical_filter": "Cam1-g"}])
    assert ref.dataId["detector"] == 1
