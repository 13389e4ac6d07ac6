# SPDX-License-Identifier: BSD-3-Clause
"""What ``butler.registry.query*`` give back: the results of queries, by their older names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.dimensions.universe import DimensionUniverse

if TYPE_CHECKING:
    from lakebutler.query.query import Query
    from lakebutler.query.results import DataCoordinateQueryResults, DatasetRefQueryResults, QueryResults

__all__ = ["DatasetResults", "RegistryDataIds", "RegistryDatasets", "RegistryRecords"]

T = TypeVar("T")


class _Results(Generic[T]):
    """Results that pass on to those of a query."""

    def __init__(self, found: QueryResults[T]) -> None:
        self._found = found

    def _with(self, found: QueryResults[T]) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._found = found
        return other

    def __iter__(self) -> Iterator[T]:
        return iter(self._found)

    def order_by(self, *args: str) -> Self:
        """Sort by names; ``-`` in front of one sorts from high to low."""
        return self._with(self._found.order_by(*args))

    def limit(self, limit: int) -> Self:
        """Return that many at most."""
        return self._with(self._found.limit(limit))

    def count(self, *, exact: bool = True, discard: bool = False) -> int:
        """Count them; always exact."""
        return self._found.count(exact=exact, discard=discard)

    def any(self, *, execute: bool = True, exact: bool = True) -> bool:
        """Whether there is any."""
        return self._found.any(execute=execute, exact=exact)

    def explain_no_results(self, execute: bool = True) -> Iterable[str]:
        """Why there are none, one line for each reason."""
        return self._found.explain_no_results(execute)


class RegistryRecords(_Results[DimensionRecord]):
    """Dimension records that a query found.

    Parameters
    ----------
    found : `QueryResults`
        Of the query.
    element : `DimensionElement`
        What the records are of.
    """

    def __init__(self, found: QueryResults[DimensionRecord], element: DimensionElement) -> None:
        super().__init__(found)
        self.element = element

    def run(self) -> Iterator[DimensionRecord]:
        """The same as iterating."""
        return iter(self)


class RegistryDataIds(_Results[DataCoordinate]):
    """Data IDs that a query found.

    Parameters
    ----------
    query : `Query`
        The query, with all its conditions.
    dimensions : `DimensionGroup`
        Dimensions of the data IDs.
    """

    def __init__(self, query: Query, dimensions: DimensionGroup) -> None:
        super().__init__(query.data_ids(dimensions))
        self._query = query
        self._records = False

    _found: DataCoordinateQueryResults

    @property
    def dimensions(self) -> DimensionGroup:
        """Dimensions of the data IDs."""
        return self._found.dimensions

    @property
    def universe(self) -> DimensionUniverse:
        """The repository's dimensions."""
        return self.dimensions.universe

    def hasFull(self) -> bool:
        """Whether the data IDs have implied values: always."""
        return True

    def hasRecords(self) -> bool:
        """Whether the data IDs have records."""
        return self._records

    def expanded(self) -> Self:
        """The same with records."""
        other = self._with(self._found.with_dimension_records())
        other._records = True
        return other

    @contextlib.contextmanager
    def materialize(self) -> Iterator[Self]:
        """The same: what a query finds does not change, it reads one snapshot."""
        yield self

    def subset(
        self, dimensions: DimensionGroup | Iterable[str] | None = None, *, unique: bool = False
    ) -> RegistryDataIds:
        """Data IDs of fewer dimensions, each once.

        Parameters
        ----------
        dimensions : `DimensionGroup` or iterable of `str`, optional
            Which; all by default.
        unique : `bool`, optional
            Accepted as the field's interface has it; they are always unique.

        Returns
        -------
        data_ids : `RegistryDataIds`
            The data IDs.
        """
        del unique
        group = self.dimensions if dimensions is None else self.universe.conform(dimensions)
        return RegistryDataIds(self._query.join_dimensions(self.dimensions), group)

    def toSet(self) -> set[DataCoordinate]:
        """The data IDs as a set."""
        return set(self)

    def toSequence(self) -> list[DataCoordinate]:
        """The data IDs as a list."""
        return list(self)

    def findDatasets(
        self,
        datasetType: DatasetType | str,
        collections: Any,
        *,
        findFirst: bool = True,
    ) -> RegistryDatasets:
        """Find datasets whose dimensions are among those of the data IDs.

        Parameters
        ----------
        datasetType : `DatasetType` or `str`
            Which.
        collections : `str` or sequence of `str`
            Where, in search order.
        findFirst : `bool`, optional
            Whether only the first dataset of each data ID counts.

        Returns
        -------
        datasets : `RegistryDatasets`
            The datasets.
        """
        query = self._query.join_dimensions(self.dimensions)
        return RegistryDatasets.of(query, [datasetType], collections, find_first=findFirst)

    def findRelatedDatasets(
        self,
        datasetType: DatasetType | str,
        collections: Any,
        *,
        findFirst: bool = True,
        dimensions: DimensionGroup | Iterable[str] | None = None,
    ) -> Iterator[tuple[DataCoordinate, DatasetRef]]:
        """Find datasets that go with the data IDs, by whatever relates their dimensions.

        Parameters
        ----------
        datasetType : `DatasetType` or `str`
            Which.
        collections : `str` or sequence of `str`
            Where, in search order.
        findFirst : `bool`, optional
            Whether only the first dataset of each data ID counts.
        dimensions : `DimensionGroup` or iterable of `str`, optional
            Dimensions of the data IDs to return; all by default.

        Yields
        ------
        data_id : `DataCoordinate`
            A data ID.
        ref : `DatasetRef`
            A dataset that goes with it.
        """
        group = self.dimensions if dimensions is None else self.universe.conform(dimensions)
        kind = self._query.datasets(datasetType, collections, find_first=findFirst).dataset_type
        name, component = kind.nameAndComponent()
        # Rows have all dimensions of the data IDs: their time chooses among calibrations.
        rows = self._query.join_dataset_search(name, collections).general(
            self.dimensions.union(kind.dimensions),
            dataset_fields={name: {"dataset_id", "run"}},
            find_first=findFirst,
        )
        if self._records:
            rows = rows.with_dimension_records()
        whole = kind if component is None else kind.makeCompositeDatasetType()
        seen = set()
        for row in rows.iter_tuples(whole):
            data_id = row.data_id.subset(group)
            (ref,) = row.refs
            if (data_id, ref.id) not in seen:
                seen.add((data_id, ref.id))
                yield data_id, ref if component is None else ref.makeComponentRef(component)


class DatasetResults(_Results[DatasetRef]):
    """Datasets of one type that a query found.

    Parameters
    ----------
    found : `DatasetRefQueryResults`
        Of the query.
    query : `Query`
        The query, with the search of the datasets joined.
    """

    _found: DatasetRefQueryResults

    def __init__(self, found: DatasetRefQueryResults, query: Query) -> None:
        super().__init__(found)
        self._query = query

    @property
    def parentDatasetType(self) -> DatasetType:
        """Their type."""
        return self._found.dataset_type

    @property
    def dataIds(self) -> RegistryDataIds:
        """Their data IDs."""
        return RegistryDataIds(self._query, self._found.dimensions)._with(self._found.data_ids)

    def expanded(self) -> Self:
        """The same, with records in their data IDs."""
        return self._with(self._found.with_dimension_records())

    def byParentDatasetType(self) -> Iterator[Self]:
        """The same, as the only one of its kind."""
        yield self

    @contextlib.contextmanager
    def materialize(self) -> Iterator[Self]:
        """The same: what a query finds does not change, it reads one snapshot."""
        yield self


class RegistryDatasets:
    """Datasets of some types that queries found.

    Parameters
    ----------
    parts : iterable of `DatasetResults`
        One for each dataset type.
    missing : iterable of `str`, optional
        What was asked for, and is no dataset type.
    """

    def __init__(self, parts: Iterable[DatasetResults], missing: Iterable[str] = ()) -> None:
        self._parts = list(parts)
        self._missing = tuple(missing)
        self._limit: int | None = None

    @classmethod
    def of(
        cls,
        query: Query,
        kinds: Iterable[DatasetType | str],
        collections: Any,
        *,
        find_first: bool,
        missing: Iterable[str] = (),
    ) -> RegistryDatasets:
        """Find datasets of some types with a query.

        Parameters
        ----------
        query : `Query`
            The query, with all its conditions.
        kinds : iterable of `DatasetType` or `str`
            The types.
        collections : `str` or sequence of `str`
            Where, in search order.
        find_first : `bool`
            Whether only the first dataset of each data ID counts.
        missing : iterable of `str`, optional
            What was asked for, and is no dataset type.

        Returns
        -------
        datasets : `RegistryDatasets`
            Read when iterated.
        """
        parts = []
        for kind in kinds:
            found = query.datasets(kind, collections, find_first=find_first)
            name = found.dataset_type.nameAndComponent()[0]
            parts.append(DatasetResults(found, query.join_dataset_search(name, collections)))
        return cls(parts, missing)

    def _with(self, parts: Iterable[DatasetResults]) -> RegistryDatasets:
        other = RegistryDatasets(parts, self._missing)
        other._limit = self._limit
        return other

    def __iter__(self) -> Iterator[DatasetRef]:
        return islice((ref for part in self._parts for ref in part), self._limit)

    def byParentDatasetType(self) -> Iterator[DatasetResults]:
        """Yield the datasets of each type."""
        return iter(self._parts)

    def expanded(self) -> RegistryDatasets:
        """The same, with records in their data IDs."""
        return self._with(part.expanded() for part in self._parts)

    @contextlib.contextmanager
    def materialize(self) -> Iterator[RegistryDatasets]:
        """The same: what a query finds does not change, it reads one snapshot."""
        yield self

    def order_by(self, *args: str) -> RegistryDatasets:
        """Sort by names, within each dataset type; ``-`` in front of one sorts from high to low."""
        return self._with(part.order_by(*args) for part in self._parts)

    def limit(self, limit: int) -> RegistryDatasets:
        """Return that many at most, over all types."""
        other = self._with(part.limit(limit) for part in self._parts)
        other._limit = limit
        return other

    def count(self, *, exact: bool = True, discard: bool = False) -> int:
        """Count them; always exact."""
        number = sum(part.count(exact=exact, discard=discard) for part in self._parts)
        return number if self._limit is None else min(number, self._limit)

    def any(self, *, execute: bool = True, exact: bool = True) -> bool:
        """Whether there is any."""
        return any(part.any(execute=execute, exact=exact) for part in self._parts)

    def explain_no_results(self, execute: bool = True) -> Iterable[str]:
        """Why there are none, one line for each reason."""
        unknown = [f"there is no dataset type {name!r}" for name in self._missing]
        return unknown + [reason for part in self._parts for reason in part.explain_no_results(execute)]

    @property
    def dataIds(self) -> Any:
        """Data IDs of the datasets: `RegistryDataIds` where they are of one type, else an iterator."""
        if len(self._parts) == 1:
            return self._parts[0].dataIds
        return (data_id for part in self._parts for data_id in part.dataIds)

    @property
    def parentDatasetType(self) -> DatasetType:
        """Type of the datasets, where there is only one."""
        (part,) = self._parts
        return part.parentDatasetType
