# SPDX-License-Identifier: BSD-3-Clause
"""Dimension records: inserted, refused, synchronised, expanded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.errors import (
    ConflictingDefinitionError,
    DataIdValueError,
    DimensionValueError,
    InconsistentDataIdError,
)
from tests.registry.conftest import World

Look = Callable[[], tuple[int, list[str]]]


def test_a_key_that_is_taken_is_refused_and_nothing_is_written(world: World, tables: Look) -> None:
    before = tables()
    with pytest.raises(ConflictingDefinitionError, match="already"):
        world.insert(
            "detector",
            [
                {"instrument": "Cam", "id": 9, "full_name": "new"},
                {"instrument": "Cam", "id": 1, "full_name": "x"},
            ],
        )
    assert tables() == before
    world.insert(
        "detector",
        [
            {"instrument": "Cam", "id": 9, "full_name": "new"},
            {"instrument": "Cam", "id": 1, "full_name": "other"},
        ],
        skip_existing=True,
    )
    element = world.universe["detector"]
    fetch = world.registry.records.fetch
    assert fetch(world.registry.snapshot, element, ("Cam", 9)).full_name == "new"
    assert fetch(world.registry.snapshot, element, ("Cam", 1)).full_name == "d1"
    world.insert("detector", [{"instrument": "Cam", "id": 1, "full_name": "renamed"}], replace=True)
    assert fetch(world.registry.snapshot, element, ("Cam", 1)).full_name == "renamed"


@pytest.mark.parametrize("count", [3, 300])
def test_alternate_keys_are_unique(world: World, count: int) -> None:
    rows = [{"instrument": "Cam", "id": 100 + i, "full_name": f"n{i}"} for i in range(count)]
    with pytest.raises(ConflictingDefinitionError, match="full_name 'n0'"):
        world.insert("detector", [*rows, {"instrument": "Cam", "id": 999, "full_name": "n0"}])
    with pytest.raises(ConflictingDefinitionError, match="full_name 'd3'"):
        world.insert("detector", [*rows, {"instrument": "Cam", "id": 999, "full_name": "d3"}])


@pytest.mark.parametrize("count", [2, 200])
def test_records_refer_to_records_that_exist(world: World, count: int) -> None:
    rows = [{"instrument": "Cam", "id": 100 + i, "full_name": f"n{i}"} for i in range(count)]
    rows[-1]["instrument"] = "Cmm"
    with pytest.raises(DimensionValueError, match="no instrument record for instrument='Cmm'") as caught:
        world.insert("detector", rows)
    assert "Cam" in str(caught.value)


def test_synchronising_inserts_compares_or_updates(world: World) -> None:
    element = world.universe["detector"]
    same = element.RecordClass(instrument="Cam", id=1, full_name="d1")
    other = element.RecordClass(instrument="Cam", id=1, full_name="d1", purpose="SCIENCE")
    new = element.RecordClass(instrument="Cam", id=50, full_name="d50")
    assert world.registry.sync_record(element, same, update=False) is False
    with pytest.raises(ConflictingDefinitionError, match="purpose"):
        world.registry.sync_record(element, other, update=False)
    assert world.registry.sync_record(element, other, update=True) == {"purpose": None}
    assert world.registry.sync_record(element, new, update=False) is True


def test_implied_values_follow_and_are_checked(world: World) -> None:
    world.insert("physical_filter", [{"instrument": "Cam", "name": "r1", "band": "r"}])
    group = world.universe.conform(["physical_filter"])
    data_id = DataCoordinate.standardize({"instrument": "Cam", "physical_filter": "r1"}, dimensions=group)
    full = world.registry.expand(data_id)
    assert full["band"] == "r"
    assert full.records["physical_filter"].band == "r"
    wrong = DataCoordinate.from_full_values(group, ("Cam", "r1", "g"))
    with pytest.raises(InconsistentDataIdError, match="band='g'"):
        world.registry.expand(wrong)


def test_datasets_need_the_records_of_their_data_ids(world: World, tables: Look) -> None:
    before = tables()
    with pytest.raises(DataIdValueError, match="no detector record") as caught:
        world.add(77)
    assert "known detector values: 0, 1, 2" in str(caught.value)
    assert tables() == before


def test_a_batch_with_one_data_id_twice_is_refused(world: World, tables: Look) -> None:
    before = tables()
    with pytest.raises(ConflictingDefinitionError, match="occurs twice"):
        world.registry.add([world.ref(1), world.ref(1)], None, op="test")
    assert tables() == before
