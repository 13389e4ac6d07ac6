# SPDX-License-Identifier: BSD-3-Clause
"""Four writers, every interleaving that a seed can draw: the bank's books are right at every version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakebutler.errors import RepositoryCorruptError
from lakebutler.lake import commit as commit_module
from lakebutler.lake.lake import Lake
from tests.sim.bank import Bank
from tests.sim.world import SimStore

FEW = range(12)
MANY = range(1000, 1500)


@pytest.mark.parametrize("seed", FEW)
def test_whoever_comes_first_the_books_are_right(seed: int, tmp_path: Path) -> None:
    bank = Bank(seed, tmp_path, 80).run()
    print(f"seed {seed}: {bank.steps} steps, {len(bank.done)} done, {len(bank.failed)} failed, {bank.trace}")
    assert bank.problems == []
    assert len(bank.done) > 10


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_run(seed: int, tmp_path: Path) -> None:
    first, second, other = (Bank(n, tmp_path, 60).run() for n in (seed, seed, seed + 2))
    assert first.trace == second.trace
    assert first.trace != other.trace
    assert first.done == second.done


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_five_hundred_seeds(tmp_path: Path) -> None:
    steps = done = 0
    for seed in MANY:
        bank = Bank(seed, tmp_path, 200).run()
        assert bank.problems == [], f"seed {seed}"
        steps, done = steps + bank.steps, done + len(bank.done)
    print(f"{len(MANY)} seeds: {steps} steps, {done} commits done")


# ------------------------------------------------------------------- planted bugs


def plant_bug(plant: str, patch: pytest.MonkeyPatch) -> None:
    """Put a bug into the package, or into the store."""
    attempt = commit_module.Attempt
    if plant == "conflicts are not looked for":
        patch.setattr(attempt, "_conflict", lambda self, version: None)
    elif plant == "whoever comes last wins":

        def create(self: SimStore, path: str, data: bytes) -> None:
            if path in self.files:
                raise FileExistsError(path)
            self._turn("between looking and writing")
            self.files[path] = (bytes(data), self.scheduler.now)

        patch.setattr(SimStore, "_create", create)
    elif plant == "a name that is taken is taken by another":

        def taken(self: Any, head: Any) -> None:
            return None

        patch.setattr(attempt, "_ours", taken)
        patch.setattr(attempt, "_arrived", lambda self: None)
    else:
        patch.setattr(Lake, "is_void", lambda self, version: False)


@pytest.mark.parametrize(
    "plant",
    [
        "conflicts are not looked for",
        "whoever comes last wins",
        "a name that is taken is taken by another",
        "who slept through a clean-up commits all the same",
    ],
)
def test_the_simulation_notices_a_planted_bug(
    plant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_bug(plant, monkeypatch)
    for seed in range(40):
        try:
            problems = Bank(seed, tmp_path, 120).run().problems
        except (RepositoryCorruptError, AssertionError, IndexError) as error:
            problems = [repr(error)]
        if problems:
            print(f"{plant}: noticed with seed {seed}: {problems[0]}")
            return
    pytest.fail("nobody noticed")
