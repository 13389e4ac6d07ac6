# SPDX-License-Identifier: BSD-3-Clause
"""Curated calibrations from directories: what goes in, when it is valid, what is refused and why."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from astropy.table import Table
from astropy.time import Time

from lakebutler import Butler, DatasetType
from lakebutler.collections.collection import CollectionType
from lakebutler.errors import (
    CalibrationLookupError,
    CollectionTypeError,
    DatasetNotFoundError,
    InstrumentError,
)
from lakebutler.instruments import load_camera, register_instrument
from lakebutler.instruments.calibrations.files import parse_date
from lakebutler.instruments.calibrations.names import CURATED_TYPES, CalibrationNames
from lakebutler.instruments.calibrations.write import write_curated_calibrations
from lakebutler.timespan import MAX_NSEC, Timespan

ALWAYS = Timespan(None, None)
# Begins of validity as lsst.daf.butler 30 has them for astropy times in UTC.
BEGINS = {
    "19700101T000000": 8_000_082_000,
    "2013-01-31T00:00:00": 1_359_590_435_000_000_000,
    "20130115t0130": 1_358_213_435_000_000_000,
    "20130115T013000.000000001": 1_358_213_435_000_000_001,
    "20170101": 1_483_228_837_000_000_000,
    "2016-12-23T00:00:00Z": 1_482_451_236_000_000_000,
    "2016-12-23 00:00:00+00:00": 1_482_451_236_000_000_000,
}


def write(place: Path, **meta: Any) -> Path:
    """A table of defects, with what it says about itself."""
    place.parent.mkdir(parents=True, exist_ok=True)
    table = Table({"x0": [1, 2], "y0": [3, 4], "width": [1, 1], "height": [1, 1]}, meta=meta)
    table.write(place, format="ascii.ecsv")
    return place


def defects(home: Path, detector: str, date: str, **meta: Any) -> Path:
    return write(home / "defects" / detector / f"{date}.ecsv", INSTRUME="HSC", OBSTYPE="defects", **meta)


def at(butler: Butler, when: str, detector: int = 0, kind: str = "defects", inst: str = "HSC") -> Any:
    """What is valid at a moment, TAI."""
    span = Timespan.fromInstant(Time(when, scale="tai"))
    return butler.find_dataset(
        kind, instrument=inst, detector=detector, collections=f"{inst}/calib", timespan=span
    )


def statuses(report: Any) -> dict[str, str]:
    return {Path(file.path).name: file.status.value for file in report.files}


@pytest.mark.parametrize(("text", "nsec"), BEGINS.items())
def test_a_date_is_utc_and_exact(text: str, nsec: int) -> None:
    assert parse_date(text)[1] == nsec


@pytest.mark.parametrize(
    "text",
    ["high_cti", "", "2013", "20131301T000000", "2013-0131", "20130230", "19691231", "21000101", "²0130115"],
)
def test_no_date_is_no_date(text: str) -> None:
    with pytest.raises(ValueError, match=r"date|lie in"):
        parse_date(text)


def test_collections_are_called_as_elsewhere() -> None:
    date, _ = parse_date("2013-01-15T01:30:00")
    names = CalibrationNames.of("HSC")
    assert names.calibration == "HSC/calib"
    assert names.unbounded == "HSC/calib/unbounded"
    assert names.curated(date) == "HSC/calib/curated/20130115T013000Z"
    named = CalibrationNames.of("HSC", labels=["DM-1", "b"], prefix="sim")
    assert (named.calibration, named.curated(date)) == (
        "sim/calib/DM-1/b",
        "sim/calib/DM-1/b/curated/20130115T013000Z",
    )
    assert CalibrationNames.of("HSC", "mine", "x").calibration == "mine"


def test_real_files_are_in_with_their_validity(
    shared_data: Path, repository_with: Callable[..., Butler]
) -> None:
    butler = repository_with("HSC", "LATISS", "LSSTComCam", "testCam")
    before = butler.version
    for camera, place, written, ignored in (
        ("HSC", "obs_subaru_data", 27, 0),
        ("LATISS", "obs_lsst_data", 14, 7),
        ("LSSTComCam", "obs_lsst_data/comCam", 9, 1),
        ("testCam", "obs_test_data", 2, 0),
    ):
        report = write_curated_calibrations(butler, camera, shared_data / "curated" / place)
        counts = [f.status.value for f in report.files]
        assert (counts.count("written"), counts.count("ignored")) == (written, ignored), str(report)
        assert written + ignored == len(counts)
        before += 1
        assert butler.version == before  # all of it is one commit
        again = write_curated_calibrations(butler, camera, shared_data / "curated" / place)
        assert [f.status.value for f in again.files].count("present") == written
        assert butler.version == before  # and the same once more is none

    # Every day of the HSC file names is the first of a new table, to the nanosecond.
    folder = shared_data / "curated/obs_subaru_data/hsc/defects/1_53"
    files = sorted(folder.glob("*.ecsv"))
    for file, following in zip(files, [*files[1:], None], strict=True):
        begin = parse_date(file.stem)[1]
        ref = butler.find_dataset(
            "defects",
            instrument="HSC",
            detector=0,
            collections="HSC/calib",
            timespan=Timespan.from_nsec(begin, begin + 1),
        )
        assert ref is not None
        assert ref.run == f"HSC/calib/curated/{file.stem}Z"
        assert butler.getURI(ref).read() == file.read_bytes()
        end = MAX_NSEC if following is None else parse_date(following.stem)[1]
        spans = [
            a.timespan.nsec
            for a in butler.registry.queryDatasetAssociations("defects", "HSC/calib")
            if a.ref.id == ref.id
        ]
        assert spans == [(begin, end)]

    crosstalk = butler.get(
        "crosstalk",
        instrument="LATISS",
        detector=0,
        collections="LATISS/calib",
        timespan=Timespan(None, None),
    )
    assert crosstalk["CT_COEFFS"].shape == (1, 256)
    curve = butler.get(
        "transmission_filter",
        instrument="LSSTComCam",
        physical_filter="g_01",
        collections="LSSTComCam/calib",
        timespan=Timespan.fromInstant(Time("2024-11-01", scale="tai")),
    )
    assert str(curve["efficiency"].unit) == "%"
    assert curve.meta["FILTER"] == "g_01"


def test_an_exposure_finds_what_is_valid_for_it(
    tmp_path: Path, repository_with: Callable[..., Butler]
) -> None:
    butler = repository_with("HSC")
    defects(tmp_path / "hsc", "1_53", "20130101", DETECTOR=0)
    defects(tmp_path / "hsc", "1_53", "20140101", DETECTOR=0)
    write_curated_calibrations(butler, "HSC", tmp_path)
    registry = butler.registry
    registry.insertDimensionData("day_obs", {"instrument": "HSC", "id": 20130601})
    registry.insertDimensionData("group", {"instrument": "HSC", "name": "1"})
    begin = Time("2013-06-01T10:00:00", scale="tai")
    registry.insertDimensionData(
        "exposure",
        {
            "instrument": "HSC", "id": 1, "obs_id": "one", "physical_filter": "HSC-R", "group": "1",
            "day_obs": 20130601, "timespan": Timespan(begin, begin),
        },
    )  # fmt: skip
    found = butler.get("defects", instrument="HSC", exposure=1, detector=0, collections="HSC/calib")
    assert len(found) == 2
    ref = butler.find_dataset("defects", instrument="HSC", exposure=1, detector=0, collections="HSC/calib")
    assert ref is not None
    assert ref.run == "HSC/calib/curated/20130101T000000Z"
    camera = butler.get("camera", instrument="HSC", exposure=1, collections="HSC/calib")
    assert camera.detector("1_53").id == 0


def test_what_cannot_be_used_is_one_line_and_the_rest_is_in(
    tmp_path: Path, repository_with: Callable[..., Butler]
) -> None:
    butler = repository_with("HSC")
    home = tmp_path / "hsc"
    defects(home, "1_53", "20130101T000000", DETECTOR=0)
    defects(home, "1_53", "high_cti", DETECTOR=0)
    (home / "defects/1_53/20140101T000000.ecsv").write_text("# %ECSV 1.0\n# ---\n# datatype: 5\nx\n")
    defects(home, "1_54", "20130101T000000", DETECTOR=1)
    defects(home, "1_54", "2013-01-01T00:00:00", DETECTOR=1)
    defects(home, "1_55", "20130101T000000", DETECTOR=3)
    write(home / "defects/1_55/20140101.ecsv", INSTRUME="DECam", OBSTYPE="defects", DETECTOR=2)
    write(home / "defects/1_55/20150101.ecsv", INSTRUME="hsc", OBSTYPE="crosstalk", DETECTOR=2)
    defects(home, "1_55", "20160101", CALIBDATE="yesterday")
    defects(home, "9_99", "20130101")
    write(home / "defects/20130101.ecsv")
    (home / "defects/1_53/README.md").write_text("about")
    (home / "defect").mkdir()
    (home / "defects/1_53/deeper").mkdir()
    write(home / "transmission_filter/hsc-g/20130101.ecsv", FILTER="HSC-R")
    (home / "bfk/1_53").mkdir(parents=True)
    (home / "bfk/1_53/20130101.yaml").write_text("!!python/object/apply:os.system ['touch /nowhere']")
    (home / "bfk/1_53/20140101.json").write_text("[1]")
    before = butler.version
    report = write_curated_calibrations(butler, "HSC", tmp_path, camera=False)
    assert butler.version == before + 1
    reasons = {str(Path(f.path).relative_to(home)): f.reason for f in report.files}
    for name, words in {
        "defects/1_53/high_cti.ecsv": "'high_cti' is no date",
        "defects/1_53/20140101T000000.ecsv": "cannot be read as ECSV",
        "defects/1_54/20130101T000000.ecsv": "2013-01-01T00:00:00.ecsv beside it has the same date",
        "defects/1_54/2013-01-01T00:00:00.ecsv": "20130101T000000.ecsv beside it has the same date",
        "defects/1_55/20130101T000000.ecsv": "DETECTOR inside is 3, not 2 (1_55)",
        "defects/1_55/20140101.ecsv": "INSTRUME inside is 'DECam', not HSC",
        "defects/1_55/20150101.ecsv": "OBSTYPE inside is 'crosstalk', not 'defects'",
        "defects/1_55/20160101.ecsv": "CALIBDATE inside: 'yesterday'",
        "defects/9_99": "HSC has no detector '9_99'",
        "defects/20130101.ecsv": "in a directory called as a detector",
        "defects/1_53/deeper": "where files are expected",
        "defect": "did you mean 'defects'",
        "transmission_filter/hsc-g/20130101.ecsv": "FILTER inside is 'HSC-R', not 'HSC-G'",
        "bfk/1_53/20130101.yaml": "cannot be read as YAML",
        "bfk/1_53/20140101.json": "a mapping was expected",
    }.items():
        assert words in reasons[name], name
        assert "\n" not in reasons[name]
    assert len(report.refused) == 15
    assert statuses(report)["README.md"] == "ignored"
    (written,) = [f for f in report.files if f.status.value == "written"]
    assert written.data_id == {"detector": 0}
    # The file that could not be read still ends the validity of the one before it.
    assert at(butler, "2013-06-01") is not None
    assert at(butler, "2014-06-01") is None


def test_a_pipe_is_one_line(tmp_path: Path, repository_with: Callable[..., Butler]) -> None:
    pipe = defects(tmp_path, "1_53", "20130101T000000").with_name("20140101T000000.ecsv")
    os.mkfifo(pipe)

    def let_go() -> None:
        with suppress(OSError):
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))

    timer = threading.Timer(5.0, let_go)
    timer.start()  # whoever reads the pipe waits until then, and fails below
    report = write_curated_calibrations(repository_with("HSC"), "HSC", tmp_path, camera=False)
    timer.cancel()
    assert {Path(f.path): f.reason for f in report.files}[pipe] == "not a regular file"


def test_a_changed_file_is_named_and_nothing_changes(
    tmp_path: Path, repository_with: Callable[..., Butler]
) -> None:
    butler = repository_with("HSC")
    for transfer, label in (("copy", "a"), ("direct", "b")):
        home = tmp_path / label
        first = defects(home, "1_53", "20130101", DETECTOR=0)
        defects(home, "1_54", "20130101", DETECTOR=1)
        write_curated_calibrations(butler, "HSC", home, labels=label, transfer=transfer)
        copy = tmp_path / f"{label}2"
        defects(copy, "1_54", "20130101", DETECTOR=1)
        first = defects(copy, "1_53", "20130101", DETECTOR=0)
        first.write_text(first.read_text().replace("1 3 1 1", "1 3 1 2"))
        before = butler.version
        report = write_curated_calibrations(butler, "HSC", copy, labels=label)
        assert [f.status.value for f in report.files] == ["present", "conflict", "present"]
        assert "another content is there in run HSC/calib/" in report.refused[0].reason
        assert "label" in report.refused[0].reason
        assert butler.version == before


def test_a_file_left_in_place_that_changes_is_named(
    tmp_path: Path, repository_with: Callable[..., Butler]
) -> None:
    butler = repository_with("HSC")
    place = defects(tmp_path / "hsc", "1_53", "20130101", DETECTOR=0)
    write_curated_calibrations(butler, "HSC", tmp_path, transfer="direct")
    assert not write_curated_calibrations(butler, "HSC", tmp_path).refused
    place.write_text(place.read_text() + "5 6 1 1\n")
    (file,) = write_curated_calibrations(butler, "HSC", tmp_path).refused
    assert "another content is there" in file.reason
    moved = defects(tmp_path / "x/hsc", "1_53", "20130101", DETECTOR=0)
    place.unlink()
    (file,) = write_curated_calibrations(butler, "HSC", tmp_path / "x").refused
    assert moved.exists()
    assert "cannot be read" in file.reason


def test_a_later_date_ends_the_one_before_when_asked_for(
    tmp_path: Path, repository_with: Callable[..., Butler]
) -> None:
    butler, home = repository_with("HSC"), tmp_path / "hsc"
    defects(home, "1_53", "20130101", DETECTOR=0)
    defects(home, "1_54", "20130101", DETECTOR=1)
    write_curated_calibrations(butler, "HSC", home)
    defects(home, "1_53", "20140101", DETECTOR=0)
    before = butler.version
    refused = write_curated_calibrations(butler, "HSC", home)
    assert statuses(refused)["20140101.ecsv"] == "conflict"
    assert all("--update" in file.reason for file in refused.refused)
    assert butler.version == before
    done = write_curated_calibrations(butler, "HSC", home, update=True)
    assert str(done) == "4 files: 1 written, 1 certified, 2 present"
    assert butler.version == before + 1
    assert at(butler, "2013-06-01").run == "HSC/calib/curated/20130101T000000Z"
    assert at(butler, "2014-06-01").run == "HSC/calib/curated/20140101T000000Z"
    assert not write_curated_calibrations(butler, "HSC", home, update=True).refused
    assert butler.version == before + 1
    # Taken away by hand and written again: certified, not ingested twice.
    butler.registry.decertify("HSC/calib", "defects", Timespan(None, None))
    assert at(butler, "2014-06-01") is None
    assert str(write_curated_calibrations(butler, "HSC", home)) == "4 files: 3 certified, 1 present"
    assert at(butler, "2014-06-01").run == "HSC/calib/curated/20140101T000000Z"


def test_yaml_and_json_of_the_pipelines_come_back_as_dicts(
    tmp_path: Path, repository_with: Callable[..., Butler]
) -> None:
    butler = repository_with("HSC")
    folder = tmp_path / "hsc/crosstalk/1_53"
    folder.mkdir(parents=True)
    (folder / "1970-01-01T00:00:00.yaml").write_text(
        "coeffs: [0.0, -8.0e-4]\nshape: !!python/tuple [1, 2]\n"
        "metadata: !<lsst.daf.base.PropertyList>\n"
        "- [OBSTYPE, String, CROSSTALK, '']\n- [INSTRUME, String, HSC, '']\n- [DETECTOR, Int, 0, '']\n"
    )
    facts = {"metadata": {"INSTRUME": "HSC", "CALIBDATE": "2015-02-03T00:00:00"}, "gain": 1.5}
    (folder / "20150101.json").write_text(json.dumps(facts))
    report = write_curated_calibrations(butler, "HSC", tmp_path, camera=False)
    assert not report.refused, report.refused
    found = butler.get(at(butler, "2014-01-01", kind="crosstalk"))
    assert found["shape"] == [1, 2]
    assert found["metadata"] == {"OBSTYPE": "CROSSTALK", "INSTRUME": "HSC", "DETECTOR": 0}
    later = at(butler, "2016-01-01", kind="crosstalk")
    assert later.run == "HSC/calib/curated/20150203T000000Z"  # the run is named for what the file says
    assert butler.get(later) == facts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metadata: !<lsst.daf.base.PropertyList>\n- [INSTRUME, HSC]\n", "rows of four"),
        ("metadata: !<lsst.daf.base.Other>\n- [INSTRUME, String, HSC, '']\n", "lsst.daf.base.Other"),
        ("metadata: [1, 2]\n", "metadata are no mapping"),
        ("metadata: {CALIBDATE: 2015-02-30}\n", "not valid|day is out of range|no date"),
        ("x: !!python/object/new:os.system [touch]\n", "python/object"),
        ("{" * 1000, "nested"),
    ],
)
def test_yaml_that_is_none_is_one_line(
    tmp_path: Path, repository_with: Callable[..., Butler], text: str, words: str
) -> None:
    butler = repository_with("HSC")
    place = tmp_path / "hsc/crosstalk/1_53/20130101.yaml"
    place.parent.mkdir(parents=True)
    place.write_text(text)
    (file,) = write_curated_calibrations(butler, "HSC", tmp_path, camera=False).refused
    assert re.search(words, file.reason), file.reason
    assert "\n" not in file.reason
    assert len(file.reason) <= 200


def test_a_detector_that_is_not_registered_is_named(
    tmp_path: Path, repository_with: Callable[..., Butler]
) -> None:
    butler, camera = repository_with(), load_camera("HSC")
    register_instrument(butler, replace(camera, detectors=camera.detectors[:1]))
    defects(tmp_path / "hsc", "1_53", "20130101")
    defects(tmp_path / "hsc", "1_54", "20130101")
    report = write_curated_calibrations(butler, "HSC", tmp_path, camera=False)
    assert [f.reason for f in report.refused] == ["detector 1 is not registered here"]
    assert str(report) == "2 files: 1 written, 1 rejected"


def test_a_dataset_type_of_another_shape_is_named(
    tmp_path: Path, repository_with: Callable[..., Butler]
) -> None:
    butler = repository_with("HSC")
    kind = DatasetType("defects", ["detector"], "AstropyTable", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    defects(tmp_path / "hsc", "1_53", "20130101")
    report = write_curated_calibrations(butler, "HSC", tmp_path)
    assert ["as no calibration" in f.reason for f in report.refused] == [True]
    assert str(report) == "2 files: 1 written, 1 conflict"


def test_what_stands_in_the_way_is_named(tmp_path: Path, repository_with: Callable[..., Butler]) -> None:
    butler = repository_with("HSC")
    defects(tmp_path / "hsc", "1_53", "20130101", DETECTOR=0)
    with pytest.raises(InstrumentError, match="no directory"):
        write_curated_calibrations(butler, "HSC", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InstrumentError, match="holds no curated calibrations of HSC"):
        write_curated_calibrations(butler, "HSC", tmp_path / "empty")
    with pytest.raises(InstrumentError, match="'DECam' is not registered"):
        write_curated_calibrations(butler, "DECam", tmp_path)
    butler.collections.register("HSC/calib", CollectionType.CHAINED)
    with pytest.raises(CollectionTypeError, match="CHAINED") as caught:
        write_curated_calibrations(butler, "HSC", tmp_path)
    assert "--label" in str(caught.value.hint)
    assert not write_curated_calibrations(butler, "HSC", tmp_path, labels="one").refused


def test_types_are_those_of_the_field() -> None:
    assert set(CURATED_TYPES) >= {
        "bfk", "crosstalk", "defects", "linearizer", "manual_defects", "qe_curve", "transmission_atmosphere",
        "transmission_filter", "transmission_optics", "transmission_sensor", "transmission_system",
    }  # fmt: skip


def test_an_export_keeps_validity(tmp_path: Path, repository_with: Callable[..., Butler]) -> None:
    butler = repository_with("HSC")
    for date in ("20130101", "20140101"):
        defects(tmp_path / "hsc", "1_53", date, DETECTOR=0)
    write_curated_calibrations(butler, "HSC", tmp_path / "hsc")
    for form in ("yaml", "parquet"):
        with butler.export(directory=tmp_path / form, format=form, transfer="copy") as export:
            export.saveDatasets(butler.query_datasets("defects", "HSC/calib", find_first=False))
            export.saveDatasets(butler.query_datasets("camera", "HSC/calib", find_first=False))
            export.saveCollection("HSC/calib")
        fresh = repository_with()
        fresh.import_(directory=tmp_path / form, filename=f"export.{form}", transfer="copy")
        for kind in ("defects", "camera"):
            spans = [
                {
                    (a.ref.id, a.ref.run, a.timespan)
                    for a in b.registry.queryDatasetAssociations(kind, "HSC/calib")
                }
                for b in (butler, fresh)
            ]
            assert spans[0]
            assert spans[0] == spans[1]
        assert at(fresh, "2013-06-01").run == "HSC/calib/curated/20130101T000000Z"
        assert len(fresh.get(at(fresh, "2014-06-01"))) == 2
        assert fresh.get("camera", instrument="HSC", collections="HSC/calib") == butler.get(
            "camera", instrument="HSC", collections="HSC/calib"
        )
        # And written again over there, nothing is new.
        assert "3 present" in str(write_curated_calibrations(fresh, "HSC", tmp_path / "hsc"))
    with pytest.raises((DatasetNotFoundError, CalibrationLookupError)):
        butler.get("defects", instrument="HSC", detector=5, collections="HSC/calib", timespan=ALWAYS)
