# SPDX-License-Identifier: BSD-3-Clause
"""Tags, differences between versions and going back, against a comparison row by row."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lakebutler.errors import ConflictingDefinitionError, NameRuleError, SnapshotNotFoundError
from lakebutler.lake.change import Change
from lakebutler.lake.diff import ADDED, CHANGED, REMOVED, diff_state, diff_table
from lakebutler.lake.lake import Lake
from lakebutler.lake.restore import restoring
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.tagging import add_tag, delete_tag
from lakebutler.lake.tags import tags
from tests.lake.helpers import DATA_ID, NAME, SMALL, Row, add, bulk, commit, everything, fresh, reopened, row

KEY = (*DATA_ID, "valid_begin", "id")


def scribble(lake: Lake, seed: int, steps: int) -> list[Snapshot]:
    """Do things at random; return the version after each."""
    chance = random.Random(seed)
    made = [lake.snapshot()]

    def some(n: int) -> list[Row]:
        return [row(chance.randrange(400), chance.randrange(3), chance.choice("ab")) for _ in range(n)]

    def step(change: Change) -> None:
        match chance.randrange(6):
            case 0 | 1:
                change.append_rows(NAME, some(chance.randrange(1, 8)))
            case 2:
                change.append_table(NAME, bulk(list(dict.fromkeys(some(60)))))
            case 3:
                change.delete(NAME, ("id",), [(r[6],) for r in some(15)])
            case 4:
                change.delete(NAME, DATA_ID[:4], [r[:4] for r in some(5)])
                changed = some(1)[0]
                change.delete(NAME, DATA_ID, [changed[:5]])
                change.append_rows(NAME, [(*changed[:9], -1, *changed[10:])])
            case 5:
                change.append_rows(SMALL.name, [(chance.choice("xyz"), chance.choice([None, 1, 2]))])
        change.set("collection", chance.choice("pqr"), chance.choice([None, {"n": 1}, {"n": 2}]))

    for number in range(steps):
        made.append(commit(lake, step))
        if number % 9 == 8:
            lake.compact(everything=number % 2 == 0)
            made.append(lake.snapshot())
        if number % 11 == 10:
            lake.checkpoint()
    return made


def by_hand(a: Snapshot, b: Snapshot, table: str) -> tuple[Counter[Any], Counter[Any]]:
    """What came and what went, row by row."""
    old, new = Counter(everything(a, table)), Counter(everything(b, table))
    return new - old, old - new


def check_diff(a: Snapshot, b: Snapshot, table: str, key: tuple[str, ...]) -> None:
    found = diff_table(a, b, table, key)
    schema = a.schemas()[table]
    came, went = by_hand(a, b, table)
    getter = schema.getter(key)
    rows: dict[str, Counter[Any]] = {ADDED: Counter(), REMOVED: Counter(), CHANGED: Counter()}
    columns = [found.column(name).to_pylist() for name in ("_change", "_fields", *schema.names)]
    for change, fields, *values in zip(*columns, strict=True):
        rows[change][tuple(values)] += 1
        if change == CHANGED:
            assert fields
            twins = [r for r in went if getter(r) == getter(tuple(values))]
            assert any(
                {n for n, x, y in zip(schema.names, r, values, strict=True) if x != y} == set(fields)
                for r in twins
            )
    assert rows[ADDED] + rows[CHANGED] == came
    assert rows[REMOVED] <= went
    assert rows[REMOVED].total() + rows[CHANGED].total() == went.total()
    new_keys, old_keys = Counter(map(getter, came.elements())), Counter(map(getter, went.elements()))
    assert rows[CHANGED].total() == (new_keys & old_keys).total()


@pytest.mark.parametrize("seed", range(3))
def test_a_difference_is_what_a_comparison_row_by_row_finds(tmp_path: Path, seed: int) -> None:
    lake = fresh(tmp_path, type(SMALL)(SMALL.name, SMALL.columns, SMALL.sort, SMALL.scope), _dataset())
    made = scribble(lake, seed, 24)
    chance = random.Random(seed)
    for number in range(6):
        a, b = chance.choice(made), chance.choice(made)
        if number % 2:  # as another process would see them
            a, b = lake.as_of(a.version), reopened(tmp_path).as_of(b.version)
        check_diff(a, b, NAME, KEY)
        check_diff(a, b, SMALL.name, ("name",))
        state = {c.name: (c.before, c.after) for c in diff_state(a, b)}
        old, new = dict(a.state("collection")), dict(b.state("collection"))
        assert state == {n: (old.get(n), new.get(n)) for n in old | new if old.get(n) != new.get(n)}


def _dataset() -> Any:
    from tests.lake.helpers import DATASET

    return DATASET


def test_a_table_that_only_one_version_has_differs_by_all_its_rows(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    before = lake.snapshot()
    commit(lake, lambda change: change.create_table(SMALL))
    after = add(lake, [("x", 1), ("y", None)], SMALL.name)
    assert diff_table(before, after, SMALL.name, ("name",)).column("_change").to_pylist() == [ADDED] * 2
    assert diff_table(after, before, SMALL.name, ("name",)).column("_change").to_pylist() == [REMOVED] * 2


@pytest.mark.parametrize("seed", range(3))
def test_restoring_gives_every_row_and_value_back(tmp_path: Path, seed: int) -> None:
    lake = fresh(tmp_path, SMALL, _dataset())
    made = scribble(lake, 100 + seed, 30)
    chance = random.Random(seed)
    for _ in range(4):
        target = chance.choice(made)
        lake.commit(lambda s, t=target: restoring(s, t), op="restore")  # type: ignore[misc]
        for snapshot in (lake.snapshot(), reopened(tmp_path).snapshot()):
            assert everything(snapshot) == everything(target)
            assert everything(snapshot, SMALL.name) == everything(target, SMALL.name)
            assert dict(snapshot.state("collection")) == dict(target.state("collection"))
        made += scribble(lake, chance.randrange(1000), 4)


def test_restoring_what_is_there_makes_no_version(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    target = add(lake, [row(1)])
    add_tag(lake, "dr1")
    version = lake.snapshot().version
    assert lake.commit(lambda s: restoring(s, target), op="restore").version == version
    assert [tag.name for tag in tags(lake.snapshot())] == ["dr1"]


def test_restoring_is_built_again_when_another_commit_comes_first(tmp_path: Path) -> None:
    lake, other = fresh(tmp_path), reopened(tmp_path)
    target = add(lake, [row(1)])
    base = add(lake, [row(2)])
    change = restoring(base, target)
    add(other, [row(3, run="elsewhere")])
    lake.commit(lambda s: restoring(s, target), op="restore", base=base, change=change)
    assert everything(lake.snapshot()) == [row(1)]


def test_a_version_is_found_by_number_tag_and_time(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    first = add(lake, [row(1)])
    add_tag(lake, "dr1", message="the first")
    add(lake, [row(2)])
    lake.checkpoint()
    for when in (first.version, str(first.version), "dr1", first.time, first.time.isoformat()):
        assert reopened(tmp_path).as_of(when).txid == first.txid
    assert lake.as_of(first.time - timedelta(microseconds=1)).version == first.version - 1
    assert lake.as_of(lake.snapshot().time + timedelta(days=1)).version == lake.snapshot().version
    with pytest.raises(SnapshotNotFoundError, match="dr1"):
        lake.as_of("dr2")
    with pytest.raises(SnapshotNotFoundError, match="as old as"):
        lake.as_of("1999-01-01")


def test_a_tag_is_never_moved_and_a_deleted_name_means_what_it_meant(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    first = add(lake, [row(1)])
    assert add_tag(lake, "dr1").version == first.version
    head = lake.snapshot().version
    assert add_tag(lake, "dr1", first.version).sha256 == first.sha256
    assert lake.snapshot().version == head
    with pytest.raises(ConflictingDefinitionError, match="dr1"):
        add_tag(lake, "dr1")
    assert delete_tag(lake, "dr1").version == first.version
    with pytest.raises(SnapshotNotFoundError, match="dr1"):
        delete_tag(lake, "dr1")
    with pytest.raises(ConflictingDefinitionError, match="was deleted"):
        add_tag(lake, "dr1")
    assert add_tag(lake, "dr1", first.version).version == first.version
    with pytest.raises(SnapshotNotFoundError):
        add_tag(lake, "dr9", 99)
    assert [tag.name for tag in tags(reopened(tmp_path).snapshot())] == ["dr1"]


@pytest.mark.parametrize(
    "name", ["", "12", "2026-01-01", "20260101T000000", "a b", "-x", "é", "x" * 201, "a\n"]
)
def test_a_name_that_could_be_something_else_is_no_tag(tmp_path: Path, name: str) -> None:
    lake = fresh(tmp_path)
    with pytest.raises(NameRuleError):
        add_tag(lake, name)
    assert lake.snapshot().version == 0
