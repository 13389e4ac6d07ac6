# SPDX-License-Identifier: BSD-3-Clause
"""Transactions, and what a second writer does to operations under way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakebutler.collections.collection import CollectionType
from lakebutler.errors import (
    CollectionCycleError,
    ConflictingDefinitionError,
    DatasetNotFoundError,
    MissingCollectionError,
    ReadOnlyButlerError,
)
from lakebutler.registry.registry import Registry
from lakebutler.registry.session import Session
from lakebutler.timespan import Timespan
from tests.registry.conftest import World

Look = Callable[[], tuple[int, list[str]]]


class Stop(Exception):
    """Raised by a test inside a transaction."""


def test_a_transaction_is_one_version_and_sees_its_own_writes(world: World) -> None:
    registry = world.registry
    before = registry.snapshot.version
    with registry.session.transaction():
        ref = world.add(1)
        assert world.find(registry, "run/a", 1) == ref.id
        assert world.find(world.another(), "run/a", 1) is None
        registry.associate("tag", [ref])
        assert world.find(registry, "tag", 1) == ref.id
    assert registry.snapshot.version == before + 1
    assert world.find(world.another(), "tag", 1) == ref.id


def test_a_transaction_that_fails_leaves_nothing(world: World, tables: Look) -> None:
    before = tables()
    with pytest.raises(Stop), world.registry.session.transaction():
        world.add(1)
        raise Stop
    assert tables() == before
    assert world.find(world.registry, "run/a", 1) is None


def test_an_inner_transaction_undoes_only_its_own(world: World) -> None:
    registry = world.registry
    with registry.session.transaction():
        kept = world.add(1)
        with pytest.raises(Stop), registry.session.transaction():
            world.add(2)
            assert world.find(registry, "run/a", 2) is not None
            raise Stop
        assert world.find(registry, "run/a", 2) is None
        later = world.add(2)
    assert world.find(world.another(), "run/a", 1) == kept.id
    assert world.find(world.another(), "run/a", 2) == later.id


def test_a_dataset_added_and_removed_in_one_transaction_is_gone(world: World) -> None:
    from lakebutler.registry.removal import remove_datasets

    with world.registry.session.transaction():
        ref = world.add(1)
        world.registry.session.execute(lambda s: remove_datasets(s, [ref], []), op="remove")
    assert world.find(world.another(), "run/a", 1) is None


def test_independent_writers_do_not_hinder_each_other(world: World) -> None:
    with world.registry.session.transaction():
        mine = world.add(1)
        theirs = world.ref(2, "run/b")
        world.another().add([theirs], None, op="test")
    fresh = world.another()
    assert world.find(fresh, "run/a", 1) == mine.id
    assert world.find(fresh, "run/b", 2) == theirs.id


def test_the_second_to_take_a_data_id_is_refused(world: World) -> None:
    other = world.another()
    taken = world.ref(1)
    with (
        pytest.raises(ConflictingDefinitionError, match="taken by dataset"),
        world.registry.session.transaction(),
    ):
        world.add(1)
        other.add([taken], None, op="test")
    assert world.find(world.another(), "run/a", 1) == taken.id


def test_a_run_removed_meanwhile_is_noticed(world: World) -> None:
    other = world.another()
    with pytest.raises(MissingCollectionError), world.registry.session.transaction():
        world.add(1)
        other.remove_collection("run/a")
    assert world.find(world.another(), "run/b", 1) is None


def test_a_dataset_removed_meanwhile_cannot_be_tagged(world: World) -> None:
    from lakebutler.registry.removal import remove_datasets

    ref = world.add(1)
    other = world.another()
    with pytest.raises(DatasetNotFoundError), world.registry.session.transaction():
        world.registry.associate("tag", [ref])
        other.session.execute(lambda s: remove_datasets(s, [ref], []), op="remove")


def test_two_editors_of_a_chain_both_count(world: World) -> None:
    other = world.another()
    with world.registry.session.transaction():
        world.registry.edit_chain("chain", "extend", ["run/a"])
        other.edit_chain("chain", "extend", ["run/b"])
    assert world.another().collection_info("chain").children == ("run/b", "run/a")


def test_a_cycle_made_by_two_editors_is_refused(world: World) -> None:
    world.registry.register_collection("second", CollectionType.CHAINED)
    other = world.another()
    with pytest.raises(CollectionCycleError), world.registry.session.transaction():
        world.registry.edit_chain("chain", "extend", ["second"])
        other.edit_chain("second", "extend", ["chain"])


def test_validity_taken_meanwhile_is_refused(world: World) -> None:
    first, second = world.add(1), world.add(1, "run/b")
    other = world.another()
    hours = 3_600_000_000_000
    with pytest.raises(ConflictingDefinitionError), world.registry.session.transaction():
        world.registry.certify("calib", [first], Timespan.from_nsec(10 * hours, 20 * hours))
        other.certify("calib", [second], Timespan.from_nsec(15 * hours, 30 * hours))
    when = Timespan.from_nsec(16 * hours, 17 * hours)
    assert world.find(world.another(), "calib", 1, timespan=when) == second.id


def test_the_last_tag_replaces(world: World) -> None:
    first, second = world.add(1), world.add(1, "run/b")
    other = world.another()
    with world.registry.session.transaction():
        world.registry.associate("tag", [first])
        other.associate("tag", [second])
    assert world.find(world.another(), "tag", 1) == first.id


def test_a_pinned_session_refuses_changes(world: World) -> None:
    snapshot = world.registry.snapshot
    pinned = Registry(Session(world.registry.session.lake, writeable=True, pinned=snapshot), world.universe)
    world.add(1)
    assert world.find(pinned, "run/a", 1) is None
    with pytest.raises(ReadOnlyButlerError, match="history"):
        pinned.register_collection("x", CollectionType.RUN)


def test_a_held_snapshot_stays(world: World) -> None:
    other = world.another()
    with world.registry.session.held():
        other.add([world.ref(1)], None, op="test")
        assert world.find(world.registry, "run/a", 1) is None
    assert world.find(world.registry, "run/a", 1) is not None
