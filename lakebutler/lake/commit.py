# SPDX-License-Identifier: BSD-3-Clause
"""The commit loop: write the files, claim the next number, or find out who did."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NoReturn

from lakebutler.errors import (
    CommitConflictError,
    CommitUnknownError,
    RepositoryCorruptError,
    StorageError,
    StorageUncertainError,
)
from lakebutler.lake.change import Change
from lakebutler.lake.entry import Entry, Header, encode_entry
from lakebutler.lake.follower import Follower
from lakebutler.lake.log import boundary, read_entry
from lakebutler.lake.naming import log_path
from lakebutler.lake.protocol import conflict
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.state import Head
from lakebutler.lake.writer import FileWriter, Prepared, prepare

__all__ = ["Attempt", "library_version"]

_PATIENCE = 120.0
_MANY_ROWS = 5000
_LAST_YEAR = 9990


class Attempt:
    """One call of `Lake.commit`, through however many races.

    Parameters
    ----------
    lake : `Follower`
        What to commit to.
    build : callable
        Makes the change.
    op, message : `str`
        What the entry will say.
    base, change : optional
        A change that was built already, and what it was built on.
    """

    def __init__(
        self,
        lake: Follower,
        build: Callable[[Snapshot], Change | None],
        op: str,
        message: str,
        base: Snapshot | None,
        change: Change | None,
    ) -> None:
        self.lake = lake
        self.txid = str(uuid.uuid4())
        self.build = build
        self.op = op
        self.message = message
        self.base = base if change is not None else None
        self.change = change if base is not None else None
        self.prepared: Prepared | None = None
        self.writer = FileWriter(lake.storage)
        self.why = ""
        self.queues = False
        self.eager = lake.storage.remote and lake.head.version >= 0 and not lake.turns.rivals
        self.winner: Entry | None = None
        self.claiming = False
        self.losses = 0
        self.took = 0.0
        self.unanswered: Head | None = None

    def prepare(self) -> Prepared:
        """Write the files of the change, unless they are written."""
        if self.prepared is None:
            assert self.change is not None
            assert self.base is not None
            self.prepared = prepare(self.change, self.base.schemas(), self.writer)
        return self.prepared

    def again(self, why: str) -> None:
        """Drop the change: it has to be built again."""
        self.change = self.prepared = None
        self.why = why

    def run(self) -> Snapshot:
        """Commit, however many races are lost; see `Lake.commit`."""
        deadline: float | None = None
        pause = self.lake.turns.pause() if self.lake.storage.remote else 0.0
        try:
            if pause:
                time.sleep(pause)
            while True:
                if self.change is not None and not self.queues:
                    self.prepare()
                    self.queues = True
                done = self._try_once()
                if done is not None:
                    self.writer.discard(self.prepared.paths if self.prepared else ())
                    return done
                if self.losses:  # writing large files may take longer than patience lasts
                    deadline = deadline or time.monotonic() + _PATIENCE
                    if time.monotonic() > deadline:
                        self._give_up()
        except CommitUnknownError:
            raise  # its files may be part of a version
        except BaseException:
            if not self.claiming:  # else its files may be part of a version, too
                self.writer.discard()
            raise

    def _give_up(self) -> NoReturn:
        why = self.why or "others were faster"
        if self.unanswered is not None:
            raise self._unknown(self.unanswered, StorageError(why))
        raise CommitConflictError(
            f"the commit lost every race for {_PATIENCE:.0f} s: {why}", hint="try again"
        )

    def _try_once(self) -> Snapshot | None:
        """Try for the next number; return `None` if it has to be tried again."""
        lake = self.lake
        with lake.storage.lock(None if self.eager else lake.refresh):
            self._catch_up()
            arrived = self._arrived()
            if arrived is not None:
                return arrived
            if self.change is not None and self.base is not None:
                why = self._conflict(self.base.version)
                if why:
                    self.again(why)
            if self.change is None:
                self.base = lake.snapshot(refresh=False)
                built, holds = self._build(self.base)
                if not holds:
                    return None
                if built is None:
                    return self.base
                self.change = built
                if not self.queues and _is_large(built):
                    return None
            prepared = self.prepare()
            head = self._claim(prepared)
            self.eager = False
            if head is None:
                self.losses += 1
                return None
            lake.turns.won(self.took)
            lake.advance(head, prepared.actions)
        return lake.snapshot(refresh=False)

    def _catch_up(self) -> None:
        """Take in what others made; after the first lost race only the entry that was met."""
        lake, winner, self.winner = self.lake, self.winner, None
        if self.eager:
            return
        if winner is not None and winner.version != lake.head.version + 1:
            winner = None
        if winner is not None and lake.storage.remote and self.losses == 1:
            lake.follow(winner)
            self.eager = True
        else:
            lake.refresh(winner)

    def _arrived(self) -> Snapshot | None:
        """Return our version, if an entry whose answer was lost has landed late."""
        asked, lake = self.unanswered, self.lake
        if asked is None or lake.head.version < asked.version:
            return None
        self.unanswered = None
        entry = read_entry(lake.storage, asked.version)
        if entry is None or entry.txid != self.txid:
            self.claiming = False  # the number is another's: ours can land no more
            return None
        if boundary(lake.storage) >= asked.version:
            raise self._unknown(asked, StorageError("others have removed the log up to it meanwhile"))
        return lake.as_of(asked.version)

    def _build(self, base: Snapshot) -> tuple[Change | None, bool]:
        """Build the change; return it, and whether it holds.

        On a remote store the newest version that is known is used as if it were the
        newest there is, which saves a request: if it is not, the claim will fail.
        But a refusal, or nothing to do, has to hold for the newest there is.
        """
        try:
            built = self.build(base)
        except Exception:
            if not self._was_stale(base):
                raise
            return None, False
        return built, built is not None or not self._was_stale(base)

    def _was_stale(self, base: Snapshot) -> bool:
        if not self.eager:
            return False
        self.eager = False
        self.lake.refresh()
        return self.lake.head.version != base.version

    def _conflict(self, version: int) -> str | None:
        """Say why the change must be built again, given what came after a version."""
        if self.change is not None and self.change.exclusive and self.lake.head.version > version:
            return "it must be built on the newest version"
        prepared = self.prepare()
        for theirs in self.lake.footprints_after(version):
            why = "too much came in between" if theirs is None else conflict(prepared.footprint, theirs)
            if why:
                return why
        return None

    def _claim(self, prepared: Prepared) -> Head | None:
        """Create the next log entry; return `None` if another did."""
        storage, last = self.lake.storage, self.lake.head
        now = datetime.now(UTC)
        if now <= last.time:
            if last.time.year > _LAST_YEAR:
                raise RepositoryCorruptError(
                    f"version {last.version} of {storage.url} says it was made in {last.time.year}: no time"
                    " is left for another",
                    hint="restore the repository as it was before that version",
                )
            now = last.time + timedelta(microseconds=1)
        base = self.base.version if self.base is not None else last.version
        header = Header(
            last.version + 1,
            self.txid,
            last.txid,
            last.sha256,
            base,
            now,
            _writer(),
            self.op,
            self.message,
            prepared.expect,
        )
        data = encode_entry(header, prepared.text)
        head = Head(header.version, self.txid, data[-67:-3].decode(), now)
        self.claiming = True  # an interrupt from here on may hide that it was made
        begin = time.monotonic()
        try:
            storage.create(log_path(header.version), data)
            self.took = time.monotonic() - begin
        except FileExistsError:
            return self._unless_void(self._ours(head))
        except StorageUncertainError as error:
            if not storage.remote:
                raise CommitUnknownError(
                    f"version {head.version} was written, but it is not sure to last: {error.message}",
                    hint="ask again: Lake.committed(txid)",
                    txid=self.txid,
                ) from error
            return self._unless_void(self._ours(head))
        except StorageError as error:
            if self.unanswered is not None:  # an earlier request may still arrive
                raise self._unknown(head, error) from error
            self.claiming = False
            raise
        return self._unless_void(head)

    def _unless_void(self, head: Head | None) -> Head | None:
        """Return the entry that was made, unless others removed the log up to it meanwhile."""
        lake = self.lake
        if head is None:
            return None
        try:
            void = lake.is_void(head.version)
        except StorageError as error:
            raise self._unknown(head, error) from error
        if not void:
            return head
        lake.storage.delete([log_path(head.version)])
        lake.reload()
        if lake.head.version < head.version:
            raise RepositoryCorruptError(
                f"{lake.storage.url} says that its log was removed up to version {head.version} or later,"
                f" but nothing leads beyond version {lake.head.version}",
                hint="restore the repository from a copy",
            )
        self.again("others removed the log up to here")
        return None

    def _ours(self, head: Head) -> Head | None:
        """Return the entry that is there now, if it is the one that we tried to make.

        It may be from an earlier attempt at the same number, whose answer was lost.
        """
        try:
            entry = read_entry(self.lake.storage, head.version)
        except StorageError as error:
            raise self._unknown(head, error) from error
        if entry is not None and entry.txid == self.txid:
            return Head(entry.version, entry.txid, entry.sha256, entry.time)
        self.claiming = entry is None  # a request whose answer was lost may still arrive
        self.unanswered = head if entry is None else None
        self.winner = entry
        return None

    def _unknown(self, head: Head, error: StorageError) -> CommitUnknownError:
        return CommitUnknownError(
            f"no answer whether version {head.version} was committed: {error.message}",
            hint=f"ask later: Lake.committed({self.txid!r})",
            txid=self.txid,
        )


def _is_large(change: Change) -> bool:
    return bool(change.bulk or change.bulk_deletes) or change.row_count() > _MANY_ROWS


@cache
def _user_and_host() -> tuple[str, str]:
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = str(os.getuid())
    import socket

    return user, socket.gethostname()


def _writer() -> Mapping[str, Any]:
    user, host = _user_and_host()
    return {"lib": library_version(), "user": user, "host": host, "pid": os.getpid()}


@cache
def library_version() -> str:
    """Version of this package, as entries name it."""
    import lakebutler

    return str(lakebutler.__version__)
