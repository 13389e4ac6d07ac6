# SPDX-License-Identifier: BSD-3-Clause
"""``lakebutler convert-gen2``, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lakebutler.cli.main import lakebutler


def run(*arguments: object) -> Result:
    return CliRunner().invoke(lakebutler, ["convert-gen2", *map(str, arguments)])


def test_a_dry_run_then_a_conversion_then_nothing(obs_test: Path, tmp_path: Path) -> None:
    dest = tmp_path / "new"
    dry = run(obs_test, dest, "--dry-run", "--curated", "--json")
    assert dry.exit_code == 0, dry.output
    rows = json.loads(dry.stdout)
    assert {(row["dataset_type"], row["files"], row["certified"]) for row in rows} == {
        ("raw", 3, 0),
        ("defects", 1, 1),
    }
    assert "dry run: nothing was written" in dry.stderr
    assert not dest.exists()
    wet = run(obs_test, dest, "--curated", "--json")
    assert json.loads(wet.stdout) == rows
    assert "4 new datasets" in wet.stderr
    assert "nothing was done" in run(obs_test, dest, "--curated").stderr


def test_the_whole_report_is_json(obs_test: Path, tmp_path: Path) -> None:
    done = run(obs_test, tmp_path / "new", "-n", "--report", "all")
    report = json.loads(done.stdout)
    assert report["camera"] == "testCam"
    assert report["totals"] == {
        "converted": 3,
        "skipped": 1,
        "ignored": 3,
        "unrecognised": 0,
        "not opened": 0,
    }
    assert {row["path"] for row in report["not_converted"] if row["status"] == "skipped"} == {
        "defects/defects.fits"
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--visits", "one"), "'one' is no number and no range"),
        (("--filter", "g"), "'g' is no pair OLD=NEW"),
        (("--mapper", "NobodyMapper"), "nobody knows the mapper 'NobodyMapper'"),
        (("--calib-root", "/nowhere/at/all"), "there is no directory /nowhere/at/all"),
    ],
)
def test_mistakes_are_told_in_a_line(
    obs_test: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = run(obs_test, tmp_path / "new", *arguments)
    assert done.exit_code != 0
    assert said in done.output + str(done.exception)
    assert not (tmp_path / "new").exists()


def test_selections_by_visit_and_type(obs_test: Path, tmp_path: Path) -> None:
    done = run(
        obs_test, tmp_path / "new", "--visits", "2..3", "--types", "raw", "--report", "files", "--json"
    )
    status = {row["path"]: (row["status"], row["reason"]) for row in json.loads(done.stdout)}
    assert status["raw/raw_v2_fg.fits.gz"] == ("converted", None)
    assert status["raw/raw_v1_fg.fits.gz"] == ("skipped", "not selected")
