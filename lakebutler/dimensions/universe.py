# SPDX-License-Identifier: BSD-3-Clause
"""The universe: all dimensions of a repository and how they depend on each other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from lakebutler.dimensions.columns import ColumnSpec
from lakebutler.dimensions.elements import (
    Dimension,
    DimensionCombination,
    DimensionElement,
    GovernorDimension,
    SkyPixDimension,
)
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.named import Named, NamedValueSet
from lakebutler.dimensions.skypix import SkyPixSystem
from lakebutler.dimensions.topology import TopologicalFamily, TopologicalSpace
from lakebutler.dimensions.universe_config import (
    ElementSpec,
    UniverseSpec,
    default_universe_config,
    parse_universe,
    spec_to_config,
)
from lakebutler.errors import DimensionNameError, known_names

__all__ = ["DimensionUniverse"]

_universes: dict[str, DimensionUniverse] = {}


def _identity(config: Mapping[str, Any]) -> str:
    """Text that is equal for universes that differ in their explanations only."""

    def strip(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: strip(v) for k, v in value.items() if k != "about"}
        return [strip(v) for v in value] if isinstance(value, list) else value

    return json.dumps(strip(config), sort_keys=True)


def _layers(spec: UniverseSpec) -> dict[str, int]:
    """Longest chain of dependencies below each element."""
    layers: dict[str, int] = dict.fromkeys(spec.skypix_names(), 0)

    def layer(name: str) -> int:
        if name not in layers:
            element = spec.elements[name]
            layers[name] = max((layer(n) + 1 for n in (*element.requires, *element.implies)), default=0)
        return layers[name]

    for name in spec.elements:
        layer(name)
    return layers


class DimensionUniverse:
    """All dimensions of a repository.

    Parameters
    ----------
    config : `~collections.abc.Mapping`, optional
        Layout of ``universe.yaml``; the universe of the field if not given.

    Raises
    ------
    RepositoryFormatError
        If the configuration is wrong.

    Notes
    -----
    There is one object for each content, whatever the explanations say.
    """

    _spec: UniverseSpec
    _key: str
    _groups: dict[Any, DimensionGroup]

    namespace: str
    """Family of universes that this one belongs to."""

    version: int
    """Number within its namespace."""

    elements: NamedValueSet[DimensionElement]
    """Dimensions and relations, each behind what it depends on."""

    dimensions: NamedValueSet[Dimension]
    """Dimensions, each behind what it depends on."""

    skypix: NamedValueSet[SkyPixSystem]
    """Pixelizations."""

    empty: DimensionGroup
    """The group of no dimensions."""

    def __new__(cls, config: Mapping[str, Any] | None = None) -> DimensionUniverse:  # noqa: PYI034 (one object per content)
        """Find or make the universe of this configuration."""
        if config is None:
            default = _universes.get("")
            if default is None:
                default = _universes[""] = cls(default_universe_config())
            return default
        spec = parse_universe(config)
        key = _identity(spec_to_config(spec))
        found = _universes.get(key)
        if found is None:
            made = super().__new__(cls)
            made._build(spec, key)
            found = _universes.setdefault(key, made)
        return found

    def _build(self, spec: UniverseSpec, key: str) -> None:
        self._spec = spec
        self._key = key
        self._groups = {}
        self.namespace = spec.namespace
        self.version = spec.version
        families = self._make_families()
        systems = {n: SkyPixSystem(n, range(lo, hi + 1)) for n, (lo, hi) in sorted(spec.skypix.items())}
        layers = _layers(spec)
        places = {f"{s}{level}": (s, level) for s, system in systems.items() for level in system.levels}
        order = sorted(layers, key=lambda n: (layers[n], *places.get(n, (n, 0))))
        made: dict[str, DimensionElement] = {}
        for index, name in enumerate(order):
            if name in places:
                made[name] = self._make_skypix(name, index, systems[places[name][0]], places[name][1])
            else:
                made[name] = self._make_element(spec.elements[name], index, made, families)
        self.elements = NamedValueSet(made.values())
        self.dimensions = NamedValueSet([e for e in made.values() if isinstance(e, Dimension)], "dimension")
        self.governor_dimensions: NamedValueSet[GovernorDimension] = NamedValueSet(
            [e for e in made.values() if isinstance(e, GovernorDimension)], "governor dimension"
        )
        self.skypix_dimensions: NamedValueSet[SkyPixDimension] = NamedValueSet(
            [e for e in made.values() if isinstance(e, SkyPixDimension)], "pixelization"
        )
        self.skypix = NamedValueSet(systems.values(), "pixelization")
        for name, system in systems.items():
            system._set_dimensions({lv: self.skypix_dimensions[f"{name}{lv}"] for lv in system.levels})
        for family, members in families:
            family._set_members(tuple(made[m] for m in members))
        self.empty = self.conform(())

    def _make_families(self) -> list[tuple[TopologicalFamily, tuple[str, ...]]]:
        spaces = (
            (TopologicalSpace.SPATIAL, self._spec.spatial),
            (TopologicalSpace.TEMPORAL, self._spec.temporal),
        )
        return [(TopologicalFamily(name, space), names) for space, f in spaces for name, names in f.items()]

    def _make_skypix(self, name: str, index: int, system: SkyPixSystem, level: int) -> SkyPixDimension:
        dimension = SkyPixDimension(
            self,
            name,
            index,
            required=(),
            implied=(),
            keys=(
                ColumnSpec(
                    "id", "int", nullable=False, doc=f"Number of the pixel in {system.name} level {level}."
                ),
            ),
            families=(system,),
            options={"doc": self._spec.skypix_about.get(system.name, "")},
        )
        dimension.system = system
        dimension.level = level
        return dimension

    def _make_element(
        self,
        spec: ElementSpec,
        index: int,
        made: Mapping[str, DimensionElement],
        families: Iterable[tuple[TopologicalFamily, tuple[str, ...]]],
    ) -> DimensionElement:
        def dimensions(names: Iterable[str]) -> tuple[Dimension, ...]:
            found = [e for e in (made[n] for n in names) if isinstance(e, Dimension)]
            return tuple(sorted(found, key=lambda d: d.index))

        # A dimension needs what its required dimensions need.
        required = dict.fromkeys(spec.requires)
        for name in spec.requires:
            required.update(dict.fromkeys(made[name].required.names))
        kind: type[DimensionElement] = DimensionCombination
        if not spec.relation:
            kind = GovernorDimension if spec.governor else Dimension
        return kind(
            self,
            spec.name,
            index,
            required=dimensions(required),
            implied=dimensions(spec.implies),
            keys=spec.keys,
            metadata=spec.columns,
            families=tuple(family for family, names in families if spec.name in names),
            options={
                "doc": spec.about,
                "cached": spec.cached,
                "always_join": spec.always_join,
                "populated_by": spec.populated_by,
                "values_of": spec.values_of,
            },
        )

    # -------------------------------------------------------------------- look-up

    def __getitem__(self, name: str | Named) -> DimensionElement:
        return self.elements[name]

    def get(self, name: str | Named, default: Any = None) -> Any:
        """Find an element by name.

        Parameters
        ----------
        name : `str`
            Its name.
        default : optional
            What to return if there is none.

        Returns
        -------
        element : `DimensionElement`
            The element, or ``default``.
        """
        return self.elements.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self.elements

    @property
    def commonSkyPix(self) -> SkyPixDimension:
        """The pixelization in which regions are indexed."""
        if self._spec.common_skypix is None:
            raise DimensionNameError(f"{self!r} has no common pixelization")
        return self.skypix_dimensions[self._spec.common_skypix]

    def get_elements_populated_by(self, dimension: Dimension | str) -> NamedValueSet[DimensionElement]:
        """Elements whose records are written with those of a dimension.

        Parameters
        ----------
        dimension : `Dimension` or `str`
            The dimension.

        Returns
        -------
        elements : `NamedValueSet` [`DimensionElement`]
            The dimension itself and the relations that it populates.
        """
        name = self.dimensions[dimension].name
        return NamedValueSet(e for e in self.elements if (p := e.populated_by) is not None and p.name == name)

    # --------------------------------------------------------------------- groups

    def conform(
        self, dimensions: Iterable[str | Named] | str | DimensionGroup | DimensionElement
    ) -> DimensionGroup:
        """Complete a set of dimensions with all that they depend on.

        Parameters
        ----------
        dimensions : iterable of `str`, `str`, `DimensionGroup`
            Names of dimensions (or one name, or a group already complete).

        Returns
        -------
        group : `DimensionGroup`
            Always the same object for the same dimensions.

        Raises
        ------
        DimensionNameError
            If there is no dimension of a name.
        """
        if type(dimensions) is DimensionGroup and dimensions.universe is self:
            return dimensions
        if isinstance(dimensions, str | DimensionElement):
            dimensions = (dimensions,)
        names = frozenset(d if isinstance(d, str) else d.name for d in dimensions)
        group = self._groups.get(names)
        if group is None:
            closed: set[str] = set()
            waiting = list(names)
            while waiting:
                name = waiting.pop()
                if name not in closed:
                    dimension = self._dimension(name)
                    closed.add(name)
                    waiting.extend(dimension.required.names)
                    waiting.extend(dimension.implied.names)
            key = frozenset(closed)
            group = self._groups.get(key)
            if group is None:
                ordered = tuple(sorted(closed, key=lambda n: self.dimensions[n].index))
                group = self._groups.setdefault(key, DimensionGroup(self, ordered))
            if len(self._groups) < 100_000:
                self._groups[names] = group
        return group

    def _dimension(self, name: str) -> Dimension:
        found = self.dimensions.get(name)
        if found is None:
            what = "is a relation, not a dimension" if name in self.elements else "is no dimension"
            raise DimensionNameError(f"{name!r} {what}", hint=self.suggest(name))
        dimension: Dimension = found
        return dimension

    def suggest(self, name: str) -> str:
        """Make the hint for an unknown dimension.

        Parameters
        ----------
        name : `str`
            What was given.

        Returns
        -------
        hint : `str`
            The nearest names, or all but the pixelizations.
        """
        near = known_names(name, self.dimensions.names, what="dimensions")
        if near.startswith("did you mean"):
            return near
        return known_names(
            name, [n for n in self.dimensions.names if n not in self.skypix_dimensions], what="dimensions"
        )

    def sorted(self, elements: Iterable[str | Named], *, reverse: bool = False) -> list[DimensionElement]:
        """Sort elements into the universe's order.

        Parameters
        ----------
        elements : iterable of `str` or `DimensionElement`
            Some elements.
        reverse : `bool`, optional
            If `True`, last first.

        Returns
        -------
        elements : `list` [`DimensionElement`]
            The elements, each once.
        """
        found = {e.name: e for e in (self.elements[x] for x in elements)}
        return sorted(found.values(), key=lambda e: e.index, reverse=reverse)

    # ----------------------------------------------------------------- as a value

    def isCompatibleWith(self, other: DimensionUniverse) -> bool:
        """Tell whether data IDs of another universe have the same meaning here.

        Parameters
        ----------
        other : `DimensionUniverse`
            The other universe.

        Returns
        -------
        compatible : `bool`
            `True` if it has the same namespace and version.
        """
        return self is other or (self.namespace == other.namespace and self.version == other.version)

    def getElementIndex(self, name: str) -> int:
        """Position of an element in the universe's order."""
        return self[name].index

    def getDimensionIndex(self, name: str) -> int:
        """Position of a dimension in the universe's order."""
        return self._dimension(name).index

    @property
    def database_elements(self) -> NamedValueSet[DimensionElement]:
        """Elements that are no pixels."""
        return NamedValueSet([e for e in self.elements if e.name not in self.skypix_dimensions.names])

    def getStaticElements(self) -> NamedValueSet[DimensionElement]:
        """All elements; the older name of `elements`."""
        return self.elements

    def getStaticDimensions(self) -> NamedValueSet[Dimension]:
        """All dimensions; the older name of `dimensions`."""
        return self.dimensions

    def getGovernorDimensions(self) -> NamedValueSet[GovernorDimension]:
        """Dimensions that nothing is known without; the older name of `governor_dimensions`."""
        return self.governor_dimensions

    def getDatabaseElements(self) -> NamedValueSet[DimensionElement]:
        """Elements that are no pixels; the older name of `database_elements`."""
        return self.database_elements

    def to_config(self) -> dict[str, Any]:
        """Convert to a configuration that JSON and YAML can hold.

        Returns
        -------
        config : `dict`
            What `DimensionUniverse` turns into the same universe.
        """
        return spec_to_config(self._spec)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return self._key == other._key if isinstance(other, DimensionUniverse) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.namespace, self.version))

    def __reduce__(self) -> tuple[Any, ...]:
        if _universes.get("") is self:
            return DimensionUniverse, ()
        return DimensionUniverse, (self.to_config(),)

    def __deepcopy__(self, memo: dict[int, Any]) -> DimensionUniverse:
        return self

    def __repr__(self) -> str:
        return f"DimensionUniverse({self.version}, {self.namespace})"
