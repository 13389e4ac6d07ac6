# SPDX-License-Identifier: BSD-3-Clause
"""Listings in each of their forms."""

from __future__ import annotations

import csv
import datetime
import io
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.cli.output import Listing, emit, fold_widths, merge, plain
from lakebutler.cli.refine import limit_rows, refine, split_names
from lakebutler.errors import InvalidQueryError

IDENTITY = uuid.UUID("0190b2c4-7a1e-7000-8000-000000000001")
WHEN = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
LISTING = Listing(
    ("name", "count", "id", "seen", "children"),
    [
        ("raw", 3, IDENTITY, True, ["a", "b"]),
        ('q"uo,te', None, IDENTITY, False, []),
        ("tab\there", 1, None, None, None),
    ],
)
JSON_VALUES = (
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
)


def printed(capsys: pytest.CaptureFixture[str], listing: Any, output: str) -> str:
    emit(listing, output)
    return capsys.readouterr().out


def test_json_is_one_array_with_one_object_to_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, LISTING, "json")
    records = json.loads(text)
    assert records[0] == {
        "name": "raw",
        "count": 3,
        "id": str(IDENTITY),
        "seen": True,
        "children": ["a", "b"],
    }
    assert records[1]["count"] is None
    assert len(text.splitlines()) == len(LISTING.rows)


def test_json_of_nothing_is_an_empty_array(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, Listing(("a",), []), "json") == "[]\n"


def test_csv_quotes_as_rfc_4180_says(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.reader(io.StringIO(printed(capsys, LISTING, "csv"), newline="")))
    assert rows[0] == list(LISTING.columns)
    assert rows[1] == ["raw", "3", str(IDENTITY), "true", "a, b"]
    assert rows[2][:2] == ['q"uo,te', ""]
    assert rows[3][0] == "tab\there"


def test_a_pipe_gets_tab_separated_lines_that_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, LISTING, "auto").splitlines()
    assert lines[0].split("\t") == list(LISTING.columns)
    assert lines[3].split("\t")[0] == "tab\\there"
    assert len(lines) == 4


def test_a_table_is_aligned_and_numbers_stand_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    listing = Listing(("name", "n"), [("a", 5), ("long name", 1000)])
    assert (
        printed(capsys, listing, "table")
        == "name          n\n---------  ----\na             5\nlong name  1000\n"
    )


def test_control_characters_never_reach_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, Listing(("name",), [("\x1b[31mred\x1b[0m\n\u202eevil",)]), "table")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.splitlines()) == 3


def test_several_listings_merge_to_the_union_of_their_columns() -> None:
    merged = merge([Listing(("type", "visit"), [("raw", 1)]), Listing(("type", "tract"), [("coadd", 2)])])
    assert merged.columns == ("type", "visit", "tract")
    assert merged.rows == [("raw", 1, None), ("coadd", None, 2)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\x01\xff", "01ff"),
        (IDENTITY, str(IDENTITY)),
        (WHEN, "2024-01-02T03:04:05+00:00"),
        (float("nan"), None),
        (float("inf"), None),
        ({"a": (1, b"\x00")}, {"a": [1, "00"]}),
    ],
)
def test_values_become_what_json_has(value: object, expected: object) -> None:
    assert plain(value) == expected


@given(st.lists(st.tuples(JSON_VALUES, JSON_VALUES), max_size=5))
def test_any_value_survives_json(rows: list[tuple[Any, ...]]) -> None:
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        emit(Listing(("a", "b"), rows), "json")
    assert [tuple(record.values()) for record in json.loads(stream.getvalue())] == rows


def test_where_order_and_limit_work_on_a_plain_listing() -> None:
    listing = Listing(("name", "type"), [("b", "RUN"), ("a", "RUN"), ("c", "TAGGED")])
    assert refine(listing, where="type = 'RUN'", order_by=["name"]).rows == [("a", "RUN"), ("b", "RUN")]
    assert refine(listing, where=None, order_by=["-type", "name"]).rows[0] == ("c", "TAGGED")
    assert limit_rows(listing, 1, 1).rows == [("a", "RUN")]
    assert limit_rows(listing, 0).rows == listing.rows


def test_nothing_sorts_after_something() -> None:
    listing = Listing(("n",), [(None,), (2,), (1,)])
    assert refine(listing, where=None, order_by=["n"]).rows == [(1,), (2,), (None,)]


@pytest.mark.parametrize("where", ["nosuch = 1", "name =", "read_text('/etc/passwd') = ''", "1; DROP"])
def test_a_bad_condition_is_one_named_error(where: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        refine(Listing(("name",), [("a",)]), where=where, order_by=[])
    assert where in caught.value.message
    assert "name" in str(caught.value.hint)


def test_an_unknown_column_to_order_by_is_named_with_the_nearest() -> None:
    with pytest.raises(InvalidQueryError, match="'nmae'") as caught:
        refine(Listing(("name", "type"), []), where=None, order_by=["nmae"])
    assert "name" in str(caught.value.hint)


def test_options_may_be_repeated_or_comma_separated() -> None:
    assert split_names(["a,b", " c ", "", "d,"]) == ("a", "b", "c", "d")


@given(st.lists(st.integers(1, 80), min_size=1, max_size=8), st.integers(1, 200))
def test_folded_columns_fit_and_none_becomes_unreadable(widths: list[int], room: int) -> None:
    folded = fold_widths(widths, room)
    if folded is None:
        assert sum(min(width, 12) for width in widths) > room
    else:
        assert sum(folded) == min(room, sum(widths))
        assert all(new == old or new >= 12 for new, old in zip(folded, widths, strict=True))
