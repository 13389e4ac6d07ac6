# SPDX-License-Identifier: BSD-3-Clause
"""Which datasets are written in parts, and images taken apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy import units
from astropy.io.fits import Header
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.wcs import WCS

from lakebutler import (
    DatasetProvenance,
    DatasetRef,
    FileDataset,
    StorageClass,
    StorageClassDelegate,
    StorageClassFactory,
)
from lakebutler.datastore.datastore import Datastore
from lakebutler.datastore.records import FileRecord
from lakebutler.errors import (
    FileFormatError,
    RepositoryCorruptError,
    RepositoryFormatError,
    StorageClassError,
)

Make = Callable[..., DatasetRef]

FACTORY = StorageClassFactory()
FACTORY.registerStorageClass(
    StorageClass("TestBare", components={"a": "int"}, formatters=["pickle"])  # no delegate
)


def store_with(root: Path, disassembled: Any = None, default: Any = False, **more: Any) -> Datastore:
    composites = {"default": default, "disassembled": disassembled or {}}
    return Datastore(str(root), config={"composites": composites, **more})


def image(uncertainty: Any = StdDevUncertainty, **more: Any) -> CCDData:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [10, 20], [3, 2]
    pixels = np.arange(30, dtype="f4").reshape(5, 6)
    facts = {
        "unit": "electron",
        "mask": pixels > 20,
        "uncertainty": uncertainty(np.sqrt(pixels + 1)) if uncertainty else None,
        "meta": Header({"OBJECT": "M31"}),
        "wcs": wcs,
    }
    return CCDData(pixels, **(facts | more))


@pytest.mark.parametrize(
    ("disassembled", "default", "in_parts"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"CCDData": True}, False, True),
        ({"CCDData": True, "exposure+detector": False}, False, False),
        ({"exposure+detector": False, "thing": True}, False, True),
        ({"instrument<HSC>": {"CCDData": True}}, False, True),
        ({"instrument<DECam>": {"CCDData": True}}, False, False),
        ({"thing": False}, True, False),
    ],
)
def test_the_configuration_says_what_is_in_parts(
    root: Path, ref: Make, disassembled: Any, default: bool, in_parts: bool
) -> None:
    store = store_with(root, disassembled, default)
    record = store.put(image(), ref(storage_class="CCDData"))
    assert (record.parts is not None) is in_parts
    assert store.put({"a": 1}, ref(1)).parts is None  # no composite


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ([], "mapping"),
        ({"disassemble": {}}, "disassemble"),
        ({"default": "no"}, "default"),
        ({"disassembled": {"CCDData": "yes"}}, "CCDData"),
        ({"disassembled": {"instrument<HSC>": True}}, "HSC"),
    ],
)
def test_a_wrong_configuration_is_refused(root: Path, config: Any, word: str) -> None:
    with pytest.raises(RepositoryFormatError, match=word):
        Datastore(str(root), config={"composites": config})


def test_what_nothing_takes_apart_is_one_file_or_an_error(root: Path, ref: Make) -> None:
    dataset = ref(storage_class="TestBare")
    with pytest.raises(StorageClassError, match="TestBare"):
        store_with(root, {"TestBare": True}).put(3, dataset)
    trusting = Datastore(str(root), config={"composites": {"default": True}}, trust=True)
    assert trusting.put(3, dataset).parts is None


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance, None])
def test_an_image_comes_back_from_its_parts(root: Path, ref: Make, kind: Any) -> None:
    store, dataset = store_with(root, {"CCDData": True}), ref(storage_class="CCDData")
    whole = image(kind)
    record = store.put(whole, dataset)
    assert list(record.parts or ()) == [
        "data",
        "mask",
        *(["uncertainty"] if kind else []),
        "wcs",
        "header",
    ]
    read = store.get(dataset, record)
    assert (read.data == whole.data).all()
    assert (read.mask == whole.mask).all()
    assert read.unit == units.electron
    assert read.meta["OBJECT"] == "M31"
    assert (read.wcs.wcs.crval == [10, 20]).all()
    if kind is None:
        assert read.uncertainty is None
        assert store.get(dataset, record, component="uncertainty") is None
    else:
        assert type(read.uncertainty) is kind
        assert (read.uncertainty.array == whole.uncertainty.array).all()
    assert store.get(dataset, record, storage_class="NumpyArray").sum() == whole.data.sum()
    for part in record.files:
        assert store.exists(part)


@pytest.mark.parametrize("parameters", [{"bbox": (1, 1, 4, 3)}, {"section": "[2:4,2:3]"}])
def test_a_section_is_that_of_one_file(root: Path, ref: Make, parameters: Any) -> None:
    dataset = ref(storage_class="CCDData")
    apart, together = store_with(root, {"CCDData": True}), Datastore(str(root))
    record, other = apart.put(image(), dataset), together.put(image(), dataset)
    cut, expected = (
        store.get(dataset, made, parameters=parameters)
        for store, made in ((apart, record), (together, other))
    )
    assert (cut.data == expected.data).all()
    assert (cut.mask == expected.mask).all()
    assert (cut.uncertainty.array == expected.uncertainty.array).all()
    assert (cut.wcs.wcs.crpix == expected.wcs.wcs.crpix).all()
    for name in ("data", "mask"):
        one, two = (
            store.get(dataset, made, component=name, parameters=parameters)
            for store, made in ((apart, record), (together, other))
        )
        assert (one == two).all()
    wcs = apart.get(dataset, record, component="wcs", parameters=parameters)
    assert (wcs.wcs.crpix == expected.wcs.wcs.crpix).all()
    parts = [
        apart.get(dataset, record, component=n, parameters=parameters) for n in ("uncertainty", "header")
    ]
    assert parts[0].array.shape == (2, 3)
    assert parts[1]["OBJECT"] == "M31"
    with pytest.raises(FileFormatError, match="hdu"):
        apart.get(dataset, record, parameters={"hdu": 1})


def test_a_parameter_goes_to_the_part_that_knows_it(root: Path, ref: Make) -> None:
    FACTORY.registerStorageClass(
        StorageClass(
            "TestTables",
            dict,
            components={"rows": "ArrowTable", "facts": "StructuredDataDict"},
            parameters=["columns"],
            delegate=StorageClassDelegate,
        )
    )
    store, dataset = store_with(root, {"TestTables": True}), ref(storage_class="TestTables")
    record = store.put({"rows": pa.table({"a": [1, 2], "b": [3, 4]}), "facts": {"x": 1}}, dataset)
    read = store.get(dataset, record, parameters={"columns": ["b"]})
    assert (read["rows"].to_pydict(), read["facts"]) == ({"b": [3, 4]}, {"x": 1})
    rows = store.get(
        dataset, record, component="rows", parameters={"columns": ["a"]}, storage_class="DataFrame"
    )
    assert rows.to_dict("list") == {"a": [1, 2]}
    with pytest.raises(StorageClassError, match="columns"):
        store.get(dataset, record, component="facts", parameters={"columns": ["a"]})


def test_other_names_of_a_part_are_not_written_twice(root: Path, ref: Make) -> None:
    store, dataset = store_with(root, {"ExposureF": True}), ref(storage_class="ExposureF")
    record = store.put(image(VarianceUncertainty), dataset)
    assert list(record.parts or ()) == ["data", "mask", "uncertainty", "wcs", "header"]
    assert (store.get(dataset, record, component="image") == image().data).all()
    assert type(store.get(dataset, record, component="variance")) is VarianceUncertainty
    assert store.get(dataset, record, component="metadata")["OBJECT"] == "M31"


def test_what_has_no_component_is_not_lost(root: Path, ref: Make) -> None:
    whole = image()
    whole.psf = np.ones((3, 3))
    with pytest.raises(FileFormatError, match="PSF"):
        store_with(root, {"CCDData": True}).put(whole, ref(storage_class="CCDData"))
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_formatters_and_templates_hold_for_parts(root: Path, ref: Make) -> None:
    store = store_with(
        root,
        {"CCDData": True},
        formatters={"thing": "fits_image", "thing.header": "fits_hdulist", "Wcs": "fits_hdulist"},
        templates={"default": "{run}/{datasetType}.{component:?}/x"},
    )
    parts = store.put(image(), ref(storage_class="CCDData")).parts or {}
    assert {name: part.formatter for name, part in parts.items()} == {
        "data": "numpy",
        "mask": "numpy",
        "uncertainty": "fits_uncertainty",
        "wcs": "fits_hdulist",
        "header": "fits_hdulist",
    }
    assert all(f"thing.{name}/" in (part.path or "") for name, part in parts.items())


def test_provenance_is_written_into_the_header(root: Path, ref: Make) -> None:
    store, dataset = store_with(root, {"CCDData": True}), ref(storage_class="CCDData")
    record = store.put(image(), dataset, provenance=DatasetProvenance())
    header = store.get(dataset, record, component="header")
    assert str(dataset.id) in {str(value) for value in header.values()}


@pytest.mark.parametrize("text", ["components://", 'components://{"data":{"path":"../../etc/passwd"}}'])
def test_a_record_of_a_stranger_is_refused(root: Path, ref: Make, text: str) -> None:
    store, dataset = store_with(root), ref(storage_class="CCDData")
    record = FileRecord(text, None, "components", "CCDData", 1, None)
    for act in (store.exists, store.local_path, lambda r: store.get(dataset, r), lambda r: store.remove([r])):
        with pytest.raises(RepositoryCorruptError):
            act(record)


def test_real_images_are_the_same_in_parts(root: Path, shared_data: Path, ref: Make) -> None:
    raws = sorted((shared_data / "gen2_obs_test/data/input/raw").glob("*.fits.gz"))
    assert raws
    apart, together = store_with(root, {"CCDData": True}), Datastore(str(root))
    for number, place in enumerate(raws[:2]):
        dataset = ref(number, storage_class="CCDData")
        (raw,) = together.ingest([FileDataset(str(place), dataset)], "copy").records
        whole = together.get(dataset, raw)
        record = apart.put(whole, dataset)
        read = apart.get(dataset, record)
        assert read.data.dtype == whole.data.dtype
        assert (read.data == whole.data).all()
        assert read.unit == whole.unit
        structure = {"SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "BUNIT", "", "COMMENT"}
        for key in set(whole.meta) - structure:
            assert read.meta[key] == whole.meta[key], key
        assert (read.wcs is None) == (whole.wcs is None)
        again = together.get(dataset, together.put(read, dataset))
        assert (again.data == whole.data).all()


def test_an_unknown_storage_class_is_named(root: Path, ref: Make) -> None:
    store, dataset = store_with(root, {"CCDData": True}), ref(storage_class="CCDData")
    record = store.put(image(), dataset)._replace(storage_class="NoSuchClass")
    with pytest.raises(StorageClassError, match=r"NoSuchClass[\s\S]*retrieveArtifacts"):
        store.get(dataset, record)


def test_an_unknown_storage_class_of_a_part_is_that_of_the_component(root: Path, ref: Make) -> None:
    store, dataset = store_with(root, {"CCDData": True}), ref(storage_class="CCDData")
    record = store.put(image(), dataset)
    parts = {name: part._replace(storage_class="NoSuchClass") for name, part in (record.parts or {}).items()}
    other = FileRecord.of_parts(parts, "CCDData")
    assert (store.get(dataset, other).data == image().data).all()
    assert store.get(dataset, other, component="mask", parameters={"bbox": (0, 0, 2, 2)}).shape == (2, 2)


def test_parts_that_make_no_whole_are_named(root: Path, ref: Make) -> None:
    store, dataset = store_with(root, {"CCDData": True}), ref(storage_class="CCDData")
    record = store.put(image(), dataset)
    parts = dict(record.parts or {})
    parts["uncertainty"] = parts["mask"]._replace(storage_class="NumpyArray")
    for broken, word in (
        ({name: part for name, part in parts.items() if name != "data"}, "pixels"),
        (parts | {"header": parts["wcs"], "wcs": parts["mask"]}, "NumpyArray|CCDData|WCS"),
    ):
        with pytest.raises((FileFormatError, StorageClassError), match=word):
            store.get(dataset, FileRecord.of_parts(broken, "CCDData"))


def test_a_delegate_that_cannot_be_imported_is_a_problem_of_the_configuration(root: Path, ref: Make) -> None:
    FACTORY.addFromConfig(
        {"TestLost": {"inheritsFrom": "StructuredDataDict", "delegate": "no.such.module.Delegate"}}
    )
    kinds = [ref(storage_class=name).datasetType for name in ("CCDData", "TestLost")]
    (problem,) = store_with(root).validate(kinds)
    assert "no.such.module" in problem


def test_a_path_that_leads_out_is_refused(root: Path, ref: Make) -> None:
    store, dataset = store_with(root, {"CCDData": True}), ref(storage_class="CCDData")
    record = store.put(image(), dataset)
    bad = record._replace(path=(record.path or "").replace("datastore/u", "../x"))
    for act in (store.exists, lambda r: store.get(dataset, r), lambda r: store.remove([r])):
        with pytest.raises(RepositoryCorruptError, match=r"\.\."):
            act(bad)
