# SPDX-License-Identifier: BSD-3-Clause
"""Bound expressions: every name is a column, every value has a type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from lakebutler.query.columns import ColumnRef

__all__ = ["Bound", "Constant", "Operation", "columns_of", "conjunction", "show"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A value.

    Attributes
    ----------
    value
        The value; a time is TAI nanoseconds, a timespan a pair of them, a range
        its first and last number and its step.
    type : `str`
        As in `ColumnRef`, or ``null`` or ``range``.
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
        overlaps valid sky begin end pair``.
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


def conjunction(parts: list[Bound]) -> Bound | None:
    """Join conditions that must all hold.

    Parameters
    ----------
    parts : `list` [`Bound`]
        The conditions.

    Returns
    -------
    condition : `Bound` or `None`
        `None` if there are none.
    """
    flat: list[Bound] = []
    for part in parts:
        flat.extend(part.operands if isinstance(part, Operation) and part.name == "and" else (part,))
    if len(flat) > 1:
        return Operation("and", tuple(flat), "bool")
    return flat[0] if flat else None


def show(bound: Bound) -> str:
    """Write an expression for a person to read.

    Parameters
    ----------
    bound : `Bound`
        The expression.

    Returns
    -------
    text : `str`
        One line.
    """
    if isinstance(bound, ColumnRef):
        return str(bound)
    if isinstance(bound, Constant):
        if bound.type == "range":
            first, last, step = bound.value
            return f"{first}..{last}" + (f":{step}" if step != 1 else "")
        if bound.type in ("time", "timespan"):
            return f"{bound.type} {bound.value}"
        if bound.type == "region":
            return _region(bound.value)
        return repr(bound.value) if bound.value is not None else "NULL"
    if bound.name in ("and", "or"):
        return "(" + f" {bound.name} ".join(show(o) for o in bound.operands) + ")"
    if bound.name == "in":
        shown = [show(o) for o in bound.operands]
        more = f", … ({len(shown) - 1} in all)" if len(shown) > 9 else ""
        return f"({shown[0]} in [{', '.join(shown[1:9])}{more}])"
    if bound.name in ("begin", "end"):
        return f"{show(bound.operands[0])}.{bound.name}"
    if len(bound.operands) == 2 and bound.name not in ("glob", "valid", "pair"):
        return f"({show(bound.operands[0])} {bound.name} {show(bound.operands[1])})"
    return f"{bound.name}({', '.join(show(o) for o in bound.operands)})"


def _region(value: bytes) -> str:
    from lsst.sphgeom import Region

    try:
        return f"region {Region.decode(value).to_ivoa_pos()}"
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return f"region of {len(value)} bytes"
