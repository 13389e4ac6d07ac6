# SPDX-License-Identifier: BSD-3-Clause
"""What a condition leaves of the values of dimensions: pure."""

from __future__ import annotations

from collections.abc import Iterator

from lakebutler.lake.select import Allowed
from lakebutler.query.columns import ColumnRef
from lakebutler.query.expression import Bound, Constant, Operation

__all__ = ["conjuncts", "narrowed"]

_MOST = 1000
"""Ranges of more values than this stay ranges."""


def conjuncts(where: Bound | None) -> Iterator[Bound]:
    """Parts of a condition that must all hold.

    Parameters
    ----------
    where : `Bound` or `None`
        The condition.

    Yields
    ------
    part : `Bound`
        Each of them.
    """
    if isinstance(where, Operation) and where.name == "and":
        for operand in where.operands:
            yield from conjuncts(operand)
    elif where is not None:
        yield where


def narrowed(where: Bound | None) -> dict[str, Allowed]:
    """Find which values of dimensions a condition leaves.

    Parameters
    ----------
    where : `Bound` or `None`
        The condition.

    Returns
    -------
    allowed : `dict` [`str`, `Allowed`]
        By dimension; rows with other values do not satisfy the condition, those
        with these may or may not.
    """
    allowed: dict[str, Allowed] = {}
    for part in conjuncts(where):
        found = _of(part)
        if found is not None:
            name, values = found
            allowed[name] = values.meet(allowed[name]) if name in allowed else values
    return allowed


_FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _of(part: Bound) -> tuple[str, Allowed] | None:
    if not isinstance(part, Operation):
        return None
    if part.name == "in":
        return _list(part)
    if part.name not in _FLIPPED:
        return None
    left, right = part.operands
    name = part.name
    if isinstance(left, Constant):
        left, right, name = right, left, _FLIPPED[name]
    if not isinstance(left, ColumnRef) or left.kind != "dimension" or not isinstance(right, Constant):
        return None
    if left.type != right.type or left.type not in ("int", "string"):
        return None
    value = right.value
    if name == "=":
        return left.owner, Allowed(frozenset((value,)))
    if left.type != "int":
        return None
    limits = {"<": (None, value - 1), "<=": (None, value), ">": (value + 1, None), ">=": (value, None)}
    return left.owner, Allowed(None, *limits[name])


def _list(part: Operation) -> tuple[str, Allowed] | None:
    operand, *items = part.operands
    if not isinstance(operand, ColumnRef) or operand.kind != "dimension":
        return None
    values: set[object] = set()
    for item in items:
        if not isinstance(item, Constant) or item.type not in (operand.type, "range"):
            return None
        if item.type != "range":
            values.add(item.value)
            continue
        first, last, step = item.value
        if (last - first) // step < _MOST:
            values.update(range(first, last + 1, step))
        elif len(items) == 1:
            return operand.owner, Allowed(None, first, last)
        else:
            return None
    return operand.owner, Allowed(frozenset(values))
