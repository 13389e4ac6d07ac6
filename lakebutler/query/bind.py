# SPDX-License-Identifier: BSD-3-Clause
"""Give the names and values of a where-expression their meaning and types."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from lakebutler.errors import InvalidQueryError, RegistryError, known_names
from lakebutler.query import tree
from lakebutler.query.columns import ColumnRef, Scope, resolve
from lakebutler.query.expression import Bound, Constant, Operation
from lakebutler.query.geometry import FUNCTIONS as GEOMETRY
from lakebutler.query.geometry import region_bytes, regions_overlap
from lakebutler.query.parse import expression_error
from lakebutler.query.times import parse_time
from lakebutler.query.values import constant, convert, fixed_number, members
from lakebutler.timespan import Timespan

__all__ = ["MAX_TERMS", "bind", "glob_matches"]

MAX_TERMS = 5_000
"""Conditions that one AND or OR may join; equalities of one column count as one."""

_NUMBERS = ("int", "float")
_ORDERED = ("int", "float", "string", "time", "datetime")
_FUNCTIONS = ("GLOB", "UUID", *GEOMETRY, "REGION")


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
        if not isinstance(name, str):
            raise InvalidQueryError(f"the name of a bind variable must be a string, not {name!r}")
        if name in scope.universe.elements.names:
            raise InvalidQueryError(
                f"bind variable {name!r} has the name of a dimension", hint="choose another name for it"
            )
    return _Binder(text, scope, values).condition(root)


def glob_matches(text: str, pattern: str) -> bool:
    """Match a text with a glob of the language: ``*`` and ``?``, nothing else.

    Parameters
    ----------
    text : `str`
        Any text.
    pattern : `str`
        The glob.

    Returns
    -------
    matches : `bool`
        Whether the whole text matches.
    """
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


class _Binder:
    def __init__(self, text: str, scope: Scope, values: Mapping[str, Any]) -> None:
        self._text = text
        self._scope = scope
        self._values = values

    def visit(self, node: tree.Expr) -> Bound:
        bound: Bound = _VISIT[type(node)](self, node)
        return bound

    def fail(self, node: tree.Node, message: str, hint: str | None = None) -> InvalidQueryError:
        return expression_error(self._text, node.start, message, hint=hint)

    # -- values

    def literal(self, node: tree.Literal) -> Bound:
        return constant(node.value)

    def time(self, node: tree.Time) -> Bound:
        try:
            return Constant(parse_time(node.text), "time")
        except ValueError as exc:
            raise self.fail(
                node, f"not a time: {_one_line(exc)}", "write T'2020-01-31T12:00:00' or T'mjd/58879.5/tai'"
            ) from None

    def bind_variable(self, node: tree.Bind) -> Bound:
        if node.name not in self._values:
            hint = known_names(node.name, self._values, what="bind values") if self._values else "pass bind="
            raise self.fail(node, f"no value for bind variable :{node.name}", hint)
        return self._bound_value(node, node.name)

    def _bound_value(self, node: tree.Node, name: str) -> Bound:
        value = self._values[name]
        if members(value) is not None:
            raise self.fail(node, f"bind variable {name!r} is a list", "use it inside IN (…)")
        return self._constant(node, name, value)

    def _constant(self, node: tree.Node, name: str, value: Any) -> Constant:
        try:
            return constant(value)
        except (TypeError, ValueError) as exc:
            raise self.fail(node, f"bind variable {name!r}: {exc}") from None

    def name(self, node: tree.Name) -> Bound:
        if len(node.parts) == 1 and node.parts[0] in self._values:
            return self._bound_value(node, node.parts[0])
        try:
            column, bound = resolve(node.parts, self._scope)
        except InvalidQueryError as exc:
            raise self.fail(node, exc.message, exc.hint) from None
        return column if bound is None else Operation(bound, (column,), "time")

    def negate(self, node: tree.Negate) -> Bound:
        operand = self._number(node.operand)
        if isinstance(operand, Constant):
            return Constant(-operand.value, operand.type)
        return Operation("negate", (operand,), operand.type)

    def _number(self, node: tree.Expr) -> Bound:
        bound = self.visit(node)
        if bound.type not in _NUMBERS:
            raise self.fail(node, f"a number is needed, not {_describe(bound)}")
        return bound

    def arithmetic(self, node: tree.Arithmetic) -> Bound:
        left, right = self._number(node.left), self._number(node.right)
        kind = "float" if node.operator == "/" or "float" in (left.type, right.type) else "int"
        return Operation(node.operator, (left, right), kind)

    def pair(self, node: tree.Pair) -> Bound:
        bounds = []
        for part in (node.first, node.second):
            value = self.visit(part)
            if value.type not in ("time", "null"):
                raise self.fail(part, f"a timespan needs two times (or NULL), not {_describe(value)}")
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
        if node.function in GEOMETRY:
            return self._geometry(node)
        if node.function == "REGION":
            return self._region(node)
        shown = node.function if len(node.function) <= 40 else node.function[:37] + "..."
        hint = known_names(node.function[:40], _FUNCTIONS, what="functions")
        raise self.fail(node, f"there is no function {shown}", hint)

    def _glob(self, node: tree.Call) -> Bound:
        if len(node.arguments) != 2:
            raise self.fail(node, "GLOB takes two arguments: a column and a pattern")
        operand, pattern = (self.visit(argument) for argument in node.arguments)
        if operand.type != "string" or not isinstance(pattern, Constant) or pattern.type != "string":
            raise self.fail(node, "GLOB takes a string column and a pattern in quotes")
        if isinstance(operand, Constant):
            return Constant(glob_matches(operand.value, pattern.value), "bool")
        return Operation("glob", (operand, pattern), "bool")

    def _geometry(self, node: tree.Call) -> Bound:
        what, right, _ = GEOMETRY[node.function]
        if not right(len(node.arguments)):
            raise self.fail(node, f"{node.function} takes {what}, in degrees")
        numbers = [self._fixed_number(argument) for argument in node.arguments]
        try:
            return Constant(region_bytes(node.function, numbers), "region")
        except ValueError as exc:
            raise self.fail(node, f"{node.function}: {exc}") from None

    def _fixed_number(self, node: tree.Expr) -> float:
        value = fixed_number(self._number(node))
        if value is None:
            raise self.fail(node, "a number is needed that is the same in every row", "give it as a value")
        return value

    def _region(self, node: tree.Call) -> Bound:
        argument = self.visit(node.arguments[0]) if len(node.arguments) == 1 else None
        if not isinstance(argument, Constant) or argument.type != "string":
            raise self.fail(node, "REGION takes one IVOA POS string", "write REGION('CIRCLE 12.5 -30 0.5')")
        try:
            return Constant(region_bytes("REGION", (argument.value,)), "region")
        except ValueError as exc:
            raise self.fail(node.arguments[0], f"REGION: {exc}") from None

    def _uuid(self, node: tree.Call) -> Bound:
        argument = self.visit(node.arguments[0]) if len(node.arguments) == 1 else None
        if isinstance(argument, Constant) and argument.type == "string":
            found = convert(argument, "uuid")
            if found is None:
                raise self.fail(node.arguments[0], f"{_describe(argument)} is no UUID")
            return found
        if isinstance(argument, Constant) and isinstance(argument.value, uuid.UUID):
            return argument
        raise self.fail(node, "UUID takes one string of hexadecimal digits")

    # -- conditions

    def condition(self, node: tree.Expr) -> Bound:
        bound = self.visit(node)
        if bound.type != "bool":
            hint = f"compare it with something: {node.text} = …" if isinstance(node, tree.Name) else None
            raise self.fail(node, f"a condition is needed, not {_describe(bound)}", hint)
        return bound

    def logical(self, node: tree.Logical) -> Bound:
        name = node.operator.lower()
        operands = [self.condition(operand) for operand in node.operands]
        if name == "or":
            operands = _merge_equalities(operands)
        if len(operands) > MAX_TERMS:
            raise self.fail(
                node,
                f"more than {MAX_TERMS} conditions joined by {node.operator}",
                "list values with IN (:list)",
            )
        return operands[0] if len(operands) == 1 else Operation(name, tuple(operands), "bool")

    def logical_not(self, node: tree.Not) -> Bound:
        return Operation("not", (self.condition(node.operand),), "bool")

    def compare(self, node: tree.Compare) -> Bound:
        left, right = self.visit(node.left), self.visit(node.right)
        if "null" in (left.type, right.type):
            if node.operator not in ("=", "!="):
                raise self.fail(
                    node, f"NULL cannot be compared with {node.operator}", "use IS NULL or IS NOT NULL"
                )
            test = _is_missing(right if left.type == "null" else left)
            return test if node.operator == "=" else Operation("not", (test,), "bool")
        left, right = self._alike(node, left, right)
        kind = left.type
        if kind == "region" or (node.operator not in ("=", "!=") and kind not in _ORDERED):
            hint = {
                "timespan": "compare .begin or .end, or use OVERLAPS",
                "region": "use OVERLAPS or IS NULL",
            }
            raise self.fail(
                node, f"values of type {kind} cannot be compared with {node.operator}", hint.get(kind)
            )
        return Operation(node.operator, (left, right), "bool")

    def _alike(self, node: tree.Node, left: Bound, right: Bound) -> tuple[Bound, Bound]:
        if left.type == right.type or {left.type, right.type} == set(_NUMBERS):
            return left, right
        for a, b in ((left, right), (right, left)):
            converted = convert(b, a.type) if isinstance(b, Constant) else None
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
        test = _is_missing(self.visit(node.operand))
        return Operation("not", (test,), "bool") if node.negated else test

    def like(self, node: tree.Like) -> Bound:
        operand, pattern = self.visit(node.operand), self.visit(node.pattern)
        if operand.type != "string" or pattern.type != "string":
            raise self.fail(
                node, f"LIKE compares strings, not {_describe(operand)} with {_describe(pattern)}"
            )
        test = Operation("like", (operand, pattern), "bool")
        return Operation("not", (test,), "bool") if node.negated else test

    def is_in(self, node: tree.IsIn) -> Bound:
        operand = self.visit(node.operand)
        self._refuse_times(node, operand)
        items: list[Bound] = []
        or_null = False
        for item in node.items:
            for value in self._item(item):
                if value.type == "null":
                    or_null = True
                elif value.type == "range":
                    if operand.type != "int":
                        raise self.fail(item, f"a range needs an integer, not {_describe(operand)}")
                    items.append(value)
                else:
                    items.append(self._alike(item, operand, value)[1])
        if operand.type in ("region", "timespan", "null"):
            raise self.fail(node.operand, f"IN cannot look for {_describe(operand)}")
        test = Operation("in", (operand, *items), "bool")
        if or_null:
            test = Operation("or", (test, _is_missing(operand)), "bool")
        return Operation("not", (test,), "bool") if node.negated else test

    def in_query(self, node: tree.InQuery) -> Bound:
        operand = self.visit(node.operand)
        ask = self._scope.subquery
        if ask is None:
            raise self.fail(node, "IN (SELECT …) cannot be used here")
        try:
            values = ask(node.field, node.dataset_type, node.condition, self._values)
        except (InvalidQueryError, RegistryError) as exc:
            message = exc.message.partition(":\n")[0]
            raise self.fail(node, f"in the inner query: {message}", exc.hint) from exc
        items = [self._alike(node, operand, constant(value))[1] for value in values]
        test = Operation("in", (operand, *items), "bool")
        return Operation("not", (test,), "bool") if node.negated else test

    def _refuse_times(self, node: tree.IsIn, operand: Bound) -> None:
        """Refuse what reads like a range of time, but would be a list of instants."""
        two = len(node.items) == 2 and all(isinstance(item, tree.Time | tree.Literal) for item in node.items)
        if operand.type == "timespan" or (operand.type in ("time", "datetime") and two):
            hint = "for a range of time write: x OVERLAPS (T'…', T'…'), or x >= T'…' AND x < T'…'"
            raise self.fail(node, "IN tests membership of a list, not of a range of time", hint)

    def _item(self, item: tree.Expr) -> Iterable[Bound]:
        if isinstance(item, tree.Range):
            return (Constant((item.first, item.last, item.step), "range"),)
        name = (
            item.name if isinstance(item, tree.Bind) else item.text if isinstance(item, tree.Name) else None
        )
        found = members(self._values[name]) if name is not None and name in self._values else None
        if found is None or name is None:
            return (self.visit(item),)
        return [self._constant(item, name, value) for value in found]

    def overlaps(self, node: tree.Overlaps) -> Bound:
        left, right = self.visit(node.left), self.visit(node.right)
        if "region" in (left.type, right.type):
            return self._sky(node, left, right)
        for side, place in ((left, node.left), (right, node.right)):
            if side.type not in ("timespan", "time"):
                raise self.fail(place, f"OVERLAPS needs timespans or times, not {_describe(side)}")
        return Operation("overlaps", (left, right), "bool")

    def _sky(self, node: tree.Overlaps, left: Bound, right: Bound) -> Bound:
        for side, place in ((left, node.left), (right, node.right)):
            if side.type != "region":
                raise self.fail(place, f"a region overlaps regions, not {_describe(side)}")
        if isinstance(left, Constant) and isinstance(right, Constant):
            return Constant(regions_overlap(left.value, right.value), "bool")
        owners = [side.owner for side in (left, right) if isinstance(side, ColumnRef)]
        families = [self._scope.universe[name].spatial for name in owners]
        if len(owners) == 2 and families[0] == families[1]:
            raise self.fail(
                node,
                f"{owners[0]} and {owners[1]} are related by their keys, not by their regions",
                "leave the condition out",
            )
        return Operation("sky", (left, right), "bool")


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
    tree.InQuery: _Binder.in_query,
    tree.IsNull: _Binder.is_null,
    tree.Like: _Binder.like,
    tree.IsIn: _Binder.is_in,
    tree.Overlaps: _Binder.overlaps,
}


def _is_missing(bound: Bound) -> Bound:
    """Test that there is no value; of a value that is given the answer is known."""
    if isinstance(bound, Constant):
        return Constant(bound.type == "null", "bool")
    return Operation("is_null", (bound,), "bool")


def _merge_equalities(operands: list[Bound]) -> list[Bound]:
    """``a = 1 OR a = 2 OR …`` as one test of membership: a thousand alternatives cost no more."""
    gathered: dict[ColumnRef, list[Bound]] = {}
    for bound in operands:
        found = _equality(bound)
        if found is not None:
            gathered.setdefault(found[0], []).extend(found[1])
    merged: list[Bound] = []
    for bound in operands:
        found = _equality(bound)
        items = gathered.pop(found[0], None) if found is not None else None
        if found is None or (items is not None and len(items) == len(found[1])):
            merged.append(bound)
        elif items is not None:
            merged.append(Operation("in", (found[0], *items), "bool"))
    return merged


def _equality(bound: Bound) -> tuple[ColumnRef, tuple[Bound, ...]] | None:
    if not isinstance(bound, Operation) or bound.name not in ("=", "in"):
        return None
    first, *rest = bound.operands
    if bound.name == "=" and isinstance(first, Constant):
        first, rest = rest[0], [first]
    if (
        isinstance(first, ColumnRef)
        and first.type != "timespan"
        and all(isinstance(r, Constant) for r in rest)
    ):
        return first, tuple(rest)
    return None


def _one_line(exc: Exception) -> str:
    text = " ".join(str(exc).split())
    return text if len(text) <= 160 else text[:157] + "..."


def _describe(bound: Bound) -> str:
    if isinstance(bound, ColumnRef):
        return f"{bound} ({bound.type})"
    if isinstance(bound, Constant):
        if bound.type == "null":
            return "NULL"
        if bound.type in ("time", "timespan", "region"):
            return f"a {bound.type}"
        shown = repr(bound.value)
        return f"{shown if len(shown) <= 40 else shown[:37] + '...'} ({bound.type})"
    return f"a value of type {bound.type}"
