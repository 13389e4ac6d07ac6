# SPDX-License-Identifier: BSD-3-Clause
"""Letting old versions go, and removing files that no version refers to.

Ages are measured by the clock of the store, and what is young is left alone: it
may belong to a commit under way.  ``docs/design/`` and the format's text have the
order of the steps; a crash between any two of them leaves a repository that opens.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lakebutler.errors import ButlerUserError, SnapshotNotFoundError
from lakebutler.lake.checkpoint import listed_checkpoints, write_checkpoint
from lakebutler.lake.history import find_version
from lakebutler.lake.log import boundary
from lakebutler.lake.naming import LOG, boundary_path, log_version
from lakebutler.lake.references import References, data_files, follow, state_at
from lakebutler.lake.segment import SegmentStore
from lakebutler.lake.storage import FileInfo, Storage
from lakebutler.lake.tags import tagged_versions

if TYPE_CHECKING:
    from lakebutler.lake.lake import Lake

__all__ = [
    "GC_WINDOW",
    "VACUUM_WINDOW",
    "Expiry",
    "check_window",
    "expire",
    "find_expiry",
    "orphans",
    "remove_orphans",
    "store_clock",
    "strays",
]

VACUUM_WINDOW = timedelta(days=7)
"""How long versions are kept at least, by default."""

GC_WINDOW = timedelta(days=1)
"""How old a file must be to be taken for forgotten, by default."""

LEAST_WINDOW = timedelta(days=1)
_CLOCK = "registry/clock/"
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Expiry:
    """Which versions are to go.

    Parameters
    ----------
    boundary : `int`
        Versions below it go, but for those that have a tag; -1 if none can.
    oldest : `int`
        The oldest version there is before.
    head : `int`
        The newest version.
    tagged : `tuple` [`int`]
        Versions below the boundary that stay.
    cutoff : `datetime.datetime`
        Whatever is younger stays.
    """

    boundary: int
    oldest: int
    head: int
    tagged: tuple[int, ...]
    cutoff: datetime

    @property
    def versions(self) -> int:
        """How many versions go."""
        gone = range(self.oldest, self.boundary)
        return max(0, len(gone) - sum(version in gone for version in self.tagged))


def store_clock(storage: Storage) -> datetime:
    """Return the time by the clock of the store, found by writing a file there."""
    if hasattr(storage, "container"):  # one file: times in it are ours
        return datetime.fromtimestamp(time.time(), UTC)
    path = f"{_CLOCK}{uuid.uuid4().hex}"
    storage.write(path, b"")
    try:
        seconds = next(info.mtime for info in storage.list(_CLOCK) if info.path == path)
    finally:
        storage.delete([path])
    return datetime.fromtimestamp(seconds, UTC)


def check_window(window: timedelta, *, offline: bool) -> None:
    """Refuse a window in which a commit may still be under way.

    Raises
    ------
    lakebutler.errors.ButlerUserError
        Raised if it is too short.
    """
    if window < timedelta(0) or (window < LEAST_WINDOW and not offline):
        raise ButlerUserError(
            f"a window of {window} is too short: others may be writing what seems forgotten",
            hint="at least 1 day; less only with offline=True (--offline), when nobody else writes",
        )


def find_expiry(lake: Lake, window: timedelta = VACUUM_WINDOW, *, now: datetime | None = None) -> Expiry:
    """Find which versions are older than a window.

    Parameters
    ----------
    lake : `Lake`
        The repository.
    window : `datetime.timedelta`, optional
        A version goes if it was not the newest one at any time since.
    now : `datetime.datetime`, optional
        Until when the window goes; the clock of the store by default.
    """
    storage, newest = lake.storage, lake.snapshot()
    cutoff = (now or store_clock(storage)) - window
    edge = boundary(storage)
    try:
        reached = find_version(storage, newest, cutoff)
    except SnapshotNotFoundError:
        reached = -1
    # A writer's clock may be wrong; that of the store has the last word.
    for version, info in _entries(storage, edge):
        if version <= reached and info.mtime > cutoff.timestamp():
            reached = version - 1
            break
    reached = max(edge, reached)
    tagged = tuple(sorted(v for v in tagged_versions(newest) if v < reached))
    return Expiry(reached, max(edge, 0), newest.version, tagged, cutoff)


def _entries(storage: Storage, after: int) -> Iterator[tuple[int, FileInfo]]:
    for info in storage.list(LOG):
        version = log_version(info.path)
        if version is not None and version > after:
            yield version, info


def expire(lake: Lake, expiry: Expiry) -> None:
    """Let versions go for good.

    Parameters
    ----------
    lake : `Lake`
        The repository.
    expiry : `Expiry`
        Which.

    Notes
    -----
    The versions that stay get checkpoints; then the boundary is set, which voids
    whatever a writer that slept may still create below it; then the entries go, oldest
    first.  Data files are left to `remove_orphans`.
    """
    storage, edge = lake.storage, expiry.boundary
    if edge < 0:
        return
    lake.checkpoint()
    _pin(storage, {edge, *expiry.tagged})
    with suppress(FileExistsError):
        storage.create(boundary_path(edge), b"")
    tagged = {version for version in tagged_versions(lake.snapshot()) if version < edge}
    _pin(storage, tagged)  # those that were given meanwhile
    storage.delete([p for v, p in listed_checkpoints(storage) if v < edge and v not in tagged])
    gone = [info.path for version, info in _entries(storage, -1) if version <= edge]
    for start in range(0, len(gone), _BATCH):
        storage.delete(gone[start : start + _BATCH])


def _pin(storage: Storage, versions: set[int]) -> None:
    """Make sure that versions have checkpoints of their own."""
    for version in sorted(versions - {v for v, _ in listed_checkpoints(storage)}):
        write_checkpoint(state_at(SegmentStore(storage), version), storage, hint=False)


# ---------------------------------------------------------------------- orphans


def orphans(
    storage: Storage, found: References, cutoff: datetime, files: Iterable[FileInfo] | None = None
) -> list[FileInfo]:
    """Return the data files that no version refers to and that are older than a time.

    Parameters
    ----------
    storage : `Storage`
        The repository.
    found : `References`
        What the versions refer to.
    cutoff : `datetime.datetime`
        Whatever is younger may belong to a commit under way.
    files : iterable of `FileInfo`, optional
        The files that are there, if they were listed before ``found`` was made.
    """
    listed = (
        data_files(storage, {table for table, _ in found.files.values()}).values() if files is None else files
    )
    limit = cutoff.timestamp()
    return [info for info in listed if info.path not in found.files and info.mtime <= limit]


def remove_orphans(storage: Storage, doomed: Sequence[FileInfo], found: References) -> int:
    """Remove data files, a batch at a time; before each batch the newest versions are asked again.

    Returns
    -------
    removed : `int`
        How many were removed.
    """
    removed = 0
    for start in range(0, len(doomed), _BATCH):
        follow(found)
        batch = [info.path for info in doomed[start : start + _BATCH] if info.path not in found.files]
        storage.delete(batch)
        removed += len(batch)
    return removed


def strays(root: str, cutoff: datetime) -> list[str]:
    """Return the temporary files that crashes left in a local repository's registry, older than a time."""
    out = []
    for folder, _, names in os.walk(os.path.join(root, "registry")):
        for name in names:
            path = os.path.join(folder, name)
            if name.startswith((".tmp-", ".probe-")) and os.lstat(path).st_mtime <= cutoff.timestamp():
                out.append(path)
    return sorted(out)
