# SPDX-License-Identifier: BSD-3-Clause
"""Which records a query needs, and which overlaps hold without being asked for: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lakebutler.collections.collection import CollectionType
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.errors import InvalidQueryError
from lakebutler.query.columns import ColumnRef
from lakebutler.query.expression import Bound, Operation

__all__ = [
    "DatasetSearch",
    "Listed",
    "Upload",
    "choose_elements",
    "operations",
    "related_dimensions",
    "spatial_joins",
    "temporal_joins",
]

T = TypeVar("T")


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

    @property
    def has_validity(self) -> bool:
        """Whether some of the datasets are valid for a range of time only."""
        return any(kind is CollectionType.CALIBRATION for _, kind in self.path)

    @property
    def may_repeat(self) -> bool:
        """Whether one dataset can be found more than once."""
        kinds = [kind for _, kind in self.path]
        return CollectionType.CALIBRATION in kinds or (
            len(kinds) > 1 and any(kind is not CollectionType.RUN for kind in kinds)
        )


@dataclass(frozen=True)
class Listed:
    """Something that lists the values of some dimensions.

    Attributes
    ----------
    names : `tuple` [`str`]
        The dimensions.
    """

    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Upload:
    """Data IDs that a caller gave.

    Attributes
    ----------
    dimensions : `DimensionGroup`
        Their dimensions.
    rows : `tuple` [`tuple`]
        Required values of each, each once.
    """

    dimensions: DimensionGroup
    rows: tuple[tuple[Any, ...], ...]


# -------------------------------------------------------------------- records


def choose_elements(
    group: DimensionGroup, listed: Sequence[Listed], touched: Iterable[str], needed: Iterable[str]
) -> tuple[list[str], list[str]]:
    """Choose the elements whose records must be joined.

    These are the ones whose facts are used; those that say which dimension
    values belong together (``always_join``); those that imply a value which
    anything else in the query has or implies, too, so that all are equal; and
    those that list the values of a required dimension which nothing else lists.

    A visit and an exposure with different filters do not belong together, for
    both imply the filter: a query that has both joins both, whatever it asks
    for, or its count would be that of other rows.  An element that alone implies
    a value can neither add nor remove a row: it is joined if the value is used.

    Parameters
    ----------
    group : `DimensionGroup`
        Everything that is joined.
    listed : sequence of `Listed`
        Dataset searches and pairs of regions: what lists values of dimensions.
    touched : iterable of `str`
        Elements whose facts are used.
    needed : iterable of `str`
        Dimensions whose values are used.

    Returns
    -------
    elements : `list` [`str`]
        In the universe's order.
    unions : `list` [`str`]
        Dimensions without a table whose values come from another's records.

    Raises
    ------
    InvalidQueryError
        Raised if nothing lists the values of a dimension.
    """
    choice = _Choice(group, listed, touched)
    choice.link(needed)
    unions = []
    for name in sorted(group.required, key=lambda n: group.universe[n].index, reverse=True):
        if name in choice.listed:
            continue
        dimension = group.universe.dimensions[name]
        if dimension.has_own_table:
            choice.add(name)
            choice.link(())
        elif dimension.implied_union_target is not None:
            unions.append(name)
            choice.listed.add(name)
        else:
            raise InvalidQueryError(
                f"the values of {name!r} cannot be listed: nothing in the query holds them",
                hint="search for datasets that have it, or leave it out",
            )
    return sorted(choice.chosen, key=lambda n: group.universe[n].index), unions


class _Choice:
    def __init__(self, group: DimensionGroup, listed: Sequence[Listed], touched: Iterable[str]) -> None:
        self.group = group
        self.chosen: dict[str, None] = {}
        self.listed = {name for one in listed for name in one.names}
        self._present = set(self.listed)
        for name in touched:
            if group.universe[name].has_own_table:
                self.add(name)
        for element in self._elements():
            if element.alwaysJoin and set(element.required.names) <= set(group.names):
                self.add(element.name)
        self._sources: dict[str, list[str]] = {}
        for element in self._elements():
            for name in element.implied.names:
                self._sources.setdefault(name, []).append(element.name)
        for sources in self._sources.values():
            if len(sources) > 1:
                for name in sources:
                    self.add(name)

    def _elements(self) -> Iterator[DimensionElement]:
        return (e for n in self.group.elements if (e := self.group.universe[n]).has_own_table)

    def add(self, name: str) -> None:
        element = self.group.universe[name]
        self.chosen[name] = None
        self.listed.update((*element.required.names, *element.implied.names))
        self._present.update(element.required.names)

    def link(self, needed: Iterable[str]) -> None:
        """Join what implies a value that is used or stands in another table's key."""
        self._present.update(needed)
        done: set[str] = set()
        while waiting := self._present - done:
            for name in sorted(waiting, key=lambda n: self.group.universe[n].index):
                done.add(name)
                for source in self._sources.get(name, ()):
                    if source not in self.chosen:
                        self.add(source)


# -------------------------------------------------------------------- overlaps


def spatial_joins(
    group: DimensionGroup, operands: Sequence[DimensionGroup], where: Bound | None
) -> tuple[Operation, ...]:
    """Find the overlaps on the sky that hold without being asked for.

    Two families of regions that nothing relates are related by the overlap of
    their finest members.  An overlap of the very same two in the condition takes
    its place; one of coarser members does not.

    Parameters
    ----------
    group : `DimensionGroup`
        Everything that is joined.
    operands : sequence of `DimensionGroup`
        Dimensions of what is joined already, such as datasets.
    where : `Bound` or `None`
        The condition.

    Returns
    -------
    conditions : `tuple` [`Operation`]
        ``sky`` operations: none, or one.

    Raises
    ------
    InvalidQueryError
        Raised if it is not clear what should overlap what.
    """
    finest = _finest_regions(group)
    if len(finest) < 2:
        return ()
    graph = _Graph(finest)
    for operand in operands:
        graph.connect([name for name in _finest_regions(operand) if name in finest])
    for op in operations(where, "sky"):
        owners = [operand.owner for operand in op.operands if isinstance(operand, ColumnRef)]
        graph.connect([name for name in owners if name in finest])
    components = graph.components()
    if len(components) < 2:
        return ()
    if len(components) > 2 or any(len(component) > 1 for component in components):
        shown = ", ".join(" with ".join(component) for component in components)
        raise InvalidQueryError(
            f"it is not clear what should overlap on the sky: {shown}",
            hint="say so: x.region OVERLAPS y.region",
        )
    left, right = (ColumnRef("element", name, "region", "region") for (name,) in components)
    return (Operation("sky", (left, right), "bool"),)


def related_dimensions(group: DimensionGroup, operands: Sequence[DimensionGroup]) -> set[str]:
    """Find dimensions through which what has no region is related to the sky.

    An exposure has a region only through its visits: exposures and tracts are
    related by these, not combined each with each.

    Parameters
    ----------
    group : `DimensionGroup`
        Everything that is joined.
    operands : sequence of `DimensionGroup`
        Dimensions of what is joined already, such as datasets.

    Returns
    -------
    names : `set` [`str`]
        Dimensions to join.
    """
    names: set[str] = set()
    if not group.spatial:
        return names
    for element in group.universe.elements:
        if not element.alwaysJoin or not element.defines_relationships:
            continue
        missing = set(element.required.names) - set(group.names)
        if len(missing) != 1:
            continue
        (name,) = missing
        dimension = group.universe.dimensions[name]
        others = set(element.required.names) - missing - set(group.governors)
        if not any(group.universe[other].temporal is not None for other in others):
            continue
        known = (operand for operand in operands if operand.spatial and others <= set(operand.names))
        if dimension.spatial is not None and dimension.spatial not in group.spatial and not any(known):
            names.add(name)
    return names


def _finest_regions(group: DimensionGroup) -> list[str]:
    """Finest member of each family; pixels of two levels are no family, as no key relates them."""
    names = {family.choose(group).name for family in group.spatial}
    return [*(name for name in group.elements if name in names - set(group.skypix)), *group.skypix]


def temporal_joins(
    group: DimensionGroup,
    searches: Sequence[DatasetSearch],
    where: Bound | None,
    operands: Sequence[DimensionGroup] = (),
) -> tuple[Operation, ...]:
    """Find the overlaps in time that hold without being asked for.

    Calibrations are those valid at the time of the finest observation in the
    query.  An overlap of the same two in the condition, or a dataset type that
    has the observation among its own dimensions, takes the place of that.

    Parameters
    ----------
    group : `DimensionGroup`
        Everything that is joined.
    searches : sequence of `DatasetSearch`
        Dataset searches.
    where : `Bound` or `None`
        The condition.
    operands : sequence of `DimensionGroup`, optional
        Dimensions of what else is joined already.

    Returns
    -------
    conditions : `tuple` [`Operation`]
        ``valid`` (a calibration, an observation) or ``overlaps``.

    Raises
    ------
    InvalidQueryError
        Raised if it is not clear what should overlap what.
    """
    elements = [_timespan(family.choose(group).name) for family in group.temporal]
    calibrations = [
        ColumnRef("dataset", s.name, "timespan", "timespan")
        for s in searches
        if s.has_validity and not s.dimensions.temporal
    ]
    graph = _Graph([*elements, *calibrations])
    for operand in (*(search.dimensions for search in searches), *operands):
        own = [_timespan(family.choose(operand).name) for family in operand.temporal]
        graph.connect([column for column in own if column in elements])
    for op in operations(where, "overlaps"):
        graph.connect([o for o in op.operands if isinstance(o, ColumnRef) and o in graph.parent])
    components = graph.components()
    if len(components) < 2:
        return ()
    observed = [c for c in components if any(column.kind == "element" for column in c)]
    if len(observed) == 1:
        when = next(column for column in observed[0] if column.kind == "element")
        return tuple(
            Operation("valid", (calibration, when), "bool")
            for component in components
            if component is not observed[0]
            for calibration in component
        )
    if len(components) == 2:
        return (Operation("overlaps", (components[0][0], components[1][0]), "bool"),)
    shown = ", ".join(" with ".join(column.owner for column in c) for c in components)
    raise InvalidQueryError(
        f"it is not clear what should overlap in time: {shown}",
        hint="say so: x.timespan OVERLAPS y.timespan",
    )


def _timespan(element: str) -> ColumnRef:
    return ColumnRef("element", element, "timespan", "timespan")


def operations(where: Bound | None, name: str) -> Iterator[Operation]:
    """Find operations in a condition.

    Parameters
    ----------
    where : `Bound` or `None`
        The condition.
    name : `str`
        Name of the operation.

    Yields
    ------
    operation : `Operation`
        Each of them, wherever it stands.
    """
    if isinstance(where, Operation):
        if where.name == name:
            yield where
        else:
            for operand in where.operands:
                yield from operations(operand, name)


class _Graph(Generic[T]):
    """Which of some things are connected."""

    def __init__(self, nodes: Iterable[T]) -> None:
        self.parent = {node: node for node in nodes}

    def _root(self, node: T) -> T:
        while self.parent[node] != node:
            node = self.parent[node]
        return node

    def connect(self, nodes: Sequence[T]) -> None:
        for node in nodes[1:]:
            self.parent[self._root(node)] = self._root(nodes[0])

    def components(self) -> list[list[T]]:
        found: dict[T, list[T]] = {}
        for node in self.parent:
            found.setdefault(self._root(node), []).append(node)
        return list(found.values())
