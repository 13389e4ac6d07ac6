# SPDX-License-Identifier: BSD-3-Clause
"""Visits of real exposures, compared with the visits that others have defined of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsst.sphgeom import Region

from lakebutler import Butler
from lakebutler.instruments import ingest_raws, load_camera
from lakebutler.instruments.skymaps import SkyMap, SkyMapDefinition, load_skymap
from lakebutler.instruments.visits.define import define_visits
from lakebutler.instruments.visits.regions import separation_arcsec
from lakebutler.timespan import Timespan
from tests.instruments.visits.test_regions import records_of

OLD = {"group_name", "group_id", "datetime_begin", "datetime_end", "visit_system"}


def span(row: dict[str, Any]) -> Timespan:
    """The times of old exports, which are TAI."""
    from astropy.time import Time

    return Timespan(*(Time(row[f"datetime_{end}"], scale="tai") for end in ("begin", "end")))


def exposure_rows(records: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Exposures of an old universe in ours."""
    found = []
    for row in records["exposure"]:
        new = {k: v for k, v in row.items() if k not in OLD}
        new |= {"timespan": span(row), "group": row.get("group", row.get("group_name"))}
        found.append(new | {"seq_start": row["seq_num"], "seq_end": row["seq_num"]})
    return found


@pytest.fixture
def of_export(shared_data: Path, repository_with: Callable[..., Butler]) -> tuple[Butler, Any]:
    """The exposures of a real export of HSC, without its visits, and all its records."""
    records = records_of(shared_data / "exports/jointcal_hsc_exports.yaml")
    butler = repository_with("HSC")
    for row in exposure_rows(records):
        butler.registry.syncDimensionData("day_obs", {"instrument": "HSC", "id": row["day_obs"]})
        butler.registry.syncDimensionData("group", {"instrument": "HSC", "name": row["group"]})
        butler.registry.insertDimensionData("exposure", row)
    return butler, records


def test_visits_of_a_real_export_come_out_field_by_field(of_export: tuple[Butler, Any]) -> None:
    butler, records = of_export
    report = define_visits(butler, "HSC")
    assert str(report) == "10 visits: 10 defined"
    assert report.regions == 10 * 112
    mine = {r.dataId["visit"]: r.toDict() for r in butler.query_dimension_records("visit", instrument="HSC")}
    assert mine.keys() == {row["id"] for row in records["visit"]}
    for row in records["visit"]:
        found = mine[row["id"]]
        assert separation_arcsec(found.pop("region").encode(), row["region"]) < 1e-6
        assert found.pop("timespan") == span(row)
        for field, value in row.items():
            if field not in OLD | {"region"}:
                assert found[field] == value
    regions = {
        (r.dataId["visit"], r.dataId["detector"]): r.region.encode()
        for r in butler.query_dimension_records("visit_detector_region", instrument="HSC")
    }
    for row in records["visit_detector_region"]:
        assert separation_arcsec(regions[row["visit"], row["detector"]], row["region"]) < 1e-6


def test_visits_that_another_program_defined_are_there_already(of_export: tuple[Butler, Any]) -> None:
    butler, records = of_export
    numbers = {row["id"]: row["seq_num"] for row in records["exposure"]}
    exposure = {r.dataId["exposure"]: r for r in butler.query_dimension_records("exposure", instrument="HSC")}
    for row in records["visit"]:
        new = {k: v for k, v in row.items() if k not in OLD}
        new |= {"seq_num": numbers[row["id"]], "azimuth": exposure[row["id"]].azimuth, "timespan": span(row)}
        butler.registry.insertDimensionData("visit", new | {"region": Region.decode(row["region"])})
        pair = {"instrument": "HSC", "visit": row["id"]}
        butler.registry.insertDimensionData("visit_definition", {**pair, "exposure": row["id"]})
        butler.registry.insertDimensionData("visit_system_membership", {**pair, "visit_system": 0})
    # Their bytes differ in the last bits, their places do not.
    assert str(define_visits(butler, "HSC")) == "10 visits: 10 present"


def test_the_tract_of_the_real_calexps_overlaps_their_visits(of_export: tuple[Butler, Any]) -> None:
    butler, records = of_export
    define_visits(butler, "HSC")
    skymap = SkyMap(SkyMapDefinition.from_facts(load_skymap("hsc_rings_v1")[1]))
    (tract,) = (row["id"] for row in records["tract"])
    for visit in butler.query_dimension_records("visit", instrument="HSC"):
        assert tract in skymap.find_overlapping(visit.region)


def test_raws_become_visits_where_their_headers_point(
    repository_with: Callable[..., Butler],
    real_header: Callable[[str], dict[str, Any]],
    write_single: Callable[..., Path],
    write_multi: Callable[..., Path],
    tmp_path: Path,
) -> None:
    butler = repository_with("HSC", "DECam")
    raws = tmp_path / "raws"
    raws.mkdir()
    write_single(raws / "HSCA90402512.fits", real_header("hsc"), (40, 30))
    decam = real_header("decam")
    write_multi(raws / "decam.fits.fz", decam, [(1, "S29"), (25, "S4"), (62, "N31")])
    report = ingest_raws(butler, raws, transfer="direct")
    assert len(report.ingested) == 2
    for name in ("HSC", "DECam"):
        camera = load_camera(name)
        done = define_visits(butler, name, collections=f"{name}/raw/all")
        (visit,) = done.visits
        assert visit.status.value == "defined"
        assert done.regions == len(camera.detectors)
        (exposure,) = butler.query_dimension_records("exposure", instrument=name)
        found = butler.query_data_ids(
            ["visit", "detector"],
            instrument=name,
            where="visit_detector_region.region OVERLAPS POINT(ra, dec)",
            bind={"ra": exposure.tracking_ra, "dec": exposure.tracking_dec},
        )
        assert 1 <= len(found) <= 4
