# SPDX-License-Identifier: BSD-3-Clause
"""A repository in the memory of this process, for tests and for trying things out."""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from lakebutler.errors import RepositoryCorruptError
from lakebutler.lake.cache import FileCache
from lakebutler.lake.storage.base import FileInfo, Storage, check_path

__all__ = ["MemoryStorage"]

_stores: dict[str, dict[str, tuple[bytes, float]]] = {}
_lock = threading.Lock()


class MemoryStorage(Storage):
    """Files in a dictionary; all storages of one name share them.

    Parameters
    ----------
    name : `str`
        Which.
    """

    def __init__(self, name: str) -> None:
        self.url = f"memory://{name}"
        with _lock:
            self._files = _stores.setdefault(name, {})
        self._queue = threading.RLock()
        self._folder: str | None = None

    def __repr__(self) -> str:
        return f"MemoryStorage({self.url!r})"

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        try:
            return self._files[check_path(path)][0]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", path) from None

    def create(self, path: str, data: bytes) -> None:
        """Make a file that must not exist yet."""
        made = (bytes(data), time.time())
        if self._files.setdefault(check_path(path), made) is not made:
            raise FileExistsError(errno.EEXIST, "file exists", path)

    def write(self, path: str, data: bytes) -> None:
        """Write a file."""
        self._files[check_path(path)] = (bytes(data), time.time())

    def list(self, prefix: str, after: str = "") -> Iterator[FileInfo]:
        """List the files of a folder."""
        for path, (data, mtime) in sorted(self._files.copy().items()):
            if path.startswith(prefix) and path > after and "/" not in path[len(prefix) :]:
                yield FileInfo(path, len(data), mtime)

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files."""
        for path in paths:
            self._files.pop(check_path(path), None)

    def fetch(self, path: str, size: int, sha256: str) -> str:
        """Return the name of a temporary file with the content, checked."""
        data = self.read(path)
        if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
            raise RepositoryCorruptError(f"{path} in {self.url} is not the file that was committed")
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="lakebutler-")
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        cache = FileCache("memory", Path(self._folder))
        return cache.get(path, size, sha256) or cache.put(path, data, sha256)

    def lock(self, meanwhile: Callable[[], None] | None = None) -> AbstractContextManager[None]:
        """Queue with the other committers of this process."""
        return self._queue  # type: ignore[return-value]
