# SPDX-License-Identifier: BSD-3-Clause
"""What every delegate of a storage class must do, as a test class to inherit from.

A delegate of yours is tested by::

    class TestMyDelegate(DelegateTests):
        storage_class = StorageClass("Fit", Fit, components={...}, delegate=FitDelegate)

        @pytest.fixture
        def obj(self):
            return Fit(...)

        def assert_same(self, read, written):
            assert read == written
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lakebutler.datasets.storage_class import StorageClass, StorageClassFactory

__all__ = ["DelegateTests"]


class DelegateTests:
    """The contract of `lakebutler.StorageClassDelegate`."""

    storage_class: StorageClass
    """The storage class whose delegate is tested."""

    derived: Mapping[str, Any] = {}
    """What derived components of ``obj`` are, by name."""

    @pytest.fixture
    def obj(self) -> Any:
        """An object of the storage class; to be overridden."""
        raise NotImplementedError

    def assert_same(self, read: Any, written: Any) -> None:
        """Compare an object with the original; to be overridden for those without equality."""
        assert read == written

    def test_the_parts_make_the_whole(self, obj: Any) -> None:
        """Nothing is lost between the two."""
        delegate = self.storage_class.delegate()
        parts = delegate.disassemble(obj)
        assert parts
        assert set(parts) <= set(delegate.storedComponents())
        made = delegate.assemble({name: part.component for name, part in parts.items()})
        assert self.storage_class.validateInstance(made)
        self.assert_same(made, obj)

    def test_parts_are_of_their_storage_classes(self, obj: Any) -> None:
        """Each can be written alone."""
        delegate = self.storage_class.delegate()
        assert set(delegate.storedComponents()) <= set(self.storage_class.components)
        for name, part in delegate.disassemble(obj).items():
            assert part.name == name
            assert part.storageClass == self.storage_class.components[name]
            assert part.storageClass.formatters
            assert part.storageClass.can_convert(part.storageClass)
            assert part.storageClass.coerce(part.component) is not None

    def test_a_subset_can_be_taken(self, obj: Any) -> None:
        """Only what is asked for is taken out."""
        delegate = self.storage_class.delegate()
        for name in delegate.disassemble(obj):
            assert list(delegate.disassemble(obj, subset=[name])) == [name]

    def test_an_object_of_another_type_is_refused(self) -> None:
        """It is a `TypeError`."""
        with pytest.raises(TypeError):
            self.storage_class.delegate().disassemble(object())

    def test_unknown_parameters_are_refused(self, obj: Any) -> None:
        """They are not passed over."""
        with pytest.raises(Exception, match="no_such_parameter"):
            self.storage_class.delegate().handleParameters(obj, {"no_such_parameter": 1})

    def test_it_goes_through_files_and_back(self, obj: Any, tmp_path: Path) -> None:
        """The whole, each part and what is derived, each read from the files alone."""
        from lakebutler.butler.butler import Butler
        from lakebutler.datasets.dataset_type import DatasetType

        StorageClassFactory().registerStorageClass(self.storage_class)
        config = {"datastore": {"composites": {"disassembled": {self.storage_class.name: True}}}}
        Butler.makeRepo(tmp_path / "repo", config=config)
        with Butler.from_config(tmp_path / "repo", run="r") as butler:
            butler.registry.registerDatasetType(
                DatasetType("x", [], self.storage_class.name, universe=butler.dimensions)
            )
            ref = butler.put(obj, "x")
            self.assert_same(butler.get(ref), obj)
            parts = self.storage_class.delegate().disassemble(obj)
            assert set(butler.getURIs(ref).componentURIs) == set(parts)
            for name, part in parts.items():
                assert part.storageClass.validateInstance(butler.get(ref.makeComponentRef(name)))
            for name, value in self.derived.items():
                assert butler.get(ref.makeComponentRef(name)) == value
