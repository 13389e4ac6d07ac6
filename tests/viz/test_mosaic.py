# SPDX-License-Identifier: BSD-3-Clause
"""Amplifiers are put where their headers say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lakebutler.viz.mosaic import mosaic, section

WHOLE = np.arange(24.0).reshape(4, 6)


def amplifiers() -> list[tuple[np.ndarray, dict[str, str]]]:
    """Four quarters of an image as they are read out, each with two columns and a row of overscan."""
    made = []
    for turn_y, y0 in ((False, 0), (True, 2)):
        for turn_x, x0 in ((False, 0), (True, 3)):
            light = WHOLE[y0 : y0 + 2, x0 : x0 + 3][:: -1 if turn_y else 1, :: -1 if turn_x else 1]
            image = np.full((3, 5), -99.0)
            image[:2, 1:4] = light
            xs = (x0 + 3, x0 + 1) if turn_x else (x0 + 1, x0 + 3)
            ys = (y0 + 2, y0 + 1) if turn_y else (y0 + 1, y0 + 2)
            detsec = f"[{xs[0]}:{xs[1]},{ys[0]}:{ys[1]}]"
            made.append((image, {"DATASEC": "[2:4,1:2]", "DETSEC": detsec}))
    return made


def test_quarters_become_the_whole() -> None:
    assert mosaic(amplifiers()) == pytest.approx(WHOLE)
    most = mosaic(amplifiers()[:3])
    assert most is not None
    assert np.isnan(most).sum() == 6
    assert np.nanmax(np.abs(most - WHOLE)) == 0


def test_what_says_nothing_is_left_out() -> None:
    (image, header), *others = amplifiers()
    assert mosaic([(image, {})]) is None
    wrong = {"DATASEC": "[2:40,1:2]", "DETSEC": header["DETSEC"]}
    found = mosaic([(image, wrong), *others])
    assert found is not None
    assert np.isnan(found).sum() == 6
    assert mosaic([(image, {"DATASEC": "[1:1,1:1]", "DETSEC": "[99999:99999,99999:99999]"})]) is None
    for text in (None, 5, "", "[1:2]", "[0:2,1:2]", "[1:2,1:2", "[-1:2,1:2]", "[1:9999999,1:2]"):
        assert section(text) is None
    assert section(" [ 4:512, 2000:1 ] ") == (4, 512, 2000, 1)


def test_a_real_raw_fills_its_detector(shared_data: Path) -> None:
    path = shared_data / "gen3_repos/latiss/raw/2018-09-20/3018092000065-det000.fits"
    with fits.open(path) as hdus:
        whole = mosaic((hdu.data, hdu.header) for hdu in hdus if hdu.is_image)
    assert whole is not None
    assert whole.shape == (4000, 4072)
    assert not np.isnan(whole).any()
