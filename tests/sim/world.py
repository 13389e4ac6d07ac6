# SPDX-License-Identifier: BSD-3-Clause
"""A store, a clock and a scheduler that decide everything from one seed.

Each writer is a thread, but only the one that has the baton runs.  It hands the baton on
before each request to the store and whenever it sleeps; who gets it next is drawn from the
seed.  So a run is a sequence of requests, the same for the same seed, and its hash says so.
"""

from __future__ import annotations

import errno
import hashlib
import random
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lakebutler.errors import StorageUncertainError
from lakebutler.lake import commit as commit_module
from lakebutler.lake import follower
from lakebutler.lake import turns as turns_module
from lakebutler.lake import writer as writer_module
from lakebutler.lake.storage import FileInfo, Storage

BEGIN = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
TICK = 0.25
STALL = 900.0


class Killed(BaseException):
    """The writer is dead."""


class Scheduler:
    """Draws who runs next.

    Parameters
    ----------
    seed : `int`
        Everything follows from it.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.now = BEGIN
        self.trace = hashlib.sha256()
        self.steps = 0
        self.failure: BaseException | None = None
        self._batons: dict[str, threading.Semaphore] = {}
        self._waiting: list[str] = []
        self._asleep: dict[str, float] = {}
        self._local = threading.local()
        self._done = threading.Semaphore(0)

    @property
    def me(self) -> str:
        """The actor that runs; empty outside of `run`."""
        return getattr(self._local, "name", "")

    def run(self, actors: Mapping[str, Callable[[], None]]) -> None:
        """Run actors until all are done."""
        threads = []
        for name, act in actors.items():
            self._batons[name] = threading.Semaphore(0)
            self._waiting.append(name)
            threads.append(threading.Thread(target=self._live, args=(name, act), daemon=True))
        for thread in threads:
            thread.start()
        self._hand_on()
        assert self._done.acquire(timeout=120), f"seed {self.seed}: nobody runs any more"
        if self.failure is not None:
            raise self.failure

    def _live(self, name: str, act: Callable[[], None]) -> None:
        self._local.name = name
        self._batons[name].acquire()
        try:
            act()
        except Killed:
            pass
        except BaseException as failure:
            self.failure = self.failure or failure
        self._waiting.remove(name)
        if self._waiting:
            self._hand_on()
        else:
            self._done.release()

    def _hand_on(self) -> None:
        awake = [name for name in self._waiting if self._asleep.get(name, 0) <= self.now]
        if not awake:
            name = min(self._waiting, key=lambda one: self._asleep[one])
            self.now = max(self.now, self._asleep[name])
            awake = [name]
        self._batons[self.dice.choice(awake)].release()

    def turn(self, what: str, sleep: float = 0) -> None:
        """Hand the baton on, and wait until it comes back."""
        name = self.me
        if not name:
            return
        self.steps += 1
        assert self.steps < 200_000, f"seed {self.seed}: there is no end to it"
        self.trace.update(f"{name} {what}\n".encode())
        self.now += TICK * self.dice.random()
        self._asleep[name] = self.now + sleep
        self._hand_on()
        self._batons[name].acquire()


class SimStore(Storage):
    """Files in memory; each request is a turn, and may go wrong.

    Parameters
    ----------
    scheduler : `Scheduler`
        Whose turns.
    files : `dict`
        The files, shared by all who use the store.
    folder : `pathlib.Path`
        For copies of data files.
    remote : `bool`
        Whether to behave as an object store does.
    trouble : `float`
        How often the answer to a request that creates something is lost.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        files: dict[str, tuple[bytes, float]],
        folder: Path,
        *,
        remote: bool,
        trouble: float = 0,
    ) -> None:
        self.url = "sim://"
        self.remote = remote
        self.scheduler = scheduler
        self.files = files
        self.folder = folder
        self.trouble = trouble
        self.mortal = 0.0

    def _turn(self, what: str) -> None:
        self.scheduler.turn(what)
        if self.mortal and self.scheduler.me and self.scheduler.dice.random() < self.mortal:
            raise Killed

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        self._turn(f"read {path}")
        return self._read(path)

    def _read(self, path: str) -> bytes:
        try:
            return self.files[path][0]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", path) from None

    def create(self, path: str, data: bytes) -> None:
        """Make a file that must not exist yet; the answer may be lost."""
        self._turn(f"create {path}")
        dice = self.scheduler.dice
        trouble = self.trouble and self.scheduler.me and dice.random() < self.trouble
        if trouble and dice.random() < 0.5:
            raise StorageUncertainError("no answer")
        self._create(path, data)
        if trouble:
            if dice.random() < 0.5:
                raise FileExistsError(path)  # a retry on the way has met the first request
            raise StorageUncertainError("no answer")
        if self.mortal:
            self._turn("answer")

    def _create(self, path: str, data: bytes) -> None:
        if path in self.files:
            raise FileExistsError(errno.EEXIST, "file exists", path)
        self.files[path] = (bytes(data), self.scheduler.now)

    def write(self, path: str, data: bytes) -> None:
        """Write a file."""
        self._turn(f"write {path}")
        self.files[path] = (bytes(data), self.scheduler.now)

    def list(self, prefix: str, after: str = "") -> Iterator[FileInfo]:
        """List the files of a folder, as they are now."""
        self._turn(f"list {prefix} {after}")
        found = sorted(self.files.items())
        for path, (data, mtime) in found:
            if path.startswith(prefix) and path > after and "/" not in path[len(prefix) :]:
                yield FileInfo(path, len(data), mtime)

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files, one request each."""
        for path in paths:
            self._turn(f"delete {path}")
            self.files.pop(path, None)

    def fetch(self, path: str, size: int, sha256: str) -> str:
        """Return the name of a copy; no turn, since the caller may hold a lock of this process."""
        data = self._read(path)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, sha256)
        place = self.folder / f"{sha256}.parquet"
        if not place.exists():
            place.write_bytes(data)
        return str(place)

    def lock(self, meanwhile: Callable[[], None] | None = None) -> AbstractContextManager[None]:
        """Let everybody in at once: nothing may rely on the queue."""
        return nullcontext()


@contextmanager
def governed(scheduler: Scheduler) -> Iterator[None]:
    """Let the scheduler govern clocks, sleeps, chance and new ids."""
    ids = random.Random(f"ids {scheduler.seed}")

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.fromtimestamp(scheduler.now, tz)

    clock = SimpleNamespace(
        monotonic=lambda: scheduler.now,
        sleep=lambda seconds: scheduler.turn("sleep", seconds),
        time=lambda: scheduler.now,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=ids.getrandbits(128), version=4))
        patch.setattr(commit_module, "time", clock)
        patch.setattr(turns_module, "random", random.Random(f"pauses {scheduler.seed}"))
        patch.setattr(commit_module, "datetime", Clock)
        patch.setattr(writer_module, "datetime", Clock)
        patch.setattr(follower, "boot_time", lambda: scheduler.now)
        yield
