# SPDX-License-Identifier: BSD-3-Clause
"""FITS files made from real headers."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from lakebutler import Butler
from lakebutler.instruments import register_instrument
from lakebutler.instruments.demo.simulate import simulate_raws

STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|TFIELDS|T(TYPE|FORM)\d+|Z.*|BZERO|BSCALE|BLANK"
    r"|CHECKSUM|DATASUM|COMMENT|HISTORY|EXTVER|"
)
OF_A_CCD = {"CCDNUM", "DETPOS", "EXTNAME", "DETECTOR", "CCDSEC", "DETSEC", "DATASEC", "INHERIT"}


@pytest.fixture(scope="session")
def real_header(shared_data: Path) -> Callable[[str], dict[str, Any]]:
    """Read one of the real headers, by the end of its name."""
    from astro_metadata_translator.tests import read_test_file

    def read(name: str) -> dict[str, Any]:
        return dict(read_test_file(str(shared_data / f"headers/amt/fitsheader-{name}.yaml")))

    return read


def header_of(cards: Mapping[str, Any]) -> fits.Header:
    header = fits.Header()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for key, value in cards.items():
            if not STRUCTURE.fullmatch(key) and not isinstance(value, list):
                header[key if len(key) <= 8 else f"HIERARCH {key}"] = value
    return header


@pytest.fixture(scope="session")
def write_single() -> Callable[..., Path]:
    """Write a file with one image, in the primary unit: as HSC does."""

    def write(path: Path, cards: Mapping[str, Any], shape: tuple[int, int] = (4241, 2144)) -> Path:
        rng = np.random.default_rng(7)
        data = rng.integers(0, 65535, shape, dtype=np.uint16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fits.PrimaryHDU(data, header_of(cards)).writeto(path)
        return path

    return write


@pytest.fixture(scope="session")
def write_multi() -> Callable[..., Path]:
    """Write a file with one tile-compressed extension per CCD: as DECam does."""

    def write(path: Path, cards: Mapping[str, Any], ccds: Sequence[tuple[int, str]]) -> Path:
        common = header_of({k: v for k, v in cards.items() if k not in OF_A_CCD})
        hdus: list[Any] = [fits.PrimaryHDU(header=common)]
        for number, name in ccds:
            data = np.random.default_rng(number).integers(0, 32000, (40, 30), dtype=np.int16)
            own = {"CCDNUM": number, "DETPOS": name, "DETECTOR": cards.get("DETECTOR", "S3-0")}
            hdus.append(fits.CompImageHDU(data, header_of(own), name=name, compression_type="RICE_1"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fits.HDUList(hdus).writeto(path)
        return path

    return write


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """All raws of the simulated camera."""
    return simulate_raws(tmp_path_factory.mktemp("simulated"))


@pytest.fixture
def repository_with(tmp_path: Path) -> Callable[..., Butler]:
    """Make a repository with some cameras registered."""
    made = itertools.count()

    def make(*cameras: str) -> Butler:
        root = tmp_path / f"repository-{next(made)}"
        Butler.makeRepo(root)
        butler = Butler.from_config(root, writeable=True)
        for camera in cameras:
            register_instrument(butler, camera)
        return butler

    return make


def raw_of(butler: Butler, **data_id: Any) -> Any:
    """Get a raw back."""
    return butler.get("raw", data_id, collections=f"{data_id['instrument']}/raw/all")


@pytest.fixture(scope="session")
def read_back() -> Callable[..., Any]:
    """Get a raw back from its usual run."""
    return raw_of
