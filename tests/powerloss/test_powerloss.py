# SPDX-License-Identifier: BSD-3-Clause
"""After a power cut at any moment: what was acknowledged is there, and nothing is half there.

A scenario runs once under ``strace``.  From its calls follow the states that a disk may be in after
a power cut: each change that was not synced may be there, or not, or, of a write, in part, and in any
order.  Each state that is different from those before is laid out, and looked at as after a crash.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakebutler import ButlerError
from lakebutler.lake import writer
from tests.fault.world import World, copy, damages, leftovers, look
from tests.powerloss.child import PLANTS
from tests.powerloss.record import Op, Recording, has_strace, trace

SEED = 20261123
ROOT = Path(__file__).parents[2]
NAMES = ["put", "transaction", "ingest", "checkpoint", "compact", "vacuum", "restore"]

pytestmark = pytest.mark.skipif(not has_strace(), reason="no strace, or it may not trace")


@pytest.fixture(autouse=True)
def files_for_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "INLINE_ROWS", 10)


def record(world: World, folder: Path, plant: str = "") -> Recording:
    """Play a scenario under ``strace``."""
    place, sources = copy(world.start, folder / "traced")
    recording = Recording(place, world.start)
    recording.top.entries["sources"] = Recording(sources, sources).top.entries["sources"]  # type: ignore[index]
    command = [sys.executable, "-m", "tests.powerloss.child", world.name, str(place), str(sources), plant]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    recording.take(trace(command, folder, env))
    assert len(recording.acks) == len(world.steps)
    return recording


def choices(pending: list[Op], dice: random.Random, more: int) -> Iterator[list[tuple[Op, float]]]:
    """Yield which of the changes that are not synced may be on the disk, and how much of each."""
    yield []
    yield [(op, 1) for op in pending]
    for one in pending:
        yield [(one, 1)]
        yield [(op, 1) for op in pending if op is not one]
        if one.tears:
            yield [(op, 0.5 if op is one else 1) for op in pending]
    for _ in range(more if len(pending) > 2 else 0):
        yield [(op, dice.choice([1, 0.5]) if op.tears else 1) for op in pending if dice.random() < 0.5]


def cuts(
    world: World, recording: Recording, folder: Path, cap: int, *, stop_early: bool = False
) -> list[str]:
    """Cut the power at every moment; look at every state, or at so many drawn from the seed."""
    dice = random.Random(f"{SEED} {world.name}")
    states = {}
    for done, durable, pending in recording.moments():
        for chosen in choices(pending, dice, 8):
            kept = [*((op, 1.0) for op in durable), *chosen]
            state = recording.build(kept)
            states.setdefault((done, recording.mark(state)), state)
    picked = list(states.items())
    if len(picked) > cap:
        picked = dice.sample(picked, cap)
    problems = []
    for number, ((done, _), state) in enumerate(picked):
        place = folder / "cut" / world.start.name
        shutil.rmtree(place.parent, ignore_errors=True)
        recording.lay_out(state, place.parent)
        problems += [f"state {number}, after {done} steps: {one}" for one in judge(world, place, done)]
        if problems and stop_early:
            break
    where = f"seed {SEED}, {world.name} in {world.start.name}"
    print(f"{where}: {len(recording.ops)} changes, {len(picked)} of {len(states)} states")
    return problems


def judge(world: World, place: Path, done: int) -> list[str]:
    """Say what is wrong with what a power cut left."""
    try:
        now = look(place)
        problems = damages(place)
    except (ButlerError, OSError) as exc:
        return [f"it cannot be read: {exc}"]
    if now not in world.states[done : done + 2]:
        problems.append(f"it is in state {[i for i, state in enumerate(world.states) if state == now]}")
    problems += leftovers(place, world.name)
    if look(place) != now:
        problems.append("cleaning up changed what it holds")
    return problems


@pytest.mark.parametrize("name", ["put", "transaction", "ingest", "compact"])
def test_some_power_cuts_lose_nothing(tmp_path: Path, name: str) -> None:
    world = World.of(name, tmp_path)
    assert cuts(world, record(world, tmp_path), tmp_path, 40) == []


@pytest.mark.parametrize("name", ["put", "ingest"])
def test_some_power_cuts_lose_nothing_of_a_lake_file(tmp_path: Path, name: str) -> None:
    world = World.of(name, tmp_path, "survey.lake")
    assert cuts(world, record(world, tmp_path), tmp_path, 40) == []


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("repository", ["repo", "survey.lake"])
@pytest.mark.parametrize("name", NAMES)
def test_no_power_cut_loses_anything(tmp_path: Path, name: str, repository: str) -> None:
    world = World.of(name, tmp_path, repository)
    assert cuts(world, record(world, tmp_path), tmp_path, 20_000) == []


@pytest.mark.parametrize("plant", PLANTS)
def test_the_harness_notices_a_planted_bug(tmp_path: Path, plant: str) -> None:
    world = World.of("put", tmp_path)
    assert cuts(world, record(world, tmp_path, plant), tmp_path, 400, stop_early=True) != []
