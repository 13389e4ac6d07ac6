# SPDX-License-Identifier: BSD-3-Clause
"""Rules that the headers of the LSST cameras have in common, as plain functions.

Source of the rules: ``translators/`` of lsst/obs_lsst at 0e84d755 (2026-04-10), restated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

__all__ = [
    "SIMULATED_CONTROLLERS",
    "exposure_number",
    "group_range",
    "is_simulated",
    "join_filters",
    "normal_filter",
    "pacific_midnight_s",
]

_CONTROLLERS = "OCHPQS"
_THOUSAND_YEARS = 1000_00_00
_COUNTERS = 100_000
_UNIFIED = {"C": 20231004, "P": 20250417, "S": 20250417, "Q": 20250417}
"""Last day on which a controller counted its exposures by itself."""

SIMULATED_CONTROLLERS = frozenset("HPSQ")
"""Controllers whose images are not of the sky."""

_EMPTY = re.compile(r"empty_?\d*", re.IGNORECASE)


def exposure_number(day: str | int, number: str | int, controller: str | None) -> int:
    """Compute the number of an exposure.

    Parameters
    ----------
    day : `str` or `int`
        Observing day, YYYYMMDD; also with dashes, or as the beginning of an ISO time.
    number : `str` or `int`
        Counter of the day.
    controller : `str` or `None`
        Letter of the controller: ``O``, ``C``, ``H``, ``P``, ``Q`` or ``S``.

    Returns
    -------
    exposure : `int`
        YYYYMMDDnnnnn; a controller with a counter of its own adds as many thousand
        years as it has letters before it.

    Raises
    ------
    ValueError
        Raised if one of them is not as described.
    """
    digits = str(day).partition("T")[0].replace("-", "")
    if len(digits) != 8 or not digits.isdigit():
        raise ValueError(f"DAYOBS {day!r} is no day")
    counter, shifted = int(number), int(digits)
    if not 0 <= counter < _COUNTERS:
        raise ValueError(f"SEQNUM {counter} lies outside [0, {_COUNTERS})")
    if controller is not None and shifted <= _UNIFIED.get(controller, 99999999):
        if controller not in _CONTROLLERS or len(controller) != 1:
            raise ValueError(f"CONTRLLR {controller!r} is none of {', '.join(_CONTROLLERS)}")
        shifted += _THOUSAND_YEARS * _CONTROLLERS.index(controller)
    return shifted * _COUNTERS + counter


def group_range(counter: int, index: Any, last: Any, exposure: int) -> tuple[int, int]:
    """Compute the counters of the first and the last exposure of a sequence.

    Parameters
    ----------
    counter : `int`
        Counter of this exposure.
    index, last : `int` or `None`
        Its place in the sequence, and that of the last one, counted from 1.
    exposure : `int`
        Its number, which stands for a counter that is 0, so that exposures without
        counters do not end up in one visit.

    Returns
    -------
    first, last : `int`
        The counters.
    """
    alone = counter or exposure
    first = counter - index + 1 if isinstance(index, int) else alone
    known = isinstance(index, int) and isinstance(last, int)
    return first, counter + last - index if known else alone


def normal_filter(name: str) -> str:
    """Give the usual spelling of a filter: ``empty_2`` is empty, ``NONE`` is none.

    Parameters
    ----------
    name : `str`
        As a header has it.

    Returns
    -------
    name : `str`
        As a camera has it.
    """
    return "empty" if _EMPTY.fullmatch(name) else name.replace("NONE", "none")


def join_filters(names: Iterable[object]) -> str:
    """Join what is in the light path.

    Parameters
    ----------
    names : iterable
        Values of the filter cards; `None` and empty ones are passed over.

    Returns
    -------
    name : `str`
        Joined with ``~``, without empty places unless all are, or ``unknown``.
    """
    given = [normal_filter(str(name)) for name in names if name is not None and str(name).strip()]
    return "~".join(name for name in given if name != "empty") or ("empty" if given else "unknown")


def is_simulated(header: Mapping[str, Any]) -> bool:
    """Tell whether a header says that anything was simulated.

    Parameters
    ----------
    header : `Mapping`
        The cards.

    Returns
    -------
    simulated : `bool`
        Whether a card ``SIMULATE ...`` is set, or a simulator was the controller.
    """
    flagged = any(value for key, value in header.items() if "SIMULATE" in key)
    return flagged or header.get("CONTRLLR") in SIMULATED_CONTROLLERS


def pacific_midnight_s(mjd_utc: float) -> int:
    """Give the time of midnight in California, where the cameras were built.

    Parameters
    ----------
    mjd_utc : `float`
        A time after 2006, as MJD in UTC.

    Returns
    -------
    offset : `int`
        Seconds after midnight UTC: 8 h, in summer 7 h.  Summer time is from the second
        Sunday in March, 10:00 UTC, to the first in November, 9:00 UTC.
    """
    when = datetime(1858, 11, 17) + timedelta(days=mjd_utc)  # noqa: DTZ001 - UTC throughout
    begin = datetime.combine(_sunday(when.year, 3, 2), datetime.min.time()) + timedelta(hours=10)
    end = datetime.combine(_sunday(when.year, 11, 1), datetime.min.time()) + timedelta(hours=9)
    return 7 * 3600 if begin <= when < end else 8 * 3600


def _sunday(year: int, month: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (number - 1))
