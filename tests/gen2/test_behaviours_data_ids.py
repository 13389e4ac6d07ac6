# SPDX-License-Identifier: BSD-3-Clause
"""Behaviours G9 to G14, and G27: data IDs, filters, patches, units, exposures, times, IDs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from lakebutler import Butler
from lakebutler.errors import InstrumentError, RepositoryFormatError
from lakebutler.gen2.convert import convert_gen2, plan_gen2
from lakebutler.gen2.exposures import tai_of
from lakebutler.gen2.options import Options
from lakebutler.gen2.validity import parse_time

Sparse = Callable[..., Path]
HSC = "lsst.obs.hsc.HscMapper"


def hsc_raw(visit: int, ccd: int, band: str = "HSC-R", **more: Any) -> dict[str, Any]:
    """A row of a registry."""
    row = {"visit": visit, "ccd": ccd, "filter": band, "dateObs": "2013-06-17", "taiObs": "2013-06-17"}
    return {**row, "expTime": 30.0, "field": "F", "pointing": 533, "dataType": "OBJECT", **more}


def path_of(row: dict[str, Any]) -> str:
    """Where its file stands."""
    return f"F/2013-06-17/00533/{row['filter']}/HSC-{row['visit']:07d}-{row['ccd']:03d}.fits"


@pytest.fixture
def hsc(sparse: Sparse, registry_of: Callable[..., Path]) -> Callable[..., Path]:
    """Make a repository of HSC with some raws and other files."""

    def make(rows: list[dict[str, Any]], *others: str) -> Path:
        files = [(path_of(row), 10) for row in rows] + [(path, 10) for path in others]
        root = sparse("hsc", files)
        (root / "_mapper").write_text(HSC)
        registry_of(root / "registry.sqlite3", raw=rows)
        return root

    return make


def part(plan: Any, name: str) -> list[dict[str, Any]]:
    """Data IDs of a type."""
    (found,) = [p for p in plan.parts if p.name == name]
    rows: list[dict[str, Any]] = found.table.select(list(found.dimensions)).to_pylist()
    return rows


def reasons(plan: Any) -> dict[str, str]:
    """Reasons by path."""
    return {row["path"]: row["reason"] for row in plan.report.not_converted()}


def test_g9_data_ids_become_dimensions_with_their_types(hsc: Callable[..., Path]) -> None:
    root = hsc(
        [hsc_raw(903334, 100)],
        "00533/HSC-R/corr/CORR-0903334-100.fits",
        "00533/HSC-R/corr/CORR-0903334-300.fits",
        "00533/HSC-R/corr/CORR-0000007-100.fits",
        "00533/HSC-R/corr/CORR-99999999999999999999-100.fits",
        "config/processCcd.py",
    )
    plan = plan_gen2(root, Options(headers=False))
    assert part(plan, "raw") == [{"exposure": 903334, "detector": 100, "instrument": "HSC"}]
    assert part(plan, "calexp") == [{"visit": 903334, "detector": 100, "instrument": "HSC"}]
    assert part(plan, "processCcd_config") == [{}]
    why = reasons(plan)
    assert why["00533/HSC-R/corr/CORR-0903334-300.fits"] == "HSC has no detector 300"
    assert (
        why["00533/HSC-R/corr/CORR-0000007-100.fits"] == "neither a registry nor a header tells of exposure 7"
    )
    assert "too large a number" in why["00533/HSC-R/corr/CORR-99999999999999999999-100.fits"]


def test_g10_filters_by_alias_and_band_and_unknown_ones(hsc: Callable[..., Path], tmp_path: Path) -> None:
    rows = [hsc_raw(903334, 5, "W-S-I+"), hsc_raw(903336, 5, "HSC-R"), hsc_raw(903338, 5, "HSC-R2")]
    coadds = [f"deepCoadd-results/{f}/0/1,1/calexp-{f}-0-1,1.fits" for f in ("HSC-R", "HSC-R2", "HSC-I")]
    sky = tmp_path / "sky.yaml"
    sky.write_text("name: disc\npatches: {default: [9, 9]}\n")
    root = hsc(rows, *coadds)
    plan = plan_gen2(root, Options(headers=False, skymap=str(sky)))
    filters = {r["id"]: r["physical_filter"] for r in plan.records["exposure"]}
    assert filters == {903334: "HSC-I", 903336: "HSC-R", 903338: "HSC-R2"}
    assert sorted(row["band"] for row in part(plan, "deepCoadd_calexp")) == ["i", "r"]
    assert any("HSC-R, HSC-R2 are all the band r" in note for note in plan.report.notes)
    assert reasons(plan)[coadds[1]] == f"the same data ID as {coadds[0]}"
    root = hsc([hsc_raw(903340, 5, "HSC-Q")])
    with pytest.raises(InstrumentError, match="HSC has no filter 'HSC-Q'") as caught:
        plan_gen2(root, Options(headers=False, skymap=str(sky)))
    assert "HSC-R" in (caught.value.hint or "")
    assert "--filter HSC-Q=NAME" in (caught.value.hint or "")
    plan = plan_gen2(root, Options(headers=False, skymap=str(sky), filters={"HSC-Q": "HSC-Z"}))
    assert [r["physical_filter"] for r in plan.records["exposure"] if r["id"] == 903340] == ["HSC-Z"]


def test_g11_patches_need_the_skymap(hsc: Callable[..., Path], tmp_path: Path) -> None:
    coadds = [
        f"deepCoadd-results/HSC-R/{t}/{p}/calexp-HSC-R-{t}-{p}.fits"
        for t, p in ((0, "1,1"), (7, "2,1"), (0, "9,0"), (3, "8,8"))
    ]
    root = hsc([hsc_raw(903334, 5)], *coadds)
    with pytest.raises(RepositoryFormatError, match="of tracts, and no skymap") as caught:
        plan_gen2(root, Options(headers=False))
    assert "--skymap" in (caught.value.hint or "")
    assert plan_gen2(root, Options(headers=False, without=("deepCoadd*",))).parts
    sky = tmp_path / "sky.yaml"
    sky.write_text("name: disc\npatches: {default: [9, 9], 7: [4, 3]}\n")
    plan = plan_gen2(root, Options(headers=False, skymap=str(sky)))
    found = {(row["tract"], row["patch"]) for row in part(plan, "deepCoadd_calexp")}
    assert found == {(0, 10), (7, 6), (3, 80)}, "x + nx * y, by the shape of the tract"
    assert reasons(plan)[coadds[2]] == "tract 0 of the skymap 'disc' has no patch 9,0"
    done = convert_gen2(root, tmp_path / "new", Options(headers=False, skymap=str(sky)))
    assert done.written is not None
    with Butler.from_config(tmp_path / "new", collections="HSC/runs/root") as butler:
        ref = butler.find_dataset("deepCoadd_calexp", skymap="disc", tract=7, patch=6, band="r")
        assert ref is not None
        assert ref.run == "HSC/runs/root/direct"
    named = Options(headers=False, skymap="disc")
    again = convert_gen2(root, tmp_path / "new", named)
    assert again.written is not None
    assert again.written.datasets == 0, "the skymap that is registered says the same"
    with pytest.raises(RepositoryFormatError, match="there is no skymap 'disk'"):
        convert_gen2(root, tmp_path / "new", Options(headers=False, skymap="disk"))


def decam_raw(path: Path, visit: int, ccds: list[int]) -> None:
    """A raw of DECam, with a unit for each detector in an order of its own."""
    cards = {
        "INSTRUME": "DECam",
        "TELESCOP": "CTIO 4.0-m telescope",
        "OBSERVAT": "CTIO",
        "PROCTYPE": "raw",
        "EXPNUM": visit,
        "DATE-OBS": "2015-02-18T06:00:00.123456",
        "EXPTIME": 86.0,
        "EXPREQ": 86.0,
        "DARKTIME": 87.0,
        "FILTER": "g DECam SDSS c0001 4720.0 1520.0",
        "OBSTYPE": "object",
        "OBSID": "ct4m20150218t060000",
        "DTCALDAT": "2015-02-17",
        "PROPID": "2015A-1",
        "OBJECT": "field",
        "RA": "10:00:00.0",
        "DEC": "02:00:00.0",
        "AIRMASS": 1.2,
        "HA": "00:10:00",
        "ZD": 35.0,
        "AZ": 10.0,
        "OUTTEMP": 10.0,
        "PRESSURE": 780.0,
        "HUMIDITY": 30.0,
        "DTSITE": "ct",
        "RADESYS": "FK5",
        "TIMESYS": "UTC",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    units: list[Any] = [fits.PrimaryHDU(header=fits.Header(cards))]
    for ccd in ccds:
        header = fits.Header({"CCDNUM": ccd, "DETPOS": f"X{ccd}"})
        units.append(fits.ImageHDU(np.full((4, 5), ccd, np.int16), header, name=f"X{ccd}"))
    fits.HDUList(units).writeto(path)


def test_g12_a_file_of_many_detectors_is_one_file_and_many_datasets(sparse: Sparse, tmp_path: Path) -> None:
    root = sparse("decam", [("cpBIAS/2015-01-01/BIAS-2015-01-01.fits", 100)])
    (root / "_mapper").write_text("lsst.obs.decam.DecamMapper")
    ccds = [*range(62, 0, -1), 63, 70]
    decam_raw(root / "2015-02-18/g/decam0411371.fits.fz", 411371, ccds)
    options = Options(calib_root=str(root))
    done = convert_gen2(root, tmp_path / "new", options)
    counts = {c.dataset_type: c for c in done.report.counts}
    assert (counts["raw"].files, counts["raw"].datasets) == (1, 62), "63 and above are guide CCDs"
    assert (counts["cpBias"].files, counts["cpBias"].datasets) == (1, 62)
    with Butler.from_config(tmp_path / "new", collections="DECam/raw/all") as butler:
        refs = butler.query_datasets("raw", limit=None)
        assert len({str(butler.getURI(ref)) for ref in refs}) == 1
        for ccd in (1, 5, 62):
            image = butler.get("raw", instrument="DECam", exposure=411371, detector=ccd)
            assert (image.data == ccd).all()


def test_g12_units_from_the_registry_where_headers_say_nothing(
    sparse: Sparse, registry_of: Callable[..., Path]
) -> None:
    root = sparse(
        "decam", [("2015-02-18/g/decam0411371.fits.fz", 10), ("2015-02-18/g/decam0411372.fits.fz", 10)]
    )
    (root / "_mapper").write_text("lsst.obs.decam.DecamMapper")
    row = {
        "visit": 411371,
        "date": "2015-02-18",
        "filter": "g",
        "taiObs": "2015-02-18T06:00:00.1",
        "expTime": 9.0,
    }
    rows = [{**row, "ccdnum": ccd, "ccd": ccd, "hdu": ccd + 1} for ccd in (3, 5, 63)]
    registry_of(root / "registry.sqlite3", raw=[*rows, {**rows[0], "visit": 411372, "hdu": None}])
    plan = plan_gen2(root, Options())
    (raw,) = [p for p in plan.parts if p.name == "raw"]
    assert raw.table.select(["detector", "unit"]).to_pylist() == [
        {"detector": 3, "unit": 4},
        {"detector": 5, "unit": 6},
    ]
    assert "in which units" in reasons(plan)["2015-02-18/g/decam0411372.fits.fz"]


def test_g13_registry_and_headers_are_compared(obs_test: Path, tmp_path: Path) -> None:
    done = convert_gen2(obs_test, tmp_path / "new", Options(curated=True))
    told = [
        (d["exposure"], d["what"], d["registry"], d["header"], d["taken"]) for d in done.report.differences
    ]
    assert told == [(number, "exposure_time_s", "0.0", "15.0", "15.0") for number in (1, 2, 3)]
    plan = plan_gen2(obs_test, Options(trust="registry"))
    assert [d["taken"] for d in plan.report.differences] == ["0.0"] * 3
    assert {r["exposure_time"] for r in plan.records["exposure"]} == {0.0}
    alone = plan_gen2(obs_test, Options(headers=False))
    assert not alone.report.differences
    assert {r["id"]: r["physical_filter"] for r in alone.records["exposure"]} == {1: "g", 2: "g", 3: "r"}
    headers = plan_gen2(obs_test, Options(registry=False))
    assert {r["exposure_time"] for r in headers.records["exposure"]} == {15.0}


def test_g13_raws_are_read_back(obs_test: Path, tmp_path: Path) -> None:
    convert_gen2(obs_test, tmp_path / "new", Options(curated=True, transfer="copy"))
    with Butler.from_config(tmp_path / "new", collections="testCam/defaults") as butler:
        for visit, band in ((1, "g"), (2, "g"), (3, "r")):
            image = butler.get("raw", instrument="testCam", exposure=visit, detector=0)
            with fits.open(obs_test / f"raw/raw_v{visit}_f{band}.fits.gz") as original:
                assert (image.data == original[0].data).all()
            (exposure,) = butler.query_dimension_records("exposure", instrument="testCam", exposure=visit)
            defects = butler.find_dataset(
                "defects", instrument="testCam", detector=0, timespan=exposure.timespan
            )
            assert defects is not None
            assert defects.run == "testCam/calib/19700101T000000Z"


def test_g14_times_of_registries(obs_test: Path, hsc: Callable[..., Path]) -> None:
    plan = plan_gen2(obs_test, Options(headers=False))
    begins = {r["id"]: r["timespan"].nsec[0] for r in plan.records["exposure"]}
    assert begins[1] == parse_time("1999-01-17T04:53:06.895201920"), "UTC in the registry, 32 s behind TAI"
    assert "times of the registry are taken as UTC" in plan.report.notes
    assert tai_of([parse_time("2017-01-01T00:00:00") or 0], "utc") == [parse_time("2017-01-01T00:00:37")]
    root = hsc([hsc_raw(903334, 5), hsc_raw(903336, 5, taiObs="2013-06-17T10:11:12.5")])
    plan = plan_gen2(root, Options(headers=False))
    begins = {r["id"]: r["timespan"].nsec[0] for r in plan.records["exposure"]}
    assert begins == {903334: parse_time("2013-06-17"), 903336: parse_time("2013-06-17T10:11:12.5")}
    assert "times of the registry are taken as TAI" in plan.report.notes


@pytest.mark.parametrize(
    ("name", "mapper", "camera"),
    [("latiss", "lsst.obs.lsst.latiss.LatissMapper", "LATISS"), ("lsstCam", "a.LsstCamMapper", "LSSTCam")],
)
def test_g27_raws_have_the_ids_of_the_field(
    shared_data: Path, tmp_path: Path, name: str, mapper: str, camera: str
) -> None:
    """Real raws of a repository of the next generation, which stand as the old one had them."""
    real = shared_data / "gen3_repos" / name
    root = tmp_path / "old"
    root.mkdir()
    (root / "_mapper").write_text(mapper)
    (root / "raw").symlink_to(real / "raw")
    connection = sqlite3.connect(f"file:{real}/gen3.sqlite3?mode=ro", uri=True)
    (table,) = [
        t
        for (t,) in connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'dataset_tags_%'")
        if "exposure" in [row[1] for row in connection.execute(f"PRAGMA table_info({t})")]
    ]
    known = {
        (exposure, detector): one
        for one, exposure, detector in connection.execute(
            f"SELECT dataset_id, exposure, detector FROM {table}"
        )
    }
    connection.close()
    convert_gen2(root, tmp_path / "new")
    with Butler.from_config(tmp_path / "new", collections=f"{camera}/raw/all") as butler:
        refs = butler.query_datasets("raw", limit=None)
        mine = {(ref.dataId["exposure"], ref.dataId["detector"]): ref.id.hex for ref in refs}
    common = mine.keys() & known.keys()
    assert common
    assert {key: mine[key] for key in common} == {key: known[key] for key in common}


def test_g9_detectors_by_raft_and_sensor(
    sparse: Sparse, registry_of: Callable[..., Path], tmp_path: Path
) -> None:
    """The tree of the simulations of the LSST, whose registries have no numbers of detectors."""
    files = [
        "calexp/v840-fr/R22/S11.fits",
        "calexp/v840-fr/R22/S12.fits",
        "calexp/v840-fr/R22/S19.fits",
        "calexp/v840-fr/R22/bkgd-S11.fits",
        "src/v840-fr/R22/S11.fits",
        "eimage/v840-fr/E000/R22/eimage_840_R22_S11_E000.fits.gz",
        "raw/v840-fr/E000/R22/S11/imsim_840_R22_S11_C00_E000.fits.gz",
        "processEimage_metadata/v840-fr/s0/R22/S11.boost",
    ]
    root = sparse("twinkles", [(name, 10) for name in files])
    (root / "_mapper").write_text("lsst.obs.lsstSim.LsstSimMapper")
    row = {"visit": 840, "filter": "r", "raft": "2,2", "sensor": "1,1", "snap": 0, "taiObs": "1994-01-01"}
    registry_of(root / "registry.sqlite3", raw=[{**row, "channel": "0,0", "expTime": 30.0}])
    plan = plan_gen2(root)
    assert part(plan, "calexp") == [
        {"visit": 840, "detector": number, "instrument": "LSSTCam-imSim"} for number in (94, 95)
    ]
    for name in ("src", "calexpBackground", "eimage", "processEimage_metadata"):
        assert part(plan, name) == [{"visit": 840, "detector": 94, "instrument": "LSSTCam-imSim"}]
    why = reasons(plan)
    assert why["calexp/v840-fr/R22/S19.fits"] == "'R22_S19' is no detector of LSSTCam-imSim"
    assert why[files[6]] == "a file for each amplifier, which has no data ID here"
    assert plan.report.totals()["unrecognised"] == 0
    assert convert_gen2(root, tmp_path / "new").written is not None
