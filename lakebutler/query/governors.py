# SPDX-License-Identifier: BSD-3-Clause
"""The governor rule: ``exposure = 5`` means nothing before the instrument is known."""

from __future__ import annotations

from collections.abc import Iterable

from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import InvalidQueryError
from lakebutler.query.columns import ColumnRef
from lakebutler.query.expression import Bound, Operation, columns_of

__all__ = ["check_governors", "mentioned"]


def mentioned(where: Bound | None) -> set[str]:
    """Dimensions whose own values a condition speaks of.

    Parameters
    ----------
    where : `Bound` or `None`
        The condition.

    Returns
    -------
    names : `set` [`str`]
        Their names.
    """
    return {c.owner for c in columns_of(where) if c.kind == "dimension"} if where is not None else set()


def check_governors(where: Bound | None, universe: DimensionUniverse, given: Iterable[str]) -> None:
    """Refuse values of dimensions that mean something only for one instrument or skymap.

    A value is understood if the governor is given, or if a condition speaks of
    the governor wherever it speaks of the value: both stand in one chain of
    ``AND``, or under one ``NOT``.

    Parameters
    ----------
    where : `Bound` or `None`
        The condition.
    universe : `DimensionUniverse`
        The repository's dimensions.
    given : iterable of `str`
        Dimensions that a data ID or a default fixes.

    Raises
    ------
    InvalidQueryError
        Raised if the governor of a dimension in the condition is not known.
    """
    if where is not None:
        _check(where, universe, frozenset(given))


def _check(bound: Bound, universe: DimensionUniverse, known: frozenset[str]) -> None:
    if isinstance(bound, ColumnRef):
        _check_column(bound, universe, known)
    elif isinstance(bound, Operation):
        if bound.name == "not":
            # Whatever it is that must not be is described as one.
            known = known | mentioned(bound)
        elif bound.name != "or":
            known = known | {c.owner for o in bound.operands for c in _plain_columns(o)}
        for operand in bound.operands:
            _check(operand, universe, known)


def _plain_columns(bound: Bound) -> Iterable[ColumnRef]:
    """Dimensions that a condition speaks of in each of its alternatives."""
    if isinstance(bound, ColumnRef):
        return (bound,) if bound.kind == "dimension" else ()
    if not isinstance(bound, Operation):
        return ()
    parts = [set(_plain_columns(operand)) for operand in bound.operands]
    if bound.name == "or":
        return set.intersection(*parts) if parts else set()
    return set().union(*parts)


def _check_column(column: ColumnRef, universe: DimensionUniverse, known: frozenset[str]) -> None:
    if column.kind != "dimension":
        return
    governor = universe.dimensions[column.owner].governor
    if governor is None or governor.name in known or governor.name == column.owner:
        return
    raise InvalidQueryError(
        f"the condition on {column.owner!r} has a meaning only for one {governor.name}, which is not given",
        hint=f"add {governor.name}='…' to the condition, or pass {governor.name}=…",
    )
