# SPDX-License-Identifier: BSD-3-Clause
"""The geometry of a camera as a dataset: read back exactly, checked, used by define-visits."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from astropy.time import Time

from lakebutler import Butler, DatasetType
from lakebutler.collections.collection import CollectionType
from lakebutler.errors import FileFormatError, InstrumentError, InvalidQueryError
from lakebutler.formatters.factory import get_formatter
from lakebutler.formatters.formatter import Source
from lakebutler.instruments import Camera, camera_names, define_visits, load_camera
from lakebutler.instruments.calibrations.write import write_curated_calibrations
from lakebutler.instruments.cameras.geometry import detector_region
from lakebutler.instruments.cameras.stored import geometry_of
from lakebutler.instruments.visits.regions import separation_arcsec
from lakebutler.instruments.visits.report import VisitStatus
from lakebutler.timespan import Timespan

NOON = Time("2013-06-01T12:00:00", scale="tai")


def written(camera: Camera) -> dict[str, Any]:
    file = io.BytesIO()
    get_formatter("camera").write(camera, file)
    facts: dict[str, Any] = json.loads(file.getvalue())
    return facts


def read(facts: Any) -> Any:
    return get_formatter("camera").read(Source("x", data=json.dumps(facts).encode()))


def scaled(camera: Camera, factor: float) -> Camera:
    """The same camera behind other optics."""
    assert camera.focal_plane is not None
    angle = camera.focal_plane.field_angle
    other = replace(angle, coefficients=tuple(c * factor for c in angle.coefficients))
    return replace(camera, focal_plane=replace(camera.focal_plane, field_angle=other))


@pytest.mark.parametrize("name", camera_names())
def test_every_camera_comes_back_to_the_last_bit(name: str) -> None:
    camera = load_camera(name)
    found = read(written(camera))
    assert found == geometry_of(camera)
    assert (found.detectors, found.focal_plane, found.filters) == (
        camera.detectors,
        camera.focal_plane,
        camera.filters,
    )


def test_nothing_about_files_is_stored_or_read() -> None:
    camera = load_camera("DECam")
    facts = written(camera)
    assert not {"raw", "header", "like", "sources"} & set(facts)
    for section, value in (
        ("header", {"translator": "Evil"}),
        ("raw", {"formatter": "pickle"}),
        ("like", "HSC"),
    ):
        with pytest.raises(FileFormatError, match=f"unknown word '{section}'"):
            read({**facts, section: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f["detectors"]["rows"][0].__setitem__(6, float("nan")), "no finite number"),
        (lambda f: f["detectors"]["rows"][0].__setitem__(0, -1), "negative"),
        (lambda f: f["detectors"]["rows"].append(f["detectors"]["rows"][0]), "occurs twice"),
        (lambda f: f["focal_plane"].update(plate_scale_arcsec_per_mm=10**400), "no finite number"),
        (lambda f: f["focal_plane"]["field_angle"].update(kind="code"), "kind is radial"),
        (lambda f: f.update(schema=2), "schema is 2"),
        (lambda f: f.update(name="../x"), "is not made of"),
        (lambda f: f.pop("filters"), "filters"),
    ],
)
def test_a_damaged_camera_is_one_line(change: Callable[[Any], Any], words: str) -> None:
    facts = written(load_camera("DECam"))
    change(facts)
    with pytest.raises(FileFormatError, match=words) as caught:
        read(facts)
    assert "\n" not in caught.value.message


def test_only_a_camera_is_written() -> None:
    with pytest.raises(FileFormatError, match="not dict"):
        get_formatter("camera").write({}, io.BytesIO())
    for factor, words in ((0.0, "begin with 0 and a scale"), (float("nan"), "no finite number")):
        with pytest.raises(FileFormatError, match=words):
            get_formatter("camera").write(scaled(load_camera("DECam"), factor), io.BytesIO())
    named = replace(load_camera("DECam"), title=5)  # type: ignore[arg-type]
    with pytest.raises(FileFormatError, match="cannot hold"):
        get_formatter("camera").write(named, io.BytesIO())


def test_validity_of_the_camera(repository_with: Callable[..., Butler]) -> None:
    butler = repository_with("DECam")
    old = scaled(load_camera("DECam"), 0.99)
    write_curated_calibrations(butler, old, camera_validity=Timespan(None, NOON))
    write_curated_calibrations(butler, "DECam", camera_validity=Timespan(NOON, None))
    assert {a.ref.run for a in butler.registry.queryDatasetAssociations("camera", "DECam/calib")} == {
        "DECam/calib/unbounded",
        "DECam/calib/curated/20130601T115925Z",
    }
    for moment, camera in (("2013-06-01T11:59:59", old), ("2013-06-01T12:00:00", load_camera("DECam"))):
        span = Timespan.fromInstant(Time(moment, scale="tai"))
        found = butler.get("camera", instrument="DECam", collections="DECam/calib", timespan=span)
        assert found == geometry_of(camera)
    before = butler.version
    again = write_curated_calibrations(butler, "DECam", camera_validity=Timespan(NOON, None))
    assert [f.status.value for f in again.files] == ["present"]
    clash = write_curated_calibrations(butler, scaled(old, 0.5), camera_validity=Timespan(NOON, None))
    assert "another geometry is there" in clash.refused[0].reason
    assert butler.version == before
    # What had no end gets one: nothing is left behind it.
    write_curated_calibrations(butler, old, labels="x")
    write_curated_calibrations(butler, old, labels="x", camera_validity=Timespan(None, NOON), update=True)
    (left,) = butler.registry.queryDatasetAssociations("camera", "DECam/calib/x")
    assert left.timespan == Timespan(None, NOON)
    with pytest.raises(InvalidQueryError, match="empty"):
        write_curated_calibrations(butler, "DECam", camera_validity=Timespan.makeEmpty())


@pytest.fixture
def exposed(repository_with: Callable[..., Butler]) -> Butler:
    """A repository with an exposure of DECam before and one after noon."""
    butler = repository_with("DECam")
    registry = butler.registry
    registry.insertDimensionData("day_obs", {"instrument": "DECam", "id": 20130601})
    for number, begin in ((1, "2013-06-01T11:59:59.999"), (2, "2013-06-01T12:00:00")):
        registry.insertDimensionData("group", {"instrument": "DECam", "name": str(number)})
        nsec = Timespan.fromInstant(Time(begin, scale="tai")).nsec[0]
        registry.insertDimensionData(
            "exposure",
            {
                "instrument": "DECam", "id": number, "obs_id": f"e{number}", "group": str(number),
                "physical_filter": load_camera("DECam").filters[0].name, "day_obs": 20130601,
                "exposure_time": 30.0, "observation_type": "science", "tracking_ra": 10.0 * number,
                "tracking_dec": -30.0, "sky_angle": 90.0, "can_see_sky": True,
                "timespan": Timespan.from_nsec(nsec, nsec + 10**10),
            },
        )  # fmt: skip
    registry.registerDatasetType(
        DatasetType("raw", ["exposure", "detector"], "StructuredDataDict", universe=butler.dimensions)
    )
    butler.collections.register("DECam/raw/all", CollectionType.RUN)
    for number in (1, 2):
        butler.put({}, "raw", instrument="DECam", exposure=number, detector=1, run="DECam/raw/all")
    return butler


def off_by(butler: Butler, visit: int, camera: Camera) -> float:
    """How far the region of a detector is from where a camera has it, in arcsec."""
    (record,) = butler.query_dimension_records(
        "visit_detector_region", instrument="DECam", visit=visit, detector=25
    )
    expected = detector_region(
        camera, camera.detector(25), ra_deg=10.0 * visit, dec_deg=-30.0, sky_angle_deg=90.0
    )
    return separation_arcsec(record.region.encode(), expected.encode())


def test_visits_follow_the_camera_of_their_time(exposed: Butler) -> None:
    new, old = load_camera("DECam"), scaled(load_camera("DECam"), 0.99)
    write_curated_calibrations(exposed, old, camera_validity=Timespan(None, NOON))
    report = define_visits(exposed, "DECam", collections=["DECam/raw/all", "DECam/calib"])
    assert [v.status for v in report.visits] == [VisitStatus.DEFINED] * 2
    assert "regions of 1 of 2 visits follow from a certified camera" in report.notes
    assert report.regions == 124
    assert off_by(exposed, 1, old) < 1e-6 < off_by(exposed, 1, new)
    assert off_by(exposed, 2, new) < 1e-6 < off_by(exposed, 2, old)
    # Without the collection the camera file is asked, and says otherwise.
    plain = define_visits(exposed, "DECam")
    assert [v.status for v in plain.visits] == [VisitStatus.CONFLICT, VisitStatus.PRESENT]
    # The butler's own collections count, too; a chain is looked into; a run has no validity.
    exposed.collections.register("all", CollectionType.CHAINED)
    exposed.collections.redefine_chain("all", ["DECam/raw/all", "DECam/calib"])
    chained = exposed.clone(collections=["all"])
    assert not define_visits(chained, "DECam").conflicts
    run = define_visits(exposed, "DECam", collections=["DECam/raw/all", "DECam/calib/unbounded"])
    assert [v.status for v in run.visits] == [VisitStatus.PRESENT, VisitStatus.CONFLICT]


def test_a_camera_of_another_kind_is_named_and_not_used(exposed: Butler, tmp_path: Path) -> None:
    exposed.registry.registerDatasetType(
        DatasetType(
            "camera", ["instrument"], "StructuredDataDict", universe=exposed.dimensions, isCalibration=True
        )
    )
    exposed.collections.register("theirs", CollectionType.RUN)
    exposed.put({"detectors": []}, "camera", instrument="DECam", run="theirs")
    report = define_visits(exposed, "DECam", collections=["DECam/raw/all", "theirs"])
    assert report.notes == ("the camera in run theirs is of another kind (json): not used",)
    assert off_by(exposed, 1, load_camera("DECam")) < 1e-6


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_a_camera_that_is_none_on_the_sky_is_one_line(exposed: Butler, factor: float) -> None:
    write_curated_calibrations(exposed, scaled(load_camera("DECam"), factor))
    with pytest.raises(InstrumentError, match=r"camera in run DECam/calib|no region on the sky") as caught:
        define_visits(exposed, "DECam", collections=["DECam/raw/all", "DECam/calib"])
    assert "\n" not in caught.value.message
    assert not exposed.query_dimension_records("visit", instrument="DECam", explain=False)


def test_a_damaged_camera_stops_define_visits(exposed: Butler, tmp_path: Path) -> None:
    write_curated_calibrations(exposed, "DECam")
    ref = exposed.find_dataset("camera", instrument="DECam", collections="DECam/calib/unbounded")
    assert ref is not None
    Path(exposed.getURI(ref).ospath).write_text("{}")
    with pytest.raises(Exception, match="camera"):
        define_visits(exposed, "DECam", collections=["DECam/raw/all", "DECam/calib"])
    assert not exposed.query_dimension_records("visit", instrument="DECam", explain=False)
