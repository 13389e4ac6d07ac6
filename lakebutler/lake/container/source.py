# SPDX-License-Identifier: BSD-3-Clause
"""Where the bytes of a lake file come from: the local disk, or range requests."""

from __future__ import annotations

import errno
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from lakebutler.errors import NotARepositoryError, StorageError

__all__ = ["LocalSource", "RemoteSource", "Source"]

_FIRST = 128 * 1024
_LAST = 64 * 1024
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class Source(ABC):
    """The bytes of one file.

    Attributes
    ----------
    url : `str`
        The file, for messages.
    """

    url: str

    @abstractmethod
    def read(self, offset: int, size: int) -> bytes:
        """Return so many bytes from an offset; fewer at the end of the file."""

    @abstractmethod
    def read_many(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of several spans, at once where that is faster."""

    @abstractmethod
    def reaches(self, length: int) -> int | None:
        """Say whether the file has so many bytes: `None`, or else how many it has."""


class LocalSource(Source):
    """A local file.

    Parameters
    ----------
    path : `str`
        Absolute path.
    """

    def __init__(self, path: str) -> None:
        self.url = path
        self.descriptor = -1
        self.identity = (0, 0)

    def __del__(self) -> None:
        self.close()

    def open(self) -> None:
        """Open the file, unless it is open.

        Raises
        ------
        FileNotFoundError
            Raised if there is none.
        lakebutler.errors.NotARepositoryError
            Raised if it is no regular file.
        lakebutler.errors.StorageError
            Raised if it cannot be opened.
        """
        if self.descriptor >= 0:
            return
        try:
            descriptor = os.open(self.url, _READ)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(errno.ENOENT, "no such file", self.url) from None
        except OSError as error:
            raise StorageError(f"cannot open {self.url}: {error.strerror}") from error
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise NotARepositoryError(f"{self.url} is no regular file")
        self.descriptor, self.identity = descriptor, (found.st_dev, found.st_ino)

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def replaced(self) -> bool:
        """Whether another file has the name now, or none."""
        try:
            found = os.stat(self.url)
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self.identity

    def read(self, offset: int, size: int) -> bytes:
        """Return so many bytes from an offset; fewer at the end of the file."""
        try:
            data = os.pread(self.descriptor, size, offset)
            while len(data) < size:
                more = os.pread(self.descriptor, size - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise StorageError(f"cannot read {self.url}: {error.strerror}") from error
        return data

    def read_many(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of several spans."""
        return [self.read(offset, size) for offset, size in spans]

    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self.descriptor).st_size

    def reaches(self, length: int) -> int | None:
        """Say whether the file has so many bytes."""
        size = self.size()
        return None if size >= length else size


class RemoteSource(Source):
    """A file that fsspec can read parts of.

    Parameters
    ----------
    url : `str`
        ``s3://bucket/survey.lake``, ``https://...``
    options : mapping
        What the file system is made with.

    Notes
    -----
    The beginning and the end are asked for once and kept: they hold the head page,
    small files of the registry, and the directory of the index.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = url
        self.requests = 0
        self._options = dict(options)
        self._place: tuple[Any, str] | None = None
        self._kept: list[tuple[int, bytes]] = []

    def _fs(self) -> tuple[Any, str]:
        if self._place is None:
            import fsspec

            try:
                self._place = fsspec.core.url_to_fs(self.url, **self._options)
            except (ImportError, ValueError) as error:
                raise StorageError(f"cannot read {self.url}: {_line(error)}") from error
        return self._place

    def open(self) -> bytes:
        """Return the beginning of the file.

        Raises
        ------
        FileNotFoundError
            Raised if there is no such file.
        """
        if not self._kept:
            self._kept = [(0, self._ask(0, _FIRST))]
        return self._kept[0][1]

    def reaches(self, length: int) -> int | None:
        """Say whether the file has so many bytes; one request, for its end."""
        first = self.open()
        if len(first) < _FIRST:
            return None if len(first) >= length else len(first)
        start = max(length - _LAST, 0)
        data = self._ask(start, length - start)
        self._kept.append((start, data))
        return None if len(data) == length - start else start + len(data)

    def read(self, offset: int, size: int) -> bytes:
        """Return so many bytes from an offset; fewer at the end of the file."""
        return self.read_many([(offset, size)])[0]

    def read_many(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of several spans, asked for at once."""
        found: dict[tuple[int, int], bytes] = {}
        for offset, size in spans:
            for start, data in self._kept:
                if start <= offset and offset + size <= start + len(data):
                    found[offset, size] = data[offset - start : offset - start + size]
        missing = [span for span in dict.fromkeys(spans) if span not in found]
        if len(missing) == 1:
            found[missing[0]] = self._ask(*missing[0])
        elif missing:
            found.update(zip(missing, self._ask_many(missing), strict=True))
        return [found[span] for span in spans]

    def _ask(self, offset: int, size: int) -> bytes:
        if not size:
            return b""
        fs, path = self._fs()
        self.requests += 1
        try:
            data = bytes(fs.cat_file(path, start=offset, end=offset + size))
        except Exception as error:  # noqa: BLE001 - every way in which a network fails
            return self._failed(error)
        return self._checked(data, size)

    def _ask_many(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        fs, path = self._fs()
        self.requests += len(spans)
        ends = [offset + size for offset, size in spans]
        try:
            answers = fs.cat_ranges(
                [path] * len(spans), [offset for offset, _ in spans], ends, max_gap=0, on_error="return"
            )
        except Exception as error:  # noqa: BLE001 - every way in which a network fails
            self._failed(error)
        return [
            self._failed(data) if isinstance(data, Exception) else self._checked(bytes(data), size)
            for data, (_, size) in zip(answers, spans, strict=True)
        ]

    def _checked(self, data: bytes, size: int) -> bytes:
        if len(data) > size:
            raise StorageError(
                f"{self.url} cannot be read in parts: its server ignores range requests",
                hint="download the file and open the copy",
            )
        return data

    def _failed(self, error: Exception) -> bytes:
        """Return no bytes where a range lies beyond the end; raise otherwise."""
        status = _status(error)
        if isinstance(error, FileNotFoundError) or status == 404:
            raise FileNotFoundError(errno.ENOENT, "no such file", self.url) from None
        if status == 416 or _BEYOND.match(str(error)):
            return b""
        hint = None
        if status in (401, 403) or "credential" in str(error).lower():
            hint = "check the credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID, or storage_options"
        raise StorageError(f"cannot read {self.url}: {_line(error)}", hint=hint) from error


_BEYOND = re.compile(r"(HTTP )?416\b|InvalidRange\b")


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status behind an exception of botocore or aiohttp."""
    seen = 0
    while error is not None and seen < 5:
        status = getattr(error, "status", None)
        response = getattr(error, "response", None)
        if isinstance(response, Mapping):
            status = (response.get("ResponseMetadata") or {}).get("HTTPStatusCode")
        if isinstance(status, int):
            return status
        error, seen = error.__cause__, seen + 1
    return None


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
