# SPDX-License-Identifier: BSD-3-Clause
"""The conformance suite on the cameras of the package, and on one that breaks its rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lakebutler.instruments import camera_names, load_camera
from lakebutler.testing.camera import CameraTests

LSST: dict[str, Any] = {
    "INSTRUME": "lsstCam", "TELESCOP": "Simonyi Survey Telescope", "IMGTYPE": "OBJECT", "CONTRLLR": "O",
    "OBSID": "MC_O_20250609_000578", "DAYOBS": "20250609", "SEQNUM": 578, "MJD-BEG": 60836.3138342,
    "DATE-OBS": "2025-06-10T07:31:55.280", "DATE": "2025-06-10T07:32:26.225", "TIMESYS": "TAI",
    "DATE-END": "2025-06-10T07:32:25.280", "EXPTIME": 30.0, "FILTER": "y_10", "RAFTBAY": "R01",
    "CCDSLOT": "S01", "ROTPA": 131.35, "ROTCOORD": "sky", "RA": 320.6, "DEC": -17.9, "RADESYS": "ICRS",
    "TRACKSYS": "RADEC", "AZSTART": 60.2, "ELSTART": 67.9, "VIGN_MIN": "NO",
}  # fmt: skip
SEEN = {
    "exposure_id": 2025060900578, "detector": 1, "physical_filter": "y_10", "day_obs": 20250609,
    "sky_angle_deg": 131.35, "tracking_ra_deg": 320.6, "can_see_sky": True, "observation_type": "science",
}  # fmt: skip


class Common(CameraTests):
    """Cameras whose headers are tested elsewhere."""


@pytest.mark.parametrize("camera", sorted({n for n in camera_names() if not n.startswith("LSSTCam")}))
class TestEveryCamera(Common):
    @pytest.fixture
    def loaded(self, camera: str) -> Any:
        return load_camera(camera)

    def observe(self, loaded: Any, number: int) -> Any:
        raise AssertionError("there are no headers")


class TestLSSTCam(CameraTests):
    camera = "LSSTCam"
    headers = ((LSST, SEEN), (LSST | {"CCDSLOT": "S02"}, {"detector": 2}))
    foreign = ({"INSTRUME": "LATISS", "TELESCOP": "LSST AuxTelescope"}, {"INSTRUME": "LSSTCamSim"}, {})


class TestAnAmateursCamera(CameraTests):
    headers = (
        (
            {
                "INSTRUME": "ASI", "FILTER": "Ha", "EXPTIME": 9.0, "DATE-OBS": "2026-03-14T21:05:00",
                "IMAGETYP": "Light",
            },
            {"file_name": "0815.fits", "exposure_id": 815, "exposure_time_s": 9.0, "day_obs": 20260314},
        ),
    )  # fmt: skip

    @pytest.fixture
    def loaded(self, tmp_path: Path) -> Any:
        path = tmp_path / "Mine.yaml"
        path.write_text(
            yaml.safe_dump(
                {
                    "schema": 1,
                    "name": "Mine",
                    "limits": {"detector": 1, "visit": 10**9, "exposure": 10**9},
                    "filters": {"columns": ["name", "band"], "rows": [["Ha", "Ha"]]},
                    "raw": {"file_names": [r"(?P<number>\d+)\.fits"]},
                    "header": {
                        "match": {"INSTRUME": ["ASI"]},
                        "rules": {
                            "exposure_id": {"file_name": "number", "type": "integer"},
                            "observation_id": "DATE-OBS",
                            "detector_num": {"value": 0},
                            "physical_filter": "FILTER",
                            "datetime_begin": {"card": "DATE-OBS", "time": "isot"},
                            "exposure_time": "EXPTIME",
                            "observation_type": {"card": "IMAGETYP", "map": {"Light": "science"}},
                        },
                    },
                    "detectors": {"columns": ["id", "name"], "rows": [[0, "chip"]]},
                }
            )
        )
        return load_camera(path)


def test_the_suite_finds_a_wrong_expectation() -> None:
    class Wrong(CameraTests):
        camera = "LSSTCam"
        headers = ((LSST, {"detector": 5}),)

    with pytest.raises(AssertionError):
        Wrong().test_headers_give_what_is_expected(load_camera("LSSTCam"))


def test_the_suite_finds_a_camera_that_takes_foreign_headers() -> None:
    class Greedy(CameraTests):
        camera = "LSSTCam"
        foreign = (LSST,)

    with pytest.raises(AssertionError):
        Greedy().test_it_knows_its_own_headers_and_no_others(load_camera("LSSTCam"))
