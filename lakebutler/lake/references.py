# SPDX-License-Identifier: BSD-3-Clause
"""Which versions can still be opened, and which files they need.

A version can be opened if the log leads to it from a checkpoint that is at or above
the boundary, or if it has a checkpoint of its own (a tag that vacuum left).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakebutler.errors import RepositoryCorruptError, SnapshotNotFoundError, StorageError
from lakebutler.lake.checkpoint import load_state
from lakebutler.lake.entry import Action, AddFile, CreateTable, DataFile, DeleteFile, Rows
from lakebutler.lake.history import extend_state
from lakebutler.lake.log import boundary, entries_after
from lakebutler.lake.naming import DATA
from lakebutler.lake.segment import FileSegment, SegmentStore
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.state import Head, LakeState
from lakebutler.lake.storage import FileInfo, Storage
from lakebutler.lake.table import TableLayer
from lakebutler.lake.tags import tagged_versions

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["References", "data_files", "data_folders", "find_references", "follow", "layer_files", "state_at"]


@dataclass
class References:
    """What the versions that can be opened refer to.

    Parameters
    ----------
    base : `int`
        The oldest version from which the log leads on.
    state : `LakeState`
        The newest version.
    column : `str`, optional
        The column whose values are gathered.
    files : `dict`
        Data files, with the name of the table of each, by path.
    pinned : `set` [`int`]
        Versions below the base that have a checkpoint of their own.
    values : `set` [`str`]
        Values of the column asked for, of all rows of all these versions.
    spread : callable
        What makes these values of those in the rows.
    """

    base: int
    state: LakeState
    column: str | None = None
    files: dict[str, tuple[str, DataFile]] = field(default_factory=dict)
    pinned: set[int] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    spread: Callable[[Iterable[str]], Iterable[str]] = iter


def find_references(
    storage: Storage,
    column: str | None = None,
    *,
    edge: int | None = None,
    spread: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> References:
    """Read the log from its oldest end, and the tagged versions below it.

    Parameters
    ----------
    storage : `Storage`
        The repository.
    column : `str`, optional
        A text column whose values are gathered from every table that has it.
    edge : `int`, optional
        Take this for the boundary; the one that is there by default.
    spread : callable, optional
        Makes the values that are gathered of those in the column, where one stands for
        several.

    Raises
    ------
    lakebutler.errors.RepositoryCorruptError
        Raised if a version that should be there cannot be read.
    """
    segments = SegmentStore(storage)
    edge = boundary(storage) if edge is None else edge
    state = state_at(segments, edge) if edge >= 0 else LakeState(segments)
    found = References(state.head.version, state, column, spread=spread)
    _take_state(found, state)
    follow(found)
    for version in sorted(tagged_versions(Snapshot(state.head, state))):
        if version < edge:
            _take_state(found, state_at(segments, version))
            found.pinned.add(version)
    segments.close()
    return found


def state_at(segments: SegmentStore, version: int) -> LakeState:
    """Return the state at a version.

    Raises
    ------
    lakebutler.errors.RepositoryCorruptError
        Raised if nothing leads to it any more.
    """
    state = load_state(segments, version)
    try:
        extend_state(state, segments.storage, version)
    except SnapshotNotFoundError as error:
        raise RepositoryCorruptError(
            f"nothing leads to version {version} of {segments.storage.url} any more: {error.message}"
        ) from None
    return state


def follow(found: References) -> None:
    """Take in what was committed since."""
    state = found.state
    for entry in entries_after(state.segments.storage, state.head.version):
        actions = state.parse(entry)
        state.apply(Head(entry.version, entry.txid, entry.sha256, entry.time), actions)
        for action in actions:
            _take_action(found, action)


def _take_action(found: References, action: Action) -> None:
    state, column = found.state, found.column
    match action:
        case CreateTable(schema, empty):
            found.files[empty.path] = (schema.name, empty)
        case DeleteFile(table, _, file):
            found.files[file.path] = (table, file)
        case AddFile(table, file):
            found.files[file.path] = (table, file)
            if column is not None and column in state.schemas[table].position:
                segment = state.segments.segment(state.schemas[table], file)
                found.values.update(found.spread(_values(segment.read(None, [column]))))
        case Rows(table, rows):
            if column is not None and column in state.schemas[table].position:
                place = state.schemas[table].position[column]
                some = (row[place] for row in rows if row[place] is not None)
                found.values.update(found.spread(some))


def _take_state(found: References, state: LakeState) -> None:
    """Take in all that one version refers to."""
    column = found.column
    snapshot = Snapshot(state.head, state)
    for name, layer in state.tables.items():
        for file in layer_files(layer, state.head.version):
            found.files[file.path] = (name, file)
        if column is not None and column in state.schemas[name].position:
            found.values.update(found.spread(_values(snapshot.scan(name, [column]))))


def layer_files(layer: TableLayer, version: int) -> Iterator[DataFile]:
    """Yield the data files of a table at a version: rows, and keys of rows that went."""
    segments = [slot.segment for slot in layer.live_slots(version)]
    for segment in [*segments, *(slot.segment for slot in layer.deletes)]:
        if isinstance(segment, FileSegment):
            yield segment.file


def _values(data: pa.Table) -> Iterator[str]:
    return (value for value in data.column(0).unique().to_pylist() if value is not None)


# ---------------------------------------------------------------- what is there


def data_folders(storage: Storage, tables: set[str]) -> list[str]:
    """Return the folders of data files: those of the tables, and on a local disk all there are."""
    names = set(tables)
    root = getattr(storage, "root", None)
    place = f"{root}/{DATA}"
    if isinstance(root, str) and os.path.isdir(place) and not os.path.islink(place[:-1]):
        try:
            with os.scandir(place) as entries:
                names |= {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
        except OSError as error:
            raise StorageError(f"cannot list {place}: {error.strerror or error}") from error
    return [f"{DATA}{name}/" for name in sorted(names)]


def data_files(storage: Storage, tables: set[str]) -> dict[str, FileInfo]:
    """Return the data files that are there, by path."""
    return {info.path: info for folder in data_folders(storage, tables) for info in storage.list(folder)}
