# SPDX-License-Identifier: BSD-3-Clause
"""Timespans: bounds, arithmetic, text, exactness."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from fractions import Fraction

import numpy
import pytest
from astropy.time import Time, TimeDelta
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.timespan import MAX_NSEC, MIN_NSEC, Timespan, nsec_to_time, time_to_nsec
from tests.dimensions.facts import FACTS

T0 = Time("2020-01-01T00:00:00", scale="tai", format="isot")
T1 = Time("2021-01-01T00:00:00", scale="tai", format="isot")

moments = st.one_of(
    st.sampled_from([MIN_NSEC, MIN_NSEC + 1, 5, 10, MAX_NSEC - 1, MAX_NSEC]),
    st.integers(MIN_NSEC, MAX_NSEC),
    st.integers(0, 30),
)
spans = st.builds(Timespan.from_nsec, moments, moments)


@pytest.mark.parametrize("fact", FACTS["spans"], ids=str)
def test_arithmetic_agrees_with_the_field(fact: list) -> None:
    a, b, flags, common, rest, text = fact
    mine, other = Timespan.from_nsec(*a), Timespan.from_nsec(*b)
    answers = (mine.overlaps(other), mine.contains(other), mine < other, mine > other, mine == other)
    assert sum(bool(answer) << i for i, answer in enumerate(answers)) == flags
    assert list(mine.intersection(other).nsec) == common
    assert [list(span.nsec) for span in mine.difference(other)] == rest
    assert str(mine) == text


@given(spans, spans, st.lists(moments, max_size=5))
def test_set_operations_mean_what_they_say_of_each_moment(
    a: Timespan, b: Timespan, points: list[int]
) -> None:
    def inside(span: Timespan, point: int) -> bool:
        return span.nsec[0] <= point < span.nsec[1]

    rest = list(a.difference(b))
    for point in {*points, *a.nsec, *b.nsec}:
        assert inside(a.intersection(b), point) == (inside(a, point) and inside(b, point))
        assert any(inside(span, point) for span in rest) == (inside(a, point) and not inside(b, point))
    assert a.overlaps(b) == b.overlaps(a) == (not a.intersection(b).isEmpty())
    assert a.contains(b) == (a.intersection(b) == b)
    assert all(not span.overlaps(b) for span in rest)
    assert (a < b) == (b > a)


@given(spans)
def test_every_written_form_can_be_read_back(span: Timespan) -> None:
    assert eval(repr(span)) == span
    assert Timespan.from_simple(span.to_simple()) == span
    assert Timespan.from_json(span.to_json()) == span
    assert pickle.loads(pickle.dumps(span)) == span
    assert copy.deepcopy(span) == span
    assert hash(pickle.loads(pickle.dumps(span))) == hash(span)


@given(st.integers(MIN_NSEC + 1, MAX_NSEC - 1))
def test_nanoseconds_survive_the_way_through_astropy(nsec: int) -> None:
    assert time_to_nsec(nsec_to_time(nsec)) == nsec


@given(
    st.floats(2440588.5, 2488068.5),
    st.floats(-0.5, 0.5),
    st.sampled_from(["tai", "utc", "tt", "tdb", "tcb"]),
)
def test_a_time_in_any_scale_is_rounded_exactly(jd1: float, jd2: float, scale: str) -> None:
    time = Time(jd1, jd2, format="jd", scale=scale)
    tai = time.tai
    days = Fraction(float(tai.jd1)) - Fraction(2440587.5) + Fraction(float(tai.jd2))
    assert abs(time_to_nsec(time) - days * 86400 * 10**9) <= Fraction(1, 2)


def test_utc_differs_from_tai_by_the_leap_seconds() -> None:
    assert time_to_nsec(Time("2020-01-01", scale="utc")) - time_to_nsec(T0) == 37 * 10**9


def test_bounds_come_back_as_times_in_tai() -> None:
    span = Timespan(T0, T1)
    assert span.nsec == (1577836800 * 10**9, 1609459200 * 10**9)
    assert span.begin == T0
    assert span.end == T1
    assert span.begin.scale == "tai"


def test_missing_bounds_mean_for_ever() -> None:
    assert Timespan(None, None).nsec == (MIN_NSEC, MAX_NSEC)
    assert Timespan(None, None).begin is None
    assert Timespan(T0, None).end is None
    assert str(Timespan(None, None)) == "(-∞, ∞)"
    assert str(Timespan(T0, None)) == "[2020-01-01T00:00:00, ∞)"


def test_equal_bounds_are_one_moment_unless_the_caller_says_no() -> None:
    assert Timespan(T0, T0).nsec == (1577836800 * 10**9, 1577836800 * 10**9 + 1)
    assert Timespan(T0, T0) == Timespan.fromInstant(T0)
    assert Timespan(T0, T0, padInstantaneous=False).isEmpty()


@pytest.mark.parametrize(
    "span", [Timespan(T1, T0), Timespan.makeEmpty(), Timespan(Timespan.EMPTY, Timespan.EMPTY)], ids=str
)
def test_all_empty_timespans_are_the_same(span: Timespan) -> None:
    assert span == Timespan.makeEmpty()
    assert span.isEmpty()
    assert span.begin is Timespan.EMPTY
    assert span.end is Timespan.EMPTY
    assert str(span) == "(empty)"
    assert not span.overlaps(Timespan(None, None))
    assert Timespan(T0, T1).contains(span)


def test_a_moment_is_compared_as_one_nanosecond() -> None:
    span = Timespan(T0, T1)
    assert span.contains(T0)
    assert not span.contains(T1)
    assert span.overlaps(T1 - TimeDelta(1e-9, format="sec"))
    assert span < T1
    assert not span > T0
    assert span > T0 - TimeDelta(1.0, format="sec")


@pytest.mark.parametrize(
    ("day_obs", "offset", "expected"),
    [
        (20240101, 0, (1704067200 * 10**9, 1704153600 * 10**9)),
        (20240101, 12, (1704067212 * 10**9, 1704153612 * 10**9)),
        (20240229, -12, (1709164788 * 10**9, 1709251188 * 10**9)),
        (20240101, 1.5, (1704067201500000000, 1704153601500000000)),
        (19700101, -12, (0, 86388 * 10**9)),
        (20991231, 43200, (4102401600 * 10**9, MAX_NSEC)),
    ],
)
def test_an_observing_day_is_a_day_from_its_offset(day_obs: int, offset: float, expected: tuple) -> None:
    assert Timespan.from_day_obs(day_obs, offset).nsec == expected


@pytest.mark.parametrize("day_obs", [2020, 20241301, 20230229, 19691231, -20240101])
def test_a_day_that_is_none_is_refused(day_obs: int) -> None:
    with pytest.raises(ValueError, match="day_obs"):
        Timespan.from_day_obs(day_obs)


@pytest.mark.parametrize("bound", ["2020-01-01", 5, 1.5, object()])
def test_only_times_are_bounds(bound: object) -> None:
    with pytest.raises(TypeError, match="astropy Time or None"):
        Timespan(bound, None)
    with pytest.raises(TypeError, match="timespan or a time"):
        Timespan(T0, T1).overlaps(bound)


def test_arrays_and_masked_times_are_no_bounds() -> None:
    with pytest.raises(TypeError, match="array"):
        Timespan(Time(["2020-01-01", "2021-01-01"]), None)
    times = Time(["2020-01-01", "2021-01-01"], scale="tai")
    times[0] = numpy.ma.masked
    with pytest.raises(ValueError, match="masked"):
        Timespan(times[0], None)
    assert Timespan(None, times[1]) == Timespan(None, T1)


def test_times_outside_the_range_are_moved_to_its_ends_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="before 1970"):
        assert Timespan(Time("1960-01-01", scale="tai"), T0).begin is None
    with pytest.warns(UserWarning, match="after 2100"):
        assert Timespan(T0, Time("2200-01-01", scale="tai")).end is None


def test_a_timespan_outside_the_range_is_refused() -> None:
    with pytest.warns(UserWarning, match="after 2100"), pytest.raises(ValueError, match="2100"):
        Timespan(Time("2200-01-01", scale="tai"), None)
    with pytest.warns(UserWarning, match="before 1970"), pytest.raises(ValueError, match="1970"):
        Timespan(None, Time("1960-01-01", scale="tai"))


@pytest.mark.parametrize(
    "simple", [None, 5, [1], [1, 2, 3], ["a", "b"], [1.0, 2], [True, False], {}], ids=str
)
def test_a_wrong_written_form_is_refused(simple: object) -> None:
    with pytest.raises(ValueError, match="two integers"):
        Timespan.from_simple(simple)


def test_a_timespan_cannot_be_changed() -> None:
    span = Timespan(T0, T1)
    with pytest.raises(AttributeError):
        span.nsec = (0, 1)
    with pytest.raises(AttributeError):
        del span.nsec


def test_whole_numbers_need_no_astropy() -> None:
    code = (
        "import sys; from lakebutler.timespan import Timespan; "
        "a = Timespan.from_nsec(5, 9); str(a); list(a.difference(Timespan.from_day_obs(20200101))); "
        "sys.exit('astropy' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
