# SPDX-License-Identifier: BSD-3-Clause
"""Data IDs put together, and joined with their records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.errors import DimensionNameError, InconsistentDataIdError

__all__ = ["expand", "unite"]


def unite(first: DataCoordinate, second: DataCoordinate) -> DataCoordinate:
    """Put two data IDs together.

    Parameters
    ----------
    first, second : `DataCoordinate`
        Data IDs of one universe.

    Returns
    -------
    data_id : `DataCoordinate`
        Of all dimensions of both; full, or with records, if all of that is known.

    Raises
    ------
    InconsistentDataIdError
        If they differ in a value.
    """
    for name, value in second.mapping.items():
        if name in first and first[name] != value:
            raise InconsistentDataIdError(f"{name} is {first[name]!r} in {first}, but {value!r} is asked for")
    group = first.dimensions.union(second.dimensions)
    if group is first.dimensions and (first.hasFull() or not second.hasFull()):
        return first
    values = {**first.mapping, **second.mapping}
    if not all(name in values for name in group.implied_names):
        return DataCoordinate.from_required_values(group, tuple([values[n] for n in group.required_names]))
    records: Mapping[str, DimensionRecord | None] | None = None
    if first.hasRecords() and second.hasRecords():
        both = {**first.records, **second.records}
        records = both if both.keys() >= set(group.elements) else None
    return DataCoordinate.from_full_values(group, tuple([values[n] for n in group.data_keys]), records)


def expand(data_id: DataCoordinate, records: Mapping[str, DimensionRecord | None]) -> DataCoordinate:
    """Attach records to a data ID.

    Parameters
    ----------
    data_id : `DataCoordinate`
        A data ID.
    records : `~collections.abc.Mapping`
        Record, or `None`, of each of its elements, by name.

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
    group = data_id.dimensions
    known: dict[str, Any] = dict(data_id.mapping)
    kept: dict[str, DimensionRecord | None] = {}
    for name in group.elements:
        record = kept[name] = records.get(name)
        if record is None:
            continue
        for key, value in record.key_items():
            given = known.get(key)
            if given is None:
                known[key] = value
            elif given != value:
                raise InconsistentDataIdError(
                    f"the record of {name} has {key}={value!r}, the data ID {key}={given!r}"
                )
    missing = [name for name in group.data_keys if name not in known]
    if missing:
        raise DimensionNameError(f"no record gives {', '.join(missing)} of {data_id}")
    return DataCoordinate.from_full_values(group, tuple([known[n] for n in group.data_keys]), kept)
