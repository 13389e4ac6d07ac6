# SPDX-License-Identifier: BSD-3-Clause
"""What a query has to join, decided without looking at any data.

`make_plan` is pure: dimensions, dataset searches and a bound condition go in, a
`Plan` comes out that can be printed and tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.query.columns import ColumnRef
from lakebutler.query.expression import Bound, Operation, columns_of, conjunction, show
from lakebutler.query.governors import check_governors
from lakebutler.query.joins import (
    DatasetSearch,
    Listed,
    Upload,
    choose_elements,
    related_dimensions,
    spatial_joins,
    temporal_joins,
)
from lakebutler.query.narrow import conjuncts

__all__ = ["DatasetSearch", "Order", "Plan", "keep_collections", "make_plan", "sky_keys"]


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
    overlaps : `tuple` [`Operation`]
        Overlaps in time that hold without being asked for.
    skies : `tuple` [`Operation`]
        Overlaps on the sky that are joined: those that hold without being asked
        for, and those that the condition demands; these are not in ``where``.
    uploads : `tuple` [`Upload`]
        Data IDs that the caller gave.
    columns : `tuple` [`ColumnRef`]
        Fields of the result besides its dimensions.
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
    overlaps: tuple[Operation, ...] = ()
    skies: tuple[Operation, ...] = ()
    uploads: tuple[Upload, ...] = ()
    columns: tuple[ColumnRef, ...] = ()
    where: Bound | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    element: str | None = None
    distinct: bool = False

    @property
    def target(self) -> DatasetSearch | None:
        """The search whose datasets are the result."""
        return next((s for s in self.searches if s.is_result), None)

    @property
    def ranking(self) -> str | None:
        """How the first dataset of each data ID is found.

        ``search``: before anything is joined, as nothing depends on where a
        dataset was found.  ``rows``: among the rows that satisfy the condition,
        once for each data ID of the result.  ``times``: the same, once for each
        combination of all dimensions, as validity depends on them; the answers
        for one data ID must agree.
        """
        target = self.target
        if target is None or not target.find_first or (len(target.path) < 2 and not target.has_validity):
            return None
        if target.has_validity:
            return "times"
        return "rows" if self.uses(target) else "search"

    def uses(self, search: DatasetSearch) -> bool:
        """Whether rows depend on more of a search than the dimension values it has.

        Parameters
        ----------
        search : `DatasetSearch`
            One of the searches.

        Returns
        -------
        uses : `bool`
            True if its fields are in the condition, the order or an overlap.
        """
        bounds = [*self.overlaps, *self.columns, *(order.column for order in self.order_by)]
        if self.where is not None:
            bounds.append(self.where)
        return any(c.kind == "dataset" and c.owner == search.name for b in bounds for c in columns_of(b))

    def __str__(self) -> str:
        lines = [f"result      {', '.join(self.result.names) or '(one row)'}"]
        if self.element is not None:
            lines[0] = f"result      records of {self.element}"
        if set(self.dimensions.names) != set(self.result.names):
            lines.append(f"joined      {', '.join(self.dimensions.names)}")
        for search in self.searches:
            path = ", ".join(name for name, _ in search.path)
            first = ", first found" if search.is_result and search.find_first else ""
            lines.append(f"datasets    {search.name} in [{path}]{first}")
        lines += [f"given       {len(u.rows)} of {', '.join(u.dimensions.required)}" for u in self.uploads]
        if self.elements:
            lines.append(f"records     {', '.join(self.elements)}")
        if self.unions:
            lines.append(f"values      {', '.join(self.unions)}")
        lines += [f"overlap     {show(overlap)}" for overlap in self.overlaps]
        lines += [f"on the sky  {show(sky)}" for sky in self.skies]
        if self.where is not None:
            lines.append(f"where       {show(self.where)}")
        if self.order_by:
            terms = (f"{'-' if o.descending else ''}{show(o.column)}" for o in self.order_by)
            lines.append(f"order by    {', '.join(terms)}")
        if self.limit is not None:
            lines.append(f"limit       {self.limit}")
        if self.ranking is not None:
            lines.append(f"first of    {self.ranking}")
        if self.distinct:
            lines.append("distinct    rows")
        return "\n".join(lines)


def make_plan(
    result: DimensionGroup,
    *,
    uploads: Sequence[Upload] = (),
    fields: Sequence[ColumnRef] = (),
    joined: DimensionGroup | None = None,
    searches: Sequence[DatasetSearch] = (),
    where: Bound | None = None,
    order_by: Sequence[Order] = (),
    limit: int | None = None,
    element: str | None = None,
    given: Iterable[str] = (),
    skip_implied: bool = False,
) -> Plan:
    """Decide what to join.

    Parameters
    ----------
    result : `DimensionGroup`
        Dimensions of the result rows.
    uploads : sequence of `Upload`, optional
        Data IDs to join.
    fields : sequence of `ColumnRef`, optional
        Fields of the result besides its dimensions.
    joined : `DimensionGroup`, optional
        More dimensions to join.
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
    given : iterable of `str`, optional
        Dimensions that a data ID or a default fixes.
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
    universe = result.universe
    columns = [*columns_of(where)] if where is not None else []
    columns += [*fields, *(c for order in order_by for c in columns_of(order.column))]
    names = {*result.names, *(joined.names if joined is not None else ())}
    touched = {column.owner for column in columns if column.kind == "element"}
    if element is not None:
        touched.add(element)
    names.update(column.owner for column in columns if column.kind == "dimension")
    names.update(n for name in touched for n in universe[name].minimal_group.names)
    names.update(n for search in searches for n in search.dimensions.names)
    names.update(n for upload in uploads for n in upload.dimensions.names)
    operands = [*(s.dimensions for s in searches), *(upload.dimensions for upload in uploads)]
    group = universe.conform(names)
    group = universe.conform([*group.names, *related_dimensions(group, operands)])
    check_governors(where, universe, given)
    skies = (*spatial_joins(group, operands, where), *_demanded(where))
    where = conjunction([part for part in conjuncts(where) if not _is_sky(part)])
    overlaps = temporal_joins(group, searches, where, [upload.dimensions for upload in uploads])
    touched = {element} if element is not None else set()
    bounds = [*overlaps, *fields, *(order.column for order in order_by), *conjuncts(where)]
    touched.update(c.owner for bound in bounds for c in columns_of(bound) if c.kind == "element")
    needed = {*(result.required if skip_implied or element is not None else result.names)}
    needed.update(column.owner for column in columns if column.kind == "dimension")
    listed = [Listed(tuple(search.dimensions.required)) for search in searches]
    listed += [Listed(tuple(upload.dimensions.required)) for upload in uploads]
    listed += [Listed(sky_keys(sky, universe)) for sky in skies]
    elements, unions = choose_elements(group, listed, touched, needed)
    plan = Plan(
        dimensions=group,
        result=result,
        searches=tuple(searches),
        elements=tuple(elements),
        unions=tuple(unions),
        overlaps=overlaps,
        skies=skies,
        uploads=tuple(uploads),
        columns=tuple(fields),
        where=where,
        order_by=tuple(order_by),
        limit=limit,
        element=element,
    )
    return replace(plan, distinct=_may_repeat(plan))


def _is_sky(part: Bound) -> bool:
    return isinstance(part, Operation) and part.name == "sky"


def _demanded(where: Bound | None) -> list[Operation]:
    """Overlaps on the sky that must hold, each once."""
    parts = (part for part in conjuncts(where) if isinstance(part, Operation) and part.name == "sky")
    return list(dict.fromkeys(parts))


def sky_keys(op: Operation, universe: DimensionUniverse) -> tuple[str, ...]:
    """Dimensions of the pairs whose regions overlap.

    Parameters
    ----------
    op : `Operation`
        A ``sky`` operation.
    universe : `DimensionUniverse`
        The repository's dimensions.

    Returns
    -------
    names : `tuple` [`str`]
        Each once.
    """
    owners = (operand.owner for operand in op.operands if isinstance(operand, ColumnRef))
    return tuple(dict.fromkeys(name for owner in owners for name in universe[owner].required.names))


def _may_repeat(plan: Plan) -> bool:
    """Whether one result can come from several rows of the join."""
    if plan.ranking == "times":
        return False  # the ranking groups by data ID
    if plan.columns or set(plan.dimensions.required) - set(plan.result.names):
        return True
    for search in plan.searches:
        if search.is_result:
            if search.may_repeat and not search.find_first:
                return True
        elif plan.uses(search) and (len(search.path) > 1 or search.has_validity):
            return True
    return False


def keep_collections(plan: Plan, holds: Iterable[tuple[str, str]]) -> Plan:
    """Leave out collections that hold nothing of what is searched in them.

    Parameters
    ----------
    plan : `Plan`
        The plan.
    holds : iterable of `tuple` [`str`, `str`]
        Dataset types and collections that hold some of them.

    Returns
    -------
    plan : `Plan`
        With shorter search paths, and the same result.
    """
    live = frozenset(holds)
    searches = tuple(
        replace(search, path=tuple(item for item in search.path if (search.name, item[0]) in live))
        for search in plan.searches
    )
    if searches == plan.searches:
        return plan
    fewer = replace(plan, searches=searches)
    return replace(fewer, distinct=_may_repeat(fewer))
