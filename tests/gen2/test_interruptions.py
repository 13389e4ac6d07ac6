# SPDX-License-Identifier: BSD-3-Clause
"""A conversion that is killed, wherever it is, and repeated gives the same repository."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler
from lakebutler.config import has_repository
from lakebutler.gen2.convert import convert_gen2
from lakebutler.gen2.options import Options

KILLED = """
import importlib, os, signal, sys, traceback
from lakebutler.gen2.convert import convert_gen2
from lakebutler.gen2.options import Options
def convert(source, dest, transfer, point):
    left = point
    real = {}
    def watch(name):
        real[name] = getattr(os, name)
        def act(*args, **kwargs):
            nonlocal left
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
    print("steps", point - left, flush=True)
    with open(dest + ".modules", "w") as file:
        file.write(" ".join(sys.modules))
for line in sys.stdin:
    source, dest, transfer, point = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if not child:
        code = 1
        try:
            convert(source, dest, transfer, int(point))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if os.path.exists(dest + ".modules"):  # loaded once, for all of the children that follow
        for name in open(dest + ".modules").read().split():
            importlib.import_module(name) if name != "__main__" else None
    print("ended", status, flush=True)
"""
"""Converts in a child for each line that it is given; the child is killed at a step."""


DATASETS = 10
"""Three raws, defects, a coadd, its skymap as it was and as it is, configuration, two parts of the report."""


def content(dest: Path) -> dict[str, Any]:
    """All that a repository says of what was converted."""
    with Butler.from_config(dest) as butler:
        found: dict[str, Any] = {
            name: tuple(butler.collections.get_info(name).children)
            for name in butler.collections.query("*")
            if not name.startswith("gen2/reports")
        }
        for kind in ("raw", "defects", "deepCoadd"):
            refs = butler.query_datasets(kind, collections="*", find_first=False, limit=None)
            found[kind] = sorted((str(ref.id), str(ref.dataId), ref.run) for ref in refs)
            found[f"{kind} bytes"] = sorted(butler.get(ref, storageClass="Bytes") for ref in refs)
        for element in ("exposure", "visit", "skymap", "patch"):
            records = butler.query_dimension_records(element, limit=None)
            found[element] = sorted((record.toDict() for record in records), key=str)
        found["valid"] = sorted(
            (str(a.ref.id), str(a.timespan))
            for a in butler.registry.queryDatasetAssociations("defects", collections="testCam/calib")
        )
        return found


@pytest.fixture
def killer() -> Iterator[Callable[..., tuple[int, int]]]:
    """Convert in another process that is killed at a step; gives how it ended, and the steps that it made."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def run(source: Path, dest: Path, transfer: str, point: int) -> tuple[int, int]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{source}\t{dest}\t{transfer}\t{point}\n")
            process.stdin.flush()
            steps = 0
            for line in process.stdout:
                word, number = line.split()
                if word == "ended":
                    return int(number), steps
                steps = int(number)
            raise AssertionError("the process is gone")

        yield run
        process.stdin.close()


def kill_and_repeat(
    killer: Callable[..., tuple[int, int]], source: Path, place: Path, transfer: str, points: Sequence[float]
) -> None:
    """Kill conversions at parts of their steps, and repeat them."""
    whole = place / "whole"
    status, steps = killer(source, whole, transfer, 10**9)
    assert status == 0
    assert steps > 10
    expected = content(whole)
    options = Options(curated=True, transfer=transfer)
    resumed = 0
    for i, part in enumerate(points):
        dest = place / f"killed-{i}"
        point = 1 + int(part * (steps - 1))
        status, _ = killer(source, dest, transfer, point)
        while status == 0:  # threads copy: now and then there is a step less
            shutil.rmtree(dest)
            point -= 1
            status, _ = killer(source, dest, transfer, point)
        assert status == -signal.SIGKILL
        if has_repository(dest):
            with Butler.from_config(dest) as butler:
                refs = list(butler.registry.queryDatasets("*", collections="*", findFirst=False))
                assert len(refs) in (0, DATASETS), "all or nothing"
        again = convert_gen2(source, dest, options)
        assert again.written is not None
        resumed += again.written.resumed
        assert content(dest) == expected, f"killed at {i}"
        once_more = convert_gen2(source, dest, options)
        assert once_more.written is not None
        assert once_more.written.datasets == 0
    assert resumed > 0 or transfer != "copy", "files that had been copied were found again"


def test_killed_at_ten_points_and_repeated(
    killer: Callable[..., tuple[int, int]], with_coadd: Path, tmp_path: Path
) -> None:
    kill_and_repeat(killer, with_coadd, tmp_path, "copy", [i / 9 for i in range(10)])


@pytest.mark.full
@pytest.mark.parametrize("transfer", ["copy", "direct", "hardlink", "symlink"])
def test_killed_at_every_step_and_repeated(
    killer: Callable[..., tuple[int, int]], with_coadd: Path, tmp_path: Path, transfer: str
) -> None:
    kill_and_repeat(killer, with_coadd, tmp_path, transfer, [i / 99 for i in range(100)])


def test_leftovers_that_are_not_whole_are_not_used(
    with_coadd: Path, tmp_path: Path, hash_of: Callable[[Path], str]
) -> None:
    options = Options(curated=True, transfer="copy")
    convert_gen2(with_coadd, tmp_path / "first", options)
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
    done = convert_gen2(with_coadd, dest, options)
    assert done.written is not None
    assert done.written.resumed == 1
    first, second = content(tmp_path / "first"), content(dest)
    assert first == second
