# SPDX-License-Identifier: BSD-3-Clause
"""Writing a lake file: one writer at a time, and a publish that is whole or not at all."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO
from zlib import crc32

from lakebutler.errors import StorageError, StorageUncertainError
from lakebutler.lake.container.layout import (
    END,
    SETTLED,
    SETTLED_AT,
    Entry,
    Slot,
    check_name,
    encode_slot,
    make_header,
    padding,
    slot_offset,
)
from lakebutler.lake.container.lock import LockedFile, busy, refuse
from lakebutler.lake.container.publish import Waiting, compose, place_members
from lakebutler.lake.container.reader import ContainerReader, State
from lakebutler.lake.container.source import LocalSource

__all__ = ["ContainerWriter"]

PATIENCE = 10.0
"""How long a writer waits for another one, in seconds."""

IN_MEMORY = 32 << 20
"""Bytes of members that wait in memory; from then on they are written where they will be."""

_LARGE = 1 << 20
_CHUNK = 1 << 20
_writers: weakref.WeakSet[ContainerWriter] = weakref.WeakSet()


class ContainerWriter(ContainerReader):
    """Reads and writes a local lake file.

    Parameters
    ----------
    path : `str`
        Absolute path.  It may not exist yet: the first publish makes it.

    Notes
    -----
    Members that were added wait, in memory or behind the end of the archive, until
    `publish` makes all of them visible and durable at once.  One writer may be used by
    several threads; it and other writers, also of other processes, take turns by a
    lock on the file, which a crash lets go of.
    """

    def __init__(self, path: str) -> None:
        super().__init__(LocalSource(path))
        self._file = LockedFile(path)
        self._mutex = threading.RLock()
        self._depth = 0
        self._waiting: dict[str, Waiting] = {}
        self._bytes = 0
        self._tail = 0
        self._tail_crc = 0
        self._dead: set[str] = set()
        self._yielded: dict[str, None] = {}
        _writers.add(self)

    def after_fork(self) -> None:
        """Forget what belongs to the process that this one was forked from."""
        self._file.abandon()
        self._depth = 0
        self._mutex = threading.RLock()
        self._drop_all()
        self.forget()

    def close(self) -> None:
        """Close the file, and forget what waits."""
        with self._mutex:
            if self._tail:
                self._truncate(self.state().length)
            self._drop_all()
            self._file.abandon()
            self.forget()

    # --------------------------------------------------------------------- turns

    @contextmanager
    def exclusive(self) -> Iterator[State]:
        """Be the only writer for a while.

        Yields
        ------
        state : `State`
            What the file holds; nobody else changes it meanwhile.

        Raises
        ------
        lakebutler.errors.StorageError
            Raised if another one writes for too long, or the file may not be written.
        """
        if not self._mutex.acquire(timeout=PATIENCE):
            raise busy(self.url, "another thread", PATIENCE)
        try:
            if not self._file.held:
                self._file.acquire(PATIENCE)
                self._tidy()
            self._depth += 1
            try:
                yield self.state()
            finally:
                self._depth -= 1
                self._let_go()
        finally:
            self._mutex.release()

    def _let_go(self) -> None:
        """Let others write, unless something of ours lies behind the end already."""
        if not self._depth and self._file.held and not self._tail:
            self._file.release()

    def _tidy(self) -> None:
        """Remove what a writer that was killed left behind the end."""
        try:
            state = self.state()
            self._refuse_damaged(state)
            self._file.close_at(state.length)
        except BaseException as error:
            self._file.release()
            if isinstance(error, OSError):
                refuse("write to", self.url, error)
            raise

    def _refuse_damaged(self, state: State) -> None:
        if state.damage:
            raise StorageError(
                f"{state.damage}; it can only be read",
                hint="make a whole one of it: lakebutler pack FILE NEW.lake",
            )

    def _truncate(self, length: int) -> None:
        with suppress(OSError):
            self._file.close_at(length)

    def state(self) -> State:
        """Return what the file holds now."""
        state = super().state()
        self._file.note_existence()
        return state

    # ------------------------------------------------------------------- members

    def find(self, path: str) -> Entry | None:
        """Return where a member is, also one that waits; `None` if there is none."""
        waiting = self._waiting.get(path)
        return waiting.entry if waiting is not None else super().find(path)

    def read(self, path: str) -> bytes:
        """Return the content of a member, also of one that waits."""
        data = self.waiting(path)
        return super().read(path) if data is None else data

    def waiting(self, path: str) -> bytes | None:
        """Return the content of a member that waits in memory."""
        found = self._waiting.get(path)
        return found.data if found is not None else None

    def add(self, path: str, data: bytes, *, replace: bool = False) -> bool:
        """Add a member, to be published later.

        Parameters
        ----------
        path : `str`
            Its name.
        data : `bytes`
            Its content.
        replace : `bool`, optional
            It may take the place of another one.

        Returns
        -------
        added : `bool`
            False if the name is taken.
        """
        check_name(path)
        with self._mutex:
            seen = -1
            if not replace:
                seen = self._seen()
                if path in self._waiting or (seen and super().find(path) is not None):
                    return False
            self._drop(path)
            self._waiting[path] = Waiting(data, Entry(0, len(data), int(time.time())), seen)
            self._bytes += len(data)
            try:
                if self._bytes > IN_MEMORY:
                    self.spill()
            except BaseException:
                self._drop(path)
                raise
        return True

    def _seen(self) -> int:
        """Number of the newest publish; 0 if there is no file yet."""
        try:
            return self.state().seq
        except FileNotFoundError:
            return 0

    def add_stream(self, path: str, stream: BinaryIO, size: int) -> str | None:
        """Add a large member without having it in memory.

        Parameters
        ----------
        path : `str`
            Its name, which is free.
        stream : file-like
            Its content.
        size : `int`
            How many bytes that has.

        Returns
        -------
        digest : `str` or `None`
            SHA-256 as 64 hexadecimal digits; `None` if it had another size, and
            nothing was added.
        """
        check_name(path)
        with self.exclusive() as state:
            self.spill()
            begin, crc = self._tail or state.length, self._tail_crc
            digest, now = hashlib.sha256(), int(time.time())
            header = make_header(path, size, now)
            left = size
            try:
                place = self._file.write(begin, [header])
                crc = crc32(header, crc)
                while left >= 0 and (part := stream.read(min(_CHUNK, left + 1))):
                    place = self._file.write(place, [part])
                    digest.update(part)
                    crc, left = crc32(part, crc), left - len(part)
                rest = bytes(padding(size))
                if left == 0:
                    self._file.write(place, [rest, END])
            except BaseException as error:
                self._truncate(begin)
                if isinstance(error, OSError):
                    refuse("write to", self.url, error)
                raise
            if left:
                self._truncate(begin)
                return None
            self._tail, self._tail_crc = place + len(rest), crc32(rest, crc)
            self._waiting[path] = Waiting(None, Entry(begin + len(header), size, now), state.seq)
            return digest.hexdigest()

    def spill(self) -> None:
        """Write the members that wait in memory behind the end; nobody sees them there yet."""
        with self.exclusive() as state:
            self._check_free(state)
            begin = self._tail or state.length
            pieces, place = place_members(self._waiting, begin)
            if not pieces:
                return
            try:
                self._file.write(begin, [*pieces, END])
            except BaseException as error:
                self._truncate(begin)
                if isinstance(error, OSError):
                    refuse("write to", self.url, error)
                raise
            for piece in pieces:
                self._tail_crc = crc32(piece, self._tail_crc)
            self._tail = place
            for waiting in self._waiting.values():
                waiting.data = None
            self._bytes = 0

    def drop(self, paths: Iterable[str]) -> list[str]:
        """Let go of members that wait; return the paths that were not among them."""
        with self._mutex:
            rest = [path for path in paths if not self._drop(path) and self._own(path)]
            if self._tail and not self._waiting:
                self._truncate(self.state().length)
                self._drop_all()
                self._let_go()
        return rest

    def _own(self, path: str) -> bool:
        """Whether a member may be removed: not if ours gave way to the same one of another writer."""
        if path not in self._yielded:
            return True
        del self._yielded[path]
        return False

    def _drop(self, path: str) -> bool:
        waiting = self._waiting.pop(path, None)
        if waiting is None:
            return False
        if waiting.data is not None:
            self._bytes -= len(waiting.data)
        else:
            self._dead.add(path)  # it is in the file already, and says so to tar
        return True

    def _drop_all(self) -> None:
        self._waiting.clear()
        self._dead.clear()
        self._bytes = self._tail = self._tail_crc = 0

    def remove(self, paths: Iterable[str]) -> None:
        """Remove members, durably; one that is not there is no error."""
        rest = self.drop(paths)
        try:
            if not any(self.find(path) for path in rest):
                return
        except FileNotFoundError:
            return
        with self.exclusive():
            self.publish([path for path in rest if self.find(path)])

    # ------------------------------------------------------------------- publish

    def publish(self, removed: Sequence[str] = ()) -> None:
        """Make what waits visible and durable, all at once; only inside `exclusive`.

        Parameters
        ----------
        removed : sequence of `str`, optional
            Members to remove with it.

        Raises
        ------
        lakebutler.errors.StorageError
            Raised if it cannot be written; everything is as before.
        lakebutler.errors.StorageUncertainError
            Raised if it is written, but the disk does not confirm it.
        """
        state = self.state()
        if not self._waiting and not removed:
            return
        removed = [*removed, *sorted(self._dead - self._waiting.keys())]
        self._check_free(state)
        begin = self._tail or state.length
        tail, now = (begin, self._tail_crc), int(time.time())
        pieces, slot, after = compose(self._index, state, self._waiting, removed, tail, now)
        slot = slot._replace(settled=self._tail > 0 or sum(map(len, pieces)) > _LARGE)
        try:
            if slot.settled:
                self._file.write(begin, [*pieces, END])
                self._file.sync()
            else:
                whole = b"".join((*pieces, END))
                slot = slot._replace(crc=crc32(memoryview(whole)[: -len(END)]))
                self._file.write(begin, [whole])
        except BaseException as error:
            self._truncate(begin)
            if isinstance(error, OSError):
                refuse("write to", self.url, error)
            raise
        self._commit(slot)
        self._state, self._peeked = after, self._peek()
        self._index.forget(after.runs)

    def _commit(self, slot: Slot) -> None:
        """Write the slot: from here on it is committed."""
        place = slot_offset(slot.seq)
        try:
            self._file.write(place, [encode_slot(slot)])
            self._file.sync()
            if not slot.settled:
                self._file.write(place + SETTLED_AT, [SETTLED])
        except BaseException as error:
            self._drop_all()
            self._state, self._peeked = None, b""
            if isinstance(error, OSError):
                raise StorageUncertainError(
                    f"{self.url} was written to, but the disk does not confirm it: {error.strerror or error}"
                ) from error
            raise
        self._drop_all()

    def _check_free(self, state: State) -> None:
        """Give way to members that others made since ours were added, if they are the same."""
        if not self._file.is_current():
            raise StorageError(f"{self.url} is gone: it was replaced while it was written to")
        for path, waiting in list(self._waiting.items()):
            if waiting.data is None or waiting.seen in (-1, state.seq):
                continue
            entry = self._find(state, path)
            if entry is None:
                waiting.seen = state.seq
            elif entry.size == len(waiting.data) and self.content([(path, entry)])[0] == waiting.data:
                self._drop(path)
                self._yielded[path] = None
            else:
                raise StorageError(
                    f"{path} was made in {self.url} by another writer meanwhile", hint="try again"
                )


def _after_fork() -> None:
    for writer in list(_writers):
        writer.after_fork()


os.register_at_fork(after_in_child=_after_fork)
