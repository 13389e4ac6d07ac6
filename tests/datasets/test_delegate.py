# SPDX-License-Identifier: BSD-3-Clause
"""Delegates: objects taken apart and put together."""

from __future__ import annotations

from typing import Any

import pytest

from lakebutler import StorageClass, StorageClassDelegate, StorageClassFactory
from lakebutler.datasets.stored_parts import PARTS, StoredPart, join_parts, parts_of, paths_of, with_parts
from lakebutler.errors import RepositoryCorruptError, StorageClassError
from lakebutler.testing.delegate import DelegateTests

COMPONENTS = {"a": "int", "b": "str"}


class Kept:
    """Parts by the constructor."""

    def __init__(self, a: int | None = None, b: str | None = None) -> None:
        self.a, self.b = a, b


class Hidden:
    """Parts by getters and setters."""

    def __init__(self) -> None:
        self._a: Any = None
        self._b: Any = None

    def getA(self) -> Any:
        return self._a

    def get_b(self) -> Any:
        return self._b

    def setA(self, value: Any) -> None:
        self._a = value

    def set_b(self, value: Any) -> None:
        self._b = value


class Item(dict[str, Any]):
    """Parts by key."""


def storage_class(pytype: type, **more: Any) -> StorageClass:
    return StorageClass(
        f"Test{pytype.__name__}", pytype, components=COMPONENTS, delegate=StorageClassDelegate, **more
    )


@pytest.mark.parametrize("pytype", [Kept, Hidden, Item])
def test_parts_are_found_and_put_together(pytype: type) -> None:
    delegate = storage_class(pytype).delegate()
    made = delegate.assemble({"a": 1, "b": "x"})
    assert type(made) is pytype
    parts = delegate.disassemble(made)
    assert {n: (p.name, p.storageClass.name, p.component) for n, p in parts.items()} == {
        "a": ("a", "int", 1),
        "b": ("b", "str", "x"),
    }
    assert list(delegate.disassemble(made, subset=["b"])) == ["b"]
    again = delegate.copy(made)
    assert again is not made
    assert delegate.getComponent(again, "a") == 1


def test_missing_parts_are_left_out() -> None:
    delegate = storage_class(Kept).delegate()
    assert list(delegate.disassemble(Kept(a=1))) == ["a"]
    assert delegate.assemble({"a": 1}).b is None


@pytest.mark.parametrize(
    ("act", "word"),
    [
        (lambda d: d.disassemble(3), "int"),
        (lambda d: d.disassemble(Kept(1), subset=["c"]), "'c'"),
        (lambda d: d.disassemble(Kept(1), override=3), "'a'"),
        (lambda d: d.assemble({"c": 1}), "'c'"),
        (lambda d: d.assemble({"a": 1}, pytype=int), "a"),
        (lambda d: d.handleParameters(Kept(1), {"cut": 1}), "'cut'"),
    ],
)
def test_what_does_not_fit_is_named(act: Any, word: str) -> None:
    with pytest.raises(StorageClassError, match=word):
        act(storage_class(Kept).delegate())


def test_a_delegate_is_named_in_a_definition_and_inherited() -> None:
    factory = StorageClassFactory()
    name = f"{__name__}.Kept"
    delegate = "lakebutler.datasets.delegate.StorageClassDelegate"
    factory.addFromConfig({"TestNamed": {"pytype": name, "components": COMPONENTS, "delegate": delegate}})
    factory.addFromConfig({"TestHeir": {"inheritsFrom": "TestNamed"}})
    factory.addFromConfig({"TestWrong": {"pytype": name, "delegate": name}})
    assert factory.getStorageClass("TestHeir").delegateClass is StorageClassDelegate
    assert factory.getStorageClass("TestNamed").has_delegate
    assert factory.getStorageClass("int").delegateClass is None
    for wrong in ("TestWrong", "int"):
        with pytest.raises(StorageClassError, match=wrong):
            factory.getStorageClass(wrong).delegate()


def test_parameters_are_chosen() -> None:
    made = storage_class(Kept, parameters=["x", "y"])
    assert made.filterParameters({"x": 1, "z": 2}) == {"x": 1}
    assert made.filterParameters({"x": 1, "y": 2}, subset={"y"}) == {"y": 2}
    assert made.filterParameters(None) == {}
    with pytest.raises(StorageClassError, match="'z'"):
        made.filterParameters({}, subset={"z"})


# ------------------------------------------------------------------- their record

PART = StoredPart("datastore/a.json", None, "json", "int", 3, "sha256:00")
OUTSIDE = StoredPart(None, "file:///a.json", "json", "int", 3, None)


def test_one_text_stands_for_all_files() -> None:
    path, uri = join_parts({"a": PART, "b": OUTSIDE})
    assert uri is None
    assert path == (  # as repositories have it on disk: later versions must read this
        'components://{"a":{"path":"datastore/a.json","formatter":"json","storage_class":"int","size":3,'
        '"checksum":"sha256:00"},"b":{"uri":"file:///a.json","formatter":"json","storage_class":"int","size":3}}'
    )
    assert parts_of(path) == {"a": PART, "b": OUTSIDE}
    assert list(paths_of(["x", path, "y"])) == ["x", "datastore/a.json", "y"]
    assert join_parts({"b": OUTSIDE})[0] is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"a":3}',
        '{"a":{}}',
        '{"../a":{"path":"x","formatter":"json","storage_class":"int","size":1}}',
        '{"a":{"path":"x","uri":"y","formatter":"json","storage_class":"int","size":1}}',
        '{"a":{"path":"x","formatter":"json","storage_class":"int","size":-1}}',
        '{"a":{"path":"x","formatter":"json","storage_class":"int","size":true}}',
        '{"a":{"path":["x"],"formatter":"json","storage_class":"int","size":1}}',
        '{"a":{"path":"components://{}","formatter":"json","storage_class":"int","size":1}}',
    ],
)
def test_a_text_of_a_stranger_is_refused(body: str) -> None:
    with pytest.raises(RepositoryCorruptError, match="components"):
        parts_of(PARTS + body)


@pytest.mark.parametrize("dictionary", [False, True])
def test_rows_are_spread(dictionary: bool) -> None:
    import pyarrow as pa

    path, _ = join_parts({"a": PART, "b": OUTSIDE})
    table = pa.table({"path": ["x", path, None], "size": [1, 6, None], "run": ["r", "s", "t"]})
    if dictionary:
        table = table.set_column(0, "path", table.column("path").dictionary_encode())
    spread = with_parts(table).to_pylist()
    assert [(row["path"], row["size"], row["run"]) for row in spread] == [
        ("x", 1, "r"),
        (None, None, "t"),
        ("datastore/a.json", 3, "s"),
    ]
    same = table.slice(0, 1)
    assert with_parts(same) is same


class TestDefaultDelegate(DelegateTests):
    """The methods of the base class, on the simplest composite."""

    storage_class = StorageClass(
        "TestPair",
        Item,
        components={"a": "StructuredDataDict", "b": "StructuredDataList"},
        delegate=StorageClassDelegate,
    )

    @pytest.fixture
    def obj(self) -> Any:
        return Item(a={"x": 1}, b=[1, 2])


class TestCCDDataDelegate(DelegateTests):
    """Images."""

    storage_class = StorageClassFactory().getStorageClass("CCDData")

    @pytest.fixture
    def obj(self) -> Any:
        import numpy as np
        from astropy.nddata import CCDData, VarianceUncertainty

        pixels = np.arange(12.0).reshape(3, 4)
        return CCDData(pixels, unit="s", mask=pixels > 3, uncertainty=VarianceUncertainty(pixels))

    def assert_same(self, read: Any, written: Any) -> None:
        assert (read.data == written.data).all()
        assert (read.mask == written.mask).all()
        assert (read.uncertainty.array == written.uncertainty.array).all()
        assert read.unit == written.unit
