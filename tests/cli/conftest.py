# SPDX-License-Identifier: BSD-3-Clause
"""A small repository for the verbs to work on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

DETECTORS = 4


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One instrument, four detectors, two filters; biases in one run, flats and notes in another."""
    from lakebutler import Butler, DatasetType

    place = tmp_path_factory.mktemp("template") / "repo"
    Butler.makeRepo(str(place))
    butler = Butler.from_config(str(place), run="u/one", writeable=True)
    registry = butler.registry
    registry.insertDimensionData("instrument", {"name": "Cam", "detector_max": DETECTORS})
    registry.insertDimensionData(
        "detector",
        *(
            {"instrument": "Cam", "id": i, "full_name": f"S{i:02}", "purpose": "SCIENCE"}
            for i in range(DETECTORS)
        ),
    )
    registry.insertDimensionData(
        "physical_filter", *({"instrument": "Cam", "name": f"{b}-filter", "band": b} for b in "gr")
    )
    for name, dimensions, calibration in (
        ("bias", ["detector"], True),
        ("flat", ["detector", "physical_filter"], True),
        ("note", ["instrument"], False),
        ("empty", ["instrument"], False),
    ):
        registry.registerDatasetType(
            DatasetType(
                name, dimensions, "StructuredDataDict", universe=butler.dimensions, isCalibration=calibration
            )
        )
    with butler.transaction():
        for detector in range(DETECTORS):
            butler.put({"level": detector}, "bias", instrument="Cam", detector=detector)
    two = Butler.from_config(str(place), run="u/two", writeable=True)
    with two.transaction():
        for detector in range(2):
            for band in "gr":
                two.put(
                    {"d": detector},
                    "flat",
                    instrument="Cam",
                    detector=detector,
                    physical_filter=f"{band}-filter",
                )
        two.put({"text": "hello"}, "note", instrument="Cam")
        two.put({"level": -1}, "bias", instrument="Cam", detector=0)
    return place


@pytest.fixture
def repo(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the small repository, beside an empty current directory."""
    place = tmp_path / "repo"
    shutil.copytree(template, place)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return place
