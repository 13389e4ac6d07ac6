# SPDX-License-Identifier: BSD-3-Clause
"""What storages share whose files have to be copied to the local disk to be read."""

from __future__ import annotations

import hashlib

from lakebutler.errors import RepositoryCorruptError, StorageError
from lakebutler.lake.cache import FileCache
from lakebutler.lake.storage.base import Storage

__all__ = ["CopyingStorage"]


class CopyingStorage(Storage):
    """A storage that hands out checked copies from the user's cache.

    Parameters
    ----------
    repo_id : `str`, optional
        Whose files the cache keeps; asked of the repository otherwise.
    """

    def __init__(self, repo_id: str | None) -> None:
        self._repo_id = repo_id
        self._cache: FileCache | None = None

    def belongs_to(self, repo_id: str) -> None:
        """Say whose files these are."""
        self._repo_id = repo_id

    def fetch(self, path: str, size: int, sha256: str) -> str:
        """Return the name of a local copy, checked."""
        cache = self.copies()
        found = cache.get(path, size, sha256)
        if found is not None:
            return found
        data = self.read(path)
        if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
            raise RepositoryCorruptError(
                f"{path} in {self.url} is not the file that was committed (its checksum differs)",
                hint="restore it from a copy of the repository",
            )
        try:
            return cache.put(path, data, sha256)
        except OSError as error:
            raise StorageError(
                f"cannot keep a copy of {path} in the cache: {error.strerror or error}",
                hint="make room, or set XDG_CACHE_HOME to a folder with room",
            ) from error

    def copies(self) -> FileCache:
        """Return the cache of this repository."""
        if self._cache is None:
            if self._repo_id is None:
                from lakebutler.lake.format import read_format

                self._repo_id = read_format(self).repo_id
            self._cache = FileCache(self._repo_id)
        return self._cache
