# SPDX-License-Identifier: BSD-3-Clause
"""What stands beside files: sidecars and indexes, real ones and made ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astro_metadata_translator import ObservationInfo
from astro_metadata_translator.indexing import index_files

from lakebutler import Butler
from lakebutler.errors import HeaderError, InstrumentError
from lakebutler.instruments import ingest_raws, load_camera, register_instrument
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.cameras.reader import parse_camera
from lakebutler.instruments.headers.file import read_file
from lakebutler.instruments.headers.sidecars import Sidecars, observation_from_sidecar

HSC = load_camera("HSC")
DUMMY = """
schema: 1
name: DummyCam
limits: {detector: 2, visit: 2147483648, exposure: 2147483648}
filters: {columns: [name, band], rows: [[dummy_u, u], [dummy_g, g]]}
header: {translator: HSC}
detectors: {columns: [id, name], rows: [[0, RXX_S00], [1, RXX_S01]]}
"""


@pytest.fixture(scope="module")
def dummy() -> Camera:
    return parse_camera(DUMMY, source="dummy.yaml")


@pytest.fixture
def butler(tmp_path: Path, dummy: Camera) -> Butler:
    butler = Butler.from_config(Butler.makeRepo(tmp_path / "repo"), writeable=True)
    register_instrument(butler, dummy)
    return butler


@pytest.fixture
def ingest_data(shared_data: Path, tmp_path: Path) -> Path:
    """The files with which obs_base tests its ingest, to write beside."""
    root = tmp_path / "ingest"
    shutil.copytree(shared_data / "obs_base/ingest", root)
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755)
    return root


def test_a_translated_sidecar_says_what_the_header_says(
    shared_data: Path, tmp_path: Path, real_header: Callable[..., Any], write_single: Callable[..., Path]
) -> None:
    path = write_single(tmp_path / "HSCA90402400.fits", real_header("hsc"), (20, 10))
    (from_header,) = read_file(str(path), [HSC]).observations
    shutil.copy(shared_data / "headers/amt/fitsheader-hsc.json", tmp_path / "HSCA90402400.json")
    result = Sidecars([HSC], [str(path)]).read(str(path))
    assert result is not None
    ours, theirs = result.observations[0]._asdict(), from_header._asdict()
    later = {"can_see_sky", "seq_start"}  # the sidecar is older than the first, and never had the other
    assert {k for k in ours if ours[k] != theirs[k]} <= later | {"zenith_angle_deg"}
    assert ours["zenith_angle_deg"] == pytest.approx(theirs["zenith_angle_deg"], abs=1e-9)


def test_what_the_translators_write_is_read(
    tmp_path: Path, real_header: Callable[..., Any], write_single: Callable[..., Path]
) -> None:
    path = write_single(tmp_path / "HSCA04090107.fits", real_header("hsc-HSCA04090107"), (20, 10))
    (from_header,) = read_file(str(path), [HSC]).observations
    simple = ObservationInfo(real_header("hsc-HSCA04090107")).to_simple()
    entry = json.loads(json.dumps(simple)) | {"__CONTENT__": "translated"}
    assert observation_from_sidecar(HSC, entry, str(path)) == from_header


@pytest.mark.parametrize("content", ["translated", "metadata"])
def test_an_index_of_the_translators_spares_reading(
    content: Any, tmp_path: Path, real_header: Callable[..., Any], write_single: Callable[..., Path]
) -> None:
    path = write_single(tmp_path / "HSCA04090107.fits", real_header("hsc-HSCA04090107"), (20, 10))
    (from_header,) = read_file(str(path), [HSC]).observations
    index, okay, failed = index_files([str(path)], str(tmp_path), True, None, content)
    assert (len(okay), len(failed)) == (1, 0)
    (tmp_path / "_index.json").write_text(json.dumps(index))
    path.write_bytes(b"unreadable")
    result = Sidecars([HSC], [str(path)]).read(str(path))
    assert result is not None
    assert result.observations == (from_header,)


def test_the_sidecars_of_obs_base_are_ingested(ingest_data: Path, butler: Butler, dummy: Camera) -> None:
    report = ingest_raws(
        butler, ingest_data / "sidecar_data", regex=r"\.yaml$", instrument=dummy, transfer="direct"
    )
    assert report.counts == {"ingested": 3, "present": 0, "rejected": 0}
    records = [r.toDict() for r in butler.query_dimension_records("exposure", instrument="DummyCam")]
    assert [(r["id"], r["obs_id"], r["physical_filter"]) for r in sorted(records, key=lambda r: r["id"])] == [
        (100, "DummyDataset_1", "dummy_u"),
        (200, "DummyDataset_2", "dummy_g"),
        (3000, "DummyDataset_End", "dummy_g"),
    ]
    ended = next(r for r in records if r["id"] == 3000)
    assert ended["timespan"].nsec[1] - ended["timespan"].nsec[0] == 1  # it ends before it begins


def test_an_index_stands_for_its_files(ingest_data: Path, butler: Butler, dummy: Camera) -> None:
    index = ingest_data / "indexed_data/translated_subdir/_index.json"
    report = ingest_raws(butler, index, instrument=dummy, transfer="direct")
    named = [key for key in json.loads(index.read_text()) if not key.startswith("__")]
    assert [Path(f.path).name for f in report.ingested] == [Path(key).name for key in named]
    assert all(Path(f.path).parent.name == "indexed_data" for f in report.files)


@pytest.mark.parametrize(
    ("directory", "reason"),
    [
        ("bad_index", "_index.json is not valid JSON"),
        ("metadata_subdir", "the header is of no known camera (wanted: DummyCam)"),
    ],
)
def test_a_broken_index_is_a_line_each(
    directory: str, reason: str, ingest_data: Path, butler: Butler, dummy: Camera
) -> None:
    index = ingest_data / f"indexed_data/{directory}/_index.json"
    report = ingest_raws(butler, index, instrument=dummy, transfer="direct")
    assert {f.reason for f in report.files} == {reason}


def test_an_index_of_another_camera_is_told_at_once(ingest_data: Path, butler: Butler, dummy: Camera) -> None:
    index = ingest_data / "indexed_data/bad_instrument/_index.json"
    with pytest.raises(InstrumentError, match="instrument 'HSC' is not registered"):
        ingest_raws(butler, index, instrument=dummy, transfer="direct")
    report = ingest_raws(butler, [index, "nothing.fits"], instrument=dummy, transfer="direct")
    reasons = {f.reason for f in report.rejected}
    assert reasons == {"the sidecar is of HSC, not of DummyCam", "No such file or directory"}


def test_a_broken_index_that_was_only_found_is_passed_over(
    ingest_data: Path, butler: Butler, dummy: Camera
) -> None:
    directory = ingest_data / "indexed_data/bad_implied"
    report = ingest_raws(butler, directory, regex=r"\.yaml$", instrument=dummy, transfer="direct")
    assert [f.reason for f in report.files] == ["not a FITS file"]
    (note,) = report.notes
    assert note.endswith("bad_implied/_index.json is passed over: _index.json is not valid JSON")


def test_indexes_are_not_looked_for_if_not_wanted(ingest_data: Path, butler: Butler, dummy: Camera) -> None:
    data = ingest_data / "indexed_data"
    files = [data / "dataset_1.yaml", data / "dataset_2.yaml"]
    report = ingest_raws(butler, files, instrument=dummy, transfer="direct", search_indexes=False)
    assert len(report.rejected) == 2
    report = ingest_raws(butler, files, instrument=dummy, transfer="direct")
    assert report.counts["ingested"] == 2


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "__CONTENT__": "translated",
        "instrument": "HSC",
        "exposure_id": 1,
        "observation_id": "A",
        "detector_num": 3,
        "physical_filter": "HSC-R",
        "datetime_begin": [2456461.0, 0.5],
        "exposure_time": 30.0,
        "observation_type": "science",
    } | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exposure_id": None}, "exposure_id: no value"),
        ({"exposure_id": "x"}, "exposure_id: 'x' is no integer"),
        ({"exposure_id": [1]}, "exposure_id: [1] is no integer"),
        ({"detector_num": 999}, "HSC has no detector 999"),
        ({"detector_num": [3]}, "HSC has no detector [3]"),
        ({"physical_filter": "q"}, "HSC has no filter 'q'"),
        ({"physical_filter": {}}, "physical_filter: no value"),
        ({"datetime_begin": "now"}, "datetime_begin: 'now' is no pair of numbers"),
        ({"datetime_begin": [float("nan"), 0]}, "is no time"),
        ({"datetime_begin": [1e300, 0.0]}, "datetime_begin lies outside 1970 to 2100"),
        ({"tracking_radec": [1]}, "tracking_radec: [1] is no pair of numbers"),
        ({"tracking_radec": [0, 100]}, "tracking_dec 100.0 lies outside"),
        ({"observation_type": None}, "observation_type: no value"),
        ({"observing_day": 20251399}, "is no date"),
        ({"exposure_time": "long"}, "exposure_time: 'long' is no number"),
        ({"group_counter_start": "x"}, "group_counter_start: 'x' is no integer"),
        ({"has_simulated_content": "no"}, "has_simulated_content: 'no' is neither true nor false"),
    ],
)
def test_bad_values_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(HeaderError) as caught:
        observation_from_sidecar(HSC, entry(**changes), "a.fits")
    assert message in str(caught.value)


def test_detectors_of_an_exposure_share_what_was_read() -> None:
    known: dict[Any, Any] = {}
    first = observation_from_sidecar(HSC, entry(), "a.fits", known)
    second = observation_from_sidecar(HSC, entry(detector_num=4, object="other"), "b.fits", known)
    assert (second.detector, second.exposure_key) == (4, first.exposure_key)
    other = observation_from_sidecar(HSC, entry(detector_num=4, observation_id="B"), "b.fits", known)
    assert other.obs_id == "B"


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"__COMMON__": 1}',
        '{"__COMMON__": {}, "a.fits": 1}',
        '{"__CONTENT__": "x", "__COMMON__": {}}',
    ],
)
def test_what_is_no_index_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "_index.json").write_text(text)
    path = str(tmp_path / "_index.json")
    result = Sidecars([HSC], [path]).read(path)
    assert result is not None
    assert result.reason


def test_a_directory_is_listed_once_for_many_files(tmp_path: Path) -> None:
    paths = []
    for number in range(12):
        (tmp_path / f"{number}.json").write_text(json.dumps(entry(exposure_id=number + 1)))
        (tmp_path / f"{number}.fits.gz").write_bytes(b"")
        paths.append(str(tmp_path / f"{number}.fits.gz"))
    sidecars = Sidecars([HSC], paths)
    results = [sidecars.read(path) for path in paths]
    assert [r.observations[0].exposure_id for r in results if r is not None] == list(range(1, 13))


def test_a_file_that_is_not_there_is_not_ingested(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(entry()))
    result = Sidecars([HSC], [str(tmp_path / "a.fits")]).read(str(tmp_path / "a.fits"))
    assert result is not None
    assert result.reason == "No such file or directory"


@pytest.mark.parametrize(
    "text", ['{"a": 1} {"b": 2}', '{"a": 1}}', '{"a": 1', "[]", "", "}", '{"a": "\xff"}']
)
def test_a_sidecar_that_is_no_json_is_one_line(text: str, tmp_path: Path) -> None:
    raw = tmp_path / "x.fits"
    raw.touch()
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    result = Sidecars([load_camera("HSC")], [str(raw)]).read(str(raw))
    assert result is not None
    assert result.reason in ("x.json is not valid JSON", "x.json: expected a mapping")


@pytest.mark.parametrize("text", ['\ufeff{"__CONTENT__": "translated"}', ' {"__CONTENT__": "translated"}\n'])
def test_blanks_and_marks_around_a_sidecar_do_not_matter(text: str, tmp_path: Path) -> None:
    raw = tmp_path / "x.fits"
    raw.touch()
    (tmp_path / "x.json").write_text(text, "utf-8")
    result = Sidecars([load_camera("HSC")], [str(raw)]).read(str(raw))
    assert result is not None
    assert "of None, not of HSC" in result.reason
