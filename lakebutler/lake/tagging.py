# SPDX-License-Identifier: BSD-3-Clause
"""Tags made and let go."""

from __future__ import annotations

from datetime import datetime

from lakebutler.errors import (
    CommitUnknownError,
    ConflictingDefinitionError,
    SnapshotNotFoundError,
    StorageError,
    known_names,
)
from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.tags import RETIRED, TAG, Tag, check_tag_name, parse_tag

__all__ = ["add_tag", "delete_tag"]


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
            if parse_tag(name, known).version == made.version:
                return None
            raise ConflictingDefinitionError(
                f"tag {name!r} names version {parse_tag(name, known).version} already",
                hint="a tag is never moved: choose another name",
            )
        retired = snapshot.state(RETIRED).get(name)
        if retired is not None and parse_tag(name, retired).version != made.version:
            raise ConflictingDefinitionError(
                f"tag {name!r} was deleted, and named version {parse_tag(name, retired).version}",
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
    return parse_tag(name, snapshot.state(TAG)[name])


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
        gone[:] = [parse_tag(name, known[name])]
        change = Change()
        change.set(TAG, name, None)
        change.set(RETIRED, name, known[name])
        return change

    lake.commit(build, op="tag", message=f"{name} deleted")
    return gone[0]
