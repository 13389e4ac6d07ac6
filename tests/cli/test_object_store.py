# SPDX-License-Identifier: BSD-3-Clause
"""The same verbs on an S3 prefix, with the user's AWS settings from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import call, succeed
from tests.s3server import S3Root, s3_root, s3_server  # noqa: F401

pytestmark = pytest.mark.s3


@pytest.fixture
def place(s3_root: S3Root, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: F811
    options = s3_root.storage_options
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options["secret"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", options["endpoint_url"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return s3_root.url


def test_a_repository_on_s3_is_made_filled_and_asked(place: str, tmp_path: Path) -> None:
    succeed("create", place)
    assert call("create", place).code == 3
    succeed("-R", place, "register-instrument", "HSC")
    succeed("register-dataset-type", place, "note", "StructuredDataDict", "instrument")
    (tmp_path / "n.yaml").write_text("text: hello\n")
    (tmp_path / "t.csv").write_text(f"file,instrument\n{tmp_path}/n.yaml,HSC\n")
    succeed("ingest-files", place, "note", "u/x", tmp_path / "t.csv", "-t", "copy")
    (record,) = succeed("query-datasets", place, "note", "--show-uri", "--json").json()
    assert record["uri"].startswith(place)
    assert succeed("sql", place, "SELECT count(*) AS n FROM note", "--json").json() == [{"n": 1}]
    succeed("retrieve-artifacts", place, tmp_path / "out", "-d", "note", "--no-preserve-path")
    (file,) = (tmp_path / "out").iterdir()
    assert file.read_text() == "text: hello\n"
    assert len(succeed("log", place, "--json").json()) >= 4


def test_a_place_on_s3_without_a_repository_is_named(place: str) -> None:
    result = call("query-datasets", f"{place}/nosuch", "note")
    assert result.code == 2
    assert f"{place}/nosuch" in result.err
    assert len(result.err.splitlines()) <= 3


def test_a_reference_catalogue_on_s3_is_cut_and_looked_up(place: str, tmp_path: Path) -> None:
    rows = "".join(f"{i} {30 + i / 10} -5.0\n" for i in range(40))
    header = "".join(f"# - {{name: {name}, datatype: float64}}\n" for name in ("id", "ra", "dec"))
    (tmp_path / "s.ecsv").write_text(f"# %ECSV 1.0\n# ---\n# datatype:\n{header}id ra dec\n{rows}")
    succeed("create", place)
    succeed("-R", place, "ingest-refcat", "stars", tmp_path / "s.ecsv", "--pixels", "healpix4")
    found = succeed("-R", place, "query-refcat", "stars", "--circle", 31, -5, 0.11, "--json").json()
    assert sorted(row["id"] for row in found) == [9, 10, 11]
    again = ("ingest-refcat", "stars", tmp_path / "s.ecsv", "--pixels", "healpix4", "--update")
    assert "replaced" in succeed("-R", place, *again).err
