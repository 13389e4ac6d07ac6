# SPDX-License-Identifier: BSD-3-Clause
"""Removing what nothing refers to any more, and letting old versions go."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from lakebutler.butler.repository import Repository
from lakebutler.datasets.stored_parts import paths_of
from lakebutler.datastore.files import Files
from lakebutler.datastore.paths import ARTIFACTS
from lakebutler.lake.references import References, data_files, find_references, follow
from lakebutler.lake.storage import FileInfo
from lakebutler.lake.vacuum import (
    GC_WINDOW,
    VACUUM_WINDOW,
    Expiry,
    check_window,
    expire,
    find_expiry,
    orphans,
    remove_orphans,
    store_clock,
    strays,
)

__all__ = ["Garbage", "Vacuum", "collect_garbage", "vacuum"]

_BATCH = 1000


@dataclass(frozen=True)
class Garbage:
    """Files that no version of a repository refers to.

    Parameters
    ----------
    datasets : `tuple` [`FileInfo`]
        Below ``datastore/``.
    registry : `tuple` [`FileInfo`]
        Below ``registry/data/``.
    temporary : `tuple` [`str`]
        Local paths of what crashes left half-written.
    removed : `int`
        How many of all these were removed.
    """

    datasets: tuple[FileInfo, ...]
    registry: tuple[FileInfo, ...]
    temporary: tuple[str, ...]
    removed: int = 0

    @property
    def bytes(self) -> int:
        """How much room they take, but for the temporary ones."""
        return sum(info.size for info in (*self.datasets, *self.registry))

    def __len__(self) -> int:
        return len(self.datasets) + len(self.registry) + len(self.temporary)


@dataclass(frozen=True)
class Vacuum:
    """What letting old versions go does, or did.

    Parameters
    ----------
    expiry : `Expiry`
        Which versions.
    garbage : `Garbage`
        Which files go with them.
    done : `bool`
        Whether it was done.
    """

    expiry: Expiry
    garbage: Garbage
    done: bool


def collect_garbage(
    repository: Repository, window: timedelta = GC_WINDOW, *, delete: bool = False, offline: bool = False
) -> Garbage:
    """Find, and remove, the files that no version refers to.

    Parameters
    ----------
    repository : `Repository`
        The repository.
    window : `datetime.timedelta`, optional
        Files that are younger, by the clock of the store, may belong to a commit under
        way and are left alone; at least a day.
    delete : `bool`, optional
        Whether to remove them.
    offline : `bool`, optional
        Whether nobody else writes, so that the window may be shorter.

    Raises
    ------
    ButlerUserError
        Raised if the window is too short.
    RepositoryCorruptError
        Raised if the registry is damaged: then nothing is removed.
    """
    check_window(window, offline=offline)
    if delete:
        repository.session.require_writeable("remove files")
    return _collect(repository, store_clock(repository.lake.storage) - window, delete=delete)


def vacuum(
    repository: Repository,
    window: timedelta = VACUUM_WINDOW,
    *,
    delete: bool = False,
    offline: bool = False,
) -> Vacuum:
    """Let versions go that are older than a window and have no tag, and their files.

    Parameters
    ----------
    repository : `Repository`
        The repository.
    window : `datetime.timedelta`, optional
        Every version that was the newest at some time in it stays; at least a day.
    delete : `bool`, optional
        Whether to do it; otherwise it is only found out what would be done.
    offline : `bool`, optional
        Whether nobody else writes, so that the window may be shorter.

    Raises
    ------
    ButlerUserError
        Raised if the window is too short.
    RepositoryCorruptError
        Raised if the registry is damaged: then nothing is removed.
    """
    check_window(window, offline=offline)
    lake = repository.lake
    if delete:
        repository.session.require_writeable("remove old versions")
    expiry = find_expiry(lake, window)
    if delete:
        find_references(lake.storage)  # what is damaged stays as it is
        expire(lake, expiry)
        return Vacuum(expiry, _collect(repository, expiry.cutoff, delete=True), True)
    edge = expiry.boundary if expiry.boundary >= 0 else None
    return Vacuum(expiry, _collect(repository, expiry.cutoff, delete=False, edge=edge), False)


def _collect(repository: Repository, cutoff: datetime, *, delete: bool, edge: int | None = None) -> Garbage:
    storage, files, limit = repository.lake.storage, repository.datastore.files, cutoff.timestamp()
    # What is there is listed first: a file that a commit made since is then not among it.
    there = [info for info in files.walk(ARTIFACTS) if info.mtime <= limit]
    tables = set(repository.lake.snapshot().schemas())
    data = data_files(storage, tables).values()
    found = find_references(storage, "path", edge=edge, spread=paths_of)
    datasets = [info for info in there if info.path not in found.values]
    registry = orphans(storage, found, cutoff, data)
    root = repository.root
    temporary = strays(root, cutoff) if os.path.isdir(root) else []
    removed = 0
    if delete:
        removed = _remove_files(files, datasets, found) + remove_orphans(storage, registry, found)
        for path in temporary:
            with suppress(OSError):
                os.unlink(path)
                removed += 1
    by_path = sorted(datasets, key=lambda info: info.path)
    return Garbage(tuple(by_path), tuple(registry), tuple(temporary), removed)


def _remove_files(files: Files, doomed: list[FileInfo], found: References) -> int:
    removed = 0
    for start in range(0, len(doomed), _BATCH):
        follow(found)
        batch = [info.path for info in doomed[start : start + _BATCH] if info.path not in found.values]
        files.delete(batch)
        removed += len(batch)
    return removed
