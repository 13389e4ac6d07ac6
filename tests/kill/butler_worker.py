# SPDX-License-Identifier: BSD-3-Clause
"""What the killed process does: write datasets, and acknowledge what was committed.

Runs in a process of its own.  ``plant`` puts a bug into it, so that the harness can
be shown to notice; ``crash`` names a place where the process kills itself.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from lakebutler import Butler, DatasetRef, FileDataset
from lakebutler.butler.maintenance.garbage import collect_garbage, vacuum
from lakebutler.errors import ConflictingDefinitionError

BATCH = 20
MODES = ("put", "ingest", "transaction", "prune", "gc", "compact", "vacuum")
SINGLE = frozenset({"put", "gc", "vacuum"})
"""Modes that commit one dataset at a time."""
CRASHES = (
    "file written",
    "files synced",
    "before the log entry",
    "after the log entry",
    "after the commit",
    "views written",
)
PLANTS = ("acknowledge first", "rows before files", "swallow conflict", "parts of a transaction")


def content(run: str, number: int) -> dict[str, Any]:
    """What the dataset of a number must hold."""
    return {"run": run, "number": number, "padding": [number * k for k in range(40)]}


def where(number: int) -> dict[str, Any]:
    return {"instrument": "Cam1", "detector": number}


def work(
    url: str,
    options: dict[str, Any],
    run: str,
    mode: str,
    acks: Connection,
    plant: str | None = None,
    crash: tuple[str, int] | None = None,
) -> None:
    """Write until killed."""
    butler = Butler.from_config(url, run=run, storage_options=options)
    butler.put(content(run, 0), "kill", where(0))  # everything is loaded and warm now
    if crash is not None:
        plan_crash(butler, *crash)
    if plant == "rows before files":
        put_files_off(butler)
    step = {"ingest": ingest_batch, "put": put_one, "gc": put_one, "vacuum": put_one}.get(mode, put_batch)
    acks.send((0, 1))
    number = 1
    while True:
        size = 1 if mode in SINGLE else BATCH
        if plant == "acknowledge first":
            acks.send((number, size))
            time.sleep(0.02)
        if plant == "swallow conflict":
            butler.put({"wrong": True}, "kill", where(number))
        try:
            if plant == "parts of a transaction":
                put_parts(butler, run, number)
            else:
                step(butler, run, number)
        except ConflictingDefinitionError:
            if plant != "swallow conflict":
                raise
        if plant != "acknowledge first":
            acks.send((number, size))
        number += size
        tend(butler, run, mode, number, size, acks)


def tend(butler: Butler, run: str, mode: str, number: int, size: int, acks: Connection) -> None:
    """What a mode does beside writing: removals are acknowledged with a negative size."""
    if mode == "compact":
        butler.repository.lake.compact()
        butler.repository.lake.checkpoint()
    turn = (number - 1) // size
    if mode in {"prune", "gc", "vacuum"} and turn % 3 == 0:
        remove(butler, run, number - 2 * size, size)
        acks.send((number - 2 * size, -size))
    if mode == "gc" and turn % 3 == 0:
        collect_garbage(butler.repository, timedelta(0), delete=True, offline=True)
    if mode == "vacuum" and turn % 3 == 0:
        vacuum(butler.repository, timedelta(0), delete=True, offline=True)


def remove(butler: Butler, run: str, first: int, size: int) -> None:
    """Remove datasets, and their files."""
    wanted = set(range(first, first + size))
    found = butler.query_datasets("kill", run, explain=False)
    refs = [ref for ref in found if int(ref.dataId["detector"]) in wanted]
    assert len(refs) == size
    butler.pruneDatasets(refs, unstore=True, purge=True)


def put_one(butler: Butler, run: str, number: int) -> None:
    butler.put(content(run, number), "kill", where(number))


def put_batch(butler: Butler, run: str, number: int) -> None:
    with butler.transaction():
        put_parts(butler, run, number)


def put_parts(butler: Butler, run: str, number: int) -> None:
    for n in range(number, number + BATCH):
        put_one(butler, run, n)


def ingest_batch(butler: Butler, run: str, number: int) -> None:
    kind = butler.get_dataset_type("kill")
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for n in range(number, number + BATCH):
            path = Path(folder) / f"{n}.json"
            path.write_text(json.dumps(content(run, n)))
            files.append(FileDataset(str(path), DatasetRef(kind, where(n), run=run)))
        butler.ingest(*files, transfer="copy")


def put_files_off(butler: Butler) -> None:
    """A planted bug: rows are committed before their files are written."""
    files = butler._datastore._files
    create, done = files.create, butler._pending.done
    waiting: list[tuple[str, bytes]] = []

    def later(path: str, data: Any) -> str:
        waiting.append((path, bytes(data)))
        return path

    def write_now(mark: int = 0) -> None:
        done(mark)
        time.sleep(0.02)
        while waiting:
            create(*waiting.pop(0))

    patch(files, "create", later)
    patch(files, "sync", lambda paths: None)
    patch(butler._pending, "done", write_now)


def plan_crash(butler: Butler, place: str, countdown: int) -> None:
    """Kill this process at the n-th passage of a place."""
    storage, files = butler._session.lake.storage, butler._datastore._files
    left = [countdown]

    def die() -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    def is_entry(path: str, *_: Any) -> bool:
        return "/log/" in path

    def always(*_: Any) -> bool:
        return True

    if place == "file written":
        for verb in ("create", "bring"):
            patch(files, verb, around(getattr(files, verb), die, always, before=False))
    elif place == "files synced":
        patch(files, "sync", around(files.sync, die, always, before=False))
    elif place in {"before the log entry", "after the log entry"}:
        patch(storage, "create", around(storage.create, die, is_entry, before=place.startswith("before")))
    elif place == "after the commit":
        patch(butler._pending, "done", around(butler._pending.done, die, always, before=True))
    else:
        lake = butler._session.lake
        patch(lake, "_tend", around(lake._tend, die, always, before=True))


def around(
    function: Callable[..., Any], die: Callable[[], None], applies: Callable[..., bool], *, before: bool
) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before and applies(*args):
            die()
        result = function(*args, **kwargs)
        if not before and applies(*args):
            die()
        return result

    return wrapped


def patch(target: Any, name: str, value: Any) -> None:
    setattr(target, name, value)
