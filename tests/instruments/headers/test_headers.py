# SPDX-License-Identifier: BSD-3-Clause
"""From raw files to observations, with real headers."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astro_metadata_translator import ObservationInfo
from astropy.io import fits

from lakebutler.instruments import load_camera
from lakebutler.instruments.headers.file import read_file
from lakebutler.instruments.headers.observation import (
    Observation,
    day_obs_record,
    exposure_record,
    group_record,
)
from lakebutler.instruments.headers.parallel import read_files
from lakebutler.timespan import Timespan, time_to_nsec

CAMERAS = [load_camera(name) for name in ("HSC", "DECam", "testCam", "DemoCam")]
SMALL = (20, 10)


def only(path: Path) -> Observation:
    result = read_file(str(path), CAMERAS)
    assert not result.reason
    (observation,) = result.observations
    return observation


def reason_of(path: Path, *cameras: str) -> str:
    result = read_file(str(path), [load_camera(c) for c in cameras] if cameras else CAMERAS)
    assert not result.observations
    assert "\n" not in result.reason
    return result.reason


def test_an_hsc_raw_gives_the_known_facts(
    tmp_path: Path, real_header: Callable[..., Any], write_single: Callable[..., Path]
) -> None:
    path = write_single(tmp_path / "HSCA04090107.fits", real_header("hsc-HSCA04090107"), SMALL)
    o = only(path)
    assert (o.instrument, o.exposure_id, o.detector, o.day_obs) == ("HSC", 40900, 37, 20151010)
    assert (o.obs_id, o.physical_filter, o.group) == ("HSCA04090000", "HSC-R", "40900")
    assert (o.observation_type, o.observation_reason, o.target_name) == ("science", "science", "SSP-Wide")
    assert (o.seq_num, o.seq_start, o.seq_end) == (40900, 40900, 40900)
    assert (o.exposure_time_s, o.sky_angle_deg, o.can_see_sky) == (150.0, 270.0, True)
    assert o.tracking_ra_deg == pytest.approx(21.1572375, abs=1e-9)
    assert o.zenith_angle_deg == pytest.approx(90 - 52.64958639, abs=1e-6)


@pytest.mark.parametrize("name", ["hsc-HSCA04090107", "hsc"])
def test_every_value_is_the_one_of_the_translator(
    name: str, tmp_path: Path, real_header: Callable[..., Any], write_single: Callable[..., Path]
) -> None:
    cards = real_header(name)
    o = only(write_single(tmp_path / "a.fits", cards, SMALL))
    info = ObservationInfo(cards)
    record = exposure_record(o)
    assert record["id"] == info.exposure_id
    assert record["timespan"] == Timespan(info.datetime_begin, info.datetime_end)
    assert record["exposure_time"] == info.exposure_time_requested.to_value("s")
    assert record["dark_time"] == info.dark_time.to_value("s")
    assert record["tracking_ra"] == pytest.approx(info.tracking_radec.icrs.ra.deg, abs=1e-12)
    assert record["tracking_dec"] == pytest.approx(info.tracking_radec.icrs.dec.deg, abs=1e-12)
    assert record["azimuth"] == pytest.approx(info.altaz_begin.az.deg, abs=1e-12)
    assert record["zenith_angle"] == pytest.approx(info.altaz_begin.zen.deg, abs=1e-12)
    assert record["sky_angle"] == info.boresight_rotation_angle.deg
    assert record["science_program"] == info.science_program
    assert day_obs_record(o)["id"] == info.observing_day
    assert group_record(o)["name"] == info.exposure_group


def test_a_decam_file_gives_one_observation_per_science_ccd(
    tmp_path: Path, real_header: Callable[..., Any], write_multi: Callable[..., Path]
) -> None:
    ccds = [(25, "S1"), (61, "N30"), (1, "S29"), (63, "GN1"), (70, "FN4")]
    path = write_multi(tmp_path / "c4d_130901_060255_ori.fits.fz", real_header("decam"), ccds)
    result = read_file(str(path), CAMERAS)
    assert [o.detector for o in result.observations] == [25, 61, 1]
    assert result.units == (1, 2, 3)
    first = result.observations[0]
    assert (first.exposure_id, first.day_obs, first.sky_angle_deg) == (229388, 20130831, 90.0)
    assert first.physical_filter == "z DECam SDSS c0004 9260.0 1520.0"
    for other in result.observations[1:]:
        assert {k: v for k, v in other._asdict().items() if k != "detector"} == {
            k: v for k, v in first._asdict().items() if k != "detector"
        }


def test_a_decam_bias_lies_behind_the_solid_plate(
    tmp_path: Path, real_header: Callable[..., Any], write_multi: Callable[..., Path]
) -> None:
    path = write_multi(tmp_path / "bias.fits.fz", real_header("decam-0160496"), [(25, "S1")])
    (o,) = read_file(str(path), CAMERAS).observations
    assert (o.observation_type, o.physical_filter) == ("zero", "solid plate 0.0 0.0")
    assert (o.exposure_time_s, o.can_see_sky) == (0.0, False)


def test_the_obs_test_raws_translate_by_their_rules(shared_data: Path) -> None:
    folder = shared_data / "gen2_obs_test/data/input/raw"
    found = [only(path) for path in sorted(folder.iterdir())]
    assert [(o.exposure_id, o.physical_filter) for o in found] == [(1, "g"), (2, "g"), (3, "r")]
    assert [o.obs_id for o in found] == ["890104911", "890106021", "890880321"]
    assert [o.day_obs for o in found] == [19990116, 19990116, 19990218]
    for o, mjd in zip(found, (51195.2035520278, 51195.2240820278, 51228.0541210278), strict=True):
        assert o.begin_nsec == pytest.approx((mjd - 40587) * 86400e9, abs=1000)
        assert o.end_nsec - o.begin_nsec == 15_000_000_000
        assert (o.exposure_time_s, o.has_simulated) == (15.0, True)


def test_an_obs_test_raw_under_another_name_has_no_visit_number(shared_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.fits.gz"
    shutil.copy(shared_data / "gen2_obs_test/data/input/raw/raw_v1_fg.fits.gz", path)
    assert reason_of(path) == "exposure_id: the file is not named as the camera names its files"


def test_a_processed_image_is_no_raw(
    shared_data: Path, tmp_path: Path, real_header: Callable[..., Any], write_multi: Callable[..., Path]
) -> None:
    hsc = shared_data / "gen2_obs_test/data/calexpMetadataObjectsTest/example-calexp.fits.gz"
    assert reason_of(hsc) == "a processed image (AR_HDU in the header), not a raw one"
    cards = real_header("decam-calexp-0412037_10")
    del cards["AR_HDU"]
    path = write_multi(tmp_path / "calexp.fits", cards, [(1, "S29")])
    assert reason_of(path) == "PROCTYPE is 'InstCal'; raws have RAW or Raw or raw"


def test_a_header_of_another_camera_is_named(
    tmp_path: Path, real_header: Callable[..., Any], write_single: Callable[..., Path]
) -> None:
    path = write_single(tmp_path / "a.fits", real_header("hsc"), SMALL)
    assert reason_of(path, "DECam") == "the header is of HSC, not of DECam"
    assert read_file(str(path), [load_camera("DECam")]).stranger == "HSC"
    other = write_single(tmp_path / "b.fits", {"INSTRUME": "WFC3"}, SMALL)
    assert reason_of(other, "DECam") == "the header is of WFC3, not of DECam"
    bare = write_single(tmp_path / "c.fits", {}, SMALL)
    assert reason_of(bare, "DECam", "HSC") == "the header is of no known camera (wanted: DECam or HSC)"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"FILTER01": "Quux"}, "HSC has no filter 'QUUX'"),
        ({"DET-ID": 150}, "HSC has no detector 150"),
        ({"DATE-OBS": None}, "datetime_begin: Unable to find any usable date"),
        ({"DATE-OBS": "yesterday"}, "datetime_begin: "),
        ({"DATE-OBS": "1899-01-01"}, "datetime_begin lies outside 1970 to 2100"),
        ({"EXP-ID": "HSCXX"}, "exposure_id: "),
        ({"EXPTIME": "long"}, "exposure_time"),
        ({"DATA-TYP": "A" * 20}, "observation_type: "),
    ],
    ids=str,
)
def test_a_header_that_makes_no_sense_is_rejected_with_its_reason(
    change: dict[str, Any],
    reason: str,
    tmp_path: Path,
    real_header: Callable[..., Any],
    write_single: Callable[..., Path],
) -> None:
    cards = real_header("hsc-HSCA04090107") | change
    path = write_single(tmp_path / "a.fits", {k: v for k, v in cards.items() if v is not None}, SMALL)
    assert reason_of(path).startswith(reason)


def test_files_that_are_no_fits_images_are_rejected(
    tmp_path: Path, real_header: Callable[..., Any], write_single: Callable[..., Path]
) -> None:
    whole = write_single(tmp_path / "whole.fits", real_header("hsc"), (200, 100))
    cut = tmp_path / "cut.fits"
    cut.write_bytes(whole.read_bytes()[:-9000])
    assert reason_of(cut).startswith("truncated: unit 0 needs")
    packed = tmp_path / "cut.fits.gz"
    packed.write_bytes(gzip.compress(whole.read_bytes())[:-50])
    assert reason_of(packed).startswith("truncated")
    text = tmp_path / "notes.fits"
    text.write_text("not pixels\n" * 1000)
    assert reason_of(text) == "not a FITS file"
    (tmp_path / "empty.fits").touch()
    assert reason_of(tmp_path / "empty.fits") == "empty file"
    assert reason_of(tmp_path / "gone.fits") == "No such file or directory"
    assert reason_of(tmp_path) == "Is a directory"
    fits.PrimaryHDU().writeto(tmp_path / "header_only.fits")
    assert reason_of(tmp_path / "header_only.fits") == "holds no image"


def test_a_multi_extension_file_with_a_repeated_or_without_any_ccd_is_rejected(
    tmp_path: Path, real_header: Callable[..., Any], write_multi: Callable[..., Path]
) -> None:
    cards = real_header("decam")
    twice = write_multi(tmp_path / "twice.fits", cards, [(25, "S1"), (25, "S1")])
    assert reason_of(twice) == "holds detector 25 twice"
    guiders = write_multi(tmp_path / "guiders.fits", cards, [(63, "GN1")])
    assert reason_of(guiders) == "no unit with CCDNUM"


def test_gzip_and_tile_compression_change_nothing(
    tmp_path: Path, real_header: Callable[..., Any], write_single: Callable[..., Path]
) -> None:
    cards = real_header("hsc")
    plain = write_single(tmp_path / "HSCA90402512.fits", cards, SMALL)
    packed = tmp_path / "HSCA90402512.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    tiled = tmp_path / "HSCA90402512.fits.fz"
    with fits.open(plain) as hdus:
        header = hdus[0].header.copy(strip=True)
        image = fits.CompImageHDU(np.asarray(hdus[0].data), header)
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(tiled)
    assert only(plain) == only(packed) == only(tiled)


def test_processes_change_nothing_but_the_time(
    tmp_path: Path, real_header: Callable[..., Any], write_single: Callable[..., Path]
) -> None:
    cards = real_header("hsc")
    paths = []
    for i in range(70):
        path = write_single(tmp_path / f"{i}.fits", cards | {"DET-ID": i}, SMALL)
        paths.append(str(path))
    paths.append(str(tmp_path / "gone.fits"))
    alone = list(read_files(paths, CAMERAS))
    assert list(read_files(paths, CAMERAS, processes=2)) == alone
    assert [r.observations[0].detector for r in alone[:-1]] == list(range(70))


def test_header_rules_work_in_other_processes_too(simulated: tuple[Path, ...]) -> None:
    paths = [str(path) for path in simulated[:80]]
    camera = load_camera("DemoCam")
    alone = list(read_files(paths, [camera]))
    assert list(read_files(paths, [camera], processes=2)) == alone
    assert all(r.observations for r in alone)


def test_a_worker_that_cannot_start_costs_time_only(
    simulated: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    results = list(read_files([str(path) for path in simulated[:70]], [load_camera("DemoCam")], processes=2))
    assert len(results) == 70
    assert all(r.observations for r in results)


def test_a_plain_script_without_a_main_guard_can_use_processes(simulated: tuple[Path, ...]) -> None:
    folder = simulated[0].parent
    script = (
        "from pathlib import Path\n"
        "from lakebutler.instruments import load_camera\n"
        "from lakebutler.instruments.headers.parallel import read_files\n"
        f"paths = [str(p) for p in sorted(Path({str(folder)!r}).iterdir())]\n"
        "done = list(read_files(paths, [load_camera('DemoCam')], processes=2))\n"
        "print(len(done), all(r.observations for r in done))\n"
    )
    result = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, check=True)
    assert result.stdout.split() == [str(len(list(folder.iterdir()))), "True"]


def test_time_is_counted_in_tai(
    tmp_path: Path, real_header: Callable[..., Any], write_single: Callable[..., Path]
) -> None:
    cards = real_header("hsc")
    o = only(write_single(tmp_path / "a.fits", cards, SMALL))
    assert o.begin_nsec == time_to_nsec(ObservationInfo(cards).datetime_begin)
    assert day_obs_record(o)["timespan"] == Timespan.from_day_obs(20131102, 0)
