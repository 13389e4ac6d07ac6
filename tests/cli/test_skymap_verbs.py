# SPDX-License-Identifier: BSD-3-Clause
"""``query-patches``: a position in the patches of all skymaps."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsst.sphgeom import LonLat

from lakebutler import Butler
from lakebutler.instruments.skymaps import registered_skymap
from tests.cli.running import call, succeed

FIELD = """
kind: discrete
raList: [30.0, 30.3]
decList: [-5.0, -5.0]
radiusList: [0.2, 0.2]
projection: TAN
tractOverlap: 0.0
pixelScale: 1.0
legacy: {patchInnerDimensions: [400, 400], patchBorder: 50}
"""


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    (tmp_path / "field.yaml").write_text(FIELD)
    succeed("create", tmp_path / "survey")
    succeed("register-skymap", tmp_path / "survey", "-C", tmp_path / "field.yaml", "--name", "field")
    wide = [
        "-c",
        "kind=rings",
        "-c",
        "numRings=6",
        "-c",
        "pixelScale=60",
        "-c",
        "projection=TAN",
        "--name",
        "wide",
    ]
    succeed("register-skymap", tmp_path / "survey", *wide)
    return tmp_path / "survey"


def test_patches_that_hold_a_position_and_the_one_it_belongs_to(survey: Path) -> None:
    ra, dec = 30.14, -5.0
    rows = succeed("query-patches", survey, "--position", ra, dec, "--json").json()
    with Butler.from_config(survey) as butler:
        for name in ("field", "wide"):
            skymap = registered_skymap(butler, name)
            expected = {(t.id, p) for t, patches in skymap.findTractPatchList([(ra, dec)]) for p in patches}
            mine = [row for row in rows if row["skymap"] == name]
            assert {(row["tract"], row["patch"]) for row in mine} == expected
            tract = skymap.findTract((ra, dec))
            own = [(row["tract"], row["patch"]) for row in mine if row["own"]]
            assert own == [(tract.id, tract.findPatch((ra, dec)))]
    assert len([row for row in rows if row["skymap"] == "field"]) > 2
    asked = ("query-patches", survey, "--position", ra, dec)
    own = succeed(*asked, "--where", "own", "--order-by=-skymap").rows()
    assert [row["skymap"] for row in own] == ["wide", "field"]
    some = succeed(*asked, "--skymap", "wide").rows()
    assert {row["skymap"] for row in some} == {"wide"}


def test_nothing_and_nonsense(survey: Path, shared_data: Path, tmp_path: Path) -> None:
    nothing = call("query-patches", survey, "--position", 200, 5, "--skymap", "field", "--exit-code")
    assert (nothing.code, nothing.err) == (1, "no patch there\n")
    wrong = call("query-patches", survey, "--position", 1, 2, "--skymap", "feild")
    assert "did you mean 'field'" in wrong.err
    assert "is not on the sky" in call("query-patches", survey, "--position", 1, 92).err
    foreign = tmp_path / "foreign"
    with Butler.from_config(Butler.makeRepo(foreign), writeable=True) as butler:
        butler.import_(filename=str(shared_data / "registry/hsc-rc2-subset.yaml"))
        patch = next(iter(butler.query_dimension_records("patch", tract=9813, skymap="hsc_rings_v1")))
    middle = patch.region.getCentroid()
    place = LonLat(middle)
    asked = ("--position", place.getLon().asDegrees(), place.getLat().asDegrees())
    (row,) = succeed("query-patches", foreign, *asked, "--json").json()
    assert (row["tract"], row["patch"], row["own"]) == (9813, patch.id, None)
