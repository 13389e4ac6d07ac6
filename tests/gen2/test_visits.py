# SPDX-License-Identifier: BSD-3-Clause
"""Visits of a converted repository have regions, without a step of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.io import fits

from lakebutler import Butler
from lakebutler.gen2.convert import convert_gen2, plan_gen2
from lakebutler.gen2.options import Options
from lakebutler.gen2.visits import plan_visits
from lakebutler.instruments.cameras.find import load_camera
from lakebutler.instruments.visits.define import define_visits

STRUCTURE = re.compile("SIMPLE|BITPIX|NAXIS.?|EXTEND|BZERO|BSCALE|BLANK|COMMENT|HISTORY|")


@pytest.fixture
def hsc(shared_data: Path, tmp_path: Path) -> Path:
    """A repository with a raw that has a real header, and an image made of it."""
    text = (shared_data / "headers/amt/fitsheader-hsc-HSCA04090107.yaml").read_text()
    cards = {name: value for name, _, value, _ in yaml.safe_load(text.partition("\n")[2])}
    header = fits.Header()
    for name, value in cards.items():
        if len(name) <= 8 and not STRUCTURE.fullmatch(name) and not isinstance(value, list):
            header[name] = value
    root = tmp_path / "hsc"
    raw = root / "F/2015-10-10/00533/HSC-R/HSC-0040900-037.fits"
    calexp = root / "00533/HSC-R/corr/CORR-0040900-037.fits"
    for path in (raw, calexp):
        path.parent.mkdir(parents=True)
    fits.PrimaryHDU(np.zeros((4, 5), np.int16), header).writeto(raw)
    calexp.write_bytes(b"")
    (root / "_mapper").write_text("lsst.obs.hsc.HscMapper")
    return root


def records(butler: Butler, element: str) -> list[dict[str, Any]]:
    found = butler.query_dimension_records(element, explain=False, limit=None)
    return [record.toDict() for record in found]


def test_visits_are_those_of_define_visits_and_come_in_the_same_commit(hsc: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    Butler.makeRepo(new)
    with Butler.from_config(new) as butler:
        before = butler.version
    done = convert_gen2(hsc, new)
    assert "visits: 1, with regions: 1" in done.report.notes
    with Butler.from_config(new) as butler:
        assert butler.version == before + 1
        mine = {
            name: records(butler, name) for name in ("visit", "visit_detector_region", "visit_definition")
        }
    (visit,) = mine["visit"]
    assert visit["region"] is not None
    assert len(mine["visit_detector_region"]) == 112
    other = tmp_path / "other"
    convert_gen2(hsc, other, Options(types=("raw",), define_visits=False))
    with Butler.from_config(other, writeable=True) as butler:
        assert records(butler, "visit") == []
        define_visits(butler, "HSC")
        assert {name: records(butler, name) for name in mine} == mine
    again = convert_gen2(hsc, new)
    assert again.written is not None
    assert (again.written.datasets, again.written.report_run, again.written.visits_differ) == (0, None, 0)


def test_without_the_step_visits_of_files_have_no_regions_and_it_is_told(hsc: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    done = convert_gen2(hsc, new, Options(define_visits=False))
    assert any(
        note.startswith("visits without regions: 1; lakebutler define-visits") for note in done.report.notes
    )
    with Butler.from_config(new) as butler:
        (visit,) = records(butler, "visit")
        assert visit["region"] is None
        assert len(butler.query_datasets("calexp", collections="HSC/runs/root")) == 1
    again = convert_gen2(hsc, new)
    assert again.written is not None
    assert again.written.visits_differ == 1
    with Butler.from_config(new, writeable=True) as butler:
        define_visits(butler, "HSC", update_records=True)
        (visit,) = records(butler, "visit")
        assert visit["region"] is not None
    last = convert_gen2(hsc, new)
    assert last.written is not None
    assert last.written.visits_differ == 0


def test_a_visit_that_files_name_is_one_whatever_the_rules(registry_of: Callable[..., Path]) -> None:
    camera = load_camera("LSSTCam")
    exposures = [
        {
            "id": number,
            "obs_id": f"e{number}",
            "group": "g",
            "day_obs": 20250101,
            "seq_num": number,
            "seq_start": 5,
            "seq_end": 6,
            "observation_type": "science",
            "can_see_sky": True,
            "tracking_ra": 1.0,
            "tracking_dec": 2.0,
            "sky_angle": 3.0,
        }
        for number in (5, 6)
    ]
    alone = plan_visits(camera, exposures, (), all_of_sky=True)
    assert 6 not in [v.id for v in alone.definitions if len(v.exposures) > 1]
    found = plan_visits(camera, exposures, {6}, all_of_sky=True)
    by_number = {visit.id: [e["id"] for e in visit.exposures] for visit in found.definitions}
    assert by_number[6] == [6]
    assert by_number[5] == [5, 6]
    none = plan_visits(camera, exposures, {6}, all_of_sky=False)
    assert [visit.id for visit in none.definitions] == [6]
    assert plan_visits(camera, [], (), all_of_sky=True).definitions == []


def test_exposures_that_are_not_of_the_sky_are_no_visits(obs_test: Path) -> None:
    plan = plan_gen2(obs_test)
    assert plan.visits is not None
    assert {visit.id for visit in plan.visits.definitions} == {1, 2, 3}
