# SPDX-License-Identifier: BSD-3-Clause
"""Long chains are searched as short ones are: the first collection counts, whatever is known of them."""

from __future__ import annotations

import random

import pytest

from lakebutler import Butler, CollectionType, DatasetRef, Timespan
from lakebutler.registry import long_paths
from tests.butler.world import CAM, DETECTORS, FILTERS

RUNS = [f"u/{i:02}" for i in range(12)]


@pytest.fixture
def chained(local_butler: Butler) -> Butler:
    butler = local_butler
    chance = random.Random(5)
    with butler.transaction():
        for run in RUNS:
            butler.collections.register(run)
            ids = [
                {"instrument": CAM, "detector": d, "physical_filter": f}
                for d in DETECTORS
                for f in FILTERS
                if chance.random() < 0.2
            ]
            butler.registry.insertDatasets("flat", ids, run=run)
        butler.collections.register("tag", CollectionType.TAGGED)
        butler.collections.register("calib", CollectionType.CALIBRATION)
        butler.collections.register("long", CollectionType.CHAINED)
        butler.collections.redefine_chain("long", [*RUNS[:3], "calib", *RUNS[3:8], "tag", *RUNS[8:]])
    return butler


def expected(butler: Butler, detector: int, physical_filter: str) -> DatasetRef | None:
    for name in butler.collections.get_info("long").children:
        ask = {"instrument": CAM, "detector": detector, "physical_filter": physical_filter}
        found = butler.find_dataset("flat", ask, collections=name)
        if found is not None:
            return found
    return None


def check(butler: Butler) -> int:
    number = 0
    for _ in range(2):  # the second time something is known of the chain
        for detector in DETECTORS:
            for physical_filter in FILTERS:
                ask = {"instrument": CAM, "detector": detector, "physical_filter": physical_filter}
                found = butler.find_dataset("flat", ask, collections="long")
                assert found == expected(butler, detector, physical_filter)
                number += found is not None
    return number


@pytest.mark.parametrize("patience", [0, 10**9])
def test_the_first_of_a_long_chain_is_found(
    chained: Butler, monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    monkeypatch.setattr(long_paths, "_PATIENCE", patience)
    before = check(chained)
    assert before > 4
    late = chained.query_datasets("flat", RUNS[-3:], find_first=False, explain=False)
    assert late
    unique = {ref.dataId: ref for ref in late}
    chained.registry.associate("tag", list(unique.values()))
    check(chained)
    chained.registry.certify("calib", list(unique.values()), Timespan(None, None))
    check(chained)
    missing = {"instrument": CAM, "detector": 3, "physical_filter": "Cam1-r"}
    if expected(chained, 3, "Cam1-r") is None:
        chained.registry.insertDatasets("flat", [missing], run=RUNS[0])
    chained.removeRuns([RUNS[4]], unlink_from_chains=True)
    assert check(chained) >= before - 8


def test_data_ids_that_nothing_has_are_not_found(chained: Butler) -> None:
    for _ in range(5):
        for name in ("Cam1-g", "no such filter"):
            ask = {"instrument": CAM, "detector": 77, "physical_filter": name}
            assert chained.find_dataset("flat", ask, collections="long") is None


def test_two_data_ids_with_one_hash_are_told_apart(chained: Butler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_paths, "_FACTOR", 1)
    check(chained)
