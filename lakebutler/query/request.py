# SPDX-License-Identifier: BSD-3-Clause
"""What a caller asks for, and how it becomes a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.errors import DimensionNameError, DimensionValueError, InvalidQueryError
from lakebutler.query.bind import Bound, Operation, bind, columns_of, constant
from lakebutler.query.columns import Scope, dimension_column, element_field, resolve
from lakebutler.query.parse import expression_error, parse
from lakebutler.query.plan import DatasetSearch, Order, Plan, constrained_governors, make_plan

__all__ = ["Request", "split_arguments"]


@dataclass(frozen=True)
class Request:
    """A query as its caller put it; immutable, each refinement is a new one.

    Attributes
    ----------
    dimensions : `DimensionGroup`
        Dimensions of the result rows.
    joined : `DimensionGroup`
        Further dimensions to join.
    searches : `tuple` [`DatasetSearch`]
        Dataset searches.
    conditions : `tuple` [`tuple` [`str`, `dict`]]
        Where-expressions, each with its bind values; all must hold.
    data_id : `dict`
        Values that are fixed.
    defaults : `dict`
        Values of governors to use where the query needs but does not fix them.
    order_by : `tuple` [`str`]
        Identifiers, with ``-`` in front for descending.
    limit : `int` or `None`
        How many rows at most.
    element : `str` or `None`
        Element whose records are the result.
    with_records : `bool`
        Whether result data IDs carry their records.
    """

    dimensions: DimensionGroup
    joined: DimensionGroup
    searches: tuple[DatasetSearch, ...] = ()
    conditions: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    data_id: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    order_by: tuple[str, ...] = ()
    limit: int | None = None
    element: str | None = None
    with_records: bool = False

    def where(self, texts: Sequence[str], values: Mapping[str, Any], data_id: Mapping[str, Any]) -> Request:
        """Add conditions.

        Parameters
        ----------
        texts : sequence of `str`
            Where-expressions.
        values : mapping
            Bind values of all of them.
        data_id : mapping
            Values to fix.

        Returns
        -------
        request : `Request`
            The narrower query.
        """
        for name, value in data_id.items():
            if name in self.data_id and self.data_id[name] != value:
                raise InvalidQueryError(f"{name} is fixed to {self.data_id[name]!r} already, it cannot be {value!r} too")
        added = tuple((text, dict(values)) for text in texts if text.strip())
        return replace(self, conditions=self.conditions + added, data_id={**self.data_id, **data_id})

    def plan(self) -> Plan:
        """Decide what to join.

        Returns
        -------
        plan : `Plan`
            The plan.

        Raises
        ------
        InvalidQueryError
            Raised if the query makes no sense.
        """
        universe = self.dimensions.universe
        scope = Scope(
            universe,
            self.dimensions.union(self.joined, *(s.dimensions for s in self.searches)),
            tuple(search.name for search in self.searches),
            self.element,
        )
        parts: list[Bound] = []
        for text, values in self.conditions:
            root = parse(text)
            if root is not None:
                parts.append(bind(root, text, scope, values))
        fixed = self._fixed(scope, parts)
        parts = [*fixed, *parts]
        condition = parts[0] if len(parts) == 1 else Operation("and", tuple(parts), "bool") if parts else None
        plan = make_plan(
            self.dimensions,
            searches=self.searches,
            where=condition,
            order_by=[_order(term, scope) for term in self.order_by],
            limit=self.limit,
            element=self.element,
            data_id={**self.defaults, **self.data_id},
            with_records=self.with_records,
        )
        if not set(self.joined.names) <= set(plan.dimensions.names):
            wider = self.joined.union(self.dimensions)
            plan = replace(
                make_plan(
                    wider,
                    searches=self.searches,
                    where=condition,
                    order_by=plan.order_by,
                    limit=self.limit,
                    element=self.element,
                    data_id={**self.defaults, **self.data_id},
                    with_records=self.with_records,
                ),
                result=self.dimensions,
                distinct=True,
            )
        return plan

    def _fixed(self, scope: Scope, parts: Sequence[Bound]) -> list[Bound]:
        universe = scope.universe
        fixed: list[Bound] = []
        for name, value in self.data_id.items():
            fixed.append(_equals(scope, name, value))
        pinned = set(self.data_id)
        for part in parts:
            pinned |= constrained_governors(part)
        for name, value in self.defaults.items():
            if name in pinned or name not in universe.governor_dimensions.names:
                continue
            used = name in scope.dimensions.governors or any(_uses(part, name, universe) for part in parts)
            if used:
                fixed.append(_equals(scope, name, value))
        return fixed


def _uses(bound: Bound, governor: str, universe: Any) -> bool:
    for column in columns_of(bound):
        if column.kind != "dataset" and governor in universe[column.owner].minimal_group.governors:
            return True
    return False


def _equals(scope: Scope, name: str, value: Any) -> Bound:
    universe = scope.universe
    if name not in universe.dimensions.names:
        if "." in name:
            column, _ = resolve(tuple(name.split(".")), scope)
        else:
            try:
                column, _ = resolve((name,), scope)
            except InvalidQueryError as exc:
                raise DimensionNameError(f"there is no dimension {name!r}", hint=exc.hint) from None
    else:
        column = dimension_column(universe, name)
    if value is None:
        raise DimensionValueError(f"{name} has no value (None)")
    if column.type == "string" and not isinstance(value, str):
        raise DimensionValueError(f"{name} must be a string, not {type(value).__name__} {value!r}")
    given = constant(value)
    if column.type == "int" and given.type != "int":
        alternate = _alternate(scope, name) if given.type == "string" else None
        if alternate is None:
            raise DimensionValueError(f"{name} must be an integer, not {type(value).__name__} {value!r}")
        return Operation("=", (alternate, given), "bool")
    return Operation("=", (column, given), "bool")


def _alternate(scope: Scope, name: str) -> Any:
    """Column of a dimension's alternate key that is a string, if there is just one."""
    dimension = scope.universe.dimensions[name]
    keys = [key for key in dimension.alternate_keys if key.type == "string"]
    return element_field(dimension, keys[0].name) if len(keys) == 1 else None


def _order(term: str, scope: Scope) -> Order:
    text = term.strip()
    descending = text.startswith("-")
    name = text.lstrip("-+").strip()
    root = parse(name) if name else None
    if root is None:
        raise InvalidQueryError("an empty term in order_by", hint="give names, with '-' in front for descending")
    parts = tuple(name.split("."))
    if not all(part.isidentifier() for part in parts):
        raise expression_error(name, 0, "order_by takes names only").with_traceback(None)
    try:
        column, bound = resolve(parts, scope)
    except InvalidQueryError as exc:
        raise InvalidQueryError(f"order_by: {exc.message}", hint=exc.hint) from None
    if bound is not None:
        return Order(Operation(bound, (column,), "time"), descending)
    if column.type in ("timespan", "region", "hash"):
        raise InvalidQueryError(
            f"order_by: {name!r} is a {column.type}, which has no order",
            hint=f"use {name}.begin or {name}.end" if column.type == "timespan" else None,
        )
    return Order(column, descending)


def split_arguments(
    arguments: Sequence[object], keywords: Mapping[str, Any], bind_values: Mapping[str, Any] | None
) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """Sort the arguments of ``where()``.

    Parameters
    ----------
    arguments : sequence
        Expressions, data IDs and mappings.
    keywords : mapping
        Values to fix.
    bind_values : mapping or `None`
        Bind variables.

    Returns
    -------
    texts : `list` [`str`]
        Where-expressions.
    values : `dict`
        Bind variables.
    data_id : `dict`
        Values to fix.
    """
    texts: list[str] = []
    data_id: dict[str, Any] = {}
    for argument in arguments:
        if argument is None:
            continue
        if isinstance(argument, str):
            texts.append(argument)
        elif isinstance(argument, DataCoordinate):
            data_id.update(argument.required)
        elif isinstance(argument, Mapping):
            data_id.update(argument)
        else:
            raise InvalidQueryError(
                f"where takes expressions and data IDs, not {type(argument).__name__}",
                hint="write a string such as \"visit > 3\", or pass keywords",
            )
    data_id.update(keywords)
    return texts, dict(bind_values or {}), data_id

