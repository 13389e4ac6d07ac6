# SPDX-License-Identifier: BSD-3-Clause
"""Bound expressions as SQL for DuckDB: values are parameters, never pasted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lakebutler.query.columns import ColumnRef
from lakebutler.query.expression import Bound, Constant, Operation
from lakebutler.timespan import Timespan

__all__ = ["UNBOUNDED", "Columns", "Parameters", "expression", "quote"]

UNBOUNDED = Timespan(None, None).nsec
"""Begin and end of a timespan without bounds, TAI nanoseconds."""

_TYPES = {
    "string": "VARCHAR",
    "int": "BIGINT",
    "float": "DOUBLE",
    "time": "BIGINT",
    "uuid": "UUID",
    "hash": "BLOB",
    "datetime": "TIMESTAMPTZ",
}
_ARITHMETIC = ("+", "-", "*", "/", "%", "negate")
_LONG = 20
"""Lists of more values than this are one parameter."""


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


class Parameters:
    """Values of a statement, by name."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._names: dict[tuple[Any, str], str] = {}

    def add(self, value: Any, kind: str) -> str:
        """Add a value, and return the SQL that stands for it."""
        key = (value, kind)
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = f"p{len(self.values) + 1}"
            self.values[name] = value
        return f"CAST(${name} AS {_TYPES[kind]})"

    def add_list(self, values: Sequence[Any], kind: str) -> str:
        """Add a list of values, and return the SQL that stands for it."""
        name = f"p{len(self.values) + 1}"
        self.values[name] = list(values)
        return f"CAST(${name} AS {_TYPES[kind]}[])"


class Columns:
    """Where in the joined tables each column is.

    Attributes
    ----------
    dimensions, elements, searches : `dict` [`str`, `str`]
        SQL of a dimension's value, and names of the tables of elements and searches.
    pairs : callable
        Writes an overlap on the sky.
    """

    pairs: Callable[[Operation], str]

    def __init__(self) -> None:
        self.dimensions: dict[str, str] = {}
        self.elements: dict[str, str] = {}
        self.searches: dict[str, str] = {}

    def sql(self, ref: ColumnRef) -> str:
        """SQL of a column that is one value."""
        if ref.kind == "dimension":
            return self.dimensions[ref.owner]
        if ref.kind == "element":
            return f"{self.elements[ref.owner]}.{quote(ref.field)}"
        return f"{self.searches[ref.owner]}.{'id' if ref.field == 'dataset_id' else ref.field}"

    def span(self, ref: ColumnRef) -> tuple[str, str]:
        """SQL of begin and end of a timespan."""
        if ref.kind == "dataset":
            alias = self.searches[ref.owner]
            return f"{alias}.valid_begin", f"{alias}.valid_end"
        alias = self.elements[ref.owner]
        return f"{alias}.timespan_begin", f"{alias}.timespan_end"


def expression(bound: Bound, columns: Columns, parameters: Parameters) -> str:
    """Write an expression.

    Parameters
    ----------
    bound : `Bound`
        The expression.
    columns : `Columns`
        Where its columns are.
    parameters : `Parameters`
        Takes its values.

    Returns
    -------
    sql : `str`
        In parentheses where that matters.
    """
    return _Expressions(columns, parameters).write(bound)


class _Expressions:
    def __init__(self, columns: Columns, parameters: Parameters) -> None:
        self.columns = columns
        self.parameters = parameters

    def write(self, bound: Bound) -> str:
        if isinstance(bound, ColumnRef):
            return self.columns.sql(bound)
        if isinstance(bound, Constant):
            return self.constant(bound)
        return _WRITE.get(bound.name, _Expressions.binary)(self, bound)

    def constant(self, value: Constant) -> str:
        if value.type == "null":
            return "NULL"
        if value.type == "bool":
            return "true" if value.value else "false"
        return self.parameters.add(value.value, value.type)

    def span(self, bound: Bound) -> tuple[str, str]:
        """Begin and end of a timespan or an instant."""
        if isinstance(bound, Constant):
            low, high = (bound.value, bound.value + 1) if bound.type == "time" else bound.value
            return self.parameters.add(low, "time"), self.parameters.add(high, "time")
        if isinstance(bound, ColumnRef):
            return self.columns.span(bound)
        if bound.type == "time":
            text = self.write(bound)
            return text, f"({text} + 1)"
        ends = zip(bound.operands, UNBOUNDED, strict=True)
        begin, end = (
            self.parameters.add(unbounded, "time") if operand.type == "null" else self.write(operand)
            for operand, unbounded in ends
        )
        return begin, end

    # -- operations

    def binary(self, op: Operation) -> str:
        left, right = (self.write(o) for o in op.operands)
        return f"({left} {op.name} {right})"

    def logical(self, op: Operation) -> str:
        return "(" + f" {op.name.upper()} ".join(self.write(o) for o in op.operands) + ")"

    def negation(self, op: Operation) -> str:
        return f"(NOT {self.write(op.operands[0])})"

    def arithmetic(self, op: Operation) -> str:
        # NaN is missing, as it is in records; DuckDB puts it above all numbers.
        text = self._computed(op)
        return f"nullif({text}, CAST('NaN' AS DOUBLE))" if op.type == "float" else text

    def _computed(self, bound: Bound) -> str:
        if not isinstance(bound, Operation) or bound.name not in _ARITHMETIC:
            return self.write(bound)
        left, *right = (self._computed(o) for o in bound.operands)
        if bound.name == "negate":
            return f"(- {left})"
        if bound.name in ("/", "%"):
            # Division by zero gives NULL, in every version of DuckDB.
            return f"({left} {bound.name} nullif({right[0]}, 0))"
        return f"({left} {bound.name} {right[0]})"

    def bound(self, op: Operation) -> str:
        return self.span(op.operands[0])[op.name == "end"]

    def overlaps(self, op: Operation) -> str:
        (begin, end), (other_begin, other_end) = (self.span(o) for o in op.operands)
        pairs = ((begin, other_end), (other_begin, end), (begin, end), (other_begin, other_end))
        return "(" + " AND ".join(f"{first} < {last}" for first, last in pairs) + ")"

    def valid(self, op: Operation) -> str:
        # What is always valid is so at a time that nobody knows, too.
        (begin, end), _ = (self.span(o) for o in op.operands)
        low, high = (self.parameters.add(value, "time") for value in UNBOUNDED)
        return f"({self.overlaps(op)} OR ({begin} <= {low} AND {end} >= {high}))"

    def comparison(self, op: Operation) -> str:
        if op.operands[0].type != "timespan":
            return self.binary(op)
        (begin, end), (other_begin, other_end) = (self.span(o) for o in op.operands)
        same = f"({begin} = {other_begin} AND {end} = {other_end})"
        return same if op.name == "=" else f"(NOT {same})"

    def is_null(self, op: Operation) -> str:
        operand = op.operands[0]
        if operand.type != "timespan":
            return f"({self.write(operand)} IS NULL)"
        begin, end = self.span(operand)
        # Only of a pair written in the expression can one end be missing.
        either = isinstance(operand, Operation)
        return f"({begin} IS NULL OR {end} IS NULL)" if either else f"({begin} IS NULL)"

    def sky(self, op: Operation) -> str:
        return self.columns.pairs(op)

    def like(self, op: Operation) -> str:
        left, right = (self.write(o) for o in op.operands)
        return f"({left} LIKE {right})"

    def glob(self, op: Operation) -> str:
        # DuckDB's own GLOB knows brackets and backslashes, and counts bytes.
        operand, pattern = op.operands
        assert isinstance(pattern, Constant)
        like = "".join({"*": "%", "?": "_"}.get(c, "^" + c if c in "%_^" else c) for c in pattern.value)
        return f"({self.write(operand)} LIKE {self.parameters.add(like, 'string')} ESCAPE '^')"

    def membership(self, op: Operation) -> str:
        operand, *items = op.operands
        text = self.write(operand)
        choices: list[str] = []
        lists: dict[str, list[Any]] = {}
        others: list[str] = []
        for item in items:
            if isinstance(item, Constant) and item.type == "range":
                choices.append(self._range(text, *item.value))
            elif isinstance(item, Constant) and item.type in _TYPES:
                lists.setdefault(item.type, []).append(item.value)
            else:
                others.append(self.write(item))
        for kind, values in lists.items():
            if len(values) > _LONG:
                choices.append(f"{text} IN (SELECT unnest({self.parameters.add_list(values, kind)}))")
            else:
                choices.append(f"{text} IN ({', '.join(self.parameters.add(v, kind) for v in values)})")
        choices += [f"{text} = {other}" for other in others]
        return "(" + " OR ".join(choices) + ")" if choices else "false"

    def _range(self, text: str, first: int, last: int, step: int) -> str:
        low, high = self.parameters.add(first, "int"), self.parameters.add(last, "int")
        condition = f"{text} BETWEEN {low} AND {high}"
        if step != 1:
            stride = self.parameters.add(step, "int")
            condition += f" AND (CAST({text} AS HUGEINT) - {low}) % {stride} = 0"
        return f"({condition})"


_WRITE: Mapping[str, Callable[[_Expressions, Operation], str]] = {
    "and": _Expressions.logical,
    "or": _Expressions.logical,
    "not": _Expressions.negation,
    **dict.fromkeys(_ARITHMETIC, _Expressions.arithmetic),
    "begin": _Expressions.bound,
    "end": _Expressions.bound,
    "overlaps": _Expressions.overlaps,
    "valid": _Expressions.valid,
    "=": _Expressions.comparison,
    "!=": _Expressions.comparison,
    "is_null": _Expressions.is_null,
    "sky": _Expressions.sky,
    "in": _Expressions.membership,
    "like": _Expressions.like,
    "glob": _Expressions.glob,
}
