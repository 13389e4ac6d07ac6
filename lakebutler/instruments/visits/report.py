# SPDX-License-Identifier: BSD-3-Clause
"""What became of every visit that define-visits looked at."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["VisitReport", "VisitStatus", "VisitsReport"]


class VisitStatus(enum.Enum):
    """What became of a visit."""

    DEFINED = "defined"
    """It is new."""
    CHANGED = "changed"
    """It was there, and is different now; the reason says why."""
    PRESENT = "present"
    """It was there already, the same."""
    REMOVED = "removed"
    """It was there, and its exposures no longer define it; the reason names them."""
    CONFLICT = "conflict"
    """It cannot be as its exposures say; nothing was done.  The reason says why."""


class VisitReport(NamedTuple):
    """What became of one visit.

    Attributes
    ----------
    visit : `int`
        Its number.
    status : `VisitStatus`
        What became of it.
    exposures : `tuple` [`int`]
        The exposures in it.
    has_region : `bool`
        Whether its exposures say where it points.
    reason : `str`
        Why, in one line; empty where the status says it all.
    """

    visit: int
    status: VisitStatus
    exposures: tuple[int, ...]
    has_region: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VisitsReport:
    """What became of all visits.

    Attributes
    ----------
    instrument : `str`
        The camera.
    visits : `tuple` [`VisitReport`]
        Ordered by number.
    regions : `int`
        How many detector regions were written.
    skipped : `Mapping` [`str`, `int`]
        Exposures that cannot be visits: why, and how many.
    notes : `tuple` [`str`]
        Groups of exposures that could not be visits, and why.
    """

    instrument: str
    visits: tuple[VisitReport, ...]
    regions: int
    skipped: Mapping[str, int]
    notes: tuple[str, ...] = ()

    def with_status(self, status: VisitStatus) -> tuple[VisitReport, ...]:
        """Select visits by what became of them.

        Parameters
        ----------
        status : `VisitStatus`
            What to select.

        Returns
        -------
        visits : `tuple` [`VisitReport`]
            The visits.
        """
        return tuple(v for v in self.visits if v.status is status)

    @property
    def conflicts(self) -> tuple[VisitReport, ...]:
        """Visits that cannot be as their exposures say."""
        return self.with_status(VisitStatus.CONFLICT)

    @property
    def without_region(self) -> tuple[VisitReport, ...]:
        """Visits whose exposures do not say where they point."""
        return tuple(v for v in self.visits if not v.has_region)

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of visits by status; every status is there."""
        tally = Counter(v.status for v in self.visits)
        return {status.value: tally[status] for status in VisitStatus}

    def rows(self) -> Iterator[Mapping[str, object]]:
        """List the visits as plain rows.

        Yields
        ------
        row : `Mapping`
            ``visit``, ``status``, ``exposures`` (their number), ``region``, ``reason``.
        """
        for v in self.visits:
            yield {
                "visit": v.visit,
                "status": v.status.value,
                "exposures": len(v.exposures),
                "region": v.has_region,
                "reason": v.reason,
            }

    def __str__(self) -> str:
        parts = [f"{count} {status}" for status, count in self.counts.items() if count]
        return f"{len(self.visits)} visits: " + (", ".join(parts) or "nothing to do")
