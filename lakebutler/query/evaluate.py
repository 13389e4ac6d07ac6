# SPDX-License-Identifier: BSD-3-Clause
"""Bound expressions as functions of a row: what SQL would say, for a few rows.

Truth has three values; `None` is the third.  What is not written here is left to
DuckDB: `supported` says so before anything is read.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from lakebutler.query.columns import ColumnRef
from lakebutler.query.expression import Bound, Constant, Operation
from lakebutler.query.expression_sql import UNBOUNDED

__all__ = ["NotHere", "Row", "compiled", "name_of", "supported"]

Row = tuple[Any, ...]
Function = Callable[[Row], Any]

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TYPES = frozenset({"int", "string", "float", "bool", "uuid", "time", "timespan", "datetime", "hash"})


class NotHere(Exception):
    """A value that only DuckDB compares as DuckDB does."""


def name_of(ref: ColumnRef) -> str:
    """Name of a column among those of a row.

    Parameters
    ----------
    ref : `ColumnRef`
        The column.

    Returns
    -------
    name : `str`
        The dimension's name, or owner and field.
    """
    return ref.owner if ref.kind == "dimension" else f"{ref.owner}.{ref.field}"


def supported(bound: Bound) -> bool:
    """Whether an expression can be evaluated here.

    Parameters
    ----------
    bound : `Bound`
        The expression.

    Returns
    -------
    supported : `bool`
        Whether `compiled` takes it.
    """
    if isinstance(bound, ColumnRef):
        return bound.type in _TYPES
    if isinstance(bound, Constant):
        return bound.type in _TYPES or bound.type in ("null", "range")
    if bound.name == "is_null" and isinstance(bound.operands[0], ColumnRef):
        return True
    if bound.name not in _COMPILE:
        return False
    kinds = {operand.type for operand in bound.operands} - {"range"}
    if bound.name == "in" and len(kinds) > 1:
        return False
    if bound.name in ("like", "glob") and not isinstance(bound.operands[1], Constant):
        return False
    return all(map(supported, bound.operands))


def compiled(bound: Bound, index: Mapping[str, int]) -> Function:
    """Make the function that evaluates an expression.

    Parameters
    ----------
    bound : `Bound`
        An expression that is `supported`.
    index : mapping [`str`, `int`]
        Where in a row each column is.

    Returns
    -------
    function : callable
        Takes a row, and returns the value.
    """
    if isinstance(bound, ColumnRef):
        return operator.itemgetter(index[name_of(bound)])
    if isinstance(bound, Constant):
        value = bound.value
        return lambda row: value
    return _COMPILE[bound.name](bound, [compiled(o, index) for o in bound.operands])


def _and(_op: Operation, parts: list[Function]) -> Function:
    def function(row: Row) -> bool | None:
        answer: bool | None = True
        for part in parts:
            value = part(row)
            if value is False:
                return False
            if value is None:
                answer = None
        return answer

    return function


def _or(_op: Operation, parts: list[Function]) -> Function:
    def function(row: Row) -> bool | None:
        answer: bool | None = False
        for part in parts:
            value = part(row)
            if value is True:
                return True
            if value is None:
                answer = None
        return answer

    return function


def _not(_op: Operation, parts: list[Function]) -> Function:
    (part,) = parts

    def function(row: Row) -> bool | None:
        value = part(row)
        return None if value is None else not value

    return function


def _comparison(op: Operation, parts: list[Function]) -> Function:
    left, right = parts
    compare = _COMPARE[op.name]
    if "float" in (op.operands[0].type, op.operands[1].type):

        def numbers(row: Row) -> bool | None:
            a, b = left(row), right(row)
            if a is None or b is None:
                return None
            a, b = float(a), float(b)
            if a != a or b != b:  # noqa: PLR0124 - NaN, which DuckDB puts above all numbers
                raise NotHere
            return compare(a, b)

        return numbers

    def function(row: Row) -> bool | None:
        a, b = left(row), right(row)
        return None if a is None or b is None else compare(a, b)

    return function


def _in(op: Operation, parts: list[Function]) -> Function:
    operand = parts[0]
    items = op.operands[1:]
    constants = frozenset(i.value for i in items if isinstance(i, Constant) and i.type != "range")
    ranges = [range(i.value[0], i.value[1] + 1, i.value[2]) for i in items if i.type == "range"]  # type: ignore[union-attr]
    others = [part for part, i in zip(parts[1:], items, strict=True) if not isinstance(i, Constant)]

    def function(row: Row) -> bool | None:
        value = operand(row)
        if not items:
            return False
        if value is None:
            return None
        if value in constants or any(value in one for one in ranges):
            return True
        answer: bool | None = False
        for other in others:
            found = other(row)
            if found is None:
                answer = None
            elif found == value:
                return True
        return answer

    return function


def _is_null(_op: Operation, parts: list[Function]) -> Function:
    (part,) = parts
    return lambda row: part(row) is None


def _pattern(op: Operation, parts: list[Function]) -> Function:
    constant = op.operands[1]
    assert isinstance(constant, Constant)
    any_, one = ("*", "?") if op.name == "glob" else ("%", "_")
    pieces = (".*" if c == any_ else "." if c == one else re.escape(c) for c in constant.value)
    match = re.compile("".join(pieces), re.DOTALL).fullmatch
    operand = parts[0]

    def function(row: Row) -> bool | None:
        value = operand(row)
        return None if value is None else match(value) is not None

    return function


def _span(bound: Bound, part: Function) -> Function:
    if bound.type != "time":
        return part

    def function(row: Row) -> tuple[int, int] | None:
        value = part(row)
        return None if value is None else (value, value + 1)

    return function


def _overlaps(op: Operation, parts: list[Function]) -> Function:
    left, right = (_span(o, p) for o, p in zip(op.operands, parts, strict=True))

    def function(row: Row) -> bool | None:
        a, b = left(row), right(row)
        if a is None or b is None:
            known = a or b
            return False if known is not None and known[0] >= known[1] else None
        return bool(a[0] < b[1] and b[0] < a[1] and a[0] < a[1] and b[0] < b[1])

    return function


def _valid(op: Operation, parts: list[Function]) -> Function:
    overlaps, span = _overlaps(op, parts), parts[0]
    low, high = UNBOUNDED

    def function(row: Row) -> bool | None:
        begin, end = span(row)
        return True if begin <= low and end >= high else overlaps(row)

    return function


def _bound(op: Operation, parts: list[Function]) -> Function:
    (part,), end = parts, op.name == "end"

    def function(row: Row) -> int | None:
        span = part(row)
        return None if span is None else span[end]

    return function


_COMPILE: Mapping[str, Callable[[Operation, list[Function]], Function]] = {
    "and": _and,
    "or": _or,
    "not": _not,
    **dict.fromkeys(_COMPARE, _comparison),
    "in": _in,
    "is_null": _is_null,
    "like": _pattern,
    "glob": _pattern,
    "overlaps": _overlaps,
    "valid": _valid,
    "begin": _bound,
    "end": _bound,
}
