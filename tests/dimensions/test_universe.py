# SPDX-License-Identifier: BSD-3-Clause
"""The universe and its dimension groups, against facts of the field; universes of one's own."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.dimensions import (
    DimensionCombination,
    DimensionGroup,
    DimensionUniverse,
    GovernorDimension,
    SkyPixDimension,
    TopologicalSpace,
)
from lakebutler.dimensions.universe_config import default_universe_config, parse_universe
from lakebutler.errors import DimensionNameError, RepositoryFormatError
from tests.dimensions.facts import FACTS

UNIVERSE = DimensionUniverse()
NAMES = [d.name for d in UNIVERSE.dimensions]
MAIN = [name for name in NAMES if name not in UNIVERSE.skypix_dimensions]

SMALL: dict[str, Any] = {
    "namespace": "lab",
    "version": 3,
    "common_skypix": "htm5",
    "skypix": {"htm": {"levels": [4, 6]}},
    "dimensions": {
        "bench": {"governor": True, "keys": [{"name": "name", "type": "string", "length": 8}]},
        "lamp": {
            "requires": ["bench"],
            "implies": ["colour"],
            "keys": [{"name": "id", "type": "int"}, {"name": "label", "type": "string", "length": 10}],
            "columns": [{"name": "watt", "type": "float", "required": True}],
        },
        "colour": {"values_of": "lamp", "keys": [{"name": "name", "type": "string", "length": 5}]},
        "shot": {"requires": ["lamp"], "keys": [{"name": "number", "type": "int"}]},
    },
    "relations": {"pairing": {"relates": ["shot", "lamp"], "populated_by": "shot", "always_join": True}},
    "spatial": {"fields": ["shot"]},
    "temporal": {"times": ["shot", "lamp"]},
}


def changed(*path: Any, to: Any) -> dict[str, Any]:
    config = copy.deepcopy(SMALL)
    place: Any = config
    for key in path[:-1]:
        place = place[key]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return config


# ------------------------------------------------------------------- facts of the field


@pytest.mark.parametrize("fact", FACTS["elements"], ids=lambda fact: fact["name"])
def test_an_element_is_what_the_field_says(fact: dict) -> None:
    element = UNIVERSE[fact["name"]]
    schema = " ".join(
        f"{c.name}:{c.type}" + (f"({c.length})" if c.type == "string" else "") + ("" if c.nullable else "!")
        for c in element.schema
    )
    assert schema == fact["schema"]
    assert " ".join(element.required.names) == fact["req"]
    assert " ".join(element.implied.names) == fact.get("imp", "")
    assert " ".join(element.alternate_keys.names) == fact.get("alt", "")
    for attribute, key in (
        ("populated_by", "pop"), ("implied_union_target", "iut"), ("spatial", "sp"), ("temporal", "tm"),
        ("governor", "gov"),
    ):  # fmt: skip
        assert getattr(getattr(element, attribute), "name", None) == fact.get(key)
    for attribute, key in (
        ("alwaysJoin", "always"), ("is_cached", "cached"), ("has_own_table", "own"),
        ("defines_relationships", "defrel"),
    ):  # fmt: skip
        assert getattr(element, attribute) is fact.get(key, False)


def test_the_universe_has_the_elements_of_the_field_in_its_order() -> None:
    assert (UNIVERSE.namespace, UNIVERSE.version) == ("daf_butler", 8)
    assert (len(UNIVERSE.elements), len(UNIVERSE.dimensions), len(UNIVERSE.skypix_dimensions)) == (60, 57, 41)
    main = [e.name for e in UNIVERSE.elements if e.name not in UNIVERSE.skypix_dimensions]
    assert main == [fact["name"] for fact in FACTS["elements"]]
    assert [e.name for e in UNIVERSE.elements][:3] == ["band", "healpix1", "healpix2"]
    assert UNIVERSE.commonSkyPix.name == "htm7"
    assert list(UNIVERSE.governor_dimensions.names) == ["instrument", "skymap"]


@pytest.mark.parametrize("fact", FACTS["groups"], ids=lambda fact: fact["names"].replace(" ", "+"))
def test_a_group_is_completed_as_the_field_does(fact: dict) -> None:
    group = UNIVERSE.conform(fact["names"].split())
    assert " ".join(group.required) == fact["required"]
    assert " ".join(group.implied) == fact["implied"]
    assert " ".join(group.elements) == fact["elements"]
    assert " ".join(group.lookup_order) == fact["lookup"]
    assert sorted(f.name for f in group.spatial) == fact["spatial"].split()
    assert sorted(f.name for f in group.temporal) == fact["temporal"].split()
    assert group.region_dimension == fact["region"]
    assert group.timespan_dimension == fact["timespan"]
    assert list(group.data_coordinate_keys) == [*group.required, *group.implied]


def test_families_know_their_finest_member() -> None:
    group = UNIVERSE.conform(["visit", "detector", "patch"])
    assert group.spatial["observation_regions"].choose(group).name == "visit_detector_region"
    assert group.spatial["skymap_regions"].choose(group.elements).name == "patch"
    assert UNIVERSE["visit"].topology[TopologicalSpace.TEMPORAL].name == "observation_timespans"


def test_pixelizations_are_found_by_system_and_level() -> None:
    htm7 = UNIVERSE.skypix["htm"][7]
    assert isinstance(htm7, SkyPixDimension)
    assert (htm7.name, htm7.level, htm7.system.name) == ("htm7", 7, "htm")
    assert htm7.pixelization.pixel(131072) is not None
    assert type(UNIVERSE["healpix3"].pixelization).__name__ == "HealpixPixelization"
    with pytest.raises(DimensionNameError, match="htm25"):
        UNIVERSE.skypix["htm"][25]


def test_visits_bring_their_relations_along() -> None:
    found = UNIVERSE.get_elements_populated_by(UNIVERSE.dimensions["visit"])
    assert list(found.names) == [
        "visit", "visit_definition", "visit_detector_region", "visit_system_membership",
    ]  # fmt: skip


# ------------------------------------------------------------------- groups as sets


@given(st.lists(st.sampled_from(NAMES), max_size=6))
def test_a_group_is_closed_ordered_and_made_once(names: list[str]) -> None:
    group = UNIVERSE.conform(names)
    for name in group.names:
        assert set(UNIVERSE[name].required.names) <= set(group.names)
        assert set(UNIVERSE[name].implied.names) <= set(group.names)
    assert list(group.names) == [e.name for e in UNIVERSE.sorted(group.names)]
    assert set(group.required) | set(group.implied) == set(group.names)
    assert not set(group.required) & set(group.implied)
    assert UNIVERSE.conform(group.required) is group
    assert UNIVERSE.conform(reversed(group.names)) is group
    assert pickle.loads(pickle.dumps(group)) is group
    assert DimensionGroup.from_simple(json.loads(json.dumps(group.to_simple())), UNIVERSE) is group


@given(st.lists(st.sampled_from(MAIN), max_size=4), st.lists(st.sampled_from(MAIN), max_size=4))
def test_set_algebra_of_groups(left: list[str], right: list[str]) -> None:
    a, b = UNIVERSE.conform(left), UNIVERSE.conform(right)
    assert set((a | b).names) == set(a.names) | set(b.names)
    assert set((a & b).names) == set(a.names) & set(b.names)
    assert a - b == set(a.names) - set(b.names)
    assert (a <= b) == a.issubset(b) == (set(a.names) <= set(b.names))
    assert (a >= b) == a.issuperset(b) == (set(a.names) >= set(b.names))
    assert (a < b) == (a <= b and a != b)
    assert a.isdisjoint(b) == (not set(a.names) & set(b.names))
    assert (a == b) == (set(a.names) == set(b.names))


def test_a_group_takes_names_dimensions_and_groups() -> None:
    group = UNIVERSE.conform("visit")
    assert UNIVERSE.conform(group) is group
    assert UNIVERSE.conform(UNIVERSE["visit"]) is group
    assert UNIVERSE.conform([UNIVERSE["visit"], "instrument"]) is group
    assert "visit" in group
    assert UNIVERSE["visit"] in group
    assert "detector" not in group
    assert UNIVERSE.conform([]) is UNIVERSE.empty
    assert str(group) == "{band, instrument, day_obs, physical_filter, visit}"


def test_an_unknown_dimension_is_named_with_the_nearest() -> None:
    with pytest.raises(DimensionNameError, match=r"'viist'.*\n.*'visit'"):
        UNIVERSE.conform(["viist"])
    with pytest.raises(DimensionNameError, match="relation, not a dimension"):
        UNIVERSE.conform(["visit_definition"])
    with pytest.raises(DimensionNameError) as failure:
        UNIVERSE.conform(["xyzzy"])
    assert "healpix" not in str(failure.value)
    assert "exposure" in str(failure.value)
    with pytest.raises(KeyError):
        UNIVERSE["nothing"]


def test_elements_compare_as_their_names_and_sort_as_the_universe_does() -> None:
    visit, patch = UNIVERSE["visit"], UNIVERSE["patch"]
    assert visit == "visit"
    assert visit != patch
    assert hash(visit) == hash("visit")
    assert patch < visit
    assert visit >= patch
    assert str(visit) == visit.to_simple() == "visit"
    assert pickle.loads(pickle.dumps(visit)) is visit
    assert UNIVERSE.get("nothing") is None
    assert "visit" in UNIVERSE
    assert [e.name for e in UNIVERSE.sorted(["visit", "band", "visit"], reverse=True)] == ["visit", "band"]


# ------------------------------------------------------------------- as configuration


def test_a_universe_is_made_once_for_each_content() -> None:
    assert DimensionUniverse() is DimensionUniverse()
    assert DimensionUniverse(json.loads(json.dumps(UNIVERSE.to_config()))) is UNIVERSE
    assert DimensionUniverse(yaml.safe_load(yaml.safe_dump(UNIVERSE.to_config()))) is UNIVERSE
    assert pickle.loads(pickle.dumps(UNIVERSE)) is UNIVERSE
    assert copy.deepcopy(UNIVERSE) is UNIVERSE


def test_explanations_do_not_make_another_universe() -> None:
    config = UNIVERSE.to_config()
    config["dimensions"]["visit"]["about"] = "Something else."
    assert DimensionUniverse(config) is UNIVERSE


def test_every_element_and_column_is_explained() -> None:
    for element in UNIVERSE.elements:
        assert element.documentation
        assert all(column.doc for column in element.schema)


def test_a_user_can_define_another_universe() -> None:
    small = DimensionUniverse(SMALL)
    assert small != UNIVERSE
    assert not small.isCompatibleWith(UNIVERSE)
    assert DimensionUniverse(small.to_config()) is small
    assert pickle.loads(pickle.dumps(small)) is small
    assert [e.name for e in small.elements] == [
        "bench", "colour", "htm4", "htm5", "htm6", "lamp", "shot", "pairing",
    ]  # fmt: skip
    assert isinstance(small["bench"], GovernorDimension)
    assert isinstance(small["pairing"], DimensionCombination)
    assert small.conform("shot").required_names == ("bench", "lamp", "shot")
    assert small.conform("shot").implied_names == ("colour",)
    assert list(small["shot"].schema.names) == ["bench", "lamp", "number", "region", "timespan"]
    assert small.conform("lamp") != UNIVERSE.conform("visit")
    record = small["lamp"].RecordClass(bench="b", lamp=3, colour="red", label="x", watt=2)
    assert record.watt == 2.0
    assert str(record.dataId) == "{bench: 'b', lamp: 3, colour: 'red'}"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("namespace",), 5, "namespace: must be a short name, not 5"),
        (("version",), "3", "version: must be a number, not '3'"),
        (("version",), True, "version: must be a number"),
        (("common_skypix",), "htm9", "common_skypix: there is no pixelization 'htm9'"),
        (("skypix", "htm", "levels"), [6, 4], "skypix.htm.levels: must be the first and the last level"),
        (("skypix", "htm", "levels"), [1, 25], "skypix.htm.levels: must be .* from 0 to 24"),
        (("skypix", "htmm"), {"levels": [1, 2]}, "skypix: unknown key 'htmm'"),
        (("dimensions",), [], "dimensions: must be a mapping, not list"),
        (("dimensions", "Lamp"), {}, "dimensions: 'Lamp' is no name"),
        (
            ("dimensions", "lamp", "requires", 0),
            "bank",
            r"dimensions.lamp.requires\[0\]: unknown dimension 'bank'",
        ),
        (
            ("dimensions", "lamp", "implies"),
            "colour",
            "dimensions.lamp.implies: must be a list of names, not str",
        ),
        (
            ("dimensions", "lamp", "implies"),
            ["bench"],
            "dimensions.lamp.implies: 'bench' is required already",
        ),
        (("dimensions", "lamp", "requires"), ["shot"], "depends on itself: .*lamp -> shot|shot -> lamp"),
        (("dimensions", "lamp", "keys"), None, "dimensions.lamp: has no keys"),
        (
            ("dimensions", "shot", "keys", 0),
            {"name": "id", "type": "hash", "length": 4},
            r"dimensions.shot.keys\[0\].type: the primary key must be int or string",
        ),
        (("common_skypix",), [], r"common_skypix: there is no pixelization \[\]"),
        (
            ("dimensions", "lamp", "keys", 0, "type"),
            "float",
            r"dimensions.lamp.keys\[0\].type: must be one of int",
        ),
        (("dimensions", "lamp", "keys", 0, "length"), 4, r"keys\[0\].length: has no meaning for int"),
        (
            ("dimensions", "lamp", "keys", 1, "length"),
            None,
            r"keys\[1\].length: must be a number from 1 to 4096",
        ),
        (("dimensions", "lamp", "columns", 0, "name"), "region", r"columns\[0\].name: 'region' is taken"),
        (
            ("dimensions", "lamp", "columns", 0, "name"),
            "__class__",
            r"columns\[0\].name: '__class__' is no name",
        ),
        (("dimensions", "lamp", "columns", 0, "name"), "colour", "two columns are called 'colour'"),
        (("dimensions", "lamp", "columns", 0, "name"), "id", "two columns are called 'id'"),
        (("dimensions", "lamp", "columns", 0, "unit"), "W", r"columns\[0\]: unknown key 'unit'"),
        (("dimensions", "lamp", "cached"), "yes", "dimensions.lamp.cached: must be true or false"),
        (("dimensions", "lamp", "about"), 4, "dimensions.lamp.about: must be a text"),
        (("dimensions", "bench", "requires"), ["colour"], "dimensions.bench: a governor cannot depend"),
        (
            ("dimensions", "colour", "values_of"),
            "bench",
            "dimensions.colour.values_of: 'bench' does not imply",
        ),
        (("dimensions", "colour", "values_of"), 4, "dimensions.colour.values_of: unknown dimension 4"),
        (("dimensions", "htm5"), SMALL["dimensions"]["bench"], "dimensions.htm5: this name is taken"),
        (("relations", "lamp"), {"relates": ["shot", "lamp"]}, "relations.lamp: there is a dimension"),
        (("relations", "pairing", "relates"), ["shot"], "relations.pairing.relates: must name two"),
        (
            ("relations", "pairing", "populated_by"),
            "nobody",
            "relations.pairing.populated_by: unknown dimension",
        ),
        (("spatial", "fields"), [], "spatial.fields: has no members"),
        (("spatial", "fields", 0), "shott", r"spatial.fields\[0\]: unknown element 'shott'"),
        (("temporal", "more"), ["shot"], r"temporal.more\[0\]: 'shot' belongs to another temporal family"),
        (("dimensoins",), {}, "top level: unknown key 'dimensoins'"),
        ((5,), {}, "top level: has the key 5"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_a_wrong_configuration_is_named_by_its_place(path: tuple, value: Any, message: str) -> None:
    with pytest.raises(RepositoryFormatError, match=message) as failure:
        DimensionUniverse(changed(*path, to=value))
    assert "\n" not in failure.value.message


@pytest.mark.parametrize("config", [[], "text", 5], ids=str)
def test_a_configuration_must_be_a_mapping(config: Any) -> None:
    with pytest.raises(RepositoryFormatError, match="universe config"):
        DimensionUniverse(config)


def test_the_small_configuration_itself_is_right() -> None:
    assert parse_universe(SMALL).elements["lamp"].implies == ("colour",)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_junk_anywhere_in_a_configuration_is_no_other_error(data: st.DataObject) -> None:
    config = json.loads(json.dumps(default_universe_config()))
    place: Any = config
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.integers(0, 4)) == 0:
            break
        place = place[key]
    place[key] = data.draw(junk)
    with contextlib.suppress(RepositoryFormatError):
        parse_universe(config)
