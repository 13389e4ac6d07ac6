# SPDX-License-Identifier: BSD-3-Clause
"""What became of every file offered to write-curated-calibrations."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lakebutler.timespan import Timespan

__all__ = ["CuratedReport", "CuratedStatus", "CurationReport"]


class CuratedStatus(enum.Enum):
    """What became of a file."""

    WRITTEN = "written"
    """It is a new dataset, and certified."""
    CERTIFIED = "certified"
    """It was there already; its validity is new, or another one now."""
    PRESENT = "present"
    """It was there already, with the same content and validity; nothing was done."""
    CONFLICT = "conflict"
    """What is there differs; nothing was done.  The reason says in what."""
    REJECTED = "rejected"
    """It cannot be used; the reason says why."""
    IGNORED = "ignored"
    """It is no calibration: a note, or what one was made from."""


class CuratedReport(NamedTuple):
    """What became of one file.

    Attributes
    ----------
    path : `str`
        The file, or the directory.
    status : `CuratedStatus`
        What became of it.
    reason : `str`
        Why, in one line; empty where the status says it all.
    dataset_type, run : `str`
        What it is and where; empty if that was not found out.
    data_id : `Mapping`
        Its data ID.
    validity : `Timespan` or `None`
        When it is valid.
    """

    path: str
    status: CuratedStatus
    reason: str = ""
    dataset_type: str = ""
    run: str = ""
    data_id: Mapping[str, int | str] = {}
    validity: Timespan | None = None


@dataclass(frozen=True, slots=True)
class CurationReport:
    """What became of all files.

    Attributes
    ----------
    collection : `str`
        The calibration collection.
    files : `tuple` [`CuratedReport`]
        One per file, ordered by path; the camera first.
    notes : `tuple` [`str`]
        Observations on the whole.
    """

    collection: str
    files: tuple[CuratedReport, ...]
    notes: tuple[str, ...] = ()

    def with_status(self, *statuses: CuratedStatus) -> tuple[CuratedReport, ...]:
        """Select files by what became of them.

        Parameters
        ----------
        *statuses : `CuratedStatus`
            What to select.

        Returns
        -------
        files : `tuple` [`CuratedReport`]
            The files.
        """
        return tuple(file for file in self.files if file.status in statuses)

    @property
    def refused(self) -> tuple[CuratedReport, ...]:
        """Files that are not in the repository as they are."""
        return self.with_status(CuratedStatus.CONFLICT, CuratedStatus.REJECTED)

    def rows(self) -> Iterator[Mapping[str, object]]:
        """List the files as plain rows.

        Yields
        ------
        row : `Mapping`
            ``path``, ``status``, ``reason``, ``type``, ``detector``, ``physical_filter``,
            ``run``, ``validity``.
        """
        for file in self.files:
            yield {
                "path": file.path,
                "status": file.status.value,
                "reason": file.reason,
                "type": file.dataset_type,
                "detector": file.data_id.get("detector"),
                "physical_filter": file.data_id.get("physical_filter"),
                "run": file.run,
                "validity": None if file.validity is None else str(file.validity),
            }

    def __str__(self) -> str:
        tally = Counter(file.status for file in self.files)
        parts = [f"{tally[status]} {status.value}" for status in CuratedStatus if tally[status]]
        files = "1 file" if len(self.files) == 1 else f"{len(self.files)} files"
        return f"{files}: " + (", ".join(parts) or "nothing to do")
