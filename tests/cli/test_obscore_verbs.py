# SPDX-License-Identifier: BSD-3-Clause
"""ObsCore of a night and of a real export, compared with the records and lsst-sphgeom."""

from __future__ import annotations

import io
import math
import os
import shutil
from pathlib import Path

import duckdb
import erfa
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.io.votable import parse, parse_single_table, validate
from astropy.table import Table
from astropy.time import Time
from lsst.sphgeom import ConvexPolygon, LonLat, Region, UnitVector3d

from lakebutler import Butler, DatasetType, Timespan
from lakebutler.instruments.skymaps import SkyMapDefinition, register_skymap
from lakebutler.registry.obscore import LEAP_SECONDS, OBSCORE_COLUMNS
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
        assert row["t_min"] == pytest.approx(exposure.timespan.begin.utc.mjd, abs=1e-9)
        assert row["t_max"] == pytest.approx(exposure.timespan.end.utc.mjd, abs=1e-9)
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
            assert (row["em_min"], row["em_max"], row["em_res_power"]) == (
                None,
                None,
                None,
            )  # nothing is guessed
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
        "spectral_ranges: {DemoCam: {g: [300e-9, 4.0e-7]}}\n"
        "dataset_types: {'r*': {dataproduct_type: cube, calib_level: 0}}\n"
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
        ("spectral_range: {}", "spectral_ranges"),
        ("spectral_ranges: {Cam: {g: [5, 4]}}", "no range of wavelengths"),
        ("spectral_ranges: {Cam: {g: [a, b]}}", "no range of wavelengths"),
        ("spectral_ranges: {Cam: {g: [nan, 1.0e-6]}}", "no range of wavelengths"),
        ("spectral_ranges: [g]", "must be a mapping"),
        ("spectral_ranges: {g: [1.0e-7, 2.0e-7]}", "is no mapping of filters or bands"),
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
        assert row["t_min"] == pytest.approx(record.timespan.begin.utc.mjd, abs=1e-9)
        assert (row["facility_name"], row["instrument_name"]) == ("Subaru", "HSC")
        edges = {"HSC-R": (543e-9, 693e-9), "HSC-I": (690e-9, 842e-9)}[record.physical_filter]
        assert (row["em_min"], row["em_max"]) == edges
        assert row["em_res_power"] == pytest.approx(sum(edges) / 2 / (edges[1] - edges[0]))


def test_votable_is_valid_and_says_its_frames(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.vot"
    succeed("export-obscore", made, out)
    report = io.StringIO()
    assert validate(out, output=report, xmllint=False), report.getvalue()
    table = parse(out)
    (times,), (places,) = table.resources[0].time_systems, table.resources[0].coordinate_systems
    assert (times.timescale, times.timeorigin, places.system) == ("UTC", "MJD-origin", "ICRS")
    fields = {f.name: f for f in table.get_first_table().fields}
    assert {fields[n].ref for n in ("t_min", "t_max")} == {times.ID}
    assert {fields[n].ref for n in ("s_ra", "s_dec", "s_region")} == {places.ID}
    assert fields["em_min"].utype == "obscore:Char.SpectralAxis.Coverage.Bounds.Limits.LoLimit"
    assert fields["s_region"].xtype == "adql:REGION"
    assert all(f.ucd and f.utype.startswith("obscore:") for f in fields.values())


def test_leap_seconds_are_those_of_the_iers() -> None:
    rows = erfa.leap_seconds.get()
    known = [(f"{year}-{month:02}-01", int(offset)) for year, month, offset in rows if year >= 1972]
    assert [(day, 10 + i) for i, day in enumerate(LEAP_SECONDS)] == known


@pytest.mark.parametrize(
    "day", ["1971-06-01", "1985-03-01", "1999-01-01", "2016-12-31", "2017-01-01", "2026-03-14"]
)
def test_times_are_utc(day: str) -> None:
    time = Time(day, scale="utc") + [-2, 0.25, 40000] * u.s
    nsec = [Timespan(t, None).nsec[0] for t in time]
    column = next(c for c in OBSCORE_COLUMNS if c.name == "t_min").sql.replace("t_begin", "n")
    with duckdb.connect() as connection:
        asked = f"SELECT {column} FROM (SELECT unnest(?::BIGINT[]) AS n)"
        found = [mjd for (mjd,) in connection.execute(asked, [nsec]).fetchall()]
    # Astropy stretches days with a leap second; before 1972 UTC had no whole seconds.
    plain = day in {"1985-03-01", "2026-03-14"}
    assert found == pytest.approx(list(time.utc.mjd), abs=2e-9 if plain else 2.4e-5, rel=0)


def test_wavelengths_are_of_the_filter_then_of_the_band_then_unknown(night: Path, tmp_path: Path) -> None:
    def found() -> set[tuple[float | None, float | None]]:
        rows = succeed("sql", night, "SELECT DISTINCT em_min, em_max FROM obscore", "--json").json()
        return {(row["em_min"], row["em_max"]) for row in rows}

    with Butler.from_config(str(night)) as butler:
        glass = {r.name: r.band for r in butler.query_dimension_records("physical_filter")}
    used = "SELECT DISTINCT physical_filter FROM exposure"
    filters = [row["physical_filter"] for row in succeed("sql", night, used, "--json").json()]
    seen = next(f for f in filters if glass[f])
    assert found() == {(None, None)}
    config = tmp_path / "c.yaml"
    for ranges, expected in (
        (f'"*": {{{glass[seen]}: [1.0e-7, 2.0e-7]}}', (1e-7, 2e-7)),
        (
            f'"*": {{{glass[seen]}: [1.0e-7, 2.0e-7]}}, DemoCam: {{{glass[seen]}: [3.0e-7, 4.0e-7]}}',
            (3e-7, 4e-7),
        ),
        (f"DemoCam: {{{seen}: [5.0e-7, 6.0e-7], {glass[seen]}: [3.0e-7, 4.0e-7]}}", (5e-7, 6e-7)),
    ):
        config.write_text(f"spectral_ranges: {{{ranges}}}\n")
        succeed("obscore-config", night, config)
        assert expected in found()


def test_the_timeline_of_a_repository(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.svg"
    assert succeed("plot", made, "timeline", "-o", out).out == f"{out}\n"
    assert out.stat().st_size > 5000
    assert "no exposure" in call("plot", made, "timeline", "-o", out, "--where", "exposure = 1").err
    assert "target_name" in call("plot", made, "timeline", "-o", out, "--colour", "target_nam").err
    assert call("plot", made, "timeline", "-o", out, "--exposure", "1").code == 2


def test_data_without_an_instrument_are_those_of_the_only_one(night: Path, tmp_path: Path) -> None:
    facts = {"kind": "discrete", "raList": [10.0], "decList": [20.0], "radiusList": [0.1]}
    with Butler.from_config(str(night), writeable=True, run="coadds") as butler:
        register_skymap(butler, "field", SkyMapDefinition.from_facts(facts))
        dimensions = ("skymap", "tract", "patch", "band")
        kind = DatasetType("deep_coadd", dimensions, "StructuredDataDict", universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        butler.put({"a": 1}, kind, skymap="field", tract=0, patch=3, band="g")
    (tmp_path / "c.yaml").write_text("spectral_ranges: {DemoCam: {g: [3.0e-7, 4.0e-7]}}\n")
    succeed("obscore-config", night, tmp_path / "c.yaml")
    asked = "SELECT obs_id, em_min, em_max, instrument_name FROM obscore WHERE lb_dataset_type = 'deep_coadd'"
    (row,) = succeed("sql", night, asked, "--json").json()
    assert [*row.values()] == ["field/0/3", 3e-7, 4e-7, None]
    with Butler.from_config(str(night), writeable=True) as butler:
        butler.registry.insertDimensionData("instrument", {"name": "Other"})
    (row,) = succeed("sql", night, asked, "--json").json()
    assert row["em_min"] is None
