# SPDX-License-Identifier: BSD-3-Clause
"""Nodes of a parsed where-expression: immutable, with their place in the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = [
    "MAX_INTEGER",
    "Arithmetic",
    "Between",
    "Bind",
    "Call",
    "Compare",
    "InQuery",
    "IsIn",
    "IsNull",
    "Like",
    "Literal",
    "Logical",
    "Name",
    "Negate",
    "Node",
    "Not",
    "Overlaps",
    "Pair",
    "Range",
    "Time",
]


MAX_INTEGER = 2**63 - 1
"""Greatest integer that a repository can hold, and that can be compared with one."""


@dataclass(frozen=True, slots=True)
class Node:
    """Part of an expression.

    Attributes
    ----------
    start, end : `int`
        Its place in the text, as half-open character offsets.
    """

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A number, a string, a boolean or ``NULL`` (`None`)."""

    value: Any


@dataclass(frozen=True, slots=True)
class Time(Node):
    """A time ``T'…'``; ``text`` is what stands between the quotes."""

    text: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    """An identifier of one to three parts."""

    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The identifier as written."""
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Bind(Node):
    """A bind variable ``:name``."""

    name: str


@dataclass(frozen=True, slots=True)
class Range(Node):
    """``first..last:step`` inside ``IN``; both ends belong to it."""

    first: int
    last: int
    step: int


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function call; ``function`` is upper case."""

    function: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Pair(Node):
    """``(a, b)``: a timespan."""

    first: Expr
    second: Expr


@dataclass(frozen=True, slots=True)
class Negate(Node):
    """``-a``."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """``a op b`` with op one of ``+ - * / %``."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """``a op b`` with op one of ``= != < <= > >=``."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Overlaps(Node):
    """``a OVERLAPS b``: of timespans or of regions."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class IsIn(Node):
    """``a [NOT] IN (…)``."""

    operand: Expr
    items: tuple[Expr, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class InQuery(Node):
    """``a [NOT] IN (SELECT field FROM dataset_type [WHERE condition])``."""

    operand: Expr
    field: str
    dataset_type: str
    condition: str
    negated: bool


@dataclass(frozen=True, slots=True)
class IsNull(Node):
    """``a IS [NOT] NULL``."""

    operand: Expr
    negated: bool


@dataclass(frozen=True, slots=True)
class Between(Node):
    """``a BETWEEN low AND high``; both ends belong to it."""

    operand: Expr
    low: Expr
    high: Expr


@dataclass(frozen=True, slots=True)
class Like(Node):
    """``a [NOT] LIKE pattern`` with ``%`` and ``_``."""

    operand: Expr
    pattern: Expr
    negated: bool


@dataclass(frozen=True, slots=True)
class Not(Node):
    """``NOT a``."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Logical(Node):
    """``a AND b AND …`` or ``a OR b OR …``; ``operator`` is ``AND`` or ``OR``."""

    operator: str
    operands: tuple[Expr, ...]


Expr: TypeAlias = (
    Literal
    | Time
    | Name
    | Bind
    | Range
    | Call
    | Pair
    | Negate
    | Arithmetic
    | Compare
    | Overlaps
    | IsIn
    | InQuery
    | IsNull
    | Between
    | Like
    | Not
    | Logical
)
"""Any node."""
