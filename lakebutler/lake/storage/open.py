# SPDX-License-Identifier: BSD-3-Clause
"""From a path or URL to the storage for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from lakebutler.config import names_lake_file
from lakebutler.lake.storage.base import Storage

__all__ = ["open_storage"]


def open_storage(
    root: str | os.PathLike[str],
    *,
    repo_id: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Storage:
    """Return the storage for a root; nothing is read or written yet.

    Parameters
    ----------
    root : `str` or path-like
        A local directory, a ``file://`` URL, ``s3://bucket/prefix``, or
        ``memory://name`` (this process only, for tests); or one file: ``x.lake``, and
        read-only ``s3://bucket/x.lake``, ``https://...``
    repo_id : `str`, optional
        The repository that must be found there; a cache of remote files is
        usable before the repository has been asked who it is.
    storage_options : mapping, optional
        What the S3 file system is made with: ``profile``, ``endpoint_url``, ...

    Raises
    ------
    ValueError
        Raised if there is no storage for such a root.
    """
    text = os.fspath(root)
    scheme, separator, rest = text.partition("://")
    match scheme.lower() if separator else "file":
        case "file":
            return _open_local(unquote(urlsplit(text).path) if separator else os.path.expanduser(text))
        case _ if names_lake_file(text):
            from lakebutler.lake.storage.file import FileStorage

            return FileStorage(text, repo_id=repo_id, options=storage_options)
        case "memory":
            from lakebutler.lake.storage.memory import MemoryStorage

            return MemoryStorage(rest.strip("/"))
        case "s3" | "s3a":
            from lakebutler.lake.storage.object import ObjectStorage

            return ObjectStorage(rest.rstrip("/"), repo_id=repo_id, options=storage_options or {})
        case _:
            raise ValueError(f"no storage for {text!r}: give a directory, file://, s3:// or memory://")


def _open_local(path: str) -> Storage:
    if os.path.isfile(path) or (names_lake_file(path) and not os.path.isdir(path)):
        from lakebutler.lake.storage.file import FileStorage

        return FileStorage(os.path.abspath(path))
    from lakebutler.lake.storage.local import LocalStorage

    return LocalStorage(path)
