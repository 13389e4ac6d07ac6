# SPDX-License-Identifier: BSD-3-Clause
"""Cameras and their raw files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import call, succeed


@pytest.fixture(scope="module")
def raws(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw files of two exposures of the simulated camera."""
    from lakebutler.instruments.demo import simulate

    place = tmp_path_factory.mktemp("raws")
    chosen = tuple(exposure for exposure in simulate.plan_exposures() if exposure.seq_num in {1, 8})[:2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "plan_exposures", lambda: chosen)
        simulate.simulate_raws(place)
    return place


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    """A repository with the simulated camera registered."""
    place = tmp_path / "repo"
    succeed("create", place)
    succeed("register-instrument", place, "DemoCam")
    return place


def test_a_camera_is_registered_once_and_several_at_a_time(tmp_path: Path) -> None:
    place = tmp_path / "repo"
    succeed("create", place)
    lines = succeed("register-instrument", place, "HSC", "DECam").out.splitlines()
    assert lines[0].startswith("registered: HSC (112 detectors")
    assert lines[1].startswith("registered: DECam (62 detectors")
    assert succeed("register-instrument", place, "HSC").out.startswith("already registered: HSC")
    assert len(succeed("query-dimension-records", place, "instrument", "--json").json()) == 2


def test_one_unknown_camera_keeps_all_out(camera: Path) -> None:
    assert call("register-instrument", camera, "HSC", "HCS").code == 2
    assert [r["name"] for r in succeed("query-dimension-records", camera, "instrument").rows()] == ["DemoCam"]


def test_raws_are_ingested_from_a_directory_and_a_second_time_passed_over(camera: Path, raws: Path) -> None:
    count = len(list(raws.rglob("*.fits")))
    first = succeed("ingest-raws", camera, raws)
    assert f"{count} datasets ingested" in first.out
    again = succeed("ingest-raws", camera, raws)
    assert "0 datasets ingested" in again.out
    assert f"{count} present" in again.out
    assert len(succeed("query-datasets", camera, "raw", "--json").json()) == count
    kinds = succeed("query-dimension-records", camera, "exposure", "--json").json()
    assert {r["observation_type"] for r in kinds} == {"bias", "science"}


def test_a_file_that_cannot_be_read_is_named_and_the_rest_goes_in(
    camera: Path, raws: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    good = min(raws.rglob("*.fits"))
    (bad / "good.fits").write_bytes(good.read_bytes())
    (bad / "cut.fits").write_bytes(good.read_bytes()[:1000])
    (bad / "text.fits").write_text("this is no FITS file\n")
    (bad / "empty.fits").touch()
    result = call("ingest-raws", camera, bad, "-t", "copy")
    assert result.code == 2
    for name in ("cut.fits", "text.fits", "empty.fits"):
        assert sum(f"/{name}: " in line for line in result.err.splitlines()) == 1
    assert "1 dataset ingested" in result.out
    records = call("ingest-raws", camera, bad, "--json").json()
    assert {Path(r["path"]).name: r["status"] for r in records} == {
        "good.fits": "present",
        "cut.fits": "rejected",
        "text.fits": "rejected",
        "empty.fits": "rejected",
    }


def test_fail_fast_keeps_everything_out(camera: Path, raws: Path, tmp_path: Path) -> None:
    bad = tmp_path / "no.fits"
    bad.write_text("no")
    result = call("ingest-raws", camera, raws, bad, "--fail-fast")
    assert result.code == 2
    assert "no.fits" in result.err
    assert call("query-datasets", camera, "raw").code == 2


def test_the_focal_plane_of_an_exposure_is_drawn(
    camera: Path, raws: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    succeed("ingest-raws", camera, raws)
    exposure = succeed("query-dimension-records", camera, "exposure", "--json").json()[-1]["id"]
    picture = succeed("plot", camera, "focal-plane", "--exposure", exposure).out.strip()
    content = Path(picture).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 20_000
    succeed("plot", "-R", camera, "focal-plane", "--exposure", exposure, "-o", "picture.svg")
    assert "<svg" in Path("picture.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["focal-plain"], "focal-plain"),
        (["focal-plane"], "--exposure"),
        (["focal-plane", "--exposure", "1", "--visit", "1"], "--exposure"),
        (["focal-plane", "--exposure", "12345"], "12345"),
        (["focal-plane", "--exposure", "1", "-o", "picture.doc"], "picture.doc"),
        (["focal-plane", "--exposure", "1", "-d", "nosuch"], "'nosuch'"),
        (["focal-plane", "--exposure", "1", "--instrument", "HCS"], "HCS"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_picture_of_nothing_is_refused(
    arguments: list[str],
    named: str,
    camera: Path,
    raws: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    succeed("ingest-raws", camera, raws, "-t", "direct")
    result = call("plot", camera, *arguments)
    assert result.code == 2
    assert named in result.err
    assert "fault in lakebutler" not in result.err
    assert not list(tmp_path.glob("*.png"))
