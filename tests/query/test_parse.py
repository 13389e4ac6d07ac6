# SPDX-License-Identifier: BSD-3-Clause
"""Text to tree, and what is said about text that is no expression."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakebutler import Butler
from lakebutler.errors import InvalidQueryError, UserExpressionError
from lakebutler.query import tree
from lakebutler.query.parse import MAX_DEPTH, MAX_INTEGER, MAX_LENGTH, parse

BAD: list[tuple[str, int, str]] = [
    tuple(case) for case in json.loads(Path(__file__).with_name("bad_expressions.json").read_text())
]


def outline(node: object) -> object:
    """A tree without its places: names and values in tuples."""
    match node:
        case tree.Literal(_, _, value):
            return value
        case tree.Name():
            return node.text
        case tree.Bind(_, _, name):
            return f":{name}"
        case tree.Time(_, _, text):
            return f"T{text}"
        case tree.Range(_, _, first, last, step):
            return range(first, last + 1, step)
        case tree.Call(_, _, function, arguments):
            return (function, *map(outline, arguments))
        case tree.Pair(_, _, first, second):
            return ("pair", outline(first), outline(second))
        case tree.Negate(_, _, operand):
            return ("-", outline(operand))
        case tree.Not(_, _, operand):
            return ("not", outline(operand))
        case tree.Arithmetic(_, _, operator, left, right) | tree.Compare(_, _, operator, left, right):
            return (operator, outline(left), outline(right))
        case tree.Overlaps(_, _, left, right):
            return ("overlaps", outline(left), outline(right))
        case tree.IsIn(_, _, operand, items, negated):
            return ("not in" if negated else "in", outline(operand), *map(outline, items))
        case tree.IsNull(_, _, operand, negated):
            return ("is not null" if negated else "is null", outline(operand))
        case tree.Between(_, _, operand, low, high):
            return ("between", *map(outline, (operand, low, high)))
        case tree.Like(_, _, operand, pattern, negated):
            return ("not like" if negated else "like", outline(operand), outline(pattern))
        case tree.Logical(_, _, operator, operands):
            return (operator.lower(), *map(outline, operands))
    return node


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("visit = 1", ("=", "visit", 1)),
        ("visit == 1", ("=", "visit", 1)),
        ("visit <> 1", ("!=", "visit", 1)),
        ("a.b.c >= 1.5", (">=", "a.b.c", 1.5)),
        ("a = .5 OR a = 5. OR a = 1e-3", ("or", ("=", "a", 0.5), ("=", "a", 5.0), ("=", "a", 0.001))),
        ("a = 'it''s'", ("=", "a", "it's")),
        ("a = ''", ("=", "a", "")),
        ("a = 'x--y;/*'", ("=", "a", "x--y;/*")),
        ("a = 'two\nlines'", ("=", "a", "two\nlines")),
        ("a = 'été ☃'", ("=", "a", "été ☃")),
        ("flag", "flag"),
        ("NOT flag", ("not", "flag")),
        ("not not flag", ("not", ("not", "flag"))),
        ("NOT a = 1 AND b", ("and", ("not", ("=", "a", 1)), "b")),
        ("a OR b AND c OR d", ("or", "a", ("and", "b", "c"), "d")),
        ("(a OR b) AND c", ("and", ("or", "a", "b"), "c")),
        ("a and b And c AND d", ("and", "a", "b", "c", "d")),
        ("a + 1 * 2 - 3 = 0", ("=", ("-", ("+", "a", ("*", 1, 2)), 3), 0)),
        ("a - 1 - 2 = 0", ("=", ("-", ("-", "a", 1), 2), 0)),
        ("a / b % c = 0", ("=", ("%", ("/", "a", "b"), "c"), 0)),
        ("-a = --1", ("=", ("-", "a"), ("-", ("-", 1)))),
        ("+a - -1 = 2", ("=", ("-", "a", ("-", 1)), 2)),
        ("a-1=2", ("=", ("-", "a", 1), 2)),
        ("a < b + 1", ("<", "a", ("+", "b", 1))),
        ("visit IN (1, 2)", ("in", "visit", 1, 2)),
        ("visit not in (1..5)", ("not in", "visit", range(1, 6))),
        ("visit IN (1..5:2, :v, 7)", ("in", "visit", range(1, 6, 2), ":v", 7)),
        ("visit IN (-3 .. -1 : 2)", ("in", "visit", range(-3, 0, 2))),
        ("visit IN (5..5)", ("in", "visit", range(5, 6))),
        ("visit IN :list", ("in", "visit", ":list")),
        ("NOT visit IN (1)", ("not", ("in", "visit", 1))),
        ("a IN (b.c, GLOB('x', 'y'))", ("in", "a", "b.c", ("GLOB", "x", "y"))),
        ("a IS NULL AND b is not null", ("and", ("is null", "a"), ("is not null", "b"))),
        ("a = NULL", ("=", "a", None)),
        ("a BETWEEN 1 AND 2 AND b", ("and", ("between", "a", 1, 2), "b")),
        ("a NOT BETWEEN 1 AND 2 OR b", ("or", ("not", ("between", "a", 1, 2)), "b")),
        ("a LIKE 'x%' or a NOT LIKE '_'", ("or", ("like", "a", "x%"), ("not like", "a", "_"))),
        ("t OVERLAPS T'2020-01-01'", ("overlaps", "t", "T2020-01-01")),
        ("t overlaps (t'mjd/5/tai', null)", ("overlaps", "t", ("pair", "Tmjd/5/tai", None))),
        ("(T'a', T'b') OVERLAPS t", ("overlaps", ("pair", "Ta", "Tb"), "t")),
        ("glob(a, 'x*') AND Uuid('f')", ("and", ("GLOB", "a", "x*"), ("UUID", "f"))),
        ("f()", ("F",)),
        ("TRUE OR false", ("or", True, False)),
        ("order = 1 AND notes = 2", ("and", ("=", "order", 1), ("=", "notes", 2))),
        ("android OR orbit OR insert OR island", ("or", "android", "orbit", "insert", "island")),
        ("null_count = 1 AND true_x AND likely", ("and", ("=", "null_count", 1), "true_x", "likely")),
        ("T = 1 AND t.T", ("and", ("=", "T", 1), "t.T")),
        ("in_x IN (in_y)", ("in", "in_x", "in_y")),
        ("\t a\n=\r\n1 ", ("=", "a", 1)),
        ("(((a)))", "a"),
        (f"a = {MAX_INTEGER}", ("=", "a", MAX_INTEGER)),
        ("a = 007", ("=", "a", 7)),
    ],
)
def test_an_expression_becomes_this_tree(text: str, wanted: object) -> None:
    assert outline(parse(text)) == wanted


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_nothing_is_no_condition(text: str) -> None:
    assert parse(text) is None


def test_nodes_know_their_place_in_the_text() -> None:
    text = "band = 'r' AND visit IN (1, 22)"
    root = parse(text)
    assert isinstance(root, tree.Logical)
    (compare, is_in) = root.operands
    assert text[compare.start : compare.end] == "band = 'r'"
    assert isinstance(is_in, tree.IsIn)
    assert [text[i.start : i.end] for i in is_in.items] == ["1", "22"]


def test_there_are_more_than_two_hundred_bad_expressions() -> None:
    assert len({text for text, _, _ in BAD}) >= 200


@pytest.mark.parametrize(
    ("text", "column", "message"), BAD, ids=lambda v: ascii(v)[:40] if isinstance(v, str) else ""
)
def test_a_bad_expression_gives_one_clear_error(butler: Butler, text: str, column: int, message: str) -> None:
    with pytest.raises(UserExpressionError) as caught:
        butler.query_dimension_records("exposure", where=text, explain=False)
    first, line, caret = caught.value.message.split("\n")
    assert first == f"{message}:"
    assert caret == " " * (2 + column) + "^"
    assert column <= len(line)
    assert line.isprintable()
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "NOT " * 5000 + "TRUE",
        "-" * 5000 + "1 = 1",
        "1" + " + 1" * 5000 + " = 1",
        "1" + " * 2" * 5000 + " = 1",
        "F(" * 5000 + ")" * 5000,
        "NOT (TRUE AND " * 500 + "TRUE" + ")" * 500,
        "a OR (b AND (" * 500 + "c" + "))" * 500,
        "a = " + "9" * 5000,
        "a IN (" + "9" * 5000 + ".." + "9" * 5000 + ")",
        "a = 1e" + "9" * 5000,
        "'" * 4999,
        "x" * (MAX_LENGTH + 1),
        "a = 1" + " AND a = 1" * (MAX_LENGTH // 10),
    ],
    ids=lambda text: text[:12],
)
def test_input_of_absurd_depth_or_length_is_refused(text: str) -> None:
    with pytest.raises(UserExpressionError) as caught:
        parse(text)
    assert len(str(caught.value)) < 600


def test_what_is_large_but_flat_is_fine(butler: Butler) -> None:
    assert parse("(" * 5000 + "a = 1" + ")" * 5000) is not None
    assert parse("NOT " * (MAX_DEPTH // 2) + "a") is not None
    many = " OR ".join(f"exposure = {i}" for i in range(3000))
    found = butler.query_data_ids(["exposure"], where=f"instrument = 'A' AND ({many})")
    assert len(found) == 6
    listed = ", ".join(map(str, range(3, 3000)))
    found = butler.query_data_ids(["exposure"], where=f"instrument = 'A' AND exposure NOT IN ({listed})")
    assert sorted(d["exposure"] for d in found) == [1, 2]


def test_too_many_different_conditions_are_refused(butler: Butler) -> None:
    many = " OR ".join(f"exposure.exposure_time > {i}" for i in range(5001))
    with pytest.raises(InvalidQueryError, match="more than 5000 conditions"):
        butler.query_data_ids(["exposure"], where=f"instrument = 'A' AND ({many})")


def test_a_caret_points_into_the_right_line_and_long_lines_are_cut() -> None:
    with pytest.raises(UserExpressionError) as caught:
        parse("band = 'r'\n  AND visit = = 2\n  AND x")
    assert caught.value.message.split("\n")[1:] == ["    AND visit = = 2", "                ^"]
    with pytest.raises(UserExpressionError) as caught:
        parse("visit = 1 AND " * 100 + "= 3 " + "AND visit = 1 " * 100)
    _, line, caret = caught.value.message.split("\n")
    assert len(line) <= 102
    assert line[caret.index("^")] == "="


WORDS = (
    "exposure visit.name detector instrument = != < >= AND OR NOT IN IS NULL BETWEEN LIKE OVERLAPS ( ) , 1 "
    "2.5 1..3 'a' 'it''s' T'2020-01-01' T'x' :b :list GLOB UUID CIRCLE + - * / % exposure.timespan .begin "
    "timespan.end TRUE band 'r' can_see_sky target_name seq_num raw.run visit.region & ; \" \\ é \x00"
)
PIECES = st.sampled_from(WORDS.split(" "))
BINDS = {"b": 1, "list": [1, 2]}


@given(
    st.one_of(
        st.lists(PIECES, max_size=14).map(" ".join),
        st.lists(PIECES, max_size=8).map("".join),
        st.text(max_size=40),
    )
)
@example("GLOB(target_name, 'a")
@example("exposure * 9223372036854775807 > 1 AND instrument = 'A'")
@example("exposure IN (1..9223372036854775807:9223372036854775807) AND instrument = 'A'")
@example("target_name = '\x00'")
@example("target_name LIKE '\\'")
def test_only_the_errors_of_expressions_come_out_of_any_text(butler: Butler, text: str) -> None:
    with contextlib.suppress(InvalidQueryError):
        butler.query_dimension_records("exposure", where=text, bind=BINDS, explain=False, limit=3)
