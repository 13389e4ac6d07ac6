# SPDX-License-Identifier: BSD-3-Clause
"""Datasets: added in bulk, found one by one, removed."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.errors import CollectionTypeError, ConflictingDefinitionError
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry import collections, dataset_types
from lakebutler.registry.dataset_rows import (
    FileRow,
    RefColumns,
    batch_rows,
    batch_table,
    file_of,
    key_table,
    uuid_array,
    uuid_bytes,
)
from lakebutler.registry.dedupe import Verdict, decide, repeated
from lakebutler.registry.schema import DatasetLayout, dataset_layout

__all__ = [
    "SMALL",
    "check_free",
    "compare",
    "conflict",
    "find_by_id",
    "find_row",
    "group_refs",
    "insert_datasets",
    "insert_one",
    "unstored",
]

SMALL = 200
"""Batches up to this size are looked up key by key, larger ones in bulk."""


def group_refs(refs: Sequence[DatasetRef]) -> dict[DatasetLayout, Sequence[int]]:
    """Sort datasets by the table they live in.

    Parameters
    ----------
    refs : sequence of `DatasetRef`
        The datasets.

    Returns
    -------
    groups : `dict` [`DatasetLayout`, sequence of `int`]
        Positions of the datasets of each table.
    """
    kinds = map(attrgetter("datasetType"), refs)
    if len(set(map(id, kinds))) == 1:
        return {dataset_layout(refs[0].datasetType.dimensions): range(len(refs))}
    result: dict[DatasetLayout, list[int]] = {}
    layouts: dict[int, list[int]] = {}
    for i, ref in enumerate(refs):
        dataset_type = ref.datasetType
        positions = layouts.get(id(dataset_type))
        if positions is None:
            positions = result.setdefault(dataset_layout(dataset_type.dimensions), [])
            layouts[id(dataset_type)] = positions
        positions.append(i)
    return dict(result)


def find_row(
    snapshot: Snapshot,
    layout: DatasetLayout,
    dataset_type: str,
    collection: str,
    values: tuple[Any, ...],
    width: int | None = None,
) -> tuple[Any, ...] | None:
    """Find the row of a data ID in a RUN or TAGGED collection.

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
    width : `int`, optional
        Number of leading columns to return; all by default.

    Returns
    -------
    row : `tuple` or `None`
        The row.
    """
    if layout.table not in snapshot.schemas():
        return None
    rows = snapshot.find(layout.table, layout.key_columns, (dataset_type, collection, *values), width)
    return rows[0] if rows else None


def find_by_id(snapshot: Snapshot, dataset_id: uuid.UUID) -> tuple[str, tuple[Any, ...]] | None:
    """Find the row of a dataset by its ID.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    dataset_id : `uuid.UUID`
        The ID.

    Returns
    -------
    found : `tuple` [`str`, `tuple`] or `None`
        Name of the table and the full row of the dataset itself (no membership).
    """
    for table in collections.dataset_tables(snapshot):
        columns = snapshot.schemas()[table].columns
        run = next(i for i, column in enumerate(columns) if column.name == "run")
        for row in snapshot.find(table, ("id",), (dataset_id,)):
            if row[1] == row[run]:
                return table, row
    return None


def compare(snapshot: Snapshot, layout: DatasetLayout, refs: Sequence[DatasetRef]) -> Verdict:
    """Decide which datasets of a batch are new.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to compare with.
    layout : `DatasetLayout`
        The table the batch belongs in.
    refs : sequence of `DatasetRef`
        The batch.

    Returns
    -------
    verdict : `Verdict`
        What is new, the same, or in conflict.
    """
    ids = [number.to_bytes(16, "big") for number in map(attrgetter("id.int"), refs)]
    if layout.table not in snapshot.schemas():
        return decide(ids, {}, {})
    if len(refs) <= SMALL:
        return _compare_few(snapshot, layout, refs, ids)
    return _compare_many(snapshot, layout, refs, ids)


def _place(layout: DatasetLayout, row: Sequence[Any]) -> str:
    values = ", ".join(f"{n}={v!r}" for n, v in zip(layout.dimensions, row[2:], strict=False))
    return f"{row[0]} {{{values}}} in {row[layout.index('run')]!r}"


def _compare_few(
    snapshot: Snapshot, layout: DatasetLayout, refs: Sequence[DatasetRef], ids: list[bytes]
) -> Verdict:
    id_index = layout.index("id")
    by_key: dict[int, bytes] = {}
    by_id: dict[int, str] = {}
    for i, ref in enumerate(refs):
        row = find_row(snapshot, layout, ref.datasetType.name, ref.run, ref.dataId.required_values)
        if row is not None:
            by_key[i] = row[id_index].bytes
            continue
        rows = snapshot.find(layout.table, ("id",), (ref.id,))
        if rows:
            by_id[i] = _place(layout, rows[0])
    return decide(ids, by_key, by_id)


def _compare_many(
    snapshot: Snapshot, layout: DatasetLayout, refs: Sequence[DatasetRef], ids: list[bytes]
) -> Verdict:
    """Look for all data IDs at once, then for the IDs of those whose data ID is free."""
    import pyarrow as pa

    live = {scope for scope, rows in snapshot.scopes(layout.table).items() if rows > 0}
    if not live:
        return decide(ids, {}, {})
    by_key: dict[int, bytes] = {}
    batch = RefColumns(layout, refs)
    scopes = batch.scopes
    if scopes & live:
        where = {"dataset_type": sorted({s[0] for s in scopes}), "collection": sorted({s[1] for s in scopes})}
        keys = key_table(layout, batch)
        taken = snapshot.match(layout.table, layout.key_columns, keys, select=("id",), where=where)
        by_key = dict(zip(taken.column("_key").to_pylist(), uuid_bytes(taken.column("id")), strict=True))
    free = [i for i in range(len(refs)) if i not in by_key] if by_key else range(len(refs))
    if not free:
        return decide(ids, by_key, {})
    wanted = pa.table({"id": uuid_array([refs[i].id for i in free])})
    known = snapshot.match(layout.table, ("id",), wanted, select=()).column("_key").to_pylist()
    by_id: dict[int, str] = {}
    if known:
        rows = snapshot.match(layout.table, ("id",), wanted.take(known), select=("dataset_type", "run"))
        for name, run, key in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            by_id.setdefault(free[known[key]], f"{name} in {run!r}")
    return decide(ids, by_key, by_id)


def conflict(refs: Sequence[DatasetRef], positions: Sequence[int], reason: str) -> ConflictingDefinitionError:
    """Make the error for datasets that cannot be added.

    Parameters
    ----------
    refs : sequence of `DatasetRef`
        The batch.
    positions : sequence of `int`
        Positions in it; at least one.
    reason : `str`
        What is in the way of the first of them.

    Returns
    -------
    error : `ConflictingDefinitionError`
        To be raised.
    """
    ref = refs[positions[0]]
    more = f" (and {len(positions) - 1} more)" if len(positions) > 1 else ""
    return ConflictingDefinitionError(
        f"cannot add {ref.datasetType.name} {ref.dataId} to run {ref.run!r}: {reason}{more}",
        hint="write to another run, or remove what is there first",
    )


def insert_datasets(
    snapshot: Snapshot,
    refs: Sequence[DatasetRef],
    files: Sequence[FileRow] | None,
    when: datetime.datetime,
    *,
    skip_existing: bool = False,
    create_runs: bool = False,
    table_cache: dict[str, Any] | None = None,
    on_same: Callable[[list[DatasetRef]], None] | None = None,
) -> Change | None:
    """Build the addition of datasets.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    refs : sequence of `DatasetRef`
        The datasets.
    files : sequence of `FileRow`, optional
        Their files, one each.
    when : `datetime.datetime`
        Time of ingest.
    skip_existing : `bool`, optional
        Whether to leave out datasets that are there already under the same ID.
    create_runs : `bool`, optional
        Whether to register runs that do not exist.
    table_cache : `dict`, optional
        Keeps large tables between calls for the same batch.
    on_same : callable, optional
        Called with the datasets that were left out.

    Returns
    -------
    change : `Change` or `None`
        `None` if nothing is new.

    Raises
    ------
    ConflictingDefinitionError
        Raised if a data ID is taken in its run, or occurs twice in the batch.
    MissingCollectionError
        Raised if a run does not exist and may not be created.
    """
    change = Change()
    _check_runs(snapshot, change, refs, create_runs)
    anything = False
    for layout, positions in group_refs(refs).items():
        part = refs if len(positions) == len(refs) else [refs[i] for i in positions]
        part_files = files if files is None or len(positions) == len(refs) else [files[i] for i in positions]
        _check_batch(part)
        verdict = compare(snapshot, layout, part)
        if verdict.conflicting:
            raise conflict(part, verdict.conflicting, verdict.reason(verdict.conflicting[0]))
        waiting = unstored(snapshot, layout, part, verdict.same) if part_files is not None else {}
        if waiting and part_files is not None:
            anything = True
            _store(change, layout, waiting, part_files)
            verdict = Verdict(verdict.new, [i for i in verdict.same if i not in waiting], [])
        if verdict.same and not skip_existing:
            raise conflict(part, verdict.same, "it is there already")
        if verdict.same and on_same is not None:
            on_same([part[i] for i in verdict.same])
        if not verdict.new:
            continue
        anything = True
        if len(verdict.new) < len(part):
            part = [part[i] for i in verdict.new]
            part_files = None if part_files is None else [part_files[i] for i in verdict.new]
        _append(change, layout, part, part_files, when, table_cache)
    return change if anything else None


def _looked_at(ref: DatasetRef) -> tuple[str, ...]:
    """Scope of the rows that stand in the way of a dataset.

    An ID that follows from the data ID may be taken in any run, a random one nowhere.
    """
    name = ref.datasetType.name
    return (name, ref.run) if ref.id.version == 7 else (name,)


def _append(
    change: Change,
    layout: DatasetLayout,
    refs: Sequence[DatasetRef],
    files: Sequence[FileRow] | None,
    when: datetime.datetime,
    cache: dict[str, Any] | None,
) -> None:
    for ref in {(ref.datasetType.name, ref.run): ref for ref in refs}.values():
        change.touch(layout.table, _looked_at(ref))
    if len(refs) <= SMALL:
        rows = batch_rows(refs, files if files is not None else [_NO_FILE] * len(refs), when)
        change.append_rows(layout.table, rows)
        return
    key = f"{layout.table}:{len(refs)}:{refs[0].id}:{refs[-1].id}"
    table = cache.get(key) if cache is not None else None
    if table is None:
        table = batch_table(layout, refs, files, when)
        if cache is not None:
            cache[key] = table
    change.append_table(layout.table, table)


_NO_FILE = FileRow(None, None, None, None, None, None)


def _check_runs(snapshot: Snapshot, change: Change, refs: Sequence[DatasetRef], create: bool) -> None:
    for run in {ref.run for ref in refs}:
        change.require(collections.KIND, run)
        if create and run not in snapshot.state(collections.KIND):
            registered = collections.register_collection(snapshot, run, CollectionType.RUN)
            assert registered is not None
            change.extend(registered)
        else:
            _check_run(snapshot, run)
    for name in {ref.datasetType.name for ref in refs}:
        change.require(dataset_types.KIND, name)
        dataset_types.require_registered(snapshot, name)


def _check_run(snapshot: Snapshot, run: str) -> None:
    kind = collections.collection_type(snapshot, run)
    if kind is not CollectionType.RUN:
        raise CollectionTypeError(
            f"cannot put datasets into collection {run!r}: it is of type {kind.name}, not RUN",
            hint="datasets are born in a RUN; associate them afterwards",
        )


def _check_batch(refs: Sequence[DatasetRef]) -> None:
    if len(refs) == 1:
        return
    keys = {ref.dataId.required_values for ref in refs}
    if len(keys) == len(refs) and len({ref.id.int for ref in refs}) == len(refs):
        return  # the common case, decided without a tuple for each
    position = repeated((ref.datasetType.name, ref.run, ref.dataId.required_values) for ref in refs)
    what = "its data ID"
    if position is None:
        position = repeated(ref.id for ref in refs)
        what = "its ID"
    if position is not None:
        ref = refs[position]
        raise ConflictingDefinitionError(
            f"{ref.datasetType.name} {ref.dataId} occurs twice in what is to be added to {ref.run!r}: "
            f"{what} is repeated",
            hint="give each data ID once",
        )


def insert_one(
    snapshot: Snapshot, ref: DatasetRef, file: FileRow, when: datetime.datetime, *, new_id: bool = False
) -> Change:
    """Build the addition of one dataset; what `insert_datasets` does, sooner.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    ref : `DatasetRef`
        The dataset.
    file : `FileRow`
        Its file.
    when : `datetime.datetime`
        Time of ingest.
    new_id : `bool`, optional
        The ID was made at random for this dataset: no other can have it, none is searched.

    Returns
    -------
    change : `Change`
        The addition.

    Raises
    ------
    ConflictingDefinitionError
        Raised if the data ID is taken in the run, or the ID is.
    MissingCollectionError
        Raised if the run does not exist.
    """
    layout = check_free(snapshot, ref)
    rows = [] if new_id else snapshot.find(layout.table, ("id",), (ref.id,))
    change = Change()
    change.require(collections.KIND, ref.run)
    change.require(dataset_types.KIND, ref.datasetType.name)
    change.touch(layout.table, (ref.datasetType.name, ref.run) if new_id else _looked_at(ref))
    if rows:
        waiting = unstored(snapshot, layout, (ref,), (0,))
        if not waiting:
            raise conflict([ref], (0,), f"its ID {ref.id} is that of {_place(layout, rows[0])}")
        _store(change, layout, waiting, (file,))
    else:
        change.append_rows(layout.table, batch_rows((ref,), (file,), when))
    return change


def unstored(
    snapshot: Snapshot, layout: DatasetLayout, refs: Sequence[DatasetRef], positions: Sequence[int]
) -> dict[int, tuple[Any, ...]]:
    """Find which datasets are registered but have no file.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    layout : `DatasetLayout`
        Their table.
    refs : sequence of `DatasetRef`
        A batch.
    positions : sequence of `int`
        Those of it that are registered.

    Returns
    -------
    rows : `dict` [`int`, `tuple`]
        The rows of those without a file, by position.
    """
    found: dict[int, tuple[Any, ...]] = {}
    if len(positions) > SMALL:
        return _unstored_of_many(snapshot, layout, refs, positions)
    for i in positions:
        ref = refs[i]
        row = find_row(snapshot, layout, ref.datasetType.name, ref.run, ref.dataId.required_values)
        if row is not None and row[layout.index("id")] == ref.id and file_of(layout, row) is None:
            found[i] = row
    return found


def _unstored_of_many(
    snapshot: Snapshot, layout: DatasetLayout, refs: Sequence[DatasetRef], positions: Sequence[int]
) -> dict[int, tuple[Any, ...]]:
    import pyarrow as pa

    batch = RefColumns(layout, [refs[i] for i in positions])
    where: dict[str, Any] = {
        "dataset_type": sorted({name for name, _ in batch.scopes}),
        "collection": sorted({run for _, run in batch.scopes}),
        "path": None,
        "uri": None,
    }
    keys = pa.table({"id": batch.ids})
    empty = snapshot.match(layout.table, ("id",), keys, select=(), where=where).column("_key")
    if not len(empty):
        return {}
    rows = snapshot.match(layout.table, ("id",), keys.take(empty), where=where)
    columns = [column.to_pylist() for column in rows.columns]
    numbers = [positions[i] for i in empty.to_pylist()]
    return {numbers[row[-1]]: row[:-1] for row in zip(*columns, strict=True)}


def _store(
    change: Change, layout: DatasetLayout, rows: Mapping[int, tuple[Any, ...]], files: Sequence[FileRow]
) -> None:
    """Give datasets that were registered without one their files."""
    start, id_index = layout.index("path"), layout.index("id")
    for row in rows.values():
        change.touch(layout.table, (row[0], row[1]))
    change.delete(layout.table, ("id", "collection"), [(row[id_index], row[1]) for row in rows.values()])
    change.append_rows(
        layout.table,
        [(*row[:start], *files[i], *row[start + len(files[i]) :]) for i, row in rows.items()],
    )


def check_free(snapshot: Snapshot, ref: DatasetRef) -> DatasetLayout:
    """Refuse a dataset whose run does not exist, or has its data ID already with a file.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    ref : `DatasetRef`
        The dataset.

    Returns
    -------
    layout : `DatasetLayout`
        The table it belongs in.

    Raises
    ------
    ConflictingDefinitionError
        Raised if the data ID is taken.
    MissingCollectionError
        Raised if the run does not exist.
    """
    _check_run(snapshot, ref.run)
    dataset_types.require_registered(snapshot, ref.datasetType.name)
    layout = dataset_layout(ref.datasetType.dimensions)
    row = find_row(snapshot, layout, ref.datasetType.name, ref.run, ref.dataId.required_values)
    if row is not None and not (row[layout.index("id")] == ref.id and file_of(layout, row) is None):
        holder = row[layout.index("id")]
        same = "it is there already" if holder == ref.id else f"its data ID is taken by dataset {holder}"
        raise conflict([ref], (0,), same)
    return layout
