# SPDX-License-Identifier: BSD-3-Clause
"""Path templates of old repositories, and the regular expressions that they become.

A template is a path with ``%``-formats of the keys of a data ID, and maybe the unit of
the file behind it: ``%(date)s/%(filter)s/decam%(visit)07d.fits.fz[%(hdu)d]``.  Integers
are captured without their leading zeros; a key that comes again must say the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from lakebutler.errors import RepositoryFormatError

__all__ = ["SEPARATOR", "Template", "element_regex", "parse_template"]

SEPARATOR = "\0"
"""Stands between known values and a name: no name can have it."""

_FORMAT = re.compile(r"%(?:%|\((?P<key>\w+)\)(?P<width>[-+ #0]*\d*(?:\.\d+)?)(?P<kind>[a-zA-Z]))")
_UNIT = re.compile(r"\[([^\[\]/]*)\]$")
_INTEGERS = "di"
_NUMBERS = "feEgG"
_PACKED = r"(?:\.gz|\.fz)?"


@dataclass(frozen=True)
class Template:
    """A template, parted.

    Attributes
    ----------
    dataset_type : `str`
        Of which type.
    section : `str`
        ``exposures``, ``calibrations`` or ``datasets``.
    text : `str`
        As it was written.
    elements : `tuple` [`str`]
        Directories and the file's name, as written.
    keys : `tuple` [`str`]
        Keys of the path, in the order in which they come first.
    integers : `frozenset` [`str`]
        Those that are whole numbers.
    unit : `str` or `None`
        Key, or number, of the unit in the file; `None` for all of the file.
    """

    dataset_type: str
    section: str
    text: str
    elements: tuple[str, ...]
    keys: tuple[str, ...]
    integers: frozenset[str]
    unit: str | None = None

    @property
    def path(self) -> str:
        """The path without the unit."""
        return "/".join(self.elements)

    @property
    def catches_all(self) -> bool:
        """Whether the path is one key: it fits any file."""
        return self.elements == ("%(path)s",)

    @property
    def unit_key(self) -> str | None:
        """Key of the unit, if it is not the same for all files."""
        found = None if self.unit is None else _FORMAT.fullmatch(self.unit)
        return None if found is None else found["key"]


def parse_template(dataset_type: str, section: str, text: str) -> Template:
    """Part a template.

    Parameters
    ----------
    dataset_type, section : `str`
        Whose it is.
    text : `str`
        The template.

    Returns
    -------
    template : `Template`
        Its parts.

    Raises
    ------
    RepositoryFormatError
        Raised if it is none.
    """
    unit = _UNIT.search(text)
    path = text[: unit.start()] if unit else text
    elements = tuple(path.split("/"))
    if path.startswith("/") or any(e in ("", ".", "..") for e in elements):
        raise RepositoryFormatError(f"the template of {dataset_type!r} is no path in a repository: {text!r}")
    keys: list[str] = []
    integers: set[str] = set()
    for element in elements:
        for found in _FORMAT.finditer(element):
            if found["key"]:
                keys.append(found["key"])
                if found["kind"] in _INTEGERS:
                    integers.add(found["key"])
        if "%" in _FORMAT.sub("", element):
            raise RepositoryFormatError(
                f"the template of {dataset_type!r} has a format that is none: {text!r}"
            )
    return Template(
        dataset_type,
        section,
        text,
        elements,
        tuple(dict.fromkeys(keys)),
        frozenset(integers),
        unit[1] if unit else None,
    )


def element_regex(
    element: str, known: AbstractSet[str], patterns: Mapping[str, str], *, is_file: bool, tag: str = ""
) -> tuple[str, tuple[str, ...]]:
    """Make the regular expression of a part of a path.

    Parameters
    ----------
    element : `str`
        The part, as in the template.
    known : set of `str`
        Keys that are told by directories above: groups of these names, with `tag`, are
        matched before.
    patterns : mapping
        How the values of some keys look.
    is_file : `bool`
        Whether it is the file's name: then the file may be packed.
    tag : `str`, optional
        What the names of its own groups begin with, where several stand in one expression.

    Returns
    -------
    regex : `str`
        The expression.
    keys : `tuple` [`str`]
        Keys whose values it captures, in order.
    """
    parts: list[str] = []
    own: list[str] = []
    at = 0
    for found in _FORMAT.finditer(element):
        parts.append(re.escape(element[at : found.start()]))
        at = found.end()
        key = found["key"]
        if not key:
            parts.append("%")
            continue
        zeros = "0*" if found["kind"] in _INTEGERS else ""
        if key in own:
            parts.append(f"{zeros}(?P={tag}{key})")
        elif key in known:
            parts.append(f"{zeros}(?P={key})")
        else:
            own.append(key)
            parts.append(f"{zeros}(?P<{tag}{key}>{_value(found['kind'], patterns.get(key))})")
    parts.append(re.escape(element[at:]))
    if is_file and re.search(r"\.fits(\.gz|\.fz)?$", element):
        last = re.sub(r"\\\.(gz|fz)$", "", parts[-1])
        parts[-1] = last + _PACKED
    return "".join(parts), tuple(own)


def _value(kind: str, pattern: str | None) -> str:
    if kind in _INTEGERS:
        return r"0|[1-9]\d*"
    if pattern is not None:
        return f"(?:{pattern})"
    return r"[-+.\deE]+" if kind in _NUMBERS else rf"[^/{SEPARATOR}]+?"
