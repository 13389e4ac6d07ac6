# SPDX-License-Identifier: BSD-3-Clause
"""The demo as a person meets it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.running import call, succeed


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    place = tmp_path_factory.mktemp("demo") / "here"
    return place, succeed("demo", place).out


def test_the_demo_tells_its_story_in_ten_lines_and_names_what_to_try(demo: tuple[Path, str]) -> None:
    place, text = demo
    story, _, after = text.partition("\n\n")
    assert 8 <= len(story.splitlines()) <= 11
    commands = [line.strip() for line in after.splitlines() if line.strip().startswith("lakebutler ")]
    assert len(commands) == 3
    picture = re.search(r"^picture +(.+)$", story, re.MULTILINE)
    assert picture is not None
    assert Path(picture.group(1)).read_bytes().startswith(b"\x89PNG")
    assert Path(picture.group(1)).is_relative_to(place)


def test_what_the_demo_says_to_type_next_works(
    demo: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [line.strip() for line in demo[1].splitlines() if line.strip().startswith("lakebutler ")]
    for command in commands:
        assert succeed(*shlex.split(command)[1:]).out.strip()


def test_a_second_demo_replaces_the_first_and_nothing_else(demo: tuple[Path, str], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "thesis.txt").write_text("mine")
    refused = call("demo", kept)
    assert refused.code == 3
    assert str(kept) in refused.err
    assert [p.name for p in kept.iterdir()] == ["thesis.txt"]
    assert call("demo", demo[0], "--no-replace").code == 3
    assert (demo[0] / "repo" / "registry" / "format.json").is_file()
