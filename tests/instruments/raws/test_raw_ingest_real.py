# SPDX-License-Identifier: BSD-3-Clause
"""Real raws, and raws made from real headers, go into a real repository and come out as they were."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from lakebutler import Butler, CollectionType
from lakebutler.instruments import ingest_raws

SMALL = (20, 10)


def test_the_raws_of_obs_test_go_in_and_out(
    tmp_path: Path, shared_data: Path, repository_with: Callable[..., Butler], read_back: Callable[..., Any]
) -> None:
    butler = repository_with("obs_test")
    folder = shared_data / "gen2_obs_test/data/input/raw"
    report = ingest_raws(butler, folder, transfer="copy")
    assert [(f.exposure, f.status.value) for f in report.files] == [(n, "ingested") for n in (1, 2, 3)]
    for number, name in ((1, "raw_v1_fg"), (3, "raw_v3_fr")):
        image = read_back(butler, instrument="testCam", exposure=number, detector=0)
        assert np.array_equal(image.data, fits.getdata(folder / f"{name}.fits.gz"))
        assert image.header["OBSID"] in (890104911, 890880321)


def test_an_hsc_raw_goes_in_and_out(
    tmp_path: Path,
    real_header: Callable[..., Any],
    write_single: Callable[..., Path],
    repository_with: Callable[..., Butler],
    read_back: Callable[..., Any],
) -> None:
    path = write_single(tmp_path / "HSCA04090107.fits", real_header("hsc-HSCA04090107"))
    butler = repository_with("HSC", "DECam")
    report = ingest_raws(butler, path, transfer="copy")
    assert (report.run, report.files[0].exposure, report.files[0].detectors) == ("HSC/raw/all", 40900, (37,))
    image = read_back(butler, instrument="HSC", exposure=40900, detector=37)
    assert np.array_equal(image.data, fits.getdata(path))
    (ref,) = butler.query_datasets(
        "raw", collections="HSC/raw/all", where="physical_filter = 'HSC-R'", instrument="HSC"
    )
    assert ref.dataId["detector"] == 37


@pytest.mark.parametrize("transfer", ["copy", "direct"])
def test_a_decam_file_is_one_file_and_many_datasets(
    tmp_path: Path,
    transfer: str,
    real_header: Callable[..., Any],
    write_multi: Callable[..., Path],
    repository_with: Callable[..., Butler],
    read_back: Callable[..., Any],
) -> None:
    ccds = [(25, "S1"), (61, "N30"), (1, "S29"), (63, "GN1")]
    path = write_multi(tmp_path / "c4d_130901_060255_ori.fits.fz", real_header("decam"), ccds)
    butler = repository_with("DECam")
    before = butler.version
    report = ingest_raws(butler, path, transfer=transfer)
    assert (report.datasets, report.files[0].detectors, butler.version) == (3, (25, 61, 1), before + 1)
    uris = set()
    for number, name in ccds[:3]:
        key = {"instrument": "DECam", "exposure": 229388, "detector": number}
        image = read_back(butler, **key)
        assert np.array_equal(image.data, fits.getdata(path, name))
        assert (image.header["CCDNUM"], image.header["EXPNUM"]) == (number, 229388)
        uris.add(str(butler.getURI("raw", key, collections="DECam/raw/all")))
    assert len(uris) == 1
    assert ingest_raws(butler, path, transfer=transfer).counts["present"] == 1


def test_the_parts_of_a_decam_file_that_are_missing_are_added(
    tmp_path: Path,
    real_header: Callable[..., Any],
    write_multi: Callable[..., Path],
    repository_with: Callable[..., Butler],
    read_back: Callable[..., Any],
) -> None:
    butler = repository_with("DECam")
    cards = real_header("decam")
    one = write_multi(tmp_path / "one.fits", cards, [(25, "S1")])
    both = write_multi(tmp_path / "both.fits", cards, [(24, "S13"), (25, "S1")])
    assert ingest_raws(butler, one, transfer="copy").datasets == 1
    report = ingest_raws(butler, both, transfer="copy")
    assert (report.datasets, report.files[0].status.value) == (1, "ingested")
    image = read_back(butler, instrument="DECam", exposure=229388, detector=24)
    assert image.header["CCDNUM"] == 24


def test_cameras_are_told_apart_in_one_directory(
    tmp_path: Path,
    shared_data: Path,
    real_header: Callable[..., Any],
    write_single: Callable[..., Path],
    repository_with: Callable[..., Butler],
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    write_single(folder / "HSCA04090107.fits", real_header("hsc-HSCA04090107"), SMALL)
    shutil.copy(shared_data / "gen2_obs_test/data/input/raw/raw_v1_fg.fits.gz", folder)
    shutil.copy(shared_data / "gen2_obs_test/data/calexpMetadataObjectsTest/example-calexp.fits.gz", folder)
    butler = repository_with("HSC", "testCam")
    report = ingest_raws(butler, folder)
    assert sorted(f.instrument for f in report.ingested) == ["HSC", "testCam"]
    assert [f.reason for f in report.rejected] == ["a processed image (AR_HDU in the header), not a raw one"]
    assert butler.collections.query("*", collection_types=CollectionType.RUN) == [
        "HSC/raw/all",
        "testCam/raw/all",
    ]


@pytest.mark.parametrize(("repository", "name"), [("latiss", "LATISS"), ("lsstCam", "LSSTCam")])
def test_raws_have_the_ids_they_have_in_real_repositories(
    repository: str, name: str, shared_data: Path, repository_with: Callable[..., Butler]
) -> None:
    root = shared_data / "gen3_repos" / repository
    connection = sqlite3.connect(f"file:{root}/gen3.sqlite3?mode=ro&immutable=1", uri=True)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'dataset_tags%'").fetchall()
    real = set()
    for (table,) in tables:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        if "exposure" in columns:
            query = f"SELECT exposure, detector, dataset_id FROM {table}"
            real |= {(e, d, uuid.UUID(str(i))) for e, d, i in connection.execute(query)}
    connection.close()
    butler = repository_with(name, "DECam", "HSC", "LSSTComCam", "LSSTCamSim")
    report = ingest_raws(butler, root / "raw", transfer="direct")
    assert not report.rejected
    found = butler.query_datasets("raw", collections=f"{name}/raw/all", instrument=name)
    ours = {(ref.dataId["exposure"], ref.dataId["detector"], ref.id) for ref in found}
    assert real
    assert real <= ours
