# SPDX-License-Identifier: BSD-3-Clause
"""Regions of all detectors at once: against real ones, and against lsst-sphgeom byte by byte."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst.sphgeom import ConvexPolygon, Region, UnitVector3d

from lakebutler.errors import InstrumentError
from lakebutler.instruments import load_camera
from lakebutler.instruments.cameras.geometry import convex_hull, visit_region
from lakebutler.instruments.visits.regions import Footprints, binary_array, encode_polygons, separation_arcsec

CAMERAS = ["HSC", "DECam", "MegaPrime", "LSSTCam", "LSSTComCam", "LATISS", "testCam", "DemoCam"]
ARCSEC = np.pi / 648000


class Loader(yaml.CSafeLoader):
    """Reads the exports, whose regions have a tag of their own."""


def _encoded(loader: Any, suffix: str, node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        return bytes.fromhex(loader.construct_mapping(node)["encoded"])
    return loader.construct_scalar(node)


Loader.add_multi_constructor("!", _encoded)
Loader.add_multi_constructor("lsst", _encoded)


def records_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for block in yaml.load(path.read_text(), Loader)["data"]:
        if block["type"] == "dimension":
            found[block["element"]] += block["records"]
    return found


def vertices_of(encoded: bytes) -> Any:
    return np.frombuffer(encoded[1:], "<f8").reshape(-1, 3)


def residual_arcsec(model: Any, real: Any) -> float:
    """Turn the model rigidly onto the real vertices; what is left (Kabsch 1976)."""
    u, _, vt = np.linalg.svd(real.T @ model)
    turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return float(np.linalg.norm(model @ turn.T - real, axis=1).max() / ARCSEC)


def test_the_golden_regions_come_out(shared_data: Path) -> None:
    golden = yaml.safe_load((shared_data / "geometry/golden_detector_regions.yaml").read_text())["regions"]
    worst = 0.0
    for row in golden:
        footprints = Footprints(load_camera(row["instrument"]), row["padding"])
        made = footprints.detector_regions([row["ra"]], [row["dec"]], [row["sky_angle"]])
        mine = made[0, footprints.detectors.index(row["detector"])].tobytes()
        worst = max(worst, separation_arcsec(mine, bytes.fromhex(row["region"])))
    assert {row["instrument"] for row in golden} == {"HSC", "MegaPrime", "LSSTCam"}
    assert worst < 1e-9


def exported(shared_data: Path) -> Iterator[tuple[str, float, dict[str, list[dict[str, Any]]]]]:
    for name, camera, padding in [
        ("exports/jointcal_hsc_exports.yaml", "HSC", 250.0),
        ("exports/jointcal_cfht_exports.yaml", "MegaPrime", 250.0),
        ("registry/hsc-rc2-subset.yaml", "HSC", 4000.0),
    ]:
        if (shared_data / name).exists():
            yield camera, padding, records_of(shared_data / name)


def test_every_region_of_the_exports_is_the_camera_turned_rigidly(shared_data: Path) -> None:
    tested = 0
    for camera, padding, records in exported(shared_data):
        footprints = Footprints(load_camera(camera), padding)
        model = footprints.vertices([0.0], [0.0], [0.0])[0]
        whole = vertices_of(footprints.visit_region([(0.0, 0.0, 0.0)]))
        detectors = defaultdict(list)
        for row in records["visit_detector_region"]:
            detectors[row["visit"]].append(row)
        for rows in detectors.values():
            mine = np.concatenate([model[footprints.detectors.index(r["detector"])] for r in rows])
            real = np.concatenate([vertices_of(r["region"]) for r in rows])
            assert residual_arcsec(mine, real) < 1e-6
            tested += len(rows)
        for row in records["visit"]:
            real = vertices_of(row["region"])
            assert len(real) == len(whole)
            turns = (residual_arcsec(np.roll(whole, k, axis=0), real) for k in range(len(whole)))
            assert next(r for r in turns if r < 1.0) < 1e-6
            tested += 1
    assert tested >= 1174 + 172


def test_regions_follow_from_the_exposure_records_alone(shared_data: Path) -> None:
    records = records_of(shared_data / "exports/jointcal_hsc_exports.yaml")
    footprints = Footprints(load_camera("HSC"))
    pointing = {e["id"]: (e["tracking_ra"], e["tracking_dec"], e["sky_angle"]) for e in records["exposure"]}
    visits = [row["visit"] for row in records["visit_detector_region"]]
    made = footprints.detector_regions(*zip(*(pointing[v] for v in visits), strict=True))
    for i, row in enumerate(records["visit_detector_region"]):
        mine = made[i, footprints.detectors.index(row["detector"])].tobytes()
        assert separation_arcsec(mine, row["region"]) < 1e-9
    for row in records["visit"]:
        assert separation_arcsec(footprints.visit_region([pointing[row["id"]]]), row["region"]) < 1e-9


@pytest.mark.parametrize("name", CAMERAS)
def test_bytes_are_those_of_the_hulls_that_sphgeom_takes(name: str) -> None:
    footprints = Footprints(load_camera(name))
    for pointing in [(0.0, 90.0, 12.0), (359.999, 0.0, 270.0), (83.6, -89.5, 181.0), (200.1, 33.3, 45.0)]:
        arrays = [[value] for value in pointing]
        vertices = footprints.vertices(*arrays)[0]
        encoded = footprints.detector_regions(*arrays)[0]
        for corners, raw in zip(vertices, encoded, strict=True):
            hull = convex_hull(corners)
            assert hull.encode() == raw.tobytes()
            polygon = ConvexPolygon.decode(raw.tobytes())
            assert isinstance(polygon, ConvexPolygon)
            assert polygon.contains(UnitVector3d(*corners.sum(axis=0)))


@pytest.mark.parametrize("name", CAMERAS)
def test_the_few_corners_of_the_outline_have_the_hull_of_all(name: str) -> None:
    camera = load_camera(name)
    footprints = Footprints(camera)
    for pointing in [(0.0, -90.0, 12.0), (12.5, 71.0, 100.0)]:
        whole = visit_region(camera, *pointing).encode()
        assert separation_arcsec(footprints.visit_region([pointing]), whole) < 1e-9


def test_the_region_of_two_exposures_holds_those_of_both() -> None:
    footprints = Footprints(load_camera("LSSTComCam"))
    pointings = [(10.0, 20.0, 30.0), (10.4, 20.1, 75.0)]
    both = footprints.visit_region(pointings)
    merged = footprints.merged_regions(pointings)
    singles = footprints.detector_regions(*zip(*pointings, strict=True))
    for pointing in singles:
        for whole, part in zip(merged, pointing, strict=True):
            assert holds(whole, part.tobytes())
            assert holds(both, part.tobytes())


def holds(whole: bytes, part: bytes) -> bool:
    """Whether a polygon's vertices lie in another, but for rounding."""
    region, centre = Region.decode(whole), vertices_of(whole).mean(axis=0)
    return all(region.contains(UnitVector3d(*(v + 1e-9 * (centre - v)))) for v in vertices_of(part))


@settings(max_examples=30)
@given(st.integers(3, 8), st.floats(0, 360), st.floats(-89, 89))
def test_polygons_are_encoded_as_sphgeom_encodes_them(corners: int, ra: float, dec: float) -> None:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    x, y = np.cos(np.radians(ra)), np.sin(np.radians(ra))
    east, up = np.array([-y, x, 0]), np.array([0, 0, 1.0])
    centre = np.cos(np.radians(dec)) * np.array([x, y, 0]) + np.sin(np.radians(dec)) * up
    north = np.cross(centre, east)
    points = centre + 0.02 * (np.cos(angle)[:, None] * east + np.sin(angle)[:, None] * north)
    hull = convex_hull(points / np.linalg.norm(points, axis=1, keepdims=True))
    vertices = [[v.x(), v.y(), v.z()] for v in hull.getVertices()]
    assert encode_polygons(vertices).tobytes() == hull.encode()
    assert Region.decode(encode_polygons(vertices).tobytes()) == hull


def test_the_arrow_array_holds_the_bytes_without_a_copy() -> None:
    made = Footprints(load_camera("DemoCam")).detector_regions([1.0, 2.0], [3.0, 4.0], [5.0, 6.0])
    array = binary_array(made)
    assert array.type == pa.binary()
    assert array.to_pylist() == [raw.tobytes() for raw in made.reshape(-1, 97)]
    assert array.buffers()[2].address == made.ctypes.data


def test_what_differs_in_shape_is_infinitely_far() -> None:
    triangle = encode_polygons([(1, 0, 0), (0, 1, 0), (0, 0, 1)]).tobytes()
    turned = encode_polygons([(0, 1, 0), (0, 0, 1), (1, 0, 0)]).tobytes()
    square = Footprints(load_camera("LATISS")).visit_region([(0.0, 0.0, 0.0)])
    assert separation_arcsec(triangle, turned) == 0.0
    assert separation_arcsec(triangle, square) == float("inf")


def test_a_detector_that_is_no_quadrangle_on_the_sky_is_named() -> None:
    camera = load_camera("DemoCam")
    with pytest.raises(InstrumentError, match="is not convex on the sky"):
        Footprints(camera, -128.0)
