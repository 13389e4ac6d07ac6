# SPDX-License-Identifier: BSD-3-Clause
"""Writers that are killed: what they acknowledged is there, and nothing else is half there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.butler.world import Place
from tests.kill.butler_harness import check, count_orphans, kill_many, kill_one, prepare
from tests.kill.butler_worker import CRASHES, MODES, PLANTS
from tests.s3server import S3Server, s3_server  # noqa: F401

FULL = {"repo": 145, "survey.lake": 43}
FULL_REMOTE = 43


@pytest.fixture
def repository(tmp_path: Path) -> Place:
    place = Place(str(tmp_path / "repo"))
    prepare(place)
    return place


@pytest.fixture(params=list(FULL))
def local(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A directory, and one file."""
    place = Place(str(tmp_path / request.param))
    prepare(place)
    return place


@pytest.fixture
def remote(s3_server: S3Server) -> Place:  # noqa: F811
    root = s3_server.root()
    place = Place(root.url, root.storage_options)
    prepare(place)
    return place


def report(what: str, tally: object) -> None:
    print(f"{what}: {tally}")


def test_writers_killed_at_random_lose_nothing(local: Place) -> None:
    tally = kill_many(local, [*MODES] * 2, seed=20261123)
    report(local.url, tally)
    assert tally.problems == []
    assert tally.acknowledged > 12


@pytest.mark.parametrize("crash", CRASHES)
def test_writers_that_die_at_a_chosen_place_lose_nothing(repository: Place, crash: str) -> None:
    for mode in MODES[:3]:
        run = f"crash/{mode}"
        acknowledged = kill_one(repository, run, mode, random.Random(1), crash=(crash, 3))
        assert check(repository, run, mode, acknowledged) == []


@pytest.mark.s3
def test_writers_on_a_store_killed_at_random_lose_nothing(remote: Place) -> None:
    tally = kill_many(remote, ["put", "transaction", "compact"], seed=3, longest=1.0)
    report("s3", tally)
    assert tally.problems == []


@pytest.mark.parametrize("plant", PLANTS)
def test_the_harness_notices_a_planted_bug(repository: Place, plant: str) -> None:
    mode = "transaction" if plant == "parts of a transaction" else "put"
    tally = kill_many(repository, [mode] * 12, seed=7, plant=plant, longest=0.3, stop_early=True)
    expected = {
        "acknowledge first": "lost",
        "rows before files": "cannot be read",
        "swallow conflict": "wrong content",
        "parts of a transaction": "half a transaction",
    }
    assert any(expected[plant] in problem for problem in tally.problems), tally


def test_orphans_are_counted(repository: Place) -> None:
    assert count_orphans(repository) == 0
    acknowledged = kill_one(repository, "orphan", "put", random.Random(1), crash=("before the log entry", 2))
    assert check(repository, "orphan", "put", acknowledged) == []
    assert count_orphans(repository) == 1


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", MODES)
def test_many_kills_of_each_mode_lose_nothing(local: Place, mode: str) -> None:
    kills = FULL[Path(local.url).name]
    tally = kill_many(local, [mode] * kills, seed=MODES.index(mode))
    report(f"{Path(local.url).name} {mode}", tally)
    assert tally.problems == []


@pytest.mark.full
@pytest.mark.s3
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", MODES)
def test_many_kills_of_each_mode_on_a_store_lose_nothing(remote: Place, mode: str) -> None:
    tally = kill_many(remote, [mode] * FULL_REMOTE, seed=11, longest=1.5)
    report(f"s3 {mode}", tally)
    assert tally.problems == []
