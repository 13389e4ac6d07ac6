# SPDX-License-Identifier: BSD-3-Clause
"""Defaults, clones, closing, pickling, versions of the past, read-only butlers."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    Butler,
    ButlerUserError,
    CollectionExpressionError,
    CollectionType,
    ConflictingDefinitionError,
    DatasetNotFoundError,
    DatasetRef,
    DatasetType,
    DimensionNameError,
    FileDataset,
    MissingCollectionError,
    NoDefaultCollectionError,
    ReadOnlyButlerError,
    SnapshotNotFoundError,
    StorageError,
    Timespan,
)
from tests.butler.world import CAM, DETECTORS, Place, check_message, dataset_type, fill, note_id, refused

ROOT = Path(__file__).resolve().parents[2]

# --------------------------------------------------------------------- defaults


def test_the_run_is_the_default_collection(place: Place, butler: Butler) -> None:
    butler.put({"a": 1}, "note", note_id())
    assert tuple(butler.collections.defaults) == ("u/test",)
    assert butler.get("note", note_id()) == {"a": 1}
    with place.open() as other:
        assert list(other.collections) == []
        assert other.run is None
        with pytest.raises(NoDefaultCollectionError) as caught:
            other.get("note", note_id())
        check_message(caught.value, "collections=", "u/test")
        assert other.get("note", note_id(), collections="u/test") == {"a": 1}


def test_collections_are_searched_in_the_order_given(place: Place, butler: Butler) -> None:
    for run in ("a", "b"):
        butler.collections.register(run)
        butler.put({"run": run}, "note", note_id(), run=run)
    for order in (["a", "b"], ["b", "a"]):
        with place.open(collections=order) as other:
            assert other.get("note", note_id()) == {"run": order[0]}
            assert other.get("note", note_id(), collections=order[::-1]) == {"run": order[1]}


def test_the_only_instrument_of_the_default_collections_is_the_default(place: Place, butler: Butler) -> None:
    butler.put({"a": 1}, "note", note_id())
    with place.open(collections="u/test") as other:
        assert other.get("note", exposure=101, detector=0) == {"a": 1}
        assert other.registry.expandDataId(exposure=101)["instrument"] == CAM
        assert [d.id for d in other.query_dimension_records("detector", where="detector IN (0, 1)")] == [0, 1]
    with place.open(collections="u/test", inferDefaults=False) as other, pytest.raises(DimensionNameError):
        other.get("note", exposure=101, detector=0)


def second_camera(butler: Butler) -> None:
    with butler.transaction():
        butler.registry.insertDimensionData("instrument", {"name": "Cam2"})
        butler.collections.register("u/two")
        butler.put("other", "label", instrument="Cam2", run="u/two")


def test_with_two_instruments_there_is_no_default_unless_one_is_given(place: Place, butler: Butler) -> None:
    butler.put("mine", "label", instrument=CAM)
    second_camera(butler)
    with place.open(collections=["u/test", "u/two"]) as other, pytest.raises(DimensionNameError):
        other.get("label")
    with place.open(collections=["u/test", "u/two"], instrument="Cam2") as other:
        assert other.get("label") == "other"
        assert other.get("label", instrument=CAM) == "mine"
        with other.clone(dataId={"instrument": CAM}) as third:
            assert third.get("label") == "mine"
    with place.open(collections=["u/two"]) as other:
        assert other.get("label") == "other"


def test_a_tag_of_one_instrument_gives_the_default_too(place: Place, butler: Butler) -> None:
    ref = butler.put("mine", "label", instrument=CAM)
    second_camera(butler)
    butler.registry.registerCollection("tag")
    butler.registry.associate("tag", [ref])
    butler.registry.registerCollection("chain", CollectionType.CHAINED)
    butler.collections.redefine_chain("chain", ["tag"])
    with place.open(collections="chain") as other:
        assert other.get("label") == "mine"


# ----------------------------------------------------------------------- clones


def test_a_clone_has_defaults_and_transactions_of_its_own(place: Place, butler: Butler) -> None:
    with butler.clone(run="u/other") as clone:
        assert (clone.run, list(clone.collections)) == ("u/other", ["u/other"])
        assert (butler.run, list(butler.collections)) == ("u/test", ["u/test"])
        with butler.transaction():
            butler.put({"who": "original"}, "note", note_id())
            assert butler.exists("note", note_id())
            assert not clone.exists("note", note_id(), collections="u/test")
            clone.put({"who": "clone"}, "note", note_id())
            assert clone.exists("note", note_id())
        assert clone.get("note", note_id(), collections="u/test") == {"who": "original"}
    assert butler.get("note", note_id(), collections="u/other") == {"who": "clone"}


def test_closing_a_clone_leaves_the_original_open_and_the_other_way_round(butler: Butler) -> None:
    clone, other = butler.clone(), butler.clone(collections=[])
    clone.close()
    clone.close()
    butler.put({"a": 1}, "note", note_id())
    butler.close()
    assert other.get("note", note_id(), collections="u/test") == {"a": 1}
    other.put({"a": 2}, "note", note_id(102), run="u/test")
    other.close()


def test_a_clone_with_unknown_collections_finds_nothing_in_them(place: Place, butler: Butler) -> None:
    with butler.clone(collections=["nope"]) as other, refused(place, butler, MissingCollectionError, "nope"):
        other.query_datasets("note")
    with refused(place, butler, CollectionExpressionError, "no*"):
        butler.clone(collections=["no*"], run="u/new")
    butler.put({"a": 1}, "note", note_id())


def test_clones_of_several_threads_work_side_by_side(butler: Butler) -> None:
    def work(number: int) -> list[dict[str, Any]]:
        with butler.clone(run=f"u/thread{number}") as mine:
            for detector in DETECTORS:
                mine.put({"n": number, "d": detector}, "note", note_id(detector=detector))
            return [mine.get("note", note_id(detector=d)) for d in DETECTORS]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(4)))
    assert results == [[{"n": n, "d": d} for d in DETECTORS] for n in range(4)]
    found = butler.query_datasets("note", [f"u/thread{n}" for n in range(4)], find_first=False)
    assert len(found) == 4 * len(DETECTORS)


# ---------------------------------------------------------------------- closing


def test_a_closed_butler_says_so(butler: Butler) -> None:
    ref = butler.put({"a": 1}, "note", note_id())
    handle = butler.getDeferred(ref)
    butler.close()
    calls = [
        lambda: butler.get(ref),
        lambda: butler.get("note", note_id()),
        lambda: butler.put({}, "note", note_id(102)),
        lambda: butler.query_datasets("note"),
        lambda: butler.collections.query("*"),
        lambda: butler.registry.queryDatasetTypes(),
        lambda: butler.sql("SELECT 1"),
        lambda: next(iter(butler.history())),
        lambda: butler.clone(),
        handle.get,
    ]
    assert repr(butler) == f"Butler({butler.root!r}, closed)"
    assert "closed" in butler._repr_html_()
    for call in calls:
        with pytest.raises(ButlerUserError) as caught:
            call()
        check_message(caught.value, "closed", "open")


def test_a_butler_is_not_closed_inside_a_transaction(place: Place, butler: Butler) -> None:
    with butler.transaction():
        butler.put({"a": 1}, "note", note_id())
        with pytest.raises(ButlerUserError, match="transaction"):
            butler.close()
    assert butler.get("note", note_id()) == {"a": 1}


def test_opening_and_closing_keeps_no_file_open(local: Place, local_butler: Butler) -> None:
    local_butler.put({"a": 1}, "note", note_id())

    def round_trip() -> int:
        with local.open(collections="u/test") as other:
            other.get("note", note_id())
            other.query_datasets("note")
            other.sql("SELECT count(*) FROM note")
        return len(os.listdir("/proc/self/fd"))

    round_trip()
    first = round_trip()
    assert max(round_trip() for _ in range(5)) <= first + 1


# --------------------------------------------------------------------- pickling


def _in_another_process(code: str, *objects: Any) -> str:
    import base64

    text = base64.b64encode(pickle.dumps(objects)).decode()
    program = f"import base64, pickle\nobjects = pickle.loads(base64.b64decode({text!r}))\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_references_handles_and_butlers_go_to_other_processes(place: Place, butler: Butler) -> None:
    ref = butler.put({"a": 1}, "note", note_id())
    handle = butler.getDeferred("note", note_id())
    code = """
butler, ref, handle, data_id = objects
print(butler.get(ref), handle.get(), butler.get("note", data_id), butler.run)
butler.put({"from": "there"}, "note", data_id, detector=1)
assert ref.dataId.hasFull() and ref.dataId.records["detector"].full_name == "R22_S00"
"""
    out = _in_another_process(code, butler, ref, handle, ref.dataId)
    assert out == "{'a': 1} {'a': 1} {'a': 1} u/test"
    assert butler.get("note", note_id(detector=1)) == {"from": "there"}


def test_a_pickled_butler_keeps_its_version_and_defaults(place: Place, butler: Butler) -> None:
    butler.put({"a": 1}, "note", note_id())
    with place.open(collections=["u/test"], instrument=CAM, as_of=butler.version) as old:
        butler.put({"a": 2}, "note", note_id(102))
        again = pickle.loads(pickle.dumps(old))
        assert again.version == old.version
        assert again.get("note", exposure=101, detector=0) == {"a": 1}
        assert not again.exists("note", note_id(102))
        assert not again.isWriteable()
        again.close()


# ------------------------------------------------------------------------- past


def test_a_version_of_the_past_is_seen_as_it_was(place: Place, butler: Butler) -> None:
    butler.put({"n": 1}, "note", note_id())
    first = butler.version
    butler.put({"n": 2}, "note", note_id(102))
    butler.registry.registerCollection("later")
    second = butler.version
    assert second == first + 2
    with place.open(collections="u/test", as_of=first) as old:
        assert old.version == first
        assert [ref.dataId["exposure"] for ref in old.query_datasets("note")] == [101]
        assert "later" not in old.collections.query("*")
        assert old.sql("SELECT count(*) AS n FROM note").to_arrow_table().to_pylist() == [{"n": 1}]
        with pytest.raises(DatasetNotFoundError):
            old.get("note", note_id(102))
        butler.put({"n": 3}, "note", note_id(201))
        assert len(old.query_datasets("note")) == 1
    with place.open(as_of=0) as empty:
        assert empty.collections.query("*") == []


def test_a_time_of_the_past_is_a_version(place: Place, butler: Butler) -> None:
    butler.put({"n": 1}, "note", note_id())
    entry = next(iter(butler.history(1)))
    butler.put({"n": 2}, "note", note_id(102))
    for when in (entry.time, entry.time.isoformat(), entry.time + timedelta(microseconds=1)):
        with place.open(collections="u/test", as_of=when) as old:
            assert old.version == entry.version
    with place.open(collections="u/test", as_of=datetime.now(UTC) + timedelta(days=1)) as now:
        assert now.version == butler.version


@pytest.mark.parametrize("when", [99, -5, "1999-01-01", "no-such-tag", datetime(1999, 1, 1, tzinfo=UTC)])
def test_a_past_that_never_was_is_named(place: Place, butler: Butler, when: Any) -> None:
    with pytest.raises(SnapshotNotFoundError) as caught:
        place.open(as_of=when)
    check_message(caught.value, str(when)[:10])


def test_the_past_cannot_be_changed(place: Place, butler: Butler) -> None:
    with place.open(as_of=butler.version, collections="u/test", writeable=True) as old:
        assert not old.isWriteable()
        with refused(place, old, ReadOnlyButlerError, "history", "as_of"):
            old.put({}, "note", note_id(), run="u/test")
        with refused(place, old, ReadOnlyButlerError, "history"), old.transaction():
            pass


def test_history_says_what_was_done(butler: Butler) -> None:
    butler.put({"n": 1}, "note", note_id())
    with butler.transaction(message="two at once"):
        butler.put({"n": 2}, "note", note_id(102))
        butler.put({"n": 3}, "note", note_id(201))
    entries = list(butler.history())
    assert [e.version for e in entries] == list(range(butler.version, -1, -1))
    assert (entries[0].op, entries[0].message) == ("transaction", "two at once")
    assert entries[1].op == "put"
    assert entries[-1].op == "create"
    assert all(a.time > b.time for a, b in itertools.pairwise(entries))
    assert [e.version for e in butler.history(2)] == [butler.version, butler.version - 1]


# -------------------------------------------------------------------- read-only


def every_change(butler: Butler) -> dict[str, Any]:
    """Every public method that would change the repository."""
    kind = dataset_type(butler, "bias")
    ref = DatasetRef(kind, {"instrument": CAM, "detector": 0}, run="u/test")
    new = DatasetType("new", (), "StructuredDataDict", universe=butler.dimensions)
    registry, always = butler.registry, Timespan(None, None)
    return {
        "put": lambda: butler.put({}, "note", note_id(), run="u/test"),
        "put by reference": lambda: butler.put({}, ref),
        "ingest": lambda: butler.ingest(FileDataset("/etc/passwd", [ref]), transfer="direct"),
        "transaction": lambda: butler.transaction().__enter__(),
        "collections.register": lambda: butler.collections.register("u/new"),
        "collections.register again": lambda: butler.collections.register("u/test"),
        "prepend_chain": lambda: butler.collections.prepend_chain("chain", ["u/test"]),
        "extend_chain": lambda: butler.collections.extend_chain("chain", ["u/test"]),
        "redefine_chain": lambda: butler.collections.redefine_chain("chain", ["u/test"]),
        "remove_from_chain": lambda: butler.collections.remove_from_chain("chain", ["u/test"]),
        "x_remove": lambda: butler.collections.x_remove("tag"),
        "registerDatasetType": lambda: registry.registerDatasetType(new),
        "registerDatasetType again": lambda: registry.registerDatasetType(kind),
        "removeDatasetType": lambda: registry.removeDatasetType("label"),
        "registerCollection": lambda: registry.registerCollection("new"),
        "registerRun": lambda: registry.registerRun("u/new"),
        "removeCollection": lambda: registry.removeCollection("tag"),
        "setCollectionChain": lambda: registry.setCollectionChain("chain", ["u/test"]),
        "setCollectionDocumentation": lambda: registry.setCollectionDocumentation("tag", "text"),
        "insertDimensionData": lambda: registry.insertDimensionData("instrument", {"name": "Cam9"}),
        "syncDimensionData": lambda: registry.syncDimensionData("instrument", {"name": "Cam9"}),
        "insertDatasets": lambda: registry.insertDatasets("label", [{"instrument": CAM}], run="u/test"),
        "removeDatasets": lambda: registry.removeDatasets([ref]),
        "associate": lambda: registry.associate("tag", [ref]),
        "disassociate": lambda: registry.disassociate("tag", [ref]),
        "certify": lambda: registry.certify("calib", [ref], always),
        "decertify": lambda: registry.decertify("calib", "bias", always),
    }


@pytest.fixture
def prepared(butler: Butler) -> Butler:
    butler.registry.registerCollection("tag")
    butler.registry.registerCollection("calib", CollectionType.CALIBRATION)
    butler.registry.registerCollection("chain", CollectionType.CHAINED)
    butler.put({"a": 1}, "note", note_id())
    return butler


def test_a_read_only_butler_refuses_every_change(place: Place, prepared: Butler) -> None:
    before = place.tree()
    with place.open(collections="u/test") as reader:
        for name, change in every_change(reader).items():
            with pytest.raises(ReadOnlyButlerError) as caught:
                change()
            check_message(caught.value, "read-only", "writeable=True")
            assert place.tree() == before, name


def read_everything(butler: Butler) -> None:
    """Every public method that reads."""
    ref = butler.find_dataset("note", note_id())
    assert ref is not None
    assert butler.get(ref) == butler.get("note", note_id()) == butler.getDeferred(ref).get() == {"a": 1}
    assert butler.exists(ref)
    assert butler.stored(ref)
    assert butler.get_dataset(ref.id) == ref
    butler.getURI(ref)
    butler.getURIs(ref)
    butler.getURI("note", note_id(102), run="u/test", predict=True)
    assert butler.query_datasets("note") == [ref]
    assert butler.query_data_ids(["exposure", "detector"])
    assert butler.query_dimension_records("exposure")
    assert butler.sql("SELECT count(*) AS n FROM note").to_arrow_table().to_pylist() == [{"n": 1}]
    with butler.query() as query:
        assert query.datasets("note", "u/test").count() == 1
    butler.collections.query_info("*", include_parents=True, include_summary=True)
    butler.registry.getCollectionSummary("u/test")
    butler.registry.queryDatasetTypes()
    butler.registry.refresh()
    list(butler.history())
    repr(butler)
    butler._repr_html_()


def _times(root: str) -> dict[str, int]:
    return {d: os.stat(d).st_mtime_ns for d, _, _ in os.walk(root)}


def test_reading_writes_nothing(local: Place, observatory: Path) -> None:
    prepare_local(local)
    before, times = local.tree(), _times(local.url)
    with local.open(collections="u/test") as reader:
        read_everything(reader)
        with reader.clone() as clone:
            read_everything(clone)
        with local.open(collections="u/test", as_of=reader.version) as old:
            read_everything(old)
    assert local.tree() == before
    assert _times(local.url) == times


def prepare_local(place: Place) -> None:
    place.make()
    with place.open(run="u/test") as butler:
        fill(butler)
        butler.put({"a": 1}, "note", note_id())
        butler.registry.registerCollection("tag")
        butler.registry.registerCollection("calib", CollectionType.CALIBRATION)
        butler.registry.registerCollection("chain", CollectionType.CHAINED)


def test_a_directory_that_cannot_be_written_can_be_read(local: Place) -> None:
    prepare_local(local)
    before = local.tree()
    with not_writable(local.url):
        with local.open(collections="u/test") as reader:
            read_everything(reader)
        with local.open(collections="u/test", writeable=True) as writer:
            read_everything(writer)
            for change in (
                lambda: writer.put({}, "note", note_id(102), run="u/test"),
                lambda: writer.registry.registerRun("u/new"),
                lambda: writer.registry.insertDimensionData("instrument", {"name": "Cam9"}),
            ):
                with pytest.raises(StorageError) as caught:
                    change()
                check_message(caught.value, local.url, "ermission")
            with pytest.raises(StorageError), writer.transaction():
                writer.put({}, "note", note_id(102), run="u/test")
        with pytest.raises(StorageError) as caught:
            local.open(run="u/new")
        check_message(caught.value, "ermission")
    assert local.tree() == before


def test_a_repository_cannot_be_made_where_nothing_may_be_written(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    with not_writable(str(closed)):
        for url in (closed, closed / "repo"):
            with pytest.raises(StorageError) as caught:
                Butler.makeRepo(url)
            check_message(caught.value, str(closed), "ermission")
    assert list(closed.iterdir()) == []


CAP_DAC_OVERRIDE = 1


@contextmanager
def not_writable(root: str) -> Iterator[None]:
    """Take away the permission to write below a directory, even from root."""
    modes = {d: os.stat(d).st_mode for d, _, _ in os.walk(root)}
    for directory in modes:
        os.chmod(directory, 0o555)
    try:
        with without_override():
            yield
    finally:
        for directory, mode in modes.items():
            os.chmod(directory, mode)


@contextmanager
def without_override() -> Iterator[None]:
    """Let permissions count for this thread though it is root's."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    before = data[0]
    data[0] = before & ~(1 << CAP_DAC_OVERRIDE)
    assert libc.capset(header, data) == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        data[0] = before
        assert libc.capset(header, data) == 0


def test_a_reader_sees_what_others_commit_meanwhile(place: Place, butler: Butler) -> None:
    with place.open(collections="u/test") as reader:
        assert reader.find_dataset("note", note_id()) is None
        butler.put({"a": 1}, "note", note_id())
        assert reader.get("note", note_id()) == {"a": 1}
        with reader.query() as query:
            butler.put({"a": 2}, "note", note_id(102))
            assert query.datasets("note").count() == 1
        assert len(reader.query_datasets("note")) == 2


def test_two_writers_see_each_other_and_conflict_cleanly(place: Place, butler: Butler) -> None:
    with place.open(run="u/test") as other:
        butler.put({"who": 1}, "note", note_id())
        with refused(place, other, ConflictingDefinitionError, "u/test"):
            other.put({"who": 2}, "note", note_id())
        other.put({"who": 2}, "note", note_id(102))
        assert butler.get("note", note_id(102)) == {"who": 2}


def test_a_butler_can_be_used_by_threads_that_only_read(butler: Butler) -> None:
    for detector in DETECTORS:
        butler.put({"d": detector}, "note", note_id(detector=detector))
    failures: list[BaseException] = []

    def read(detector: int) -> None:
        try:
            with butler.clone() as mine:
                for _ in range(10):
                    assert mine.get("note", note_id(detector=detector)) == {"d": detector}
                    assert len(mine.query_datasets("note")) == len(DETECTORS)
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=read, args=(d,)) for d in DETECTORS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
