# SPDX-License-Identifier: BSD-3-Clause
"""Records of dimension elements: inserted in bulk, synchronised, fetched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from lakebutler.dimensions.arrow import record_from_row, record_to_row, records_to_table
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import Dimension, DimensionElement
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import (
    ConflictingDefinitionError,
    DataIdValueError,
    DimensionNameError,
    DimensionValueError,
    InconsistentDataIdError,
)
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry.dedupe import repeated
from lakebutler.registry.overlaps import extend_index
from lakebutler.registry.schema import dimension_schema, dimension_table

__all__ = ["RecordCache", "check_exist", "expand", "insert_records", "sync_record"]

SMALL = 50
"""Batches up to this size are looked up key by key, larger ones in bulk."""

_LOG_ROWS = 1000
"""Batches up to this size are handed over as rows, which may stay in the log."""

_CACHE_LIMIT = 20_000


class RecordCache:
    """Records fetched lately, kept as long as their table does not change.

    Parameters
    ----------
    universe : `DimensionUniverse`
        The repository's dimensions.
    """

    def __init__(self, universe: DimensionUniverse) -> None:
        self.universe = universe
        self._kept: dict[str, _Kept] = {}

    def fetch(
        self, snapshot: Snapshot, element: DimensionElement, key: tuple[Any, ...]
    ) -> DimensionRecord | None:
        """Fetch one record.

        Parameters
        ----------
        snapshot : `Snapshot`
            Where to look.
        element : `DimensionElement`
            The element; it must have a table of its own.
        key : `tuple`
            Values of its required dimensions, in order.

        Returns
        -------
        record : `DimensionRecord` or `None`
            `None` if there is none with this key.
        """
        kept = self._kept.get(element.name)
        if kept is None or kept.snapshot is not snapshot:
            kept = self._renew(snapshot, element, kept)
        try:
            return kept.records[key]
        except KeyError:
            if not kept.stamp:
                return None
        rows = snapshot.find(kept.table, kept.columns, key)
        record = record_from_row(element, rows[0]) if rows else None
        kept.records[key] = record
        return record

    def _renew(self, snapshot: Snapshot, element: DimensionElement, kept: _Kept | None) -> _Kept:
        if kept is None:
            kept = _Kept(dimension_table(element.name), tuple(element.required.names))
            self._kept[element.name] = kept
        stamp = _stamp(snapshot, kept.table) if kept.table in snapshot.schemas() else ()
        if kept.stamp != stamp or len(kept.records) > _CACHE_LIMIT:
            kept.records = {}
        kept.stamp, kept.snapshot = stamp, snapshot
        return kept


class _Kept:
    """Records of one element, as they are in one snapshot."""

    __slots__ = ("columns", "records", "snapshot", "stamp", "table")

    def __init__(self, table: str, columns: tuple[str, ...]) -> None:
        self.table = table
        self.columns = columns
        self.snapshot: Snapshot | None = None
        self.stamp: tuple[tuple[int, ...], ...] = ()
        self.records: dict[tuple[Any, ...], DimensionRecord | None] = {}


def _stamp(snapshot: Snapshot, table: str) -> tuple[tuple[int, ...], ...]:
    """What changes whenever the rows of a table do; empty if there is no such table."""
    return tuple(
        [
            (
                id(layer),
                len(layer.store.rows),
                layer.tombstones.count,
                len(layer.slots),
                len(layer.deletes),
                place and stamp,
            )
            for place, (layer, stamp) in enumerate(snapshot.view(table).layers)
        ]
    ) or ((0,),)


class _Step(NamedTuple):
    """One element to look up on the way to a full data ID."""

    name: str
    element: DimensionElement
    stored: bool
    required: tuple[str, ...]
    implied: tuple[str, ...]
    must_exist: bool


@lru_cache(maxsize=4096)
def _steps(group: DimensionGroup) -> tuple[_Step, ...]:
    steps = []
    for name in group.lookup_order:
        element = group.universe[name]
        steps.append(
            _Step(
                name,
                element,
                element.has_own_table,
                tuple(element.required.names),
                tuple(element.implied.names),
                element.has_own_table and isinstance(element, Dimension) and name in group.required,
            )
        )
    return tuple(steps)


def expand(
    snapshot: Snapshot,
    cache: RecordCache,
    data_id: DataCoordinate,
    *,
    records: Mapping[str, DimensionRecord | None] | None = None,
) -> DataCoordinate:
    """Find everything that follows from a data ID.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    cache : `RecordCache`
        Records known already.
    data_id : `DataCoordinate`
        At least the required values.
    records : mapping, optional
        Records that the caller has.

    Returns
    -------
    data_id : `DataCoordinate`
        With implied values and records.

    Raises
    ------
    DataIdValueError
        Raised if there is no record for a required value.
    InconsistentDataIdError
        Raised if a given implied value is not that of the records.
    """
    if data_id.hasRecords():
        return data_id
    group = data_id.dimensions
    values: dict[str, Any] = dict(data_id.mapping)
    found: dict[str, DimensionRecord | None] = {}
    for step in _steps(group):
        record = records.get(step.name) if records else None
        if record is None:
            key = tuple([values.get(name) for name in step.required])
            if None not in key:
                if step.stored:
                    record = cache.fetch(snapshot, step.element, key)
                else:
                    record = step.element.RecordClass.from_row(key)
        found[step.name] = record
        if record is None:
            if step.must_exist:
                raise _no_record(step.element, values, snapshot)
            for implied in step.implied:
                values.setdefault(implied, None)
        elif step.implied:
            _take_implied(step, record, values)
    full = tuple([values.get(name) for name in group.data_coordinate_keys])
    return DataCoordinate.from_full_values(group, full, found)


def _take_implied(step: _Step, record: DimensionRecord, values: dict[str, Any]) -> None:
    for implied in step.implied:
        value = getattr(record, implied)
        given = values.setdefault(implied, value)
        if given is not None and given != value:
            raise InconsistentDataIdError(
                f"{implied}={given!r} in the data ID, but the {step.name} record says {value!r}",
                hint=f"leave {implied} out: it follows from {step.name}",
            )
        values[implied] = value


def _no_record(element: DimensionElement, values: Mapping[str, Any], snapshot: Snapshot) -> DataIdValueError:
    names = tuple(element.required.names)
    shown = ", ".join(f"{name}={values.get(name)!r}" for name in names)
    table = dimension_table(element.name)
    hint = f"there are no {element.name} records yet"
    if table in snapshot.schemas():
        column = names[-1]
        where = {n: values[n] for n in names[:-1] if values.get(n) is not None}
        known = sorted(set(snapshot.scan(table, columns=(column,), where=where).column(column).to_pylist()))
        if known:
            hint = _choices(values.get(column), known, element.name)
    return DataIdValueError(f"there is no {element.name} record for {shown}", hint=hint)


def _choices(value: Any, known: Sequence[Any], what: str) -> str:
    from lakebutler.errors import known_names

    if isinstance(value, str):
        return known_names(value, [str(k) for k in known], what=f"known {what} values")
    shown = ", ".join(str(k) for k in known[:8])
    rest = f", … {known[-1]} ({len(known)} in all)" if len(known) > 8 else ""
    return f"known {what} values: {shown}{rest}"


def check_exist(
    snapshot: Snapshot, cache: RecordCache, group: DimensionGroup, keys: Iterable[tuple[Any, ...]]
) -> None:
    """Refuse data IDs whose required dimensions have no records.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    cache : `RecordCache`
        Records known already.
    group : `DimensionGroup`
        Dimensions of the data IDs.
    keys : iterable of `tuple`
        Values of the required dimensions.

    Raises
    ------
    DataIdValueError
        Raised with the first value that has none.
    """
    required = tuple(group.required)
    position = {name: i for i, name in enumerate(required)}
    rows = keys if isinstance(keys, list | tuple) else list(keys)
    columns = list(zip(*rows, strict=True))
    for name in required if columns else ():
        element = group.universe.dimensions[name]
        if not element.has_own_table:
            continue
        distinct: set[tuple[Any, ...]] = set(
            zip(*[columns[position[n]] for n in element.required.names], strict=True)
        )
        missing = _missing(snapshot, cache, element, distinct)
        if missing is not None:
            raise _no_record(element, dict(zip(element.required.names, missing, strict=True)), snapshot)


def _missing(
    snapshot: Snapshot, cache: RecordCache, element: DimensionElement, keys: set[tuple[Any, ...]]
) -> tuple[Any, ...] | None:
    if len(keys) <= SMALL:
        return next((key for key in keys if cache.fetch(snapshot, element, key) is None), None)
    table = dimension_table(element.name)
    if table not in snapshot.schemas():
        return next(iter(keys))
    ordered = sorted(keys)
    found = set(_match_keys(snapshot, element, ordered))
    return next((key for i, key in enumerate(ordered) if i not in found), None)


def _match_keys(snapshot: Snapshot, element: DimensionElement, keys: Sequence[tuple[Any, ...]]) -> list[int]:
    import pyarrow as pa

    schema = dimension_schema(element).arrow
    names = tuple(element.required.names)
    arrays = [
        pa.array(column, schema.field(name).type)
        for name, column in zip(names, zip(*keys, strict=True), strict=True)
    ]
    table = pa.table(arrays, names=list(names))
    found = snapshot.match(dimension_table(element.name), names, table, select=())
    positions: list[int] = found.column("_key").to_pylist()
    return positions


# ------------------------------------------------------------------- inserting


def insert_records(
    snapshot: Snapshot,
    cache: RecordCache,
    element: DimensionElement,
    records: Sequence[DimensionRecord],
    *,
    replace: bool = False,
    skip_existing: bool = False,
) -> Change | None:
    """Build the insertion of dimension records.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    cache : `RecordCache`
        Records known already.
    element : `DimensionElement`
        The element.
    records : sequence of `DimensionRecord`
        Its records.
    replace : `bool`, optional
        Whether records with the same keys give way.
    skip_existing : `bool`, optional
        Whether records whose keys are there are passed over.

    Returns
    -------
    change : `Change` or `None`
        `None` if nothing is to be done.

    Raises
    ------
    ConflictingDefinitionError
        Raised if a primary or alternate key is taken, or repeated in the batch.
    DimensionNameError
        Raised if the element has no records of its own.
    DataIdValueError
        Raised if a record refers to one that does not exist.
    """
    if not element.has_own_table:
        raise DimensionNameError(
            f"{element.name!r} has no records of its own",
            hint="its values come with those of other dimensions",
        )
    if not records:
        return None
    schema = dimension_schema(element)
    keys = [tuple(record.dataId.required_values) for record in records]
    position = repeated(keys)
    if position is not None:
        raise ConflictingDefinitionError(f"{element.name} {_shown(element, keys[position])} is given twice")
    change = Change()
    if schema.name not in snapshot.schemas():
        change.create_table(schema)
    existing = _existing(snapshot, cache, element, keys)
    if existing and not (replace or skip_existing):
        i = min(existing)
        raise ConflictingDefinitionError(
            f"there is a {element.name} record for {_shown(element, keys[i])} already",
            hint="pass skip_existing=True or replace=True, or use syncDimensionData",
        )
    if existing and skip_existing and not replace:
        records = [record for i, record in enumerate(records) if i not in existing]
        keys = [key for i, key in enumerate(keys) if i not in existing]
        existing = set()
        if not records:
            return None
    _check_references(snapshot, cache, element, records)
    _check_alternates(snapshot, element, records)
    for scope in {key[: len(schema.scope)] for key in keys}:
        change.touch(schema.name, scope)
    if existing:
        change.delete(schema.name, tuple(element.required.names), [keys[i] for i in sorted(existing)])
    if len(records) <= _LOG_ROWS:
        change.append_rows(schema.name, [record_to_row(element, record) for record in records])
    else:
        change.append_table(schema.name, records_to_table(element, records))
    extend_index(snapshot, change, element, records, [keys[i] for i in sorted(existing)])
    return change


def _existing(
    snapshot: Snapshot, cache: RecordCache, element: DimensionElement, keys: list[tuple[Any, ...]]
) -> set[int]:
    table = dimension_table(element.name)
    if table not in snapshot.schemas():
        return set()
    if len(keys) <= SMALL:
        return {i for i, key in enumerate(keys) if cache.fetch(snapshot, element, key) is not None}
    return set(_match_keys(snapshot, element, keys))


def _shown(element: DimensionElement, key: Sequence[Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in zip(element.required.names, key, strict=True))


def _check_references(
    snapshot: Snapshot, cache: RecordCache, element: DimensionElement, records: Sequence[DimensionRecord]
) -> None:
    universe = element.universe
    for name in (*element.required.names, *element.implied.names):
        if name == element.name:
            continue
        target = universe.dimensions[name]
        if not target.has_own_table:
            continue
        fields = tuple(target.required.names)
        keys = {
            key
            for record in records
            if None not in (key := tuple([_value(record, field) for field in fields]))
        }
        missing = _missing(snapshot, cache, target, keys)
        if missing is not None:
            error = _no_record(target, dict(zip(fields, missing, strict=True)), snapshot)
            raise DimensionValueError(
                f"cannot insert {element.name} records: {error.message}",
                hint=error.hint
                if snapshot.schemas().get(dimension_table(name))
                else f"insert the {name} first",
            )


def _value(record: DimensionRecord, name: str) -> Any:
    data_id = record.dataId
    if name in data_id.dimensions.required:
        return data_id.required[name]
    return getattr(record, name)


def _check_alternates(
    snapshot: Snapshot, element: DimensionElement, records: Sequence[DimensionRecord]
) -> None:
    if not isinstance(element, Dimension):
        return
    required = tuple(element.required.names)
    parents = required[:-1]
    table = dimension_table(element.name)
    for alternate in element.alternate_keys:
        field = alternate.name
        wanted: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for record in records:
            value = getattr(record, field)
            if value is None:
                continue
            key = tuple(record.dataId.required_values)
            place = (*key[:-1], value)
            other = wanted.setdefault(place, key)
            if other != key:
                raise ConflictingDefinitionError(
                    f"{element.name} {_shown(element, key)}: {field} {value!r} is also that of "
                    f"{_shown(element, other)}"
                )
        if not wanted or table not in snapshot.schemas():
            continue
        for place, holder in _alternate_holders(snapshot, element, (*parents, field), list(wanted)):
            if holder != wanted[place]:
                raise ConflictingDefinitionError(
                    f"{element.name} {_shown(element, wanted[place])}: {field} {place[-1]!r} is that of "
                    f"{_shown(element, holder)}",
                    hint=f"{field} must be unique",
                )


def _alternate_holders(
    snapshot: Snapshot, element: DimensionElement, columns: tuple[str, ...], places: list[tuple[Any, ...]]
) -> Iterable[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    import pyarrow as pa

    schema = dimension_schema(element).arrow
    arrays = [
        pa.array(values, schema.field(name).type)
        for name, values in zip(columns, zip(*places, strict=True), strict=True)
    ]
    names = tuple(element.required.names)
    keys = pa.table(arrays, names=list(columns))
    found = snapshot.match(dimension_table(element.name), columns, keys, select=names)
    positions = found.column("_key").to_pylist()
    holders = zip(*(found.column(name).to_pylist() for name in names), strict=True)
    for position, holder in zip(positions, holders, strict=True):
        yield places[position], holder


def sync_record(
    snapshot: Snapshot,
    cache: RecordCache,
    element: DimensionElement,
    record: DimensionRecord,
    *,
    update: bool = False,
) -> tuple[Change | None, bool | dict[str, Any]]:
    """Build what makes the registry hold a record.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    cache : `RecordCache`
        Records known already.
    element : `DimensionElement`
        The element.
    record : `DimensionRecord`
        The record.
    update : `bool`, optional
        Whether a record that differs is replaced; otherwise that is an error.

    Returns
    -------
    change : `Change` or `None`
        What is to be done.
    outcome : `bool` or `dict`
        True if inserted, False if there already, the old values of what was
        updated otherwise.

    Raises
    ------
    ConflictingDefinitionError
        Raised if a differing record is there and ``update`` is false.
    """
    key = tuple(record.dataId.required_values)
    present = cache.fetch(snapshot, element, key)
    if present is None:
        return insert_records(snapshot, cache, element, [record]), True
    old, new = present.toDict(), record.toDict()
    differing = {name: old.get(name) for name in new if old.get(name) != new[name]}
    if not differing:
        return None, False
    if not update:
        name = next(iter(differing))
        raise ConflictingDefinitionError(
            f"{element.name} {_shown(element, key)}: "
            f"{name} is {differing[name]!r} in the registry, {new[name]!r} here",
            hint="pass update=True to replace the record",
        )
    return insert_records(snapshot, cache, element, [record], replace=True), differing
