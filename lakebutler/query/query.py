# SPDX-License-Identifier: BSD-3-Clause
"""`Query`: dimensions, dataset searches and conditions, gathered step by step."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import EllipsisType
from typing import Any

from lakebutler.collections.collection import CollectionType
from lakebutler.collections.wildcard import is_pattern
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import (
    DimensionNameError,
    InvalidQueryError,
    MissingDatasetTypeError,
    NoDefaultCollectionError,
    known_names,
)
from lakebutler.query.expression_factory import ExpressionFactory
from lakebutler.query.general import GeneralQueryResults, field_names
from lakebutler.query.joins import DatasetSearch, Upload
from lakebutler.query.request import Request, split_arguments
from lakebutler.query.results import (
    DataCoordinateQueryResults,
    DatasetRefQueryResults,
    DimensionRecordQueryResults,
)
from lakebutler.registry import collections
from lakebutler.registry.registry import Registry

__all__ = ["Query"]


class Query:
    """A query on one snapshot of a repository; immutable.

    Parameters
    ----------
    registry : `Registry`
        What is queried.
    defaults : sequence of `str`
        Collections to search where none are given.
    default_data_id : mapping
        Values of governors to use where the query needs but does not fix them.
    """

    def __init__(
        self, registry: Registry, defaults: Sequence[str], default_data_id: Mapping[str, Any]
    ) -> None:
        self._registry = registry
        self._defaults = tuple(defaults)
        empty = registry.universe.empty
        self._snapshot = registry.snapshot
        self._answers: dict[Any, list[Any]] = {}
        self._request = Request(
            dimensions=empty, joined=empty, defaults=dict(default_data_id), subquery=self._values
        )

    def _with(self, request: Request) -> Query:
        other = object.__new__(Query)
        other.__dict__.update(self.__dict__)
        other._request = request
        return other

    @property
    def universe(self) -> DimensionUniverse:
        """The repository's dimensions."""
        return self._registry.universe

    @property
    def constraint_dimensions(self) -> DimensionGroup:
        """Dimensions joined so far."""
        return self._request.constrained

    @property
    def constraint_dataset_types(self) -> frozenset[str]:
        """Dataset types searched so far."""
        return frozenset(search.name for search in self._request.searches)

    @property
    def expression_factory(self) -> ExpressionFactory:
        """Makes conditions with Python's operators: ``query.where(x.visit > 5)``."""
        return ExpressionFactory(self.universe)

    def where(self, *args: object, bind: Mapping[str, Any] | None = None, **kwargs: Any) -> Query:
        """Add conditions; all of them must hold.

        Parameters
        ----------
        *args
            Where-expressions (texts, or conditions made with `expression_factory`), data IDs and
            mappings.
        bind : mapping, optional
            Values of bind variables in the expressions.
        **kwargs
            Dimension values to fix.

        Returns
        -------
        query : `Query`
            The narrower query.
        """
        return self._with(self._request.where(*split_arguments(args, kwargs, bind)))

    def join_dimensions(self, dimensions: Iterable[str] | DimensionGroup) -> Query:
        """Join dimensions that are not part of the result."""
        group = self.universe.conform(dimensions)
        return self._with(replace(self._request, joined=self._request.joined.union(group)))

    def join_dataset_search(
        self, dataset_type: str | DatasetType, collections: str | Sequence[str] | None = None
    ) -> Query:
        """Join a search: only data IDs for which such a dataset exists remain.

        Parameters
        ----------
        dataset_type : `str` or `DatasetType`
            What to search.
        collections : `str` or sequence of `str`, optional
            Where; the default collections if not given.

        Returns
        -------
        query : `Query`
            The narrower query.
        """
        search, _ = self._search(dataset_type, collections, find_first=False, is_result=False)
        if search.name in self.constraint_dataset_types:
            self._refuse_another_path(search)
            return self
        return self._with(replace(self._request, searches=(*self._request.searches, search)))

    def _refuse_another_path(self, search: DatasetSearch) -> None:
        for other in self._request.searches:
            if other.name == search.name and other.path != search.path:
                raise InvalidQueryError(
                    f"dataset type {search.name!r} is searched in other collections already",
                    hint="search it once, in the collections that you mean",
                )

    def datasets(
        self,
        dataset_type: str | DatasetType,
        collections: str | Sequence[str] | None = None,
        *,
        find_first: bool = True,
    ) -> DatasetRefQueryResults:
        """Find datasets.

        Parameters
        ----------
        dataset_type : `str` or `DatasetType`
            Which.
        collections : `str` or sequence of `str`, optional
            Where, in search order; the default collections if not given.
        find_first : `bool`, optional
            Whether only the first dataset of each data ID counts; globs among
            the collections have no order and need it to be false.

        Returns
        -------
        results : `DatasetRefQueryResults`
            The datasets.
        """
        search, kind = self._search(dataset_type, collections, find_first=find_first, is_result=True)
        self._refuse_another_path(search)
        others = tuple(s for s in self._request.searches if s.name != search.name)
        request = replace(self._request, dimensions=search.dimensions, searches=(search, *others))
        return DatasetRefQueryResults(request, self._snapshot, kind)

    def data_ids(self, dimensions: Iterable[str] | str | DimensionGroup) -> DataCoordinateQueryResults:
        """Find data IDs.

        Parameters
        ----------
        dimensions : iterable of `str`, `str` or `DimensionGroup`
            Their dimensions.

        Returns
        -------
        results : `DataCoordinateQueryResults`
            The data IDs.
        """
        group = self.universe.conform(dimensions)
        return DataCoordinateQueryResults(replace(self._request, dimensions=group), self._snapshot)

    def dimension_records(self, element: str) -> DimensionRecordQueryResults:
        """Find dimension records.

        Parameters
        ----------
        element : `str`
            The dimension element.

        Returns
        -------
        results : `DimensionRecordQueryResults`
            The records.
        """
        if element not in self.universe:
            raise DimensionNameError(
                f"there is no dimension {element!r}", hint=known_names(element, self.universe.elements.names)
            )
        found = self.universe[element]
        if not found.has_own_table and found.implied_union_target is None:
            raise InvalidQueryError(f"{element!r} has no records: its values follow from the sky alone")
        request = replace(self._request, dimensions=found.minimal_group, element=element)
        return DimensionRecordQueryResults(request, self._snapshot, found)

    def general(
        self,
        dimensions: Iterable[str] | DimensionGroup,
        *names: str,
        dimension_fields: Mapping[str, Collection[str]] | None = None,
        dataset_fields: Mapping[str, Collection[str] | EllipsisType] | None = None,
        find_first: bool | None = None,
    ) -> GeneralQueryResults:
        """Find rows with fields of dimensions and of datasets.

        Parameters
        ----------
        dimensions : iterable of `str` or `DimensionGroup`
            Dimensions of the rows; those of the fields are added.
        *names : `str`
            Fields as ``element.field`` or ``dataset_type.field``.
        dimension_fields, dataset_fields : mapping, optional
            Fields by element, and by dataset type (``...`` for ID and run); the
            dataset types are those of searches joined before.
        find_first : `bool`, optional
            Whether only the first dataset of each data ID counts; by default so
            where one dataset type has fields, neither collection nor timespan.

        Returns
        -------
        results : `GeneralQueryResults`
            The rows.
        """
        fields, kinds = field_names(self.universe, names, dimension_fields, dataset_fields)
        searches = {search.name: search for search in self._request.searches}
        for kind in kinds:
            if kind not in searches:
                raise MissingDatasetTypeError(
                    f"no search for {kind!r} is joined", hint=f"join_dataset_search({kind!r}, …) first"
                )
        where_found = {f"{kind}.{field}" for kind in kinds for field in ("collection", "timespan")}
        plain = len(kinds) == 1 and not where_found & set(fields)
        if find_first and not plain and kinds:
            raise InvalidQueryError(
                "the first dataset of each data ID can be found for one dataset type, and without the "
                "collection or timespan where it was found",
                hint="pass find_first=False",
            )
        if kinds and (plain if find_first is None else find_first):
            searches[kinds[0]] = replace(searches[kinds[0]], find_first=True, is_result=True)
        owners = [
            self.universe[n.split(".")[0]].minimal_group for n in fields if n.split(".")[0] in self.universe
        ]
        group = self.universe.conform(dimensions).union(
            *owners, *(searches[kind].dimensions for kind in kinds)
        )
        request = replace(
            self._request, dimensions=group, searches=tuple(searches.values()), fields=tuple(fields)
        )
        results = GeneralQueryResults(request, self._snapshot)
        results.plan()  # names that mean nothing are an error now
        return results

    def join_data_coordinates(self, iterable: Iterable[DataCoordinate]) -> Query:
        """Join data IDs: only what goes with one of them remains.

        Parameters
        ----------
        iterable : iterable of `DataCoordinate`
            Data IDs, all of the same dimensions.

        Returns
        -------
        query : `Query`
            The narrower query.
        """
        found = list(iterable)
        if not found:
            raise InvalidQueryError(
                "no data ID to join: the dimensions of none are not known",
                hint="leave the query out, or join dimensions",
            )
        group = found[0].dimensions
        for data_id in found:
            if data_id.dimensions != group:
                raise InvalidQueryError(
                    f"data IDs of {', '.join(group.required)} cannot be joined together with those of "
                    f"{', '.join(data_id.dimensions.required)}",
                    hint="join them one after the other",
                )
        rows = tuple(dict.fromkeys(data_id.required_values for data_id in found))
        return self._with(replace(self._request, uploads=(*self._request.uploads, Upload(group, rows))))

    def join_data_coordinate_table(self, table: Any) -> Query:
        """Join data IDs given as a table.

        Parameters
        ----------
        table : `astropy.table.Table` or `pyarrow.Table`
            Its columns are dimensions.

        Returns
        -------
        query : `Query`
            The narrower query.

        Raises
        ------
        InvalidQueryError
            Raised if a required dimension has no column.
        """
        names = getattr(table, "column_names", None) or table.colnames
        group = self.universe.conform(names)
        missing = [n for n in group.required if n not in names]
        if missing:
            raise InvalidQueryError(
                f"the table has no column for dimension {', '.join(missing)}",
                hint=f"the columns of its data IDs are {', '.join(group.required)}",
            )
        columns = [table.column(n) if hasattr(table, "column") else table[n] for n in group.required]
        lists = [c.to_pylist() if hasattr(c, "to_pylist") else c.tolist() for c in columns]
        make = DataCoordinate.from_required_values
        return self.join_data_coordinates(make(group, row) for row in zip(*lists, strict=True))

    def materialize(
        self,
        *,
        dimensions: Iterable[str] | DimensionGroup | None = None,
        datasets: Iterable[str] | None = None,
    ) -> Query:
        """Run the query now, and go on from its data IDs.

        Parameters
        ----------
        dimensions : iterable of `str` or `DimensionGroup`, optional
            Dimensions to keep; by default all that are joined.
        datasets : iterable of `str`, optional
            Dataset types whose searches stay joined; all by default.

        Returns
        -------
        query : `Query`
            A query that gives the same answers for these dimensions and searches,
            without asking for them again.
        """
        request = self._request
        kept = {search.name for search in request.searches} if datasets is None else set(datasets)
        missing = sorted(kept - self.constraint_dataset_types)
        if missing:
            raise InvalidQueryError(
                f"no search for {missing[0]!r} is joined", hint="join_dataset_search first"
            )
        searches = tuple(search for search in request.searches if search.name in kept)
        if dimensions is not None:
            group = self.universe.conform(dimensions)
        else:
            group = replace(request, dimensions=self.universe.empty).plan(skip_implied=True).dimensions
        found = list(self.data_ids(group))
        rows = tuple(data_id.required_values for data_id in found)
        made = replace(
            request,
            joined=group,
            searches=searches,
            uploads=(Upload(group, rows),),
            conditions=(),
            data_id={},
        )
        # What was asked of datasets must still hold of those that stay.
        for condition in request.conditions if searches else ():
            with contextlib.suppress(InvalidQueryError):
                more = replace(made, conditions=(*made.conditions, condition))
                more.plan()
                made = more
        return self._with(made)

    def any(self, *, execute: bool = True, exact: bool = True) -> bool:
        """Whether the query has any row; see `QueryResults.any`."""
        return self.data_ids(self.constraint_dimensions).any(execute=execute, exact=exact)

    def explain_no_results(self, execute: bool = True) -> list[str]:
        """Say why there are no rows, one reason a line."""
        return self.data_ids(self.constraint_dimensions).explain_no_results(execute)

    def _values(
        self, field: str, dataset_type: str, condition: str, binds: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Values that a field has in datasets: the inner query of ``IN (SELECT …)``."""
        key = (field, dataset_type, condition, repr(sorted(binds.items(), key=repr)))
        if key not in self._answers:
            kind = self._registry.dataset_type(dataset_type)
            bare = self._with(
                replace(
                    self._request,
                    dimensions=self.universe.empty,
                    joined=self.universe.empty,
                    searches=(),
                    conditions=(),
                    data_id={},
                    uploads=(),
                )
            )
            query = bare.join_dataset_search(dataset_type, self._inner_path(dataset_type))
            if condition:
                query = query.where(condition, bind=binds)
            found: set[Any]
            if field in kind.dimensions.names:
                found = {data_id[field] for data_id in query.data_ids([field])}
            elif field in ("dataset_id", "run"):
                name = f"{dataset_type}.{field}"
                found = {row[name] for row in query.general([], name, find_first=False)}
            else:
                raise InvalidQueryError(
                    f"{dataset_type} has no dimension {field!r}",
                    hint=known_names(field, [*kind.dimensions.names, "dataset_id", "run"]),
                )
            self._answers[key] = sorted(value for value in found if value is not None)
        return self._answers[key]

    def _inner_path(self, dataset_type: str) -> Sequence[str] | None:
        """Collections of an inner query: those where the type is searched, else the default, else all."""
        for search in self._request.searches:
            if search.name == dataset_type:
                return [name for name, _ in search.path]
        return None if self._defaults else ["*"]

    def _search(
        self,
        dataset_type: str | DatasetType,
        names: str | Sequence[str] | None,
        *,
        find_first: bool,
        is_result: bool,
    ) -> tuple[DatasetSearch, DatasetType]:
        kind = self._registry.dataset_type(dataset_type)
        parent, component = kind.nameAndComponent()
        if component is not None and not is_result:
            raise MissingDatasetTypeError(
                f"cannot join a search for component {kind.name!r}", hint=f"use {parent!r}"
            )
        path = self._path(names, find_first=find_first)
        return DatasetSearch(parent, kind.dimensions, path, find_first, is_result), kind

    def _path(
        self, names: str | Sequence[str] | None, *, find_first: bool
    ) -> tuple[tuple[str, CollectionType], ...]:
        expression = self._expression(names)
        state = self._snapshot.state(collections.KIND)
        if find_first:
            for name in expression:
                if name not in state and is_pattern(name):
                    raise InvalidQueryError(
                        f"collection pattern {name!r} has no search order",
                        hint="name the collections, or pass find_first=False",
                    )
        chosen = collections.query_collections(self._snapshot, expression, flatten_chains=True)
        return tuple((name, collections.collection_type(self._snapshot, name)) for name in chosen)

    def _expression(self, names: object) -> list[str]:
        if names is None:
            if self._defaults:
                return list(self._defaults)
            known = self._snapshot.state(collections.KIND)
            raise NoDefaultCollectionError(
                "no collections to search: none are given, and the butler has no default",
                hint=f"pass collections=; {known_names('', known, what='collections')}",
            )
        if isinstance(names, str) or names is ...:
            names = ["*" if names is ... else names]
        if isinstance(names, Iterable):
            found = list(names)
            if all(isinstance(name, str) for name in found):
                return found
        raise InvalidQueryError(f"collections are given by name, not as {type(names).__name__} {names!r}")
