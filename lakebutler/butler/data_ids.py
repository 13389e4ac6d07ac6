# SPDX-License-Identifier: BSD-3-Clause
"""What a caller writes as a data ID, made exact.

A data ID may name a dimension by an alternate key (``detector="R22_S11"``), give
facts of its record instead (``day_obs=20250101, seq_num=3``, or
``{"exposure.day_obs": 20250101, "exposure.seq_num": 3}``), and hold dimensions
that follow from others (``band``), which are checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.columns import fit, fit_key
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import Dimension
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import (
    DimensionNameError,
    DimensionValueError,
    InconsistentDataIdError,
    did_you_mean,
    known_names,
)
from lakebutler.registry.registry import Registry
from lakebutler.registry.schema import dimension_table
from lakebutler.timespan import Timespan

__all__ = ["resolve_data_id"]

_INT = 2**63


def resolve_data_id(
    registry: Registry,
    dataset_type: DatasetType,
    data_id: DataCoordinate | Mapping[str, Any] | None,
    keywords: Mapping[str, Any],
    default: Callable[[str], Any],
) -> tuple[DataCoordinate, Timespan | None]:
    """Make the data ID of a dataset from what a caller wrote.

    Parameters
    ----------
    registry : `Registry`
        Where records are looked up.
    dataset_type : `DatasetType`
        The dataset's type.
    data_id : `DataCoordinate` or mapping, optional
        Values by dimension.
    keywords : mapping
        More values.
    default : callable
        Gives the default value of a governor, or `None`.

    Returns
    -------
    data_id : `DataCoordinate`
        With the required values of the dataset type at least.
    timespan : `Timespan` or `None`
        Time of what the data ID holds beyond the type's dimensions; for
        calibration types only.

    Raises
    ------
    DimensionNameError
        Raised if a value is missing, or a key is no dimension.
    DimensionValueError
        Raised if a value is of the wrong type or does not exist.
    """
    group = dataset_type.dimensions
    if isinstance(data_id, DataCoordinate) and not keywords:
        if data_id.dimensions == group:
            return data_id, None
        if not dataset_type.isCalibration() and set(group.required) <= set(data_id.dimensions.required):
            return data_id.subset(group), None
    values = _merge(data_id, keywords)
    if len(values) == len(group.required):
        exact = _exact(group, values)
        if exact is not None:
            return exact, None
    for name, value in values.items():
        if isinstance(value, str):
            _require_text(name, value)
    for governor in group.governors:
        if values.get(governor) is None:
            value = default(governor)
            if value is not None:
                values[governor] = value
    facts = _split_facts(dataset_type, values)
    if facts:
        _look_up(registry, group.universe, values, facts)
    extra = [n for n in values if n not in group.names]
    if extra and dataset_type.isCalibration():
        wide = _widened(group, values, extra)
        if wide != group:
            whole = registry.expand(_checked(registry, wide, values))
            return whole.subset(group), whole.timespan
    return _checked(registry, group, values), None


def _merge(data_id: DataCoordinate | Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a data ID, with those of the keywords, which prevail."""
    values: dict[str, Any]
    if isinstance(data_id, DataCoordinate):
        overridden = any(data_id.required.get(name, value) != value for name, value in keywords.items())
        # What follows from values that give way does not follow any more.
        values = dict(data_id.required if overridden else data_id.mapping)
    elif isinstance(data_id, Mapping):
        values = {str(name): value for name, value in data_id.items()}
    elif data_id is None:
        values = {}
    else:
        raise DimensionValueError(
            f"a data ID must be a mapping, not {type(data_id).__name__}", hint="pass {'dimension': value, …}"
        )
    values.update(keywords)
    return values


def _require_text(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DimensionValueError(f"value of dimension {name!r} is no text: {value!a}") from None


def _exact(group: DimensionGroup, values: Mapping[str, Any]) -> DataCoordinate | None:
    """The data ID, if the values are just what it needs; `None` where they must be looked at."""
    row = []
    for name in group.required:
        value = values.get(name)
        if type(value) is int:
            if group.universe.dimensions[name].primary_key.type != "int" or not -_INT <= value < _INT:
                return None
        elif type(value) is not str or (
            group.universe.dimensions[name].primary_key.type == "int" or not value.isascii()
        ):
            return None
        row.append(value)
    return DataCoordinate.from_required_values(group, tuple(row))


def _widened(group: DimensionGroup, values: Mapping[str, Any], extra: Iterable[str]) -> DimensionGroup:
    """A calibration's dimensions with those that say when: all that are known well enough."""
    universe = group.universe
    known = {name for name, value in values.items() if value is not None}
    usable = [n for n in extra if n in known and set(universe.dimensions[n].required.names) <= known]
    wide = universe.conform([*group.names, *usable])
    return wide if set(wide.required) <= known else group


def _checked(registry: Registry, group: DimensionGroup, values: Mapping[str, Any]) -> DataCoordinate:
    """Make the data ID, and hold implied values that were given against the records."""
    exact = DataCoordinate.standardize(
        {n: values[n] for n in group.required if n in values}, dimensions=group
    )
    implied = [n for n in group.implied if values.get(n) is not None]
    if not implied:
        return exact
    expanded = registry.expand(exact)
    for name in implied:
        if expanded[name] != values[name]:
            raise InconsistentDataIdError(
                f"{name}={values[name]!r} in the data ID, but the rest of it says {name}={expanded[name]!r}",
                hint=f"leave {name} out",
            )
    return expanded


def _split_facts(dataset_type: DatasetType, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Take what is no value of a dimension out of a data ID: facts by dimension."""
    universe = dataset_type.dimensions.universe
    facts: dict[str, dict[str, Any]] = {}
    for name in list(values):
        value = values[name]
        if name in universe.dimensions.names:
            dimension = universe.dimensions[name]
            if isinstance(value, str) and dimension.primary_key.type == "int":
                texts = [key.name for key in dimension.alternate_keys if key.type == "string"]
                if len(texts) == 1:
                    facts.setdefault(name, {})[texts[0]] = value
                    del values[name]
            continue
        owner, field = _owner(dataset_type, name)
        if field == universe.dimensions[owner].primary_key.name:
            values.setdefault(owner, value)
        elif field in universe.dimensions[owner].dimensions.names:
            values.setdefault(field, value)
        else:
            facts.setdefault(owner, {})[field] = _fitting(universe.dimensions[owner], field, value)
        del values[name]
    return facts


def _owner(dataset_type: DatasetType, name: str) -> tuple[str, str]:
    """The dimension that a key of a data ID belongs to, and the field of its record."""
    group = dataset_type.dimensions
    universe = group.universe
    if "." in name:
        owner, field = name.split(".", 1)
        if owner in universe.dimensions.names and _has(universe.dimensions[owner], field):
            return owner, field
    else:
        owners = [n for n in group.required if _has(universe.dimensions[n], name)]
        owners = [n for n in owners if name != universe.dimensions[n].primary_key.name] or owners
        if len(owners) > 1:
            raise DimensionValueError(
                f"{name!r} can belong to {' or '.join(owners)}", hint=f"write it as {owners[0]}.{name}"
            )
        if not owners and dataset_type.isCalibration():
            # Calibrations are also asked for by what says when they are needed.
            owners = [d.name for d in universe.dimensions if d.temporal is not None and _has(d, name)]
        if owners:
            return owners[0], name
    choices = [*group.names]
    for element in group.required:
        choices += [column.name for column in universe.dimensions[element].schema]
    near = did_you_mean(name, choices)
    raise DimensionNameError(
        f"there is no dimension {name!r}",
        hint=known_names(name, near or group.names, what=f"dimensions of {dataset_type.name}"),
    )


def _has(dimension: Dimension, field: str) -> bool:
    return any(
        column.name == field and column.type not in {"region", "timespan"} for column in dimension.schema
    )


def _fitting(dimension: Dimension, field: str, value: Any) -> Any:
    column = next(column for column in dimension.schema if column.name == field)
    try:
        fitting = fit(column, value)
    except (TypeError, ValueError) as exc:
        raise DimensionValueError(f"{dimension.name}.{field} {exc}") from None
    if fitting is None:
        raise DimensionValueError(f"{dimension.name}.{field} in a data ID needs a value")
    return fitting


def _look_up(
    registry: Registry,
    universe: DimensionUniverse,
    values: dict[str, Any],
    facts: Mapping[str, Mapping[str, Any]],
) -> None:
    """Find the dimensions that are named by facts of their records."""
    for owner in sorted(facts, key=lambda n: universe[n].index):
        dimension = universe.dimensions[owner]
        if values.get(owner) is not None:
            _hold_against(registry, dimension, values, facts[owner])
            continue
        where: dict[str, Any] = dict(facts[owner])
        for name in (*dimension.required.names, *dimension.implied.names):
            if values.get(name) is not None:
                where[name] = fit_key(universe.dimensions[name].primary_key, values[name])
        names = tuple(dimension.required.names)
        found = _records(registry, owner, names, where)
        shown = ", ".join(f"{k}={v!r}" for k, v in where.items())
        if not found:
            raise DimensionValueError(
                f"there is no {owner} with {shown}", hint=_nearest(registry, owner, facts[owner])
            )
        if len(found) > 1:
            raise DimensionValueError(
                f"{len(found)} {owner} records have {shown}",
                hint=f"give {owner} itself, or more of its fields",
            )
        values.update(found[0])


def _records(
    registry: Registry, owner: str, columns: tuple[str, ...], where: Mapping[str, Any]
) -> list[dict[str, Any]]:
    snapshot, table = registry.snapshot, dimension_table(owner)
    if table not in snapshot.schemas():
        return []
    found: list[dict[str, Any]] = snapshot.scan(table, columns=columns, where=where).to_pylist()
    return found


def _nearest(registry: Registry, owner: str, facts: Mapping[str, Any]) -> str | None:
    """The next step where nothing has a fact: what there is, for the first text."""
    for field, value in facts.items():
        if isinstance(value, str):
            known = {row[field] for row in _records(registry, owner, (field,), {})} - {None}
            return known_names(value, known, what=f"{owner}.{field}")
    return f"query_dimension_records({owner!r}) shows what there is"


def _hold_against(
    registry: Registry, dimension: Dimension, values: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    group = dimension.minimal_group
    expanded = registry.expand(
        DataCoordinate.standardize({n: values[n] for n in group.required if n in values}, dimensions=group)
    )
    record = expanded.records[dimension.name]
    for field, value in facts.items():
        actual = getattr(record, field, None)
        if actual != value:
            raise InconsistentDataIdError(
                f"{dimension.name}.{field}={value!r} in the data ID, but that of {dimension.name} "
                f"{values[dimension.name]!r} is {actual!r}",
                hint=f"give either {dimension.name} or {field}",
            )
