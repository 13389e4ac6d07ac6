# SPDX-License-Identifier: BSD-3-Clause
"""One writer at a time: a lock on the lake file itself, which a crash lets go of."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from lakebutler.config import names_lake_file
from lakebutler.errors import RepositoryError, RepositoryExistsError, StorageError
from lakebutler.lake.container.layout import END, head_page

__all__ = ["LockedFile", "busy", "give_name", "make_container", "refuse", "sync_folder", "whole_file"]

_CHUNK = 1 << 20
_HINTS = {
    errno.ENOSPC: "nothing was committed; make room and try again",
    errno.EDQUOT: "nothing was committed; make room and try again",
    errno.EFBIG: "nothing was committed; the limit of file sizes is reached",
    errno.EROFS: "nothing was committed; the file system is mounted read-only",
    errno.EACCES: "nothing was committed; check who owns the file and its permissions",
    errno.EPERM: "nothing was committed; check who owns the file and its permissions",
    errno.EMFILE: "close files or raise the limit (ulimit -n)",
}


def refuse(doing: str, path: str, error: OSError) -> NoReturn:
    """Raise what an error of the system means for the caller.

    Parameters
    ----------
    doing : `str`
        A verb.
    path : `str`
        What it was done to.
    error : `OSError`
        What the system said.
    """
    if isinstance(error, RepositoryError):
        raise error
    raise StorageError(
        f"cannot {doing} {path}: {error.strerror or error}", hint=_HINTS.get(error.errno or 0)
    ) from error


def busy(path: str, who: str, patience: float) -> StorageError:
    """Return the error of a writer that waited in vain.

    Parameters
    ----------
    path : `str`
        The lake file.
    who : `str`
        Who writes to it.
    patience : `float`
        How long it was waited, in seconds.
    """
    return StorageError(
        f"{path} is being written to by {who}: nothing was committed",
        hint=f"it was waited for {patience:.0f} s; try again when the other is done",
    )


class LockedFile:
    """A local file that is written to only while it is locked.

    Parameters
    ----------
    path : `str`
        Absolute path.

    Attributes
    ----------
    held : `bool`
        Whether the lock is ours.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.held = False
        self._descriptor = -1
        self._existed = False

    def __del__(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        """Close the file.  A lock is not given back: after a fork it is that of the parent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self.held = -1, False

    # ---------------------------------------------------------------------- lock

    def acquire(self, patience: float) -> None:
        """Lock the file; make it if there is none yet.

        Parameters
        ----------
        patience : `float`
            How long to wait for another writer, in seconds.

        Raises
        ------
        lakebutler.errors.StorageError
            Raised if another one has the lock for longer, or the file may not be written.
        """
        deadline = time.monotonic() + patience
        while True:
            if self._descriptor < 0:
                self._open()
            self._wait(deadline, patience)
            if self.is_current():
                self.held = self._existed = True
                return
            self.abandon()  # another file has the name now

    def release(self) -> None:
        """Let others write."""
        import fcntl

        self.held = False
        with suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def is_current(self) -> bool:
        """Whether the file still has its name."""
        found = os.fstat(self._descriptor)
        try:
            now = os.stat(self.path)
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (found.st_dev, found.st_ino)

    def note_existence(self) -> None:
        """Remember that the file was there: if it goes, it is not made again."""
        self._existed = True

    def _open(self) -> None:
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            if self._existed:
                raise StorageError(f"{self.path} is gone: it was removed or renamed meanwhile") from None
            with suppress(FileExistsError):
                make_container(self.path)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            refuse("write to", self.path, error)

    def _wait(self, deadline: float, patience: float) -> None:
        import fcntl

        pause = 0.0001
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise busy(self.path, _holder(self._descriptor), patience) from None
            except OSError as error:
                refuse("lock", self.path, error)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.005)

    # ------------------------------------------------------------------- writing

    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._descriptor).st_size

    def write(self, place: int, pieces: Iterable[bytes]) -> int:
        """Write pieces one behind the other; return where they end."""
        held: list[bytes] = []
        size = 0
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
        return place

    def close_at(self, length: int) -> None:
        """Let the archive end at a length, whatever lies behind it."""
        if self.size() > length + len(END) or os.pread(self._descriptor, len(END), length) != END:
            os.ftruncate(self._descriptor, length + len(END))
            os.pwrite(self._descriptor, END, length)

    def sync(self) -> None:
        """Make what was written durable."""
        getattr(os, "fdatasync", os.fsync)(self._descriptor)


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
    try:
        os.makedirs(folder, exist_ok=True)
        temporary = f"{folder}/.{os.path.basename(path)[:200]}.tmp-{uuid.uuid4().hex}"
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
        refuse("make", path, error)


@contextmanager
def whole_file(place: str) -> Iterator[str]:
    """Yield where to make a repository; a lake file has its name only when it is whole.

    Parameters
    ----------
    place : `str`
        Absolute path or URL of the repository.

    Yields
    ------
    there : `str`
        A name beside it for a local lake file; the place itself otherwise.

    Raises
    ------
    lakebutler.errors.RepositoryExistsError
        Raised if the name was taken meanwhile.
    lakebutler.errors.StorageError
        Raised if the name cannot be given.
    """
    if "://" in place or not names_lake_file(place) or os.path.isdir(place):
        yield place
        return
    folder, name = os.path.split(place)
    temporary = f"{folder}/.{name[:200]}.tmp-{uuid.uuid4().hex}.lake"
    try:
        yield temporary
        give_name(temporary, place)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def give_name(temporary: str, path: str) -> None:
    """Give a file that is whole its name, durably; the other name stays.

    Parameters
    ----------
    temporary : `str`
        The name it has.
    path : `str`
        The name it is to have.

    Raises
    ------
    lakebutler.errors.RepositoryExistsError
        Raised if the name is taken.
    lakebutler.errors.StorageError
        Raised if the name cannot be given.
    """
    try:
        os.link(temporary, path)
        sync_folder(os.path.dirname(path))
    except FileExistsError:
        raise RepositoryExistsError(
            f"{path} exists; it is not overwritten", hint="choose another name"
        ) from None
    except OSError as error:
        refuse("make", path, error)


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable.

    Parameters
    ----------
    folder : `str`
        Absolute path.
    """
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
