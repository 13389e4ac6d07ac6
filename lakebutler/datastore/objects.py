# SPDX-License-Identifier: BSD-3-Clause
"""Files of datasets in an object store, through fsspec.

An object appears whole or not at all, and is durable once the store has said so.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from lakebutler.datastore.files import CHUNK, Content, Files, Written, checksum_of, next_name, stream_checksum
from lakebutler.errors import DatasetNotFoundError, StorageError
from lakebutler.lake.storage import FileInfo

__all__ = ["ObjectFiles", "download", "taken"]

_TRIES = 1000
_SINGLE_PUT = 4 << 30
_DELETE_BATCH = 1000


class ObjectFiles(Files):
    """Files below a prefix of an object store.

    Parameters
    ----------
    url : `str`
        ``s3://bucket/prefix`` or another URL that fsspec knows.
    storage_options : mapping, optional
        Options for fsspec.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None) -> None:
        import fsspec

        self.url = url.rstrip("/")
        self._fs, path = fsspec.core.url_to_fs(self.url, **dict(storage_options or {}))
        self._prefix = path.rstrip("/") + "/"

    def create(self, path: str, data: bytes | memoryview) -> str:
        """Write a new object with one conditional request; never over another one."""
        content = bytes(data)
        for n in range(_TRIES):
            name = next_name(path, n)
            try:
                self._fs.pipe_file(self._prefix + name, content, mode="create")
            except Exception as exc:
                if taken(exc):
                    continue
                raise StorageError(f"cannot write {self.url}/{name}: {exc}") from exc
            return name
        raise StorageError(f"cannot write {self.url}/{path}: {_TRIES} files of this name exist")

    def bring(self, source: str, path: str, mode: str) -> Written:
        """Upload a copy of a local file, or of one elsewhere."""
        if "://" in source:
            import fsspec

            with tempfile.TemporaryDirectory(prefix="lakebutler-") as scratch:
                local = os.path.join(scratch, "file")
                remote, remote_path = fsspec.core.url_to_fs(source)
                download(remote, remote_path, local)
                return self.bring(local, path, mode)
        size = os.stat(source).st_size
        if size <= _SINGLE_PUT // 64:
            with open(source, "rb") as stream:
                data = stream.read()
            return Written(self.create(path, data), len(data), checksum_of(data))
        return self._upload(source, path, size)

    def _upload(self, source: str, path: str, size: int) -> Written:
        with open(source, "rb") as stream:
            checksum = stream_checksum(stream)
        for n in range(_TRIES):
            name = next_name(path, n)
            if self.size(name) is not None:
                continue
            try:
                self._fs.put_file(source, self._prefix + name, mode="create")
            except Exception as exc:
                if taken(exc):
                    continue
                raise StorageError(f"cannot write {self.url}/{name}: {exc}") from exc
            if self.size(name) != size:
                self.delete([name])
                raise StorageError(f"{source} changed while it was copied", hint="try again")
            return Written(name, size, checksum)
        raise StorageError(f"cannot write {self.url}/{path}: {_TRIES} files of this name exist")

    def read(self, path: str, memory: int) -> Content:
        """Fetch an object: into memory, or into a temporary file if it is large."""
        return fetch(self._fs, self._prefix + path, memory)

    def size(self, path: str) -> int | None:
        """Size of an object in bytes; `None` if there is none."""
        try:
            found = (
                self._fs.info(self._prefix + path, refresh=True)
                if self._is_s3
                else self._fs.info(self._prefix + path)
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as exc:
            raise StorageError(f"cannot look for {self.url}/{path}: {exc}") from exc
        return int(found["size"]) if found.get("type") == "file" else None

    @property
    def _is_s3(self) -> bool:
        protocol = self._fs.protocol
        return "s3" in ((protocol,) if isinstance(protocol, str) else protocol)

    def sync(self, paths: Iterable[str]) -> None:
        """Nothing to do: what the store has acknowledged is durable."""

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects, many with one request."""
        names = [self._prefix + path for path in paths]
        for start in range(0, len(names), _DELETE_BATCH):
            batch = names[start : start + _DELETE_BATCH]
            try:
                self._delete_at_once(batch) if self._is_s3 else self._delete_each(batch)
            except StorageError:
                raise
            except Exception as exc:
                raise StorageError(f"cannot remove files from {self.url}: {exc}") from exc

    def _delete_at_once(self, names: list[str]) -> None:
        # Not `rm`: that takes a name with a star or a bracket for a pattern.
        bucket = self._prefix.partition("/")[0]
        keys = [{"Key": name.partition("/")[2]} for name in names]
        answer = self._fs.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        for failed in answer.get("Errors") or ():
            if failed.get("Code") != "NoSuchKey":
                raise StorageError(
                    f"cannot remove {failed.get('Key')} from {self.url}: {failed.get('Message')}"
                )

    def _delete_each(self, names: list[str]) -> None:
        for name in names:
            try:
                self._fs.rm_file(name)
            except FileNotFoundError:
                continue

    def walk(self, folder: str) -> Iterator[FileInfo]:
        """Yield the objects below a prefix."""
        try:
            found = self._fs.find(
                self._prefix + folder, detail=True, **({"refresh": True} if self._is_s3 else {})
            )
        except FileNotFoundError:
            return
        except Exception as exc:
            raise StorageError(f"cannot list {self.url}/{folder}: {exc}") from exc
        for name, info in found.items():
            when = info.get("LastModified") or info.get("mtime") or info.get("created")
            seconds = when.timestamp() if isinstance(when, datetime) else time.time()
            yield FileInfo(name[len(self._prefix) :], int(info["size"]), seconds)

    def local_path(self, path: str) -> None:
        """`None`: an object has no local path."""
        return


def taken(exc: BaseException | None) -> bool:
    """Whether an error means that a name is taken.

    Parameters
    ----------
    exc : exception
        What a conditional write raised.

    Returns
    -------
    taken : `bool`
        True for `FileExistsError` and for HTTP 412 and 409 of an object store.
    """
    while exc is not None:
        if isinstance(exc, FileExistsError):
            return True
        response = getattr(exc, "response", None)
        if isinstance(response, Mapping):
            status = (response.get("ResponseMetadata") or {}).get("HTTPStatusCode")
            if status in {409, 412}:
                return True
        exc = exc.__cause__
    return False


def fetch(filesystem: Any, path: str, memory: int) -> Content:
    """Fetch a file from any fsspec filesystem.

    Parameters
    ----------
    filesystem : `fsspec.AbstractFileSystem`
        Where it is.
    path : `str`
        Its path there.
    memory : `int`
        Files up to this size are read into memory.

    Returns
    -------
    content : `Content`
        In memory, or in a temporary file.
    """
    try:
        # One request where the file is small, as most are: the size comes with it.
        head: bytes = filesystem.cat_file(path, start=0, end=memory + 1)
    except (FileNotFoundError, IsADirectoryError):
        raise FileNotFoundError(path) from None
    except Exception as exc:
        if _beyond_end(exc):
            return Content(0, b"")
        raise StorageError(f"cannot read {path}: {exc}") from exc
    if len(head) <= memory:
        return Content(len(head), head)
    descriptor, local = tempfile.mkstemp(prefix="lakebutler-")
    os.close(descriptor)
    try:
        download(filesystem, path, local)
        stream = open(local, "rb")  # noqa: SIM115 - handed to the caller
    except BaseException:
        os.unlink(local)
        raise
    return Content(os.stat(local).st_size, None, local, stream, temporary=True)


def _beyond_end(exc: BaseException | None) -> bool:
    """Whether a range request failed because the object is empty (HTTP 416)."""
    while exc is not None:
        response = getattr(exc, "response", None)
        if isinstance(response, Mapping):
            return (response.get("ResponseMetadata") or {}).get("HTTPStatusCode") == 416
        exc = exc.__cause__
    return False


def download(filesystem: Any, path: str, local: str) -> None:
    """Copy a file from any fsspec filesystem to the local disk.

    Parameters
    ----------
    filesystem : `fsspec.AbstractFileSystem`
        Where it is.
    path : `str`
        Its path there.
    local : `str`
        Where to put it; overwritten.

    Raises
    ------
    DatasetNotFoundError
        Raised if there is no such file.
    StorageError
        Raised if it cannot be read.
    """
    try:
        with filesystem.open(path, "rb") as source, open(local, "wb") as target:
            while part := source.read(16 * CHUNK):
                target.write(part)
    except FileNotFoundError:
        raise DatasetNotFoundError(f"{path}: no such file") from None
    except StorageError:
        raise
    except Exception as exc:
        raise StorageError(f"cannot read {path}: {exc}") from exc
