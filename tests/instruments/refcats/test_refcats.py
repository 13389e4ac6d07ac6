# SPDX-License-Identifier: BSD-3-Clause
"""Reference catalogues: ingested, looked up, and compared with separations by astropy."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from lsst.sphgeom import Angle, Circle, ConvexPolygon, HtmPixelization, LonLat, UnitVector3d

from lakebutler import Butler
from lakebutler.errors import (
    ButlerUserError,
    CollectionTypeError,
    ConflictingDefinitionError,
    DatasetTypeError,
    DimensionNameError,
    FileFormatError,
    InvalidQueryError,
)
from lakebutler.instruments.refcats import ingest_refcat, load_refcat
from lakebutler.instruments.refcats.catalogue_file import read_batches
from lakebutler.instruments.refcats.shards import Shards
from lakebutler.instruments.skymaps import SkyMapDefinition, register_skymap


@pytest.fixture
def butler(tmp_path: Path) -> Butler:
    return Butler.from_config(Butler.makeRepo(tmp_path / "repository"), writeable=True)


def stars(count: int, seed: int = 5) -> Table:
    """Stars around a field at right ascension 0, with some at both poles."""
    rng = np.random.default_rng(seed)
    table = Table()
    table["id"] = np.arange(count) + 1000 * seed
    table["ra"] = rng.normal(0.0, 3.0, count) % 360.0 * u.deg
    table["dec"] = np.clip(rng.normal(10.0, 3.0, count), -90.0, 90.0) * u.deg
    table["dec"][:2] = 90.0, -90.0
    table["g_mag"] = rng.normal(20.0, 1.0, count).astype("f4") * u.mag
    table["name"] = [f"star {i}" for i in range(count)]
    return table


def within(table: Table, ra: float, dec: float, radius: float) -> list[int]:
    place = SkyCoord(table["ra"], table["dec"], unit="deg")
    near = place.separation(SkyCoord(ra, dec, unit="deg")).deg <= radius
    return sorted(table["id"][near].tolist())


def write(table: Table, path: Path) -> Path:
    if path.suffix == ".gz":
        plain = path.with_suffix("")
        table.write(plain, format="ascii.ecsv", delimiter=",")  # as Gaia's archive has it
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    else:
        table.write(path)
    return path


# ------------------------------------------------------------- ingest and look-up


@pytest.mark.parametrize("ending", ["parquet", "fits", "ecsv", "ecsv.gz"])
@pytest.mark.parametrize("pixels", ["htm5", "healpix4"])
def test_rows_of_a_region_are_those_that_astropy_finds(
    butler: Butler, tmp_path: Path, ending: str, pixels: str
) -> None:
    tables = [stars(900, 1), stars(700, 2)]
    files = [write(t, tmp_path / f"part{i}.{ending}") for i, t in enumerate(tables)]
    before = butler.version
    report = ingest_refcat(butler, "cat", files, pixels=pixels)
    assert butler.version == before + 1
    assert (report.rows, report.files, report.run) == (1600, 2, "refcats/cat")
    refs = butler.query_datasets("cat", "refcats")
    assert len(refs) == report.shards > 20
    assert butler.get_dataset_type("cat").dimensions.names == {pixels}
    everything = [row for t in tables for row in t]
    for ra, dec, radius in ((0.0, 10.0, 1.7), (359.5, 8.0, 0.4), (0.0, 90.0, 0.1), (180.0, -90.0, 1.0)):
        found = load_refcat(butler, "cat", f"CIRCLE {ra} {dec} {radius}")
        expected = sorted(i for t in tables for i in within(t, ra, dec, radius))
        assert sorted(found["id"].tolist()) == expected
        assert expected
    assert (found["ra"].unit, found["g_mag"].unit) == (u.deg, u.mag)
    row = next(r for r in everything if r["id"] == found["id"][0])
    assert [found[n][0] for n in found.colnames] == [row[n] for n in found.colnames]


def test_every_row_is_in_the_pixel_of_its_shard(butler: Butler, tmp_path: Path) -> None:
    ingest_refcat(butler, "cat", write(stars(400), tmp_path / "a.parquet"), pixels="htm6")
    mesh = HtmPixelization(6)
    count = 0
    for ref in butler.query_datasets("cat", "refcats"):
        for row in butler.get(ref):
            place = UnitVector3d(LonLat.fromDegrees(float(row["ra"]), float(row["dec"])))
            assert mesh.index(place) == ref.dataId["htm6"]
            count += 1
    assert count == 400


def test_files_are_checked_and_moved_in_whole(butler: Butler, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    ingest_refcat(butler, "cat", write(stars(50), tmp_path / "a.parquet"), pixels="htm3", scratch=scratch)
    assert list(scratch.iterdir()) == []
    checksums = butler.sql("SELECT checksum FROM cat").fetchall()
    assert checksums
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", c) for (c,) in checksums)


def test_what_does_not_fit_in_memory_is_sorted_on_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    shards = Shards(str(tmp_path), run_bytes=2000)
    expected: dict[int, list[int]] = {}
    for batch in range(20):
        pixels = rng.integers(0, 12, 100)
        values = np.arange(100) + 100 * batch
        for pixel, value in zip(pixels.tolist(), values.tolist(), strict=True):
            expected.setdefault(pixel, []).append(value)
        shards.add(pa.table({"value": values}), pixels)
    assert len(list(tmp_path.iterdir())) >= 6
    assert len(shards) == 12
    found = {pixel: rows.column("value").to_pylist() for pixel, rows in shards}
    assert list(found) == sorted(expected)
    assert found == expected


def test_a_region_may_be_a_polygon_a_data_id_or_a_position(butler: Butler, tmp_path: Path) -> None:
    table = stars(800)
    ingest_refcat(butler, "cat", write(table, tmp_path / "a.parquet"), pixels="htm4")
    corners = [
        UnitVector3d(LonLat.fromDegrees(ra % 360, dec)) for ra, dec in ((-1, 9), (1, 9), (1, 11), (-1, 11))
    ]
    polygon = ConvexPolygon(corners)
    rows = load_refcat(butler, "cat", polygon, storage_class="ArrowTable", columns=["id"])
    inside = [
        int(r["id"])
        for r in table
        if polygon.contains(UnitVector3d(LonLat.fromDegrees(float(r["ra"]), float(r["dec"]))))
    ]
    assert sorted(rows.column("id").to_pylist()) == sorted(inside)
    assert rows.column_names == ["id"]
    facts = {"kind": "discrete", "raList": [0.0], "decList": [10.0], "radiusList": [0.5], "tractOverlap": 0.0}
    register_skymap(butler, "field", SkyMapDefinition.from_facts(facts))
    patch = load_refcat(butler, "cat", data_id={"skymap": "field", "tract": 0})
    region = butler.registry.expandDataId(skymap="field", tract=0).region
    assert 0 < len(patch) < 800
    assert all(
        region.contains(UnitVector3d(LonLat.fromDegrees(float(r["ra"]), float(r["dec"])))) for r in patch
    )
    star = table[10]
    alone = load_refcat(butler, "cat", SkyCoord(star["ra"], star["dec"], unit="deg"))
    assert set(alone["id"]) <= {star["id"]}
    empty = load_refcat(butler, "cat", "CIRCLE 180 0 1")
    assert (len(empty), empty.colnames) == (0, table.colnames)


def test_radians_of_lsst_are_known(butler: Butler, tmp_path: Path) -> None:
    degrees = stars(200)
    table = Table({"id": degrees["id"]})
    table["coord_ra"], table["coord_dec"] = np.radians(degrees["ra"].value), np.radians(degrees["dec"].value)
    ingest_refcat(butler, "cat", write(table, tmp_path / "a.parquet"), pixels="htm5")
    found = load_refcat(butler, "cat", "CIRCLE 1 10 2")
    assert sorted(found["id"]) == within(degrees, 1, 10, 2)


def test_columns_that_differ_in_case_only_have_to_be_named(butler: Butler, tmp_path: Path) -> None:
    table = stars(50)
    table["RA"] = table["ra"]
    path = write(table, tmp_path / "a.parquet")
    with pytest.raises(FileFormatError, match=r"'ra', 'RA' could be meant") as caught:
        ingest_refcat(butler, "cat", path, pixels="htm5")
    assert "--ra" in str(caught.value.hint)
    ingest_refcat(butler, "cat", path, pixels="htm5", ra="RA", dec="dec")


def test_whole_degrees_are_positions(butler: Butler, tmp_path: Path) -> None:
    table = Table({"id": [1, 2, 3], "ra": [10, 11, 200], "dec": np.array([5, 5, -5], np.int16)})
    ingest_refcat(butler, "cat", write(table, tmp_path / "a.parquet"), pixels="htm5")
    assert sorted(load_refcat(butler, "cat", "CIRCLE 10 5 1.1")["id"]) == [1, 2]


def test_columns_and_units_can_be_named(butler: Butler, tmp_path: Path) -> None:
    degrees = stars(200)
    table = Table({"id": degrees["id"], "x": degrees["ra"].value / 15.0, "y": degrees["dec"].value / 15.0})
    path = write(table, tmp_path / "a.parquet")
    with pytest.raises(FileFormatError, match="no columns of positions"):
        ingest_refcat(butler, "cat", path)
    ingest_refcat(butler, "cat", path, ra="x", dec="y", units="hourangle", pixels="healpix3")
    found = load_refcat(butler, "cat", "CIRCLE 359 11 1.5")  # what was said at ingest is remembered
    assert sorted(found["id"]) == within(degrees, 359, 11, 1.5)


def test_shards_of_the_field_are_read(butler: Butler, tmp_path: Path, shared_data: Path) -> None:
    """A real export names 10 shards of Gaia; their files are made here, in the format of the field."""
    text = (shared_data / "exports/jointcal_hsc_exports.yaml").read_text()
    export = yaml.safe_load(re.sub(r"!\S+", "", text))
    name, run = "gaia_dr2_20200414", "refcats/gen2"
    export["data"] = [
        e for e in export["data"] if name in (e.get("name"), e.get("dataset_type")) or e.get("name") == run
    ]
    records = next(e["records"] for e in export["data"] if e["type"] == "dataset")
    mesh, rng, expected = HtmPixelization(7), np.random.default_rng(3), 0
    centre = mesh.pixel(197120).getCentroid()
    circle = Circle(UnitVector3d(centre), Angle.fromDegrees(0.3))
    for record in records:
        middle = LonLat(mesh.pixel(record["data_id"][0]["htm7"]).getCentroid())
        table = Table()
        table["coord_ra"] = (middle.getLon().asRadians() + rng.normal(0, 1e-3, 50)) * u.rad
        table["coord_dec"] = (middle.getLat().asRadians() + rng.normal(0, 1e-3, 50)) * u.rad
        table["flags"] = rng.integers(0, 2, (50, 3)).astype(bool)
        path = tmp_path / record["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write(path)
        expected += int(circle.contains(table["coord_ra"].value, table["coord_dec"].value).sum())
    (tmp_path / "export.yaml").write_text(yaml.safe_dump(export))
    butler.import_(filename=str(tmp_path / "export.yaml"), directory=str(tmp_path), transfer="copy")
    rows = load_refcat(butler, name, circle, collections=run)
    assert (len(rows), rows.colnames) == (expected, ["coord_ra", "coord_dec", "flags"])
    assert expected > 40


# -------------------------------------------------------------- a second time


def test_a_catalogue_that_is_there_is_refused_or_replaced(butler: Butler, tmp_path: Path) -> None:
    first, second = stars(300, 1), stars(100, 2)
    ingest_refcat(butler, "cat", write(first, tmp_path / "a.parquet"), pixels="htm4")
    before = butler.version
    path = write(second, tmp_path / "b.parquet")
    with pytest.raises(ConflictingDefinitionError, match="'cat' is there: run refcats/cat has") as refused:
        ingest_refcat(butler, "cat", path, pixels="htm4")
    assert "--update" in str(refused.value.hint)
    with pytest.raises(
        ConflictingDefinitionError, match="registered with htm4 and ArrowAstropy, not with htm5"
    ):
        ingest_refcat(butler, "cat", path, pixels="htm5", update=True)
    assert butler.version == before
    report = ingest_refcat(butler, "cat", path, pixels="htm4", update=True)
    assert butler.version == before + 1
    assert report.replaced > 0
    found = load_refcat(butler, "cat", "CIRCLE 0 10 3")
    assert sorted(found["id"]) == within(second, 0, 10, 3)
    assert butler.collections.get_info("refcats").children == ("refcats/cat",)


def test_other_catalogues_of_the_chain_stay(butler: Butler, tmp_path: Path) -> None:
    path = write(stars(50), tmp_path / "a.parquet")
    for name in ("one", "two"):
        ingest_refcat(butler, name, path, pixels="htm3")
    assert butler.collections.get_info("refcats").children == ("refcats/one", "refcats/two")
    butler.registry.registerRun("refcats/three/x")
    butler.registry.registerCollection("refcats/four")
    with pytest.raises(CollectionTypeError, match="'refcats/four' is a TAGGED collection, no RUN one"):
        ingest_refcat(butler, "four", path)


# ------------------------------------------------------------------- bad input


def broken(change: Callable[[Table], Any]) -> Callable[[Path], list[Path]]:
    def make(place: Path) -> list[Path]:
        table = stars(20)
        changed = change(table)
        table = table if changed is None else changed
        return [write(table, place / "bad.parquet")]

    return make


def mixed(change: Callable[[Table], Any]) -> Callable[[Path], list[Path]]:
    def make(place: Path) -> list[Path]:
        table = stars(20, 2)
        change(table)
        return [write(stars(20), place / "good.parquet"), write(table, place / "odd.parquet")]

    return make


def raw(name: str, content: bytes) -> Callable[[Path], list[Path]]:
    def make(place: Path) -> list[Path]:
        (place / name).write_bytes(content)
        return [place / name]

    return make


def only_image(place: Path) -> list[Path]:
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(place / "image.fits")
    return [place / "image.fits"]


def cut_fits(place: Path) -> list[Path]:
    path = write(stars(5000), place / "cut.fits")
    path.write_bytes(path.read_bytes()[:60_000])
    return [path]


ECSV = (
    b"# %ECSV 1.0\n# ---\n# datatype:\n# - {name: ra, datatype: float64}\n"
    b"# - {name: dec, datatype: float64}\n"
)
BAD = {
    "NaN": (
        broken(lambda t: t["ra"].__setitem__(7, np.nan)),
        "bad.parquet: row 7 is nowhere on the sky: ra nan",
    ),
    "beyond the pole": (
        broken(lambda t: t["dec"].__setitem__(3, 91.0)),
        "row 3 is nowhere on the sky: .* dec 91.0",
    ),
    "beyond the circle": (
        broken(lambda t: t["ra"].__setitem__(0, 400.0)),
        "row 0 is nowhere on the sky: ra 400",
    ),
    "no declination": (broken(lambda t: t.remove_column("dec")), "no columns of positions are known"),
    "positions are text": (
        broken(lambda t: t.replace_column("ra", ["x"] * 20)),
        "column 'ra' holds string, no angles",
    ),
    "strange unit": (broken(lambda t: setattr(t["ra"], "unit", "mag")), "column 'ra' is in 'mag'"),
    "no rows": (broken(lambda t: t[:0]), "no row with a position"),
    "lacks a column": (mixed(lambda t: t.remove_column("g_mag")), "odd.parquet: lacks column 'g_mag'"),
    "a column more": (mixed(lambda t: t.rename_column("name", "label")), "odd.parquet: lacks column 'name'"),
    "another type": (
        mixed(lambda t: t.replace_column("g_mag", np.arange(20))),
        "odd.parquet: column 'g_mag' is int64, but float mag in .*good.parquet",
    ),
    "another unit": (
        mixed(lambda t: setattr(t["ra"], "unit", "rad")),
        "'ra' is double rad, but double deg in",
    ),
    "no Parquet": (raw("x.parquet", b"PAR1 it is not"), "x.parquet: cannot be read as a table"),
    "no FITS": (raw("x.fits", b"SIMPLE it is not"), "x.fits: cannot be read as a table"),
    "no table": (only_image, "image.fits: the file has no table"),
    "cut": (cut_fits, "cut.fits: cannot be read as a table"),
    "no ECSV": (raw("x.ecsv", b"ra,dec\n1,2\n"), "does not begin with '# %ECSV'"),
    "program in YAML": (
        raw("x.ecsv", b"# %ECSV 1.0\n# !!python/object/apply:os.system [x]\nra\n"),
        "header cannot",
    ),
    "no number": (raw("x.ecsv", ECSV + b"ra dec\n1.0 x\n"), "x.ecsv: cannot be read as a table"),
    "no such column": (raw("x.ecsv", ECSV + b"ra\n1.0\n"), "x.ecsv: cannot be read as a table"),
    "lists in ECSV": (
        raw("x.ecsv", ECSV.replace(b"float64}", b"float64, subtype: 'float64[2]'}", 1)),
        "no plain value",
    ),
    "a strange file": (raw("x.txt", b""), "x.txt: a catalogue's name ends in .parquet"),
    "an empty directory": (lambda place: [place / "sub"], "sub: no file here ends in"),
    "no file": (lambda place: [place / "none.fits"], "there is no file .*none.fits"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_one_line(butler: Butler, tmp_path: Path, case: str) -> None:
    (tmp_path / "sub").mkdir()
    make, message = BAD[case]
    before = butler.version
    with pytest.raises(FileFormatError, match=message) as error:
        ingest_refcat(butler, "cat", make(tmp_path))
    assert "\n" not in error.value.message
    assert butler.version == before


def test_rows_without_a_position_can_be_left_out(butler: Butler, tmp_path: Path) -> None:
    table = stars(30)
    table["ra"][4], table["dec"][9] = np.nan, 95.0
    report = ingest_refcat(butler, "cat", write(table, tmp_path / "a.parquet"), skip_invalid=True)
    assert (report.rows, report.left_out) == (28, 2)
    found = load_refcat(butler, "cat", "RANGE 0 360 -90 90")
    assert set(table["id"]) - set(found["id"]) == {table["id"][4], table["id"][9]}


@pytest.mark.parametrize("pixels", ["htm", "htm99", "heal5", "skypix", "htm-1", "7", "visit"])
def test_pixels_that_are_none_are_refused(butler: Butler, tmp_path: Path, pixels: str) -> None:
    with pytest.raises(DimensionNameError, match=re.escape(pixels)):
        ingest_refcat(butler, "cat", write(stars(5), tmp_path / "a.parquet"), pixels=pixels)


def test_questions_that_have_no_answer(butler: Butler, tmp_path: Path) -> None:
    ingest_refcat(butler, "cat", write(stars(5), tmp_path / "a.parquet"))
    for region in ("CIRCLE 1 2", "", 5, None):
        with pytest.raises(InvalidQueryError):
            load_refcat(butler, "cat", region)
    with pytest.raises(ButlerUserError, match="no column 'colour'"):
        load_refcat(butler, "cat", "CIRCLE 0 10 9", columns=["colour"])
    register_skymap(
        butler,
        "m",
        SkyMapDefinition.from_facts(
            {"kind": "discrete", "raList": [0.0], "decList": [10.0], "radiusList": [0.5]}
        ),
    )
    with pytest.raises(DatasetTypeError, match="skyMap is no reference catalogue"):
        load_refcat(butler, "skyMap", "CIRCLE 0 10 9")


def test_dictionaries_and_batches_of_parquet_are_plain(tmp_path: Path) -> None:
    table = pa.table({"band": pa.array(["g", "r", "g"]).dictionary_encode(), "x": [1, 2, 3]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    batch = pa.concat_tables(read_batches(str(tmp_path / "a.parquet")))
    assert batch.to_pydict() == table.to_pydict()
    assert batch.schema.field("band").type == pa.string()


@pytest.mark.parametrize(
    "note",
    [
        '{"ra": ["a"], "dec": {}, "units": [[], {}]}',
        "[]",
        '{"ra": "ra", "dec": "dec", "units": ["deg"]}',
        "[" * 9999,
    ],
)
def test_notes_that_make_no_sense_are_passed_over(butler: Butler, tmp_path: Path, note: str) -> None:
    table = pa.table({"ra": [10.0], "dec": [20.0]}).replace_schema_metadata({"lakebutler.refcat": note})
    pq.write_table(table, tmp_path / "a.parquet")
    ingest_refcat(butler, "cat", tmp_path / "a.parquet")
    assert len(load_refcat(butler, "cat", "CIRCLE 10 20 0.1")) == 1


def test_metadata_run_nothing(butler: Butler, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = f'!!python/object/apply:os.system ["touch {mark}"]'
    table = pa.table({"ra": [10.0], "dec": [20.0]}).replace_schema_metadata({"table_meta_yaml": text})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(FileFormatError, match="what astropy noted cannot be read"):
        ingest_refcat(butler, "cat", tmp_path / "a.parquet")
    assert not mark.exists()


def test_other_arguments_that_cannot_be(butler: Butler, tmp_path: Path) -> None:
    path = write(stars(5), tmp_path / "a.parquet")
    with pytest.raises(FileFormatError, match="'furlong' is no unit"):
        ingest_refcat(butler, "cat", path, units="furlong")
    with pytest.raises(FileFormatError, match=r"no directory .*nowhere"):
        ingest_refcat(butler, "cat", path, scratch=tmp_path / "nowhere")
    with pytest.raises(FileFormatError, match="'CCDData' is not kept as Parquet"):
        ingest_refcat(butler, "cat", path, storage_class="CCDData")
    twice = pa.Table.from_arrays([pa.array([1.0])] * 3, names=["ra", "ra", "dec"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(FileFormatError, match="2 columns 'ra'"):
        ingest_refcat(butler, "cat", tmp_path / "twice.parquet")
