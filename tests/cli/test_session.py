# SPDX-License-Identifier: BSD-3-Clause
"""Which repository a call is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakebutler.cli.session import Session, first_is_repository, listed, looks_like_place
from lakebutler.config import FORMAT_FILE
from lakebutler.errors import NotARepositoryError


def repository(place: Path) -> Path:
    """Make what discovery takes for a repository."""
    (place / FORMAT_FILE).parent.mkdir(parents=True)
    (place / FORMAT_FILE).write_text("{}")
    return place


@pytest.mark.parametrize(
    "text", [".", "..", "./r", "../r", "/data/r", "~/r", "~me/r", "s3://b/r", "file:///r"]
)
def test_a_path_or_url_is_a_place(text: str) -> None:
    assert looks_like_place(text)


@pytest.mark.parametrize("text", ["raw", "HSC/raw/all", "u/me/run", "*", "r.w", "", "...", "DECam"])
def test_a_name_of_the_repository_is_no_place(text: str) -> None:
    assert not looks_like_place(text)


@pytest.mark.parametrize(
    ("positionals", "most", "paths", "expected"),
    [
        ([], None, False, False),
        (["raw"], None, False, False),
        (["repo"], None, False, True),
        (["repo", "raw"], None, False, True),
        (["raw", "repo"], None, False, False),
        (["./nosuch", "raw"], None, False, True),
        (["s3://bucket/nosuch"], None, False, True),
        (["visit"], 1, False, False),
        (["nosuch", "visit"], 1, False, True),  # one more than the verb takes
        (["repo", "visit"], 1, False, True),
        (["./out"], 1, True, False),  # DESTINATION of retrieve-artifacts
        (["nosuch", "./out"], 1, True, True),
        (["repo", "./raws"], None, True, True),  # LOCATIONS of ingest-raws
        (["./raws"], None, True, False),
        ([""], None, False, False),
    ],
)
def test_the_first_argument_is_the_repository_where_it_can_be_nothing_else(
    positionals: list[str], most: int | None, paths: bool, expected: bool
) -> None:
    found = first_is_repository(positionals, most=most, paths=paths, exists=lambda place: place == "repo")
    assert found is expected


def test_the_option_wins_over_the_argument_and_the_argument_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(repository(tmp_path / "here"))
    assert Session().repository() == str(tmp_path / "here")
    monkeypatch.setenv("LAKEBUTLER_REPO", "from-environment")
    assert Session().repository() == "from-environment"
    assert Session(positional="by-position").repository() == "by-position"
    assert Session(repo="by-option", positional="by-position").repository() == "by-option"


def test_a_repository_is_found_upward_and_the_message_says_how_far(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = repository(tmp_path / "r")
    deep = root / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert Session().repository() == str(root)
    assert capsys.readouterr().err == f"using the repository {root} (2 levels up)\n"
    monkeypatch.chdir(root)
    assert Session().repository() == str(root)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("given", ["", "  "])
def test_an_empty_option_is_refused_but_an_empty_variable_counts_as_unset(
    given: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(repository(tmp_path / "here"))
    with pytest.raises(NotARepositoryError, match="-R is empty"):
        Session(repo=given).repository()
    monkeypatch.setenv("LAKEBUTLER_REPO", "")
    assert Session().repository() == str(tmp_path / "here")


def test_no_repository_anywhere_says_where_it_looked_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotARepositoryError) as caught:
        Session().repository()
    assert str(tmp_path) in caught.value.message
    assert "lakebutler create" in str(caught.value.hint)


def test_many_names_in_a_title_are_counted() -> None:
    assert listed(["HSC"]) == "HSC"
    assert listed(["A", "B", "C"]) == "A, B, C"
    assert listed(list("ABCDE")) == "A, B and 3 more"
