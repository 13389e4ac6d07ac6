# SPDX-License-Identifier: BSD-3-Clause
"""Tags: names for versions, kept as state of kind ``tag``.

A tag names one version for ever: it is never moved, and the name of a tag that
was deleted can be given again only to the version it named.  What a paper calls
``dr1`` is one thing, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakebutler.errors import (
    NameRuleError,
    RepositoryCorruptError,
)
from lakebutler.lake.tables import Tables

__all__ = ["RETIRED", "TAG", "Tag", "check_tag_name", "parse_tag", "tagged_versions", "tags"]

TAG = "tag"
"""Kind of state that holds the tags."""

RETIRED = "retired_tag"
"""Kind of state that holds which version a deleted tag named."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/-]{0,199}\Z")


@dataclass(frozen=True, slots=True)
class Tag:
    """A name for a version.

    Parameters
    ----------
    name : `str`
        The name.
    version : `int`
        What it names.
    sha256 : `str`
        Digest of that version's log entry, and through it of its whole history.
    message : `str`
        What was said of it.
    """

    name: str
    version: int
    sha256: str = ""
    message: str = ""


def check_tag_name(name: str) -> str:
    """Return a name if it may be that of a tag.

    Raises
    ------
    lakebutler.errors.NameRuleError
        Raised if it may not: a tag must not be mistaken for a version or a time.
    """
    hint = "letters, digits and _ . + - /, at most 200, and not to be read as a version or a time"
    if not _NAME.match(name) or name.isdigit() or _is_time(name):
        raise NameRuleError(f"{name!r:.120} cannot be the name of a tag", hint=hint)
    return name


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def tags(snapshot: Tables) -> list[Tag]:
    """Return the tags there are, by version and name."""
    found = [parse_tag(name, value) for name, value in snapshot.state(TAG).items()]
    return sorted(found, key=lambda tag: (tag.version, tag.name))


def tagged_versions(snapshot: Tables) -> set[int]:
    """Return the versions that have a tag."""
    return {tag.version for tag in tags(snapshot)}


def parse_tag(name: str, value: Any) -> Tag:
    """Read a tag from the state of kind ``tag``.

    Raises
    ------
    lakebutler.errors.RepositoryCorruptError
        Raised if it does not name a version.
    """
    try:
        if isinstance(value, Mapping):
            return Tag(
                name, int(value["version"]), str(value.get("sha256", "")), str(value.get("message", ""))
            )
        return Tag(name, int(value))
    except (KeyError, TypeError, ValueError):
        raise RepositoryCorruptError(f"tag {name!r} does not name a version: {value!r}") from None
