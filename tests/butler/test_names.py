# SPDX-License-Identifier: BSD-3-Clause
"""Names that people give: refused at creation, or round-tripped exactly, never two on one file."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from lakebutler import Butler, ButlerError, CollectionNameError, CollectionType, DataCoordinate, DatasetType
from tests.butler.conftest import RUN
from tests.butler.world import CAM, Place, check_message, dataset_type, refused

FINE = [
    "a b", "a:b", "a*b", "a?b", 'a"b', "a'b", "a\\b", "a|b", "a<b", "a>b", "a%2fb", "a~20b", "a#b", "a&b",
    "a;b", "a{b}", "{run}", "$HOME", "~", "~root", "a`id`", "-rf", "--help", "con", "NUL", "aux.txt", "A b",
    "a B", "a.b", "a..b", "a...", "...", "ünïcode", "日本語", "Ωmega", "😀", "áb", "раураl", "paypal", "a+b",
    "a=b", "a,b", "a@b", "100%", "SELECT", "robert'); DROP TABLE x;--", "null", "None", "true", "0", "1e9",
    "x" * 200, "é" * 100, "a-0123456789ab", "a-0123456789ab.json",
]  # fmt: skip
SLASHED = ["u/me/run", "a/b c/d", "a b/c", "a/b/c/d/e/f", "a/a-0123456789ab.json/b", "a/con/b"]
REFUSED = [
    "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../../escape", "a/./b", "./a", "a/..", "\0", "a\0b",
    "a\nb", "a\tb", "a\rb", "a\x1b[31mb", "a\x7fb", "a\x85b", "a\u202eb", "a\u2066b", "a\u200bb", "a\ufeffb",
    "a\u2028b", "e\u0301", "\ud800", "a\u00a0b", " a", "a ", "a/ b", "x" * 300, "é" * 200,
    "/".join(["abc"] * 300),
]  # fmt: skip


# ------------------------------------------------------------------ collections


def test_fine_collection_names_are_round_tripped_exactly(place: Place, butler: Butler) -> None:
    """Each run gets a dataset of the same data ID; each must give back its own."""
    names = list(dict.fromkeys([*FINE, *SLASHED]))
    with butler.transaction():
        for name in names:
            butler.collections.register(name)
            butler.put({"run": name}, "setup", run=name)
    assert set(names) <= set(butler.collections.query("*"))
    assert len(place.files()) == len(names)
    assert len({path.casefold() for path in place.files()}) == len(names)
    with place.open() as other:
        for name in names:
            assert other.get("setup", collections=name) == {"run": name}
            assert other.collections.get_info(name).name == name
            [ref] = other.query_datasets("setup", [name])
            assert ref.run == name
    with place.open(collections=names[3]) as other:
        assert other.get("setup") == {"run": names[3]}


def test_a_run_named_like_a_glob_can_be_asked_for_by_its_name(butler: Butler) -> None:
    for name in ("a*b", "axb", "a?b", "[a]b"):
        butler.collections.register(name)
        butler.put({"run": name}, "setup", run=name)
    for name in ("a*b", "a?b", "[a]b"):
        assert list(butler.collections.query(name)) == [name]
        assert [ref.run for ref in butler.query_datasets("setup", name, find_first=False)] == [name]


@pytest.mark.parametrize("name", REFUSED, ids=lambda name: ascii(name[:20]))
def test_bad_collection_names_are_refused_at_creation(local: Place, local_butler: Butler, name: str) -> None:
    butler = local_butler
    ref_run = name
    for create in (
        lambda: butler.collections.register(name),
        lambda: butler.registry.registerRun(name),
        lambda: butler.registry.registerCollection(name),
        lambda: butler.registry.registerCollection(name, CollectionType.CHAINED),
        lambda: local.open(run=ref_run) if ref_run else butler.collections.register(name),
    ):
        with refused(local, butler, CollectionNameError):
            create()
    with refused(local, butler, ButlerError):
        butler.put({}, "setup", run=name)


# ---------------------------------------------------------------- dataset types


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a/b", "a..b", "..", "a.b.c", "1abc", "a\nb", "a\0b", "a'b", 'a"b', "ä", "аbc", "a\u202eb",
     "x" * 300, "a-b", "a*", "\ud800", "a;b"],
    ids=lambda name: ascii(name[:20]),
)  # fmt: skip
def test_bad_dataset_type_names_are_refused(local: Place, local_butler: Butler, name: str) -> None:
    def register() -> None:
        kind = DatasetType(name, (), "StructuredDataDict", universe=local_butler.dimensions)
        local_butler.registry.registerDatasetType(kind)
        raise AssertionError(f"{name!r} was accepted")

    with refused(local, local_butler, ButlerError):
        register()


def test_fine_dataset_type_names_are_kept_apart(place: Place, butler: Butler) -> None:
    names = [
        "Abc",
        "abc",
        "ABC",
        "_a",
        "a_b",
        "a__b",
        "aB",
        "Ab",
        "con",
        "select",
        "dataset",
        "raw2",
        "x" * 100,
    ]
    with butler.transaction():
        for name in names:
            kind = DatasetType(name, (), "StructuredDataDict", universe=butler.dimensions)
            butler.registry.registerDatasetType(kind)
            butler.put({"type": name}, name)
    assert len({path.casefold() for path in place.files()}) == len(names)
    for name in names:
        assert butler.get(name) == {"type": name}
        assert [ref.datasetType.name for ref in butler.query_datasets(name)] == [name]


# --------------------------------------------------------------- dimension values


def test_strings_of_data_ids_are_round_tripped_exactly(place: Place, butler: Butler) -> None:
    """Values of a string dimension: any text that fits the column, or a refusal."""
    values = [
        v for v in FINE + SLASHED + ["", "a/../b", "/a", "a//b", ".", "..", "  ", "a\u00a0b"] if len(v) <= 64
    ]
    kind = DatasetType("bygroup", ["instrument", "group"], "StructuredDataDict", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    accepted = []
    for value in dict.fromkeys(values):
        try:
            butler.registry.insertDimensionData("group", {"instrument": CAM, "name": value})
        except ButlerError as exc:
            check_message(exc)
        else:
            accepted.append(value)
    assert len(accepted) >= len(values) - 8, set(values) - set(accepted)
    with butler.transaction():
        for value in accepted:
            butler.put({"group": value}, "bygroup", instrument=CAM, group=value)
    assert len({path.casefold() for path in place.files()}) == len(accepted)
    found = {ref.dataId["group"]: ref for ref in butler.query_datasets("bygroup")}
    assert set(found) == set(accepted)
    for value in accepted:
        assert butler.get("bygroup", instrument=CAM, group=value) == {"group": value}
        assert butler.get(found[value]) == {"group": value}
        assert butler.query_datasets("bygroup", group=value) == [found[value]]
        bound = butler.query_datasets(
            "bygroup", where="instrument = :i AND group = :g", bind={"i": CAM, "g": value}
        )
        assert bound == [found[value]]


@pytest.mark.parametrize(
    "value",
    ["a\nb", "a\0b", "a\x1bb", "a\x7fb", "a\u202eb", "a\u2066b", "\ud800", "a\ufeffb", "x" * 65, "é" * 65, 5,
     None, b"a"],
    ids=lambda value: ascii(value)[:20],
)  # fmt: skip
def test_bad_strings_are_refused_as_values(local: Place, local_butler: Butler, value: Any) -> None:
    with refused(local, local_butler, ButlerError):
        local_butler.registry.insertDimensionData("group", {"instrument": CAM, "name": value})
    kind = DatasetType(
        "bygroup", ["instrument", "group"], "StructuredDataDict", universe=local_butler.dimensions
    )
    local_butler.registry.registerDatasetType(kind)
    with refused(local, local_butler, ButlerError):
        local_butler.put({}, "bygroup", instrument=CAM, group=value)


def test_a_look_alike_is_another_value(butler: Butler) -> None:
    kind = DatasetType("bygroup", ["instrument", "group"], "StructuredDataDict", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    latin, cyrillic = "scope", "ѕсоре"
    assert latin != cyrillic
    for value in (latin, cyrillic):
        butler.registry.insertDimensionData("group", {"instrument": CAM, "name": value})
        butler.put({"group": value}, "bygroup", instrument=CAM, group=value)
    for value in (latin, cyrillic):
        assert butler.get("bygroup", instrument=CAM, group=value) == {"group": value}


# ------------------------------------------------------------------------ paths


def test_names_never_meet_in_one_path(local_butler: Butler) -> None:
    """All pairs of runs and groups, by the names that their files would get."""
    kind = DatasetType(
        "bygroup", ["instrument", "group"], "StructuredDataDict", universe=local_butler.dimensions
    )
    local_butler.registry.registerDatasetType(kind)
    from lakebutler import DatasetRef

    texts = ["a b", "a_b", "a~20b", "a:b", "a/b", "a", "b", "A b", "a.b", "é", "e\u0301"]
    paths: dict[str, tuple[str, str]] = {}
    for run, group in itertools.product(texts, texts):
        ref = DatasetRef(kind, {"instrument": CAM, "group": group}, run=run)
        path = local_butler._datastore.predict(ref).casefold()
        assert paths.setdefault(path, (run, group)) == (run, group)
        assert ".." not in path.split("/")
        assert all(len(part.encode()) <= 255 for part in path.split("/"))


def test_the_description_of_a_run_may_say_anything(butler: Butler) -> None:
    text = "first\nsecond\t\u202e 'x' \"y\" \\ é 😀 </script>"
    butler.collections.register("u/described", doc=text)
    assert butler.collections.get_info("u/described").doc == text
    assert dataset_type(butler, "setup").name == "setup"


def test_older_names_mean_the_same(local_butler: Butler) -> None:
    universe = local_butler.dimensions
    assert DataCoordinate.makeEmpty(universe) == DataCoordinate.make_empty(universe)
    assert list(universe.getStaticElements()) == list(universe.elements)
    assert list(universe.getStaticDimensions()) == list(universe.dimensions)
    assert list(universe.getGovernorDimensions()) == list(universe.governor_dimensions)
    assert list(universe.getDatabaseElements()) == list(universe.database_elements)
    assert local_butler.storageClasses.getStorageClass("StructuredDataDict").name == "StructuredDataDict"


def test_defaults_show_what_was_inferred_but_do_not_fix_it(local: Place, local_butler: Butler) -> None:
    assert dict(local_butler.registry.defaults.dataId) == {}
    local_butler.put({}, "bias", instrument=CAM, detector=0)
    defaults = local_butler.registry.defaults
    assert dict(defaults.dataId) == {"instrument": CAM}
    assert dict(defaults.given) == {}
    with local.open(collections=RUN, inferDefaults=False) as plain:
        assert dict(plain.registry.defaults.dataId) == {}
        plain.registry.defaults = defaults
        assert plain.registry.defaults == defaults
        assert plain.find_dataset("bias", detector=0) is not None
