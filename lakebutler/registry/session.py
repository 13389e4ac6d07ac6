# SPDX-License-Identifier: BSD-3-Clause
"""One writer's view of the lake: commit at once, or gather a transaction.

Every operation on the registry is a function ``build(snapshot) -> Change`` that
checks what it must against the snapshot and says what it would change.  Outside
a transaction it is committed at once; inside, it is laid over the working
snapshot, so that what comes next sees it, and the whole is one commit at the
end.  If another writer was faster and touched what the checks relied on, the
operations are built again, in their order, on the newer snapshot: no lock is
held while a user thinks, and no savepoint is needed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn, cast

from lakebutler.errors import ButlerUserError, ReadOnlyButlerError
from lakebutler.lake.change import Change
from lakebutler.lake.collector import collector_paused
from lakebutler.lake.lake import Lake
from lakebutler.lake.snapshot import Snapshot

__all__ = ["Build", "ClosedButlerError", "Session"]

Build = Callable[[Snapshot], Change | None]
"""An operation: what it would change, given a snapshot; `None` for nothing."""


@dataclass
class _Open:
    """The open transaction."""

    base: Snapshot
    working: Snapshot
    steps: list[tuple[Build, Change]] = field(default_factory=list)
    op: str = ""


class _OfThread(threading.local):
    """What one thread does on the session: no other joins its transaction."""

    open: _Open | None = None
    held: Snapshot | None = None
    holds: int = 0


class ClosedButlerError(ButlerUserError, RuntimeError):
    """The butler was closed."""

    kind = "closed"


class _Closed:
    """Stands where the lake of a closed session was."""

    def __getattr__(self, name: str) -> NoReturn:
        raise ClosedButlerError("the butler is closed", hint="open the repository again")


class Session:
    """Access to a lake for one butler.

    Parameters
    ----------
    lake : `Lake`
        The store.
    writeable : `bool`
        Whether changes are allowed.
    pinned : `Snapshot`, optional
        A version to stay at; no changes are possible then.

    Attributes
    ----------
    note : `str`
        A line to record with commits that come without one.
    """

    def __init__(self, lake: Lake, *, writeable: bool, pinned: Snapshot | None = None) -> None:
        self.lake = lake
        self.writeable = writeable and pinned is None
        self.note = ""
        self._pinned = pinned
        self._mine = _OfThread()

    @property
    def closed(self) -> bool:
        """Whether the session has let go of the lake."""
        return isinstance(self.lake, _Closed)

    def close(self) -> bool:
        """Let go of the lake: whatever is asked of the session from now on is refused.

        Returns
        -------
        closed : `bool`
            False if it was closed before.
        """
        if self.closed:
            return False
        self.lake = cast("Lake", _Closed())
        self._pinned = self._mine.held = None
        return True

    @property
    def pinned(self) -> Snapshot | None:
        """The version that the session stays at, if any."""
        return self._pinned

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._mine.open is not None

    @property
    def snapshot(self) -> Snapshot:
        """The state to read: the working state of the open transaction, else the newest."""
        if self._mine.open is not None:
            return self._mine.open.working
        if self._pinned is not None:
            return self._pinned
        if self._mine.held is not None:
            return self._mine.held
        return self.lake.snapshot()

    @contextlib.contextmanager
    def held(self, *, refresh: bool = True) -> Iterator[Snapshot]:
        """Read one and the same snapshot inside the block.

        Parameters
        ----------
        refresh : `bool`, optional
            Whether to look for what others committed; false right after opening.

        Yields
        ------
        snapshot : `Snapshot`
            The state that reads in the block see; own changes move it on.
        """
        if self._mine.holds == 0:
            fresh = refresh or self._mine.open is not None or self._pinned is not None
            self._mine.held = self.snapshot if fresh else self.lake.snapshot(refresh=False)
        self._mine.holds += 1
        try:
            yield self.snapshot
        finally:
            self._mine.holds -= 1
            if self._mine.holds == 0:
                self._mine.held = None

    def require_writeable(self, what: str) -> None:
        """Refuse a change on a read-only butler.

        Parameters
        ----------
        what : `str`
            The operation, for the message.

        Raises
        ------
        ReadOnlyButlerError
            Raised if the butler is read-only.
        """
        if self._pinned is not None:
            raise ReadOnlyButlerError(
                f"cannot {what}: the butler is opened at version {self._pinned.version}, which is history",
                hint="open the repository without as_of= to change it",
            )
        if not self.writeable:
            raise ReadOnlyButlerError(
                f"cannot {what}: the butler is opened read-only", hint="open it with writeable=True"
            )

    def execute(self, build: Build, *, op: str, message: str = "", together: bool = False) -> None:
        """Do an operation, now or with the open transaction.

        Parameters
        ----------
        build : callable
            The operation; it may be called more than once, each time with a
            newer snapshot.
        op : `str`
            The verb to record.
        message : `str`, optional
            A line to record with it.
        together : `bool`, optional
            Whether it may share a commit with other threads; see `Lake.commit`.
        """
        self.require_writeable(op)
        with collector_paused():
            self._execute(build, op, message, together=together)

    def _execute(self, build: Build, op: str, message: str, *, together: bool) -> None:
        if self._mine.open is None:
            snapshot = self.lake.commit(build, op=op, message=message or self.note, together=together)
            if self._mine.held is not None:
                self._mine.held = snapshot
            return
        change = build(self._mine.open.working)
        if change is None:
            return
        self._mine.open.working = self._mine.open.working.apply(change)
        self._mine.open.steps.append((build, change))
        self._mine.open.op = self._mine.open.op or op

    @contextlib.contextmanager
    def transaction(self, *, message: str = "") -> Iterator[None]:
        """Make one commit of everything inside the block, or nothing.

        Parameters
        ----------
        message : `str`, optional
            A line to record with the commit.

        Notes
        -----
        An inner transaction that fails undoes its own operations; the outer one
        goes on if the caller handles the error.
        """
        self.require_writeable("open a transaction")
        if self._mine.open is not None:
            with self._inner():
                yield
            return
        base = self.lake.snapshot()
        self._mine.open = _Open(base=base, working=base)
        try:
            yield
            self._commit(message)
        finally:
            self._mine.open = None

    @contextlib.contextmanager
    def _inner(self) -> Iterator[None]:
        outer = self._mine.open
        assert outer is not None
        mark = (outer.working, len(outer.steps), outer.op)
        try:
            yield
        except BaseException:
            outer.working, count, outer.op = mark
            del outer.steps[count:]
            raise

    def _commit(self, message: str) -> None:
        opened = self._mine.open
        assert opened is not None
        if not opened.steps:
            return
        builds = tuple(build for build, _ in opened.steps)
        whole = Change()
        for _, change in opened.steps:
            whole.extend(change)

        def replay(snapshot: Snapshot) -> Change | None:
            again = Change()
            working = snapshot
            for build in builds:
                change = build(working)
                if change is not None:
                    working = working.apply(change)
                    again.extend(change)
            return again or None

        op = opened.op if len(builds) == 1 else "transaction"
        snapshot = self.lake.commit(
            replay, op=op, message=message or self.note, base=opened.base, change=whole
        )
        if self._mine.held is not None:
            self._mine.held = snapshot
