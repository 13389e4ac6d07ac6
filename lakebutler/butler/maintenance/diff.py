# SPDX-License-Identifier: BSD-3-Clause
"""What differs between two versions of a repository, as a value."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakebutler.lake.diff import StateChange, diff_state, diff_table
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.tags import RETIRED
from lakebutler.registry.schema import DATASET_PREFIX, DIMENSION_PREFIX, group_of_table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Count", "Item", "Version", "VersionDiff", "compare"]

DATASET, MEMBERSHIP, COLLECTION, DATASET_TYPE, RECORD, TAG, SETTING = (
    "dataset",
    "membership",
    "collection",
    "dataset type",
    "dimension record",
    "tag",
    "setting",
)
_STATES = {"collection": COLLECTION, "dataset_type": DATASET_TYPE, "tag": TAG}
_CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Version:
    """One of the two versions.

    Parameters
    ----------
    version : `int`
        Its number.
    time : `datetime.datetime`
        When it was committed, UTC.
    sha256 : `str`
        Digest of its log entry.
    """

    version: int
    time: datetime
    sha256: str


@dataclass(frozen=True, slots=True)
class Count:
    """How many things of one sort differ in one way.

    Parameters
    ----------
    kind : `str`
        ``dataset``, ``membership`` (of a dataset in a TAGGED or CALIBRATION
        collection), ``collection``, ``dataset type``, ``dimension record``, ``tag``
        or ``setting``.
    change : `str`
        ``added``, ``removed`` or ``changed``.
    name : `str`
        Dataset type, dimension element, or the thing's own name.
    collection : `str` or `None`
        The run or collection of datasets and memberships.
    count : `int`
        How many.
    """

    kind: str
    change: str
    name: str
    collection: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that differs.

    Parameters
    ----------
    kind, change, name, collection
        As for `Count`.
    data_id : mapping
        Data ID of a dataset, or the required values of a record.
    id : `uuid.UUID` or `None`
        Of a dataset.
    fields : `tuple` [`str`]
        What of it has changed.
    before, after : object
        A collection, dataset type, tag or setting as it was and as it is.
    """

    kind: str
    change: str
    name: str
    collection: str | None = None
    data_id: Mapping[str, Any] | None = None
    id: Any = None
    fields: tuple[str, ...] = ()
    before: Any = None
    after: Any = None


@dataclass(frozen=True)
class VersionDiff:
    """What differs between two versions.

    Parameters
    ----------
    a, b : `Version`
        From which to which.
    tables : mapping
        Rows that differ, by table of the lake, as `lakebutler.lake.diff.diff_table`
        gives them; tables without a difference are left out.
    states : `tuple` [`StateChange`]
        Named values that differ.
    """

    a: Version
    b: Version
    tables: Mapping[str, pa.Table]
    states: tuple[StateChange, ...]

    def __bool__(self) -> bool:
        return bool(self.tables or self.states)

    def __repr__(self) -> str:
        parts = ", ".join(f"{n} {kind}s {change}" for (kind, change), n in self.totals.items())
        return f"<VersionDiff {self.a.version} -> {self.b.version}: {parts or 'nothing'}>"

    @cached_property
    def counts(self) -> tuple[Count, ...]:
        """How many things of each sort differ."""
        out: dict[tuple[str, str, str, str | None], int] = {}
        for item in self.states:
            kind = _STATES.get(item.kind, SETTING)
            name = item.name if kind is not SETTING else f"{item.kind} {item.name}"
            out[kind, item.change, name, None] = 1
        for table, data in self.tables.items():
            for change, name, collection, kind, count in _grouped(table, data):
                key = (kind, change, name, collection)
                out[key] = out.get(key, 0) + count
        made = (Count(*key, n) for key, n in out.items())
        return tuple(sorted(made, key=lambda c: (_ORDER[c.kind], c.name, c.collection or "", c.change)))

    @cached_property
    def totals(self) -> Mapping[tuple[str, str], int]:
        """How many things differ, by kind and change."""
        out: dict[tuple[str, str], int] = {}
        for one in self.counts:
            out[one.kind, one.change] = out.get((one.kind, one.change), 0) + one.count
        return out

    def count(self, kind: str | None = None, change: str | None = None) -> int:
        """How many things of a kind differ in a way; all by default."""
        return sum(n for (k, c), n in self.totals.items() if kind in (None, k) and change in (None, c))

    def items(self, kind: str | None = None) -> Iterator[Item]:
        """Yield the things that differ, one by one.

        Parameters
        ----------
        kind : `str`, optional
            Only of this kind.
        """
        for item in self.states:
            what = _STATES.get(item.kind, SETTING)
            if kind in (None, what):
                name = item.name if what is not SETTING else f"{item.kind} {item.name}"
                fields = _changed_fields(item.before, item.after)
                yield Item(what, item.change, name, fields=fields, before=item.before, after=item.after)
        for table, data in self.tables.items():
            make = _dataset_items if table.startswith(DATASET_PREFIX) else _record_items
            yield from (item for item in make(table, data) if kind in (None, item.kind))


_ORDER = {k: i for i, k in enumerate((DATASET_TYPE, COLLECTION, DATASET, MEMBERSHIP, RECORD, TAG, SETTING))}


def compare(a: Snapshot, b: Snapshot, *, but: Collection[str] = (RETIRED,)) -> VersionDiff:
    """Find what differs between two versions of one repository.

    Parameters
    ----------
    a, b : `Snapshot`
        From which to which.
    but : collection of `str`, optional
        Kinds of state to leave out.

    Returns
    -------
    diff : `VersionDiff`
        The difference.
    """
    tables = {}
    for table in sorted({*a.schemas(), *b.schemas()}):
        rows = diff_table(a, b, table, _key(a, b, table))
        if rows.num_rows:
            tables[table] = rows
    states = tuple(item for item in diff_state(a, b) if item.kind not in but)
    return VersionDiff(_version(a), _version(b), tables, states)


def _version(snapshot: Snapshot) -> Version:
    return Version(snapshot.version, snapshot.time, snapshot.sha256)


def _key(a: Snapshot, b: Snapshot, table: str) -> tuple[str, ...]:
    schema = b.schemas().get(table) or a.schemas()[table]
    if not table.startswith(DATASET_PREFIX):
        return schema.sort or schema.names
    return (*schema.sort, "valid_begin", "valid_end", "id")


def _grouped(table: str, data: pa.Table) -> Iterator[tuple[str, str, str | None, str, int]]:
    """Yield change, name, collection, kind and count."""
    if not table.startswith(DATASET_PREFIX):
        groups = data.group_by(["_change"]).aggregate([([], "count_all")]).to_pylist()
        for row in groups:
            yield row["_change"], table.removeprefix(DIMENSION_PREFIX), None, RECORD, row["count_all"]
        return
    import pyarrow.compute as pc

    own = pc.equal(data.column("collection"), data.column("run"))
    keys = ["_change", "dataset_type", "collection", "_own"]
    groups = data.append_column("_own", own).group_by(keys).aggregate([([], "count_all")]).to_pylist()
    for row in groups:
        kind = DATASET if row["_own"] else MEMBERSHIP
        yield row["_change"], row["dataset_type"], row["collection"], kind, row["count_all"]


def _dataset_items(table: str, data: pa.Table) -> Iterator[Item]:
    dimensions = group_of_table(table, data.column_names[2:])
    order = [(name, "ascending") for name in ("dataset_type", "collection", *dimensions)]
    for row in _rows(data.sort_by(order)):
        kind = DATASET if row["collection"] == row["run"] else MEMBERSHIP
        yield Item(
            kind,
            row["_change"],
            row["dataset_type"],
            row["collection"],
            {name: row[name] for name in dimensions},
            row["id"],
            tuple(row["_fields"]),
        )


def _record_items(table: str, data: pa.Table) -> Iterator[Item]:
    hidden = {"_change", "_fields"}
    nullable = {field.name for field in data.schema if field.nullable}
    required = [name for name in data.column_names if name not in nullable and name not in hidden]
    element = table.removeprefix(DIMENSION_PREFIX)
    for row in _rows(data.sort_by([(name, "ascending") for name in required]) if required else data):
        key = {name: row[name] for name in required}
        yield Item(RECORD, row["_change"], element, data_id=key, fields=tuple(row["_fields"]))


def _rows(data: pa.Table) -> Iterator[Mapping[str, Any]]:
    for start in range(0, data.num_rows, _CHUNK):
        yield from data.slice(start, _CHUNK).to_pylist()


def _changed_fields(before: Any, after: Any) -> tuple[str, ...]:
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return ()
    return tuple(name for name in sorted({*before, *after}) if before.get(name) != after.get(name))
