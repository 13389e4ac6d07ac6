# SPDX-License-Identifier: BSD-3-Clause
"""Queries here and in lsst-daf-butler, in turns: the workload ``queries`` of butlerbench as a table.

::

    PY_daf_butler=…/bin/python python tests/bench/query.py --work /fast/disk [--sizes 10000,100000]

Times are the least of all rounds; the machine may be shared, so that the ratio of
CPU times tells more than that of wall times.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lakebutler import Butler  # noqa: E402

BACKENDS = ("daf_butler", "lakebutler_adapter")
GOALS = {
    "datasets.all": ("all datasets, as references", 4.0),
    "datasets.all.arrow": ("the same as one Arrow table (of references there)", 50.0),
    "datasets.all.with_records": ("the same with dimension records", 15.0),
    "data_ids.spatial.50visits": ("visit-detector with patch, 50 visits", 15.0),
    "data_ids.spatial.1patch": ("what overlaps one patch", None),
    "data_ids.spatial.1tract": ("what overlaps one tract", None),
    "datasets.spatial.raws_in_1tract": ("raws in one tract", None),
    "data_ids.spatial.all": ("all overlaps", 20.0),
    "data_ids.temporal.bias_x_all": ("bias with exposures by validity, all", 3.0),
    "general.bias_id_for_all": ("the same with their IDs", 3.0),
    "datasets.where_exposure_detector": ("one dataset", 1.0),
    "datasets.where_exposure": ("datasets of one exposure", 1.0),
    "datasets.where_visit_range_band_detector": ("visits, band, detectors", 1.0),
    "datasets.where_band": ("datasets of one band", 1.0),
    "datasets.order_by_limit": ("the last 100", 1.0),
    "datasets.count": ("count of all", 1.0),
    "datasets.bias_where_1exposure": ("bias of one exposure", 1.0),
    "records.exposure.timespan_overlaps": ("exposures of an hour", 1.0),
    "records.visit.where_band": ("visits of one band", 1.0),
    "records.patch.1tract": ("patches of one tract", 1.0),
    "records.vdr.1visit": ("regions of one visit", 1.0),
}
SAME = {"datasets.all.arrow": "datasets.all"}
"""Steps that only lakebutler has, and what they are compared with."""


def arrow(root: Path, size: int, out: Path) -> None:
    """Ask for all datasets as one Arrow table, and note the least times."""
    with Butler.from_config(root, collections=["raw/all"]) as butler, butler.query() as query:
        raws = query.datasets("raw", collections="raw/all", find_first=True)
        seconds, cpu_s = [], []
        for _ in range(3):
            wall, cpu = time.perf_counter(), time.process_time()
            found = raws.to_arrow()
            seconds.append(time.perf_counter() - wall)
            cpu_s.append(time.process_time() - cpu)
    line = {"workload": "q.datasets.all.arrow", "backend": BACKENDS[1], "n": len(found), "size": size}
    with out.open("a") as stream:
        stream.write(json.dumps({**line, "seconds": min(seconds), "cpu_s": min(cpu_s)}) + "\n")


def run(backend: str, python: str, size: int, work: Path, out: Path, workload: str) -> None:
    """Run one workload in an interpreter of its own."""
    bench = Path(os.environ.get("LAKEBUTLER_SHARED", str(ROOT.parent / "shared"))) / "bench"
    path = os.pathsep.join(map(str, (bench, ROOT / "tests" / "bench", ROOT)))
    command = [python, "-m", "butlerbench", workload, "--backend", backend, "--n", str(size)]
    command += ["--out", str(out), "--work", str(work)]
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def least(out: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Least CPU time of each step."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for line in out.read_text().splitlines():
        one = json.loads(line)
        key = (one["backend"], one["workload"].removeprefix("q."), one["size"])
        if key not in found or one["cpu_s"] < found[key]["cpu_s"]:
            found[key] = one
    return found


def table(out: Path, size: int) -> list[str]:
    """The table of one size, as Markdown; milliseconds of CPU time."""
    found = least(out)
    lines = [
        f"| {size:,} datasets | rows | incumbent, ms | ours, ms | ratio (CPU) | ratio (wall) | goal |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for name, (what, goal) in GOALS.items():
        theirs = found.get((BACKENDS[0], SAME.get(name, name), size))
        ours = found.get((BACKENDS[1], name, size))
        if theirs is None or ours is None:
            continue
        if theirs["n"] != ours["n"]:
            what += f" (**{theirs['n']} and {ours['n']} rows**)"
        ratio = theirs["cpu_s"] / max(ours["cpu_s"], 1e-4)
        wall = theirs["seconds"] / ours["seconds"]
        wanted = "≤ 30 ms" if goal is None else f"≥ {goal:g}×"
        lines.append(
            f"| {what} | {ours['n']:,} | {1e3 * theirs['cpu_s']:.1f} | {1e3 * ours['cpu_s']:.1f} "
            f"| {ratio:.1f}× | {wall:.1f}× | {wanted} |"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="a directory on a local disk")
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    other = os.environ.get("PY_daf_butler")  # noqa: SIM112 (the name that the benchmark has)
    if not other:
        print("PY_daf_butler is not set: nothing to compare with")
        return 0
    pythons = (other, sys.executable)
    out = options.work / "queries.jsonl"
    options.work.mkdir(parents=True, exist_ok=True)
    out.unlink(missing_ok=True)
    for size in map(int, options.sizes.split(",")):
        for backend, python in zip(BACKENDS, pythons, strict=True):
            run(backend, python, size, options.work, options.work / "prepare.jsonl", "prepare")
        for _ in range(options.rounds):
            for backend, python in zip(BACKENDS, pythons, strict=True):
                run(backend, python, size, options.work, out, "queries")
            arrow(options.work / BACKENDS[1] / f"base-raws-{size}", size, out)
        print("\n".join(table(out, size)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
