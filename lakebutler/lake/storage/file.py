# SPDX-License-Identifier: BSD-3-Clause
"""A repository in one file: on the local disk, or elsewhere and read in place."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from lakebutler.errors import StorageError
from lakebutler.lake.container.reader import ContainerReader
from lakebutler.lake.container.source import RemoteSource
from lakebutler.lake.container.writer import ContainerWriter
from lakebutler.lake.naming import DATA
from lakebutler.lake.storage.base import FileInfo, check_path
from lakebutler.lake.storage.copies import CopyingStorage

__all__ = ["FileStorage", "open_container"]


def open_container(place: str, options: Mapping[str, Any] | None = None) -> ContainerReader:
    """Return what reads a lake file, and where it is local also writes it.

    Parameters
    ----------
    place : `str`
        Absolute path, or URL.
    options : mapping, optional
        What the file system of a URL is made with.
    """
    return ContainerReader(RemoteSource(place, options or {})) if "://" in place else ContainerWriter(place)


class FileStorage(CopyingStorage):
    """A lake file.

    Parameters
    ----------
    place : `str`
        Absolute path; or a URL, which can only be read.  A local file need not exist:
        what is created first makes it.
    repo_id : `str`, optional
        Whose files the local cache keeps; asked of the repository otherwise.
    options : mapping, optional
        What the file system of a URL is made with.

    Attributes
    ----------
    container : `ContainerReader`
        The members of the file; the files of datasets are reached through it too.
    """

    def __init__(
        self, place: str, *, repo_id: str | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(repo_id)
        self.url = place
        self.container = open_container(place, options)
        self.remote = not isinstance(self.container, ContainerWriter)
        self._queued = 0

    def __repr__(self) -> str:
        return f"FileStorage({self.url!r})"

    def _writer(self) -> ContainerWriter:
        if not isinstance(self.container, ContainerWriter):
            raise StorageError(
                f"{self.url} can only be read: a lake file is written to on a local disk",
                hint="copy the file here, or unpack it: lakebutler unpack FILE DIRECTORY",
            )
        return self.container

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        return self.container.read(check_path(path))

    def read_many(self, paths: Sequence[str]) -> list[bytes]:
        """Return the content of several files, asked for at once."""
        return self.container.content([(path, self.container.require(check_path(path))) for path in paths])

    def create(self, path: str, data: bytes) -> None:
        """Make a file that must not exist yet, durably.

        Notes
        -----
        Data files that a committer makes while it is queued become visible and durable
        with its log entry.
        """
        check_path(path)
        writer = self._writer()
        with writer.exclusive():
            if not writer.add(path, bytes(data)):
                raise FileExistsError(errno.EEXIST, "file exists", path)
            if self._queued and path.startswith(DATA):
                return
            self._publish(writer, path)

    def _publish(self, writer: ContainerWriter, path: str) -> None:
        try:
            writer.publish()
        except BaseException:
            writer.drop([path])
            raise

    def write(self, path: str, data: bytes) -> None:
        """Write a file durably, taking the place of what is there."""
        check_path(path)
        writer = self._writer()
        with writer.exclusive():
            writer.add(path, bytes(data), replace=True)
            self._publish(writer, path)

    def list(self, prefix: str, after: str = "") -> Iterator[FileInfo]:
        """List the files of a folder by name; hidden ones are left out."""
        try:
            for path, entry in self.container.scan(max(prefix, after), prefix[:-1] + "0"):
                name = path[len(prefix) :]
                if path > after and "/" not in name and not name.startswith("."):
                    yield FileInfo(path, entry.size, float(entry.mtime))
        except FileNotFoundError:
            return

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files; their bytes stay until the file is packed anew."""
        checked = [check_path(path) for path in paths]
        if checked:
            self._writer().remove(checked)

    def close(self) -> None:
        """Close the file; members that wait for a commit are forgotten."""
        self.container.close()

    def lock(self, meanwhile: Callable[[], None] | None = None) -> AbstractContextManager[None]:
        """Be the only writer, for the time of a commit."""
        return nullcontext() if self.remote else self._queue()

    @contextmanager
    def _queue(self) -> Iterator[None]:
        with self._writer().exclusive():
            self._queued += 1
            try:
                yield
            finally:
                self._queued -= 1
