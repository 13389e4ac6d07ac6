# SPDX-License-Identifier: BSD-3-Clause
"""Python values in expressions: their types, and conversions that lose nothing."""

from __future__ import annotations

import datetime
import math
import operator
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any

from lakebutler.query.expression import Bound, Constant, Operation
from lakebutler.query.geometry import is_region, region_of_value
from lakebutler.query.times import datetime_of, value_of_time
from lakebutler.query.tree import MAX_INTEGER
from lakebutler.timespan import Timespan

__all__ = ["constant", "convert", "fixed_number", "members"]


def constant(value: Any) -> Constant:
    """Give a Python value its type.

    Parameters
    ----------
    value
        A number, string, boolean, `None`, UUID, time, date, timespan, region or
        position on the sky; of numpy too.

    Returns
    -------
    constant : `Constant`
        The value.

    Raises
    ------
    TypeError
        Raised if such a value cannot be in an expression.
    ValueError
        Raised if the value itself cannot.
    """
    if value is None:
        return Constant(None, "null")
    if type(value).__module__ == "numpy":
        value = _from_numpy(value)
    if isinstance(value, bool):
        return Constant(value, "bool")
    if isinstance(value, str):
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{text!a} has a lone surrogate, which is no character") from None
        return Constant(text, "string")
    if isinstance(value, uuid.UUID):
        return Constant(value, "uuid")
    if isinstance(value, Timespan):
        return Constant(value.nsec, "timespan")
    if isinstance(value, datetime.datetime):
        utc = (
            value.astimezone(datetime.UTC) if value.tzinfo is not None else value.replace(tzinfo=datetime.UTC)
        )
        return Constant(utc, "datetime")
    if isinstance(value, bytes):
        return Constant(bytes(value), "hash")
    if isinstance(value, float):
        if math.isnan(value):
            raise ValueError("NaN is not a number to compare with")
        return Constant(float(value), "float")
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise ValueError("the integer does not fit 64 bits")
        return Constant(int(value), "int")
    return _of_the_sky(value)


def _of_the_sky(value: Any) -> Constant:
    region = region_of_value(value)
    if region is not None:
        return Constant(region, "region")
    nanoseconds = value_of_time(value)
    if nanoseconds is not None:
        return Constant(nanoseconds, "time")
    raise TypeError(f"a value of type {type(value).__name__} cannot be in a where expression")


def _from_numpy(value: Any) -> Any:
    if getattr(value, "shape", ()) != ():
        raise TypeError("an array can be used inside IN (…) only")
    item = value.item()
    if isinstance(item, datetime.date | datetime.timedelta) or str(getattr(value, "dtype", "")).startswith(
        "datetime"
    ):
        raise TypeError("a numpy date has no time scale: give an astropy Time")
    return item


def members(value: Any) -> list[Any] | None:
    """Members of a value that stands for a list.

    Parameters
    ----------
    value
        Any value.

    Returns
    -------
    members : `list` or `None`
        `None` if the value is a single one.
    """
    shape = getattr(value, "shape", None)
    if isinstance(value, str | bytes | Mapping | Timespan) or shape == () or is_region(value):
        return None
    return list(value) if isinstance(value, Collection) or shape is not None else None


def convert(value: Constant, kind: str) -> Constant | None:
    """Convert a constant to another type where that loses nothing.

    Parameters
    ----------
    value : `Constant`
        The value.
    kind : `str`
        The type wanted.

    Returns
    -------
    converted : `Constant` or `None`
        `None` if that cannot be done.
    """
    if kind == "uuid" and value.type == "string":
        try:
            return Constant(uuid.UUID(value.value), "uuid")
        except ValueError:
            return None
    if kind == "datetime" and value.type == "time":
        return Constant(datetime_of(value.value), "datetime")
    if kind == "time" and value.type == "datetime":
        from astropy.time import Time

        return Constant(
            value_of_time(Time(value.value.replace(tzinfo=None), format="datetime", scale="utc")), "time"
        )
    return None


def fixed_number(bound: Bound) -> float | None:
    """Compute a number that does not depend on a row.

    Parameters
    ----------
    bound : `Bound`
        A number.

    Returns
    -------
    value : `float` or `None`
        `None` if it depends on the row, or is no number.
    """
    if isinstance(bound, Constant):
        return float(bound.value) if bound.type in ("int", "float") else None
    if not isinstance(bound, Operation):
        return None
    values = [fixed_number(operand) for operand in bound.operands]
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return None
    if bound.name == "negate":
        return -numbers[0]
    try:
        return _ARITHMETIC[bound.name](*numbers)
    except (KeyError, OverflowError, ZeroDivisionError):
        return None


_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": math.fmod,
}
