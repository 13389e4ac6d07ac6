# SPDX-License-Identifier: BSD-3-Clause
"""Validity ranges: texts to half-open ranges, gaps, overlaps, duplicates; pure arithmetic.

Old registries have ranges as two texts, both inclusive: a calibration that ends on
``2014-04-02`` is still valid on that day.  Ours are half open, in TAI nanoseconds since
1970-01-01T00:00:00 TAI: a date that ends a range becomes the beginning of the next day.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from itertools import groupby, pairwise
from typing import Any, Literal, NamedTuple

from lakebutler.timespan import MAX_NSEC, MIN_NSEC

__all__ = [
    "DAY",
    "GAPS",
    "OVERLAPS",
    "Resolved",
    "ValidityChange",
    "ValidityRange",
    "ValidityRow",
    "parse_time",
    "resolve",
]

DAY = 86_400_000_000_000
"""Nanoseconds of a day."""

GAPS = ("close", "keep", "fail")
"""What can happen to a gap of up to a day."""

OVERLAPS = ("next-start", "midpoint", "fail")
"""What can happen to an overlap: the next start ends it, each gets a half, or nothing is done."""

_SHORT = DAY + DAY // 1000
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9})\d*)?)?Z?)?")
_EPOCH = date(1970, 1, 1).toordinal()


class ValidityRow(NamedTuple):
    """One row of a registry.

    Attributes
    ----------
    key : `tuple`
        What it is a calibration of: detector, filter...
    begin, end : `int`
        Half-open range in nanoseconds.
    item : `int`
        Which calibration.
    rank : `tuple`
        Where two rows have one range, the higher rank wins.
    day : `int` or `None`
        Where the last day begins, if the end was a date; `None` if it was a time.
    """

    key: tuple[Any, ...]
    begin: int
    end: int
    item: int
    rank: tuple[Any, ...] = ()
    day: int | None = None

    @property
    def sure(self) -> int:
        """Where the range ended for a look-up with a time of day; behind it, others come first."""
        return self.end if self.day is None else self.day


class ValidityRange(NamedTuple):
    """A range in which a calibration is the one to use."""

    key: tuple[Any, ...]
    item: int
    begin: int
    end: int


class ValidityChange(NamedTuple):
    """A range that is not what the registry says.

    Attributes
    ----------
    key : `tuple`
        Of what.
    item : `int`
        Which calibration.
    what : `str`
        ``gap closed``, ``overlap cut``, ``duplicate``, ``empty``, ``hidden``.
    before : `tuple` [`int`]
        The range.
    after : `tuple` [`tuple` [`int`]]
        What became of it; none, one or more ranges.
    """

    key: tuple[Any, ...]
    item: int
    what: str
    before: tuple[int, int]
    after: tuple[tuple[int, int], ...]


class Resolved(NamedTuple):
    """What came out.

    Attributes
    ----------
    ranges : `list` [`ValidityRange`]
        No two of one key overlap.
    changes : `list` [`ValidityChange`]
        Everything that was changed.
    refused : `list` [`str`]
        What the policies do not permit.
    """

    ranges: list[ValidityRange]
    changes: list[ValidityChange]
    refused: list[str]


def parse_time(text: Any, *, end: bool = False) -> int | None:
    """Read a date or a time.

    Parameters
    ----------
    text : `str`
        ``YYYY-MM-DD``, or with ``Thh:mm``, ``Thh:mm:ss`` and any number of decimals; a
        space may stand for the ``T``.
    end : `bool`, optional
        Whether a date means the end of that day.

    Returns
    -------
    nsec : `int` or `None`
        Nanoseconds since 1970-01-01T00:00:00 in the text's own scale, which may be
        negative; `None` if it is no time.
    """
    found = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        return None
    try:
        days = date(int(found[1]), int(found[2]), int(found[3])).toordinal() - _EPOCH
    except ValueError:
        return None
    if found[4] is None:
        return (days + end) * DAY
    hour, minute, second = int(found[4]), int(found[5]), int(found[6] or 0)
    if hour > 24 or minute > 59 or second > 60:
        return None
    fraction = int((found[7] or "").ljust(9, "0"))
    return days * DAY + ((hour * 60 + minute) * 60 + second) * 1_000_000_000 + fraction


def bounded(begin: int, end: int) -> tuple[int, int]:
    """Cut a range at the ends of what a timespan can say, 1970 and 2100.

    Parameters
    ----------
    begin, end : `int`
        The range in nanoseconds.

    Returns
    -------
    begin, end : `int`
        The same, or unbounded where it leads beyond.
    """
    return (MIN_NSEC if begin <= MIN_NSEC + 1 else begin), (MAX_NSEC if end >= MAX_NSEC - 1 else end)


def resolve(
    rows: Sequence[ValidityRow],
    *,
    gaps: Literal["close", "keep", "fail"] = "close",
    overlaps: Literal["next-start", "midpoint", "fail"] = "next-start",
) -> Resolved:
    """Make ranges that do not overlap.

    Where several calibrations are valid, the one that began last is taken: it is the
    start of a range that the registries were trusted for.  What an enclosing range has
    behind an enclosed one, it keeps.  The last day of a range that ends with a date is
    its own unless another range has it: the old look-up compared texts, and
    ``2014-04-02T05:00`` comes behind ``2014-04-02``.

    Parameters
    ----------
    rows : sequence of `ValidityRow`
        What the registry says.
    gaps : `str`, optional
        One of `GAPS`; gaps of more than a day are always kept.
    overlaps : `str`, optional
        One of `OVERLAPS`.

    Returns
    -------
    resolved : `Resolved`
        Ranges, changes, and what was refused.
    """
    done = Resolved([], [], [])
    ordered = sorted(rows, key=lambda row: (tuple(map(str, row.key)), row.begin, row.end, row.sure, row.rank))
    for key, some in groupby(ordered, key=lambda row: row.key):
        kept = _without_duplicates(list(some), done)
        spans = {i: [row.begin, row.end] for i, row in enumerate(kept)}
        _close(kept, spans, gaps, done)
        _overlap(kept, spans, overlaps, done)
        pieces = _sweep(kept, spans)
        for i, row in enumerate(kept):
            after = tuple(pieces.get(i, ()))
            done.ranges.extend(ValidityRange(key, row.item, *piece) for piece in after)
            if after != ((row.begin, row.end),):
                what = _what((row.begin, row.end), after)
                done.changes.append(ValidityChange(key, row.item, what, (row.begin, row.end), after))
    return done


def _without_duplicates(rows: list[ValidityRow], done: Resolved) -> list[ValidityRow]:
    kept = []
    for _, some in groupby(rows, key=lambda row: (row.begin, row.end, row.sure)):
        *lesser, best = some
        for row in lesser:
            done.changes.append(ValidityChange(row.key, row.item, "duplicate", (row.begin, row.end), ()))
        if best.begin >= best.end:
            done.changes.append(ValidityChange(best.key, best.item, "empty", (best.begin, best.end), ()))
        else:
            kept.append(best)
    return kept


def _close(rows: list[ValidityRow], spans: dict[int, list[int]], gaps: str, done: Resolved) -> None:
    """Move the end of what ends last before a short gap to the next start."""
    if not rows or gaps == "keep":
        return
    last = 0
    for i in range(1, len(rows)):
        begin, end = spans[i][0], spans[last][1]
        if 0 < begin - end <= _SHORT:
            if gaps == "fail":
                done.refused.append(
                    f"{_shown(rows[i].key)}: a gap of {_days(begin - end)} before {_date(begin)}"
                )
            else:
                spans[last][1] = begin
        if spans[i][1] >= spans[last][1]:
            last = i


def _overlap(rows: list[ValidityRow], spans: dict[int, list[int]], overlaps: str, done: Resolved) -> None:
    if overlaps == "next-start" or not rows:
        return
    last = 0
    for i in range(1, len(rows)):
        begin, end = spans[i][0], spans[last][1]
        if begin < end:
            if overlaps == "fail":
                done.refused.append(
                    f"{_shown(rows[i].key)}: an overlap of {_days(end - begin)} from {_date(begin)}"
                )
            elif spans[i][1] > end and spans[last][0] < begin < rows[last].sure:
                # Neither encloses the other, and there is more than a last day to part.
                spans[last][1] = spans[i][0] = begin + (min(end, rows[last].sure) - begin) // 2
        if spans[i][1] >= spans[last][1]:
            last = i


def _sweep(rows: list[ValidityRow], spans: dict[int, list[int]]) -> dict[int, list[tuple[int, int]]]:
    """In each stretch between two edges, take what began last."""
    last_days = {row.sure for row in rows}
    edges = sorted({edge for span in spans.values() for edge in span} | last_days)
    order = sorted(spans, key=lambda i: spans[i][0])
    active: list[int] = []
    pieces: dict[int, list[tuple[int, int]]] = {}
    at = 0
    for begin, end in pairwise(edges):
        while at < len(order) and spans[order[at]][0] <= begin:
            active.append(order[at])
            at += 1
        active = [i for i in active if spans[i][1] > begin]
        if not active:
            continue
        best = max(active, key=lambda i: (begin < rows[i].sure, spans[i][0], -spans[i][1], rows[i].rank))
        mine = pieces.setdefault(best, [])
        if mine and mine[-1][1] == begin:
            mine[-1] = (mine[-1][0], end)
        else:
            mine.append((begin, end))
    return pieces


def _what(before: tuple[int, int], after: tuple[tuple[int, int], ...]) -> str:
    if not after:
        return "hidden"
    longer = after[-1][1] > before[1]
    shorter = len(after) > 1 or after[0][0] > before[0] or after[-1][1] < before[1]
    return "overlap cut" if shorter else "gap closed" if longer else "changed"


def _shown(key: tuple[Any, ...]) -> str:
    return " ".join(map(str, key)) or "all"


def _days(nsec: int) -> str:
    return f"{nsec / DAY:.4g} d"


def _date(nsec: int) -> str:
    return date.fromordinal(_EPOCH + nsec // DAY).isoformat()
