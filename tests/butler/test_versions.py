# SPDX-License-Identifier: BSD-3-Clause
"""Versions of a repository through the butler: tag, mistake, difference, going back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakebutler import (
    Butler,
    ButlerUserError,
    CollectionType,
    DatasetNotFoundError,
    ReadOnlyButlerError,
    Timespan,
)
from tests.butler.world import CAM, Place, note_id

NOTE = {"seeing": 0.7}


def look(butler: Butler) -> object:
    """All that queries answer."""
    refs = list(butler.query_datasets("note", collections="*", find_first=False))
    records = butler.query_dimension_records("physical_filter", instrument=CAM)
    return (
        sorted((str(r.id), r.run, str(r.dataId), butler.get(r)["seeing"]) for r in refs),
        sorted((r.name, r.band) for r in records),
        sorted((i.name, i.type.name, i.children) for i in butler.collections.query_info("*")),
        sorted(t.name for t in butler.registry.queryDatasetTypes()),
    )


def mistake(butler: Butler) -> None:
    """Put, chain, tag, certify, register and change what should have been left alone."""
    ref = butler.put({"seeing": 9.9}, "note", note_id(201))
    butler.collections.register("chain", CollectionType.CHAINED)
    butler.collections.redefine_chain("chain", ["u/test"])
    butler.collections.register("picked", CollectionType.TAGGED)
    butler.registry.associate("picked", [ref])
    bias = butler.put(NOTE, "bias", instrument=CAM, detector=1)
    butler.collections.register("calib", CollectionType.CALIBRATION)
    butler.registry.certify("calib", [bias], Timespan(None, None))
    butler.registry.syncDimensionData(
        "physical_filter", {"instrument": CAM, "name": "Cam1-g", "band": "u"}, update=True
    )


def test_a_mistake_is_seen_and_undone(butler: Butler, place: Place) -> None:
    butler.put(NOTE, "note", note_id())
    good = look(butler)
    version = butler.version
    assert butler.tag("dr1", message="good").version == version
    mistake(butler)
    assert look(butler) != good
    found = butler.diff("dr1")
    assert found.totals == {
        ("collection", "added"): 3,
        ("dataset", "added"): 2,
        ("membership", "added"): 2,
        ("dimension record", "changed"): 1,
        ("tag", "added"): 1,
    }
    (record,) = found.items("dimension record")
    assert (record.name, record.fields) == ("physical_filter", ("band",))
    assert {i.data_id["exposure"] for i in found.items("dataset") if i.name == "note"} == {201}  # type: ignore[index]
    assert butler.diff(butler.version, "dr1").count("dataset", "removed") == 2

    plan = butler.restore("dr1", dry_run=True)
    assert plan.version is None
    assert plan.diff.count("dataset", "removed") == 2
    assert look(butler) != good
    done = butler.restore("dr1")
    assert done.version == butler.version
    assert not done.gone
    assert look(butler) == good
    with place.open() as again:
        assert look(again) == good
        assert [tag.name for tag in again.tags()] == ["dr1"]
        assert next(again.history()).op == "restore"
    with place.open(as_of=done.version - 1) as wrong:
        assert look(wrong) != good
    assert not butler.diff("dr1").count("dataset")
    butler.put(NOTE, "note", note_id(201))  # the place is free again


def test_restoring_forward_brings_datasets_back(local_butler: Butler) -> None:
    butler = local_butler
    empty = butler.version
    butler.put(NOTE, "note", note_id())
    full, good = butler.version, look(butler)
    butler.restore(empty)
    assert not list(butler.query_datasets("note", "u/test", explain=False))
    assert butler.restore(full).diff.count("dataset", "added") == 1
    assert look(butler) == good


def test_a_dataset_whose_file_is_gone_is_named_and_not_restored(local_butler: Butler, local: Place) -> None:
    butler = local_butler
    empty = butler.version
    ref = butler.put(NOTE, "note", note_id())
    full = butler.version
    butler.restore(empty)
    (path,) = local.files()
    os.unlink(Path(local.url) / path)
    plan = butler.restore(full, dry_run=True)
    assert [gone.path for gone in plan.gone] == [path]
    before = butler.version
    with pytest.raises(DatasetNotFoundError, match=path):
        butler.restore(full)
    assert butler.version == before
    done = butler.restore(full, allow_missing=True)
    assert [gone.id for gone in done.gone] == [ref.id]
    with pytest.raises(DatasetNotFoundError):
        butler.get(ref)
    assert butler.get_dataset(ref.id) == ref


def test_versions_are_not_made_where_they_cannot_be(local_butler: Butler, local: Place) -> None:
    with local.open() as reader:
        with pytest.raises(ReadOnlyButlerError):
            reader.tag("dr1")
        with pytest.raises(ReadOnlyButlerError):
            reader.restore(0)
        assert reader.restore(reader.version, dry_run=True).diff.count() == 0
    with local_butler.transaction():
        with pytest.raises(ButlerUserError, match="transaction"):
            local_butler.tag("dr1")
        with pytest.raises(ButlerUserError, match="transaction"):
            local_butler.diff(0)
