# SPDX-License-Identifier: BSD-3-Clause
"""Elements of a universe: dimensions, and relations between dimensions."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakebutler.dimensions.columns import ColumnSpec
from lakebutler.dimensions.named import NamedValueSet
from lakebutler.dimensions.records import make_record_class
from lakebutler.dimensions.topology import TopologicalFamily, TopologicalSpace

if TYPE_CHECKING:
    from lakebutler.dimensions.group import DimensionGroup
    from lakebutler.dimensions.records import DimensionRecord
    from lakebutler.dimensions.skypix import SkyPixSystem
    from lakebutler.dimensions.universe import DimensionUniverse

__all__ = [
    "Dimension",
    "DimensionCombination",
    "DimensionElement",
    "GovernorDimension",
    "SkyPixDimension",
]


class DimensionElement:
    """A kind of record in a universe; made by the universe only.

    Parameters
    ----------
    universe : `DimensionUniverse`
        Where it belongs.
    name : `str`
        Its name.
    index : `int`
        Its place in the universe's order.
    required, implied : `tuple` [`Dimension`]
        Dimensions that identify a record, itself not included, and dimensions
        whose values follow from a record.
    keys : `tuple` [`ColumnSpec`]
        The primary key (dimensions only) and the alternate keys.
    metadata : `tuple` [`ColumnSpec`]
        Further columns.
    families : `tuple` [`TopologicalFamily`]
        Its spatial and temporal families.
    options : `dict`
        ``doc``, ``cached``, ``always_join``, ``populated_by``, ``values_of``.
    """

    def __init__(
        self,
        universe: DimensionUniverse,
        name: str,
        index: int,
        *,
        required: tuple[Dimension, ...],
        implied: tuple[Dimension, ...],
        keys: tuple[ColumnSpec, ...] = (),
        metadata: tuple[ColumnSpec, ...] = (),
        families: tuple[TopologicalFamily, ...] = (),
        options: dict[str, Any],
    ) -> None:
        self.universe = universe
        self.name = name
        self.index = index
        self._others = required
        self.implied: NamedValueSet[Dimension] = NamedValueSet(implied)
        self._keys = keys
        self.metadata_columns: NamedValueSet[ColumnSpec] = NamedValueSet(metadata, "column")
        self._families = {family.space: family for family in families}
        self._options = options

    # ----------------------------------------------------------- as a name

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, DimensionElement):
            return self.name == other.name and self.universe == other.universe
        return self.name == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __lt__(self, other: DimensionElement) -> bool:
        return self.index < self.universe[other].index

    def __gt__(self, other: DimensionElement) -> bool:
        return self.index > self.universe[other].index

    def __le__(self, other: DimensionElement) -> bool:
        return self.index <= self.universe[other].index

    def __ge__(self, other: DimensionElement) -> bool:
        return self.index >= self.universe[other].index

    def __reduce__(self) -> tuple[Any, ...]:
        return _find, (self.universe, self.name)

    # ---------------------------------------------------------- dependencies

    @cached_property
    def required(self) -> NamedValueSet[Dimension]:
        """Dimensions that identify a record, in the universe's order."""
        return NamedValueSet(sorted(self._others, key=lambda d: d.index))

    @property
    def dimensions(self) -> NamedValueSet[Dimension]:
        """Required dimensions, then the implied ones."""
        return NamedValueSet([*self.required, *self.implied])

    @cached_property
    def minimal_group(self) -> DimensionGroup:
        """Smallest group that holds this element."""
        return self.universe.conform(self.required.names)

    @property
    def governor(self) -> GovernorDimension | None:
        """The governor below which the element has its meaning, if there is just one."""
        governors = [d for d in self.required if isinstance(d, GovernorDimension)]
        return governors[0] if len(governors) == 1 else None

    @property
    def populated_by(self) -> Dimension | None:
        """The dimension with whose records these are written; a dimension itself, unless told."""
        name = self._options.get("populated_by") or (self.name if isinstance(self, Dimension) else None)
        return self.universe.dimensions[name] if name else None

    @property
    def implied_union_target(self) -> DimensionElement | None:
        """The element in whose records the values of this one stand, if it has no table."""
        name = self._options.get("values_of")
        return self.universe[name] if name else None

    @property
    def has_own_table(self) -> bool:
        """Whether its records are stored."""
        return self.implied_union_target is None and not isinstance(self, SkyPixDimension)

    @property
    def is_cached(self) -> bool:
        """Whether its records are few enough for a client to keep them all."""
        return bool(self._options.get("cached"))

    @property
    def alwaysJoin(self) -> bool:
        """Whether every join that holds its dimensions holds it too."""
        return bool(self._options.get("always_join"))

    @property
    def defines_relationships(self) -> bool:
        """Whether its records say how values of its dimensions belong together."""
        return self.alwaysJoin or bool(self.implied)

    # --------------------------------------------------------------- topology

    @property
    def topology(self) -> dict[TopologicalSpace, TopologicalFamily]:
        """Families by space."""
        return dict(self._families)

    @property
    def spatial(self) -> TopologicalFamily | None:
        """Family on the sky; if there is one, a record has a region."""
        return self._families.get(TopologicalSpace.SPATIAL)

    @property
    def temporal(self) -> TopologicalFamily | None:
        """Family in time; if there is one, a record has a timespan."""
        return self._families.get(TopologicalSpace.TEMPORAL)

    # ---------------------------------------------------------------- columns

    @property
    def documentation(self) -> str:
        """What the element is."""
        return str(self._options.get("doc", ""))

    @property
    def alternate_keys(self) -> NamedValueSet[ColumnSpec]:
        """Columns that, with the other required dimensions, identify a record too."""
        return NamedValueSet(self._keys[1:] if isinstance(self, Dimension) else self._keys, "key")

    @cached_property
    def key_fields(self) -> tuple[str, ...]:
        """Names of the fields that hold the required values, in the order of ``required``."""
        return tuple(
            self._keys[0].name if dimension is self else dimension.name for dimension in self.required
        )

    @cached_property
    def schema(self) -> NamedValueSet[ColumnSpec]:
        """All fields of a record.

        Required dimensions, implied dimensions, alternate keys, metadata,
        region, timespan.
        """
        columns = []
        for dimension, field in zip(self.required, self.key_fields, strict=True):
            columns.append(_key_column(dimension, field))
        columns.extend(_key_column(dimension, dimension.name) for dimension in self.implied)
        columns.extend(self.alternate_keys)
        columns.extend(self.metadata_columns)
        if self.spatial is not None:
            columns.append(ColumnSpec("region", "region", doc="Region on the sky."))
        if self.temporal is not None:
            columns.append(ColumnSpec("timespan", "timespan", doc="Interval of time."))
        return NamedValueSet(columns, "field")

    @cached_property
    def RecordClass(self) -> type[DimensionRecord]:
        """Class of the element's records."""
        return make_record_class(self)

    @property
    def metadata(self) -> NamedValueSet[ColumnSpec]:
        """The same as ``metadata_columns``."""
        return self.metadata_columns

    def hasTable(self) -> bool:
        """The same as ``has_own_table``."""
        return self.has_own_table

    def to_simple(self, minimal: bool = False) -> str:
        """Convert to what JSON can hold.

        Parameters
        ----------
        minimal : `bool`, optional
            Accepted as the field's interface has it.

        Returns
        -------
        name : `str`
            The name.
        """
        del minimal
        return self.name


class Dimension(DimensionElement):
    """An element that is a key of data IDs."""

    @cached_property
    def required(self) -> NamedValueSet[Dimension]:
        """Dimensions that identify a record, in the universe's order, itself last."""
        return NamedValueSet([*sorted(self._others, key=lambda d: d.index), self])

    @cached_property
    def primary_key(self) -> ColumnSpec:
        """The column that holds the value of this dimension."""
        return self._keys[0]

    @property
    def primaryKey(self) -> ColumnSpec:
        """The same as ``primary_key``."""
        return self.primary_key

    @property
    def alternateKeys(self) -> NamedValueSet[ColumnSpec]:
        """The same as ``alternate_keys``."""
        return self.alternate_keys

    @property
    def uniqueKeys(self) -> NamedValueSet[ColumnSpec]:
        """The same as ``unique_keys``."""
        return self.unique_keys

    @property
    def unique_keys(self) -> NamedValueSet[ColumnSpec]:
        """The primary key and the alternate keys."""
        return NamedValueSet(self._keys, "key")


class GovernorDimension(Dimension):
    """A dimension with few values, below which others have their meaning."""


class SkyPixDimension(Dimension):
    """A level of a pixelization of the sky; its records are computed."""

    system: SkyPixSystem
    """The pixelization's family."""

    level: int
    """Level of detail."""

    @property
    def pixelization(self) -> Any:
        """The `lsst.sphgeom.Pixelization`; made when first asked for."""
        return self.system.pixelization(self.level)


class DimensionCombination(DimensionElement):
    """A relation between dimensions that is no key itself."""


def _key_column(dimension: Dimension, field: str) -> ColumnSpec:
    key = dimension.primary_key
    return ColumnSpec(field, key.type, key.length, nullable=False, doc=key.doc)


def _find(universe: DimensionUniverse, name: str) -> DimensionElement:
    return universe[name]
