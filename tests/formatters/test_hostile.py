# SPDX-License-Identifier: BSD-3-Clause
"""Content that an attacker chose runs nothing, opens nothing, connects to nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_hostile_content_touches_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"secret": 1}')
    program = Path(__file__).parent / "hostile.py"
    done = subprocess.run(
        [sys.executable, "-B", str(program), str(secret)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=Path(__file__).resolve().parents[2],
        env={
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            "HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *touched, count = done.stdout.splitlines()
    assert touched == []
    assert int(count) > 200
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["secret.json"]
