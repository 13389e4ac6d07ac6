# SPDX-License-Identifier: BSD-3-Clause
"""Data IDs: values of dimensions that identify something."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.named import Named
from lakebutler.errors import DimensionNameError, DimensionValueError, known_names
from lakebutler.timespan import Timespan

if TYPE_CHECKING:
    from lakebutler.dimensions.records import DimensionRecord
    from lakebutler.dimensions.universe import DimensionUniverse

__all__ = ["DataCoordinate", "DataId", "DataIdValue", "required_values"]

DataIdValue = int | str
"""What a dimension's value can be."""

_LIMIT: Final = 2**63
_new = object.__new__


class DataCoordinate:
    """Values of a complete set of dimensions; immutable.

    Made by `standardize`, `from_required_values` or `from_full_values`, never
    by the constructor.

    Notes
    -----
    A data ID knows its required values at least; it may know the implied ones
    (`hasFull`) and the records of all its elements (`hasRecords`) too.
    Comparison and hash look at the required values only.
    """

    __slots__ = ("_dimensions", "_records", "_values")

    _dimensions: DimensionGroup
    _values: tuple[DataIdValue, ...]
    _records: Mapping[str, DimensionRecord | None] | None

    def __init__(self) -> None:
        raise TypeError("data IDs are made by DataCoordinate.standardize()")

    # -------------------------------------------------------------------- makers

    @staticmethod
    def from_required_values(dimensions: DimensionGroup, values: tuple[Any, ...]) -> DataCoordinate:
        """Make a data ID of values that are known to be right.

        Parameters
        ----------
        dimensions : `DimensionGroup`
            The dimensions.
        values : `tuple`
            Values of ``dimensions.required``, of the exact types; not checked.

        Returns
        -------
        data_id : `DataCoordinate`
            Full only if no dimension is implied.
        """
        if len(values) != dimensions.n_required:
            raise ValueError(
                f"{len(values)} values for the {dimensions.n_required} required dimensions of {dimensions}"
            )
        made = _new(DataCoordinate)
        made._dimensions = dimensions
        made._values = values
        made._records = None
        return made

    @staticmethod
    def from_full_values(
        dimensions: DimensionGroup,
        values: tuple[Any, ...],
        records: Mapping[str, DimensionRecord | None] | None = None,
    ) -> DataCoordinate:
        """Make a full data ID of values that are known to be right.

        Parameters
        ----------
        dimensions : `DimensionGroup`
            The dimensions.
        values : `tuple`
            Values of ``dimensions.data_coordinate_keys`` (required, then
            implied), of the exact types; not checked.
        records : `~collections.abc.Mapping`, optional
            Records of ``dimensions.elements`` by name; kept, not copied.

        Returns
        -------
        data_id : `DataCoordinate`
            Full.
        """
        if len(values) != dimensions.n_full:
            raise ValueError(f"{len(values)} values for the {dimensions.n_full} dimensions of {dimensions}")
        made = _new(DataCoordinate)
        made._dimensions = dimensions
        made._values = values
        made._records = records
        return made

    @staticmethod
    def make_empty(universe: DimensionUniverse) -> DataCoordinate:
        """Make the data ID of no dimensions.

        Parameters
        ----------
        universe : `DimensionUniverse`
            Where it belongs.

        Returns
        -------
        data_id : `DataCoordinate`
            Full, with (no) records.
        """
        return DataCoordinate.from_full_values(universe.empty, (), {})

    makeEmpty = make_empty  # its older name

    @staticmethod
    def standardize(
        mapping: Mapping[str, Any] | DataCoordinate | None = None,
        *,
        dimensions: Iterable[str] | DimensionGroup | None = None,
        universe: DimensionUniverse | None = None,
        defaults: DataCoordinate | None = None,
        **kwargs: Any,
    ) -> DataCoordinate:
        """Make a data ID of what a user gave.

        Parameters
        ----------
        mapping : `~collections.abc.Mapping` or `DataCoordinate`, optional
            Values by name of the dimension.
        dimensions : `DimensionGroup` or iterable of `str`, optional
            The dimensions; those of the names given, if not given.
        universe : `DimensionUniverse`, optional
            Where the names belong; taken from the other arguments if not given,
            else the universe of the field.
        defaults : `DataCoordinate`, optional
            Values of dimensions that are needed and not given otherwise.
        **kwargs
            More values; they prevail over those in ``mapping``.

        Returns
        -------
        data_id : `DataCoordinate`
            Full if all implied values are known.  Values of known dimensions
            that do not belong to ``dimensions`` are ignored.

        Raises
        ------
        DimensionNameError
            If a name is unknown, or a required dimension has no value.
        DimensionValueError
            If a value is of the wrong type.
        InconsistentDataIdError
            If a value contradicts what is known to follow from the others.
        """
        if type(dimensions) is DimensionGroup and not kwargs and defaults is None:
            if type(mapping) is dict:
                made = _standardize_dict(mapping, dimensions)
                if made is not None:
                    return made
            elif type(mapping) is DataCoordinate and mapping._dimensions is dimensions:
                return mapping
        from lakebutler.dimensions.standardize import standardize_any

        return standardize_any(mapping, dimensions, universe, defaults, kwargs)

    # -------------------------------------------------------------------- values

    @property
    def dimensions(self) -> DimensionGroup:
        """The dimensions that have values."""
        return self._dimensions

    @property
    def dataId(self) -> DataCoordinate:
        """Itself, so that it may stand where something with a data ID is asked for."""
        return self

    @property
    def universe(self) -> DimensionUniverse:
        """Where the dimensions belong."""
        return self._dimensions.universe

    @property
    def required_values(self) -> tuple[DataIdValue, ...]:
        """Values of ``dimensions.required``."""
        return self._values[: self._dimensions.n_required]

    @property
    def full_values(self) -> tuple[DataIdValue, ...]:
        """Values of ``dimensions.data_coordinate_keys``; only if `hasFull`."""
        if len(self._values) != self._dimensions.n_full:
            raise DimensionNameError(f"{self} does not know its implied values {self._dimensions.implied}")
        return self._values

    @property
    def required(self) -> Mapping[str, DataIdValue]:
        """Required values by name."""
        return MappingProxyType(dict(zip(self._dimensions.required_names, self._values, strict=False)))

    @property
    def mapping(self) -> Mapping[str, DataIdValue]:
        """All values that are known, by name."""
        return MappingProxyType(dict(zip(self._dimensions.data_keys, self._values, strict=False)))

    def hasFull(self) -> bool:
        """Tell whether the implied values are known.

        Returns
        -------
        full : `bool`
            `True` if so.
        """
        return len(self._values) == self._dimensions.n_full

    def hasRecords(self) -> bool:
        """Tell whether the records are known.

        Returns
        -------
        records : `bool`
            `True` if there is an entry for every element, `None` maybe.
        """
        return self._records is not None or self._dimensions.n_full == 0

    def __getitem__(self, key: str | Named) -> DataIdValue:
        name = key if isinstance(key, str) else key.name
        index = self._dimensions.index.get(name)
        if index is None:
            hint = known_names(name, self._dimensions.names) if len(self._dimensions) else None
            raise DimensionNameError(f"{self} has no dimension {name!r}", hint=hint)
        try:
            return self._values[index]
        except IndexError:
            raise DimensionNameError(
                f"{self} does not know its implied value of {name!r}", hint="expand the data ID first"
            ) from None

    def get(self, key: str | Named, default: Any = None) -> Any:
        """Find a value.

        Parameters
        ----------
        key : `str`
            Name of a dimension.
        default : optional
            What to return if the value is not known.

        Returns
        -------
        value : `int` or `str`
            The value, or ``default``.
        """
        index = self._dimensions.index.get(key if isinstance(key, str) else key.name)
        return self._values[index] if index is not None and index < len(self._values) else default

    def __contains__(self, key: object) -> bool:
        name = key if isinstance(key, str) else getattr(key, "name", None)
        index = self._dimensions.index.get(name) if isinstance(name, str) else None
        return index is not None and index < len(self._values)

    # ------------------------------------------------------------------- records

    @property
    def records(self) -> Mapping[str, DimensionRecord | None]:
        """Record, or `None`, of each of ``dimensions.elements``; only if `hasRecords`."""
        if self._records is None:
            if self._dimensions.n_full == 0:
                return MappingProxyType({})
            raise AttributeError(f"{self} has no records; expand the data ID first")
        return MappingProxyType({name: self._records.get(name) for name in self._dimensions.elements})

    def __getattr__(self, name: str) -> Any:
        if name in ("records", "region", "timespan"):  # their properties came to nothing
            raise AttributeError(f"{self} has no records, so no {name}; expand the data ID first")
        if name[:1] != "_" and name in self._dimensions.elements:
            if self._records is None:
                raise AttributeError(f"{self} has no records, so no {name!r}; expand the data ID first")
            return self._records.get(name)
        raise AttributeError(f"a data ID has no attribute {name!r}")

    @property
    def region(self) -> Any:
        """Region on the sky, `lsst.sphgeom.Region`; `None` if there is none.

        The region of the finest element of each spatial family; with several
        families, what those have in common.
        """
        found: Any = None
        for family in self._dimensions.spatial:
            record = self.records[family.choose(self._dimensions.elements).name]
            region = None if record is None else getattr(record, "region", None)
            if region is None:
                return None
            if found is None:
                found = region
            else:
                from lsst.sphgeom import IntersectionRegion

                found = IntersectionRegion(found, region)
        return found

    @property
    def timespan(self) -> Timespan | None:
        """Interval of time; `None` if there is none.

        The timespan of the finest element of each temporal family; with several
        families, what those have in common.
        """
        found: Timespan | None = None
        for family in self._dimensions.temporal:
            record = self.records[family.choose(self._dimensions.elements).name]
            timespan: Timespan | None = None if record is None else getattr(record, "timespan", None)
            if timespan is None:
                return None
            found = timespan if found is None else found.intersection(timespan)
        return found

    # ---------------------------------------------------------------- conversion

    def subset(self, dimensions: DimensionGroup | Iterable[str]) -> DataCoordinate:
        """Keep the values of some dimensions.

        Parameters
        ----------
        dimensions : `DimensionGroup` or iterable of `str`
            Dimensions to keep; completed with all that they depend on.

        Returns
        -------
        data_id : `DataCoordinate`
            Full, or with records, if this one is.

        Raises
        ------
        DimensionNameError
            If a value that is needed is not known.
        """
        group = self._dimensions.universe.conform(dimensions)
        if group is self._dimensions:
            return self
        plan = self._dimensions.subset_plan(group)
        if plan.missing or plan.need > len(self._values):
            missing = [n for n in group.required_names if n not in self]
            raise DimensionNameError(f"{self} has no value for {', '.join(missing)}")
        made = _new(DataCoordinate)
        made._dimensions = group
        full = plan.full is not None and len(self._values) == self._dimensions.n_full
        made._values = plan.full(self._values) if full and plan.full else plan.required(self._values)
        made._records = self._records if full else None
        return made

    def union(self, other: DataCoordinate) -> DataCoordinate:
        """Put two data IDs together.

        Parameters
        ----------
        other : `DataCoordinate`
            The other data ID.

        Returns
        -------
        data_id : `DataCoordinate`
            Of all dimensions of both.

        Raises
        ------
        InconsistentDataIdError
            If they differ in a value.
        """
        from lakebutler.dimensions.combine import unite

        return unite(self, other)

    def expanded(self, records: Mapping[str, DimensionRecord | None]) -> DataCoordinate:
        """Attach records.

        Parameters
        ----------
        records : `~collections.abc.Mapping`
            Record, or `None`, of each of ``dimensions.elements``, by name.

        Returns
        -------
        data_id : `DataCoordinate`
            Full, with records.

        Raises
        ------
        DimensionNameError
            If an implied value cannot be found in the records.
        InconsistentDataIdError
            If a record contradicts the data ID.
        """
        from lakebutler.dimensions.combine import expand

        return expand(self, records)

    # ---------------------------------------------------------------- comparison

    def __hash__(self) -> int:
        group = self._dimensions
        return hash(self._values[: group.n_required]) ^ group._hash

    def __eq__(self, other: object) -> bool:
        if type(other) is DataCoordinate:
            group = self._dimensions
            if group is not other._dimensions and group != other._dimensions:
                return False
            if len(self._values) == len(other._values) == group.n_required:
                return self._values == other._values
            return self._values[: group.n_required] == other._values[: group.n_required]
        if isinstance(other, Mapping):
            try:
                return self == DataCoordinate.standardize(other, universe=self.universe)
            except (DimensionNameError, DimensionValueError):
                return False
        return NotImplemented

    def __lt__(self, other: DataCoordinate) -> bool:
        if not isinstance(other, DataCoordinate):
            return NotImplemented
        if self._dimensions != other._dimensions:
            return self._dimensions.required_names < other._dimensions.required_names
        return self.required_values < other.required_values

    # --------------------------------------------------------------------- text

    def __str__(self) -> str:
        pairs = zip(self._dimensions.data_keys, self._values, strict=False)
        return "{" + ", ".join(f"{name}: {value!r}" for name, value in pairs) + "}"

    def __repr__(self) -> str:
        return f"DataCoordinate.standardize({dict(self.mapping)!r})"

    def _repr_html_(self) -> str:
        from html import escape

        pairs = list(zip(self._dimensions.data_keys, self._values, strict=False))
        heads = "".join(f"<th>{escape(name)}</th>" for name, _ in pairs)
        cells = "".join(f"<td>{escape(str(value))}</td>" for _, value in pairs)
        return f"<table><tr>{heads}</tr><tr>{cells}</tr></table>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._dimensions, self._values, self._records)

    def __copy__(self) -> DataCoordinate:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> DataCoordinate:
        return self

    def to_simple(self, minimal: bool = False) -> dict[str, Any]:
        """Convert to what JSON can hold.

        Parameters
        ----------
        minimal : `bool`, optional
            If `True`, required values only and no records.

        Returns
        -------
        simple : `dict`
            ``dataId``, and ``records`` if there are any.
        """
        if minimal:
            return {"dataId": dict(self.required)}
        simple: dict[str, Any] = {"dataId": dict(self.mapping)}
        if self._records is not None and self._dimensions.n_full:
            simple["records"] = {n: r.to_simple() for n, r in self.records.items() if r is not None}
        return simple

    @classmethod
    def from_simple(cls, simple: Any, universe: DimensionUniverse) -> DataCoordinate:
        """Convert back from what JSON can hold.

        Parameters
        ----------
        simple : `~collections.abc.Mapping`
            What `to_simple` gave.
        universe : `DimensionUniverse`
            Where it belongs.

        Returns
        -------
        data_id : `DataCoordinate`
            The data ID.
        """
        values = simple.get("dataId") if isinstance(simple, Mapping) else None
        if not isinstance(values, Mapping):
            raise DimensionValueError(f"{simple!r} is no data ID: it has no 'dataId'")
        data_id = cls.standardize(dict(values), universe=universe)
        given = simple.get("records")
        if not given:
            return data_id
        records = {n: universe[n].RecordClass.from_simple(r) for n, r in given.items()}
        return data_id.expanded(records)

    def to_json(self, minimal: bool = False) -> str:
        """Convert to JSON text.

        Parameters
        ----------
        minimal : `bool`, optional
            If `True`, required values only and no records.

        Returns
        -------
        text : `str`
            JSON of `to_simple`.
        """
        return json.dumps(self.to_simple(minimal), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, json_str: str, universe: DimensionUniverse) -> DataCoordinate:
        """Convert back from JSON text.

        Parameters
        ----------
        json_str : `str`
            What `to_json` gave.
        universe : `DimensionUniverse`
            Where it belongs.

        Returns
        -------
        data_id : `DataCoordinate`
            The data ID.
        """
        return cls.from_simple(json.loads(json_str), universe)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("a data ID is no iterable; use .required or .mapping")


DataId = DataCoordinate | Mapping[str, Any]
"""What is accepted as a data ID."""


def _rebuild(
    dimensions: DimensionGroup,
    values: tuple[DataIdValue, ...],
    records: Mapping[str, DimensionRecord | None] | None,
) -> DataCoordinate:
    made = _new(DataCoordinate)
    made._dimensions = dimensions
    made._values = values
    made._records = records
    return made


def required_values(data_ids: Sequence[DataCoordinate]) -> list[tuple[DataIdValue, ...]]:
    """Return the required values of many data IDs of the same dimensions."""
    values = list(map(attrgetter("_values"), data_ids))
    n = data_ids[0]._dimensions.n_required if values else 0
    return values if set(map(len, values)) <= {n} else [one[:n] for one in values]


def _standardize_dict(mapping: dict[str, Any], group: DimensionGroup) -> DataCoordinate | None:
    """Make a data ID if the keys and types are exactly right; `None` if not."""
    if len(mapping) == group.n_required:
        names, types = group.required_names, group.required_types
    elif len(mapping) == group.n_full:
        names, types = group.data_keys, group.key_types
    else:
        return None
    try:
        values = tuple([mapping[name] for name in names])
    except KeyError:
        return None
    if tuple(map(type, values)) != types:
        return None
    for i in group.int_positions:
        if not -_LIMIT <= values[i] < _LIMIT:
            return None
    made = _new(DataCoordinate)
    made._dimensions = group
    made._values = values
    made._records = None
    return made
