# SPDX-License-Identifier: BSD-3-Clause
"""``butler.collections``, and what of it is also in ``butler.registry``."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lakebutler import (
    Butler,
    CollectionCycleError,
    CollectionExpressionError,
    CollectionNameError,
    CollectionSummary,
    CollectionType,
    CollectionTypeError,
    ConflictingDefinitionError,
    DatasetNotFoundError,
    InvalidQueryError,
    MissingCollectionError,
    OrphanedRecordError,
)
from tests.butler.world import CAM, Place, note_id, refused

TAGGED, CHAINED, CALIBRATION = CollectionType.TAGGED, CollectionType.CHAINED, CollectionType.CALIBRATION


@pytest.fixture
def chained(butler: Butler) -> Butler:
    """A few collections: runs a, b, c, a tag, and chains, one in the other."""
    with butler.transaction():
        for name in ("a", "b", "c"):
            butler.collections.register(name)
        butler.registry.registerCollection("tag")
        butler.registry.registerCollection("calib", CALIBRATION, doc="for later")
        butler.collections.register("inner", CHAINED)
        butler.collections.register("outer", CHAINED)
        butler.collections.redefine_chain("inner", ["a", "b"])
        butler.collections.redefine_chain("outer", ["tag", "inner", "b", "c"])
    return butler


def test_a_collection_is_registered_once(place: Place, butler: Butler) -> None:
    assert butler.collections.register("u/me/run1", doc="first")
    version = butler.version
    assert not butler.collections.register("u/me/run1")
    assert butler.version == version
    info = butler.collections.get_info("u/me/run1")
    assert (info.name, info.type, info.doc, info.children) == ("u/me/run1", CollectionType.RUN, "first", ())
    with refused(place, butler, ConflictingDefinitionError, "u/me/run1", "RUN", "TAGGED"):
        butler.collections.register("u/me/run1", TAGGED)


def test_names_and_globs_are_looked_up(chained: Butler) -> None:
    query = chained.collections.query
    assert set(query("*")) == {"a", "b", "c", "tag", "calib", "inner", "outer", "u/test"}
    assert list(query("a")) == ["a"]
    assert list(query(["c", "a"])) == ["c", "a"]
    assert set(query("?")) == {"a", "b", "c"}
    assert set(query("*er")) == {"inner", "outer"}
    assert set(query("*", collection_types=CHAINED)) == {"inner", "outer"}
    assert set(query("*", collection_types={TAGGED, CALIBRATION})) == {"tag", "calib"}
    assert list(query("outer", flatten_chains=True)) == ["tag", "a", "b", "c"]
    assert list(query("outer", flatten_chains=True, include_chains=True)) == [
        "outer",
        "tag",
        "inner",
        "a",
        "b",
        "c",
    ]
    assert set(query("*", include_chains=False)) == {"a", "b", "c", "tag", "calib", "u/test"}
    assert list(query("nothing-like-it*")) == []
    with pytest.raises(MissingCollectionError, match="tagg"):
        query("tagg")
    with pytest.raises(MissingCollectionError):
        query(["a", "nope"])


def test_patterns_stand_for_collections_wherever_they_are_asked_for(chained: Butler) -> None:
    everything = sorted(chained.collections.query("*"))
    assert sorted(chained.collections.query(...)) == everything
    assert chained.collections.query([re.compile("[ab]"), "tag"]) == ["a", "b", "tag"]
    assert [info.name for info in chained.collections.query_info(re.compile("[ab]"))] == ["a", "b"]
    assert sorted(chained.registry.queryCollections(re.compile("out.*"))) == ["outer"]
    refs = [chained.put({"in": run}, "note", note_id(), run=run) for run in ("b", "a")]
    for place in ("[ab]", ["c", "[ab]"], ..., re.compile("a|b"), ["zz*", re.compile(".*")]):
        assert chained.get("note", note_id(), collections=place) == {"in": "a"}
        assert chained.exists("note", note_id(), collections=place)
        assert chained.registry.findDataset("note", note_id(), collections=place) == refs[1]
    assert chained.find_dataset("note", note_id(), collections="zz*") is None
    with pytest.raises(DatasetNotFoundError):
        chained.get("note", note_id(), collections=re.compile("zz"))
    find = chained.registry.queryDatasets
    assert set(find("note", collections=re.compile("[ab]"))) == set(refs)
    assert set(find("note", collections=[re.compile("b")])) == {refs[0]}
    assert len(chained.query_all_datasets(re.compile("[ab]"), find_first=False)) == 2
    for ask in (find, lambda name, collections, findFirst: chained.query_all_datasets(collections)):
        with pytest.raises(InvalidQueryError, match="no search order"):
            ask("note", collections=re.compile("a"), findFirst=True)
    for wrong in (3, [3], [None], b"a"):
        for look in (chained.collections.query, lambda x: chained.get("note", note_id(), collections=x)):
            with pytest.raises(CollectionExpressionError, match="given by name"):
                look(wrong)


def test_a_collection_that_is_searched_by_default_may_come_later(place: Place, chained: Butler) -> None:
    chained.put({"n": 1}, "note", note_id(), run="a")
    before = place.tree()
    for writeable in (True, False):
        with place.open(collections=["u/me/out", "a"], writeable=writeable) as butler:
            assert tuple(butler.collections) == ("u/me/out", "a")
            for search in (
                lambda b=butler: b.get("note", note_id()),
                lambda b=butler: b.query_datasets("note"),
                lambda b=butler: b.query_all_datasets(),
                lambda b=butler: list(b.registry.queryDatasets("note")),
            ):
                with pytest.raises(MissingCollectionError, match="u/me/out"):
                    search()
    for pattern in ("a*", ["b", "a?"], ..., re.compile("a"), [3]):
        with pytest.raises(CollectionExpressionError, match="by name"):
            place.open(collections=pattern)
    assert place.tree() == before
    with place.open(collections=["u/me/out", "a"], writeable=True) as butler:
        butler.collections.register("u/me/out")
        assert butler.get("note", note_id()) == {"n": 1}


def test_collections_are_described(chained: Butler) -> None:
    chained.put({}, "note", note_id(), run="a")
    infos = chained.collections.query_info("*", include_parents=True, include_summary=True)
    by_name = {info.name: info for info in infos}
    assert by_name["outer"].children == ("tag", "inner", "b", "c")
    assert by_name["b"].parents == {"inner", "outer"}
    assert by_name["outer"].parents == frozenset()
    assert by_name["a"].dataset_types == {"note"}
    assert by_name["inner"].dataset_types == {"note"}
    assert by_name["b"].dataset_types == frozenset()
    assert by_name["calib"].doc == "for later"
    plain = chained.collections.get_info("a")
    assert plain.parents is None
    assert plain.dataset_types is None
    few = chained.collections.query_info("a", include_summary=True, summary_datasets=["raw"])
    assert few[0].dataset_types == frozenset()
    with pytest.raises(MissingCollectionError, match="nope"):
        chained.collections.get_info("nope")


def test_chains_are_edited_at_either_end(chained: Butler) -> None:
    edit = chained.collections

    def children() -> tuple[str, ...]:
        return chained.collections.get_info("inner").children

    edit.prepend_chain("inner", "c")
    assert children() == ("c", "a", "b")
    edit.prepend_chain("inner", ["b", "tag"])
    assert children() == ("b", "tag", "c", "a")
    edit.extend_chain("inner", ["tag", "calib"])
    assert children() == ("b", "c", "a", "tag", "calib")
    edit.remove_from_chain("inner", ["c", "outer", "calib"])
    assert children() == ("b", "a", "tag")
    with pytest.raises(MissingCollectionError, match="typo"):
        edit.remove_from_chain("inner", ["a", "typo"])
    assert children() == ("b", "a", "tag")
    edit.redefine_chain("inner", ["a", "b", "a"])
    assert children() == ("a", "b")
    edit.redefine_chain("inner", [])
    assert children() == ()
    chained.registry.setCollectionChain("inner", ["a"])
    assert chained.registry.getCollectionChain("inner") == ("a",)
    chained.registry.setCollectionChain("inner", ["c", "b"], flatten=True)
    assert children() == ("c", "b")


def test_a_chain_can_be_flattened_into_another(chained: Butler) -> None:
    chained.collections.register("flat", CHAINED)
    chained.registry.setCollectionChain("flat", "outer", flatten=True)
    assert chained.collections.get_info("flat").children == ("tag", "a", "b", "c")
    assert chained.registry.getCollectionParentChains("tag") == {"outer", "flat"}


@pytest.mark.parametrize(
    ("edit", "error", "words"),
    [
        (lambda c: c.extend_chain("inner", "outer"), CollectionCycleError, ("inner", "outer")),
        (lambda c: c.extend_chain("inner", "inner"), CollectionCycleError, ("inner",)),
        (lambda c: c.redefine_chain("inner", ["a", "nope"]), MissingCollectionError, ("nope",)),
        (lambda c: c.redefine_chain("nope", ["a"]), MissingCollectionError, ("nope",)),
        (lambda c: c.prepend_chain("tag", ["a"]), CollectionTypeError, ("tag", "TAGGED", "CHAINED")),
        (lambda c: c.remove_from_chain("a", ["b"]), CollectionTypeError, ("RUN",)),
        (lambda c: c.x_remove("a"), OrphanedRecordError, ("inner",)),
        (lambda c: c.x_remove("nope"), MissingCollectionError, ("nope",)),
        (lambda c: c.x_remove("u/test"), OrphanedRecordError, ("u/test", "note")),
        (lambda c: c.register("a//b"), CollectionNameError, ("a//b",)),
        (lambda c: c.register(7), CollectionNameError, ("int",)),
    ],
)
def test_an_edit_that_makes_no_sense_changes_nothing(
    place: Place, chained: Butler, edit: Any, error: type[BaseException], words: tuple[str, ...]
) -> None:
    chained.put({}, "note", note_id())
    with refused(place, chained, error, *words):
        edit(chained.collections)


def test_collections_are_removed_with_the_memberships_in_them(chained: Butler) -> None:
    ref = chained.put({}, "note", note_id())
    chained.registry.associate("tag", [ref])
    chained.collections.redefine_chain("outer", [])
    chained.collections.x_remove("outer")
    chained.collections.x_remove("tag")
    assert "tag" not in chained.collections.query("*")
    chained.registry.registerCollection("tag")
    assert chained.query_datasets("note", "tag", explain=False) == []
    assert chained.exists(ref)
    chained.collections.x_remove("c")
    assert "c" not in chained.collections.query("*")


def test_a_run_that_holds_datasets_is_not_removed_without_them(place: Place, chained: Butler) -> None:
    ref = chained.registry.insertDatasets("note", [note_id()], run="c")
    chained.registry.associate("tag", ref)
    chained.collections.redefine_chain("outer", [])
    with refused(place, chained, OrphanedRecordError, "'c'", "note"):
        chained.registry.removeCollection("c")


def test_documentation_can_be_changed(chained: Butler) -> None:
    registry = chained.registry
    assert registry.getCollectionDocumentation("calib") == "for later"
    assert registry.getCollectionDocumentation("tag") is None
    registry.setCollectionDocumentation("tag", "the best\nof all")
    assert registry.getCollectionDocumentation("tag") == "the best\nof all"
    registry.setCollectionDocumentation("tag", None)
    assert registry.getCollectionDocumentation("tag") is None
    registry.setCollectionDocumentation("inner", "a chain")
    assert registry.getCollectionChain("inner") == ("a", "b")


def test_the_registry_has_the_fields_names_for_it(chained: Butler) -> None:
    registry = chained.registry
    assert registry.registerRun("new") is True
    assert registry.registerRun("new") is False
    assert registry.getCollectionType("inner") is CHAINED
    assert set(registry.queryCollections(...)) == set(chained.collections.query("*"))
    assert list(registry.queryCollections("outer", flattenChains=True)) == ["tag", "a", "b", "c"]
    assert set(registry.queryCollections(collectionTypes=CHAINED)) == {"inner", "outer"}
    chained.put({}, "note", note_id(), run="b")
    assert set(registry.queryCollections("?", datasetType="note")) == {"b"}
    summary = registry.getCollectionSummary("outer")
    assert {t.name for t in summary.dataset_types} == {"note"}
    assert summary.governors == {"instrument": {CAM}}
    assert len(registry.getCollectionSummary("tag").dataset_types) == 0
    with pytest.raises(MissingCollectionError):
        registry.getCollectionSummary("nope")
    with pytest.raises(MissingCollectionError):
        registry.getCollectionType("nope")
    for name in ("tag", "a"):
        with pytest.raises(CollectionTypeError, match=name):
            registry.getCollectionChain(name)


def test_a_chain_is_searched_in_its_order(chained: Butler) -> None:
    for run in ("a", "b", "c"):
        chained.put({"run": run}, "note", note_id(), run=run)
    assert chained.get("note", note_id(), collections="inner") == {"run": "a"}
    chained.collections.redefine_chain("inner", ["c", "a"])
    assert chained.get("note", note_id(), collections="inner") == {"run": "c"}
    assert chained.get("note", note_id(), collections="outer") == {"run": "c"}
    assert len(chained.query_datasets("note", "outer")) == 1
    assert len(chained.query_datasets("note", "outer", find_first=False)) == 3


def test_the_default_collections_are_a_sequence(place: Place, chained: Butler) -> None:
    with place.open(collections=["inner", "c"]) as butler:
        found = butler.collections
        assert list(found) == ["inner", "c"]
        assert (found[0], found[-1], len(found)) == ("inner", "c", 2)
        assert "c" in found
        assert found == ("inner", "c")
        assert found == butler.clone().collections
        assert "inner" in str(found)


def test_two_editors_of_one_chain_lose_nothing(place: Place, chained: Butler) -> None:
    with place.open(writeable=True) as other:
        with chained.transaction():
            chained.collections.prepend_chain("inner", ["c"])
            other.collections.extend_chain("inner", ["tag"])
        assert other.collections.get_info("inner").children == ("c", "a", "b", "tag")


def test_summaries_are_values_that_can_be_joined(chained: Butler) -> None:
    ref = chained.put({}, "note", note_id(), run="b")
    bias = chained.put({}, "bias", instrument=CAM, detector=0, run="a")
    whole = chained.registry.getCollectionSummary("outer")
    assert set(whole.dataset_types.names) == {"bias", "note"}
    assert whole.dataset_types["note"] == ref.datasetType
    made = CollectionSummary()
    made.add_datasets([ref])
    copied = made.copy()
    made.add_data_ids(bias.datasetType, [bias.dataId])
    assert made == whole
    assert copied != whole
    assert CollectionSummary.union(copied, chained.registry.getCollectionSummary("a")) == whole
    reasons: list[str] = []
    assert whole.is_compatible_with(ref.datasetType, {"instrument": {CAM}}, reasons, "outer")
    assert not copied.is_compatible_with(bias.datasetType, {}, reasons, "b")
    assert not whole.is_compatible_with(ref.datasetType, {"instrument": {"Other"}}, reasons, "outer")
    assert reasons == [
        "there are no datasets of type 'bias' in collection 'b'",
        "there are no datasets with instrument Other in collection 'outer'",
    ]
