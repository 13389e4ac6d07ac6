# SPDX-License-Identifier: BSD-3-Clause
"""A repository in an S3 bucket, through s3fs.

What the protocol needs of the store is ``PUT`` with ``If-None-Match: *``.  A store
that ignores the condition would lose commits silently, so each endpoint is asked
once, before the first write, whether it refuses a second ``PUT``.
"""

from __future__ import annotations

import asyncio
import errno
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, NoReturn

from lakebutler.errors import (
    RepositoryError,
    StorageError,
    StorageUncertainError,
    UnsafeStoreError,
)
from lakebutler.lake.memo import Memo
from lakebutler.lake.naming import FORMAT
from lakebutler.lake.storage.base import FileInfo, check_path
from lakebutler.lake.storage.copies import CopyingStorage

__all__ = ["ObjectStorage"]

_AT_ONCE = 32
_REFUSED = (409, 412)
_DEFINITE = frozenset(range(400, 500)) - {408}
_safe_endpoints: set[tuple[str, str]] = set()


class ObjectStorage(CopyingStorage):
    """A prefix of an S3 bucket.

    Parameters
    ----------
    root : `str`
        Bucket and prefix, ``/`` between them.
    repo_id : `str`, optional
        Whose files the local cache keeps; asked of the repository otherwise.
    options : mapping
        What `s3fs.S3FileSystem` is made with.
    """

    remote = True

    def __init__(self, root: str, *, repo_id: str | None, options: Mapping[str, Any]) -> None:
        if not root or root.startswith("/"):
            raise ValueError(f"s3://{root} names no bucket")
        super().__init__(repo_id)
        self._bucket, _, self._prefix = root.partition("/")
        self.url = f"s3://{root}"
        self._options = dict(options)
        self._file_systems: dict[bool, Any] = {}
        self._format: bytes | None = None

    def __repr__(self) -> str:
        return f"ObjectStorage({self.url!r})"

    def _fs(self, retries: bool = True) -> Any:
        """Return the file system; one that does not try again is kept for creating entries."""
        made = self._file_systems.get(retries)
        if made is None:
            import s3fs

            options = dict(self._options)
            options["use_listings_cache"] = False
            if not retries:
                config = dict(options.get("config_kwargs") or {})
                config["retries"] = {"max_attempts": 1, "mode": "standard"}
                options["config_kwargs"] = config
            made = s3fs.S3FileSystem(**options, skip_instance_cache=True)
            if not retries:
                made.retries = 1
            self._file_systems[retries] = made
        return made

    def _key(self, path: str) -> str:
        check_path(path)
        return f"{self._prefix}/{path}" if self._prefix else path

    def _refuse(self, doing: str, path: str, error: Exception) -> NoReturn:
        status = _status(error)
        hint = None
        if status in (401, 403) or "credential" in str(error).lower():
            hint = "check the credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID, or storage_options"
        raise StorageError(f"cannot {doing} {path} in {self.url}: {_line(error)}", hint=hint) from error

    def memo(self) -> Memo:
        """Return where to note what opening taught."""
        endpoint = getattr(self._fs(), "endpoint_url", None) or self._options.get("endpoint_url") or "aws"
        return Memo(f"{endpoint} {self.url}")

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        if path == FORMAT and self._format is not None:
            return self._format
        data = self.read_many([path])[0]
        if path == FORMAT:
            self._format = data  # it never changes, and the cache needs it again
        return data

    def read_many(self, paths: Sequence[str]) -> list[bytes]:
        """Return the content of several files, asked for at once."""
        if not paths:
            return []
        from fsspec.asyn import sync

        fs = self._fs()
        found = sync(fs.loop, _get_all, fs, self._bucket, [self._key(path) for path in paths])
        out = []
        for path, data in zip(paths, found, strict=True):
            if isinstance(data, FileNotFoundError) or _status(data) == 404:
                raise FileNotFoundError(errno.ENOENT, "no such file", path) from None
            if isinstance(data, Exception):
                self._refuse("read", path, data)
            out.append(data)
        return out

    def create(self, path: str, data: bytes) -> None:
        """Make a file that must not exist yet."""
        self._check_safe()
        self._create(path, data)

    def _create(self, path: str, data: bytes) -> None:
        key = self._key(path)
        try:
            self._fs(retries=False).call_s3(
                "put_object", Bucket=self._bucket, Key=key, Body=data, IfNoneMatch="*"
            )
        except FileExistsError:
            raise FileExistsError(errno.EEXIST, "file exists", path) from None
        except Exception as error:
            status = _status(error)
            if status in _REFUSED:
                raise FileExistsError(errno.EEXIST, "file exists", path) from None
            if status in _DEFINITE or _is_ours(error):
                self._refuse("create", path, error)
            raise StorageUncertainError(
                f"no answer whether {path} was created in {self.url}: {_line(error)}"
            ) from error

    def _check_safe(self) -> None:
        """Refuse a store that ignores the condition; each is asked once."""
        endpoint = str(getattr(self._fs(), "endpoint_url", None) or "aws")
        known = (endpoint, self._bucket)
        if known in _safe_endpoints:
            return
        probe = f"registry/.probe-{uuid.uuid4().hex}"
        self._create(probe, b"1")
        try:
            self._create(probe, b"2")
        except FileExistsError:
            _safe_endpoints.add(known)
            return
        finally:
            self.delete([probe])
        raise UnsafeStoreError(
            f"{endpoint} ignores conditional writes (If-None-Match): commits to {self.url} could be lost",
            hint="use a store that honours them: AWS S3, MinIO, SeaweedFS, Ceph ...",
        )

    def write(self, path: str, data: bytes) -> None:
        """Write a file."""
        key = self._key(path)
        try:
            self._fs().call_s3("put_object", Bucket=self._bucket, Key=key, Body=data)
        except Exception as error:  # noqa: BLE001 - every way in which a network fails
            self._refuse("write", path, error)

    def list(self, prefix: str, after: str = "") -> Iterator[FileInfo]:
        """List the files of a folder, a thousand at each request."""
        full = f"{self._prefix}/{prefix}" if self._prefix else prefix
        start = (f"{self._prefix}/{after}" if self._prefix else after) if after else ""
        token: str | None = None
        while True:
            more = {"ContinuationToken": token} if token else {}
            if start:
                more["StartAfter"] = start
            try:
                page = self._fs().call_s3(
                    "list_objects_v2", Bucket=self._bucket, Prefix=full, Delimiter="/", **more
                )
            except FileNotFoundError:
                return
            except Exception as error:  # noqa: BLE001 - every way in which a network fails
                if _status(error) == 404:
                    return
                self._refuse("list", prefix, error)
            for item in page.get("Contents", ()):
                path = item["Key"][len(full) - len(prefix) :]
                name = path[len(prefix) :]  # some stores list the folder itself
                if path > after and name and not name.startswith("."):
                    yield FileInfo(path, int(item["Size"]), _seconds(item["LastModified"]))
            token = page.get("NextContinuationToken")
            if not token:
                return

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files."""
        for path, key in [(path, self._key(path)) for path in paths]:
            try:
                self._fs().call_s3("delete_object", Bucket=self._bucket, Key=key)
            except FileNotFoundError:
                continue
            except Exception as error:  # noqa: BLE001 - every way in which a network fails
                if _status(error) != 404:
                    self._refuse("remove", path, error)

    def keep(self, path: str, data: bytes, sha256: str) -> None:
        """Put a file that this process has just made into the cache."""
        try:
            self.copies().put(path, data, sha256)
        except (OSError, RepositoryError):
            return

    def lock(self, meanwhile: Callable[[], None] | None = None) -> AbstractContextManager[None]:
        """Do nothing: there is no queue on S3."""
        return nullcontext()


async def _get_all(fs: Any, bucket: str, keys: Sequence[str]) -> list[Any]:
    """Get objects, some at once; return the content of each, or how it failed."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def get(key: str) -> Any:
        async with room:
            try:
                answer = await fs._call_s3("get_object", Bucket=bucket, Key=key)
                async with answer["Body"] as body:
                    return await body.read()
            except Exception as error:  # noqa: BLE001 - every way in which a network fails
                return error

    return list(await asyncio.gather(*map(get, keys)))


def _status(error: object) -> int | None:
    """Return the HTTP status behind an exception of s3fs or botocore."""
    seen = 0
    while isinstance(error, BaseException) and seen < 5:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status is not None:
                return int(status)
        error, seen = error.__cause__, seen + 1
    return None


def _is_ours(error: Exception) -> bool:
    """Whether the request was never sent.

    ``EndpointConnectionError`` does not say so: it also stands for a connection that
    broke after the request had been sent, or while it was sent again.
    """
    return type(error).__name__ in ("NoCredentialsError", "ParamValidationError")


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _seconds(value: Any) -> float:
    return value.timestamp() if isinstance(value, datetime) else time.time()
