# SPDX-License-Identifier: BSD-3-Clause
"""The operations on registered datasets, paired: the same calls on lsst-daf-butler and on lakebutler.

::

    PY_daf_butler=/path/to/incumbent/bin/python python tests/bench/operations.py --n 100000

Each round of each package is a process of its own, they take turns, and the best round counts.
Datasets have no files (those are the business of `paired`), and their dimension is ``htm7``, so
that no records have to be made first.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
THEIRS, OURS = "lsst.daf.butler", "lakebutler"
FIRST = 8 * 4**7
CLOCK = "LAKEBUTLER_BENCH_CPU"
"""Environment variable by which a round knows that processor time is measured."""
NEEDED = {
    "associate": 10,
    "disassociate": 10,
    "certify": 10,
    "decertify": 10,
    "calibration look-up": 5,
    "removeRuns": 5,
    "prune (purge)": 5,
}


def timed(act: Callable[[], Any]) -> float:
    """Seconds that something takes."""
    clock = time.process_time if os.environ.get(CLOCK) else time.perf_counter
    start = clock()
    act()
    return clock() - start


def best(act: Callable[[], Any], count: int) -> float:
    """Seconds of one of many calls, without the first ones."""
    for _ in range(10):
        act()
    return timed(lambda: [act() for _ in range(count)]) / count


def operations(package: str, root: str, n: int) -> Iterator[tuple[str, int, float]]:
    """Name, number of datasets and seconds of each operation."""
    api = importlib.import_module(package)
    api.Butler.makeRepo(root)
    butler = api.Butler.from_config(root, run="run/a", writeable=True)
    registry = butler.registry
    universe = butler.dimensions
    kind = api.DatasetType("cal", ["htm7"], "StructuredDataDict", universe=universe, isCalibration=True)
    registry.registerDatasetType(kind)
    group = kind.dimensions

    def data_ids(count: int) -> list[Any]:
        return [api.DataCoordinate.standardize(htm7=FIRST + i, dimensions=group) for i in range(count)]

    ids = data_ids(n)
    refs = registry.insertDatasets("cal", ids, run="run/a", expand=False)
    registry.registerCollection("tag", api.CollectionType.TAGGED)
    registry.registerCollection("calib", api.CollectionType.CALIBRATION)
    registry.associate("tag", refs[-300:])  # whatever is done once in a process is done
    registry.disassociate("tag", refs[-300:])
    yield "associate", n, timed(lambda: registry.associate("tag", refs))
    yield "disassociate", n, timed(lambda: registry.disassociate("tag", refs))
    day = 86_400_000_000_000
    few = refs[: n // 10]

    def span(number: int) -> Any:
        return api.Timespan(None, None, _nsec=(number * 100 * day, (number + 1) * 100 * day))

    for number in range(3):
        registry.certify("calib", few, span(number))
    yield "certify", len(few), timed(lambda: registry.certify("calib", few, span(3)))
    wanted = span(2)
    found = butler.find_dataset("cal", ids[7], collections="calib", timespan=wanted)
    assert found is not None
    look_up = best(lambda: butler.find_dataset("cal", ids[7], collections="calib", timespan=wanted), 200)
    yield "calibration look-up", 1, look_up
    yield "decertify", len(few), timed(lambda: registry.decertify("calib", "cal", span(1)))
    some = n // 2
    registry.registerRun("run/b")
    registry.insertDatasets("cal", ids[:some], run="run/b", expand=False)
    yield "removeRuns", some, timed(lambda: butler.removeRuns(["run/b"]))
    gone = refs[-(n // 10) :]
    yield "prune (purge)", len(gone), timed(lambda: butler.pruneDatasets(gone, unstore=True, purge=True))
    yield from chains(api, butler, ids)


def chains(api: Any, butler: Any, ids: list[Any]) -> Iterator[tuple[str, int, float]]:
    """How long a dataset is looked for in the last run of a long chain, and in a single run."""
    names = [f"chain/{i:03}" for i in range(100)]
    for i, name in enumerate(names):
        butler.registry.registerRun(name)
        butler.registry.insertDatasets("cal", ids[i * 5 : i * 5 + 5], run=name, expand=False)
    butler.collections.register("long", api.CollectionType.CHAINED)
    butler.collections.redefine_chain("long", names)
    last = ids[99 * 5 + 2]
    assert butler.find_dataset("cal", last, collections="long").run == names[-1]
    yield "find in 1 run", 1, best(lambda: butler.find_dataset("cal", last, collections=names[-1]), 300)
    yield "find in a chain of 100", 1, best(lambda: butler.find_dataset("cal", last, collections="long"), 300)


def run(python: str, package: str, n: int, work: Path) -> dict[str, Any]:
    """One round in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT) if package == OURS else ""}
    with tempfile.TemporaryDirectory(dir=work) as root:
        command = [python, __file__, "--child", package, "--n", str(n), "--root", f"{root}/repo"]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment, text=True).stdout
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--cpu", action="store_true", help="processor time, where the machine is not quiet")
    parser.add_argument("--child")
    parser.add_argument("--root")
    args = parser.parse_args()
    if args.child:
        print(json.dumps({name: (count, s) for name, count, s in operations(args.child, args.root, args.n)}))
        return
    args.work.mkdir(parents=True, exist_ok=True)
    if args.cpu:
        os.environ[CLOCK] = "1"
    theirs = os.environ.get("PY_daf_butler")  # noqa: SIM112 (the name that the other benchmarks have)
    pythons = {**({THEIRS: theirs} if theirs else {}), OURS: sys.executable}
    least: dict[str, dict[str, tuple[int, float]]] = {package: {} for package in pythons}
    for _ in range(args.rounds):
        for package, python in pythons.items():
            for name, (count, seconds) in run(python, package, args.n, args.work).items():
                known = least[package].get(name)
                if known is None or seconds < known[1]:
                    least[package][name] = (count, seconds)
    print_table(least)


def print_table(least: dict[str, dict[str, tuple[int, float]]]) -> None:
    """Print what was measured as Markdown."""
    print("| operation | datasets | lsst-daf-butler, ms | lakebutler, ms | faster | wanted |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, (count, ours) in least[OURS].items():
        theirs = least.get(THEIRS, {}).get(name)
        shown = f"– | {ours * 1e3:.3g} | –"
        if theirs:
            shown = f"{theirs[1] * 1e3:.3g} | {ours * 1e3:.3g} | {theirs[1] / ours:.1f}"
        wanted = f"{NEEDED[name]}" if name in NEEDED else ""
        print(f"| {name} | {count:,} | {shown} | {wanted} |")


if __name__ == "__main__":
    main()
