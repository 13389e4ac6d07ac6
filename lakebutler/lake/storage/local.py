# SPDX-License-Identifier: BSD-3-Clause
"""A repository in a local directory."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

from lakebutler.errors import RepositoryCorruptError, StorageError, StorageUncertainError
from lakebutler.lake.naming import LOCK
from lakebutler.lake.storage.base import FileInfo, Storage, check_path

__all__ = ["LocalStorage", "hash_file"]

_LOCK_PATIENCE = 10.0
_BREATH, _LONG_BREATH = 0.002, 0.05
_PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


class LocalStorage(Storage):
    """A local directory.

    `create` writes a nameless (or hidden) file, flushes it to the disk, gives it
    its name with ``link`` (which fails if the name is taken) and flushes the
    directory.

    Parameters
    ----------
    root : `str`
        Absolute path of the directory.  Opening makes nothing.
    """

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self.url = self.root
        self._verified: dict[str, tuple[int, int, int, str]] = {}
        self._tmpfile = hasattr(os, "O_TMPFILE")
        self._inside: set[str] = set()

    def __repr__(self) -> str:
        return f"LocalStorage({self.root!r})"

    def _full(self, path: str) -> str:
        folder = check_path(path).rpartition("/")[0]
        if folder and folder not in self._inside:
            self._require_inside(folder)
        return f"{self.root}/{path}"

    def _require_inside(self, folder: str) -> None:
        """Refuse a folder of the repository that is a symbolic link, or lies behind one."""
        full = f"{self.root}/{folder}"
        real = os.path.realpath(full)
        if real != os.path.join(os.path.realpath(self.root), folder):
            raise RepositoryCorruptError(
                f"{full} leads elsewhere, to {real}",
                hint="a symbolic link inside a repository is not followed; copy what it points to",
            )
        if os.path.isdir(real):
            self._inside.add(folder)

    def _refuse(self, doing: str, path: str, error: OSError) -> NoReturn:
        raise StorageError(
            f"cannot {doing} {path} in {self.url}: {error.strerror or error}", hint=_hint(error)
        ) from error

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        try:
            with open(_open_to_read(self._full(path)), "rb", buffering=0) as file:
                return file.readall()
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(errno.ENOENT, "no such file", path) from None
        except OSError as error:
            self._refuse("read", path, error)

    def create(self, path: str, data: bytes) -> None:
        """Make a file that must not exist yet, durably."""
        full = self._full(path)
        try:
            self._create(full, data)
        except FileExistsError:
            raise FileExistsError(errno.EEXIST, "file exists", path) from None
        except StorageUncertainError:
            raise
        except OSError as error:
            self._refuse("create", path, error)

    def _create(self, full: str, data: bytes) -> None:
        folder = os.path.dirname(full)
        try:
            fd, temporary = self._open_temporary(folder)
        except FileNotFoundError:
            _make_folders(folder)
            fd, temporary = self._open_temporary(folder)
        try:
            try:
                _write_all(fd, data)
                os.fsync(fd)
                _give_name(fd, temporary, full)
            finally:
                os.close(fd)
        finally:
            if temporary:
                with suppress(OSError):  # one that stays is a stray that nobody sees
                    os.unlink(temporary)
        try:
            _sync_folder(folder)
        except OSError as error:
            raise StorageUncertainError(
                f"{full} was made, but the disk does not confirm it: {error.strerror or error}"
            ) from error

    def _open_temporary(self, folder: str) -> tuple[int, str]:
        if self._tmpfile:
            try:
                return os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666), ""
            except OSError as error:
                if error.errno not in _NO_TMPFILE or not os.path.isdir(folder):
                    raise
                self._tmpfile = False
        name = f"{folder}/.tmp-{uuid.uuid4().hex}"
        return os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666), name

    def write(self, path: str, data: bytes) -> None:
        """Write a file durably, replacing what is there as one step."""
        full = self._full(path)
        folder = os.path.dirname(full)
        temporary = f"{folder}/.tmp-{uuid.uuid4().hex}"
        try:
            try:
                fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                _make_folders(folder)
                fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
            try:
                try:
                    _write_all(fd, data)
                    os.fsync(fd)
                finally:
                    os.close(fd)
                os.replace(temporary, full)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
            _sync_folder(folder)
        except OSError as error:
            self._refuse("write", path, error)

    def list(self, prefix: str, after: str = "") -> Iterator[FileInfo]:
        """List the files of a folder by name; hidden ones are left out."""
        folder = self._full(prefix.rstrip("/"))
        self._require_inside(prefix.rstrip("/"))
        found = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    path = prefix + entry.name
                    if (
                        path > after
                        and not entry.name.startswith(".")
                        and entry.is_file(follow_symlinks=False)
                    ):
                        found.append((path, entry))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            self._refuse("list", prefix, error)
        for path, entry in sorted(found, key=lambda pair: pair[0]):
            with suppress(FileNotFoundError):
                seen = entry.stat(follow_symlinks=False)
                yield FileInfo(path, seen.st_size, seen.st_mtime)

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files."""
        for path in paths:
            try:
                os.unlink(self._full(path))
            except FileNotFoundError:
                continue
            except OSError as error:
                self._refuse("remove", path, error)

    def fetch(self, path: str, size: int, sha256: str) -> str:
        """Return the full name of a file, after its content was checked once."""
        full = self._full(path)
        try:
            seen = os.stat(full, follow_symlinks=False)
            mark = (seen.st_ino, seen.st_size, seen.st_mtime_ns, sha256)
            if self._verified.get(path) == mark:
                return full
            if seen.st_size != size:
                raise RepositoryCorruptError(f"{path} in {self.url} has {seen.st_size} bytes, not {size}")
            if os.path.realpath(full) != os.path.join(os.path.realpath(self.root), path):
                raise RepositoryCorruptError(f"{path} in {self.url} leads outside the repository")
            digest = hash_file(full)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(errno.ENOENT, "no such file", path) from None
        except OSError as error:
            if isinstance(error, RepositoryCorruptError):
                raise
            self._refuse("read", path, error)
        if digest != sha256:
            raise RepositoryCorruptError(
                f"{path} in {self.url} is not the file that was committed (its checksum differs)",
                hint="restore this file from a copy of the repository",
            )
        self._verified[path] = mark
        return full

    def keep(self, path: str, data: bytes, sha256: str) -> None:
        """Note that a file, just written by this process, needs no check."""
        with suppress(OSError):
            seen = os.stat(self._full(path), follow_symlinks=False)
            self._verified[path] = (seen.st_ino, seen.st_size, seen.st_mtime_ns, sha256)

    @contextmanager
    def lock(self, meanwhile: Callable[[], None] | None = None) -> Iterator[None]:
        """Queue with the other committers on this machine, for a while at most."""
        try:
            fd = os.open(self._full(LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | _PLAIN, 0o666)
        except OSError:
            yield
            return
        turn = _Turn(fd)
        try:
            turn.wait(_LOCK_PATIENCE, meanwhile)
            yield
        finally:
            turn.end()


class _Turn:
    """One wait for a file lock: first in, first out, as the kernel queues them.

    A plain ``flock`` would wait for ever behind a process that was stopped, and trying
    again and again costs more than the commits it waits for.  So a thread waits, and it
    is left behind when patience ends.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._got = threading.Event()
        self._over = False

    def wait(self, patience: float, meanwhile: Callable[[], None] | None) -> bool:
        """Wait for the lock; return whether it was got."""
        import fcntl

        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            pass
        except OSError:
            return False
        self._thread = threading.Thread(target=self._queue, name="lakebutler-lock", daemon=True)
        self._thread.start()
        if meanwhile is None:
            return self._got.wait(patience)
        deadline = time.monotonic() + patience
        breath = _BREATH
        while not self._got.wait(breath):
            if time.monotonic() > deadline:
                return False
            meanwhile()
            breath = min(2 * breath, _LONG_BREATH)
        return True

    def _queue(self) -> None:
        import fcntl

        with suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        with self._mutex:
            if self._over:
                os.close(self._fd)
            self._got.set()

    def end(self) -> None:
        """Let go of the lock; if it is still waited for, as soon as it comes."""
        with self._mutex:
            self._over = True
            if self._thread is None or self._got.is_set():
                os.close(self._fd)


def hash_file(full: str) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    with open(_open_to_read(full), "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_to_read(full: str) -> int:
    """Open a file that must be one: no link, no pipe that nobody writes to."""
    descriptor = os.open(full, os.O_RDONLY | os.O_CLOEXEC | _PLAIN)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no ordinary file", full)
    return descriptor


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _give_name(fd: int, temporary: str, full: str) -> None:
    """Link a file to its name; one that has it in spite of an error (as on NFS) has it."""
    try:
        if temporary:
            os.link(temporary, full)
        else:
            _link_descriptor(fd, full)
    except OSError:
        mine = os.fstat(fd)
        with suppress(OSError):
            there = os.stat(full, follow_symlinks=False)
            if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
                return
        raise


def _link_descriptor(fd: int, full: str) -> None:
    """Give a nameless file a name; the one way that needs no privilege is by /proc."""
    folder = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(str(fd), full, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _make_folders(folder: str) -> None:
    """Make a folder and those above it, each one durable in its parent."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        parent = os.path.dirname(folder)
        if parent == folder:
            break
        folder = parent
    for name in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(name)
        _sync_folder(os.path.dirname(name))


def _hint(error: OSError) -> str | None:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "nothing was committed; make room and try again"
        case errno.EACCES | errno.EPERM:
            return "nothing was committed; check who owns the repository and its permissions"
        case errno.EROFS:
            return "nothing was committed; the file system is mounted read-only"
        case errno.EMFILE | errno.ENFILE:
            return "close files or raise the limit (ulimit -n)"
        case _:
            return None
