# SPDX-License-Identifier: BSD-3-Clause
"""Every request to an object store fails once, in every way: no version is lost, doubled or half there."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lakebutler.errors import ButlerError, CommitUnknownError, StorageError, StorageUncertainError
from lakebutler.lake import commit as commit_module
from lakebutler.lake import writer
from lakebutler.lake.lake import Lake
from lakebutler.lake.references import data_files, find_references
from lakebutler.lake.restore import restoring
from lakebutler.lake.storage import FileInfo, Storage, open_storage
from lakebutler.lake.tagging import add_tag
from lakebutler.lake.vacuum import expire, find_expiry, orphans, remove_orphans
from lakebutler.lake.verify import verify_registry
from tests.fault.faulty import Crash
from tests.lake.helpers import DATA_ID, NAME, add, bulk, commit, everything, fresh, ordered, row

MODES = ("refused", "no answer", "lost answer", "gone", "crash", "crash after")
"""``refused``: nothing was done, and the store says so.  ``no answer``: nothing was done, and nobody says
so.  ``lost answer``: it was done, and nobody says so.  ``gone``: from here on the store cannot be reached.
``crash``, ``crash after``: the process is dead from here on."""


class FaultyStore(Storage):
    """Passes requests on, counts them, and lets one fail."""

    remote = True

    def __init__(self, inner: Storage, at: int = 0, mode: str = "refused") -> None:
        self.inner = inner
        self.url = inner.url
        self.at = at
        self.mode = mode
        self.count = 0
        self.fired = self.dead = self.gone = False

    def _do(self, act: Callable[[], Any], *, changes: bool = False) -> Any:
        self.count += 1
        if self.dead:
            raise Crash
        if self.gone:
            raise StorageUncertainError("unreachable")
        if self.count != self.at:
            return act()
        self.fired = True
        match self.mode:
            case "gone":
                self.gone = True
            case "crash":
                self.dead = True
                raise Crash
            case "crash after":
                act()
                self.dead = True
                raise Crash
            case "lost answer":
                act()
        if self.mode == "refused" or not changes:
            raise StorageError("refused")
        raise StorageUncertainError("no answer")

    def read(self, path: str) -> bytes:
        return self._do(lambda: self.inner.read(path))  # type: ignore[no-any-return]

    def create(self, path: str, data: bytes) -> None:
        self._do(lambda: self.inner.create(path, data), changes=True)

    def write(self, path: str, data: bytes) -> None:
        self._do(lambda: self.inner.write(path, data), changes=True)

    def list(self, prefix: str, after: str = "") -> Iterator[FileInfo]:
        return iter(self._do(lambda: [*self.inner.list(prefix, after)]))

    def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            self._do(lambda path=path: self.inner.delete([path]), changes=True)

    def fetch(self, path: str, size: int, sha256: str) -> str:
        return self._do(lambda: self.inner.fetch(path, size, sha256))  # type: ignore[no-any-return]

    def lock(self, meanwhile: Callable[[], None] | None = None) -> AbstractContextManager[None]:
        return nullcontext()


Step = Callable[[Lake], object]


def put(number: int) -> Step:
    return lambda lake: add(lake, [row(number)])


def ingest(lake: Lake) -> None:
    rows = bulk([row(v) for v in range(100, 140)])
    commit(lake, lambda change: change.append_table(NAME, rows))


def together(lake: Lake) -> None:
    def fill(change: Any) -> None:
        change.append_rows(NAME, [row(v) for v in range(50, 54)])
        change.set("collection", "together", {"type": "RUN"})

    commit(lake, fill)


def remove(lake: Lake) -> None:
    commit(lake, lambda change: change.delete(NAME, DATA_ID, [row(1)[:5]]))


def clean(lake: Lake) -> None:
    now = datetime.now(UTC) + timedelta(days=30)
    expiry = find_expiry(lake, now=now)
    expire(lake, expiry)
    tidy(lake, expiry.cutoff + timedelta(days=8))


def tidy(lake: Lake, cutoff: datetime) -> int:
    there = data_files(lake.storage, set(lake.snapshot().schemas())).values()
    found = find_references(lake.storage)
    return remove_orphans(lake.storage, orphans(lake.storage, found, cutoff, there), found)


def restore(lake: Lake) -> None:
    target = lake.as_of(1)
    lake.commit(lambda snapshot: restoring(snapshot, target), op="restore")


SCENARIOS: dict[str, list[Step]] = {
    "put": [put(5), put(6)],
    "transaction": [together],
    "ingest": [ingest],
    "remove": [remove],
    "checkpoint": [put(5), lambda lake: lake.checkpoint(), put(6)],
    "compact": [lambda lake: lake.compact(everything=True), put(5)],
    "vacuum": [remove, clean, put(5)],
    "restore": [put(5), restore],
    "tag": [lambda lake: add_tag(lake, "dr1", 1)],
}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bulk rows go to files although there are few; a store that is gone is given up at once."""
    monkeypatch.setattr(writer, "INLINE_ROWS", 10)
    monkeypatch.setattr(commit_module, "_PATIENCE", 0.2)


def look(store: Storage) -> Any:
    snapshot = Lake.open(store).snapshot()
    kinds = {kind: sorted(snapshot.state(kind)) for kind in ("collection", "tag")}
    return ordered(everything(snapshot)), kinds


def begin() -> Storage:
    store = open_storage(f"memory://{uuid.uuid4()}")
    lake = fresh(store.url)
    for number in range(3):
        add(lake, [row(number)])
    return store


def play(steps: list[Step], at: int, mode: str, states: list[Any]) -> tuple[bool, list[str]]:
    """Play a scenario with a fault; return whether it fired, and what is wrong afterwards."""
    store = begin()
    done, failure = 0, None
    lake = Lake.open(FaultyStore(store))
    faulty = lake.storage
    assert isinstance(faulty, FaultyStore)
    faulty.count, faulty.at, faulty.mode = 0, at, mode
    try:
        for step in steps:
            step(lake)
            done += 1
    except (ButlerError, Crash) as error:
        failure = error
    if not faulty.fired:
        return False, []
    problems = [f"{f.kind}: {f.object}" for f in verify_registry(store).findings if f.damage]
    now = look(store)
    unsure = isinstance(failure, Crash | CommitUnknownError)
    if now not in states[done : done + 1 + unsure]:
        problems.append(f"after {done} steps: state {[i for i, state in enumerate(states) if state == now]}")
    again = Lake.open(store)
    txids = [entry.txid for entry in again.history()]
    if len(set(txids)) < len(txids):
        problems.append("a transaction was committed twice")
    if clean in steps:
        clean(again)  # one that was broken off is gone on with
    tidy(again, datetime.now(UTC) + timedelta(days=99))
    if look(store) != now or any(f.kind == "orphan" for f in verify_registry(store).findings):
        problems.append("cleaning up did not do what it should")
    return True, [f"{failure!r}: {problem}" for problem in problems]


def sweep(name: str) -> tuple[int, list[str]]:
    """Let the first, second, third ... request fail in all ways, until the fault comes too late."""
    steps = SCENARIOS[name]
    store = begin()
    states = [look(store)]
    for step in steps:
        step(Lake.open(FaultyStore(store)))
        states.append(look(store))
    problems, played = [], 0
    for mode in MODES:
        at = 0
        while True:
            at += 1
            fired, wrong = play(steps, at, mode, states)
            if not fired:
                break
            played += 1
            problems += [f"request {at}, {mode}: {one}" for one in wrong]
    print(f"{name} on a store: {played} faults")
    return played, problems


@pytest.mark.parametrize("name", SCENARIOS)
def test_requests_that_fail_break_nothing(name: str) -> None:
    played, problems = sweep(name)
    assert problems == []
    assert played >= len(MODES)


def no_means_no(self: Any, head: Any) -> None:
    raise StorageError("no answer")


@pytest.mark.parametrize("plant", ["no answer is a no", "no answer is a yes", "no answer is another's"])
def test_the_sweep_notices_a_planted_bug(plant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {
        "no answer is a no": no_means_no,
        "no answer is a yes": lambda self, head: head,
        "no answer is another's": lambda self, head: None,
    }
    attempt = commit_module.Attempt
    monkeypatch.setattr(attempt, "_ours", made[plant])
    if plant == "no answer is another's":
        monkeypatch.setattr(attempt, "_arrived", lambda self: None)
    try:
        problems = sweep("put")[1]
    except ButlerError as error:
        problems = [repr(error)]
    assert problems != []


def test_a_snapshot_is_what_the_harness_compares() -> None:
    store = begin()
    before = look(store)
    add(Lake.open(store), [row(9)])
    assert look(store) != before
