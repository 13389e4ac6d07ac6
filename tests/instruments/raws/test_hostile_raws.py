# SPDX-License-Identifier: BSD-3-Clause
"""Absurd headers, sidecars, names and places: one line each, and everything else goes in."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from lakebutler import Butler
from lakebutler.errors import ButlerError, DimensionValueError
from lakebutler.instruments import ingest_raws, register_instrument
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.cameras.reader import parse_camera
from lakebutler.instruments.raws import changes
from lakebutler.instruments.raws.report import IngestReport, printable

CAMERA = r"""
schema: 1
name: Garden
limits: {detector: 2, visit: 1000000, exposure: 1000000}
day_obs_offset_s: 43200
filters: {columns: [name, band, aliases], rows: [[ha, Ha, [Ha]]]}
raw: {file_names: ['(?P<number>\d+)\.fits']}
header:
  match: {INSTRUME: [Garden]}
  rules:
    exposure_id: {file_name: number, type: integer}
    observation_id: {file_name: number}
    detector_num: {value: 0}
    physical_filter: FILTER
    datetime_begin: {card: DATE-OBS, time: isot}
    exposure_time: EXPTIME
    observation_type: {value: science}
    object: {card: OBJECT, optional: true}
    tracking_ra: {card: RA, unit: degree, optional: true}
    tracking_dec: {card: DEC, unit: degree, optional: true}
    sky_angle: {card: ROT, optional: true}
    observation_counter: {card: SEQ, optional: true, type: integer}
detectors: {columns: [id, name], rows: [[0, a], [1, b]]}
"""
CARDS: dict[str, Any] = {
    "INSTRUME": "Garden",
    "FILTER": "Ha",
    "EXPTIME": 300.0,
    "DATE-OBS": "2026-03-14T21:05:00.5",
    "RA": 97.98,
    "DEC": 4.94,
}
ENTRY: dict[str, Any] = {
    "__CONTENT__": "translated",
    "instrument": "Garden",
    "detector_num": 0,
    "physical_filter": "ha",
    "datetime_begin": [2461114.0, 0.25],
    "exposure_time": 30.0,
    "observation_type": "science",
}


@pytest.fixture
def camera() -> Camera:
    return parse_camera(CAMERA, source="garden.yaml")


@pytest.fixture
def butler(tmp_path: Path, camera: Camera) -> Butler:
    butler = Butler.from_config(Butler.makeRepo(tmp_path / "repo"), writeable=True)
    register_instrument(butler, camera)
    return butler


@pytest.fixture
def ingest(butler: Butler, tmp_path: Path, camera: Camera) -> Callable[..., IngestReport]:
    def run(**options: Any) -> IngestReport:
        return ingest_raws(butler, tmp_path / "raws", instrument=camera, **options)

    (tmp_path / "raws").mkdir()
    return run


def raw(folder: Path, number: int, **cards: Any) -> Path:
    path = folder / f"{number}.fits"
    header = fits.Header({k: v for k, v in (CARDS | cards).items() if v is not None})
    fits.PrimaryHDU(np.zeros((3, 4), np.uint16), header).writeto(path)
    return path


def beside(folder: Path, number: int, **changes: Any) -> None:
    (folder / f"{number}.fits").write_bytes(b"SIMPLE")
    own = {"exposure_id": number, "observation_id": f"G{number}"}
    (folder / f"{number}.json").write_text(json.dumps(ENTRY | own | changes))


def reasons(report: IngestReport) -> dict[str, str]:
    return {Path(f.path).name: f.reason for f in report.rejected}


@pytest.fixture
def unblocked(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Make a pipe; whoever waits for its writer waits for some seconds and reads nothing."""
    pipes: list[Path] = []
    done = threading.Event()

    def let_go() -> None:
        while not done.wait(3.0):
            for pipe in pipes:
                with suppress(OSError):
                    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))

    def make(path: Path) -> Path:
        os.mkfifo(path)
        pipes.append(path)
        return path

    thread = threading.Thread(target=let_go)
    thread.start()
    yield make
    done.set()
    thread.join()


HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "huge exposure time": ({"EXPTIME": 1e30}, "exposure_time 1e+30 lies outside 0 to 1,000,000 s"),
    "negative exposure time": ({"EXPTIME": -5.0}, "exposure_time -5.0 lies outside 0 to 1,000,000 s"),
    "logical exposure time": ({"EXPTIME": True}, "exposure_time: True is no finite number"),
    "exposure time of text": ({"EXPTIME": "inf"}, "exposure_time: 'inf' is no finite number"),
    "huge counter": ({"SEQ": 1e30}, "observation_counter: 10000000000000000198"),
    "logical counter": ({"SEQ": True}, "observation_counter: True is no integer"),
    "right ascension": ({"RA": 1e9}, "tracking_ra 1000000000.0 lies outside -360 to 720 degrees"),
    "right ascension of text": ({"RA": "nan"}, "tracking_ra: 'nan' is no number"),
    "logical declination": ({"DEC": True}, "tracking_dec: True is no number"),
    "angle": ({"ROT": 1e9}, "sky_angle 1000000000.0 lies outside -720 to 720 degrees"),
    "logical object": ({"OBJECT": True}, "object: True is no text"),
    "after 2099": ({"DATE-OBS": "2099-12-31T23:00:00", "EXPTIME": 9000.0}, "datetime_end lies after 2099"),
}


def test_an_absurd_header_is_one_line_and_the_rest_goes_in(
    ingest: Callable[..., IngestReport], tmp_path: Path
) -> None:
    folder = tmp_path / "raws"
    for number, (cards, _) in enumerate(HEADERS.values()):
        raw(folder, number, **cards)
    raw(folder, 99)
    raw(folder, 98, RA=None, DEC=None)  # no pointing is no fault
    report = ingest()
    assert [Path(f.path).name for f in report.ingested] == ["98.fits", "99.fits"]
    found = reasons(report)
    for number, (what, (_, expected)) in enumerate(HEADERS.items()):
        assert found[f"{number}.fits"].startswith(expected), what


SIDECARS: dict[str, tuple[dict[str, Any], str]] = {
    "late end": ({"datetime_end": [9e9, 0]}, "datetime_end lies after 2099"),
    "huge day": ({"observing_day": 1e30}, "observing_day: 1e+30 does not fit a 64-bit integer"),
    "no day": ({"observing_day": 0}, "observing_day 0 is no date YYYYMMDD from 1970 to 2099"),
    "offset": ({"observing_day_offset": 10**12}, "observing_day_offset 1000000000000 is more than 172800 s"),
    "counter": ({"observation_counter": 10**30}, f"observation_counter: {10**30} does not fit"),
    "object with NUL": ({"object": "a\0b"}, r"object: 'a\x00b' holds the character U+0000"),
    "half a pair": ({"object": "\ud800"}, r"object: '\ud800' holds the character U+D800"),
    "two lines": ({"observation_id": "a\nb"}, r"observation_id: 'a\nb' holds the character U+000A"),
    "fraction": ({"exposure_id": 116.5}, "exposure_id: 116.5 is no integer"),
    "listed number": ({"exposure_id": [1]}, "exposure_id: [1] is no integer"),
    "logical detector": ({"detector_num": True}, "Garden has no detector True"),
    "long": ({"exposure_time": 1e300}, "exposure_time 1e+300 lies outside 0 to 1,000,000 s"),
    "large integer": ({"exposure_time": 10**400}, "exposure_time: 10000"),
    "group": ({"exposure_group": {"a": 1}}, "exposure_group: {'a': 1} is no text"),
    "pointing": ({"tracking_radec": [1e300, 1]}, "tracking_ra 1e+300 lies outside"),
    "logical pointing": ({"tracking_radec": [True, 1]}, "tracking_radec: [True, 1] is no pair of numbers"),
    "large pair": ({"altaz_begin": [10**400, 1]}, "altaz_begin: [1000"),
    "stranger": ({"instrument": "a\n\ud800"}, r"the sidecar is of a\n\ud800, not of Garden"),
}


def test_an_absurd_sidecar_is_one_line_and_the_rest_goes_in(
    ingest: Callable[..., IngestReport], butler: Butler, tmp_path: Path
) -> None:
    folder = tmp_path / "raws"
    beside(folder, 0)  # first, so that an exposure is known when the others come
    beside(folder, 900, tracking_radec=[float("nan"), 1.0])
    for number, (facts, _) in enumerate(SIDECARS.values(), 1):
        beside(folder, number, **facts)
    report = ingest()
    assert [Path(f.path).name for f in report.ingested] == ["0.fits", "900.fits"]
    found = reasons(report)
    for number, (what, (_, expected)) in enumerate(SIDECARS.items(), 1):
        assert found[f"{number}.fits"].startswith(expected), what
        assert len(found[f"{number}.fits"]) < 200, what
    [kept] = butler.sql("SELECT count(*) FROM ingest_report WHERE status = 'rejected'").fetchall()
    assert kept == (len(SIDECARS),)


def test_an_error_nobody_thought_of_is_the_files_own(
    ingest: Callable[..., IngestReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakebutler.instruments.headers import sidecars, translate

    real = translate.observation_from_values

    def stumbles(camera: Camera, values: dict[str, Any]) -> Any:
        if values["exposure_id"] in (1, 2):
            raise ZeroDivisionError("by\nnothing")
        return real(camera, values)

    monkeypatch.setattr(translate, "observation_from_values", stumbles)
    monkeypatch.setattr(sidecars, "observation_from_values", stumbles)
    folder = tmp_path / "raws"
    raw(folder, 1)
    beside(folder, 2)
    raw(folder, 3)
    report = ingest()
    assert len(report.ingested) == 1
    assert set(reasons(report).values()) == {"cannot be understood (ZeroDivisionError: by nothing)"}


def test_a_record_that_the_repository_refuses_rejects_its_files_only(
    ingest: Callable[..., IngestReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = changes.judge_records

    def too_long(*args: Any, **options: Any) -> Any:
        new, changed = real(*args, **options)
        return [row | {"observation_reason": "x" * 999} if row["id"] == 1 else row for row in new], changed

    monkeypatch.setattr(changes, "judge_records", too_long)
    folder = tmp_path / "raws"
    raw(folder, 1)
    raw(folder, 2)
    report = ingest()
    assert len(report.ingested) == report.exposures_added == 1
    [reason] = reasons(report).values()
    assert reason.startswith("observation_reason of exposure record has 999 characters, 68 are allowed")
    assert issubclass(DimensionValueError, ButlerError)


def test_a_pipe_is_one_line(
    ingest: Callable[..., IngestReport], tmp_path: Path, unblocked: Callable[[Path], Path]
) -> None:
    folder = tmp_path / "raws"
    unblocked(folder / "1.fits")
    raw(folder, 2)
    unblocked(folder / "2.json")  # a sidecar that is none: the header is read
    unblocked(folder / "3.fits")
    (folder / "3.json").write_text(json.dumps(ENTRY | {"exposure_id": 3, "observation_id": "G3"}))
    unblocked(folder / "_index.json")
    report = ingest()
    assert reasons(report) == {"1.fits": "not a regular file", "3.fits": "not a regular file"}
    assert [Path(f.path).name for f in report.ingested] == ["2.fits"]


def test_an_index_that_is_a_pipe_is_one_line(
    butler: Butler, camera: Camera, tmp_path: Path, unblocked: Callable[[Path], Path]
) -> None:
    report = ingest_raws(butler, unblocked(tmp_path / "_index.json"), instrument=camera)
    assert reasons(report) == {"_index.json": "_index.json is not a regular file"}


def test_a_loop_of_directories_is_walked_once(ingest: Callable[..., IngestReport], tmp_path: Path) -> None:
    folder = tmp_path / "raws"
    (folder / "night").mkdir()
    raw(folder / "night", 1)
    for name in ("x", "y"):  # two of them: the names double with each step
        (folder / "night" / name).symlink_to("..")
    report = ingest()
    assert len(report.files) == len(report.ingested) == 1
    assert report.notes == tuple(
        f"{folder}/night/{name} is {folder} once more: passed over" for name in ("x", "y")
    )


def test_a_link_to_a_directory_elsewhere_is_followed(
    ingest: Callable[..., IngestReport], tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    raw(tmp_path / "elsewhere", 1)
    (tmp_path / "raws" / "link").symlink_to("../elsewhere")
    report = ingest()
    assert (len(report.ingested), report.notes) == (1, ())


@pytest.mark.parametrize("sidecar", [False, True])
def test_a_name_that_is_not_utf8_is_one_line(
    sidecar: bool, ingest: Callable[..., IngestReport], butler: Butler, tmp_path: Path
) -> None:
    folder = tmp_path / "raws"
    raw(folder, 1)
    odd = raw(folder, 2)
    odd.rename(os.fsdecode(os.fsencode(folder) + b"/3\xe9.fits"))
    if sidecar:
        beside(folder, 3)
        (folder / "3.json").rename(os.fsdecode(os.fsencode(folder) + b"/3\xe9.json"))
        (folder / "3.fits").unlink()
    report = ingest()
    assert len(report.ingested) == 1
    assert reasons(report) == {r"3\xe9.fits": "its name is not in UTF-8"}
    [kept] = butler.sql("SELECT path, reason FROM ingest_report WHERE status = 'rejected'").fetchall()
    assert kept == (rf"{folder}/3\xe9.fits", "its name is not in UTF-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("é ä 星", "é ä 星"),
        ("a\nb\x1b[31m", r"a\nb\x1b[31m"),
        ("\udce9.fits", r"\xe9.fits"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_is_shown_is_one_line(text: str, shown: str) -> None:
    assert printable(text) == shown
    shown.encode()
