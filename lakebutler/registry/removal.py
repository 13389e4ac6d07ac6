# SPDX-License-Identifier: BSD-3-Clause
"""Datasets and runs removed, datasets unstored: one change each, whatever their number.

Each function builds a change and says which files the datasets had.  The files go
only after the commit, and only those that nothing refers to any more: see
`needed_paths`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.stored_parts import PARTS, paths_of
from lakebutler.errors import CollectionTypeError, OrphanedRecordError
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry import collections
from lakebutler.registry.dataset_rows import FILE_COLUMNS, uuid_array
from lakebutler.registry.datasets import group_refs
from lakebutler.registry.schema import DatasetLayout

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MEMBER", "needed_paths", "remove_datasets", "remove_runs", "unstore_datasets"]

MEMBER = "#zip-path="
"""What sets the name of a member off from the path of a zip file."""


def _matched(snapshot: Snapshot, layout: DatasetLayout, refs: Sequence[DatasetRef], select: Any) -> pa.Table:
    import pyarrow as pa

    keys = pa.table({"id": uuid_array([ref.id for ref in refs])})
    return snapshot.match(layout.table, ("id",), keys, select=select)


def _note_paths(rows: pa.Table, doomed: list[str]) -> None:
    doomed += paths_of(rows.column("path").drop_null().to_pylist(), strict=False)


def _touch(change: Change, table: str, rows: pa.Table) -> None:
    """Note the scopes of rows that the change looked at."""
    pairs = rows.select(["dataset_type", "collection"]).group_by(["dataset_type", "collection"]).aggregate([])
    for scope in zip(
        pairs.column("dataset_type").to_pylist(), pairs.column("collection").to_pylist(), strict=True
    ):
        change.touch(table, scope)


def remove_datasets(snapshot: Snapshot, refs: Sequence[DatasetRef], doomed: list[str]) -> Change | None:
    """Build the removal of datasets and of all their memberships.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    refs : sequence of `DatasetRef`
        The datasets; those that are not there are passed over.
    doomed : `list` [`str`]
        The paths of their files are added to it.

    Returns
    -------
    change : `Change` or `None`
        `None` if there is nothing to remove.
    """
    import pyarrow as pa

    change = Change()
    for layout, positions in group_refs(refs).items() if refs else ():
        if layout.table not in snapshot.schemas():
            continue
        part = [refs[i] for i in positions]
        rows = _matched(snapshot, layout, part, ("id", "path", "dataset_type", "collection"))
        if not rows.num_rows:
            continue
        _note_paths(rows, doomed)
        _touch(change, layout.table, rows)
        found = rows.column("_key").unique().to_pylist()
        change.delete_table(layout.table, pa.table({"id": uuid_array([part[i].id for i in found])}))
    return change or None


def unstore_datasets(snapshot: Snapshot, refs: Sequence[DatasetRef], doomed: list[str]) -> Change | None:
    """Build a change that forgets the files of datasets, which stay registered.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    refs : sequence of `DatasetRef`
        The datasets; those without a file are passed over.
    doomed : `list` [`str`]
        The paths of their files are added to it.

    Returns
    -------
    change : `Change` or `None`
        `None` if none has a file.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    change = Change()
    for layout, positions in group_refs(refs).items() if refs else ():
        if layout.table not in snapshot.schemas():
            continue
        part = [refs[i] for i in positions]
        schema = layout.schema.arrow
        rows = _matched(snapshot, layout, part, tuple(schema.names))
        stored = pc.or_(pc.is_valid(rows.column("path")), pc.is_valid(rows.column("uri")))
        rows = rows.filter(pc.and_(pc.equal(rows.column("collection"), rows.column("run")), stored))
        if not rows.num_rows:
            continue
        _note_paths(rows, doomed)
        _touch(change, layout.table, rows)
        runs = rows.column("run").to_pylist()
        keys = [(part[i].id, run) for i, run in zip(rows.column("_key").to_pylist(), runs, strict=True)]
        change.delete(layout.table, ("id", "collection"), keys)
        empty = {name: pa.nulls(rows.num_rows, schema.field(name).type) for name in FILE_COLUMNS}
        columns = [empty.get(name) for name in schema.names]
        filled = [
            rows.column(name) if column is None else column
            for name, column in zip(schema.names, columns, strict=True)
        ]
        change.append_table(layout.table, pa.table(filled, schema=schema))
    return change or None


def remove_runs(
    snapshot: Snapshot, names: Iterable[str], doomed: list[str], *, unlink_from_chains: bool = False
) -> Change | None:
    """Build the removal of runs with their datasets and all memberships of these.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    names : iterable of `str`
        The runs.
    doomed : `list` [`str`]
        The paths of their files are added to it.
    unlink_from_chains : `bool`, optional
        Whether to take them out of the chains they are in; otherwise being in one
        is an error.

    Returns
    -------
    change : `Change` or `None`
        `None` for no runs.

    Raises
    ------
    CollectionTypeError
        Raised if one is no RUN.
    OrphanedRecordError
        Raised if one is in a chain.
    """
    runs = list(dict.fromkeys(names))
    if not runs:
        return None
    change = Change()
    change.exclusive = True  # datasets of any type may be added to them meanwhile
    for run in runs:
        kind = collections.collection_type(snapshot, run)
        if kind is not CollectionType.RUN:
            raise CollectionTypeError(
                f"collection {run!r} is of type {kind.name}, not RUN",
                hint="collections.x_remove removes other collections",
            )
        change.require(collections.KIND, run)
    _unlink(snapshot, change, runs, allowed=unlink_from_chains)
    for table in collections.dataset_tables(snapshot):
        _clear(snapshot, change, table, runs, doomed)
    for run in runs:
        change.set(collections.KIND, run, None)
    return change


def _unlink(snapshot: Snapshot, change: Change, names: Sequence[str], *, allowed: bool) -> None:
    state = snapshot.state(collections.KIND)
    gone = set(names)
    for parent, value in state.items():
        inside = gone & set(value.get("children", ()))
        if not inside:
            continue
        if not allowed:
            raise OrphanedRecordError(
                f"cannot remove collection {min(inside)!r}: it is in the chain {parent!r}",
                hint="take it out of the chain first, or pass unlink_from_chains=True",
            )
        change.require(collections.KIND, parent)
        children = [child for child in value["children"] if child not in gone]
        change.set(collections.KIND, parent, {**value, "children": children})


def _clear(snapshot: Snapshot, change: Change, table: str, runs: Sequence[str], doomed: list[str]) -> None:
    """Remove what one table has of some runs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    live = [scope for scope, rows in snapshot.scopes(table).items() if rows > 0]
    own = [scope for scope in live if scope[1] in set(runs)]
    if not own:
        return
    state = snapshot.state(collections.KIND)
    for scope in own:
        change.touch(table, scope)
    rows = snapshot.scan(table, columns=("path",), where={"collection": sorted({s[1] for s in own})})
    _note_paths(rows, doomed)
    change.delete(table, ("collection",), [(run,) for run in sorted({s[1] for s in own})])
    types = {scope[0] for scope in own}
    others = [s for s in live if s[0] in types and state.get(s[1], {}).get("type") != CollectionType.RUN.name]
    if not others:
        return
    where = {"dataset_type": sorted({s[0] for s in others}), "collection": sorted({s[1] for s in others})}
    held = snapshot.scan(table, columns=("dataset_type", "collection", "run", "id"), where=where)
    held = held.filter(pc.is_in(held.column("run"), pa.array(list(runs))))
    if held.num_rows:
        _touch(change, table, held)
        change.delete_table(table, held.select(["id", "collection"]))


def needed_paths(snapshot: Snapshot, paths: Sequence[str]) -> set[str]:
    """Find which files a version of the repository refers to.

    Parameters
    ----------
    snapshot : `Snapshot`
        The version.
    paths : sequence of `str`
        Files, relative to the root; a member of a zip file stands for the file.

    Returns
    -------
    needed : `set` [`str`]
        The files, without the names of members.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    asked = {path.partition(MEMBER)[0] for path in paths}
    wanted = pa.array(sorted(asked), pa.string())
    needed: set[str] = set()
    for table in collections.dataset_tables(snapshot):
        column = snapshot.scan(table, columns=("path",)).column("path").drop_null()
        if pc.any(pc.match_substring(column, MEMBER)).as_py():
            column = pc.replace_substring_regex(column, f"{MEMBER}.*", "")
        needed.update(column.filter(pc.is_in(column, wanted)).to_pylist())
        in_parts = column.filter(pc.starts_with(column, PARTS))
        needed.update(path for path in paths_of(in_parts.to_pylist(), strict=False) if path in asked)
    return needed
