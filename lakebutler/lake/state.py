# SPDX-License-Identifier: BSD-3-Clause
"""Everything a repository holds at its newest version, and how an entry changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lakebutler.errors import RepositoryCorruptError
from lakebutler.lake.entry import (
    Action,
    AddFile,
    CreateTable,
    Delete,
    DeleteFile,
    Entry,
    Fold,
    RemoveFile,
    Rows,
    SetState,
    parse_action,
)
from lakebutler.lake.naming import log_path
from lakebutler.lake.schema import TableSchema
from lakebutler.lake.segment import SegmentStore
from lakebutler.lake.storage import FileInfo
from lakebutler.lake.table import TableLayer
from lakebutler.lake.versioned import VersionedMap

__all__ = ["Head", "LakeState", "Origin"]


@dataclass(frozen=True, slots=True)
class Head:
    """Which version it is.

    Parameters
    ----------
    version : `int`
        Its number; -1 before the first.
    txid, sha256 : `str`
        Transaction id and digest of its entry.
    time : `datetime.datetime`
        When it was committed, UTC.
    """

    version: int = -1
    txid: str = ""
    sha256: str = ""
    time: datetime = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Origin:
    """The checkpoint that a state was read from.

    Parameters
    ----------
    path : `str`
        Its path in the repository.
    data : `bytes`
        Its content.
    entry : `FileInfo` or `None`
        The log entry of the same version, if it was seen in a listing.
    """

    path: str
    data: bytes
    entry: FileInfo | None = None


class LakeState:
    """Everything at the newest version that is known; snapshots share it.

    Parameters
    ----------
    segments : `SegmentStore`
        The data files.

    Attributes
    ----------
    head : `Head`
        The version it is at.
    base : `int`
        Version of the checkpoint it was read from; -1 if there was none.
    origin : `Origin` or `None`
        That checkpoint, while it is of use.
    """

    def __init__(self, segments: SegmentStore) -> None:
        self.segments = segments
        self.head = Head()
        self.base = -1
        self.origin: Origin | None = None
        self.tables: dict[str, TableLayer] = {}
        self.schemas: dict[str, TableSchema] = {}
        self.values: dict[str, VersionedMap] = {}

    def parse(self, entry: Entry) -> list[Action]:
        """Read the actions of the entry that comes next.

        Raises
        ------
        lakebutler.errors.RepositoryCorruptError
            Raised if it does not follow or makes no sense.
        """
        header, head = entry.header, self.head
        where = f"{log_path(entry.version)} in {self.segments.storage.url}"
        if header.version != head.version + 1 or (header.prev_txid, header.prev_sha256) != (
            head.txid,
            head.sha256,
        ):
            raise RepositoryCorruptError(
                f"{where} does not follow on version {head.version}: it was made for another history",
                hint="restore the log from one copy of the repository",
            )
        schemas: Mapping[str, TableSchema] = self.schemas
        actions: list[Action] = []
        try:
            for raw in entry.actions:
                action = parse_action(raw, schemas)
                if isinstance(action, CreateTable):
                    schemas = {**schemas, action.schema.name: action.schema}
                actions.append(action)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, RepositoryCorruptError) or hasattr(error, "hint"):
                raise
            raise RepositoryCorruptError(f"{where} makes no sense: {error!r}") from None
        return actions

    def apply(self, head: Head, actions: Sequence[Action]) -> None:
        """Go on to the next version."""
        version = head.version
        for action in actions:
            if isinstance(action, CreateTable):
                self.add_table(action.schema)
                layer = self.tables[action.schema.name]
                layer.add_segment(self.segments.segment(action.schema, action.empty), version, version)
        for action in actions:
            match action:
                case Delete(table, columns, keys):
                    self.tables[table].delete(columns, keys, version)
                case DeleteFile(table, columns, file):
                    segment = self.segments.segment(self.schemas[table], file, columns)
                    self.tables[table].delete_segment(segment, columns, version)
                case RemoveFile(table, path):
                    self._remove(table, path, version)
                case Fold(table, through):
                    self.tables[table].fold(through, version)
        for action in actions:
            match action:
                case Rows(table, rows):
                    self.tables[table].add_rows(rows, version)
                case AddFile(table, file):
                    segment = self.segments.segment(self.schemas[table], file)
                    effective = version if file.version is None else file.version
                    self.tables[table].add_segment(segment, version, effective)
                case SetState(kind, name, value):
                    self.values_of(kind).set(name, value, version)
        self.head = head

    def add_table(self, schema: TableSchema) -> None:
        """Make room for a table."""
        self.tables = {**self.tables, schema.name: TableLayer(schema)}
        self.schemas = {**self.schemas, schema.name: schema}

    def values_of(self, kind: str) -> VersionedMap:
        """Return the values of one kind, to be added to."""
        if kind not in self.values:
            self.values = {**self.values, kind: VersionedMap()}
        return self.values[kind]

    def replace_table(self, layer: TableLayer) -> None:
        """Put another layer in the place of a table's; snapshots keep the old one."""
        self.tables = {**self.tables, layer.schema.name: layer}

    def _remove(self, table: str, path: str, version: int) -> None:
        layer = self.tables[table]
        for slot in layer.live_slots(version):
            if getattr(slot.segment, "file", None) is not None and slot.segment.file.path == path:  # type: ignore[attr-defined]
                layer.remove_file(slot.segment, version)
                return
        raise RepositoryCorruptError(
            f"{log_path(version)} in {self.segments.storage.url} removes {path}, not part of {table!r}"
        )
