# SPDX-License-Identifier: BSD-3-Clause
"""A lake does what a dictionary would, whatever is done in whatever order."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from lakebutler.lake import change as changes
from lakebutler.lake import compact, writer
from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.schema import Column, TableSchema
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.storage import open_storage
from tests.lake.helpers import everything, ordered

Row = tuple[Any, ...]
TABLE = TableSchema(
    "t",
    (
        Column("kind", "string"),
        Column("run", "string", False),
        Column("number", "int64"),
        Column("id", "uuid"),
        Column("value", "float64"),
    ),
    ("kind", "run", "number"),
    ("kind", "run"),
    "id",
)
KINDS = st.sampled_from(["raw", "bias", None])
RUNS = st.sampled_from(["r1", "r2", "é"])
NUMBERS = st.sampled_from([None, -(2**63), 0, 1, 2, 3, 2**63 - 1])
IDS = [uuid.uuid5(uuid.NAMESPACE_OID, str(n)) for n in range(12)]
ROWS = st.tuples(
    KINDS, RUNS, NUMBERS, st.sampled_from([None, *IDS]), st.sampled_from([None, 0.5, float("inf")])
)
BATCH = st.lists(ROWS, min_size=1, max_size=8)
DELETES = st.one_of(
    st.tuples(st.just(("id",)), st.lists(st.tuples(st.sampled_from(IDS)), min_size=1, max_size=6)),
    st.tuples(st.just(("run",)), st.lists(st.tuples(RUNS), min_size=1, max_size=2)),
    st.tuples(st.just(("kind", "run")), st.lists(st.tuples(KINDS, RUNS), min_size=1, max_size=3)),
    st.tuples(st.just(("number", "kind")), st.lists(st.tuples(NUMBERS, KINDS), min_size=1, max_size=3)),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("rows"), BATCH),
        st.tuples(st.just("bulk"), BATCH),
        st.tuples(st.just("delete"), DELETES),
        st.tuples(
            st.just("set"), st.tuples(st.sampled_from("abc"), st.sampled_from([None, 1, [2], {"x": 3}]))
        ),
    ),
    min_size=1,
    max_size=3,
)


class Model:
    """Rows and values as a list and a dictionary."""

    def __init__(self, rows: list[Row] | None = None, values: dict[str, Any] | None = None) -> None:
        self.rows = rows or []
        self.values = values or {}

    def after(self, steps: list[tuple[str, Any]]) -> Model:
        """Return the model after one change: its deletes hit what was there before it."""
        rows = list(self.rows)
        values = dict(self.values)
        for verb, what in steps:
            if verb == "delete":
                columns, keys = what
                getter = TABLE.getter(columns)
                rows = [row for row in rows if getter(row) not in set(keys)]
            elif verb == "set":
                values[what[0]] = what[1]
        for verb, what in steps:
            if verb in ("rows", "bulk"):
                rows += what
        return Model(rows, {name: value for name, value in values.items() if value is not None})


def change_of(steps: list[tuple[str, Any]]) -> Change:
    from lakebutler.lake.sorting import rows_to_table

    change = Change()
    for verb, what in steps:
        match verb:
            case "rows":
                change.append_rows("t", what)
            case "bulk":
                change.append_table("t", rows_to_table(TABLE, what))
            case "delete" if len(what[1]) % 2:
                change.delete_table("t", rows_to_table(TABLE, what[1], what[0]))
            case "delete":
                change.delete("t", *what)
            case "set":
                change.set("k", *what)
    return change


def check(snapshot: Snapshot, model: Model, *, engine: bool = False) -> None:
    """Compare everything that can be asked of a snapshot with the model."""
    assert everything(snapshot, "t") == ordered(model.rows)
    assert dict(snapshot.state("k")) == model.values
    assert set(snapshot.scopes("t")) >= {row[:2] for row in model.rows}
    for depth in (1, 2, 3):
        columns, getter = TABLE.sort[:depth], TABLE.getter(TABLE.sort[:depth])
        for key in {getter(row) for row in model.rows} | {
            ("raw", "r1", 3)[:depth],
            (None, "r2", None)[:depth],
        }:
            wanted = [row for row in model.rows if getter(row) == key]
            assert ordered(snapshot.find("t", columns, key)) == ordered(wanted)
    for one in IDS[:6]:
        assert ordered(snapshot.find("t", ("id",), (one,))) == ordered([r for r in model.rows if r[3] == one])
    for where in (
        {"run": "r1"},
        {"kind": ["raw", None], "run": ["r2", "é"]},
        {"number": [None, 3]},
        {"id": IDS[:3]},
    ):
        tests = [(TABLE.position[name], v if isinstance(v, list) else [v]) for name, v in where.items()]
        wanted = [row for row in model.rows if all(row[i] in values for i, values in tests)]
        found = snapshot.scan("t", None, where)
        assert ordered(list(zip(*found.to_pydict().values(), strict=True))) == ordered(wanted)
    for low, high in ((0, 2), (None, 1), (2, None)):
        found = snapshot.scan("t", ("id", "number"), {"run": "r1"}, {"number": (low, high)})
        wanted_rows = [
            (r[3], r[2])
            for r in model.rows
            if r[1] == "r1"
            and r[2] is not None
            and (low is None or r[2] >= low)
            and (high is None or r[2] <= high)
        ]
        assert ordered(list(zip(*found.to_pydict().values(), strict=True))) == ordered(wanted_rows)
    if engine:
        check_match(snapshot, model)


def check_match(snapshot: Snapshot, model: Model) -> None:
    """Compare bulk look-ups, by the engine and without it."""
    from lakebutler.lake.engine import query
    from lakebutler.lake.sorting import rows_to_table

    keys = [("raw", 3), (None, None), ("bias", 2**63 - 1)]
    for repeat in (1, 20):
        table = rows_to_table(TABLE, keys * repeat, ("kind", "number"))
        found = snapshot.match("t", ("kind", "number"), table, ["run", "id"])
        wanted = [
            (r[1], r[3], n) for n, key in enumerate(keys * repeat) for r in model.rows if (r[0], r[2]) == key
        ]
        assert ordered(list(zip(*found.to_pydict().values(), strict=True))) == ordered(wanted)
    for more in (0, 40):  # so many that they are not looked up one by one
        wanted_ids = [*(uuid.UUID(int=i) for i in range(more)), *IDS]
        ids = rows_to_table(TABLE, [(i,) for i in wanted_ids], ("id",))
        found = snapshot.match("t", ("id",), ids, ["id", "number"], {"run": "r1"})
        rows = [(r[3], r[2], wanted_ids.index(r[3])) for r in model.rows if r[3] in IDS and r[1] == "r1"]
        assert ordered(list(zip(*found.to_pydict().values(), strict=True))) == ordered(rows)
    counted = query(snapshot, "SELECT count(*) AS n, count(value) AS v FROM t WHERE run = ?", ["r2"])
    assert counted.to_pylist() == [
        {
            "n": sum(row[1] == "r2" for row in model.rows),
            "v": sum(row[1] == "r2" and row[4] is not None for row in model.rows),
        }
    ]


class LakeMachine(RuleBasedStateMachine):
    """Two lakes on one repository, open transactions, and snapshots that are kept."""

    snapshots = Bundle("snapshots")

    @initialize()
    def make(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lake-model-"))
        change = Change()
        change.create_table(TABLE)
        lake = Lake.create(open_storage(self.folder), config={}, change=change)
        self.lakes = [lake, Lake.open(open_storage(self.folder))]
        self.model = Model()
        self.past = {0: self.model}
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(writer, "INLINE_ROWS", 6)
        self.patch.setattr(changes, "_MANY_KEYS", 1)
        self.patch.setattr(writer, "GROUP_ROWS", 2)
        self.patch.setattr(writer, "OWN_FILE_ROWS", 3)
        self.patch.setattr(compact, "OWN_FILE_ROWS", 3)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.patch.undo()
            shutil.rmtree(self.folder)

    def _moved(self, snapshot: Snapshot, model: Model) -> Snapshot:
        self.model = model
        for version in range(max(self.past) + 1, snapshot.version):
            self.past[version] = self.past[version - 1]
        self.past[snapshot.version] = model
        return snapshot

    @rule(target=snapshots, which=st.integers(0, 1), steps=STEPS)
    def commit(self, which: int, steps: list[tuple[str, Any]]) -> tuple[Snapshot, Model]:
        snapshot = self.lakes[which].commit(lambda _: change_of(steps), op="commit")
        return self._moved(snapshot, self.model.after(steps)), self.model

    @rule(which=st.integers(0, 1), several=st.lists(STEPS, min_size=1, max_size=4), data=st.data())
    def transaction(self, which: int, several: list[list[tuple[str, Any]]], data: st.DataObject) -> None:
        lake = self.lakes[which]
        base = working = lake.snapshot()
        model, whole, seen = self.model, Change(), []
        for steps in several:
            change = change_of(steps)
            working = working.apply(change)
            whole.extend(change)
            model = model.after(steps)
            seen.append((working, model))
        if len(seen) > 1:
            again, branched = seen[0]
            check(again.apply(change_of(several[-1])), branched.after(several[-1]))
        for working, expected in seen:
            check(working, expected, engine=working is seen[-1][0])
        check(base, self.model)
        if data.draw(st.booleans(), "commit"):
            self._moved(lake.commit(lambda _: whole, op="transaction", base=base, change=whole), model)

    @rule(which=st.integers(0, 1), everything=st.booleans())
    def compact(self, which: int, everything: bool) -> None:
        lake = self.lakes[which]
        lake.compact(everything=everything)
        self._moved(lake.snapshot(), self.model)

    @rule(which=st.integers(0, 1), steps=STEPS, with_checkpoint=st.booleans())
    def compact_while_another_commits(
        self, which: int, steps: list[tuple[str, Any]], with_checkpoint: bool
    ) -> None:
        lake, other = self.lakes[which], self.lakes[1 - which]
        work = compact.Compaction("t", writer.FileWriter(lake.storage))
        base = lake.snapshot()
        change = work.build(base)
        self._moved(other.commit(lambda _: change_of(steps), op="commit"), self.model.after(steps))
        if with_checkpoint:
            other.checkpoint()
        if change is not None:
            self._moved(lake.commit(work.build, op="compact", base=base, change=change), self.model)
        check(lake.snapshot(), self.model)
        check(Lake.open(open_storage(self.folder)).snapshot(), self.model)

    @rule(which=st.integers(0, 1))
    def checkpoint(self, which: int) -> None:
        self.lakes[which].checkpoint()

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        self.lakes[which].close()
        self.lakes[which] = Lake.open(open_storage(self.folder))

    @rule(kept=snapshots)
    def look_at_a_kept_snapshot(self, kept: tuple[Snapshot, Model]) -> None:
        check(kept[0], kept[1], engine=True)

    @rule(data=st.data(), which=st.integers(0, 1))
    def look_at_the_past(self, data: st.DataObject, which: int) -> None:
        version = data.draw(st.sampled_from(sorted(self.past)))
        check(self.lakes[which].as_of(version), self.past[version])

    @invariant()
    def both_lakes_see_the_newest(self) -> None:
        for lake in getattr(self, "lakes", ()):
            snapshot = lake.snapshot()
            assert snapshot.version == max(self.past)
            assert everything(snapshot, "t") == ordered(self.model.rows)


TestLakeModel = LakeMachine.TestCase
TestLakeModel.settings = settings(max_examples=8, stateful_step_count=10, deadline=None)
