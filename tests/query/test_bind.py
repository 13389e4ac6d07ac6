# SPDX-License-Identifier: BSD-3-Clause
"""What names and values in an expression mean."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import numpy as np
import pytest
from astropy.time import Time
from lsst.sphgeom import Angle, Circle, Region, UnionRegion, UnitVector3d

from lakebutler import Timespan
from lakebutler.errors import DimensionNameError, DimensionValueError, InvalidQueryError
from lakebutler.query.bind import bind, glob_matches
from lakebutler.query.columns import Scope, resolve
from lakebutler.query.expression import Bound, Constant, Operation, show
from lakebutler.query.parse import parse
from lakebutler.query.times import datetime_of, parse_time
from tests.query.planning import UNIVERSE, plan, search
from tests.query.scenario import nsec


def scope(
    *dimensions: str,
    types: tuple[str, ...] = (),
    calibrations: tuple[str, ...] = (),
    element: str | None = None,
) -> Scope:
    return Scope(UNIVERSE, UNIVERSE.conform(dimensions), types, element, frozenset(calibrations))


def bound(text: str, found: Scope | None = None, **values: Any) -> Bound:
    root = parse(text)
    assert root is not None
    return bind(root, text, found or scope("exposure", "detector"), values)


# -------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "wanted", "kind", "type_"),
    [
        ("exposure", "exposure", "dimension", "int"),
        ("exposure.id", "exposure", "dimension", "int"),
        ("exposure.exposure", "exposure", "dimension", "int"),
        ("instrument.name", "instrument", "dimension", "string"),
        ("visit.instrument", "instrument", "dimension", "string"),
        ("visit.day_obs", "day_obs", "dimension", "int"),
        ("physical_filter.band", "band", "dimension", "string"),
        ("visit", "visit", "dimension", "int"),
        ("htm7", "htm7", "dimension", "int"),
        ("seq_num", "exposure.seq_num", "element", "int"),
        ("exposure_time", "exposure.exposure_time", "element", "float"),
        ("can_see_sky", "exposure.can_see_sky", "element", "bool"),
        ("raft", "detector.raft", "element", "string"),
        ("detector_max", "instrument.detector_max", "element", "int"),
        ("detector.full_name", "detector.full_name", "element", "string"),
        ("visit.name", "visit.name", "element", "string"),
        ("visit.region", "visit.region", "element", "region"),
        ("visit_detector_region.region", "visit_detector_region.region", "element", "region"),
        ("skymap.hash", "skymap.hash", "element", "hash"),
        ("exposure.timespan", "exposure.timespan", "element", "timespan"),
        ("raw.run", "raw.run", "dataset", "string"),
        ("raw.dataset_id", "raw.dataset_id", "dataset", "uuid"),
        ("raw.ingest_date", "raw.ingest_date", "dataset", "datetime"),
        ("raw.timespan", "raw.timespan", "dataset", "timespan"),
        ("ingest_date", "raw.ingest_date", "dataset", "datetime"),
        ("collection", "raw.collection", "dataset", "string"),
    ],
)
def test_a_name_means_this_column(name: str, wanted: str, kind: str, type_: str) -> None:
    column, end = resolve(tuple(name.split(".")), scope("exposure", "detector", types=("raw",)))
    assert (str(column), column.kind, column.type, end) == (wanted, kind, type_, None)


@pytest.mark.parametrize("end", ["begin", "end"])
def test_a_timespan_has_two_ends(end: str) -> None:
    column, found = resolve(("exposure", "timespan", end), scope())
    assert (str(column), found) == ("exposure.timespan", end)
    column, found = resolve(("timespan", end), scope("day_obs"))
    assert (str(column), found) == ("day_obs.timespan", end)
    column, found = resolve(("flat", "timespan", end), scope(types=("flat",)))
    assert (str(column), found) == ("flat.timespan", end)


@pytest.mark.parametrize(
    ("name", "found", "candidates"),
    [
        ("timespan", scope("exposure"), "day_obs.timespan or exposure.timespan"),
        ("seq_num", scope("exposure", "visit"), "exposure.seq_num or visit.seq_num"),
        ("run", scope("detector", types=("bias", "flat")), "bias.run or flat.run"),
        ("timespan", scope("day_obs", types=("x",), calibrations=("x",)), "day_obs.timespan or x.timespan"),
    ],
)
def test_a_name_that_can_mean_two_things_is_refused_with_both(
    name: str, found: Scope, candidates: str
) -> None:
    with pytest.raises(InvalidQueryError, match=f"'{name}' can mean {candidates}"):
        resolve((name,), found)


def test_only_the_dimensions_of_the_query_lend_their_fields_to_short_names() -> None:
    with pytest.raises(InvalidQueryError, match="there is no dimension") as caught:
        resolve(("full_name",), scope("exposure"))
    assert caught.value.hint == "write detector.full_name"
    assert str(resolve(("full_name",), scope("detector"))[0]) == "detector.full_name"


def test_fields_of_the_records_asked_for_win() -> None:
    assert str(resolve(("timespan",), scope("exposure", element="exposure"))[0]) == "exposure.timespan"
    assert str(resolve(("id",), scope("exposure", element="exposure"))[0]) == "exposure"
    assert str(resolve(("name",), scope("visit", element="visit"))[0]) == "visit.name"


def test_validity_is_the_timespan_only_where_there_is_one() -> None:
    column, _ = resolve(("timespan",), scope("detector", types=("bias",), calibrations=("bias",)))
    assert str(column) == "bias.timespan"
    with pytest.raises(InvalidQueryError):
        resolve(("timespan",), scope("detector", types=("raw",)))


def test_a_bind_value_wins_over_fields_but_must_not_hide_a_dimension() -> None:
    assert show(bound("seq_num = exposure", seq_num=3)) == "(3 = exposure)"
    with pytest.raises(InvalidQueryError, match="has the name of a dimension"):
        bound("exposure = :exposure", exposure=3)
    with pytest.raises(InvalidQueryError, match="has the name of a dimension"):
        bound("1 = 1", visit_definition=3)


# ------------------------------------------------------------------------- values


class Number(int):
    pass


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (3, Constant(3, "int")),
        (Number(3), Constant(3, "int")),
        (True, Constant(True, "bool")),
        (2.5, Constant(2.5, "float")),
        ("x", Constant("x", "string")),
        (np.int64(3), Constant(3, "int")),
        (np.uint8(3), Constant(3, "int")),
        (np.float32(2.5), Constant(2.5, "float")),
        (np.bool_(True), Constant(True, "bool")),
        (np.str_("x"), Constant("x", "string")),
        (np.array(3), Constant(3, "int")),
        (uuid.UUID(int=5), Constant(uuid.UUID(int=5), "uuid")),
        (b"\x01", Constant(b"\x01", "hash")),
        (Time(58849.0, format="mjd", scale="tai"), Constant(nsec(0), "time")),
        (Timespan.from_nsec(3, 5), Constant((3, 5), "timespan")),
        (
            datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
            Constant(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), "datetime"),
        ),
        (
            datetime.datetime(2020, 1, 1, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
            Constant(datetime.datetime(2020, 1, 1, 1, tzinfo=datetime.UTC), "datetime"),
        ),
    ],
    ids=lambda v: type(v).__name__,
)
def test_bind_values_have_these_types(value: Any, wanted: Constant) -> None:
    found = bound(":v = :v", v=value)
    assert isinstance(found, Operation)
    constant, again = found.operands
    assert constant == again == wanted
    assert isinstance(constant, Constant)
    assert type(constant.value) is type(wanted.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "NaN is not a number"),
        (2**63, "does not fit 64 bits"),
        ("\ud800", "lone surrogate"),
        (object(), "type object cannot be in a where expression"),
        ({"a": 1}, "type dict cannot be"),
        (1j, "type complex cannot be"),
        (np.datetime64("2020-01-01"), "no time scale"),
        ([1, 2], "is a list"),
        (np.array([1, 2]), "is a list"),
        (range(3), "is a list"),
        (Time([1.0, 2.0], format="mjd"), "is a list"),
        (Circle(UnitVector3d(1, 0, 0), Angle(float("nan"))), "angles must be finite"),
        (
            UnionRegion(Circle(UnitVector3d(1, 0, 0)), Region.from_ivoa_pos("CIRCLE nan 0 1")),
            "angles must be finite",
        ),
    ],
    ids=lambda v: type(v).__name__,
)
def test_bind_values_that_cannot_be_compared_are_refused(value: Any, message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message) as caught:
        bound("exposure = :v", v=value)
    assert "'v'" in caught.value.message
    assert "\n  exposure = :v\n             ^" in caught.value.message


@pytest.mark.parametrize(
    "value",
    [[1, 2], (1, 2), {1, 2}, frozenset({1, 2}), range(1, 3), np.array([1, 2]), {1: 0, 2: 0}.keys()],
    ids=lambda v: type(v).__name__,
)
def test_any_kind_of_list_can_stand_in_a_list(value: Any) -> None:
    for text in ("exposure IN (:v)", "exposure IN :v", "exposure IN (v)"):
        assert show(bound(text, v=value)) == "(exposure in [1, 2])"
    assert show(bound("exposure IN (:v, 7, 3..5)", v=value)) == "(exposure in [1, 2, 7, 3..5])"


def test_lists_are_checked_member_by_member() -> None:
    with pytest.raises(InvalidQueryError, match=r"cannot compare exposure \(int\) with 'a' \(string\)"):
        bound("exposure IN (:v)", v=[1, "a"])
    with pytest.raises(InvalidQueryError, match=r"'v'.*NaN"):
        bound("exposure_time IN (:v)", v=[1.0, float("nan")])
    assert show(bound("exposure IN (:v)", v=[])) == "(exposure in [])"
    times = Time([58849.0, 58850.0], format="mjd", scale="tai")
    assert show(bound("exposure.timespan.begin IN (:v)", v=times)).count("time 15") == 2


def test_null_in_a_list_means_or_unknown() -> None:
    assert show(bound("raft IN ('a', NULL)")) == "((detector.raft in ['a']) or is_null(detector.raft))"
    assert (
        show(bound("raft IN (:v)", v=["a", None])) == "((detector.raft in ['a']) or is_null(detector.raft))"
    )


def test_alternatives_for_one_column_become_one_list() -> None:
    assert (
        show(bound("exposure = 1 OR exposure = 2 OR exposure IN (3, 5..6)"))
        == "(exposure in [1, 2, 3, 5..6])"
    )
    assert (
        show(bound("exposure = 1 OR raft = 'a' OR 2 = exposure OR raft = 'b'"))
        == "((exposure in [1, 2]) or (detector.raft in ['a', 'b']))"
    )
    assert show(bound("exposure = 1 OR raft = 'a'")) == "((exposure = 1) or (detector.raft = 'a'))"
    assert show(bound("exposure = 1 AND exposure = 2")) == "((exposure = 1) and (exposure = 2))"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("exposure = NULL", "is_null(exposure)"),
        ("NULL != exposure", "not(is_null(exposure))"),
        ("exposure IS NOT NULL", "not(is_null(exposure))"),
        ("NULL IS NULL", "True"),
        ("3 IS NULL", "False"),
        ("POINT(1, 2) IS NULL", "False"),
        ("POINT(1, 2) IS NOT NULL", "not(False)"),
        ("(T'2025-01-01', NULL) IS NULL", "False"),
        ("NULL = T'2025-01-01'", "False"),
        ("exposure BETWEEN 1 AND 2", "((exposure >= 1) and (exposure <= 2))"),
        (
            "raw.dataset_id = '00000000-0000-0000-0000-000000000005'",
            f"(raw.dataset_id = {uuid.UUID(int=5)!r})",
        ),
        (
            "raw.dataset_id IN (UUID('00000000000000000000000000000005'))",
            f"(raw.dataset_id in [{uuid.UUID(int=5)!r}])",
        ),
        ("GLOB('M31', 'M*')", "True"),
        ("GLOB('[M]', '[M]')", "True"),
        ("exposure = -3", "(exposure = -3)"),
        (
            "exposure.timespan OVERLAPS (NULL, NULL)",
            "(exposure.timespan overlaps timespan (0, 4102444800000000000))",
        ),
        (
            "(exposure.timespan.begin, NULL) OVERLAPS visit.timespan",
            "(pair(exposure.timespan.begin, NULL) overlaps visit.timespan)",
        ),
    ],
)
def test_conditions_are_bound_like_this(text: str, wanted: str) -> None:
    assert show(bound(text, scope("exposure", "detector", types=("raw",)))) == wanted


def test_globs_know_stars_and_question_marks_only() -> None:
    assert glob_matches("a.b", "a.b")
    assert not glob_matches("axb", "a.b")
    assert glob_matches("a[b]\\", "?[b]\\")
    assert glob_matches("", "*")
    assert glob_matches("a\nb", "a*b")
    assert not glob_matches("ab", "?")


# -------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("text", "format_", "value", "scale"),
    [
        ("2020-01-01T03:00:00", "isot", "2020-01-01T03:00:00", "utc"),
        ("2020-01-01 03:00:00.25", "iso", "2020-01-01 03:00:00.25", "utc"),
        ("2020-01-01", "iso", "2020-01-01", "utc"),
        ("2020-01-01T03:00:00+00:00", "isot", "2020-01-01T03:00:00", "utc"),
        ("2020-01-01/tai", "iso", "2020-01-01", "tai"),
        ("iso/2020-01-01/TT", "iso", "2020-01-01", "tt"),
        ("58849.5", "mjd", 58849.5, "tai"),
        ("58849.5/utc", "mjd", 58849.5, "utc"),
        ("mjd/58849.5", "mjd", 58849.5, "tai"),
        ("jd/2458849.6", "jd", 2458849.6, "tai"),
        ("2020:002", "yday", "2020:002", "utc"),
        ("2020:002:12:30:00", "yday", "2020:002:12:30:00", "utc"),
        ("+02020-01-01T03:00:00", "fits", "+02020-01-01T03:00:00", "utc"),
        ("unix/1577847600", "unix", 1577847600, "utc"),
        ("cxcsec/694224069.184", "cxcsec", 694224069.184, "tt"),
        ("  mjd / 58849 / tai ", "mjd", 58849, "tai"),
        ("jyear_str/J2020.5/tt", "jyear_str", "J2020.5", "tt"),
        ("2016-12-31T23:59:60.5", "isot", "2016-12-31T23:59:60.5", "utc"),
    ],
)
def test_times_are_read_as_astropy_reads_them(text: str, format_: str, value: Any, scale: str) -> None:
    wanted = Time(value, format=format_, scale=scale)
    found = Time(parse_time(text) / 86400e9 + 40587.0, format="mjd", scale="tai")
    assert abs((found - wanted).sec) < 2e-5


def test_a_modified_julian_date_is_exact_to_the_nanosecond() -> None:
    assert parse_time("58849.000000000000011574") == nsec(0) + 1
    assert parse_time("58849.25") == nsec(6)


@pytest.mark.parametrize(
    ("nsec_", "wanted"),
    [
        (nsec(0), "2019-12-31T23:59:23+00:00"),
        (nsec(0) + 37 * 10**9 + 123_456_789, "2020-01-01T00:00:00.123457+00:00"),
        (0, "1969-12-31T23:59:51.999918+00:00"),
    ],
)
def test_times_become_dates_to_the_microsecond(nsec_: int, wanted: str) -> None:
    assert datetime_of(nsec_).isoformat() == wanted


def test_a_moment_inside_a_leap_second_is_its_end() -> None:
    assert datetime_of(parse_time("2016-12-31T23:59:60.5")).isoformat() == "2017-01-01T00:00:00+00:00"


# ------------------------------------------------------------------------ data IDs


@pytest.mark.parametrize(
    ("data_id", "wanted"),
    [
        ({"instrument": "A", "exposure": np.int64(1)}, "((instrument = 'A') and (exposure = 1))"),
        ({"instrument": "A", "detector": "R0_S0"}, "((instrument = 'A') and (detector.full_name = 'R0_S0'))"),
        ({"full_name": "x"}, "(detector.full_name = 'x')"),
        ({"exposure.seq_num": 3}, "(exposure.seq_num = 3)"),
        ({"exposure_time": 30}, "(exposure.exposure_time = 30)"),
        ({"can_see_sky": True}, "(exposure.can_see_sky = True)"),
        ({"band": "r"}, "(band = 'r')"),
    ],
)
def test_data_ids_fix_dimensions_and_facts(data_id: dict[str, Any], wanted: str) -> None:
    found = plan(["exposure", "detector"], data_id=data_id).where
    assert found is not None
    assert show(found) == wanted


@pytest.mark.parametrize(
    ("data_id", "error", "message"),
    [
        ({"nope": 1}, DimensionNameError, "there is no dimension 'nope'"),
        ({"detectr": 1}, DimensionNameError, "there is no dimension 'detectr'"),
        ({"name": "x"}, DimensionNameError, "there is no dimension 'name'"),
        ({"timespan": 1}, DimensionNameError, "'timespan' can mean"),
        ({"exposure.timespan": 1}, DimensionNameError, "is a timespan, which no data ID has"),
        ({5: 1}, DimensionNameError, "names of dimensions, not 5"),
        ({"exposure": None}, DimensionValueError, "exposure has no value"),
        ({"exposure": 1.5}, DimensionValueError, "must be an integer, not float 1.5"),
        ({"exposure": True}, DimensionValueError, "must be an integer, not bool True"),
        ({"exposure": 2**70}, DimensionValueError, "does not fit 64 bits"),
        ({"instrument": 5}, DimensionValueError, "must be a string, not int 5"),
        ({"instrument": "\ud800"}, DimensionValueError, "lone surrogate"),
        ({"day_obs": "2020-01-01"}, DimensionValueError, "must be an integer, not str"),
        ({"exposure": [1, 2]}, DimensionValueError, "type list cannot be"),
        ({"can_see_sky": 1}, DimensionValueError, "must be true or false"),
        ({"raft": 1}, DimensionValueError, "must be a string"),
    ],
)
def test_wrong_data_ids_are_refused(data_id: dict[Any, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plan(["exposure", "detector"], data_id=data_id)


# ------------------------------------------------------------------------ order_by


@pytest.mark.parametrize(
    ("term", "wanted"),
    [
        ("exposure", "exposure"),
        ("-exposure", "-exposure"),
        ("+exposure", "exposure"),
        (" - exposure.seq_num ", "-exposure.seq_num"),
        ("raft", "detector.raft"),
        ("-exposure.timespan.begin", "-exposure.timespan.begin"),
        ("ingest_date", "raw.ingest_date"),
    ],
)
def test_terms_of_an_order(term: str, wanted: str) -> None:
    found = plan(["exposure", "detector"], "", search("raw", "run", result=True), order_by=(term,))
    assert f"order by    {wanted}\n" in f"{found}\n"


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("", "empty term"),
        ("-", "empty term"),
        ("--exposure", "order_by takes names, not '-exposure'"),
        ("exposure + 1", "order_by takes names"),
        ("exposure; DROP", "order_by takes names"),
        ("exposure DESC", "order_by takes names"),
        ("1", "order_by takes names"),
        ("nope", "order_by: there is no dimension"),
        ("timespan", "can mean day_obs.timespan or exposure.timespan"),
        ("exposure.timespan", "is a timespan, which has no order"),
        ("visit.region", "is a region, which has no order"),
        ("a.b.c.d", "order_by:"),
        (5, "order_by takes names, not int 5"),
    ],
)
def test_wrong_terms_of_an_order_are_refused(term: Any, message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        plan(["exposure", "detector"], order_by=(term,))
