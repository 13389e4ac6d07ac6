# SPDX-License-Identifier: BSD-3-Clause
"""``write-curated-calibrations`` from the command line, to another repository and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import call, succeed


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository that knows HSC."""
    succeed("create", tmp_path / "repo")
    succeed("register-instrument", tmp_path / "repo", "HSC")
    return tmp_path / "repo"


def test_real_files_from_one_repository_to_another(repo: Path, shared_data: Path, tmp_path: Path) -> None:
    files = shared_data / "curated/obs_subaru_data"
    first = succeed("write-curated-calibrations", repo, "HSC", "DM-1", "--label", "b", "--from", files)
    assert first.out == "HSC/calib/DM-1/b: 27 files: 27 written\n"
    same = ("write-curated-calibrations", repo, "HSC", "DM-1", "b", "--from", files)
    assert "27 present" in succeed(*same).out
    names = {row["name"] for row in succeed("query-collections", repo, "--json").json()}
    assert {"HSC/calib/DM-1/b/unbounded", "HSC/calib/DM-1/b/curated/20161223T000000Z"} <= names
    rows = succeed(*same, "--json").json()
    assert {row["status"] for row in rows} == {"present"}
    assert rows[1]["validity"] == "[1970-01-01T00:00:08, 2013-01-31T00:00:35)"

    succeed("export-calibs", repo, tmp_path / "out", "HSC/calib/DM-1/b", "--transfer", "copy")
    succeed("create", tmp_path / "other")
    succeed("import", tmp_path / "other", tmp_path / "out")
    query = "SELECT run, count(*) AS n FROM defects GROUP BY run ORDER BY run"
    assert succeed("sql", tmp_path / "other", query).out == succeed("sql", repo, query).out
    again = succeed("write-curated-calibrations", tmp_path / "other", "HSC", "DM-1", "b", "--from", files)
    assert "27 present" in again.out  # the same files with the same validity

    # What was certified can be certified elsewhere for another time.
    run = "HSC/calib/DM-1/b/curated/20161223T000000Z"
    done = succeed(
        "certify-calibrations", tmp_path / "other", run, "mine", "defects", "--begin-date", "2017-01-01"
    )
    assert "mine: 3 defects certified for [2017-01-01T00:00:00, ∞)" in done.out


def test_a_bad_file_is_named_and_the_code_is_2(repo: Path, tmp_path: Path) -> None:
    place = tmp_path / "hsc/defects/1_53"
    place.mkdir(parents=True)
    (place / "20130101.ecsv").write_text("no table")
    result = call("write-curated-calibrations", repo, "HSC", "--from", tmp_path)
    assert result.code == 2
    assert f"{place}/20130101.ecsv: cannot be read as ECSV" in result.err
    assert result.out == "HSC/calib: 2 files: 1 written, 1 rejected\n"


def test_without_files_the_camera_is_written(repo: Path) -> None:
    first = succeed("write-curated-calibrations", repo, "HSC", "--validity-end", "2020-01-01")
    assert "only the camera's geometry" in first.err
    rest = succeed("write-curated-calibrations", repo, "HSC", "--validity-begin", "2020-01-01")
    assert rest.out == "HSC/calib: 1 file: 1 written\n"
    clash = call("write-curated-calibrations", repo, "HSC")
    assert clash.code == 2
    assert "--update" in clash.err
    assert "1 certified" in succeed("write-curated-calibrations", repo, "HSC", "--update").out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["DECam"], "'DECam' is not registered"),
        (["HSK"], "did you mean 'HSC'"),
        (["HSC", "--from", "/nowhere"], "no directory /nowhere"),
        (["HSC", "--validity-begin", "tomorrow"], "--validity-begin 'tomorrow' is no ISO 8601 time"),
        (["HSC", "--label", "a//"], "'a//' cannot be a part"),
        (["HSC", "--validity-begin", "2020-01-01", "--validity-end", "2019-01-01"], "empty"),
    ],
)
def test_bad_requests_say_what_is_wrong(repo: Path, arguments: list[str], named: str) -> None:
    result = call("write-curated-calibrations", repo, *arguments)
    assert result.code == 2
    assert named in result.err
    assert "Traceback" not in result.err
