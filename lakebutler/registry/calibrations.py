# SPDX-License-Identifier: BSD-3-Clause
"""CALIBRATION collections: certify, decertify, look up by time.

Validity ranges are half-open and in TAI nanoseconds.  Within one collection the
ranges of datasets with the same type and data ID never overlap.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.errors import (
    CalibrationLookupError,
    ConflictingDefinitionError,
    DatasetTypeError,
)
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry.associate import check_present, require_type
from lakebutler.registry.dataset_rows import NO_FILE, RefColumns, batch_rows, batch_table, key_table
from lakebutler.registry.datasets import SMALL, group_refs
from lakebutler.registry.schema import DatasetLayout, dataset_layout
from lakebutler.registry.validity import overlap
from lakebutler.timespan import Timespan

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["certify", "decertify", "find_calibration"]


def _span(timespan: Timespan, what: str) -> tuple[int, int]:
    begin, end = timespan.nsec
    if begin >= end:
        raise ConflictingDefinitionError(
            f"cannot {what} for an empty validity range", hint="give a begin before the end"
        )
    return begin, end


def _require_calibration(dataset_type: DatasetType, verb: str) -> None:
    if not dataset_type.isCalibration():
        raise DatasetTypeError(
            f"cannot {verb} datasets of type {dataset_type.name!r}: it is not a calibration dataset type",
            hint="register the type with isCalibration=True (--is-calibration)",
        )


def certify(
    snapshot: Snapshot,
    collection: str,
    refs: Sequence[DatasetRef],
    timespan: Timespan,
    when: datetime.datetime,
) -> Change | None:
    """Build the certification of calibrations for a validity range.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    collection : `str`
        A CALIBRATION collection.
    refs : sequence of `DatasetRef`
        The datasets.
    timespan : `Timespan`
        When they are valid.
    when : `datetime.datetime`
        Time of the change.

    Returns
    -------
    change : `Change` or `None`
        `None` for no datasets.

    Raises
    ------
    ConflictingDefinitionError
        Raised if the range overlaps that of another dataset with the same type
        and data ID in the collection, or if two of the given datasets have them.
    """
    change = Change()
    require_type(snapshot, change, collection, CollectionType.CALIBRATION, "certify datasets into")
    span = _span(timespan, "certify datasets")
    for layout, positions in group_refs(refs).items():
        part = [refs[i] for i in positions]
        batch = RefColumns(layout, part)
        for dataset_type in batch.types:
            _require_calibration(dataset_type, "certify")
        _refuse_twins(batch, collection)
        check_present(snapshot, batch)
        for scope in batch.scopes:
            change.touch(layout.table, scope)
        for i, begin, end in _overlapping(snapshot, batch, collection, span):
            ref = part[i]
            raise ConflictingDefinitionError(
                f"cannot certify {ref.datasetType.name} {ref.dataId} into {collection!r} for {timespan}: "
                f"another is valid there for {Timespan.from_nsec(begin, end)}",
                hint="decertify the old range first, or certify only what is free",
            )
        for name in set(batch.names):
            change.touch(layout.table, (name, collection))
        if len(part) <= SMALL:
            rows = batch_rows(part, [NO_FILE] * len(part), when, collection=collection, validity=span)
            change.append_rows(layout.table, rows)
        else:
            change.append_table(
                layout.table, batch_table(layout, batch, None, when, collection=collection, validity=span)
            )
    return change if refs else None


def _refuse_twins(batch: RefColumns, collection: str) -> None:
    refs = batch.refs
    if len(set(batch.values)) == len(refs):
        return  # the common case, decided without a tuple for each
    seen: dict[tuple[object, ...], DatasetRef] = {}
    for ref in refs:
        other = seen.setdefault((ref.datasetType.name, ref.dataId.required_values), ref)
        if other is not ref:
            raise ConflictingDefinitionError(
                f"two datasets {ref.datasetType.name} {ref.dataId} cannot be valid in {collection!r} "
                "at one time",
                hint="give each data ID once",
            )


def _overlapping(
    snapshot: Snapshot, batch: RefColumns, collection: str, span: tuple[int, int]
) -> Iterable[tuple[int, int, int]]:
    """Positions of the datasets whose data IDs have another valid in a range, with its range."""
    layout, refs = batch.layout, batch.refs
    begin, end = layout.index("valid_begin"), layout.index("valid_end")
    if len(refs) <= SMALL:
        for i, ref in enumerate(refs):
            key = (ref.datasetType.name, collection, *ref.dataId.required_values)
            for row in snapshot.find(layout.table, layout.key_columns, key):
                if overlap(span, (row[begin], row[end])):
                    yield i, row[begin], row[end]
        return
    names = sorted(set(batch.names))
    scopes = snapshot.scopes(layout.table)
    if not any(scopes.get((name, collection)) for name in names):
        return
    where = {"dataset_type": names, "collection": collection}
    spans = snapshot.scan(layout.table, columns=("valid_begin", "valid_end"), where=where, within=_near(span))
    if not spans.filter(_meets(spans, span)).num_rows:
        return  # nothing at all is valid then: no need to compare data IDs
    found = snapshot.match(
        layout.table,
        layout.key_columns,
        key_table(layout, batch, collection),
        select=("valid_begin", "valid_end"),
        where=where,
    )
    found = found.filter(_meets(found, span))
    columns = (found.column(name).to_pylist() for name in ("_key", "valid_begin", "valid_end"))
    yield from zip(*columns, strict=True)


def _near(span: tuple[int, int]) -> dict[str, tuple[int | None, int | None]]:
    """Bounds of the ranges that have a time in common with one."""
    return {"valid_begin": (None, span[1] - 1), "valid_end": (span[0] + 1, None)}


def _meets(rows: pa.Table, span: tuple[int, int]) -> Any:
    """Which rows are valid at some time in a range."""
    import pyarrow.compute as pc

    begin, end = rows.column("valid_begin"), rows.column("valid_end")
    first = pc.max_element_wise(begin, span[0])
    return pc.less(first, pc.min_element_wise(end, span[1]))


def decertify(
    snapshot: Snapshot,
    collection: str,
    dataset_type: DatasetType,
    timespan: Timespan,
    data_ids: Iterable[DataCoordinate] | None,
) -> Change | None:
    """Build the removal of a range from validity.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    collection : `str`
        A CALIBRATION collection.
    dataset_type : `DatasetType`
        Which datasets.
    timespan : `Timespan`
        The range to take away; what remains of a validity range before or after
        stays certified.
    data_ids : iterable of `DataCoordinate`, optional
        Only these; all by default.

    Returns
    -------
    change : `Change` or `None`
        `None` if nothing is valid in the range.
    """
    change = Change()
    require_type(snapshot, change, collection, CollectionType.CALIBRATION, "decertify datasets from")
    _require_calibration(dataset_type, "decertify")
    span = _span(timespan, "decertify datasets")
    layout = dataset_layout(dataset_type.dimensions)
    change.touch(layout.table, (dataset_type.name, collection))
    rows = _certified(snapshot, layout, collection, dataset_type, data_ids, span)
    rows = rows.filter(_meets(rows, span))
    if not rows.num_rows:
        return None
    change.delete_table(layout.table, rows.select(["id", "collection", "valid_begin"]))
    for part in _remainders(rows, span):
        change.append_table(layout.table, part)
    return change


def _remainders(rows: pa.Table, span: tuple[int, int]) -> Iterator[pa.Table]:
    """What remains of validity ranges before and after a range that is taken away."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, bound, stays in (("valid_end", span[0], pc.less), ("valid_begin", span[1], pc.greater)):
        other = "valid_begin" if name == "valid_end" else "valid_end"
        part = rows.filter(stays(rows.column(other), bound))
        if part.num_rows:
            place = part.schema.get_field_index(name)
            yield part.set_column(place, part.schema.field(place), pa.repeat(bound, part.num_rows))


def _certified(
    snapshot: Snapshot,
    layout: DatasetLayout,
    collection: str,
    dataset_type: DatasetType,
    data_ids: Iterable[DataCoordinate] | None,
    span: tuple[int, int],
) -> pa.Table:
    """Rows of the memberships of a type that are valid in a range, or of some data IDs of it."""
    import pyarrow as pa

    schema = layout.schema.arrow
    if layout.table not in snapshot.schemas():
        return schema.empty_table()
    where = {"dataset_type": dataset_type.name, "collection": collection}
    if data_ids is None:
        return snapshot.scan(layout.table, where=where, within=_near(span))
    wanted = [d.required_values for d in dict.fromkeys(data_ids)]
    columns: dict[str, list[Any]] = {
        "dataset_type": [dataset_type.name] * len(wanted),
        "collection": [collection] * len(wanted),
    }
    columns |= {name: [values[i] for values in wanted] for i, name in enumerate(layout.dimensions)}
    fields = [schema.field(name) for name in layout.key_columns]
    keys = pa.table([pa.array(columns[f.name], f.type) for f in fields], schema=pa.schema(fields))
    found = snapshot.match(layout.table, layout.key_columns, keys, where=where)
    return found.select(schema.names).cast(schema) if found.num_rows else schema.empty_table()


def find_calibration(
    snapshot: Snapshot,
    layout: DatasetLayout,
    dataset_type: str,
    collection: str,
    values: tuple[Any, ...],
    timespan: Timespan | None,
) -> tuple[Any, ...] | None:
    """Find the calibration that is valid.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    layout : `DatasetLayout`
        The table.
    dataset_type, collection : `str`
        Names.
    values : `tuple`
        Values of the required dimensions.
    timespan : `Timespan` or `None`
        When; `None` for any time, which is answered if there is only one dataset.

    Returns
    -------
    row : `tuple` or `None`
        The membership row.

    Raises
    ------
    CalibrationLookupError
        Raised if several datasets answer.
    """
    if layout.table not in snapshot.schemas():
        return None
    rows = snapshot.find(layout.table, layout.key_columns, (dataset_type, collection, *values))
    begin, end, id_index = (layout.index(name) for name in ("valid_begin", "valid_end", "id"))
    if timespan is not None:
        span = timespan.nsec
        rows = [row for row in rows if overlap((row[begin], row[end]), span)]
    if len({row[id_index] for row in rows}) > 1:
        when = "any time: give one with timespan=" if timespan is None else str(timespan)
        raise CalibrationLookupError(
            f"{len(rows)} datasets of type {dataset_type!r} in {collection!r} answer for {when}",
            hint="give a timespan inside one validity range",
        )
    return rows[0] if rows else None
