# SPDX-License-Identifier: BSD-3-Clause
"""A script written for lsst.daf.butler says the same here, but for its import line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SCRIPT = HERE / "incumbent_script.py"
OUTPUT = HERE / "incumbent_script.txt"
THEIRS, OURS = "from lsst.daf.butler import", "from lakebutler import"


def run(python: str, script: Path, place: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "LAKEBUTLER_CONFIG_DIR": str(place)}
    done = subprocess.run(
        [python, str(script), str(place / "repo")],
        env=environment,
        check=False,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_differs_in_its_import_line_alone_and_says_the_same(tmp_path: Path) -> None:
    text = SCRIPT.read_text()
    assert text.count(THEIRS) == 1
    ours = tmp_path / "script.py"
    ours.write_text(text.replace(THEIRS, OURS))
    assert run(sys.executable, ours, tmp_path) == OUTPUT.read_text()


def test_the_incumbent_says_what_is_stored(tmp_path: Path) -> None:
    python = os.environ.get("PY_daf_butler")  # noqa: SIM112 (the name that the benchmarks have)
    if not python:
        pytest.skip("PY_daf_butler does not name a Python with lsst-daf-butler")
    assert run(python, SCRIPT, tmp_path) == OUTPUT.read_text()
