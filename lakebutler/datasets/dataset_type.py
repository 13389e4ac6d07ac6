# SPDX-License-Identifier: BSD-3-Clause
"""Dataset types: what kind of thing a dataset is, and which dimensions tell its datasets apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import DatasetTypeError, StorageClassError, UnknownComponentError, known_names

if TYPE_CHECKING:
    from lakebutler.datasets.storage_class import StorageClass

__all__ = ["MAX_NAME_LENGTH", "DatasetType", "check_dataset_type_name"]

MAX_NAME_LENGTH: Final = 128
"""Most characters of a dataset type's name, its component included."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


def check_dataset_type_name(name: str) -> str:
    """Refuse a name that no dataset type can have.

    Parameters
    ----------
    name : `str`
        The name, maybe with a component behind a dot.

    Returns
    -------
    name : `str`
        The same.

    Raises
    ------
    DatasetTypeError
        If it is no identifier (or several, with dots between), or too long.
    """
    if not isinstance(name, str):
        raise DatasetTypeError(f"the name of a dataset type must be a string, not {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise DatasetTypeError(
            f"{name[:80]!r} cannot be the name of a dataset type",
            hint="use ASCII letters, digits and _, not beginning with a digit; a dot sets off a component",
        )
    if len(name) > MAX_NAME_LENGTH:
        raise DatasetTypeError(
            f"dataset type name {name[:40]!r}... has {len(name)} characters, {MAX_NAME_LENGTH} are allowed"
        )
    return str(name)


def _storage_class_name(storage_class: Any) -> str:
    name = storage_class if isinstance(storage_class, str) else getattr(storage_class, "name", None)
    if not isinstance(name, str) or not name:
        raise DatasetTypeError(f"a storage class must be given by name or object, not {storage_class!r}")
    return str(name)


def _find_storage_class(name: str) -> StorageClass:
    from lakebutler.datasets.storage_class import StorageClassFactory

    found: StorageClass = StorageClassFactory().getStorageClass(name)
    return found


class DatasetType:
    """A kind of dataset; immutable.

    Parameters
    ----------
    name : `str`
        Name; identifiers with dots between.  What stands behind the first dot
        is the component of a composite.
    dimensions : `DimensionGroup` or iterable of `str`
        Dimensions that tell its datasets apart.
    storageClass : `str` or `StorageClass`
        Which Python type its datasets have.  A name is looked up when needed.
    parentStorageClass : `str` or `StorageClass`, optional
        Storage class of the composite; for components, and only for them.
    universe : `DimensionUniverse`, optional
        Where the dimensions belong, if they are given by name; the universe of
        the field if not given.
    isCalibration : `bool`, optional
        Whether its datasets can be certified in CALIBRATION collections.

    Raises
    ------
    DatasetTypeError
        If the name breaks the rules, or the parent is missing or superfluous.
    DimensionNameError
        If a dimension is unknown.
    """

    __slots__ = (
        "_hash",
        "_is_calibration",
        "_parent",
        "_storage_class",
        "dimensions",
        "name",
        "parentStorageClass_name",
        "storageClass_name",
    )

    VALID_NAME_REGEX: ClassVar[re.Pattern[str]] = _NAME

    name: str
    """Name, with the component if it is one."""

    dimensions: DimensionGroup
    """Dimensions that tell its datasets apart."""

    storageClass_name: str
    """Name of the storage class."""

    parentStorageClass_name: str | None
    """Name of the composite's storage class, for a component."""

    _storage_class: StorageClass | None
    _parent: StorageClass | None
    _is_calibration: bool
    _hash: int

    def __init__(
        self,
        name: str,
        dimensions: DimensionGroup | Iterable[str],
        storageClass: StorageClass | str,
        parentStorageClass: StorageClass | str | None = None,
        *,
        universe: DimensionUniverse | None = None,
        isCalibration: bool = False,
    ) -> None:
        name = check_dataset_type_name(name)
        if isinstance(dimensions, DimensionGroup):
            group = dimensions if universe is None else universe.conform(dimensions)
        else:
            group = (universe or DimensionUniverse()).conform(dimensions)
        if "." in name and parentStorageClass is None:
            raise DatasetTypeError(
                f"dataset type {name!r} is a component and needs its composite's storage class"
            )
        if "." not in name and parentStorageClass is not None:
            raise DatasetTypeError(
                f"dataset type {name!r} is no component and cannot have a parent storage class"
            )
        set_ = object.__setattr__
        set_(self, "name", name)
        set_(self, "dimensions", group)
        set_(self, "storageClass_name", _storage_class_name(storageClass))
        set_(self, "_storage_class", None if isinstance(storageClass, str) else storageClass)
        parent = None if parentStorageClass is None else _storage_class_name(parentStorageClass)
        set_(self, "parentStorageClass_name", parent)
        set_(self, "_parent", None if isinstance(parentStorageClass, str) else parentStorageClass)
        set_(self, "_is_calibration", bool(isCalibration))
        set_(self, "_hash", hash((name, group, self.storageClass_name, parent)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a dataset type cannot be changed: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a dataset type cannot be changed: {name}")

    # ------------------------------------------------------------ storage class

    @property
    def storageClass(self) -> StorageClass:
        """The storage class; looked up by name when first asked for."""
        found: StorageClass | None = self._storage_class
        if found is None:
            found = _find_storage_class(self.storageClass_name)
            object.__setattr__(self, "_storage_class", found)
        return found

    @property
    def parentStorageClass(self) -> StorageClass | None:
        """Storage class of the composite that this is a component of."""
        name: str | None = self.parentStorageClass_name
        found: StorageClass | None = self._parent
        if found is None and name is not None:
            found = _find_storage_class(name)
            object.__setattr__(self, "_parent", found)
        return found

    def isCalibration(self) -> bool:
        """Tell whether its datasets can be certified in CALIBRATION collections.

        Returns
        -------
        calibration : `bool`
            `True` if so.
        """
        return bool(self._is_calibration)

    def overrideStorageClass(self, storageClass: str | StorageClass) -> DatasetType:
        """Make the same dataset type with another storage class.

        Parameters
        ----------
        storageClass : `str` or `StorageClass`
            The other storage class.

        Returns
        -------
        dataset_type : `DatasetType`
            This one, if nothing changes.

        Raises
        ------
        DatasetTypeError
            If datasets cannot be converted to it.
        """
        name = _storage_class_name(storageClass)
        if name == self.storageClass_name and (
            isinstance(storageClass, str) or storageClass == self.storageClass
        ):
            return self
        other = _find_storage_class(name) if isinstance(storageClass, str) else storageClass
        if not other.can_convert(self.storageClass):
            raise DatasetTypeError(
                f"dataset type {self.name!r} ({self.storageClass_name}) cannot be read as {name!r}",
                hint=f"{other.pytype_name} cannot be made of {self.storageClass.pytype_name}",
            )
        parent = self._parent if self._parent is not None else self.parentStorageClass_name
        return DatasetType(self.name, self.dimensions, other, parent, isCalibration=self.isCalibration())

    def is_compatible_with(self, other: DatasetType) -> bool:
        """Tell whether datasets of another type can be used as datasets of this one.

        Parameters
        ----------
        other : `DatasetType`
            The other type.

        Returns
        -------
        compatible : `bool`
            `True` if they differ at most in the storage class, and the other's
            can be converted to this one's.
        """
        if self == other:
            return True
        if (
            self.name != other.name
            or self.dimensions != other.dimensions
            or self.isCalibration() != other.isCalibration()
        ):
            return False
        try:
            if self.parentStorageClass_name != other.parentStorageClass_name:
                mine, theirs = self.parentStorageClass, other.parentStorageClass
                if mine is None or theirs is None or not mine.can_convert(theirs):
                    return False
            return bool(self.storageClass.can_convert(other.storageClass))
        except StorageClassError:
            return False

    # --------------------------------------------------------------- components

    @staticmethod
    def splitDatasetTypeName(datasetTypeName: str) -> tuple[str, str | None]:
        """Split a name into the composite's and the component's.

        Parameters
        ----------
        datasetTypeName : `str`
            Name of a dataset type.

        Returns
        -------
        name : `str`
            What stands before the first dot.
        component : `str` or `None`
            What stands behind it, if there is one.
        """
        parent, dot, component = datasetTypeName.partition(".")
        return (parent, component) if dot else (datasetTypeName, None)

    @staticmethod
    def nameWithComponent(datasetTypeName: str, componentName: str) -> str:
        """Put the names of a composite and a component together.

        Parameters
        ----------
        datasetTypeName : `str`
            Name of the composite's dataset type.
        componentName : `str`
            Name of the component.

        Returns
        -------
        name : `str`
            Name of the component's dataset type.
        """
        return f"{datasetTypeName}.{componentName}"

    def nameAndComponent(self) -> tuple[str, str | None]:
        """Split this type's name into the composite's and the component's.

        Returns
        -------
        name : `str`
            Name of the composite (or of this type, if it is no component).
        component : `str` or `None`
            Name of the component.
        """
        return self.splitDatasetTypeName(self.name)

    def component(self) -> str | None:
        """Name of the component.

        Returns
        -------
        component : `str` or `None`
            `None` if this is no component.
        """
        return self.nameAndComponent()[1]

    def isComponent(self) -> bool:
        """Tell whether this is a component of a composite.

        Returns
        -------
        component : `bool`
            `True` if so.
        """
        return "." in self.name

    def isComposite(self) -> bool:
        """Tell whether the storage class has components.

        Returns
        -------
        composite : `bool`
            `True` if so.
        """
        return bool(self.storageClass.isComposite())

    def componentTypeName(self, component: str) -> str:
        """Name of a component's dataset type.

        Parameters
        ----------
        component : `str`
            Name of a component of the storage class.

        Returns
        -------
        name : `str`
            Name of the dataset type.

        Raises
        ------
        UnknownComponentError
            If there is no such component.
        """
        known = self.storageClass.allComponents()
        if self.isComponent() or component not in known:
            raise UnknownComponentError(
                f"dataset type {self.name!r} of storage class {self.storageClass_name!r} "
                f"has no component {component!r}",
                hint=known_names(str(component), known, what="components") if known else None,
            )
        return self.nameWithComponent(self.name, component)

    def makeComponentDatasetType(self, component: str) -> DatasetType:
        """Make the dataset type of a component.

        Parameters
        ----------
        component : `str`
            Name of a component of the storage class.

        Returns
        -------
        dataset_type : `DatasetType`
            The component's type.
        """
        name = self.componentTypeName(component)
        return DatasetType(
            name,
            self.dimensions,
            self.storageClass.allComponents()[component],
            self.storageClass,
            isCalibration=self.isCalibration(),
        )

    def makeAllComponentDatasetTypes(self) -> list[DatasetType]:
        """Make the dataset types of all components.

        Returns
        -------
        dataset_types : `list` [`DatasetType`]
            Empty if there are no components.
        """
        return [self.makeComponentDatasetType(name) for name in self.storageClass.allComponents()]

    def makeCompositeDatasetType(self) -> DatasetType:
        """Make the dataset type of the composite that this is a component of.

        Returns
        -------
        dataset_type : `DatasetType`
            The composite's type.

        Raises
        ------
        DatasetTypeError
            If this is no component.
        """
        parent = self._parent if self._parent is not None else self.parentStorageClass_name
        if parent is None:
            raise DatasetTypeError(f"dataset type {self.name!r} is no component")
        return DatasetType(
            self.nameAndComponent()[0], self.dimensions, parent, isCalibration=self.isCalibration()
        )

    # ---------------------------------------------------------------- as a value

    def conform_to(self, universe: DimensionUniverse) -> DatasetType:
        """Make the same dataset type in another universe.

        Parameters
        ----------
        universe : `DimensionUniverse`
            The other universe.

        Returns
        -------
        dataset_type : `DatasetType`
            This one, if it belongs there already.
        """
        if self.dimensions.universe is universe:
            return self
        return DatasetType(
            self.name,
            universe.conform(self.dimensions.required_names),
            self._storage_class or self.storageClass_name,
            self._parent if self._parent is not None else self.parentStorageClass_name,
            isCalibration=self.isCalibration(),
        )

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, DatasetType):
            return NotImplemented
        return (
            self._hash == other._hash
            and self.name == other.name
            and self.dimensions == other.dimensions
            and self.storageClass_name == other.storageClass_name
            and self.parentStorageClass_name == other.parentStorageClass_name
            and self._is_calibration == other._is_calibration
        )

    def __hash__(self) -> int:
        return self._hash

    def __lt__(self, other: DatasetType) -> bool:
        return self.name < other.name

    def __reduce__(self) -> tuple[Any, ...]:
        state = (
            self.name,
            self.dimensions,
            self.storageClass_name,
            self.parentStorageClass_name,
            self._is_calibration,
        )
        return _rebuild, state

    def __deepcopy__(self, memo: dict[int, Any]) -> DatasetType:
        return self

    def __str__(self) -> str:
        return f"DatasetType({self.name!r}, {self.dimensions}, {self.storageClass_name}{self._tail(str)})"

    def __repr__(self) -> str:
        names = self.dimensions.required_names
        return f"DatasetType({self.name!r}, {names!r}, {self.storageClass_name!r}{self._tail(repr)})"

    def _tail(self, show: Any) -> str:
        parent = self.parentStorageClass_name
        text = f", parentStorageClass={show(parent)}" if parent is not None else ""
        return text + (", isCalibration=True" if self.isCalibration() else "")

    def to_simple(self, minimal: bool = False) -> dict[str, Any]:
        """Convert to what JSON can hold.

        Parameters
        ----------
        minimal : `bool`, optional
            If `True`, the name only.

        Returns
        -------
        simple : `dict`
            ``name``, ``storageClass``, ``dimensions`` (the required ones) and,
            if they apply, ``parentStorageClass`` and ``isCalibration``.
        """
        if minimal:
            return {"name": self.name}
        simple: dict[str, Any] = {
            "name": self.name,
            "storageClass": self.storageClass_name,
            "dimensions": self.dimensions.to_simple(),
        }
        if self.parentStorageClass_name is not None:
            simple["parentStorageClass"] = self.parentStorageClass_name
        if self.isCalibration():
            simple["isCalibration"] = True
        return simple

    @classmethod
    def from_simple(cls, simple: Any, universe: DimensionUniverse | None = None) -> DatasetType:
        """Convert back from what JSON can hold.

        Parameters
        ----------
        simple : `~collections.abc.Mapping`
            What `to_simple` gave.
        universe : `DimensionUniverse`, optional
            Where the dimensions belong; the universe of the field if not given.

        Returns
        -------
        dataset_type : `DatasetType`
            The dataset type.

        Raises
        ------
        DatasetTypeError
            If something is missing.
        """
        if not isinstance(simple, Mapping):
            raise DatasetTypeError(f"a dataset type is written as a mapping, not {type(simple).__name__}")
        missing = [k for k in ("name", "storageClass", "dimensions") if simple.get(k) is None]
        if missing:
            raise DatasetTypeError(
                f"dataset type {simple.get('name')!r} is written without {', '.join(missing)}"
            )
        return cls(
            simple["name"],
            list(simple["dimensions"]),
            simple["storageClass"],
            simple.get("parentStorageClass"),
            universe=universe,
            isCalibration=bool(simple.get("isCalibration", False)),
        )

    def to_json(self, minimal: bool = False) -> str:
        """Convert to JSON text.

        Parameters
        ----------
        minimal : `bool`, optional
            If `True`, the name only.

        Returns
        -------
        text : `str`
            JSON of `to_simple`.
        """
        return json.dumps(self.to_simple(minimal), separators=(",", ":"))

    @classmethod
    def from_json(cls, json_str: str, universe: DimensionUniverse | None = None) -> DatasetType:
        """Convert back from JSON text.

        Parameters
        ----------
        json_str : `str`
            What `to_json` gave.
        universe : `DimensionUniverse`, optional
            Where the dimensions belong; the universe of the field if not given.

        Returns
        -------
        dataset_type : `DatasetType`
            The dataset type.
        """
        return cls.from_simple(json.loads(json_str), universe)


def _rebuild(
    name: str, dimensions: DimensionGroup, storage_class: str, parent: str | None, is_calibration: bool
) -> DatasetType:
    return DatasetType(name, dimensions, storage_class, parent, isCalibration=is_calibration)
