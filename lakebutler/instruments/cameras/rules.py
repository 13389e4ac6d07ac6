# SPDX-License-Identifier: BSD-3-Clause
"""Header rules: how the cards of a header become the properties of an observation.

A rule has one source (``card``, ``value``, ``file_name``, ``text``) and steps that are
applied to what it gives: ``pattern``, ``map``, ``unit``, ``type``, ``factor``,
``add``, ``wrap``, or ``time`` with ``scale``.  Rules are data; nothing in them is
evaluated.  The properties carry the names that astro-metadata-translator gives them.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lakebutler.errors import HeaderError, InstrumentError, known_names
from lakebutler.timespan import time_to_nsec

__all__ = ["PROPERTIES", "Rule", "apply_rules", "make_rule", "parse_angle", "parse_time"]

PROPERTIES = frozenset(
    {
        "altitude", "azimuth", "can_see_sky", "dark_time", "datetime_begin", "datetime_end", "detector_num",
        "exposure_group", "exposure_id", "exposure_time", "exposure_time_requested", "group_counter_end",
        "group_counter_start", "has_simulated_content", "object", "observation_counter", "observation_id",
        "observation_reason", "observation_type", "observing_day", "physical_filter", "science_program",
        "sky_angle", "tracking_dec", "tracking_frame", "tracking_ra", "zenith_angle",
    }
)  # fmt: skip
"""Properties a rule may be given for."""

NEEDED = (
    "exposure_id", "observation_id", "detector_num", "physical_filter", "datetime_begin", "observation_type",
)  # fmt: skip
"""Properties every camera with rules has to give."""

_SOURCES = ("card", "value", "file_name", "text")
_TYPES = ("integer", "number", "text", "logical")
_UNITS = ("degree", "hourangle", "radian")
_TIMES = ("isot", "mjd", "jd", "unix")
_SCALES = ("utc", "tai", "tt")
_PLACE = re.compile(r"\{([A-Za-z0-9_\-]+)(?::([0-9]*[ds]))?\}")
_SEXAGESIMAL = re.compile(r"\s*([+-]?)(\d+)[:\s](\d+)(?:[:\s](\d+(?:\.\d*)?))?\s*")


class _Missing(enum.Enum):
    """Stands for a value that is not there; survives a way through another process."""

    MISSING = "missing"


_MISSING = _Missing.MISSING


@dataclass(frozen=True, slots=True)
class Rule:
    """How one property follows from a header or a file name.

    Attributes
    ----------
    cards : `tuple` [`str`]
        Cards to look at; the first one present counts.
    value : `object`
        A constant.
    file_name : `str`
        A named group of the pattern of file names.
    text : `str`
        Cards put together: ``{NAME}`` or ``{NAME:05d}``.
    optional : `bool`
        A missing card gives no value instead of an error.
    default : `object`
        What a missing card gives.
    pattern : `re.Pattern` or `None`
        Takes a part of the text: its first group.
    map : `Mapping` or `None`
        Replaces values; one that is not listed is an error.
    unit, type, time, scale : `str`
        How the value is to be read.
    factor, add, wrap : `float`
        ``value * factor + add``, then modulo ``wrap`` if that is not 0.
    """

    cards: tuple[str, ...] = ()
    value: object = _MISSING
    file_name: str = ""
    text: str = ""
    optional: bool = False
    default: object = _MISSING
    pattern: re.Pattern[str] | None = None
    map: Mapping[object, object] | None = None
    unit: str = ""
    type: str = ""
    time: str = ""
    scale: str = "utc"
    factor: float = 1.0
    add: float = 0.0
    wrap: float = 0.0


def make_rule(name: str, facts: object) -> Rule:
    """Make a rule from what a camera file says.

    Parameters
    ----------
    name : `str`
        The property.
    facts : `dict` or `str`
        The rule; a plain string is the name of a card.

    Returns
    -------
    rule : `Rule`
        The rule.

    Raises
    ------
    InstrumentError
        Raised if the rule is not understood.
    """
    if name not in PROPERTIES:
        hint = known_names(name, PROPERTIES, what="properties")
        raise InstrumentError(f"header rule for unknown property {name!r}", hint=hint)
    if isinstance(facts, str):
        facts = {"card": facts}
    if not isinstance(facts, dict):
        raise InstrumentError(f"header rule {name}: expected a mapping, not {facts!r}")
    words = {"card", "value", "file_name", "text", "optional", "default", "pattern", "map"}
    words |= {"unit", "type", "time", "scale", "factor", "add", "wrap"}
    for word in facts:
        if word not in words:
            hint = known_names(str(word), words, what="words")
            raise InstrumentError(f"header rule {name}: unknown word {word!r}", hint=hint)
    if sum(s in facts for s in _SOURCES) != 1:
        raise InstrumentError(f"header rule {name}: needs exactly one of {', '.join(_SOURCES)}")
    for word, allowed in (("type", _TYPES), ("unit", _UNITS), ("time", _TIMES), ("scale", _SCALES)):
        if word in facts and facts[word] not in allowed:
            one_of = ", ".join(allowed)
            raise InstrumentError(f"header rule {name}: {word} is one of {one_of}, not {facts[word]!r}")
    card = facts.get("card", [])
    mapping = facts.get("map")
    if mapping is not None and not isinstance(mapping, dict):
        raise InstrumentError(f"header rule {name}: map must be a mapping")
    try:
        return Rule(
            cards=(card,) if isinstance(card, str) else tuple(str(c) for c in card),
            value=facts.get("value", _MISSING),
            file_name=str(facts.get("file_name", "")),
            text=str(facts.get("text", "")),
            optional=facts.get("optional", False) is True,
            default=facts.get("default", _MISSING),
            pattern=re.compile(facts["pattern"]) if "pattern" in facts else None,
            map=mapping,
            unit=facts.get("unit", ""),
            type=facts.get("type", ""),
            time=facts.get("time", ""),
            scale=facts.get("scale", "utc"),
            factor=float(facts.get("factor", 1.0)),
            add=float(facts.get("add", 0.0)),
            wrap=float(facts.get("wrap", 0.0)),
        )
    except (re.error, TypeError, ValueError) as err:
        raise InstrumentError(f"header rule {name}: {err}") from err


def apply_rules(
    rules: Mapping[str, Rule], header: Mapping[str, object], file_values: Mapping[str, str]
) -> dict[str, Any]:
    """Apply every rule of a camera to a header.

    Parameters
    ----------
    rules : `Mapping` [`str`, `Rule`]
        Property name to rule.
    header : `Mapping`
        The cards.
    file_values : `Mapping` [`str`, `str`]
        Named groups of the matched file name.

    Returns
    -------
    values : `dict`
        Property name to value; properties without a value are left out.

    Raises
    ------
    HeaderError
        Raised if a card is missing or does not have the form the rule expects.
    """
    values = {}
    for name, rule in rules.items():
        try:
            value = _apply(rule, header, file_values)
        except (ValueError, TypeError, KeyError, OverflowError) as err:
            reason = " ".join(str(err.args[0] if err.args else err).split())
            raise HeaderError(f"{name}: {reason}") from err
        if value is not None:
            values[name] = value
    return values


def _apply(rule: Rule, header: Mapping[str, object], file_values: Mapping[str, str]) -> Any:
    raw = _source(rule, header, file_values)
    if raw is None:
        return None
    if rule.pattern is not None:
        match = rule.pattern.search(str(raw))
        if match is None:
            raise ValueError(f"{raw!r} does not look like {rule.pattern.pattern!r}")
        raw = match[1] if match.re.groups else match[0]
    if rule.map is not None:
        if raw not in rule.map:
            raise ValueError(f"{raw!r} is none of {', '.join(repr(k) for k in rule.map)}")
        raw = rule.map[raw]
    if rule.time:
        return parse_time(raw, rule.time, rule.scale)
    if rule.unit:
        raw = parse_angle(raw, rule.unit)
    if rule.factor != 1.0 or rule.add or rule.wrap:
        raw = _number(raw) * rule.factor + rule.add
        raw = raw % rule.wrap if rule.wrap else raw
    return _convert(raw, rule.type) if rule.type else raw


def _source(rule: Rule, header: Mapping[str, object], file_values: Mapping[str, str]) -> object:
    if rule.value is not _MISSING:
        return rule.value
    if rule.file_name:
        if rule.file_name in file_values:
            return file_values[rule.file_name]
        reason = "the file is not named as the camera names its files"
    elif rule.text:
        missing = [m[1] for m in _PLACE.finditer(rule.text) if header.get(m[1]) is None]
        if not missing:
            return _PLACE.sub(lambda m: _format(header[m[1]], m[2] or ""), rule.text)
        reason = f"no {missing[0]} in the header"
    else:
        for card in rule.cards:
            value = header.get(card)
            if value is not None and value != "":
                return value
        reason = f"no {' or '.join(rule.cards)} in the header"
    if rule.default is not _MISSING:
        return rule.default
    if rule.optional:
        return None
    raise KeyError(reason)


def _format(value: object, spec: str) -> str:
    if spec.endswith("d") and not isinstance(value, int):
        value = int(str(value))
    return format(value, spec)


def _convert(value: object, kind: str) -> object:
    if kind == "text":
        return str(value)
    if kind == "integer":
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError(f"{value!r} is no integer")
        return int(value)  # type: ignore[call-overload]
    if kind == "number":
        return _number(value)
    if isinstance(value, bool):
        return value
    raise ValueError(f"{value!r} is neither T nor F")


def _number(value: object) -> float:
    """Read a number; neither a logical value nor text like ``nan`` is one."""
    number = float(value)  # type: ignore[arg-type]
    if isinstance(value, bool) or (isinstance(value, str) and not math.isfinite(number)):
        raise ValueError(f"{value!r} is no number")
    return number


def parse_angle(value: object, unit: str) -> float:
    """Read an angle, plain or sexagesimal.

    Parameters
    ----------
    value : `float` or `str`
        A number, or text like ``-12:34:56.7``.
    unit : `str`
        ``degree``, ``hourangle`` or ``radian``.

    Returns
    -------
    angle : `float`
        In degrees.

    Raises
    ------
    ValueError
        Raised if it is no angle.
    """
    factor = {"degree": 1.0, "hourangle": 15.0, "radian": 57.29577951308232}[unit]
    if isinstance(value, str):
        match = _SEXAGESIMAL.fullmatch(value)
        if match is not None:
            whole, minutes, seconds = int(match[2]), int(match[3]), float(match[4] or 0.0)
            if minutes >= 60 or seconds >= 60:
                raise ValueError(f"{value!r} is no angle")
            return (-1.0 if match[1] == "-" else 1.0) * factor * (whole + minutes / 60 + seconds / 3600)
    return _number(value) * factor


@lru_cache(maxsize=4096)  # the detectors of an exposure repeat its times
def parse_time(value: object, form: str, scale: str) -> int:
    """Read a time.

    Parameters
    ----------
    value : `str` or `float`
        What the header says.
    form : `str`
        ``isot``, ``mjd``, ``jd`` or ``unix``.
    scale : `str`
        ``utc``, ``tai`` or ``tt``.

    Returns
    -------
    nsec : `int`
        Nanoseconds TAI since 1970-01-01T00:00:00 TAI.

    Raises
    ------
    ValueError
        Raised if it is no time of that form.
    """
    from astropy.time import Time

    shown: Any = str(value).strip().replace(" ", "T") if form == "isot" else value
    try:
        time = Time(shown if form == "isot" else float(shown), format=form, scale=scale)
    except (TypeError, ValueError) as err:
        raise ValueError(f"{value!r} is no {form} time") from err
    return time_to_nsec(time)
