# SPDX-License-Identifier: BSD-3-Clause
"""Versions of a repository: name them, compare them, go back to one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lakebutler.butler.base import ButlerBase
from lakebutler.butler.repository import Repository
from lakebutler.datasets.stored_parts import each_path
from lakebutler.datastore.records import FileRecord
from lakebutler.errors import ButlerUserError, DatasetNotFoundError
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.tagging import add_tag, delete_tag
from lakebutler.lake.tags import Tag, tags
from lakebutler.registry.dataset_rows import FILE_COLUMNS
from lakebutler.registry.schema import DATASET_PREFIX

if TYPE_CHECKING:
    import pyarrow as pa

    from lakebutler.butler.maintenance.diff import VersionDiff

__all__ = ["GoneFile", "Restoration", "VersioningButler"]

_NAMED = 3


@dataclass(frozen=True, slots=True)
class GoneFile:
    """A dataset that a restoration brings back, but whose file is gone.

    Parameters
    ----------
    dataset_type, run : `str`
        The dataset's.
    id : `uuid.UUID`
        The dataset's.
    path : `str`
        Where its file was.
    """

    dataset_type: str
    run: str
    id: object
    path: str


@dataclass(frozen=True)
class Restoration:
    """What going back to a version does, or did.

    Parameters
    ----------
    target : `int`
        The version gone back to.
    diff : `VersionDiff`
        What changes; tags stay as they are.
    gone : `tuple` [`GoneFile`]
        Datasets whose files are gone.
    version : `int` or `None`
        The version that was made; `None` if none was.
    """

    target: int
    diff: VersionDiff
    gone: tuple[GoneFile, ...] = ()
    version: int | None = None


class VersioningButler(ButlerBase):
    """The verbs of `Butler` that are about versions."""

    @property
    def repository(self) -> Repository:
        """The open repository, for the functions of `lakebutler.butler.maintenance.garbage` and the like."""
        return self._repository

    def tag(self, name: str, version: int | str | datetime | None = None, *, message: str = "") -> Tag:
        """Name a version, for ever.

        Parameters
        ----------
        name : `str`
            The name: letters, digits and ``_ . + - /``.
        version : `int`, `str` or `datetime.datetime`, optional
            A version, another tag or a time; what is seen now by default.
        message : `str`, optional
            What to say of it.

        Returns
        -------
        tag : `Tag`
            The tag.

        Raises
        ------
        ConflictingDefinitionError
            Raised if the name names another version, or did before it was deleted.
        SnapshotNotFoundError
            Raised if there is no such version.
        """
        self._require_free("tag a version")
        return add_tag(self._session.lake, name, version, message=message)

    def delete_tag(self, name: str) -> Tag:
        """Let a tag go; its name can be given again only to the version that it named.

        Parameters
        ----------
        name : `str`
            The tag.

        Returns
        -------
        tag : `Tag`
            What it was.
        """
        self._require_free("delete a tag")
        return delete_tag(self._session.lake, name)

    def tags(self) -> list[Tag]:
        """The tags there are, by version."""
        return tags(self._session.snapshot)

    def diff(self, a: int | str | datetime, b: int | str | datetime | None = None) -> VersionDiff:
        """Find what differs between two versions.

        Parameters
        ----------
        a : `int`, `str` or `datetime.datetime`
            From this version, tag or time.
        b : `int`, `str` or `datetime.datetime`, optional
            To this one; what is seen now by default.

        Returns
        -------
        diff : `VersionDiff`
            Datasets, memberships, collections, dataset types, dimension records and
            tags that were added, removed or changed.

        Raises
        ------
        SnapshotNotFoundError
            Raised if there is no such version.
        """
        if self._session.in_transaction:
            raise ButlerUserError(
                "an open transaction cannot be compared", hint="leave the transaction first"
            )
        from lakebutler.butler.maintenance.diff import compare

        lake = self._session.lake
        return compare(lake.as_of(a), self._session.snapshot if b is None else lake.as_of(b))

    def restore(
        self,
        version: int | str | datetime,
        *,
        dry_run: bool = False,
        allow_missing: bool = False,
        message: str = "",
    ) -> Restoration:
        """Make everything as it was at a version, in one new commit; the history is kept.

        Parameters
        ----------
        version : `int`, `str` or `datetime.datetime`
            A version, tag or time.
        dry_run : `bool`, optional
            Whether only to find out what would change.
        allow_missing : `bool`, optional
            Whether datasets whose files are gone come back as registered but not
            stored; refused otherwise.
        message : `str`, optional
            A line to record with the commit.

        Returns
        -------
        restoration : `Restoration`
            What was, or would be, done.

        Raises
        ------
        DatasetNotFoundError
            Raised if files are gone; nothing is changed then.
        SnapshotNotFoundError
            Raised if there is no such version.
        """
        if not dry_run:
            self._require_free("restore a version")
        from lakebutler.butler.maintenance.diff import compare
        from lakebutler.lake.restore import KEPT, restoring

        lake = self._session.lake
        target, newest = lake.as_of(version), lake.snapshot()
        gone: list[GoneFile] = []
        seen: dict[FileRecord, bool] = {}

        def build(snapshot: Snapshot) -> Change | None:
            gone.clear()
            change = restoring(snapshot, target, lambda table, rows: self._stored(table, rows, gone, seen))
            if gone and not allow_missing and not dry_run:
                raise _refusal(target.version, gone)
            return change

        if dry_run:
            build(newest)
            return Restoration(target.version, compare(newest, target, but=KEPT), tuple(gone))
        says = message or f"as of version {target.version}"
        base: list[Snapshot] = []

        def noted(snapshot: Snapshot) -> Change | None:
            change = build(snapshot)
            base[:] = [snapshot] if change is not None else []
            return change

        made = lake.commit(noted, op="restore", message=says)
        version_made = made.version if base else None
        diff = compare(base[0] if base else made, target, but=KEPT)
        return Restoration(target.version, diff, tuple(gone), version_made)

    def _require_free(self, what: str) -> None:
        self._session.require_writeable(what)
        if self._session.in_transaction:
            raise ButlerUserError(f"cannot {what} inside a transaction", hint="leave the transaction first")

    def _stored(
        self, table: str, rows: pa.Table, gone: list[GoneFile], seen: dict[FileRecord, bool]
    ) -> pa.Table:
        """Note which files are gone, and return rows that say so."""
        if not table.startswith(DATASET_PREFIX):
            return rows
        import pyarrow as pa

        columns = [rows.column(name).to_pylist() for name in FILE_COLUMNS]
        records = [FileRecord(*values) for values in zip(*columns, strict=True)]
        unknown = list(dict.fromkeys(r for r in records if r.path is not None and r not in seen))
        seen.update(zip(unknown, self._datastore.exists_many(unknown), strict=True))
        lost = [record.path is not None and not seen[record] for record in records]
        if not any(lost):
            return rows
        gone.extend(_named(rows, records, lost))
        mask = pa.array(lost)
        for name in FILE_COLUMNS:
            place = rows.column_names.index(name)
            field = rows.schema.field(place)
            rows = rows.set_column(place, field, _nulled(rows.column(place), mask))
        return rows


def _nulled(column: pa.ChunkedArray, mask: pa.Array) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(mask, pa.scalar(None, column.type), column)


def _named(rows: pa.Table, records: list[FileRecord], lost: list[bool]) -> Iterator[GoneFile]:
    names = ("dataset_type", "run", "id")
    values = zip(*(rows.column(name).to_pylist() for name in names), strict=True)
    for (dataset_type, run, id_), record, missing in zip(values, records, lost, strict=True):
        if missing:
            yield GoneFile(dataset_type, run, id_, ", ".join(each_path(record.path or "")))


def _refusal(version: int, gone: list[GoneFile]) -> DatasetNotFoundError:
    some = "; ".join(f"{g.dataset_type} in {g.run} ({g.path})" for g in gone[:_NAMED])
    more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
    return DatasetNotFoundError(
        f"version {version} cannot be restored whole:"
        f" the files of {len(gone)} datasets are gone: {some}{more}",
        hint="allow_missing=True (--allow-missing) brings them back as registered but not stored",
    )
