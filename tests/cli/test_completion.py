# SPDX-License-Identifier: BSD-3-Clause
"""What the TAB key offers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from lakebutler.cli.main import lakebutler


def offered(*arguments: str) -> list[str]:
    """What is offered for the last argument."""
    complete = ShellComplete(lakebutler, {}, "lakebutler", "_LAKEBUTLER_COMPLETE")
    return [
        item.value
        for item in complete.get_completions(list(arguments[:-1]), arguments[-1])
        if item.type == "plain"
    ]


def test_verbs_and_options_are_offered() -> None:
    assert offered("query-d") == [
        "query-dataset-types",
        "query-datasets",
        "query-data-ids",
        "query-dimension-records",
    ]
    assert "--find-first" in offered("query-datasets", "--f")


def test_names_of_the_repository_are_offered(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = str(repo)
    assert offered("query-datasets", place, "b") == ["bias"]
    assert offered("-R", place, "query-datasets", "f") == ["flat"]
    assert offered("query-datasets", place, "--collections", "u/") == ["u/one", "u/two"]
    assert offered("query-datasets", place, "--collections", "u/one,u/t") == ["u/one,u/two"]
    assert offered("query-collections", place, "u/o") == ["u/one"]
    assert offered("query-dimension-records", place, "detec") == ["detector"]
    assert offered("associate", place, "x", "-d", "fl") == ["flat"]
    monkeypatch.chdir(repo)
    assert offered("query-datasets", "no") == ["note"]


def test_names_that_need_no_repository_are_offered() -> None:
    assert offered("register-instrument", "repo", "HS") == ["HSC"]
    assert "StructuredDataDict" in offered("register-dataset-type", "repo", "name", "Struct")


def test_a_key_press_never_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert offered("query-datasets", "nosuch", "b") == []
    assert offered("query-datasets", "b") == []
    assert os.listdir(tmp_path) == []
