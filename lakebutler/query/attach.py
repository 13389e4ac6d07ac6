# SPDX-License-Identifier: BSD-3-Clause
"""Records of many data IDs, fetched together and handed out when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from lakebutler.dimensions.arrow import table_to_records
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry.schema import dimension_schema, dimension_table

__all__ = ["attach_records"]

Key = tuple[Any, ...]
_Known = dict[str, tuple[Callable[[Key], Key], dict[Key, DimensionRecord]]]


class _Records(Mapping[str, "DimensionRecord | None"]):
    """Records of one data ID, looked up among those of all."""

    __slots__ = ("_known", "_values")

    def __init__(self, known: _Known, values: Key) -> None:
        self._known = known
        self._values = values

    def __getitem__(self, name: str) -> DimensionRecord | None:
        getter, records = self._known[name]
        return records.get(getter(self._values))

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __reduce__(self) -> tuple[Any, ...]:
        # What is sent elsewhere takes its own records along, not those of all.
        return dict, (dict(self),)


def attach_records(
    snapshot: Snapshot, group: DimensionGroup, data_ids: Sequence[DataCoordinate]
) -> list[DataCoordinate]:
    """Fetch the records of many data IDs, one look-up per element.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    group : `DimensionGroup`
        Dimensions of all the data IDs.
    data_ids : sequence of `DataCoordinate`
        With implied values.

    Returns
    -------
    data_ids : `list` [`DataCoordinate`]
        The same with records.
    """
    keys = tuple(group.data_coordinate_keys)
    rows = [data_id.full_values for data_id in data_ids]
    known: _Known = {}
    for name in group.elements:
        element = group.universe[name]
        if element.has_own_table:
            getter = _getter([keys.index(n) for n in element.required.names])
            wanted = {key for key in set(map(getter, rows)) if None not in key}
            known[name] = (getter, _fetch(snapshot, element, wanted))
    full = DataCoordinate.from_full_values
    return [full(group, values, _Records(known, values)) for values in rows]


def _getter(places: Sequence[int]) -> Callable[[Key], Key]:
    if len(places) == 1:
        (place,) = places
        return lambda row: (row[place],)
    return itemgetter(*places) if places else lambda _: ()


def _fetch(snapshot: Snapshot, element: DimensionElement, keys: set[Key]) -> dict[Key, DimensionRecord]:
    import pyarrow as pa

    table = dimension_table(element.name)
    if table not in snapshot.schemas() or not keys:
        return {}
    names = tuple(element.required.names)
    schema = dimension_schema(element).arrow
    arrays = [pa.array(c, schema.field(n).type) for n, c in zip(names, zip(*keys, strict=True), strict=True)]
    rows = snapshot.match(table, names, pa.table(arrays, names=list(names)))
    return {record.dataId.required_values: record for record in table_to_records(element, rows)}
