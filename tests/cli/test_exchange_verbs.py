# SPDX-License-Identifier: BSD-3-Clause
"""``import``, ``export``, ``export-calibs``, ``ingest-zip``, ``transfer-datasets``, ``convert-gen3``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.running import call, succeed


@pytest.fixture
def other(tmp_path: Path) -> Path:
    place = tmp_path / "other"
    succeed("create", place)
    return place


def rows(repo: Path) -> list[dict[str, object]]:
    found = succeed("query-datasets", repo, "--json").json()
    return sorted(found, key=lambda row: str(row["id"]))


@pytest.mark.parametrize("format", ["yaml", "parquet"])
def test_what_export_writes_import_reads(repo: Path, other: Path, tmp_path: Path, format: str) -> None:
    succeed("collection-chain", repo, "chain", "u/two,u/one")
    out = succeed("export", repo, tmp_path / "e", "--format", format)
    assert "9 datasets" in out.out or "10 datasets" in out.out
    assert "version 1" in succeed("import", other, tmp_path / "e", "-m", "from over there").out
    assert rows(other) == rows(repo)
    assert succeed("log", other, "--json").json()[0]["message"] == "from over there"
    assert "chain" in succeed("query-collections", other).out
    assert "nothing new" in succeed("import", other, tmp_path / "e").out


def test_export_takes_only_what_is_chosen(repo: Path, other: Path, tmp_path: Path) -> None:
    succeed("export", repo, tmp_path / "e", "-d", "bias", "--collections", "u/one", "--where", "detector < 2")
    succeed("import", other, tmp_path / "e", "-t", "copy")
    assert len(rows(other)) == 2
    assert call("export", repo, tmp_path / "f", "-d", "empty", "--exit-code").code == 1
    assert call("export", repo, tmp_path / "f", "-d", "nosuch").code == 2


def test_calibrations_are_exported_with_their_ranges(repo: Path, other: Path, tmp_path: Path) -> None:
    succeed("certify-calibrations", repo, "u/one", "cal", "bias", "--begin-date", "2020-01-01")
    listed = succeed("export-calibs", repo, tmp_path / "e", "cal")
    assert len(listed.rows()) == 4
    assert call("export-calibs", repo, tmp_path / "e", "cal").code != 0
    succeed("import", other, tmp_path / "e")
    found = succeed("query-datasets", other, "bias", "--collections", "cal", "--json").json()
    assert len(found) == 4


def test_datasets_are_transferred(repo: Path, other: Path) -> None:
    dry = succeed("transfer-datasets", repo, other, "-d", "bias", "--dry-run")
    assert "5 of 5 datasets would be transferred" in dry.out
    assert rows_or_none(other) == 0
    assert "5 of 5" in succeed("transfer-datasets", repo, other, "-d", "bias", "-m", "some").out
    assert "0 of 5" in succeed("transfer-datasets", "-R", repo, other, "-d", "bias").out
    assert succeed("log", other, "--json").json()[0]["message"] == "some"
    refused = call("transfer-datasets", repo, other, "-d", "note", "--no-register-dataset-types")
    assert refused.code == 2
    assert "note" in refused.err


def rows_or_none(repo: Path) -> int:
    return len(succeed("query-collections", repo, "--json").json())


def test_a_zip_goes_from_one_repository_to_another(repo: Path, other: Path, tmp_path: Path) -> None:
    succeed("retrieve-artifacts", repo, tmp_path / "zips", "-d", "bias", "--zip")
    [made] = (tmp_path / "zips").glob("*.zip")
    succeed("register-dataset-type", other, "bias", "StructuredDataDict", "detector", "--is-calibration")
    assert "nothing was changed" in succeed("ingest-zip", other, made, "--dry-run").out
    succeed("ingest-zip", other, made)
    assert len(rows(other)) == 5
    assert call("ingest-zip", other, made).code != 0
    succeed("ingest-zip", other, made, "--skip-existing")


def test_a_repository_of_the_field_is_converted(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "gen3_repos" / "latiss"
    done = succeed("convert-gen3", source, tmp_path / "ours")
    assert "5 datasets in 2 files" in done.out
    assert "universe 1" in done.out
    assert "3 files missing" in done.err
    assert len(rows(tmp_path / "ours")) == 5
    succeed("convert-gen3", source, tmp_path / "ours")
    assert len(succeed("log", tmp_path / "ours", "--json").json()) == 2


def test_wrong_places_are_named(repo: Path, other: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "export.yaml").write_text("version: 9.0.0\ndata: []\n")
    for arguments, word in (
        (("import", other, tmp_path / "nosuch"), "nosuch"),
        (("import", other, tmp_path / "bad"), "9.0.0"),
        (("convert-gen3", tmp_path / "nosuch", tmp_path / "out"), "nosuch"),
        (("convert-gen3", repo, tmp_path / "out"), "repo"),
        (("ingest-zip", other, tmp_path / "nosuch.zip"), "nosuch.zip"),
        (("transfer-datasets", repo, tmp_path / "nosuch"), "nosuch"),
    ):
        failed = call(*arguments)
        assert failed.code not in (0, 70), arguments
        assert word in failed.err
        assert "Traceback" not in failed.err
    assert not (tmp_path / "out").exists()
    shutil.rmtree(tmp_path / "bad")
