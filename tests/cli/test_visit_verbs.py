# SPDX-License-Identifier: BSD-3-Clause
"""Visits and skymaps by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import call, succeed
from tests.instruments.visits.nights import BASE, exposure, insert, pair


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with some exposures of the simulated camera, a bias among them."""
    from lakebutler.instruments.demo import simulate

    place = tmp_path_factory.mktemp("night")
    chosen = tuple(exposure for exposure in simulate.plan_exposures() if exposure.seq_num in {1, 8, 9})[:3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "plan_exposures", lambda: chosen)
        simulate.simulate_raws(place / "raws")
    succeed("create", place / "repo")
    succeed("register-instrument", place / "repo", "DemoCam")
    succeed("ingest-raws", place / "repo", place / "raws")
    return place / "repo"


def test_visits_are_defined_once_and_then_there(night: Path) -> None:
    first = succeed("define-visits", night, "DemoCam", "--collections", "DemoCam/raw/all")
    assert first.out == "DemoCam: 2 visits: 2 defined; 18 detector regions\n"
    assert "1 exposure left out: could not see the sky" in first.err
    assert "2 present" in succeed("define-visits", night, "DemoCam").out
    assert "nothing to do" in succeed("define-visits", night, "DemoCam", "--incremental").out
    records = succeed("query-dimension-records", night, "visit", "--json").json()
    assert len(records) == 2
    assert len(succeed("query-dimension-records", night, "visit_detector_region", "--json").json()) == 18


def test_a_visit_that_differs_is_named_and_replaced_when_asked_for(night: Path) -> None:
    succeed("define-visits", night, "DemoCam")
    result = call("define-visits", night, "DemoCam", "--padding", "10")
    assert result.code == 2
    assert "conflict: its region is off by" in result.err
    rows = call("define-visits", night, "DemoCam", "--padding", "10", "--json").json()
    assert [r["status"] for r in rows] == ["conflict", "conflict"]
    updated = succeed("define-visits", night, "DemoCam", "--padding", "10", "--update-records")
    assert "2 changed; 18 detector regions" in updated.out
    assert succeed("define-visits", night, "DemoCam", "--update-records").code == 0


def test_what_cannot_be_a_visit_is_named_and_what_is_none_any_more_is_removed(tmp_path: Path) -> None:
    from lakebutler import Butler

    succeed("create", tmp_path / "repo")
    succeed("register-instrument", tmp_path / "repo", "LATISS")
    with Butler.from_config(tmp_path / "repo", writeable=True) as butler:
        first, second = pair(348)
        insert(butler, first, second | {"physical_filter": "SDSSr_65mm~empty"}, exposure(351))
    result = call("define-visits", tmp_path / "repo", "LATISS")
    assert result.code == 2
    assert f"visit {BASE + 348}: conflict: a visit has one physical_filter" in result.err
    assert "LATISS: 4 visits: 3 defined, 1 conflict; 3 detector regions" in result.out
    with Butler.from_config(tmp_path / "repo", writeable=True) as butler:
        butler.registry.syncDimensionData("group", {"instrument": "LATISS", "name": "348"})
        butler.registry.insertDimensionData("exposure", exposure(348), replace=True)
    updated = succeed("define-visits", tmp_path / "repo", "LATISS", "--update-records")
    assert f"visit 9{BASE + 348}: removed: exposure {BASE + 348} no longer defines it" in updated.err
    assert "1 removed" in updated.out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["HSC"], "'HSC' is not registered"),
        (["DemoCm"], "DemoCam"),
        (["DemoCam", "--visit-system", "one-by-one"], "one-to-one"),
        (["DemoCam", "--where", "exposre = 1"], "exposre"),
        (["DemoCam", "--collections", "nowhere"], "'nowhere'"),
        (["DemoCam", "--padding", "-128"], "not convex"),
    ],
)
def test_what_is_wrong_is_named(night: Path, arguments: list[str], named: str) -> None:
    result = call("define-visits", night, *arguments)
    assert result.code == 2
    assert named in result.err
    assert len(result.err.strip().splitlines()) <= 4


def test_a_skymap_is_registered_by_name_file_and_settings(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    succeed("create", repo)
    config = tmp_path / "mine.yaml"
    config.write_text("name: mine\nkind: discrete\nraList: [10.0]\ndecList: [2.0]\nradiusList: [0.2]\n")
    own = ("-C", config, "-c", "tractOverlap=0", "-c", "legacy.patchBorder=50")
    first = succeed("register-skymap", repo, *own)
    assert first.out.startswith("registered: mine (1 tract, 4 patches; digest ")
    again = succeed("register-skymap", repo, *own)
    assert again.out == "already registered: mine\n"
    changed = ("-c", "numRings=3", "-c", "pixelScale=60", "--name", "coarse")
    other = succeed("register-skymap", repo, "lsst_cells_v1", *changed)
    assert other.out.startswith("registered: coarse (")
    assert len(succeed("query-datasets", repo, "skyMap", "--json").json()) == 2
    where = "skymap='mine' AND patch.region OVERLAPS POINT(10, 2)"
    rows = succeed("query-data-ids", repo, "patch", "--where", where)
    assert "mine" in rows.out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--config-file"),
        (["-c", "kind=equatorial"], "needs a name"),
        (["hsc_rings_v2"], "hsc_rings_v1"),
        (["-C", "skymap.py", "--name", "x"], "YAML"),
        (["-C", "nosuch.yaml"], "nosuch.yaml"),
        (["hsc_rings_v1", "-C", "x.yaml"], "exclude"),
        (["hsc_rings_v1", "-c", "numRngs=3"], "numRings"),
        (["-c", "kind=rings", "-c", "numRings=x", "--name", "x"], "numRings 'x'"),
    ],
)
def test_a_skymap_that_cannot_be_is_named(night: Path, arguments: list[str], named: str) -> None:
    result = call("register-skymap", night, *arguments)
    assert result.code == 2
    assert named in result.err
