# SPDX-License-Identifier: BSD-3-Clause
"""Many datasets looked up at once: a few one by one, many in one pass over each table."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.errors import DatasetNotFoundError
from lakebutler.registry import collections, datasets
from lakebutler.registry.dataset_rows import FILE_COLUMNS, FileRow, uuid_array
from lakebutler.registry.registry import Registry
from lakebutler.registry.schema import dataset_layout

__all__ = ["find_files", "find_many"]


def find_files(registry: Registry, refs: Sequence[DatasetRef]) -> list[FileRow | None]:
    """Find the files of datasets.

    Parameters
    ----------
    registry : `Registry`
        Where to look.
    refs : sequence of `DatasetRef`
        The datasets.

    Returns
    -------
    files : `list` [`FileRow` or `None`]
        One for each; `None` if it is not registered, or not stored.
    """
    if len(refs) <= datasets.SMALL:
        with registry.session.held():  # one look at what is newest, not one for each
            return [_file_or_none(registry, ref) for ref in refs]
    files: list[FileRow | None] = [None] * len(refs)
    snapshot = registry.snapshot
    for layout, positions in datasets.group_refs(refs).items():
        if layout.table not in snapshot.schemas():
            continue
        for row in _rows(registry, layout.table, [refs[i].id for i in positions]):
            i = positions[row["_key"]]
            if row["run"] == refs[i].run and (row["path"] is not None or row["uri"] is not None):
                files[i] = FileRow(*(row[name] for name in FILE_COLUMNS))
    return files


def _file_or_none(registry: Registry, ref: DatasetRef) -> FileRow | None:
    try:
        return registry.file_of(ref)
    except DatasetNotFoundError:
        return None


def _rows(registry: Registry, table: str, ids: Sequence[uuid.UUID]) -> list[dict[str, Any]]:
    """Rows of the datasets themselves, not of their memberships."""
    import pyarrow as pa

    snapshot = registry.snapshot
    columns = [column.name for column in snapshot.schemas()[table].columns]
    found = snapshot.match(table, ("id",), pa.table({"id": uuid_array(ids)}), select=columns)
    return [row for row in found.to_pylist() if row["collection"] == row["run"]]


def find_many(registry: Registry, ids: Sequence[uuid.UUID]) -> list[DatasetRef]:
    """Find datasets by their IDs.

    Parameters
    ----------
    registry : `Registry`
        Where to look.
    ids : sequence of `uuid.UUID`
        The IDs.

    Returns
    -------
    refs : `list` [`DatasetRef`]
        Those that there are, in the order of their IDs, with full data IDs.
    """
    wanted = list(dict.fromkeys(ids))
    if len(wanted) <= datasets.SMALL:
        with registry.session.held():
            found = [registry.by_id(one) for one in wanted]
        return [one[0] for one in found if one is not None]
    snapshot = registry.snapshot
    refs: dict[int, DatasetRef] = {}
    for table in collections.dataset_tables(snapshot):
        for row in _rows(registry, table, wanted):
            kind = registry.dataset_type(row["dataset_type"])
            layout = dataset_layout(kind.dimensions)
            values = tuple(row[column.name] for column in layout.schema.columns)
            refs[row["_key"]] = registry.to_found(kind, layout, values)[0]
    return [refs[i] for i in sorted(refs)]
