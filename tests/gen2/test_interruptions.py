# SPDX-License-Identifier: BSD-3-Clause
"""A conversion that is killed, wherever it is, and repeated gives the same repository."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lakebutler import Butler
from lakebutler.config import has_repository
from lakebutler.gen2.convert import convert_gen2
from lakebutler.gen2.options import Options

KILLED = """
import os, signal, sys
source, dest, transfer, point = sys.argv[1:]
from lakebutler.gen2.convert import convert_gen2
from lakebutler.gen2.options import Options
left = int(point)
real = {}
def watch(name):
    real[name] = getattr(os, name)
    def act(*args, **kwargs):
        global left
        here = args and (isinstance(args[0], (str, bytes)) and str(args[0]).startswith(dest)
                         or isinstance(args[0], int) and name in ("fsync", "write"))
        if here:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return real[name](*args, **kwargs)
    setattr(os, name, act)
for name in ("open", "write", "fsync", "mkdir", "link", "rename", "replace"):
    watch(name)
convert_gen2(source, dest, Options(curated=True, transfer=transfer))
print("steps", int(point) - left)
"""


def content(dest: Path) -> dict[str, Any]:
    """All that a repository says of what was converted."""
    with Butler.from_config(dest) as butler:
        found: dict[str, Any] = {
            name: tuple(butler.collections.get_info(name).children)
            for name in butler.collections.query("*")
            if not name.startswith("gen2/reports")
        }
        for kind in ("raw", "defects"):
            refs = butler.query_datasets(kind, collections="*", find_first=False, limit=None)
            found[kind] = sorted((str(ref.id), str(ref.dataId), ref.run) for ref in refs)
            found[f"{kind} bytes"] = sorted(butler.get(ref, storageClass="Bytes") for ref in refs)
        found["exposures"] = [record.toDict() for record in butler.query_dimension_records("exposure")]
        found["valid"] = sorted(
            (str(a.ref.id), str(a.timespan))
            for a in butler.registry.queryDatasetAssociations("defects", collections="testCam/calib")
        )
        return found


def run(source: Path, dest: Path, transfer: str, point: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KILLED, str(source), str(dest), transfer, str(point)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})


def test_killed_at_ten_points_and_repeated(obs_test: Path, tmp_path: Path) -> None:
    transfer = "copy"
    whole = tmp_path / "whole"
    done = run(obs_test, whole, transfer, 10**9)
    steps = int(done.stdout.split()[1])
    assert steps > 10, done.stderr
    expected = content(whole)
    resumed = 0
    for i in range(10):
        dest = tmp_path / f"killed-{i}"
        killed = run(obs_test, dest, transfer, 1 + i * (steps - 1) // 9)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        if has_repository(dest):
            with Butler.from_config(dest) as butler:
                refs = list(butler.registry.queryDatasets("*", collections="*", findFirst=False))
                assert len(refs) in (0, 6), "all or nothing"
        again = convert_gen2(obs_test, dest, Options(curated=True, transfer=transfer))
        assert again.written is not None
        resumed += again.written.resumed
        assert content(dest) == expected, f"killed at {i}"
        once_more = convert_gen2(obs_test, dest, Options(curated=True, transfer=transfer))
        assert once_more.written is not None
        assert once_more.written.datasets == 0
    assert resumed > 0, "files that had been copied were found again"


def test_leftovers_that_are_not_whole_are_not_used(
    obs_test: Path, tmp_path: Path, hash_of: Callable[[Path], str]
) -> None:
    options = Options(curated=True, transfer="copy")
    convert_gen2(obs_test, tmp_path / "first", options)
    files = [p for p in (tmp_path / "first/datastore").rglob("*raw*") if p.is_file()]
    assert len(files) == 3
    dest = tmp_path / "second"
    Butler.makeRepo(dest)
    for i, path in enumerate(sorted(files)):
        copy = dest / path.relative_to(tmp_path / "first")
        copy.parent.mkdir(parents=True, exist_ok=True)
        data = bytearray(path.read_bytes())
        if i == 0:
            data = data[:1000]
        if i == 1:
            data[5000] ^= 1
        copy.write_bytes(data)
    done = convert_gen2(obs_test, dest, options)
    assert done.written is not None
    assert done.written.resumed == 1
    first, second = content(tmp_path / "first"), content(dest)
    assert first == second
