# SPDX-License-Identifier: BSD-3-Clause
"""Copies of one version: whole, of a version that is past, and of some datasets with what they need."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakebutler import (
    Butler,
    CollectionType,
    EmptyQueryResultError,
    FileIntegrityError,
    RepositoryExistsError,
    SnapshotNotFoundError,
)
from lakebutler.butler.maintenance.clone import Subset, clone
from lakebutler.butler.maintenance.verify import verify
from tests.butler.test_versions import look
from tests.butler.world import CAM, EXPOSURES, Place, note_id


@pytest.fixture
def full(butler: Butler) -> Butler:
    """Three notes, one tagged; a label; a chain."""
    with butler.transaction():
        refs = [butler.put({"seeing": e}, "note", note_id(e)) for e in EXPOSURES]
        butler.put("hello", "label", instrument=CAM)
    butler.collections.register("picked", CollectionType.TAGGED)
    butler.registry.associate("picked", refs[:1])
    butler.collections.register("all", CollectionType.CHAINED)
    butler.collections.redefine_chain("all", ["picked", "u/test"])
    return butler


def test_a_copy_answers_as_the_original(full: Butler, place: Place, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    done = clone(place.url, target, storage_options=place.storage_options)
    assert (done.version, done.datasets, done.files) == (full.version, 4, 4)
    with Butler(target) as copy:
        assert look(copy) == look(full)
        assert copy.version == 0
        assert next(copy.history()).op == "create"
        assert copy.get("label", instrument=CAM, collections="all") == "hello"
    assert not verify(target).findings
    with pytest.raises(RepositoryExistsError):
        clone(place.url, target, storage_options=place.storage_options)


def test_a_copy_goes_where_the_original_can_be(full: Butler, place: Place) -> None:
    target = Place(place.url + "-copy", place.storage_options)
    clone(place.url, target.url, storage_options=place.storage_options)
    with target.open(run="u/new") as copy:
        copy.put({"seeing": 1.0}, "note", note_id(101, 2))
    assert not verify(target.url, storage_options=place.storage_options).findings


def test_a_copy_of_the_past_is_as_the_past_was(local_butler: Butler, local: Place, tmp_path: Path) -> None:
    butler = local_butler
    butler.put({"seeing": 1}, "note", note_id())
    good = look(butler)
    butler.tag("dr1")
    butler.put({"seeing": 2}, "note", note_id(102))
    clone(local.url, tmp_path / "copy", as_of="dr1")
    with Butler(tmp_path / "copy") as copy:
        assert look(copy) == good
    with pytest.raises(SnapshotNotFoundError):
        clone(local.url, tmp_path / "other", as_of="dr2")
    assert not (tmp_path / "other").exists()


def test_some_datasets_come_with_what_they_need_and_no_more(
    local_butler: Butler, local: Place, tmp_path: Path
) -> None:
    butler = local_butler
    for exposure in EXPOSURES:
        butler.put({"seeing": exposure}, "note", note_id(exposure))
    butler.put("hello", "label", instrument=CAM)
    butler.collections.register("other", CollectionType.RUN)
    butler.collections.register("all", CollectionType.CHAINED)
    butler.collections.redefine_chain("all", ["other", "u/test"])
    done = clone(
        local.url, tmp_path / "copy", subset=Subset(["note"], where="instrument = 'Cam1' AND exposure = 201")
    )
    assert (done.datasets, done.files) == (1, 1)
    with Butler(tmp_path / "copy") as copy:
        (ref,) = copy.query_datasets("note", collections="all")
        assert copy.get(ref) == {"seeing": 201}
        assert copy.registry.expandDataId(ref.dataId).hasRecords()
        assert [r.id for r in copy.query_dimension_records("exposure", instrument=CAM)] == [201]
        assert [r.name for r in copy.query_dimension_records("physical_filter", instrument=CAM)] == ["Cam1-r"]
        assert [r.id for r in copy.query_dimension_records("detector", instrument=CAM)] == [0]
        assert [t.name for t in copy.registry.queryDatasetTypes()] == ["note"]
        assert sorted(copy.collections.query("*")) == ["all", "u/test"]
        assert copy.collections.get_info("all").children == ("u/test",)
    assert not verify(tmp_path / "copy").findings
    with pytest.raises(EmptyQueryResultError):
        clone(
            local.url,
            tmp_path / "none",
            subset=Subset(["note"], where="instrument = 'Cam1' AND exposure = 102 AND detector = 3"),
        )


def test_damage_is_not_copied(local_butler: Butler, local: Place, tmp_path: Path) -> None:
    local_butler.put({"seeing": 1}, "note", note_id())
    local_butler.put({"seeing": 1}, "note", note_id(102))
    path = Path(local.url) / max(local.files())
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(FileIntegrityError, match=path.name):
        clone(local.url, tmp_path / "copy")
    with pytest.raises(FileNotFoundError):
        Butler(tmp_path / "copy")
