# SPDX-License-Identifier: BSD-3-Clause
"""Datasets and memberships of a bundle, checked against a snapshot and added, column by column."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lakebutler.butler.exchange.import_bundle import Bundle, merge_plain
from lakebutler.collections.collection import CollectionType
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import CollectionTypeError, ConflictingDefinitionError
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry import collections, dataset_types
from lakebutler.registry.dimension_records import RecordCache, check_exist
from lakebutler.registry.schema import DatasetLayout
from lakebutler.registry.session import Build
from lakebutler.registry.validity import overlap
from lakebutler.timespan import Timespan

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["Present", "find_present", "merge"]

_SMALL = 200
"""Up to so many rows go into the log entry itself."""


@dataclass
class Present:
    """Which rows of a batch are there already.

    Attributes
    ----------
    same : `numpy.ndarray`
        For each row, whether the dataset is there under the same ID and data ID.
    stored : `numpy.ndarray`
        For each row, whether it has a file there, too.
    """

    same: np.ndarray[Any, Any]
    stored: np.ndarray[Any, Any]


def merge(
    bundle: Bundle,
    cache: RecordCache,
    universe: DimensionUniverse,
    *,
    skip_elements: Iterable[str] = (),
) -> Build:
    """Operation that adds a bundle, all or nothing.

    Parameters
    ----------
    bundle : `Bundle`
        What is to be added.
    cache : `RecordCache`
        Records known already.
    universe : `DimensionUniverse`
        The repository's dimensions.
    skip_elements : iterable of `str`, optional
        Elements whose records are left out.

    Returns
    -------
    build : callable
        What is there already, in the same form, is passed over.

    Raises
    ------
    ConflictingDefinitionError
        Raised by the operation if a data ID, an ID, or a validity range is taken.
    """
    plain = merge_plain(bundle, cache, universe, skip_elements)

    def build(snapshot: Snapshot) -> Change | None:
        whole = plain(snapshot)
        working = snapshot if whole is None else snapshot.apply(whole)
        change = Change()
        for layout, table in bundle.datasets.items():
            _add_datasets(working, cache, change, layout, table)
        for layout, table in bundle.members.items():
            _add_members(working, change, layout, table)
        if not change:
            return whole
        if whole is None:
            return change
        whole.extend(change)
        return whole

    return build


# ------------------------------------------------------------------------ datasets


def find_present(snapshot: Snapshot, layout: DatasetLayout, table: pa.Table) -> Present:
    """Find which datasets are there already.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    layout : `DatasetLayout`
        Their table.
    table : `pyarrow.Table`
        Rows of datasets.

    Returns
    -------
    present : `Present`
        Told for each row.

    Raises
    ------
    ConflictingDefinitionError
        Raised if an ID or a data ID is taken by another dataset.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    n = table.num_rows
    present = Present(np.zeros(n, bool), np.zeros(n, bool))
    live = layout.table in snapshot.schemas() and any(snapshot.scopes(layout.table).values())
    if not live:
        return present
    select = (*layout.key_columns, "run", "path", "uri")
    found = snapshot.match(layout.table, ("id",), table.select(["id"]), select=select)
    own = found.filter(pc.equal(found.column("collection"), found.column("run")))
    if own.num_rows:
        positions = own.column("_key").to_numpy()
        batch = table.select(list(layout.key_columns)).take(pa.array(positions))
        equal = np.ones(len(positions), bool)
        for name in layout.key_columns:
            equal &= pc.equal(own.column(name), batch.column(name)).to_numpy()
        if not equal.all():
            at = int(positions[~equal][0])
            row = own.filter(pa.array(~equal)).slice(0, 1).to_pylist()[0]
            raise _conflict(
                layout,
                table,
                at,
                f"its ID {_id(table, at)} is that of {row['dataset_type']} in {row['run']!r}",
            )
        present.same[positions] = True
        filed = pc.or_(pc.is_valid(own.column("path")), pc.is_valid(own.column("uri"))).to_numpy()
        present.stored[positions] = filed
    rest = np.flatnonzero(~present.same)
    if len(rest):
        _refuse_taken(snapshot, layout, table, rest)
    return present


def _refuse_taken(
    snapshot: Snapshot, layout: DatasetLayout, table: pa.Table, rest: np.ndarray[Any, Any]
) -> None:
    import pyarrow as pa

    scopes = snapshot.scopes(layout.table)
    kinds = {(row["dataset_type"], row["run"]) for row in _distinct(table, ("dataset_type", "run"))}
    held = {scope for scope in kinds if scopes.get(scope, 0) > 0}
    if not held:
        return
    where = {"dataset_type": sorted({t for t, _ in held}), "collection": sorted({c for _, c in held})}
    keys = table.select(list(layout.key_columns)).take(pa.array(rest))
    taken = snapshot.match(layout.table, layout.key_columns, keys, select=("id",), where=where)
    if taken.num_rows:
        at = int(rest[taken.column("_key")[0].as_py()])
        holder = taken.column("id")[0].as_py()
        raise _conflict(layout, table, at, f"its data ID is taken by dataset {holder}")


def _distinct(table: pa.Table, names: Iterable[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.select(list(names)).group_by(list(names)).aggregate([]).to_pylist()
    return rows


def _conflict(layout: DatasetLayout, table: pa.Table, at: int, why: str) -> ConflictingDefinitionError:
    row = table.slice(at, 1).to_pylist()[0]
    shown = ", ".join(f"{name}={row[name]!r}" for name in layout.dimensions)
    return ConflictingDefinitionError(
        f"cannot add {row['dataset_type']} ({shown}) to {row['collection']!r}: {why}",
        hint="nothing was added; remove what is there, or leave this out",
    )


def _id(table: pa.Table, at: int) -> uuid.UUID:
    value: uuid.UUID = table.column("id")[at].as_py()
    return value


def _add_datasets(
    snapshot: Snapshot, cache: RecordCache, change: Change, layout: DatasetLayout, table: pa.Table
) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    _check_scopes(snapshot, change, layout, table)
    _refuse_repeated(layout, table, layout.key_columns, "its data ID")
    _refuse_repeated(layout, table, ("id",), "its ID")
    _check_data_ids(snapshot, cache, layout, table)
    present = find_present(snapshot, layout, table)
    brings = pc.or_(pc.is_valid(table.column("path")), pc.is_valid(table.column("uri"))).to_numpy()
    waiting = np.flatnonzero(present.same & ~present.stored & brings)
    if len(waiting):
        chosen = table.take(pa.array(waiting))
        ids, names = chosen.column("id").to_pylist(), chosen.column("run").to_pylist()
        change.delete(layout.table, ("id", "collection"), zip(ids, names, strict=True))
    keep = ~present.same | (present.same & ~present.stored & brings)
    if keep.all():
        _append(change, layout, table)
    elif keep.any():
        _append(change, layout, table.filter(pa.array(keep)))


def _append(change: Change, layout: DatasetLayout, table: pa.Table) -> None:
    if table.num_rows > _SMALL:
        change.append_table(layout.table, table)
        return
    columns = [column.to_pylist() for column in table.columns]
    change.append_rows(layout.table, list(zip(*columns, strict=True)))


def _check_scopes(snapshot: Snapshot, change: Change, layout: DatasetLayout, table: pa.Table) -> None:
    """Refuse unknown types and runs; note that these checks matter."""
    for row in _distinct(table, ("dataset_type", "run")):
        name, run = row["dataset_type"], row["run"]
        dataset_types.require_registered(snapshot, name)
        kind = collections.collection_type(snapshot, run)
        if kind is not CollectionType.RUN:
            raise CollectionTypeError(
                f"cannot put datasets into collection {run!r}: it is of type {kind.name}, not RUN"
            )
        change.require(dataset_types.KIND, name)
        change.require(collections.KIND, run)
        change.touch(layout.table, (name, run))


def _refuse_repeated(layout: DatasetLayout, table: pa.Table, names: tuple[str, ...], what: str) -> None:
    import pyarrow as pa

    keys = table.select(list(names))
    if names == ("id",):
        keys = pa.table({"id": _raw_ids(table)})
    groups = keys.group_by(list(names))
    if groups.aggregate([]).num_rows == table.num_rows:
        return
    numbered = keys.append_column("_n", pa.array(range(keys.num_rows)))
    many = numbered.group_by(list(names)).aggregate([("_n", "count"), ("_n", "max")])
    for row in many.to_pylist():
        if row["_n_count"] > 1:
            raise _conflict(layout, table, row["_n_max"], f"{what} is given twice")


def _raw_ids(table: pa.Table) -> pa.ChunkedArray:
    import pyarrow as pa

    column = table.column("id")
    return pa.chunked_array([chunk.storage for chunk in column.chunks], pa.binary(16))


def _check_data_ids(snapshot: Snapshot, cache: RecordCache, layout: DatasetLayout, table: pa.Table) -> None:
    """Refuse data IDs without dimension records; each combination is looked up once."""
    universe = cache.universe
    for name in layout.dimensions:
        dimension = universe.dimensions[name]
        if dimension.has_own_table:
            names = tuple(dimension.required.names)
            found = table.select(list(names)).group_by(list(names)).aggregate([])
            columns = [found.column(n).to_pylist() for n in dimension.minimal_group.required]
            check_exist(snapshot, cache, dimension.minimal_group, list(zip(*columns, strict=True)))


# --------------------------------------------------------------------- memberships


def _add_members(snapshot: Snapshot, change: Change, layout: DatasetLayout, table: pa.Table) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds: dict[CollectionType, list[str]] = {}
    for row in _distinct(table, ("dataset_type", "collection")):
        name = row["collection"]
        kind = collections.collection_type(snapshot, name)
        if kind not in (CollectionType.TAGGED, CollectionType.CALIBRATION):
            raise CollectionTypeError(
                f"collection {name!r} is of type {kind.name}: nothing can be put into it"
            )
        kinds.setdefault(kind, []).append(name)
        change.require(collections.KIND, name)
        change.touch(layout.table, (row["dataset_type"], name))
    for kind, names in kinds.items():
        part = table
        if len(kinds) > 1:
            part = table.filter(pc.is_in(table.column("collection"), pa.array(sorted(set(names)))))
        fresh = _new_tags if kind is CollectionType.TAGGED else _new_ranges
        rows = fresh(snapshot, layout, part, sorted(set(names)))
        if rows.num_rows:
            _append(change, layout, rows)


def _there(
    snapshot: Snapshot, layout: DatasetLayout, table: pa.Table, names: list[str], select: tuple[str, ...]
) -> Mapping[str, list[Any]]:
    if layout.table not in snapshot.schemas():
        return {name: [] for name in ("_key", *select)}
    if not any(rows and scope[1] in names for scope, rows in snapshot.scopes(layout.table).items()):
        return {name: [] for name in ("_key", *select)}
    keys = table.select(list(layout.key_columns))
    found = snapshot.match(layout.table, layout.key_columns, keys, select=select, where={"collection": names})
    return {name: found.column(name).to_pylist() for name in ("_key", *select)}


def _new_tags(snapshot: Snapshot, layout: DatasetLayout, table: pa.Table, names: list[str]) -> pa.Table:
    import pyarrow as pa

    exact = (*layout.key_columns, "id")
    seen = table.select(list(layout.key_columns)).append_column("id", _raw_ids(table))
    numbered = seen.append_column("_n", pa.array(range(seen.num_rows)))
    once = numbered.group_by(list(exact)).aggregate([("_n", "min")]).column("_n_min")
    if len(once) < table.num_rows:
        table = table.take(once)
    _refuse_repeated(layout, table, layout.key_columns, "another dataset with its data ID is to be there")
    there = _there(snapshot, layout, table, names, ("id",))
    keep = [True] * table.num_rows
    for position, holder in zip(there["_key"], there["id"], strict=True):
        if holder != _id(table, position):
            raise _conflict(layout, table, position, f"its data ID is taken by dataset {holder}")
        keep[position] = False
    return table if all(keep) else table.filter(pa.array(keep))


def _new_ranges(snapshot: Snapshot, layout: DatasetLayout, table: pa.Table, names: list[str]) -> pa.Table:
    """Validity ranges that are not there yet, and overlap none that is."""
    import pyarrow as pa

    columns = [table.column(name).to_pylist() for name in layout.key_columns]
    keys = list(zip(*columns, strict=True))
    ids = _raw_ids(table).to_pylist()
    begins, ends = table.column("valid_begin").to_pylist(), table.column("valid_end").to_pylist()
    by_key: dict[tuple[Any, ...], dict[tuple[int, int, bytes], int]] = {}
    there = _there(snapshot, layout, table, names, ("valid_begin", "valid_end", "id"))
    for position, begin, end, holder in zip(*there.values(), strict=True):
        by_key.setdefault(keys[position], {})[begin, end, holder.bytes] = -1
    keep = []
    for i, (key, begin, end, one) in enumerate(zip(keys, begins, ends, ids, strict=True)):
        ranges = by_key.setdefault(key, {})
        fresh = (begin, end, one) not in ranges
        keep.append(fresh)
        if fresh:
            ranges[begin, end, one] = i
    for ranges in by_key.values():
        _refuse_overlaps(layout, table, ranges)
    return table if all(keep) else table.filter(pa.array(keep))


def _refuse_overlaps(
    layout: DatasetLayout, table: pa.Table, ranges: Mapping[tuple[int, int, bytes], int]
) -> None:
    if len(ranges) < 2:
        return
    ordered = sorted(ranges)
    for before, after in pairwise(ordered):
        at = max(ranges[before], ranges[after])
        if at >= 0 and overlap(before[:2], after[:2]):
            other = before if at == ranges[after] else after
            span = Timespan.from_nsec(*other[:2])
            raise _conflict(layout, table, at, f"another dataset, or itself, is valid there for {span}")
