# SPDX-License-Identifier: BSD-3-Clause
"""Files of datasets in a lake file, beside the registry."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lakebutler.datastore.files import Content, Files, Written, checksum_of, next_name
from lakebutler.errors import NameRuleError, StorageError
from lakebutler.lake.container.reader import ContainerReader
from lakebutler.lake.container.writer import ContainerWriter
from lakebutler.lake.storage import FileInfo, Storage
from lakebutler.lake.storage.file import FileStorage, open_container

__all__ = ["ContainerFiles", "files_beside", "open_container_files"]

_TRIES = 1000
_SMALL = 8 << 20


def files_beside(storage: Storage) -> ContainerFiles | None:
    """Return the files that lie in the same lake file as a registry; `None` if it lies in none.

    Parameters
    ----------
    storage : `Storage`
        Where the registry is.

    Notes
    -----
    What is written becomes durable with the commit that follows: one flush of the disk
    for both.
    """
    return ContainerFiles(storage.container, together=True) if isinstance(storage, FileStorage) else None


def open_container_files(place: str, options: Mapping[str, Any] | None = None) -> ContainerFiles:
    """Return the files in a lake file.

    Parameters
    ----------
    place : `str`
        Absolute path, or URL.
    options : mapping, optional
        What the file system of a URL is made with.
    """
    return ContainerFiles(open_container(place, options))


class ContainerFiles(Files):
    """Files in a lake file.

    Parameters
    ----------
    container : `ContainerReader`
        The lake file.
    together : `bool`, optional
        A commit to the registry in the same container follows what is written, and
        makes it durable.
    """

    in_one_file = True

    def __init__(self, container: ContainerReader, *, together: bool = False) -> None:
        self.url = container.url
        self._container = container
        self._together = together

    def _writer(self) -> ContainerWriter:
        if not isinstance(self._container, ContainerWriter):
            raise StorageError(
                f"{self.url} can only be read: a lake file is written to on a local disk",
                hint="copy the file here, or unpack it: lakebutler unpack FILE DIRECTORY",
            )
        return self._container

    def create(self, path: str, data: bytes | memoryview) -> str:
        """Write a new member; never over another one."""
        writer, content = self._writer(), bytes(data)
        for n in range(_TRIES):
            name = next_name(path, n)
            try:
                if writer.add(name, content):
                    return name
            except ValueError as exc:
                raise NameRuleError(str(exc)) from None
        raise StorageError(f"cannot write {path} in {self.url}: {_TRIES} files of this name exist")

    def bring(self, source: str, path: str, mode: str) -> Written:
        """Make a new member of a copy of a file."""
        if "://" in source:
            import fsspec

            from lakebutler.datastore.objects import download

            with tempfile.TemporaryDirectory(prefix="lakebutler-") as scratch:
                local = os.path.join(scratch, "file")
                filesystem, remote = fsspec.core.url_to_fs(source)
                download(filesystem, remote, local)
                return self.bring(local, path, mode)
        try:
            with open(source, "rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                if size > _SMALL:
                    return self._stream(stream, source, path, size)
                data = stream.read(size + 1)
        except StorageError:
            raise
        except OSError as exc:
            raise StorageError(f"cannot copy {source}: {exc.strerror or exc}") from exc
        if len(data) != size:
            raise _changed(source)
        return Written(self.create(path, data), size, checksum_of(data))

    def _stream(self, stream: Any, source: str, path: str, size: int) -> Written:
        writer = self._writer()
        with writer.exclusive():
            name = next(
                (name for n in range(_TRIES) if writer.find(name := next_name(path, n)) is None), None
            )
            if name is None:
                raise StorageError(f"cannot write {path} in {self.url}: {_TRIES} files of this name exist")
            digest = writer.add_stream(name, stream, size)
        if digest is None:
            raise _changed(source)
        return Written(name, size, f"sha256:{digest}")

    def read(self, path: str, memory: int) -> Content:
        """Read a member: into memory, or into a temporary file if it is large."""
        container = self._container
        if isinstance(container, ContainerWriter):
            waiting = container.waiting(path)
            if waiting is not None:
                return Content(len(waiting), waiting)
        entry = container.require(path)
        if entry.size <= memory:
            return Content(entry.size, container.content([(path, entry)])[0])
        descriptor, local = tempfile.mkstemp(prefix="lakebutler-")
        try:
            with os.fdopen(descriptor, "wb") as target:
                for part in container.chunks(path, entry):
                    target.write(part)
            stream = open(local, "rb")  # noqa: SIM115 - handed to the caller
        except BaseException:
            os.unlink(local)
            raise
        return Content(entry.size, None, local, stream, temporary=True)

    def size(self, path: str) -> int | None:
        """Size of a member in bytes; `None` if there is none."""
        entry = self._container.find(path)
        return entry.size if entry is not None else None

    def sync(self, paths: Iterable[str]) -> None:
        """Make written files durable, unless the commit that follows does so."""
        if self._together or not any(True for _ in paths):
            return
        writer = self._writer()
        with writer.exclusive():
            writer.publish()

    def delete(self, paths: Iterable[str]) -> None:
        """Remove members; their bytes stay until the file is packed anew."""
        names = list(paths)
        if names:
            self._writer().remove(names)

    def walk(self, folder: str) -> Iterator[FileInfo]:
        """Yield the members below a folder."""
        for path, entry in self._container.scan(folder + "/", folder + "0"):
            yield FileInfo(path, entry.size, float(entry.mtime))

    def local_path(self, path: str) -> None:
        """`None`: a member has no local path."""
        return


def _changed(source: str) -> StorageError:
    return StorageError(f"{source} changed while it was copied", hint="try again")
