# SPDX-License-Identifier: BSD-3-Clause
"""The simulated raws: as a real camera writes them, and true."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from lakebutler.instruments import load_camera
from lakebutler.instruments.demo.simulate import plan_exposures, simulate_raws, star_field
from lakebutler.instruments.headers.parallel import read_files
from lakebutler.progress import CollectingProgress


@pytest.fixture
def raws(simulated: tuple[Path, ...]) -> tuple[Path, ...]:
    return simulated


def test_there_is_a_file_per_exposure_and_detector(raws: tuple[Path, ...]) -> None:
    camera, plan = load_camera("DemoCam"), plan_exposures()
    assert len(raws) == len(plan) * len(camera.detectors)
    assert len({path.name for path in raws}) == len(raws)
    assert {path.parent.name for path in raws} == {"20260314", "20260315"}
    assert all(camera.raw.file_names[0].fullmatch(path.name) for path in raws)


def test_the_same_call_writes_the_same_bytes(raws: tuple[Path, ...], tmp_path: Path) -> None:
    progress = CollectingProgress()
    again = simulate_raws(tmp_path, progress=progress)
    for one, other in zip(raws, again, strict=True):
        assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest()
    assert progress.stages == [("simulating raws", len(plan_exposures()))]


def test_every_header_translates_through_the_camera_file(raws: tuple[Path, ...]) -> None:
    camera = load_camera("DemoCam")
    results = list(read_files([str(p) for p in raws], [camera]))
    assert not [r.reason for r in results if r.reason]
    found = {(o.exposure_id, o.detector): o for r in results for o in r.observations}
    assert len(found) == len(raws)
    for planned in plan_exposures():
        for detector in camera.detectors:
            o = found[planned.day_obs * 100000 + planned.seq_num, detector.id]
            assert (o.obs_id, o.day_obs, o.seq_num) == (planned.obs_id, planned.day_obs, planned.seq_num)
            assert (o.physical_filter, o.exposure_time_s) == (planned.filter, planned.seconds)
            assert o.can_see_sky is (planned.kind == "OBJECT")
            if planned.pointing is None:
                assert (o.tracking_ra_deg, o.sky_angle_deg) == (None, None)
            else:
                assert o.tracking_ra_deg == pytest.approx(planned.pointing[0], abs=1e-6)
                assert o.tracking_dec_deg == pytest.approx(planned.pointing[1], abs=1e-6)
                assert o.sky_angle_deg == planned.pointing[2]
                assert 20 < 90 - (o.zenith_angle_deg or 0) < 90


def test_the_files_have_the_form_of_a_real_cameras(raws: tuple[Path, ...]) -> None:
    with fits.open(raws[-1]) as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "S22"]
        assert hdus[0].data is None
        assert hdus[1].data.dtype == np.uint16
        assert hdus[1].data.shape == (256, 272)
        assert "INSTRUME" in hdus[0].header
        assert "CTYPE1" in hdus[1].header


def test_the_stars_stand_where_the_wcs_says(raws: tuple[Path, ...]) -> None:
    stars = sorted(star_field(), key=lambda s: s.magnitude)[:400]
    places = np.array([(s.ra_deg, s.dec_deg) for s in stars])
    offsets = []
    for path in [p for p in raws if p.stem.startswith("DC_20260315_000009")]:
        with fits.open(path) as hdus:
            wcs, image = WCS(hdus[1].header), hdus[1].data[:, :256].astype(float)
        image -= np.median(image)
        for x, y in wcs.all_world2pix(places, 0):
            i, j = round(y), round(x)
            if not (6 <= i < 250 and 6 <= j < 250):
                continue
            stamp = image[i - 4 : i + 5, j - 4 : j + 5]
            if stamp.max() < 600 or stamp.max() > 50000:
                continue
            weight = np.clip(stamp, 0, None)
            rows, columns = np.mgrid[i - 4 : i + 5, j - 4 : j + 5]
            offsets.append(
                ((weight * columns).sum() / weight.sum() - x, (weight * rows).sum() / weight.sum() - y)
            )
    assert len(offsets) > 20
    assert np.median(offsets, axis=0) == pytest.approx([0, 0], abs=0.1)
    assert np.median(np.hypot(*np.transpose(offsets))) < 0.3
