# SPDX-License-Identifier: BSD-3-Clause
"""Dimension records that data IDs lead to, and rows of datasets: gathered in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import DatasetNotFoundError
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry.dataset_rows import uuid_array
from lakebutler.registry.datasets import group_refs
from lakebutler.registry.schema import DatasetLayout, dimension_schema, dimension_table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Keys", "by_name", "dataset_rows", "find_records", "keys_of_data_ids", "keys_of_table"]

Keys = dict[str, set[tuple[Any, ...]]]
"""Values of the required dimensions, by element."""

_FEW = 20


def keys_of_data_ids(data_ids: Iterable[DataCoordinate]) -> Keys:
    """Keys of all elements that data IDs name.

    Parameters
    ----------
    data_ids : iterable of `DataCoordinate`
        Data IDs; they need not be expanded.

    Returns
    -------
    keys : `dict`
        For `find_records`.
    """
    groups: dict[DimensionGroup, set[tuple[Any, ...]]] = {}
    for data_id in data_ids:
        groups.setdefault(data_id.dimensions, set()).add(tuple(data_id.required_values))
    keys: Keys = {}
    for group, values in groups.items():
        at = {name: i for i, name in enumerate(group.required)}
        for element in _elements(group):
            places = [at[name] for name in element.required.names]
            keys.setdefault(element.name, set()).update(tuple([value[i] for i in places]) for value in values)
    return keys


def keys_of_table(keys: Keys, group: DimensionGroup, table: pa.Table) -> None:
    """Add the keys of all elements that rows of datasets name.

    Parameters
    ----------
    keys : `dict`
        Added to.
    group : `DimensionGroup`
        Dimensions of the datasets.
    table : `pyarrow.Table`
        Their rows.
    """
    for element in _elements(group):
        names = list(element.required.names)
        found = table.select(names).group_by(names).aggregate([])
        columns = [found.column(name).to_pylist() for name in names]
        keys.setdefault(element.name, set()).update(zip(*columns, strict=True))


def _elements(group: DimensionGroup) -> list[DimensionElement]:
    """Elements with records whose keys stand in the required values of a group."""
    required = set(group.required)
    elements = [group.universe[name] for name in group.elements]
    return [e for e in elements if e.has_own_table and set(e.required.names) <= required]


def find_records(
    snapshot: Snapshot, universe: DimensionUniverse, keys: Keys
) -> dict[str, list[DimensionRecord]]:
    """Find records, those that they refer to, and those that belong to them.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    universe : `DimensionUniverse`
        Its dimensions.
    keys : `dict`
        What is asked for; a key without a record is passed over.

    Returns
    -------
    records : `dict` [`str`, `list` [`DimensionRecord`]]
        By element, in the universe's order; for visits also what is populated with them
        (definition, membership, regions), and the exposures and visit systems of that.
    """
    found: dict[str, dict[tuple[Any, ...], DimensionRecord]] = {}
    _close(snapshot, universe, {name: set(values) for name, values in keys.items()}, found)
    more: Keys = {}
    for name in list(found):
        for relation in universe.get_elements_populated_by(name) if name in universe.dimensions.names else ():
            if relation.name == name or relation.name in keys or not found[name]:
                continue
            columns = tuple(universe[name].required.names)
            rows = _rows(snapshot, relation, columns, set(found[name]))
            if rows:
                _keep(found.setdefault(relation.name, {}), relation, rows)
                _refer(universe, relation, rows, more)
    fresh = {name: values - set(found.get(name, ())) for name, values in more.items()}
    _close(snapshot, universe, fresh, found)
    order = [element.name for element in universe.elements]
    return {name: list(found[name].values()) for name in order if found.get(name)}


def _close(
    snapshot: Snapshot,
    universe: DimensionUniverse,
    keys: Keys,
    found: dict[str, dict[tuple[Any, ...], DimensionRecord]],
) -> None:
    """Fetch records and all that they refer to; what others depend on comes last."""
    for element in reversed(list(universe.elements)):
        wanted = keys.get(element.name)
        if not wanted or not element.has_own_table:
            continue
        kept = found.setdefault(element.name, {})
        rows = _rows(snapshot, element, tuple(element.required.names), wanted - set(kept))
        _keep(kept, element, rows)
        _refer(universe, element, rows, keys)


def _keep(
    kept: dict[tuple[Any, ...], DimensionRecord], element: DimensionElement, rows: list[tuple[Any, ...]]
) -> None:
    n = len(element.required)
    make = element.RecordClass.from_row
    kept.update((row[:n], make(row)) for row in rows)


def _refer(
    universe: DimensionUniverse, element: DimensionElement, rows: list[tuple[Any, ...]], keys: Keys
) -> None:
    """Note the keys of the records that others refer to."""
    at = {name: i for i, name in enumerate(element.RecordClass.layout.key_names)}
    for name in at:
        target = universe.dimensions[name]
        if name == element.name or not target.has_own_table:
            continue
        places = [at[n] for n in target.required.names]
        some = {tuple([row[i] for i in places]) for row in rows}
        keys.setdefault(name, set()).update(key for key in some if None not in key)


def _rows(
    snapshot: Snapshot, element: DimensionElement, columns: tuple[str, ...], keys: set[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    import pyarrow as pa

    table = dimension_table(element.name)
    if not keys or table not in snapshot.schemas():
        return []
    if len(keys) <= _FEW and columns == tuple(element.required.names):
        return [row for key in keys for row in snapshot.find(table, columns, key)]
    schema = dimension_schema(element)
    values = zip(*keys, strict=True)
    arrays = [pa.array(v, schema.arrow.field(n).type) for n, v in zip(columns, values, strict=True)]
    names = [column.name for column in schema.columns]
    matched = snapshot.match(table, columns, pa.table(arrays, names=list(columns)), select=names)
    return list(zip(*(matched.column(name).to_pylist() for name in names), strict=True))


def dataset_rows(snapshot: Snapshot, refs: Sequence[DatasetRef]) -> dict[DatasetLayout, pa.Table]:
    """Rows of datasets, files included.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    refs : sequence of `DatasetRef`
        The datasets; twice counts once.

    Returns
    -------
    rows : `dict` [`DatasetLayout`, `pyarrow.Table`]
        By table.

    Raises
    ------
    DatasetNotFoundError
        Raised with the first dataset that is not there.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    result = {}
    for layout, positions in group_refs(refs).items():
        part = refs if len(positions) == len(refs) else [refs[i] for i in positions]
        ids = list(dict.fromkeys([ref.id for ref in part]))
        if layout.table not in snapshot.schemas():
            raise _not_there(part[0])
        names = [column.name for column in layout.schema.columns]
        found = snapshot.match(layout.table, ("id",), pa.table({"id": uuid_array(ids)}), select=names)
        own = found.filter(pc.equal(found.column("collection"), found.column("run")))
        if own.num_rows < len(ids):
            there = set(own.column("id").to_pylist())
            raise _not_there(next(ref for ref in part if ref.id not in there))
        ordered = own.sort_by("_key").select(names)
        result[layout] = ordered.cast(layout.schema.arrow)
    return result


def _not_there(ref: DatasetRef) -> DatasetNotFoundError:
    return DatasetNotFoundError(
        f"{ref.datasetType.name} {ref.dataId} (ID {ref.id}) is not in run {ref.run!r}",
        hint="the dataset was removed, or belongs to another repository",
    )


def by_name(
    records: Mapping[str, list[DimensionRecord]], names: Iterable[str]
) -> dict[str, list[DimensionRecord]]:
    """Only the records of some elements.

    Parameters
    ----------
    records : mapping
        By element.
    names : iterable of `str`
        Elements to keep.

    Returns
    -------
    records : `dict`
        Those of them.
    """
    wanted = set(names)
    return {name: some for name, some in records.items() if name in wanted}
