# SPDX-License-Identifier: BSD-3-Clause
"""Columns of sorted keys: where values lie, against a plain look at each row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.lake.group import KeyColumn

VALUES = st.one_of(st.none(), st.integers(-4, 12), st.sampled_from([2**40, -(2**40)]))


def order(value: int | None) -> tuple[bool, int]:
    return (value is not None, value or 0)


@given(st.lists(VALUES, min_size=1, max_size=40), st.frozensets(VALUES, max_size=12))
def test_ranges_with_some_values(rows: list[int | None], wanted: frozenset[int | None]) -> None:
    rows = sorted(rows, key=order)
    column = KeyColumn("int64", pa.array(rows, pa.int64()))
    ranges = column.narrowed(wanted, [(0, len(rows))], 64)
    assert ranges is not None
    found = sorted(i for low, high in ranges for i in range(low, high))
    assert found == [i for i, value in enumerate(rows) if value in wanted]


@given(
    st.lists(VALUES.filter(lambda v: v is not None), min_size=2, max_size=40),
    st.frozensets(VALUES, max_size=12),
)
def test_which_rows_have_some_values(rows: list[int], wanted: frozenset[int | None]) -> None:
    column = KeyColumn("int64", pa.array(rows, pa.int64()))
    if column.is_constant:
        return
    assert column.among(wanted - {None}, column.array).tolist() == [value in wanted for value in rows]
    long = np.tile(column.array, 5000 // len(rows) + 1)  # another way is taken for many rows
    assert column.among(wanted - {None}, long)[: len(rows)].tolist() == [value in wanted for value in rows]


def test_more_values_than_are_looked_for() -> None:
    column = KeyColumn("int64", pa.array(list(range(100)), pa.int64()))
    assert column.narrowed(frozenset(range(65)), [(0, 100)], 64) is None
    assert column.narrowed(frozenset(range(95, 1000)), [(0, 100)], 64) == [(i, i + 1) for i in range(95, 100)]
