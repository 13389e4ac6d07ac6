# SPDX-License-Identifier: BSD-3-Clause
"""The paired benchmark: the same workloads on lsst-daf-butler and on lakebutler, in turns.

The workloads are those of ``butlerbench``, which stands outside this repository;
`lakebutler_adapter` is our half.  Each workload is a process of its own, the two
backends take turns, and the least of all rounds counts, so that a ratio holds even
where the machine's speed drifts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OURS, THEIRS, LARGE = "lakebutler_adapter", "daf_butler", "large"
WORKLOADS = ("ingest", "put", "get", "create_open", "concurrency")
WRITERS, PUTS_EACH = 8, 100


@dataclass(frozen=True)
class Bench:
    """Where the workloads are and who runs them.

    Parameters
    ----------
    folder : `pathlib.Path`
        The folder that has the package ``butlerbench``.
    theirs : `str` or `None`
        Python of an environment with lsst-daf-butler; `None` if there is none.
    work : `pathlib.Path`
        Where to write repositories; a fast local disk.
    """

    folder: Path
    theirs: str | None
    work: Path

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends that can run."""
        return (THEIRS, OURS) if self.theirs else (OURS,)

    def run(
        self, workload: str, backend: str, n: int, k: int, profile: str | None = None
    ) -> list[dict[str, Any]]:
        """Run one workload in a process of its own; return what it measured."""
        python = self.theirs if backend == THEIRS else sys.executable
        assert python is not None
        options = ["--transfer", "direct", "--procs", str(WRITERS), "--repeat", "5", "--work", str(self.work)]
        options += ["--profile", profile] if profile else []
        k = PUTS_EACH if workload == "concurrency" else k
        command = [python, "-m", "butlerbench", workload, "--backend", backend, "--n", str(n), "--k", str(k)]
        places = [str(self.folder), str(HERE), str(ROOT)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, env=environment, check=False
        )
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if profile:
            print(done.stderr, file=sys.stderr)
        elif done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            print(f"{workload} of {backend} broke off after {len(found)} steps: {last}", file=sys.stderr)
        return found

    def fresh(self) -> None:
        """Forget our repositories of earlier runs: the format may have changed; files to ingest stay."""
        for path in (self.work / OURS).glob("base-*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def find_bench(work: Path) -> Bench | str:
    """Find the workloads and the incumbent; return why not if the workloads are not there."""
    given = os.environ.get("LAKEBUTLER_SHARED")
    folder = (Path(given) if given else ROOT.parent / "shared") / "bench"
    if not (folder / "butlerbench").is_dir():
        return f"no paired workloads at {folder} (LAKEBUTLER_SHARED says where): only our own figures"
    theirs = os.environ.get("PY_daf_butler")  # noqa: SIM112 (the name that butlerbench has)
    return Bench(folder, theirs if theirs and shutil.which(theirs) else None, work)


def measure(
    bench: Bench, n: int, k: int, rounds: int, large: Callable[[], Iterable[Mapping[str, Any]]] | None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Run everything; return the best of each step by backend and step.

    Parameters
    ----------
    bench : `Bench`
        What to run.
    n, k : `int`
        Datasets in the repositories, and single operations of a kind.
    rounds : `int`
        How often.
    large : callable, optional
        Measures how our largest repository is opened, right after the incumbent's
        is; the steps it returns stand under the backend `LARGE`.
    """
    best: dict[str, dict[str, dict[str, Any]]] = {backend: {} for backend in (*bench.backends, LARGE)}
    bench.fresh()
    for backend in bench.backends:
        _note(f"preparing {n:,} datasets for {backend}")
        bench.run("prepare", backend, n, k)
    for number in range(rounds):
        for workload in WORKLOADS:
            for backend in bench.backends:
                found = bench.run(workload, backend, n, k)
                _take_best(best[backend], found)
                _note(f"round {number + 1} of {rounds}: {workload} of {backend}")
            if workload == "create_open" and large is not None:
                _take_best(best[LARGE], large())
    return best


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _take_best(best: dict[str, dict[str, Any]], found: Iterable[Mapping[str, Any]]) -> None:
    for step in found:
        name = step["workload"]
        if "repo" in step:
            name += f"[{str(step['repo']).partition('-')[0]}{',rw' if step.get('writeable') else ''}]"
        known = best.get(name)
        lost = step.get("stored", step["n"]) - step["n"] if "stored" in step else 0
        bad = [*(known or {}).get("bad", ()), *([step] if step.get("errors") or lost else [])]
        cpu = min(s["cpu_s"] for s in (step, known or step) if "cpu_s" in s) if "cpu_s" in step else None
        if known is None or step["seconds"] < known["seconds"]:
            best[name] = dict(step)
        best[name] |= {"bad": bad, "cpu_s": cpu}


# ------------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Line:
    """One line of the table: a step, how to say it, and what is wanted."""

    text: str
    step: str
    unit: str
    goal: float

    def value(self, found: Mapping[str, Any] | None) -> float | None:
        """The figure of this line, in its unit."""
        if found is None:
            return None
        each = found["seconds"] / found["n"] if found["n"] else float("nan")
        return {"k/s": 1e-3 / each, "/s": 1 / each, "ms": 1e3 * each, "s": each}[self.unit]

    def ratio(self, theirs: float | None, ours: float | None) -> float | None:
        """How many times better ours is."""
        if theirs is None or ours is None:
            return None
        return ours / theirs if self.unit.endswith("/s") else theirs / ours


LINES = (
    Line("ingest existing files, direct", "ingest.direct", "k/s", 15),
    Line("ingest the same again, skipping", "ingest.direct.again_skip_existing", "k/s", 15),
    Line("put one small JSON, durable (ours with fsync)", "put.bench_json", "ms", 2),
    Line("the same inside one transaction", "put.bench_json.one_transaction", "ms", 5),
    Line("get by data ID", "get", "ms", 5),
    Line("find_dataset", "find_dataset", "ms", 10),
    Line("open in process", "open_in_process[raws]", "ms", 3),
    Line("cold process to first query", "open_cold_process[raws]", "s", 5),
    Line(f"{WRITERS} processes putting at once", f"concurrency.put.P={WRITERS}", "/s", 2),
)


def table(n: int, best: Mapping[str, Mapping[str, Any]]) -> str:
    """Format the speed table as Markdown.

    Parameters
    ----------
    n : `int`
        Datasets in the repositories.
    best : mapping
        What `measure` returned; what was measured on our largest repository stands
        in for the same step at ``n``.
    """
    large = best.get(LARGE, {})
    out = [
        "| work | incumbent | ours | ratio | ratio in CPU time | goal | met |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for line in LINES:
        theirs = line.value(best.get(THEIRS, {}).get(line.step))
        ours = line.value(large.get(line.step) or best[OURS].get(line.step))
        ratio = line.ratio(theirs, ours)
        met = "–" if ratio is None else "yes" if ratio >= line.goal else "**no**"
        lost = best[OURS].get(line.step, {}).get("bad")
        cells = [f"{line.text}{_size(line, n, large)}", _cell(theirs, line.unit), _cell(ours, line.unit)]
        cells += [
            f"{ratio:.1f}×" if ratio else "–",
            _cpu_ratio(line, best) if line.step not in large else "–",
        ]
        cells += [f"≥ {line.goal:g}×", "**lost or refused**" if lost else met]
        out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out)


def _cpu_ratio(line: Line, best: Mapping[str, Mapping[str, Any]]) -> str:
    """The same ratio in CPU time, which other load on the machine distorts less."""
    theirs, ours = (best.get(backend, {}).get(line.step, {}) for backend in (THEIRS, OURS))
    if not theirs.get("cpu_s") or not ours.get("cpu_s"):
        return "–"
    return f"{theirs['cpu_s'] / theirs['n'] / (ours['cpu_s'] / ours['n']):.1f}×"


def _size(line: Line, n: int, large: Mapping[str, Mapping[str, Any]]) -> str:
    if line.step in large:
        return f" (ours with {large[line.step]['size']:,} datasets, incumbent with {n:,})"
    return f", {n:,}" if line.step.startswith("ingest") else ""


def _cell(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
