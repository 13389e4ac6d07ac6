# SPDX-License-Identifier: BSD-3-Clause
"""Fixes of headers that are known to be wrong, as data.

A fix says of which headers it is (``when``), which cards it changes (``set``) and, if the
cards cannot say it, which translated values it replaces (``properties``).  The cameras of
the package bring some along; others lie in the repository.  Nothing in a fix is evaluated:
its words are those listed here.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lakebutler.errors import HeaderError, InstrumentError, known_names
from lakebutler.instruments.cameras.rules import PROPERTIES, parse_time

__all__ = ["FixTable", "HeaderFix", "fix_from_facts", "fix_to_facts"]

_WORDS = ("name", "instrument", "reason", "file", "when", "set", "properties")
_CONDITIONS = frozenset({"from", "to", "after", "before", "present", "like", "unlike", "same"})
_CHANGES = frozenset({"copy", "until", "times", "add", "wrap"})
_PLAIN = (str, bool, int, float)
_TIMES = ("datetime_begin", "datetime_end")
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class HeaderFix:
    """One fix.

    Attributes
    ----------
    name : `str`
        By which it is known.
    instrument : `str`
        Camera whose headers it is for.
    when : `Mapping` [`str`, `object`]
        Conditions, all of which must hold.  Card to a value or a list of values it may
        have, or to a mapping: ``from`` and ``to`` (both included), ``after`` and
        ``before``, ``present`` (true or false), ``like`` and ``unlike`` (globs), ``same``
        (another card that must have the same value).
    cards : `Mapping` [`str`, `object`]
        Changes.  Card to its new value, to `None`, which removes it, or to a mapping:
        ``copy`` (a card, up to a text ``until``), ``times``, ``add``, ``wrap`` (into
        [low, high)), in this order.
    properties : `Mapping` [`str`, `object`]
        Translated property to its value; times are ISO, TAI, angles in degrees.
    file : `str`
        A glob that the file's name must match; empty for all files.
    reason : `str`
        Why, for people.
    """

    name: str
    instrument: str
    when: Mapping[str, object] = field(default_factory=dict)
    cards: Mapping[str, object] = field(default_factory=dict)
    properties: Mapping[str, object] = field(default_factory=dict)
    file: str = ""
    reason: str = ""


# --------------------------------------------------------------------- reading


def fix_from_facts(facts: object, *, instrument: str = "", where: str = "fix") -> HeaderFix:
    """Make a fix of what a file or a repository says.

    Parameters
    ----------
    facts : `dict`
        ``name``, ``instrument``, ``when``, ``set``, ``properties``, ``file``, ``reason``.
    instrument : `str`, optional
        The camera, where the facts do not name one.
    where : `str`, optional
        What to call the place of the facts in messages.

    Returns
    -------
    fix : `HeaderFix`
        The fix.

    Raises
    ------
    InstrumentError
        Raised if the fix is not understood.
    """
    if not isinstance(facts, dict):
        raise InstrumentError(f"{where}: expected a mapping, not {facts!r}")
    for word in facts:
        if word not in _WORDS:
            hint = known_names(str(word), _WORDS, what="words")
            raise InstrumentError(f"{where}: unknown word {word!r}", hint=hint)
    name = str(facts.get("name", where))
    for key in ("when", "set", "properties"):
        if not isinstance(facts.get(key, {}), dict):
            raise InstrumentError(f"{where}: {key}: expected a mapping")
    fix = HeaderFix(
        name=name,
        instrument=str(facts.get("instrument", instrument)),
        when={str(k): v for k, v in facts.get("when", {}).items()},
        cards={str(k): v for k, v in facts.get("set", {}).items()},
        properties={str(k): v for k, v in facts.get("properties", {}).items()},
        file=str(facts.get("file", "")),
        reason=str(facts.get("reason", "")),
    )
    _check(fix, where)
    return fix


def fix_to_facts(fix: HeaderFix) -> dict[str, Any]:
    """Write a fix as plain values; the inverse of `fix_from_facts`.

    Parameters
    ----------
    fix : `HeaderFix`
        The fix.

    Returns
    -------
    facts : `dict`
        Without what is empty.
    """
    facts = {
        "name": fix.name,
        "instrument": fix.instrument,
        "reason": fix.reason,
        "file": fix.file,
        "when": dict(fix.when),
        "set": dict(fix.cards),
        "properties": dict(fix.properties),
    }
    return {key: value for key, value in facts.items() if value}


def _check(fix: HeaderFix, where: str) -> None:
    if not fix.instrument:
        raise InstrumentError(f"{where}: instrument is missing")
    if not fix.when and not fix.file:
        raise InstrumentError(f"{where}: when or file is needed: a fix is not for every header")
    if not fix.cards and not fix.properties:
        raise InstrumentError(f"{where}: set or properties is needed")
    for card, condition in fix.when.items():
        _check_condition(condition, f"{where}: when: {card}")
    for card, change in fix.cards.items():
        _check_change(change, f"{where}: set: {card}")
    for name, value in fix.properties.items():
        if name not in PROPERTIES:
            hint = known_names(name, PROPERTIES, what="properties")
            raise InstrumentError(f"{where}: unknown property {name!r}", hint=hint)
        if not isinstance(value, _PLAIN):
            raise InstrumentError(f"{where}: properties: {name}: {value!r} is no plain value")
        if name in _TIMES:
            try:
                parse_time(value, "isot", "tai")
            except ValueError as err:
                raise InstrumentError(f"{where}: properties: {name}: {err}") from err


def _check_condition(condition: object, where: str) -> None:
    if isinstance(condition, dict):
        _check_words(condition, _CONDITIONS, where)
        if not isinstance(condition.get("present", True), bool):
            raise InstrumentError(f"{where}: present is true or false")
        for word in ("like", "unlike"):
            if len(str(condition.get(word, ""))) > _LONGEST:
                raise InstrumentError(f"{where}: {word} is longer than {_LONGEST} characters")
    elif not all(isinstance(v, _PLAIN) for v in (condition if isinstance(condition, list) else [condition])):
        raise InstrumentError(f"{where}: {condition!r} is neither a value nor a list of values")


def _check_change(change: object, where: str) -> None:
    if not isinstance(change, dict):
        if change is not None and not isinstance(change, _PLAIN):
            raise InstrumentError(f"{where}: {change!r} is no plain value")
        return
    _check_words(change, _CHANGES, where)
    for word in ("times", "add"):
        if not isinstance(change.get(word, 0), int | float):
            raise InstrumentError(f"{where}: {word} is a number")
    for word in ("copy", "until"):
        if not isinstance(change.get(word, ""), str):
            raise InstrumentError(f"{where}: {word} is a text")
    limits = change.get("wrap", [0, 1])
    numbers = isinstance(limits, list) and all(isinstance(v, int | float) for v in limits)
    if not numbers or len(limits) != 2 or not limits[0] < limits[1]:
        raise InstrumentError(f"{where}: wrap is [low, high]")


def _check_words(facts: Mapping[Any, Any], words: Iterable[str], where: str) -> None:
    if not facts:
        raise InstrumentError(f"{where}: is empty")
    for word in facts:
        if word not in words:
            hint = known_names(str(word), words, what="words")
            raise InstrumentError(f"{where}: unknown word {word!r}", hint=hint)


# -------------------------------------------------------------------- applying


@dataclass(frozen=True)
class FixTable:
    """Fixes in the order in which they apply, found fast by a value they ask for.

    Attributes
    ----------
    fixes : `tuple` [`HeaderFix`]
        The fixes.
    """

    fixes: tuple[HeaderFix, ...] = ()

    @cached_property
    def _found_by(self) -> tuple[Mapping[str, Mapping[str, Sequence[int]]], Sequence[int]]:
        """Numbers of fixes by card and value, and of those without a value to be found by."""
        by_value: dict[str, dict[str, list[int]]] = {}
        others = []
        for number, fix in enumerate(self.fixes):
            card = next((c for c, v in fix.when.items() if isinstance(v, _PLAIN)), None)
            if card is None:
                others.append(number)
            else:
                by_value.setdefault(card, {}).setdefault(_as_text(fix.when[card]), []).append(number)
        return by_value, others

    @cached_property
    def of_properties(self) -> FixTable:
        """The fixes that can be applied to translated values: they ask for no card."""
        return FixTable(
            tuple(fix for fix in self.fixes if fix.properties and all(key.islower() for key in fix.when))
        )

    def mended(
        self, header: Mapping[str, object], path: str
    ) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """Apply the fixes to a header.

        Parameters
        ----------
        header : `Mapping`
            The cards; they are not changed.
        path : `str`
            Name of the file.

        Returns
        -------
        header : `Mapping`
            The cards, mended; the same object if no fix is for this header.
        properties : `Mapping`
            Translated values to replace; times in ns.

        Raises
        ------
        HeaderError
            Raised if a fix cannot be applied to what the header has.
        """
        if not self.fixes:
            return header, {}
        by_value, others = self._found_by
        numbers = list(others)
        for card, values in by_value.items():
            if card in header:
                numbers += values.get(_as_text(header[card]), ())
        cards: dict[str, object] | None = None
        given: dict[str, object] = {}
        name = os.path.basename(path)
        for number in sorted(numbers):
            fix = self.fixes[number]
            now = header if cards is None else cards
            if (fix.file and not fnmatch.fnmatchcase(name, fix.file)) or not _holds(fix.when, now):
                continue
            if fix.cards:
                cards = dict(now)
                _change(cards, fix)
            given |= {key: _property(key, value) for key, value in fix.properties.items()}
        return (header if cards is None else cards), given


def _holds(when: Mapping[str, object], header: Mapping[str, object]) -> bool:
    return all(_one_holds(condition, header.get(card), header) for card, condition in when.items())


def _one_holds(condition: object, value: object, header: Mapping[str, object]) -> bool:
    if isinstance(condition, list):
        return value is not None and _as_text(value) in {_as_text(v) for v in condition}
    if not isinstance(condition, dict):
        return value is not None and _as_text(value) == _as_text(condition)
    if condition.get("present") is False:
        return value is None or value == ""
    if value is None or (value == "" and "present" in condition):
        return False
    return all(_word_holds(word, bound, value, header) for word, bound in condition.items())


def _word_holds(word: str, bound: Any, value: object, header: Mapping[str, object]) -> bool:
    if word in ("like", "unlike"):
        return fnmatch.fnmatchcase(str(value), str(bound)) is (word == "like")
    if word == "same":
        return header.get(bound) is not None and _as_text(header[bound]) == _as_text(value)
    return word == "present" or _in_order(bound, value, word)


def _in_order(bound: object, value: object, word: str) -> bool:
    try:
        a: Any = float(str(bound))
        b: Any = float(str(value))
    except ValueError:
        a, b = str(bound), str(value)
    return bool({"from": a <= b, "to": b <= a, "after": a < b, "before": b < a}[word])


def _as_text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _change(cards: dict[str, object], fix: HeaderFix) -> None:
    before = dict(cards)
    for card, change in fix.cards.items():
        if change is None:
            cards.pop(card, None)
        elif not isinstance(change, dict):
            cards[card] = change
        else:
            made = _computed(change, card, before, fix)
            if made is None:
                cards.pop(card, None)
            else:
                cards[card] = made


def _computed(change: Mapping[str, Any], card: str, before: Mapping[str, object], fix: HeaderFix) -> object:
    value = before.get(change.get("copy", card))
    if value is None:
        return None
    if "until" in change:
        value = str(value).partition(change["until"])[0]
    if not {"times", "add", "wrap"} & set(change):
        return value
    try:
        number = float(str(value)) * change.get("times", 1) + change.get("add", 0)
    except ValueError:
        raise HeaderError(f"fix {fix.name}: {card} is {value!r}, not a number") from None
    if "wrap" in change:
        low, high = change["wrap"]
        number = (number - low) % (high - low) + low
    return number


def _property(name: str, value: object) -> object:
    return parse_time(value, "isot", "tai") if name in _TIMES else value
