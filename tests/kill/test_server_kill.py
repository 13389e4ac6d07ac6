# SPDX-License-Identifier: BSD-3-Clause
"""The S3 server is killed under its writers and comes back: what it acknowledged is there."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.butler.world import Place
from tests.kill.butler_harness import Acks, check, prepare, settle
from tests.kill.server_worker import PLANTS, keep_writing
from tests.s3server import S3Server

pytestmark = pytest.mark.s3
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.kill.server_worker", "lakebutler.butler.butler", "pyarrow.parquet"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    """A server of our own: others must not suffer."""
    with S3Server(tmp_path / "seaweed") as made:
        yield made


def kill_server(server: S3Server, place: Place, kills: int, seed: int, plant: str | None = None) -> list[str]:
    """Kill it again and again under one writer; return what is wrong in the end."""
    dice = random.Random(seed)
    run = f"server/{seed}"
    here, there = _context.Pipe(duplex=False)
    stop = _context.Event()
    process = _context.Process(
        target=keep_writing, args=(place.url, place.storage_options, run, stop, there, plant), daemon=True
    )
    process.start()
    there.close()
    ends: dict[str, set[int]] = {"done": set(), "failed": set(), "unknown": set()}

    def listen(seconds: float, fresh: int) -> None:
        """Take in what the writer says, for a while, and until it has done so much more."""
        until, patience = time.monotonic() + seconds, time.monotonic() + 120
        wanted = len(ends["done"]) + fresh
        while time.monotonic() < until or (len(ends["done"]) < wanted and time.monotonic() < patience):
            if here.poll(0.01):
                number, end = here.recv()
                ends[end].add(number)
        assert len(ends["done"]) >= wanted, "the writer does not come back"

    try:
        for _ in range(kills):
            listen(dice.uniform(0.1, 1.0), 3)
            server.kill()
            if dice.random() < 0.5:
                listen(dice.uniform(0, 1.0), 0)
            server.start()
        listen(0.5, 3)
        stop.set()
        while (said := here.recv())[1] != "end":
            ends[said[1]].add(said[0])
        process.join(60)
    finally:
        process.kill()
        process.join()
        here.close()
    print(f"seed {seed}, {kills} kills of the server:", {end: len(numbers) for end, numbers in ends.items()})
    problems = check(place, run, "put", Acks(ends["done"]), exact=False)
    with place.open(collections=run, writeable=False) as butler:
        there_now = {int(ref.dataId["detector"]) for ref in butler.query_datasets("kill", run, explain=False)}
    if false := there_now & ends["failed"]:
        problems.append(f"{len(false)} datasets were said to have failed, but are there: {sorted(false)[:5]}")
    return problems + (settle(place) if plant is None else [])


def on(server: S3Server) -> Place:
    root = server.root()
    place = Place(root.url, root.storage_options)
    prepare(place)
    return place


def test_a_server_that_is_killed_loses_nothing(server: S3Server) -> None:
    assert kill_server(server, on(server), 1, seed=5) == []


@pytest.mark.full
@pytest.mark.parametrize("plant", PLANTS)
def test_the_harness_of_server_kills_notices_a_planted_bug(server: S3Server, plant: str) -> None:
    problems = kill_server(server, on(server), 1, seed=6, plant=plant)
    assert any(("lost" if plant == "says done" else "said to have failed") in problem for problem in problems)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_many_kills_of_the_server_lose_nothing(server: S3Server) -> None:
    assert kill_server(server, on(server), 20, seed=7) == []
