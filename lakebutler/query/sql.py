# SPDX-License-Identifier: BSD-3-Clause
"""A plan as SQL for DuckDB: names quoted, values bound, never pasted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lakebutler.dimensions.arrow import element_columns
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.query.columns import ColumnRef
from lakebutler.query.expression import Operation
from lakebutler.query.expression_sql import UNBOUNDED, Columns, Parameters, expression, quote
from lakebutler.query.joins import DatasetSearch, Upload
from lakebutler.query.plan import Order, Plan, sky_keys
from lakebutler.registry.schema import dataset_layout, dimension_schema, dimension_table

__all__ = ["ANSWERS", "Statement", "any_sql", "count_sql", "select_sql"]

ANSWERS = "answers"
"""Column that counts the datasets found for a data ID, where there must be one."""

_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "uuid": "UUID",
    "binary": "BLOB",
    "timestamp": "TIMESTAMPTZ",
}
Source = Callable[[str | Operation | Upload, DatasetSearch | None], str]
"""SQL of a relation, from the name of its table or the overlap whose pairs it holds."""

_MANY = 20
"""Search paths of more collections than this are one parameter."""


@dataclass(frozen=True)
class Statement:
    """SQL and the values of its parameters.

    Attributes
    ----------
    sql : `str`
        With ``$p1``, ``$p2``… for the parameters.
    parameters : `dict`
        Their values, by name.
    """

    sql: str
    parameters: dict[str, Any] = field(default_factory=dict)


class _Writer:
    """Gathers relations, and knows where each column comes from."""

    def __init__(self, plan: Plan, tables: Iterable[str], source: Source | None) -> None:
        self.plan = plan
        self.source: Source = source if source is not None else _by_name
        self.universe = plan.dimensions.universe
        self.tables = frozenset(tables)
        self.parameters = Parameters()
        self.columns = Columns()
        self._relations: list[str] = []

    def expression(self, bound: Any) -> str:
        return expression(bound, self.columns, self.parameters)

    # -- FROM and WHERE

    def write_from(self) -> str:
        for i, search in enumerate(self.plan.searches):
            alias = f"d{i}"
            self.columns.searches[search.name] = alias
            provides = {name: f"{alias}.{quote(name)}" for name in search.dimensions.required}
            self._add(self._search(search), alias, provides)
        for i, upload in enumerate(self.plan.uploads):
            given = {name: f"u{i}.{quote(name)}" for name in upload.dimensions.required}
            self._add(self.source(upload, None), f"u{i}", given)
        for i, op in enumerate(self.plan.skies):
            keys = sky_keys(op, self.universe)
            self._add(self.source(op, None), f"s{i}", {name: f"s{i}.{quote(name)}" for name in keys})
        for name in self._join_order():
            element = self.universe[name]
            self.columns.elements[name] = alias = quote(name)
            table = dimension_table(name)
            relation = self.source(table, None) if table in self.tables else _empty(element)
            names = (*element.required.names, *element.implied.names)
            self._add(relation, alias, {n: f"{alias}.{quote(n)}" for n in names})
        for name in self.plan.unions:
            self._add(self._union(name), quote(name), {name: f"{quote(name)}.{quote(name)}"})
        self.columns.pairs = self._pairs
        sql = "\n".join(self._relations) or "(SELECT 1)"
        bounds = [*self.plan.overlaps, *([self.plan.where] if self.plan.where is not None else [])]
        return sql + (f"\nWHERE {' AND '.join(map(self.expression, bounds))}" if bounds else "")

    def _pairs(self, op: Operation) -> str:
        """An overlap on the sky that need not hold: looked up among the pairs that do."""
        have = self.columns.dimensions
        keys = sky_keys(op, self.universe)
        same = " AND ".join(f"p.{quote(name)} = {have[name]}" for name in keys) or "true"
        owners = [operand.owner for operand in op.operands if isinstance(operand, ColumnRef)]
        unknown = [f"{alias}.region IS NULL" for n in owners if (alias := self.columns.elements.get(n))]
        found = f"EXISTS (SELECT 1 FROM {self.source(op, None)} AS p WHERE {same})"
        if not unknown:
            return found
        return f"CASE WHEN {' OR '.join(unknown)} THEN NULL ELSE {found} END"

    def _join_order(self) -> list[str]:
        """Order in which each table shares a column with what is there, where one can."""
        waiting = list(self.plan.elements)
        have = set(self.columns.dimensions)
        order: list[str] = []
        while waiting:
            best = max(waiting, key=lambda n: (self._shared(n, have), self.universe[n].index))
            waiting.remove(best)
            order.append(best)
            element = self.universe[best]
            have.update((*element.required.names, *element.implied.names))
        return order

    def _shared(self, name: str, have: set[str]) -> int:
        required = set(self.universe[name].required.names)
        return 2 * (required <= have) + bool(required & have)

    def _add(self, relation: str, alias: str, provides: Mapping[str, str]) -> None:
        have = self.columns.dimensions
        on = [f"{have[name]} = {column}" for name, column in provides.items() if name in have]
        text = f"{relation} AS {alias}"
        if not self._relations:
            self._relations.append(text)
        elif on:
            self._relations.append(f"JOIN {text} ON {' AND '.join(on)}")
        else:
            self._relations.append(f"CROSS JOIN {text}")
        for name, column in provides.items():
            have.setdefault(name, column)

    def _search(self, search: DatasetSearch) -> str:
        layout = dataset_layout(search.dimensions)
        dims = [quote(name) for name in layout.dimensions]
        if layout.table not in self.tables or not search.path:
            return _no_datasets(search)
        names = [name for name, _ in search.path]
        kind = self.parameters.add(search.name, "string")
        if len(names) > _MANY:
            among = f"SELECT unnest({self.parameters.add_list(names, 'string')})"
        else:
            among = ", ".join(self.parameters.add(name, "string") for name in names)
        table = self.source(layout.table, search)
        source = f"FROM {table} WHERE dataset_type = {kind} AND collection IN ({among})"
        if not search.is_result and not self.plan.uses(search):
            if len(names) == 1 and not search.has_validity:
                return f"(SELECT {', '.join([*dims, 'id'])} {source})"
            return f"(SELECT DISTINCT {', '.join(dims) or '1 AS one'} {source})"
        low, high = (self.parameters.add(value, "time") for value in UNBOUNDED)
        columns = [
            *dims,
            "id",
            "run",
            "collection",
            "ingest_date",
            f"coalesce(valid_begin, {low}) AS valid_begin",
            f"coalesce(valid_end, {high}) AS valid_end",
        ]
        body = f"SELECT {', '.join(columns)} {source}"
        if search.is_result and self.plan.ranking == "search":
            body += self.first_of(search, dims, "collection")
        return f"({body})"

    def first_of(self, search: DatasetSearch, columns: Sequence[str], collection: str) -> str:
        """Clause that keeps, for each combination of columns, what was found first."""
        path = self.parameters.add_list([name for name, _ in search.path], "string")
        partition = f"PARTITION BY {', '.join(columns)} " if columns else ""
        return f"\nQUALIFY rank() OVER ({partition}ORDER BY list_position({path}, {collection})) = 1"

    def _union(self, name: str) -> str:
        target = self.universe.dimensions[name].implied_union_target
        assert target is not None
        table = dimension_table(target.name)
        if table not in self.tables:
            return f"(SELECT CAST(NULL AS VARCHAR) AS {quote(name)} WHERE false)"
        return (
            f"(SELECT DISTINCT {quote(name)} FROM {self.source(table, None)} WHERE {quote(name)} IS NOT NULL)"
        )

    # -- what is selected

    def ranked(self) -> str:
        """Clause that ranks the rows, where these are what is ranked."""
        target = self.plan.target
        if target is None or self.plan.ranking not in ("rows", "times"):
            return ""
        group = self.plan.result if self.plan.ranking == "rows" else self.plan.dimensions
        have = self.columns.dimensions
        keys = [have[name] for name in group.required if name in have]
        return self.first_of(target, keys, f"{self.columns.searches[target.name]}.collection")

    def dimensions(self) -> list[tuple[str, str]]:
        """Name and SQL of the result's dimension values."""
        have = self.columns.dimensions
        return [(name, have[name]) for name in self.plan.result.data_coordinate_keys if name in have]

    def field(self, ref: ColumnRef) -> list[tuple[str, str]]:
        """Name and SQL of the columns that hold a field."""
        if ref.type != "timespan":
            return [(str(ref), self.columns.sql(ref))]
        begin, end = self.columns.span(ref)
        return [(f"{ref}.begin", begin), (f"{ref}.end", end)]

    def facts(self) -> list[tuple[str, str]]:
        """Name and SQL of the columns of the result's records."""
        assert self.plan.element is not None
        element = self.universe[self.plan.element]
        if not element.has_own_table:
            return [(name, self.columns.dimensions[element.name]) for name, _ in element_columns(element)]
        alias = self.columns.elements[element.name]
        return [
            (column.name, f"{alias}.{quote(column.name)}") for column in dimension_schema(element).columns
        ]


def _no_datasets(search: DatasetSearch) -> str:
    layout = dataset_layout(search.dimensions)
    fixed = ("id", "run", "collection", "ingest_date", "valid_begin", "valid_end")
    nulls = ", ".join(
        f"CAST(NULL AS {_TYPES[c.type]}) AS {quote(c.name)}"
        for c in layout.schema.columns
        if c.name in (*layout.dimensions, *fixed)
    )
    return f"(SELECT {nulls} WHERE false)"


def _empty(element: DimensionElement) -> str:
    columns = ", ".join(
        f"CAST(NULL AS {_TYPES[column.type]}) AS {quote(column.name)}"
        for column in dimension_schema(element).columns
    )
    return f"(SELECT {columns} WHERE false)"


def _by_name(table: str | Operation | Upload, _search: DatasetSearch | None) -> str:
    if isinstance(table, Upload):
        return quote("given")
    return quote(sky_name(table) if isinstance(table, Operation) else table)


def sky_name(op: Operation) -> str:
    """Name for the pairs whose regions overlap.

    Parameters
    ----------
    op : `Operation`
        A ``sky`` operation.

    Returns
    -------
    name : `str`
        For a person to read.
    """
    owners = (operand.owner if isinstance(operand, ColumnRef) else "region" for operand in op.operands)
    return "_overlaps_".join(owners)


def select_sql(
    plan: Plan, tables: Iterable[str], *, extra: Sequence[str] = (), source: Source | None = None
) -> Statement:
    """Write the query that gives the result's rows.

    Parameters
    ----------
    plan : `Plan`
        The query.
    tables : iterable of `str`
        Tables that exist in the snapshot.
    extra : sequence of `str`, optional
        Columns of the result's dataset search besides the dimensions.
    source : callable, optional
        Gives the SQL of a relation, from the name of its table and the search
        that reads it, if any; by default it is the name.

    Returns
    -------
    statement : `Statement`
        Its columns are the result's dimensions, or the columns of the element's
        records, then ``extra``, then `ANSWERS` where several datasets may have
        been found for one data ID.
    """
    writer = _Writer(plan, tables, source)
    rows = f"FROM {writer.write_from()}"
    columns = writer.facts() if plan.element is not None else writer.dimensions()
    target = plan.target
    found = (
        [(n, f"{writer.columns.searches[target.name]}.{quote(n)}") for n in extra]
        if target is not None
        else []
    )
    found += [pair for ref in plan.columns for pair in writer.field(ref)]
    if plan.ranking == "times":
        sql = _one_each(writer, rows, columns, found)
    elif not plan.distinct:
        sql = f"SELECT {_list([*columns, *found])}\n{rows}{writer.ranked()}"
        sql += _order(plan.order_by, [writer.expression(o.column) for o in plan.order_by])
    elif plan.element is not None:
        sql = _distinct_records(writer, rows, columns)
    else:
        sql = _distinct(writer, rows, [*columns, *found])
    if plan.limit is not None:
        sql += f"\nLIMIT {int(plan.limit)}"
    return Statement(sql, writer.parameters.values)


def _list(columns: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{sql} AS {quote(name)}" for name, sql in columns) or "1 AS one"


def _order(terms: Sequence[Order], columns: Sequence[str]) -> str:
    if not terms:
        return ""
    shown = (
        f"{c} {'DESC' if t.descending else 'ASC'} NULLS LAST" for t, c in zip(terms, columns, strict=True)
    )
    return f"\nORDER BY {', '.join(shown)}"


def _terms(writer: _Writer) -> list[tuple[str, str]]:
    return [(f"order_{i}", writer.expression(o.column)) for i, o in enumerate(writer.plan.order_by)]


def _least(terms: Sequence[Order]) -> list[str]:
    """Least (greatest, if descending) of each term: that is where a distinct row stands."""
    return [f"{'max' if term.descending else 'min'}(order_{i}) AS order_{i}" for i, term in enumerate(terms)]


def _grouped(
    writer: _Writer, source: str, columns: Sequence[tuple[str, str]], chosen: Sequence[tuple[str, str]] = ()
) -> str:
    """Each combination of columns once, with what to sort by.

    With ``chosen``, one of the datasets found for it, and how many there are.
    """
    plan = writer.plan
    if not chosen and not (plan.order_by and columns):
        return f"SELECT DISTINCT {_list(columns)}\n{source}{writer.ranked()}"
    keys = [quote(name) for name, _ in columns]
    selected = [*keys, *(f"any_value({quote(name)}) AS {quote(name)}" for name, _ in chosen)]
    inner = [*columns, *chosen]
    if chosen:
        assert plan.target is not None
        inner.append(("answer", f"{writer.columns.searches[plan.target.name]}.id"))
        selected.append(f"count(DISTINCT answer) AS {ANSWERS}")
    rows = f"SELECT {_list([*inner, *_terms(writer)])}\n{source}{writer.ranked()}"
    group = f"GROUP BY {', '.join(keys)}" if keys else "HAVING count(*) > 0"
    return f"SELECT {', '.join([*selected, *_least(plan.order_by)])} FROM (\n{rows}\n)\n{group}"


def _distinct(writer: _Writer, source: str, columns: Sequence[tuple[str, str]]) -> str:
    plan = writer.plan
    sql = _grouped(writer, source, columns)
    if not (plan.order_by and columns):
        return sql
    names = ", ".join(quote(name) for name, _ in columns)
    return f"SELECT {names} FROM (\n{sql}\n)" + _order(plan.order_by, _sorted_by(plan))


def _sorted_by(plan: Plan) -> list[str]:
    return [f"order_{i}" for i in range(len(plan.order_by))]


def _one_each(
    writer: _Writer, source: str, columns: Sequence[tuple[str, str]], found: Sequence[tuple[str, str]]
) -> str:
    plan = writer.plan
    assert plan.target is not None
    chosen = found or [("id", f"{writer.columns.searches[plan.target.name]}.id")]
    names = ", ".join([*(quote(name) for name, _ in (*columns, *chosen)), ANSWERS])
    return f"SELECT {names} FROM (\n{_grouped(writer, source, columns, chosen)}\n)" + _order(
        plan.order_by, _sorted_by(plan)
    )


def _distinct_records(writer: _Writer, source: str, columns: Sequence[tuple[str, str]]) -> str:
    """Distinct by key only: records may hold long regions."""
    plan = writer.plan
    assert plan.element is not None
    element = writer.universe[plan.element]
    if not element.has_own_table or dimension_table(element.name) not in writer.tables:
        return _distinct(writer, source, columns)
    keys = [(name, writer.columns.dimensions[name]) for name in element.required.names]
    on = " AND ".join(f"k.{quote(name)} = e.{quote(name)}" for name, _ in keys)
    selected = ", ".join(f"e.{quote(name)}" for name, _ in columns)
    sql = (
        f"SELECT {selected} FROM (\n{_grouped(writer, source, keys)}\n) AS k "
        f"JOIN {writer.source(dimension_table(element.name), None)} AS e ON {on}"
    )
    return sql + _order(plan.order_by, [f"k.{name}" for name in _sorted_by(plan)])


def count_sql(plan: Plan, tables: Iterable[str], *, source: Source | None = None) -> Statement:
    """Write the query that counts the result's rows.

    Parameters
    ----------
    plan : `Plan`
        The query; its order does not matter.
    tables : iterable of `str`
        Tables that exist in the snapshot.
    source : callable, optional
        As for `select_sql`.

    Returns
    -------
    statement : `Statement`
        One row: the count and, where several datasets may have been found for
        one data ID, the greatest number of them.
    """
    extra = ("id",) if plan.target is not None else ()
    inner = select_sql(replace(plan, order_by=()), tables, extra=extra, source=source)
    more = f", max({ANSWERS})" if plan.ranking == "times" else ""
    return Statement(f"SELECT count(*){more} FROM (\n{inner.sql}\n)", inner.parameters)


def any_sql(plan: Plan, tables: Iterable[str], *, source: Source | None = None) -> Statement:
    """Write the query that finds out whether there is any row.

    Parameters
    ----------
    plan : `Plan`
        The query; its order and limit do not matter.
    tables : iterable of `str`
        Tables that exist in the snapshot.
    source : callable, optional
        As for `select_sql`.

    Returns
    -------
    statement : `Statement`
        No row, or one.
    """
    writer = _Writer(plan, tables, source)
    return Statement(f"SELECT 1 AS one\nFROM {writer.write_from()}\nLIMIT 1", writer.parameters.values)
