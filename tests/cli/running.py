# SPDX-License-Identifier: BSD-3-Clause
"""Calls of the command line inside the test's process."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from dataclasses import dataclass
from typing import Any

from lakebutler.cli.main import main


@dataclass(frozen=True)
class Result:
    """What a call left behind."""

    code: int
    out: str
    err: str

    def json(self) -> list[dict[str, Any]]:
        return json.loads(self.out)

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.out), delimiter="\t"))


def call(*arguments: object) -> Result:
    """Run ``lakebutler`` with some arguments."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    return Result(code if isinstance(code, int) else 1, out.getvalue(), err.getvalue())


def succeed(*arguments: object) -> Result:
    """Run ``lakebutler``; it must succeed."""
    result = call(*arguments)
    assert result.code == 0, result.err
    return result
