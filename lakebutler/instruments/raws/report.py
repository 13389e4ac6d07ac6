# SPDX-License-Identifier: BSD-3-Clause
"""What became of every file offered to ingest."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow

__all__ = ["FileReport", "FileStatus", "IngestReport", "printable"]


def printable(text: str) -> str:
    """Write a text so that it can be stored and shown in one line, whatever is in it.

    Parameters
    ----------
    text : `str`
        A reason or the name of a file, as the system or a stranger gives it.

    Returns
    -------
    text : `str`
        The same, with escapes for bytes that are no UTF-8 and for control characters.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # how the system gives a byte that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


class FileStatus(enum.Enum):
    """What became of a file."""

    INGESTED = "ingested"
    """Its datasets are new in the repository."""
    PRESENT = "present"
    """All its datasets were there already; nothing was done."""
    REJECTED = "rejected"
    """It cannot be ingested; the reason says why."""


class FileReport(NamedTuple):
    """What became of one file.

    Attributes
    ----------
    path : `str`
        The file.
    status : `FileStatus`
        What became of it.
    reason : `str`
        Why, in one line; empty where the status says it all.
    instrument : `str`
        Its camera; empty if that was not found out.
    exposure : `int` or `None`
        Its exposure.
    detectors : `tuple` [`int`]
        The detectors in it.
    """

    path: str
    status: FileStatus
    reason: str = ""
    instrument: str = ""
    exposure: int | None = None
    detectors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of a batch.

    Attributes
    ----------
    files : `tuple` [`FileReport`]
        One per file, in the order in which they were found.
    run : `str`
        Run that the raws are in; empty if no file could be used and none was named.
    datasets : `int`
        How many datasets were added.
    exposures_added, exposures_updated : `int`
        How many exposure records were inserted and changed.
    notes : `tuple` [`str`]
        Observations on the batch as a whole.
    """

    files: tuple[FileReport, ...]
    run: str
    datasets: int = 0
    exposures_added: int = 0
    exposures_updated: int = 0
    notes: tuple[str, ...] = field(default=())

    def with_status(self, status: FileStatus) -> tuple[FileReport, ...]:
        """Select files by what became of them.

        Parameters
        ----------
        status : `FileStatus`
            What to select.

        Returns
        -------
        files : `tuple` [`FileReport`]
            The files.
        """
        return tuple(f for f in self.files if f.status is status)

    @property
    def ingested(self) -> tuple[FileReport, ...]:
        """Files with new datasets."""
        return self.with_status(FileStatus.INGESTED)

    @property
    def present(self) -> tuple[FileReport, ...]:
        """Files that were there already."""
        return self.with_status(FileStatus.PRESENT)

    @property
    def rejected(self) -> tuple[FileReport, ...]:
        """Files that could not be ingested."""
        return self.with_status(FileStatus.REJECTED)

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of files by status; every status is there."""
        tally = Counter(f.status for f in self.files)
        return {status.value: tally[status] for status in FileStatus}

    def reasons(self) -> Mapping[str, int]:
        """Count the rejected files by reason.

        Returns
        -------
        reasons : `Mapping` [`str`, `int`]
            The most frequent first.
        """
        return dict(Counter(f.reason for f in self.rejected).most_common())

    def rows(self) -> Iterator[Mapping[str, object]]:
        """List the files as plain rows.

        Yields
        ------
        row : `Mapping`
            ``path``, ``status``, ``reason``, ``instrument``, ``exposure``,
            ``detectors`` (their number).
        """
        for f in self.files:
            yield {
                "path": f.path,
                "status": f.status.value,
                "reason": f.reason,
                "instrument": f.instrument,
                "exposure": f.exposure,
                "detectors": len(f.detectors),
            }

    def to_arrow(self) -> pyarrow.Table:
        """Give the files as an Arrow table.

        Returns
        -------
        table : `pyarrow.Table`
            Columns as in `rows`.
        """
        import pyarrow as pa

        schema = pa.schema(
            [
                ("path", pa.string()),
                ("status", pa.string()),
                ("reason", pa.string()),
                ("instrument", pa.string()),
                ("exposure", pa.int64()),
                ("detectors", pa.int64()),
            ]
        )
        return pa.Table.from_pylist(list(self.rows()), schema=schema)

    def __str__(self) -> str:
        parts = [f"{count} {status}" for status, count in self.counts.items() if count]
        return f"{len(self.files)} files: " + (", ".join(parts) or "nothing to do")
