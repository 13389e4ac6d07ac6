# SPDX-License-Identifier: BSD-3-Clause
"""Requests lost, late or refused on their way to a server: no commit is done twice or falsely failed."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from dataclasses import dataclass, field

import pytest

from lakebutler.errors import CommitUnknownError, RepositoryError, StorageError
from lakebutler.lake import commit as commit_module
from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.storage import open_storage
from tests.lake.helpers import DATA_ID, NAME, Row, everything, fresh, reopened, row
from tests.s3.proxy import FAULTS, FaultProxy, Request
from tests.s3server import S3Root, S3Server, s3_root, s3_server  # noqa: F401

pytestmark = pytest.mark.s3


class AlreadyThereError(Exception):
    """What the writers of these tests refuse with, as `Butler.put` would."""


class Plan:
    """Lets one request in so many fail, in turn in every way, from a seed."""

    def __init__(self, seed: int, rate: float, faults: tuple[str, ...] = FAULTS) -> None:
        self.dice = random.Random(seed)
        self.rate = rate
        self.faults = faults
        self.on = False
        self.commits = 0
        self._next: list[str] = []

    def __call__(self, request: Request) -> str | None:
        if not self.on or self.dice.random() > self.rate:
            return None
        if self.rate < 1 and request.method == "GET" and "/registry/log/" in request.path:
            return self.dice.choice(["reset", "503", "cut answer", None, None])
        if request.commits:
            if not self._next:
                self._next = self.dice.sample(self.faults, len(self.faults))
            self.commits += 1
            return self._next.pop()
        return None


@dataclass
class Said:
    """What the writers were told of each row."""

    done: list[Row] = field(default_factory=list)
    failed: list[tuple[Row, str]] = field(default_factory=list)
    unknown: list[Row] = field(default_factory=list)


def build_for(mine: Row) -> object:
    def build(snapshot: Snapshot) -> Change:
        if snapshot.find(NAME, DATA_ID, mine[:5]):
            raise AlreadyThereError(mine[3])
        change = Change()
        change.append_rows(NAME, [mine])
        change.touch(NAME, mine[:2])
        return change

    return build


def write(lake: Lake, worker: int, count: int, said: Said) -> None:
    for step in range(count):
        mine = row(step, run=f"run{worker}")
        try:
            lake.commit(build_for(mine), op="put")  # type: ignore[arg-type]
        except CommitUnknownError:
            said.unknown.append(mine)
        except (RepositoryError, AlreadyThereError) as error:
            said.failed.append((mine, f"{type(error).__name__}: {error}"))
        else:
            said.done.append(mine)


def storm(
    server: S3Server,
    root: S3Root,
    seed: int,
    wanted: int,
    *,
    writers: int = 2,
    faults: tuple[str, ...] = FAULTS,
    rate: float = 0.5,
) -> list[str]:
    """Let writers commit through the proxy until so many faults befell commits; say what is wrong."""
    fresh(root.url, storage_options=root.storage_options)
    plan = Plan(seed, rate, faults)
    said = Said()
    count, done = max(2, wanted // (2 * writers * 4)), 0
    with FaultProxy(server.ports["s3.port"], plan) as proxy:
        options = {**root.storage_options, "endpoint_url": proxy.endpoint}
        lakes = [Lake.open(open_storage(root.url, storage_options=options)) for _ in range(writers)]
        for lake in lakes:
            lake.storage._check_safe()  # type: ignore[attr-defined]
        plan.on = True
        while plan.commits < wanted:
            threads = [
                threading.Thread(target=write, args=(lake, done * writers + n, count, said))
                for n, lake in enumerate(lakes)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            done += 1
        plan.on = False
        ends = f"{len(said.done)} done, {len(said.failed)} failed, {len(said.unknown)} unknown"
        print(f"seed {seed}: {plan.commits} faults of commits, in all {dict(proxy.injected)}; {ends}")
    return judge(root, said)


def judge(root: S3Root, said: Said) -> list[str]:
    """What was acknowledged is there once, what failed is not, and the log is whole."""
    problems = []
    lake = reopened(root.url, storage_options=root.storage_options)
    there = Counter(everything(lake.snapshot()))
    if lost := [one[3] for one in said.done if not there[one]]:
        problems.append(f"{len(lost)} acknowledged commits are lost")
    if twice := [one[3] for one, times in there.items() if times > 1]:
        problems.append(f"{len(twice)} rows are there twice")
    if false := [why for one, why in said.failed if there[one]]:
        problems.append(f"{len(false)} commits were said to have failed, but are there: {false[0]}")
    refused = [why for one, why in said.failed if "AlreadyThereError" in why]
    if refused:
        problems.append(f"{len(refused)} commits were refused because of themselves")
    entries = list(lake.history())
    if [entry.version for entry in entries] != list(range(lake.snapshot().version, -1, -1)):
        problems.append("the history has gaps")
    repeated = [txid for txid, times in Counter(entry.txid for entry in entries).items() if times > 1]
    if repeated:
        problems.append(f"{len(repeated)} transactions were committed twice")
    return problems


def test_commits_through_a_storm_are_done_once(s3_server: S3Server, s3_root: S3Root) -> None:  # noqa: F811
    assert storm(s3_server, s3_root, 20261123, 40) == []


@pytest.mark.full
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_on_every_other_commit(s3_server: S3Server, s3_root: S3Root, fault: str) -> None:  # noqa: F811
    assert storm(s3_server, s3_root, 1, 4, writers=1, faults=(fault,)) == []


PLANTS = {
    "a name that is taken is taken by another": ("412 for ours", "there twice|because of themselves|failed"),
    "no answer is a yes": ("503", "lost|has a hole"),
    "no answer is a no": ("lost answer", "said to have failed"),
    "what arrives late is another's": ("late", "because of themselves|twice"),
}


def plant_bug(plant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = commit_module.Attempt
    if plant == "what arrives late is another's":
        monkeypatch.setattr(attempt, "_arrived", lambda self: None)
        return
    if plant == "a name that is taken is taken by another":
        monkeypatch.setattr(attempt, "_ours", lambda self, head: None)
        return

    def guess(self: commit_module.Attempt, head: object) -> object:
        if plant == "no answer is a yes":
            return head
        raise StorageError("no answer")

    monkeypatch.setattr(attempt, "_ours", guess)


@pytest.mark.parametrize("plant", PLANTS)
def test_the_harness_notices_a_planted_bug(
    s3_server: S3Server,  # noqa: F811
    s3_root: S3Root,  # noqa: F811
    plant: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault, expected = PLANTS[plant]
    plant_bug(plant, monkeypatch)
    try:
        rate, wanted = (1.0, 4) if fault == "late" else (0.5, 3)
        problems = storm(s3_server, s3_root, 3, wanted, writers=1, faults=(fault,), rate=rate)
    except (RepositoryError, KeyError) as error:  # so wrong that even this ends it
        problems = [f"failed: {error}"]
    assert any(word in problem for problem in problems for word in expected.split("|")), problems


def test_a_commit_whose_fate_nobody_can_tell_is_not_claimed(
    s3_server: S3Server,  # noqa: F811
    s3_root: S3Root,  # noqa: F811
) -> None:
    """The answer is lost, and so is every answer to the question what became of it."""
    fresh(s3_root.url, storage_options=s3_root.storage_options)
    dead = False

    def plan(request: Request) -> str | None:
        nonlocal dead
        dead = dead or request.commits
        return "lost answer" if dead else None

    with FaultProxy(s3_server.ports["s3.port"], plan) as proxy:
        options = {
            **s3_root.storage_options,
            "endpoint_url": proxy.endpoint,
            "config_kwargs": {"retries": {"max_attempts": 1, "mode": "standard"}},
        }
        lake = Lake.open(open_storage(s3_root.url, storage_options=options))
        with pytest.raises(CommitUnknownError) as caught:
            lake.commit(build_for(row(1)), op="put")  # type: ignore[arg-type]
    again = reopened(s3_root.url, storage_options=s3_root.storage_options)
    assert again.committed(caught.value.txid)
    assert not again.committed(str(uuid.uuid4()))


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_thousand_faults_double_no_commit_and_fail_none_falsely(
    s3_server: S3Server,  # noqa: F811
    s3_root: S3Root,  # noqa: F811
) -> None:
    assert storm(s3_server, s3_root, 7, 1000, writers=3) == []
