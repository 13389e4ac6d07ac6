# SPDX-License-Identifier: BSD-3-Clause
"""Cameras: the files of the package, cameras of the user's own, and faults in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lakebutler.errors import DimensionValueError, InstrumentError
from lakebutler.instruments import camera_names, load_camera
from lakebutler.instruments.cameras import find

OWN = {
    "schema": 1,
    "name": "Backyard",
    "limits": {"detector": 1, "visit": 10**9, "exposure": 10**9},
    "filters": {
        "columns": ["name", "band", "aliases"],
        "rows": [["lum", "L", ["Luminance"]], ["red", "R", []]],
    },
    "raw": {"file_names": [r"light_(?P<n>\d+)\.fits"]},
    "header": {
        "match": {"INSTRUME": ["ZWO ASI2600MM"]},
        "rules": {
            "exposure_id": {"file_name": "n", "type": "integer"},
            "observation_id": {"text": "{DATE-OBS}"},
            "detector_num": {"value": 0},
            "physical_filter": "FILTER",
            "datetime_begin": {"card": "DATE-OBS", "time": "isot"},
            "exposure_time": "EXPTIME",
            "observation_type": {"card": "IMAGETYP", "map": {"Light Frame": "science", "Bias Frame": "bias"}},
        },
    },
    "detectors": {"columns": ["id", "name"], "rows": [[0, "imx571"]]},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The camera above with one thing different; `...` takes it away."""
    facts: dict[str, Any] = yaml.safe_load(yaml.safe_dump(OWN))
    *parents, last = path.split("/")
    place = facts
    for key in parents:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return facts


def written(tmp_path: Path, facts: object, name: str = "Backyard.yaml") -> Path:
    path = tmp_path / name
    path.write_text(yaml.safe_dump(facts) if not isinstance(facts, str) else facts)
    return path


@pytest.mark.parametrize(
    ("name", "detectors", "filters"),
    [("HSC", 112, 25), ("DECam", 62, 12), ("testCam", 1, 6), ("DemoCam", 9, 4)],
)
def test_the_cameras_of_the_package_load_whole(name: str, detectors: int, filters: int) -> None:
    camera = load_camera(name)
    assert (camera.name, len(camera.detectors), len(camera.filters)) == (name, detectors, filters)
    assert camera.focal_plane is not None
    assert all(d.placement is not None for d in camera.detectors)
    assert camera is load_camera(name)


def test_a_camera_is_found_by_its_other_names() -> None:
    assert load_camera("obs_test") is load_camera("testCam")
    assert load_camera("decam") is load_camera("DECam")


def test_an_unknown_camera_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(InstrumentError, match="no camera 'HCS'") as caught:
        load_camera("HCS")
    assert "'HSC'" in (caught.value.hint or "")


def test_facts_restated_here_are_those_of_the_collected_tables(shared_data: Path) -> None:
    for name, table in (("HSC", "hsc"), ("DECam", "decam"), ("testCam", "obs_test")):
        facts = yaml.safe_load((shared_data / f"instruments/{table}.yaml").read_text())
        camera = load_camera(name)
        rows = [[d.id, d.name, d.raft, d.name_in_raft, d.purpose] for d in camera.detectors]
        assert rows == facts["detectors"]["rows"]
        filters = [(f["physical_filter"], f["band"], tuple(f.get("aliases", ()))) for f in facts["filters"]]
        assert [(f.name, f.band, f.aliases) for f in camera.filters] == filters
        if "registry" in facts:
            limits = (camera.limits.detector, camera.limits.visit, camera.limits.exposure)
            assert limits == tuple(
                facts["registry"][k] for k in ("detector_max", "visit_max", "exposure_max")
            )


def test_a_detector_is_found_by_number_and_by_name() -> None:
    camera = load_camera("DECam")
    assert camera.detector(25) is camera.detector("S1")
    with pytest.raises(DimensionValueError, match="no detector 'S0'"):
        camera.detector("S0")
    with pytest.raises(DimensionValueError, match="no detector 0"):
        camera.detector(0)


def test_a_filter_is_found_by_any_spelling() -> None:
    camera = load_camera("HSC")
    assert camera.filter("W-S-R+") is camera.filter("HSC-R")
    with pytest.raises(DimensionValueError, match="no filter 'HSC-X'"):
        camera.filter("HSC-X")


def test_a_camera_of_the_users_own_loads_from_its_path(tmp_path: Path) -> None:
    camera = load_camera(written(tmp_path, OWN, "any_name.yaml"))
    assert camera.name == "Backyard"
    assert camera.focal_plane is None
    assert camera.detectors[0].purpose == "SCIENCE"


def test_a_changed_camera_file_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path, OWN)
    assert load_camera(path).day_obs_offset_s == 0
    written(tmp_path, {**OWN, "day_obs_offset_s": 43200})
    assert load_camera(path).day_obs_offset_s == 43200


def test_a_directory_of_the_users_own_goes_before_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, OWN)
    written(tmp_path, {**OWN, "name": "HSC"}, "HSC.yaml")
    monkeypatch.setenv(find.CAMERA_PATH_VARIABLE, str(tmp_path))
    assert "Backyard" in camera_names()
    assert len(load_camera("HSC").detectors) == 1


def test_a_broken_file_in_that_directory_stands_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "{", "broken.yaml")
    monkeypatch.setenv(find.CAMERA_PATH_VARIABLE, str(tmp_path))
    assert load_camera("obs_test").name == "testCam"
    with pytest.raises(InstrumentError, match=r"broken.yaml line [12]: not valid YAML"):
        load_camera("broken")


def test_an_entry_point_gives_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, OWN)
    (tmp_path / "backyard_plugin.py").write_text(f"def camera():\n    return {str(path)!r}\n")
    info = tmp_path / "backyard-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: backyard\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[lakebutler.cameras]\nBackyard = backyard_plugin:camera\nBroken = backyard_plugin:nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    find._entry_points.cache_clear()
    try:
        assert load_camera("Backyard").name == "Backyard"
        assert {"Backyard", "Broken", "HSC"} <= set(camera_names())
        with pytest.raises(InstrumentError, match="entry point 'Broken'"):
            load_camera("Broken")
    finally:
        find._entry_points.cache_clear()


FAULTS: list[tuple[str, object, str]] = [
    ("schema", 2, "schema is 2"),
    ("name", "a b", "name 'a b' is not made of letters"),
    ("colour", "red", "the file: unknown word 'colour'"),
    ("limits", ..., "limits: expected a mapping, got nothing"),
    ("limits/detector", 0, "limits: detector is 0, but there is a detector 0"),
    ("limits/visit", "many", "limits: visit: expected an integer, got 'many'"),
    ("visit_systems", ["by-mood"], "visit_systems: "),
    ("filters/rows", [["a", "b", []], ["a", "c", []]], "filters: row 2: 'a' already stands for filter 'a'"),
    ("filters/rows", [["a", "b", ["x"]], ["c", "d", ["x"]]], "row 2: 'x' already stands for filter 'a'"),
    ("filters/rows", [["a" * 33, "b", []]], "longer than 32 characters"),
    ("filters/rows", [["a", "b"]], "filters: row 1 has 2 cells for 3 columns"),
    ("filters/rows", [], "filters: at least one is needed"),
    ("detectors/columns", ["id", "nmae"], "detectors: unknown column 'nmae'; did you mean 'name'"),
    ("detectors/columns", ["id", "raft"], "detectors: column 'name' is missing"),
    ("detectors/rows", [[0, "a"], [0, "b"]], "detectors: row 2: 0 'b' occurs twice"),
    ("detectors/rows", [["zero", "a"]], "detectors: row 1: id: expected an integer"),
    ("detectors/rows", [[-1, "a"]], "detectors: row 1: id -1 is negative"),
    ("raw/file_names", ["("], "raw: file_names: '(' is no regular expression"),
    ("raw/units", "each", "raw: unit_key is needed for units: each"),
    ("raw/units", "some", "raw: units is image or each, not 'some'"),
    ("header", {}, "header: exactly one of translator and rules is needed"),
    ("header/translator", "HSC", "header: exactly one of translator and rules is needed"),
    ("header/match", {}, "header: match is needed"),
    ("header/rules/exposure_id", ..., "header: rules lack exposure_id"),
    ("header/rules/exposure_time", ..., "header: rules lack exposure_time"),
    ("header/rules/exposure", "X", "header rule for unknown property 'exposure'"),
    ("header/rules/physical_filter", {"crad": "X"}, "header rule physical_filter: unknown word 'crad'"),
    ("header/rules/physical_filter", {"card": "X", "value": 1}, "needs exactly one of card, value"),
    ("header/rules/physical_filter", {"card": "X", "unit": "mile"}, "unit is one of degree"),
    ("header/rules/physical_filter", {"card": "X", "pattern": "("}, "header rule physical_filter: "),
    ("header/rules/physical_filter", [1], "header rule physical_filter: expected a mapping"),
    ("focal_plane", {"flip_x": False}, "focal_plane: detector 'imx571' has no kind and position"),
]


@pytest.mark.parametrize(("path", "value", "message"), FAULTS, ids=[m for _, _, m in FAULTS])
def test_a_fault_in_a_camera_file_is_one_line_that_says_where(
    tmp_path: Path, path: str, value: object, message: str
) -> None:
    file = written(tmp_path, changed(path, value))
    with pytest.raises(InstrumentError) as caught:
        load_camera(file)
    assert message in caught.value.message
    assert caught.value.message.startswith(str(file))
    assert "\n" not in caught.value.message


def placed(focal_plane: object, kind: object) -> dict[str, Any]:
    return {
        **OWN,
        "focal_plane": focal_plane,
        "detectors": {
            "kinds": {"ccd": kind},
            "columns": ["id", "name", "kind", "x_mm"],
            "rows": [[0, "a", "ccd", 0.5]],
        },
    }


KIND = {"bbox": [0, 0, 9, 9], "pixel_mm": [0.1, 0.1], "reference_px": [4.5, 4.5]}
PLANE = {
    "plate_scale_arcsec_per_mm": 20,
    "flip_x": False,
    "field_angle": {"kind": "radial", "coefficients_rad": [0, "1e-4"]},
}


def test_a_geometry_is_read(tmp_path: Path) -> None:
    camera = load_camera(written(tmp_path, placed(PLANE, KIND)))
    assert camera.focal_plane is not None
    assert camera.focal_plane.field_angle.coefficients == (0.0, 1e-4)
    assert camera.detectors[0].placement is not None
    assert camera.detectors[0].placement.offset_mm == (0.5, 0.0, 0.0)


@pytest.mark.parametrize(
    ("plane", "kind", "message"),
    [
        (PLANE, {**KIND, "bbox": [5, 0, 4, 9]}, "bbox is x0, y0, x1, y1"),
        (PLANE, {**KIND, "pixel_mm": [0.1, -0.1]}, "pixel_mm and reference_px are pairs"),
        (PLANE, {**KIND, "colour": 1}, "unknown word 'colour'"),
        ({**PLANE, "flip_x": "no"}, KIND, "flip_x is true or false"),
        ({**PLANE, "field_angle": {"kind": "odd"}}, KIND, "kind is radial, radial_inverse or polynomial"),
        ({**PLANE, "field_angle": {"kind": "radial", "coefficients_rad": [1, 2]}}, KIND, "must begin with 0"),
        ({**PLANE, "plate_scale_arcsec_per_mm": None}, KIND, "plate scale: expected a number"),
    ],
)
def test_a_fault_in_a_geometry_says_where(tmp_path: Path, plane: object, kind: object, message: str) -> None:
    with pytest.raises(InstrumentError, match=r"Backyard\.yaml: ") as caught:
        load_camera(written(tmp_path, placed(plane, kind)))
    assert message in caught.value.message
