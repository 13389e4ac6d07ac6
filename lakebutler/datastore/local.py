# SPDX-License-Identifier: BSD-3-Clause
"""Files of datasets in a local directory.

Every directory is resolved once before a file in it is touched: a symbolic link
that leads out of the root is not followed, whoever put it there.  Files themselves
are opened without following links; a dataset that was ingested as a link is read
through it only where the user has allowed its target.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from lakebutler.datastore.durable import FEW, sync_directories, sync_everything, sync_files
from lakebutler.datastore.files import CHUNK, Content, Files, Written, next_name
from lakebutler.datastore.new_file import new_file, write_all
from lakebutler.datastore.paths import ARTIFACTS, Allowed, file_uri
from lakebutler.datastore.transfer import MAKERS
from lakebutler.errors import ExternalFileError, RepositoryCorruptError, StorageError
from lakebutler.lake.storage import FileInfo

__all__ = ["LocalFiles", "open_regular"]

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_TRIES = 1000
_REMEMBERED = 100_000


class LocalFiles(Files):
    """Files below a local directory.

    Parameters
    ----------
    root : `str`
        Absolute path of the directory; it is not made.
    private : `bool`, optional
        New files and directories are for their owner only.
    """

    def __init__(self, root: str, *, private: bool = False) -> None:
        self.url = root
        self.allowed = Allowed()
        self._prefix = root.rstrip("/") + "/"
        self._real: str | None = None
        self._inside: set[str] = set()
        self._durable: dict[str, int] = {}
        self._file_mode = 0o600 if private else 0o666
        self._directory_mode = 0o700 if private else 0o777

    # ------------------------------------------------------------------- places

    def local_path(self, path: str) -> str:
        """Local path of a file; its directory lies inside the root."""
        self._require_inside(path.rpartition("/")[0])
        return self._prefix + path

    def relative(self, path: str) -> str | None:
        """Path relative to the root of an absolute local path.

        Parameters
        ----------
        path : `str`
            Absolute and normal.

        Returns
        -------
        path : `str` or `None`
            `None` if it lies elsewhere.
        """
        for prefix in (self._prefix, self._real_root()):
            if path.startswith(prefix):
                return path[len(prefix) :]
        return None

    def _real_root(self) -> str:
        if self._real is None:
            self._real = os.path.realpath(self._prefix).rstrip("/") + "/"
        return self._real

    def _require_inside(self, directory: str) -> None:
        """Refuse a directory that a symbolic link leads out of the root with."""
        if directory in self._inside:
            return
        place = self._prefix + directory
        real = os.path.realpath(place) + "/"
        if not real.startswith(self._real_root()):
            raise ExternalFileError(
                f"{place} leads out of the repository, to {real.rstrip('/')}",
                hint="a symbolic link in the repository points outside; it is not followed",
            )
        if os.path.isdir(real):
            if len(self._inside) > _REMEMBERED:
                self._inside.clear()
            self._inside.add(directory)

    # ------------------------------------------------------------------ writing

    def create(self, path: str, data: bytes | memoryview) -> str:
        """Write a new file; never over another one."""
        if path.rpartition("/")[0] in self._inside:
            try:
                with new_file(self._prefix + path, self._file_mode) as descriptor:
                    write_all(descriptor, data)
            except (FileExistsError, FileNotFoundError):
                pass  # another name, or a directory that is gone
            except OSError as exc:
                raise self._cannot_write(path, exc) from exc
            else:
                return path

        def fill(place: str) -> None:
            with new_file(place, self._file_mode) as descriptor:
                write_all(descriptor, data)

        return self._claim(path, fill)

    def _claim(self, path: str, make: Callable[[str], None]) -> str:
        """Make a file under the first of its names that is free."""
        directory = path.rpartition("/")[0]
        lost = 0
        n = 0
        while n < _TRIES:
            name = next_name(path, n)
            try:
                if directory not in self._inside:
                    self._make_directory(directory)
                make(self._prefix + name)
            except FileExistsError:
                n += 1
            except FileNotFoundError as exc:
                # Somebody removed the directory when it was empty: make it again.
                self._inside.discard(directory)
                lost += 1
                if lost > 20 or not os.path.isdir(self._prefix):
                    raise self._cannot_write(name, exc) from exc
            except (StorageError, ExternalFileError):
                raise
            except OSError as exc:
                raise self._cannot_write(name, exc) from exc
            else:
                return name
        raise StorageError(f"cannot write {self._prefix}{path}: {_TRIES} files of this name exist")

    def _cannot_write(self, path: str, exc: OSError) -> StorageError:
        hint = None
        if exc.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            hint = "you may read this repository but not write to it"
        return StorageError(f"cannot write {self._prefix}{path}: {exc.strerror or exc}", hint=hint)

    def _make_directory(self, directory: str) -> None:
        existing = directory
        while existing and not os.path.lexists(self._prefix + existing):
            existing = existing.rpartition("/")[0]
        self._require_inside(existing)
        if not os.path.isdir(self._prefix):
            raise FileNotFoundError(errno.ENOENT, "the repository's directory is gone", self._prefix)
        try:
            _make_directories(self._prefix, directory, self._directory_mode)
        except FileExistsError as exc:
            place = exc.filename or self._prefix + directory
            raise StorageError(
                f"cannot make the directory {self._prefix}{directory}: {place} is a file"
            ) from None
        self._require_inside(directory)

    def bring(self, source: str, path: str, mode: str) -> Written:
        """Make a new file of a local one."""
        found: list[Written] = []

        def make(place: str) -> None:
            size, checksum = MAKERS[mode](source, place, self._file_mode)
            found.append(Written("", size, checksum))

        name = self._claim(path, make)
        return found[-1]._replace(path=name)

    def sync(self, paths: Iterable[str]) -> None:
        """Make written files durable: files first, then their directories."""
        places = [self._prefix + path for path in paths]
        if not places:
            return
        directories = dict.fromkeys(place.rpartition("/")[0] for place in places)
        news = self._not_durable(directories)
        try:
            count = len(places) + len(news)
            if count <= FEW or not sync_everything(self._prefix, count):
                sync_files(places)
                sync_directories(list(news))
        except OSError as exc:
            raise StorageError(f"cannot make files in {self.url} durable: {exc}") from exc
        if len(self._durable) > _REMEMBERED:
            self._durable.clear()
        self._durable.update(news)

    def _not_durable(self, directories: Iterable[str]) -> dict[str, int]:
        """Directories to sync: those given, and all above them that may be new."""
        news: dict[str, int] = {}
        root = self._prefix.rstrip("/")
        for place in directories:
            while place not in news:
                inode = os.stat(place).st_ino
                news[place] = inode  # it got a new entry
                if self._durable.get(place) == inode or place == root:
                    break  # its own entry in its parent is durable
                place = place.rpartition("/")[0]
        return news

    # ------------------------------------------------------------------ reading

    def read(self, path: str, memory: int) -> Content:
        """Open a file; a link out of the root only where its target is allowed."""
        directory = path.rpartition("/")[0]
        if directory not in self._inside:
            self._require_inside(directory)
        place = self._prefix + path
        try:
            descriptor = os.open(place, _READ | os.O_NOFOLLOW)
        except OSError as exc:
            if exc.errno not in {errno.ELOOP, errno.EMLINK} or not os.path.islink(place):
                raise
            place = self._follow(place)
            descriptor = os.open(place, _READ | os.O_NOFOLLOW)
        return open_regular(descriptor, place, memory)

    def _follow(self, place: str) -> str:
        target = os.path.realpath(place)
        if not target.startswith(self._real_root()):
            self.allowed.require(file_uri(target), f"the link {place}")
        return target

    def size(self, path: str) -> int | None:
        """Size of a file in bytes; `None` if there is none."""
        self._require_inside(path.rpartition("/")[0])
        place = self._prefix + path
        try:
            found = os.lstat(place)
            if stat.S_ISLNK(found.st_mode):
                found = os.stat(self._follow(place))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def walk(self, folder: str) -> Iterator[FileInfo]:
        """Yield the files in a folder and below; links to folders are not followed."""
        self._require_inside(folder)
        waiting = [folder]
        while waiting:
            below = waiting.pop()
            try:
                with os.scandir(self._prefix + below) as listed:
                    entries = list(listed)
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise StorageError(f"cannot list {self._prefix}{below}: {exc.strerror or exc}") from exc
            for entry in entries:
                path = f"{below}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                    continue
                with contextlib.suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    size = _size_behind(entry) if stat.S_ISLNK(found.st_mode) else found.st_size
                    yield FileInfo(path, size, found.st_mtime)

    # ----------------------------------------------------------------- removing

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files, and directories that are empty then."""
        directories = set()
        for path in paths:
            directory = path.rpartition("/")[0]
            self._require_inside(directory)
            try:
                os.unlink(self._prefix + path)
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as exc:
                raise StorageError(f"cannot remove {self._prefix}{path}: {exc.strerror}") from exc
            directories.add(directory)
        for directory in sorted(directories, key=len, reverse=True):
            self._prune(directory)

    def _prune(self, directory: str) -> None:
        while directory.startswith(ARTIFACTS + "/"):
            try:
                os.rmdir(self._prefix + directory)
            except OSError:
                return
            self._inside.discard(directory)
            self._durable.pop(self._prefix + directory, None)
            directory = directory.rpartition("/")[0]


def _make_directories(prefix: str, directory: str, mode: int) -> None:
    place = prefix.rstrip("/")
    for part in directory.split("/") if directory else ():
        place += "/" + part
        try:
            os.mkdir(place, mode)
        except FileExistsError:
            if not os.path.isdir(place):
                raise


def _size_behind(entry: os.DirEntry[str]) -> int:
    """Size of what a link leads to; -1 if it leads nowhere."""
    try:
        return entry.stat().st_size
    except OSError:
        return -1


def open_regular(descriptor: int, place: str, memory: int) -> Content:
    """Take over an open file: read it if it is small.

    Parameters
    ----------
    descriptor : `int`
        An open file; closed here, or by who closes the content's stream.
    place : `str`
        Its path.
    memory : `int`
        Files up to this size are read.

    Returns
    -------
    content : `Content`
        The content.

    Raises
    ------
    RepositoryCorruptError
        Raised if it is no regular file.
    """
    try:
        found = _regular(descriptor, place)
        size = found.st_size
        if size <= memory:
            data = b"".join(_chunks(descriptor, size))
            os.close(descriptor)
            return Content(len(data), data, place)
    except BaseException:
        os.close(descriptor)
        raise
    identity = (found.st_dev, found.st_ino, size, found.st_mtime_ns, found.st_ctime_ns)
    return Content(size, None, place, os.fdopen(descriptor, "rb", CHUNK), identity)


def _regular(descriptor: int, place: str) -> os.stat_result:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise RepositoryCorruptError(f"{place} is not a regular file")
    return found


def _chunks(descriptor: int, size: int) -> Iterator[bytes]:
    """All of a file that had a size when we looked, and one byte more if it grew."""
    left = size + 1
    while left > 0:
        part = os.read(descriptor, left)
        if not part:
            return
        left -= len(part)
        yield part
