# SPDX-License-Identifier: BSD-3-Clause
"""Time intervals, half open, in whole nanoseconds of TAI.

A `Timespan` is a pair of integers: nanoseconds of TAI since
1970-01-01T00:00:00 TAI.  Both ends are kept exactly; `astropy.time.Time` objects
are made from them only when somebody asks (``begin``, ``end``).
"""

from __future__ import annotations

import enum
import math
import operator
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from astropy.time import Time

__all__ = [
    "MAX_NSEC",
    "MIN_NSEC",
    "SpecialTimespanBound",
    "Timespan",
    "jd_to_nsec",
    "nsec_to_time",
    "time_to_nsec",
]

MIN_NSEC: Final = 0
"""Begin of a timespan without a begin: 1970-01-01 TAI."""

MAX_NSEC: Final = 4_102_444_800_000_000_000
"""End of a timespan without an end: 2100-01-01 TAI."""

_NSEC_PER_DAY: Final = 86_400_000_000_000
_EPOCH_JD: Final = 2440587.5  # 1970-01-01T00:00:00 as a Julian date


class SpecialTimespanBound(enum.Enum):
    """A bound that is no time."""

    EMPTY = enum.auto()
    """Both bounds of an empty timespan."""

    def __repr__(self) -> str:
        return "Timespan.EMPTY"


def jd_to_nsec(jd1: float, jd2: float) -> int:
    """Convert a Julian date in two parts to nanoseconds of TAI since 1970.

    Parameters
    ----------
    jd1, jd2 : `float`
        Parts of the date in days, TAI, as `astropy.time.Time` holds it.

    Returns
    -------
    nsec : `int`
        Their sum, rounded to a nanosecond; not limited to any range.
    """
    # In whole numbers: both parts are multiples of powers of two.
    whole, unit = (jd1 - _EPOCH_JD).as_integer_ratio()
    part, fine = jd2.as_integer_ratio()
    common = max(unit, fine)
    days = whole * (common // unit) + part * (common // fine)
    return (2 * days * _NSEC_PER_DAY + common) // (2 * common)


def time_to_nsec(time: Time) -> int:
    """Convert a time to nanoseconds of TAI since 1970, exact to one nanosecond.

    Parameters
    ----------
    time : `astropy.time.Time`
        A single time, in any scale.

    Returns
    -------
    nsec : `int`
        Nanoseconds; times outside 1970..2100 are moved to the nearer end, with
        a warning.
    """
    tai = time if time.scale == "tai" else time.tai
    if tai.shape:
        raise TypeError(f"a timespan needs single times, not an array of shape {tai.shape}")
    jd1, jd2 = float(tai.jd1), float(tai.jd2)
    if math.isnan(jd1 + jd2) or (tai.masked and tai.mask.any()):
        raise ValueError("a masked time cannot bound a timespan")
    nsec = jd_to_nsec(jd1, jd2)
    if nsec < MIN_NSEC:
        warnings.warn(f"{time!s} lies before 1970-01-01 TAI, which is used instead", stacklevel=3)
        return MIN_NSEC
    if nsec > MAX_NSEC:
        warnings.warn(f"{time!s} lies after 2100-01-01 TAI, which is used instead", stacklevel=3)
        return MAX_NSEC
    return nsec


def nsec_to_time(nsec: int) -> Time:
    """Convert nanoseconds of TAI since 1970 to a time.

    Parameters
    ----------
    nsec : `int`
        Nanoseconds.

    Returns
    -------
    time : `astropy.time.Time`
        In TAI, format ``jd``.
    """
    from astropy.time import Time

    days, rest = divmod(nsec, _NSEC_PER_DAY)
    return Time(days + _EPOCH_JD, rest / _NSEC_PER_DAY, format="jd", scale="tai")


def _bound(value: Any, name: str, unbounded: int) -> int | SpecialTimespanBound:
    """Nanoseconds of a bound as given by a caller."""
    if value is None:
        return unbounded
    if value is SpecialTimespanBound.EMPTY:
        return SpecialTimespanBound.EMPTY
    if hasattr(value, "jd1") and hasattr(value, "scale"):
        return time_to_nsec(value)
    raise TypeError(
        f"{name} of a timespan must be an astropy Time or None, not {type(value).__name__}: {value!r}"
    )


class Timespan:
    """A half-open interval ``[begin, end)`` of time.

    Parameters
    ----------
    begin : `astropy.time.Time`, `None` or ``Timespan.EMPTY``
        First moment in the interval; `None` if there is none.
    end : `astropy.time.Time`, `None` or ``Timespan.EMPTY``
        First moment after the interval; `None` if there is none.
    padInstantaneous : `bool`, optional
        If `True` (default), equal bounds mean that one moment, an interval of
        one nanosecond; else they mean an empty interval.

    Raises
    ------
    TypeError
        If a bound is of another type.
    ValueError
        If the interval is the single moment at the end of all times.

    Notes
    -----
    Bounds are rounded to the nanosecond.  An interval whose begin is not before
    its end is empty; all empty intervals are equal.
    """

    __slots__ = ("nsec",)

    nsec: tuple[int, int]
    """Bounds in nanoseconds of TAI since 1970-01-01 TAI."""

    EMPTY: ClassVar[SpecialTimespanBound] = SpecialTimespanBound.EMPTY

    def __init__(
        self,
        begin: Time | SpecialTimespanBound | None = None,
        end: Time | SpecialTimespanBound | None = None,
        padInstantaneous: bool = True,
        _nsec: tuple[int, int] | None = None,
    ) -> None:
        if _nsec is not None:
            first, last = _nsec
            if first >= last:
                first, last = MAX_NSEC, MIN_NSEC
        else:
            first, last = self._from_bounds(begin, end, padInstantaneous)
        object.__setattr__(self, "nsec", (first, last))

    @staticmethod
    def _from_bounds(begin: Any, end: Any, pad: bool) -> tuple[int, int]:
        first = _bound(begin, "begin", MIN_NSEC)
        last = _bound(end, "end", MAX_NSEC)
        if isinstance(first, SpecialTimespanBound) or isinstance(last, SpecialTimespanBound):
            return MAX_NSEC, MIN_NSEC
        if begin is not None and first >= MAX_NSEC and last >= MAX_NSEC:
            raise ValueError("a timespan cannot begin at or after 2100-01-01 TAI")
        if end is not None and last <= MIN_NSEC and first <= MIN_NSEC:
            raise ValueError("a timespan cannot end at or before 1970-01-01 TAI")
        if first == last and pad:
            last += 1
        return (first, last) if first < last else (MAX_NSEC, MIN_NSEC)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Timespan cannot be changed: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Timespan cannot be changed: {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Timespan.from_nsec, self.nsec

    # ------------------------------------------------------------- other makers

    @classmethod
    def from_nsec(cls, begin: int, end: int) -> Timespan:
        """Make a timespan from nanoseconds.

        Parameters
        ----------
        begin, end : `int`
            Nanoseconds of TAI since 1970-01-01 TAI.

        Returns
        -------
        timespan : `Timespan`
            Empty if ``begin >= end``.
        """
        return cls(None, None, _nsec=(begin, end))

    @classmethod
    def makeEmpty(cls) -> Timespan:
        """Make the timespan that contains nothing.

        Returns
        -------
        timespan : `Timespan`
            Overlaps nothing; every timespan contains it.
        """
        return cls(None, None, _nsec=(MAX_NSEC, MIN_NSEC))

    @classmethod
    def fromInstant(cls, time: Time) -> Timespan:
        """Make the timespan of a single moment.

        Parameters
        ----------
        time : `astropy.time.Time`
            The moment.

        Returns
        -------
        timespan : `Timespan`
            One nanosecond long.
        """
        nsec = time_to_nsec(time)
        if nsec >= MAX_NSEC - 1 or nsec <= MIN_NSEC:
            raise ValueError(f"{time!s} is no moment between 1970 and 2100 TAI")
        return cls(None, None, _nsec=(nsec, nsec + 1))

    @classmethod
    def from_day_obs(cls, day_obs: int, offset: float = 0) -> Timespan:
        """Make the timespan of an observing day.

        Parameters
        ----------
        day_obs : `int`
            The day as ``YYYYMMDD``, after 1970.
        offset : `float`, optional
            Seconds of TAI from the midnight at which the day's date begins to
            the begin of the day.

        Returns
        -------
        timespan : `Timespan`
            24 hours long.

        Raises
        ------
        ValueError
            If there is no such day.
        """
        from datetime import date

        text = str(operator.index(day_obs))
        if len(text) != 8 or not text.isdigit() or day_obs < 1970_00_00:
            raise ValueError(f"day_obs must be YYYYMMDD after 1970, not {day_obs!r}")
        try:
            days = (
                date(int(text[:4]), int(text[4:6]), int(text[6:])).toordinal() - date(1970, 1, 1).toordinal()
            )
        except ValueError as exc:
            raise ValueError(f"day_obs {day_obs!r} is no date: {exc}") from None
        begin = days * _NSEC_PER_DAY + round(offset * 1_000_000_000)
        return cls(None, None, _nsec=(max(begin, MIN_NSEC), min(begin + _NSEC_PER_DAY, MAX_NSEC)))

    # ------------------------------------------------------------------- bounds

    @property
    def begin(self) -> Time | SpecialTimespanBound | None:
        """First moment in the interval (TAI); `None` if there is none."""
        if self.isEmpty():
            return SpecialTimespanBound.EMPTY
        return None if self.nsec[0] == MIN_NSEC else nsec_to_time(self.nsec[0])

    @property
    def end(self) -> Time | SpecialTimespanBound | None:
        """First moment after the interval (TAI); `None` if there is none."""
        if self.isEmpty():
            return SpecialTimespanBound.EMPTY
        return None if self.nsec[1] == MAX_NSEC else nsec_to_time(self.nsec[1])

    def isEmpty(self) -> bool:
        """Tell whether the interval contains nothing.

        Returns
        -------
        empty : `bool`
            `True` if so.
        """
        return self.nsec[0] >= self.nsec[1]

    # ------------------------------------------------------------------ algebra

    def __eq__(self, other: object) -> bool:
        return self.nsec == other.nsec if isinstance(other, Timespan) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.nsec)

    def __lt__(self, other: Timespan | Time) -> bool:
        begin, end = _as_nsec(other)
        return not self.isEmpty() and begin < end and self.nsec[1] <= begin

    def __gt__(self, other: Timespan | Time) -> bool:
        begin, end = _as_nsec(other)
        return not self.isEmpty() and begin < end and self.nsec[0] >= end

    def overlaps(self, other: Timespan | Time) -> bool:
        """Tell whether two intervals have a moment in common.

        Parameters
        ----------
        other : `Timespan` or `astropy.time.Time`
            The other interval, or a single moment.

        Returns
        -------
        overlaps : `bool`
            `True` if so; an empty interval overlaps nothing.
        """
        begin, end = _as_nsec(other)
        return self.nsec[1] > begin and end > self.nsec[0]

    def contains(self, other: Timespan | Time) -> bool:
        """Tell whether every moment of another interval lies in this one.

        Parameters
        ----------
        other : `Timespan` or `astropy.time.Time`
            The other interval, or a single moment.

        Returns
        -------
        contains : `bool`
            `True` if so; an empty interval lies in every other.
        """
        begin, end = _as_nsec(other)
        return self.nsec[0] <= begin and self.nsec[1] >= end

    def intersection(self, *others: Timespan) -> Timespan:
        """Interval common to this one and others.

        Parameters
        ----------
        *others : `Timespan`
            Other intervals.

        Returns
        -------
        intersection : `Timespan`
            Empty if they have no moment in common.
        """
        if not others:
            return self
        begin = max(self.nsec[0], *(other.nsec[0] for other in others))
        end = min(self.nsec[1], *(other.nsec[1] for other in others))
        return Timespan(None, None, _nsec=(begin, end))

    def difference(self, other: Timespan) -> Iterator[Timespan]:
        """What is left of this interval without another.

        Parameters
        ----------
        other : `Timespan`
            What is taken away.

        Yields
        ------
        timespan : `Timespan`
            None, one or two intervals that do not touch ``other``; this
            interval itself if they have nothing in common.
        """
        common = self.intersection(other)
        if common.isEmpty():
            yield self
            return
        if common.nsec[0] > self.nsec[0]:
            yield Timespan(None, None, _nsec=(self.nsec[0], common.nsec[0]))
        if common.nsec[1] < self.nsec[1]:
            yield Timespan(None, None, _nsec=(common.nsec[1], self.nsec[1]))

    # --------------------------------------------------------------------- text

    def __repr__(self) -> str:
        if self.isEmpty():
            return "Timespan.makeEmpty()"
        return f"Timespan.from_nsec({self.nsec[0]}, {self.nsec[1]})"

    def __str__(self) -> str:
        if self.isEmpty():
            return "(empty)"
        begin = "(-∞" if self.nsec[0] == MIN_NSEC else "[" + _isot(self.nsec[0])
        end = "∞" if self.nsec[1] == MAX_NSEC else _isot(self.nsec[1])
        return f"{begin}, {end})"

    def to_simple(self) -> list[int]:
        """Convert to what JSON can hold.

        Returns
        -------
        bounds : `list` [`int`]
            The two bounds in nanoseconds.
        """
        return list(self.nsec)

    @classmethod
    def from_simple(cls, simple: Any) -> Timespan:
        """Convert back from what JSON can hold.

        Parameters
        ----------
        simple : sequence of `int`
            Two bounds in nanoseconds.

        Returns
        -------
        timespan : `Timespan`
            The interval.
        """
        if (
            not isinstance(simple, list | tuple)
            or len(simple) != 2
            or any(type(bound) is not int for bound in simple)
        ):
            raise ValueError(f"a timespan is written as two integers, not {simple!r}")
        return cls(None, None, _nsec=(simple[0], simple[1]))

    def to_json(self) -> str:
        """Convert to JSON text.

        Returns
        -------
        text : `str`
            The two bounds in nanoseconds.
        """
        return f"[{self.nsec[0]},{self.nsec[1]}]"

    @classmethod
    def from_json(cls, text: str) -> Timespan:
        """Convert back from JSON text.

        Parameters
        ----------
        text : `str`
            What `to_json` gave.

        Returns
        -------
        timespan : `Timespan`
            The interval.
        """
        import json

        return cls.from_simple(json.loads(text))


def _as_nsec(other: Any) -> tuple[int, int]:
    """Bounds of an interval or of a single moment."""
    if isinstance(other, Timespan):
        return other.nsec
    if hasattr(other, "jd1"):
        nsec = time_to_nsec(other)
        return nsec, nsec + 1
    raise TypeError(f"a timespan can be compared with a timespan or a time, not {type(other).__name__}")


def _isot(nsec: int) -> str:
    """ISO text of a moment, to the second (rounded to the millisecond, then cut off)."""
    from datetime import datetime, timedelta

    return (datetime(1970, 1, 1) + timedelta(seconds=(nsec + 500_000) // 1_000_000_000)).isoformat()  # noqa: DTZ001 (TAI)
