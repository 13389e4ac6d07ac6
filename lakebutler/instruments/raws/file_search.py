# SPDX-License-Identifier: BSD-3-Clause
"""From what a user names (files, directories, globs, URLs) to a list of files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from lakebutler.errors import ButlerUserError, StorageError

__all__ = ["DEFAULT_PATTERN", "find_files"]

DEFAULT_PATTERN = r"\.fits?(\.(gz|fz))?$"
"""Which names are taken from a directory: FITS files, packed or not."""

_MAGIC = re.compile(r"[*?\[]")


def find_files(paths: Iterable[str | os.PathLike[str]], pattern: str | None = None) -> list[str]:
    """Expand files, directories, globs and URLs.

    Parameters
    ----------
    paths : iterable of `str` or path-like
        What the user named.  A file named as such is taken whatever it is called.
    pattern : `str`, optional
        Regular expression searched for in the names of files found in directories;
        default: `DEFAULT_PATTERN`.

    Returns
    -------
    files : `list` [`str`]
        Each once, sorted within what each argument gave; local paths are absolute.
        A path that does not exist is kept: reading it will say so.

    Raises
    ------
    ButlerUserError
        Raised if the pattern is no regular expression.
    StorageError
        Raised if a remote place cannot be listed.
    """
    try:
        wanted = re.compile(DEFAULT_PATTERN if pattern is None else pattern)
    except re.error as err:
        raise ButlerUserError(f"{pattern!r} is no regular expression: {err}") from err
    found: dict[str, None] = {}
    for path in paths:
        text = os.fspath(path)
        if "://" in text and not text.startswith("file://"):
            expanded = _remote(text, wanted)
        else:
            expanded = _local(os.path.expanduser(text.removeprefix("file://")), wanted)
        found |= dict.fromkeys(expanded)
    return list(found)


def _local(path: str, wanted: re.Pattern[str]) -> Iterator[str]:
    if os.path.isdir(path):
        yield from _walk(path, wanted)
        return
    if _MAGIC.search(path) and not os.path.lexists(path):
        for match in sorted(glob.glob(path, recursive=True)):
            if os.path.isdir(match):
                yield from _walk(match, wanted)
            else:
                yield os.path.abspath(match)
        return
    yield os.path.abspath(path)


def _walk(directory: str, wanted: re.Pattern[str]) -> Iterator[str]:
    for folder, folders, names in os.walk(os.path.abspath(directory), followlinks=True):
        folders.sort()
        inside = folder.rstrip("/") + "/"
        for name in sorted(filter(wanted.search, names)):
            yield inside + name


def _remote(url: str, wanted: re.Pattern[str]) -> Iterator[str]:
    from fsspec.core import url_to_fs

    filesystem: Any
    try:
        filesystem, path = url_to_fs(url)
        if _MAGIC.search(url):
            names = sorted(filesystem.glob(path))
        elif url.endswith("/") or not wanted.search(url):
            names = [path] if filesystem.isfile(path) else sorted(filesystem.find(path))
            if names != [path]:
                names = [name for name in names if wanted.search(name)]
        else:
            names = [path]  # named as a file: reading it will say whether it is there
    except Exception as err:  # the libraries of stores have errors of their own
        said = " ".join(str(err).split())
        raise StorageError(f"cannot list {url}: {said or type(err).__name__}") from err
    for name in names:
        yield filesystem.unstrip_protocol(name)
