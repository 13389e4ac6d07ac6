# SPDX-License-Identifier: BSD-3-Clause
"""Times in expressions: ``T'[format/]value[/scale]'`` to TAI nanoseconds.

Without a format, a number is a Modified Julian Date, ``YYYY-MM-DD…`` is ISO 8601
(with a space or a ``T``), ``+YYYYY-…`` is FITS and ``YYYY:DDD…`` a day of the
year.  Without a scale, calendar dates and Unix times are UTC, ``cxcsec`` is TT,
everything else TAI.
"""

from __future__ import annotations

import datetime
import re
import warnings
from functools import lru_cache
from typing import Any

from lakebutler.timespan import nsec_to_time, time_to_nsec

__all__ = ["datetime_of", "parse_time", "value_of_time"]

_UTC_FORMATS = frozenset({"iso", "isot", "fits", "yday", "unix"})
_SCALES = frozenset({"utc", "tai", "tt", "tdb", "tcb", "tcg"})
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NUMERIC_FORMATS = frozenset(
    {
        "mjd",
        "jd",
        "unix",
        "unix_tai",
        "cxcsec",
        "gps",
        "decimalyear",
        "byear",
        "jyear",
        "galexsec",
        "stardate",
    }
)
_TEXT_FORMATS = frozenset({"iso", "isot", "fits", "yday", "byear_str", "jyear_str"})


@lru_cache(maxsize=1024)
def parse_time(text: str) -> int:
    """Read a time.

    Parameters
    ----------
    text : `str`
        What stands between the quotes.

    Returns
    -------
    nsec : `int`
        TAI nanoseconds since 1970-01-01 TAI.

    Raises
    ------
    ValueError
        Raised if the text is no time.
    """
    form, value, scale = _split(text.strip())
    if form in _NUMERIC_FORMATS and not _NUMBER.fullmatch(value):
        raise ValueError(f"format {form} takes a number, not {value!r}")
    with warnings.catch_warnings():
        # Dates far off are "dubious" to the leap-second table, and moved to the ends of time.
        warnings.simplefilter("ignore")
        try:
            return time_to_nsec(_time(form, value, scale))
        except (OverflowError, TypeError) as exc:
            raise ValueError(f"{value!r} as {form}: {exc}") from None


def _time(form: str, value: str, scale: str) -> Any:
    from astropy.time import Time

    if form != "mjd" or "e" in value.lower():
        return Time(float(value) if form in _NUMERIC_FORMATS else value, format=form, scale=scale)
    # Split by hand: one double holds a date only to some microseconds.
    whole, _, fraction = value.partition(".")
    sign = -1.0 if whole.startswith("-") else 1.0
    day = float(whole) if whole.lstrip("+-") else 0.0
    return Time(day, sign * float("0." + (fraction or "0")), format="mjd", scale=scale)


def _split(text: str) -> tuple[str, str, str]:
    parts = [part.strip() for part in text.split("/")]
    form = scale = None
    if len(parts) > 1 and parts[-1].lower() in _SCALES:
        scale = parts.pop().lower()
    if len(parts) > 1:
        form = parts.pop(0).lower()
        if form not in _NUMERIC_FORMATS | _TEXT_FORMATS:
            raise ValueError(f"unknown time format or scale in {text!r}")
    if len(parts) != 1 or not parts[0]:
        raise ValueError(f"{text!r} is not of the form [format/]value[/scale]")
    value = parts[0].removesuffix("+00:00")
    form = form or _guess(value)
    if scale is None:
        scale = "utc" if form in _UTC_FORMATS else "tt" if form == "cxcsec" else "tai"
    return form, value, scale


def _guess(value: str) -> str:
    if _NUMBER.fullmatch(value):
        return "mjd"
    if value.startswith("+"):
        return "fits"
    if re.match(r"\d{4}:\d", value):
        return "yday"
    if re.match(r"\d{4}-\d\d-\d\d", value):
        return "isot" if "T" in value else "iso"
    raise ValueError(f"{value!r} has no format that we know")


def value_of_time(value: Any) -> int | None:
    """Convert an astropy time.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    nsec : `int` or `None`
        TAI nanoseconds; `None` if the value is no single time.
    """
    if type(value).__module__.split(".")[0] != "astropy":
        return None
    from astropy.time import Time

    return time_to_nsec(value) if isinstance(value, Time) and value.isscalar else None


def datetime_of(nsec: int) -> datetime.datetime:
    """Convert TAI nanoseconds to a date.

    Parameters
    ----------
    nsec : `int`
        TAI nanoseconds since 1970-01-01 TAI.

    Returns
    -------
    moment : `datetime.datetime`
        UTC, to the microsecond; inside a leap second, its end.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        time = nsec_to_time(nsec).utc
        time.precision = 6
        text = str(time.isot)
    if text[17:19] == "60":
        minute = datetime.datetime.fromisoformat(text[:17] + "00")
        return (minute + datetime.timedelta(minutes=1)).replace(tzinfo=datetime.UTC)
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
