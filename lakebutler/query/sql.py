# SPDX-License-Identifier: BSD-3-Clause
"""A plan as SQL for DuckDB: names quoted, values bound, never pasted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lakebutler.collections.collection import CollectionType
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.errors import InvalidQueryError
from lakebutler.query.bind import Bound, Constant, Operation, columns_of
from lakebutler.query.columns import ColumnRef
from lakebutler.query.plan import DatasetSearch, Plan
from lakebutler.registry.schema import dataset_layout, dimension_schema, dimension_table
from lakebutler.timespan import Timespan

__all__ = ["Statement", "count_sql", "quote", "select_sql"]

UNBOUNDED = Timespan(None, None).nsec
"""Begin and end of a timespan without bounds, TAI nanoseconds."""


@dataclass(frozen=True)
class Statement:
    """SQL and the values of its parameters.

    Attributes
    ----------
    sql : `str`
        With ``?`` for each parameter.
    parameters : `list`
        Their values, in order.
    """

    sql: str
    parameters: list[Any] = field(default_factory=list)


def quote(name: str) -> str:
    """Quote an identifier.

    Parameters
    ----------
    name : `str`
        Any name.

    Returns
    -------
    quoted : `str`
        For use in SQL.
    """
    return '"' + name.replace('"', '""') + '"'


class _Writer:
    """Gathers relations, and knows where each column comes from."""

    def __init__(self, plan: Plan, tables: Iterable[str]) -> None:
        self.plan = plan
        self.universe = plan.dimensions.universe
        self.tables = frozenset(tables)
        self.relations: list[str] = []
        self.parameters: list[Any] = []
        self.dimension: dict[str, str] = {}
        self.searches: dict[str, str] = {}
        self.elements: dict[str, str] = {}
        self._implied: set[str] = set()

    # -- FROM

    def write_from(self) -> str:
        for i, search in enumerate(self.plan.searches):
            alias = quote(f"d{i}")
            self.searches[search.name] = alias
            provides = {name: f"{alias}.{quote(name)}" for name in search.dimensions.required}
            self._add(self._search(search), alias, provides)
        for name in self._join_order():
            element = self.universe[name]
            alias = quote(name)
            self.elements[name] = alias
            table = dimension_table(name)
            relation = quote(table) if table in self.tables else _empty(element)
            names = (*element.required.names, *element.implied.names)
            # A record may leave an implied value open: that must not lose its row.
            follows = name in self.dimension and name in self._implied
            self._implied.update(n for n in element.implied.names if n not in self.dimension)
            self._add(relation, alias, {n: f"{alias}.{quote(n)}" for n in names}, "LEFT JOIN" if follows else "JOIN")
        for name in self.plan.unions:
            self._add(self._union(name), quote(name), {name: f"{quote(name)}.{quote(name)}"})
        if not self.relations:
            return "(SELECT 1)"
        return "\n".join(self.relations)

    def _join_order(self) -> list[str]:
        """Order in which each table shares a column with what is there, where one can."""
        waiting = list(self.plan.elements)
        have = set(self.dimension)
        order: list[str] = []
        while waiting:
            best = max(waiting, key=lambda n: (self._shared(n, have), -self.universe[n].index))
            waiting.remove(best)
            order.append(best)
            element = self.universe[best]
            have.update((*element.required.names, *element.implied.names))
        return order

    def _shared(self, name: str, have: set[str]) -> int:
        element = self.universe[name]
        return len(set(element.required.names) & have) * 2 + len(set(element.implied.names) & have)

    def _add(self, relation: str, alias: str, provides: Mapping[str, str], join: str = "JOIN") -> None:
        conditions = [f"{self.dimension[name]} = {column}" for name, column in provides.items() if name in self.dimension]
        text = f"{relation} AS {alias}"
        if not self.relations:
            self.relations.append(text)
        elif conditions:
            self.relations.append(f"{join} {text} ON {' AND '.join(conditions)}")
        else:
            self.relations.append(f"CROSS JOIN {text}")
        for name, column in provides.items():
            self.dimension.setdefault(name, column)

    def _search(self, search: DatasetSearch) -> str:
        layout = dataset_layout(search.dimensions)
        dims = ", ".join(quote(name) for name in layout.dimensions)
        columns = f"{dims}{', ' if dims else ''}id, run, collection, ingest_date, valid_begin, valid_end"
        if layout.table not in self.tables or not search.path:
            nulls = ", ".join(
                f"CAST(NULL AS {_TYPES[c.type]}) AS {quote(c.name)}"
                for c in layout.schema.columns
                if c.name in (*layout.dimensions, "id", "run", "collection", "ingest_date", "valid_begin", "valid_end")
            )
            return f"(SELECT {nulls} WHERE false)"
        names = [name for name, _ in search.path]
        self.parameters += [search.name, *names]
        marks = ", ".join("?" * len(names))
        where = f"dataset_type = ? AND collection IN ({marks})"
        body = f"SELECT {columns} FROM {quote(layout.table)} WHERE {where}"
        if search.find_first and len(names) > 1:
            # A membership in a calibration collection is one per validity range.
            partition = f"PARTITION BY {dims} " if dims else ""
            self.parameters.append(names)
            body += f" QUALIFY rank() OVER ({partition}ORDER BY list_position(?, collection)) = 1"
        if search.is_result and any(kind is CollectionType.CALIBRATION for _, kind in search.path):
            body = f"SELECT DISTINCT ON (id) * FROM ({body})" if not self._uses_validity(search) else body
        return f"({body})"

    def _uses_validity(self, search: DatasetSearch) -> bool:
        bounds: list[Bound] = [order.column for order in self.plan.order_by]
        if self.plan.where is not None:
            bounds.append(self.plan.where)
        return any(
            c.kind == "dataset" and c.owner == search.name and c.field == "timespan"
            for bound in bounds
            for c in columns_of(bound)
        )

    def _union(self, name: str) -> str:
        target = self.universe.dimensions[name].implied_union_target
        assert target is not None
        table = dimension_table(target.name)
        if table not in self.tables:
            return f"(SELECT CAST(NULL AS VARCHAR) AS {quote(name)} WHERE false)"
        return f"(SELECT DISTINCT {quote(name)} FROM {quote(table)} WHERE {quote(name)} IS NOT NULL)"

    # -- expressions

    def expression(self, bound: Bound) -> str:
        if isinstance(bound, ColumnRef):
            return self.column(bound)
        if isinstance(bound, Constant):
            return self.constant(bound)
        return self.operation(bound)

    def column(self, ref: ColumnRef) -> str:
        if ref.kind == "dimension":
            return self.dimension[ref.owner]
        if ref.kind == "element":
            return f"{self.elements[ref.owner]}.{quote(ref.field)}"
        alias = self.searches[ref.owner]
        name = "id" if ref.field == "dataset_id" else ref.field
        return f"{alias}.{name}"

    def constant(self, value: Constant) -> str:
        if value.type == "null":
            return "NULL"
        if value.type == "bool":
            return "true" if value.value else "false"
        self.parameters.append(value.value)
        return "?"

    def span(self, bound: Bound) -> tuple[str, str]:
        """Begin and end of a timespan or an instant."""
        low, high = (str(v) for v in UNBOUNDED)
        if bound.type == "time":
            if isinstance(bound, Constant):
                return str(int(bound.value)), str(int(bound.value) + 1)
            text = self.expression(bound)
            return text, f"({text} + 1)"
        if isinstance(bound, Constant):
            return str(int(bound.value[0])), str(int(bound.value[1]))
        if isinstance(bound, Operation):
            parts = []
            for operand, default in zip(bound.operands, (low, high), strict=True):
                if operand.type == "null":
                    parts.append(default)
                elif isinstance(operand, Constant):
                    parts.append(str(int(operand.value)))
                else:
                    parts.append(self.expression(operand))
            return parts[0], parts[1]
        if bound.kind == "dataset":
            alias = self.searches[bound.owner]
            return f"coalesce({alias}.valid_begin, {low})", f"coalesce({alias}.valid_end, {high})"
        alias = self.elements[bound.owner]
        return f"{alias}.timespan_begin", f"{alias}.timespan_end"

    def operation(self, op: Operation) -> str:
        name = op.name
        if name in ("and", "or"):
            return "(" + f" {name.upper()} ".join(self.expression(o) for o in op.operands) + ")"
        if name == "not":
            return f"(NOT {self.expression(op.operands[0])})"
        if name in ("begin", "end"):
            return self.span(op.operands[0])[name == "end"]
        if name == "overlaps":
            (begin, end), (other_begin, other_end) = (self.span(o) for o in op.operands)
            return f"({begin} < {other_end} AND {other_begin} < {end} AND {begin} < {end} AND {other_begin} < {other_end})"
        if name in ("=", "!=") and op.operands[0].type == "timespan":
            (begin, end), (other_begin, other_end) = (self.span(o) for o in op.operands)
            same = f"({begin} = {other_begin} AND {end} = {other_end})"
            return same if name == "=" else f"(NOT {same})"
        if name == "is_null":
            operand = op.operands[0]
            text = self.span(operand)[0] if operand.type == "timespan" else self.expression(operand)
            return f"({text} IS NULL)"
        if name == "negate":
            return f"(- {self.expression(op.operands[0])})"
        if name == "in":
            return self._in(op)
        if name == "glob":
            left = self.expression(op.operands[0])
            pattern = op.operands[1]
            assert isinstance(pattern, Constant)
            # Only * and ? are wildcards of the language.
            self.parameters.append(pattern.value.replace("[", "[[]"))
            return f"({left} GLOB ?)"
        left, right = self.expression(op.operands[0]), self.expression(op.operands[1])
        return f"({left} {_OPERATORS.get(name, name)} {right})"

    def _in(self, op: Operation) -> str:
        operand, *items = op.operands
        choices: list[str] = []
        plain = [i for i in items if not (isinstance(i, Constant) and i.type == "range")]
        for item in items:
            if isinstance(item, Constant) and item.type == "range":
                first, last, step = item.value
                text = self.expression(operand)
                condition = f"{text} BETWEEN {first} AND {last}"
                if step != 1:
                    condition += f" AND ({self.expression(operand)} - {first}) % {step} = 0"
                choices.append(f"({condition})")
        if plain:
            text = self.expression(operand)
            choices.append(f"({text} IN ({', '.join(self.expression(i) for i in plain)}))")
        return "(" + " OR ".join(choices) + ")" if choices else "false"


_OPERATORS = {"like": "LIKE"}

_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "uuid": "UUID",
    "binary": "BLOB",
    "timestamp": "TIMESTAMPTZ",
}


def _empty(element: DimensionElement) -> str:
    columns = ", ".join(
        f"CAST(NULL AS {_TYPES[column.type]}) AS {quote(column.name)}" for column in dimension_schema(element).columns
    )
    return f"(SELECT {columns} WHERE false)"


def select_sql(plan: Plan, tables: Iterable[str], *, extra: Sequence[str] = ()) -> Statement:
    """Write the query that gives the result's rows.

    Parameters
    ----------
    plan : `Plan`
        The query.
    tables : iterable of `str`
        Tables that exist in the snapshot.
    extra : sequence of `str`, optional
        Columns of the result's dataset search besides the dimensions.

    Returns
    -------
    statement : `Statement`
        Its columns are the result's dimensions, or the columns of the element's
        records, then ``extra``.
    """
    writer = _Writer(plan, tables)
    relations = writer.write_from()
    columns = _result_columns(plan, writer)
    result = next((s for s in plan.searches if s.is_result), None)
    for name in extra:
        if result is None:
            raise InvalidQueryError(f"column {name!r} needs a dataset search")
        columns.append(f"{writer.searches[result.name]}.{quote(name)}")
    sql = f"SELECT {'DISTINCT ' if plan.distinct and not plan.order_by else ''}{', '.join(columns) or '1 AS one'}\nFROM {relations}"
    if plan.where is not None:
        sql += f"\nWHERE {writer.expression(plan.where)}"
    if plan.distinct and plan.order_by:
        return _ordered_distinct(plan, writer, sql, columns)
    if plan.order_by:
        terms = (f"{writer.expression(o.column)} {'DESC' if o.descending else 'ASC'} NULLS LAST" for o in plan.order_by)
        sql += f"\nORDER BY {', '.join(terms)}"
    if plan.limit is not None:
        sql += f"\nLIMIT {int(plan.limit)}"
    return Statement(sql, writer.parameters)


def _ordered_distinct(plan: Plan, writer: _Writer, sql: str, columns: Sequence[str]) -> Statement:
    # Distinct rows in an order that may use columns outside them: group by the
    # row, and sort each by its least (greatest, if descending) term.
    terms = []
    for order in plan.order_by:
        aggregate = "max" if order.descending else "min"
        terms.append(
            f"{aggregate}({writer.expression(order.column)}) {'DESC' if order.descending else 'ASC'} NULLS LAST"
        )
    sql += f"\nGROUP BY {', '.join(c.split(' AS ')[0] for c in columns)}\nORDER BY {', '.join(terms)}"
    if plan.limit is not None:
        sql += f"\nLIMIT {int(plan.limit)}"
    return Statement(sql, writer.parameters)


def _result_columns(plan: Plan, writer: _Writer) -> list[str]:
    if plan.element is not None:
        alias = writer.elements[plan.element]
        schema = dimension_schema(writer.universe[plan.element])
        return [f"{alias}.{quote(column.name)}" for column in schema.columns]
    have = writer.dimension
    return [f"{have[name]} AS {quote(name)}" for name in plan.result.data_coordinate_keys if name in have]


def count_sql(plan: Plan, tables: Iterable[str]) -> Statement:
    """Write the query that counts the result's rows.

    Parameters
    ----------
    plan : `Plan`
        The query; its order does not matter.
    tables : iterable of `str`
        Tables that exist in the snapshot.

    Returns
    -------
    statement : `Statement`
        One row, one column.
    """
    extra = ("id",) if any(s.is_result for s in plan.searches) else ()
    inner = select_sql(replace(plan, order_by=()), tables, extra=extra)
    return Statement(f"SELECT count(*) FROM ({inner.sql})", inner.parameters)

