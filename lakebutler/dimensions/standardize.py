# SPDX-License-Identifier: BSD-3-Clause
"""Data IDs as users write them, made into data IDs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lakebutler.dimensions.columns import fit_key
from lakebutler.dimensions.coordinate import DataCoordinate, DataIdValue
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import DimensionNameError, DimensionValueError, InconsistentDataIdError

__all__ = ["standardize_any"]


def _fit_value(universe: DimensionUniverse, name: str, value: Any) -> DataIdValue:
    column = universe.dimensions[name].primary_key
    try:
        fitted: DataIdValue = fit_key(column, value)
    except (TypeError, ValueError) as exc:
        raise DimensionValueError(f"value of dimension {name!r} {exc}") from None
    return fitted


def _find_universe(
    mapping: Any, dimensions: Any, universe: DimensionUniverse | None, defaults: DataCoordinate | None
) -> DimensionUniverse:
    if universe is not None:
        return universe
    for known in (dimensions, mapping, defaults):
        if isinstance(known, DimensionGroup | DataCoordinate):
            return known.universe
    return DimensionUniverse()


def standardize_any(
    mapping: Mapping[str, Any] | DataCoordinate | None,
    dimensions: Iterable[str] | DimensionGroup | None,
    universe: DimensionUniverse | None,
    defaults: DataCoordinate | None,
    kwargs: Mapping[str, Any],
) -> DataCoordinate:
    """Make a data ID of anything that `DataCoordinate.standardize` accepts.

    Parameters
    ----------
    mapping : `~collections.abc.Mapping` or `DataCoordinate`, optional
        Values by name of the dimension.
    dimensions : `DimensionGroup` or iterable of `str`, optional
        The dimensions.
    universe : `DimensionUniverse`, optional
        Where the names belong.
    defaults : `DataCoordinate`, optional
        Values of dimensions that are needed and not given otherwise.
    kwargs : `~collections.abc.Mapping`
        More values; they prevail over those in ``mapping``.

    Returns
    -------
    data_id : `DataCoordinate`
        The data ID.
    """
    universe = _find_universe(mapping, dimensions, universe, defaults)
    base = mapping if isinstance(mapping, DataCoordinate) else None
    if base is not None:
        group = base.dimensions if dimensions is None else universe.conform(dimensions)
        if not kwargs and dimensions is None:
            return base
        if not kwargs and all(n in base.dimensions.index for n in group.names):
            return base.subset(group)
        given: dict[str, Any] = dict(base.mapping)
    elif mapping is None or isinstance(mapping, Mapping):
        given = {_key_name(key): value for key, value in (mapping or {}).items()}
    else:
        raise DimensionValueError(f"a data ID must be a mapping, not {type(mapping).__name__}")
    values = _merge(universe, base, given, kwargs)
    for name in values:
        if name not in universe.dimensions:
            raise DimensionNameError(f"unknown dimension {name!r} in data ID", hint=universe.suggest(name))
    group = universe.conform(values if dimensions is None else dimensions)
    return _fill(universe, group, values, defaults)


def _key_name(key: Any) -> str:
    if isinstance(key, str):
        return str(key)
    name = getattr(key, "name", None)
    if isinstance(name, str):
        return name
    raise DimensionNameError(f"keys of a data ID must be names of dimensions, not {key!r}")


def _merge(
    universe: DimensionUniverse, base: DataCoordinate | None, given: dict[str, Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Let keyword arguments prevail, and drop what then no longer follows."""
    if not kwargs:
        return given
    changed = {n for n, v in kwargs.items() if n in given and given[n] != v}
    if not changed:
        return {**given, **kwargs}
    if base is not None and not changed.intersection(base.dimensions.required_names):
        _check_implied(base, {n: kwargs[n] for n in changed})
    known = [n for n in given if n in universe.dimensions]
    implied = universe.conform(known).implied_names if known else ()
    stale = {n for n in implied if n not in kwargs} if changed.difference(implied) else set()
    return {n: v for n, v in given.items() if n not in stale} | dict(kwargs)


def _check_implied(base: DataCoordinate, values: Mapping[str, Any]) -> None:
    """Refuse values that are not those that follow from the required ones."""
    for name, value in values.items():
        if name in base.dimensions.implied:
            raise InconsistentDataIdError(f"{name} of {base} is {base[name]!r}, but {value!r} is asked for")


def _fill(
    universe: DimensionUniverse, group: DimensionGroup, given: dict[str, Any], defaults: DataCoordinate | None
) -> DataCoordinate:
    """Check values, fill in defaults."""
    values = {n: _fit_value(universe, n, given[n]) for n in group.data_keys if n in given}
    if defaults is not None:
        for name in group.required_names:
            if name in defaults:
                values.setdefault(name, defaults[name])
        # What follows from the defaults holds only where they were not overruled.
        if all(values.get(name) == value for name, value in defaults.required.items()):
            for name in defaults.dimensions.implied_names:
                if name in group.index and name in defaults:
                    values.setdefault(name, defaults[name])
    missing = [n for n in group.required_names if n not in values]
    if missing:
        shown = "{" + ", ".join(f"{n}: {v!r}" for n, v in given.items()) + "}"
        raise DimensionNameError(f"data ID {shown} has no value for required {', '.join(missing)}")
    complete = all(n in values for n in group.implied_names)
    names = group.data_keys if complete else group.required_names
    make = DataCoordinate.from_full_values if complete else DataCoordinate.from_required_values
    return make(group, tuple([values[n] for n in names]))
