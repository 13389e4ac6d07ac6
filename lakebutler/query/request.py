# SPDX-License-Identifier: BSD-3-Clause
"""What a caller asks for, and how it becomes a plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.errors import DimensionNameError, DimensionValueError, InvalidQueryError
from lakebutler.query.columns import ColumnRef, Scope, dimension_column, element_field, resolve
from lakebutler.query.expression import Bound, Operation, columns_of, conjunction
from lakebutler.query.expression_factory import Predicate
from lakebutler.query.governors import mentioned
from lakebutler.query.joins import Upload
from lakebutler.query.plan import DatasetSearch, Order, Plan, make_plan
from lakebutler.query.values import constant

__all__ = ["Request", "split_arguments"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


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
    uploads : `tuple` [`Upload`]
        Data IDs to join.
    fields : `tuple` [`str`]
        Fields of the result besides its dimensions.
    subquery : callable or `None`
        As in `lakebutler.query.columns.Scope`.
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
    uploads: tuple[Upload, ...] = ()
    fields: tuple[str, ...] = ()
    subquery: Callable[[str, str, str, Mapping[str, Any]], Sequence[Any]] | None = None

    @property
    def constrained(self) -> DimensionGroup:
        """Dimensions of what is joined."""
        groups = [search.dimensions for search in self.searches]
        return self.joined.union(*groups, *(upload.dimensions for upload in self.uploads))

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
                raise InvalidQueryError(
                    f"{name} is fixed to {self.data_id[name]!r} already, it cannot be {value!r} too"
                )
        added = tuple((text, dict(values)) for text in texts if text.strip())
        return replace(self, conditions=self.conditions + added, data_id={**self.data_id, **data_id})

    def plan(self, *, skip_implied: bool = False) -> Plan:
        """Decide what to join.

        Parameters
        ----------
        skip_implied : `bool`, optional
            Whether implied values of the result are not needed.

        Returns
        -------
        plan : `Plan`
            The plan.

        Raises
        ------
        InvalidQueryError
            Raised if the query makes no sense.
        """
        scope = Scope(
            self.dimensions.universe,
            self.dimensions.union(self.constrained),
            tuple(search.name for search in self.searches),
            self.element,
            frozenset(search.name for search in self.searches if search.has_validity),
            self.subquery,
            {search.name: search.dimensions for search in self.searches},
        )
        parts: list[Bound] = [_equals(scope, name, value) for name, value in self.data_id.items()]
        parts += [bound for text, values in self.conditions if (bound := _bound(text, scope, values))]
        defaults = self._defaults(scope, parts)
        return make_plan(
            self.dimensions,
            uploads=self.uploads,
            fields=self._columns(scope),
            joined=self.joined,
            searches=self.searches,
            where=conjunction([*defaults.values(), *parts]),
            order_by=[self._ordered(term, scope) for term in self.order_by],
            limit=self.limit,
            element=self.element,
            given=defaults,
            skip_implied=skip_implied,
        )

    def _columns(self, scope: Scope) -> list[ColumnRef]:
        """Columns of the fields of the result, each name once."""
        found = (column for name in self.fields if (column := _field(name, scope)) is not None)
        return list({str(column): column for column in found}.values())

    def _ordered(self, term: str, scope: Scope) -> Order:
        """Read a term of ``order_by``: what the result does not tell has no one value for a row of it."""
        order = _order(term, scope)
        for column in columns_of(order.column):
            if column.kind == "dataset":
                continue
            element = scope.universe[column.owner]
            foreign = [name for name in element.required.names if name not in self.dimensions.names]
            if foreign:
                raise InvalidQueryError(
                    f"order_by: {term!r} is of {', '.join(foreign)}, which the result does not have",
                    hint=f"it has {', '.join(self.dimensions.names)}",
                )
        return order

    def _defaults(self, scope: Scope, parts: Sequence[Bound]) -> dict[str, Bound]:
        """Conditions on governors that the query needs and does not speak of."""
        universe = scope.universe
        spoken = {name for part in parts for name in mentioned(part)}
        used = set(scope.dimensions.governors)
        for part in parts:
            for column in columns_of(part):
                if column.kind != "dataset":
                    used.update(universe[column.owner].minimal_group.governors)
        return {
            name: _equals(scope, name, value)
            for name, value in self.defaults.items()
            if name in universe.governor_dimensions.names and name in used and name not in spoken
        }


def _bound(text: str, scope: Scope, values: Mapping[str, Any]) -> Bound | None:
    from lakebutler.query.bind import bind
    from lakebutler.query.parse import parse

    root = parse(text)
    return None if root is None else bind(root, text, scope, values)


def _equals(scope: Scope, name: str, value: Any) -> Bound:
    column = _data_id_column(scope, name)
    if value is None:
        raise DimensionValueError(f"{name} has no value (None)")
    try:
        given = constant(value)
    except (TypeError, ValueError) as exc:
        raise DimensionValueError(f"{name}: {exc}") from None
    if given.type == column.type or (given.type == "int" and column.type == "float"):
        return Operation("=", (column, given), "bool")
    if given.type == "string" and column.kind == "dimension":
        alternate = _alternate(scope, column.owner)
        if alternate is not None:
            return Operation("=", (alternate, given), "bool")
    kinds = {"int": "an integer", "string": "a string", "float": "a number", "bool": "true or false"}
    kind = kinds.get(column.type, f"of type {column.type}")
    raise DimensionValueError(f"{name} must be {kind}, not {type(value).__name__} {value!r}")


def _data_id_column(scope: Scope, name: str) -> ColumnRef:
    if not isinstance(name, str):
        raise DimensionNameError(f"the keys of a data ID are names of dimensions, not {name!r}")
    if name in scope.universe.dimensions.names:
        return dimension_column(scope.universe, name)
    try:
        column, bound = resolve(tuple(name.split(".")), scope)
    except InvalidQueryError as exc:
        if "can mean" in exc.message:
            raise DimensionNameError(exc.message, hint=exc.hint) from None
        raise DimensionNameError(f"there is no dimension {name!r}", hint=exc.hint) from None
    if bound is not None or column.type in ("timespan", "region"):
        raise DimensionNameError(f"{name!r} is a {column.type}, which no data ID has", hint="use where=")
    return column


def _alternate(scope: Scope, name: str) -> ColumnRef | None:
    """Column of a dimension's alternate key that is a string, if there is just one."""
    dimension = scope.universe.dimensions[name]
    keys = [key for key in dimension.alternate_keys if key.type == "string"]
    return element_field(dimension, keys[0].name) if len(keys) == 1 else None


def _field(name: str, scope: Scope) -> ColumnRef | None:
    """Column of a field of the result; `None` for a dimension, which is there anyway."""
    column, bound = resolve(tuple(name.split(".")), scope)
    if bound is not None:
        raise InvalidQueryError(f"{name!r} is no field", hint=f"ask for {column}, which has both ends")
    if column.kind == "element" and name.rpartition(".")[0] in scope.dataset_types:
        return replace(column, label=name)
    return column if column.kind != "dimension" else None


def _order(term: object, scope: Scope) -> Order:
    if not isinstance(term, str):
        raise InvalidQueryError(f"order_by takes names, not {type(term).__name__} {term!r}")
    text = term.strip()
    descending = text.startswith("-")
    name = text[1:].strip() if text[:1] in ("-", "+") else text
    if not name:
        raise InvalidQueryError(
            "an empty term in order_by", hint="give names, with '-' in front for descending"
        )
    if not _NAME.fullmatch(name):
        raise InvalidQueryError(
            f"order_by takes names, not {name!r}", hint="with '-' in front for descending"
        )
    try:
        column, bound = resolve(tuple(name.split(".")), scope)
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
        Expressions as text or as `Predicate`, data IDs and mappings.
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
    values = dict(bind_values or {})
    for argument in arguments:
        if argument is None:
            continue
        if isinstance(argument, str):
            texts.append(argument)
        elif isinstance(argument, Predicate):
            texts.append(argument.render(values))
        elif isinstance(argument, DataCoordinate):
            data_id.update(argument.required)
        elif isinstance(argument, Mapping):
            data_id.update(argument)
        else:
            raise InvalidQueryError(
                f"where takes expressions and data IDs, not {type(argument).__name__}",
                hint='write a string such as "visit > 3", or x.visit > 3, or pass keywords',
            )
    data_id.update(keywords)
    return texts, values, data_id
