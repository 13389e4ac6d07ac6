# SPDX-License-Identifier: BSD-3-Clause
"""What a collection holds, as a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.named import NamedValueSet

__all__ = ["CollectionSummary"]


@dataclass
class CollectionSummary:
    """What a collection holds; it does not follow when the collection changes.

    Attributes
    ----------
    dataset_types : `NamedValueSet` [`DatasetType`]
        Types of its datasets.
    governors : `dict` [`str`, `set` [`str`]]
        Values that its datasets have of each governor dimension, such as the
        instruments.
    """

    dataset_types: NamedValueSet[DatasetType] = field(
        default_factory=lambda: NamedValueSet((), "dataset type")
    )
    governors: dict[str, set[str]] = field(default_factory=dict)

    def copy(self) -> CollectionSummary:
        """Return a summary that can be added to without changing this one."""
        governors = {name: set(values) for name, values in self.governors.items()}
        return CollectionSummary(self.dataset_types, governors)

    def add_datasets(self, refs: Iterable[DatasetRef]) -> None:
        """Take in the types and governor values of datasets."""
        for _ in self.add_datasets_generator(refs):
            pass

    def add_datasets_generator(self, refs: Iterable[DatasetRef]) -> Iterator[DatasetRef]:
        """Take in datasets as they are asked for, and hand them on."""
        types: dict[str, DatasetType] = {}
        for ref in refs:
            types.setdefault(ref.datasetType.name, ref.datasetType)
            self._add_governors(ref.dataId)
            yield ref
        self._add_types(types.values())

    def add_data_ids(self, dataset_type: DatasetType, data_ids: Iterable[DataCoordinate]) -> None:
        """Take in a type and the governor values of the data IDs of its datasets."""
        for _ in self.add_data_ids_generator(dataset_type, data_ids):
            pass

    def add_data_ids_generator(
        self, dataset_type: DatasetType, data_ids: Iterable[DataCoordinate]
    ) -> Iterator[DataCoordinate]:
        """Take in data IDs as they are asked for, and hand them on."""
        self._add_types([dataset_type])
        for data_id in data_ids:
            self._add_governors(data_id)
            yield data_id

    def update(self, *args: CollectionSummary) -> None:
        """Take in other summaries."""
        for other in args:
            self._add_types(other.dataset_types)
            for name, values in other.governors.items():
                self.governors.setdefault(name, set()).update(values)

    @staticmethod
    def union(*args: CollectionSummary) -> CollectionSummary:
        """Return one summary of several."""
        whole = CollectionSummary()
        whole.update(*args)
        return whole

    def is_compatible_with(
        self,
        dataset_type: DatasetType,
        dimensions: Mapping[str, AbstractSet[str]],
        rejections: list[str] | None = None,
        name: str | None = None,
    ) -> bool:
        """Tell whether a query may find datasets in the collection.

        Parameters
        ----------
        dataset_type : `DatasetType`
            What is looked for; a component stands for its composite.
        dimensions : mapping [`str`, `set` [`str`]]
            Values that governor dimensions may have, by name of the dimension.
        rejections : `list` [`str`], optional
            If it cannot, a line that says why is added to it.
        name : `str`, optional
            Name of the collection, for that line.

        Returns
        -------
        compatible : `bool`
            False if it certainly finds nothing.
        """
        reason = self._rejection(dataset_type, dimensions)
        if reason is not None and rejections is not None:
            rejections.append(f"{reason} in collection {name!r}")
        return reason is None

    def _rejection(self, dataset_type: DatasetType, dimensions: Mapping[str, AbstractSet[str]]) -> str | None:
        parent = dataset_type.nameAndComponent()[0]
        if parent not in self.dataset_types:
            return f"there are no datasets of type {parent!r}"
        for governor, wanted in dimensions.items():
            held = self.governors.get(governor)
            if held is not None and governor in dataset_type.dimensions and held.isdisjoint(wanted):
                return f"there are no datasets with {governor} {' or '.join(sorted(wanted))}"
        return None

    def _add_types(self, types: Iterable[DatasetType]) -> None:
        new = [kind for kind in types if kind.name not in self.dataset_types]
        if new:
            self.dataset_types = NamedValueSet([*self.dataset_types, *new], "dataset type")

    def _add_governors(self, data_id: DataCoordinate) -> None:
        for name in data_id.dimensions.governors:
            self.governors.setdefault(str(name), set()).add(str(data_id[name]))
