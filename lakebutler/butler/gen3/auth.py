# SPDX-License-Identifier: BSD-3-Clause
"""User names and passwords of databases, from the file that the field's programs use.

``~/.lsst/db-auth.yaml`` (or the file that ``LSST_DB_AUTH`` names) is a list of mappings with
``url``, ``username`` and ``password``.  The first whose ``url`` fits is taken.  As the field
does, we refuse the file if others than its owner may read it.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from typing import Any
from urllib.parse import urlsplit

from lakebutler.errors import RepositoryFormatError, TrustError

__all__ = ["find_credentials"]

_DEFAULT = "~/.lsst/db-auth.yaml"


def find_credentials(url: str) -> tuple[str | None, str | None]:
    """Find the user name and the password for a database.

    Parameters
    ----------
    url : `str`
        ``postgresql://host:port/database``; a user name in it must fit, too.

    Returns
    -------
    username, password : `str` or `None`
        Both `None` if nothing is known.

    Raises
    ------
    TrustError
        Raised if others may read the file of passwords.
    RepositoryFormatError
        Raised if it is malformed.
    """
    path = os.path.expanduser(os.environ.get("LSST_DB_AUTH") or _DEFAULT)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None, None
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise TrustError(
            f"{path} has passwords, but others may read it (mode {stat.S_IMODE(mode):03o})",
            hint=f"chmod 600 {path}",
        )
    wanted = urlsplit(url)
    for entry in _entries(path):
        if _fits(urlsplit(entry["url"]), wanted):
            username = entry.get("username")
            if wanted.username is None or username is None or username == wanted.username:
                return username or wanted.username, entry.get("password")
    return None, None


def _entries(path: str) -> list[dict[str, Any]]:
    import yaml

    try:
        with open(path, "rb") as stream:
            entries = yaml.safe_load(stream)
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
        raise RepositoryFormatError(f"{path} cannot be read: {type(error).__name__}") from None
    if entries is None:
        return []
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("url"), str) for entry in entries
    ):
        raise RepositoryFormatError(f"{path} must be a list of mappings, each with a url")
    return entries


def _fits(pattern: Any, url: Any) -> bool:
    """Whether a URL is what a pattern means: same scheme, host by glob, port and path if given."""
    try:
        ports = pattern.port, url.port
    except ValueError:
        return False
    return (
        pattern.scheme == url.scheme
        and fnmatch.fnmatchcase(url.hostname or "", pattern.hostname or "")
        and ports[0] in (None, ports[1])
        and (url.path or "/").startswith(pattern.path or "")
    )
