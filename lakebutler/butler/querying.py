# SPDX-License-Identifier: BSD-3-Clause
"""Ask what there is."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from lakebutler.butler.base import ButlerBase
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.errors import EmptyQueryResultError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakebutler.query.query import Query
    from lakebutler.query.results import QueryResults

__all__ = ["QueryingButler", "sql_table"]

T = TypeVar("T")


class QueryingButler(ButlerBase):
    """The asking verbs of `Butler`."""

    @contextlib.contextmanager
    def query(self) -> Iterator[Query]:
        """Query one snapshot of the repository.

        Yields
        ------
        query : `Query`
            To be narrowed and read; it stays usable after the block, too: a
            snapshot holds no lock and no connection.
        """
        with self._session.held():
            yield self._query()

    def _query(self) -> Query:
        from lakebutler.query.query import Query

        defaults = dict(self._defaults.data_id)
        for name in self.dimensions.governor_dimensions.names:
            if name not in defaults:
                value = self._defaults.governor(self._registry, name)
                if value is not None:
                    defaults[name] = value
        return Query(self._registry, self._defaults.collections, defaults)

    def query_datasets(
        self,
        dataset_type: str | DatasetType,
        collections: str | Sequence[str] | None = None,
        *,
        find_first: bool = True,
        data_id: DataCoordinate | Mapping[str, Any] | None = None,
        where: str = "",
        bind: Mapping[str, Any] | None = None,
        with_dimension_records: bool = False,
        order_by: Iterable[str] | str | None = None,
        limit: int | None = None,
        explain: bool = True,
        **kwargs: Any,
    ) -> list[DatasetRef]:
        """Find datasets.

        Parameters
        ----------
        dataset_type : `str` or `DatasetType`
            Which.
        collections : `str` or sequence of `str`, optional
            Where, in search order; the default collections if not given.
        find_first : `bool`, optional
            Whether only the first dataset of each data ID counts.
        data_id : `DataCoordinate` or mapping, optional
            Values to fix.
        where : `str`, optional
            A condition in the where-language.
        bind : mapping, optional
            Values of its bind variables.
        with_dimension_records : `bool`, optional
            Whether data IDs carry their records.
        order_by : iterable of `str` or `str`, optional
            Names to sort by, ``-`` in front for descending.
        limit : `int`, optional
            How many at most; all by default.  A negative number is a cap with a
            warning.
        explain : `bool`, optional
            Whether finding nothing is an error that says why.
        **kwargs
            More values to fix.

        Returns
        -------
        refs : `list` [`DatasetRef`]
            With full data IDs.

        Raises
        ------
        EmptyQueryResultError
            Raised if there are none and ``explain`` is true.
        """
        with self.query() as query:
            results = query.datasets(dataset_type, collections, find_first=find_first)
            results = results.where(data_id, where, bind=bind, **kwargs)
            if with_dimension_records:
                results = results.with_dimension_records()
            return _read(results, order_by, limit, explain=explain)

    def query_data_ids(
        self,
        dimensions: DimensionGroup | Iterable[str] | str,
        *,
        data_id: DataCoordinate | Mapping[str, Any] | None = None,
        where: str = "",
        bind: Mapping[str, Any] | None = None,
        with_dimension_records: bool = False,
        order_by: Iterable[str] | str | None = None,
        limit: int | None = None,
        explain: bool = True,
        **kwargs: Any,
    ) -> list[DataCoordinate]:
        """Find data IDs; arguments as for `query_datasets`.

        Returns
        -------
        data_ids : `list` [`DataCoordinate`]
            With implied values.
        """
        with self.query() as query:
            results = query.data_ids(dimensions).where(data_id, where, bind=bind, **kwargs)
            if with_dimension_records:
                results = results.with_dimension_records()
            return _read(results, order_by, limit, explain=explain)

    def query_dimension_records(
        self,
        element: str,
        *,
        data_id: DataCoordinate | Mapping[str, Any] | None = None,
        where: str = "",
        bind: Mapping[str, Any] | None = None,
        order_by: Iterable[str] | str | None = None,
        limit: int | None = None,
        explain: bool = True,
        **kwargs: Any,
    ) -> list[DimensionRecord]:
        """Find dimension records; arguments as for `query_datasets`.

        Returns
        -------
        records : `list` [`DimensionRecord`]
            The records.
        """
        with self.query() as query:
            results = query.dimension_records(element).where(data_id, where, bind=bind, **kwargs)
            return _read(results, order_by, limit, explain=explain)

    def sql(
        self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Ask in SQL, on one snapshot.

        Parameters
        ----------
        query : `str`
            One statement that reads.  Views have the names that a person would
            use: dataset types (``raw``), dimensions (``exposure``),
            ``collection``, ``dataset_type``, ``membership``.
        params : sequence or mapping, optional
            Values of its parameters.

        Returns
        -------
        rows : `duckdb.DuckDBPyRelation`
            Run when its rows are asked for (``fetchall()``, ``df()``, ``pl()``,
            ``to_arrow_table()``, ``show()``), and open to more (``filter``,
            ``aggregate``, ``order``).  Its connection can read the tables of the
            snapshot and nothing else.

        Raises
        ------
        InvalidQueryError
            Raised if DuckDB refuses it, or it does more than read.
        """
        from lakebutler.lake import engine
        from lakebutler.registry.views import query_views

        snapshot = self._session.snapshot
        tables, views = query_views(snapshot, query)
        return engine.lazy(snapshot, query, params, tables=tables, views=views)


def sql_table(butler: ButlerBase, query: str, params: Sequence[Any] | None = None) -> pa.Table:
    """Return all rows of what `Butler.sql` would ask.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    query, params
        As for `Butler.sql`.

    Raises
    ------
    InvalidQueryError
        Raised if DuckDB refuses it, also while it runs.
    """
    from lakebutler.lake import engine
    from lakebutler.registry.views import query_views

    snapshot = butler._session.snapshot
    tables, views = query_views(snapshot, query)
    return engine.query(snapshot, query, params, tables=tables, views=views)


def _read(
    results: QueryResults[T], order_by: Iterable[str] | str | None, limit: int | None, *, explain: bool
) -> list[T]:
    if order_by is not None:
        results = results.order_by(*([order_by] if isinstance(order_by, str) else order_by))
    if limit == 0:
        results.plan()  # a query that makes no sense is an error all the same
        return []
    if limit is not None:
        results = results.limit(abs(limit) + (limit < 0))
    rows = list(results)
    if limit is not None and limit < 0 and len(rows) > -limit:
        warnings.warn(f"more than {-limit} rows: the rest is cut off (pass limit=None for all)", stacklevel=3)
        rows = rows[:-limit]
    if not rows and explain:
        raise EmptyQueryResultError(results.explain_no_results() or ["the query found nothing"])
    return rows
