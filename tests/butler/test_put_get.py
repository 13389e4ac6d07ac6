# SPDX-License-Identifier: BSD-3-Clause
"""put, get, components, parameters, deferred reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    Butler,
    ConflictingDefinitionError,
    DatasetNotFoundError,
    DatasetRef,
    DatasetType,
    DatasetTypeError,
    DimensionNameError,
    DimensionValueError,
    FileFormatError,
    FileIntegrityError,
    MissingCollectionError,
    MissingDatasetTypeError,
    NoDefaultCollectionError,
    StorageClassError,
)
from lakebutler.errors import CollectionTypeError, DataIdValueError
from tests.butler.world import CAM, Place, dataset_type, note_id, refused

RAW = {"instrument": CAM, "exposure": 101, "detector": 1}


def image() -> Any:
    import numpy as np
    from astropy.nddata import CCDData, StdDevUncertainty

    pixels = np.arange(600, dtype="float32").reshape(20, 30)
    return CCDData(
        pixels,
        unit="adu",
        mask=pixels > 590,
        uncertainty=StdDevUncertainty(np.sqrt(pixels)),
        meta={"OBSID": "obs-101", "EXPTIME": 60.0},
    )


def test_what_was_put_is_got_back_by_data_id_and_by_reference(butler: Butler) -> None:
    ref = butler.put({"a": [1, 2.5, None, "ü"]}, "note", note_id())
    assert butler.get("note", note_id()) == {"a": [1, 2.5, None, "ü"]}
    assert butler.get(ref) == {"a": [1, 2.5, None, "ü"]}
    assert butler.get("note", instrument=CAM, exposure=101, detector=0, collections="u/test")
    assert butler.get(dataset_type(butler, "note"), note_id()) == butler.get(ref)


def test_the_reference_of_a_put_has_a_full_data_id(butler: Butler) -> None:
    ref = butler.put({}, "note", note_id())
    assert ref.dataId.hasFull()
    assert ref.dataId.hasRecords()
    assert ref.dataId["band"] == "g"
    assert ref.dataId["day_obs"] == 20250101
    assert ref.dataId.records["detector"].full_name == "R22_S00"
    assert ref.run == "u/test"


def test_put_by_reference_keeps_the_id(butler: Butler) -> None:
    ref = DatasetRef(dataset_type(butler, "note"), note_id(102, 2), run="u/test")
    assert butler.put({"x": 1}, ref).id == ref.id
    found = butler.find_dataset("note", note_id(102, 2))
    assert found is not None
    assert found.id == ref.id


def test_a_dataset_type_without_dimensions_holds_one_dataset_in_each_run(butler: Butler) -> None:
    butler.put({"gain": 2}, "setup")
    butler.collections.register("u/other")
    butler.put({"gain": 3}, "setup", run="u/other")
    assert butler.get("setup") == {"gain": 2}
    assert butler.get("setup", collections=["u/other", "u/test"]) == {"gain": 3}


def test_a_second_put_of_the_same_data_id_is_refused(place: Place, butler: Butler) -> None:
    butler.put({"first": True}, "note", note_id())
    with refused(place, butler, ConflictingDefinitionError, "note", "u/test", "another run"):
        butler.put({"first": False}, "note", note_id())
    assert butler.get("note", note_id()) == {"first": True}


def test_a_second_put_of_the_same_id_elsewhere_is_refused(place: Place, butler: Butler) -> None:
    ref = butler.put({}, "note", note_id())
    butler.collections.register("u/other")
    twin = DatasetRef(ref.datasetType, ref.dataId, run="u/other", id=ref.id)
    with refused(place, butler, ConflictingDefinitionError, str(ref.id)):
        butler.put({}, twin)


def test_arrays_tables_and_texts_come_back_as_they_were(butler: Butler) -> None:
    import pyarrow as pa

    table = pa.table({"id": [1, 2, 3], "flux": [0.5, None, 2.0], "name": ["a", "b", "ü"]})
    butler.put(table, "catalog", instrument=CAM, visit=101)
    assert butler.get("catalog", instrument=CAM, visit=101).equals(table)
    butler.put("first\nsecond\n", "label", instrument=CAM)
    assert butler.get("label", instrument=CAM) == "first\nsecond\n"


def test_an_image_has_components_and_parameters(butler: Butler) -> None:
    import numpy as np

    whole = image()
    ref = butler.put(whole, "raw", RAW)
    got = butler.get("raw", RAW)
    assert np.array_equal(got.data, whole.data)
    assert np.array_equal(got.mask, whole.mask)
    assert butler.get("raw.header", RAW)["OBSID"] == "obs-101"
    assert np.array_equal(butler.get("raw.data", RAW), whole.data)
    assert np.array_equal(butler.get("raw.mask", RAW), whole.mask)
    assert np.array_equal(butler.get(ref.makeComponentRef("data")), whole.data)
    corner = butler.get("raw", RAW, parameters={"bbox": (0, 0, 4, 2)})
    assert np.array_equal(corner.data, whole.data[:2, :4])
    data = butler.get("raw.data", RAW, parameters={"bbox": (0, 0, 4, 2)})
    assert np.array_equal(data, whole.data[:2, :4])


def test_a_table_has_parameters_and_derived_components(butler: Butler) -> None:
    import pyarrow as pa

    table = pa.table({"id": list(range(100)), "flux": [0.5 * i for i in range(100)]})
    butler.put(table, "catalog", instrument=CAM, visit=101)
    where = {"instrument": CAM, "visit": 101}
    assert butler.get("catalog", where, parameters={"columns": ["flux"]}).column_names == ["flux"]
    assert butler.get("catalog", where, parameters={"filters": [("id", ">=", 90)]}).num_rows == 10
    assert butler.get("catalog.rowcount", where) == 100
    assert butler.get("catalog.columns", where) == ["id", "flux"]


def test_get_converts_to_another_storage_class(butler: Butler) -> None:
    import pandas as pd
    import pyarrow as pa

    where = {"instrument": CAM, "visit": 101}
    ref = butler.put(pd.DataFrame({"id": [1, 2]}), "catalog", where)
    assert isinstance(butler.get(ref), pa.Table)
    assert isinstance(butler.get("catalog", where, storageClass="DataFrame"), pd.DataFrame)
    assert isinstance(butler.get(ref.overrideStorageClass("DataFrame")), pd.DataFrame)
    assert butler.get("catalog", where, storageClass="Bytes")[:4] == b"PAR1"
    assert isinstance(butler.get("catalog", where, storageClass="Path"), Path)


def test_put_of_a_type_object_with_another_storage_class_converts(butler: Butler) -> None:
    import pandas as pd

    kind = dataset_type(butler, "catalog").overrideStorageClass("DataFrame")
    butler.put(pd.DataFrame({"id": [1, 2]}), kind, instrument=CAM, visit=201)
    assert butler.get("catalog", instrument=CAM, visit=201).column_names == ["id"]


def test_put_of_a_type_object_that_does_not_fit_the_registered_one_is_refused(
    place: Place, butler: Butler
) -> None:
    kind = DatasetType("note", ["instrument"], "StructuredDataDict", universe=butler.dimensions)
    with refused(place, butler, DatasetTypeError, "note", "instrument"):
        butler.put({}, kind, instrument=CAM)
    kind = DatasetType("note", dataset_type(butler, "note").dimensions, "Text")
    with refused(place, butler, DatasetTypeError, "note", "Text", "StructuredDataDict"):
        butler.put("text", kind, note_id())


def test_a_deferred_dataset_is_found_now_and_read_later(butler: Butler) -> None:
    import numpy as np

    ref = butler.put(image(), "raw", RAW)
    handle = butler.getDeferred("raw", RAW, parameters={"bbox": (0, 0, 3, 3)})
    assert handle.ref.id == ref.id
    assert handle.dataId == ref.dataId
    assert handle.get().shape == (3, 3)
    assert handle.get(component="header")["EXPTIME"] == 60.0
    assert handle.get(parameters={"bbox": (0, 0, 5, 4)}).shape == (4, 5)
    assert isinstance(handle.get(storageClass="NumpyArray"), np.ndarray)
    with pytest.raises(DatasetNotFoundError):
        butler.getDeferred("raw", instrument=CAM, exposure=201, detector=1)


def test_what_is_not_there_is_not_found(butler: Butler) -> None:
    with pytest.raises(DatasetNotFoundError, match="u/test") as caught:
        butler.get("note", note_id())
    assert isinstance(caught.value, LookupError)
    ref = DatasetRef(dataset_type(butler, "note"), note_id(), run="u/test")
    with pytest.raises(DatasetNotFoundError):
        butler.get(ref)


@pytest.mark.parametrize(
    ("verb", "error", "words"),
    [
        (lambda b: b.put({}, "nite", note_id()), MissingDatasetTypeError, ("nite", "'note'")),
        (
            lambda b: b.put({}, "note", note_id(), run="u/tset"),
            MissingCollectionError,
            ("u/tset", "'u/test'"),
        ),
        (lambda b: b.put({}, "note", note_id(777)), DataIdValueError, ("777", "101")),
        (lambda b: b.put({}, "note", note_id() | {"instrument": "Cam2"}), DataIdValueError, ("Cam2", "Cam1")),
        (lambda b: b.put({}, "note", instrument=CAM, exposure=101), DimensionNameError, ("detector",)),
        (lambda b: b.put({}, "note", note_id(), detectr=1), DimensionNameError, ("detectr", "'detector'")),
        (lambda b: b.put({}, "note", note_id() | {"detector": "R22_S99"}), DimensionValueError, ("R22_S99",)),
        (
            lambda b: b.put({}, "note", note_id() | {"exposure": 1.5}),
            DimensionValueError,
            ("exposure", "1.5"),
        ),
        (
            lambda b: b.put({}, "note", note_id() | {"instrument": 5}),
            DimensionValueError,
            ("instrument", "5"),
        ),
        (lambda b: b.put({}, "note", [1, 2]), DimensionValueError, ("list",)),
        (lambda b: b.put({}, "raw.header", RAW), DatasetTypeError, ("raw.header", "'raw'")),
        (lambda b: b.put({}, "raw.nonsense", RAW), DatasetTypeError, ("nonsense",)),
        (lambda b: b.put([1], "note", note_id()), StorageClassError, ("dict", "list")),
        (lambda b: b.put({"a": object()}, "note", note_id()), FileFormatError, ("note", "object")),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_a_put_that_makes_no_sense_leaves_no_trace(
    place: Place, butler: Butler, verb: Any, error: type[BaseException], words: tuple[str, ...]
) -> None:
    with refused(place, butler, error, *words):
        verb(butler)


def test_put_needs_a_run(place: Place, butler: Butler) -> None:
    with place.open(writeable=True) as other, refused(place, other, NoDefaultCollectionError, "run="):
        other.put({}, "note", note_id())


def test_put_into_a_tag_is_refused(place: Place, butler: Butler) -> None:
    butler.registry.registerCollection("favourites")
    with refused(place, butler, CollectionTypeError, "favourites", "TAGGED"):
        butler.put({}, "note", note_id(), run="favourites")


def test_a_component_reference_cannot_be_put(place: Place, butler: Butler) -> None:
    ref = DatasetRef(dataset_type(butler, "raw"), RAW, run="u/test")
    with refused(place, butler, DatasetTypeError, "component"):
        butler.put({}, ref.makeComponentRef("header"))


def test_a_reference_comes_without_a_data_id_beside_it(place: Place, butler: Butler) -> None:
    ref = butler.put({}, "note", note_id())
    with pytest.raises(DimensionValueError):
        butler.get(ref, note_id())
    with pytest.raises(DimensionValueError):
        butler.get(ref, detector=1)
    with refused(place, butler, DimensionValueError, "u/test", "u/else"):
        butler.put({}, ref, run="u/else")


def test_unknown_parameters_components_and_storage_classes_are_named(butler: Butler) -> None:
    butler.put({"a": 1}, "note", note_id())
    with pytest.raises(ValueError, match="bbox"):
        butler.get("note", note_id(), parameters={"bbox": 1})
    with pytest.raises(StorageClassError, match="NoSuchClass"):
        butler.get("note", note_id(), storageClass="NoSuchClass")
    with pytest.raises(DatasetTypeError, match="header"):
        butler.get("note.header", note_id())
    handle = butler.getDeferred("note", note_id())
    with pytest.raises(DatasetTypeError, match="header"):
        handle.get(component="header")


def test_provenance_is_written_with_the_dataset(butler: Butler) -> None:
    from lakebutler.datasets.provenance import DatasetProvenance

    source = butler.put({}, "note", note_id())
    butler.put(image(), "raw", RAW, provenance=DatasetProvenance(inputs=[source]))
    header = butler.get("raw.header", RAW)
    assert str(source.id) in {str(value) for value in header.values()}


def test_a_flipped_bit_a_cut_and_a_missing_file_are_noticed(local: Place, local_butler: Butler) -> None:
    butler = local_butler
    refs = [butler.put({"a": list(range(50))}, "note", note_id(detector=d)) for d in range(3)]
    paths = [Path(butler.getURI(ref).ospath) for ref in refs]
    content = bytearray(paths[0].read_bytes())
    content[10] ^= 1
    paths[0].write_bytes(content)
    paths[1].write_bytes(paths[1].read_bytes()[:-5])
    paths[2].unlink()
    with pytest.raises(FileIntegrityError, match=str(refs[0].id)):
        butler.get(refs[0])
    with pytest.raises(FileIntegrityError, match="size"):
        butler.get(refs[1])
    with pytest.raises(FileNotFoundError, match=str(refs[2].id)):
        butler.get(refs[2])
