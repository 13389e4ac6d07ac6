# SPDX-License-Identifier: BSD-3-Clause
"""``ingest-refcat`` and ``query-refcat``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from tests.cli.running import call, succeed


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """A repository with a catalogue of 400 stars in a grid of 0.1 degrees."""
    x, y = np.meshgrid(np.arange(20) * 0.1, np.arange(20) * 0.1)
    table = Table({"id": np.arange(400), "ra": x.ravel() + 30.0, "dec": y.ravel() - 5.0})
    table.write(tmp_path / "stars.parquet")
    table.write(tmp_path / "stars.ecsv")
    succeed("create", tmp_path / "survey")
    result = succeed(
        "ingest-refcat", tmp_path / "survey", "grid", tmp_path / "stars.parquet", "--pixels", "healpix6"
    )
    assert result.out.startswith("refcats/grid: 400 rows of 1 file in ")
    assert result.out.endswith(" datasets of healpix6\n")
    return tmp_path / "survey"


def test_rows_are_printed(survey: Path) -> None:
    rows = succeed("query-refcat", survey, "grid", "--circle", 30.5, -4.5, 0.05).rows()
    assert [(row["id"], float(row["ra"]), float(row["dec"])) for row in rows] == [("105", 30.5, -4.5)]
    found = succeed(
        "query-refcat", survey, "grid", "--region", "RANGE 29.95 30.15 -5.05 -4.85", "--json"
    ).json()
    assert sorted(row["id"] for row in found) == [0, 1, 20, 21]
    some = succeed(
        "query-refcat", survey, "grid", "--circle", 30, -5, 0.01, "--columns", "id", "--csv"
    ).out.split()
    assert some == ["id", "0"]


def test_rows_are_sifted_and_ordered(survey: Path) -> None:
    asked = ("query-refcat", survey, "grid", "--circle", 30, -5, 0.25, "--columns", "id,ra")
    rows = succeed(*asked, "--where", "ra > 30.05", "--order-by=-id", "--limit", 2, "--json").json()
    everything = succeed(*asked, "--json").json()
    assert [row["id"] for row in rows] == sorted(row["id"] for row in everything if row["ra"] > 30.05)[:-3:-1]
    assert "SQL over the columns" in call(*asked, "--where", "mag < 3").err
    assert call(*asked, "--limit", 2, "-o", "x.fits").code == 2


@pytest.mark.parametrize("ending", ["parquet", "fits", "ecsv", "csv", "vot"])
def test_rows_are_written(survey: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"out.{ending}"
    result = succeed("query-refcat", survey, "grid", "--circle", 30, -5, 0.11, "-o", out)
    assert "3 rows" in result.err
    assert sorted(Table.read(out)["id"]) == [0, 1, 20]


def test_a_data_id_is_a_region(survey: Path, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(
        "name: m\nkind: discrete\nraList: [30.5]\ndecList: [-4.5]\nradiusList: [0.2]\ntractOverlap: 0.0\n"
        "legacy: {patchInnerDimensions: [1000, 1000], patchBorder: 0}\n"
    )
    succeed("register-skymap", survey, "-C", tmp_path / "map.yaml")
    rows = succeed("query-refcat", survey, "grid", "--data-id", "skymap=m,tract=0").rows()
    assert "105" in {row["id"] for row in rows}
    assert 9 <= len(rows) < 400


def test_nothing_and_nonsense(survey: Path, tmp_path: Path) -> None:
    nothing = call("query-refcat", survey, "grid", "--circle", 200, 0, 1, "--exit-code")
    assert (nothing.code, nothing.err) == (1, "no row of grid there\n")
    for arguments, message in (
        (["grid"], "give one of --circle, --region and --data-id"),
        (["gird", "--circle", 1, 2, 3], "did you mean 'grid'?"),
        (["grid", "--circle", 1, 95, 3], "is no region"),
        (["grid", "--region", "HERE"], "'HERE' is no region"),
        (["grid", "--circle", 1, 2, 3, "-o", "x.doc"], "a table's name ends in"),
        (["grid", "--circle", 30, -5, 1, "--columns", "mag"], "there is no column 'mag'"),
        (["grid", "--circle", 30, -5, 1, "--collections", "elsewhere"], "no collection 'elsewhere'"),
    ):
        result = call("query-refcat", survey, *arguments)
        assert result.code == 2
        assert message in result.err
    again = call("ingest-refcat", survey, "grid", tmp_path / "stars.ecsv", "--pixels", "healpix6")
    assert again.code == 3
    assert "catalogue 'grid' is there" in again.err
    update = succeed(
        "ingest-refcat", survey, "grid", tmp_path / "stars.ecsv", "--pixels", "healpix6", "--update"
    )
    assert "of before replaced" in update.err
