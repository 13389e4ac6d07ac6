# SPDX-License-Identifier: BSD-3-Clause
"""Reading the log: what came after a version, and where the log ends."""

from __future__ import annotations

from collections.abc import Iterator

from lakebutler.errors import RepositoryCorruptError
from lakebutler.lake.entry import Entry, parse_entry
from lakebutler.lake.naming import BOUNDARY, CHECKPOINT, LOG, log_path, log_version
from lakebutler.lake.storage import Storage

__all__ = ["boundary", "entries_after", "has_versions", "last_listed", "read_entries", "read_entry"]

_AT_ONCE = 200


def read_entry(storage: Storage, version: int) -> Entry | None:
    """Return the entry of a version, or `None` if there is none yet."""
    try:
        data = storage.read(log_path(version))
    except FileNotFoundError:
        return None
    return parse_entry(data, version, storage.url)


def entries_after(
    storage: Storage, version: int, until: int | None = None, first: Entry | None = None
) -> Iterator[Entry]:
    """Yield the entries after a version, in order, as far as there are any.

    Locally each next one is simply tried.  A remote store is asked for one list
    once the first was there, and then for all of them at once.

    Parameters
    ----------
    storage : `Storage`
        Where the log lies.
    version : `int`
        The version that is known already.
    until : `int`, optional
        Stop after this one.
    first : `Entry`, optional
        The next one, if it was read already.
    """
    following = version + 1
    while until is None or following <= until:
        entry = first if first is not None else read_entry(storage, following)
        first = None
        if entry is None:
            return
        yield entry
        following += 1
        if storage.remote:
            last = last_listed(storage, entry.version)
            last = last if until is None else min(last, until)
            yield from read_entries(storage, following, last)
            return


def read_entries(storage: Storage, first: int, last: int) -> Iterator[Entry]:
    """Yield the entries of a range of versions that were seen to be there.

    Raises
    ------
    lakebutler.errors.RepositoryCorruptError
        Raised if one is missing.
    """
    for start in range(first, last + 1, _AT_ONCE):
        versions = range(start, min(start + _AT_ONCE, last + 1))
        try:
            contents = storage.read_many([log_path(v) for v in versions])
        except FileNotFoundError as error:
            raise RepositoryCorruptError(
                f"the log of {storage.url} has a hole: {error.filename or 'an entry'} is missing,"
                f" but version {last} is there",
                hint="restore the missing entry from a copy of the repository",
            ) from None
        for version, data in zip(versions, contents, strict=True):
            yield parse_entry(data, version, storage.url)


def last_listed(storage: Storage, after: int) -> int:
    """Return the greatest version in the listing after a version; that version if there is none."""
    last = after
    for info in storage.list(LOG, log_path(after) if after >= 0 else ""):
        version = log_version(info.path)
        if version is not None and version > last:
            last = version
    return last


def boundary(storage: Storage) -> int:
    """Return the version up to which entries were removed for good; -1 if none were."""
    last = -1
    for info in storage.list(BOUNDARY):
        name = info.path.rsplit("/", 1)[-1]
        if len(name) == 20 and name.isdigit():
            last = max(last, int(name))
    return last


def has_versions(storage: Storage) -> bool:
    """Whether any version was ever made: if not, the making of the repository was broken off."""
    return any(True for folder in (LOG, BOUNDARY, CHECKPOINT) for _ in storage.list(folder))
