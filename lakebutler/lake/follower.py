# SPDX-License-Identifier: BSD-3-Clause
"""What a process knows of a repository's versions, and how it learns of others'."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from lakebutler.errors import RepositoryCorruptError
from lakebutler.lake.checkpoint import LATEST, load_state
from lakebutler.lake.entry import Action, Entry, Fold, RemoveFile
from lakebutler.lake.expired import missing_file
from lakebutler.lake.format import RepositoryFormat
from lakebutler.lake.history import boot_time, extend_state, find_version
from lakebutler.lake.log import boundary, entries_after, read_entry
from lakebutler.lake.naming import log_path
from lakebutler.lake.protocol import Footprint, footprint
from lakebutler.lake.schema import TableSchema
from lakebutler.lake.segment import SegmentStore
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.state import Head, LakeState
from lakebutler.lake.storage import Storage
from lakebutler.lake.turns import Turns

__all__ = ["Follower"]

_MOST_FOOTPRINTS = 5000
_FENCE_SECONDS = 60.0


class Follower:
    """A repository's versions as this process has met them; it commits nothing.

    Parameters
    ----------
    storage : `Storage`
        Where its files lie.
    format : `RepositoryFormat`
        What it says it is.
    """

    def __init__(self, storage: Storage, format: RepositoryFormat) -> None:
        self.storage = storage
        self.format = format
        storage.belongs_to(format.repo_id)
        self._mutex = threading.RLock()
        self._segments = SegmentStore(storage, missing_file)
        self._state = LakeState(self._segments)
        self._footprints: dict[int, tuple[Sequence[Action], Mapping[str, TableSchema]]] = {}
        self._current: Snapshot | None = None
        self._looked = boot_time()
        self._checkpointed = -1
        self.turns = Turns()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.storage.url} at version {self._state.head.version}>"

    @property
    def repo_id(self) -> str:
        """UUID of the repository."""
        return self.format.repo_id

    def _load(self) -> None:
        """Read the newest checkpoint and the log from there on."""
        self._state = load_state(self._segments)
        self._footprints = {}
        try:
            extend_state(self._state, self.storage)
        except RepositoryCorruptError:
            newest = load_state(self._segments, LATEST)
            if newest.head.version <= self._state.head.version:
                raise
            # The hint named a checkpoint below what was removed from the log.
            self._state = newest
            extend_state(self._state, self.storage)
        self._checkpointed = self._state.base
        self._looked = boot_time()
        if self._state.head.version < 0:
            raise RepositoryCorruptError(
                f"{self.storage.url} has no {log_path(0)}: its making was broken off",
                hint="make it again with the same command",
            )

    def close(self) -> None:
        """Let go of open files and memory."""
        with self._mutex:
            self._segments.close()
            self.storage.close()
            self._current = None

    # -------------------------------------------------------------------- reading

    def snapshot(self, refresh: bool = True) -> Snapshot:
        """Return the newest version.

        Parameters
        ----------
        refresh : `bool`, optional
            Whether to look for versions that others made meanwhile.
        """
        with self._mutex:
            if refresh:
                self.refresh()
            if self._current is None or self._current.version != self._state.head.version:
                self._current = Snapshot(self._state.head, self._state)
            return self._current

    @property
    def head(self) -> Head:
        """The newest version that is known."""
        return self._state.head

    def refresh(self, lost_to: Entry | None = None) -> None:
        """Take in the versions that others made meanwhile.

        Parameters
        ----------
        lost_to : `Entry`, optional
            The next version, if it was read already.
        """
        now = boot_time()
        if now - self._looked > _FENCE_SECONDS and boundary(self.storage) > self._state.head.version:
            self._load()
        self._looked = now
        for entry in entries_after(self.storage, self._state.head.version, first=lost_to):
            self.follow(entry)

    def follow(self, entry: Entry) -> None:
        """Go on to the next version, which another made."""
        self.advance(Head(entry.version, entry.txid, entry.sha256, entry.time), self._state.parse(entry))
        self.turns.others(1)

    def is_void(self, version: int) -> bool:
        """Whether an entry just made is below what was removed from the log for good.

        That happens to a writer that slept while others worked and cleaned up.
        """
        if self.storage.remote and boot_time() - self._looked < _FENCE_SECONDS:
            return False
        return boundary(self.storage) >= version

    def reload(self) -> None:
        """Forget everything and read it again."""
        self._load()
        self._state.origin = None
        self._current = None

    def advance(self, head: Head, actions: Sequence[Action]) -> None:
        """Go on to a version whose entry is known to be in the log."""
        self._state.apply(head, actions)
        for table in {action.table for action in actions if isinstance(action, Fold | RemoveFile)}:
            self._state.replace_table(self._state.tables[table].renewed(head.version))
        self._footprints[head.version] = (actions, self._state.schemas)
        if len(self._footprints) > _MOST_FOOTPRINTS:
            del self._footprints[next(iter(self._footprints))]

    def footprints_after(self, version: int) -> Iterator[Footprint | None]:
        """Yield what each version after one did; `None` where that is forgotten."""
        for number in range(version + 1, self._state.head.version + 1):
            known = self._footprints.get(number)
            yield None if known is None else footprint(*known)

    # -------------------------------------------------------------------- history

    def history(self, limit: int | None = None) -> Iterator[Entry]:
        """Yield the entries of the log, newest first.

        Parameters
        ----------
        limit : `int`, optional
            How many at most.
        """
        version = self.snapshot().version
        least = -1 if limit is None else max(-1, version - limit)
        while version > least:
            entry = read_entry(self.storage, version)
            if entry is None:
                return
            yield entry
            version -= 1

    def as_of(self, when: int | str | datetime) -> Snapshot:
        """Return a version of the past.

        Parameters
        ----------
        when : `int`, `str` or `datetime.datetime`
            A version, the name of a tag (state of kind ``tag``), or a time; as text
            a time is written as in ISO 8601, UTC unless it says otherwise.

        Raises
        ------
        lakebutler.errors.SnapshotNotFoundError
            Raised if there is none.
        """
        with self._mutex:
            newest = self.snapshot()
            version = find_version(self.storage, newest, when)
            if version == newest.version:
                return newest
            state = load_state(self._segments, version)
            extend_state(state, self.storage, version)
            return Snapshot(state.head, state)
