# SPDX-License-Identifier: BSD-3-Clause
"""Start a process that writes, kill it, and look at what is left."""

from __future__ import annotations

import multiprocessing
import random
import time
from dataclasses import dataclass, field
from typing import Any

from lakebutler import Butler, ButlerError, DatasetType
from tests.butler.world import Place
from tests.kill.butler_worker import BATCH, content, work

DETECTORS = 4000
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["tests.kill.butler_worker", "lakebutler.butler.butler", "pyarrow.parquet", "astropy.time"]
)


def prepare(place: Place) -> None:
    """Make a repository with room for many data IDs."""
    place.make()
    with place.open(writeable=True) as butler, butler.transaction():
        add = butler.registry.insertDimensionData
        add("instrument", {"name": "Cam1"})
        add("detector", *({"instrument": "Cam1", "id": i, "full_name": f"D{i}"} for i in range(DETECTORS)))
        kind = DatasetType(
            "kill", ["instrument", "detector"], "StructuredDataDict", universe=butler.dimensions
        )
        butler.registry.registerDatasetType(kind)


@dataclass
class Tally:
    """What several kills came to."""

    kills: int = 0
    acknowledged: int = 0
    in_flight: int = 0
    orphans: int = 0
    problems: list[str] = field(default_factory=list)


def kill_one(
    place: Place,
    run: str,
    mode: str,
    rng: random.Random,
    *,
    plant: str | None = None,
    crash: tuple[str, int] | None = None,
    longest: float = 0.5,
) -> set[int]:
    """Let a process write for a while and kill it; return what it acknowledged."""
    here, there = _context.Pipe(duplex=False)
    process = _context.Process(
        target=work, args=(place.url, place.storage_options, run, mode, there, plant, crash), daemon=True
    )
    process.start()
    there.close()
    acknowledged: set[int] = set()
    deadline: float | None = None
    patience = time.monotonic() + 120
    try:
        while True:
            left = (deadline if deadline is not None else patience) - time.monotonic()
            if not here.poll(max(left, 0)):
                break
            first, size = here.recv()
            acknowledged.update(range(first, first + size))
            if deadline is None:
                deadline = time.monotonic() + (60 if crash is not None else rng.uniform(0, longest))
        process.kill()
        while True:  # what was acknowledged and not yet read
            first, size = here.recv()
            acknowledged.update(range(first, first + size))
    except EOFError:
        pass
    finally:
        process.kill()
        process.join()
        here.close()
    assert acknowledged, f"the writer never began (exit code {process.exitcode})"
    assert process.exitcode == -9, f"the writer ended by itself, with code {process.exitcode}"
    return acknowledged


def check(place: Place, run: str, mode: str, acknowledged: set[int], *, exact: bool = True) -> list[str]:
    """Say what is wrong with what a killed writer left."""
    problems: list[str] = []
    try:
        butler = place.open(collections=run, writeable=False)
    except ButlerError as exc:
        return [f"a read-only open failed: {exc}"]
    with butler:
        try:
            refs = butler.query_datasets("kill", explain=False)
        except ButlerError as exc:
            return [f"a query failed: {exc}"]
        visible = {int(ref.dataId["detector"]) for ref in refs}
        if len(refs) != len(visible):
            problems.append("a data ID is there twice")
        if lost := acknowledged - visible:
            problems.append(f"{len(lost)} acknowledged datasets are lost: {sorted(lost)[:5]}")
        size = 1 if mode == "put" else BATCH
        if exact and len(visible - acknowledged) > size:
            problems.append(f"{len(visible - acknowledged)} datasets were never acknowledged")
        if mode != "put":
            for first in range(1, max(visible, default=0) + 1, BATCH):
                whole = len(visible & set(range(first, first + BATCH)))
                if whole not in {0, BATCH}:
                    problems.append(f"half a transaction is visible: {whole} of {BATCH} from {first}")
        for ref in refs:
            problems += _wrong(butler, ref, run)
        problems += _gaps(place, butler)
    return problems


def _wrong(butler: Butler, ref: Any, run: str) -> list[str]:
    number = int(ref.dataId["detector"])
    try:
        got = butler.get(ref)
    except (ButlerError, OSError) as exc:
        return [f"{number} cannot be read: {exc}"]
    return [] if got == content(run, number) else [f"{number} has the wrong content: {str(got)[:60]}"]


def _gaps(place: Place, butler: Butler) -> list[str]:
    """Versions are 0, 1, 2 ... without a gap, in the history and in the log folder."""
    problems = []
    versions = [entry.version for entry in butler.history()]
    if versions != list(range(butler.version, -1, -1)):
        problems.append("the history has gaps")
    if not place.remote:
        from pathlib import Path

        names = sorted(
            path.name for path in (Path(place.url) / "registry" / "log").iterdir() if path.suffix == ".json"
        )
        if [int(name[:20]) for name in names] != list(range(len(names))):
            problems.append("the log has gaps")
        if len(names) != butler.version + 1:
            problems.append(f"{len(names)} log entries, but version {butler.version}")
    return problems


def count_orphans(place: Place) -> int:
    """Files of datasets that no row names."""
    with place.open(writeable=False) as butler:
        rows = butler.sql("SELECT path FROM dataset_instrument_detector").column("path").to_pylist()
    return len(place.files() - set(rows))


def kill_many(
    place: Place,
    modes: list[str],
    seed: int,
    *,
    plant: str | None = None,
    longest: float = 0.5,
    stop_early: bool = False,
) -> Tally:
    """Kill one writer after the other, and look after each."""
    rng = random.Random(seed)
    tally = Tally()
    for number, mode in enumerate(modes):
        run = f"kill/{seed}/{number}"
        acknowledged = kill_one(place, run, mode, rng, plant=plant, longest=longest)
        found = check(place, run, mode, acknowledged, exact=plant is None)
        tally.kills += 1
        tally.acknowledged += len(acknowledged)
        tally.problems += [f"seed {seed}, kill {number} ({mode}): {problem}" for problem in found]
        if found and stop_early:
            break
    tally.orphans = count_orphans(place)
    return tally
