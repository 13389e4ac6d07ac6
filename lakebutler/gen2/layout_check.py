# SPDX-License-Identifier: BSD-3-Clause
"""What the entries of a layout may be, checked before any of them is used."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lakebutler.errors import RepositoryFormatError, known_names

__all__ = ["ENTRIES", "SECTIONS", "check_layout"]

SECTIONS = ("exposures", "calibrations", "datasets")
"""Parts of a layout that have templates."""

_NUMBERED = ("visit", "exposure", "detector", "tract", "patch", "subfilter", "htm")
_NAMED = ("band", "physical_filter")
_MEANINGS = (*_NUMBERED, *_NAMED, "name", "filter", "calibDate")
_SCALES = ("tai", "utc")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_mapping(value: Any, inner: Callable[[Any], bool] = _is_text) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and inner(v) for k, v in value.items())


def _is_pattern(value: Any) -> bool:
    try:
        return isinstance(value, str) and not re.compile(value).groups
    except (re.error, RecursionError, OverflowError):
        return False


def _is_template(value: Any) -> bool:
    return value is None or isinstance(value.get("template") if isinstance(value, dict) else value, str)


def _is_filters(value: Any) -> bool:
    places = {"tract", "calibration", "other"}
    return isinstance(value, dict) and all(
        _is_mapping(v, _NAMED.__contains__) if k == "types" else k in places and v in _NAMED
        for k, v in value.items()
    )


def _is_constants(value: Any) -> bool:
    return isinstance(value, dict) and all(
        (k == "detector" and type(v) is int) or (k in _NAMED and isinstance(v, str)) for k, v in value.items()
    )


def _is_pair(value: Any) -> bool:
    return _is_texts(value) and len(value) == 2


def _is_storage(value: Any) -> bool:
    if not isinstance(value, dict) or not value.keys() <= {"types", "endings", "sections"}:
        return False
    types = value.get("types", [])
    return (
        isinstance(types, list)
        and all(isinstance(t, list) and len(t) == 2 and _is_text(t[0]) and _is_pair(t[1]) for t in types)
        and all(_is_mapping(value.get(name, {}), _is_pair) for name in ("endings", "sections"))
    )


ENTRIES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "source": (_is_text, "a text"),
    "camera": (_is_text, "the name of a camera, or the path of its file"),
    "base": (_is_text, "the name of a layout"),
    "mappers": (_is_mapping, "a mapping from mappers to cameras"),
    "keys": (
        lambda v: _is_mapping(v, lambda d: isinstance(d, str) and d in _MEANINGS),
        f"a mapping from keys to {', '.join(_MEANINGS)}",
    ),
    "filters": (_is_filters, "tract, calibration, other and types, each band or physical_filter"),
    "patterns": (
        lambda v: _is_mapping(v, _is_pattern),
        "a mapping from keys to regular expressions; groups in them are written (?:...)",
    ),
    "runs": (_is_mapping, "a mapping from dataset types to runs"),
    "dropped": (_is_mapping, "a mapping from dataset types to reasons"),
    "constants": (_is_constants, "a mapping from detector, band or physical_filter to its value"),
    "rename": (_is_mapping, "a mapping from dataset types to names"),
    "joined": (
        lambda v: isinstance(v, dict) and v.keys() <= {*_NUMBERED, *_NAMED} and _is_mapping(v),
        "a mapping from dimensions to texts such as R%(raft)s_S%(sensor)s",
    ),
    "path_only": (_is_texts, "a list of keys"),
    "obs_time": (_is_text, "the column of raws that validity ranges are compared with"),
    "times": (lambda v: isinstance(v, str) and v in _SCALES, "tai or utc"),
    "raw": (_is_texts, "a list of dataset types"),
    "curated": (_is_texts, "a list of dataset types"),
    "ignored": (_is_texts, "a list of globs"),
    "storage": (_is_storage, "types, endings and sections, each with [storage class, formatter]"),
    **{
        name: (lambda v: _is_mapping(v, _is_template), "a mapping from types to templates")
        for name in SECTIONS
    },
}
"""For each entry of a layout what it may be, as a test and in words."""


def check_layout(data: Any, source: str) -> None:
    """Refuse a layout that has entries of the wrong kind.

    Parameters
    ----------
    data : object
        The layout.
    source : `str`
        Where it comes from.

    Raises
    ------
    RepositoryFormatError
        Raised if an entry is unknown or wrong.
    """
    if not isinstance(data, dict):
        raise RepositoryFormatError(f"{source} is no layout: it must be a mapping")
    for name, value in data.items():
        if name not in ENTRIES:
            hint = known_names(str(name), list(ENTRIES), what="entries")
            raise RepositoryFormatError(f"{source}: a layout has no entry {name!r}", hint=hint)
        fits, words = ENTRIES[name]
        if not fits(value):
            raise RepositoryFormatError(f"{source}: {name!r} must be {words}; it is {str(value)[:100]!r}")
