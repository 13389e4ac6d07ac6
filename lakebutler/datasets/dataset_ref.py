# SPDX-License-Identifier: BSD-3-Clause
"""Dataset references: which dataset, without the dataset itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import CollectionNameError, DataIdValueError, DatasetTypeError, InconsistentDataIdError
from lakebutler.ids import DatasetIdGenEnum, make_dataset_id, make_dataset_ids, uuid7

if TYPE_CHECKING:
    from lakebutler.datasets.storage_class import StorageClass

__all__ = ["DatasetRef", "make_refs"]

_new = object.__new__
_set = object.__setattr__
_UNIQUE = DatasetIdGenEnum.UNIQUE


class DatasetRef:
    """Identity of one dataset; immutable.

    Parameters
    ----------
    datasetType : `DatasetType`
        What kind of dataset it is.
    dataId : `DataCoordinate` or mapping
        Which of them.
    run : `str`
        The RUN collection in which it was made.
    id : `uuid.UUID`, optional
        Its id; made if not given.
    conform : `bool`, optional
        If `False`, ``dataId`` is known to be a `DataCoordinate` of the type's
        dimensions, and is not checked.
    id_generation_mode : `DatasetIdGenEnum`, optional
        How an id is made.
    datastore_records : optional
        What is known of the dataset's file; carried along, not compared.

    Raises
    ------
    DimensionNameError, DimensionValueError
        If the data ID does not fit the type's dimensions.
    """

    __slots__ = ("_datastore_records", "dataId", "datasetType", "id", "run")

    id: UUID
    """The same wherever the dataset goes."""

    datasetType: DatasetType
    """What kind of dataset it is."""

    dataId: DataCoordinate
    """Which of its kind."""

    run: str
    """The RUN collection in which it was made."""

    _datastore_records: Any

    def __init__(
        self,
        datasetType: DatasetType,
        dataId: DataCoordinate | Mapping[str, Any],
        run: str,
        id: UUID | None = None,
        conform: bool = True,
        id_generation_mode: DatasetIdGenEnum = _UNIQUE,
        datastore_records: Any = None,
    ) -> None:
        if conform and (
            type(dataId) is not DataCoordinate or dataId._dimensions is not datasetType.dimensions
        ):
            dataId = DataCoordinate.standardize(dataId, dimensions=datasetType.dimensions)
        if type(run) is not str:
            run = _check_run(run, datasetType)
        if id is None:
            if id_generation_mode is _UNIQUE:
                own = uuid7()
            else:
                own = make_dataset_id(id_generation_mode, run, datasetType.name, dataId)
        else:
            own = id if type(id) is UUID else _check_id(id)
        _set(self, "datasetType", datasetType)
        _set(self, "dataId", dataId)
        _set(self, "run", run)
        _set(self, "id", own)
        _set(self, "_datastore_records", datastore_records)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a dataset reference cannot be changed: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a dataset reference cannot be changed: {name}")

    @property
    def dimensions(self) -> DimensionGroup:
        """Dimensions of the dataset type."""
        return self.datasetType.dimensions

    # ---------------------------------------------------------------- components

    def isComponent(self) -> bool:
        """Tell whether this is a component of a composite dataset.

        Returns
        -------
        component : `bool`
            `True` if so.
        """
        return self.datasetType.isComponent()

    def isComposite(self) -> bool:
        """Tell whether the dataset has components.

        Returns
        -------
        composite : `bool`
            `True` if so.
        """
        return self.datasetType.isComposite()

    def makeComponentRef(self, name: str) -> DatasetRef:
        """Make the reference of a component of this dataset.

        Parameters
        ----------
        name : `str`
            Name of the component.

        Returns
        -------
        ref : `DatasetRef`
            With the same id.
        """
        return self._with(self.datasetType.makeComponentDatasetType(name))

    def makeCompositeRef(self) -> DatasetRef:
        """Make the reference of the composite that this is a component of.

        Returns
        -------
        ref : `DatasetRef`
            With the same id.
        """
        return self._with(self.datasetType.makeCompositeDatasetType())

    def _with(self, dataset_type: DatasetType) -> DatasetRef:
        return DatasetRef(
            dataset_type,
            self.dataId,
            self.run,
            self.id,
            conform=False,
            datastore_records=self._datastore_records,
        )

    # ---------------------------------------------------------------- variations

    def overrideStorageClass(self, storageClass: str | StorageClass) -> DatasetRef:
        """Make the same reference with another storage class.

        Parameters
        ----------
        storageClass : `str` or `StorageClass`
            The other storage class.

        Returns
        -------
        ref : `DatasetRef`
            This one, if nothing changes.
        """
        dataset_type = self.datasetType.overrideStorageClass(storageClass)
        return self if dataset_type is self.datasetType else self._with(dataset_type)

    def conform_to(self, universe: DimensionUniverse) -> DatasetRef:
        """Make the same reference in another universe.

        Parameters
        ----------
        universe : `DimensionUniverse`
            The other universe.

        Returns
        -------
        ref : `DatasetRef`
            This one, if it belongs there already.
        """
        if self.dimensions.universe is universe:
            return self
        kind = self.datasetType.conform_to(universe)
        data_id = DataCoordinate.standardize(dict(self.dataId.required), dimensions=kind.dimensions)
        return DatasetRef(kind, data_id, run=self.run, id=self.id, conform=False)

    def expanded(self, dataId: DataCoordinate) -> DatasetRef:
        """Make the same reference with a data ID that knows more.

        Parameters
        ----------
        dataId : `DataCoordinate`
            The same data ID, with implied values or records.

        Returns
        -------
        ref : `DatasetRef`
            With the same id.

        Raises
        ------
        InconsistentDataIdError
            If it is another data ID.
        """
        if self.dataId != dataId:
            raise InconsistentDataIdError(f"{dataId} is not the data ID of {self}")
        return DatasetRef(
            self.datasetType,
            dataId,
            self.run,
            self.id,
            conform=False,
            datastore_records=self._datastore_records,
        )

    def replace(
        self,
        *,
        id: UUID | None = None,
        run: str | None = None,
        storage_class: str | StorageClass | None = None,
        datastore_records: Any = False,
    ) -> DatasetRef:
        """Make a reference that differs in some points.

        Parameters
        ----------
        id : `uuid.UUID`, optional
            Another id.
        run : `str`, optional
            Another run.  Without an id, a new one is made: it is another
            dataset then.
        storage_class : `str` or `StorageClass`, optional
            Another storage class.
        datastore_records : optional
            What is known of the file; kept, unless the run changes.

        Returns
        -------
        ref : `DatasetRef`
            The reference.
        """
        dataset_type = self.datasetType
        if storage_class is not None:
            dataset_type = dataset_type.overrideStorageClass(storage_class)
        if datastore_records is False:
            datastore_records = self._datastore_records if run is None else None
        if run is None:
            run = self.run
            id = id or self.id  # noqa: A001
        return DatasetRef(
            dataset_type, self.dataId, run, id, conform=False, datastore_records=datastore_records
        )

    def is_compatible_with(self, other: DatasetRef) -> bool:
        """Tell whether another reference is of the same dataset, read in a way that fits.

        Parameters
        ----------
        other : `DatasetRef`
            The other reference.

        Returns
        -------
        compatible : `bool`
            `True` if they differ at most in the storage class, and the other's
            can be converted to this one's.
        """
        return (
            self.id == other.id
            and self.run == other.run
            and self.dataId == other.dataId
            and self.datasetType.is_compatible_with(other.datasetType)
        )

    # --------------------------------------------------------------------- groups

    @staticmethod
    def groupByType(refs: Iterable[DatasetRef]) -> dict[DatasetType, list[DatasetRef]]:
        """Sort references by dataset type.

        Parameters
        ----------
        refs : iterable of `DatasetRef`
            References.

        Returns
        -------
        groups : `dict` [`DatasetType`, `list` [`DatasetRef`]]
            In the order in which types and references come.
        """
        groups: dict[DatasetType, list[DatasetRef]] = {}
        for ref in refs:
            groups.setdefault(ref.datasetType, []).append(ref)
        return groups

    @staticmethod
    def iter_by_type(refs: Iterable[DatasetRef]) -> Iterator[tuple[DatasetType, list[DatasetRef]]]:
        """Go through references by dataset type.

        Parameters
        ----------
        refs : iterable of `DatasetRef`
            References.

        Yields
        ------
        dataset_type : `DatasetType`
            A type.
        refs : `list` [`DatasetRef`]
            Its references.
        """
        yield from DatasetRef.groupByType(refs).items()

    # ----------------------------------------------------------------- comparison

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, DatasetRef):
            return NotImplemented
        return (
            self.id == other.id
            and self.run == other.run
            and self.datasetType == other.datasetType
            and self.dataId == other.dataId
        )

    def __hash__(self) -> int:
        return hash(self.id.int)

    def __lt__(self, other: DatasetRef) -> bool:
        if not isinstance(other, DatasetRef):
            return NotImplemented
        mine = (self.run, self.datasetType.name)
        theirs = (other.run, other.datasetType.name)
        return mine < theirs if mine != theirs else self.dataId < other.dataId

    # ----------------------------------------------------------------------- text

    def __str__(self) -> str:
        return (
            f"{self.datasetType.name}@{self.dataId} "
            f"[sc={self.datasetType.storageClass_name}] (run={self.run} id={self.id})"
        )

    def __repr__(self) -> str:
        return f"DatasetRef({self.datasetType!r}, {self.dataId!r}, run={self.run!r}, id={self.id!r})"

    def _repr_html_(self) -> str:
        from html import escape

        heads = "<tr><th>dataset type</th><th>run</th><th>id</th></tr>"
        cells = (self.datasetType.name, self.run, str(self.id))
        row = "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        return f"<table>{heads}{row}</table>{self.dataId._repr_html_()}"

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.datasetType, self.dataId, self.run, self.id, False, _UNIQUE, self._datastore_records)
        return DatasetRef, state

    def __deepcopy__(self, memo: dict[int, Any]) -> DatasetRef:
        return self

    def to_simple(self, minimal: bool = False) -> dict[str, Any]:
        """Convert to what JSON can hold.

        Parameters
        ----------
        minimal : `bool`, optional
            If `True`, the id (and the component) only: enough for who can ask
            the repository.

        Returns
        -------
        simple : `dict`
            ``id``, ``datasetType``, ``dataId``, ``run``.
        """
        if minimal:
            component = self.datasetType.component()
            return {"id": str(self.id)} | ({"component": component} if component is not None else {})
        return {
            "id": str(self.id),
            "datasetType": self.datasetType.to_simple(),
            "dataId": self.dataId.to_simple(),
            "run": self.run,
        }

    @classmethod
    def from_simple(
        cls,
        simple: Any,
        universe: DimensionUniverse | None = None,
        datasetType: DatasetType | None = None,
    ) -> DatasetRef:
        """Convert back from what JSON can hold.

        Parameters
        ----------
        simple : `~collections.abc.Mapping`
            What `to_simple` gave, not minimal.
        universe : `DimensionUniverse`, optional
            Where the dimensions belong; the universe of the field if not given.
        datasetType : `DatasetType`, optional
            The dataset type, if it is known already.

        Returns
        -------
        ref : `DatasetRef`
            The reference.

        Raises
        ------
        DatasetTypeError, DataIdValueError
            If something is missing.
        """
        missing = [
            k for k in ("id", "dataId", "run") if not isinstance(simple, Mapping) or simple.get(k) is None
        ]
        if missing:
            raise DataIdValueError(
                f"a dataset reference is written without {', '.join(missing)}",
                hint="a minimal one needs a repository to be looked up in",
            )
        if datasetType is None:
            if simple.get("datasetType") is None:
                raise DatasetTypeError("a dataset reference is written without its dataset type")
            datasetType = DatasetType.from_simple(simple["datasetType"], universe)
        data_id = DataCoordinate.from_simple(simple["dataId"], datasetType.dimensions.universe)
        return cls(datasetType, data_id, simple["run"], _check_id(simple["id"]))

    def to_json(self, minimal: bool = False) -> str:
        """Convert to JSON text.

        Parameters
        ----------
        minimal : `bool`, optional
            If `True`, the id (and the component) only.

        Returns
        -------
        text : `str`
            JSON of `to_simple`.
        """
        return json.dumps(self.to_simple(minimal), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(
        cls, json_str: str, universe: DimensionUniverse | None = None, datasetType: DatasetType | None = None
    ) -> DatasetRef:
        """Convert back from JSON text.

        Parameters
        ----------
        json_str : `str`
            What `to_json` gave, not minimal.
        universe : `DimensionUniverse`, optional
            Where the dimensions belong; the universe of the field if not given.
        datasetType : `DatasetType`, optional
            The dataset type, if it is known already.

        Returns
        -------
        ref : `DatasetRef`
            The reference.
        """
        return cls.from_simple(json.loads(json_str), universe, datasetType)


def _check_run(run: Any, dataset_type: DatasetType) -> str:
    if isinstance(run, str):
        return str(run)
    raise CollectionNameError(
        f"a dataset reference of {dataset_type.name!r} needs the name of its run, not {type(run).__name__}"
    )


def _check_id(value: Any) -> UUID:
    if isinstance(value, UUID):
        return UUID(int=value.int)
    if isinstance(value, str):
        try:
            return UUID(value)
        except ValueError:
            pass
    raise DataIdValueError(f"{value!r} is no dataset id", hint="a UUID is needed")


def make_refs(
    dataset_type: DatasetType,
    data_ids: Sequence[DataCoordinate],
    run: str,
    *,
    ids: Iterable[UUID] | None = None,
    id_generation_mode: DatasetIdGenEnum = _UNIQUE,
) -> list[DatasetRef]:
    """Make the references of many datasets of one type in one run.

    Parameters
    ----------
    dataset_type : `DatasetType`
        Their type.
    data_ids : sequence of `DataCoordinate`
        Data IDs of the type's dimensions; not checked.
    run : `str`
        Their run.
    ids : iterable of `uuid.UUID`, optional
        Their ids; made if not given.
    id_generation_mode : `DatasetIdGenEnum`, optional
        How ids are made.

    Returns
    -------
    refs : `list` [`DatasetRef`]
        One for each data ID.
    """
    if ids is None:
        n, names = dataset_type.dimensions.n_required, dataset_type.dimensions.required_names
        values = (data_id._values[:n] for data_id in data_ids)
        ids = make_dataset_ids(id_generation_mode, run, dataset_type.name, names, values)
    made = []
    for data_id, id_ in zip(data_ids, ids, strict=True):
        ref = _new(DatasetRef)
        _set(ref, "datasetType", dataset_type)
        _set(ref, "dataId", data_id)
        _set(ref, "run", run)
        _set(ref, "id", id_)
        _set(ref, "_datastore_records", None)
        made.append(ref)
    return made
