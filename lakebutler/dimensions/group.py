# SPDX-License-Identifier: BSD-3-Clause
"""Sets of dimensions that are complete: closed under their dependencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from lakebutler.dimensions.named import NamedValueSet, NameSet

if TYPE_CHECKING:
    from lakebutler.dimensions.elements import DimensionElement
    from lakebutler.dimensions.topology import TopologicalFamily
    from lakebutler.dimensions.universe import DimensionUniverse

__all__ = ["DimensionGroup", "make_getter"]


def make_getter(indices: tuple[int, ...]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Make a function that picks members of a tuple.

    Parameters
    ----------
    indices : `tuple` [`int`]
        Which members, in which order.

    Returns
    -------
    getter : callable
        Takes a tuple and returns one of ``len(indices)``.
    """
    if not indices:
        return lambda _: ()
    if len(indices) == 1:
        index = indices[0]
        return lambda values: (values[index],)
    if indices == tuple(range(len(indices))):
        count = len(indices)
        return lambda values: values[:count]
    return itemgetter(*indices)


class DimensionGroup:
    """A complete set of dimensions; made by `DimensionUniverse.conform` only.

    Parameters
    ----------
    universe : `DimensionUniverse`
        Where the dimensions belong.
    names : `tuple` [`str`]
        Names of all dimensions, closed under dependencies, in the universe's
        order.

    Notes
    -----
    There is one object for each set of a universe, so that comparison is cheap.
    """

    def __init__(self, universe: DimensionUniverse, names: tuple[str, ...]) -> None:
        self.universe = universe
        self.names = NameSet(names)
        dimensions = [universe.dimensions[name] for name in names]
        implied = {other for dimension in dimensions for other in dimension.implied.names}
        self.required_names: tuple[str, ...] = tuple(name for name in names if name not in implied)
        self.implied_names: tuple[str, ...] = tuple(name for name in names if name in implied)
        self.data_keys: tuple[str, ...] = self.required_names + self.implied_names
        self.n_required = len(self.required_names)
        self.n_full = len(names)
        self.index: dict[str, int] = {name: i for i, name in enumerate(self.data_keys)}
        self.key_types: tuple[type, ...] = tuple(
            universe.dimensions[name].primary_key.pytype for name in self.data_keys
        )
        self.required_types = self.key_types[: self.n_required]
        self.int_positions: tuple[int, ...] = tuple(i for i, t in enumerate(self.required_types) if t is int)
        self._hash = hash(names)
        self._plans: dict[DimensionGroup, SubsetPlan] = {}

    # -------------------------------------------------------------- as a set

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return self.n_full

    def __contains__(self, name: object) -> bool:
        return (name if isinstance(name, str) else getattr(name, "name", None)) in self.names

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, DimensionGroup):
            return self._hash == other._hash and self.names == other.names
        return NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def __le__(self, other: DimensionGroup) -> bool:
        return self.names._set <= other.names._set

    def __ge__(self, other: DimensionGroup) -> bool:
        return self.names._set >= other.names._set

    def __lt__(self, other: DimensionGroup) -> bool:
        return self.names._set < other.names._set

    def __gt__(self, other: DimensionGroup) -> bool:
        return self.names._set > other.names._set

    def __or__(self, other: DimensionGroup) -> DimensionGroup:
        return self.union(other)

    def __and__(self, other: DimensionGroup) -> DimensionGroup:
        return self.intersection(other)

    def __sub__(self, other: DimensionGroup) -> AbstractSet[str]:
        return self.names - other.names

    def issubset(self, other: DimensionGroup) -> bool:
        """Tell whether another group holds all of these dimensions.

        Parameters
        ----------
        other : `DimensionGroup`
            The other group.

        Returns
        -------
        subset : `bool`
            `True` if so.
        """
        return self <= other

    def issuperset(self, other: DimensionGroup) -> bool:
        """Tell whether this group holds all dimensions of another.

        Parameters
        ----------
        other : `DimensionGroup`
            The other group.

        Returns
        -------
        superset : `bool`
            `True` if so.
        """
        return self >= other

    def isdisjoint(self, other: DimensionGroup) -> bool:
        """Tell whether two groups have no dimension in common.

        Parameters
        ----------
        other : `DimensionGroup`
            The other group.

        Returns
        -------
        disjoint : `bool`
            `True` if so.
        """
        return self.names._set.isdisjoint(other.names._set)

    def as_group(self) -> DimensionGroup:
        """Return itself."""
        return self

    def difference(self, other: DimensionGroup) -> DimensionGroup:
        """Group of the dimensions of this that are not in another, with what they need."""
        return self.universe.conform(self.names._set.difference(other.names))

    def union(self, *others: DimensionGroup) -> DimensionGroup:
        """Group of all dimensions of this and others.

        Parameters
        ----------
        *others : `DimensionGroup`
            Other groups of the same universe.

        Returns
        -------
        union : `DimensionGroup`
            The group.
        """
        return self.universe.conform(self.names._set.union(*(other.names for other in others)))

    def intersection(self, *others: DimensionGroup) -> DimensionGroup:
        """Group of the dimensions common to this and others.

        Parameters
        ----------
        *others : `DimensionGroup`
            Other groups of the same universe.

        Returns
        -------
        intersection : `DimensionGroup`
            The group.
        """
        return self.universe.conform(self.names._set.intersection(*(other.names for other in others)))

    # ----------------------------------------------------------------- parts

    @cached_property
    def required(self) -> NameSet:
        """Dimensions whose values identify a data ID, in the universe's order."""
        return NameSet(self.required_names)

    @cached_property
    def implied(self) -> NameSet:
        """Dimensions whose values follow from those of the required ones."""
        return NameSet(self.implied_names)

    @cached_property
    def data_coordinate_keys(self) -> NameSet:
        """Required dimensions, then the implied ones: the order of a data ID's values."""
        return NameSet(self.data_keys)

    @cached_property
    def elements(self) -> NameSet:
        """Dimensions and relations that the dimensions identify, in the universe's order."""
        names = self.names._set
        return NameSet(
            element.name
            for element in self.universe.elements
            if element.name in names
            or (element.name not in self.universe.dimensions and names.issuperset(element.required.names))
        )

    @cached_property
    def governors(self) -> NameSet:
        """Governor dimensions of the group."""
        return NameSet(n for n in self.names if n in self.universe.governor_dimensions)

    @cached_property
    def skypix(self) -> NameSet:
        """Pixelization dimensions of the group."""
        return NameSet(n for n in self.names if n in self.universe.skypix_dimensions)

    @cached_property
    def spatial(self) -> NamedValueSet[TopologicalFamily]:
        """Families on the sky that have a member here."""
        found = [self.universe[name].spatial for name in self.elements]
        return NamedValueSet({f.name: f for f in found if f is not None}.values(), "spatial family")

    @cached_property
    def temporal(self) -> NamedValueSet[TopologicalFamily]:
        """Families in time that have a member here."""
        found = [self.universe[name].temporal for name in self.elements]
        return NamedValueSet({f.name: f for f in found if f is not None}.values(), "temporal family")

    @property
    def region_dimension(self) -> str | None:
        """Element whose region is that of a data ID; `None` without a single family."""
        return _only_choice(self, self.spatial)

    @property
    def timespan_dimension(self) -> str | None:
        """Element whose timespan is that of a data ID; `None` without a single family."""
        return _only_choice(self, self.temporal)

    @cached_property
    def lookup_order(self) -> tuple[str, ...]:
        """Elements in an order in which each record's keys follow from earlier records."""
        order: list[str] = []

        def visit(name: str) -> None:
            if name not in order:
                order.append(name)
                for other in self.universe[name].implied.names:
                    visit(other)

        waiting = list(self.required_names)
        while waiting:
            later = []
            for name in waiting:
                # What a dimension requires may be implied by a later one (a subfilter's band).
                if all(n == name or n in order for n in self.universe[name].required.names):
                    visit(name)
                else:
                    later.append(name)
            waiting = later
        order.extend(name for name in self.elements if name not in order)
        return tuple(order)

    # ------------------------------------------------------------- conversion

    def subset_plan(self, other: DimensionGroup) -> SubsetPlan:
        """How values of this group turn into those of a smaller one.

        Parameters
        ----------
        other : `DimensionGroup`
            A group.

        Returns
        -------
        plan : `SubsetPlan`
            Made once for each pair.
        """
        plan = self._plans.get(other)
        if plan is None:
            plan = self._plans[other] = SubsetPlan(self, other)
        return plan

    def to_simple(self) -> list[str]:
        """Convert to what JSON can hold.

        Returns
        -------
        names : `list` [`str`]
            The required dimensions.
        """
        return list(self.required_names)

    @classmethod
    def from_simple(cls, names: Iterable[str], universe: DimensionUniverse) -> DimensionGroup:
        """Convert back from what JSON can hold.

        Parameters
        ----------
        names : iterable of `str`
            Dimensions.
        universe : `DimensionUniverse`
            Where they belong.

        Returns
        -------
        group : `DimensionGroup`
            The group.
        """
        return universe.conform(names)

    def __reduce__(self) -> tuple[Any, ...]:
        return _conform, (self.universe, self.required_names)

    def __str__(self) -> str:
        return "{" + ", ".join(self.names) + "}"

    def __repr__(self) -> str:
        return f"DimensionGroup({self})"


class SubsetPlan:
    """Where the values of a smaller group stand among those of a larger one.

    Parameters
    ----------
    source, target : `DimensionGroup`
        The larger and the smaller group.
    """

    __slots__ = ("full", "missing", "need", "required")

    def __init__(self, source: DimensionGroup, target: DimensionGroup) -> None:
        self.missing: tuple[str, ...] = tuple(n for n in target.required_names if n not in source.index)
        places = tuple(source.index[n] for n in target.required_names if n in source.index)
        self.need = max(places, default=-1) + 1
        """How many leading values of the source the required ones take."""
        self.required = make_getter(places)
        complete = all(n in source.index for n in target.data_keys)
        self.full = make_getter(tuple(source.index[n] for n in target.data_keys)) if complete else None


def _only_choice(group: DimensionGroup, families: NamedValueSet[TopologicalFamily]) -> str | None:
    if len(families) != 1:
        return None
    (family,) = families
    chosen: DimensionElement = family.choose(group.elements)
    return chosen.name


def _conform(universe: DimensionUniverse, names: tuple[str, ...]) -> DimensionGroup:
    return universe.conform(names)
