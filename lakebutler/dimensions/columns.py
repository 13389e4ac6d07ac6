# SPDX-License-Identifier: BSD-3-Clause
"""Columns of dimension records: their types, and what values fit them."""

from __future__ import annotations

import builtins
import math
import operator
import re
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "COLUMN_TYPES",
    "ColumnSpec",
    "check_int",
    "check_range",
    "check_string",
    "fit",
    "fit_key",
    "forbidden_characters",
]

COLUMN_TYPES: Final = {
    "int": int,
    "float": float,
    "bool": bool,
    "string": str,
    "hash": bytes,
    "region": object,
    "timespan": object,
}
"""Types a column can have, and what Python calls them."""

_INT_LIMIT: Final = 2**63
# C0 and C1 controls, marks and overrides of writing direction, lone surrogates,
# line and paragraph separators, byte order mark, non-characters.
_FORBIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column of a dimension record."""

    name: str
    """Name of the field."""

    type: str
    """Key of `COLUMN_TYPES`."""

    length: int | None = None
    """Most characters (string) or bytes (hash); `None` if there is no limit."""

    nullable: bool = True
    """Whether the value may be missing."""

    doc: str = ""
    """What the column means."""

    @property
    def pytype(self) -> builtins.type:
        """Python type of the values."""
        return COLUMN_TYPES[self.type]

    def __str__(self) -> str:
        bound = f"({self.length})" if self.length is not None else ""
        return f"{self.name}: {self.type}{bound}" + ("" if self.nullable else ", required")


def forbidden_characters(text: str) -> str | None:
    """Find a character that no name or text in a repository may hold.

    Parameters
    ----------
    text : `str`
        Any text.

    Returns
    -------
    found : `str` or `None`
        The first control character, direction mark, lone surrogate or the like,
        as ``U+XXXX``; `None` if the text is free of them.
    """
    match = _FORBIDDEN.search(text)
    return None if match is None else f"U+{ord(match.group()):04X}"


def check_range(value: int) -> bool:
    """Tell whether a number fits a column of integers.

    Parameters
    ----------
    value : `int`
        A number.

    Returns
    -------
    fits : `bool`
        `True` if it fits 64 bits.
    """
    return -_INT_LIMIT <= value < _INT_LIMIT


def check_int(value: Any) -> int:
    """Convert to an exact `int`.

    Parameters
    ----------
    value
        An integer, of numpy too; not a `bool`, not a float.

    Returns
    -------
    value : `int`
        The number.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it does not fit 64 bits.
    """
    if type(value) is not int:
        if not _is_integer(value):
            raise TypeError(f"must be an integer, not {describe(value)}")
        try:
            value = operator.index(value)
        except TypeError:
            raise TypeError(f"must be an integer, not {describe(value)}") from None
    if not check_range(value):
        raise ValueError(f"must fit a 64-bit integer, which {value} does not")
    return int(value)


def _is_integer(value: Any) -> bool:
    """Whether something is a number of integer type: some numpy takes its booleans for one."""
    kind = getattr(getattr(value, "dtype", None), "kind", "i")
    shape = getattr(value, "shape", ())
    return not isinstance(value, bool) and hasattr(value, "__index__") and kind in "iu" and shape == ()


def check_string(value: Any) -> str:
    """Convert to an exact `str`.

    Parameters
    ----------
    value
        A string, of numpy too.

    Returns
    -------
    value : `str`
        The string.

    Raises
    ------
    TypeError
        If it is no string.
    """
    if type(value) is str:
        return value
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"must be a string, not {describe(value)}")


def describe(value: Any) -> str:
    """Name a value and its type, shortly.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    text : `str`
        At most some 60 characters.
    """
    if value is None:
        return "None"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"


def fit_key(column: ColumnSpec, value: Any) -> Any:
    """Convert the value of a dimension to its exact type.

    Parameters
    ----------
    column : `ColumnSpec`
        The primary key.
    value
        What was given.

    Returns
    -------
    value : `int` or `str`
        The value.

    Raises
    ------
    TypeError, ValueError
        If it does not fit.
    """
    if column.type == "int":
        return check_int(value)
    return check_string(value)


def _fit_float(value: Any) -> float | None:
    if type(value) is not float:
        if isinstance(value, bool | str | bytes | complex) or getattr(value, "shape", ()) != ():
            raise TypeError(f"must be a number, not {describe(value)}")
        try:
            value = float(value)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"must be a number, not {describe(value)}") from None
    return None if math.isnan(value) else float(value)


def _fit_bool(value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value).__name__ in ("bool", "bool_") or (type(value) is int and value in (0, 1)):
        return bool(value)
    raise TypeError(f"must be True or False, not {describe(value)}")


def _fit_string(column: ColumnSpec, given: Any) -> str:
    value = check_string(given)
    if column.length is not None and len(value) > column.length:
        raise ValueError(f"has {len(value)} characters, {column.length} are allowed: {value[:40]!r}...")
    if not value.isascii() or not value.isprintable():
        found = forbidden_characters(value)
        if found is not None:
            raise ValueError(f"holds the character {found}, which is not allowed: {value[:40]!r}")
    return value


def _fit_hash(column: ColumnSpec, given: Any) -> bytes:
    if not isinstance(given, bytes | bytearray | memoryview):
        raise TypeError(f"must be bytes, not {describe(given)}")
    value = bytes(given)
    if column.length is not None and len(value) > column.length:
        raise ValueError(f"has {len(value)} bytes, {column.length} are allowed")
    return value


def fit(column: ColumnSpec, value: Any) -> Any:
    """Convert a value to the exact type of a column.

    Parameters
    ----------
    column : `ColumnSpec`
        The column; neither a region nor a timespan.
    value
        What was given; `None` if it is missing.

    Returns
    -------
    value
        The value; a float that is no number counts as missing.

    Raises
    ------
    TypeError, ValueError
        If it does not fit; the message goes on from the name of the column.
    """
    if value is not None:
        kind = column.type
        if kind == "string":
            return _fit_string(column, value)
        if kind == "int":
            return check_int(value)
        if kind == "float":
            value = _fit_float(value)
        elif kind == "bool":
            return _fit_bool(value)
        else:
            return _fit_hash(column, value)
    if value is None and not column.nullable:
        raise ValueError("is missing")
    return value
