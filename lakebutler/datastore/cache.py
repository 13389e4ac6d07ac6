# SPDX-License-Identifier: BSD-3-Clause
"""Files of remote repositories, kept on the local disk after they were read.

The cache is the user's, never a repository's choice: ``DAF_BUTLER_CACHE_DIRECTORY`` names
its directory (without it there is no cache), ``DAF_BUTLER_CACHE_EXPIRATION_MODE`` its limit:
``size=BYTES``, ``files=COUNT``, ``age=SECONDS`` or ``disabled``; ten gigabytes by default.

What is kept is named by the object's address, size and entity tag, so that an object that
was replaced is fetched again.  The files that were used last stay.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakebutler.datastore.files import Content
from lakebutler.datastore.objects import ObjectFiles
from lakebutler.errors import ButlerUserError, StorageError, known_names

__all__ = ["DIRECTORY_VARIABLE", "LIMIT_VARIABLE", "CachedFiles", "FileCache", "cache_of_user"]

DIRECTORY_VARIABLE = "DAF_BUTLER_CACHE_DIRECTORY"
"""Environment variable that names the directory."""

LIMIT_VARIABLE = "DAF_BUTLER_CACHE_EXPIRATION_MODE"
"""Environment variable that sets the limit."""

_MODES = ("size", "files", "datasets", "age")
_DEFAULT = "size=10000000000"


@dataclass(frozen=True)
class FileCache:
    """A directory of files with a limit.

    Attributes
    ----------
    root : `str`
        The directory; made when it is needed.
    mode : `str`
        What is limited: ``size`` (bytes in all), ``files`` or ``age`` (seconds since
        the last use).
    limit : `int`
        How much.
    """

    root: str
    mode: str
    limit: int

    def path(self, key: str) -> str:
        """Where the file of a key is, if it is kept."""
        return os.path.join(self.root, key[:2], key)

    def open(self, key: str, memory: int) -> Content | None:
        """Open a file that is kept.

        Parameters
        ----------
        key : `str`
            Its key.
        memory : `int`
            Files up to this size, in bytes, are read into memory.

        Returns
        -------
        content : `Content` or `None`
            `None` if it is not kept.
        """
        place = self.path(key)
        try:
            stream = open(place, "rb")  # noqa: SIM115 - handed to the caller
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(place)
        size = os.fstat(stream.fileno()).st_size
        if size > memory:
            return Content(size, None, place, stream)
        with stream:
            return Content(size, stream.read())

    def keep(self, key: str, content: Content) -> Content:
        """Keep what was fetched; a disk that is full is no error.

        Parameters
        ----------
        key : `str`
            Its key.
        content : `Content`
            What was fetched.

        Returns
        -------
        content : `Content`
            The same; from the cache where it was a temporary file.
        """
        place = self.path(key)
        part = f"{place}.{uuid.uuid4().hex}.part"
        try:
            os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
            if content.data is None:
                shutil.copyfile(content.path or "", part)
            else:
                with open(part, "wb") as file:
                    file.write(content.data)
            os.replace(part, place)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(part)
            return content
        self.expire(place)
        return content

    def expire(self, newest: str = "") -> None:
        """Remove the files that were not used for longest, until the limit holds."""
        now = time.time()
        files = sorted(self._files(), reverse=True)
        total = 0
        for number, (used, size, place) in enumerate(files):
            total += size
            excess = {"size": total, "files": number + 1, "age": now - used}[self.mode] > self.limit
            if excess and place != newest:
                with contextlib.suppress(OSError):
                    os.unlink(place)

    def _files(self) -> list[tuple[float, int, str]]:
        found = []
        for directory, _, names in os.walk(self.root):
            for name in names:
                place = os.path.join(directory, name)
                with contextlib.suppress(OSError):
                    stat = os.stat(place)
                    found.append((stat.st_mtime, stat.st_size, place))
        return found


def cache_of_user() -> FileCache | None:
    """The cache that the user's environment asks for.

    Returns
    -------
    cache : `FileCache` or `None`
        `None` if there is to be none.

    Raises
    ------
    ButlerUserError
        Raised if the limit is none.
    """
    root = os.environ.get(DIRECTORY_VARIABLE)
    text = os.environ.get(LIMIT_VARIABLE) or _DEFAULT
    if not root or text == "disabled":
        return None
    mode, _, number = text.partition("=")
    if mode not in _MODES or not number.isdecimal():
        raise ButlerUserError(
            f"{LIMIT_VARIABLE}={text!r} is no limit of a cache",
            hint=known_names(mode, _MODES, what="as in size=1000000000; modes"),
        )
    return FileCache(os.path.abspath(root), "files" if mode == "datasets" else mode, int(number))


class CachedFiles(ObjectFiles):
    """Files in an object store, with a cache of those that were read.

    Parameters
    ----------
    url : `str`
        ``s3://bucket/prefix`` or another URL that fsspec knows.
    storage_options : mapping, optional
        Options for fsspec.
    cache : `FileCache`
        Where to keep them.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None, cache: FileCache) -> None:
        super().__init__(url, storage_options)
        self._cache = cache

    def read(self, path: str, memory: int) -> Content:
        """Read an object: from the cache if it is kept, else fetch and keep it."""
        key = self._key(path)
        kept = self._cache.open(key, memory)
        return kept if kept is not None else self._cache.keep(key, super().read(path, memory))

    def _key(self, path: str) -> str:
        """Name of an object as it is now: its address, size, tag and time."""
        try:
            found = self._fs.info(self._prefix + path, **({"refresh": True} if self._is_s3 else {}))
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(path) from None
        except Exception as exc:
            raise StorageError(f"cannot look for {self.url}/{path}: {exc}") from exc
        when = found.get("LastModified") or found.get("mtime") or found.get("created")
        mark = f"{self.url}/{path}\n{found['size']}\n{found.get('ETag')}\n{when}"
        return hashlib.sha256(mark.encode()).hexdigest()
