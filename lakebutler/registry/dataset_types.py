# SPDX-License-Identifier: BSD-3-Clause
"""Dataset types: registered as values of the lake's state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import (
    ConflictingDatasetTypeError,
    DatasetTypeError,
    MissingDatasetTypeError,
    OrphanedRecordError,
    known_names,
)
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry.schema import dataset_layout
from lakebutler.registry.values import dataset_types_of

__all__ = ["KIND", "DatasetTypes", "register_dataset_type", "remove_dataset_types", "require_registered"]

KIND = "dataset_type"


class DatasetTypes:
    """Dataset types of a snapshot, as objects made once.

    Parameters
    ----------
    universe : `DimensionUniverse`
        The repository's dimensions.
    """

    def __init__(self, universe: DimensionUniverse) -> None:
        self._universe = universe
        self._made: dict[str, tuple[Mapping[str, Any], DatasetType]] = {}

    def find(self, snapshot: Snapshot, name: str) -> DatasetType | None:
        """Look up a dataset type.

        Parameters
        ----------
        snapshot : `Snapshot`
            Where to look.
        name : `str`
            Name of the type, of a component too (``calexp.wcs``).

        Returns
        -------
        dataset_type : `DatasetType` or `None`
            The type; `None` if there is none of this name.
        """
        value = dataset_types_of(snapshot).get(name)
        if value is None:
            return None
        made = self._made.get(name)
        if made is None or made[0] is not value:
            made = (value, self._make(name, value))
            self._made[name] = made
        return made[1]

    def get(self, snapshot: Snapshot, name: str) -> DatasetType:
        """Look up a dataset type that must be there.

        Parameters
        ----------
        snapshot : `Snapshot`
            Where to look.
        name : `str`
            Name of the type; ``name.component`` gives the component's type.

        Returns
        -------
        dataset_type : `DatasetType`
            The type.

        Raises
        ------
        MissingDatasetTypeError
            Raised if there is no such type.
        """
        found = self.find(snapshot, name)
        if found is not None:
            return found
        parent, _, component = name.partition(".")
        if component:
            whole = self.find(snapshot, parent)
            if whole is not None:
                return whole.makeComponentDatasetType(component)
        raise _missing(snapshot, name)

    def _make(self, name: str, value: Mapping[str, Any]) -> DatasetType:
        return DatasetType(
            name,
            self._universe.conform(value["dimensions"]),
            value["storage_class"],
            isCalibration=bool(value.get("is_calibration", False)),
        )


def _missing(snapshot: Snapshot, name: str) -> MissingDatasetTypeError:
    return MissingDatasetTypeError(
        f"there is no dataset type {name!r}",
        hint=known_names(name, dataset_types_of(snapshot), what="dataset types"),
    )


def require_registered(snapshot: Snapshot, name: str) -> None:
    """Refuse a dataset type that is not registered.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    name : `str`
        Name of the type.

    Raises
    ------
    MissingDatasetTypeError
        Raised if there is none of this name.
    """
    if name not in dataset_types_of(snapshot):
        raise _missing(snapshot, name)


def _to_state(dataset_type: DatasetType) -> dict[str, Any]:
    return {
        "dimensions": list(dataset_type.dimensions.required),
        "storage_class": dataset_type.storageClass_name,
        "is_calibration": dataset_type.isCalibration(),
    }


def register_dataset_type(snapshot: Snapshot, dataset_type: DatasetType) -> Change | None:
    """Build the registration of a dataset type.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    dataset_type : `DatasetType`
        The type; not a component's.

    Returns
    -------
    change : `Change` or `None`
        `None` if the same type is registered already.

    Raises
    ------
    ConflictingDatasetTypeError
        Raised if the name is registered with another definition.
    """
    name = dataset_type.name
    if dataset_type.component() is not None:
        raise DatasetTypeError(
            f"cannot register {name!r}: a component belongs to its composite",
            hint=f"register {name.split('.')[0]!r}; its components come with it",
        )
    value = _to_state(dataset_type)
    present = dataset_types_of(snapshot).get(name)
    if present is not None:
        if dict(present) == value:
            return None
        differing = ", ".join(
            f"{key} {present.get(key)!r} there, {value[key]!r} here"
            for key in value
            if present.get(key) != value[key]
        )
        raise ConflictingDatasetTypeError(
            f"dataset type {name!r} is registered with another definition: {differing}",
            hint="choose another name, or use the registered definition",
        )
    change = Change()
    layout = dataset_layout(dataset_type.dimensions)
    if layout.table not in snapshot.schemas():
        change.create_table(layout.schema)
    change.set(KIND, name, value)
    return change


def remove_dataset_types(snapshot: Snapshot, names: tuple[str, ...], types: DatasetTypes) -> Change | None:
    """Build the removal of dataset types.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    names : `tuple` [`str`]
        Names of registered types.
    types : `DatasetTypes`
        To make them.

    Returns
    -------
    change : `Change` or `None`
        `None` if none of them is registered.

    Raises
    ------
    OrphanedRecordError
        Raised if there are datasets of one of the types.
    """
    change = Change()
    change.exclusive = True  # a dataset of the type may be added to any collection meanwhile
    any_there = False
    for name in names:
        dataset_type = types.find(snapshot, name)
        if dataset_type is None:
            continue
        table = dataset_layout(dataset_type.dimensions).table
        held = [scope[1] for scope, rows in snapshot.scopes(table).items() if scope[0] == name and rows]
        held = [c for c in held if _holds(snapshot, table, name, c)]
        if held:
            raise OrphanedRecordError(
                f"cannot remove dataset type {name!r}: "
                f"there are datasets of it in {', '.join(sorted(held)[:5])}",
                hint="remove the datasets first",
            )
        change.set(KIND, name, None)
        any_there = True
    return change if any_there else None


def _holds(snapshot: Snapshot, table: str, dataset_type: str, collection: str) -> bool:
    where = {"dataset_type": dataset_type, "collection": collection}
    return bool(snapshot.scan(table, columns=("id",), where=where).num_rows)
