# SPDX-License-Identifier: BSD-3-Clause
"""Making a whole repository directory at once; it has its name only when it is whole."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterable
from typing import Self

from lakebutler.datastore.durable import sync_directories, sync_everything, sync_files
from lakebutler.errors import RepositoryExistsError, StorageError
from lakebutler.lake.container.layout import check_name

__all__ = ["DirectoryBuilder"]

_AT_ONCE = 10_000


class DirectoryBuilder:
    """Writes a new directory.

    Parameters
    ----------
    path : `str`
        Absolute path of the directory to be made.
    private : `bool`, optional
        It is for its owner only.

    Notes
    -----
    A context manager: `finish` is called by the caller, and what was not finished is
    removed.  Every file is made anew below a directory that nobody else knows, so that
    no link can lead out of it.
    """

    def __init__(self, path: str, *, private: bool = False) -> None:
        self.path = path
        parent, name = os.path.split(path)
        if os.path.lexists(path):
            raise RepositoryExistsError(f"{path} exists; it is not overwritten", hint="choose another name")
        self._root = os.path.join(parent, f".{name[:200]}.tmp-{uuid.uuid4().hex}")
        self._modes = (0o600, 0o700) if private else (0o666, 0o777)
        self._folders: set[str] = set()
        self._fresh: list[str] = []
        self._size = 0
        try:
            os.mkdir(self._root, 0o700)
        except OSError as error:
            raise StorageError(f"cannot make {path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self._root, ignore_errors=True)

    def begin_many(self) -> None:
        """Nothing to do: files may come in any order."""

    def add(self, path: str, data: bytes) -> None:
        """Add a file."""
        self.add_stream(path, len(data), (data,))

    def add_stream(self, path: str, size: int, parts: Iterable[bytes]) -> None:
        """Add a file without having it in memory.

        Parameters
        ----------
        path : `str`
            Its path.
        size : `int`
            Bytes of its content.
        parts : iterable of `bytes`
            Its content.

        Raises
        ------
        lakebutler.errors.StorageError
            Raised if the content has another size, or there is no room.
        """
        check_name(path)
        self._make_folder(path.rpartition("/")[0])
        place = f"{self._root}/{path}"
        written = 0
        try:
            descriptor = os.open(
                place, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, self._modes[0]
            )
            with open(descriptor, "wb", buffering=0) as stream:
                for part in parts:
                    view = memoryview(part)
                    while view:
                        view = view[stream.write(view) :]
                    written += len(part)
        except StorageError:
            raise
        except OSError as error:
            self._refuse(path, error)
        if written != size:
            raise StorageError(f"{path} changed while it was copied", hint="try again")
        self._size += size
        self._fresh.append(place)
        if len(self._fresh) >= _AT_ONCE:
            self._sync()

    def _refuse(self, path: str, error: OSError) -> None:
        hint = "make room and try again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        raise StorageError(
            f"cannot write {self.path}/{path}: {error.strerror or error}", hint=hint
        ) from error

    def _make_folder(self, folder: str) -> None:
        if not folder or folder in self._folders:
            return
        self._make_folder(folder.rpartition("/")[0])
        try:
            os.mkdir(f"{self._root}/{folder}", self._modes[1])
        except OSError as error:
            self._refuse(folder, error)
        self._folders.add(folder)

    def _sync(self) -> None:
        if not sync_everything(self._root):
            sync_files(self._fresh)
        self._fresh.clear()

    def finish(self) -> int:
        """Make everything durable and give the directory its name; return the bytes of its files.

        Raises
        ------
        lakebutler.errors.RepositoryExistsError
            Raised if the name was taken meanwhile.
        lakebutler.errors.StorageError
            Raised if it cannot be made durable.
        """
        try:
            self._sync()
            sync_directories([f"{self._root}/{folder}" for folder in self._folders])
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(self._root, self._modes[1] & ~umask)
            sync_directories([self._root])
            os.rename(self._root, self.path)
            sync_directories([os.path.dirname(self.path)])
        except OSError as error:
            if os.path.lexists(self.path):
                raise RepositoryExistsError(f"{self.path} exists; it is not overwritten") from None
            raise StorageError(f"cannot make {self.path}: {error.strerror or error}") from error
        return self._size
