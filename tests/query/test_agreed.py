# SPDX-License-Identifier: BSD-3-Clause
"""Answers that lsst.daf.butler gives, too: made by ``tests/bench/differential.py --write``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lakebutler import Butler
from tests.query.asking import answer

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("agreed.json").read_text())


def test_answers_are_those_that_the_field_knows(butler: Butler) -> None:
    assert len(CASES) >= 145
    differing = []
    for case in CASES:
        request = {key: value for key, value in case.items() if key != "answer"}
        if answer(butler, request) != case["answer"]:
            differing.append(request)
    assert not differing
