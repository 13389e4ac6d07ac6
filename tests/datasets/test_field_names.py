# SPDX-License-Identifier: BSD-3-Clause
"""Members of the value types that are there for the sake of their names."""

from __future__ import annotations

import copy

from lakebutler import DataCoordinate, DatasetRef, DatasetType, DimensionUniverse

UNIVERSE = DimensionUniverse()


def test_a_reference_moves_to_another_universe() -> None:
    config = copy.deepcopy(dict(UNIVERSE.to_config()))
    config["namespace"] = "ours"
    other = DimensionUniverse(config)
    kind = DatasetType("bias", ["detector"], "StructuredDataDict", universe=UNIVERSE)
    data_id = DataCoordinate.standardize(instrument="Cam", detector=3, dimensions=kind.dimensions)
    ref = DatasetRef(kind, data_id, "run")
    moved = ref.conform_to(other)
    assert moved.dimensions.universe is other
    assert (moved.id, moved.run, dict(moved.dataId.required)) == (ref.id, "run", dict(data_id.required))
    assert ref.conform_to(UNIVERSE) is ref


def test_groups_have_a_difference() -> None:
    visit, detector = UNIVERSE.conform(["visit", "detector"]), UNIVERSE.conform(["detector"])
    assert visit.difference(UNIVERSE.conform(["visit"])) == detector
    assert detector.as_group() is detector


def test_elements_have_their_older_names() -> None:
    detector = UNIVERSE.dimensions["detector"]
    assert detector.primaryKey == detector.primary_key
    assert {key.name for key in detector.alternateKeys} == {"full_name"}
    assert {key.name for key in detector.uniqueKeys} == {"id", "full_name"}
    assert detector.metadata == detector.metadata_columns
    assert detector.hasTable()
    assert not UNIVERSE["band"].hasTable()
    assert detector.to_simple() == "detector"


def test_a_universe_knows_the_order_of_its_elements() -> None:
    names = ["instrument", "detector", "visit_detector_region"]
    places = [UNIVERSE.getElementIndex(name) for name in names]
    assert places == sorted(places)
    assert UNIVERSE.getDimensionIndex("detector") == UNIVERSE["detector"].index
    assert "htm7" not in UNIVERSE.database_elements.names
    assert {"detector", "visit_definition"} <= set(UNIVERSE.database_elements.names)


def test_a_data_id_is_its_own_data_id() -> None:
    data_id = DataCoordinate.standardize(instrument="Cam", universe=UNIVERSE)
    assert data_id.dataId is data_id
    assert DataCoordinate.from_json(json_str=data_id.to_json(), universe=UNIVERSE) == data_id
