# SPDX-License-Identifier: BSD-3-Clause
"""``kill -9`` in the middle of committing: what was acknowledged is there, what is there is whole."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lake.helpers import NAME, commit, everything, fresh, reopened, row

ROOT = Path(__file__).parents[2]
GROUP = 5

CHILD = """
import sys, duckdb, pyarrow.parquet
from lakebutler.lake import compact, lake as lake_module, writer
from tests.lake.helpers import NAME, bulk, commit, reopened, row

root, mode, start = sys.argv[1], sys.argv[2], int(sys.argv[3])
if mode == "bulk":
    writer.INLINE_ROWS = 2
if mode == "upkeep":  # checkpoints and compactions all the time
    lake_module._LOCAL_TAIL, lake_module._TURN = 3, 2
    compact.MOST_ROWS = 10
lake = reopened(root)
print("ready", flush=True)
group = start
while True:
    rows = [row(group, d, run=f"g{group}") for d in range(5)]
    commit(lake, lambda change: change.append_rows(NAME, rows))
    print(f"put {group}", flush=True)
    if mode == "delete" and group % 2:
        commit(lake, lambda change: change.delete(NAME, ("collection",), [(f"g{group - 1}",)]))
        print(f"gone {group - 1}", flush=True)
    group += 1
"""


def one_life(root: Path, mode: str, start: int, seconds: float, first: bool) -> tuple[list[int], list[int]]:
    """Let a process commit for a while, then kill it; return what it acknowledged.

    With ``first`` the while begins with the first commit, however busy the machine is.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root), mode, str(start)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    lines = process.stdout.readline() if first else ""
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    lines += process.communicate()[0]
    words = [line.split() for line in lines.splitlines(keepends=True) if line.endswith("\n")]
    return [int(n) for verb, n in words if verb == "put"], [int(n) for verb, n in words if verb == "gone"]


def groups_there(root: Path) -> set[int]:
    """Return the groups that a reader sees, after making sure that each is whole."""
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    lake = reopened(root)
    there: dict[int, int] = {}
    for one in everything(lake.snapshot()):
        assert one == row(one[3], one[4], run=one[1])
        there[one[3]] = there.get(one[3], 0) + 1
    assert set(there.values()) <= {GROUP}, "a part of a commit is visible"
    assert len(list(lake.history())) == lake.snapshot().version + 1
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before, "reading wrote something"
    return set(there)


@pytest.mark.parametrize("mode", ["inline", "bulk", "delete", "upkeep"])
def test_killed_writers_lose_nothing(tmp_path: Path, mode: str, pytestconfig: pytest.Config) -> None:
    fresh(tmp_path)
    dice = random.Random(mode)
    sure: set[int] = set()
    start = total = 0
    lives = 60 if pytestconfig.getoption("--full") else 6
    for life in range(lives):
        put, gone = one_life(tmp_path, mode, start, dice.uniform(0.05, 0.5), first=life % 2 == 0)
        total += len(put)
        sure = (sure | set(put)) - set(gone)
        following = put[-1] + 1 if put else start
        there = groups_there(tmp_path)
        lost = sure - there
        # A delete may have been committed without being acknowledged.
        assert lost <= ({following - 2} if mode == "delete" else set()), f"acknowledged and lost: {lost}"
        assert there - sure <= {following}, "there is more than the commit under way"
        sure = there
        start = following + 2
    assert total >= lives / 2
    commit(reopened(tmp_path), lambda change: change.append_rows(NAME, [row(start)]))
