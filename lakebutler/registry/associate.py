# SPDX-License-Identifier: BSD-3-Clause
"""TAGGED collections: put datasets in, take them out.

As the deck planned: a dataset with the same data ID that is in the tag already
is replaced, so no exception-driven conflict handling is needed.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.errors import CollectionTypeError, ConflictingDefinitionError, DatasetNotFoundError
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry import collections
from lakebutler.registry.dataset_rows import NO_FILE, RefColumns, batch_rows, batch_table, key_table
from lakebutler.registry.datasets import SMALL, find_row, group_refs

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["associate", "check_present", "disassociate", "require_type"]


def require_type(snapshot: Snapshot, change: Change, name: str, kind: CollectionType, verb: str) -> None:
    """Refuse a collection of the wrong type, and note that the check matters.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    change : `Change`
        What is being built.
    name : `str`
        The collection.
    kind : `CollectionType`
        The type it must have.
    verb : `str`
        The operation, for the message.

    Raises
    ------
    CollectionTypeError
        Raised if the collection has another type.
    """
    found = collections.collection_type(snapshot, name)
    if found is not kind:
        raise CollectionTypeError(
            f"cannot {verb} collection {name!r}: it is of type {found.name}, not {kind.name}",
            hint=f"register a {kind.name} collection for it",
        )
    change.require(collections.KIND, name)


def check_present(snapshot: Snapshot, batch: RefColumns) -> None:
    """Refuse datasets that the registry does not hold.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    batch : `RefColumns`
        The datasets.

    Raises
    ------
    DatasetNotFoundError
        Raised with the first one that is missing.
    """
    layout, refs = batch.layout, batch.refs
    missing: DatasetRef | None = None
    if layout.table not in snapshot.schemas():
        missing = refs[0]
    elif len(refs) <= SMALL:
        id_index = layout.index("id")
        for ref in refs:
            row = find_row(snapshot, layout, ref.datasetType.name, ref.run, ref.dataId.required_values)
            if row is None or row[id_index] != ref.id:
                missing = ref
                break
    else:
        import pyarrow as pa
        import pyarrow.compute as pc

        where = {"dataset_type": sorted(set(batch.names)), "collection": sorted(set(batch.runs))}
        found_ids = snapshot.match(layout.table, ("id",), pa.table({"id": batch.ids}), select=(), where=where)
        places = found_ids.column("_key")
        if pc.count_distinct(places).as_py() < len(refs):
            found = set(places.to_pylist())
            missing = next(ref for i, ref in enumerate(refs) if i not in found)
    if missing is not None:
        raise DatasetNotFoundError(
            f"{missing.datasetType.name} {missing.dataId} (ID {missing.id}) is not in run {missing.run!r}",
            hint="only datasets of this repository can be in its collections",
        )


def associate(
    snapshot: Snapshot,
    collection: str,
    refs: Sequence[DatasetRef],
    when: datetime.datetime,
    *,
    replace: bool = True,
) -> Change | None:
    """Build the addition of datasets to a tag.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    collection : `str`
        A TAGGED collection.
    refs : sequence of `DatasetRef`
        The datasets.
    when : `datetime.datetime`
        Time of the change.
    replace : `bool`, optional
        Whether another dataset with the same data ID in the tag gives way;
        otherwise that is an error.

    Returns
    -------
    change : `Change` or `None`
        `None` if all of them are in the tag already.

    Raises
    ------
    ConflictingDefinitionError
        Raised if ``replace`` is false and a data ID is taken, or if two of the
        given datasets have the same type and data ID.
    """
    change = Change()
    require_type(snapshot, change, collection, CollectionType.TAGGED, "associate datasets into")
    anything = False
    for layout, positions in group_refs(refs).items():
        batch = _unique(RefColumns(layout, [refs[i] for i in positions]))
        part = batch.refs
        check_present(snapshot, batch)
        for scope in batch.scopes:
            change.touch(layout.table, scope)
        holders = _holders(snapshot, batch, collection)
        fresh = (
            batch.take([i for i, ref in enumerate(part) if holders.get(i) != ref.id]) if holders else batch
        )
        taken = [part[i] for i in sorted(holders) if holders[i] != part[i].id]
        if taken and not replace:
            raise ConflictingDefinitionError(
                f"{taken[0].datasetType.name} {taken[0].dataId} is in {collection!r} already, "
                "as another dataset",
                hint="allow it to be replaced, or disassociate it first",
            )
        if not fresh.refs:
            continue
        anything = True
        for name in set(fresh.names):
            change.touch(layout.table, (name, collection))
        if taken:
            keys = [(ref.datasetType.name, collection, *ref.dataId.required_values) for ref in taken]
            change.delete(layout.table, layout.key_columns, keys)
        if len(fresh.refs) <= SMALL:
            rows = batch_rows(fresh.refs, [NO_FILE] * len(fresh.refs), when, collection=collection)
            change.append_rows(layout.table, rows)
        else:
            change.append_table(layout.table, batch_table(layout, fresh, None, when, collection=collection))
    return change if anything else None


def _unique(batch: RefColumns) -> RefColumns:
    refs = batch.refs
    if len(set(batch.values)) == len(refs):
        return batch  # the common case, decided without a tuple for each
    chosen: dict[tuple[object, ...], DatasetRef] = {}
    for ref in refs:
        key = (ref.datasetType.name, ref.dataId.required_values)
        other = chosen.setdefault(key, ref)
        if other.id != ref.id:
            raise ConflictingDefinitionError(
                f"two datasets {ref.datasetType.name} {ref.dataId} (runs {other.run!r} and {ref.run!r}) "
                "cannot be in one tag",
                hint="give each data ID once",
            )
    return RefColumns(batch.layout, list(chosen.values()))


def _holders(snapshot: Snapshot, batch: RefColumns, collection: str) -> dict[int, object]:
    layout, refs = batch.layout, batch.refs
    id_index = layout.index("id")
    if len(refs) <= SMALL:
        few: dict[int, object] = {}
        for i, ref in enumerate(refs):
            row = find_row(snapshot, layout, ref.datasetType.name, collection, ref.dataId.required_values)
            if row is not None:
                few[i] = row[id_index]
        return few
    names = sorted(set(batch.names))
    if not any(
        rows and s[1] == collection and s[0] in names for s, rows in snapshot.scopes(layout.table).items()
    ):
        return {}
    found = snapshot.match(
        layout.table,
        layout.key_columns,
        key_table(layout, batch, collection),
        select=("id",),
        where={"dataset_type": names, "collection": collection},
    )
    return dict(zip(found.column("_key").to_pylist(), found.column("id").to_pylist(), strict=True))


def disassociate(snapshot: Snapshot, collection: str, refs: Sequence[DatasetRef]) -> Change | None:
    """Build the removal of datasets from a tag.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    collection : `str`
        A TAGGED collection.
    refs : sequence of `DatasetRef`
        The datasets; those that are not in it are passed over.

    Returns
    -------
    change : `Change` or `None`
        `None` if there are none.
    """
    change = Change()
    require_type(snapshot, change, collection, CollectionType.TAGGED, "disassociate datasets from")
    anything = False
    for layout, positions in group_refs(refs).items():
        if layout.table not in snapshot.schemas():
            continue
        anything = True
        part = [refs[i] for i in positions]
        for name in {ref.datasetType.name for ref in part}:
            change.touch(layout.table, (name, collection))
        if len(part) <= SMALL:
            change.delete(layout.table, ("id", "collection"), [(ref.id, collection) for ref in part])
        else:
            change.delete_table(layout.table, _memberships(RefColumns(layout, part).ids, collection))
    return change if anything else None


def _memberships(ids: pa.Array, collection: str) -> pa.Table:
    """The keys of the rows of datasets in a collection."""
    import pyarrow as pa

    return pa.table({"id": ids, "collection": pa.repeat(collection, len(ids))})
