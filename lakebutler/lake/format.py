# SPDX-License-Identifier: BSD-3-Clause
"""``registry/format.json``: which format a repository is of, and who it is."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass

from lakebutler.errors import NotARepositoryError, RepositoryCorruptError, RepositoryFormatError
from lakebutler.lake.naming import FORMAT, dump, seal, unseal
from lakebutler.lake.storage.base import Storage

__all__ = [
    "FORMAT_VERSION",
    "KNOWN_FEATURES",
    "RepositoryFormat",
    "check_writable",
    "make_format",
    "parse_format",
    "read_format",
]

FORMAT_VERSION = 1
KNOWN_FEATURES: frozenset[str] = frozenset()
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


@dataclass(frozen=True, slots=True)
class RepositoryFormat:
    """What ``registry/format.json`` says.

    Parameters
    ----------
    repo_id : `str`
        UUID of the repository; a copy keeps it.
    version : `int`
        Version of the format.
    min_reader, min_writer : `int`
        Least version of the format that a program must know to read or write.
    features : `tuple` [`str`]
        What a program must know besides.
    """

    repo_id: str
    version: int = FORMAT_VERSION
    min_reader: int = 1
    min_writer: int = 1
    features: tuple[str, ...] = ()


def make_format(repo_id: str | None = None) -> tuple[RepositoryFormat, bytes]:
    """Return the description of a new repository, and the content of its file."""
    made = RepositoryFormat(repo_id or str(uuid.uuid4()))
    body = {
        "format": "lakebutler",
        "version": made.version,
        "min_reader": made.min_reader,
        "min_writer": made.min_writer,
        "features": list(made.features),
        "repo_id": made.repo_id,
    }
    return made, seal(dump(body))


def read_format(storage: Storage) -> RepositoryFormat:
    """Read what a repository says it is.

    Raises
    ------
    lakebutler.errors.NotARepositoryError
        Raised if there is none.
    lakebutler.errors.RepositoryFormatError
        Raised if this version of lakebutler cannot read it.
    lakebutler.errors.RepositoryCorruptError
        Raised if the file is damaged.
    """
    try:
        data = storage.read(FORMAT)
    except NotARepositoryError:
        raise  # the place says so itself
    except FileNotFoundError:
        raise NotARepositoryError(
            f"{storage.url} is not a lakebutler repository (it has no {FORMAT})",
            hint=f"make one with: lakebutler create {storage.url}",
        ) from None
    return parse_format(data, storage.url)


def parse_format(data: bytes, url: str) -> RepositoryFormat:
    """Read the content of ``format.json``; see `read_format`."""
    where = f"{FORMAT} in {url}"
    try:
        raw = json.loads(data)
        # A newer format may seal its file in another way, so this is asked first.
        least = raw["min_reader"]
        unknown = sorted(set(raw["features"]) - KNOWN_FEATURES)
        made = RepositoryFormat(
            str(raw["repo_id"]),
            int(raw["version"]),
            int(least),
            int(raw["min_writer"]),
            tuple(raw["features"]),
        )
        sane = raw["format"] == "lakebutler" and _ID.match(made.repo_id) is not None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        unseal(data, where)
        raise RepositoryCorruptError(f"{where} makes no sense: {error!r}") from None
    if not sane:
        raise RepositoryCorruptError(f"{where} is not that of a lakebutler repository")
    if made.min_reader > FORMAT_VERSION or unknown:
        needs = (
            f"features {', '.join(map(repr, unknown))}" if unknown else f"format version {made.min_reader}"
        )
        raise RepositoryFormatError(
            f"{url} needs {needs}, and this lakebutler knows format version {FORMAT_VERSION}",
            hint="upgrade lakebutler",
        )
    unseal(data, where)
    return made


def check_writable(storage: Storage, made: RepositoryFormat) -> None:
    """Refuse to write what this version of lakebutler would write wrongly.

    Raises
    ------
    lakebutler.errors.RepositoryFormatError
        Raised if the repository asks for more than this version knows.
    """
    if made.min_writer > FORMAT_VERSION:
        raise RepositoryFormatError(
            f"{storage.url} can be read but not written: it needs format version {made.min_writer},"
            f" this version of lakebutler knows {FORMAT_VERSION}",
            hint="upgrade lakebutler",
        )
