# SPDX-License-Identifier: BSD-3-Clause
"""From pixels to the sky, against real regions and against astropy's WCS."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from hypothesis import given
from hypothesis import strategies as st
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from lakebutler.errors import InstrumentError
from lakebutler.instruments import load_camera
from lakebutler.instruments.cameras.camera import FieldAngle, Placement
from lakebutler.instruments.cameras.geometry import (
    detector_corners,
    detector_region,
    field_angle,
    focal_plane_mm,
    pixel_of_boresight,
    sky_vectors,
    tan_wcs,
    visit_region,
)
from lakebutler.instruments.headers.file import read_file

ARCSEC = math.pi / 648000
PLACED = Placement((0, 0, 99, 49), (0.01, 0.02), (49.5, 24.5), (3.0, -2.0, 0.0), yaw_deg=30.0)


def vectors_of(longitude_deg: Any, latitude_deg: Any) -> Any:
    lon, lat = np.radians(longitude_deg), np.radians(latitude_deg)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def separation_arcsec(a: Any, b: Any) -> float:
    return float(np.max(np.linalg.norm(np.asarray(a) - np.asarray(b), axis=-1))) / ARCSEC


def test_the_reference_pixel_lies_at_the_offset() -> None:
    assert focal_plane_mm(PLACED, PLACED.reference_px).tolist() == [3.0, -2.0]


def test_yaw_turns_the_x_axis_of_the_pixels_towards_y() -> None:
    step = focal_plane_mm(PLACED, (59.5, 24.5)) - (3.0, -2.0)
    assert step == pytest.approx([0.1 * math.cos(math.pi / 6), 0.1 * math.sin(math.pi / 6)])


def test_corners_go_around_the_detector_with_its_padding() -> None:
    level = replace(PLACED, yaw_deg=0.0)
    corners = detector_corners(level, 10)
    assert corners == pytest.approx(np.array([(2.4, -2.7), (3.6, -2.7), (3.6, -1.3), (2.4, -1.3)]))


@given(st.floats(-180, 180), st.floats(-10, 10), st.floats(-10, 10))
def test_the_pixel_of_the_boresight_lies_on_the_axis(yaw: float, x: float, y: float) -> None:
    placed = replace(PLACED, yaw_deg=yaw, offset_mm=(x, y, 0.0))
    assert focal_plane_mm(placed, pixel_of_boresight(placed)) == pytest.approx([0, 0], abs=1e-12)


@given(st.floats(0, 0.02))
def test_the_inverse_map_undoes_the_polynomial(angle: float) -> None:
    optics = FieldAngle("radial_inverse", (0.0, 14805.4, 13619.3, 426637.0))
    radius = 14805.4 * angle + 13619.3 * angle**2 + 426637.0 * angle**3
    found = field_angle(optics, [(radius * 0.6, radius * -0.8)])
    assert found[0] == pytest.approx([0.6 * angle, -0.8 * angle], abs=1e-15)


def test_real_detector_regions_come_out_to_a_millionth_of_an_arcsecond(shared_data: Path) -> None:
    golden = yaml.safe_load((shared_data / "geometry/golden_detector_regions.yaml").read_text())
    tested = 0
    for row in golden["regions"]:
        if row["instrument"] != "HSC":
            continue
        camera = load_camera("HSC")
        detector = camera.detector(row["detector"])
        region = detector_region(
            camera, detector, row["ra"], row["dec"], row["sky_angle"], padding_px=row["padding"]
        )
        polygon = ConvexPolygon.decode(bytes.fromhex(row["region"]))
        assert isinstance(polygon, ConvexPolygon)
        expected = polygon.getVertices()
        found = region.getVertices()
        assert len(found) == len(expected)
        assert separation_arcsec([list(v) for v in found], [list(v) for v in expected]) < 1e-6
        tested += 1
    assert tested >= 10


@pytest.mark.parametrize("name", ["HSC", "DECam"])
def test_corners_are_those_of_the_collected_tables(name: str, shared_data: Path) -> None:
    facts = yaml.safe_load((shared_data / f"geometry/{name}.yaml").read_text())
    camera = load_camera(name)
    assert camera.focal_plane is not None
    assert camera.focal_plane.flip_x is facts["camera"]["flip_x"]
    for row in facts["detectors"]:
        placement = camera.detector(row["id"]).placement
        assert placement is not None
        assert detector_corners(placement) == pytest.approx(np.array(row["corners_fp"]), abs=6e-7)


def test_the_obs_test_geometry_is_that_of_the_wcs_in_its_raws(shared_data: Path) -> None:
    camera = load_camera("testCam")
    placement = camera.detectors[0].placement
    assert placement is not None
    assert camera.focal_plane is not None
    for path in sorted((shared_data / "gen2_obs_test/data/input/raw").iterdir()):
        (o,) = read_file(str(path), [camera]).observations
        assert o.tracking_ra_deg is not None
        assert o.tracking_dec_deg is not None
        assert o.sky_angle_deg is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = WCS(fits.getheader(path))
        corners = [(-0.5, -0.5), (1025.5, -0.5), (1025.5, 1999.5), (-0.5, 1999.5)]
        expected = vectors_of(*wcs.all_pix2world(corners, 0).T)
        found = sky_vectors(
            camera.focal_plane,
            detector_corners(placement),
            o.tracking_ra_deg,
            o.tracking_dec_deg,
            o.sky_angle_deg,
        )
        assert separation_arcsec(found, expected) < 0.02  # the header's CD matrix has seven digits


@pytest.mark.parametrize("angle", [0.0, 37.0, 90.0, 251.5])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("pointing", [(10.0, 20.0), (359.99, -75.0), (0.0, 89.9)])
def test_the_wcs_of_a_header_and_the_geometry_agree(
    pointing: tuple[float, float], flip: bool, angle: float
) -> None:
    camera = load_camera("DemoCam")
    assert camera.focal_plane is not None
    camera = replace(camera, focal_plane=replace(camera.focal_plane, flip_x=flip))
    assert camera.focal_plane is not None
    for detector in camera.detectors:
        assert detector.placement is not None
        wcs = WCS(fits.Header(tan_wcs(camera, detector, *pointing, angle)))
        pixels = [(-0.5, -0.5), (255.5, -0.5), (255.5, 255.5), (-0.5, 255.5)]
        expected = vectors_of(*wcs.all_pix2world(pixels, 0).T)
        found = sky_vectors(camera.focal_plane, detector_corners(detector.placement), *pointing, angle)
        assert separation_arcsec(found, expected) < 1e-6


def test_without_rotation_and_flip_x_points_west_and_y_north() -> None:
    camera = load_camera("DemoCam")
    assert camera.focal_plane is not None
    east_of, north_of = sky_vectors(camera.focal_plane, [(-1.0, 0.0), (0.0, 1.0)], 0.0, 0.0, 0.0)
    assert east_of[1] > 0.0
    assert north_of[2] > 0.0
    assert abs(east_of[2]) < 1e-15
    assert abs(north_of[1]) < 1e-15


def test_the_region_of_a_visit_holds_those_of_its_detectors() -> None:
    camera = load_camera("DemoCam")
    whole = visit_region(camera, 359.95, 5.0, 12.0)
    for detector in camera.detectors:
        region = detector_region(camera, detector, 359.95, 5.0, 12.0, padding_px=0)
        assert whole.contains(region)
    assert whole.contains(UnitVector3d(LonLat.fromDegrees(359.95, 5.0)))


def test_a_camera_without_geometry_has_no_regions() -> None:
    camera = replace(load_camera("DemoCam"), focal_plane=None)
    with pytest.raises(InstrumentError, match="geometry of camera DemoCam is not known"):
        detector_region(camera, camera.detectors[0], 0, 0, 0)
    with pytest.raises(InstrumentError, match="no radial optics"):
        tan_wcs(load_camera("HSC"), load_camera("HSC").detectors[0], 0, 0, 0)
