# SPDX-License-Identifier: BSD-3-Clause
"""Results of queries: refined like queries, executed when read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.arrow import table_to_records
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.errors import CalibrationLookupError, InvalidQueryError
from lakebutler.ids import uuid_from_int
from lakebutler.lake import engine
from lakebutler.lake.snapshot import Snapshot
from lakebutler.query.explain import holders, why_empty
from lakebutler.query.plan import Plan, keep_collections
from lakebutler.query.request import Request, split_arguments
from lakebutler.query.sql import ANSWERS, Statement, any_sql, count_sql, select_sql
from lakebutler.registry.schema import dimension_schema, dimension_table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "DataCoordinateQueryResults",
    "DatasetRefQueryResults",
    "DimensionRecordQueryResults",
    "QueryResults",
]

T = TypeVar("T")


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

    def order_by(self, *args: str) -> Self:
        """Sort by names; ``-`` in front of one sorts from high to low."""
        return self._with(replace(self._request, order_by=self._request.order_by + args))

    def limit(self, limit: int | None = None) -> Self:
        """Return that many rows at most; all if `None`."""
        if limit is not None and limit < 0:
            raise InvalidQueryError(f"a limit cannot be negative ({limit})", hint="use None for all rows")
        return self._with(replace(self._request, limit=limit))

    def plan(self) -> Plan:
        """What has to be joined."""
        return self._request.plan()

    def explain(self) -> str:
        """The plan and the SQL, for a person."""
        plan = self.plan()
        statement = select_sql(self._searchable(plan), self._snapshot.schemas(), extra=self._extra)
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
        plan = self._searchable(self.plan())
        table = self._execute(select_sql(plan, self._snapshot.schemas(), extra=self._extra))
        if ANSWERS in table.column_names:
            answers = table.column(ANSWERS).to_pylist()
            worst = max(answers, default=1)
            if worst > 1:
                raise self._ambiguous(worst, table.slice(answers.index(worst), 1))
            table = table.drop_columns([ANSWERS])
        return table

    def _execute(self, statement: Statement) -> pa.Table:
        try:
            return engine.query(self._snapshot, statement.sql, statement.parameters)
        except InvalidQueryError as exc:
            if exc.message.startswith("Out of Range Error"):
                raise InvalidQueryError(
                    "a number in the condition leaves the range of 64-bit integers"
                ) from None
            raise

    def _searchable(self, plan: Plan) -> Plan:
        """Pass over collections that hold nothing."""
        return keep_collections(
            plan, [(s.name, name) for s in plan.searches for name in holders(self._snapshot, s)]
        )

    def _ambiguous(self, count: int, row: pa.Table | None = None) -> CalibrationLookupError:
        target = next(s.name for s in self._request.searches if s.is_result)
        where = f" for {_data_ids(self.dimensions, row)[0]}" if row is not None else " for one data ID"
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
        plan = self._searchable(self._request.plan(skip_implied=True))
        (row,) = self._execute(count_sql(plan, self._snapshot.schemas())).to_pylist()
        count, *answers = row.values()
        if answers and (answers[0] or 1) > 1:
            raise self._ambiguous(answers[0])
        return int(count)

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
        plan = self._searchable(self._request.plan(skip_implied=True))
        return bool(self._execute(any_sql(plan, self._snapshot.schemas())).num_rows)

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


def _data_ids(group: DimensionGroup, table: pa.Table) -> list[DataCoordinate]:
    names = [name for name in group.data_coordinate_keys if name in table.column_names]
    columns = [table.column(name).to_pylist() for name in names]
    if not columns:
        return [DataCoordinate.make_empty(group.universe)] * table.num_rows
    rows = zip(*columns, strict=True)
    if len(names) == len(group.data_coordinate_keys):
        full = DataCoordinate.from_full_values
        return [full(group, row) for row in rows]
    required = DataCoordinate.from_required_values
    return [required(group, row) for row in rows]


def attach_records(
    snapshot: Snapshot, group: DimensionGroup, data_ids: Sequence[DataCoordinate]
) -> list[DataCoordinate]:
    """Fetch the records of many data IDs, one look-up per element.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    group : `DimensionGroup`
        Dimensions of all the data IDs.
    data_ids : sequence of `DataCoordinate`
        With implied values.

    Returns
    -------
    data_ids : `list` [`DataCoordinate`]
        The same with records.
    """
    found: dict[str, dict[tuple[Any, ...], DimensionRecord]] = {}
    getters: dict[str, tuple[int, ...]] = {}
    keys = tuple(group.data_coordinate_keys)
    for name in group.elements:
        element = group.universe[name]
        if element.has_own_table:
            getters[name] = tuple(keys.index(n) for n in element.required.names)
            wanted = {tuple([d.full_values[i] for i in getters[name]]) for d in data_ids}
            found[name] = _fetch(snapshot, element, {k for k in wanted if None not in k})
    result = []
    for data_id in data_ids:
        values = data_id.full_values
        records = {
            name: found[name].get(tuple([values[i] for i in places])) for name, places in getters.items()
        }
        result.append(data_id.expanded(records))
    return result


def _fetch(
    snapshot: Snapshot, element: DimensionElement, keys: set[tuple[Any, ...]]
) -> dict[tuple[Any, ...], DimensionRecord]:
    import pyarrow as pa

    table = dimension_table(element.name)
    if table not in snapshot.schemas() or not keys:
        return {}
    names = tuple(element.required.names)
    schema = dimension_schema(element).arrow
    arrays = [pa.array(c, schema.field(n).type) for n, c in zip(names, zip(*keys, strict=True), strict=True)]
    rows = snapshot.match(table, names, pa.table(arrays, names=list(names)))
    return {record.dataId.required_values: record for record in table_to_records(element, rows)}


class DataCoordinateQueryResults(QueryResults[DataCoordinate]):
    """Data IDs that a query found."""

    def __iter__(self) -> Iterator[DataCoordinate]:
        table = self.arrow()
        data_ids = _data_ids(self.dimensions, table)
        if self._request.with_records:
            data_ids = attach_records(self._snapshot, self.dimensions, data_ids)
        return iter(data_ids)

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
        return iter(table_to_records(self.element, self.arrow()))


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
        table = self.arrow()
        data_ids = _data_ids(self.dimensions, table)
        if self._request.with_records:
            data_ids = attach_records(self._snapshot, self.dimensions, data_ids)
        kind = self.dataset_type
        return iter(
            [
                DatasetRef(kind, data_id, run=run, id=dataset_id, conform=False)
                for data_id, run, dataset_id in zip(
                    data_ids, table.column("run").to_pylist(), uuids(table.column("id")), strict=True
                )
            ]
        )

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
