# SPDX-License-Identifier: BSD-3-Clause
"""Look-ups in sorted files find exactly what is there, through caches of any size."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakebutler.lake import writer
from lakebutler.lake.change import Change
from lakebutler.lake.group import ByteCache, SortedKeys
from lakebutler.lake.idindex import IdIndex
from lakebutler.lake.schema import Column, TableSchema
from lakebutler.lake.segment import FileSegment, MemorySegment, SegmentStore
from lakebutler.lake.sorting import count_scopes, rows_to_table, sort_table
from lakebutler.lake.storage import open_storage
from tests.lake.helpers import DATA_ID, DATASET, NAME, bulk, commit, fresh, row

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.sampled_from(["", "a", "b", "é", "aa"]),
    "int64": st.sampled_from([-(2**63), -1, 0, 7, 300, 2**40, 2**63 - 1]),
    "float64": st.sampled_from([float("-inf"), -0.5, 0.0, 2.5, float("inf")]),
    "bool": st.booleans(),
    "uuid": st.sampled_from([uuid.UUID(int=n << 60) for n in range(5)]),
    "binary": st.sampled_from([b"", b"\x00", b"\xff", b"a\x00"]),
    "timestamp": st.sampled_from([EPOCH - timedelta(days=40000), EPOCH, EPOCH + timedelta(microseconds=1)]),
}


def order(values: Sequence[Any]) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is not None, value) for value in values)


@st.composite
def tables(draw: st.DrawFn) -> tuple[TableSchema, list[tuple[Any, ...]]]:
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3))
    columns = tuple(Column(f"c{n}", kind) for n, kind in enumerate(kinds))
    schema = TableSchema("t", (*columns, Column("v", "int64")), tuple(c.name for c in columns), ("c0",))
    values = st.tuples(*(st.none() | VALUES[kind] for kind in kinds))
    keys = draw(st.lists(values, min_size=1, max_size=25))
    return schema, [(*key, n) for n, key in enumerate(keys)]


@given(tables())
@settings(max_examples=100)
def test_rows_of_any_types_are_sorted_and_found(given_: tuple[TableSchema, list[tuple[Any, ...]]]) -> None:
    schema, rows = given_
    done = sort_table(schema, rows_to_table(schema, rows))
    there = list(zip(*(column.to_pylist() for column in done.table.columns), strict=True))
    assert [order(r[:-1]) for r in there] == sorted(order(r[:-1]) for r in rows)
    assert sorted(r[-1] for r in there) == list(range(len(rows)))
    assert sum(n for _, n in done.scopes) == len(rows)
    assert dict(done.scopes) == {(s,): [r[0] for r in rows].count(s) for s in {r[0] for r in rows}}
    assert count_scopes(schema, done.table) == list(done.scopes)
    segment = MemorySegment(schema, rows_to_table(schema, rows))
    keys = SortedKeys(schema, done.table)
    for depth in range(1, len(schema.sort) + 1):
        for key in {r[:depth] for r in rows} | {(None,) * depth}:
            wanted = sorted(r[-1] for r in rows if r[:depth] == key)
            assert sorted(r[-1] for r in segment.find(key)) == wanted
            low, high = keys.range(key)
            assert high - low == len(wanted)


@pytest.mark.parametrize("budget", [1, 10**9])
def test_files_of_many_groups_are_searched_through_a_cache_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    monkeypatch.setattr(writer, "GROUP_ROWS", 64)
    rows = [row(v // 3, v % 3, run=f"r{v % 2}", kind=f"k{v % 5}") for v in range(1500)]
    lake = fresh(tmp_path)
    commit(lake, lambda c: c.append_table(NAME, bulk(rows)))
    (slot,) = [s for s in lake.snapshot().view(NAME).layers[0][0].slots if s.segment.rows]
    store = SegmentStore(open_storage(tmp_path), key_budget=budget, row_budget=budget)
    segment = store.segment(DATASET, slot.segment.file)  # type: ignore[attr-defined]
    assert isinstance(segment, FileSegment)
    assert len(segment.group_starts) == 24
    for one in random.Random(1).sample(rows, 60):
        assert segment.find(one[:5]) == [one]
        assert segment.find(one[:6]) == [one]
        assert sorted(segment.find(one[:2]), key=repr) == sorted(
            [r for r in rows if r[:2] == one[:2]], key=repr
        )
    assert segment.find(("k0", "r0", "HSC", 10**6)) == []
    assert segment.find(("a",)) == []
    assert segment.find(("z",)) == []
    assert [segment.take(n) for n in (0, 63, 64, 1499)] == sorted(rows, key=lambda r: order(r[:6]))[0:1] + [
        sorted(rows, key=lambda r: order(r[:6]))[n] for n in (63, 64, 1499)
    ]
    if budget == 1:
        assert len(store.rows._items) <= 1


def test_a_cache_keeps_to_its_budget() -> None:
    cache = ByteCache(100)
    for number in range(50):
        cache.put(number, str(number), 10)
        assert cache.used <= 100
    assert cache.get(49) == "49"
    assert cache.get(0) is None
    cache.get(40)
    for number in range(50, 59):
        cache.put(number, "x", 10)
    assert cache.get(40) == "40"
    cache.put(40, "again", 30)
    assert cache.get(40) == "again"
    cache.put("huge", "x", 1000)
    assert cache.get("huge") == "x"
    cache.clear()
    assert cache.used == 0


def test_ids_are_found_among_many_segments_that_come_one_by_one() -> None:
    index = IdIndex()
    segments: list[Any] = []
    rows: list[tuple[Any, ...]] = []
    for number in range(40):
        part = [row(number * 100 + v) for v in range(1 + number % 4)]
        segments.append(MemorySegment(DATASET, bulk(part)))
        rows.extend(part)
        for one in (rows[0], rows[-1], rows[len(rows) // 2]):
            found = [segments[s].take(r) for s, r in index.find(segments, one[6])]
            assert found == [one]
    assert len(index._pieces) <= 7
    assert list(index.find(segments, uuid.UUID(int=1))) == []


def test_ids_that_share_their_first_half_are_told_apart(tmp_path: Path) -> None:
    """Ids made in one millisecond may."""
    lake = fresh(tmp_path)
    rows = [(*row(v)[:6], uuid.UUID(int=(5 << 64) + v), *row(v)[7:]) for v in range(1200)]
    commit(lake, lambda c: c.append_table(NAME, bulk(rows)))
    for one in (rows[0], rows[600], rows[-1]):
        assert lake.snapshot().find(NAME, ("id",), (one[6],)) == [one]
    assert lake.snapshot().find(NAME, ("id",), (uuid.UUID(int=(5 << 64) + 5000),)) == []


def test_columns_that_cannot_be_searched_are_named(tmp_path: Path) -> None:
    snapshot = fresh(tmp_path).snapshot()
    for columns, key in (
        (("visit",), (1,)),
        (("dataset_type", "instrument"), ("a", "b")),
        (("id", "visit"), (1, 2)),
    ):
        with pytest.raises(ValueError, match="leading part"):
            snapshot.find(NAME, columns, key)
    with pytest.raises(KeyError, match="no table"):
        snapshot.find("nope", ("a",), (1,))
    with pytest.raises(TypeError):
        snapshot.find(NAME, DATA_ID, ("raw", "run", "HSC", "1", 0))


def test_a_key_may_name_the_leading_columns_in_any_order(tmp_path: Path) -> None:
    columns = (Column("a", "string"), Column("b", "int64"), Column("c", "int64"), Column("v", "string"))
    lake = fresh(tmp_path)
    change = Change()
    change.create_table(TableSchema("t", columns, ("a", "c", "b"), ("a",)))
    change.append_rows("t", [("x" if n % 2 else "y", n % 7, n, f"v{n}") for n in range(3000)])
    snapshot = lake.commit(lambda _: change, op="add")
    inline = Change()
    inline.append_rows("t", [("x", 5, -1, "inline")])
    snapshot = lake.commit(lambda _: inline, op="add")
    for n in (0, 1, 2999):
        wanted = ("x" if n % 2 else "y", n % 7, n, f"v{n}")
        for names in (("a", "b", "c"), ("a", "c", "b"), ("c", "b", "a")):
            key = tuple(wanted["abc".index(name)] for name in names)
            assert snapshot.find("t", names, key) == [wanted]
    assert snapshot.find("t", ("b", "a", "c"), (5, "x", -1)) == [("x", 5, -1, "inline")]
    assert snapshot.find("t", ("c", "a"), (4, "y")) == [("y", 4, 4, "v4")]
    with pytest.raises(ValueError, match="leading part"):
        snapshot.find("t", ("a", "b"), ("x", 1))


def test_leading_values_alone_are_those_of_the_whole_rows(tmp_path: Path) -> None:
    lake = fresh(tmp_path)
    columns = (Column("a", "string"), Column("b", "int64"), Column("id", "uuid"), Column("v", "string"))
    change = Change()
    change.create_table(TableSchema("t", columns, ("a", "b"), ("a",), "id"))
    change.append_rows("t", [("x", n, uuid.UUID(int=n << 64), f"v{n}") for n in range(3000)])
    lake.commit(lambda _: change, op="add")
    delete = Change()
    delete.delete("t", ("v",), [("v7",)])
    before = lake.snapshot()
    after = lake.commit(lambda _: delete, op="remove")
    for snapshot, there in ((before, [7]), (after, [])):
        for width in (3, 4, None):
            found = [("x", n, uuid.UUID(int=n << 64), f"v{n}")[:width] for n in there]
            assert snapshot.find("t", ("a", "b"), ("x", 7), width) == found
            assert snapshot.find("t", ("id",), (uuid.UUID(int=7 << 64),), width) == found


def test_files_whose_numbers_are_all_outside_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = fresh(tmp_path / "repo")
    for visit in (10, 20, 30):
        change = Change()
        change.append_table(NAME, bulk([row(visit, detector) for detector in range(3)]))
        lake.commit(lambda _, change=change: change, op="add")
    read: list[str] = []
    original = FileSegment.read

    def noted(self: FileSegment, group: int | None, columns: Sequence[str]) -> Any:
        read.append(self.file.path)
        return original(self, group, columns)

    for delete in (False, True):
        if delete:  # now it is the engine that reads
            change = Change()
            change.delete(NAME, ("visit", "detector"), [(20, 1)])
            lake.commit(lambda _, change=change: change, op="delete")
        snapshot = lake.snapshot()
        for low, high, visits in (
            (10, 10, [10] * 3),
            (11, 19, []),
            (20, None, [20] * (2 if delete else 3) + [30] * 3),
            (None, 20, [10] * 3 + [20] * (2 if delete else 3)),
            (31, None, []),
            (None, 9, []),
        ):
            found = snapshot.scan(NAME, ["visit"], {"collection": "run"}, {"visit": (low, high)})
            assert sorted(found.column("visit").to_pylist()) == visits
    with monkeypatch.context() as patch:
        patch.setattr(FileSegment, "read", noted)
        assert lake.snapshot().scan(NAME, ["path"], None, {"visit": (40, 50)}).num_rows == 0
        assert read == []  # the least and the greatest are known from before
