# SPDX-License-Identifier: BSD-3-Clause
"""The operating system refuses: each call of each scenario in turn, with each of its reasons.

A full disk and a quota, a disk that can only be read, permissions that were taken away, no
file descriptors left, a file that may not grow: the answer is one error of ours, what was
committed stays readable, and the repository goes on when the trouble is over.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, ButlerError, CommitUnknownError, DatasetRef, FileDataset
from lakebutler.butler.maintenance.verify import verify
from tests.butler.world import Place, check_message, fill, note_id

REASONS = ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EMFILE", "EFBIG", "EIO")
CALLS = ("open", "write", "fsync", "fdatasync", "link", "replace", "rename", "mkdir")
"""What changes something; reading goes on."""


class Faults:
    """Makes the k-th call that changes something below a directory fail."""

    def __init__(self, root: str, reason: str, at: int) -> None:
        self.root, self.number, self.at = root, getattr(errno, reason), at
        self.count = 0
        self.fired = False
        self.real = {name: getattr(os, name) for name in CALLS if hasattr(os, name)}

    def hit(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open":
            flags = arguments[1] if len(arguments) > 1 else 0
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        if name in ("open", "mkdir") and not str(arguments[0]).startswith(self.root):
            return
        self.count += 1
        if self.count == self.at:
            self.fired = True
            raise OSError(self.number, os.strerror(self.number))

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        def made(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                self.hit(name, arguments)
                return real(*arguments, **options)

            return call

        patch = pytest.MonkeyPatch()
        try:
            for name, real in self.real.items():
                patch.setattr(os, name, made(name, real))
            yield
        finally:
            patch.undo()


def put(butler: Butler, folder: Path) -> None:
    butler.put({"n": 1}, "note", note_id(101, 0))


def transaction(butler: Butler, folder: Path) -> None:
    with butler.transaction():
        for detector in range(3):
            butler.put({"n": detector}, "note", note_id(102, detector))
        butler.collections.register("u/more")


def ingest(butler: Butler, folder: Path) -> None:
    path = folder / "given.json"
    path.write_text('{"n": 5}')
    data_id = butler.registry.expandDataId(note_id(201, 0))
    ref = DatasetRef(butler.registry.getDatasetType("note"), data_id, "u/test")
    butler.ingest(FileDataset(str(path), [ref]), transfer="copy")


def upkeep(butler: Butler, folder: Path) -> None:
    butler.repository.lake.compact(everything=True)
    butler.repository.lake.checkpoint()


SCENARIOS = {"put": put, "transaction": transaction, "ingest": ingest, "upkeep": upkeep}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Place(str(tmp_path_factory.mktemp("faults") / "repo"))
    place.make()
    with place.open(run="u/test") as butler:
        fill(butler)
        butler.put({"n": 0}, "note", note_id(101, 3))
    return Path(place.url)


def notes(butler: Butler) -> dict[str, Any]:
    """What can be read of the notes, by data ID; each one's content too."""
    found = butler.query_datasets("note", "u/test", explain=False)
    return {str(ref.dataId): butler.get(ref) for ref in found}


def attempt(scenario: str, reason: str, at: int, made: Path, box: Path) -> tuple[bool, list[str]]:
    """One fault; return whether it came to it, and what went wrong."""
    shutil.copytree(made, box / "repo")
    root, wrong = str(box / "repo"), []
    faults = Faults(root, reason, at)
    with Butler.from_config(root, run="u/test") as butler:
        before = notes(butler)
        uncertain = False
        with faults.active():
            try:
                SCENARIOS[scenario](butler, box)
                said = None
            except CommitUnknownError as error:
                said, uncertain = error, True
            except ButlerError as error:
                said = error
            except Exception as error:
                return faults.fired, [f"{type(error).__name__}: {error}"]
        if said is not None:
            check_message(said)
        after = notes(butler)
    with Butler.from_config(root, run="u/test") as butler:
        again = notes(butler)
        if again != after and not uncertain:
            wrong.append(f"another session sees {again}, not {after}")
        if said is not None and not uncertain and after != before:
            wrong.append(f"refused, but there is {after}")
        butler.put({"n": 7}, "note", note_id(201, 3))
        if len(notes(butler)) != len(again) + 1:
            wrong.append("it does not go on")
    wrong += [f"{f.kind} {f.object}" for f in verify(root).findings if f.damage]
    return faults.fired, wrong


def sweep(scenario: str, reason: str, made: Path, box: Path, most: int = 200) -> tuple[int, list[str]]:
    """Every call in turn, until none is left to fail."""
    for at in range(1, most):
        place = box / f"{scenario}-{reason}-{at}"
        place.mkdir()
        fired, wrong = attempt(scenario, reason, at, made, place)
        shutil.rmtree(place)
        if wrong:
            return at, wrong
        if not fired:
            return at, []
    return most, ["no end"]


QUICK = [("put", "ENOSPC"), ("ingest", "EROFS"), ("transaction", "EMFILE")]


@pytest.mark.parametrize(("scenario", "reason"), QUICK)
def test_every_call_that_is_refused_leaves_what_was_there(
    scenario: str, reason: str, made: Path, tmp_path: Path
) -> None:
    calls, wrong = sweep(scenario, reason, made, tmp_path)
    assert wrong == []
    assert calls > 4


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_call_that_is_refused_for_every_reason_leaves_what_was_there(
    scenario: str, reason: str, made: Path, tmp_path: Path
) -> None:
    calls, wrong = sweep(scenario, reason, made, tmp_path)
    assert wrong == []
    assert calls > 4


# ----------------------------------------------------------------------- planted faults


def plant_swallowed(patch: pytest.MonkeyPatch) -> None:
    """A log entry that could not be made is taken for made."""
    from lakebutler.lake.storage.local import LocalStorage

    before = LocalStorage.create

    def create(self: LocalStorage, path: str, data: bytes) -> None:
        with contextlib.suppress(ButlerError):
            before(self, path, data)

    patch.setattr(LocalStorage, "create", create)


def plant_order(patch: pytest.MonkeyPatch) -> None:
    """The files of datasets are written after the commit that names them."""
    from lakebutler.datastore.local import LocalFiles

    def create(self: LocalFiles, path: str, data: Any) -> str:
        with contextlib.suppress(OSError):
            self._make_directory(path.rpartition("/")[0])
            Path(self._prefix + path).write_bytes(bytes(data)[:-1])
        return path

    patch.setattr(LocalFiles, "create", create)


def plant_raw(patch: pytest.MonkeyPatch) -> None:
    """What the system says goes to the user as it is."""
    from lakebutler.lake.storage.local import LocalStorage

    def refuse(self: LocalStorage, doing: str, path: str, error: OSError) -> None:
        raise error

    patch.setattr(LocalStorage, "_refuse", refuse)


@pytest.mark.parametrize("plant", [plant_swallowed, plant_order, plant_raw])
def test_the_harness_fails_on_a_planted_fault(
    plant: Callable[[pytest.MonkeyPatch], None],
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    try:
        _, wrong = sweep("put", "ENOSPC", made, tmp_path)
    except Exception as error:
        wrong = [repr(error)]
    assert wrong
