# SPDX-License-Identifier: BSD-3-Clause
"""``butler.registry``: the field's method names for what only lives there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.butler.defaults import RegistryDefaults
from lakebutler.butler.registry_query import AskingRegistry
from lakebutler.butler.summary import CollectionSummary
from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.named import NamedValueSet
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import (
    DatasetTypeError,
    DatasetTypeExpressionError,
    DimensionNameError,
    DimensionValueError,
    known_names,
)
from lakebutler.ids import DatasetIdGenEnum
from lakebutler.registry import collections, dataset_types
from lakebutler.registry.registry import Registry
from lakebutler.timespan import Timespan

if TYPE_CHECKING:
    from lakebutler.butler.verbs import ButlerVerbs
    from lakebutler.datasets.storage_class import StorageClassFactory

__all__ = ["ButlerRegistry"]


class ButlerRegistry(AskingRegistry):
    """The registry, by the field's method names.

    Parameters
    ----------
    butler : `Butler`
        The butler it belongs to.
    """

    def __init__(self, butler: ButlerVerbs) -> None:
        self._butler = butler
        self._registry: Registry = butler._registry

    @property
    def dimensions(self) -> DimensionUniverse:
        """The repository's dimensions."""
        return self._registry.universe

    def isWriteable(self) -> bool:
        """Whether the repository can be changed."""
        return self._butler.isWriteable()

    @property
    def defaults(self) -> RegistryDefaults:
        """Default collections, run and data ID of the butler; can be set."""
        return self._butler.defaults

    @defaults.setter
    def defaults(self, value: RegistryDefaults) -> None:
        self._butler.defaults = value

    @property
    def storageClasses(self) -> StorageClassFactory:
        """All storage classes."""
        from lakebutler.datasets.storage_class import StorageClassFactory

        return StorageClassFactory()

    @property
    def obsCoreTableManager(self) -> None:
        """`None`: there is no such table but the view ``obscore`` of `Butler.sql`."""
        return None

    def refresh(self) -> None:
        """Nothing to do: every read sees the newest version."""

    def refresh_collection_summaries(self) -> None:
        """Nothing to do: summaries are counted from the datasets."""

    def resetConnectionPool(self) -> None:
        """Nothing to do: there are no connections; a fork may use the butler."""

    def supportsIdGenerationMode(self, mode: DatasetIdGenEnum) -> bool:
        """Whether dataset IDs can be made this way: in every way there is."""
        return isinstance(mode, DatasetIdGenEnum)

    @contextlib.contextmanager
    def caching_context(self) -> Iterator[None]:
        """Read one and the same version inside the block."""
        with self._registry.session.held():
            yield

    @contextlib.contextmanager
    def transaction(self, *, savepoint: bool = False) -> Iterator[None]:
        """Make one commit of everything inside the block, or nothing; see `Butler.transaction`.

        Parameters
        ----------
        savepoint : `bool`, optional
            Accepted as the field's interface has it: an inner transaction can
            always be undone alone.
        """
        del savepoint
        with self._butler.transaction():
            yield

    # ------------------------------------------------------------ dataset types

    def registerDatasetType(self, datasetType: DatasetType) -> bool:
        """Register a dataset type.

        Parameters
        ----------
        datasetType : `DatasetType`
            The type.

        Returns
        -------
        inserted : `bool`
            False if the same type is registered already.

        Raises
        ------
        ConflictingDefinitionError
            Raised if the name is registered with another definition.
        """
        return self._registry.register_dataset_type(datasetType)

    def removeDatasetType(self, name: str | tuple[str, ...]) -> None:
        """Remove dataset types of which there are no datasets.

        Parameters
        ----------
        name : `str` or `tuple` [`str`]
            Names or globs.

        Raises
        ------
        DatasetTypeExpressionError
            Raised if a component is named.
        OrphanedRecordError
            Raised if there are datasets of one.
        """
        missing: list[str] = []
        names = [t.name for t in self.queryDatasetTypes(name, missing=missing)]
        for one in missing:
            if "." in one:
                raise DatasetTypeExpressionError(
                    f"{one!r} is a component, which is no dataset type of its own",
                    hint=f"remove {one.partition('.')[0]!r}",
                )
        self._registry.session.execute(
            lambda s: dataset_types.remove_dataset_types(s, tuple(names), self._registry.types),
            op="remove-dataset-type",
        )

    def getDatasetType(self, name: str) -> DatasetType:
        """Look up a dataset type by name."""
        return self._registry.dataset_type(name)

    # -------------------------------------------------------------- collections

    def registerCollection(
        self, name: str, type: CollectionType = CollectionType.TAGGED, doc: str | None = None
    ) -> bool:
        """Register a collection; false if it is there already."""
        return self._registry.register_collection(name, type, doc)

    def registerRun(self, name: str, doc: str | None = None) -> bool:
        """Register a RUN collection; false if it is there already."""
        return self._registry.register_collection(name, CollectionType.RUN, doc)

    def removeCollection(self, name: str) -> None:
        """Remove a collection and the memberships in it."""
        self._registry.remove_collection(name)

    def getCollectionType(self, name: str) -> CollectionType:
        """Type of a collection."""
        return collections.collection_type(self._registry.snapshot, name)

    def getCollectionChain(self, parent: str) -> Sequence[str]:
        """Children of a chain, in order; a collection of another type is an error."""
        return collections.chain_children(self._registry.snapshot, parent)

    def getCollectionParentChains(self, collection: str) -> set[str]:
        """Chains that have a collection as a child."""
        return collections.parents(self._registry.snapshot, collection)

    def setCollectionChain(
        self, parent: str, children: str | Sequence[str], *, flatten: bool = False
    ) -> None:
        """Give a chain other members, flattened if asked for."""
        names = [children] if isinstance(children, str) else list(children)
        self._registry.edit_chain(parent, "redefine", names, flatten=flatten)

    def getCollectionDocumentation(self, collection: str) -> str | None:
        """What a collection is for; `None` if nobody said."""
        return self._registry.collection_info(collection).doc or None

    def setCollectionDocumentation(self, collection: str, doc: str | None) -> None:
        """Say what a collection is for."""
        self._registry.session.execute(
            lambda s: collections.set_documentation(s, collection, doc), op="set-documentation"
        )

    def getCollectionSummary(self, collection: str) -> CollectionSummary:
        """Types and governor values of the datasets in a collection; chains are expanded."""
        from lakebutler.butler.base import governor_values

        snapshot = self._registry.snapshot
        found = sorted(collections.summary(snapshot, [collection]))
        types = NamedValueSet([self._registry.dataset_type(name) for name in found], "dataset type")
        names = {name for kind in types for name in kind.dimensions.governors}
        return CollectionSummary(
            types, {name: governor_values(snapshot, [collection], name) for name in sorted(names)}
        )

    # --------------------------------------------------------------- dimensions

    def insertDimensionData(
        self,
        element: DimensionElement | str,
        *data: Mapping[str, Any] | DimensionRecord,
        conform: bool = True,
        replace: bool = False,
        skip_existing: bool = False,
    ) -> None:
        """Insert dimension records, all or none.

        Parameters
        ----------
        element : `DimensionElement` or `str`
            The element.
        *data : `DimensionRecord` or mapping
            Its records.
        conform : `bool`, optional
            Accepted as the field's interface has it; records are always checked.
        replace : `bool`, optional
            Whether records with the same keys give way.
        skip_existing : `bool`, optional
            Whether records whose keys are there are passed over.

        Raises
        ------
        ConflictingDefinitionError
            Raised if a key is taken.
        DimensionValueError
            Raised if a value is wrong, or refers to a record that does not exist.
        """
        del conform
        found = self._element(element)
        records = [self._record(found, row) for row in data]
        self._registry.insert_records(found, records, replace=replace, skip_existing=skip_existing)

    def syncDimensionData(
        self,
        element: DimensionElement | str,
        row: Mapping[str, Any] | DimensionRecord,
        conform: bool = True,
        update: bool = False,
    ) -> bool | dict[str, Any]:
        """Make sure that there is a record.

        Parameters
        ----------
        element : `DimensionElement` or `str`
            The element.
        row : `DimensionRecord` or mapping
            The record.
        conform : `bool`, optional
            Accepted as the field's interface has it.
        update : `bool`, optional
            Whether a record that differs is replaced.

        Returns
        -------
        inserted_or_updated : `bool` or `dict`
            True if inserted, False if there already, the old values of what was
            updated otherwise.
        """
        del conform
        found = self._element(element)
        return self._registry.sync_record(found, self._record(found, row), update=update)

    def _element(self, element: DimensionElement | str) -> DimensionElement:
        name = element if isinstance(element, str) else element.name
        universe = self._registry.universe
        if name not in universe:
            raise DimensionNameError(
                f"there is no dimension {name!r}", hint=known_names(name, universe.elements.names)
            )
        return universe[name]

    def _record(self, element: DimensionElement, row: Mapping[str, Any] | DimensionRecord) -> DimensionRecord:
        if isinstance(row, DimensionRecord):
            if row.definition.name != element.name:
                raise DimensionValueError(f"a record of {row.definition.name!r} is none of {element.name!r}")
            return row
        cls = element.RecordClass
        try:
            return cls(**row)
        except DimensionValueError:
            # A field that is missing may be there under a wrong name: that says more.
            for name in row:
                if name not in cls.fields.names and name not in cls.layout.aliases:
                    raise DimensionNameError(
                        f"a {element.name} record has no field {name!r}",
                        hint=known_names(name, cls.fields.names),
                    ) from None
            raise

    def expandDataId(
        self,
        dataId: DataCoordinate | Mapping[str, Any] | None = None,
        *,
        dimensions: Iterable[str] | DimensionGroup | None = None,
        records: Mapping[str, DimensionRecord | None] | None = None,
        withDefaults: bool = True,
        **kwargs: Any,
    ) -> DataCoordinate:
        """Find everything that follows from a data ID.

        Parameters
        ----------
        dataId : `DataCoordinate` or mapping, optional
            The data ID.
        dimensions : iterable of `str` or `DimensionGroup`, optional
            Its dimensions, if not those of the values given.
        records : mapping, optional
            Records that the caller has.
        withDefaults : `bool`, optional
            Whether default values of governors are used.
        **kwargs
            More of the data ID.

        Returns
        -------
        data_id : `DataCoordinate`
            With implied values and records.

        Notes
        -----
        A text in the place of a number is looked up as an alternate key:
        ``detector="R22_S11"``.
        """
        universe = self._registry.universe
        group = universe.conform(dimensions) if dimensions is not None else None
        values = dict(dataId.mapping) if isinstance(dataId, DataCoordinate) else dict(dataId or {})
        values.update(kwargs)
        if withDefaults:
            wanted = (
                group
                if group is not None
                else universe.conform([n for n in values if n in universe.dimensions])
            )
            for governor in wanted.governors:
                if governor not in values:
                    value = self._butler._defaults.governor(self._registry, governor)
                    if value is not None:
                        values[governor] = value
        if any(isinstance(v, str) and _is_number(universe, name) for name, v in values.items()):
            wanted = universe.conform([n for n in values if n in universe.dimensions])
            kind = DatasetType("any", group if group is not None else wanted, "StructuredDataDict")
            values = dict(self._butler._resolve(kind, values, {})[0].mapping)
        standard = DataCoordinate.standardize(values, dimensions=group, universe=universe)
        return self._registry.expand(standard, records)

    # ----------------------------------------------------------------- datasets

    def insertDatasets(
        self,
        datasetType: DatasetType | str,
        dataIds: Iterable[DataCoordinate | Mapping[str, Any]],
        run: str | None = None,
        expand: bool = True,
        idGenerationMode: DatasetIdGenEnum = DatasetIdGenEnum.UNIQUE,
    ) -> list[DatasetRef]:
        """Register datasets without files.

        Parameters
        ----------
        datasetType : `DatasetType` or `str`
            Their type.
        dataIds : iterable of `DataCoordinate` or mapping
            Their data IDs.
        run : `str`, optional
            Their run; the default run if not given.
        expand : `bool`, optional
            Accepted as the field's interface has it; values are always checked.
        idGenerationMode : `DatasetIdGenEnum`, optional
            How their IDs are made.

        Returns
        -------
        refs : `list` [`DatasetRef`]
            The datasets.

        Raises
        ------
        DatasetTypeError
            Raised if the type is not as it is registered.
        """
        del expand
        name = datasetType.name if isinstance(datasetType, DatasetType) else datasetType
        kind = self._registry.dataset_type(name)
        if isinstance(datasetType, DatasetType) and datasetType != kind:
            raise DatasetTypeError(
                f"{datasetType} is not as it is registered: {kind}", hint=f"pass its name, {name!r}"
            )
        chosen = run if run is not None else self._butler.run
        if chosen is None:
            from lakebutler.errors import NoDefaultCollectionError

            raise NoDefaultCollectionError("cannot insert datasets without a run", hint="pass run=")
        group = kind.dimensions
        exact = (
            d
            if isinstance(d, DataCoordinate) and d.dimensions == group
            else self._butler._resolve(kind, d, {})[0]
            for d in dataIds
        )
        refs = [
            DatasetRef(kind, d, run=chosen, id_generation_mode=idGenerationMode, conform=False) for d in exact
        ]
        self._registry.add(refs, None, op="insert-datasets")
        return refs

    def getDataset(self, id: Any) -> DatasetRef | None:
        """Find a dataset by its ID."""
        return self._butler.get_dataset(id)

    def getDatasetLocations(self, ref: DatasetRef) -> list[str]:
        """Names of the places that have a file of a dataset; see `Butler.get_datastore_names`."""
        return list(self._butler.get_datastore_names()) if self._registry.file_of(ref) is not None else []

    def removeDatasets(self, refs: Iterable[DatasetRef]) -> None:
        """Remove datasets, all their memberships and their files, in one commit.

        Parameters
        ----------
        refs : iterable of `DatasetRef`
            The datasets; those that are not there are passed over.
        """
        self._butler._remove_datasets(refs)

    def associate(self, collection: str, refs: Iterable[DatasetRef], *, replace: bool = True) -> None:
        """Put datasets into a TAGGED collection.

        Parameters
        ----------
        collection : `str`
            The collection.
        refs : iterable of `DatasetRef`
            The datasets.
        replace : `bool`, optional
            Whether another dataset with the same data ID gives way; otherwise
            that is an error.
        """
        self._registry.associate(collection, list(refs), replace=replace)

    def disassociate(self, collection: str, refs: Iterable[DatasetRef]) -> None:
        """Take datasets out of a TAGGED collection; others are passed over."""
        self._registry.disassociate(collection, list(refs))

    def certify(self, collection: str, refs: Iterable[DatasetRef], timespan: Timespan) -> None:
        """Declare calibrations valid in a range.

        Parameters
        ----------
        collection : `str`
            A CALIBRATION collection.
        refs : iterable of `DatasetRef`
            The datasets.
        timespan : `Timespan`
            When they are valid.

        Raises
        ------
        ConflictingDefinitionError
            Raised if the range overlaps one of the same type and data ID.
        """
        self._registry.certify(collection, list(refs), timespan)

    def decertify(
        self,
        collection: str,
        datasetType: DatasetType | str,
        timespan: Timespan,
        *,
        dataIds: Iterable[DataCoordinate | Mapping[str, Any]] | None = None,
    ) -> None:
        """Take a range out of the validity of calibrations.

        Parameters
        ----------
        collection : `str`
            A CALIBRATION collection.
        datasetType : `DatasetType` or `str`
            Which datasets.
        timespan : `Timespan`
            The range to take away.
        dataIds : iterable of `DataCoordinate` or mapping, optional
            Only these; all by default.
        """
        kind = self._registry.dataset_type(datasetType)
        chosen = None
        if dataIds is not None:
            chosen = [self._butler._resolve(kind, data_id, {})[0] for data_id in dataIds]
        self._registry.decertify(collection, kind, timespan, chosen)


def _is_number(universe: DimensionUniverse, name: str) -> bool:
    """Whether a dimension's values are numbers, so that a text is another key of it."""
    return name in universe.dimensions.names and universe.dimensions[name].primary_key.type == "int"
