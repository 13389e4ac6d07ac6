# SPDX-License-Identifier: BSD-3-Clause
"""Times in expressions: ``T'[format/]value[/scale]'`` to TAI nanoseconds.

Without a format, a number is a Modified Julian Date, ``YYYY-MM-DD…`` is ISO 8601
(with a space or a ``T``), ``+YYYYY-…`` is FITS and ``YYYY:DDD…`` a day of the
year.  Without a scale, calendar dates and Unix times are UTC, ``cxcsec`` is TT,
everything else TAI.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any

from lakebutler.timespan import time_to_nsec

__all__ = ["parse_time", "value_of_time"]

_UTC_FORMATS = frozenset({"iso", "isot", "fits", "yday", "unix"})
_SCALES = frozenset({"utc", "tai", "tt", "tdb", "tcb", "tcg", "ut1"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NUMERIC_FORMATS = frozenset(
    {"mjd", "jd", "unix", "unix_tai", "cxcsec", "gps", "decimalyear", "byear", "jyear", "galexsec", "stardate"}
)


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
    from astropy.time import Time

    form, value, scale = _split(text.strip())
    number: Any = value
    if form in _NUMERIC_FORMATS:
        if not _NUMBER.fullmatch(value):
            raise ValueError(f"format {form} takes a number, not {value!r}")
        number = float(value) if form != "mjd" else value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form == "mjd":
            # Split by hand: one double holds a date only to some microseconds.
            whole, _, fraction = value.partition(".")
            if "e" in value.lower():
                time = Time(float(value), format="mjd", scale=scale)
            else:
                sign = -1.0 if whole.startswith("-") else 1.0
                time = Time(float(whole or 0), sign * float("0." + (fraction or "0")), format="mjd", scale=scale)
        else:
            time = Time(number, format=form, scale=scale)
        return time_to_nsec(time)


def _split(text: str) -> tuple[str, str, str]:
    from astropy.time import Time

    parts = text.split("/")
    form = scale = None
    if len(parts) > 1 and parts[-1].lower() in _SCALES:
        scale = parts.pop().lower()
    if len(parts) > 1:
        form = parts.pop(0).lower()
        if form not in Time.FORMATS:
            raise ValueError(f"unknown time format or scale in {text!r}")
    if len(parts) != 1 or not parts[0].strip():
        raise ValueError(f"{text!r} is not of the form [format/]value[/scale]")
    value = parts[0].strip().removesuffix("+00:00")
    if form is None:
        form = _guess(value)
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
