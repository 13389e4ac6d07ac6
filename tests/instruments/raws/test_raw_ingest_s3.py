# SPDX-License-Identifier: BSD-3-Clause
"""Raws in an S3 bucket, and raws into a repository in one."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from fsspec.core import url_to_fs

from lakebutler import Butler
from lakebutler.instruments import ingest_raws, register_instrument
from tests.s3server import S3Root, s3_root, s3_server  # noqa: F401

pytestmark = pytest.mark.s3


@pytest.fixture
def bucket(s3_root: S3Root, monkeypatch: pytest.MonkeyPatch) -> S3Root:  # noqa: F811
    """A prefix whose credentials are in the environment, as a user has them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_root.storage_options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_root.storage_options["secret"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_root.storage_options["endpoint_url"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return s3_root


@pytest.fixture
def science(simulated: tuple[Path, ...]) -> list[Path]:
    return [path for path in simulated if path.name.startswith("DC_20260314_000008")]


def test_raws_in_a_bucket_are_found_and_read_in_place(
    bucket: S3Root,
    science: list[Path],
    repository_with: Callable[..., Butler],
    read_back: Callable[..., Any],
) -> None:
    filesystem, prefix = url_to_fs(f"{bucket.url}/night")
    for path in science:
        filesystem.pipe(f"{prefix}/{path.name}", path.read_bytes())
    filesystem.pipe(f"{prefix}/deep/cut.fits", science[0].read_bytes()[:-40000])
    filesystem.pipe(f"{prefix}/deep/cut.fits.gz", gzip.compress(science[0].read_bytes())[:-99])
    filesystem.pipe(f"{prefix}/log.txt", b"cloudy")
    butler = repository_with("DemoCam")
    report = ingest_raws(butler, [f"{bucket.url}/night", f"{bucket.url}/gone.fits"], transfer="direct")
    assert report.counts == {"ingested": 9, "present": 0, "rejected": 3}
    reasons = {f.path.rpartition("/")[2]: f.reason for f in report.rejected}
    assert reasons["cut.fits"].startswith("truncated: unit 1 needs")
    assert reasons["cut.fits.gz"].startswith("truncated or damaged gzip file")
    assert reasons["gone.fits"] == "No such file or directory"
    image = read_back(butler, instrument="DemoCam", exposure=2026031400008, detector=4)
    assert np.array_equal(image.data, fits.getdata(science[4]))


def test_raws_go_into_a_repository_in_a_bucket(
    bucket: S3Root, science: list[Path], read_back: Callable[..., Any]
) -> None:
    root = f"{bucket.url}/repository"
    Butler.makeRepo(root)
    with Butler.from_config(root, writeable=True) as butler:
        register_instrument(butler, "DemoCam")
        before = butler.version
        report = ingest_raws(butler, science, transfer="copy")
        assert (report.datasets, butler.version) == (9, before + 1)
        assert ingest_raws(butler, science, transfer="copy").counts["present"] == 9
        image = read_back(butler, instrument="DemoCam", exposure=2026031400008, detector=8)
        assert np.array_equal(image.data, fits.getdata(science[8]))
