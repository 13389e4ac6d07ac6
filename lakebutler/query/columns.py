# SPDX-License-Identifier: BSD-3-Clause
"""What a query can name: typed columns of dimensions, elements and datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any

from lakebutler.dimensions.elements import Dimension, DimensionElement
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import InvalidQueryError, known_names

__all__ = ["DATASET_FIELDS", "ColumnRef", "Scope", "resolve"]

DATASET_FIELDS = {
    "dataset_id": "uuid",
    "ingest_date": "datetime",
    "run": "string",
    "collection": "string",
    "timespan": "timespan",
}
"""Fields of a dataset search, and their types."""


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A column that a query uses.

    Attributes
    ----------
    kind : `str`
        ``dimension`` (a value of the data ID), ``element`` (a fact of a
        dimension record) or ``dataset``.
    owner : `str`
        Name of the dimension, element or dataset type.
    field : `str`
        Name of the field; empty for a dimension's own value.
    type : `str`
        ``int``, ``float``, ``string``, ``bool``, ``hash``, ``region``,
        ``timespan``, ``time``, ``uuid`` or ``datetime``.
    label : `str`
        Name that it has in a result, if that is not its own: the time of an
        exposure may be asked for as that of a dataset.  Two names of a column
        do not make it two columns.
    """

    kind: str
    owner: str
    field: str
    type: str
    label: str = attribute(default="", compare=False)

    def __str__(self) -> str:
        return self.label or (f"{self.owner}.{self.field}" if self.field else self.owner)


@dataclass(frozen=True)
class Scope:
    """Where names are looked up.

    Attributes
    ----------
    universe : `DimensionUniverse`
        The repository's dimensions.
    dimensions : `DimensionGroup`
        The query's own dimensions, which decide about unqualified fields.
    dataset_types : `tuple` [`str`]
        Dataset types that the query searches.
    element : `str` or `None`
        Element whose records are queried: its fields win over others.
    calibrations : `frozenset` [`str`]
        Dataset types among them that are searched in CALIBRATION collections:
        only these have a ``timespan`` worth an unqualified name.
    subquery : callable or `None`
        Gives the values that a field (a dimension, ``dataset_id`` or ``run``)
        has in the datasets of a type, under a condition with bind values.
    groups : mapping [`str`, `DimensionGroup`], optional
        Dimensions of the dataset types that the query searches.
    """

    universe: DimensionUniverse
    dimensions: DimensionGroup
    dataset_types: tuple[str, ...] = ()
    element: str | None = None
    calibrations: frozenset[str] = frozenset()
    subquery: Callable[[str, str, str, Mapping[str, Any]], Sequence[Any]] | None = None
    groups: Mapping[str, DimensionGroup] = attribute(default_factory=dict)


def dimension_column(universe: DimensionUniverse, name: str) -> ColumnRef:
    """Column of a dimension's own value.

    Parameters
    ----------
    universe : `DimensionUniverse`
        The repository's dimensions.
    name : `str`
        The dimension.

    Returns
    -------
    column : `ColumnRef`
        The column.
    """
    return ColumnRef("dimension", name, "", universe.dimensions[name].primary_key.type)


def element_field(element: DimensionElement, field: str) -> ColumnRef | None:
    """Column of an element's field.

    Parameters
    ----------
    element : `DimensionElement`
        The element.
    field : `str`
        A key, an alternate key, a fact, ``region`` or ``timespan``.

    Returns
    -------
    column : `ColumnRef` or `None`
        `None` if the element has no such field.
    """
    if isinstance(element, Dimension) and field == element.primary_key.name:
        return dimension_column(element.universe, element.name)
    if field in element.dimensions.names:
        return dimension_column(element.universe, field)
    for column in element.schema:
        if column.name == field:
            return ColumnRef("element", element.name, field, column.type)
    if field == "region" and element.spatial is not None:
        return ColumnRef("element", element.name, "region", "region")
    return None


def _dataset_field(dataset_type: str, name: str, scope: Scope) -> ColumnRef | None:
    """Column of a dataset's field; its region and its time are those of its data ID.

    For a calibration, the time is that of its validity.
    """
    group = scope.groups.get(dataset_type)
    if group is not None and (
        name == "region" or (name == "timespan" and dataset_type not in scope.calibrations)
    ):
        own = _region_of(group) if name == "region" else _time_of(group)
        if own is not None or name == "region":
            return own
    kind = DATASET_FIELDS.get(name)
    return ColumnRef("dataset", dataset_type, name, kind) if kind is not None else None


def _region_of(group: DimensionGroup) -> ColumnRef | None:
    """Region of a data ID; that of an exposure is the one of its visit."""
    if not group.spatial and "exposure" in group.names:
        group = group.universe.conform([*group.names, "visit"])
    if len(group.spatial) != 1:
        return None
    (family,) = group.spatial
    return element_field(group.universe[family.choose(group).name], "region")


def _time_of(group: DimensionGroup) -> ColumnRef | None:
    if len(group.temporal) != 1:
        return None
    (family,) = group.temporal
    return element_field(group.universe[family.choose(group).name], "timespan")


def resolve(parts: tuple[str, ...], scope: Scope) -> tuple[ColumnRef, str | None]:
    """Find the column that an identifier means.

    Parameters
    ----------
    parts : `tuple` [`str`]
        The identifier, one to three parts.
    scope : `Scope`
        Where to look.

    Returns
    -------
    column : `ColumnRef`
        The column.
    bound : `str` or `None`
        ``begin`` or ``end`` if the identifier goes on with that.

    Raises
    ------
    InvalidQueryError
        Raised if nothing, or more than one thing, has this name.
    """
    if len(parts) > 1 and parts[-1] in ("begin", "end") and parts[-2] == "timespan":
        column, _ = resolve(parts[:-1], scope)
        return column, parts[-1]
    if len(parts) == 1:
        return _unqualified(parts[0], scope), None
    if len(parts) == 2:
        return _qualified(parts[0], parts[1], scope), None
    # A component of a dataset type has a dot in its name.
    owner = ".".join(parts[:-1])
    if owner in scope.dataset_types:
        return _qualified(owner, parts[-1], scope), None
    if parts[1] == "timespan":
        raise InvalidQueryError(f"a timespan has no {parts[2]!r}", hint=f"write {owner}.begin or {owner}.end")
    raise InvalidQueryError(
        f"{'.'.join(parts)!r} names nothing", hint="write dimension.field, or dimension.timespan.begin"
    )


def _unqualified(name: str, scope: Scope) -> ColumnRef:
    universe = scope.universe
    if name in universe.dimensions.names:
        return dimension_column(universe, name)
    if scope.element is not None:
        own = element_field(universe[scope.element], name)
        if own is not None:
            return own
    found: dict[str, ColumnRef] = {}
    for element_name in scope.dimensions.elements:
        element = universe[element_name]
        if isinstance(element, Dimension) and name == element.primary_key.name:
            continue
        column = element_field(element, name)
        if column is not None and column.kind == "element":
            found[f"{element_name}.{name}"] = column
    for dataset_type in scope.dataset_types:
        column = _dataset_field(dataset_type, name, scope)
        if column is not None and column.kind == "dataset" and _is_told(name, dataset_type, scope):
            found[f"{dataset_type}.{name}"] = column
    if len(found) > 1:
        raise InvalidQueryError(
            f"{name!r} can mean {' or '.join(sorted(found))}", hint="write the one that you mean in full"
        )
    if found:
        return next(iter(found.values()))
    raise _unknown(name, scope)


def _is_told(name: str, dataset_type: str, scope: Scope) -> bool:
    """Whether a field of a dataset can go without the name of its type."""
    return name != "timespan" or dataset_type in scope.calibrations


def _qualified(owner: str, name: str, scope: Scope) -> ColumnRef:
    universe = scope.universe
    if owner in scope.dataset_types:
        column = _dataset_field(owner, name, scope)
        if column is not None:
            return column
        if owner not in universe:
            if name == "region":
                raise InvalidQueryError(
                    f"datasets of type {owner!r} have no place on the sky",
                    hint="name a dimension with a region",
                )
            raise InvalidQueryError(
                f"datasets have no field {name!r}",
                hint=known_names(name, DATASET_FIELDS, what="fields of datasets"),
            )
    if owner in universe:
        element = universe[owner]
        column = element_field(element, name)
        if column is not None:
            return column
        names = [*element.dimensions.names, *(column.name for column in element.schema)]
        raise InvalidQueryError(
            f"{owner!r} has no field {name!r}", hint=known_names(name, names, what=f"fields of {owner}")
        )
    skypix = set(universe.skypix_dimensions.names)
    owners = [*scope.dataset_types, *(e.name for e in universe.elements if e.name not in skypix)]
    raise InvalidQueryError(
        f"there is no dimension or searched dataset type {owner!r}", hint=known_names(owner, owners)
    )


def _choices(scope: Scope) -> Iterable[str]:
    universe = scope.universe
    skypix = set(universe.skypix_dimensions.names)
    yield from (name for name in universe.dimensions.names if name not in skypix)
    for element_name in scope.dimensions.elements:
        if element_name not in skypix:
            yield from _own_fields(universe[element_name])
    yield from scope.dataset_types


def _own_fields(element: DimensionElement) -> Iterable[str]:
    """Fields that an unqualified name can mean."""
    for column in element.schema:
        field = element_field(element, column.name)
        if field is not None and field.kind == "element":
            yield column.name


def _unknown(name: str, scope: Scope) -> InvalidQueryError:
    owners = [e.name for e in scope.universe.elements if name in _own_fields(e)]
    if owners:
        hint = "write " + " or ".join(f"{owner}.{name}" for owner in owners[:4])
    else:
        hint = known_names(name, _choices(scope))
    return InvalidQueryError(f"there is no dimension, field or bind variable {name!r}", hint=hint)
