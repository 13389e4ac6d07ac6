# SPDX-License-Identifier: BSD-3-Clause
"""The methods of ``butler.registry`` that ask."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.butler.registry_results import RegistryDataIds, RegistryDatasets, RegistryRecords
from lakebutler.collections.collection import CollectionType
from lakebutler.collections.wildcard import is_pattern, match_names, named_collections
from lakebutler.datasets.association import DatasetAssociation
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.errors import (
    DatasetTypeExpressionError,
    MissingDatasetTypeError,
    known_names,
)
from lakebutler.registry import collections, dataset_types
from lakebutler.registry.schema import dataset_layout
from lakebutler.timespan import Timespan

if TYPE_CHECKING:
    from lakebutler.butler.verbs import ButlerVerbs
    from lakebutler.query.query import Query
    from lakebutler.registry.registry import Registry

__all__ = ["AskingRegistry"]

DataId = DataCoordinate | Mapping[str, Any] | None


class AskingRegistry:
    """The asking methods of ``butler.registry``."""

    _butler: ButlerVerbs
    _registry: Registry

    def queryDatasetTypes(
        self,
        expression: Any = ...,
        *,
        missing: list[str] | None = None,
    ) -> list[DatasetType]:
        """Find dataset types by name or glob.

        Parameters
        ----------
        expression : `str` or sequence of `str`, optional
            Names and globs; all by default.
        missing : `list` [`str`], optional
            Names that do not exist are appended to it.

        Returns
        -------
        types : `list` [`DatasetType`]
            The types, by name.

        Raises
        ------
        DatasetTypeExpressionError
            Raised if the expression holds something else.
        """
        known = self._registry.snapshot.state(dataset_types.KIND)
        names: dict[str, None] = {}
        several = isinstance(expression, Iterable) and not isinstance(expression, str)
        given: list[Any] = list(expression) if several else [expression]
        for one in given:
            pattern = one.name if isinstance(one, DatasetType) else "*" if one is ... else one
            if not isinstance(pattern, str):
                raise DatasetTypeExpressionError(
                    f"dataset types are given by name, not as {type(pattern).__name__} {pattern!r}",
                    hint="give a name, a glob such as 'calexp*', or a list of them",
                )
            if pattern in known:
                names[pattern] = None
            elif is_pattern(pattern):
                names.update(dict.fromkeys(match_names(pattern, known)))
            elif missing is not None:
                missing.append(pattern)
        return [self._registry.dataset_type(name) for name in sorted(names)]

    def _named_types(self, expression: Any, missing: list[str] | None = None) -> list[DatasetType]:
        """The dataset types of an expression; names that do not exist go to ``missing``, or are an error."""
        absent: list[str] = []
        kinds = self.queryDatasetTypes(expression, missing=absent)
        known = self._registry.snapshot.state(dataset_types.KIND)
        for name in absent:
            if "." in name and name.partition(".")[0] in known:
                kinds.append(self._registry.dataset_type(name))
            elif missing is not None:
                missing.append(name)
            else:
                raise MissingDatasetTypeError(
                    f"there is no dataset type {name!r}",
                    hint=known_names(name, known, what="dataset types"),
                )
        return kinds

    def findDataset(
        self,
        datasetType: DatasetType | str,
        dataId: DataId = None,
        *,
        collections: str | Sequence[str] | None = None,
        timespan: Timespan | None = None,
        datastore_records: bool = False,
        **kwargs: Any,
    ) -> DatasetRef | None:
        """Find the first dataset of a type and data ID; see `Butler.find_dataset`."""
        return self._butler.find_dataset(
            datasetType,
            dataId,
            collections=collections,
            timespan=timespan,
            datastore_records=datastore_records,
            **kwargs,
        )

    @contextlib.contextmanager
    def _asking(
        self, data_id: DataId, where: str, bind: Mapping[str, Any] | None, keywords: Mapping[str, Any]
    ) -> Iterator[Query]:
        with self._butler.query() as query:
            yield query.where(data_id or {}, where, bind=bind, **keywords)

    def queryDatasets(
        self,
        datasetType: Any,
        *,
        collections: Any = None,
        dimensions: Iterable[str] | None = None,
        dataId: DataId = None,
        where: str = "",
        findFirst: bool = False,
        bind: Mapping[str, Any] | None = None,
        check: bool = True,
        **kwargs: Any,
    ) -> RegistryDatasets:
        """Find datasets of some types.

        Parameters
        ----------
        datasetType : `str`, `DatasetType`, iterable of them, or ``...``
            Names, globs or types.
        collections : `str`, `re.Pattern`, sequence of these, or ``...``, optional
            Where, in search order; the default collections if not given.
        dimensions : iterable of `str`, optional
            More dimensions that conditions are about.
        dataId : `DataCoordinate` or mapping, optional
            Values to fix.
        where : `str`, optional
            A condition.
        findFirst : `bool`, optional
            Whether only the first dataset of each data ID counts.
        bind : mapping, optional
            Values of bind variables.
        check : `bool`, optional
            Accepted as the field's interface has it; queries are always checked.
        **kwargs
            More values to fix.

        Returns
        -------
        datasets : `RegistryDatasets`
            Read when iterated.

        Raises
        ------
        DatasetTypeExpressionError
            Raised if the dataset types are given by anything else.

        Notes
        -----
        A name that is no dataset type has no datasets; `explain_no_results` of the
        results names it.
        """
        del check
        names = self._places(collections, ordered=findFirst)
        missing: list[str] = []
        kinds = self._named_types(datasetType, missing)
        with self._asking(dataId, where, bind, kwargs) as query:
            if dimensions is not None:
                query = query.join_dimensions(dimensions)
            return RegistryDatasets.of(query, kinds, names, find_first=findFirst, missing=missing)

    def _places(self, expression: Any, *, ordered: bool = False) -> list[str] | None:
        known = self._registry.snapshot.state(collections.KIND)
        return named_collections(expression, known, ordered=ordered)

    def _joined(self, query: Query, datasets: Any, names: list[str] | None) -> Query:
        if datasets is not None:
            several = isinstance(datasets, Iterable) and not isinstance(datasets, str)
            given = list(datasets) if several else [datasets]
            known = self._registry.snapshot.state(dataset_types.KIND)
            for one in given:
                if one is ... or (isinstance(one, str) and one not in known and is_pattern(one)):
                    raise DatasetTypeExpressionError(
                        "data IDs are joined with dataset types by name, not by pattern",
                        hint="queryDatasetTypes finds the names for a pattern",
                    )
            for kind in self._named_types(given):
                query = query.join_dataset_search(kind, names)
        return query

    def queryDataIds(
        self,
        dimensions: DimensionGroup | Iterable[str] | str,
        *,
        dataId: DataId = None,
        datasets: Any = None,
        collections: Any = None,
        where: str = "",
        bind: Mapping[str, Any] | None = None,
        check: bool = True,
        **kwargs: Any,
    ) -> RegistryDataIds:
        """Find data IDs.

        Parameters
        ----------
        dimensions : `DimensionGroup`, iterable of `str`, or `str`
            Their dimensions.
        datasets : `str`, `DatasetType` or iterable of them, optional
            Dataset types of which there must be a dataset.
        collections : `str`, `re.Pattern`, sequence of these, or ``...``, optional
            Where these must be.
        dataId, where, bind, check, **kwargs
            As for `queryDatasets`.

        Returns
        -------
        data_ids : `RegistryDataIds`
            Read when iterated.
        """
        del check
        group = self._registry.universe.conform([dimensions] if isinstance(dimensions, str) else dimensions)
        with self._asking(dataId, where, bind, kwargs) as query:
            return RegistryDataIds(self._joined(query, datasets, self._places(collections)), group)

    def queryDimensionRecords(
        self,
        element: DimensionElement | str,
        *,
        dataId: DataId = None,
        datasets: Any = None,
        collections: Any = None,
        where: str = "",
        bind: Mapping[str, Any] | None = None,
        check: bool = True,
        **kwargs: Any,
    ) -> RegistryRecords:
        """Find dimension records; arguments as for `queryDataIds`."""
        del check
        name = element if isinstance(element, str) else element.name
        with self._asking(dataId, where, bind, kwargs) as query:
            query = self._joined(query, datasets, self._places(collections))
            return RegistryRecords(query.dimension_records(name), self._registry.universe[name])

    def queryDatasetAssociations(
        self,
        datasetType: str | DatasetType,
        collections: Any = ...,
        *,
        collectionTypes: Iterable[CollectionType] | CollectionType = frozenset(CollectionType),
        flattenChains: bool = False,
    ) -> Iterator[DatasetAssociation]:
        """Find in which collections the datasets of a type are.

        Parameters
        ----------
        datasetType : `str` or `DatasetType`
            Which datasets.
        collections : `str`, `re.Pattern`, sequence of these, or ``...``, optional
            Which collections; all by default.
        collectionTypes : `CollectionType` or iterable of them, optional
            Of which types.
        flattenChains : `bool`, optional
            Whether the members of chains are looked at, too.

        Yields
        ------
        association : `DatasetAssociation`
            A dataset in a collection.
        """
        kind = self._registry.dataset_type(datasetType)
        names = self._places(collections)
        if names is None:
            names = list(self._butler.defaults.collections)
        return iter(self._associations(kind, self._members(names, collectionTypes, flatten=flattenChains)))

    def _members(self, names: list[str], kinds: Any, *, flatten: bool) -> list[str]:
        wanted = [kinds] if isinstance(kinds, CollectionType) else list(kinds)
        return collections.query_collections(
            self._registry.snapshot,
            names,
            collection_types=wanted,
            flatten_chains=flatten,
            include_chains=False,
        )

    def queryCollections(
        self,
        expression: Any = ...,
        datasetType: DatasetType | str | None = None,
        collectionTypes: Iterable[CollectionType] | CollectionType | None = None,
        flattenChains: bool = False,
        includeChains: bool | None = None,
    ) -> Sequence[str]:
        """Find collections by name or pattern; with a dataset type, those that hold some."""
        kinds = [collectionTypes] if isinstance(collectionTypes, CollectionType) else collectionTypes
        snapshot = self._registry.snapshot
        names = collections.query_collections(
            snapshot,
            expression,
            collection_types=kinds,
            flatten_chains=flattenChains,
            include_chains=includeChains,
        )
        if datasetType is None:
            return names
        wanted = datasetType if isinstance(datasetType, str) else datasetType.name
        holding = collections.summary(snapshot, names).get(wanted, set())
        return [name for name in names if holding.intersection(collections.flatten(snapshot, [name]))]

    def _associations(self, kind: DatasetType, names: Sequence[str]) -> list[DatasetAssociation]:
        layout = dataset_layout(kind.dimensions)
        if not names:
            return []
        found = self._registry.snapshot.scan(
            layout.table,
            columns=("collection", *layout.dimensions, "valid_begin", "valid_end", "id", "run"),
            where={"dataset_type": kind.name, "collection": list(names)},
        )
        columns = [found.column(name).to_pylist() for name in found.column_names]
        refs: dict[Any, DatasetRef] = {}
        result = []
        for collection, *values, begin, end, dataset_id, run in zip(*columns, strict=True):
            ref = refs.get(dataset_id)
            if ref is None:
                data_id = DataCoordinate.from_required_values(kind.dimensions, tuple(values))
                ref = refs[dataset_id] = DatasetRef(kind, data_id, run=run, id=dataset_id, conform=False)
            span = None if begin is None else Timespan.from_nsec(begin, end)
            result.append(DatasetAssociation(ref, collection, span))
        return result
