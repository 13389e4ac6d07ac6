# SPDX-License-Identifier: BSD-3-Clause
"""Rules for the paths and URIs in file records.  Pure: no file is touched here.

A record comes from the repository, and a repository may come from a stranger.  A
path is relative, normal, ``/``-separated, has no ``..``, no control characters, and
does not lead into the registry.  A URI is used only below a prefix that the caller
has allowed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from lakebutler.errors import ExternalFileError, NameRuleError, RepositoryCorruptError, StorageError

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

__all__ = [
    "ARTIFACTS",
    "MAX_PART",
    "MAX_PATH",
    "Allowed",
    "check_stored_path",
    "external_uri",
    "file_uri",
    "local_path_of_uri",
    "normalise_prefix",
    "stored_path_problem",
]

ARTIFACTS = "datastore"
"""Directory below the root that files are written to."""

MAX_PART = 255
"""Longest part of a path, in bytes of UTF-8."""

MAX_PATH = 1024
"""Longest path, in bytes of UTF-8."""

_RESERVED = ("registry", "butler.yaml", "views.sql")
_USUAL = re.compile(r"(?:[A-Za-z0-9_+,=@~-][A-Za-z0-9._+,=@~-]*/)*[A-Za-z0-9_+,=@~-][A-Za-z0-9._+,=@~-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\\]|[\ud800-\udfff]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def stored_path_problem(path: str) -> str | None:
    """Say what is wrong with a relative path.

    Parameters
    ----------
    path : `str`
        Path relative to the repository's root.

    Returns
    -------
    problem : `str` or `None`
        `None` if it is fine.
    """
    if _USUAL.fullmatch(path) is None:
        if not path:
            return "it is empty"
        if _CONTROL.search(path) is not None:
            return "it has a control character, a backslash or a surrogate"
        if path.startswith("/") or _SCHEME.match(path) or re.match(r"[A-Za-z]:", path):
            return "it is not relative"
        if any(part in {"", ".", ".."} for part in path.split("/")):
            return "it has an empty part, '.' or '..'"
    if len(path) > MAX_PART // 4:
        if len(path.encode()) > MAX_PATH:
            return f"it is longer than {MAX_PATH} bytes"
        if any(len(part.encode()) > MAX_PART for part in path.split("/")):
            return f"a part of it is longer than {MAX_PART} bytes"
    first = path.partition("/")[0].casefold()
    if first in _RESERVED:
        return f"{first} belongs to the registry"
    return None


def check_stored_path(path: str) -> str:
    """Check a path that a repository's record gives.

    Parameters
    ----------
    path : `str`
        Path relative to the repository's root.

    Returns
    -------
    path : `str`
        The same.

    Raises
    ------
    RepositoryCorruptError
        Raised if a file of this path must not be touched.
    """
    problem = stored_path_problem(path)
    if problem is not None:
        raise RepositoryCorruptError(
            f"the repository names the file {path!r}: {problem}",
            hint="it was not written by lakebutler; do not trust it",
        )
    return path


def check_new_path(path: str) -> str:
    """Check a path that a record is about to be made of.

    Parameters
    ----------
    path : `str`
        Path relative to the repository's root.

    Returns
    -------
    path : `str`
        The same.

    Raises
    ------
    NameRuleError
        Raised if it breaks the rules.
    """
    problem = stored_path_problem(path)
    if problem is not None:
        raise NameRuleError(f"a dataset cannot have the path {path!r}: {problem}")
    return path


def file_uri(path: str) -> str:
    """Make the ``file://`` URI of a normal absolute local path.

    Parameters
    ----------
    path : `str`
        Absolute, without ``.`` and ``..``.

    Returns
    -------
    uri : `str`
        Percent-encoded where needed.
    """
    return "file://" + quote(path, safe="/~+,=@:!$&'()*;", encoding="utf-8", errors="surrogateescape")


def external_uri(uri: str) -> ResourcePath:
    """Make the address of a file outside the repository.

    Parameters
    ----------
    uri : `str`
        Absolute URI from a record.

    Returns
    -------
    address : `lsst.resources.ResourcePath`
        Nothing is looked up.

    Raises
    ------
    RepositoryCorruptError
        Raised if it is of no kind that is known.
    StorageError
        Raised if a library that lsst-resources needs for it is not installed.
    """
    from lsst.resources import ResourcePath

    try:
        return ResourcePath(uri, forceDirectory=False)
    except (NotImplementedError, ValueError, RuntimeError) as exc:
        raise RepositoryCorruptError(f"the repository names the file {uri!r}: {exc}") from None
    except ImportError as exc:
        raise StorageError(
            f"the address {uri!r} cannot be taken apart: {exc}", hint=f"install it: pip install {exc.name}"
        ) from None


def local_path_of_uri(uri: str) -> str:
    """Get the local path of a ``file://`` URI.

    Parameters
    ----------
    uri : `str`
        It begins with ``file:///``.

    Returns
    -------
    path : `str`
        Absolute and normal.

    Raises
    ------
    RepositoryCorruptError
        Raised if the path is not absolute or has ``..``.
    """
    path = uri[7:]
    if "%" in path:
        path = unquote(path, errors="surrogateescape")
    if (
        not path.startswith("/")
        or "\0" in path
        or (("/." in path or "//" in path) and posixpath.normpath(path) != path)
    ):
        raise RepositoryCorruptError(f"the repository names the file {uri!r}: it is not an absolute path")
    return path


def normalise_prefix(prefix: str) -> str:
    """Make a URI prefix of what a user allows.

    Parameters
    ----------
    prefix : `str`
        An absolute local directory, or a URI.

    Returns
    -------
    prefix : `str`
        A URI that ends in ``/``.

    Raises
    ------
    NameRuleError
        Raised if it is neither.
    """
    if prefix.startswith("file://"):
        prefix = local_path_of_uri(prefix)
    if prefix.startswith("/"):
        return file_uri(posixpath.normpath(prefix).rstrip("/") + "/").replace("file:////", "file:///")
    if not _SCHEME.match(prefix):
        raise NameRuleError(
            f"{prefix!r} cannot be allowed for external files", hint="give an absolute directory or a URI"
        )
    return prefix.rstrip("/") + "/"


class Allowed:
    """Which external files may be read.

    Parameters
    ----------
    allow : `bool` or iterable of `str`
        All, none, or those below these directories and URI prefixes.
    """

    __slots__ = ("everything", "prefixes")

    def __init__(self, allow: bool | Iterable[str] = ()) -> None:
        self.everything = allow is True
        given: Sequence[str] = (
            () if isinstance(allow, bool) else (allow,) if isinstance(allow, str) else tuple(allow)
        )
        self.prefixes = tuple(sorted({normalise_prefix(p) for p in given}))

    def permits(self, uri: str) -> bool:
        """Whether a URI may be read.

        Parameters
        ----------
        uri : `str`
            Absolute URI from a record.

        Returns
        -------
        permitted : `bool`
            False for anything that could step out of an allowed prefix.
        """
        if self.everything:
            return True
        if not uri.startswith(self.prefixes):
            return False
        if uri.startswith("file://"):
            return True  # `local_path_of_uri` refuses what is not normal
        path = uri.partition("://")[2].partition("?")[0]
        return ".." not in unquote(path).split("/")

    def require(self, uri: str, what: str) -> None:
        """Refuse a URI that may not be read.

        Parameters
        ----------
        uri : `str`
            Absolute URI from a record.
        what : `str`
            The dataset, for the message.

        Raises
        ------
        ExternalFileError
            Raised if it is not permitted; says how to allow it.
        """
        if not self.permits(uri):
            prefix = uri.rpartition("/")[0]
            raise ExternalFileError(
                f"the file of {what} lies outside the repository: {uri}",
                hint=f"if you trust the repository, open it with allow_external=[{prefix!r}]",
            )
