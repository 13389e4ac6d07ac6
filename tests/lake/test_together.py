# SPDX-License-Identifier: BSD-3-Clause
"""Threads of one process commit together: fewer entries, and each thread hears of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, CollectionType, DatasetType
from lakebutler.errors import ConflictingDefinitionError, StorageError
from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.snapshot import Snapshot
from tests.lake.helpers import SMALL, fresh


def putting(name: str, value: int) -> Callable[[Snapshot], Change]:
    """Insert a row whose name must be new."""

    def build(snapshot: Snapshot) -> Change:
        if snapshot.find("small", ("name",), (name,)):
            raise ConflictingDefinitionError(f"{name} is there")
        change = Change()
        change.append_rows("small", [(name, value)])
        change.touch("small", ())
        return change

    return build


def at_once(lake: Lake, builds: list[Callable[[Snapshot], Change]], op: str = "put") -> list[Any]:
    """Let threads wait in line, then let them all go; return what each got."""
    results: list[Any] = [None] * len(builds)

    def run(number: int) -> None:
        try:
            results[number] = lake.commit(builds[number], op=op, together=True)
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(builds))]
    with lake._mutex:
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 30
        while len(lake._together._waiting) < len(builds):
            assert time.monotonic() < deadline
            time.sleep(0.001)
    for thread in threads:
        thread.join(60)
    return results


def test_those_that_wait_share_one_version(tmp_path: Path) -> None:
    lake = fresh(tmp_path, SMALL)
    before = lake.snapshot().version
    results = at_once(lake, [putting(f"n{n}", n) for n in range(20)])
    assert {snapshot.version for snapshot in results} == {before + 1}
    assert lake.snapshot().version == before + 1
    assert sorted(lake.snapshot().scan("small").column("value").to_pylist()) == list(range(20))
    assert next(lake.history(1)).op == "put"


def test_each_thread_hears_of_its_own_failure_alone(tmp_path: Path) -> None:
    lake = fresh(tmp_path, SMALL)
    lake.commit(putting("old", 0), op="put")
    results = at_once(lake, [putting(name, 1) for name in ("a", "old", "b", "b", "c")])
    refused = [isinstance(result, ConflictingDefinitionError) for result in results]
    assert refused[1]
    assert sorted([refused[2], refused[3]]) == [False, True]
    assert not refused[0]
    assert not refused[4]
    assert sorted(lake.snapshot().scan("small").column("name").to_pylist()) == ["a", "b", "c", "old"]


def test_a_store_that_refuses_is_heard_of_by_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = fresh(tmp_path, SMALL)

    def refuse(path: str, data: bytes) -> None:
        raise StorageError(f"cannot create {path}")

    monkeypatch.setattr(lake.storage, "create", refuse)
    results = at_once(lake, [putting(f"n{n}", n) for n in range(4)])
    assert all(isinstance(result, StorageError) for result in results)
    monkeypatch.undo()
    assert lake.snapshot().scan("small").num_rows == 0
    lake.commit(putting("n1", 1), op="put", together=True)


def test_other_verbs_do_not_share_a_version(tmp_path: Path) -> None:
    lake = fresh(tmp_path, SMALL)
    before = lake.snapshot().version
    threads = []
    with lake._mutex:
        for number, op in enumerate(("put", "put", "sync", "put")):
            arguments = {"build": putting(f"n{number}", number), "op": op, "together": True}
            threads.append(threading.Thread(target=lake.commit, kwargs=arguments))
            threads[-1].start()
            while len(lake._together._waiting) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join(60)
    assert [entry.op for entry in lake.history(3)] == ["put", "sync", "put"]
    assert lake.snapshot().version == before + 3


def test_many_threads_put_and_none_joins_the_transaction_of_another(tmp_path: Path) -> None:
    Butler.makeRepo(tmp_path)
    butler = Butler.from_config(tmp_path, writeable=True, run="u/first")
    butler.registry.insertDimensionData("instrument", {"name": "Cam"})
    detectors = ({"instrument": "Cam", "id": n, "full_name": f"D{n}"} for n in range(50))
    butler.registry.insertDimensionData("detector", *detectors)
    kind = DatasetType("t", ["instrument", "detector"], "StructuredDataDict", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    for n in range(6):
        butler.collections.register(f"u/run{n}", CollectionType.RUN)
    failed: list[BaseException] = []

    def put_some(number: int) -> None:
        try:
            mine = butler.clone(run=f"u/run{number}")
            for detector in range(12):
                mine.put({"d": detector, "n": number}, kind, instrument="Cam", detector=detector)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=put_some, args=(n,)) for n in range(6)]
    with pytest.raises(RuntimeError, match="enough"), butler.transaction():
        butler.put({"d": 0}, kind, instrument="Cam", detector=0)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        raise RuntimeError("enough")
    assert failed == []
    assert not butler.query_datasets("t", "u/first", explain=False)
    refs = butler.query_datasets("t", "u/run*", find_first=False, limit=None)
    assert len(refs) == 72
    for ref in refs:
        assert butler.get(ref) == {"d": ref.dataId["detector"], "n": int(ref.run[-1])}
