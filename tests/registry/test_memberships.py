# SPDX-License-Identifier: BSD-3-Clause
"""Tags and validity ranges against a plain model of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakebutler.errors import (
    CalibrationLookupError,
    CollectionTypeError,
    ConflictingDefinitionError,
    DatasetNotFoundError,
)
from lakebutler.timespan import Timespan
from tests.registry.conftest import World

HOUR = 3_600_000_000_000


def hours(begin: int, end: int) -> Timespan:
    return Timespan.from_nsec(begin * HOUR, end * HOUR)


def test_a_tag_holds_one_dataset_of_each_data_id(world: World) -> None:
    first, second = world.add(1), world.add(1, "run/b")
    world.registry.associate("tag", [first])
    world.registry.associate("tag", [second])
    assert world.find(world.registry, "tag", 1) == second.id
    with pytest.raises(ConflictingDefinitionError, match="another dataset"):
        world.registry.associate("tag", [first], replace=False)
    with pytest.raises(ConflictingDefinitionError, match="cannot be in one tag"):
        world.registry.associate("tag", [first, second])
    world.registry.disassociate("tag", [first])
    assert world.find(world.registry, "tag", 1) == second.id
    world.registry.disassociate("tag", [second])
    assert world.find(world.registry, "tag", 1) is None
    assert world.find(world.registry, "run/b", 1) == second.id


def test_many_datasets_are_tagged_and_untagged_at_once(tmp_path: Path) -> None:
    world = World(tmp_path / "repo")
    rows = [{"instrument": "Cam", "id": i, "full_name": f"d{i}"} for i in range(100, 700)]
    world.insert("detector", rows)
    refs = [world.ref(i) for i in range(100, 700)]
    world.registry.add(refs, None, op="test")
    version = world.registry.snapshot.version
    world.registry.associate("tag", refs)
    world.registry.associate("tag", refs)
    assert world.registry.snapshot.version == version + 1
    other = [world.ref(i, "run/b") for i in range(100, 400)]
    world.registry.add(other, None, op="test")
    world.registry.associate("tag", other)
    for i in (100, 399, 400, 699):
        wanted = other[i - 100] if i < 400 else refs[i - 100]
        assert world.find(world.registry, "tag", i) == wanted.id
    world.registry.disassociate("tag", [*other, *refs])
    assert all(world.find(world.registry, "tag", i) is None for i in (100, 399, 400, 699))
    world.close()


def test_only_what_is_registered_can_be_a_member(world: World) -> None:
    with pytest.raises(DatasetNotFoundError):
        world.registry.associate("tag", [world.ref(1)])
    with pytest.raises(DatasetNotFoundError):
        world.registry.certify("calib", [world.ref(1)], hours(0, 1))
    ref = world.add(1)
    with pytest.raises(CollectionTypeError, match="of type RUN"):
        world.registry.associate("run/a", [ref])
    with pytest.raises(CollectionTypeError, match="of type TAGGED"):
        world.registry.certify("tag", [ref], hours(0, 1))


def test_an_ambiguous_look_up_says_so(world: World) -> None:
    world.registry.certify("calib", [world.add(1)], hours(0, 5))
    world.registry.certify("calib", [world.add(1, "run/b")], hours(5, 9))
    with pytest.raises(CalibrationLookupError, match="give one with timespan="):
        world.find(world.registry, "calib", 1)
    with pytest.raises(CalibrationLookupError):
        world.find(world.registry, "calib", 1, timespan=hours(4, 6))
    assert world.find(world.registry, "calib", 1, timespan=hours(9, 10)) is None


STEPS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["run/a", "run/b"]), st.integers(0, 20), st.integers(1, 8)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_validity_is_that_of_a_timeline(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, str, int, int]]
) -> None:
    world = World(tmp_path_factory.mktemp("lake") / "repo")
    refs = {run: world.add(1, run) for run in ("run/a", "run/b")}
    line: dict[int, object] = {}
    for certify, run, begin, length in steps:
        span = hours(begin, begin + length)
        mine = range(begin, begin + length)
        if not certify:
            world.registry.decertify("calib", world.bias, span)
            for hour in mine:
                line.pop(hour, None)
        elif any(hour in line for hour in mine):
            with pytest.raises(ConflictingDefinitionError):
                world.registry.certify("calib", [refs[run]], span)
        else:
            world.registry.certify("calib", [refs[run]], span)
            line.update(dict.fromkeys(mine, refs[run].id))
    for hour in range(30):
        assert world.find(world.registry, "calib", 1, timespan=hours(hour, hour + 1)) == line.get(hour)
    world.close()
