# SPDX-License-Identifier: BSD-3-Clause
"""Data IDs: made of what users give, compared, cut, put together, written."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsst import sphgeom

from lakebutler.dimensions import DataCoordinate, DimensionRecord, DimensionUniverse
from lakebutler.errors import DimensionNameError, DimensionValueError, InconsistentDataIdError
from lakebutler.timespan import Timespan

UNIVERSE = DimensionUniverse()
MAIN = [d.name for d in UNIVERSE.dimensions if d.name not in UNIVERSE.skypix_dimensions]
make = DataCoordinate.standardize
VISIT = {"instrument": "HSC", "visit": 4, "band": "r", "day_obs": 20200101, "physical_filter": "HSC-R"}


def value_of(name: str) -> st.SearchStrategy[Any]:
    if UNIVERSE.dimensions[name].primary_key.type == "int":
        return st.integers(-(2**63), 2**63 - 1)
    return st.text(max_size=6)


@st.composite
def data_ids(draw: st.DrawFn, full: bool | None = None) -> DataCoordinate:
    group = UNIVERSE.conform(draw(st.lists(st.sampled_from(MAIN), max_size=3)))
    whole = draw(st.booleans()) if full is None else full
    names = group.data_keys if whole else group.required_names
    return make({name: draw(value_of(name)) for name in names}, dimensions=group)


def circle(degrees: float) -> sphgeom.Region:
    return sphgeom.Circle(sphgeom.UnitVector3d(1, 0, 0), sphgeom.Angle.fromDegrees(degrees))


def records_of_visit(**changes: Any) -> dict[str, DimensionRecord | None]:
    values: dict[str, Any] = {
        "instrument": {"name": "HSC"},
        "band": {"name": "r"},
        "physical_filter": {"instrument": "HSC", "name": "HSC-R", "band": "r"},
        "day_obs": {"instrument": "HSC", "id": 20200101, "timespan": Timespan.from_nsec(10, 100)},
        "visit": {
            "instrument": "HSC", "id": 4, "name": "four", "physical_filter": "HSC-R", "day_obs": 20200101,
            "region": circle(1), "timespan": Timespan.from_nsec(50, 60),
        },
    }  # fmt: skip
    values["visit"].update(changes)
    return {name: UNIVERSE[name].RecordClass(**fields) for name, fields in values.items()}


# ----------------------------------------------------------------------- making


@pytest.mark.parametrize(
    "given",
    [
        {"instrument": "HSC", "detector": 3},
        {"detector": 3, "instrument": "HSC"},
        {"instrument": numpy.str_("HSC"), "detector": numpy.int16(3)},
        {"instrument": "HSC", "detector": numpy.uint64(3)},
        {"instrument": "HSC", "detector": numpy.array(3)},
        {UNIVERSE["instrument"]: "HSC", UNIVERSE["detector"]: 3},
        {"instrument": "HSC", "detector": 3, "visit": 7},
    ],
    ids=str,
)
def test_values_become_exact_python_types_in_the_groups_order(given: dict) -> None:
    data_id = make(given, dimensions=["detector"], universe=UNIVERSE)
    assert data_id.full_values == ("HSC", 3)
    assert [type(value) for value in data_id.full_values] == [str, int]
    assert data_id == make(given, dimensions=UNIVERSE.conform("detector"))


def test_names_alone_decide_about_the_dimensions_if_none_are_asked_for() -> None:
    assert make({"instrument": "HSC"}, detector=3).dimensions == UNIVERSE.conform("detector")
    assert make(instrument="HSC", visit=4).dimensions == UNIVERSE.conform("visit")
    assert make({}).dimensions is UNIVERSE.empty
    assert make() == DataCoordinate.make_empty(UNIVERSE)


def test_a_data_id_is_full_exactly_if_all_implied_values_are_given() -> None:
    assert make(VISIT).hasFull()
    assert make(VISIT).full_values == ("HSC", 4, "r", 20200101, "HSC-R")
    less = {k: v for k, v in VISIT.items() if k != "band"}
    assert not make(less).hasFull()
    assert make(less).required_values == ("HSC", 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"instrument": "HSC", "detector": True}, "'detector' must be an integer, not bool True"),
        ({"instrument": "HSC", "detector": numpy.bool_(True)}, "'detector' must be an integer"),
        ({"instrument": "HSC", "detector": 1.0}, "'detector' must be an integer, not float 1.0"),
        ({"instrument": "HSC", "detector": "1"}, "'detector' must be an integer, not str '1'"),
        ({"instrument": "HSC", "detector": None}, "'detector' must be an integer, not None"),
        ({"instrument": "HSC", "detector": numpy.array([1])}, "'detector' must be an integer"),
        ({"instrument": "HSC", "detector": 2**63}, "'detector' must fit a 64-bit integer"),
        ({"instrument": 5, "detector": 1}, "'instrument' must be a string, not int 5"),
        ({"instrument": b"HSC", "detector": 1}, "'instrument' must be a string, not bytes"),
        ({"instrument": None, "detector": 1}, "'instrument' must be a string, not None"),
    ],
    ids=str,
)
def test_a_value_of_the_wrong_type_is_refused(values: dict, message: str) -> None:
    with pytest.raises(DimensionValueError, match=message):
        make(values, dimensions=UNIVERSE.conform("detector"))


def test_an_unknown_dimension_is_refused_with_the_nearest_name() -> None:
    for arguments in ({}, {"dimensions": UNIVERSE.conform("detector")}):
        with pytest.raises(DimensionNameError, match=r"'detctor' in data ID\ndid you mean 'detector'"):
            make({"instrument": "HSC", "detector": 1, "detctor": 1}, **arguments)
    with pytest.raises(DimensionNameError, match="names of dimensions, not 5"):
        make({5: "HSC"})


def test_a_missing_value_is_named() -> None:
    with pytest.raises(DimensionNameError, match=r"\{patch: 4\} has no value for required skymap, tract"):
        make(patch=4)
    with pytest.raises(KeyError):
        make({"detector": 1}, dimensions=UNIVERSE.conform("detector"))


@pytest.mark.parametrize("given", ["visit=4", [("visit", 4)], 5], ids=str)
def test_only_mappings_are_data_ids(given: Any) -> None:
    with pytest.raises(DimensionValueError, match="must be a mapping"):
        make(given)


def test_keywords_prevail_and_drop_what_followed_from_the_old_value() -> None:
    assert make(VISIT, visit=5).required_values == ("HSC", 5)
    assert not make(VISIT, visit=5).hasFull()
    assert not make(make(VISIT), visit=5).hasFull()
    assert make(VISIT, visit=4).hasFull()
    assert make(VISIT, band="g")["band"] == "g"


def test_a_known_implied_value_cannot_be_contradicted() -> None:
    with pytest.raises(InconsistentDataIdError, match=r"band of .* is 'r', but 'g' is asked for"):
        make(make(VISIT), band="g")


def test_defaults_fill_in_what_is_missing_only() -> None:
    defaults = make(instrument="HSC", skymap="rings")
    assert make({"detector": 1}, defaults=defaults) == make(instrument="HSC", detector=1)
    assert make({"instrument": "X", "detector": 1}, defaults=defaults)["instrument"] == "X"
    group = UNIVERSE.conform("detector")
    assert make({"detector": 1}, dimensions=group, defaults=defaults).dimensions is group


def test_what_follows_from_defaults_holds_only_where_they_do() -> None:
    defaults = make(instrument="HSC", physical_filter="HSC-R", band="r")
    whole = make(
        {"detector": 1}, dimensions=["physical_filter", "detector"], universe=UNIVERSE, defaults=defaults
    )
    assert whole["band"] == "r"
    other = make({"physical_filter": "HSC-G"}, universe=UNIVERSE, defaults=defaults)
    assert not other.hasFull()


def test_a_data_id_of_the_right_dimensions_is_taken_as_it_is() -> None:
    data_id = make(VISIT)
    assert make(data_id) is data_id
    assert make(data_id, dimensions=data_id.dimensions) is data_id
    assert make(data_id, dimensions=["physical_filter"]).full_values == ("HSC", "HSC-R", "r")


def test_the_constructor_is_not_for_users() -> None:
    with pytest.raises(TypeError, match="standardize"):
        DataCoordinate()


def test_values_known_to_be_right_must_be_as_many_as_the_dimensions() -> None:
    group = UNIVERSE.conform("visit")
    assert DataCoordinate.from_required_values(group, ("HSC", 4)) == make(VISIT)
    assert DataCoordinate.from_full_values(group, make(VISIT).full_values).hasFull()
    with pytest.raises(ValueError, match="1 values for the 2 required"):
        DataCoordinate.from_required_values(group, ("HSC",))
    with pytest.raises(ValueError, match="2 values for the 5 dimensions"):
        DataCoordinate.from_full_values(group, ("HSC", 4))


# ----------------------------------------------------------------------- looking


def test_values_are_found_by_name_and_by_dimension() -> None:
    data_id = make(VISIT)
    assert data_id["visit"] == data_id[UNIVERSE["visit"]] == 4
    assert data_id.get("band") == "r"
    assert data_id.get("detector", 9) == 9
    assert "band" in data_id
    assert UNIVERSE["band"] in data_id
    assert "detector" not in data_id
    assert dict(data_id.required) == {"instrument": "HSC", "visit": 4}
    assert dict(data_id.mapping) == VISIT
    with pytest.raises(DimensionNameError, match=r"no dimension 'vist'\ndid you mean 'visit'"):
        data_id["vist"]


def test_an_implied_value_that_is_not_known_is_an_error_that_says_so() -> None:
    data_id = make(instrument="HSC", visit=4)
    assert "band" not in data_id
    assert data_id.get("band") is None
    with pytest.raises(DimensionNameError, match=r"implied value of 'band'\nexpand"):
        data_id["band"]
    with pytest.raises(DimensionNameError, match="implied values"):
        _ = data_id.full_values


def test_a_data_id_cannot_be_changed() -> None:
    data_id = make(VISIT)
    for name in ("dimensions", "visit", "anything"):
        with pytest.raises(AttributeError):
            setattr(data_id, name, 1)
    with pytest.raises(TypeError):
        data_id.mapping["visit"] = 5


# -------------------------------------------------------------------- comparison


@given(data_ids(full=True))
def test_knowing_more_does_not_make_another_data_id(data_id: DataCoordinate) -> None:
    short = DataCoordinate.from_required_values(data_id.dimensions, data_id.required_values)
    assert short == data_id
    assert hash(short) == hash(data_id)
    assert len({short, data_id}) == 1


def test_data_ids_equal_mappings_of_their_values() -> None:
    assert make(VISIT) == {"instrument": "HSC", "visit": 4}
    assert make(VISIT) != {"instrument": "HSC", "visit": 5}
    assert make(VISIT) != {"instrument": "HSC", "nothing": 5}
    assert make(VISIT) != ("HSC", 4)
    assert make(instrument="HSC", visit=4) != make(instrument="HSC", exposure=4)


def test_data_ids_sort_by_their_values() -> None:
    ids = [make(instrument=i, visit=v) for i in "ba" for v in (10, 9)]
    assert [d.required_values for d in sorted(ids)] == [("a", 9), ("a", 10), ("b", 9), ("b", 10)]


# ------------------------------------------------------------- subsets and unions


@given(data_ids(), st.data())
def test_a_subset_has_the_same_values(data_id: DataCoordinate, data: st.DataObject) -> None:
    names = (
        data.draw(st.lists(st.sampled_from(data_id.dimensions.data_keys), max_size=3))
        if len(data_id.dimensions)
        else []
    )
    group = UNIVERSE.conform(names)
    known = [name for name in group.required_names if name in data_id]
    if len(known) < group.n_required:
        with pytest.raises(DimensionNameError, match="has no value for"):
            data_id.subset(group)
        return
    part = data_id.subset(names)
    assert part.dimensions is group
    assert all(part[name] == data_id[name] for name in part.mapping)
    assert part.hasFull() or not data_id.hasFull()


@given(data_ids(), data_ids())
def test_a_union_has_the_values_of_both_or_names_the_conflict(a: DataCoordinate, b: DataCoordinate) -> None:
    clash = [name for name in a.mapping if name in b and a[name] != b[name]]
    if clash:
        with pytest.raises(InconsistentDataIdError, match=r" is .*, but .* is asked for"):
            a.union(b)
        return
    both = a.union(b)
    assert both.dimensions is a.dimensions | b.dimensions
    for part in (a, b):
        assert all(both[name] == part[name] for name in part.required if name in both)
    assert both == b.union(a)
    assert both.hasFull() == (len({**a.mapping, **b.mapping}) == len(both.dimensions))


# ------------------------------------------------------------------------ records


def test_an_expanded_data_id_knows_everything() -> None:
    data_id = make(instrument="HSC", visit=4).expanded(records_of_visit())
    assert data_id.hasRecords()
    assert data_id.hasFull()
    assert dict(data_id.mapping) == VISIT
    assert data_id.visit.name == "four"
    assert data_id.records["visit"] is data_id.visit
    assert set(data_id.records) == set(data_id.dimensions.elements)
    assert data_id.region == circle(1)
    assert data_id.timespan == Timespan.from_nsec(50, 60)
    assert data_id.subset("day_obs").timespan == Timespan.from_nsec(10, 100)
    assert data_id.subset("day_obs").hasRecords()


def test_the_region_of_two_families_is_what_they_share() -> None:
    tract = UNIVERSE["tract"].RecordClass(skymap="rings", id=3, region=circle(2))
    records = {**records_of_visit(), "tract": tract, "skymap": None}
    data_id = make(instrument="HSC", visit=4, skymap="rings", tract=3).expanded(records)
    assert data_id.region.encode() == sphgeom.IntersectionRegion(circle(2), circle(1)).encode()
    pixel = make(htm7=131072).expanded({"htm7": UNIVERSE["htm7"].RecordClass(htm7=131072)})
    assert pixel.region == sphgeom.HtmPixelization(7).pixel(131072)


def test_the_finest_member_of_a_family_gives_the_region() -> None:
    records = records_of_visit()
    records["detector"] = UNIVERSE["detector"].RecordClass(instrument="HSC", id=1, full_name="1")
    finest = UNIVERSE["visit_detector_region"].RecordClass(
        instrument="HSC", visit=4, detector=1, region=circle(0.1)
    )
    group_id = make(instrument="HSC", visit=4, detector=1)
    assert group_id.expanded({**records, "visit_detector_region": finest}).region == circle(0.1)
    assert group_id.expanded({**records, "visit_detector_region": None}).region is None


def test_a_missing_region_or_timespan_is_none() -> None:
    data_id = make(instrument="HSC", visit=4).expanded(records_of_visit(region=None, timespan=None))
    assert data_id.region is None
    assert data_id.timespan is None
    assert make(instrument="HSC").expanded({"instrument": None}).region is None


def test_a_record_that_contradicts_the_data_id_is_refused() -> None:
    with pytest.raises(InconsistentDataIdError, match="record of band has band='r', the data ID band='g'"):
        make({**VISIT, "band": "g"}).expanded(records_of_visit())
    with pytest.raises(InconsistentDataIdError, match="record of visit has visit=4, the data ID visit=5"):
        make(instrument="HSC", visit=5).expanded(records_of_visit())


def test_records_that_do_not_give_an_implied_value_are_refused() -> None:
    with pytest.raises(DimensionNameError, match="no record gives band, day_obs, physical_filter"):
        make(instrument="HSC", visit=4).expanded({})


def test_a_data_id_without_records_says_so() -> None:
    data_id = make(VISIT)
    assert not data_id.hasRecords()
    for name in ("records", "region", "timespan", "visit"):
        with pytest.raises(AttributeError, match=f"no records, so no '?{name}'?; expand"):
            getattr(data_id, name)
    with pytest.raises(AttributeError, match="no attribute 'vist'"):
        _ = data_id.vist
    assert DataCoordinate.make_empty(UNIVERSE).hasRecords()


def test_unions_keep_records_if_nothing_is_missing() -> None:
    visit = make(instrument="HSC", visit=4).expanded(records_of_visit())
    tract = make(skymap="rings", tract=1).expanded({"skymap": None, "tract": None})
    assert visit.union(tract).hasRecords()
    detector = make(instrument="HSC", detector=1).expanded({"instrument": None, "detector": None})
    assert not visit.union(detector).hasRecords()


# ------------------------------------------------------------------------ written


@given(data_ids())
def test_every_written_form_can_be_read_back(data_id: DataCoordinate) -> None:
    for again in (
        eval(repr(data_id)),
        pickle.loads(pickle.dumps(data_id)),
        DataCoordinate.from_json(data_id.to_json(), UNIVERSE),
        DataCoordinate.from_simple(json.loads(json.dumps(data_id.to_simple(minimal=True))), UNIVERSE),
        copy.deepcopy(data_id),
    ):
        assert again == data_id
        assert hash(again) == hash(data_id)
    assert pickle.loads(pickle.dumps(data_id)).mapping == data_id.mapping
    assert DataCoordinate.from_json(data_id.to_json(), UNIVERSE).mapping == data_id.mapping


def test_records_are_written_too() -> None:
    data_id = make(instrument="HSC", visit=4).expanded(records_of_visit())
    for again in (DataCoordinate.from_json(data_id.to_json(), UNIVERSE), pickle.loads(pickle.dumps(data_id))):
        assert again.hasRecords()
        assert dict(again.records) == dict(data_id.records)
        assert again.region == data_id.region


def test_the_written_form_is_that_of_the_field() -> None:
    assert (
        str(make(VISIT))
        == "{instrument: 'HSC', visit: 4, band: 'r', day_obs: 20200101, physical_filter: 'HSC-R'}"
    )
    assert make(instrument="a", visit=4).to_json() == '{"dataId":{"instrument":"a","visit":4}}'
    record = (
        make(instrument="a")
        .expanded({"instrument": UNIVERSE["instrument"].RecordClass(name="a")})
        .to_simple()
    )
    assert record["records"]["instrument"] == {
        "definition": "instrument",
        "record": {
            "name": "a", "visit_max": None, "visit_system": None, "exposure_max": None, "detector_max": None,
            "class_name": None,
        },
    }  # fmt: skip


@pytest.mark.parametrize("simple", [None, 5, {}, {"dataId": 4}], ids=str)
def test_a_wrong_written_form_is_refused(simple: Any) -> None:
    with pytest.raises(DimensionValueError, match="no data ID"):
        DataCoordinate.from_simple(simple, UNIVERSE)


def test_a_notebook_shows_a_table_with_escaped_values() -> None:
    html = make(instrument="<b>", detector=1)._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<th>detector</th>" in html
