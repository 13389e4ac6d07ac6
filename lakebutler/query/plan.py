# SPDX-License-Identifier: BSD-3-Clause
"""What a query has to join, decided without looking at any data.

`make_plan` is pure: dimensions, dataset searches and a bound condition go in, a
`Plan` comes out that can be printed and tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lakebutler.collections.collection import CollectionType
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.errors import InvalidQueryError
from lakebutler.query.bind import Bound, Constant, Operation, columns_of
from lakebutler.query.columns import ColumnRef

__all__ = ["DatasetSearch", "Order", "Plan", "constrained_governors", "make_plan"]


@dataclass(frozen=True)
class DatasetSearch:
    """A search for the datasets of one type.

    Attributes
    ----------
    name : `str`
        Name of the dataset type.
    dimensions : `DimensionGroup`
        Its dimensions.
    path : `tuple` [`tuple` [`str`, `CollectionType`]]
        Collections in search order, no chains.
    find_first : `bool`
        Whether only the first dataset of each data ID counts.
    is_result : `bool`
        Whether the query returns these datasets.
    """

    name: str
    dimensions: DimensionGroup
    path: tuple[tuple[str, CollectionType], ...]
    find_first: bool
    is_result: bool = False


@dataclass(frozen=True)
class Order:
    """One term of a sort order."""

    column: Bound
    descending: bool = False


@dataclass(frozen=True)
class Plan:
    """A query, ready to be written as SQL.

    Attributes
    ----------
    dimensions : `DimensionGroup`
        Everything that is joined.
    result : `DimensionGroup`
        Dimensions of the result rows.
    searches : `tuple` [`DatasetSearch`]
        Dataset searches that are joined.
    elements : `tuple` [`str`]
        Elements whose tables are joined, in the universe's order.
    unions : `tuple` [`str`]
        Dimensions without a table whose values come from another's records.
    where : `Bound` or `None`
        The condition.
    order_by : `tuple` [`Order`]
        The order of the result.
    limit : `int` or `None`
        How many rows at most.
    element : `str` or `None`
        Element whose records are the result.
    distinct : `bool`
        Whether rows may repeat and must be made distinct.
    """

    dimensions: DimensionGroup
    result: DimensionGroup
    searches: tuple[DatasetSearch, ...] = ()
    elements: tuple[str, ...] = ()
    unions: tuple[str, ...] = ()
    where: Bound | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    element: str | None = None
    distinct: bool = False
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        lines = [f"result      {', '.join(self.result.names) or '(one row)'}"]
        if set(self.dimensions.names) != set(self.result.names):
            lines.append(f"joined      {', '.join(self.dimensions.names)}")
        for search in self.searches:
            path = ", ".join(name for name, _ in search.path)
            lines.append(f"datasets    {search.name} in [{path}]{', first found' if search.find_first else ''}")
        if self.elements:
            lines.append(f"records     {', '.join(self.elements)}")
        if self.unions:
            lines.append(f"values      {', '.join(self.unions)}")
        if self.where is not None:
            lines.append(f"where       {_show(self.where)}")
        if self.order_by:
            terms = ((f"-{_show(o.column)}" if o.descending else _show(o.column)) for o in self.order_by)
            lines.append(f"order by    {', '.join(terms)}")
        if self.limit is not None:
            lines.append(f"limit       {self.limit}")
        if self.distinct:
            lines.append("distinct    rows")
        return "\n".join(lines)


def _show(bound: Bound) -> str:
    if isinstance(bound, ColumnRef):
        return str(bound)
    if isinstance(bound, Constant):
        return repr(bound.value)
    if len(bound.operands) == 2 and bound.name != "glob":
        return f"({_show(bound.operands[0])} {bound.name} {_show(bound.operands[1])})"
    return f"{bound.name}({', '.join(_show(o) for o in bound.operands)})"


def constrained_governors(where: Bound | None) -> set[str]:
    """Dimensions that a condition pins to certain values.

    Parameters
    ----------
    where : `Bound` or `None`
        The condition.

    Returns
    -------
    names : `set` [`str`]
        Dimensions that stand in ``=`` or ``IN`` in every alternative.
    """
    if not isinstance(where, Operation):
        return set()
    if where.name == "and":
        return set().union(*(constrained_governors(o) for o in where.operands))
    if where.name == "or":
        return set.intersection(*(constrained_governors(o) for o in where.operands))
    if where.name == "=":
        left, right = where.operands
        for a, b in ((left, right), (right, left)):
            if isinstance(a, ColumnRef) and a.kind == "dimension" and isinstance(b, Constant):
                return {a.owner}
    if where.name == "in" and isinstance(where.operands[0], ColumnRef) and where.operands[0].kind == "dimension":
        return {where.operands[0].owner}
    return set()


def check_governors(where: Bound | None, group: DimensionGroup, given: Iterable[str]) -> None:
    """Refuse values of dimensions that mean something only for one instrument or skymap.

    Parameters
    ----------
    where : `Bound` or `None`
        The condition.
    group : `DimensionGroup`
        Everything that is joined.
    given : iterable of `str`
        Dimensions that a data ID fixes.

    Raises
    ------
    InvalidQueryError
        Raised if the governor of a dimension in the condition is not fixed.
    """
    if where is None:
        return
    fixed = constrained_governors(where) | set(given)
    for column in columns_of(where):
        if column.kind != "dimension":
            continue
        dimension = group.universe.dimensions[column.owner]
        governor = dimension.governor
        if governor is None or governor.name in fixed or governor.name == dimension.name:
            continue
        raise InvalidQueryError(
            f"the condition on {column.owner!r} has a meaning only for one {governor.name}, which is not given",
            hint=f"add {governor.name}='…' to the condition, or pass {governor.name}=…",
        )


def make_plan(
    result: DimensionGroup,
    *,
    searches: Sequence[DatasetSearch] = (),
    where: Bound | None = None,
    order_by: Sequence[Order] = (),
    limit: int | None = None,
    element: str | None = None,
    data_id: Mapping[str, object] | None = None,
    with_records: bool = False,
    skip_records: bool = False,
) -> Plan:
    """Decide what to join.

    Parameters
    ----------
    result : `DimensionGroup`
        Dimensions of the result rows.
    searches : sequence of `DatasetSearch`, optional
        Dataset searches.
    where : `Bound`, optional
        The condition; a data ID is part of it already.
    order_by : sequence of `Order`, optional
        Order of the result.
    limit : `int`, optional
        How many rows at most.
    element : `str`, optional
        Element whose records are the result.
    data_id : mapping, optional
        Values that are fixed; only its keys matter here.
    with_records : `bool`, optional
        Whether the records of all result elements are needed.
    skip_records : `bool`, optional
        Whether implied values of the result are not needed.

    Returns
    -------
    plan : `Plan`
        The plan.
    """
    universe = result.universe
    names = set(result.names)
    columns = [*columns_of(where)] if where is not None else []
    columns += [c for order in order_by for c in columns_of(order.column)]
    touched: set[str] = set()
    for column in columns:
        if column.kind == "dimension":
            names.add(column.owner)
        elif column.kind == "element":
            names.update(universe[column.owner].minimal_group.names)
            touched.add(column.owner)
    for search in searches:
        names.update(search.dimensions.names)
    if element is not None:
        names.update(universe[element].minimal_group.names)
        touched.add(element)
    group = universe.conform(names)
    check_governors(where, group, data_id or ())
    if with_records:
        touched.update(result.elements)
    needed = _needed_keys(group, result, columns, skip_records=skip_records)
    elements, unions = _choose_elements(group, searches, touched, needed)
    result_search = any(search.is_result for search in searches)
    extra = set(group.required) - set(result.names)
    return Plan(
        dimensions=group,
        result=result,
        searches=tuple(searches),
        elements=tuple(elements),
        unions=tuple(unions),
        where=where,
        order_by=tuple(order_by),
        limit=limit,
        element=element,
        distinct=bool(extra) or (not result_search and bool(searches)),
    )


def _needed_keys(
    group: DimensionGroup, result: DimensionGroup, columns: Iterable[ColumnRef], *, skip_records: bool
) -> set[str]:
    needed = set(group.required)
    needed.update(result.required if skip_records else result.names)
    needed.update(column.owner for column in columns if column.kind == "dimension")
    return needed


def _choose_elements(
    group: DimensionGroup, searches: Sequence[DatasetSearch], touched: set[str], needed: set[str]
) -> tuple[list[str], list[str]]:
    universe = group.universe
    provided: set[str] = set()
    for search in searches:
        provided.update(search.dimensions.required)
    chosen: list[str] = []
    waiting = [universe[name] for name in group.elements]
    for item in waiting:
        if not item.has_own_table:
            continue
        if item.name in touched or _relates(item, group) or _enumerates(item, group, provided):
            chosen.append(item.name)
    # Implied values: whatever element implies a key that nobody provides yet.
    changed = True
    while changed:
        changed = False
        have = provided | {n for name in chosen for n in _dimension_names(universe[name])}
        for item in reversed(waiting):
            if item.has_own_table and item.name not in chosen and set(item.implied.names) & (needed - have):
                chosen.append(item.name)
                changed = True
                break
    have = provided | {n for name in chosen for n in _dimension_names(universe[name])}
    unions = []
    for name in group.names:
        if name in have or name not in needed:
            continue
        target = universe.dimensions[name].implied_union_target
        if target is None:
            raise InvalidQueryError(
                f"the values of {name!r} cannot be listed: nothing in the query holds them",
                hint="search for datasets that have it, or leave it out",
            )
        unions.append(name)
    return sorted(chosen, key=lambda n: universe[n].index), unions


def _dimension_names(element: DimensionElement) -> tuple[str, ...]:
    return (*element.required.names, *element.implied.names)


def _relates(element: DimensionElement, group: DimensionGroup) -> bool:
    return element.alwaysJoin and set(element.required.names) <= set(group.names)


def _enumerates(element: DimensionElement, group: DimensionGroup, provided: set[str]) -> bool:
    """Whether only this element's table can say which values there are."""
    return element.name in group.required and element.name not in provided
