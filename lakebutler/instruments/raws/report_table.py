# SPDX-License-Identifier: BSD-3-Clause
"""What became of every file that was offered to ingest, kept in the repository.

The table ``ingest_report`` is one of the lake's own, so that it is written in the commit
that adds the datasets, goes wherever the repository goes, and is a view of that name in
SQL.  Why it is not a dataset: ``docs/design/007-ingest-report.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakebutler.ids import uuid7
from lakebutler.instruments.raws.report import FileReport, FileStatus
from lakebutler.lake.change import Change
from lakebutler.lake.schema import Column, TableSchema

if TYPE_CHECKING:
    import pyarrow

    from lakebutler.butler.butler import Butler
    from lakebutler.lake.snapshot import Snapshot

__all__ = ["REPORT_TABLE", "record_files"]

REPORT_TABLE = "ingest_report"
"""Name of the table, and of its view."""

_SCHEMA = TableSchema(
    REPORT_TABLE,
    (
        Column("batch", "string", nullable=False),
        Column("position", "int64", nullable=False),
        Column("time", "timestamp", nullable=False),
        Column("run", "string", nullable=False),
        Column("path", "string", nullable=False),
        Column("status", "string", nullable=False),
        Column("reason", "string"),
        Column("instrument", "string"),
        Column("exposure", "int64"),
        Column("detectors", "int64", nullable=False),
    ),
    sort=("batch", "position"),
    scope=("batch",),
)
_ROWS_UP_TO = 500  # that go into the log itself instead of a file


def record_files(butler: Butler, files: Sequence[FileReport], run: str) -> None:
    """Write what became of the files of one batch.

    Parameters
    ----------
    butler : `Butler`
        A writeable repository; inside a transaction the rows are part of its commit.
    files : sequence of `FileReport`
        The files, in their order.
    run : `str`
        The run, or runs, that the batch was ingested into.
    """
    batch, now = str(uuid7()), datetime.now(UTC)

    def build(snapshot: Snapshot) -> Change | None:
        change = Change()
        if REPORT_TABLE not in snapshot.schemas():
            change.create_table(_SCHEMA)
        if len(files) <= _ROWS_UP_TO:
            change.append_rows(REPORT_TABLE, [_row(batch, i, now, run, f) for i, f in enumerate(files)])
        else:
            change.append_table(REPORT_TABLE, _table(batch, now, run, files))
        return change

    butler._session.execute(build, op="ingest")


def _row(batch: str, position: int, now: datetime, run: str, file: FileReport) -> tuple[Any, ...]:
    return (
        batch,
        position,
        now,
        run,
        file.path,
        file.status.value,
        file.reason or None,
        file.instrument or None,
        file.exposure,
        len(file.detectors),
    )


def _table(batch: str, now: datetime, run: str, files: Sequence[FileReport]) -> pyarrow.Table:
    import pyarrow as pa

    count = len(files)
    paths, statuses, reasons, instruments, exposures, detectors = zip(*files, strict=True)
    words = {id(status): status.value for status in FileStatus}  # an enumeration's own hash is slow
    return pa.table(
        {
            "batch": pa.repeat(batch, count),
            "position": pa.array(range(count), pa.int64()),
            "time": pa.repeat(pa.scalar(now, pa.timestamp("us", "UTC")), count),
            "run": pa.repeat(run, count),
            "path": pa.array(paths, pa.string()),
            "status": pa.array([words[id(status)] for status in statuses], pa.string()),
            "reason": pa.array([reason or None for reason in reasons], pa.string()),
            "instrument": pa.array([name or None for name in instruments], pa.string()),
            "exposure": pa.array(exposures, pa.int64()),
            "detectors": pa.array([len(numbers) for numbers in detectors], pa.int64()),
        }
    )
