# SPDX-License-Identifier: BSD-3-Clause
"""Tables of keys as sets, against Python's own sets."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.query.keysets import distinct, having

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["HSC", "DECam", None]), st.integers(-3, 3), st.sampled_from([0, 2**62, -(2**62)])
    ),
    max_size=30,
)
SCHEMA = pa.schema([("instrument", pa.string()), ("visit", pa.int64()), ("id", pa.int64())])


def table(rows: list[tuple[object, ...]], *, encoded: bool = False) -> pa.Table:
    made = pa.table(
        [pa.array([row[i] for row in rows], SCHEMA.field(i).type) for i in range(3)], schema=SCHEMA
    )
    if encoded:
        made = made.set_column(0, "instrument", made.column(0).dictionary_encode())
    return made


def rows_of(found: pa.Table) -> list[tuple[object, ...]]:
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


@given(ROWS)
def test_each_row_comes_once(rows: list[tuple[object, ...]]) -> None:
    found = rows_of(distinct(table(rows)))
    assert len(found) == len(set(rows))
    assert set(found) == set(rows)


@given(ROWS, ROWS, st.booleans())
def test_rows_that_have_a_key_stay_in_their_order(
    rows: list[tuple[object, ...]], keys: list[tuple[object, ...]], encoded: bool
) -> None:
    named = table(keys, encoded=encoded).select(["visit", "instrument"])
    wanted = {(row[1], row[0]) for row in keys}
    found = rows_of(having(table(rows), named))
    assert found == [row for row in rows if (row[1], row[0]) in wanted]


def test_many_columns_with_many_values_do_not_run_together() -> None:
    n = 3000
    columns = {f"c{i}": pa.array([(7 * i + k * (i + 1)) % n for k in range(n)]) for i in range(8)}
    made = pa.table(columns)
    assert distinct(made).num_rows == len(set(rows_of(made)))
    assert having(made, made.slice(5, 3)).equals(made.slice(5, 3))


@pytest.mark.parametrize("number", [0, 2])
def test_keys_without_a_column_are_one_key_or_none(number: int) -> None:
    keys = pa.table({"a": list(range(number))}).select([])
    made = pa.table({"b": [1, 2, 3]})
    assert having(made, keys).num_rows == (3 if number else 0)
