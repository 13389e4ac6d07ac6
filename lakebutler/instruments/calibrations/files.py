# SPDX-License-Identifier: BSD-3-Clause
"""Curated calibrations as they lie in a directory: found, dated, read and checked.

The layout is that of the ``obs_*_data`` packages::

    <type>/<detector>/[<filter>/]<begin of validity>.ecsv|yaml|json

with the directories' names in any case.  A date is UTC: ``20130115T013000``,
``20130115t0130``, ``20130115`` or ``2013-01-15T01:30:00``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from lakebutler.errors import InstrumentError, known_names
from lakebutler.formatters.factory import get_formatter
from lakebutler.formatters.formatter import Source
from lakebutler.instruments.calibrations.names import CURATED_TYPES
from lakebutler.instruments.calibrations.report import CuratedReport, CuratedStatus
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.timespan import MAX_NSEC, Timespan, time_to_nsec

__all__ = ["CuratedFile", "find_curated", "parse_date"]

_FORMATTERS = {".ecsv": "ecsv", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}
_DATE = re.compile(
    r"(\d{4})(-?)(\d{2})\2(\d{2})"
    r"(?:[Tt ](\d{2})(?:(:?)(\d{2})(?:\6(\d{2})(\.\d{1,9})?)?)?(?:[Zz]|\+00:?00)?)?",
    re.ASCII,
)
_YEARS = range(1970, 2100)
_NEVER = Timespan.makeEmpty()
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class CuratedFile:
    """One file of the right name in the right place.

    Attributes
    ----------
    path : `pathlib.Path`
        The file.
    dataset_type : `str`
        What it is.
    data_id : `Mapping`
        Detector and filter, where the dataset type has them.
    date : `datetime.datetime`
        Begin of its validity, UTC, to the second.
    begin_nsec : `int`
        The same, exact, in nanoseconds of TAI since 1970.
    formatter : `str`
        What reads it.
    calib_date : `datetime.datetime`
        The date that names its run, UTC: what the file says, or its begin.
    reason : `str`
        Why it cannot be used; empty if it can.
    validity : `Timespan`
        From its date to the next one.
    """

    path: Path
    dataset_type: str
    data_id: Mapping[str, int | str]
    date: datetime
    begin_nsec: int
    formatter: str
    calib_date: datetime
    reason: str = ""
    validity: Timespan = _NEVER

    @property
    def key(self) -> tuple[Any, ...]:
        """Dataset type and data ID."""
        return (self.dataset_type, *self.data_id.items())

    def report(self, status: CuratedStatus, reason: str = "", run: str = "") -> CuratedReport:
        """Say what became of the file.

        Parameters
        ----------
        status : `CuratedStatus`
            What became of it.
        reason, run : `str`, optional
            Why, and where it is.

        Returns
        -------
        report : `CuratedReport`
            The report.
        """
        return CuratedReport(
            str(self.path), status, reason, self.dataset_type, run, self.data_id, self.validity
        )


def parse_date(text: str) -> tuple[datetime, int]:
    """Read a date as file names and calibrations have it.

    Parameters
    ----------
    text : `str`
        A date in basic or extended ISO 8601 form, UTC.

    Returns
    -------
    date : `datetime.datetime`
        To the second, without a time zone.
    nsec : `int`
        Nanoseconds of TAI since 1970-01-01 TAI, exact.

    Raises
    ------
    ValueError
        Raised if it is none, or does not lie in 1970 to 2099.
    """
    from astropy.time import Time

    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no date like 20130115T013000")
    year, month, day, hour, minute, second = (int(found[i] or 0) for i in (1, 3, 4, 5, 7, 8))
    try:
        date = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - UTC by convention
    except ValueError as err:
        raise ValueError(f"{text!r} is no date: {err}") from None
    if year not in _YEARS:
        raise ValueError(f"{text!r} does not lie in {_YEARS.start} to {_YEARS.stop - 1}")
    exact = Time(date.isoformat() + (found[9] or ""), format="isot", scale="utc")
    return date, time_to_nsec(exact)


def find_curated(camera: Camera, directory: Path) -> tuple[list[CuratedFile], list[CuratedReport]]:
    """Find the curated calibrations of a camera, and read every one of them.

    Parameters
    ----------
    camera : `Camera`
        The camera.
    directory : `pathlib.Path`
        The directory with those of the dataset types, or the one above it, in which it is
        called as the camera.

    Returns
    -------
    files : `list` [`CuratedFile`]
        Usable files, each with its validity.
    others : `list` [`CuratedReport`]
        What cannot be used, and what is no calibration.

    Raises
    ------
    InstrumentError
        Raised if there are none of the camera.

    Notes
    -----
    A file that cannot be used still ends the validity of the one before it: a gap is
    noticed, a wrong calibration is not.
    """
    finder = _Finder(camera)
    finder.search(_home(camera, directory))
    files = [_checked(file, camera) for file in finder.files]
    files = _with_validity(files)
    usable = [file for file in files if not file.reason]
    rejected = [file.report(CuratedStatus.REJECTED, file.reason) for file in files if file.reason]
    return usable, [*finder.others, *rejected]


def _home(camera: Camera, directory: Path) -> Path:
    if not directory.is_dir():
        raise InstrumentError(f"there is no directory {directory}")
    names = {name.casefold() for name in (camera.name, *camera.aliases)}
    folders = sorted(path for path in directory.iterdir() if path.is_dir())
    if any(path.name.casefold() in CURATED_TYPES for path in folders):
        return directory
    for path in folders:
        if path.name.casefold() in names:
            return path
    raise InstrumentError(
        f"{directory} holds no curated calibrations of {camera.name}",
        hint=f"expected are directories called {', '.join(CURATED_TYPES)}, or one called {camera.name}",
    )


class _Finder:
    """Walks through the directories of a camera."""

    def __init__(self, camera: Camera) -> None:
        detectors = {str(d.id): d.id for d in camera.detectors}
        detectors |= {d.name.casefold(): d.id for d in camera.detectors}
        filters = {spelling.casefold(): f.name for spelling, f in camera.filters_by_spelling.items()}
        filters |= {f.name.casefold(): f.name for f in camera.filters}
        self._values: dict[str, Mapping[str, int | str]] = {
            "detector": detectors,
            "physical_filter": filters,
        }
        self._camera = camera.name
        self.files: list[CuratedFile] = []
        self.others: list[CuratedReport] = []

    def search(self, home: Path) -> None:
        """Look at everything in a directory of dataset types."""
        for path in _visible(home):
            name = path.name.casefold()
            if not path.is_dir():
                self._note(path, CuratedStatus.IGNORED, "no calibration")
            elif name not in CURATED_TYPES:
                hint = known_names(name, CURATED_TYPES, what="there are")
                self._note(path, CuratedStatus.REJECTED, f"no dataset type of curated calibrations; {hint}")
            else:
                self._descend(path, name, CURATED_TYPES[name].dimensions, {})

    def _note(self, path: Path, status: CuratedStatus, reason: str, kind: str = "") -> None:
        self.others.append(CuratedReport(str(path), status, reason, kind))

    def _descend(
        self, folder: Path, kind: str, dimensions: tuple[str, ...], data_id: Mapping[str, int | str]
    ) -> None:
        for path in _visible(folder):
            if not path.is_dir():
                if not dimensions or path.suffix.casefold() not in _FORMATTERS:
                    self._take(path, kind, data_id)
                else:
                    reason = f"expected in a directory called as a {dimensions[0].replace('_', ' ')}"
                    self._note(path, CuratedStatus.REJECTED, reason, kind)
            elif not dimensions:
                self._note(path, CuratedStatus.REJECTED, "a directory where files are expected", kind)
            else:
                first, *rest = dimensions
                value = self._values[first].get(path.name.casefold())
                if value is None:
                    hint = known_names(path.name, [str(v) for v in self._values[first]], what="there are")
                    reason = f"{self._camera} has no {first.replace('_', ' ')} {path.name!r}; {hint}"
                    self._note(path, CuratedStatus.REJECTED, reason, kind)
                else:
                    self._descend(path, kind, tuple(rest), {**data_id, first: value})

    def _take(self, path: Path, kind: str, data_id: Mapping[str, int | str]) -> None:
        formatter = _FORMATTERS.get(path.suffix.casefold())
        if formatter is None:
            self._note(path, CuratedStatus.IGNORED, "no calibration", kind)
            return
        if path.exists() and not path.is_file():  # to read a pipe is to wait for its writer
            self._note(path, CuratedStatus.REJECTED, "not a regular file", kind)
            return
        try:
            date, nsec = parse_date(path.stem)
        except ValueError as err:
            self._note(path, CuratedStatus.REJECTED, f"its name: {err}", kind)
            return
        self.files.append(CuratedFile(path, kind, data_id, date, nsec, formatter, date))


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))


# --------------------------------------------------------------------- contents


def _checked(file: CuratedFile, camera: Camera) -> CuratedFile:
    """Read a file, and hold what it says about itself against where it lies."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = get_formatter(file.formatter).read(Source(str(file.path), path=str(file.path)))
        facts = _metadata(content)
    except Exception as err:  # noqa: BLE001 - whatever astropy and yaml make of a broken file
        text = " ".join(str(err).split()) or type(err).__name__
        return replace(file, reason=f"cannot be read as {file.formatter.upper()}: {text}"[:_LONGEST_REASON])
    reason = _contradiction(file, camera, facts)
    if reason:
        return replace(file, reason=reason)
    said = facts.get("CALIBDATE")
    if said is None or said == "":
        return file
    try:
        return replace(file, calib_date=parse_date(str(said))[0])
    except ValueError as err:
        return replace(file, reason=f"CALIBDATE inside: {err}")


def _metadata(content: Any) -> Mapping[str, Any]:
    facts = getattr(content, "meta", None)
    if facts is None:
        if not isinstance(content, dict):
            raise TypeError(f"a mapping was expected, not {type(content).__name__}")
        facts = content.get("metadata", {})
    if not isinstance(facts, Mapping):
        raise TypeError("its metadata are no mapping")
    return facts


def _contradiction(file: CuratedFile, camera: Camera, facts: Mapping[str, Any]) -> str:
    """Find what a file says otherwise than its place; what it does not say is no contradiction."""
    named = {name.casefold() for name in (camera.name, *camera.aliases)}
    instrument, kind, detector, optics = (
        facts.get(key) for key in ("INSTRUME", "OBSTYPE", "DETECTOR", "FILTER")
    )
    if instrument is not None and str(instrument).casefold() not in named:
        return f"INSTRUME inside is {instrument!r}, not {camera.name}"
    if kind is not None and str(kind).casefold() != file.dataset_type:
        return f"OBSTYPE inside is {kind!r}, not {file.dataset_type!r}"
    expected = file.data_id.get("detector")
    if expected is not None and detector is not None and str(detector) != str(expected):
        name = camera.detector(int(expected)).name
        return f"DETECTOR inside is {detector!r}, not {expected} ({name})"
    expected = file.data_id.get("physical_filter")
    if expected is not None and optics not in (None, ""):
        meant = {s.casefold(): f.name for s, f in camera.filters_by_spelling.items()}
        if meant.get(str(optics).casefold()) != expected:
            return f"FILTER inside is {optics!r}, not {expected!r}"
    return ""


def _with_validity(files: list[CuratedFile]) -> list[CuratedFile]:
    """Let every file be valid until the next date of its kind; of two of one date none can be used."""
    dates: dict[tuple[Any, ...], dict[int, list[Path]]] = {}
    for file in files:
        dates.setdefault(file.key, {}).setdefault(file.begin_nsec, []).append(file.path)
    runs: dict[tuple[Any, ...], Path] = {}
    made = []
    for file in sorted(files, key=lambda f: (f.key, f.begin_nsec)):
        same = [path for path in dates[file.key][file.begin_nsec] if path != file.path]
        end = min((nsec for nsec in dates[file.key] if nsec > file.begin_nsec), default=MAX_NSEC)
        reason = file.reason
        if same and not reason:
            reason = f"{same[0].name} beside it has the same date"
        if not reason:
            other = runs.setdefault((*file.key, file.calib_date), file.path)
            if other != file.path:
                reason = f"CALIBDATE inside is that of {other.name}"
        made.append(replace(file, reason=reason, validity=Timespan.from_nsec(file.begin_nsec, end)))
    return made
