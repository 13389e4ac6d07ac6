# SPDX-License-Identifier: BSD-3-Clause
"""Header rules: cards to properties."""

from __future__ import annotations

from typing import Any

import pytest
from astropy.coordinates import Angle
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.errors import HeaderError
from lakebutler.instruments.cameras.rules import apply_rules, make_rule, parse_angle, parse_time

HEADER = {
    "DAY": "20260314",
    "SEQ": 7,
    "FILTER": "g_0001",
    "RA": "10:00:30.5",
    "ROT": 350.0,
    "EMPTY": "",
    "MODE": "OBJECT",
    "MJD": 60000.5,
}


def value_of(rule: Any, header: dict[str, object] | None = None, **file_values: str) -> Any:
    rules = {"object": make_rule("object", rule)}
    return apply_rules(rules, HEADER if header is None else header, file_values).get("object")


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("FILTER", "g_0001"),
        ({"card": ["NONE", "EMPTY", "FILTER"]}, "g_0001"),
        ({"value": 3}, 3),
        ({"text": "{DAY}-{SEQ:05d}"}, "20260314-00007"),
        ({"text": "{DAY}{SEQ:05d}", "type": "integer"}, 2026031400007),
        ({"card": "FILTER", "pattern": r"^[a-z]"}, "g"),
        ({"card": "FILTER", "pattern": r"_(\d+)", "type": "integer"}, 1),
        ({"card": "MODE", "map": {"OBJECT": "science"}}, "science"),
        ({"card": "MODE", "map": {"OBJECT": False}}, False),
        ({"card": "RA", "unit": "hourangle"}, 15 * (10 + 30.5 / 3600)),
        ({"card": "ROT", "factor": -1, "add": 270, "wrap": 360}, 280.0),
        ({"card": "NONE", "default": "x"}, "x"),
        ({"card": "NONE", "optional": True}, None),
        ({"card": "SEQ", "type": "text"}, "7"),
        ({"file_name": "visit", "type": "integer"}, 12),
    ],
)
def test_a_rule_gives_its_value(rule: object, value: object) -> None:
    assert value_of(rule, visit="12") == value


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("NONE", "object: no NONE in the header"),
        ({"card": ["A", "B"]}, "object: no A or B in the header"),
        ({"text": "{DAY}{NONE}"}, "object: no NONE in the header"),
        ({"file_name": "night"}, "object: the file is not named as the camera names its files"),
        ({"card": "MODE", "map": {"BIAS": "bias"}}, "object: 'OBJECT' is none of 'BIAS'"),
        ({"card": "FILTER", "pattern": "^r"}, "object: 'g_0001' does not look like '^r'"),
        ({"card": "FILTER", "type": "integer"}, "object: invalid literal"),
        ({"card": "MJD", "type": "integer"}, "object: 60000.5 is no integer"),
        ({"card": "SEQ", "type": "logical"}, "object: 7 is neither T nor F"),
        ({"card": "FILTER", "time": "isot"}, "object: 'g_0001' is no isot time"),
        ({"card": "FILTER", "unit": "degree"}, "object: "),
    ],
)
def test_a_header_that_does_not_fit_is_one_line(rule: object, reason: str) -> None:
    with pytest.raises(HeaderError) as caught:
        value_of(rule)
    assert caught.value.message.startswith(reason)
    assert "\n" not in caught.value.message


@given(st.sampled_from(["", "+", "-"]), st.integers(0, 23), st.integers(0, 59), st.floats(0, 59.999))
def test_sexagesimal_angles_are_those_of_astropy(sign: str, whole: int, minutes: int, seconds: float) -> None:
    text = f"{sign}{whole}:{minutes:02d}:{seconds:06.3f}"
    if seconds >= 59.9995:
        return
    assert parse_angle(text, "degree") == pytest.approx(Angle(text, "deg").degree, rel=1e-14, abs=1e-14)
    assert parse_angle(text, "hourangle") == pytest.approx(
        Angle(text, "hourangle").degree, rel=1e-14, abs=1e-14
    )


def test_a_time_is_read_in_its_scale() -> None:
    utc = parse_time("2026-03-14T01:02:03.25", "isot", "utc")
    tai = parse_time("2026-03-14 01:02:03.25", "isot", "tai")
    assert utc - tai == 37_000_000_000
    assert parse_time(60000.5, "mjd", "tai") == round((60000.5 - 40587) * 86400) * 10**9
    assert parse_time(Time("2026-03-14T01:02:03.25").jd, "jd", "utc") == pytest.approx(utc, abs=50_000)
