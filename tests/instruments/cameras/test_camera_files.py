# SPDX-License-Identifier: BSD-3-Clause
"""The cameras of the package against real registries and tables of their geometry."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from lsst.sphgeom import ConvexPolygon, Region

from lakebutler.errors import InstrumentError
from lakebutler.instruments import camera_names, load_camera
from lakebutler.instruments.cameras.geometry import detector_corners, detector_region
from lakebutler.instruments.cameras.reader import parse_camera

ARCSEC = math.pi / 648000
SIZES = {
    "HSC": 112, "DECam": 62, "MegaPrime": 36, "LSSTCam": 205, "LSSTComCam": 9, "LATISS": 1, "LSSTCamSim": 205,
    "LSSTComCamSim": 9, "LSSTCam-imSim": 189, "testCam": 1, "DemoCam": 9,
}  # fmt: skip


def test_these_cameras_come_with_the_package() -> None:
    assert {name: len(load_camera(name).detectors) for name in SIZES} == SIZES
    assert set(SIZES) <= set(camera_names())


@pytest.mark.parametrize("name", [n for n in SIZES if n not in ("testCam", "DemoCam")])
def test_every_detector_lies_where_the_table_of_the_geometry_says(name: str, shared_data: Path) -> None:
    table = yaml.load((shared_data / f"geometry/{name}.yaml").read_text(), yaml.CSafeLoader)
    camera = load_camera(name)
    assert len(camera.detectors) == len(table["detectors"])
    for row in table["detectors"]:
        detector = camera.detectors_by_name[row["full_name"]]
        assert detector.placement is not None
        assert (detector.id, detector.purpose) == (row["id"], row["purpose"])
        assert detector.placement.bbox == tuple(row["bbox"])
        assert detector.placement.offset_mm == tuple(row["offset"])
        assert np.abs(detector_corners(detector.placement) - row["corners_fp"]).max() < 2e-6
    assert camera.focal_plane is not None
    assert camera.focal_plane.flip_x is table["camera"]["flip_x"]
    assert camera.focal_plane.plate_scale_arcsec_per_mm == table["camera"]["plate_scale_arcsec_per_mm"]


def test_detector_regions_are_the_real_ones(shared_data: Path) -> None:
    golden = yaml.safe_load((shared_data / "geometry/golden_detector_regions.yaml").read_text())
    worst: dict[str, float] = {}
    for case in golden["regions"]:
        camera = load_camera(case["instrument"])
        made = detector_region(
            camera,
            camera.detector(case["detector"]),
            ra_deg=case["ra"],
            dec_deg=case["dec"],
            sky_angle_deg=case["sky_angle"],
            padding_px=case["padding"],
        )
        real = Region.decode(bytes.fromhex(case["region"]))
        assert isinstance(real, ConvexPolygon)
        pairs = zip(made.getVertices(), real.getVertices(), strict=True)
        residual = max(math.dist(tuple(a), tuple(b)) for a, b in pairs)
        worst[case["instrument"]] = max(worst.get(case["instrument"], 0.0), residual / ARCSEC)
    assert set(worst) == {"HSC", "LSSTCam", "MegaPrime"}
    assert max(worst.values()) < golden["tolerance_arcsec"], worst


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize(("repository", "name"), [("latiss", "LATISS"), ("lsstCam", "LSSTCam")])
def test_detectors_and_filters_are_those_of_real_registries(
    repository: str, name: str, shared_data: Path
) -> None:
    database = shared_data / f"gen3_repos/{repository}/gen3.sqlite3"
    camera = load_camera(name)
    found = rows(database, "SELECT id, full_name, name_in_raft, raft, purpose FROM detector ORDER BY id")
    assert found == [(d.id, d.name, d.name_in_raft, d.raft, d.purpose) for d in camera.detectors]
    registered = dict(rows(database, "SELECT name, band FROM physical_filter"))
    ours = {f.name: f.band for f in camera.filters}
    assert {n: ours.get(n) for n in registered} == registered
    assert rows(database, "SELECT class_name, visit_max, exposure_max FROM instrument") == [
        (camera.class_name, camera.limits.visit, camera.limits.exposure)
    ]


FACTS: dict[str, Any] = {
    "schema": 1,
    "name": "Mosaic",
    "limits": {"detector": 20, "visit": 10, "exposure": 10},
    "filters": {
        "columns": ["name", "band"],
        "rows": [["R", "r"], ["V", "g"], ["R~thick", "dark"]],
        "joined": [{"first": ["R", "V"], "second": ["thin", "thick"], "band": "{first}~nd"}],
    },
    "header": {"translator": "HSC"},
    "detectors": {
        "kinds": {"ccd": {"bbox": [0, 0, 9, 9], "pixel_mm": [1, 1], "reference_px": [4.5, 4.5]}},
        "layouts": {"pair": {"columns": ["name", "x_mm"], "rows": [["a", -6], ["b", 6]]}},
        "rafts": {
            "columns": ["name", "first_id", "kind", "layout", "x_mm", "y_mm"],
            "rows": [["R1", 4, "ccd", "pair", 20, 1], ["R0", 0, "ccd", "pair", -20, 1]],
        },
    },
}


def parsed(**changes: Any) -> Any:
    return parse_camera(yaml.safe_dump(FACTS | changes), source="mosaic.yaml")


def test_rafts_repeat_a_layout() -> None:
    camera = parsed()
    assert [(d.id, d.name) for d in camera.detectors] == [(0, "R0_a"), (1, "R0_b"), (4, "R1_a"), (5, "R1_b")]
    assert camera.detectors[3].raft == "R1"
    assert camera.detectors[3].placement.offset_mm == (26.0, 1.0, 0.0)


def test_filters_of_two_wheels_are_joined() -> None:
    filters = {f.name: f.band for f in parsed().filters}
    assert filters == {
        "R": "r",
        "V": "g",
        "R~thick": "dark",
        "R~thin": "r~nd",
        "V~thin": "g~nd",
        "V~thick": "g~nd",
    }


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("detectors", {"layouts": {}}, "rafts: row 1: unknown layout 'pair'"),
        ("detectors", {"rafts": {"columns": ["name"], "rows": []}}, "rafts: column 'first_id' is missing"),
        ("detectors", {"columns": ["id", "name"], "rows": [[4, "x"]]}, "row 1: 4 'x' occurs twice"),
        ("filters", {"joined": [{"first": ["Q"], "second": ["thin"]}]}, "joined: 1: first: "),
        ("filters", {"joined": [{"first": ["R"], "second": ["x" * 40]}]}, "longer than 32"),
    ],
)
def test_a_fault_says_where(section: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InstrumentError) as caught:
        parsed(**{section: FACTS[section] | change})
    assert message in str(caught.value)


def test_a_camera_is_like_another_of_the_package_but_for_what_it_says() -> None:
    text = "schema: 1\nname: Twin\nlike: LSSTComCam\nlimits: {detector: 9, visit: 5, exposure: 5}\n"
    twin, model = parse_camera(text, source="twin.yaml"), load_camera("LSSTComCam")
    assert (twin.detectors, twin.filters, twin.focal_plane) == (
        model.detectors,
        model.filters,
        model.focal_plane,
    )
    assert (twin.name, twin.limits.exposure, twin.aliases) == ("Twin", 5, ())


@pytest.mark.parametrize("name", ["../../etc/passwd", "LSSTCamSim", "LSSTCan"])
def test_a_camera_is_like_nothing_else(name: str) -> None:
    with pytest.raises(InstrumentError, match=r"twin.yaml: like: "):
        parse_camera(f"schema: 1\nname: Twin\nlike: {name}\n", source="twin.yaml")
