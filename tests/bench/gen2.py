# SPDX-License-Identifier: BSD-3-Clause
"""Conversion of Gen2 repositories: walk, translation, registry, against a bare walk of the same tree.

::

    python tests/bench/gen2.py --work /fast/disk --sizes 10000,100000,1000000

The tree is made of sparse files under the paths of an HSC output tree, the shape of the real
list ``jointcal_HEAD.tsv`` (raws, ``calexp``, ``src``, per visit 104 detectors), with a registry
of all its visits.  Times are CPU seconds of this process; each stage runs in a process of its
own, whose greatest memory is told.  ``can match`` is the number of directories that the
generator made for datasets; ``attic`` directories hold nothing that a template fits.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

CCDS = 104
KINDS = (
    "{pointing:05d}/{band}/corr/CORR-{visit:07d}-{ccd:03d}.fits",
    "{pointing:05d}/{band}/corr/BKGD-{visit:07d}-{ccd:03d}.fits",
    "{pointing:05d}/{band}/output/SRC-{visit:07d}-{ccd:03d}.fits.gz",
    "{pointing:05d}/{band}/output/SRCMATCH-{visit:07d}-{ccd:03d}.fits",
    "{field}/{date}/{pointing:05d}/{band}/HSC-{visit:07d}-{ccd:03d}.fits",
)
BANDS = ("HSC-G", "HSC-R", "HSC-I", "HSC-Z", "HSC-Y")
ATTIC = 200


def visits(count: int) -> Iterator[dict[str, Any]]:
    """Exposures, ten to a pointing and filter."""
    for i in range(count):
        pointing = 500 + i // 10
        yield {
            "visit": 10000 + 2 * i,
            "pointing": pointing,
            "band": BANDS[pointing % len(BANDS)],
            "field": "SSP_WIDE",
            "date": f"2015-{1 + pointing % 12:02d}-{1 + pointing % 28:02d}",
        }


def grow(root: Path, files: int) -> int:
    """Make a tree; gives the number of directories that can hold datasets."""
    directories: set[str] = set()
    rows, made = [], 0
    for visit in visits(files // (CCDS * len(KINDS)) + 1):
        for kind in KINDS:
            for ccd in range(CCDS):
                if made >= files:
                    break
                path = kind.format(ccd=ccd, **visit)
                directory = path.rpartition("/")[0]
                if directory not in directories:
                    os.makedirs(root / directory, exist_ok=True)
                    directories.add(directory)
                os.close(os.open(f"{root}/{path}", os.O_CREAT | os.O_WRONLY))
                made += 1
        for ccd in range(CCDS):
            rows.append(
                (visit["visit"], ccd, visit["band"], visit["date"], visit["date"], 200.0, visit["pointing"])
            )
    for i in range(ATTIC):
        (root / f"attic/{i}").mkdir(parents=True)
    (root / "_mapper").write_text("lsst.obs.hsc.HscMapper")
    with sqlite3.connect(root / "registry.sqlite3") as connection:
        columns = "visit INT, ccd INT, filter TEXT, dateObs TEXT, taiObs TEXT, expTime DOUBLE, pointing INT"
        connection.execute(f"CREATE TABLE raw (id INTEGER PRIMARY KEY, {columns})")
        names = "visit, ccd, filter, dateObs, taiObs, expTime, pointing"
        connection.executemany(f"INSERT INTO raw ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    every = {"/".join(d.split("/")[:n]) for d in directories for n in range(1, d.count("/") + 2)}
    return len(every) + 1


def bare(root: str) -> dict[str, float]:
    """Walk with nothing but `os.scandir`."""
    begin = time.process_time()
    files = directories = 0
    waiting = [root]
    while waiting:
        directories += 1
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    files += 1
    return {"bare": time.process_time() - begin, "files": files, "directories": directories}


def convert(root: str) -> dict[str, float]:
    """Convert into a new repository; gives CPU seconds by stage."""
    from lakebutler.gen2.convert import convert_gen2
    from lakebutler.gen2.options import Options

    done = convert_gen2(root, f"{root}-new", Options(headers=False))
    assert done.written is not None
    report = {**done.seconds, "datasets": done.written.datasets, "opened": done.report.opened}
    again = convert_gen2(root, f"{root}-new", Options(headers=False))
    assert again.written is not None
    assert again.written.datasets == 0
    return {**report, "again": sum(again.seconds.values())}


def plan(root: str) -> dict[str, float]:
    """Walk and translate only."""
    from lakebutler.gen2.convert import plan_gen2
    from lakebutler.gen2.options import Options

    seconds: dict[str, float] = {}
    plan_gen2(root, Options(headers=False), seconds=seconds)
    return seconds


STAGES = {"bare": bare, "plan": plan, "convert": convert}


def measured(stage: str, root: Path) -> dict[str, float]:
    """Run a stage in a process of its own."""
    command = [sys.executable, __file__, "--stage", stage, "--work", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", default=None, help="where trees are made")
    parser.add_argument("--sizes", default="10000,100000", help="numbers of files")
    parser.add_argument("--stage", choices=list(STAGES), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        result = STAGES[given.stage](given.work)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**result, "MiB": peak}))
        return
    head = (
        "files",
        "bare s",
        "find s",
        "walk s",
        "walk/bare",
        "translate s",
        "plan MiB",
        "write s",
        "again s",
    )
    print("\t".join((*head, "MiB", "opened", "can match", "all directories")), flush=True)
    for size in map(int, given.sizes.split(",")):
        root = Path(tempfile.mkdtemp(prefix="gen2-", dir=given.work)) / "tree"
        root.mkdir()
        can_match = grow(root, size)
        measured("bare", root)
        least, planned, done = measured("bare", root), measured("plan", root), measured("convert", root)
        row = (
            size,
            *(f"{value:.2f}" for value in (least["bare"], planned["find"], planned["walk"])),
            f"{planned['walk'] / least['bare']:.1f}",
            f"{planned['translate']:.2f}",
            f"{planned['MiB']:.0f}",
            *(f"{value:.2f}" for value in (done["write"], done["again"])),
            *(f"{value:.0f}" for value in (done["MiB"], done["opened"], can_match, least["directories"])),
        )
        print("\t".join(map(str, row)), flush=True)
        shutil.rmtree(root.parent)


if __name__ == "__main__":
    main()
