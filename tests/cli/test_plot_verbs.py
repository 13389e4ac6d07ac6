# SPDX-License-Identifier: BSD-3-Clause
"""``plot sky`` and ``plot focal-plane`` on a real registry, and on nonsense."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakebutler import Butler
from lakebutler.viz import focal_plane, sky
from tests.cli.running import call, succeed


@pytest.fixture(scope="module")
def hsc(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 visits of HSC, 1132 regions of their detectors, two tracts, two patches."""
    root = tmp_path_factory.mktemp("plots") / "repo"
    with Butler.from_config(Butler.makeRepo(root), writeable=True) as butler:
        butler.import_(filename=str(shared_data / "registry/hsc-rc2-subset.yaml"))
    return root


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Mapping[str, Any]]]:
    """What pictures are made of; they are made, too."""
    made: list[tuple[Any, Mapping[str, Any]]] = []
    for module, name in ((sky, "save_sky"), (focal_plane, "save_focal_plane")):
        save = getattr(module, name)

        def keep(what: Any, path: str, save: Any = save, **options: Any) -> None:
            made.append((what, options))
            save(what, path, **options)

        monkeypatch.setattr(module, name, keep)
    return made


def test_visits_are_drawn_in_the_colours_of_their_bands(hsc: Path, tmp_path: Path, seen: Any) -> None:
    out = tmp_path / "sky.svg"
    assert succeed("plot", hsc, "sky", "-o", out, "--where", "tract = 9615").out == f"{out}\n"
    assert out.stat().st_size > 10_000
    ((drawn, options),) = seen
    with Butler.from_config(hsc) as butler:
        expected = butler.query_data_ids(
            "visit", where="tract = 9615", instrument="HSC", skymap="hsc_rings_v1", limit=None
        )
        records = {r.id: r for r in butler.query_dimension_records("visit", limit=None)}
        bands = {r.name: r.band for r in butler.query_dimension_records("physical_filter")}
    assert len(drawn.footprints) == len(expected) == 65
    assert sorted(drawn.values) == sorted(bands[records[d["visit"]].physical_filter] for d in expected)
    corners = {tuple(np.round(v, 12)) for d in expected for v in records[d["visit"]].region.getVertices()}
    assert {tuple(np.round(v, 12)) for outline in drawn.footprints for v in outline} == corners
    assert [name for name, _ in drawn.tracts] == ["9615"]
    assert options["label"] == "band"
    assert (options["title"], options["subtitle"]) == ("HSC", "65 visits")


def test_footprints_and_colours_can_be_chosen(hsc: Path, tmp_path: Path, seen: Any) -> None:
    out = tmp_path / "sky.png"
    chosen = ["--footprints", "visit_detector_region", "--where", "visit IN (318, 322)"]
    succeed("plot", hsc, "sky", "-o", out, *chosen, "--colour", "detector", "--no-patches")
    succeed("plot", hsc, "sky", "-o", out, "--footprints", "patch", "--colour", "patch.cell_x")
    succeed("plot", hsc, "sky", "-o", out, "--colour", "exposure_time", "--where", "band = 'g'")
    (regions, _), (patches, _), (visits, last) = seen
    assert set(regions.values) <= {str(i) for i in range(112)}
    assert not regions.patches
    assert (len(patches.footprints), patches.tracts) == (2, [])
    assert set(visits.values) <= {float(v) for v in range(1000)}
    assert last["label"] == "exposure_time"


def test_a_query_colours_the_detectors(hsc: Path, tmp_path: Path, seen: Any) -> None:
    out = tmp_path / "plane.png"
    sql = "SELECT detector, count(*) AS visits FROM visit_detector_region GROUP BY detector"
    assert succeed("plot", hsc, "focal-plane", "--sql", sql, "-o", out).out == f"{out}\n"
    ((tiles, options),) = seen
    assert len(tiles) == 112
    assert sum(tile.value or 0 for tile in tiles) == 1132
    assert [tile.value for tile in tiles].count(None) == 1
    assert options["label"] == "visits"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sky", "--where", "visit = 7"], "no visit with a region fits"),
        (["sky", "--colour", "exposure_tim"], "did you mean 'exposure_time'"),
        (["sky", "--skymap", "nosuch"], "there is no skymap 'nosuch'"),
        (["sky", "-o", "sky.doc"], "sky.doc: a picture's name ends in .png"),
        (["sky", "-d", "nosuch"], "no dataset type 'nosuch'"),
        (["sky", "-d", "raw", "--footprints", "visit"], "--footprints or --dataset-type"),
        (["sky", "--exposure", "5"], "plot sky has no --exposure"),
        (["timeline", "--skymap", "m"], "plot timeline has no --skymap"),
        (["focal-plane", "--sql", "SELECT 1"], "the query gives 1 columns"),
        (["focal-plane", "--sql", "SELECT 'a', 1"], "no numbers of detectors"),
        (["focal-plane", "--sql", "SELECT detector, visit FROM visit_detector_region"], "GROUP BY detector"),
        (["focal-plane", "--sql", "SELECT 1, 2", "--instrument", "HCS"], "HCS"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    hsc: Path, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("plot", hsc, *arguments)
    assert result.code == 2
    assert message in result.err
    assert not list(tmp_path.iterdir())


def test_a_raw_of_many_amplifiers_is_put_together(shared_data: Path, tmp_path: Path, seen: Any) -> None:
    raws = shared_data / "gen3_repos/latiss/raw"
    succeed("create", tmp_path / "repo")
    succeed("register-instrument", tmp_path / "repo", "LATISS")
    succeed("ingest-raws", tmp_path / "repo", raws, "-t", "direct")
    out = tmp_path / "raw.png"
    succeed("plot", tmp_path / "repo", "focal-plane", "--exposure", 3018092000065, "-o", out)
    (((tile,), _),) = seen
    assert tile.pixels.shape == (500, 509)  # 4000 x 4072, binned by 8
    assert np.isfinite(tile.pixels).all()
