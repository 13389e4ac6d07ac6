# SPDX-License-Identifier: BSD-3-Clause
"""Cameras in a repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lakebutler import Butler
from lakebutler.errors import ConflictingDefinitionError, InstrumentError, ReadOnlyButlerError
from lakebutler.instruments import load_camera, register_instrument


@pytest.fixture
def butler(tmp_path: Path) -> Butler:
    Butler.makeRepo(tmp_path / "repo")
    return Butler.from_config(tmp_path / "repo", writeable=True)


def test_a_camera_is_registered_with_all_that_belongs_to_it(butler: Butler) -> None:
    added = register_instrument(butler, "HSC")
    assert added == {"instrument": 1, "detector": 112, "physical_filter": 25, "visit_system": 1}
    (record,) = butler.query_dimension_records("instrument", instrument="HSC")
    assert record.toDict() == {
        "name": "HSC",
        "class_name": "lsst.obs.subaru.HyperSuprimeCam",
        "detector_max": 200,
        "visit_max": 21474800,
        "exposure_max": 21474800,
        "visit_system": 0,
    }
    (detector,) = butler.query_dimension_records("detector", instrument="HSC", detector=104)
    assert detector.toDict() == {
        "instrument": "HSC",
        "id": 104,
        "full_name": "1_48",
        "name_in_raft": "48",
        "raft": "1",
        "purpose": "FOCUS",
    }
    (optics,) = butler.query_dimension_records("physical_filter", instrument="HSC", physical_filter="HSC-R2")
    assert optics.toDict()["band"] == "r"
    (system,) = butler.query_dimension_records("visit_system", instrument="HSC")
    assert system.toDict() == {"instrument": "HSC", "id": 0, "name": "one-to-one"}


def test_registering_is_one_commit_and_again_is_none(butler: Butler) -> None:
    before = butler.version
    register_instrument(butler, "DECam")
    assert butler.version == before + 1
    assert sum(register_instrument(butler, "DECam").values()) == 0
    assert butler.version == before + 1


def test_a_different_description_is_refused_unless_it_is_to_replace(butler: Butler) -> None:
    register_instrument(butler, "DemoCam")
    camera = load_camera("DemoCam")
    first = replace(camera.detectors[0], purpose="GUIDER")
    other = replace(camera, detectors=(first, *camera.detectors[1:]))
    with pytest.raises(ConflictingDefinitionError, match=r"detector 0 of DemoCam .* purpose 'SCIENCE'"):
        register_instrument(butler, other)
    assert register_instrument(butler, other, update=True)["detector"] == 1
    (record,) = butler.query_dimension_records("detector", instrument="DemoCam", detector=0)
    assert record.toDict()["purpose"] == "GUIDER"


def test_two_cameras_stand_beside_each_other(butler: Butler) -> None:
    register_instrument(butler, "DECam")
    register_instrument(butler, "DemoCam")
    assert len(butler.query_dimension_records("detector", instrument="DemoCam")) == 9
    assert len(butler.query_dimension_records("detector", instrument="DECam")) == 62


def test_an_unknown_camera_changes_nothing(butler: Butler) -> None:
    before = butler.version
    with pytest.raises(InstrumentError, match="no camera 'Decma'"):
        register_instrument(butler, "Decma")
    assert butler.version == before


def test_a_read_only_repository_is_left_alone(butler: Butler) -> None:
    with pytest.raises(ReadOnlyButlerError):
        register_instrument(Butler.from_config(butler.root), "DECam")
