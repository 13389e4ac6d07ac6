# SPDX-License-Identifier: BSD-3-Clause
"""Collections as values: types, chains, patterns, names."""

from __future__ import annotations

import pickle
import re
import unicodedata
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lakebutler.collections import CollectionInfo, CollectionType, chain, check_collection_name
from lakebutler.collections.names import name_fault
from lakebutler.collections.wildcard import expressions, is_pattern, match_names, resolve_names
from lakebutler.errors import (
    CollectionCycleError,
    CollectionExpressionError,
    CollectionNameError,
    CollectionTypeError,
)

# ------------------------------------------------------------------------------ types


def test_types_have_names_and_the_numbers_of_the_field() -> None:
    assert [(t.name, t.value) for t in CollectionType] == [
        ("RUN", 1), ("TAGGED", 2), ("CHAINED", 3), ("CALIBRATION", 4),
    ]  # fmt: skip
    assert CollectionType.all() == set(CollectionType)
    assert CollectionType.from_name("run") is CollectionType.RUN
    assert CollectionType.from_names(["run", "TAGGED"]) == {CollectionType.RUN, CollectionType.TAGGED}
    assert CollectionType.from_names(None) == CollectionType.from_names([]) == CollectionType.all()
    assert f"{CollectionType.RUN}" == str(CollectionType.RUN) == "RUN"
    assert eval(repr(CollectionType.CHAINED)) is CollectionType.CHAINED
    assert pickle.loads(pickle.dumps(CollectionType.RUN)) is CollectionType.RUN


@pytest.mark.parametrize("name", ["runn", "", None, 5])
def test_an_unknown_type_is_refused(name: Any) -> None:
    with pytest.raises(CollectionTypeError, match="is no type of collection"):
        CollectionType.from_name(name)


def test_what_is_known_of_a_collection_is_a_value() -> None:
    info = CollectionInfo("b", CollectionType.CHAINED, children=("x", "y"))
    assert info == CollectionInfo("b", CollectionType.CHAINED, "", ("x", "y"))
    assert min(info, CollectionInfo("a", CollectionType.RUN)).name == "a"
    with pytest.raises(AttributeError):
        info.name = "c"


# ----------------------------------------------------------------------------- chains

GRAPH = {
    "top": ("left", "run1", "right"),
    "left": ("run1", "run2"),
    "right": ("left", "run3", "deep"),
    "deep": ("run4",),
}


def test_chains_are_expanded_depth_first_each_member_once() -> None:
    assert chain.flatten(["top"], GRAPH.get) == ["run1", "run2", "run3", "run4"]
    assert chain.flatten(["right", "top"], GRAPH.get) == ["run1", "run2", "run3", "run4"]
    assert chain.flatten(["top"], GRAPH.get, include_chains=True) == [
        "top", "left", "run1", "run2", "right", "run3", "deep", "run4",
    ]  # fmt: skip
    assert chain.flatten([], GRAPH.get) == []


def test_a_cycle_is_shown_all_the_way_round() -> None:
    with pytest.raises(CollectionCycleError, match="deep -> top -> right -> deep") as failure:
        chain.check_cycle("deep", ["run4", "top"], GRAPH.get)
    assert "take 'deep' out of 'right'" in str(failure.value)
    with pytest.raises(CollectionCycleError, match="top -> top"):
        chain.check_cycle("top", ["run1", "top"], GRAPH.get)
    chain.check_cycle("deep", ["left"], GRAPH.get)


names = st.sampled_from("abcdefgh")
graphs = st.dictionaries(names, st.lists(names, max_size=4).map(tuple), max_size=8)


@given(graphs, st.lists(names, max_size=3))
def test_expanding_ends_even_in_a_graph_with_cycles(graph: dict, start: list[str]) -> None:
    found = chain.flatten(start, graph.get, include_chains=True)
    assert len(found) == len(set(found))
    reached = set(start)
    while more := {child for name in reached for child in graph.get(name, ())} - reached:
        reached |= more
    assert set(found) == reached
    assert chain.flatten(start, graph.get) == [name for name in found if name not in graph]


@given(graphs, names, st.lists(names, max_size=4))
def test_a_chain_is_refused_exactly_if_it_could_reach_itself(
    graph: dict, parent: str, children: list[str]
) -> None:
    others = {name: found for name, found in graph.items() if name != parent}
    cycle = chain.find_cycle(parent, children, others.get)
    assert (cycle is not None) == (parent in chain.flatten(children, others.get, include_chains=True))
    if cycle is not None:
        assert cycle[0] == cycle[-1] == parent
        whole = {**others, parent: children}
        assert all(after in whole[before] for before, after in pairwise(cycle))


@given(st.lists(names, unique=True), st.lists(names))
def test_edits_of_a_chain_keep_each_child_once(before: list[str], given_: list[str]) -> None:
    new = list(dict.fromkeys(given_))
    rest = [name for name in before if name not in new]
    assert chain.redefine(given_) == tuple(new)
    assert chain.prepend(before, given_) == (*new, *rest)
    assert chain.extend(before, given_) == (*rest, *new)
    assert chain.remove(before, given_) == tuple(rest)


# --------------------------------------------------------------------------- patterns

EXISTING = ["a*b", "a1b", "a2b", "u/x/run", "u/y/run", "A1B", "[z]", "z"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("a1b", ["a1b"]),
        ("a*b", ["a*b"]),
        ("a?b", ["a*b", "a1b", "a2b"]),
        ("a[12]b", ["a1b", "a2b"]),
        ("a[!12]b", ["a*b"]),
        ("[z]", ["[z]"]),
        ("u/*", ["u/x/run", "u/y/run"]),
        ("*run", ["u/x/run", "u/y/run"]),
        (["z", "a2b", "a?b"], ["z", "a2b", "a*b", "a1b"]),
        (re.compile("a.b"), ["a*b", "a1b", "a2b"]),
        (..., sorted(EXISTING)),
        ("*", sorted(EXISTING)),
        ([], []),
    ],
    ids=str,
)
def test_a_name_that_exists_wins_over_its_reading_as_a_pattern(given: Any, found: list[str]) -> None:
    matches = resolve_names(given, EXISTING)
    assert matches.names == found
    assert not matches.missing
    assert not matches.unmatched


def test_what_is_not_found_is_told_apart() -> None:
    matches = resolve_names(["nothing", "q*", re.compile("w.*"), "z"], set(EXISTING))
    assert matches == (["z"], ["nothing"], ["q*", "w.*"])


def test_only_names_and_patterns_are_expressions() -> None:
    assert expressions(["a", ...]) == ["a", "*"]
    assert expressions(iter(["a"])) == ["a"]
    for wrong in (5, [5], None, [None]):
        with pytest.raises(CollectionExpressionError, match="given by name"):
            expressions(wrong)
    with pytest.raises(CollectionNameError, match="longer than 4096"):
        match_names("*a" * 4000, EXISTING)


@given(st.lists(st.text("ab*?[]!/", min_size=1, max_size=4), unique=True, min_size=1))
def test_every_existing_name_can_be_asked_for_alone(existing: list[str]) -> None:
    for name in existing:
        assert resolve_names(name, existing).names == [name]


@given(st.text("ab*?[]", max_size=8), st.text("ab", max_size=6))
def test_a_pattern_without_sets_matches_as_a_simple_matcher_does(pattern: str, name: str) -> None:
    assume("[" not in pattern)

    def matches(p: str, n: str) -> bool:
        if not p:
            return not n
        if p[0] == "*":
            return matches(p[1:], n) or (bool(n) and matches(p, n[1:]))
        return bool(n) and p[0] in ("?", n[0]) and matches(p[1:], n[1:])

    assert (match_names(pattern, [name]) == [name]) == matches(pattern, name)
    assert is_pattern(pattern) == ("*" in pattern or "?" in pattern)


def test_a_pattern_made_to_be_slow_is_not() -> None:
    assert match_names("*a" * 30 + "b", ["a" * 3000]) == []


# ------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    "name",
    [
        "run", "u/someone/DM-1234", "HSC/raw/all", "refcats/DM-28636", "a b", "a*b", "a?b", "a:b", 'a"b',
        "a\\b", "a'b", "$HOME", "~", "...", "é", "日本語", "Ω", "a.b", ".hidden", "-x", "x" * 255,
        "/".join(["x" * 200] * 5), "👩", "20240203T040506Z", "a%2Fb", "#", "file:x",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_name_that_can_be_seen_and_typed_is_accepted(name: str) -> None:
    assert check_collection_name(name) == name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        ("/a", "begins with '/'"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        (".", "part '.'"),
        ("..", r"part '\.\.'"),
        ("a/../b", r"part '\.\.'"),
        ("../../escape", r"part '\.\.'"),
        ("a\x00b", r"control character U\+0000"),
        ("a\nb", r"control character U\+000A"),
        ("a\x7fb", r"control character U\+007F"),
        ("a\x85b", r"control character U\+0085"),
        ("a\u202eb", r"invisible character U\+202E RIGHT-TO-LEFT OVERRIDE"),
        ("a\u200bb", r"invisible character U\+200B ZERO WIDTH SPACE"),
        ("a\u2028b", r"invisible character U\+2028"),
        ("a\ufeffb", r"invisible character U\+FEFF"),
        ("a\u00adb", r"invisible character U\+00AD"),
        ("a\u3164b", r"invisible character U\+3164"),
        ("a\u00a0b", "looks like a space"),
        ("a\u3000b", "looks like a space"),
        ("a\ud800b", "half a character"),
        ("a\ue000b", "no character of Unicode"),
        ("a\uffffb", "no character of Unicode"),
        ("e\u0301", "normal form NFC\nwrite it as"),
        ("\u212b", "normal form NFC"),
        ("x" * 256, "part of more than 255 bytes"),
        ("é" * 128, "part of more than 255 bytes"),
        ("/".join(["x" * 200] * 6), "longer than 1024 bytes"),
        (" a", "space next to"),
        ("a /b", "space next to"),
        (None, "must be a string, not NoneType"),
        (5, "must be a string, not int"),
        (b"run", "must be a string, not bytes"),
    ],
    ids=ascii,
)
def test_a_name_that_could_be_mistaken_is_refused_with_its_fault(name: Any, fault: str) -> None:
    with pytest.raises(CollectionNameError, match=fault) as failure:
        check_collection_name(name)
    assert failure.value.message.isprintable()


characters = st.characters() | st.sampled_from("/. \u0301\u200d\u202ee\x00")


@given(st.text(characters, max_size=12))
def test_an_accepted_name_is_printable_normal_and_relative(name: str) -> None:
    if name_fault(name) is not None:
        return
    assert name.isprintable()
    assert unicodedata.normalize("NFC", name) == name
    assert name.encode().decode() == name
    assert not name.startswith("/")
    assert not {"", ".", ".."} & set(name.split("/"))


@given(st.text(characters, max_size=8), st.text(characters, max_size=8))
def test_two_accepted_names_differ_also_in_normal_form(a: str, b: str) -> None:
    if a != b and name_fault(a) is None and name_fault(b) is None:
        assert unicodedata.normalize("NFC", a) != unicodedata.normalize("NFC", b)
        assert unicodedata.normalize("NFD", a) != unicodedata.normalize("NFD", b)
