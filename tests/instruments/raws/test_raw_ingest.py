# SPDX-License-Identifier: BSD-3-Clause
"""Raw files go into a real repository, and come out as they were."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.io import fits

from lakebutler import Butler, DatasetType
from lakebutler.collections.collection import CollectionType
from lakebutler.errors import DatasetTypeError, HeaderError, InstrumentError
from lakebutler.instruments import ingest_raws, load_camera, register_instrument
from lakebutler.instruments.headers.file import read_file
from lakebutler.instruments.raws.changes import RawChanges
from lakebutler.instruments.raws.plan import sort_files
from lakebutler.instruments.raws.report import FileReport, FileStatus
from lakebutler.instruments.raws.report_table import record_files
from lakebutler.progress import CollectingProgress

SMALL = (20, 10)
RUN = "DemoCam/raw/all"


@pytest.fixture
def raws(simulated: tuple[Path, ...], tmp_path: Path) -> list[Path]:
    """Two exposures of the simulated camera."""
    folder = tmp_path / "raws"
    folder.mkdir()
    chosen = [p for p in simulated if p.name.startswith(("DC_20260314_000008", "DC_20260314_000001"))]
    return [Path(shutil.copy(path, folder)) for path in chosen]


@pytest.fixture
def butler(tmp_path: Path) -> Butler:
    Butler.makeRepo(tmp_path / "repo")
    butler = Butler.from_config(tmp_path / "repo", writeable=True)
    register_instrument(butler, "DemoCam")
    return butler


def test_a_directory_is_ingested_and_read_back_bit_by_bit(
    butler: Butler, raws: list[Path], read_back: Callable[..., Any]
) -> None:
    report = ingest_raws(butler, raws[0].parent)
    assert report.counts == {"ingested": len(raws), "present": 0, "rejected": 0}
    assert (report.run, report.datasets, report.exposures_added) == (RUN, len(raws), 2)
    assert [f.path for f in report.files] == sorted(str(p) for p in raws)
    for path in raws:
        with fits.open(path) as hdus:
            number, expected = hdus[1].header["CCDNUM"], hdus[1].data
            exposure = int(hdus[0].header["DAYOBS"]) * 100000 + hdus[0].header["SEQNUM"]
        image = read_back(butler, instrument="DemoCam", exposure=exposure, detector=number)
        assert image.data.dtype == np.uint16
        assert np.array_equal(image.data, expected)
        uri = butler.getURI("raw", instrument="DemoCam", exposure=exposure, detector=number, collections=RUN)
        assert (
            hashlib.sha256(Path(uri.ospath).read_bytes()).digest()
            == hashlib.sha256(path.read_bytes()).digest()
        )


def test_the_whole_batch_is_one_commit(butler: Butler, raws: list[Path]) -> None:
    before = butler.version
    progress = CollectingProgress()
    ingest_raws(butler, raws, progress=progress)
    assert butler.version == before + 1
    assert progress.stages == [("reading headers", len(raws)), ("ingesting", len(raws))]


def test_records_of_days_groups_and_exposures_are_made(butler: Butler, raws: list[Path]) -> None:
    ingest_raws(butler, raws)
    found = {
        r.toDict()["id"]: r.toDict() for r in butler.query_dimension_records("exposure", instrument="DemoCam")
    }
    assert sorted(found) == [2026031400001, 2026031400008]
    science, bias = found[2026031400008], found[2026031400001]
    assert (science["physical_filter"], science["day_obs"], science["seq_num"]) == ("demo_g", 20260314, 8)
    assert (science["exposure_time"], science["observation_type"]) == (60.0, "science")
    assert science["tracking_ra"] == pytest.approx(150.1163, abs=1e-6)
    assert bias["tracking_ra"] is None
    assert bias["timespan"].nsec[1] - bias["timespan"].nsec[0] == 1
    (day,) = butler.query_dimension_records("day_obs", instrument="DemoCam")
    assert day.toDict()["id"] == 20260314
    groups = {r.toDict()["name"] for r in butler.query_dimension_records("group", instrument="DemoCam")}
    assert groups == {"DC_20260314_000001", "DC_20260314_000008"}


def test_ids_are_the_same_in_every_repository(
    butler: Butler, raws: list[Path], tmp_path: Path, repository_with: Callable[..., Butler]
) -> None:
    ingest_raws(butler, raws)
    other = repository_with("DemoCam")
    ingest_raws(other, raws, transfer="direct")
    key = {"instrument": "DemoCam", "exposure": 2026031400008, "detector": 4}
    ref = butler.find_dataset("raw", key, collections=RUN)
    assert ref is not None
    there = other.find_dataset("raw", key, collections=RUN)
    assert there is not None
    # RFC 9562 version 5 in the namespace of daf_butler, over type, run and data ID.
    text = f"dataset_type=raw,run={RUN},detector=4,exposure=2026031400008,instrument=DemoCam"
    assert ref.id == there.id == uuid.uuid5(uuid.UUID("840b31d9-05cd-5161-b2c8-00d32b280d0f"), text)


def test_again_changes_nothing(butler: Butler, raws: list[Path]) -> None:
    ingest_raws(butler, raws)
    before = butler.version
    report = ingest_raws(butler, raws)
    assert report.counts == {"ingested": 0, "present": len(raws), "rejected": 0}
    assert (report.datasets, report.exposures_added, butler.version) == (0, 0, before)


def test_without_skipping_what_is_there_is_rejected_and_the_rest_goes_in(
    butler: Butler, raws: list[Path]
) -> None:
    ingest_raws(butler, raws[:5])
    report = ingest_raws(butler, raws, skip_existing=False)
    assert report.counts == {"ingested": len(raws) - 5, "present": 0, "rejected": 5}
    assert report.rejected[0].reason == f"detector 0 is already in run {RUN}"


def test_bad_files_are_reported_and_the_rest_goes_in(butler: Butler, raws: list[Path]) -> None:
    folder = raws[0].parent
    raws[0].write_bytes(raws[0].read_bytes()[:-5000])
    (folder / "a_text.fits").write_text("nothing\n" * 999)
    with fits.open(raws[1]) as hdus:
        hdus[0].header["FILTER"] = "ultraviolet"
        hdus.writeto(folder / "b_filter.fits")
    raws[1].unlink()
    fits.PrimaryHDU(np.zeros(SMALL), fits.Header({"INSTRUME": "WFC3"})).writeto(folder / "c_other.fits")
    report = ingest_raws(butler, [folder, folder / "gone.fits"])
    assert {Path(f.path).name: f.reason.partition(":")[0] for f in report.rejected} == {
        raws[0].name: "truncated",
        "a_text.fits": "not a FITS file",
        "b_filter.fits": "DemoCam has no filter 'ultraviolet'",
        "c_other.fits": "the header is of WFC3, not of DemoCam",
        "gone.fits": "No such file or directory",
    }
    assert len(report.ingested) == len(raws) - 2
    assert len(butler.query_datasets("raw", collections=RUN)) == len(raws) - 2


def test_ten_thousand_junk_files_do_not_stop_one_raw(butler: Butler, raws: list[Path]) -> None:
    folder = raws[0].parent
    for i in range(1000):
        (folder / f"{i:04d}.fits").write_bytes(b"junk")
    report = ingest_raws(butler, folder)
    assert (len(report.rejected), len(report.ingested)) == (1000, len(raws))
    assert report.reasons() == {"not a FITS file": 1000}


def test_fail_fast_names_the_file_and_ingests_nothing(butler: Butler, raws: list[Path]) -> None:
    before = butler.version
    bad = raws[0].parent / "zz.fits"
    bad.write_text("no")
    with pytest.raises(HeaderError, match=r"zz\.fits: not a FITS file"):
        ingest_raws(butler, raws[0].parent, fail_fast=True)
    assert butler.version == before


def test_an_exposure_registered_differently_is_reported_unless_it_is_to_be_replaced(
    butler: Butler, raws: list[Path]
) -> None:
    science = [p for p in raws if "000008" in p.name]
    bias = [p for p in raws if "000001" in p.name]
    ingest_raws(butler, science[:2])
    for path in science:
        fits.setval(path, "OBJECT", value="M 42")
    report = ingest_raws(butler, [*science, *bias])
    what = "exposure 2026031400008 is registered differently: target_name 'demo field', header says 'M 42'"
    assert {f.reason for f in report.rejected} == {f"{what} (--update-records replaces it)"}
    assert (len(report.rejected), len(report.ingested)) == (len(science), len(bias))
    again = ingest_raws(butler, science, update_records=True)
    assert again.counts == {"ingested": len(science) - 2, "present": 2, "rejected": 0}
    assert again.exposures_updated == 1
    (record,) = butler.query_dimension_records("exposure", instrument="DemoCam", exposure=2026031400008)
    assert record.toDict()["target_name"] == "M 42"


def test_the_rest_of_an_exposure_comes_later(butler: Butler, raws: list[Path]) -> None:
    science = [p for p in raws if "000008" in p.name]
    assert ingest_raws(butler, science[:4]).exposures_added == 1
    report = ingest_raws(butler, science)
    assert report.counts == {"ingested": 5, "present": 4, "rejected": 0}
    assert report.exposures_added == 0


def test_a_run_of_ones_own_is_used(butler: Butler, raws: list[Path]) -> None:
    report = ingest_raws(butler, raws, run="u/me/raws")
    assert report.run == "u/me/raws"
    assert len(butler.query_datasets("raw", collections="u/me/raws")) == len(raws)


@pytest.mark.parametrize("transfer", ["copy", "move", "link", "symlink", "direct", "auto"])
def test_every_way_of_transfer_gives_the_pixels(
    butler: Butler, raws: list[Path], transfer: str, read_back: Callable[..., Any]
) -> None:
    with fits.open(raws[4]) as hdus:
        exposure = int(hdus[0].header["DAYOBS"]) * 100000 + hdus[0].header["SEQNUM"]
        number, expected = hdus[1].header["CCDNUM"], hdus[1].data.copy()
    ingest_raws(butler, raws, transfer=transfer)
    assert raws[4].exists() is (transfer != "move")
    image = read_back(butler, instrument="DemoCam", exposure=exposure, detector=number)
    assert np.array_equal(image.data, expected)


# ------------------------------------------------------------------ instruments


def test_without_any_instrument_the_error_says_what_to_type(
    tmp_path: Path, raws: list[Path], repository_with: Callable[..., Butler]
) -> None:
    with pytest.raises(InstrumentError, match="no instrument is registered") as caught:
        ingest_raws(repository_with(), raws)
    assert (caught.value.hint or "").startswith("lakebutler register-instrument NAME")


def test_files_of_an_unregistered_camera_are_one_error_with_the_command(
    tmp_path: Path, raws: list[Path], repository_with: Callable[..., Butler]
) -> None:
    with pytest.raises(InstrumentError, match="instrument 'DemoCam' is not registered") as caught:
        ingest_raws(repository_with("DECam"), raws)
    assert caught.value.hint == "lakebutler register-instrument DemoCam"
    with pytest.raises(InstrumentError, match="instrument 'HSC' is not registered"):
        ingest_raws(repository_with("DECam"), raws, instrument="HSC")


def test_a_named_instrument_takes_only_its_own(
    tmp_path: Path, raws: list[Path], repository_with: Callable[..., Butler]
) -> None:
    butler = repository_with("DECam", "DemoCam")
    report = ingest_raws(butler, raws, instrument="DECam")
    assert {f.reason for f in report.rejected} == {"the header is of DemoCam, not of DECam"}


def test_a_camera_of_the_users_own_goes_the_whole_way(
    butler: Butler, raws: list[Path], tmp_path: Path, read_back: Callable[..., Any]
) -> None:
    facts = yaml.safe_load(Path(load_camera("DemoCam").source).read_text())
    facts |= {"name": "MyCam", "aliases": []}
    facts["header"]["match"] = {"INSTRUME": ["My camera"]}
    own = tmp_path / "my_camera.yaml"
    own.write_text(yaml.safe_dump(facts))
    for path in raws:
        fits.setval(path, "INSTRUME", value="My camera")
    register_instrument(butler, own)
    report = ingest_raws(butler, raws, instrument=own)
    assert (report.run, len(report.ingested)) == ("MyCam/raw/all", len(raws))
    assert read_back(butler, instrument="MyCam", exposure=2026031400008, detector=0).data.shape == (256, 272)


def test_raws_registered_with_other_dimensions_are_refused(butler: Butler, raws: list[Path]) -> None:
    butler.registry.registerDatasetType(
        DatasetType("raw", butler.dimensions.conform(["exposure"]), "CCDData")
    )
    with pytest.raises(DatasetTypeError, match="raws need instrument, exposure, detector"):
        ingest_raws(butler, raws)


def test_a_storage_class_registered_before_is_kept(
    butler: Butler, raws: list[Path], read_back: Callable[..., Any]
) -> None:
    dimensions = butler.dimensions.conform(["exposure", "detector"])
    butler.registry.registerDatasetType(DatasetType("raw", dimensions, "HDUList"))
    ingest_raws(butler, raws)
    assert len(read_back(butler, instrument="DemoCam", exposure=2026031400008, detector=0)) == 2


def test_an_instrument_without_a_camera_file_is_noted(butler: Butler, raws: list[Path]) -> None:
    butler.registry.insertDimensionData("instrument", {"name": "Elsewhere"})
    report = ingest_raws(butler, raws)
    assert report.notes == ("no camera file is known for Elsewhere: its raws are not recognised",)
    assert len(report.ingested) == len(raws)


def test_a_camera_that_names_no_known_translator_is_one_error(
    butler: Butler, raws: list[Path], tmp_path: Path
) -> None:
    facts = yaml.safe_load(Path(load_camera("DemoCam").source).read_text())
    facts["header"] = {"translator": "HCS"}
    own = tmp_path / "democam.yaml"
    own.write_text(yaml.safe_dump(facts))
    with pytest.raises(InstrumentError, match="camera DemoCam: there is no header translator 'HCS'"):
        ingest_raws(butler, raws, instrument=own)


def test_two_who_ingest_the_same_at_once_lose_nothing(butler: Butler, raws: list[Path]) -> None:
    camera = load_camera("DemoCam")
    others = Butler.from_config(butler.root, writeable=True)
    changes = []
    for who, files in ((butler, raws[:12]), (others, raws[6:])):
        batch = sort_files(read_file(str(path), [camera]) for path in files)
        changes.append(RawChanges(who, batch, {"DemoCam": camera}, None))
        changes[-1].judge(update=False, skip_existing=True)
    for one in changes:  # both decided on the empty repository
        reports = [report for _, report in one.decided()]
        one.commit("copy", partial(record_files, one.butler, reports, RUN))
    found = butler.query_datasets("raw", collections=RUN)
    assert len(found) == len(raws)
    for ref in found:
        assert butler.get(ref).data.shape == (256, 272)
    assert len(butler.query_dimension_records("exposure", instrument="DemoCam")) == 2
    kept = [p for p in Path(butler.root).rglob("raw_DemoCam_*.fits") if p.is_file()]
    assert len(kept) == len(raws)


def test_what_became_of_every_file_is_kept_in_the_same_commit(butler: Butler, raws: list[Path]) -> None:
    junk = raws[0].parent / "junk.fits"
    junk.write_text("nothing")
    before = next(butler.history(limit=1)).version
    report = ingest_raws(butler, raws[0].parent)
    assert next(butler.history(limit=1)).version == before + 1
    table = butler.sql("SELECT * FROM ingest_report ORDER BY batch, position").to_arrow_table().to_pylist()
    assert [row["path"] for row in table] == [f.path for f in report.files]
    assert [row["status"] for row in table] == [f.status.value for f in report.files]
    (bad,) = [row for row in table if row["status"] == "rejected"]
    assert (bad["path"], bad["reason"], bad["exposure"]) == (str(junk), "not a FITS file", None)
    assert {row["run"] for row in table} == {RUN}
    assert len({row["batch"] for row in table}) == 1


def test_a_place_that_another_dataset_has_is_not_taken(butler: Butler, raws: list[Path]) -> None:
    butler.registry.registerDatasetType(
        DatasetType("raw", ["exposure", "detector"], "CCDData", universe=butler.dimensions)
    )
    one = ingest_raws(butler, raws[0], run="elsewhere").files[0]
    key = {"instrument": "DemoCam", "exposure": one.exposure, "detector": one.detectors[0]}
    butler.collections.register(RUN, CollectionType.RUN)
    other = butler.put(butler.get("raw", key, collections="elsewhere"), "raw", key, run=RUN)
    report = ingest_raws(butler, raws)
    (refused,) = report.rejected
    assert refused.path == str(raws[0])
    assert "raw of detector" in refused.reason
    assert butler.find_dataset("raw", key, collections=RUN) == other
    assert report.counts["ingested"] == len(raws) - 1


def test_a_batch_in_which_nothing_happens_makes_no_commit(butler: Butler, raws: list[Path]) -> None:
    ingest_raws(butler, raws)
    before = next(butler.history(limit=1)).version
    assert ingest_raws(butler, raws).counts["present"] == len(raws)
    assert next(butler.history(limit=1)).version == before


def test_a_large_batch_is_kept_as_a_small_one_is(butler: Butler, tmp_path: Path) -> None:
    files = [FileReport(f"{i}.fits", FileStatus.REJECTED, "why", "DemoCam", i, (1, 2)) for i in range(700)]
    record_files(butler, files[:3], "r")
    record_files(butler, files, "r")
    counts = butler.sql(
        "SELECT batch, count(*) AS n, CAST(sum(detectors) AS BIGINT) AS d "
        "FROM ingest_report GROUP BY 1 ORDER BY 1"
    )
    assert [(n, d) for _, n, d in counts.fetchall()] == [(3, 6), (700, 1400)]


def test_the_name_of_an_exposure_is_its_own(butler: Butler, raws: list[Path], tmp_path: Path) -> None:
    def renumbered(seq: int) -> Path:
        path = tmp_path / f"other-{seq}.fits"
        with fits.open(raws[0]) as file:
            file[0].header["OBSID"] = file[0].header["OBSID"]
            file[0].header["SEQNUM"] = seq
            file.writeto(path)
        return path

    camera = load_camera("DemoCam")
    (real,) = read_file(str(raws[0]), [camera]).observations
    (moved,) = read_file(str(renumbered(77)), [camera]).observations
    assert (moved.obs_id == real.obs_id) is (moved.exposure_id != real.exposure_id)
    in_one_batch = ingest_raws(butler, [raws[0], tmp_path / "other-77.fits"], transfer="direct")
    assert in_one_batch.counts == {"ingested": 1, "present": 0, "rejected": 1}
    later = ingest_raws(butler, [renumbered(78), raws[1]], transfer="direct")
    assert later.counts == {"ingested": 1, "present": 0, "rejected": 1}
    (refused,) = later.rejected
    assert (
        refused.reason
        == f"obs_id {real.obs_id!r} of exposure 2026031400078 is that of exposure {real.exposure_id}"
    )


def test_ten_thousand_files_of_junk_are_a_line_each_and_the_rest_goes_in(
    butler: Butler, raws: list[Path], tmp_path: Path
) -> None:
    junk = tmp_path / "junk"
    junk.mkdir()
    for number in range(10_000):
        (junk / f"{number}.fits").touch()
    report = ingest_raws(butler, [junk, *raws], transfer="direct")
    assert report.counts == {"ingested": len(raws), "present": 0, "rejected": 10_000}
    assert report.reasons() == {"empty file": 10_000}
    (row,) = (
        butler.sql("SELECT count(*) AS n FROM ingest_report WHERE reason = 'empty file'")
        .to_arrow_table()
        .to_pylist()
    )
    assert row["n"] == 10_000
