# SPDX-License-Identifier: BSD-3-Clause
"""From what a user names (files, directories, globs, URLs) to a list of files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from lakebutler.errors import ButlerUserError, StorageError
from lakebutler.instruments.raws.report import printable

__all__ = ["DEFAULT_PATTERN", "find_files"]

DEFAULT_PATTERN = r"\.fits?(\.(gz|fz))?$"
"""Which names are taken from a directory: FITS files, packed or not."""

_MAGIC = re.compile(r"[*?\[]")
_ANY_DEPTH = re.compile(r"(?:^|/)\*\*(?:/|$)")


def find_files(
    paths: Iterable[str | os.PathLike[str]], pattern: str | None = None, notes: list[str] | None = None
) -> list[str]:
    """Expand files, directories, globs and URLs.

    Parameters
    ----------
    paths : iterable of `str` or path-like
        What the user named.  A file named as such is taken whatever it is called.
    pattern : `str`, optional
        Regular expression searched for in the names of files found in directories;
        default: `DEFAULT_PATTERN`.
    notes : `list` [`str`], optional
        Takes one line for every directory that links lead to once more.

    Returns
    -------
    files : `list` [`str`]
        Each once, sorted within what each argument gave; local paths are absolute.
        A path that does not exist is kept: reading it will say so.  A directory to which
        several names lead is listed under the first of them only.

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
    said: list[str] = [] if notes is None else notes
    for path in paths:
        text = os.fspath(path)
        if "://" in text and not text.startswith("file://"):
            expanded = _remote(text, wanted)
        else:
            expanded = _local(os.path.expanduser(text.removeprefix("file://")), wanted, said)
        found |= dict.fromkeys(expanded)
    return list(found)


def _local(path: str, wanted: re.Pattern[str], notes: list[str]) -> Iterator[str]:
    if os.path.isdir(path):
        yield from _walk(path, wanted, notes)
        return
    if _MAGIC.search(path) and not os.path.lexists(path):
        for match in sorted(set(_matches(path, notes))):
            if os.path.isdir(match):
                yield from _walk(match, wanted, notes)
            else:
                yield os.path.abspath(match)
        return
    yield os.path.abspath(path)


def _matches(pattern: str, notes: list[str]) -> Iterator[str]:
    """Expand a glob; below ``**`` each directory is looked into once, however links lead to it."""
    parts = _ANY_DEPTH.split(pattern, maxsplit=1)
    if len(parts) == 1:
        yield from glob.glob(pattern)
        return
    head, rest = parts
    tops = glob.glob(head) if head else ["/" if pattern.startswith("/") else "."]
    for top in filter(os.path.isdir, tops):
        seen = {_identity(top): top}
        for folder, folders, _ in os.walk(top, followlinks=True):
            inside = folder.rstrip("/") + "/"
            visible = sorted(name for name in folders if not name.startswith("."))
            folders[:] = [name for name in visible if _is_new(inside + name, seen, notes)]
            yield from _matches(glob.escape(inside) + (rest or "*"), notes)


def _walk(directory: str, wanted: re.Pattern[str], notes: list[str]) -> Iterator[str]:
    top = os.path.abspath(directory)
    seen = {_identity(top): top}
    for folder, folders, names in os.walk(top, followlinks=True):
        inside = folder.rstrip("/") + "/"
        folders[:] = [name for name in sorted(folders) if _is_new(inside + name, seen, notes)]
        for name in sorted(filter(wanted.search, names)):
            yield inside + name


def _is_new(folder: str, seen: dict[tuple[int, int], str], notes: list[str]) -> bool:
    """Whether a directory was not met before under another name."""
    identity = _identity(folder)
    first = seen.setdefault(identity, folder)
    if first == folder or not identity[1]:
        return True
    notes.append(f"{printable(folder)} is {printable(first)} once more: passed over")
    return False


def _identity(folder: str) -> tuple[int, int]:
    """Device and number of a directory; zeros if it cannot be asked, or the system has no numbers."""
    try:
        found = os.stat(folder)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


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
