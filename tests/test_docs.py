# SPDX-License-Identifier: BSD-3-Clause
"""What the documentation shows is what happens: every code block is run.

In a page, ``python`` blocks run one after the other in one namespace; ``console``
blocks are shell sessions whose output is compared (``...`` stands for anything);
``sql`` blocks are run by plain DuckDB on ``views.sql``; ``bash`` and ``text`` blocks
are not run.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ALIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page: Path, *languages: str) -> list[tuple[str, str, int]]:
    """Language, text and first line of the blocks of a page."""
    text = page.read_text()
    found = ((m.group(1), m.group(2), text[: m.start()].count("\n") + 2) for m in BLOCK.finditer(text))
    return [block for block in found if block[0] in languages]


def sessions(text: str) -> Iterator[tuple[str, str]]:
    """Commands of a console block, each with the output shown."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            more, _, output = output.partition("\n")
            command = command[:-1] + more
        yield command, output


def shell(command: str, where: Path) -> str:
    tools = where.parent / "bin"
    tools.mkdir(exist_ok=True)
    script = tools / "lakebutler"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lakebutler "$@"\n')
    script.chmod(0o755)
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        ["bash", "-c", command], cwd=where, env=environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return result.stdout


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python", "console")], ids=lambda p: p.name)
def test_what_a_page_shows_is_what_happens(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "work"
    where.mkdir()
    monkeypatch.chdir(where)
    namespace: dict[str, object] = {"__name__": "__page__"}
    checker = doctest.OutputChecker()
    for language, text, line in blocks(page, "python", "console"):
        if language == "python":
            exec(compile("\n" * (line - 1) + text, str(page), "exec"), namespace)
            continue
        for command, expected in sessions(text):
            got = shell(command, where)
            example = doctest.Example(command, expected)
            difference = checker.output_difference(example, got, ALIKE)
            assert checker.check_output(expected, got, ALIKE), (
                f"{page.name}:{line}: $ {command}\n{difference}"
            )


def test_the_pages_have_blocks_that_are_run() -> None:
    assert sum(len(blocks(page, "python", "console")) for page in PAGES) >= 8


def test_the_reference_of_the_command_line_is_up_to_date() -> None:
    tool = ROOT / "tools" / "cli_reference.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tool), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr


def test_every_dependency_has_its_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (ROOT / "docs" / "design" / "dependencies.md").read_text()
    names = {re.split(r"[><=\[]", text)[0] for text in project["dependencies"]}
    missing = [n for n in names if not re.search(rf"^\|[^|]*\b{re.escape(n)}\b[^|]*\|", page, re.MULTILINE)]
    assert not missing
    assert all(">=" in text and "<" in text for text in project["dependencies"])
    assert not [extra for extra in project["optional-dependencies"] if f"| `{extra}` |" not in page]
