# SPDX-License-Identifier: BSD-3-Clause
"""Dataset types: names, storage classes, components, written forms."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.datasets.dataset_type import MAX_NAME_LENGTH, DatasetType, check_dataset_type_name
from lakebutler.datasets.storage_class import StorageClass
from lakebutler.dimensions import DimensionUniverse
from lakebutler.errors import DatasetTypeError, DimensionNameError, StorageClassError

UNIVERSE = DimensionUniverse()
WCS = StorageClass("SkyPosition", dict)
IMAGE = StorageClass("Picture", dict, components={"wcs": WCS, "mask": WCS}, derivedComponents={"shape": WCS})
OTHER = StorageClass("OtherPicture", dict, components={"wcs": WCS})
LIST = StorageClass("Row", list)


def picture(name: str = "picture", storage_class: Any = IMAGE, **arguments: Any) -> DatasetType:
    return DatasetType(name, ["visit", "detector"], storage_class, **arguments)


@pytest.mark.parametrize("name", ["raw", "_x9", "A", "calexp.wcs", "a.b.c", "x" * MAX_NAME_LENGTH])
def test_identifiers_with_dots_between_are_names(name: str) -> None:
    assert check_dataset_type_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "9raw", "a-b", "a b", "raw/b", "é", "raw\n", "raw\x00", ".raw", "raw.", "a..b", "..", "a.9", "*",
        "r*w",
        "x" * (MAX_NAME_LENGTH + 1), "ra\u200dw", None, 5,
    ],
    ids=ascii,
)  # fmt: skip
def test_everything_else_is_no_name(name: Any) -> None:
    with pytest.raises(DatasetTypeError, match=r"dataset type"):
        DatasetType(name, ["visit"], "Text")


@given(st.text("aZ_9.-é\n", max_size=6))
def test_a_name_that_is_accepted_is_safe_as_it_stands(name: str) -> None:
    safe = name.isascii() and all(part.isidentifier() for part in name.split("."))
    if safe:
        assert check_dataset_type_name(name) == name
        return
    with pytest.raises(DatasetTypeError) as failure:
        check_dataset_type_name(name)
    assert "\n" not in failure.value.message


def test_a_storage_class_is_given_by_name_or_object() -> None:
    assert picture().storageClass is IMAGE
    assert picture().storageClass_name == "Picture"
    by_name = picture(storage_class="StructuredDataDict")
    assert by_name.storageClass.name == "StructuredDataDict"
    assert picture(storage_class="Picture") == picture()
    with pytest.raises(DatasetTypeError, match="storage class must be given"):
        picture(storage_class=5)


def test_an_unknown_storage_class_is_an_error_only_when_it_is_needed() -> None:
    dataset_type = picture(storage_class="NoSuchClass")
    assert dataset_type.storageClass_name == "NoSuchClass"
    assert pickle.loads(pickle.dumps(dataset_type)) == dataset_type
    with pytest.raises(StorageClassError, match="NoSuchClass"):
        _ = dataset_type.storageClass


def test_making_a_dataset_type_needs_no_storage_class_and_nothing_heavy() -> None:
    code = (
        "import sys; from lakebutler.datasets import DatasetType, DatasetRef, FileDataset; "
        "t = DatasetType('raw', ['exposure', 'detector'], 'Exposure'); "
        "r = DatasetRef(t, {'instrument': 'a', 'exposure': 1, 'detector': 2}, 'run'); r.to_json(); repr(r); "
        "heavy = {'numpy', 'astropy', 'pyarrow', 'lsst', 'duckdb', 'pandas'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_dimensions_are_given_by_name_or_as_a_group() -> None:
    group = UNIVERSE.conform(["visit", "detector"])
    assert DatasetType("picture", group, IMAGE) == picture()
    assert picture(universe=UNIVERSE).dimensions is group
    with pytest.raises(DimensionNameError, match="'vist'"):
        DatasetType("picture", ["vist"], IMAGE)


def test_a_dataset_type_in_another_universe_has_the_dimensions_of_that_one() -> None:
    config = UNIVERSE.to_config()
    config["version"] = 9
    other = DimensionUniverse(config)
    moved = picture(isCalibration=True).conform_to(other)
    assert moved.dimensions.universe is other
    assert moved.isCalibration()
    assert moved.storageClass is IMAGE
    assert picture().conform_to(UNIVERSE).dimensions.universe is UNIVERSE


# ---------------------------------------------------------------------- components


def test_components_have_types_of_their_own() -> None:
    whole = picture(isCalibration=True)
    part = whole.makeComponentDatasetType("wcs")
    assert part.name == "picture.wcs"
    assert part.nameAndComponent() == ("picture", "wcs")
    assert part.component() == "wcs"
    assert part.isComponent()
    assert part.isCalibration()
    assert part.storageClass is WCS
    assert part.parentStorageClass is IMAGE
    assert part.makeCompositeDatasetType() == whole
    assert whole.isComposite()
    assert not part.isComposite()
    assert whole.component() is None
    assert whole.parentStorageClass is None
    assert [p.name for p in whole.makeAllComponentDatasetTypes()] == [
        "picture.wcs", "picture.mask", "picture.shape",
    ]  # fmt: skip
    assert whole.componentTypeName("shape") == "picture.shape"


def test_an_unknown_component_is_named_with_the_nearest() -> None:
    with pytest.raises(DatasetTypeError, match="no component 'wsc'\ndid you mean 'wcs'"):
        picture().makeComponentDatasetType("wsc")
    with pytest.raises(DatasetTypeError, match="no component 'wcs'"):
        picture().makeComponentDatasetType("wcs").makeComponentDatasetType("wcs")
    with pytest.raises(DatasetTypeError, match="is no component"):
        picture().makeCompositeDatasetType()


def test_a_component_needs_its_composite_and_nothing_else_has_one() -> None:
    with pytest.raises(DatasetTypeError, match="needs its composite's storage class"):
        picture("picture.wcs")
    with pytest.raises(DatasetTypeError, match="cannot have a parent"):
        picture(parentStorageClass="Picture")
    assert picture("picture.wcs", WCS, parentStorageClass="Picture").parentStorageClass_name == "Picture"


def test_names_are_split_at_the_first_dot() -> None:
    assert DatasetType.splitDatasetTypeName("a.b.c") == ("a", "b.c")
    assert DatasetType.splitDatasetTypeName("a") == ("a", None)
    assert DatasetType.nameWithComponent("a", "b") == "a.b"


# -------------------------------------------------------------------- storage class


def test_a_storage_class_can_be_overridden_where_it_converts() -> None:
    other = picture().overrideStorageClass(OTHER)
    assert other.storageClass is OTHER
    assert other != picture()
    assert other.is_compatible_with(picture())
    assert picture().is_compatible_with(other)
    assert picture().overrideStorageClass("Picture").storageClass is IMAGE
    with pytest.raises(DatasetTypeError, match=r"picture' .Picture. cannot be read as 'Row'"):
        picture().overrideStorageClass(LIST)
    part = picture().makeComponentDatasetType("wcs").overrideStorageClass(OTHER)
    assert part.parentStorageClass is IMAGE


@pytest.mark.parametrize(
    "other",
    [
        picture("painting"),
        picture(storage_class=LIST),
        picture(isCalibration=True),
        DatasetType("picture", ["visit"], IMAGE),
        picture(storage_class="NoSuchClass"),
    ],
    ids=str,
)
def test_types_that_differ_in_more_are_not_compatible(other: DatasetType) -> None:
    assert picture() != other
    assert not picture().is_compatible_with(other)


# ------------------------------------------------------------------------- as values


@pytest.mark.parametrize(
    "dataset_type",
    [
        picture(storage_class="StructuredDataDict"),
        picture(storage_class="Text", isCalibration=True),
        picture("picture.wcs", "Wcs", parentStorageClass="Picture"),
        DatasetType("nothing", [], "Text"),
    ],
    ids=str,
)
def test_every_written_form_can_be_read_back(dataset_type: DatasetType) -> None:
    for again in (
        eval(repr(dataset_type)),
        pickle.loads(pickle.dumps(dataset_type)),
        copy.deepcopy(dataset_type),
        DatasetType.from_json(dataset_type.to_json()),
        DatasetType.from_simple(json.loads(json.dumps(dataset_type.to_simple())), UNIVERSE),
    ):
        assert again == dataset_type
        assert hash(again) == hash(dataset_type)


def test_the_written_form_is_that_of_the_field() -> None:
    part = picture("raw.wcs", "Wcs", parentStorageClass="ExposureF")
    assert part.to_json() == (
        '{"name":"raw.wcs","storageClass":"Wcs","dimensions":["instrument","detector","visit"],'
        '"parentStorageClass":"ExposureF"}'
    )
    assert picture(isCalibration=True).to_simple()["isCalibration"] is True
    assert picture().to_simple(minimal=True) == {"name": "picture"}
    assert str(DatasetType("t", ["detector"], "Text", isCalibration=True)) == (
        "DatasetType('t', {instrument, detector}, Text, isCalibration=True)"
    )


@pytest.mark.parametrize("simple", [None, [], {}, {"name": "x"}, {"name": "x", "dimensions": []}], ids=str)
def test_a_wrong_written_form_is_refused(simple: Any) -> None:
    with pytest.raises(DatasetTypeError, match="written"):
        DatasetType.from_simple(simple)


def test_types_sort_by_name() -> None:
    assert sorted([picture("b"), picture("a")]) == [picture("a"), picture("b")]


def test_a_dataset_type_cannot_be_changed() -> None:
    dataset_type = picture()
    with pytest.raises(AttributeError):
        dataset_type.name = "other"
    with pytest.raises(AttributeError):
        del dataset_type.name
