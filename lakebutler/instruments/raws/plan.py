# SPDX-License-Identifier: BSD-3-Clause
"""Decide in plain Python what a batch of raws changes: no repository, no files.

The batch is grouped by exposure; each exposure has one record, that of its first file.
What is already registered is compared, never looked up here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from lakebutler.instruments.headers.file import FileResult, in_utf8
from lakebutler.instruments.headers.observation import Observation, exposure_record
from lakebutler.instruments.raws.report import FileReport, FileStatus, printable
from lakebutler.timespan import Timespan

__all__ = ["Accepted", "Batch", "RawKey", "differences", "in_order", "judge_records", "sort_files"]

RawKey = tuple[str, int, int]
"""Instrument, exposure, detector."""

_TIME_TOLERANCE_NSEC = 1000
_SHOWN = 3
# What every detector's header of one exposure has to agree on.
_SHARED = ("obs_id", "physical_filter", "day_obs", "group", "observation_type")
_shared = attrgetter(*_SHARED)


class Accepted(NamedTuple):
    """A file that can be ingested as far as its header goes.

    Attributes
    ----------
    position : `int`
        Place in the list of files.
    path : `str`
        The file.
    observations : `tuple` [`Observation`]
        Its detectors.
    units : `tuple` [`int`]
        Number of each detector's header/data unit; empty for one detector.
    """

    position: int
    path: str
    observations: tuple[Observation, ...]
    units: tuple[int, ...] = ()

    @property
    def exposure_key(self) -> tuple[str, int]:
        """Instrument and exposure."""
        return self.observations[0].exposure_key

    def report(self, status: FileStatus, reason: str = "") -> FileReport:
        """Say what became of the file.

        Parameters
        ----------
        status : `FileStatus`
            What became of it.
        reason : `str`, optional
            Why.

        Returns
        -------
        report : `FileReport`
            The report.
        """
        first = self.observations[0]
        if len(self.observations) == 1:
            detectors: tuple[int, ...] = (first.detector,)
        else:
            detectors = tuple(o.detector for o in self.observations)
        return FileReport(self.path, status, reason, first.instrument, first.exposure_id, detectors)


@dataclass(slots=True)
class Batch:
    """Files sorted into usable and rejected ones.

    Attributes
    ----------
    accepted : `list` [`Accepted`]
        Usable files, in order.
    reports : `dict` [`int`, `FileReport`]
        What became of the others, by position.
    first : `dict`
        First observation of each exposure.
    strangers : `dict` [`int`, `str`]
        Instruments that were recognised but not wanted, by position.
    """

    accepted: list[Accepted] = field(default_factory=list)
    reports: dict[int, FileReport] = field(default_factory=dict)
    first: dict[tuple[str, int], Observation] = field(default_factory=dict)
    strangers: dict[int, str] = field(default_factory=dict)

    def reject(self, files: Iterable[Accepted], reason: str) -> None:
        """Move files from the accepted to the rejected ones.

        Parameters
        ----------
        files : iterable of `Accepted`
            The files.
        reason : `str`
            Why.
        """
        gone = {f.position: f for f in files}
        self.accepted = [f for f in self.accepted if f.position not in gone]
        for position, file in gone.items():
            self.reports[position] = file.report(FileStatus.REJECTED, printable(reason))


def sort_files(results: Iterable[FileResult]) -> Batch:
    """Sort read files: rejected, repeated, contradictory, usable.

    Parameters
    ----------
    results : iterable of `FileResult`
        One per file, in order.

    Returns
    -------
    batch : `Batch`
        The sorted files.
    """
    batch = Batch()
    owners: dict[RawKey, str] = {}
    for position, result in enumerate(results):
        if not result.observations:
            path = result.path if in_utf8(result.path) else printable(result.path)
            batch.reports[position] = FileReport(path, FileStatus.REJECTED, printable(result.reason))
            if result.stranger:
                batch.strangers[position] = printable(result.stranger)
            continue
        file = Accepted(position, result.path, result.observations, result.units)
        first = result.observations[0]
        exposure = first.exposure_key
        reason = _repeated(file, owners) or _contradiction(first, batch.first.get(exposure))
        if reason:
            batch.reports[position] = file.report(FileStatus.REJECTED, printable(reason))
            continue
        batch.first.setdefault(exposure, first)
        for o in result.observations:
            owners[o.instrument, o.exposure_id, o.detector] = file.path
        batch.accepted.append(file)
    return batch


def _repeated(file: Accepted, owners: Mapping[RawKey, str]) -> str:
    for o in file.observations:
        other = owners.get((o.instrument, o.exposure_id, o.detector))
        if other is not None:
            return f"exposure {o.exposure_id} detector {o.detector} is already in {other}"
    return ""


def _contradiction(own: Observation, other: Observation | None) -> str:
    if other is None or _shared(own) == _shared(other):
        return ""
    for name in _SHARED:
        here, there = getattr(own, name), getattr(other, name)
        if here != there:
            return f"{name} is {here!r}, but {there!r} in another file of exposure {own.exposure_id}"
    return ""


def judge_records(
    batch: Batch, stored: Mapping[tuple[str, int], Mapping[str, Any]], *, update: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Decide which exposure records are new, changed or in conflict.

    Parameters
    ----------
    batch : `Batch`
        The batch; files of exposures in conflict become rejected.
    stored : `Mapping`
        Registered exposure records by instrument and exposure: those of the same numbers,
        and those of the same names.
    update : `bool`
        Whether differing records replace the registered ones.

    Returns
    -------
    new, changed : `list` [`dict`]
        Records to insert and to replace.
    """
    new, changed = [], []
    members: dict[tuple[str, int], list[Accepted]] = {}
    for file in batch.accepted:
        members.setdefault(file.exposure_key, []).append(file)
    owners = {(name, row["obs_id"]): number for (name, number), row in stored.items()}
    for key, files in members.items():
        record = exposure_record(batch.first[key])
        present = stored.get(key)
        owner = owners.setdefault((key[0], record["obs_id"]), key[1])
        if owner != key[1]:
            batch.reject(
                files, f"obs_id {record['obs_id']!r} of exposure {key[1]} is that of exposure {owner}"
            )
        elif present is None:
            new.append(record)
        elif different := differences(record, present):
            if update:
                changed.append(record)
                continue
            shown = "; ".join(different[:_SHOWN]) + ("; …" if len(different) > _SHOWN else "")
            batch.reject(
                files, f"exposure {key[1]} is registered differently: {shown} (--update-records replaces it)"
            )
    return new, changed


def differences(record: Mapping[str, Any], stored: Mapping[str, Any]) -> list[str]:
    """Compare a record with the registered one.

    Parameters
    ----------
    record : `Mapping`
        What the header gives.
    stored : `Mapping`
        What is registered.

    Returns
    -------
    differences : `list` [`str`]
        One per field: name, registered value, header's value.  Numbers may differ by
        1e-9 of their size and times by a microsecond.
    """
    found = []
    for name, value in record.items():
        present = stored.get(name)
        if not _same(value, present):
            found.append(f"{name} {_shown(present)}, header says {_shown(value)}")
    return found


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Timespan) and isinstance(b, Timespan):
        return all(abs(x - y) <= _TIME_TOLERANCE_NSEC for x, y in zip(a.nsec, b.nsec, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return bool(a == b)


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)


def in_order(batch: Batch, decided: Sequence[tuple[Accepted, FileReport]]) -> tuple[FileReport, ...]:
    """Put all reports in the order of the files.

    Parameters
    ----------
    batch : `Batch`
        Has the reports of the files rejected.
    decided : sequence of (`Accepted`, `FileReport`)
        The reports of the others.

    Returns
    -------
    reports : `tuple` [`FileReport`]
        One per file.
    """
    everything = batch.reports | {file.position: report for file, report in decided}
    return tuple(everything[position] for position in sorted(everything))
