# SPDX-License-Identifier: BSD-3-Clause
"""Many processes on one repository at once: nothing is lost, and each data ID has one winner."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from lakebutler import Butler, DatasetType
from tests.butler.world import Place
from tests.concurrency.worker import CAM, content, read, write
from tests.s3server import S3Server, s3_server  # noqa: F401

PROCESSES = 8
PATIENCE = 3000  # seconds; pytest's own limit is shorter where the sizes are small
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.concurrency.worker", "lakebutler.butler.butler", "pyarrow.parquet"])


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A repository with room for many data IDs."""
    if request.param == "local":
        place = Place(str(tmp_path / "repo"))
    else:
        server: S3Server = request.getfixturevalue("s3_server")
        root = server.root()
        place = Place(root.url, root.storage_options)
    place.make()
    with place.open(writeable=True) as butler, butler.transaction():
        add = butler.registry.insertDimensionData
        add("instrument", {"name": CAM})
        add("detector", *({"instrument": CAM, "id": i, "full_name": f"D{i}"} for i in range(1600)))
        kind = DatasetType(
            "busy", ["instrument", "detector"], "StructuredDataDict", universe=butler.dimensions
        )
        butler.registry.registerDatasetType(kind)
    return place


@dataclass
class Outcome:
    """What the writers said, by process, and how the readers fared."""

    won: dict[str, tuple[str, list[int]]]
    lost: dict[str, list[int]]
    slowest: float
    rounds: int


def run_all(place: Place, work: list[tuple[str, range]], *, readers: int) -> Outcome:
    """Let all write at once, with readers beside them."""
    before = version_of(place)
    barrier = _context.Barrier(len(work) + readers)
    results, stop = _context.Queue(), _context.Event()
    writers = [
        _context.Process(
            target=write, args=(place.url, place.storage_options, run, numbers, barrier, results)
        )
        for run, numbers in work
    ]
    watchers = [
        _context.Process(target=read, args=(place.url, place.storage_options, barrier, stop, results))
        for _ in range(readers)
    ]
    for process in (*writers, *watchers):
        process.start()
    said = [results.get(timeout=PATIENCE) for _ in writers]
    stop.set()
    said += [results.get(timeout=60) for _ in watchers]
    for process in (*writers, *watchers):
        process.join(60)
    assert [failure for *_, failure in said if failure] == []
    wrote = [one for one in said if one[0] != "reader"]
    outcome = Outcome(
        {who: (run, won) for who, run, won, *_ in wrote},
        {who: lost for who, _, _, lost, *_ in wrote},
        max(slowest for *_, slowest, _ in wrote),
        sum(one[2][0] for one in said if one[0] == "reader"),
    )
    check(place, outcome, before, len({run for run, _ in work}))
    return outcome


def version_of(place: Place) -> int:
    with place.open() as butler:
        return butler.version


def check(place: Place, outcome: Outcome, before: int, runs: int) -> None:
    """All that was won is there, with what the winner wrote; versions have no gap; no file is left over."""
    with place.open() as butler:
        for who, (run, won) in outcome.won.items():
            for number in won:
                got = butler.get("busy", instrument=CAM, detector=number, collections=run)
                assert got == content(who, number)
        total = sum(len(won) for _, won in outcome.won.values())
        refs = butler.query_datasets("busy", butler.collections.query("busy/*"), find_first=False)
        assert len(refs) == total
        assert len({(ref.run, ref.dataId["detector"]) for ref in refs}) == total
        entries = list(butler.history())
        assert [entry.version for entry in entries] == list(range(butler.version, -1, -1))
        made = Counter(entry.op for entry in entries if entry.version > before)
        assert made["put"] == total
        assert made["register-collection"] == runs
        rows = butler.sql("SELECT path FROM dataset_instrument_detector").fetchall()
    assert place.files() == {path for (path,) in rows}


def in_runs_of_their_own(place: Place, each: int, readers: int) -> None:
    work = [(f"busy/{n}", range(each)) for n in range(PROCESSES)]
    outcome = run_all(place, work, readers=readers)
    assert all(won == list(range(each)) for _, won in outcome.won.values())
    assert outcome.rounds >= readers
    print(f"{PROCESSES} x {each}: slowest put {outcome.slowest:.3f} s, readers {outcome.rounds} rounds")


def in_one_run(place: Place, each: int) -> None:
    work = [("busy/one", range(n * each, (n + 1) * each)) for n in range(PROCESSES)]
    outcome = run_all(place, work, readers=1)
    assert all(len(won) == each for _, won in outcome.won.values())


def for_the_same_data_ids(place: Place, each: int) -> None:
    outcome = run_all(place, [("busy/one", range(each))] * PROCESSES, readers=1)
    winners = Counter(number for _, won in outcome.won.values() for number in won)
    assert winners == Counter(range(each))
    losers = Counter(number for lost in outcome.lost.values() for number in lost)
    assert losers == Counter(dict.fromkeys(range(each), PROCESSES - 1))


def number_of(place: Place, local: int, remote: int) -> int:
    return remote if place.remote else local


def test_eight_writers_in_runs_of_their_own_lose_nothing(place: Place) -> None:
    in_runs_of_their_own(place, number_of(place, 15, 3), readers=2)


def test_eight_writers_in_one_run_lose_nothing(place: Place) -> None:
    in_one_run(place, number_of(place, 10, 2))


def test_of_eight_writers_of_the_same_data_ids_one_wins_each(place: Place) -> None:
    for_the_same_data_ids(place, number_of(place, 10, 2))


def test_the_check_notices_a_lost_dataset(tmp_path: Path) -> None:
    """The oracle of these tests itself: a file too many, and a win that is not there."""
    place = Place(str(tmp_path / "repo"))
    place.make()
    with place.open(run="busy/0") as butler:
        add = butler.registry.insertDimensionData
        add("instrument", {"name": CAM})
        add(
            "detector",
            {"instrument": CAM, "id": 0, "full_name": "D0"},
            {"instrument": CAM, "id": 1, "full_name": "D1"},
        )
        kind = DatasetType(
            "busy", ["instrument", "detector"], "StructuredDataDict", universe=butler.dimensions
        )
        butler.registry.registerDatasetType(kind)
        before = butler.version
        butler.put(content("me", 0), "busy", instrument=CAM, detector=0)
    good = Outcome({"me": ("busy/0", [0])}, {"me": []}, 0.0, 0)
    check(place, good, before, 0)
    for bad in (
        Outcome({"me": ("busy/0", [0, 1])}, {}, 0.0, 0),
        Outcome({"you": ("busy/0", [0])}, {}, 0.0, 0),
        Outcome({"me": ("busy/0", [])}, {}, 0.0, 0),
    ):
        with pytest.raises((AssertionError, LookupError)):
            check(place, bad, before, 0)
    (Path(place.url) / "datastore" / "orphan.json").write_text("{}")
    with pytest.raises(AssertionError):
        check(place, good, before, 0)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_eight_times_two_hundred_puts_lose_nothing(place: Place) -> None:
    in_runs_of_their_own(place, 200, readers=2)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_eight_times_two_hundred_puts_of_the_same_data_ids_have_one_winner_each(place: Place) -> None:
    for_the_same_data_ids(place, number_of(place, 200, 25))


def test_a_writer_that_opens_meanwhile_sees_all(place: Place) -> None:
    """Two butlers of one process take turns: each sees what the other did at once."""
    with place.open(run="busy/a") as one, place.open(run="busy/b") as two:
        for number in range(3):
            for mine, other in ((one, two), (two, one)):
                assert isinstance(mine, Butler)
                ref = mine.put(content("me", number), "busy", instrument=CAM, detector=number)
                assert other.get(ref) == content("me", number)
