# SPDX-License-Identifier: BSD-3-Clause
"""Start a process that writes, kill it, and look at what is left."""

from __future__ import annotations

import multiprocessing
import random
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from lakebutler import Butler, ButlerError, DatasetType
from lakebutler.butler.maintenance.garbage import collect_garbage
from lakebutler.butler.maintenance.verify import verify
from lakebutler.lake.log import boundary
from tests.butler.world import Place
from tests.kill.butler_worker import BATCH, SINGLE, content, work

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
class Acks:
    """What a writer acknowledged before it died."""

    there: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)

    def note(self, first: int, size: int) -> None:
        """A negative size says that datasets were removed."""
        numbers = range(first, first + abs(size))
        (self.there if size > 0 else self.gone).update(numbers)

    def __len__(self) -> int:
        return len(self.there)


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
) -> Acks:
    """Let a process write for a while and kill it; return what it acknowledged."""
    here, there = _context.Pipe(duplex=False)
    process = _context.Process(
        target=work, args=(place.url, place.storage_options, run, mode, there, plant, crash), daemon=True
    )
    process.start()
    there.close()
    acknowledged = Acks()
    deadline: float | None = None
    patience = time.monotonic() + 120
    try:
        while True:
            left = (deadline if deadline is not None else patience) - time.monotonic()
            if not here.poll(max(left, 0)):
                break
            acknowledged.note(*here.recv())
            if deadline is None:
                deadline = time.monotonic() + (60 if crash is not None else rng.uniform(0, longest))
        process.kill()
        while True:  # what was acknowledged and not yet read
            acknowledged.note(*here.recv())
    except EOFError:
        pass
    finally:
        process.kill()
        process.join()
        here.close()
    assert acknowledged, f"the writer never began (exit code {process.exitcode})"
    assert process.exitcode == -9, f"the writer ended by itself, with code {process.exitcode}"
    return acknowledged


def check(place: Place, run: str, mode: str, acks: Acks, *, exact: bool = True) -> list[str]:
    """Say what is wrong with what a killed writer left."""
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
        problems = _compare(visible, acks, mode, exact=exact)
        if len(refs) != len(visible):
            problems.append("a data ID is there twice")
        for ref in refs:
            problems += _wrong(butler, ref, run)
        problems += _gaps(place, butler)
    return problems


def _compare(visible: set[int], acks: Acks, mode: str, *, exact: bool) -> list[str]:
    """What must be there, may be there, and must not be there."""
    problems: list[str] = []
    size = 1 if mode in SINGLE else BATCH
    lost = acks.there - acks.gone - visible
    # A removal may have been committed without being acknowledged: all of one step, or nothing.
    unsaid = mode in {"prune", "gc", "vacuum"} and len(lost) == size and min(lost) > max(acks.gone, default=0)
    if lost and not unsaid:
        problems.append(f"{len(lost)} acknowledged datasets are lost: {sorted(lost)[:5]}")
    if risen := visible & acks.gone:
        problems.append(f"{len(risen)} removed datasets are there: {sorted(risen)[:5]}")
    if exact and len(visible - acks.there) > size:
        problems.append(f"{len(visible - acks.there)} datasets were never acknowledged")
    if mode not in SINGLE:
        for first in range(1, max(visible, default=0) + 1, BATCH):
            whole = len(visible & set(range(first, first + BATCH)))
            if whole not in {0, BATCH}:
                problems.append(f"half a transaction is visible: {whole} of {BATCH} from {first}")
    return problems


def _wrong(butler: Butler, ref: Any, run: str) -> list[str]:
    number = int(ref.dataId["detector"])
    try:
        got = butler.get(ref)
    except (ButlerError, OSError) as exc:
        return [f"{number} cannot be read: {exc}"]
    return [] if got == content(run, number) else [f"{number} has the wrong content: {str(got)[:60]}"]


def _gaps(place: Place, butler: Butler) -> list[str]:
    """Versions follow each other without a gap, in the history and in the log folder."""
    storage = butler.repository.lake.storage
    oldest = boundary(storage) + 1
    problems = []
    versions = [entry.version for entry in butler.history()]
    if versions != list(range(butler.version, oldest - 1, -1)):
        problems.append("the history has gaps")
    if not place.remote and Path(place.url).is_dir():
        names = [path.name for path in (Path(place.url) / "registry" / "log").iterdir()]
        numbers = sorted(int(name[:20]) for name in names if name.endswith(".json"))
    else:
        numbers = [int(info.path[-25:-5]) for info in storage.list("registry/log/")]
    if [n for n in numbers if n >= oldest] != list(range(oldest, butler.version + 1)):
        problems.append(f"the log has gaps, or ends not at version {butler.version}")
    return problems


def count_orphans(place: Place, *, clean: bool = False) -> int:
    """Files of datasets and of the registry that no version names; remove them if asked to."""
    with place.open(writeable=clean) as butler:
        found = collect_garbage(butler.repository, timedelta(0), delete=clean, offline=True)
        return len(found)


def settle(place: Place) -> list[str]:
    """After all the kills: nothing is damaged, and nothing is left over once it was cleaned up."""
    count_orphans(place, clean=True)
    left = count_orphans(place)
    report = verify(place.url, storage_options=place.storage_options)
    problems = [f"{left} orphans are left after cleaning up"] if left else []
    return problems + [f"{f.kind}: {f.object}: {f.detail}" for f in report.findings]


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
    if plant is None:
        tally.problems += settle(place)
    return tally
