# SPDX-License-Identifier: BSD-3-Clause
"""Dataset references, files with datasets, and their written forms."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lakebutler.datasets import DatasetRef, DatasetType, FileDataset, make_refs
from lakebutler.datasets.storage_class import StorageClass
from lakebutler.dimensions import DataCoordinate, DimensionUniverse
from lakebutler.errors import (
    CollectionNameError,
    DataIdValueError,
    DatasetTypeError,
    DimensionNameError,
    DimensionValueError,
    InconsistentDataIdError,
)
from lakebutler.ids import DatasetIdGenEnum

UNIVERSE = DimensionUniverse()
RAW = DatasetType("raw", ["exposure", "detector"], "StructuredDataDict")
VALUES = {"instrument": "a", "exposure": 4, "detector": 3}
DATA_ID = DataCoordinate.standardize(VALUES, dimensions=RAW.dimensions)
ID = UUID("a4dbbccb-bb9f-58ed-b69a-172dbb687b64")
PART = StorageClass("Part", dict)
WHOLE = StorageClass("Whole", dict, components={"part": PART})


def ref(**changes: Any) -> DatasetRef:
    arguments: dict[str, Any] = {"datasetType": RAW, "dataId": DATA_ID, "run": "run/x", "id": ID}
    return DatasetRef(**arguments | changes)


def test_a_reference_holds_what_it_was_made_of() -> None:
    made = ref()
    assert (made.id, made.run, made.datasetType, made.dataId) == (ID, "run/x", RAW, DATA_ID)
    assert made.dimensions is RAW.dimensions
    assert made.dataId is DATA_ID
    assert not made.isComponent()


def test_an_id_is_made_unless_it_is_given() -> None:
    assert ref(id=None).id != ref(id=None).id
    assert ref(id=None).id.version == 7
    assert ref(id=None, id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN).id == ID
    by_type = ref(id=None, id_generation_mode=DatasetIdGenEnum.DATAID_TYPE)
    assert by_type.id == ref(id=None, run="other", id_generation_mode=DatasetIdGenEnum.DATAID_TYPE).id
    assert ref(id=str(ID)).id == ID


def test_a_mapping_is_made_into_a_data_id_of_the_types_dimensions() -> None:
    made = ref(dataId={**VALUES, "visit": 4})
    assert made == ref()
    assert made.dataId.dimensions is RAW.dimensions
    larger = DataCoordinate.standardize(VALUES, htm7=131072)
    assert ref(dataId=larger) == ref()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"dataId": {"instrument": "a", "exposure": 4}}, DimensionNameError),
        ({"dataId": DataCoordinate.standardize(instrument="a", exposure=4)}, DimensionNameError),
        ({"dataId": {**VALUES, "detector": "3"}}, DimensionValueError),
        ({"dataId": {**VALUES, "detectr": 3}}, DimensionNameError),
        ({"dataId": None}, DimensionNameError),
        ({"run": None}, CollectionNameError),
        ({"run": 5}, CollectionNameError),
        ({"id": "abc"}, DataIdValueError),
        ({"id": 5}, DataIdValueError),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(change: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        ref(**change)


def test_equality_looks_at_everything_but_the_file() -> None:
    assert ref() == ref(datastore_records={"file": "x"})
    assert hash(ref()) == hash(ref())
    assert ref() != ref(run="other")
    assert ref() != ref(id=None)
    assert ref() != ref(datasetType=DatasetType("raw", RAW.dimensions, "Text"))
    assert ref() != "raw"


def test_references_sort_by_run_type_and_data_id() -> None:
    parts = [(run, name, n) for run in "ba" for name in "ts" for n in (2, 1)]
    refs = [
        DatasetRef(DatasetType(t, ["detector"], "Text"), {"instrument": "a", "detector": n}, r)
        for r, t, n in parts
    ]
    assert [(r.run, r.datasetType.name, r.dataId["detector"]) for r in sorted(refs)] == sorted(parts)


def test_components_share_the_id() -> None:
    whole = ref(datasetType=DatasetType("raw", RAW.dimensions, WHOLE))
    part = whole.makeComponentRef("part")
    assert part.id == whole.id
    assert part != whole
    assert part.isComponent()
    assert whole.isComposite()
    assert part.datasetType.name == "raw.part"
    assert part.makeCompositeRef() == whole
    with pytest.raises(DatasetTypeError, match="no component"):
        whole.makeComponentRef("other")


def test_a_storage_class_can_be_overridden() -> None:
    whole = ref(datasetType=DatasetType("raw", RAW.dimensions, WHOLE))
    other = whole.overrideStorageClass(PART)
    assert other.datasetType.storageClass is PART
    assert other.id == whole.id
    assert other.is_compatible_with(whole)
    assert not other.is_compatible_with(ref(run="other", datasetType=whole.datasetType))
    assert whole.overrideStorageClass("Whole") is whole
    assert whole.replace(storage_class=PART) == other


def test_replacing_the_run_makes_another_dataset() -> None:
    assert ref().replace(run="other").id != ID
    assert ref().replace(run="other").run == "other"
    assert ref().replace(run="other", id=ID).id == ID
    new = UUID(int=5)
    assert ref().replace(id=new) == ref(id=new)
    assert ref().replace() == ref()


def test_a_reference_can_be_given_a_data_id_that_knows_more() -> None:
    full = DataCoordinate.standardize(
        VALUES, band="r", day_obs=1, group="g", physical_filter="f", dimensions=RAW.dimensions
    )
    more = ref().expanded(full)
    assert more == ref()
    assert more.dataId.hasFull()
    with pytest.raises(InconsistentDataIdError, match="not the data ID of"):
        ref().expanded(DataCoordinate.standardize(VALUES, detector=4, dimensions=RAW.dimensions))


def test_references_are_grouped_by_type() -> None:
    flat = DatasetRef(DatasetType("flat", ["detector"], "Text"), {"instrument": "a", "detector": 1}, "r")
    refs = [ref(), flat, ref(run="other")]
    assert DatasetRef.groupByType(refs) == {RAW: [refs[0], refs[2]], flat.datasetType: [flat]}
    assert list(DatasetRef.iter_by_type(refs)) == [(RAW, [refs[0], refs[2]]), (flat.datasetType, [flat])]


@pytest.mark.parametrize("mode", DatasetIdGenEnum)
def test_many_references_are_those_made_one_by_one(mode: DatasetIdGenEnum) -> None:
    ids = [
        DataCoordinate.from_required_values(RAW.dimensions, ("a", d, e)) for d in range(5) for e in range(7)
    ]
    refs = make_refs(RAW, ids, "run/x", id_generation_mode=mode)
    assert [r.dataId for r in refs] == ids
    if mode is not DatasetIdGenEnum.UNIQUE:
        assert refs == [DatasetRef(RAW, d, "run/x", id_generation_mode=mode) for d in ids]
    assert make_refs(RAW, ids, "run/x", ids=[r.id for r in refs]) == refs
    with pytest.raises(ValueError, match="argument"):
        make_refs(RAW, ids, "run/x", ids=[ID])


def test_every_written_form_can_be_read_back() -> None:
    made = ref()
    for again in (
        eval(repr(made)),
        pickle.loads(pickle.dumps(made)),
        copy.deepcopy(made),
        DatasetRef.from_json(made.to_json()),
        DatasetRef.from_simple(json.loads(json.dumps(made.to_simple())), UNIVERSE),
        DatasetRef.from_simple(made.to_simple(), datasetType=RAW),
    ):
        assert again == made
        assert hash(again) == hash(made)


def _echo(value: DatasetRef) -> DatasetRef:
    return value


def test_a_reference_goes_to_another_process_and_back() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        again = pool.apply(_echo, (ref(),))
    assert again == ref()
    assert again.dimensions is RAW.dimensions


def test_the_written_form_is_that_of_the_field() -> None:
    made = ref(datasetType=DatasetType("raw", RAW.dimensions, "ExposureF"))
    assert made.to_json() == (
        '{"id":"a4dbbccb-bb9f-58ed-b69a-172dbb687b64","datasetType":{"name":"raw","storageClass":"ExposureF",'
        '"dimensions":["instrument","detector","exposure"]},"dataId":{"dataId":{"instrument":"a","detector":3,'
        '"exposure":4}},"run":"run/x"}'
    )
    assert str(made) == (
        "raw@{instrument: 'a', detector: 3, exposure: 4} [sc=ExposureF] "
        "(run=run/x id=a4dbbccb-bb9f-58ed-b69a-172dbb687b64)"
    )
    assert made.to_simple(minimal=True) == {"id": str(ID)}


@pytest.mark.parametrize("key", ["id", "dataId", "run", "datasetType"])
def test_a_written_form_without_a_part_is_refused(key: str) -> None:
    simple = ref().to_simple()
    del simple[key]
    with pytest.raises((DataIdValueError, DatasetTypeError), match="without"):
        DatasetRef.from_simple(simple)
    with pytest.raises(DataIdValueError, match="without id, dataId, run"):
        DatasetRef.from_simple(None)


def test_a_reference_cannot_be_changed() -> None:
    made = ref()
    with pytest.raises(AttributeError):
        made.run = "other"
    with pytest.raises(AttributeError):
        del made.id
    with pytest.raises(AttributeError):
        made.extra = 1


def test_a_notebook_shows_tables_with_escaped_values() -> None:
    html = ref(run="<i>")._repr_html_()
    assert "&lt;i&gt;" in html
    assert "raw" in html


# ------------------------------------------------------------------------- FileDataset


def test_a_file_holds_one_dataset_or_several() -> None:
    assert FileDataset("a.fits", ref()).refs == [ref()]
    several = FileDataset("a.fits", (r for r in [ref(), ref(run="b")]), "fits_image")
    assert [r.run for r in several.refs] == ["run/x", "b"]
    assert several.formatter == "fits_image"
    with pytest.raises(DatasetTypeError, match=r"a\.fits is given without datasets"):
        FileDataset("a.fits", [])


def test_files_compare_and_sort_by_their_place() -> None:
    a, b = FileDataset("a.fits", ref()), FileDataset(Path("b.fits"), ref())
    assert sorted([b, a]) == [a, b]
    assert a == FileDataset("a.fits", [ref()])
    assert a != b
    assert FileDataset("a.fits", ref(), "x") != a
    assert b.location() == "b.fits"


def test_a_file_with_datasets_can_be_written_and_read_back() -> None:
    made = FileDataset("dir/a.fits", [ref()], "fits_image")
    assert FileDataset.from_simple(json.loads(json.dumps(made.to_simple()))) == made
    assert eval(repr(made)) == made
    assert made.to_simple(minimal=True)["refs"] == [{"id": str(ID)}]
