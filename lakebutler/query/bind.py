# SPDX-License-Identifier: BSD-3-Clause
"""Give the names and values of a where-expression their meaning and types."""

from __future__ import annotations

import datetime
import fnmatch
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lakebutler.errors import InvalidQueryError, known_names
from lakebutler.query import tree
from lakebutler.query.columns import ColumnRef, Scope, resolve
from lakebutler.query.parse import expression_error
from lakebutler.query.times import parse_time, value_of_time
from lakebutler.timespan import Timespan

__all__ = ["Bound", "Constant", "Operation", "bind", "columns_of"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A value.

    Attributes
    ----------
    value
        The value; a time is TAI nanoseconds, a timespan a pair of them.
    type : `str`
        As in `ColumnRef`, or ``null``.
    """

    value: Any
    type: str


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on bound operands.

    Attributes
    ----------
    name : `str`
        ``and or not = != < <= > >= + - * / % negate in like glob is_null
        overlaps begin end range pair``.
    operands : `tuple`
        What it applies to.
    type : `str`
        Type of the result.
    """

    name: str
    operands: tuple[Bound, ...]
    type: str


Bound: TypeAlias = ColumnRef | Constant | Operation
"""A bound expression."""

_NUMBERS = ("int", "float")
_ORDERED = ("int", "float", "string", "time", "datetime")


def columns_of(expression: Bound) -> Iterator[ColumnRef]:
    """Columns that an expression uses.

    Parameters
    ----------
    expression : `Bound`
        The expression.

    Yields
    ------
    column : `ColumnRef`
        Each use of a column.
    """
    if isinstance(expression, ColumnRef):
        yield expression
    elif isinstance(expression, Operation):
        for operand in expression.operands:
            yield from columns_of(operand)


def bind(root: tree.Expr, text: str, scope: Scope, values: Mapping[str, Any]) -> Bound:
    """Bind a parsed where-expression.

    Parameters
    ----------
    root : `Node`
        The tree.
    text : `str`
        The expression, for messages.
    scope : `Scope`
        Where names are looked up.
    values : mapping
        Bind variables.

    Returns
    -------
    expression : `Bound`
        Of type ``bool``.

    Raises
    ------
    InvalidQueryError
        Raised with a caret if a name is unknown, types do not fit or the whole
        is no condition.
    """
    for name in values:
        if name in scope.universe.elements.names:
            raise InvalidQueryError(
                f"bind variable {name!r} has the name of a dimension", hint="choose another name for it"
            )
    binder = _Binder(text, scope, values)
    bound = binder.visit(root)
    if bound.type != "bool":
        raise expression_error(text, root.start, f"a condition is needed, not a value of type {bound.type}")
    return bound


class _Binder:
    def __init__(self, text: str, scope: Scope, values: Mapping[str, Any]) -> None:
        self._text = text
        self._scope = scope
        self._values = values

    def visit(self, node: tree.Expr) -> Bound:
        return _VISIT[type(node)](self, node)

    def fail(self, node: tree.Node, message: str, hint: str | None = None) -> InvalidQueryError:
        return expression_error(self._text, node.start, message, hint=hint)

    # -- values

    def literal(self, node: tree.Literal) -> Bound:
        return constant(node.value)

    def time(self, node: tree.Time) -> Bound:
        try:
            return Constant(parse_time(node.text), "time")
        except ValueError as exc:
            raise self.fail(node, f"not a time: {exc}", "write T'2020-01-31T12:00:00' or T'mjd/58879.5/tai'") from None

    def bind_variable(self, node: tree.Bind) -> Bound:
        if node.name not in self._values:
            raise self.fail(
                node, f"no value for bind variable :{node.name}", known_names(node.name, self._values, what="bind values")
            )
        return self._bound_value(node, node.name)

    def _bound_value(self, node: tree.Node, name: str) -> Bound:
        value = self._values[name]
        if isinstance(value, list | tuple | set | frozenset):
            raise self.fail(node, f"bind variable {name!r} is a list", "use it inside IN (…)")
        try:
            return constant(value)
        except TypeError as exc:
            raise self.fail(node, f"bind variable {name!r}: {exc}") from None

    def name(self, node: tree.Name) -> Bound:
        if len(node.parts) == 1 and node.parts[0] in self._values:
            return self._bound_value(node, node.parts[0])
        try:
            column, bound = resolve(node.parts, self._scope)
        except InvalidQueryError as exc:
            raise self.fail(node, exc.message, exc.hint) from None
        if bound is not None:
            return Operation(bound, (column,), "time")
        return column

    def negate(self, node: tree.Negate) -> Bound:
        operand = self.visit(node.operand)
        if operand.type not in _NUMBERS:
            raise self.fail(node.operand, f"a number is needed, not {operand.type}")
        if isinstance(operand, Constant):
            return Constant(-operand.value, operand.type)
        return Operation("negate", (operand,), operand.type)

    def arithmetic(self, node: tree.Arithmetic) -> Bound:
        left, right = self.visit(node.left), self.visit(node.right)
        for side, place in ((left, node.left), (right, node.right)):
            if side.type not in _NUMBERS:
                raise self.fail(place, f"a number is needed, not {side.type}")
        kind = "float" if node.operator == "/" or "float" in (left.type, right.type) else "int"
        return Operation(node.operator, (left, right), kind)

    def pair(self, node: tree.Pair) -> Bound:
        bounds = []
        for part in (node.first, node.second):
            value = self.visit(part)
            if value.type not in ("time", "null"):
                raise self.fail(part, f"a timespan needs two times (or NULL), not {value.type}")
            bounds.append(value)
        if all(isinstance(b, Constant) for b in bounds):
            begin, end = (b.value for b in bounds if isinstance(b, Constant))
            low, high = Timespan(None, None).nsec
            return Constant((low if begin is None else begin, high if end is None else end), "timespan")
        return Operation("pair", tuple(bounds), "timespan")

    def call(self, node: tree.Call) -> Bound:
        if node.function == "GLOB":
            return self._glob(node)
        if node.function == "UUID":
            return self._uuid(node)
        if node.function in ("POINT", "CIRCLE", "BOX", "POLYGON", "REGION"):
            raise self.fail(node, f"{node.function}: conditions on regions are not supported by this version")
        raise self.fail(
            node, f"there is no function {node.function}", known_names(node.function, ("GLOB", "UUID"), what="functions")
        )

    def _glob(self, node: tree.Call) -> Bound:
        if len(node.arguments) != 2:
            raise self.fail(node, "GLOB takes two arguments: a column and a pattern")
        operand, pattern = (self.visit(argument) for argument in node.arguments)
        if operand.type != "string" or not isinstance(pattern, Constant) or pattern.type != "string":
            raise self.fail(node, "GLOB takes a string column and a pattern in quotes")
        if isinstance(operand, Constant):
            return Constant(fnmatch.fnmatchcase(operand.value, pattern.value.replace("[", "[[]")), "bool")
        return Operation("glob", (operand, pattern), "bool")

    def _uuid(self, node: tree.Call) -> Bound:
        if len(node.arguments) == 1:
            argument = self.visit(node.arguments[0])
            if isinstance(argument, Constant) and argument.type == "string":
                try:
                    return Constant(uuid.UUID(argument.value), "uuid")
                except ValueError:
                    raise self.fail(node.arguments[0], f"{argument.value!r} is no UUID") from None
        raise self.fail(node, "UUID takes one string of hexadecimal digits")

    # -- conditions

    def logical(self, node: tree.Logical) -> Bound:
        operands = tuple(self._condition(operand) for operand in node.operands)
        return Operation(node.operator.lower(), operands, "bool")

    def logical_not(self, node: tree.Not) -> Bound:
        return Operation("not", (self._condition(node.operand),), "bool")

    def _condition(self, node: tree.Expr) -> Bound:
        bound = self.visit(node)
        if bound.type != "bool":
            raise self.fail(node, f"a condition is needed, not a value of type {bound.type}")
        return bound

    def compare(self, node: tree.Compare) -> Bound:
        left, right = self.visit(node.left), self.visit(node.right)
        if "null" in (left.type, right.type):
            if node.operator not in ("=", "!="):
                raise self.fail(node, f"NULL cannot be compared with {node.operator}", "use IS NULL or IS NOT NULL")
            operand = right if left.type == "null" else left
            test = Operation("is_null", (operand,), "bool")
            return test if node.operator == "=" else Operation("not", (test,), "bool")
        left, right = self._alike(node, left, right)
        if node.operator not in ("=", "!=") and left.type not in _ORDERED:
            hint = "compare .begin or .end, or use OVERLAPS" if left.type == "timespan" else None
            raise self.fail(node, f"values of type {left.type} cannot be compared with {node.operator}", hint)
        return Operation(node.operator, (left, right), "bool")

    def _alike(self, node: tree.Node, left: Bound, right: Bound) -> tuple[Bound, Bound]:
        if left.type == right.type or {left.type, right.type} == set(_NUMBERS):
            return left, right
        for a, b in ((left, right), (right, left)):
            converted = _convert(b, a.type)
            if converted is not None:
                return (a, converted) if a is left else (converted, a)
        raise self.fail(node, f"cannot compare {_describe(left)} with {_describe(right)}")

    def between(self, node: tree.Between) -> Bound:
        operand = self.visit(node.operand)
        parts = []
        for symbol, limit in ((">=", node.low), ("<=", node.high)):
            left, right = self._alike(limit, operand, self.visit(limit))
            if left.type not in _ORDERED:
                raise self.fail(node, f"values of type {left.type} have no order")
            parts.append(Operation(symbol, (left, right), "bool"))
        return Operation("and", tuple(parts), "bool")

    def is_null(self, node: tree.IsNull) -> Bound:
        test = Operation("is_null", (self.visit(node.operand),), "bool")
        return Operation("not", (test,), "bool") if node.negated else test

    def like(self, node: tree.Like) -> Bound:
        operand, pattern = self.visit(node.operand), self.visit(node.pattern)
        if operand.type != "string" or pattern.type != "string":
            raise self.fail(node, "LIKE compares strings")
        test = Operation("like", (operand, pattern), "bool")
        return Operation("not", (test,), "bool") if node.negated else test

    def is_in(self, node: tree.IsIn) -> Bound:
        operand = self.visit(node.operand)
        items: list[Bound] = []
        for item in node.items:
            for value in self._item(item):
                if value.type == "range":
                    if operand.type != "int":
                        raise self.fail(item, f"a range needs an integer, not {_describe(operand)}")
                    items.append(value)
                elif operand.type == "timespan" and value.type in ("time", "timespan"):
                    raise self.fail(item, "IN tests membership of a list", "use OVERLAPS for times")
                else:
                    items.append(self._alike(item, operand, value)[1])
        test = Operation("in", (operand, *items), "bool")
        return Operation("not", (test,), "bool") if node.negated else test

    def _item(self, item: tree.Expr) -> Iterable[Bound]:
        if isinstance(item, tree.Range):
            return (Constant((item.first, item.last, item.step), "range"),)
        name = item.name if isinstance(item, tree.Bind) else item.text if isinstance(item, tree.Name) else None
        value = self._values.get(name) if name is not None else None
        if isinstance(value, list | tuple | set | frozenset):
            try:
                return [constant(v) for v in value]
            except TypeError as exc:
                raise self.fail(item, f"bind variable {name!r}: {exc}") from None
        return (self.visit(item),)

    def overlaps(self, node: tree.Overlaps) -> Bound:
        left, right = self.visit(node.left), self.visit(node.right)
        if "region" in (left.type, right.type):
            raise self.fail(node, "OVERLAPS of regions is not supported by this version")
        for side, place in ((left, node.left), (right, node.right)):
            if side.type not in ("timespan", "time"):
                raise self.fail(place, f"OVERLAPS needs timespans or times, not {_describe(side)}")
        return Operation("overlaps", (left, right), "bool")


_VISIT: dict[type, Any] = {
    tree.Literal: _Binder.literal,
    tree.Time: _Binder.time,
    tree.Name: _Binder.name,
    tree.Bind: _Binder.bind_variable,
    tree.Negate: _Binder.negate,
    tree.Arithmetic: _Binder.arithmetic,
    tree.Pair: _Binder.pair,
    tree.Call: _Binder.call,
    tree.Logical: _Binder.logical,
    tree.Not: _Binder.logical_not,
    tree.Compare: _Binder.compare,
    tree.Between: _Binder.between,
    tree.IsNull: _Binder.is_null,
    tree.Like: _Binder.like,
    tree.IsIn: _Binder.is_in,
    tree.Overlaps: _Binder.overlaps,
}


def constant(value: Any) -> Constant:
    """Give a Python value its type.

    Parameters
    ----------
    value
        A number, string, boolean, `None`, UUID, time or timespan; of numpy too.

    Returns
    -------
    constant : `Constant`
        The value.

    Raises
    ------
    TypeError
        Raised if such a value cannot be in an expression.
    """
    if value is None:
        return Constant(None, "null")
    if isinstance(value, bool):
        return Constant(value, "bool")
    if isinstance(value, str):
        return Constant(str(value), "string")
    if isinstance(value, uuid.UUID):
        return Constant(value, "uuid")
    if isinstance(value, Timespan):
        return Constant(value.nsec, "timespan")
    if isinstance(value, datetime.datetime):
        return Constant(value, "datetime")
    if hasattr(value, "__index__"):
        return Constant(int(value), "int")
    if isinstance(value, float) or type(value).__module__ == "numpy":
        return Constant(float(value), "float")
    nanoseconds = value_of_time(value)
    if nanoseconds is not None:
        return Constant(nanoseconds, "time")
    raise TypeError(f"a value of type {type(value).__name__} cannot be in a where expression")


def _convert(bound: Bound, kind: str) -> Bound | None:
    """Convert a constant to another type where that loses nothing."""
    if not isinstance(bound, Constant):
        return None
    if kind == "uuid" and bound.type == "string":
        try:
            return Constant(uuid.UUID(bound.value), "uuid")
        except ValueError:
            return None
    if kind == "datetime" and bound.type == "time":
        utc = datetime.datetime.fromisoformat(Timespan.from_nsec(bound.value, bound.value + 1).begin.utc.isot)
        return Constant(utc.replace(tzinfo=datetime.UTC), "datetime")
    return None


def _describe(bound: Bound) -> str:
    if isinstance(bound, ColumnRef):
        return f"{bound} ({bound.type})"
    if isinstance(bound, Constant):
        return f"{bound.value!r} ({bound.type})"
    return f"a value of type {bound.type}"
