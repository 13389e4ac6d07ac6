# SPDX-License-Identifier: BSD-3-Clause
"""Every call of the file system fails once, in every way: what was acknowledged is there, and whole.

After each failure a new reader must find the state before or after the step under way, by whole
transactions; a step that said it failed must have changed nothing; ``verify`` finds no damage, the
garbage collector leaves nothing over, and the rest of the scenario can be played.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from lakebutler import Butler, ButlerError
from lakebutler.lake import writer
from lakebutler.lake.lake import Lake
from lakebutler.lake.storage.local import LocalStorage
from tests.fault.faulty import MODES, Crash, FaultyOS, applies
from tests.fault.world import SCENARIOS, World, damages, leftovers, look

SEED = 20261123

# A process that is dead closes nothing.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def files_for_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that bulk rows go to Parquet files although there are few of them."""
    monkeypatch.setattr(writer, "INLINE_ROWS", 10)


def sweep(world: World, folder: Path, share: float, *, stop_early: bool = False) -> list[str]:
    """Let the first, second, third ... call fail in all ways, until the fault comes too late.

    Parameters
    ----------
    share : `float`
        How many of the cases to play, chosen from the seed; 1 for all.
    """
    dice = random.Random(f"{SEED} {world.name}")
    problems, played = [], Counter[str]()
    for mode in MODES:
        at = 0
        while True:
            at += 1
            name = world.calls[at - 1] if at <= len(world.calls) else ""
            if name and (not applies(name, mode) or dice.random() > share):
                continue
            fired, wrong = world.play(folder / "played", at, mode)
            if not fired:
                break
            played[mode] += 1
            problems += [f"call {at} ({name or 'later'}), {mode}: {one}" for one in wrong]
            if problems and stop_early:
                return problems
            if at > len(world.calls) + 200:
                return [*problems, "there is no end to it"]
    print(f"seed {SEED}, {world.name} in {world.start.name}: {len(world.calls)} calls, {dict(played)}")
    return problems


@pytest.mark.parametrize("name", SCENARIOS)
def test_some_calls_that_fail_break_nothing(tmp_path: Path, name: str) -> None:
    assert sweep(World.of(name, tmp_path), tmp_path, 0.06) == []


@pytest.mark.parametrize("name", ["put", "transaction", "ingest", "compact", "vacuum"])
def test_some_calls_that_fail_break_no_lake_file(tmp_path: Path, name: str) -> None:
    assert sweep(World.of(name, tmp_path, "survey.lake"), tmp_path, 0.06) == []


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("repository", ["repo", "survey.lake"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_call_that_fails_breaks_nothing(tmp_path: Path, name: str, repository: str) -> None:
    assert sweep(World.of(name, tmp_path, repository), tmp_path, 1) == []


def make(place: Path, at: int, mode: str) -> tuple[FaultyOS, BaseException | None]:
    faulty = FaultyOS(str(place), at, mode)
    try:
        with faulty.installed():
            Butler.makeRepo(str(place))
    except (ButlerError, Crash, KeyboardInterrupt) as exc:
        return faulty, exc
    return faulty, None


@pytest.mark.parametrize("repository", ["repo", "survey.lake"])
def test_making_a_repository_can_fail_anywhere_and_be_repeated(
    tmp_path: Path, repository: str, pytestconfig: pytest.Config
) -> None:
    reference = tmp_path / "reference" / repository
    calls = make(reference, 0, "error")[0].calls
    expected = look(reference)
    dice = random.Random(SEED)
    share = 1 if pytestconfig.getoption("--full") else 0.15
    for mode in MODES:
        for at, name in enumerate(calls, 1):
            if not applies(name, mode) or dice.random() > share:
                continue
            place = tmp_path / f"{at} {mode}" / repository
            failure = make(place, at, mode)[1]
            if failure is None:
                assert look(place) == expected
                continue
            try:
                assert look(place) == expected
            except ButlerError:
                Butler.makeRepo(str(place))
                assert look(place) == expected
            assert damages(place) == [], (at, name, mode)
            assert leftovers(place) == [], (at, name, mode)


# ------------------------------------------------------------------- planted bugs


def plant_bug(plant: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put a bug into the package; return the scenario that should notice."""
    if plant == "entries are written in place":

        def create(self: LocalStorage, full: str, data: bytes) -> None:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            descriptor = os.open(full, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            try:
                os.write(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

        monkeypatch.setattr(LocalStorage, "_create", create)
        return "put"
    if plant == "a failed clean-up fails the commit":

        def tend(self: Lake, *args: object) -> None:
            self._write_checkpoint()

        monkeypatch.setattr(Lake, "_tend", tend)
        return "put"
    if plant == "files are removed before the commit":
        from lakebutler.butler.pending import Pending

        done = Pending.done
        sync = Pending.sync
        monkeypatch.setattr(
            Pending,
            "sync",
            lambda self, mark=0: (
                sync(self, mark),
                self._datastore.finish([m for b in self._batches for m in b.moves.values()]),
            )[0],
        )
        monkeypatch.setattr(Pending, "done", done)
        return "move"
    from lakebutler.butler import pending

    monkeypatch.setattr(pending.Pending, "failed", lambda self, mark, failure: self.undo(mark))
    monkeypatch.setattr(pending.Pending, "forget", lambda self, mark: self.undo(mark))
    return "transaction"


@pytest.mark.parametrize(
    "plant",
    [
        "entries are written in place",
        "a failed clean-up fails the commit",
        "files are removed before the commit",
        "files are removed although the commit may have landed",
    ],
)
def test_the_harness_notices_a_planted_bug(
    tmp_path: Path, plant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "INLINE_ROWS", 10)
        name = plant_bug(plant, patch)
        world = World.of(name, tmp_path)
        problems = sweep(world, tmp_path, 1, stop_early=True)
    assert problems != [], plant
