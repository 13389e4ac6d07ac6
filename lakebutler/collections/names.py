# SPDX-License-Identifier: BSD-3-Clause
"""Rules for names of collections.

A name can hold any characters that a person can see and type, so that names of
other repositories can be kept; what is refused is what could be mistaken for
another name, break a path or a terminal, or not be written to a file system.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from lakebutler.errors import CollectionNameError

__all__ = ["MAX_NAME_BYTES", "MAX_PART_BYTES", "check_collection_name", "name_fault"]

MAX_NAME_BYTES: Final = 1024
"""Most bytes of a name in UTF-8."""

MAX_PART_BYTES: Final = 255
"""Most bytes of a part of a name, between slashes, in UTF-8."""

_INVISIBLE: Final = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060\u3164\uffa0\ufeff")


def _describe(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}" + (f" {name}" if name else "")


def _bad_character(name: str) -> str | None:
    for character in name:
        category = unicodedata.category(character)
        if category == "Cc":
            return f"holds the control character {_describe(character)}"
        if category == "Cs":
            return f"holds half a character, {_describe(character)}"
        if category in ("Cf", "Zl", "Zp") or character in _INVISIBLE:
            return f"holds the invisible character {_describe(character)}"
        if category == "Zs" and character != " ":
            return f"holds {_describe(character)}, which looks like a space"
        if category in ("Cn", "Co"):
            return f"holds {_describe(character)}, which is no character of Unicode"
    return None


def name_fault(name: str) -> str | None:
    """Find out why a name is refused.

    Parameters
    ----------
    name : `str`
        A name.

    Returns
    -------
    fault : `str` or `None`
        What is wrong, to be put behind the name; `None` if nothing is.
    """
    if not name:
        return "is empty"
    if not name.isascii() or not name.isprintable():
        fault = _bad_character(name)
        if fault is not None:
            return fault
        if not unicodedata.is_normalized("NFC", name):
            return "is not in Unicode's normal form NFC"
    if name[0] == "/":
        return "begins with '/'"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return f"has the part {part!r} between slashes" if part else "has an empty part between slashes"
        if len(part.encode()) > MAX_PART_BYTES:
            return f"has a part of more than {MAX_PART_BYTES} bytes between slashes"
        if part[0] == " " or part[-1] == " ":
            return "has a space next to a slash or at an end"
    return None


def check_collection_name(name: Any) -> str:
    """Refuse a name that no collection can have.

    Parameters
    ----------
    name : `str`
        A name; slashes set off parts, as in a path.

    Returns
    -------
    name : `str`
        The same.

    Raises
    ------
    CollectionNameError
        If it breaks a rule; the message says which.
    """
    if not isinstance(name, str):
        raise CollectionNameError(f"the name of a collection must be a string, not {type(name).__name__}")
    fault = name_fault(name)
    if fault is not None:
        shown = ascii(name) if len(name) <= 80 else ascii(name[:60]) + "..."
        hint = None
        if "normal form" in fault:
            hint = f"write it as {unicodedata.normalize('NFC', name)!r}"
        elif "part" in fault or "begins" in fault:
            hint = "write parts with single slashes between, as in 'u/someone/run1'"
        raise CollectionNameError(f"collection name {shown} {fault}", hint=hint)
    return str(name)
