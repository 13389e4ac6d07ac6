# SPDX-License-Identifier: BSD-3-Clause
"""Export, import and transfer, paired: the same calls on lsst-daf-butler and on lakebutler.

::

    PY_daf_butler=/path/to/incumbent/bin/python python tests/bench/exchange.py --n 10000

Each step of each package is a process of its own, so that its memory is its own; the packages take
turns, and the best round counts; ``--steps export import`` measures these only.  Datasets have one
small file each, outside of the repositories; their dimension is ``htm9``, so that no records have to
be made first.  ``--parquet 1000000`` measures our own format at another size, where the files are
never looked at (``without_datastore``).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
THEIRS, OURS = "lsst.daf.butler", "lakebutler"
FIRST = 8 * 4**9
STEPS = ("export", "import", "transfer", "transfer again")
NEEDED = {"import": 4, "transfer": 10}
ASIDE = ".aside."


def timed(act: Callable[[], Any]) -> dict[str, float]:
    """Seconds that something takes, by the clock and of the processor."""
    start, used = time.perf_counter(), time.process_time()
    act()
    return {"seconds": time.perf_counter() - start, "cpu": time.process_time() - used}


def peak_mb() -> float:
    """Most memory this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def opened(api: Any, root: Path, files: Path, *, make: bool = False) -> Any:
    """Open a repository; ours is told that files may lie outside.

    An old one is set aside, not removed: for a minute or more after many files were removed, ext4
    makes each new one ten times slower, since it passes over the inodes that were freed last.
    """
    if make:
        if root.exists():
            root.rename(root.with_name(f"{root.name}{ASIDE}{time.time_ns()}"))
        api.Butler.makeRepo(str(root))
    more = {"allow_external": [str(files)]} if api.__name__ == OURS else {}
    return api.Butler.from_config(str(root), writeable=True, **more)


def dataset_type(api: Any, butler: Any) -> Any:
    """The type of all datasets."""
    return api.DatasetType("d", ["htm9"], "StructuredDataDict", universe=butler.dimensions)


def write_files(files: Path, n: int) -> None:
    """Write the files, once."""
    if (files / str(n)).exists():
        return
    shutil.rmtree(files, ignore_errors=True)
    for i in range(n):
        if i % 1000 == 0:
            (files / f"{i // 1000:04d}").mkdir(parents=True)
        (files / f"{i // 1000:04d}" / f"{i:07d}.json").write_text(f'{{"number": {i}, "text": "{"x" * 400}"}}')
    (files / str(n)).touch()


def fill(api: Any, work: Path, files: Path, n: int) -> None:
    """Make the source repository."""
    butler = opened(api, work / "source", files, make=True)
    kind = dataset_type(api, butler)
    butler.registry.registerDatasetType(kind)
    butler.collections.register("run/a")
    formatter = "json" if api.__name__ == OURS else "lsst.daf.butler.formatters.json.JsonFormatter"
    datasets = []
    for i in range(n):
        data_id = api.DataCoordinate.standardize(htm9=FIRST + i, universe=butler.dimensions)
        path = str(files / f"{i // 1000:04d}" / f"{i:07d}.json")
        datasets.append(
            api.FileDataset(path, api.DatasetRef(kind, data_id, run="run/a"), formatter=formatter)
        )
    butler.ingest(*datasets, transfer="direct")


def step(api: Any, name: str, work: Path, files: Path, n: int) -> dict[str, float]:
    """Measure one step."""
    if name == "fill":
        return timed(lambda: fill(api, work, files, n)) | {"memory": peak_mb()}
    source = opened(api, work / "source", files)
    if name == "export":
        refs = source.query_datasets("d", "run/a", limit=None)

        def export() -> None:
            with source.export(filename=str(work / "export.yaml")) as context:
                context.saveDatasets(refs)

        return timed(export) | {"memory": peak_mb()}
    if name == "import":
        target = opened(api, work / "target", files, make=True)
        export_file = str(work / "export.yaml")
        spent = timed(lambda: target.import_(filename=export_file, transfer="direct"))
        return spent | {"memory": peak_mb()}
    target = opened(api, work / "second", files, make=name == "transfer")
    if name == "transfer":
        target.registry.registerDatasetType(dataset_type(api, target))
    refs = source.query_datasets("d", "run/a", limit=None, with_dimension_records=True)
    return timed(lambda: target.transfer_from(source, refs, transfer="copy")) | {"memory": peak_mb()}


def parquet(work: Path, n: int) -> dict[str, float]:
    """Measure our own format: export, and import into an empty repository."""
    from lakebutler import Butler, DataCoordinate, DatasetType
    from lakebutler.registry.registry import Registry

    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    Butler.makeRepo(work / "source")
    found = {}
    with Butler.from_config(work / "source", run="run/a") as butler:
        kind = DatasetType("d", ["htm9"], "StructuredDataDict", universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        group = kind.dimensions
        for start in range(0, n, 200_000):
            ids = [
                DataCoordinate.from_required_values(group, (FIRST + i,))
                for i in range(start, min(n, start + 200_000))
            ]
            _register(Registry(butler.repository.session, butler.dimensions), kind, ids)
        refs = butler.query_datasets("d", "run/a", limit=None)

        def export() -> None:
            with butler.export(directory=work, format="parquet") as context:
                context.saveDatasets(refs)

        found |= {f"export {key}": value for key, value in timed(export).items()}
    Butler.makeRepo(work / "target")
    with Butler.from_config(work / "target", writeable=True) as target:
        spent = timed(lambda: target.import_(directory=work, format="parquet", without_datastore=True))
    found |= {f"import {key}": value for key, value in spent.items()}
    return found | {"memory": peak_mb()}


def _register(registry: Any, kind: Any, ids: list[Any]) -> None:
    """Register datasets with the record of a file that is nowhere."""
    from lakebutler import DatasetRef
    from lakebutler.registry.dataset_rows import FileRow

    refs = [DatasetRef(kind, one, run="run/a") for one in ids]
    files = [
        FileRow(
            f"datastore/run/a/d/{r.id}.json",
            None,
            "json",
            "StructuredDataDict",
            430,
            "sha256:" + r.id.hex * 2,
        )
        for r in refs
    ]
    registry.add(refs, files, op="ingest", create_runs=True)


def run(python: str, package: str, name: str, work: Path, files: Path, n: int) -> dict[str, float]:
    """Measure one step in a process of its own."""
    command = [python, __file__, "--one", package, "--step", name, "--n", str(n)]
    command += ["--work", str(work), "--files", str(files)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{package} {name}: {done.stderr.strip()[-600:]}")
    measured: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--parquet", type=int, default=0, metavar="N", help="measure our own format instead")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "lakebutler-exchange")
    parser.add_argument("--files", type=Path)
    parser.add_argument("--one", choices=[THEIRS, OURS], help=argparse.SUPPRESS)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    args = parser.parse_args()
    files = args.files or args.work / "files"
    if args.one:
        print(json.dumps(step(importlib.import_module(args.one), args.step, args.work, files, args.n)))
        return
    sys.path.insert(0, str(ROOT))
    if args.parquet:
        print({name: round(value, 2) for name, value in parquet(args.work / "parquet", args.parquet).items()})
        return
    write_files(files, args.n)
    theirs = os.environ.get("PY_daf_butler")  # noqa: SIM112 - the name in docs/benchmarks.md
    packages = {OURS: sys.executable} | ({THEIRS: theirs} if theirs else {})
    best: dict[tuple[str, str], dict[str, float]] = {}
    for _ in range(args.rounds):
        for name in ("fill", *args.steps):
            for package, python in packages.items():
                measured = run(python, package, name, args.work / package, files, args.n)
                kept = best.setdefault((name, package), measured)
                best[name, package] = {key: min(kept[key], measured[key]) for key in kept}
    _print(best, args.n, sorted(packages))
    for place in args.work.glob(f"*/*{ASIDE}*"):
        shutil.rmtree(place, ignore_errors=True)


def _print(best: dict[tuple[str, str], dict[str, float]], n: int, packages: list[str]) -> None:
    print(f"| {n:,} datasets | lakebutler, s | daf_butler, s | times | in CPU time | needed | MB | MB |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name in ("fill", *(step for step in STEPS if (step, OURS) in best)):
        ours = best[name, OURS]
        theirs = best.get((name, THEIRS))
        row = [
            name,
            f"{ours['seconds']:.2f}",
            "",
            "",
            "",
            str(NEEDED.get(name, "")),
            f"{ours['memory']:.0f}",
            "",
        ]
        if THEIRS in packages and theirs is not None:
            row[2] = f"{theirs['seconds']:.2f}"
            row[3] = f"{theirs['seconds'] / ours['seconds']:.1f}"
            row[4] = f"{theirs['cpu'] / ours['cpu']:.1f}"
            row[7] = f"{theirs['memory']:.0f}"
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
