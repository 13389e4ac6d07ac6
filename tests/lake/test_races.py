# SPDX-License-Identifier: BSD-3-Clause
"""Many processes and threads on one repository: nothing is lost, nothing is there twice."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.snapshot import Snapshot
from tests.lake.helpers import DATA_ID, NAME, SMALL, add, everything, fresh, reopened, row
from tests.s3server import S3Root, s3_root, s3_server  # noqa: F401

ROOT = Path(__file__).parents[2]

WORKER = """
import json, sys
from lakebutler.lake.lake import Lake
from lakebutler.lake.change import Change
from lakebutler.lake.storage import open_storage
from tests.lake.helpers import DATA_ID, NAME, row

root, options, mode, worker, count = json.loads(sys.argv[1])
lake = Lake.open(open_storage(root, storage_options=options or None))
print("ready", flush=True)
sys.stdin.readline()

def build_for(step):
    run = "shared" if mode == "same" else f"run{worker if mode == 'apart' else 0}"
    visit = step if mode == "same" else worker * 100_000 + step
    mine = (*row(visit, run=run)[:6], __import__("uuid").uuid4(), *row(visit, run=run)[7:])

    def build(snapshot):
        if snapshot.find(NAME, DATA_ID, mine[:5]):
            return None
        change = Change()
        change.append_rows(NAME, [mine])
        change.touch(NAME, mine[:2])
        return change

    return build, mine

for step in range(count):
    build, mine = build_for(step)
    snapshot = lake.commit(build, op="put")
    ours = snapshot.find(NAME, ("id",), (mine[6],)) == [mine]
    print(json.dumps([snapshot.version, str(mine[6]), mine[3], ours]), flush=True)
"""


def run_workers(
    root: str, mode: str, workers: int, count: int, options: dict[str, object] | None = None
) -> list[list[tuple[int, str, int, bool]]]:
    """Let processes commit at once; return what each reported."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, json.dumps([root, options, mode, worker, count])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for worker in range(workers)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    reports = []
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        reports.append([tuple(json.loads(line)) for line in out.splitlines()])
    return reports  # type: ignore[return-value]


@pytest.mark.parametrize("mode", ["apart", "together"])
def test_eight_processes_lose_nothing(tmp_path: Path, mode: str) -> None:
    fresh(tmp_path)
    reports = run_workers(str(tmp_path), mode, 8, 50)
    assert all(ours for report in reports for *_, ours in report)
    lake = reopened(tmp_path)
    rows = everything(lake.snapshot())
    assert {str(r[6]) for r in rows} == {one for report in reports for _, one, _, _ in report}
    assert len(rows) == 400
    versions = sorted(version for report in reports for version, *_ in report)
    assert versions == list(range(1, 401))
    assert lake.snapshot().version == 400
    assert len(list(lake.history())) == 401


def test_of_eight_processes_with_the_same_keys_one_wins_each(tmp_path: Path) -> None:
    fresh(tmp_path)
    reports = run_workers(str(tmp_path), "same", 8, 25)
    for step in range(25):
        assert sum(ours for report in reports for _, _, visit, ours in report if visit == step) == 1
    rows = everything(reopened(tmp_path).snapshot())
    assert sorted(r[3] for r in rows) == list(range(25))
    assert reopened(tmp_path).snapshot().version == 25


@pytest.mark.s3
def test_processes_on_s3_lose_nothing(s3_root: S3Root) -> None:  # noqa: F811
    fresh(s3_root.url, storage_options=s3_root.storage_options)
    reports = run_workers(s3_root.url, "together", 3, 10, s3_root.storage_options)
    lake = reopened(s3_root.url, storage_options=s3_root.storage_options)
    rows = everything(lake.snapshot())
    assert {str(r[6]) for r in rows} == {one for report in reports for _, one, _, _ in report}
    assert sorted(version for report in reports for version, *_ in report) == list(range(1, 31))
    assert len(rows) == 30


@pytest.mark.full
@pytest.mark.s3
def test_eight_processes_on_s3_lose_nothing(s3_root: S3Root) -> None:  # noqa: F811
    fresh(s3_root.url, storage_options=s3_root.storage_options)
    reports = run_workers(s3_root.url, "together", 8, 25, s3_root.storage_options)
    rows = everything(reopened(s3_root.url, storage_options=s3_root.storage_options).snapshot())
    assert len(rows) == 200
    assert sorted(version for report in reports for version, *_ in report) == list(range(1, 201))


def test_of_racing_makers_one_makes_the_repository(tmp_path: Path) -> None:
    made: list[Lake] = []
    errors: list[Exception] = []
    barrier = threading.Barrier(6)

    def make() -> None:
        barrier.wait()
        try:
            made.append(fresh(tmp_path))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1, errors
    assert {type(error).__name__ for error in errors} == {"RepositoryExistsError"}
    assert reopened(tmp_path).snapshot().version == 0


def test_threads_share_one_lake(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    problems: list[str] = []
    stop = threading.Event()

    def write(worker: int) -> None:
        for step in range(40):
            mine = row(worker * 1000 + step)
            if add(lake, [mine]).find(NAME, DATA_ID, mine[:5]) != [mine]:
                problems.append(f"{mine} is missing")

    def read() -> None:
        last = 0
        while not stop.is_set():
            snapshot = lake.snapshot()
            found = snapshot.find(NAME, DATA_ID[:2], ("raw", "run"))
            if len(found) != snapshot.version or len(found) < last:
                problems.append(f"version {snapshot.version} has {len(found)} rows")
            last = len(found)

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert not problems
    assert lake.snapshot().version == 160


def test_the_sum_of_accounts_is_never_seen_wrong(tmp_path: Path) -> None:
    """Transfers between rows of one table, while others read: isolation as a bank would want it."""
    accounts = 5
    lake = fresh(tmp_path, SMALL)
    add(lake, [(f"a{n}", 100) for n in range(accounts)], "small")

    def transfer(own: Lake, number: int) -> None:
        source, target = f"a{number % accounts}", f"a{(number * 7 + 1) % accounts}"
        if source == target:
            return

        def build(snapshot: Snapshot) -> Change:
            (_, left), (_, right) = (
                snapshot.find("small", ("name",), (source,))[0],
                snapshot.find("small", ("name",), (target,))[0],
            )
            change = Change()
            change.delete("small", ("name",), [(source,), (target,)])
            change.append_rows("small", [(source, left - 1), (target, right + 1)])
            change.touch("small", ())
            return change

        own.commit(build, op="transfer")

    def work(seed: int) -> None:
        own = reopened(tmp_path)
        for step in range(25):
            transfer(own, seed * 13 + step)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    watcher = reopened(tmp_path)
    while any(thread.is_alive() for thread in threads):
        rows = everything(watcher.snapshot(), "small")
        assert len(rows) == accounts
        assert sum(value for _, value in rows) == 100 * accounts
    rows = everything(reopened(tmp_path).snapshot(), "small")
    assert sum(value for _, value in rows) == 100 * accounts
    assert len(rows) == accounts


def test_ids_that_race_for_a_name_are_told_apart(tmp_path: Path) -> None:
    """Setting a value that another set meanwhile builds again, and sees it."""
    first, second = fresh(tmp_path), reopened(tmp_path)
    seen: list[dict[str, object]] = []

    def build(snapshot: Snapshot) -> Change:
        seen.append(dict(snapshot.state("collection")))
        change = Change()
        change.set("collection", "run", {"owner": str(uuid.uuid4()), "after": len(seen)})
        return change

    base = first.snapshot()
    change = build(base)
    second.commit(build, op="register")
    first.commit(build, op="register", base=base, change=change)
    assert [len(values) for values in seen] == [0, 0, 1]
