# SPDX-License-Identifier: BSD-3-Clause
"""A few rows picked by their sort columns are those that a scan with a filter leaves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.select import Allowed, estimate, select
from lakebutler.lake.snapshot import Snapshot
from tests.lake.helpers import DATASET, NAME, add, bulk, commit, fresh, row

RUNS = ["run", "other", "third"]


def _grow(lake: Lake) -> Iterator[Snapshot]:
    source = random.Random(1)
    places = [
        (v, d, run, kind) for v in range(60) for d in range(6) for run in RUNS for kind in ("raw", "flat")
    ]
    source.shuffle(places)
    cuts = [0, 900, 901, 905, 1500, len(places)]
    for low, high in pairwise(cuts):
        rows = [row(*place) for place in places[low:high]]
        if len(rows) > 10:
            commit(lake, lambda c, rows=rows: c.append_table(NAME, bulk(rows)))
        else:
            add(lake, rows)
        yield lake.snapshot()
    commit(lake, lambda c: c.delete(NAME, ("visit",), [(3,), (17,)]))
    yield lake.snapshot()
    add(lake, [row(3), row(90, 2)])
    yield lake.snapshot()
    change = Change()
    change.delete(NAME, ("visit", "detector"), [(5, d) for d in range(3)])
    change.append_rows(NAME, [row(200)])
    change.append_table(NAME, bulk([row(v, 4) for v in range(300, 330)]))
    yield lake.snapshot().apply(change)


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> list[Snapshot]:
    place: Path = tmp_path_factory.mktemp("select") / "repo"
    return list(_grow(fresh(place, DATASET)))


numbers = st.one_of(
    st.frozensets(st.integers(-1, 340), max_size=40).map(Allowed),
    st.tuples(st.none() | st.integers(-5, 80), st.none() | st.integers(-5, 400)).map(
        lambda pair: Allowed(None, *pair)
    ),
)
allowed = st.fixed_dictionaries(
    {},
    optional={
        "dataset_type": st.frozensets(st.sampled_from(["raw", "flat", "dark"])).map(Allowed),
        "collection": st.frozensets(st.sampled_from([*RUNS, "none"])).map(Allowed),
        "instrument": st.frozensets(st.sampled_from(["HSC", "DECam"])).map(Allowed),
        "visit": numbers,
        "detector": numbers,
    },
)


@given(st.integers(0, 7), allowed)
def test_selected_rows_are_those_that_a_filter_leaves(
    snapshots: list[Snapshot], version: int, wanted: dict[str, Allowed]
) -> None:
    snapshot = snapshots[version]
    columns = ("visit", "id", "collection", "path")
    place = DATASET.position
    names = tuple(c.name for c in DATASET.columns)
    scanned = snapshot.scan(NAME, names)
    everything = zip(*(scanned.column(n).to_pylist() for n in names), strict=True)
    expected = [
        tuple(one[place[c]] for c in columns)
        for one in everything
        if all(known.has(one[place[name]]) for name, known in wanted.items())
    ]
    found = select(snapshot, NAME, wanted, columns, 10_000)
    assert found is not None
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert estimate(snapshot, NAME, wanted) >= len(expected)
    if expected and version < 5:
        assert select(snapshot, NAME, wanted, columns, len(expected) - 1) is None


@given(numbers, numbers)
def test_what_two_conditions_allow_is_what_each_of_them_does(one: Allowed, two: Allowed) -> None:
    both: Any = one.meet(two)
    for value in range(-10, 420, 3):
        assert both.has(value) is (one.has(value) and two.has(value))
