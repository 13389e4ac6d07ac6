# SPDX-License-Identifier: BSD-3-Clause
"""The scenarios in which something fails, and what must hold afterwards, whatever failed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from lakebutler import Butler, ButlerError, DatasetRef, DatasetType, FileDataset, Timespan
from lakebutler.butler.maintenance.garbage import collect_garbage, vacuum
from lakebutler.butler.maintenance.verify import verify
from lakebutler.collections.collection import CollectionType
from lakebutler.errors import CommitUnknownError
from lakebutler.registry.removal import remove_datasets
from tests.fault.faulty import Crash, FaultyOS

CAM = "Cam1"
RUN = "u/me/run"
Step = Callable[[Butler, Path], object]
State = Any


def content(number: int) -> dict[str, Any]:
    return {"number": number, "padding": list(range(number, number + 30))}


def where(number: int) -> dict[str, Any]:
    return {"instrument": CAM, "detector": number}


def base(place: Path) -> None:
    """Make the repository that all the scenarios begin with."""
    Butler.makeRepo(str(place))
    with Butler(str(place), run=RUN, writeable=True) as butler:
        with butler.transaction():
            add = butler.registry.insertDimensionData
            add("instrument", {"name": CAM})
            add("detector", *({"instrument": CAM, "id": i, "full_name": f"D{i}"} for i in range(60)))
            for name, calibration in (("kind", False), ("bias", True)):
                kind = DatasetType(
                    name,
                    ["instrument", "detector"],
                    "StructuredDataDict",
                    universe=butler.dimensions,
                    isCalibration=calibration,
                )
                butler.registry.registerDatasetType(kind)
            butler.registry.registerCollection("tagged", CollectionType.TAGGED)
            butler.registry.registerCollection("calib", CollectionType.CALIBRATION)
        for number in range(3):
            butler.put(content(number), "kind", where(number))
        butler.put(content(0), "bias", where(0))


# -------------------------------------------------------------------------- scenarios


def put(number: int) -> Step:
    return lambda butler, _: butler.put(content(number), "kind", where(number))


def put_together(butler: Butler, _: Path) -> None:
    with butler.transaction():
        butler.registry.registerRun("u/me/other")
        for number in range(10, 14):
            butler.put(content(number), "kind", where(number))
        butler.put(content(0), "kind", where(0), run="u/me/other")


def ingest(transfer: str, first: int, count: int) -> Step:
    def step(butler: Butler, sources: Path) -> None:
        kind = butler.get_dataset_type("kind")
        butler.ingest(
            *(
                FileDataset(str(sources / f"{n}.json"), DatasetRef(kind, where(n), run=RUN))
                for n in range(first, first + count)
            ),
            transfer=transfer,
        )

    return step


def refs_of(butler: Butler, *numbers: int, kind: str = "kind") -> list[DatasetRef]:
    found = butler.query_datasets(kind, RUN, explain=False) if butler.collections.query(RUN) else []
    return [ref for ref in found if ref.dataId["detector"] in numbers]


def associate(butler: Butler, _: Path) -> None:
    butler.registry.associate("tagged", refs_of(butler, 0, 1))


def certify(butler: Butler, _: Path) -> None:
    butler.registry.certify("calib", refs_of(butler, 0, kind="bias"), Timespan(None, None))


def remove(butler: Butler, _: Path) -> None:
    refs = refs_of(butler, 1)
    butler._session.execute(lambda snapshot: remove_datasets(snapshot, refs, []), op="remove")


def prune(butler: Butler, _: Path) -> None:
    butler.pruneDatasets(refs_of(butler, 1, 2), unstore=True, purge=True)


def remove_run(butler: Butler, _: Path) -> None:
    butler.removeRuns([RUN])


def compact(butler: Butler, _: Path) -> None:
    butler.repository.lake.compact(everything=True)


def checkpoint(butler: Butler, _: Path) -> None:
    butler.repository.lake.checkpoint()


def clean(butler: Butler, _: Path) -> None:
    collect_garbage(butler.repository, timedelta(0), delete=True, offline=True)


def forget_the_past(butler: Butler, _: Path) -> None:
    vacuum(butler.repository, timedelta(0), delete=True, offline=True)


def chain(butler: Butler, _: Path) -> None:
    butler.registry.registerCollection("chain", CollectionType.CHAINED)


SCENARIOS: dict[str, list[Step]] = {
    "put": [put(5), put(6)],
    "transaction": [put_together],
    "ingest": [ingest("copy", 20, 12)],
    "move": [ingest("move", 20, 2)],
    "associate and certify": [associate, certify],
    "checkpoint": [put(5), checkpoint, put(6)],
    "compact": [compact, put(5), compact],
    "remove and clean up": [remove, clean],
    "prune": [prune, remove_run],
    "vacuum": [remove, checkpoint, forget_the_past],
    "restore": [remove, lambda butler, _: butler.restore(4), chain],
    "tag": [lambda butler, _: butler.tag("dr1", 3), lambda butler, _: butler.delete_tag("dr1")],
}


# ---------------------------------------------------------------------------- oracle


def look(place: Path) -> State:
    """What a repository holds, but for what is never the same: ids, paths, times."""
    with Butler(str(place), writeable=False) as butler:
        snapshot = butler.repository.lake.snapshot()
        rows = {}
        for name, schema in snapshot.schemas().items():
            kept = [c for c in schema.names if c not in {"id", "path", "ingest_date"}]
            rows[name] = sorted(map(repr, snapshot.scan(name, kept).to_pylist()))
        values = {
            kind: {name: _plain(value) for name, value in snapshot.state(kind).items()}
            for kind in ("collection", "dataset_type", "tag", "retired_tag")
        }
    return json.loads(json.dumps([rows, values], sort_keys=True, default=str))


def _plain(value: Any) -> Any:
    return {k: v for k, v in value.items() if k != "sha256"} if isinstance(value, dict) else value


@dataclass(frozen=True)
class World:
    """A scenario, the repository that it begins with, and its states without a fault."""

    name: str
    steps: list[Step]
    start: Path
    states: list[State]
    calls: list[str]

    @classmethod
    def of(cls, name: str, folder: Path, repository: str = "repo") -> World:
        """Play a scenario once without a fault."""
        start = folder / "start" / repository
        if not start.exists():
            start.parent.mkdir(parents=True)
            base(start)
        steps = SCENARIOS[name]
        place, sources = copy(start, folder / "reference")
        states = [look(place)]
        calls: list[str] = []
        for step in steps:
            faulty = FaultyOS(str(place))
            with faulty.installed(active=False), Butler(str(place), run=RUN, writeable=True) as butler:
                faulty.active = True
                step(butler, sources)
                faulty.active = False
            calls += faulty.calls
            states.append(look(place))
        return cls(name, steps, start, states, calls)

    def play(self, folder: Path, at: int, mode: str) -> tuple[bool, list[str]]:
        """Play it with a fault; return whether the fault fired, and what is wrong afterwards."""
        place, sources = copy(self.start, folder)
        faulty = FaultyOS(str(place), at, mode)
        done, failure = self._run(place, sources, faulty)
        if not faulty.fired:
            return False, []
        wrong = self._judge(place, sources, done, failure)
        return True, [f"{failure!r}: {one}" if failure else one for one in wrong]

    def _run(self, place: Path, sources: Path, faulty: FaultyOS) -> tuple[int, BaseException | None]:
        done = 0
        with faulty.installed(active=False):
            butler = Butler(str(place), run=RUN, writeable=True)
            faulty.active = True
            try:
                for step in self.steps:
                    step(butler, sources)
                    done += 1
            except (ButlerError, Crash, KeyboardInterrupt) as exc:
                return done, exc
            finally:
                with suppress(ButlerError, Crash, KeyboardInterrupt):
                    butler.close()
                faulty.active = False
        return done, None

    def _judge(self, place: Path, sources: Path, done: int, failure: BaseException | None) -> list[str]:
        try:
            now = look(place)
        except (ButlerError, OSError) as exc:
            return [f"it cannot be read: {exc!r}"]
        open_end = isinstance(failure, Crash | KeyboardInterrupt | CommitUnknownError)
        allowed = self.states[done : done + 1 + (failure is not None and open_end)]
        problems = []
        if now not in allowed:
            where = [i for i, state in enumerate(self.states) if state == now]
            problems.append(f"after {done} steps it is in state {where}")
        problems += damages(place)
        if "move" in self.name:
            problems += self._moved(place, sources)
        problems += leftovers(place, self.name)
        if look(place) != now:
            problems.append("cleaning up changed what it holds")
        if not problems:
            problems += self._go_on(place, sources, done if now == self.states[done] else done + 1)
        return problems

    def _moved(self, place: Path, sources: Path) -> list[str]:
        with Butler(str(place), writeable=False) as butler:
            there = {int(ref.dataId["detector"]) for ref in butler.query_datasets("kind", RUN, explain=False)}
        return [
            f"{n}.json was moved to nowhere"
            for n in range(20, 22)
            if n not in there and not (sources / f"{n}.json").exists()
        ]

    def _go_on(self, place: Path, sources: Path, done: int) -> list[str]:
        """The rest of the scenario can be played by who comes next."""
        try:
            rest = self.steps[done:]
            with Butler(str(place), run=RUN if rest else None, writeable=True) as butler:
                for step in rest:
                    step(butler, sources)
        except ButlerError as exc:
            return [f"it cannot go on: {exc!r}"]
        return [] if look(place) == self.states[-1] else ["going on led elsewhere"]


def copy(start: Path, folder: Path) -> tuple[Path, Path]:
    """Return a copy of a repository, and files to ingest beside it."""
    shutil.rmtree(folder, ignore_errors=True)
    sources = folder / "sources"
    sources.mkdir(parents=True)
    for number in range(20, 32):
        (sources / f"{number}.json").write_text(json.dumps(content(number)))
    place = folder / start.name
    if start.is_dir():
        shutil.copytree(start, place)
    else:
        shutil.copy2(start, place)
    return place, sources


def damages(place: Path) -> list[str]:
    return [f"{f.kind}: {f.object}: {f.detail}" for f in verify(str(place)).findings if f.damage]


def leftovers(place: Path, name: str = "") -> list[str]:
    """What is left after cleaning up: nothing should be."""
    with Butler(str(place), writeable=True) as butler:
        if name == "vacuum":  # one that was broken off is gone on with
            vacuum(butler.repository, timedelta(0), delete=True, offline=True)
        collect_garbage(butler.repository, timedelta(0), delete=True, offline=True)
        found = collect_garbage(butler.repository, timedelta(0), offline=True)
    left = [*(info.path for info in (*found.datasets, *found.registry)), *found.temporary]
    if place.is_dir():
        left += [str(path) for path in place.rglob("*") if ".tmp-" in path.name]
    left += [f.object for f in verify(str(place)).findings if f.kind != "stale hint"]
    return [f"{path} is left over" for path in left]
