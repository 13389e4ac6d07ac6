# SPDX-License-Identifier: BSD-3-Clause
"""A bank whose clerks work at once, and an auditor who trusts nothing but the log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lakebutler.errors import ButlerError, CommitConflictError, CommitUnknownError, StorageUncertainError
from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.log import boundary
from lakebutler.lake.naming import log_version
from lakebutler.lake.references import data_files, find_references
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.vacuum import expire, find_expiry, orphans, remove_orphans
from lakebutler.lake.verify import verify_registry
from tests.lake.helpers import DATA_ID, DATASET, NAME, SMALL, everything, row
from tests.sim.world import STALL, Scheduler, SimStore, governed

ACCOUNTS = 6
START = 100
KEYS = 12
WINDOW = timedelta(seconds=300)
CLERKS = 4


class TakenError(Exception):
    """Another clerk has the key."""


@dataclass
class Bank:
    """One run of the simulation.

    Parameters
    ----------
    seed : `int`
        Everything follows from it.
    folder : `pathlib.Path`
        For copies of data files.
    operations : `int`
        How many, over all clerks.
    """

    seed: int
    folder: Path
    operations: int
    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    winners: list[tuple[int, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    trace: str = ""
    steps: int = 0
    entries: dict[int, dict[str, Any]] = field(default_factory=dict)

    def run(self) -> Bank:
        """Let all work, then look what came of it."""
        scheduler = Scheduler(self.seed)
        files: dict[str, tuple[bytes, float]] = {}
        remote = self.seed % 2 == 1
        quiet = SimStore(scheduler, files, self.folder, remote=remote)
        with governed(scheduler):
            opening = Change()
            opening.create_table(DATASET)
            opening.create_table(SMALL)
            opening.append_rows("small", [(f"a{n}", START) for n in range(ACCOUNTS)])
            Lake.create(quiet, config={}, change=opening)
            self._keep_entries(files)
            scheduler.run({f"clerk {n}": self._clerk(n, scheduler, files, remote) for n in range(CLERKS)})
            self.trace, self.steps = scheduler.trace.hexdigest(), scheduler.steps
            self._audit(quiet)
        return self

    # --------------------------------------------------------------------- clerks

    def _clerk(
        self, number: int, scheduler: Scheduler, files: dict[str, tuple[bytes, float]], remote: bool
    ) -> Callable[[], None]:
        def work() -> None:
            store = SimStore(scheduler, files, self.folder, remote=remote, trouble=0.15 if remote else 0.0)
            store.mortal = 0.001 if number else 0.0
            lake = Lake.open(store)
            for step in range(self.operations // CLERKS):
                self._keep_entries(files)
                self._operate(lake, scheduler, f"{number}.{step}")

        return work

    def _operate(self, lake: Lake, scheduler: Scheduler, mark: str) -> None:
        dice = scheduler.dice
        choice = dice.random()
        if choice < 0.45:
            source, target = dice.sample(range(ACCOUNTS), 2)
            self._commit(lake, transfer(source, target, dice.randint(1, 9)), f"transfer {mark}")
        elif choice < 0.70:
            key = dice.randrange(KEYS)
            if self._commit(lake, claim(key, mark), f"claim {mark}"):
                self.winners.append((key, mark))
        elif choice < 0.78:
            self._commit(lake, name_it(dice.randrange(3), mark), f"name {mark}")
        elif choice < 0.86:
            self._look(lake.snapshot())
        elif choice < 0.93:
            self._upkeep(lake, dice.random())
        else:
            scheduler.turn("stall", STALL * dice.random())

    def _commit(self, lake: Lake, build: Callable[[Snapshot], Change | None], mark: str) -> bool:
        try:
            lake.commit(build, op="op", message=mark)
        except CommitUnknownError:
            self.unknown.append(mark)
        except (TakenError, CommitConflictError):
            self.failed.append(mark)
        else:
            self.done.append(mark)
            return True
        return False

    def _look(self, snapshot: Snapshot) -> None:
        total = sum(value for _, value in everything(snapshot, "small"))
        if total != ACCOUNTS * START:
            self.problems.append(f"version {snapshot.version} was seen with a sum of {total}")

    def _upkeep(self, lake: Lake, chance: float) -> None:
        try:
            if chance < 0.4:
                lake.compact()
            elif chance < 0.7:
                lake.checkpoint()
            else:
                now = datetime.fromtimestamp(lake.storage.scheduler.now, UTC)  # type: ignore[attr-defined]
                expiry = find_expiry(lake, WINDOW, now=now)
                expire(lake, expiry)
                there = data_files(lake.storage, set(lake.snapshot().schemas())).values()
                found = find_references(lake.storage)
                remove_orphans(lake.storage, orphans(lake.storage, found, expiry.cutoff, there), found)
        except ButlerError as error:
            if not isinstance(error, CommitUnknownError | CommitConflictError | StorageUncertainError):
                raise

    # -------------------------------------------------------------------- auditor

    def _keep_entries(self, files: dict[str, tuple[bytes, float]]) -> None:
        """Note the log as it grows: what was removed later counts all the same."""
        edge = max((int(path[-20:]) for path in files if path.startswith("registry/boundary/")), default=-1)
        for path, (data, _) in files.items():
            version = log_version(path)
            if version is not None and version > edge and version not in self.entries:
                self.entries[version] = json.loads(data)

    def _audit(self, store: SimStore) -> None:
        """Fold the log by hand, and compare with what the lake says."""
        self._keep_entries(store.files)
        lake = Lake.open(store)
        newest = lake.snapshot()
        oldest = boundary(store)
        versions = sorted(version for path in store.files if (version := log_version(path)) is not None)
        if [v for v in versions if v > oldest] != list(range(oldest + 1, newest.version + 1)):
            self.problems.append(f"the log is {versions}")
        report = verify_registry(store)
        self.problems += [f"{f.kind}: {f.object}: {f.detail}" for f in report.findings if f.damage]
        self._look(newest)
        if sorted(self.entries) != list(range(newest.version + 1)):
            self.problems.append("versions are missing from the log")
            return
        accounts, claims = self._fold()
        if accounts != dict(everything(newest, "small")):
            self.problems.append("the accounts are not what the log adds up to")
        if claims != Counter((r[3], r[8]) for r in everything(newest)):
            self.problems.append("the claims are not what the log adds up to")
        self._marks(claims)

    def _fold(self) -> tuple[dict[str, int], Counter[tuple[int, str]]]:
        accounts: dict[str, int] = {}
        claims: Counter[tuple[int, str]] = Counter()
        for version in sorted(self.entries):
            added: list[tuple[str, list[Any]]] = []
            for action in self.entries[version]["actions"]:
                ((kind, body),) = action.items()
                if kind == "delete" and body["table"] == "small":
                    for key in body["keys"]:
                        accounts.pop(key[0], None)
                elif kind == "rows":
                    added += [(body["table"], one) for one in body["rows"]]
            for table, one in added:
                if table == "small":
                    accounts[one[0]] = one[1]
                else:
                    claims[one[3], one[8]] += 1
            if sum(accounts.values()) != ACCOUNTS * START:
                self.problems.append(f"version {version} has a sum of {sum(accounts.values())}")
        return accounts, claims

    def _marks(self, claims: Counter[tuple[int, str]]) -> None:
        """Each commit is in the log as often as its clerk was told."""
        seen = Counter(entry["message"] for entry in self.entries.values() if entry["op"] == "op")
        txids = Counter(entry["txid"] for entry in self.entries.values())
        for mark in self.done:
            if seen[mark] != 1:
                self.problems.append(f"{mark} was done, and is in the log {seen[mark]} times")
        for mark in self.failed:
            if seen[mark]:
                self.problems.append(f"{mark} failed, but is in the log")
        if any(times > 1 for times in txids.values()):
            self.problems.append("a transaction was committed twice")
        winners = Counter(key for key, _ in self.winners)
        there = Counter(key for key, _ in claims.elements())
        if any(times > 1 for times in there.values()):
            self.problems.append("a key has two winners")
        if any(times > 1 for times in winners.values()) or not set(self.winners) <= set(claims):
            self.problems.append("a clerk was told that it won, and did not")


def transfer(source: int, target: int, amount: int) -> Callable[[Snapshot], Change | None]:
    def build(snapshot: Snapshot) -> Change:
        names = (f"a{source}", f"a{target}")
        left, right = (snapshot.find("small", ("name",), (name,))[0][1] for name in names)
        change = Change()
        change.delete("small", ("name",), [(name,) for name in names])
        change.append_rows("small", [(names[0], left - amount), (names[1], right + amount)])
        change.touch("small", ())
        return change

    return build


def claim(key: int, mark: str) -> Callable[[Snapshot], Change | None]:
    def build(snapshot: Snapshot) -> Change:
        plain = row(key)
        if snapshot.find(NAME, DATA_ID, plain[:5]):
            raise TakenError(key)
        change = Change()
        change.append_rows(NAME, [(*plain[:8], mark, *plain[9:])])
        change.touch(NAME, plain[:2])
        return change

    return build


def name_it(number: int, mark: str) -> Callable[[Snapshot], Change | None]:
    def build(snapshot: Snapshot) -> Change:
        known = snapshot.state("collection").get(f"c{number}") or {"by": []}
        change = Change()
        change.set("collection", f"c{number}", {"by": [*known["by"], mark]})
        return change

    return build
