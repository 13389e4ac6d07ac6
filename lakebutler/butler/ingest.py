# SPDX-License-Identifier: BSD-3-Clause
"""Ingest: decide what of a batch of files is new, then one append.

What is there already is fetched once, in advance, and duplicates are decided in
Python: the deck's plan for raw ingest and conversion.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from lakebutler.butler.types import type_to_write
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.file_dataset import FileDataset
from lakebutler.datastore.paths import file_uri, local_path_of_uri
from lakebutler.datastore.records import FileRecord
from lakebutler.errors import ConflictingDefinitionError, DatasetTypeError
from lakebutler.registry.dataset_rows import FileRow
from lakebutler.registry.registry import Registry

__all__ = ["Selection", "any_inside", "outside", "prepare", "spread"]


@dataclass(frozen=True)
class Selection:
    """Files to ingest and the datasets in them.

    Attributes
    ----------
    files : `list` [`FileDataset`]
        Files with at least one new dataset.
    refs : `list` [`DatasetRef`]
        The new datasets, file by file.
    counts : `list` [`int`]
        Number of new datasets in each file.
    """

    files: list[FileDataset]
    refs: list[DatasetRef]
    counts: list[int]


def prepare(registry: Registry, files: Sequence[FileDataset], *, skip_existing: bool) -> Selection:
    """Decide what is new.

    Parameters
    ----------
    registry : `Registry`
        What is there.
    files : sequence of `FileDataset`
        What is offered.
    skip_existing : `bool`
        Whether what is there already is passed over; otherwise it is an error.

    Returns
    -------
    batch : `Selection`
        What to ingest.

    Raises
    ------
    ConflictingDefinitionError
        Raised if a data ID is taken.
    MissingDatasetTypeError
        Raised if a dataset type is not registered.
    """
    refs: list[DatasetRef] = []
    counts: list[int] = []
    for file in files:
        if not isinstance(file, FileDataset):
            raise DatasetTypeError(f"ingest takes FileDataset objects, not {type(file).__name__}")
        refs.extend(file.refs)
        counts.append(len(file.refs))
    kinds: dict[int, DatasetType] = {id(ref.datasetType): ref.datasetType for ref in refs}
    for kind in kinds.values():
        type_to_write(registry, kind, "ingest")
    present = registry.present(refs)
    if not present:
        return Selection(list(files), refs, counts)
    if not skip_existing:
        first = refs[min(present)]
        raise ConflictingDefinitionError(
            f"cannot ingest {first.datasetType.name} {first.dataId}: it is in run {first.run!r} already"
            + (f" (and {len(present) - 1} more)" if len(present) > 1 else ""),
            hint="pass skip_existing=True to ingest the rest",
        )
    if len(present) == len(refs):
        return Selection([], [], [])
    return _without(files, refs, counts, present)


def _without(
    files: Sequence[FileDataset], refs: Sequence[DatasetRef], counts: Sequence[int], present: set[int]
) -> Selection:
    kept_files: list[FileDataset] = []
    kept_refs: list[DatasetRef] = []
    kept_counts: list[int] = []
    start = 0
    for file, count in zip(files, counts, strict=True):
        new = [refs[i] for i in range(start, start + count) if i not in present]
        start += count
        if new:
            kept_files.append(file if len(new) == count else FileDataset(file.path, new, file.formatter))
            kept_refs.extend(new)
            kept_counts.append(len(new))
    return Selection(kept_files, kept_refs, kept_counts)


def spread(batch: Selection, records: Sequence[FileRecord]) -> Sequence[FileRow]:
    """Give each dataset the record of its file.

    Parameters
    ----------
    batch : `Selection`
        The files and datasets.
    records : sequence of `FileRecord`
        One for each file.

    Returns
    -------
    rows : sequence of `FileRow`
        One for each dataset.
    """
    if len(batch.refs) == len(records):
        return cast("Sequence[FileRow]", records)  # the same columns in the same order
    rows: list[FileRow] = []
    for record, count in zip(records, batch.counts, strict=True):
        rows.extend([FileRow._make(record)] * count)
    return rows


def outside(files: Sequence[FileDataset], root: str, *, resolve: bool = False) -> set[str]:
    """Directories outside a repository that files lie in.

    Parameters
    ----------
    files : sequence of `FileDataset`
        The files.
    root : `str`
        Root of the repository.
    resolve : `bool`, optional
        Whether to follow symbolic links first.

    Returns
    -------
    directories : `set` [`str`]
        Few: the directory that all have in common, or several where that would
        be the whole disk.
    """
    locations = [path if type(path := file.path) is str else file.location() for file in files]
    if resolve:
        locations = [os.path.realpath(_local(location)) for location in locations]
    places = {path[: path.rfind("/")] if "/" in path else "." for path in locations}
    remote = {p for p in places if "://" in p and not p.startswith("file://")}
    inside = root.rstrip("/") + "/"
    local = {os.path.abspath(_local(p) or "/") for p in places - remote}
    local = {p for p in local if not (p + "/").startswith(inside)}
    chosen = {"/".join(p.split("/")[:4]) for p in remote}
    if local:
        common = os.path.commonpath(local)
        deep = common.count("/") >= 2 or len(local) == 1
        chosen |= {common} if deep else {"/".join(p.split("/")[:3]) for p in local}
    return chosen


def _local(location: str) -> str:
    return local_path_of_uri(location) if location.startswith("file://") else location


def any_inside(files: Sequence[FileDataset], root: str) -> bool:
    """Whether a file lies below the root of a repository.

    Parameters
    ----------
    files : sequence of `FileDataset`
        The files.
    root : `str`
        Root of the repository: an absolute path or a URL.

    Returns
    -------
    inside : `bool`
        Told by the names alone.
    """
    inside = root.rstrip("/") + "/"
    prefixes = (inside, inside if "://" in root else file_uri(inside))
    return any(
        (path if type(path := file.path) is str else file.location()).startswith(prefixes) for file in files
    )
