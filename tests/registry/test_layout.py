# SPDX-License-Identifier: BSD-3-Clause
"""How the tables of a registry are laid out: what is asked for together lies together."""

from __future__ import annotations

import pytest

from lakebutler.dimensions import DimensionUniverse
from lakebutler.registry.schema import dataset_layout, dimension_schema

UNIVERSE = DimensionUniverse()


@pytest.mark.parametrize(
    ("dimensions", "order"),
    [
        (["exposure", "detector"], ("instrument", "exposure", "detector")),
        (["visit", "detector", "htm7"], ("instrument", "htm7", "visit", "detector")),
        (["patch", "band"], ("skymap", "tract", "patch", "band")),
    ],
)
def test_datasets_of_one_piece_lie_side_by_side(dimensions: list[str], order: tuple[str, ...]) -> None:
    schema = dataset_layout(UNIVERSE.conform(dimensions)).schema
    assert schema.sort == ("dataset_type", "collection", *order)


def test_regions_of_one_visit_lie_side_by_side() -> None:
    assert dimension_schema(UNIVERSE["visit_detector_region"]).sort == ("instrument", "visit", "detector")


@pytest.mark.parametrize("element", [e for e in UNIVERSE.elements if e.has_own_table], ids=str)
def test_records_are_sorted_by_their_whole_key(element: object) -> None:
    schema = dimension_schema(element)  # type: ignore[arg-type]
    assert sorted(schema.sort) == sorted(element.required.names)  # type: ignore[attr-defined]
    assert schema.scope == schema.sort[: len(schema.scope)]
