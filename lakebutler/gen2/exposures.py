# SPDX-License-Identifier: BSD-3-Clause
"""Exposures, from registries and headers.

A registry knows every exposure, but not all about it, and what it has was copied from
headers by programs of their time.  So one header of each exposure is read as well; what
differs is told, and the user says who is right.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lakebutler.errors import ButlerError, InstrumentError
from lakebutler.gen2.registry import RawRows
from lakebutler.gen2.translate import Filters
from lakebutler.gen2.validity import parse_time
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.headers.file import FileResult
from lakebutler.instruments.headers.observation import (
    Observation,
    day_obs_record,
    exposure_record,
    group_record,
    observation_from_values,
)
from lakebutler.instruments.headers.parallel import read_files

__all__ = ["Difference", "Exposures", "registry_exposures", "tai_of"]

_NEAR = 1_000_000_000
"""Times that differ by less than a second are the same."""

_TIMES = ("taiobs", "dateobs", "date", "dayobs")
"""Columns that may say when an exposure began, the best first."""

_KINDS = {"object": "science", "domeflat": "flat", "skyflat": "flat", "": "science", "none": "science"}


class Difference(NamedTuple):
    """Something that registry and header say differently."""

    exposure: int
    what: str
    registry: str
    header: str
    taken: str


@dataclass
class Exposures:
    """What is known of the exposures of a repository.

    Attributes
    ----------
    known : `dict` [`int`, `Observation`]
        By number.
    differences : `list` [`Difference`]
        Where registry and header differ.
    notes : `list` [`str`]
        What could not be read.
    units : `dict` [`str`, `dict` [`int`, `int`]]
        Unit of each detector, by file, where files hold several.
    looked_up : `dict` [`int`, `str`]
        What the old look-up of calibrations compared with their ranges, as the registry has
        it, by number.
    """

    known: dict[int, Observation] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    units: dict[str, dict[int, int]] = field(default_factory=dict)
    looked_up: dict[int, str] = field(default_factory=dict)

    def read_headers(
        self, camera: Camera, files: Mapping[int, Sequence[str]], trust: str, *, every: bool
    ) -> None:
        """Read a header of each exposure, and compare it with what is known.

        Parameters
        ----------
        camera : `Camera`
            The camera.
        files : mapping
            Files of raws by exposure.
        trust : `str`
            ``header`` or ``registry``.
        every : `bool`
            Whether all files are read, since they hold several detectors.
        """
        chosen = {number: paths if every else paths[:1] for number, paths in files.items()}
        wanted = [(path, number) for number, paths in chosen.items() for path in paths]
        failed: list[FileResult] = []
        results = read_files([path for path, _ in wanted], [camera])
        for (path, number), result in zip(wanted, results, strict=True):
            if not result.observations:
                failed.append(result)
                continue
            if result.units:
                pairs = zip(result.observations, result.units, strict=True)
                self.units[path] = {o.detector: unit for o, unit in pairs}
            self._merge(number, result.observations[0], trust)
        if failed:
            self.notes.append(
                f"{len(failed)} of {len(wanted)} headers could not be used, such as that of "
                f"{failed[0].path}: {failed[0].reason}"
            )

    def _merge(self, number: int, header: Observation, trust: str) -> None:
        registry = self.known.get(number)
        if header.exposure_id != number:
            self.differences.append(
                Difference(number, "exposure", str(number), str(header.exposure_id), str(number))
            )
            header = header._replace(exposure_id=number)
        if registry is None:
            self.known[number] = header
            return
        merged = header
        for name in ("physical_filter", "exposure_time_s", "begin_nsec", "day_obs"):
            a, b = getattr(registry, name), getattr(header, name)
            if a == b or (name == "begin_nsec" and abs(a - b) < _NEAR):
                continue
            if name == "exposure_time_s" and abs(a - b) < 1e-6:
                continue
            if trust == "registry":
                merged = merged._replace(**{name: a})
            taken = a if trust == "registry" else b
            self.differences.append(
                Difference(number, name, _shown(name, a), _shown(name, b), _shown(name, taken))
            )
        if merged.begin_nsec != header.begin_nsec or merged.exposure_time_s != header.exposure_time_s:
            length = round(merged.exposure_time_s * 1e9)
            merged = merged._replace(end_nsec=merged.begin_nsec + length)
        self.known[number] = merged

    def records(self, numbers: Iterable[int]) -> dict[str, list[dict[str, Any]]]:
        """Make the records of some exposures.

        Parameters
        ----------
        numbers : iterable of `int`
            The exposures.

        Returns
        -------
        records : `dict`
            Values by element.
        """
        observations = [self.known[number] for number in sorted(set(numbers))]
        days = {(o.instrument, o.day_obs): o for o in observations}
        groups = {(o.instrument, o.group): o for o in observations}
        return {
            "day_obs": [day_obs_record(o) for o in days.values()],
            "group": [group_record(o) for o in groups.values()],
            "exposure": [exposure_record(o) for o in observations],
        }


def _shown(name: str, value: Any) -> str:
    if name == "begin_nsec":
        from datetime import UTC, datetime, timedelta

        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value // 1000)
        return f"{when:%Y-%m-%dT%H:%M:%S.%f} TAI"
    return str(value)


# --------------------------------------------------------------------- registry


def tai_of(nsec: Sequence[int], scale: str) -> list[int]:
    """Convert times of a registry to TAI.

    Parameters
    ----------
    nsec : sequence of `int`
        Nanoseconds since 1970-01-01T00:00:00 in the scale.
    scale : `str`
        ``tai`` or ``utc``.

    Returns
    -------
    nsec : `list` [`int`]
        Nanoseconds TAI since 1970-01-01T00:00:00 TAI.
    """
    if scale == "tai" or not nsec:
        return list(nsec)
    import numpy as np
    from astropy.time import Time

    day = 86_400_000_000_000
    days, rest = np.divmod(np.asarray(nsec, np.int64), day)
    # Offset in whole seconds at the time itself; before 1972 it is not whole, and not asked for.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # leap seconds of the far future are not known
        times = Time(days + 2440587.5, rest / day, format="jd", scale="utc")
        offsets = np.round(((times.tai.jd1 - times.utc.jd1) + (times.tai.jd2 - times.utc.jd2)) * 86_400)
    return [int(n) + int(o) * 1_000_000_000 for n, o in zip(nsec, offsets, strict=True)]


def registry_exposures(
    rows: RawRows,
    camera: Camera,
    filters: Filters,
    scale: str,
    wanted: Iterable[int],
    obs_time: str = "taiObs",
) -> Exposures:
    """Make what is known of exposures from a registry.

    Parameters
    ----------
    rows : `RawRows`
        The registry.
    camera : `Camera`
        The camera.
    filters : `Filters`
        Names of filters.
    scale : `str`
        Scale of its times.
    wanted : iterable of `int`
        Exposures that are asked for.
    obs_time : `str`, optional
        The column that the old look-up of calibrations compared with their ranges.

    Returns
    -------
    exposures : `Exposures`
        Those that the registry tells of.
    """
    found = Exposures()
    key = rows.exposure_key
    if key is None:
        found.notes.append(f"the registry {rows.source} does not number its exposures")
        return found
    asked = set(wanted)
    first = _values(rows, key, asked)
    begins = {number: _begin(values) for number, values in first.items()}
    found.looked_up = _looked_up(rows, key, obs_time.lower(), asked)
    timed = [number for number, begin in begins.items() if begin is not None]
    tai = dict(zip(timed, tai_of([begins[n] or 0 for n in timed], scale), strict=True))
    refused: list[str] = []
    for number, values in first.items():
        try:
            found.known[number] = _observation(number, values, camera, filters, tai.get(number))
        except InstrumentError:
            raise
        except ButlerError as error:
            refused.append(f"exposure {number}: {error.message}")
    if refused:
        found.notes.append(
            f"{len(refused)} exposures of the registry could not be used, such as {refused[0]}"
        )
    return found


def _values(rows: RawRows, key: str, asked: set[int]) -> dict[int, dict[str, Any]]:
    """What the first row of each exposure says, and where it is silent, the others."""
    first: dict[int, dict[str, Any]] = {}
    for columns in (rows.columns, rows.visits):
        name = key if key in columns else next(iter(columns), "")
        for i, number in enumerate(columns.get(name, ())):
            if number in asked:
                values = {column: data[i] for column, data in columns.items()}
                held = first.setdefault(number, values)
                held.update({k: v for k, v in values.items() if held.get(k) is None})
    return first


def _looked_up(rows: RawRows, key: str, obs_time: str, asked: set[int]) -> dict[int, str]:
    """Texts that the old look-up compared: of the table of visits, where that has them."""
    texts: dict[int, str] = {}
    for name in (obs_time, *_TIMES):
        for columns in (rows.visits, rows.columns):
            if name in columns and key in columns and len(texts) < len(asked):
                for number, text in zip(columns[key], columns[name], strict=True):
                    if isinstance(text, str) and number in asked:
                        texts.setdefault(number, text)
    return texts


def _begin(values: Mapping[str, Any]) -> int | None:
    for name in _TIMES:
        nsec = parse_time(values.get(name))
        if nsec is not None:
            return nsec
    return None


def _observation(
    number: int, values: Mapping[str, Any], camera: Camera, filters: Filters, begin: int | None
) -> Observation:
    spelling = values.get("filter")
    kind = str(values.get("datatype") or values.get("imagetype") or values.get("obstype") or "").lower()
    time = values.get("exptime")
    told = {
        "exposure_id": number,
        "detector_num": camera.detectors[0].id,
        "observation_id": values.get("expid") if isinstance(values.get("expid"), str) else None,
        "physical_filter": filters.physical(str(spelling)) if spelling is not None else None,
        "datetime_begin": begin,
        "exposure_time": 0.0 if time is None else time,
        "observation_type": _KINDS.get(kind, kind),
        "object": values.get("field") or values.get("object"),
        "science_program": values.get("proposal") or values.get("runid"),
        "observation_counter": values.get("seqnum") if isinstance(values.get("seqnum"), int) else None,
    }
    return observation_from_values(camera, told)
