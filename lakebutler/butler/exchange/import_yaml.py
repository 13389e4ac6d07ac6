# SPDX-License-Identifier: BSD-3-Clause
"""YAML of exports, read event by event: plain values, and the few tags that exports use.

Nothing is looked up, imported or called by a name that stands in the file.  The parser is
libyaml's where there is one; no tree of nodes is made on the way, which is most of the
memory and half of the time of ``yaml.safe_load``.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from lakebutler.errors import RepositoryFormatError
from lakebutler.timespan import MAX_NSEC, MIN_NSEC, Timespan

__all__ = ["Instant", "load_yaml", "tai_nsec"]

_MAX_DEPTH = 40
_MAX_KEPT = 100_000
_UNIX_EPOCH = datetime.fromisoformat("1970-01-01 00:00:00")  # of TAI: no time zone
_TIMESPAN = "!lsst.daf.butler.Timespan"
_TIME = "!butler_time/tai/iso"
_REGION = "lsst.sphgeom."


class Instant(int):
    """A time: nanoseconds of TAI since 1970, as in `Timespan`."""


def load_yaml(stream: Any, name: str) -> Any:
    """Read one YAML document.

    Parameters
    ----------
    stream : file-like or `str` or `bytes`
        The text.
    name : `str`
        What it is, for messages.

    Returns
    -------
    document : object
        Mappings as `dict`, sequences as `list`; ``!uuid`` as `uuid.UUID`, regions as `bytes`,
        timespans as `Timespan`, times as `Instant`.

    Raises
    ------
    RepositoryFormatError
        Raised if the text is no YAML, or has tags that exports do not use.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(stream)
    try:
        return _Builder(loader, name).document()
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f", line {place.line + 1}" if place is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise RepositoryFormatError(f"{name}{where}: this is no YAML: {problem}") from None
    except UnicodeError as error:
        raise RepositoryFormatError(f"{name}: this is no YAML: {error}") from None
    finally:
        loader.dispose()


class _Builder:
    """Makes values of the events of a parser."""

    def __init__(self, loader: Any, name: str) -> None:
        import yaml

        self._loader = loader
        self._next = loader.get_event
        self._name = name
        self._anchors: dict[str, Any] = {}
        self._plain: dict[str, Any] = {}
        self._scalar = yaml.ScalarEvent
        self._mapping = yaml.MappingStartEvent
        self._sequence = yaml.SequenceStartEvent
        self._alias = yaml.AliasEvent
        self._node = yaml.ScalarNode

    def document(self) -> Any:
        """Build the only document."""
        import yaml

        self._next()  # stream start
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            raise RepositoryFormatError(f"{self._name}: this is empty")
        value = self._value(self._next(), 0)
        self._next()  # document end
        if not isinstance(self._next(), yaml.StreamEndEvent):
            raise RepositoryFormatError(f"{self._name}: this has more than one document")
        return value

    def _fail(self, event: Any, message: str) -> RepositoryFormatError:
        return RepositoryFormatError(f"{self._name}, line {event.start_mark.line + 1}: {message}")

    def _value(self, event: Any, depth: int) -> Any:
        kind = type(event)
        if kind is self._scalar:
            value = self._scalar_value(event)
            if event.anchor is not None:
                self._anchors[event.anchor] = value
            return value
        if kind is self._mapping:
            return self._mapping_value(event, depth + 1)
        if kind is self._sequence:
            return self._sequence_value(event, depth + 1)
        if kind is self._alias:
            if event.anchor not in self._anchors:
                raise self._fail(event, f"alias {event.anchor!r} means nothing")
            return self._anchors[event.anchor]
        raise self._fail(event, "the file ends in the middle of something")

    def _sequence_value(self, event: Any, depth: int) -> list[Any]:
        if event.tag is not None and event.tag != "tag:yaml.org,2002:seq":
            raise self._fail(event, f"tag {event.tag!r} is none that exports use")
        if depth > _MAX_DEPTH:
            raise self._fail(event, "this is nested too deeply")
        made: list[Any] = []
        if event.anchor is not None:
            self._anchors[event.anchor] = made
        append, following, scalar = made.append, self._next, self._scalar
        while True:
            item = following()
            if type(item) is scalar and item.anchor is None:
                append(self._scalar_value(item))
                continue
            if type(item).__name__ == "SequenceEndEvent":
                return made
            append(self._value(item, depth))

    def _mapping_value(self, event: Any, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise self._fail(event, "this is nested too deeply")
        made: dict[Any, Any] = {}
        if event.anchor is not None:
            self._anchors[event.anchor] = made
        following, scalar = self._next, self._scalar
        while True:
            key_event = following()
            if type(key_event) is not scalar:
                if type(key_event).__name__ == "MappingEndEvent":
                    break
                raise self._fail(key_event, "a key must be a plain value")
            key = self._scalar_value(key_event)
            value_event = following()
            if type(value_event) is scalar and value_event.anchor is None:
                made[key] = self._scalar_value(value_event)
            else:
                made[key] = self._value(value_event, depth)
        tag = event.tag
        if tag is None or tag == "tag:yaml.org,2002:map":
            return made
        value = self._tagged(event, made)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _tagged(self, event: Any, made: dict[Any, Any]) -> Any:
        tag = event.tag
        if tag.startswith(_REGION) and set(made) == {"encoded"}:
            try:
                return bytes.fromhex(made["encoded"])
            except (TypeError, ValueError):
                raise self._fail(event, "a region is not written in hexadecimal digits") from None
        if tag == _TIMESPAN and set(made) == {"begin", "end"}:
            return self._timespan(event, made["begin"], made["end"])
        raise self._fail(event, f"tag {tag!r} is none that exports use")

    def _timespan(self, event: Any, begin: Any, end: Any) -> Timespan:
        try:
            first = MIN_NSEC if begin is None else tai_nsec(begin)
            last = MAX_NSEC if end is None else tai_nsec(end)
        except ValueError as error:
            raise self._fail(event, str(error)) from None
        return Timespan.from_nsec(first, last) if first < last else Timespan.makeEmpty()

    def _scalar_value(self, event: Any) -> Any:
        tag, text = event.tag, event.value
        if tag is None:
            if not event.implicit[0]:  # quoted
                return text
            if text.isdigit() and text.isascii() and (text[0] != "0" or text == "0") and len(text) < 19:
                return int(text)
            try:
                return self._plain[text]
            except KeyError:
                value = self._resolve(event)
                if len(self._plain) < _MAX_KEPT:
                    self._plain[text] = value
                return value
        if tag == "!uuid":
            try:
                return uuid.UUID(hex=text)
            except ValueError:
                raise self._fail(event, f"{text[:60]!r} is no UUID") from None
        if tag == _TIME:
            return Instant(self._time(event, text))
        if tag == _TIMESPAN and text == "EMPTY":
            return Timespan.makeEmpty()
        if tag == "!":
            return text
        if tag.startswith("tag:yaml.org,2002:") and tag.rpartition(":")[2] in _PLAIN_TAGS:
            return self._construct(event, tag)
        raise self._fail(event, f"tag {tag!r} is none that exports use")

    def _resolve(self, event: Any) -> Any:
        tag = self._loader.resolve(self._node, event.value, (True, False))
        if tag == "tag:yaml.org,2002:str" or tag.rpartition(":")[2] not in _PLAIN_TAGS:
            return event.value
        return self._construct(event, tag)

    def _construct(self, event: Any, tag: str) -> Any:
        node = self._node(tag, event.value, event.start_mark, event.end_mark)
        try:
            return self._loader.yaml_constructors[tag](self._loader, node)
        except (ValueError, OverflowError, KeyError):
            raise self._fail(event, f"{event.value[:60]!r} is no {tag.rpartition(':')[2]}") from None

    def _time(self, event: Any, text: str) -> int:
        try:
            return _iso_nsec(text)
        except ValueError:
            raise self._fail(event, f"{text[:60]!r} is no time") from None


_PLAIN_TAGS = frozenset({"null", "bool", "int", "float", "binary", "timestamp", "str"})


def _iso_nsec(text: str) -> int:
    """Nanoseconds since 1970 of a date and time; no leap seconds, as in TAI."""
    whole, _, fraction = text.strip().replace("T", " ").partition(".")
    if fraction and not (fraction.isdigit() and fraction.isascii()):
        raise ValueError(f"{text!r} is no time")
    when = datetime.fromisoformat(whole)
    if when.tzinfo is not None:
        raise ValueError(f"{text!r} has a time zone")
    passed = when - _UNIX_EPOCH
    seconds = passed.days * 86400 + passed.seconds
    return min(max(seconds * 10**9 + int((fraction + "0" * 9)[:9]), MIN_NSEC), MAX_NSEC)


def tai_nsec(value: Any) -> int:
    """Nanoseconds of TAI of a time as exports have it.

    Parameters
    ----------
    value : `Instant` or `datetime.datetime`
        A time; of old exports without a scale of its own, which means UTC.

    Returns
    -------
    nsec : `int`
        TAI, since 1970.

    Raises
    ------
    ValueError
        Raised if it is no time.
    """
    if isinstance(value, Instant):
        return int(value)
    if isinstance(value, datetime):
        from astropy.time import Time

        from lakebutler.timespan import time_to_nsec

        return time_to_nsec(Time(value, scale="utc"))
    raise ValueError(f"{str(value)[:60]!r} is no time")
