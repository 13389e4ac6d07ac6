# SPDX-License-Identifier: BSD-3-Clause
"""Text of a where-expression to a tree; errors point at the place."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from typing import Any

import lark

from lakebutler.errors import UserExpressionError, did_you_mean
from lakebutler.query import tree
from lakebutler.query.tree import Expr

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "expression_error", "parse"]

MAX_LENGTH = 1 << 20
"""Characters an expression may have."""

MAX_DEPTH = 200
"""How deep an expression may be nested."""

_KEYWORDS = ("AND", "OR", "NOT", "IN", "IS", "NULL", "BETWEEN", "LIKE", "OVERLAPS", "TRUE", "FALSE")

_TOKENS = {
    "IDENTIFIER": "a name",
    "NUMBER": "a number",
    "STRING": "a string in single quotes",
    "TIME": "a time T'…'",
    "BIND": "a bind variable :name",
    "COMPARE": "a comparison (= != < <= > >=)",
    "RANGE": "a range first..last",
    "LPAR": "'('",
    "RPAR": "')'",
    "COMMA": "','",
    "$END": "the end",
}


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
    line = text[begin : len(text) if stop < 0 else stop]
    column = start - begin
    if len(line) > 100:
        shift = max(0, column - 50)
        line, column = line[shift : shift + 100], column - shift
    return UserExpressionError(f"{message} in where:\n  {line}\n  {' ' * column}^", hint=hint)


@lru_cache(maxsize=1)
def _parser() -> lark.Lark:
    grammar = files("lakebutler.query").joinpath("grammar.lark").read_text(encoding="utf-8")
    return lark.Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=False)


@lru_cache(maxsize=512)
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
    if len(text) > MAX_LENGTH:
        raise UserExpressionError(f"the where expression is longer than {MAX_LENGTH} characters")
    _check_depth(text)
    try:
        raw = _parser().parse(text)
    except lark.exceptions.UnexpectedCharacters as exc:
        raise expression_error(text, exc.pos_in_stream or 0, _bad_character(text, exc.pos_in_stream or 0)) from None
    except lark.exceptions.UnexpectedToken as exc:
        place = len(text) if exc.token.type == "$END" else (exc.token.start_pos or 0)
        raise expression_error(text, place, _unexpected(exc), hint=_hint(text, exc)) from None
    except lark.exceptions.LarkError as exc:
        raise UserExpressionError(f"cannot parse where: {' '.join(str(exc).split())[:200]}") from None
    if not raw.children:
        return None
    return _build(raw.children[0], text)


def _check_depth(text: str) -> None:
    depth = deepest = 0
    for character in text:
        if character == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif character == ")":
            depth -= 1
    if deepest > MAX_DEPTH or len(re.findall(r"(?i)\bnot\b|[-+](?=\s*[-+])", text)) > 2 * MAX_DEPTH:
        raise UserExpressionError(f"the where expression is nested deeper than {MAX_DEPTH} levels")


def _bad_character(text: str, place: int) -> str:
    character = text[place : place + 1]
    if character == "'":
        return "a string that does not end"
    if character == '"':
        return "double quotes: strings take single quotes"
    return f"unexpected character {character!r}"


def _unexpected(exc: lark.exceptions.UnexpectedToken) -> str:
    wanted = sorted({_TOKENS[name] for name in exc.expected if name in _TOKENS})
    found = "end of the expression" if exc.token.type == "$END" else f"unexpected {str(exc.token)!r}"
    return f"{found}, expected {' or '.join(wanted[:4])}" if wanted else found


def _hint(text: str, exc: lark.exceptions.UnexpectedToken) -> str | None:
    word = str(exc.token)
    if exc.token.type == "IDENTIFIER":
        near = did_you_mean(word.upper(), _KEYWORDS)
        if near:
            return f"did you mean {near[0]}?"
        return "join conditions with AND or OR"
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
    return tree.Literal(start, end, int(word) if word.isdigit() else float(word))


def _string(node: Any, text: str, start: int, end: int) -> Expr:
    return tree.Literal(start, end, str(node.children[0])[1:-1].replace("''", "'"))


def _range(node: Any, text: str, start: int, end: int) -> Expr:
    bounds, _, step = str(node.children[0]).partition(":")
    first, last = (int(part) for part in bounds.split(".."))
    stride = int(step) if step else 1
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


def _is_null(negated: bool) -> Callable[..., Expr]:
    return lambda node, text, start, end: tree.IsNull(start, end, _build(node.children[0], text), negated)


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
    "is_null": _is_null(False),
    "is_not_null": _is_null(True),
    "between": lambda n, t, s, e: tree.Between(s, e, *(_build(c, t) for c in n.children)),
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
    "string": _string,
    "time": lambda n, t, s, e: tree.Time(s, e, str(n.children[0])[2:-1]),
    "null": lambda n, t, s, e: tree.Literal(s, e, None),
    "true": lambda n, t, s, e: tree.Literal(s, e, True),
    "false": lambda n, t, s, e: tree.Literal(s, e, False),
    "name": lambda n, t, s, e: tree.Name(s, e, tuple(str(n.children[0]).split("."))),
    "bind": lambda n, t, s, e: tree.Bind(s, e, str(n.children[0])[1:]),
    "call": _call,
    "pair": lambda n, t, s, e: tree.Pair(s, e, _build(n.children[0], t), _build(n.children[1], t)),
}
