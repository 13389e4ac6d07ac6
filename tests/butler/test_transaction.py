# SPDX-License-Identifier: BSD-3-Clause
"""Several operations in one commit: all of them or none, rows and files together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    Butler,
    CollectionType,
    CommitUnknownError,
    ConflictingDefinitionError,
    DatasetIdGenEnum,
    DatasetRef,
    DatasetType,
    FileDataset,
    MissingCollectionError,
    StorageError,
)
from tests.butler.world import CAM, EXPOSURES, Place, dataset_type, note_id, refused


class Stop(Exception):
    """Raised by a test to leave a block."""


def ref_to(butler: Butler, **values: Any) -> DatasetRef:
    return DatasetRef(
        dataset_type(butler, "note"),
        note_id() | values,
        run="u/test",
        id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN,
    )


def source(folder: Path, name: str) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"name": name}))
    return path


def test_everything_in_the_block_is_one_version(place: Place, butler: Butler) -> None:
    before = butler.version
    with butler.transaction(message="all of it"):
        butler.collections.register("u/new")
        kind = DatasetType("fresh", ["instrument"], "Text", universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        butler.registry.insertDimensionData("detector", {"instrument": CAM, "id": 7, "full_name": "R99"})
        ref = butler.put("text", "fresh", instrument=CAM, run="u/new")
        butler.put({"d": 7}, "note", note_id(detector=7))
        butler.registry.registerCollection("tag")
        butler.registry.associate("tag", [ref])
        butler.registry.registerCollection("chain", CollectionType.CHAINED)
        butler.collections.redefine_chain("chain", ["tag", "u/new"])
    assert butler.version == before + 1
    entry = next(iter(butler.history(1)))
    assert (entry.op, entry.message) == ("transaction", "all of it")
    with place.open(collections="chain") as other:
        assert other.get("fresh", instrument=CAM) == "text"
        assert other.get("note", note_id(detector="R99"), collections="u/test") == {"d": 7}


def test_the_block_sees_what_it_did_and_others_do_not_yet(place: Place, butler: Butler) -> None:
    with place.open(collections="u/test") as reader, butler.transaction():
        ref = butler.put({"a": 1}, "note", note_id())
        assert butler.get(ref) == butler.get("note", note_id()) == {"a": 1}
        assert butler.query_datasets("note") == [ref]
        assert butler.sql("SELECT count(*) AS n FROM note").to_arrow_table().to_pylist() == [{"n": 1}]
        assert butler.find_dataset("note", note_id()) == ref
        assert butler.get_dataset(ref.id) == ref
        assert not reader.exists(ref)
        assert reader.query_datasets("note", explain=False) == []
        butler.registry.registerCollection("tag")
        butler.registry.associate("tag", [ref])
        assert butler.query_datasets("note", "tag") == [ref]
        assert "tag" not in reader.collections.query("*")
    assert butler.query_datasets("note", "tag") == [ref]


def test_an_exception_undoes_rows_and_files(place: Place, butler: Butler, tmp_path: Path) -> None:
    butler.put({"kept": 1}, "note", note_id(201))
    moved, copied = source(tmp_path, "moved"), source(tmp_path, "copied")
    before = place.tree(), butler.version

    def work(reason: type[BaseException]) -> None:
        with butler.transaction():
            butler.collections.register("u/new")
            butler.put({"a": 1}, "note", note_id())
            mode = "copy" if place.remote else "move"
            butler.ingest(FileDataset(moved, ref_to(butler, exposure=102)), transfer=mode)
            butler.ingest(FileDataset(copied, ref_to(butler, detector=1)), transfer="copy")
            assert len(butler.query_datasets("note")) == 4
            raise reason

    for reason in (Stop, KeyboardInterrupt, SystemExit, GeneratorExit):
        with pytest.raises(reason):
            work(reason)
        assert (place.tree(), butler.version) == before
        assert len(butler.query_datasets("note")) == 1
        assert "u/new" not in butler.collections.query("*")
        assert moved.exists()
        assert copied.exists()
    butler.put({"a": 2}, "note", note_id())
    assert butler.get("note", note_id()) == {"a": 2}


def test_moved_originals_go_when_the_transaction_is_committed(
    local: Place, local_butler: Butler, tmp_path: Path
) -> None:
    original = source(tmp_path, "moved")
    with local_butler.transaction():
        local_butler.ingest(FileDataset(original, ref_to(local_butler)), transfer="move")
        assert original.exists()
    assert not original.exists()
    assert local_butler.get("note", note_id()) == {"name": "moved"}


def test_an_inner_transaction_that_fails_undoes_only_itself(place: Place, butler: Butler) -> None:

    def fail_inside() -> None:
        with butler.transaction():
            butler.put({"inner": 1}, "note", note_id(102))
            butler.registry.registerCollection("inner")
            with butler.transaction():
                butler.put({"innermost": 1}, "note", note_id(201))
            assert len(butler.query_datasets("note")) == 3
            raise Stop

    with butler.transaction():
        butler.put({"outer": 1}, "note", note_id())
        with pytest.raises(Stop):
            fail_inside()
        assert len(butler.query_datasets("note")) == 1
        assert len(place.files()) == 1
        with butler.transaction():
            butler.put({"second": 1}, "note", note_id(102))
    assert {ref.dataId["exposure"] for ref in butler.query_datasets("note")} == {101, 102}
    assert len(place.files()) == 2
    assert butler.get("note", note_id(102)) == {"second": 1}
    assert "inner" not in butler.collections.query("*")


def test_an_outer_transaction_that_fails_undoes_the_inner_ones(place: Place, butler: Butler) -> None:
    before = place.tree(), butler.version

    def fail() -> None:
        with butler.transaction():
            with butler.transaction():
                butler.put({"inner": 1}, "note", note_id(102))
            butler.put({"outer": 1}, "note", note_id())
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert (place.tree(), butler.version) == before


def test_the_same_data_id_twice_inside_is_refused_and_the_first_stays(place: Place, butler: Butler) -> None:
    with butler.transaction():
        butler.put({"n": 1}, "note", note_id())
        files = place.files()
        with pytest.raises(ConflictingDefinitionError, match="u/test"):
            butler.put({"n": 2}, "note", note_id())
        assert place.files() == files
        with pytest.raises(ConflictingDefinitionError):
            butler.registry.insertDatasets("note", [note_id()], run="u/test")
    assert butler.get("note", note_id()) == {"n": 1}
    assert len(butler.query_datasets("note")) == 1


def test_an_operation_that_fails_inside_leaves_the_rest(place: Place, butler: Butler) -> None:
    with butler.transaction():
        butler.put({"n": 1}, "note", note_id())
        with pytest.raises(MissingCollectionError):
            butler.put({"n": 2}, "note", note_id(102), run="nope")
        with pytest.raises(ConflictingDefinitionError):
            butler.registry.insertDimensionData("instrument", {"name": CAM})
        butler.put({"n": 3}, "note", note_id(201))
    assert len(butler.query_datasets("note")) == 2
    assert len(place.files()) == 2


def test_an_empty_transaction_commits_nothing(place: Place, butler: Butler) -> None:
    before = place.tree(), butler.version
    with butler.transaction(message="nothing"):
        butler.query_dimension_records("detector")
    assert (place.tree(), butler.version) == before


def test_a_transaction_goes_in_after_what_others_did_elsewhere(place: Place, butler: Butler) -> None:
    with place.open(run="u/other") as other:
        with butler.transaction():
            butler.put({"who": "me"}, "note", note_id())
            other.put({"who": "other"}, "note", note_id())
            other.put({"who": "other"}, "note", note_id(102), run="u/test")
            butler.put({"who": "me"}, "note", note_id(201))
        assert other.get("note", note_id(), collections="u/test") == {"who": "me"}
        assert butler.get("note", note_id(102)) == {"who": "other"}
        assert [e.version for e in butler.history()] == list(range(butler.version, -1, -1))


def test_a_transaction_that_lost_its_data_id_to_another_is_refused_whole(
    place: Place, butler: Butler
) -> None:
    with place.open(run="u/test") as other:

        def lose() -> None:
            with butler.transaction():
                butler.put({"who": "me"}, "note", note_id(102))
                butler.put({"who": "me"}, "note", note_id())
                other.put({"who": "other"}, "note", note_id())

        with pytest.raises(ConflictingDefinitionError, match="u/test"):
            lose()
        assert butler.query_datasets("note") == [other.find_dataset("note", note_id())]
    assert butler.get("note", note_id()) == {"who": "other"}
    assert len(place.files()) == 1


@pytest.mark.parametrize("what", ["run", "type", "tag", "dimension", "certify", "chain"])
def test_a_transaction_notices_what_others_took_away_or_did_first(
    place: Place, butler: Butler, what: str
) -> None:
    """Each check that an operation made inside must still hold when the commit is made."""
    bias = butler.put({"b": 1}, "bias", instrument=CAM, detector=0)
    twin_run = "u/twin"
    butler.collections.register(twin_run)
    twin = butler.put({"b": 2}, "bias", instrument=CAM, detector=0, run=twin_run)
    butler.registry.registerCollection("calib", CollectionType.CALIBRATION)
    butler.registry.registerCollection("tag")
    for name in ("chain", "link"):
        butler.registry.registerCollection(name, CollectionType.CHAINED)
    butler.collections.register("u/empty")
    from lakebutler import CollectionCycleError, DatasetNotFoundError, MissingDatasetTypeError, Timespan

    always = Timespan(None, None)
    mine: dict[str, Any] = {
        "run": lambda b: b.put({}, "note", note_id(), run="u/empty"),
        "type": lambda b: b.put("text", "label", instrument=CAM),
        "tag": lambda b: b.registry.associate("tag", [bias]),
        "dimension": lambda b: b.registry.insertDimensionData(
            "detector", {"instrument": CAM, "id": 9, "full_name": "mine"}
        ),
        "certify": lambda b: b.registry.certify("calib", [bias], always),
        "chain": lambda b: b.collections.redefine_chain("chain", ["link"]),
    }
    theirs: dict[str, Any] = {
        "run": lambda b: b.collections.x_remove("u/empty"),
        "type": lambda b: b.registry.removeDatasetType("label"),
        "tag": lambda b: b.registry.removeDatasets([bias]),
        "dimension": lambda b: b.registry.insertDimensionData(
            "detector", {"instrument": CAM, "id": 9, "full_name": "theirs"}
        ),
        "certify": lambda b: b.registry.certify("calib", [twin], always),
        "chain": lambda b: b.collections.redefine_chain("link", ["chain"]),
    }
    errors: dict[str, type[BaseException]] = {
        "run": MissingCollectionError,
        "type": MissingDatasetTypeError,
        "tag": DatasetNotFoundError,
        "dimension": ConflictingDefinitionError,
        "certify": ConflictingDefinitionError,
        "chain": CollectionCycleError,
    }
    with place.open(writeable=True) as other:

        def race() -> None:
            with butler.transaction():
                mine[what](butler)
                theirs[what](other)

        with pytest.raises(errors[what]):
            race()
        after = place.tree()
        with pytest.raises(errors[what]):
            mine[what](butler)
    assert place.tree() == after


def test_files_stay_where_a_commit_may_have_landed(
    place: Place, butler: Butler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log entry is written, and then the answer is lost, or something else breaks."""
    storage = butler._session.lake.storage
    create = storage.create

    def broken(kind: type[BaseException]) -> Any:
        def written_but(path: str, data: bytes) -> None:
            create(path, data)
            if "/log/" in path:
                raise kind("no answer")

        return written_but

    for number, kind in enumerate((CommitUnknownError, RuntimeError, KeyboardInterrupt, MemoryError)):
        exposure = list(EXPOSURES)[number % 3]
        for attempt, verb in enumerate((put_one, put_in_transaction)):
            detector = 2 * (number // 3) + attempt
            with monkeypatch.context() as patch:
                patch.setattr(storage, "create", broken(kind))
                with pytest.raises(kind):
                    verb(butler, note_id(exposure, detector))
            with place.open(collections="u/test") as reader:
                found = reader.get("note", note_id(exposure, detector))
            assert found == {"exposure": exposure}
    assert len(place.files()) == 8


def put_one(butler: Butler, where: dict[str, Any]) -> None:
    butler.put({"exposure": where["exposure"]}, "note", where)


def put_in_transaction(butler: Butler, where: dict[str, Any]) -> None:
    with butler.transaction():
        put_one(butler, where)


def test_a_commit_that_is_refused_leaves_nothing(
    place: Place, butler: Butler, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = butler._session.lake.storage

    def refuse(path: str, data: bytes) -> None:
        raise StorageError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "create", refuse)
        for verb in (put_one, put_in_transaction):
            with refused(place, butler, StorageError, "no room"):
                verb(butler, note_id())
    put_one(butler, note_id())


def test_large_transactions_go_through_parquet_and_back(place: Place, butler: Butler) -> None:
    """More rows than an entry holds inline."""
    count = 1500
    add = butler.registry.insertDimensionData
    with butler.transaction():
        add("group", *({"instrument": CAM, "name": f"g{i}"} for i in range(count)))
        add(
            "exposure",
            *(
                {
                    "instrument": CAM,
                    "id": 1000 + i,
                    "obs_id": f"o{i}",
                    "group": f"g{i}",
                    "day_obs": 20250101,
                    "physical_filter": "Cam1-g",
                    "seq_num": 100 + i,
                }
                for i in range(count)
            ),
        )
        butler.registry.insertDatasets("note", [note_id(1000 + i) for i in range(count)], run="u/test")
        assert len(butler.query_datasets("note")) == count
    assert len(butler.query_datasets("note", where="exposure >= 2000")) == count - 1000
    before = place.tree()

    def fail() -> None:
        with butler.transaction():
            butler.registry.insertDatasets("note", [note_id(1000 + i, 1) for i in range(count)], run="u/test")
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert place.tree() == before


def test_one_id_put_into_two_runs_at_once_is_refused_to_the_second(butler: Butler, place: Place) -> None:
    for run in ("run/a", "run/b"):
        butler.collections.register(run)
    kind = butler.get_dataset_type("note")
    data_id = butler.registry.expandDataId(note_id())
    mode = DatasetIdGenEnum.DATAID_TYPE
    first, second = (
        DatasetRef(kind, data_id, run=run, id_generation_mode=mode) for run in ("run/a", "run/b")
    )
    assert first.id == second.id
    with place.open(writeable=True) as other:
        before = place.files()
        with pytest.raises(ConflictingDefinitionError, match=r"its ID .* is that of"), butler.transaction():
            butler.put({"a": 1}, first)
            other.put({"b": 2}, second)
    assert butler.get(second) == {"b": 2}
    assert not butler.query_datasets("note", "run/a", explain=False)
    assert len(place.files() - before) == 1
