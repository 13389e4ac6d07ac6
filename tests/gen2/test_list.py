# SPDX-License-Identifier: BSD-3-Clause
"""The table of behaviours names tests that there are, and all of G1 to G30."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_the_table_names_tests_that_there_are() -> None:
    table = (HERE / "README.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", table))
    defined = {
        name
        for path in HERE.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert named - defined == set()
    for number in range(1, 31):
        assert any(name.startswith(f"test_g{number}_") for name in named), f"G{number}"
    assert {name for name in defined if re.match(r"test_g\d", name)} <= named
