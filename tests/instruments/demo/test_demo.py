# SPDX-License-Identifier: BSD-3-Clause
"""The demo: whole, true, and careful with what is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

from lakebutler import Butler
from lakebutler.errors import RepositoryExistsError
from lakebutler.instruments import build_demo
from lakebutler.instruments.demo.build import DEFAULTS, DemoReport
from lakebutler.progress import CollectingProgress

NIGHTS = {20260314: ("demo_g", "demo_r"), 20260315: ("demo_r", "demo_i")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parent") / "demo"


@pytest.fixture(scope="module")
def progress() -> CollectingProgress:
    return CollectingProgress()


@pytest.fixture(scope="module")
def demo(place: Path, progress: CollectingProgress) -> DemoReport:
    return build_demo(place, progress)


@pytest.fixture
def butler(demo: DemoReport) -> Iterator[Butler]:
    with Butler.from_config(demo.root, collections=DEFAULTS) as butler:
        yield butler


def test_it_tells_in_ten_lines_what_it_made_and_three_commands(
    demo: DemoReport, progress: CollectingProgress
) -> None:
    assert len(demo.lines) == 10
    assert len(demo.commands) == 3
    assert "198 raws, 22 exposures, one commit" in str(demo)
    assert "18 biases and 36 flats" in str(demo)
    assert all(str(demo.root) in command for command in demo.commands)
    assert [stage for stage, _ in progress.stages] == [
        "simulating raws",
        "reading headers",
        "ingesting",
        "combining calibrations",
    ]


def test_every_exposure_finds_the_calibrations_of_its_night(butler: Butler) -> None:
    exposures = [r.toDict() for r in butler.query_dimension_records("exposure", instrument="DemoCam")]
    science = [e for e in exposures if e["observation_type"] == "science"]
    assert len(science) == 8
    for row in science:
        assert row["physical_filter"] in NIGHTS[row["day_obs"]]
        for detector in (0, 8):
            raw = butler.find_dataset("raw", instrument="DemoCam", exposure=row["id"], detector=detector)
            assert raw is not None
            for name in ("bias", "flat"):
                ref = butler.find_dataset(name, raw.dataId)
                assert ref is not None
                assert ref.run == f"DemoCam/calib/demo/{row['day_obs']}"
                assert ref.dataId["detector"] == detector


def test_the_calibrations_take_out_what_the_detector_adds(butler: Butler) -> None:
    raw = butler.find_dataset("raw", instrument="DemoCam", exposure=2026031400008, detector=0)
    assert raw is not None
    bias, flat = (butler.get(name, raw.dataId).data for name in ("bias", "flat"))
    pixels = butler.get(raw).data.astype(float)
    level = np.median(pixels[:, -16:])
    reduced = (pixels[:, :256] - level - bias) / flat
    sky = np.median(reduced)
    assert sky == pytest.approx(6.0 * 60.0 / 1.6, rel=0.02)  # electrons per second, seconds, gain
    columns = np.median(reduced, axis=0) - sky
    before = np.median(pixels[:, :256], axis=0) - np.median(pixels[:, :256])
    assert np.std(columns) < 0.9 * np.std(before)


def test_plain_duckdb_counts_the_raws_of_each_filter(demo: DemoReport) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET file_search_path = $1", [demo.root])
        connection.execute((Path(demo.root) / "registry/views.sql").read_text())
        joined = "raw JOIN exposure USING (instrument, exposure)"
        query = f"SELECT physical_filter, count(*) FROM {joined} GROUP BY ALL"
        rows = connection.execute(query).fetchall()
    assert dict(rows) == {"demo_closed": 54, "demo_g": 36, "demo_r": 72, "demo_i": 36}


def test_the_picture_is_there(demo: DemoReport) -> None:
    data = Path(demo.picture).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) > 50_000


def test_it_does_not_write_into_a_directory_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for replace in (False, True):
        with pytest.raises(RepositoryExistsError, match="not empty"):
            build_demo(tmp_path, replace=replace)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_earlier_demo_is_replaced_only_when_told_to(demo: DemoReport, place: Path) -> None:
    with pytest.raises(RepositoryExistsError, match="not empty"):
        build_demo(place)
    assert Path(demo.picture).is_file()
