# SPDX-License-Identifier: BSD-3-Clause
"""``make bench``: the speed table, paired with lsst-daf-butler, and our own figures as a repository grows.

::

    PY_daf_butler=/path/to/incumbent/bin/python python tests/bench/run.py --work /fast/disk

docs/benchmarks.md says how to set up the incumbent and how to read the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import growth
import paired
from lakebutler_adapter import versions

_VERSION = "import importlib.metadata as m; print(m.version('lsst-daf-butler'))"


def main() -> None:
    """Run the benchmarks and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "lakebutler-bench")
    parser.add_argument("--n", type=int, default=100_000, help="datasets of the paired benchmark")
    parser.add_argument("--k", type=int, default=1000, help="single operations of a kind, paired")
    parser.add_argument("--growth", default="10000,1000000", help="sizes for our own figures; empty for none")
    parser.add_argument("--count", type=int, default=500, help="single operations of a kind, growth")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--json", type=Path, help="where to write all figures; in the work directory by default"
    )
    parser.add_argument("--no-pair", action="store_true", help="only our own figures")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: does it run?")
    parser.add_argument("--profile", metavar="STEP", help="only profile one step of ours, e.g. ingest.direct")
    args = parser.parse_args()
    if args.quick:
        args.n, args.k, args.growth, args.rounds, args.count = 2000, 100, "2000,10000", 1, 20
    args.work.mkdir(parents=True, exist_ok=True)
    if args.profile:
        profile(args)
        return
    figures: dict[str, Any] = {"machine": machine(), "versions": versions()}
    sizes = [int(size) for size in args.growth.split(",") if size]
    grown = growth.measure(args.work, sizes, args.count, args.rounds) if sizes else {}
    figures["growth"] = grown
    print(heading(figures))
    if not args.no_pair:
        figures["paired"] = pair(args, grown)
    if grown:
        print("\n## As the repository grows (ours)\n\n" + growth.table(grown))
    target = args.json or args.work / "bench.json"
    target.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"\nall figures: {target}", file=sys.stderr)


def pair(args: argparse.Namespace, grown: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Run the paired half and print its table."""
    bench = paired.find_bench(args.work)
    if isinstance(bench, str):
        print(f"\n{bench}")
        return {}
    theirs = incumbent_version(bench.theirs)
    if theirs is None:
        bench = paired.Bench(bench.folder, None, bench.work)
        print("\nno incumbent: PY_daf_butler does not name a Python with lsst-daf-butler; ours only")
    size = max(map(int, grown), default=0)
    large = (lambda: large_steps(args.work, size)) if size > args.n else None
    best = paired.measure(bench, args.n, args.k, args.rounds, large)
    title = f"lsst-daf-butler {theirs}" if theirs else "no incumbent"
    print(f"\n## Speed, paired ({title}; {args.n:,} datasets, best of {args.rounds})\n")
    print(paired.table(args.n, best))
    return {"n": args.n, "rounds": args.rounds, "incumbent": theirs, "best": best}


def large_steps(work: Path, size: int) -> Iterator[dict[str, Any]]:
    """Measure how our largest repository is opened, as steps of the paired table."""
    found = growth.child(["opening", "--size", str(size), "--work", str(work)])
    steps = {
        "open_in_process[raws]": ("open in process, ms", 1e-3),
        "open_cold_process[raws]": ("cold process to first query of collections, s", 1.0),
    }
    for step, (name, unit) in steps.items():
        if name in found:
            yield {"workload": step, "seconds": found[name] * unit, "n": 1, "size": size}


def profile(args: argparse.Namespace) -> None:
    """Print where the time of one step goes."""
    bench = paired.find_bench(args.work)
    if isinstance(bench, str):
        sys.exit(bench)
    workload = {"open_in_process": "create_open", "find_dataset": "get", "create": "create_open"}
    name = workload.get(args.profile) or args.profile.partition(".")[0].removesuffix("Deferred")
    bench.run("prepare", paired.OURS, args.n, args.k)
    bench.run(name, paired.OURS, args.n, args.k, args.profile)


def incumbent_version(python: str | None) -> str | None:
    """Version of the incumbent that an interpreter has."""
    if python is None:
        return None
    done = subprocess.run([python, "-c", _VERSION], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="minutes"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def heading(figures: dict[str, Any]) -> str:
    """Say what was measured, in one line."""
    computer = figures["machine"]
    software = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    return (
        f"{computer['time']}, {computer['cpus']} CPUs ({computer['system']}), load {computer['load']:.1f}, "
        f"Python {computer['python']}; {software}"
    )


if __name__ == "__main__":
    main()
