# SPDX-License-Identifier: BSD-3-Clause
"""Visits: their systems and rules, what is kept and what changes, regions, conflicts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lsst.sphgeom import Region

from lakebutler import Butler, DatasetType
from lakebutler.errors import InstrumentError, ReadOnlyButlerError
from lakebutler.instruments import load_camera, register_instrument
from lakebutler.instruments.cameras.geometry import detector_region, visit_region
from lakebutler.instruments.visits.define import define_visits
from lakebutler.instruments.visits.groups import group_exposures
from lakebutler.instruments.visits.regions import separation_arcsec
from lakebutler.instruments.visits.report import VisitStatus
from lakebutler.timespan import Timespan
from tests.instruments.visits.nights import (
    BASE,
    GROUP,
    ONE,
    SEQUENCE,
    definition,
    exposure,
    first_alone,
    insert,
    pair,
    systems_of,
    visits,
)


@pytest.fixture
def latiss(repository_with: Callable[..., Butler]) -> Butler:
    return repository_with("LATISS")


# ---------------------------------------------------------------------- systems


def ids(exposures: Sequence[Mapping[str, Any]], *systems: int) -> dict[int, tuple[list[int], set[int]]]:
    found, _ = group_exposures(exposures, systems)
    return {v.id: ([e["id"] for e in v.exposures], set(v.systems)) for v in found}


def test_one_to_one_gives_every_exposure_its_number() -> None:
    assert ids(pair(348), ONE) == {BASE + n: ([BASE + n], {ONE}) for n in (348, 349)}


def test_a_pair_takes_the_number_of_its_first_exposure() -> None:
    assert ids(pair(348), ONE, SEQUENCE) == {
        BASE + 348: ([BASE + 348, BASE + 349], {SEQUENCE}),
        BASE + 349: ([BASE + 349], {ONE}),
        int(f"9{BASE + 348}"): ([BASE + 348], {ONE}),
    }
    assert ids(pair(348), SEQUENCE) == {BASE + 348: ([BASE + 348, BASE + 349], {SEQUENCE})}


def test_a_single_exposure_is_a_visit_of_both_systems() -> None:
    assert ids([exposure(347)], ONE, SEQUENCE) == {BASE + 347: ([BASE + 347], {ONE, SEQUENCE})}


def test_without_its_first_exposure_a_sequence_is_no_visit() -> None:
    three = [exposure(n, seq_start=348, seq_end=350) for n in (349, 350)]
    found, notes = group_exposures(three, (ONE, SEQUENCE))
    assert {v.id: set(v.systems) for v in found} == {BASE + n: {ONE} for n in (349, 350)}
    assert notes == [
        "exposures 348 to 350 of 20220405: the first is not there, so they are no visit by-seq-start-end"
    ]


def test_a_camera_that_does_not_count_has_no_sequences() -> None:
    same = [exposure(n, seq_num=0, seq_start=5, seq_end=6) for n in (347, 348)]
    found, notes = group_exposures(same, (ONE, SEQUENCE))
    assert [v.systems for v in found] == [{ONE}, {ONE}]
    assert not notes
    unknown = [exposure(n, seq_num=None, seq_start=None, seq_end=None) for n in (347, 348)]
    assert ids(unknown, ONE, SEQUENCE) == {BASE + n: ([BASE + n], {ONE, SEQUENCE}) for n in (347, 348)}


def test_groups_are_numbered_by_their_digits() -> None:
    group = {"group": "2022-04-06T02:58:07.181"}
    found = ids([exposure(348, **group), exposure(349, **group)], GROUP)
    assert found == {20220406025807181: ([BASE + 348, BASE + 349], {GROUP})}


def test_groups_without_digits_or_with_the_same_are_named() -> None:
    odd = [exposure(1, group="dome"), exposure(2, group="a-12"), exposure(3, group="b-12")]
    found, notes = group_exposures(odd, (GROUP,))
    assert [v.id for v in found] == [12]
    assert notes == [
        "group 'dome' has no digits that could number a visit",
        "groups 'a-12' and 'b-12' have the same digits: the latter is left out",
    ]


def test_one_visit_of_two_systems_is_one_record_and_two_of_one_number_are_named() -> None:
    alone = exposure(347, group=str(BASE + 347))
    assert ids([alone], ONE, GROUP) == {BASE + 347: ([BASE + 347], {ONE, GROUP})}
    other = exposure(348, group=str(BASE + 347))
    found, notes = group_exposures([alone, other], (ONE, GROUP))
    assert not notes
    assert [[e["id"] for e in visit.exposures] for visit in found] == [[BASE + 347], [BASE + 348]]
    (rival,) = found[0].rivals
    assert ([e["id"] for e in rival.exposures], rival.systems) == ([BASE + 347, BASE + 348], {GROUP})


# ---------------------------------------------------------------- in a repository


def real_exposures(shared_data: Path, universe: int) -> list[dict[str, Any]]:
    found = []
    for number in (347, 348, 349):
        path = shared_data / f"obs_base/visits/exp_v{universe}_{number}.json"
        row = json.loads(path.read_text())["record"]
        row |= {"instrument": "LATISS", "physical_filter": "SDSSg_65mm~empty"}
        found.append(row | {"timespan": Timespan.from_nsec(*row["timespan"])})
    return found


WANTED = {347: {347}, 348: {348, 349}, 349: {349}, first_alone(348): {348}}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
@pytest.mark.parametrize("incremental", [True, False])
def test_real_exposures_give_the_visits_they_give_elsewhere(
    latiss: Butler, shared_data: Path, order: Sequence[int], incremental: bool
) -> None:
    exposures = real_exposures(shared_data, 7)
    for place in order:
        insert(latiss, exposures[place])
        assert not define_visits(latiss, "LATISS", incremental=incremental).conflicts
    assert definition(latiss) == WANTED
    assert systems_of(latiss) == {
        347: {ONE, SEQUENCE},
        348: {SEQUENCE},
        349: {ONE},
        first_alone(348): {ONE},
    }
    whole = visits(latiss)[348]
    assert whole.exposure_time == 60.0
    assert whole.seq_num == 348
    assert whole.target_name == "LATISS_E6A_00000040"
    assert whole.timespan.nsec == (1649213969056954600, 1649214031842000000)
    assert whole.zenith_angle == pytest.approx((44.3171011821396 + 44.2227120117313) / 2)
    assert whole.azimuth == pytest.approx((125.230189044465 + 125.230292756547) / 2)


def test_all_at_once_is_one_commit_and_once_more_is_none(latiss: Butler) -> None:
    insert(latiss, exposure(347), *pair(348))
    before = latiss._session.snapshot.version
    report = define_visits(latiss, "LATISS")
    assert str(report) == "4 visits: 4 defined"
    assert report.regions == 4
    assert latiss._session.snapshot.version == before + 1
    again = define_visits(latiss, "LATISS")
    assert str(again) == "4 visits: 4 present"
    assert latiss._session.snapshot.version == before + 1
    assert str(define_visits(latiss, "LATISS", incremental=True)) == "0 visits: nothing to do"


def test_a_visit_takes_up_an_exposure_that_came_later(latiss: Butler) -> None:
    first, second = pair(348)
    insert(latiss, first)
    define_visits(latiss, "LATISS")
    assert definition(latiss) == {348: {348}}
    insert(latiss, second)
    report = define_visits(latiss, "LATISS")
    (changed,) = report.with_status(VisitStatus.CHANGED)
    assert changed.reason == f"exposure {BASE + 349} added"
    assert definition(latiss) == {348: {348, 349}, 349: {349}, first_alone(348): {348}}
    assert visits(latiss)[348].exposure_time == 60.0
    assert latiss.sql("SELECT count(*) FROM visit_detector_region").fetchall() == [(3,)]


def test_names_that_exposures_do_not_share_are_null_and_the_reason_is_various(latiss: Butler) -> None:
    first, second = pair(348)
    second |= {
        "target_name": "other",
        "observation_reason": "other",
        "science_program": "other",
        "azimuth": 359.0,
        "zenith_angle": None,
    }
    insert(latiss, first | {"azimuth": 3.0}, second)
    define_visits(latiss, "LATISS")
    whole = visits(latiss)[348]
    assert (whole.target_name, whole.science_program, whole.observation_reason) == (None, None, "various")
    assert whole.azimuth == pytest.approx(1.0)
    assert whole.zenith_angle is None


def test_what_differs_is_a_conflict_until_it_is_to_be_updated(latiss: Butler) -> None:
    insert(latiss, exposure(347), exposure(350))
    define_visits(latiss, "LATISS")
    changed = exposure(347, target_name="new", tracking_ra=221.6)
    latiss.registry.insertDimensionData("exposure", changed, replace=True)
    report = define_visits(latiss, "LATISS")
    (conflict,) = report.conflicts
    assert conflict.visit == BASE + 347
    assert conflict.reason.startswith(
        "target_name is 'field', its exposures say 'new'; its region is off by "
    )
    assert visits(latiss)[347].target_name == "field"
    updated = define_visits(latiss, "LATISS", update_records=True)
    assert updated.counts == {"defined": 0, "changed": 1, "present": 1, "removed": 0, "conflict": 0}
    assert visits(latiss)[347].target_name == "new"
    region = visit_region(load_camera("LATISS"), 221.6, -44.9, 358.5)
    assert separation_arcsec(visits(latiss)[347].region.encode(), region.encode()) < 1e-9
    assert latiss.sql("SELECT count(*) FROM visit_detector_region").fetchall() == [(2,)]
    assert str(define_visits(latiss, "LATISS")) == "2 visits: 2 present"


def test_an_exposure_that_is_in_a_visit_and_not_among_those_given_is_a_conflict(latiss: Butler) -> None:
    insert(latiss, *pair(348))
    define_visits(latiss, "LATISS", systems=["by-seq-start-end"])
    report = define_visits(latiss, "LATISS", systems=["one-to-one"])
    (conflict,) = report.conflicts
    assert f"exposure {BASE + 349} in it, but not among the exposures" in conflict.reason


def test_a_name_that_another_visit_has_is_a_conflict(latiss: Butler) -> None:
    insert(latiss, exposure(347))
    define_visits(latiss, "LATISS")
    insert(latiss, exposure(351, obs_id="other"))
    latiss.registry.insertDimensionData(
        "exposure", exposure(351, obs_id="AT_O_20220405_000352"), replace=True
    )
    define_visits(latiss, "LATISS")
    insert(latiss, exposure(352, obs_id="free"))
    latiss.registry.insertDimensionData("exposure", exposure(351, obs_id="moved"), replace=True)
    latiss.registry.insertDimensionData("exposure", exposure(352), replace=True)
    report = define_visits(latiss, "LATISS", where="exposure = 2022040500352")
    assert [v.reason for v in report.visits] == [
        f"its name 'AT_O_20220405_000352' is that of visit {BASE + 351}"
    ]


def test_a_further_system_leaves_memberships_of_the_others(latiss: Butler) -> None:
    insert(latiss, exposure(347, group=str(BASE + 347)))
    define_visits(latiss, "LATISS")
    define_visits(latiss, "LATISS", systems=["by-group-metadata"], update_records=True)
    assert systems_of(latiss) == {347: {ONE, GROUP, SEQUENCE}}


def test_calibrations_are_no_visits_and_what_has_no_pointing_has_no_region(latiss: Butler) -> None:
    nowhere = {"tracking_ra": None, "tracking_dec": None, "sky_angle": None}
    insert(
        latiss,
        exposure(1, observation_type="bias", can_see_sky=None, **nowhere),
        exposure(2, observation_type="flat", can_see_sky=False),
        exposure(3, can_see_sky=None, **nowhere),
        exposure(4, can_see_sky=None),
        *pair(5, sky_angle=None),
    )
    report = define_visits(latiss, "LATISS")
    assert report.skipped == {"not of the sky": 1, "could not see the sky": 1}
    assert [v.visit - BASE for v in report.without_region] == [3, 5, 6, first_alone(5)]
    assert visits(latiss)[3].region is None
    assert latiss.sql("SELECT visit FROM visit_detector_region").fetchall() == [(BASE + 4,)]


def test_regions_are_those_of_the_first_exposure_or_of_all(repository_with: Callable[..., Butler]) -> None:
    first, second = pair(348)
    camera = load_camera("LATISS")
    sizes = []
    for merge in (False, True):
        butler = repository_with("LATISS")
        insert(butler, first, second | {"tracking_ra": first["tracking_ra"] + 0.01})
        define_visits(butler, "LATISS", merge_exposures=merge, systems=["by-seq-start-end"])
        ((raw,),) = butler.sql("SELECT region FROM visit_detector_region").fetchall()
        alone = detector_region(camera, camera.detectors[0], first["tracking_ra"], -44.9, 358.5)
        assert merge or raw == alone.encode()
        region = Region.decode(raw)
        sizes.append(math.degrees(region.getBoundingCircle().getOpeningAngle().asRadians()))
    assert sizes[1] > sizes[0] * 1.01


def test_where_and_collections_choose_exposures_and_their_companions(latiss: Butler) -> None:
    insert(latiss, exposure(347), *pair(348), exposure(350))
    report = define_visits(latiss, "LATISS", where="exposure = e", bind={"e": BASE + 349})
    assert {v.visit - BASE for v in report.visits} == {348, 349, first_alone(348)}
    kind = DatasetType("raw", ("instrument", "exposure", "detector"), "Text", universe=latiss.dimensions)
    latiss.registry.registerDatasetType(kind)
    latiss.registry.registerRun("LATISS/raw/all")
    data_id = {"instrument": "LATISS", "exposure": BASE + 350, "detector": 0}
    latiss.put("pixels", "raw", data_id, run="LATISS/raw/all")
    report = define_visits(latiss, "LATISS", collections="LATISS/raw/all")
    assert [v.visit - BASE for v in report.visits] == [350]


def test_groups_draw_in_their_companions(latiss: Butler) -> None:
    insert(latiss, *pair(348))
    report = define_visits(
        latiss, "LATISS", systems=["by-group-metadata"], where="exposure = e", bind={"e": BASE + 349}
    )
    assert [v.exposures for v in report.visits] == [(BASE + 348, BASE + 349)]
    assert latiss.sql("SELECT name FROM visit_system WHERE visit_system = 1").fetchall() == [
        ("by-group-metadata",)
    ]


def test_many_visits_have_the_regions_that_each_alone_would_have(
    repository_with: Callable[..., Butler],
) -> None:
    butler = repository_with("DemoCam")
    camera = load_camera("DemoCam")
    rows = [
        exposure(
            n,
            instrument="DemoCam",
            physical_filter=camera.filters[0].name,
            tracking_ra=n * 2.9,
            tracking_dec=n * 1.4 - 88,
            sky_angle=n * 3.0,
        )
        for n in range(1, 125)
    ]
    insert(butler, rows[0])
    registry = butler.registry
    registry.insertDimensionData("group", *({"instrument": "DemoCam", "name": r["group"]} for r in rows[1:]))
    registry.insertDimensionData("exposure", *rows[1:])
    report = define_visits(butler, camera)
    assert report.regions == 124 * len(camera.detectors) > 1000
    for row in rows[::31]:
        records = butler.query_dimension_records(
            "visit_detector_region", visit=row["id"], instrument="DemoCam"
        )
        assert len(records) == len(camera.detectors)
        for record in records:
            detector = camera.detector(record.dataId["detector"])
            pointing = (row["tracking_ra"], row["tracking_dec"], row["sky_angle"])
            wanted = detector_region(camera, detector, *pointing).encode()
            assert separation_arcsec(record.region.encode(), wanted) < 1e-9
        # The index of the sky knows them.
        found = butler.query_data_ids(
            ["visit", "detector"],
            instrument="DemoCam",
            where="visit_detector_region.region OVERLAPS POINT(ra, dec)",
            bind={"ra": row["tracking_ra"], "dec": row["tracking_dec"]},
        )
        assert row["id"] in {data_id["visit"] for data_id in found}


def test_a_camera_without_geometry_has_visits_without_regions(repository_with: Callable[..., Butler]) -> None:
    butler = repository_with()
    camera = replace(load_camera("LATISS"), focal_plane=None)
    register_instrument(butler, camera)
    insert(butler, exposure(347))
    report = define_visits(butler, camera)
    assert report.notes == ("the focal-plane geometry of camera LATISS is not known: visits have no regions",)
    assert [v.has_region for v in report.visits] == [False]
    assert report.regions == 0


def test_wrong_names_are_named(latiss: Butler, tmp_path: Path) -> None:
    with pytest.raises(InstrumentError, match="no visit system 'one-by-one'"):
        define_visits(latiss, "LATISS", systems=["one-by-one"])
    with pytest.raises(InstrumentError, match="'HSC' is not registered"):
        define_visits(latiss, "HSC")
    insert(latiss, exposure(347))
    reader = Butler.from_config(tmp_path / "repository-0")
    with pytest.raises(ReadOnlyButlerError):
        define_visits(reader, "LATISS")
