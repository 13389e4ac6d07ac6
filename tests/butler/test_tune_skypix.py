# SPDX-License-Identifier: BSD-3-Clause
"""The level of the index of the sky is measured, can be changed at any time, and changes no answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakebutler import Butler
from lakebutler.butler.maintenance.tune_skypix import (
    LEVELS,
    best_level,
    overlap_level,
    set_overlap_level,
    tune_skypix,
)
from lakebutler.errors import InvalidQueryError
from lakebutler.query.skylevels import LevelCost
from tests.cli.running import call, succeed
from tests.query.test_sky import fill, tile


@pytest.fixture
def butler(tmp_path: Path) -> Iterator[Butler]:
    Butler.makeRepo(tmp_path / "repo")
    with Butler.from_config(tmp_path / "repo", writeable=True) as made:
        fill(made)
        yield made


def test_finer_pixels_make_more_rows_and_fewer_candidates(butler: Butler) -> None:
    version = butler.version
    costs = tune_skypix(butler)
    assert [cost.level for cost in costs] == list(LEVELS)
    assert costs[0].ranges < costs[-1].ranges
    assert costs[0].candidates > costs[-1].candidates >= 1
    assert all(cost.cover_us > 0 and cost.look_up_us > 0 for cost in costs)
    assert butler.version == version


def test_the_best_is_the_coarsest_of_those_that_are_fast() -> None:
    costs = [LevelCost(level, 1, 1, 1, us) for level, us in ((6, 300.0), (7, 110.0), (8, 100.0), (9, 101.0))]
    assert best_level(costs) == 7


def test_an_empty_repository_has_nothing_to_measure(tmp_path: Path) -> None:
    Butler.makeRepo(tmp_path / "empty")
    with Butler.from_config(tmp_path / "empty") as empty:
        assert tune_skypix(empty) == []


@pytest.mark.parametrize("level", [6, 11])
def test_rows_of_several_levels_go_together(butler: Butler, level: int) -> None:
    where = "skymap='map' AND instrument='Cam'"
    before = set(butler.query_data_ids(["visit", "patch"], where=where, limit=None))
    set_overlap_level(butler, level)
    assert overlap_level(butler) == level
    assert set(butler.query_data_ids(["visit", "patch"], where=where, limit=None)) == before
    old = butler.query_dimension_records("visit", where="instrument='Cam' AND visit=1")[0]
    again = {**old.toDict(), "id": 500, "name": "v500", "region": tile(0.1, -0.4, 0.55, 0.5)}
    butler.registry.insertDimensionData("visit", again)
    after = set(butler.query_data_ids(["visit", "patch"], where=where, limit=None))
    assert {d for d in after if d["visit"] != 500} == before
    same = {(d["tract"], d["patch"]) for d in before if d["visit"] == 1}
    assert {(d["tract"], d["patch"]) for d in after if d["visit"] == 500} == same


def test_a_level_that_the_index_cannot_have_is_refused(butler: Butler) -> None:
    version = butler.version
    for level in (LEVELS[0] - 1, LEVELS[-1] + 1):
        with pytest.raises(InvalidQueryError, match="level"):
            set_overlap_level(butler, level)
    set_overlap_level(butler, overlap_level(butler))
    assert butler.version == version


def test_the_command_lists_and_sets(butler: Butler) -> None:
    root = butler.repository.root
    listed = succeed("tune-skypix", root).out
    assert "now" in listed
    assert "best" in listed
    succeed("tune-skypix", root, "--set", "10")
    with Butler.from_config(root) as other:
        assert overlap_level(other) == 10
    succeed("tune-skypix", root, "--set", "best")
    assert call("tune-skypix", root, "--set", "fine").code == 2
    assert "6 to 12" in call("tune-skypix", root, "--set", "99").err
