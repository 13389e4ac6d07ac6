# SPDX-License-Identifier: BSD-3-Clause
"""ObsCore of a night and of a real export, compared with the records and lsst-sphgeom."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from astropy.io.votable import parse_single_table
from astropy.table import Table
from lsst.sphgeom import ConvexPolygon, LonLat, Region, UnitVector3d

from lakebutler import Butler
from tests.cli.running import call, succeed

# ObsCore 1.1, the table of mandatory columns
MANDATORY = [
    "dataproduct_type", "calib_level", "obs_collection", "obs_id", "obs_publisher_did", "access_url",
    "access_format", "access_estsize", "target_name", "s_ra", "s_dec", "s_fov", "s_region",
    "s_resolution", "s_xel1", "s_xel2", "t_min", "t_max", "t_exptime", "t_resolution", "t_xel", "em_min",
    "em_max", "em_res_power", "em_xel", "o_ucd", "pol_states", "pol_xel", "facility_name",
    "instrument_name",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two exposures of the sky and a bias, with visits and their regions."""
    from lakebutler.instruments.demo import simulate

    place = tmp_path_factory.mktemp("obscore")
    chosen = tuple(exposure for exposure in simulate.plan_exposures() if exposure.seq_num in {1, 8, 9})[:3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "plan_exposures", lambda: chosen)
        simulate.simulate_raws(place / "raws")
    succeed("create", place / "repo")
    succeed("register-instrument", place / "repo", "DemoCam")
    succeed("ingest-raws", place / "repo", place / "raws")
    succeed("define-visits", place / "repo", "DemoCam")
    return place / "repo"


@pytest.fixture
def night(made: Path, tmp_path: Path) -> Path:
    """A copy of that repository."""
    shutil.copytree(made, tmp_path / "repo")
    return tmp_path / "repo"


def agrees(row: dict[str, object], region: Region) -> None:
    """A row's place is the region's, to 1e-8 degrees (1e-9 in the text)."""
    assert isinstance(region, ConvexPolygon)
    words = str(row["s_region"]).split()
    assert words[:2] == ["POLYGON", "ICRS"]
    written = [float(word) for word in words[2:]]
    corners = [LonLat(v) for v in region.getVertices()]
    expected = [x for c in corners for x in (c.getLon().asDegrees() % 360, c.getLat().asDegrees())]
    assert written == pytest.approx(expected, abs=1e-8)
    middle = LonLat(region.getCentroid())
    assert row["s_ra"] == pytest.approx(middle.getLon().asDegrees() % 360, abs=1e-4)
    assert row["s_dec"] == pytest.approx(middle.getLat().asDegrees(), abs=1e-4)
    centre = UnitVector3d(LonLat.fromDegrees(float(str(row["s_ra"])), float(str(row["s_dec"]))))
    farthest = max(2 * _asin(UnitVector3d(c), centre) for c in corners)
    assert row["s_fov"] == pytest.approx(farthest, abs=1e-8)


def _asin(one: UnitVector3d, other: UnitVector3d) -> float:
    return math.degrees(2 * math.asin(math.dist([*one], [*other]) / 2))


def test_rows_are_those_of_the_records(made: Path) -> None:
    with Butler.from_config(str(made)) as butler:
        rows = butler.sql("SELECT * FROM obscore").to_arrow_table().to_pylist()
        refs = {
            r.id: r for r in butler.query_datasets("raw", "*", find_first=False, with_dimension_records=True)
        }
        regions = {
            (r.visit, r.detector): r.region for r in butler.query_dimension_records("visit_detector_region")
        }
        visits = dict(butler.sql("SELECT exposure, visit FROM visit_definition").fetchall())
    assert list(rows[0])[: len(MANDATORY)] == MANDATORY
    assert {r["lb_id"] for r in rows} == set(refs)
    placed = 0
    for row in rows:
        ref = refs[row["lb_id"]]
        exposure = ref.dataId.records["exposure"]
        assert row["obs_publisher_did"].endswith(f"?{ref.id}")
        assert (row["obs_id"], row["t_exptime"]) == (exposure.obs_id, exposure.exposure_time)
        assert row["t_min"] == pytest.approx(exposure.timespan.begin.tai.mjd, abs=1e-9)
        assert row["t_max"] == pytest.approx(exposure.timespan.end.tai.mjd, abs=1e-9)
        assert (row["dataproduct_type"], row["calib_level"], row["instrument_name"]) == (
            "image",
            1,
            "DemoCam",
        )
        region = regions.get((visits.get(ref.dataId["exposure"]), ref.dataId["detector"]))
        if region is None:
            assert (row["s_ra"], row["s_dec"], row["s_region"]) == (None, None, None)
        else:
            agrees(row, region)
            assert row["em_min"] < row["em_max"] < 2e-6
            placed += 1
    assert placed == 18


def test_plain_duckdb_gives_the_same(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Butler.from_config(str(made)) as butler:
        ours = butler.sql("SELECT * FROM obscore ORDER BY lb_id").fetchall()
    monkeypatch.chdir(made)
    with duckdb.connect() as connection:
        connection.execute((made / "registry" / "views.sql").read_text())
        assert connection.execute("SELECT * FROM obscore ORDER BY lb_id").fetchall() == ours


@pytest.mark.parametrize("ending", ["parquet", "csv", "ecsv", "fits", "vot", "xml"])
def test_every_format_holds_all_rows_and_names(made: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"o.{ending}"
    assert "27 observations" in succeed("export-obscore", made, out).err
    if ending == "parquet":  # astropy's reader stops at a text that is NULL everywhere
        table = Table(pq.read_table(out).to_pydict())
    else:
        table = Table.read(out, format={"vot": "votable", "xml": "votable", "csv": "ascii.csv"}.get(ending))
    assert table.colnames == MANDATORY
    assert len(table) == 27
    path = str(table["access_url"][0]).removeprefix("file://")
    assert os.path.getsize(path) <= 1000 * table["access_estsize"][0]
    assert sorted(tmp_path.iterdir()) == [out]


def test_units_types_and_meanings_are_in_the_file(made: Path, tmp_path: Path) -> None:
    succeed("export-obscore", made, tmp_path / "o.vot", "-d", "raw")
    fields = {f.name: f for f in parse_single_table(tmp_path / "o.vot").fields}
    units = {"access_estsize": "kbyte", "s_ra": "deg", "t_min": "d", "t_exptime": "s", "em_min": "m"}
    assert {name: str(fields[name].unit) for name in units} == units
    assert fields["s_resolution"].unit == "arcsec"
    assert [fields[n].datatype for n in ("calib_level", "access_estsize", "s_ra")] == [
        "int",
        "long",
        "double",
    ]
    assert fields["em_max"].ucd == "em.wl;stat.max"
    succeed("export-obscore", made, tmp_path / "o.parquet")
    field = pq.read_schema(tmp_path / "o.parquet").field("t_min")
    assert (field.type, field.metadata[b"unit"]) == ("double", b"d")


def test_the_configuration_is_kept_and_the_view_follows(night: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        'publisher: "ivo://x.y/it\'s"\nobs_collection: Demo\nfacilities: {DemoCam: Garden}\n'
        "bands: {g: [3.0e-7, 4.0e-7]}\ndataset_types: {'r*': {dataproduct_type: cube, calib_level: 0}}\n"
    )
    succeed("obscore-config", night, config)
    asked = "SELECT DISTINCT dataproduct_type, calib_level, obs_collection, facility_name, o_ucd FROM obscore"
    (row,) = succeed("sql", night, asked, "--json").json()
    assert [*row.values()] == ["cube", 0, "Demo", "Garden", None]
    assert "publisher: ivo://x.y/it's\n" in succeed("obscore-config", night).out
    (did,) = succeed(
        "sql", night, "SELECT DISTINCT split_part(obs_publisher_did, '?', 1) AS did FROM obscore", "--json"
    ).json()
    assert did == {"did": "ivo://x.y/it's"}
    succeed("obscore-config", night, "--default")
    (row,) = succeed("sql", night, asked, "--json").json()
    assert row["dataproduct_type"] == "image"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("band: {}", "bands"),
        ("bands: {g: [5, 4]}", "no range of wavelengths"),
        ("bands: [g]", "must be a mapping"),
        ("dataset_types: {raw: {dataproduct_type: picture, calib_level: 1}}", "'picture' is none of"),
        ("dataset_types: {raw: {dataproduct_type: image, calib_level: 7}}", "calib_level 7"),
        ("dataset_types: {raw: image}", "no pair of"),
        ("publisher: 3", "publisher must be a text"),
    ],
)
def test_a_bad_configuration_is_refused_with_one_line(
    night: Path, tmp_path: Path, text: str, named: str
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    result = call("obscore-config", night, tmp_path / "c.yaml")
    assert result.code != 0
    assert named in result.err
    assert str(tmp_path / "c.yaml") in result.err


def test_another_ending_is_refused_and_an_empty_repository_has_no_rows(tmp_path: Path) -> None:
    succeed("create", tmp_path / "repo")
    assert ".parquet" in call("export-obscore", tmp_path / "repo", tmp_path / "o.doc").err
    assert "0 observations" in succeed("export-obscore", tmp_path / "repo", tmp_path / "o.fits").err
    assert Table.read(tmp_path / "o.fits").colnames == MANDATORY


def test_a_real_export_has_its_visits_on_the_sky(shared_data: Path, tmp_path: Path) -> None:
    export = shared_data / "exports" / "jointcal_hsc_exports.yaml"
    succeed("create", tmp_path / "repo")
    succeed("import", tmp_path / "repo", tmp_path, "--export-file", export, "--without-datastore")
    with Butler.from_config(str(tmp_path / "repo")) as butler:
        rows = (
            butler.sql("SELECT * FROM obscore WHERE s_region IS NOT NULL AND t_min IS NOT NULL")
            .to_arrow_table()
            .to_pylist()
        )
        records = butler.query_dimension_records("visit", instrument="HSC")
    by_name = {record.name: record for record in records}
    assert rows
    for row in rows:
        record = by_name[row["obs_id"]]
        assert row["s_region"].startswith("POLYGON ICRS ")
        assert record.region.contains(UnitVector3d(LonLat.fromDegrees(row["s_ra"], row["s_dec"])))
        assert row["t_min"] == pytest.approx(record.timespan.begin.tai.mjd, abs=1e-9)
        assert (row["facility_name"], row["instrument_name"]) == ("Subaru", "HSC")


def test_the_timeline_of_a_repository(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.svg"
    assert succeed("plot", made, "timeline", "-o", out).out == f"{out}\n"
    assert out.stat().st_size > 5000
    assert "no exposure" in call("plot", made, "timeline", "-o", out, "--where", "exposure = 1").err
    assert "target_name" in call("plot", made, "timeline", "-o", out, "--colour", "target_nam").err
    assert call("plot", made, "timeline", "-o", out, "--exposure", "1").code == 2
