# SPDX-License-Identifier: BSD-3-Clause
"""What is joined, decided without data: plans as people read them."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from lakebutler.errors import InvalidQueryError
from lakebutler.query.expression import show
from lakebutler.query.plan import Plan, keep_collections
from tests.query.planning import UNIVERSE, datasets, plan, request, search

A = {"instrument": "A"}


def shown(text: str) -> str:
    return textwrap.dedent(text).strip()


def check(found: Plan, text: str) -> None:
    assert str(found) == shown(text)


def test_data_ids_list_the_values_of_required_dimensions_and_follow_the_implied_ones() -> None:
    check(
        plan(["exposure", "detector"]),
        """
        result      band, instrument, day_obs, detector, group, physical_filter, exposure
        records     detector, physical_filter, exposure
        """,
    )


def test_nothing_is_joined_that_is_not_needed() -> None:
    assert plan(["detector"]).elements == ("detector",)
    assert plan(["instrument"]).elements == ("instrument",)
    assert plan(["tract", "patch"]).elements == ("patch",)
    found = request(["exposure"], "", search("raw", "run", result=True)).plan(skip_implied=True)
    assert found.elements == ()


def test_exposures_and_visits_belong_together_by_their_definition() -> None:
    check(
        plan(["exposure"], "visit > 3 AND instrument = 'A'"),
        """
        result      band, instrument, day_obs, group, physical_filter, exposure
        joined      band, instrument, day_obs, group, physical_filter, exposure, visit
        records     physical_filter, exposure, visit, visit_definition
        where       ((visit > 3) and (instrument = 'A'))
        distinct    rows
        """,
    )
    assert "visit_system_membership" in plan(["visit", "visit_system"]).elements
    assert "visit_definition" not in plan(["visit", "visit_system"]).elements


def test_implied_values_are_made_equal_even_between_datasets() -> None:
    check(
        datasets(search("raw", "run", result=True), "", search("flat", "flats")),
        """
        result      band, instrument, day_obs, detector, group, physical_filter, exposure
        datasets    raw in [run], first found
        datasets    flat in [flats]
        records     physical_filter, exposure
        """,
    )
    found = datasets(search("coadd", "run", result=True), "", search("raw", "run"))
    assert found.elements == ("physical_filter", "exposure", "visit", "visit_definition")
    assert [str(op.operands[0]) for op in found.skies] == ["patch.region"]
    assert found.distinct


@pytest.mark.parametrize("result", [["visit"], ["exposure"], ["visit", "exposure"], ["band"], ["detector"]])
def test_what_implies_the_same_value_is_joined_whatever_is_asked_of_the_rows(result: list[str]) -> None:
    asked = request(result, "visit > 3 AND exposure > 3", data_id=A)
    for skip_implied in (False, True):
        elements = asked.plan(skip_implied=skip_implied).elements
        assert {"visit", "exposure", "visit_definition"} <= set(elements)


@pytest.mark.parametrize(
    ("result", "where", "searched", "elements"),
    [
        (["exposure"], "", (), ("exposure",)),
        (["visit"], "", (), ("visit",)),
        (["detector"], "visit > 3", (), ("detector", "visit")),
        (["detector"], "exposure > 3", (search("raw", "run"),), ()),
        (["visit"], "detector > 3", (search("calexp", "run"),), ()),
        (["detector"], "exposure > 3", (search("bias", "calib"),), ("exposure",)),
    ],
)
def test_a_value_that_one_element_implies_and_nobody_uses_costs_no_join(
    result: list[str], where: str, searched: tuple[Any, ...], elements: tuple[str, ...]
) -> None:
    found = request(result, where, *searched, data_id=A).plan(skip_implied=True)
    assert found.elements == elements


def test_a_condition_on_an_implied_value_joins_the_chain_that_implies_it() -> None:
    found = plan(["detector"], "band = 'r'", search("raw", "run"))
    assert found.elements == ("physical_filter", "exposure")
    assert plan(["exposure"], "subfilter = 2").elements == ("physical_filter", "subfilter", "exposure")


def test_bands_come_from_the_filters_where_nothing_else_has_them() -> None:
    check(
        plan(["band", "detector"]),
        """
        result      band, instrument, detector
        records     detector
        values      band
        """,
    )
    assert plan(["band"], "", search("coadd", "run")).unions == ()


def test_a_calibration_is_the_one_valid_at_the_finest_time_in_the_query() -> None:
    calibs = search("bias", "calib", "run", result=True)
    check(
        datasets(calibs, "exposure = 1", data_id=A),
        """
        result      instrument, detector
        joined      band, instrument, day_obs, detector, group, physical_filter, exposure
        datasets    bias in [calib, run], first found
        records     exposure
        overlap     valid(bias.timespan, exposure.timespan)
        where       ((instrument = 'A') and (exposure = 1))
        first of    times
        """,
    )
    owners = {}
    for where in (
        "visit = 1",
        "day_obs = 20200101",
        "visit = 1 AND exposure = 1",
        "day_obs = 1 AND visit = 1",
    ):
        (overlap,) = datasets(calibs, where, data_id=A).overlaps
        owners[where] = overlap.operands[1].owner  # type: ignore[union-attr]
    assert list(owners.values()) == ["visit", "day_obs", "exposure", "visit"]


@pytest.mark.parametrize(
    ("searched", "where"),
    [
        (search("bias", "run", result=True), "exposure = 1"),
        (search("bias", "tag", result=True), "exposure = 1"),
        (search("bias", "calib", result=True), "detector = 1"),
        (search("bias", "calib", result=True), "bias.timespan OVERLAPS exposure.timespan AND exposure = 1"),
        (
            search("bias", "calib", result=True),
            "NOT (exposure.timespan OVERLAPS bias.timespan) AND exposure = 1",
        ),
        (search("raw", "calib", result=True), "exposure = 1"),
    ],
)
def test_no_time_is_compared_without_need(searched: Any, where: str) -> None:
    assert datasets(searched, where, data_id=A).overlaps == ()


def test_an_overlap_with_something_coarser_does_not_switch_off_the_finest() -> None:
    where = "bias.timespan OVERLAPS day_obs.timespan AND exposure = 1"
    (overlap,) = datasets(search("bias", "calib", result=True), where, data_id=A).overlaps
    assert [str(o) for o in overlap.operands] == ["bias.timespan", "exposure.timespan"]


def test_each_calibration_is_valid_at_the_time_of_the_observation() -> None:
    found = plan(["exposure", "detector"], "", search("bias", "calib"), search("dark", "calib"))
    assert [str(o.operands[0]) for o in found.overlaps] == ["bias.timespan", "dark.timespan"]
    assert {o.name for o in found.overlaps} == {"valid"}


def test_two_calibrations_without_an_observation_overlap_each_other() -> None:
    (overlap,) = plan(["detector"], "", search("bias", "calib"), search("dark", "calib")).overlaps
    assert overlap.name == "overlaps"


def test_three_times_that_nothing_relates_are_refused() -> None:
    three = (search("bias", "calib"), search("dark", "calib"), search("flat", "calib"))
    with pytest.raises(InvalidQueryError, match="not clear what should overlap in time: bias, dark, flat"):
        plan(["detector"], "", *three)
    said = "bias.timespan OVERLAPS dark.timespan AND dark.timespan OVERLAPS flat.timespan"
    assert plan(["detector"], said, *three).overlaps == ()


@pytest.mark.parametrize(
    ("dimensions", "names"),
    [
        (["visit", "tract"], {"visit", "tract"}),
        (["visit", "detector", "patch"], {"visit_detector_region", "patch"}),
        (["visit", "detector", "tract"], {"visit_detector_region", "tract"}),
        (["visit", "htm7"], {"visit", "htm7"}),
        (["htm7", "htm9"], {"htm7", "htm9"}),
        (["htm7", "healpix9"], {"htm7", "healpix9"}),
        (["exposure", "tract"], {"visit", "tract"}),
        (["exposure", "detector", "patch"], {"visit_detector_region", "patch"}),
    ],
)
def test_the_finest_regions_of_two_families_overlap_without_being_asked(
    dimensions: list[str], names: set[str]
) -> None:
    (sky,) = plan(dimensions).skies
    assert {str(operand) for operand in sky.operands} == {f"{name}.region" for name in names}


def test_what_should_overlap_on_the_sky_must_be_clear() -> None:
    with pytest.raises(InvalidQueryError, match="not clear what should overlap on the sky"):
        plan(["visit", "tract", "htm7"])
    said = "visit.region OVERLAPS tract.region AND visit.region OVERLAPS htm7.region"
    assert len(plan(["visit", "tract", "htm7"], said).skies) == 2


def test_an_overlap_of_the_same_two_takes_the_place_of_the_automatic_one_and_a_coarser_does_not() -> None:
    dimensions = ["visit", "detector", "patch"]
    same = plan(dimensions, "patch.region OVERLAPS visit_detector_region.region")
    assert [show(op) for op in same.skies] == ["(patch.region sky visit_detector_region.region)"]
    assert same.where is None
    coarse = plan(dimensions, "visit.region OVERLAPS tract.region")
    assert len(coarse.skies) == 2
    either = plan(dimensions, "NOT visit_detector_region.region OVERLAPS patch.region")
    assert not either.skies
    assert either.where is not None


def test_datasets_that_have_both_relate_their_regions_but_nothing_finer() -> None:
    warps = search("warp", "run", result=True)
    found = datasets(warps, "visit = 3", data_id={"instrument": "A"})
    assert "patch" in found.result
    assert not found.skies
    assert len(datasets(warps, "detector = 3", data_id={"instrument": "A"}).skies) == 1
    assert plan(["visit", "skymap"]).skies == ()
    assert plan(["visit", "skymap"]).unions == ()


def test_values_that_nothing_lists_are_refused() -> None:
    with pytest.raises(InvalidQueryError, match="values of 'htm7' cannot be listed"):
        plan(["htm7"])
    assert plan(["htm7"], "", search("refcat", "run")).elements == ()


@pytest.mark.parametrize(
    ("found", "ranking", "distinct"),
    [
        (datasets(search("raw", "run", result=True)), None, False),
        (datasets(search("raw", "run", "more", result=True)), "search", False),
        (datasets(search("raw", "run", "more", result=True, find_first=False)), None, False),
        (datasets(search("raw", "run", "tag", result=True, find_first=False)), None, True),
        (datasets(search("raw", "run", "more", result=True), "raw.run = 'x'"), "rows", False),
        (
            datasets(search("raw", "run", "more", result=True), "visit > 0 AND instrument = 'A'"),
            "search",
            True,
        ),
        (datasets(search("bias", "calib", result=True)), "times", False),
        (datasets(search("bias", "calib", result=True, find_first=False)), None, True),
        (plan(["detector"], "", search("bias", "calib")), None, False),
        (plan(["detector"], "bias.run = 'x'", search("bias", "calib")), None, True),
        (plan(["detector"], "bias.run = 'x'", search("bias", "run")), None, False),
        (plan(["detector"], "", search("raw", "run")), None, True),
        (plan(["band"]), None, False),
        (plan(["instrument"], "detector = 1 AND instrument = 'A'"), None, True),
    ],
)
def test_the_first_dataset_is_found_and_repeated_rows_are_removed_only_where_needed(
    found: Plan, ranking: str | None, distinct: bool
) -> None:
    assert (found.ranking, found.distinct) == (ranking, distinct)


def test_collections_that_hold_nothing_are_left_out() -> None:
    found = datasets(search("bias", "calib", "run", "more", result=True), "exposure = 1", data_id=A)
    fewer = keep_collections(found, [("bias", "run"), ("raw", "more")])
    assert [name for name, _ in fewer.searches[0].path] == ["run"]
    assert fewer.ranking is None
    assert fewer.distinct
    assert keep_collections(found, [("bias", n) for n in ("calib", "run", "more")]) is found


# --------------------------------------------------------------- governors, defaults


@pytest.mark.parametrize(
    "where",
    [
        "exposure = 1",
        "instrument = 'A' OR exposure = 1",
        "(instrument = 'A' AND exposure = 1) OR exposure = 2",
        "NOT exposure = 1",
        "day_obs = 20200101",
        "physical_filter IN ('r')",
        "detector > 3 AND skymap = 'x'",
        "visit.id = 3",
        "instrument = 'A' AND tract = 3",
    ],
)
def test_values_that_mean_nothing_without_their_governor_are_refused(where: str) -> None:
    with pytest.raises(
        InvalidQueryError, match=r"has a meaning only for one (instrument|skymap), which is not given"
    ):
        plan(["exposure"], where)


@pytest.mark.parametrize(
    "where",
    [
        "instrument = 'A' AND exposure = 1",
        "exposure = 1 AND 'A' = instrument",
        "instrument IN ('A', 'B') AND exposure = 1",
        "instrument != 'A' AND exposure = 1",
        "GLOB(instrument, 'A*') AND (exposure = 1 OR exposure = 2)",
        "(instrument = 'A' AND exposure = 1) OR (instrument = 'B' AND exposure = 2)",
        "(instrument = 'A' OR instrument = 'B') AND exposure = 1",
        "NOT (instrument = 'A' AND exposure = 1)",
        "exposure.seq_num = 1",
        "band = 'r'",
        "visit.name = 'x'",
        "exposure.instrument = 'A' AND exposure = 1",
    ],
)
def test_values_beside_their_governor_are_understood(where: str) -> None:
    assert plan(["exposure"], where).where is not None


@pytest.mark.parametrize(
    ("where", "data_id", "used"),
    [
        ("", {}, True),
        ("exposure = 1", {}, True),
        ("exposure.seq_num = 1", {}, True),
        ("instrument = 'B' AND exposure = 1", {}, False),
        ("instrument != 'A'", {}, False),
        ("exposure = 1", {"instrument": "B"}, False),
    ],
)
def test_a_default_governor_is_used_where_nobody_speaks_of_it(
    where: str, data_id: dict[str, str], used: bool
) -> None:
    found = plan(["exposure"], where, data_id=data_id, defaults={"instrument": "A", "skymap": "s"})
    assert ("(instrument = 'A')" in str(found)) is used
    assert "skymap" not in str(found)


def test_a_default_is_of_no_use_to_what_it_does_not_govern() -> None:
    defaults = {"instrument": "A"}
    assert plan(["band"], defaults=defaults).where is None
    assert plan(["tract"], defaults=defaults).where is None
    assert "instrument" in str(plan(["band"], "exposure = 1", defaults=defaults).where)


def test_planning_needs_no_data_and_changes_nothing() -> None:
    asked = request(["exposure"], "visit = :v", bind={"v": 3}, data_id=A)
    assert asked.plan() == asked.plan()
    assert asked.plan().dimensions is UNIVERSE.conform(["exposure", "visit"])
