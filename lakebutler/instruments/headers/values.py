# SPDX-License-Identifier: BSD-3-Clause
"""Single values of an observation: of the right type, and within what can be.

Whatever passes here fits a repository, so that one absurd header is one rejected file
and never stops a batch.  A number that is not there may be `None` or NaN; the text
``nan`` is no number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lakebutler.dimensions.columns import check_range, forbidden_characters
from lakebutler.errors import HeaderError

__all__ = ["LONGEST_S", "angle", "duration", "logical", "real", "shown", "text", "whole"]

LONGEST_S = 1e6
"""Longest exposure that is believed, in seconds: between eleven and twelve days."""

_NONE_ASKED_S = -1.0
_TEXT_LIMITS = {"observation_type": 16, "observation_reason": 68}
_TEXT_LIMIT = 64
_LONGEST_SHOWN = 80
# Degrees.  Right ascension may be counted from -180 or beyond a full turn, a mount's
# azimuth and a rotator's angle a turn further than that.
_ANGLES = {"tracking_ra": (-360.0, 720.0), "zenith_angle": (-180.0, 180.0), "altitude": (-180.0, 180.0)}
_ANY_ANGLE = (-720.0, 720.0)


def shown(value: object) -> str:
    """Write a value for a message.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    text : `str`
        In one line of at most 80 characters.
    """
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def whole(values: Mapping[str, Any], name: str, default: int | None = None) -> int | None:
    """Read an integer.

    Parameters
    ----------
    values : `Mapping`
        Property name to value.
    name : `str`
        The property.
    default : `int`, optional
        What a property that is not among them gives.

    Returns
    -------
    number : `int` or `None`
        Of at most 64 bits; `None` if the value is `None`.

    Raises
    ------
    HeaderError
        Raised if it is no integer, or a larger one.
    """
    value = values.get(name, default)
    if value is None:
        return None
    try:
        number = int(value)
        sound = not isinstance(value, bool) and (isinstance(value, str) or number == value)
    except (TypeError, ValueError, OverflowError):
        sound = False
    if not sound:
        raise HeaderError(f"{name}: {shown(value)} is no integer")
    if not check_range(number):
        raise HeaderError(f"{name}: {shown(value)} does not fit a 64-bit integer")
    return number


def real(values: Mapping[str, Any], name: str, default: float | None = None) -> float | None:
    """Read a number.

    Parameters
    ----------
    values : `Mapping`
        Property name to value.
    name : `str`
        The property.
    default : `float`, optional
        What a missing value and NaN give.

    Returns
    -------
    number : `float` or `None`
        A finite number.

    Raises
    ------
    HeaderError
        Raised if it is no number, text that says so, or infinite.
    """
    value = values.get(name)
    if value is None:
        return default
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise HeaderError(f"{name}: {shown(value)} is no number") from None
    if math.isfinite(number) and not isinstance(value, bool):
        return number
    if math.isnan(number) and not isinstance(value, str):
        return default
    raise HeaderError(f"{name}: {shown(value)} is no finite number")


def duration(values: Mapping[str, Any], name: str, default: float | None = None) -> float | None:
    """Read a duration in seconds.

    Parameters
    ----------
    values : `Mapping`
        Property name to value.
    name : `str`
        The property.
    default : `float`, optional
        What a missing value and NaN give.

    Returns
    -------
    seconds : `float` or `None`
        From 0 to `LONGEST_S`; or -1, which headers of LSST's cameras have where no time was
        asked for.

    Raises
    ------
    HeaderError
        Raised if it is none.
    """
    seconds = real(values, name, default)
    if seconds is not None and not 0.0 <= seconds <= LONGEST_S and seconds != _NONE_ASKED_S:
        raise HeaderError(f"{name} {seconds} lies outside 0 to {LONGEST_S:,.0f} s")
    return seconds


def angle(values: Mapping[str, Any], name: str, default: float | None = None) -> float | None:
    """Read an angle in degrees.

    Parameters
    ----------
    values : `Mapping`
        Property name to value.
    name : `str`
        The property.
    default : `float`, optional
        What a missing value and NaN give.

    Returns
    -------
    degrees : `float` or `None`
        As given; right ascensions lie from -360 to 720, distances from the zenith and
        the horizon from -180 to 180, all others from -720 to 720 degrees.

    Raises
    ------
    HeaderError
        Raised if it is none.
    """
    degrees = real(values, name, default)
    low, high = _ANGLES.get(name, _ANY_ANGLE)
    if degrees is not None and not low <= degrees <= high:
        raise HeaderError(f"{name} {degrees} lies outside {low:.0f} to {high:.0f} degrees")
    return degrees


def logical(values: Mapping[str, Any], name: str, default: bool | None = None) -> bool | None:
    """Read what is true or false.

    Parameters
    ----------
    values : `Mapping`
        Property name to value.
    name : `str`
        The property.
    default : `bool`, optional
        What a property that is not among them gives.

    Returns
    -------
    value : `bool` or `None`
        `None` if the value is `None`.

    Raises
    ------
    HeaderError
        Raised if it is neither.
    """
    value = values.get(name, default)
    if value is None or isinstance(value, bool):
        return value
    raise HeaderError(f"{name}: {shown(value)} is neither true nor false")


def text(values: Mapping[str, Any], name: str) -> str | None:
    """Read a text.

    Parameters
    ----------
    values : `Mapping`
        Property name to value.
    name : `str`
        The property.

    Returns
    -------
    text : `str` or `None`
        `None` if the value is `None`; a number as it is written.

    Raises
    ------
    HeaderError
        Raised if it is neither text nor a number, too long, or holds a character that no
        text in a repository may hold.
    """
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise HeaderError(f"{name}: {shown(value)} is no text")
    given = str(value)
    limit = _TEXT_LIMITS.get(name, _TEXT_LIMIT)
    if len(given) > limit:
        raise HeaderError(f"{name}: {given[:20]!r}... is longer than {limit} characters")
    if not (given.isascii() and given.isprintable()):
        found = forbidden_characters(given)
        if found is not None:
            raise HeaderError(f"{name}: {given!r} holds the character {found}, which is not allowed")
    return given
