# SPDX-License-Identifier: BSD-3-Clause
"""What a caller writes as a data ID, made exact.

A data ID may name a dimension by an alternate key (``detector="R22_S11"``), give
facts of its record instead (``day_obs=20250101, seq_num=3``, or
``{"exposure.day_obs": 20250101, "exposure.seq_num": 3}``), and hold dimensions
that follow from others (``band``), which are checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import Dimension
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.errors import DimensionNameError, DimensionValueError, InconsistentDataIdError, known_names
from lakebutler.registry.registry import Registry
from lakebutler.registry.schema import dimension_table
from lakebutler.timespan import Timespan

__all__ = ["resolve_data_id"]


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
    if len(values) == len(group.required) and not dataset_type.isCalibration():
        exact = _exact(group, values)
        if exact is not None:
            return exact, None
    return _resolve(registry, dataset_type, values, default)


def _merge(data_id: DataCoordinate | Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if isinstance(data_id, DataCoordinate):
        values.update(data_id.mapping)
    elif isinstance(data_id, Mapping):
        values.update(data_id)
    elif data_id is not None:
        raise DimensionValueError(
            f"a data ID must be a mapping, not {type(data_id).__name__}", hint="pass {'dimension': value, …}"
        )
    for name, value in keywords.items():
        if name in values and values[name] != value:
            raise InconsistentDataIdError(
                f"{name}={values[name]!r} in the data ID, but {name}={value!r} as keyword"
            )
        values[name] = value
    return {str(name): value for name, value in values.items()}


def _exact(group: DimensionGroup, values: Mapping[str, Any]) -> DataCoordinate | None:
    row = []
    for name in group.required:
        value = values.get(name)
        kind = type(value)
        wanted = int if group.universe.dimensions[name].primary_key.type == "int" else str
        if kind is not wanted:
            return None
        row.append(value)
    return DataCoordinate.from_required_values(group, tuple(row))


def _resolve(
    registry: Registry, dataset_type: DatasetType, values: dict[str, Any], default: Callable[[str], Any]
) -> tuple[DataCoordinate, Timespan | None]:
    group = dataset_type.dimensions
    universe = group.universe
    for governor in group.governors:
        if values.get(governor) is None:
            value = default(governor)
            if value is not None:
                values[governor] = value
    facts = _split_facts(registry, group, values)
    if facts:
        _look_up(registry, group, values, facts)
    extra = [n for n in values if n not in group.names]
    exact = DataCoordinate.standardize(
        {n: v for n, v in values.items() if n in group.names}, dimensions=group
    )
    implied = [n for n in values if n in group.implied and values[n] is not None]
    if not extra and not implied:
        return exact, None
    if implied:
        _check_implied(registry, exact, {n: values[n] for n in implied})
    if not extra or not dataset_type.isCalibration():
        return exact, None
    wide = universe.conform([*group.names, *extra])
    missing = [n for n in wide.required if n not in values]
    if missing:
        return exact, None
    whole = registry.expand(DataCoordinate.standardize(values, dimensions=wide))
    return whole.subset(group), whole.timespan


def _check_implied(registry: Registry, data_id: DataCoordinate, given: Mapping[str, Any]) -> None:
    expanded = registry.expand(data_id)
    for name, value in given.items():
        if expanded[name] != value:
            raise InconsistentDataIdError(
                f"{name}={value!r} in the data ID, but the rest of it says {name}={expanded[name]!r}",
                hint=f"leave {name} out",
            )


def _split_facts(
    registry: Registry, group: DimensionGroup, values: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Take what is no value of a dimension out of a data ID: facts by dimension."""
    universe = group.universe
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
        owner, field = _owner(group, name)
        if field == universe.dimensions[owner].primary_key.name:
            values.setdefault(owner, value)
        elif field in universe.dimensions[owner].dimensions.names:
            values.setdefault(field, value)
        else:
            facts.setdefault(owner, {})[field] = value
        del values[name]
    missing = [n for n in group.required if values.get(n) is None and n not in facts]
    for name in missing:
        known = {n: values[n] for n in universe.dimensions[name].implied.names if values.get(n) is not None}
        if known and name in facts:
            facts[name].update(known)
    return facts


def _owner(group: DimensionGroup, name: str) -> tuple[str, str]:
    universe = group.universe
    if "." in name:
        owner, field = name.split(".", 1)
        if owner in universe.dimensions.names and _has(universe.dimensions[owner], field):
            return owner, field
    else:
        owners = [n for n in group.required if _has(universe.dimensions[n], name)]
        owners = [n for n in owners if name != universe.dimensions[n].primary_key.name] or owners
        if len(owners) == 1:
            return owners[0], name
        if len(owners) > 1:
            raise DimensionValueError(
                f"{name!r} can belong to {' or '.join(owners)}", hint=f"write it as {owners[0]}.{name}"
            )
    choices = [*group.names]
    for element in group.required:
        choices += [column.name for column in universe.dimensions[element].schema]
    raise DimensionNameError(f"there is no dimension {name!r}", hint=known_names(name, choices))


def _has(dimension: Dimension, field: str) -> bool:
    return any(
        column.name == field and column.type not in ("region", "timespan") for column in dimension.schema
    )


def _look_up(
    registry: Registry, group: DimensionGroup, values: dict[str, Any], facts: Mapping[str, Mapping[str, Any]]
) -> None:
    universe = group.universe
    for owner in sorted(facts, key=lambda n: universe[n].index):
        dimension = universe.dimensions[owner]
        where: dict[str, Any] = dict(facts[owner])
        for name in (*dimension.required.names, *dimension.implied.names):
            if values.get(name) is not None:
                where[name] = values[name]
        table = dimension_table(owner)
        snapshot = registry.snapshot
        found: list[dict[str, Any]] = []
        names = tuple(dimension.required.names)
        if table in snapshot.schemas():
            found = snapshot.scan(table, columns=names, where=where).to_pylist()
        shown = ", ".join(f"{k}={v!r}" for k, v in where.items())
        if not found:
            raise DimensionValueError(f"there is no {owner} with {shown}")
        if len(found) > 1:
            raise DimensionValueError(
                f"{len(found)} {owner} records have {shown}",
                hint=f"give {owner} itself, or more of its facts",
            )
        for name in names:
            given = values.setdefault(name, found[0][name])
            if given != found[0][name]:
                raise InconsistentDataIdError(
                    f"{name}={given!r} in the data ID, but {shown} is {found[0][name]!r}"
                )
