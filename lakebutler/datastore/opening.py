# SPDX-License-Identifier: BSD-3-Clause
"""Which kind of place the files of a repository are in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lakebutler.config import names_lake_file
from lakebutler.datastore.files import Files
from lakebutler.datastore.local import LocalFiles

__all__ = ["open_files"]


def open_files(root: str, options: Mapping[str, Any], *, private: bool) -> Files:
    """Return the files below the root of a repository; nothing is touched yet.

    Parameters
    ----------
    root : `str`
        Absolute path of a directory or of a lake file, or the URL of either.
    options : mapping
        Options for fsspec where the root is a URL.
    private : `bool`
        New files in a directory are for their owner only.

    Returns
    -------
    files : `Files`
        The files.
    """
    remote = "://" in root
    if names_lake_file(root) if remote else os.path.isfile(root):
        from lakebutler.datastore.container_files import open_container_files

        return open_container_files(root, options)
    if not remote:
        return LocalFiles(root, private=private)
    from lakebutler.datastore.cache import CachedFiles, cache_of_user
    from lakebutler.datastore.objects import ObjectFiles

    cache = cache_of_user()
    return ObjectFiles(root, options) if cache is None else CachedFiles(root, options, cache)
