# SPDX-License-Identifier: BSD-3-Clause
"""The page of methods says what both packages have, and every gap has its reason."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "methods.md"
ROW = re.compile(r"^\| `(?P<theirs>[^`]+)` \| (?P<ours>[^|]+) \| (?P<why>[^|]*) \|$", re.MULTILINE)


def test_what_is_not_there_has_a_reason() -> None:
    rows = list(ROW.finditer(PAGE.read_text()))
    assert len(rows) > 300
    for row in rows:
        if row["ours"].startswith(("–", "without")):
            assert row["why"].strip(), row[0]


def test_the_page_is_that_of_the_packages() -> None:
    if not os.environ.get("PY_daf_butler"):  # noqa: SIM112 (the name that the benchmarks have)
        pytest.skip("PY_daf_butler does not name a Python with lsst-daf-butler")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "compare_api.py"), "--check"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
