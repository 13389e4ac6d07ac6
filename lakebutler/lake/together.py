# SPDX-License-Identifier: BSD-3-Clause
"""Commits of several threads in one entry: one flush of the disk for all that wait.

While one thread commits, others queue.  Who comes first of those takes what all of them
want, lays one change over the other, and commits the whole; the others find it done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile

from lakebutler.errors import CommitUnknownError
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot

__all__ = ["Together"]

Build = Callable[[Snapshot], Change | None]
CommitAlone = Callable[[Build, str, str], Snapshot]
_MOST = 200


@dataclass(eq=False)
class _Waiting:
    """What one thread wants, and how it ended."""

    build: Build
    op: str
    message: str
    done: bool = False
    snapshot: Snapshot | None = None
    error: Exception | None = None


class Together:
    """The queue of one lake.

    Parameters
    ----------
    mutex : lock
        Who holds it commits.
    alone : callable
        Commits one change: given what builds it, verb and message.
    """

    def __init__(self, mutex: threading.RLock, alone: CommitAlone) -> None:
        self._mutex = mutex
        self._alone = alone
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    def commit(self, build: Build, op: str, message: str) -> Snapshot:
        """Commit a change, in one entry with what other threads wait to commit.

        Parameters and errors are those of `Lake.commit`.
        """
        mine = _Waiting(build, op, message)
        with self._lock:
            self._waiting.append(mine)
        with self._mutex:
            while not mine.done:
                self._run(self._next())
        if mine.error is not None:
            raise mine.error
        assert mine.snapshot is not None
        return mine.snapshot

    def _next(self) -> list[_Waiting]:
        """Take those at the front of the queue that want the same verb with the same words."""
        with self._lock:
            first = self._waiting[0]
            alike = (first.op, first.message)
            batch = list(takewhile(lambda one: (one.op, one.message) == alike, self._waiting[:_MOST]))
            del self._waiting[: len(batch)]
        return batch

    def _run(self, batch: list[_Waiting]) -> None:
        try:
            if len(batch) == 1:
                batch[0].snapshot = self._alone(batch[0].build, batch[0].op, batch[0].message)
            else:
                self._run_several(batch)
        except Exception as error:  # noqa: BLE001 - each goes to the thread that waits for it
            for one in batch:
                one.error = one.error or error
        except BaseException:
            for one in batch:
                one.error = one.error or CommitUnknownError(
                    "the commit was broken off", hint="look whether the change is there"
                )
            raise
        finally:
            for one in batch:
                one.done = True

    def _run_several(self, batch: list[_Waiting]) -> None:
        failed: list[_Waiting] = []

        def build(snapshot: Snapshot) -> Change | None:
            failed.clear()
            whole, working = Change(), snapshot
            for one in batch:
                try:
                    change = one.build(working)
                    if change is not None:
                        working = working.apply(change)
                        whole.extend(change)
                except Exception:  # noqa: BLE001 - asked again alone, to say it of the newest version
                    failed.append(one)
            return whole or None

        snapshot = self._alone(build, batch[0].op, batch[0].message)
        for one in batch:
            if one not in failed:
                one.snapshot = snapshot
        for one in failed:
            try:
                one.snapshot = self._alone(one.build, one.op, one.message)
            except Exception as error:  # noqa: BLE001 - it goes to the thread that waits for it
                one.error = error
