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
from typing import TYPE_CHECKING, Any

from lakebutler.errors import (
    CommitUnknownError,
    ConflictingDefinitionError,
    NameRuleError,
    RepositoryCorruptError,
    SnapshotNotFoundError,
    StorageError,
    known_names,
)
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot

if TYPE_CHECKING:
    from lakebutler.lake.lake import Lake

__all__ = ["RETIRED", "TAG", "Tag", "add_tag", "check_tag_name", "delete_tag", "tagged_versions", "tags"]

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


def tags(snapshot: Snapshot) -> list[Tag]:
    """Return the tags there are, by version and name."""
    found = [_parse(name, value) for name, value in snapshot.state(TAG).items()]
    return sorted(found, key=lambda tag: (tag.version, tag.name))


def tagged_versions(snapshot: Snapshot) -> set[int]:
    """Return the versions that have a tag."""
    return {tag.version for tag in tags(snapshot)}


def add_tag(lake: Lake, name: str, when: int | str | datetime | None = None, *, message: str = "") -> Tag:
    """Name a version.

    Parameters
    ----------
    lake : `Lake`
        Where.
    name : `str`
        The name.
    when : `int`, `str` or `datetime.datetime`, optional
        A version, another tag or a time; the newest version by default.
    message : `str`, optional
        What to say of it.

    Returns
    -------
    tag : `Tag`
        The tag; one that is there already and names the same version is left alone.

    Raises
    ------
    lakebutler.errors.ConflictingDefinitionError
        Raised if the name names another version, or did.
    lakebutler.errors.SnapshotNotFoundError
        Raised if there is no such version.
    lakebutler.errors.CommitUnknownError
        Raised if the storage fails just after the tag was made.
    """
    check_tag_name(name)
    target = lake.snapshot() if when is None else lake.as_of(when)
    made = Tag(name, target.version, target.sha256, message)

    def build(snapshot: Snapshot) -> Change | None:
        known = snapshot.state(TAG).get(name)
        if known is not None:
            if _parse(name, known).version == made.version:
                return None
            raise ConflictingDefinitionError(
                f"tag {name!r} names version {_parse(name, known).version} already",
                hint="a tag is never moved: choose another name",
            )
        retired = snapshot.state(RETIRED).get(name)
        if retired is not None and _parse(name, retired).version != made.version:
            raise ConflictingDefinitionError(
                f"tag {name!r} was deleted, and named version {_parse(name, retired).version}",
                hint="its name can only be given to that version again: choose another name",
            )
        change = Change()
        change.set(TAG, name, {"version": made.version, "sha256": made.sha256, "message": message})
        change.require(RETIRED, name)
        return change

    snapshot = lake.commit(build, op="tag", message=message or f"{name} = version {made.version}")
    try:
        lake.as_of(made.version)
    except SnapshotNotFoundError:  # somebody removed the version while we named it
        delete_tag(lake, name)
        raise
    except StorageError as error:
        raise CommitUnknownError(
            f"tag {name!r} was made, but not seen to lead to version {made.version}: {error.message}",
            hint=f"ask again: open the repository with as_of={name!r}",
            txid=snapshot.txid,
        ) from error
    return _parse(name, snapshot.state(TAG)[name])


def delete_tag(lake: Lake, name: str) -> Tag:
    """Let a tag go; its version stays as long as others keep it.

    Returns
    -------
    tag : `Tag`
        What it was.

    Raises
    ------
    lakebutler.errors.SnapshotNotFoundError
        Raised if there is none of this name.
    """
    gone: list[Tag] = []

    def build(snapshot: Snapshot) -> Change:
        known = snapshot.state(TAG)
        if name not in known:
            raise SnapshotNotFoundError(
                f"there is no tag {name!r}", hint=known_names(name, known, what="tags")
            )
        gone[:] = [_parse(name, known[name])]
        change = Change()
        change.set(TAG, name, None)
        change.set(RETIRED, name, known[name])
        return change

    lake.commit(build, op="tag", message=f"{name} deleted")
    return gone[0]


def _parse(name: str, value: Any) -> Tag:
    try:
        if isinstance(value, Mapping):
            return Tag(
                name, int(value["version"]), str(value.get("sha256", "")), str(value.get("message", ""))
            )
        return Tag(name, int(value))
    except (KeyError, TypeError, ValueError):
        raise RepositoryCorruptError(f"tag {name!r} does not name a version: {value!r}") from None
