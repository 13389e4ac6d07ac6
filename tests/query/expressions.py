# SPDX-License-Identifier: BSD-3-Clause
"""Random where-expressions, each with a Python function that says what it means."""

from __future__ import annotations

import datetime
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.query.brute import MAX, MIN, Row, and_, fact, not_, or_, overlaps
from tests.query.scenario import nsec


@dataclass(frozen=True)
class Term:
    """Part of an expression: its text, its meaning, the dimensions and values it uses."""

    text: str
    value: Callable[[Row], Any]
    dimensions: frozenset[str] = frozenset()
    binds: dict[str, Any] = field(default_factory=dict)


def join(text: str, parts: tuple[Term, ...], value: Callable[..., Any]) -> Term:
    """Make a term of others; ``value`` takes theirs."""
    return Term(
        text.format(*(part.text for part in parts)),
        lambda row: value(*(part.value(row) for part in parts)),
        frozenset().union(*(part.dimensions for part in parts)),
        {name: v for part in parts for name, v in part.binds.items()},
    )


def strict(function: Callable[..., Any]) -> Callable[..., Any]:
    """Unknown if any operand is."""
    return lambda *values: None if None in values else function(*values)


def column(name: str, *dimensions: str) -> Term:
    return Term(name, lambda row: fact(row, name), frozenset(dimensions))


INTEGERS = [
    column("exposure", "exposure"),
    column("detector", "detector"),
    column("visit", "visit"),
    column("day_obs", "day_obs"),
    column("exposure.seq_num", "exposure"),
    column("visit.seq_num", "visit"),
    column("instrument.detector_max", "instrument"),
    column("visit_system", "visit_system"),
]
FLOATS = [
    column("exposure.exposure_time", "exposure"),
    column("exposure.tracking_ra", "exposure"),
    column("visit.exposure_time", "visit"),
]
STRINGS = [
    column("instrument", "instrument"),
    column("physical_filter", "physical_filter"),
    column("band", "band"),
    column("group", "group"),
    column("exposure.target_name", "exposure"),
    column("exposure.observation_type", "exposure"),
    column("detector.raft", "detector"),
    column("detector.full_name", "detector"),
    column("detector.purpose", "detector"),
    column("visit.name", "visit"),
]
BOOLEANS = [column("exposure.can_see_sky", "exposure"), column("exposure.has_simulated", "exposure")]
TIMESPANS = [
    column("exposure.timespan", "exposure"),
    column("visit.timespan", "visit"),
    column("day_obs.timespan", "day_obs"),
]

_WORDS = [
    "A",
    "B",
    "g",
    "r",
    "z",
    "r1",
    "g1",
    "M31",
    "it's",
    "",
    "science",
    "R0",
    "R0_S0",
    "s%1",
    "SCIENCE",
    "A-101",
    "é",
]
_PATTERNS = ["*", "R?_S?", "M*", "*s*", "[R]0*", "?", "s%*", "A-10?", "r\\*", "group*"]
_LIKE = ["%", "R_", "M%", "%s%", "s%1", "_", "R0\\_S0", "it's"]


def literal(value: Any) -> Term:
    if isinstance(value, str):
        text = "'" + value.replace("'", "''") + "'"
    elif value < 0:
        text = f"(-{-value!r})"
    else:
        text = repr(value)
    return Term(text, lambda _: value)


def bound(value: Any) -> Term:
    name = f"b{type(value).__name__}_{repr(value).encode().hex()}"
    return Term(f":{name}", lambda _: value, binds={name: value})


def constants(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Term]:
    return st.one_of(values.map(literal), values.map(bound))


integers = st.one_of(st.integers(-2, 7), st.sampled_from([101, 102, 103, 20200101, 20200102, 30]))
floats = st.sampled_from([0.0, 0.5, 15.5, 20.0, 30.0, 60.0, -3.25, 10.5])
words = st.sampled_from(_WORDS)


def _divide(a: float, b: float) -> float | None:
    return None if b == 0 else a / b


def _modulo(a: float, b: float) -> float | None:
    """The sign is that of the first operand."""
    if b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return abs(a) % abs(b) * (-1 if a < 0 else 1)
    return math.fmod(a, b)


_ARITHMETIC = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _modulo,
}
_COMPARISONS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _arithmetic(parts: tuple[Term, str, Term]) -> Term:
    left, symbol, right = parts
    return join(f"({{}} {symbol} {{}})", (left, right), strict(_ARITHMETIC[symbol]))


def numbers(depth: int = 1) -> st.SearchStrategy[Term]:
    leaf = st.one_of(st.sampled_from(INTEGERS + FLOATS), constants(integers), constants(floats))
    if depth == 0:
        return leaf
    inner = numbers(depth - 1)
    return st.one_of(
        leaf,
        st.tuples(inner, st.sampled_from(sorted(_ARITHMETIC)), inner).map(_arithmetic),
        inner.map(lambda t: join("(- {})", (t,), strict(operator.neg))),
    )


def _compare(parts: tuple[Term, str, Term]) -> Term:
    left, symbol, right = parts
    return join(f"{{}} {symbol} {{}}", (left, right), strict(_COMPARISONS[symbol]))


def _in(parts: tuple[Term, list[Term], bool, bool, tuple[int, int, int] | None]) -> Term:
    operand, items, null, negated, stride = parts
    texts = ["{}"] * len(items)
    ranged: range | None = None
    if stride is not None:
        first, length, step = stride
        ranged = range(first, first + length, step)
        texts.append(f"{first}..{first + length - 1}" + (f":{step}" if step > 1 else ""))
    texts += ["NULL"] if null else []

    def value(found: Any, *values: Any) -> bool | None:
        if found is None:
            return True if null else (None if values or ranged is not None else False)
        return found in values or (ranged is not None and found in ranged)

    def outcome(found: Any, *values: Any) -> bool | None:
        result = value(found, *values)
        return not_(result) if negated else result

    text = f"{{}} {'NOT ' if negated else ''}IN ({', '.join(texts)})"
    return join(text, (operand, *items), outcome)


def _like(parts: tuple[Term, str, bool]) -> Term:
    operand, pattern, negated = parts
    expression = "".join(".*" if c == "%" else "." if c == "_" else re.escape(c) for c in pattern)
    test = strict(lambda v: (re.fullmatch(expression, v, re.DOTALL) is not None) is not negated)
    quoted = literal(pattern).text
    return join(f"{{}} {'NOT ' if negated else ''}LIKE {quoted}", (operand,), test)


def _glob(parts: tuple[Term, str]) -> Term:
    operand, pattern = parts
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    test = strict(lambda v: re.fullmatch(expression, v, re.DOTALL) is not None)
    return join(f"GLOB({{}}, {literal(pattern).text})", (operand,), test)


def _null(parts: tuple[Term, str]) -> Term:
    operand, form = parts
    negated = form in ("{} IS NOT NULL", "{} != NULL")
    return join(form, (operand,), lambda v: (v is None) is not negated)


def _between(parts: tuple[Term, Term, Term, bool]) -> Term:
    operand, low, high, negated = parts

    def value(v: Any, a: Any, b: Any) -> bool | None:
        both = and_((None if v is None or a is None else v >= a, None if v is None or b is None else v <= b))
        return not_(both) if negated else both

    return join(f"{{}} {'NOT ' if negated else ''}BETWEEN {{}} AND {{}}", (operand, low, high), value)


# ------------------------------------------------------------------------- times


def moment(hours: float) -> Term:
    when = datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=hours)
    return Term(f"T'{when.isoformat()}/tai'", lambda _: nsec(hours))


_hours = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 3.5, 5.0, 6.0, 24.0, 30.5, 48.0, 131.0])
moments = _hours.map(moment)


def _span(parts: tuple[Term | None, Term | None]) -> Term:
    ends = [
        Term("NULL", lambda _, v=v: v) if t is None else t for t, v in zip(parts, (MIN, MAX), strict=True)
    ]
    return join("({}, {})", tuple(ends), lambda a, b: (a, b))


spans = st.one_of(
    st.sampled_from(TIMESPANS),
    st.tuples(st.none() | moments, st.none() | moments).map(_span),
    moments.map(lambda t: Term(t.text, lambda row: (t.value(row), t.value(row) + 1))),
)
bounds = st.tuples(st.sampled_from(TIMESPANS), st.sampled_from([("begin", 0), ("end", 1)])).map(
    lambda p: join(f"{{}}.{p[1][0]}", (p[0],), lambda span: None if span is None else span[p[1][1]])
)


def _overlaps(parts: tuple[Term, Term]) -> Term:
    return join("{} OVERLAPS {}", parts, overlaps)


# -------------------------------------------------------------------- conditions

_symbols = st.sampled_from(sorted(_COMPARISONS))
_stride = st.none() | st.tuples(st.integers(-1, 4), st.integers(1, 6), st.integers(1, 3))
_nulls = st.sampled_from(["{} IS NULL", "{} IS NOT NULL", "{} = NULL", "{} != NULL"])

atoms = st.one_of(
    st.tuples(numbers(), _symbols, numbers()).map(_compare),
    st.tuples(st.sampled_from(INTEGERS), st.sampled_from(["=", "!="]), constants(integers)).map(_compare),
    st.tuples(st.sampled_from(STRINGS), _symbols, constants(words) | st.sampled_from(STRINGS)).map(_compare),
    st.tuples(bounds, _symbols, moments | bounds).map(_compare),
    st.tuples(
        st.sampled_from(INTEGERS),
        st.lists(constants(integers), min_size=1, max_size=4),
        st.booleans(),
        st.booleans(),
        _stride,
    ).map(_in),
    st.tuples(
        st.sampled_from(STRINGS),
        st.lists(constants(words), min_size=1, max_size=3),
        st.booleans(),
        st.booleans(),
        st.none(),
    ).map(_in),
    st.tuples(st.sampled_from(STRINGS), st.sampled_from(_LIKE), st.booleans()).map(_like),
    st.tuples(st.sampled_from(STRINGS), st.sampled_from(_PATTERNS)).map(_glob),
    st.tuples(st.sampled_from(INTEGERS + FLOATS + STRINGS + TIMESPANS), _nulls).map(_null),
    st.tuples(numbers(0), numbers(0), numbers(0), st.booleans()).map(_between),
    st.tuples(spans, spans).map(_overlaps),
    st.sampled_from(BOOLEANS),
)


def _logical(parts: tuple[str, list[Term]]) -> Term:
    word, terms = parts
    value = and_ if word == "AND" else or_
    return join(f" {word} ".join(["({})"] * len(terms)), tuple(terms), lambda *values: value(values))


conditions: st.SearchStrategy[Term] = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3)).map(_logical),
        inner.map(lambda t: join("NOT ({})", (t,), not_)),
    ),
    max_leaves=4,
)
"""Conditions, without regard to the governor rule."""
