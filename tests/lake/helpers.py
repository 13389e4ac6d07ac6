# SPDX-License-Identifier: BSD-3-Clause
"""Tables and changes that the tests of the lake share."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.schema import Column, TableSchema
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.storage import open_storage

Row = tuple[Any, ...]

DATASET = TableSchema(
    "dataset_visit_detector",
    (
        Column("dataset_type", "string", False),
        Column("collection", "string", False),
        Column("instrument", "string", False),
        Column("visit", "int64", False),
        Column("detector", "int64", False),
        Column("valid_begin", "int64"),
        Column("id", "uuid", False),
        Column("ingest_date", "timestamp"),
        Column("path", "string"),
        Column("size", "int64"),
        Column("quality", "float64"),
        Column("good", "bool"),
        Column("hash", "binary"),
    ),
    ("dataset_type", "collection", "instrument", "visit", "detector", "valid_begin"),
    ("dataset_type", "collection"),
    "id",
)
DATA_ID = DATASET.sort[:5]
SMALL = TableSchema("small", (Column("name", "string"), Column("value", "int64")), ("name",), ())
NAME = DATASET.name
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def row(visit: int, detector: int = 0, run: str = "run", kind: str = "raw", begin: int | None = None) -> Row:
    """Return a row that is the same for the same arguments."""
    key = (kind, run, "HSC", visit, detector, begin)
    number = uuid.uuid5(uuid.NAMESPACE_OID, repr(key))
    when = EPOCH + timedelta(microseconds=visit * 1000 + detector)
    text = f"{run}/{kind}/{visit}/ü{detector}.fits" if visit % 3 else None
    odd = [1.5, None, float("inf"), -0.25][visit % 4]
    return (*key, number, when, text, visit * 7, odd, bool(visit % 2), bytes([visit % 256, 0, 255]))


def bulk(rows: Sequence[Row]) -> Any:
    """Return rows as an Arrow table."""
    from lakebutler.lake.sorting import rows_to_table

    return rows_to_table(DATASET, rows)


def fresh(root: Path | str, *tables: TableSchema, **options: Any) -> Lake:
    """Make a repository with tables."""
    change = Change()
    for table in tables or (DATASET,):
        change.create_table(table)
    return Lake.create(open_storage(root, **options), config={"name": "test"}, change=change)


def reopened(root: Path | str, **options: Any) -> Lake:
    """Open a repository anew."""
    return Lake.open(open_storage(root, **options))


def commit(lake: Lake, fill: Callable[[Change], None], op: str = "test") -> Snapshot:
    """Commit what a function puts into a change."""

    def build(snapshot: Snapshot) -> Change:
        change = Change()
        fill(change)
        return change

    return lake.commit(build, op=op)


def add(lake: Lake, rows: Sequence[Row], table: str = NAME) -> Snapshot:
    """Commit rows."""
    return commit(lake, lambda change: change.append_rows(table, rows))


def everything(snapshot: Snapshot, table: str = NAME) -> list[Row]:
    """Return all rows of a table, in order."""
    data = snapshot.scan(table)
    return ordered(list(zip(*(data.column(i).to_pylist() for i in range(data.num_columns)), strict=True)))


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Return rows in an order of their own."""
    return sorted(rows, key=repr)
