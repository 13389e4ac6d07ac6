# SPDX-License-Identifier: BSD-3-Clause
"""What cannot be a visit, and visits that exposures no longer define: named, and nothing else is held up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, DatasetType
from lakebutler.instruments.visits.define import define_visits
from lakebutler.instruments.visits.report import VisitsReport, VisitStatus
from lakebutler.instruments.visits.stored import users_of
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

ALONE = first_alone(348)
OTHER_FILTER = {"physical_filter": "SDSSr_65mm~empty"}
TABLES = ("visit", "visit_definition", "visit_system_membership", "visit_detector_region")


@pytest.fixture
def latiss(repository_with: Callable[..., Butler]) -> Butler:
    return repository_with("LATISS")


def conflicts(report: VisitsReport) -> dict[int, str]:
    return {visit.visit - BASE: visit.reason for visit in report.conflicts}


def correct(butler: Butler, *rows: dict[str, Any]) -> None:
    """What ``ingest-raws --update-records`` does to exposures."""
    for row in rows:
        butler.registry.syncDimensionData("group", {"instrument": row["instrument"], "name": row["group"]})
        butler.registry.insertDimensionData("exposure", row, replace=True)


def singles(*numbers: int) -> list[dict[str, Any]]:
    return [exposure(number) for number in numbers]


def use(butler: Butler, visit: int, name: str = "preview") -> None:
    """Put a dataset of a visit."""
    kind = DatasetType(name, ("instrument", "visit", "detector"), "Text", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    butler.registry.registerRun("run")
    butler.put("made", name, {"instrument": "LATISS", "visit": visit + BASE, "detector": 0}, run="run")


def once_in_each_system(butler: Butler) -> bool:
    """Whether no exposure is in two visits of one system."""
    rows = butler.sql("SELECT visit, exposure FROM visit_definition").fetchall()
    systems = systems_of(butler)
    places = [(system, number) for visit, number in rows for system in systems[visit - BASE]]
    return len(places) == len(set(places))


# ----------------------------------------------------------------- several filters


@pytest.mark.parametrize("incremental", [False, True])
def test_a_sequence_of_several_filters_is_named_and_the_others_are_defined(
    latiss: Butler, incremental: bool
) -> None:
    first, second = pair(348)
    insert(latiss, first, second | OTHER_FILTER, exposure(350))
    report = define_visits(latiss, "LATISS", incremental=incremental)
    assert conflicts(report) == {
        348: "a visit has one physical_filter, its exposures have several: "
        f"exposure {BASE + 348} 'SDSSg_65mm~empty', exposure {BASE + 349} 'SDSSr_65mm~empty'"
    }
    assert definition(latiss) == {349: {349}, 350: {350}, ALONE: {348}}
    assert define_visits(latiss, "LATISS").counts["present"] == 3
    correct(latiss, second)
    assert not define_visits(latiss, "LATISS", update_records=True).conflicts
    assert definition(latiss)[348] == {348, 349}


@pytest.mark.parametrize("incremental", [False, True])
@pytest.mark.parametrize("update", [False, True])
def test_an_exposure_of_another_filter_that_comes_later_holds_nothing_up(
    latiss: Butler, incremental: bool, update: bool
) -> None:
    first, second = pair(348)
    insert(latiss, first)
    define_visits(latiss, "LATISS")
    insert(latiss, second | OTHER_FILTER, exposure(350))
    report = define_visits(latiss, "LATISS", incremental=incremental, update_records=update)
    assert set(conflicts(report)) == {348, ALONE}
    assert conflicts(report)[ALONE] == (
        f"exposure {BASE + 348} is in visit {BASE + 348} of one-to-one, which stays"
    )
    assert definition(latiss) == {348: {348}, 349: {349}, 350: {350}}
    assert once_in_each_system(latiss)


def test_a_name_too_long_for_a_visit_is_a_conflict_of_that_visit_alone(latiss: Butler) -> None:
    first, second = pair(348)
    insert(latiss, first | {"obs_id": "x" * 60}, second)
    report = define_visits(latiss, "LATISS")
    assert set(conflicts(report)) == {ALONE}
    assert conflicts(report)[ALONE].startswith("its name ")
    assert set(definition(latiss)) == {348, 349}


def test_a_number_too_large_for_a_visit_is_a_conflict_of_that_visit_alone(latiss: Butler) -> None:
    first, second = pair(348)
    large = 5 * 10**18
    insert(latiss, first | {"id": large}, second)
    report = define_visits(latiss, "LATISS")
    assert [visit.visit for visit in report.conflicts] == [int(f"9{large}")]
    assert set(definition(latiss)) == {large - BASE, 349}


# ------------------------------------------------------- visits that are none any more


def test_visits_of_a_corrected_sequence_are_named_and_stay_until_asked_for(latiss: Butler) -> None:
    insert(latiss, *pair(348), exposure(351))
    define_visits(latiss, "LATISS")
    correct(latiss, *singles(348, 349))
    before = definition(latiss)
    report = define_visits(latiss, "LATISS")
    assert set(conflicts(report)) == {348, 349, ALONE}
    assert conflicts(report)[ALONE] == f"exposure {BASE + 348} no longer defines it (one-to-one)"
    assert definition(latiss) == before
    assert once_in_each_system(latiss)
    use(latiss, 351)
    report = define_visits(latiss, "LATISS", update_records=True)
    assert [v.visit - BASE for v in report.with_status(VisitStatus.REMOVED)] == [ALONE]
    assert definition(latiss) == {348: {348}, 349: {349}, 351: {351}}
    assert systems_of(latiss) == {n: {ONE, SEQUENCE} for n in (348, 349, 351)}
    for table in TABLES:
        assert latiss.sql(f"SELECT count(*) FROM {table} WHERE visit = {ALONE + BASE}").fetchall() == [(0,)]
    assert str(define_visits(latiss, "LATISS")) == "3 visits: 3 present"
    assert str(define_visits(latiss, "LATISS", update_records=True)) == "3 visits: 3 present"


@pytest.mark.parametrize("number", [348, 349])
def test_choosing_one_exposure_of_a_corrected_sequence_is_enough(latiss: Butler, number: int) -> None:
    insert(latiss, *pair(348), exposure(351))
    define_visits(latiss, "LATISS")
    correct(latiss, *singles(348, 349))
    where = f"exposure = {BASE + number}"
    define_visits(latiss, "LATISS", where=where, update_records=True)
    assert definition(latiss) == {348: {348}, 349: {349}, 351: {351}}


def test_a_visit_that_datasets_use_is_not_removed_and_its_exposures_stay_in_it(latiss: Butler) -> None:
    insert(latiss, *pair(348), exposure(351))
    define_visits(latiss, "LATISS")
    use(latiss, ALONE)
    correct(latiss, *singles(348, 349), exposure(351, target_name="new"))
    before = definition(latiss)
    report = define_visits(latiss, "LATISS", update_records=True)
    assert set(conflicts(report)) == {348, 349, ALONE}
    assert conflicts(report)[ALONE].endswith("(one-to-one), but datasets use it: preview")
    assert definition(latiss) == before
    assert visits(latiss)[351].target_name == "new"
    assert once_in_each_system(latiss)
    assert latiss.get("preview", instrument="LATISS", visit=ALONE + BASE, detector=0, collections="run")


def test_a_dataset_that_comes_while_its_visit_is_being_removed_keeps_it(
    latiss: Butler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(latiss, *pair(348))
    define_visits(latiss, "LATISS")
    use(latiss, 349)
    correct(latiss, *singles(348, 349))
    looked: list[dict[int, set[str]]] = []

    def look(*arguments: Any) -> dict[int, set[str]]:
        looked.append(users_of(*arguments))
        if len(looked) == 1:
            with Butler.from_config(tmp_path / "repository-0", writeable=True) as other:
                use(other, ALONE)
        return looked[-1]

    monkeypatch.setattr("lakebutler.instruments.visits.changes.users_of", look)
    monkeypatch.setattr("lakebutler.lake.storage.local._LOCK_PATIENCE", 0.05)  # the other does not wait
    report = define_visits(latiss, "LATISS", update_records=True)
    assert looked == [{}, {ALONE + BASE: {"preview"}}]
    assert ALONE in conflicts(report)
    assert ALONE in definition(latiss)


def test_a_visit_of_another_system_too_only_leaves_the_one(latiss: Butler) -> None:
    insert(latiss, exposure(347, group=str(BASE + 347)))
    define_visits(latiss, "LATISS", systems=["one-to-one", "by-group-metadata"])
    correct(latiss, exposure(347, group="12"))
    report = define_visits(latiss, "LATISS", systems=["by-group-metadata"], update_records=True)
    assert report.counts["removed"] == 1
    assert systems_of(latiss) == {347: {ONE}, 12 - BASE: {GROUP}}
    assert str(define_visits(latiss, "LATISS", systems=["one-to-one"])) == "1 visits: 1 present"


def test_visits_of_exposures_that_do_not_see_the_sky_go_unless_they_are_used(latiss: Butler) -> None:
    insert(latiss, *singles(347, 350))
    define_visits(latiss, "LATISS")
    use(latiss, 350)
    correct(latiss, *(exposure(number, can_see_sky=False) for number in (347, 350)))
    assert set(conflicts(define_visits(latiss, "LATISS"))) == {347}
    report = define_visits(latiss, "LATISS", update_records=True)
    assert (report.counts["removed"], report.conflicts) == (1, ())
    assert definition(latiss) == {350: {350}}


# ------------------------------------------------------------------- clashing numbers


def test_two_visits_of_one_number_are_a_conflict_that_names_both(latiss: Butler) -> None:
    clashing = exposure(351, id=ALONE + BASE)
    insert(latiss, *pair(348), clashing)
    report = define_visits(latiss, "LATISS")
    assert conflicts(report) == {
        ALONE: f"it is that of exposure {ALONE + BASE} (one-to-one and by-seq-start-end), and would be that "
        f"of exposure {BASE + 348} (one-to-one), too: the latter is left out"
    }
    assert definition(latiss) == {348: {348, 349}, 349: {349}, ALONE: {ALONE}}
    again = define_visits(latiss, "LATISS")
    assert (again.counts["present"], again.counts["conflict"]) == (3, 1)


@pytest.mark.parametrize("pair_first", [True, False])
def test_a_clash_with_what_was_defined_before_is_named(latiss: Butler, pair_first: bool) -> None:
    batches = [pair(348), [exposure(351, id=ALONE + BASE)]]
    for batch in batches if pair_first else reversed(batches):
        insert(latiss, *batch)
        report = define_visits(latiss, "LATISS", incremental=True)
    assert set(conflicts(report)) == {ALONE}
    assert definition(latiss)[ALONE] == ({348} if pair_first else {ALONE})
    define_visits(latiss, "LATISS", incremental=True, update_records=True)
    assert definition(latiss)[ALONE] == {ALONE}
