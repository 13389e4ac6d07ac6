# SPDX-License-Identifier: BSD-3-Clause
"""Writing a lake file: one writer at a time, and a publish that is whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO, NoReturn
from zlib import crc32

from lakebutler.errors import StorageError, StorageUncertainError
from lakebutler.lake.container import (
    DELETED,
    END,
    INDEX,
    MARK,
    SETTLED,
    SETTLED_AT,
    SLOT_SIZE,
    Entry,
    Mark,
    Run,
    Slot,
    check_name,
    encode_entry,
    encode_slot,
    head_page,
    header_size,
    make_header,
    padding,
    slot_offset,
)
from lakebutler.lake.container_index import merged_tail, pack_run
from lakebutler.lake.container_reader import ContainerReader, State
from lakebutler.lake.container_source import LocalSource

__all__ = ["ContainerWriter", "make_container"]

PATIENCE = 10.0
"""How long a writer waits for another one, in seconds."""

IN_MEMORY = 32 << 20
"""Bytes of members that wait in memory; from then on they are written where they will be."""

_LARGE = 1 << 20
_MOST_RUNS = 64
_CHUNK = 1 << 20
_fdatasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
_writers: weakref.WeakSet[ContainerWriter] = weakref.WeakSet()


class Waiting:
    """A member that is not published yet.

    Parameters
    ----------
    data : `bytes` or `None`
        Its content; `None` if it is in the file already.
    entry : `Entry`
        Where it is; an offset of 0 if it is not in the file yet.
    seen : `int`
        Number of the publish at which its name was free; -1 if it may replace another.
    """

    __slots__ = ("data", "entry", "seen")

    def __init__(self, data: bytes | None, entry: Entry, seen: int) -> None:
        self.data = data
        self.entry = entry
        self.seen = seen


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
        self._path = path
        self._mutex = threading.RLock()
        self._descriptor = -1
        self._depth = 0
        self._locked = False
        self._waiting: dict[str, Waiting] = {}
        self._bytes = 0
        self._tail = 0
        self._tail_crc = 0
        self._existed = False
        _writers.add(self)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def after_fork(self) -> None:
        """Forget what belongs to the process that this one was forked from."""
        if self._descriptor >= 0:
            os.close(self._descriptor)  # not unlocked: the lock is that of the other process
        self._descriptor, self._depth, self._locked = -1, 0, False
        self._mutex = threading.RLock()
        self._drop_all()
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
            raise self._busy("another thread")
        try:
            if not self._locked:
                self._lock()
            self._depth += 1
            try:
                yield self.state()
            finally:
                self._depth -= 1
                self._unlock()
        finally:
            self._mutex.release()

    def _lock(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            if self._descriptor < 0:
                self._open()
            self._wait(deadline)
            found = os.fstat(self._descriptor)
            with suppress(OSError):
                now = os.stat(self._path)
                if (now.st_dev, now.st_ino) == (found.st_dev, found.st_ino):
                    break
            self._close()  # another file has the name now
        self._locked = self._existed = True
        try:
            self._tidy()
        except BaseException:
            self._unlock()
            raise

    def _open(self) -> None:
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            if self._existed:
                raise StorageError(f"{self.url} is gone: it was removed or renamed meanwhile") from None
            with suppress(FileExistsError):
                make_container(self._path)
            self.forget()
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            self._refuse("write to", error)

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor, self._locked = -1, False

    def _wait(self, deadline: float) -> None:
        import fcntl

        pause = 0.0001
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise self._busy(_holder(self._descriptor)) from None
            except OSError as error:
                self._refuse("lock", error)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.005)

    def _unlock(self) -> None:
        """Let others write, unless something of ours lies behind the end already."""
        if self._depth or not self._locked or self._tail:
            return
        import fcntl

        self._locked = False
        with suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _busy(self, who: str) -> StorageError:
        return StorageError(
            f"{self.url} is being written to by {who}: nothing was committed",
            hint=f"it was waited for {PATIENCE:.0f} s; try again when the other is done",
        )

    def _refuse(self, doing: str, error: OSError) -> NoReturn:
        hints = {
            errno.ENOSPC: "nothing was committed; make room and try again",
            errno.EDQUOT: "nothing was committed; make room and try again",
            errno.EFBIG: "nothing was committed; the limit of file sizes is reached",
            errno.EROFS: "nothing was committed; the file system is mounted read-only",
            errno.EACCES: "nothing was committed; check who owns the file and its permissions",
            errno.EPERM: "nothing was committed; check who owns the file and its permissions",
        }
        raise StorageError(
            f"cannot {doing} {self.url}: {error.strerror or error}", hint=hints.get(error.errno or 0)
        ) from error

    def _tidy(self) -> None:
        """Remove what a writer that was killed left behind the end."""
        state = self.state()
        if state.damage:
            raise StorageError(
                f"{state.damage}; it can only be read",
                hint="make a whole one of it: lakebutler pack FILE NEW.lake",
            )
        size = os.fstat(self._descriptor).st_size
        end = os.pread(self._descriptor, len(END), state.length)
        if size > state.length + len(END) or end != END:
            self._truncate(state.length)

    def _truncate(self, length: int) -> None:
        with suppress(OSError):
            os.ftruncate(self._descriptor, length + len(END))
            os.pwrite(self._descriptor, END, length)

    # ------------------------------------------------------------------- members

    def find(self, path: str) -> Entry | None:
        """Return where a member is, also one that waits; `None` if there is none."""
        waiting = self._waiting.get(path)
        return waiting.entry if waiting is not None else super().find(path)

    def read(self, path: str) -> bytes:
        """Return the content of a member, also of one that waits."""
        waiting = self._waiting.get(path)
        if waiting is not None and waiting.data is not None:
            return waiting.data
        return super().read(path)

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
        with self.exclusive():
            self.spill()
            begin, crc = self._tail or self.state().length, self._tail_crc
            digest, now = hashlib.sha256(), int(time.time())
            header = make_header(path, size, now)
            offset = place = begin + len(header)
            try:
                self._write(begin, [header])
                crc = crc32(header, crc)
                while part := stream.read(min(_CHUNK, size - (place - offset) + 1)):
                    self._write(place, [part])
                    digest.update(part)
                    crc, place = crc32(part, crc), place + len(part)
                    if place - offset > size:
                        break
                if place - offset != size:
                    self._truncate(begin)
                    return None
                rest = bytes(padding(size))
                self._write(place, [rest, END])
            except BaseException:
                self._truncate(begin)
                raise
            self._tail, self._tail_crc = place + len(rest), crc32(rest, crc)
            self._waiting[path] = Waiting(None, Entry(offset, size, now), self.state().seq)
            return digest.hexdigest()

    def spill(self) -> None:
        """Write the members that wait in memory behind the end; nobody sees them there yet."""
        with self.exclusive() as state:
            names = [name for name, waiting in self._waiting.items() if waiting.data is not None]
            if not names:
                return
            begin = self._tail or state.length
            pieces, place = self._placed(names, begin)
            try:
                self._write(begin, [*pieces, END])
            except BaseException:
                self._truncate(begin)
                raise
            for piece in pieces:
                self._tail_crc = crc32(piece, self._tail_crc)
            self._tail = place
            for name in names:
                self._waiting[name].data = None
            self._bytes = 0

    def _placed(self, names: Sequence[str], place: int) -> tuple[list[bytes], int]:
        """Give members that wait their places; return their bytes and the end."""
        pieces = []
        for name in names:
            waiting = self._waiting[name]
            data, entry = waiting.data, waiting.entry
            assert data is not None
            header = make_header(name, len(data), entry.mtime)
            waiting.entry = Entry(place + len(header), len(data), entry.mtime)
            pieces += [header, data, bytes(padding(len(data)))]
            place += len(header) + len(data) + len(pieces[-1])
        return pieces, place

    def drop(self, paths: Iterable[str]) -> list[str]:
        """Let go of members that wait; return the paths that were not among them."""
        with self._mutex:
            rest = [path for path in paths if not self._drop(path)]
            if self._tail and not self._waiting:
                self._truncate(self.state().length)
                self._tail = self._tail_crc = 0
                self._unlock()
        return rest

    def _drop(self, path: str) -> bool:
        waiting = self._waiting.pop(path, None)
        if waiting is not None and waiting.data is not None:
            self._bytes -= len(waiting.data)
        return waiting is not None

    def _drop_all(self) -> None:
        self._waiting.clear()
        self._bytes = self._tail = self._tail_crc = 0

    def remove(self, paths: Iterable[str]) -> None:
        """Remove members, durably; one that is not there is no error."""
        rest = self.drop(paths)
        try:
            if not rest or not any(self.find(path) for path in rest):
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
        self._existed = True
        if not self._waiting and not removed:
            return
        self._check_free(state)
        begin = self._tail or state.length
        pieces, slot, after = self._compose(state, begin, removed)
        settled = self._tail > 0 or sum(map(len, pieces)) > _LARGE
        crc = 0
        try:
            if settled:
                self._write(begin, [*pieces, END])
                _fdatasync(self._descriptor)
            else:
                whole = b"".join((*pieces, END))
                crc = crc32(memoryview(whole)[: -len(END)])
                self._write(begin, [whole])
        except BaseException as error:
            self._truncate(begin)
            if isinstance(error, OSError) and not isinstance(error, StorageError):
                self._refuse("write to", error)
            raise
        self._commit(slot._replace(crc=crc, settled=settled))
        self._state, self._peeked = after, self._peek()
        self._index.forget(after.runs)

    def _commit(self, slot: Slot) -> None:
        """Write the slot: from here on it is committed."""
        place = slot_offset(slot.seq)
        try:
            os.pwrite(self._descriptor, encode_slot(slot), place)
            _fdatasync(self._descriptor)
            if not slot.settled:
                os.pwrite(self._descriptor, SETTLED, place + SETTLED_AT)
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
        """Refuse members whose name others took since they were added."""
        for path, waiting in self._waiting.items():
            if waiting.seen not in (-1, state.seq) and self._find(state, path) is not None:
                raise StorageError(
                    f"{path} was made in {self.url} by another writer meanwhile", hint="try again"
                )

    def _compose(self, state: State, begin: int, removed: Sequence[str]) -> tuple[list[bytes], Slot, State]:
        """Return the bytes of a publish, the slot that speaks of it, and the state after it."""
        now, seq, start = int(time.time()), state.seq + 1, state.length
        pieces: list[bytes] = []
        if removed:
            pieces = _member(DELETED, b"".join(path.encode() + b"\n" for path in removed), now)
        names = [name for name, waiting in self._waiting.items() if waiting.data is not None]
        more, place = self._placed(names, begin + sum(map(len, pieces)))
        pieces += more
        changes = [(name.encode(), waiting.entry) for name, waiting in self._waiting.items()]
        changes += [(path.encode(), Entry(0, 0, now)) for path in removed]
        recent, runs = {**state.recent, **dict(changes)}, state.runs
        lines = state.lines + b"".join(encode_entry(*pair) for pair in changes)
        if not _fits(Slot(seq, start, place, runs=runs, recent=lines)):
            content, run, kept = self._merged(runs, recent)
            pieces += _member(INDEX, content, now)
            runs = (*kept, run._replace(offset=place + header_size(INDEX, len(content))))
            place += sum(map(len, pieces[-3:]))
            recent, lines = {}, b""
        if not pieces:
            pieces = _member(MARK, b"", now)
            place += sum(map(len, pieces))
        pieces[-3] = self._marked(pieces, seq)
        after = State(seq, start, place, runs, recent, lines)
        return pieces, Slot(seq, start, place, runs=runs, recent=lines), after

    def _marked(self, pieces: Sequence[bytes], seq: int) -> bytes:
        """Return the header of the last member with the mark of the publish."""
        header = pieces[-3]
        crc = self._tail_crc
        for piece in (*pieces[:-3], header[:-512], *pieces[-2:]):
            crc = crc32(piece, crc)
        spare = Mark(seq, crc).encode()
        total = int(header[-364:-358], 8) + sum(spare)
        return b"%b%06o%b%b" % (header[:-364], total, header[-358:-12], spare)

    def _merged(
        self, runs: tuple[Run, ...], recent: dict[bytes, Entry]
    ) -> tuple[bytes, Run, tuple[Run, ...]]:
        """Return a run of the recent entries and of the runs that are due, and the runs that stay."""
        tail = merged_tail(runs, len(recent)) if len(runs) < _MOST_RUNS else len(runs)
        kept = runs[: len(runs) - tail]
        entries: dict[bytes, Entry] = {}
        for run in runs[len(kept) :]:
            entries.update(self._index.scan(run, b"", None))
        entries.update(recent)
        pairs = sorted(entries.items())
        if not kept:
            pairs = [pair for pair in pairs if pair[1].offset] or pairs[:1]
        return (*pack_run(pairs), kept)

    def _write(self, place: int, pieces: Iterable[bytes]) -> None:
        """Write pieces one behind the other."""
        held: list[bytes] = []
        size = 0
        try:
            for piece in (*pieces, None):
                if piece is not None and size < _CHUNK:
                    held.append(piece)
                    size += len(piece)
                    continue
                view = memoryview(b"".join(held) if len(held) != 1 else held[0])
                while view:
                    done = os.pwrite(self._descriptor, view, place)
                    view, place = view[done:], place + done
                held, size = ([piece], len(piece)) if piece is not None else ([], 0)
        except OSError as error:
            self._refuse("write to", error)


def _member(path: str, data: bytes, mtime: int) -> list[bytes]:
    return [make_header(path, len(data), mtime), data, bytes(padding(len(data)))]


def _fits(slot: Slot) -> bool:
    try:
        return len(encode_slot(slot)) <= SLOT_SIZE
    except OverflowError:
        return False


def make_container(path: str) -> None:
    """Make an empty lake file.

    Parameters
    ----------
    path : `str`
        Absolute path.

    Raises
    ------
    FileExistsError
        Raised if the name is taken.
    lakebutler.errors.StorageError
        Raised if it cannot be made.
    """
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    temporary = f"{folder}/.{os.path.basename(path)[:200]}.tmp-{uuid.uuid4().hex}"
    try:
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        try:
            try:
                os.write(descriptor, head_page(int(time.time())) + END)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.link(temporary, path)
        finally:
            os.unlink(temporary)
        sync_folder(folder)
    except FileExistsError:
        raise
    except OSError as error:
        raise StorageError(f"cannot make {path}: {error.strerror or error}") from error


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    """Say who has the lock, where the system tells."""
    number = os.fstat(descriptor).st_ino
    with suppress(OSError, ValueError, IndexError), open("/proc/locks", encoding="ascii") as stream:
        for line in stream:
            words = line.split()
            if words[1] == "FLOCK" and words[5].endswith(f":{number}"):
                return f"process {words[4]}"
    return "another process"


def _after_fork() -> None:
    for writer in list(_writers):
        writer.after_fork()


os.register_at_fork(after_in_child=_after_fork)
