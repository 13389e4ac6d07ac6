# SPDX-License-Identifier: BSD-3-Clause
"""An old repository becomes one in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakebutler import Butler
from lakebutler.gen2.convert import convert_gen2
from lakebutler.gen2.options import Options
from tests.s3server import S3Root, s3_root, s3_server  # noqa: F401

pytestmark = pytest.mark.s3


@pytest.mark.parametrize("transfer", ["copy", "direct"])
def test_a_repository_in_an_object_store(
    s3_root: S3Root,  # noqa: F811
    with_coadd: Path,
    transfer: str,
) -> None:
    place, storage = f"{s3_root.url}/new", s3_root.storage_options
    options = Options(curated=True, transfer=transfer)
    done = convert_gen2(with_coadd, place, options, storage_options=storage)
    assert done.written is not None
    assert done.written.datasets == 7
    again = convert_gen2(with_coadd, place, options, storage_options=storage)
    assert again.written is not None
    assert (again.written.datasets, again.written.report_run) == (0, None)
    with Butler.from_config(place, storage_options=storage, collections="testCam/defaults") as butler:
        assert butler.get("raw", instrument="testCam", exposure=1, detector=0).data.shape == (2000, 1026)
        (patch,) = butler.query_dimension_records("patch", skymap="deepCoadd_skyMap", tract=1, patch=13)
        assert patch.region is not None
