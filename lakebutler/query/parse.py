# SPDX-License-Identifier: BSD-3-Clause
"""Text of a where-expression to a tree; errors point at the place."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from typing import Any

import lark

from lakebutler.errors import UserExpressionError, did_you_mean
from lakebutler.query import tree
from lakebutler.query.tree import MAX_INTEGER, Expr

__all__ = ["MAX_DEPTH", "MAX_INTEGER", "MAX_LENGTH", "expression_error", "parse"]

MAX_LENGTH = 1 << 18
"""Characters an expression may have."""

MAX_DEPTH = 200
"""How deep an expression may be nested; parentheses and chains of AND or OR do not count."""

_CACHED_LENGTH = 10_000
"""Longer expressions are parsed anew each time."""

_KEYWORDS = ("AND", "OR", "NOT", "IN", "IS", "NULL", "BETWEEN", "LIKE", "OVERLAPS", "TRUE", "FALSE")

_TOKENS = {
    "IDENTIFIER": "a name",
    "NUMBER": "a number",
    "STRING": "a string in single quotes",
    "TIME": "a time T'…'",
    "BIND": "a bind variable :name",
    "COMPARE": "a comparison (= != < <= > >=)",
    "_OR": "OR",
    "_AND": "AND",
    "_LPAR": "'('",
    "_RPAR": "')'",
    "_COMMA": "','",
    "_NULL": "NULL",
    "_NOT": "NOT",
    "_IN": "IN",
    "_LIKE": "LIKE",
    "_BETWEEN": "BETWEEN",
    "RANGE": "a range first..last",
    "$END": "the end",
}
_VALUES = ("IDENTIFIER", "NUMBER", "STRING")


def expression_error(text: str, start: int, message: str, *, hint: str | None = None) -> UserExpressionError:
    """Make an error that shows where in the expression it is.

    Parameters
    ----------
    text : `str`
        The expression.
    start : `int`
        Offset of the place.
    message : `str`
        What is wrong.
    hint : `str`, optional
        What to try.

    Returns
    -------
    error : `UserExpressionError`
        To be raised; its message has the line and a caret below it.
    """
    start = max(0, min(start, len(text)))
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", start)
    line = "".join(c if c.isprintable() else " " for c in text[begin : len(text) if stop < 0 else stop])
    column = start - begin
    if len(line) > 100:
        shift = max(0, column - 50)
        line, column = line[shift : shift + 100], column - shift
    return UserExpressionError(f"{message}:\n  {line}\n  {' ' * column}^", hint=hint)


@lru_cache(maxsize=1)
def _parser() -> lark.Lark:
    grammar = files("lakebutler.query").joinpath("grammar.lark").read_text(encoding="utf-8")
    return lark.Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def parse(text: str) -> Expr | None:
    """Parse a where-expression.

    Parameters
    ----------
    text : `str`
        The expression.

    Returns
    -------
    root : `Node` or `None`
        The tree; `None` for an empty expression.

    Raises
    ------
    UserExpressionError
        Raised with a caret under the place if the text is no expression.
    """
    return _parse_cached(text) if len(text) <= _CACHED_LENGTH else _parse(text)


def _parse(text: str) -> Expr | None:
    if len(text) > MAX_LENGTH:
        raise UserExpressionError(
            f"the where expression is longer than {MAX_LENGTH} characters",
            hint="put long lists into bind variables: x IN (:list)",
        )
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise expression_error(text, exc.start, "a lone surrogate, which is no character").with_traceback(
            None
        ) from None
    try:
        raw = _parser().parse(text)
    except lark.exceptions.UnexpectedCharacters as exc:
        place: Any = exc.pos_in_stream
        raise expression_error(
            text, place, _bad_character(text, place), hint=_character_hint(text, place)
        ) from None
    except lark.exceptions.UnexpectedToken as exc:
        place = len(text) if exc.token.type == "$END" else (exc.token.start_pos or 0)
        raise expression_error(text, place, _unexpected(exc), hint=_hint(exc)) from None
    except lark.exceptions.LarkError as exc:
        raise UserExpressionError(f"cannot parse where: {' '.join(str(exc).split())[:200]}") from None
    if not raw.children:
        return None
    _check_depth(raw, text)
    return _build(raw.children[0], text)


_parse_cached = lru_cache(maxsize=512)(_parse)


def _check_depth(root: Any, text: str) -> None:
    """Refuse what would need deep recursion later; itself it needs none."""
    waiting = [(root.children[0], 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise expression_error(text, node.meta.start_pos, f"nested deeper than {MAX_DEPTH} levels")
        for child in node.children:
            if isinstance(child, lark.Tree):
                chain = child.data == node.data and node.data in ("logical_and", "logical_or")
                waiting.append((child, depth + (not chain)))


def _bad_character(text: str, place: int) -> str:
    character = text[place : place + 1]
    if character == "'":
        return "a string that does not end"
    if character == '"':
        return "double quotes: strings take single quotes"
    if character == ":":
        return "a bind variable needs a name"
    if character.isascii() and (character.isalpha() or character == "_"):
        return "a name of more than three parts, or with an end that is none"
    if character in "0123456789.":
        return "neither a number nor a name"
    return f"unexpected character {character!r}"


def _character_hint(text: str, place: int) -> str | None:
    rest = text[place : place + 2]
    if rest[:1] in "&|":
        return "write AND and OR"
    if rest[:1] == "!":
        return "write NOT, or != for 'is not equal'"
    if rest[:1] == ";":
        return "an expression has no semicolon at its end"
    return None


def _unexpected(exc: lark.exceptions.UnexpectedToken) -> str:
    if all(name in exc.expected for name in _VALUES):
        wanted = "a name or a value"
    elif "COMPARE" in exc.expected:
        wanted = _TOKENS["COMPARE"]
    else:
        wanted = " or ".join([what for name, what in _TOKENS.items() if name in exc.expected][:5])
    found = "the expression ends" if exc.token.type == "$END" else f"unexpected {_shown(exc.token)}"
    return f"{found} where {wanted} should be" if wanted else found


def _shown(token: Any) -> str:
    word = str(token)
    return repr(word if len(word) <= 40 else word[:37] + "...")


def _hint(exc: lark.exceptions.UnexpectedToken) -> str | None:
    word = str(exc.token)
    if exc.token.type == "IDENTIFIER":
        near = did_you_mean(word.upper()[:40], _KEYWORDS)
        if near:
            return f"did you mean {near[0]}?"
        return "join conditions with AND or OR"
    if exc.token.type == "RANGE":
        return "a range can stand inside IN (...) only"
    if exc.token.type == "$END" and "_RPAR" in exc.expected:
        return "a parenthesis is not closed"
    if exc.token.type == "_RPAR" and "RANGE" in exc.expected:
        return "IN needs values between its commas; an empty list can be given as a bind variable"
    if exc.token.type == "COMPARE" and "$END" in exc.expected:
        return "join two comparisons with AND or OR"
    return None


# ------------------------------------------------------------ lark tree to ours


def _build(node: Any, text: str) -> Expr:
    start, end = node.meta.start_pos, node.meta.end_pos
    return _BUILDERS[str(node.data)](node, text, start, end)


def _logical(operator: str) -> Callable[..., Expr]:
    def build(node: Any, text: str, start: int, end: int) -> Expr:
        # The grammar nests to the left: flatten without recursion, so that a
        # thousand conditions joined by OR are no deep tree.
        parts: list[Any] = []
        rest = node
        while getattr(rest, "data", None) == node.data:
            parts.append(rest.children[1])
            rest = rest.children[0]
        parts.append(rest)
        return tree.Logical(start, end, operator, tuple(_build(p, text) for p in reversed(parts)))

    return build


def _arithmetic(operator: str) -> Callable[..., Expr]:
    def build(node: Any, text: str, start: int, end: int) -> Expr:
        left, right = node.children
        return tree.Arithmetic(start, end, operator, _build(left, text), _build(right, text))

    return build


def _number(node: Any, text: str, start: int, end: int) -> Expr:
    word = str(node.children[0])
    if word.isdigit():
        return tree.Literal(start, end, _integer(word, text, start))
    value = float(word)
    if math.isinf(value):
        raise expression_error(text, start, "a number too large for a 64-bit float")
    return tree.Literal(start, end, value)


def _integer(word: str, text: str, start: int) -> int:
    digits = word.lstrip("+-").lstrip("0")
    value = int(word) if len(digits) <= 19 else MAX_INTEGER + 1
    if abs(value) > MAX_INTEGER:
        raise expression_error(text, start, "an integer that does not fit 64 bits")
    return value


def _range(node: Any, text: str, start: int, end: int) -> Expr:
    bounds, _, step = "".join(str(node.children[0]).split()).partition(":")
    first, last = (_integer(part, text, start) for part in bounds.split(".."))
    stride = _integer(step, text, start) if step else 1
    if stride < 1:
        raise expression_error(text, start, "a range needs a step of at least 1")
    if last < first:
        raise expression_error(text, start, f"a range that ends before it begins ({first}..{last})")
    return tree.Range(start, end, first, last, stride)


def _compare(node: Any, text: str, start: int, end: int) -> Expr:
    left, operator, right = node.children
    symbol = {"<>": "!=", "==": "="}.get(str(operator), str(operator))
    return tree.Compare(start, end, symbol, _build(left, text), _build(right, text))


def _is_in(negated: bool) -> Callable[..., Expr]:
    def build(node: Any, text: str, start: int, end: int) -> Expr:
        operand, *items = node.children
        return tree.IsIn(start, end, _build(operand, text), tuple(_build(i, text) for i in items), negated)

    return build


def _in_query(negated: bool) -> Callable[..., Expr]:
    def build(node: Any, text: str, start: int, end: int) -> Expr:
        operand, query = node.children
        field, kind, *condition = query.children
        inner = text[_start(condition[0]) : query.meta.end_pos] if condition else ""
        return tree.InQuery(start, end, _build(operand, text), str(field), str(kind), inner, negated)

    return build


def _start(node: Any) -> int:
    return int(getattr(node.meta, "container_start_pos", node.meta.start_pos))


def _is_null(negated: bool) -> Callable[..., Expr]:
    return lambda node, text, start, end: tree.IsNull(start, end, _build(node.children[0], text), negated)


def _between(negated: bool) -> Callable[..., Expr]:
    def build(node: Any, text: str, start: int, end: int) -> Expr:
        between = tree.Between(start, end, *(_build(child, text) for child in node.children))
        return tree.Not(start, end, between) if negated else between

    return build


def _like(negated: bool) -> Callable[..., Expr]:
    def build(node: Any, text: str, start: int, end: int) -> Expr:
        operand, pattern = node.children
        return tree.Like(start, end, _build(operand, text), _build(pattern, text), negated)

    return build


def _call(node: Any, text: str, start: int, end: int) -> Expr:
    function, *arguments = node.children
    return tree.Call(start, end, str(function).upper(), tuple(_build(a, text) for a in arguments))


_BUILDERS: dict[str, Callable[..., Expr]] = {
    "logical_or": _logical("OR"),
    "logical_and": _logical("AND"),
    "logical_not": lambda n, t, s, e: tree.Not(s, e, _build(n.children[0], t)),
    "compare": _compare,
    "overlaps": lambda n, t, s, e: tree.Overlaps(s, e, _build(n.children[0], t), _build(n.children[1], t)),
    "is_in": _is_in(False),
    "is_not_in": _is_in(True),
    "is_in_query": _in_query(False),
    "is_not_in_query": _in_query(True),
    "is_null": _is_null(False),
    "is_not_null": _is_null(True),
    "between": _between(False),
    "not_between": _between(True),
    "like": _like(False),
    "not_like": _like(True),
    "range": _range,
    "add": _arithmetic("+"),
    "subtract": _arithmetic("-"),
    "multiply": _arithmetic("*"),
    "divide": _arithmetic("/"),
    "modulo": _arithmetic("%"),
    "negate": lambda n, t, s, e: tree.Negate(s, e, _build(n.children[0], t)),
    "plus": lambda n, t, s, e: _build(n.children[0], t),
    "number": _number,
    "string": lambda n, t, s, e: tree.Literal(s, e, str(n.children[0])[1:-1].replace("''", "'")),
    "time": lambda n, t, s, e: tree.Time(s, e, str(n.children[0])[2:-1]),
    "null": lambda n, t, s, e: tree.Literal(s, e, None),
    "true": lambda n, t, s, e: tree.Literal(s, e, True),
    "false": lambda n, t, s, e: tree.Literal(s, e, False),
    "name": lambda n, t, s, e: tree.Name(s, e, tuple(str(n.children[0]).split("."))),
    "bind": lambda n, t, s, e: tree.Bind(s, e, str(n.children[0])[1:]),
    "call": _call,
    "pair": lambda n, t, s, e: tree.Pair(s, e, _build(n.children[0], t), _build(n.children[1], t)),
}
