# SPDX-License-Identifier: BSD-3-Clause
"""Going along the log: to its end, back to a version, to a time or a tag."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from lakebutler.errors import (
    RepositoryCorruptError,
    RepositoryError,
    SnapshotExpiredError,
    SnapshotNotFoundError,
    did_you_mean,
)
from lakebutler.lake.cache import FileCache
from lakebutler.lake.checkpoint import load_state, parse_checkpoint
from lakebutler.lake.entry import Entry
from lakebutler.lake.log import boundary, entries_after, read_entries, read_entry
from lakebutler.lake.memo import Memo, Remembered
from lakebutler.lake.naming import FORMAT, LOG, log_path, log_version
from lakebutler.lake.segment import SegmentStore
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.state import Head, LakeState
from lakebutler.lake.storage import Storage

__all__ = ["boot_time", "extend_state", "find_version", "note", "resume"]

_LONG_TAIL = 50
_NEAR = 32


def boot_time() -> float:
    """Seconds since the machine was started, sleep included."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def extend_state(state: LakeState, storage: Storage, until: int | None = None) -> None:
    """Bring a state to the end of the log, or to a version.

    Parameters
    ----------
    state : `LakeState`
        What to go on from.
    storage : `Storage`
        Where the log lies.
    until : `int`, optional
        The version to end at.

    Raises
    ------
    lakebutler.errors.RepositoryCorruptError
        Raised if the log has a hole.
    lakebutler.errors.SnapshotNotFoundError
        Raised if the version cannot be reached any more.
    """
    if storage.remote and until is None:
        _extend_by_listing(state, storage)
        return
    _extend(state, storage, until)
    while state.head.version < (last := _last_seen(storage, state.head.version) if until is None else until):
        before = state.head.version
        _extend(state, storage, until)
        if state.head.version == before:
            missing = log_path(before + 1)
            if until is not None and boundary(storage) > before:
                raise SnapshotExpiredError(f"version {until} is no longer kept in {storage.url}")
            raise RepositoryCorruptError(
                f"the log of {storage.url} has a hole: {missing} is missing, but version {last} is there",
                hint="restore the missing entry from a copy of the repository",
            )


def _last_seen(storage: Storage, version: int) -> int:
    """Return the first entry found beyond a gap of any size; that version if there is none.

    A folder may have a million entries, so they are not listed: the next few are tried,
    then some at doubling distances.  A gap is missed only if it is longer than what follows.
    """
    distances: list[int] = [*range(1, _NEAR), *(_NEAR * 2**k for k in range(20))]
    for distance in distances:
        with suppress(FileNotFoundError):
            storage.read(log_path(version + distance))
            return version + distance
    return version


def _extend_by_listing(state: LakeState, storage: Storage) -> None:
    """Go to the end of the log by one listing from the checkpoint's own entry on."""
    base = state.head.version
    last = base
    for info in storage.list(LOG, log_path(base - 1) if base > 0 else ""):
        version = log_version(info.path)
        if version == base and state.origin is not None:
            state.origin.entry = info
        if version is not None and version > last:
            last = version
    _apply(state, read_entries(storage, base + 1, last))


def _extend(state: LakeState, storage: Storage, until: int | None) -> None:
    _apply(state, entries_after(storage, state.head.version, until))


def _apply(state: LakeState, entries: Iterable[Entry]) -> None:
    for entry in entries:
        actions = state.parse(entry)
        state.apply(Head(entry.version, entry.txid, entry.sha256, entry.time), actions)


def resume(segments: SegmentStore, cache: FileCache, learnt: Remembered) -> LakeState | None:
    """Return the newest state, going on from what an earlier opening taught.

    Parameters
    ----------
    segments : `SegmentStore`
        The data files.
    cache : `FileCache`
        Where the checkpoint was kept.
    learnt : `Remembered`
        What the earlier opening taught.

    Returns
    -------
    state : `LakeState` or `None`
        `None` if the repository is not what it was, or much came since.
    """
    storage, version = segments.storage, learnt.version
    place = cache.get(learnt.path, learnt.size, learnt.sha256)
    if place is None:
        return None
    listed = storage.list(LOG, log_path(version - 1) if version else "")
    found = {log_version(info.path): info for info in listed}
    entry = found.get(version)
    last = max((number for number in found if number is not None), default=-1)
    if entry is None or not learnt.fits(entry.size, entry.mtime) or last - version > _LONG_TAIL:
        return None
    try:
        state = parse_checkpoint(segments, version, learnt.path, Path(place).read_bytes())
        _apply(state, read_entries(storage, version + 1, last))
    except (RepositoryError, OSError):
        return None
    return state


def note(storage: Storage, cache: FileCache, memo: Memo, state: LakeState) -> None:
    """Keep what this opening taught for the next one."""
    origin, state.origin = state.origin, None
    if origin is None or origin.entry is None:
        return
    digest = hashlib.sha256(origin.data).hexdigest()
    with suppress(OSError):
        cache.put(origin.path, origin.data, digest)
        text = storage.read(FORMAT).decode()
        size = len(origin.data)
        memo.write(
            Remembered(text, state.base, origin.path, size, digest, origin.entry.size, origin.entry.mtime)
        )


def find_version(storage: Storage, newest: Snapshot, when: int | str | datetime) -> int:
    """Return the version that was the newest at a time, or that a tag names.

    Raises
    ------
    lakebutler.errors.SnapshotNotFoundError
        Raised if there is none.
    """
    if isinstance(when, bool) or not isinstance(when, int | str | datetime):
        raise SnapshotNotFoundError(f"{when!r} is neither a version nor a tag nor a time")
    if isinstance(when, str):
        tags = newest.state("tag")
        if when in tags:
            value = tags[when]
            when = int(value["version"] if isinstance(value, Mapping) else value)
        elif when.isascii() and when.isdigit():
            when = int(when)
        else:
            when = _parse_time(when, list(tags))
    if isinstance(when, datetime):
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        return _version_at(storage, newest, when)
    if not 0 <= when <= newest.version:
        raise SnapshotNotFoundError(
            f"there is no version {when} in {storage.url}", hint=f"versions go from 0 to {newest.version}"
        )
    return when


def _parse_time(text: str, tags: list[str]) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        near = did_you_mean(text, tags)
        raise SnapshotNotFoundError(
            f"{text!r} is neither a version nor a tag nor a time",
            hint=f"did you mean the tag {near[0]!r}?" if near else "write a time as 2026-11-22T07:00:00",
        ) from None


def _version_at(storage: Storage, newest: Snapshot, when: datetime) -> int:
    """Return the last version that was not made after a time, by bisection of the log."""
    if newest.time <= when:
        return newest.version
    low, high = -1, newest.version  # low is not after the time (or before all), high is
    while high - low > 1:
        middle = (low + high) // 2
        entry = read_entry(storage, middle)
        if entry is not None and entry.time > when:
            high = middle
        else:
            low = middle  # an entry that was removed from the log is old
    if low < 0 or (read_entry(storage, low) is None and not _begins_at(storage, low, when)):
        raise SnapshotNotFoundError(f"{storage.url} has no version as old as {when.isoformat()}")
    return low


def _begins_at(storage: Storage, version: int, when: datetime) -> bool:
    """Whether the log goes on from a checkpoint of this version, and that was made by then."""
    if boundary(storage) != version:
        return False
    state = load_state(SegmentStore(storage), version)
    return state.head.version == version and state.head.time <= when
