# SPDX-License-Identifier: BSD-3-Clause
"""Results of queries: refined like queries, executed when read."""

from __future__ import annotations

import operator
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.arrow import element_columns, records_from_rows
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.record_sets import DimensionRecordSet, DimensionRecordTable
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.errors import CalibrationLookupError, InvalidQueryError
from lakebutler.ids import uuid_from_int
from lakebutler.lake.collector import collector_paused
from lakebutler.lake.schema import Column, TableSchema
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.sorting import rows_to_table
from lakebutler.query import columnar
from lakebutler.query.attach import attach_records
from lakebutler.query.direct import Rows
from lakebutler.query.execute import any_row, batches, count_rows, searchable, select_rows
from lakebutler.query.explain import why_empty
from lakebutler.query.expression import Operation
from lakebutler.query.expression_factory import order_text
from lakebutler.query.plan import Plan
from lakebutler.query.request import Request, split_arguments
from lakebutler.query.shape import few_answers
from lakebutler.query.sky import Pairs
from lakebutler.query.sql import ANSWERS, select_sql

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "DataCoordinateQueryResults",
    "DatasetRefQueryResults",
    "DimensionRecordQueryResults",
    "QueryResults",
]

T = TypeVar("T")
_PART = 50_000
"""Rows that are made objects at a time."""


class QueryResults(Generic[T]):
    """Rows of a query, read when iterated.

    Parameters
    ----------
    request : `Request`
        What was asked for.
    snapshot : `Snapshot`
        The state that is read.
    """

    def __init__(self, request: Request, snapshot: Snapshot) -> None:
        self._request = request
        self._snapshot = snapshot

    def _with(self, request: Request) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._request = request
        return other

    @property
    def dimensions(self) -> DimensionGroup:
        """Dimensions of the result rows."""
        return self._request.dimensions

    def where(self, *args: object, bind: Mapping[str, Any] | None = None, **kwargs: Any) -> Self:
        """Add conditions; see `Query.where`."""
        return self._with(self._request.where(*split_arguments(args, kwargs, bind)))

    def order_by(self, *args: Any) -> Self:
        """Sort by names, with ``-`` in front from high to low, or by columns of an expression factory.

        An order given before is replaced; without a name there is none.
        """
        terms: tuple[Any, ...] = tuple(order_text(term) for term in args)
        return self._with(replace(self._request, order_by=terms))

    def limit(self, limit: int | None = None) -> Self:
        """Return that many rows at most; all if `None`."""
        try:
            limit = None if limit is None else operator.index(limit)
        except TypeError:
            raise InvalidQueryError(
                f"a limit is a whole number, not {type(limit).__name__} {limit!r}"
            ) from None
        if limit is not None and limit < 0:
            raise InvalidQueryError(f"a limit cannot be negative ({limit})", hint="use None for all rows")
        most = None if limit is None else min(limit, 2**62)  # more than any table has
        return self._with(replace(self._request, limit=most))

    def plan(self) -> Plan:
        """What has to be joined."""
        return self._request.plan()

    def explain(self) -> str:
        """The plan and the SQL, for a person."""
        plan = self.plan()
        shorter = searchable(plan, self._snapshot)
        statement = select_sql(shorter, self._snapshot.schemas(), extra=self._extra)
        values = "\n".join(f"-- ${name} = {_short(value)}" for name, value in statement.parameters.items())
        return f"{plan}\n\n{statement.sql}\n{values}".rstrip()

    def arrow(self) -> pa.Table:
        """Read everything as an Arrow table, without an object per row.

        Raises
        ------
        CalibrationLookupError
            Raised if the first dataset of each data ID is wanted, and several
            calibrations answer.
        """
        plan = searchable(self.plan(), self._snapshot)
        learnt: dict[Operation, Pairs] = {}
        found = few_answers(plan, self._snapshot, self._extra, learnt)
        if found is None:
            return self._checked_table(select_rows(plan, self._snapshot, self._extra, learnt))
        return rows_table(self._column_types(), *self._checked(found))

    def to_arrow(self) -> pa.Table:
        """Read everything as an Arrow table; the same as `arrow`."""
        return self.arrow()

    def to_pandas(self) -> Any:
        """Read everything as a `pandas.DataFrame`, with IDs as texts."""
        return columnar.pandas_frame(self.arrow())

    def to_polars(self) -> Any:
        """Read everything as a `polars.DataFrame`, with IDs as texts."""
        return columnar.polars_frame(self.arrow())

    def to_table(self) -> Any:
        """Read everything as an `astropy.table.Table`, with IDs as texts."""
        return columnar.astropy_table(self.arrow())

    def _parts(self) -> Iterator[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
        """Names and rows of the result, a part at a time."""
        plan = searchable(self.plan(), self._snapshot)
        learnt: dict[Operation, Pairs] = {}
        found = few_answers(plan, self._snapshot, self._extra, learnt)
        if found is not None:
            yield self._checked(found)
            return
        for table in batches(plan, self._snapshot, self._extra, learnt, _PART):
            part = self._checked_table(table)
            with collector_paused():
                columns = [
                    uuids(c) if name == "id" else values_of(c)
                    for name, c in zip(part.column_names, part.columns, strict=True)
                ]
                rows = list(zip(*columns, strict=True))
            yield tuple(part.column_names), rows

    def _checked(self, found: Rows) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        if not found.names or found.names[-1] != ANSWERS:
            return found.names, found.rows
        for row in found.rows:
            if row[-1] > 1:
                raise self._ambiguous(row[-1], dict(zip(found.names, row, strict=True)))
        return found.names[:-1], [row[:-1] for row in found.rows]

    def _checked_table(self, table: pa.Table) -> pa.Table:
        if ANSWERS not in table.column_names:
            return table
        answers = table.column(ANSWERS).to_pylist()
        worst = max(answers, default=1)
        if worst > 1:
            raise self._ambiguous(worst, table.slice(answers.index(worst), 1).to_pylist()[0])
        return table.drop_columns([ANSWERS])

    def _column_types(self) -> dict[str, str]:
        """Type of each column that a result may have, as the lake names it."""
        return column_types(self.dimensions, self._request.element)

    def _ambiguous(self, count: int, row: Mapping[str, Any] | None = None) -> CalibrationLookupError:
        target = next(s.name for s in self._request.searches if s.is_result)
        where = " for one data ID"
        if row is not None:
            names = tuple(name for name in self.dimensions.data_coordinate_keys if name in row)
            where = f" for {data_ids_of(self.dimensions, names, [tuple(row[n] for n in names)])[0]}"
        return CalibrationLookupError(
            f"{count} datasets of type {target!r} are valid{where}",
            hint="say when: add a dimension with a time such as exposure, or a condition on "
            f"{target}.timespan; or pass find_first=False",
        )

    def count(self, *, exact: bool = True, discard: bool = False) -> int:
        """Count the rows; always exact.

        Parameters
        ----------
        exact, discard : `bool`, optional
            Accepted as the field's interface has them; they change nothing.

        Returns
        -------
        count : `int`
            Number of rows.
        """
        del exact, discard
        plan = searchable(replace(self._request, order_by=()).plan(skip_implied=True), self._snapshot)
        learnt: dict[Operation, Pairs] = {}
        found = few_answers(plan, self._snapshot, ("id",) if plan.target is not None else (), learnt)
        if found is not None:
            return len(self._checked(found)[1])
        count, answers = count_rows(plan, self._snapshot, learnt)
        if answers > 1:
            raise self._ambiguous(answers)
        return count

    def any(self, *, execute: bool = True, exact: bool = True) -> bool:
        """Whether there is any row.

        Parameters
        ----------
        execute, exact : `bool`, optional
            Accepted as the field's interface has them; they change nothing.

        Returns
        -------
        any : `bool`
            Whether iteration would give something.
        """
        del execute, exact
        if self._request.limit == 0:
            return False
        plan = searchable(replace(self._request, order_by=()).plan(skip_implied=True), self._snapshot)
        return any_row(plan, self._snapshot)

    def explain_no_results(self, execute: bool = True) -> list[str]:
        """Say why there are no rows, one reason a line."""
        return why_empty(self._request, self._snapshot, execute=execute)

    @property
    def _extra(self) -> tuple[str, ...]:
        return ()

    def __iter__(self) -> Iterator[T]:
        raise TypeError(f"{type(self).__name__} cannot be iterated")


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 100 else shown[:97] + "..."


def data_ids_of(
    group: DimensionGroup, names: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> list[DataCoordinate]:
    """Make the data IDs of rows.

    Parameters
    ----------
    group : `DimensionGroup`
        Their dimensions.
    names : sequence of `str`
        Columns; the first are values of the dimensions, in order.
    rows : sequence of `tuple`
        The rows.

    Returns
    -------
    data_ids : `list` [`DataCoordinate`]
        With implied values, if the columns have them all.
    """
    keys = tuple(group.data_coordinate_keys)
    n = sum(name in keys for name in names)
    if not n:
        return [DataCoordinate.make_empty(group.universe)] * len(rows)
    make = DataCoordinate.from_full_values if n == len(keys) else DataCoordinate.from_required_values
    if n == len(names):
        return [make(group, row) for row in rows]
    return [make(group, row[:n]) for row in rows]


class DataCoordinateQueryResults(QueryResults[DataCoordinate]):
    """Data IDs that a query found."""

    def __iter__(self) -> Iterator[DataCoordinate]:
        for names, rows in self._parts():
            with collector_paused():
                data_ids = data_ids_of(self.dimensions, names, rows)
                if self._request.with_records:
                    data_ids = attach_records(self._snapshot, self.dimensions, data_ids)
            yield from data_ids

    def with_dimension_records(self) -> Self:
        """Let the data IDs carry their records."""
        return self._with(replace(self._request, with_records=True))

    @property
    def has_dimension_records(self) -> bool:
        """Whether the data IDs carry their records."""
        return self._request.with_records


class DimensionRecordQueryResults(QueryResults[DimensionRecord]):
    """Dimension records that a query found.

    Parameters
    ----------
    request : `Request`
        What was asked for.
    snapshot : `Snapshot`
        The state that is read.
    element : `DimensionElement`
        Whose records.
    """

    def __init__(self, request: Request, snapshot: Snapshot, element: DimensionElement) -> None:
        super().__init__(request, snapshot)
        self.element = element

    def __iter__(self) -> Iterator[DimensionRecord]:
        for _, rows in self._parts():
            yield from records_from_rows(self.element, rows)

    def iter_set_pages(self) -> Iterator[DimensionRecordSet]:
        """Yield the records as sets, one for each part that is read."""
        for _, rows in self._parts():
            yield DimensionRecordSet(self.element, records_from_rows(self.element, rows))

    def iter_table_pages(self) -> Iterator[DimensionRecordTable]:
        """Yield the records as Arrow tables, one for each part that is read."""
        for _, rows in self._parts():
            yield DimensionRecordTable(self.element, records_from_rows(self.element, rows))


class DatasetRefQueryResults(QueryResults[DatasetRef]):
    """Datasets that a query found.

    Parameters
    ----------
    request : `Request`
        What was asked for.
    snapshot : `Snapshot`
        The state that is read.
    dataset_type : `DatasetType`
        Their type.
    """

    def __init__(self, request: Request, snapshot: Snapshot, dataset_type: DatasetType) -> None:
        super().__init__(request, snapshot)
        self.dataset_type = dataset_type

    @property
    def _extra(self) -> tuple[str, ...]:
        return ("id", "run")

    def __iter__(self) -> Iterator[DatasetRef]:
        kind = self.dataset_type
        for names, rows in self._parts():
            with collector_paused():
                data_ids = data_ids_of(self.dimensions, names, rows)
                if self._request.with_records:
                    data_ids = attach_records(self._snapshot, self.dimensions, data_ids)
                refs = [
                    DatasetRef(kind, data_id, row[-1], row[-2], False)
                    for data_id, row in zip(data_ids, rows, strict=True)
                ]
            yield from refs

    @property
    def data_ids(self) -> DataCoordinateQueryResults:
        """Data IDs of the datasets."""
        searches = tuple(replace(search, is_result=False) for search in self._request.searches)
        return DataCoordinateQueryResults(replace(self._request, searches=searches), self._snapshot)

    def with_dimension_records(self) -> Self:
        """Let the data IDs carry their records."""
        return self._with(replace(self._request, with_records=True))

    @property
    def has_dimension_records(self) -> bool:
        """Whether the data IDs carry their records."""
        return self._request.with_records


def column_types(group: DimensionGroup, element: str | None) -> dict[str, str]:
    """Types of the columns of a result.

    Parameters
    ----------
    group : `DimensionGroup`
        Its dimensions.
    element : `str` or `None`
        The element, if the result is its records.

    Returns
    -------
    types : `dict` [`str`, `str`]
        As `lakebutler.lake.schema.Column` names them; of columns it may not have, too.
    """
    if element is not None:
        return dict(element_columns(group.universe[element]))
    kinds = {"int": "int64", "string": "string"}
    types = {
        name: kinds[group.universe.dimensions[name].primary_key.type] for name in group.data_coordinate_keys
    }
    return {**types, **_DATASET_COLUMNS}


_DATASET_COLUMNS = {"id": "uuid", "run": "string", "collection": "string", "ingest_date": "timestamp"}


def rows_table(types: Mapping[str, str], names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Make an Arrow table of rows.

    Parameters
    ----------
    types : mapping [`str`, `str`]
        Types of the columns.
    names : sequence of `str`
        The columns.
    rows : sequence of `tuple`
        The rows.

    Returns
    -------
    table : `pyarrow.Table`
        As DuckDB would give it.
    """
    import pyarrow as pa

    if not names:
        return pa.table({"one": pa.array([1] * len(rows), pa.int32())})
    # A result may have names that no table's column may have, such as ``visit.exposure_time``.
    columns = tuple(Column(f"c{i}", types[name]) for i, name in enumerate(names))
    return rows_to_table(TableSchema("rows", columns, (), ()), rows).rename_columns(list(names))


def values_of(column: Any) -> list[Any]:
    """Read a column as Python's values, equal texts as one object.

    Parameters
    ----------
    column : `pyarrow.ChunkedArray`
        Of any type.

    Returns
    -------
    values : `list`
        The values.
    """
    import pyarrow as pa

    if not pa.types.is_string(column.type) or len(column) < 1000:
        found: list[Any] = column.to_pylist()
        return found
    values: list[Any] = []
    for chunk in column.dictionary_encode().chunks:
        texts = [*chunk.dictionary.to_pylist(), None]
        codes = chunk.indices
        if codes.null_count:
            codes = codes.fill_null(len(texts) - 1)
        values.extend(map(texts.__getitem__, codes.to_pylist()))
    return values


def uuids(column: Any) -> list[uuid.UUID]:
    """Read a column of UUIDs, fast.

    Parameters
    ----------
    column : `pyarrow.ChunkedArray`
        Of Arrow's UUID type, or sixteen bytes.

    Returns
    -------
    ids : `list` [`uuid.UUID`]
        The values.
    """
    import pyarrow as pa

    made: list[uuid.UUID] = []
    for chunk in column.chunks:
        storage = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
        if not len(storage):
            continue
        if not pa.types.is_fixed_size_binary(storage.type):
            made.extend(uuid.UUID(text) for text in storage.to_pylist())
            continue
        raw = bytes(storage.buffers()[1])[16 * storage.offset : 16 * (storage.offset + len(storage))]
        made.extend([uuid_from_int(int.from_bytes(raw[i : i + 16], "big")) for i in range(0, len(raw), 16)])
    return made
