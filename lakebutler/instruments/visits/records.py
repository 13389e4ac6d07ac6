# SPDX-License-Identifier: BSD-3-Clause
"""The record of a visit, made of those of its exposures, and what sets two records apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lakebutler.instruments.visits.groups import VisitDefinition
from lakebutler.instruments.visits.regions import separation_arcsec
from lakebutler.timespan import Timespan

__all__ = ["differences", "visit_record"]

TOLERANCE_ARCSEC = 1e-6
"""Regions are taken to be the same up to here."""

_ANGLES = frozenset({"azimuth"})


def visit_record(visit: VisitDefinition, instrument: str, region: bytes | None) -> dict[str, Any]:
    """Make the record of a visit.

    Parameters
    ----------
    visit : `VisitDefinition`
        The visit.
    instrument : `str`
        Its camera.
    region : `bytes` or `None`
        Its encoded region.

    Returns
    -------
    record : `dict`
        The fields of a ``visit`` record.

    Notes
    -----
    The timespan goes from the first begin to the last end, exposure times are added, the
    day and sequence number are the lowest, the zenith angle is the mean, and the azimuth
    the direction of the mean of unit vectors, from 0 to 360 degrees.  A name is kept
    where all exposures have it; otherwise the reason is ``various`` and others are null.
    """

    def values(field: str) -> list[Any]:
        return [exposure[field] for exposure in visit.exposures]

    return {
        "instrument": instrument,
        "id": visit.id,
        "name": visit.name,
        "physical_filter": _common(values("physical_filter")),
        "day_obs": _all(min, values("day_obs")),
        "seq_num": _all(min, values("seq_num")),
        "exposure_time": _all(sum, values("exposure_time")),
        "target_name": _common(values("target_name")),
        "observation_reason": _common(values("observation_reason")) or "various",
        "science_program": _common(values("science_program")),
        "azimuth": _all(_mean_angle, values("azimuth")),
        "zenith_angle": _all(_mean, values("zenith_angle")),
        "region": region,
        "timespan": _span(values("timespan")),
    }


def _all(combine: Callable[[Sequence[Any]], Any], values: Sequence[Any]) -> Any:
    return None if None in values else combine(values)


def _common(values: Sequence[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _mean_angle(degrees: Sequence[float]) -> float:
    if len(degrees) == 1:
        return degrees[0]
    x, y = (sum(f(math.radians(a)) for a in degrees) for f in (math.cos, math.sin))
    return math.degrees(math.atan2(y, x)) % 360.0


def _span(spans: Sequence[Timespan | None]) -> Timespan | None:
    known = [span.nsec for span in spans if span is not None]
    if len(known) < len(spans):
        return None
    bounds = (min(begin for begin, _ in known), max(end for _, end in known))
    return Timespan(None, None, _nsec=bounds)


def differences(stored: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    """Say in what two records of one visit differ.

    Parameters
    ----------
    stored, made : `Mapping`
        What is registered, and what would be; regions are encoded.

    Returns
    -------
    differences : `list` [`str`]
        One line for each field; numbers that differ by rounding, and regions by less than
        a millionth of an arcsecond, are the same.
    """
    found = []
    for field, value in made.items():
        old = stored.get(field)
        if field == "region":
            found += _regions_differ(old, value)
        elif not _same(field, old, value):
            found.append(f"{field} is {old!r}, its exposures say {value!r}")
    return found


def _same(field: str, old: Any, new: Any) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        if field in _ANGLES:
            return math.isclose((old - new + 180.0) % 360.0, 180.0, abs_tol=1e-9)
        return math.isclose(old, new, rel_tol=1e-9, abs_tol=1e-12)
    return bool(old == new)


def _regions_differ(old: bytes | None, new: bytes | None) -> list[str]:
    if old is None or new is None:
        word = "there is no region" if old is None else "the pointing that its region is from is gone"
        return [] if old is new else [word]
    apart = separation_arcsec(old, new)
    if apart < TOLERANCE_ARCSEC:
        return []
    if math.isinf(apart):
        return ["its region has another shape"]
    return [f"its region is off by {apart:.3g} arcsec"]
