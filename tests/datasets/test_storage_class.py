# SPDX-License-Identifier: BSD-3-Clause
"""Storage classes: names, types without needless imports, conversions."""

from __future__ import annotations

import collections
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
from astropy.table import QTable, Table

from lakebutler.datasets import storage_class_convert
from lakebutler.datasets.storage_class import StorageClass, StorageClassFactory
from lakebutler.errors import StorageClassError


@pytest.fixture
def factory() -> Iterator[StorageClassFactory]:
    shared = StorageClassFactory()
    before = dict(shared._definitions), dict(shared._made)
    yield shared
    shared._definitions, shared._made = before


class Thing:
    def __init__(self, value: int = 0) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


def test_there_is_one_factory(factory: StorageClassFactory) -> None:
    assert StorageClassFactory() is factory
    assert factory.getStorageClass("CCDData") is factory.getStorageClass("CCDData")


@pytest.mark.parametrize("name", StorageClassFactory().keys())
def test_every_definition_of_the_package_is_whole(factory: StorageClassFactory, name: str) -> None:
    from lakebutler.formatters.factory import get_formatter

    storage_class = factory.getStorageClass(name)
    assert isinstance(storage_class.pytype, type)
    assert all(part.pytype for part in storage_class.allComponents().values())
    known = storage_class_convert.keys()
    assert all(way in known for way in storage_class.converters.values())
    for key in storage_class.formatters:
        assert get_formatter(key, trust=True).key == key


def test_an_unknown_name_gives_the_nearest(factory: StorageClassFactory) -> None:
    with pytest.raises(StorageClassError, match="StructuredDatDict") as caught:
        factory.getStorageClass("StructuredDatDict")
    assert "'StructuredDataDict'" in str(caught.value)


def test_names_and_types_do_not_load_heavy_libraries() -> None:
    code = (
        "import sys\nfrom lakebutler.datasets.storage_class import StorageClassFactory\n"
        "f = StorageClassFactory()\n"
        "for name in f:\n"
        "    f.getStorageClass(name).allComponents()\n"
        "    f.getStorageClass(name).validateInstance({})\n"
        "f.getStorageClass('StructuredDataDict').coerce({})\n"
        "try: f.getStorageClass('DataFrame').coerce('text')\n"
        "except TypeError: pass\n"
        "bad = {'numpy', 'astropy', 'pyarrow', 'pandas', 'matplotlib', 'lsst'} & set(sys.modules)\n"
        "raise SystemExit(' '.join(sorted(bad)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert done.returncode == 0


def test_an_object_of_another_type_is_refused_naming_both(factory: StorageClassFactory) -> None:
    with pytest.raises(StorageClassError, match=r"dict.*not list"):
        factory.getStorageClass("StructuredDataDict").coerce([1])
    with pytest.raises(StorageClassError, match=r"pandas.DataFrame.*Thing"):
        factory.getStorageClass("DataFrame").coerce(Thing())


def test_subclasses_are_accepted_as_they_are(factory: StorageClassFactory) -> None:
    ordered = collections.OrderedDict(a=1)
    assert factory.getStorageClass("StructuredDataDict").coerce(ordered) is ordered
    table = QTable({"a": [1] * u.m})
    assert factory.getStorageClass("AstropyTable").coerce(table) is table


def frames() -> dict[str, Any]:
    pd = pytest.importorskip("pandas")
    columns = {"a": np.arange(3), "b": np.array([1.5, 2.5, 3.5])}
    return {
        "ArrowTable": pa.table(columns),
        "DataFrame": pd.DataFrame(columns),
        "ArrowAstropy": Table(columns),
        "ArrowNumpy": Table(columns).as_array(),
        "ArrowNumpyDict": columns,
        "AstropyTable": Table(columns),
    }


@pytest.mark.parametrize("source", list(frames()))
@pytest.mark.parametrize("target", list(frames()))
def test_tables_of_one_kind_become_tables_of_another(
    factory: StorageClassFactory, source: str, target: str
) -> None:
    table = frames()[source]
    converted = factory.getStorageClass(target).coerce(table)
    assert factory.getStorageClass(target).can_convert(factory.getStorageClass(source))
    back = factory.getStorageClass("ArrowNumpyDict").coerce(converted)
    assert list(back) == ["a", "b"]
    assert (back["a"] == np.arange(3)).all()
    assert (back["b"] == np.array([1.5, 2.5, 3.5])).all()


def test_units_and_metadata_of_astropy_survive_arrow(factory: StorageClassFactory) -> None:
    table = QTable({"flux": [1.0, 2.0] * u.nJy, "name": ["x", "y"]}, meta={"k": {"deep": [1, 2]}})
    table["flux"].info.description = "how bright"
    arrow = factory.getStorageClass("ArrowTable").coerce(table)
    again = factory.getStorageClass("ArrowAstropy").coerce(arrow)
    assert again["flux"].unit == u.nJy
    assert again["flux"].info.description == "how bright"
    assert again.meta == {"k": {"deep": [1, 2]}}
    only = factory.getStorageClass("ArrowAstropy").coerce(arrow.select(["name"]))
    assert only.colnames == ["name"]


def test_metadata_of_a_strange_table_makes_no_objects(factory: StorageClassFactory, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    attack = f"datatype:\n- {{name: a, datatype: int64}}\nmeta: !!python/object/apply:os.mkdir ['{marker}']"
    arrow = pa.table({"a": [1]}).replace_schema_metadata({b"table_meta_yaml": attack.encode()})
    with pytest.raises(StorageClassError, match="metadata"):
        factory.getStorageClass("ArrowAstropy").coerce(arrow)
    classes = (
        "datatype:\n- {name: a, datatype: int64}\nmeta:\n  __serialized_columns__:\n"
        "    a: {__class__: subprocess.Popen, args: !astropy.table.SerializedColumn {name: a}}"
    )
    arrow = pa.table({"a": [1]}).replace_schema_metadata({b"table_meta_yaml": classes.encode()})
    with pytest.raises((StorageClassError, ValueError)):
        factory.getStorageClass("ArrowAstropy").coerce(arrow)
    assert not marker.exists()


def test_images_and_arrays(factory: StorageClassFactory) -> None:
    image = factory.getStorageClass("CCDData").coerce(np.ones((2, 3)))
    assert image.unit == u.adu
    array = factory.getStorageClass("NumpyArray").coerce(image)
    assert array.shape == (2, 3)
    variance = VarianceUncertainty(np.full((2, 3), 4.0))
    assert (factory.getStorageClass("NumpyArray").coerce(variance) == 4).all()
    header = factory.getStorageClass("FitsHeader").coerce(CCDData(array, unit="adu", meta={"A": 1}))
    assert isinstance(header, fits.Header)


def test_a_failing_conversion_says_what_was_tried(factory: StorageClassFactory) -> None:
    with pytest.raises(StorageClassError, match=r"dict.*pyarrow.Table.*'ArrowTable'"):
        factory.getStorageClass("ArrowTable").coerce({"a": [1, 2], "b": [1]})


def test_components_are_storage_classes(factory: StorageClassFactory) -> None:
    image = factory.getStorageClass("CCDData")
    assert image.isComposite()
    assert image.components["wcs"] is factory.getStorageClass("Wcs")
    assert image.component("mask").name == "NumpyArray"
    table = factory.getStorageClass("DataFrame")
    assert not table.isComposite()
    assert table.derivedComponents["rowcount"].pytype is int
    with pytest.raises(StorageClassError, match="maks") as caught:
        image.component("maks")
    assert "'mask'" in str(caught.value)


def test_a_class_inherits_what_it_does_not_say(factory: StorageClassFactory) -> None:
    child = factory.getStorageClass("ExposureF")
    assert child.pytype is CCDData
    assert set(child.components) >= {"data", "image", "wcs"}
    assert child.formatters == ("fits_image",)
    assert child.parameters == {"bbox", "section", "hdu"}


def test_parameters_are_checked_by_name(factory: StorageClassFactory) -> None:
    table = factory.getStorageClass("DataFrame")
    table.validateParameters({"columns": ["a"]})
    with pytest.raises(StorageClassError, match="colums") as caught:
        table.validateParameters({"colums": ["a"]})
    assert "'columns'" in str(caught.value)


def test_a_user_defines_storage_classes_in_yaml(factory: StorageClassFactory, tmp_path: Path) -> None:
    path = tmp_path / "more.yaml"
    path.write_text(
        f"storageClasses:\n  Thing:\n    pytype: {__name__}.Thing\n    formatters: [json]\n"
        "  MyImage: {inheritsFrom: CCDData, parameters: [zoom]}\n"
    )
    factory.addFromConfig(str(path))
    factory.addFromConfig(str(path))
    assert factory.getStorageClass("MyImage").parameters == {"bbox", "section", "hdu", "zoom"}
    sys.modules.setdefault(__name__, sys.modules[Thing.__module__])
    assert factory.getStorageClass("Thing").coerce(Thing(3)) == Thing(3)


@pytest.mark.parametrize(
    "definition",
    [
        {"pytipe": "dict"},
        "dict",
        {"inheritsFrom": "Nothing"},
        {"inheritsFrom": "New"},
        {"components": {"x": "int"}, "derivedComponents": {"x": "int"}},
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(factory: StorageClassFactory, definition: Any) -> None:
    def define() -> None:
        factory.addFromConfig({"New": definition})
        factory.getStorageClass("New")

    with pytest.raises(StorageClassError, match="New"):
        define()


def test_a_known_name_cannot_get_another_meaning(factory: StorageClassFactory) -> None:
    with pytest.raises(StorageClassError, match="Bytes"):
        factory.addFromConfig({"Bytes": {"pytype": "os.system"}})
    with pytest.raises(StorageClassError, match="Bytes"):
        factory.registerStorageClass(StorageClass("Bytes", pytype=list))


def test_a_program_makes_storage_classes_of_its_own(factory: StorageClassFactory) -> None:
    mine = StorageClass("Mine", pytype=Thing, converters={"int": Thing}, formatters=["json"])
    factory.registerStorageClass(mine)
    assert factory.getStorageClass("Mine") is mine
    assert mine.coerce(5) == Thing(5)
    assert mine.can_convert(factory.getStorageClass("int"))
    assert not mine.can_convert(factory.getStorageClass("Text"))
    assert factory.findStorageClass(Thing) is mine
    assert factory.findStorageClass(dict).name == "StructuredDataDict"


def test_a_type_that_is_not_installed_is_named(factory: StorageClassFactory) -> None:
    absent = StorageClass("Absent", pytype="nosuchpackage.thing.Type")
    assert not absent.validateInstance({})
    with pytest.raises(StorageClassError, match=r"nosuchpackage.thing.Type") as caught:
        _ = absent.pytype
    assert "nosuchpackage" in (caught.value.hint or "")
    with pytest.raises(StorageClassError, match="nosuchpackage"):
        absent.coerce({})


def test_equality_pickling_and_text(factory: StorageClassFactory) -> None:
    one = factory.getStorageClass("DataFrame")
    assert pickle.loads(pickle.dumps(one)) is one
    assert one == StorageClass(
        "DataFrame",
        "pandas.DataFrame",
        derivedComponents={"columns": "DataFrameIndex", "rowcount": "int", "schema": "ArrowSchema"},
        parameters=["columns", "filters"],
    )
    assert one != factory.getStorageClass("ArrowTable")
    assert {one: 1}[factory.getStorageClass("DataFrame")] == 1
    assert repr(one) == "StorageClass('DataFrame', pytype='pandas.DataFrame')"
