# SPDX-License-Identifier: BSD-3-Clause
"""A repository's registry: making, opening, reading and committing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from lakebutler.errors import RepositoryError, RepositoryExistsError
from lakebutler.lake.cache import FileCache
from lakebutler.lake.change import Change
from lakebutler.lake.checkpoint import (
    last_checkpoint,
    prune_checkpoints,
    write_checkpoint,
)
from lakebutler.lake.follower import Follower
from lakebutler.lake.format import RepositoryFormat, check_writable, make_format, parse_format, read_format
from lakebutler.lake.history import note, resume
from lakebutler.lake.log import boundary, has_versions
from lakebutler.lake.naming import FORMAT
from lakebutler.lake.protocol import Footprint
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.storage import Storage
from lakebutler.lake.tags import tagged_versions
from lakebutler.lake.together import Together
from lakebutler.lake.views import View, ViewWriter

__all__ = ["Lake"]

_LOCAL_TAIL = 100
_REMOTE_TAIL = 25
_TURN = 16
Views = Callable[[Snapshot], list[View]]


class Lake(Follower):
    """A versioned store of many tables.

    Parameters
    ----------
    storage : `Storage`
        Where its files lie.
    format : `RepositoryFormat`
        What it says it is.
    views : callable, optional
        Given a snapshot, returns the views that ``views.sql`` should offer.

    Notes
    -----
    Made by `Lake.create` and `Lake.open`.  One lake may be used by several threads.
    """

    def __init__(self, storage: Storage, format: RepositoryFormat, views: Views | None = None) -> None:
        super().__init__(storage, format)
        self._view_writer = ViewWriter(storage, views)
        self._together = Together(self._mutex, self._commit_alone)

    # ----------------------------------------------------------- making and opening

    @classmethod
    def create(
        cls,
        storage: Storage,
        *,
        config: Mapping[str, Any],
        change: Change | None = None,
        message: str = "",
        views: Views | None = None,
    ) -> Lake:
        """Make a new repository.

        Parameters
        ----------
        storage : `Storage`
            Where its files are to lie.
        config : mapping
            What is set as state of kind ``config``, by name.
        change : `Change`, optional
            What else is in its first version.
        message : `str`, optional
            What is said of the first version.
        views : callable, optional
            See the class.

        Raises
        ------
        lakebutler.errors.RepositoryExistsError
            Raised if there is one already.
        """
        made, content = make_format()
        try:
            storage.create(FORMAT, content)
        except FileExistsError:
            made = read_format(storage)
            if has_versions(storage):
                raise RepositoryExistsError(f"there is already a repository at {storage.url}") from None
        lake = cls(storage, made, views)
        first = change or Change()
        for name, value in config.items():
            first.set("config", name, value)
        lake.commit(lambda snapshot: _only_first(snapshot, first, storage), op="create", message=message)
        return lake

    @classmethod
    def open(cls, storage: Storage, *, views: Views | None = None) -> Lake:
        """Open a repository; nothing is written.

        Raises
        ------
        lakebutler.errors.NotARepositoryError
            Raised if there is none.
        lakebutler.errors.RepositoryFormatError
            Raised if this version of lakebutler cannot read it.
        lakebutler.errors.RepositoryCorruptError
            Raised if its log is damaged.
        """
        memo = storage.memo()
        learnt = memo.read() if memo is not None else None
        if learnt is not None:
            with suppress(RepositoryError):
                lake = cls(storage, parse_format(learnt.format.encode(), storage.url), views)
                state = resume(lake._segments, FileCache(lake.repo_id), learnt)
                if state is not None:
                    lake._state, lake._checkpointed = state, state.base
                    return lake
        lake = cls(storage, read_format(storage), views)
        lake._load()
        if memo is not None:
            note(storage, FileCache(lake.repo_id), memo, lake._state)
        lake._state.origin = None
        return lake

    def close(self) -> None:
        """Let go of open files and memory."""
        with self._mutex:
            self._view_writer.flush()
            super().close()

    # ------------------------------------------------------------------ committing

    def commit(
        self,
        build: Callable[[Snapshot], Change | None],
        *,
        op: str,
        message: str = "",
        base: Snapshot | None = None,
        change: Change | None = None,
        together: bool = False,
    ) -> Snapshot:
        """Make the next version.

        Parameters
        ----------
        build : callable
            Given the newest snapshot, returns what to do, or `None` for nothing.
            It may be called again if others came first; what it raises goes to the
            caller, and nothing is committed.
        op : `str`
            Which verb.
        message : `str`, optional
            What to say of it.
        base, change : optional
            A change that was built already, and the snapshot it was built on;
            ``build`` is then called only if it has to be built again.
        together : `bool`, optional
            Whether this may become one version with what other threads of this process
            commit at the same time under the same verb and message; for small changes.

        Returns
        -------
        snapshot : `Snapshot`
            The version that was made; the newest one if there was nothing to do.

        Raises
        ------
        lakebutler.errors.CommitUnknownError
            Raised if it cannot be known whether it was made.
        lakebutler.errors.CommitConflictError
            Raised if others came first again and again.
        lakebutler.errors.StorageError
            Raised if the storage refuses; nothing was committed.
        """
        check_writable(self.storage, self.format)
        if together and change is None:
            return self._together.commit(build, op, message)
        return self._commit_alone(build, op, message, base, change)

    def _commit_alone(
        self,
        build: Callable[[Snapshot], Change | None],
        op: str,
        message: str,
        base: Snapshot | None = None,
        change: Change | None = None,
    ) -> Snapshot:
        from lakebutler.lake.commit import Attempt

        with self._mutex:
            attempt = Attempt(self, build, op, message, base, change)
            snapshot = attempt.run()
            if attempt.prepared is not None:
                self._tend(attempt.prepared.footprint, snapshot)
            return snapshot

    def _tend(self, done: Footprint, snapshot: Snapshot) -> None:
        """Do what a commit leaves to be done; failing at it does not undo the commit."""
        if done.creates or done.sets:
            self._view_writer.changed(snapshot)
        else:
            self._view_writer.catch_up()
        from lakebutler.lake.compact import needs_compaction

        with suppress(RepositoryError):
            for table in done.inserts.keys() | done.deletes.keys():
                layer = self._state.tables[table]
                if snapshot.version % _TURN == 0 and needs_compaction(layer, snapshot.version):
                    self._compact(table, everything=False, tiered=True)
            self._checkpoint_if_due(snapshot.version)

    def committed(self, txid: str) -> bool:
        """Say whether a transaction was committed, however its commit ended."""
        return any(entry.txid == txid for entry in self.history())

    # ----------------------------------------------------------------- maintenance

    def checkpoint(self) -> None:
        """Write a checkpoint of the newest version, and ``views.sql``."""
        with self._mutex:
            self.refresh()
            self._write_checkpoint()
            self._view_writer.changed(self.snapshot(refresh=False))

    def rewrite_views(self) -> None:
        """Write ``views.sql`` anew."""
        with self._mutex:
            self._view_writer.changed(self.snapshot())

    def _write_checkpoint(self) -> None:
        write_checkpoint(self._state, self.storage)
        self._checkpointed = self._state.head.version

    def _checkpoint_if_due(self, version: int) -> None:
        rows = sum(layer.live_rows for layer in self._state.tables.values())
        due = max(_REMOTE_TAIL if self.storage.remote else _LOCAL_TAIL, rows // 10)
        tail = version - self._checkpointed
        if tail < due or (tail > due and version % _TURN):
            return
        last = last_checkpoint(self.storage)
        if last is not None and last[0] > self._checkpointed:
            self._checkpointed = last[0]  # another process was here first
            if version - last[0] < due:
                return
        self._write_checkpoint()
        prune_checkpoints(self.storage, self._needed_checkpoints())

    def _needed_checkpoints(self) -> set[int]:
        """Versions that only their checkpoints lead to: where the log begins, and tags below."""
        edge = boundary(self.storage)
        if edge < 0:
            return set()
        tagged = {version for version in tagged_versions(self.snapshot(refresh=False)) if version < edge}
        return tagged | {edge}

    def compact(self, table: str | None = None, *, everything: bool = False) -> list[str]:
        """Rewrite small files and rows in the log into few files; no row changes.

        Parameters
        ----------
        table : `str`, optional
            Which table; all by default.
        everything : `bool`, optional
            Rewrite also large files that deletes have hit.

        Returns
        -------
        tables : `list` [`str`]
            The tables that were rewritten.
        """
        with self._mutex:
            self.refresh()
            tables = list(self._state.schemas) if table is None else [table]
            return [name for name in tables if self._compact(name, everything=everything)]

    def _compact(self, table: str, *, everything: bool, tiered: bool = False) -> bool:
        from lakebutler.lake.commit import Attempt
        from lakebutler.lake.compact import Compaction
        from lakebutler.lake.writer import FileWriter

        writer = FileWriter(self.storage)
        work = Compaction(table, writer, everything=everything, tiered=tiered)
        base = self.snapshot(refresh=False)
        done = Attempt(self, work.build, "compact", "", base, None)
        try:
            change = work.build(base)
            if change is None:
                return False
            done = Attempt(self, work.build, "compact", "", base, change)
            done.run()
        except BaseException:
            if not done.claiming:  # else the files may be part of a version
                writer.discard()
            raise
        writer.discard(work.kept if done.prepared is not None else ())
        return done.prepared is not None


def _only_first(snapshot: Snapshot, first: Change, storage: Storage) -> Change:
    if snapshot.version >= 0:
        raise RepositoryExistsError(f"there is already a repository at {storage.url}")
    return first
