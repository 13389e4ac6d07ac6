# SPDX-License-Identifier: BSD-3-Clause
"""Arrow arrays read from their buffers."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.lake.buffers import numbers, validity

KINDS = {
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "int32": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "float64": (pa.float64(), st.floats(allow_nan=False)),
    "bool": (pa.bool_(), st.booleans()),
    "time": (
        pa.timestamp("us", tz="UTC"),
        st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_values_and_nulls_are_those_of_the_array_wherever_it_is_cut(kind: str, data: st.DataObject) -> None:
    arrow, values = KINDS[kind]
    whole = data.draw(st.lists(st.none() | values, max_size=40))
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    array, wanted = pa.array(whole, arrow)[start:stop], whole[start:stop]
    valid = validity(array)
    assert (valid is None) == (None not in wanted)
    present = np.ones(len(wanted), bool) if valid is None else valid.astype(bool)
    assert present.tolist() == [value is not None for value in wanted]
    found = numbers(array)
    assert len(found) == len(wanted)
    plain = array.cast(pa.int64()) if kind == "time" else array
    assert [x for x, p in zip(found.tolist(), present, strict=True) if p] == plain.drop_null().to_pylist()


def test_an_array_of_nothing_but_null_has_no_value() -> None:
    assert validity(pa.nulls(3, pa.int64())).tolist() == [0, 0, 0]  # type: ignore[union-attr]
    assert len(numbers(pa.nulls(3, pa.int64()))) == 3


def test_the_first_look_up_imports_neither_pandas_nor_the_compute_module(tmp_path: object) -> None:
    code = f"""
import sys, uuid
from lakebutler.lake import Change, Column, Lake, TableSchema, open_storage
columns = [Column(n, t) for n, t in (("kind", "string"), ("n", "int64"), ("name", "string"), ("id", "uuid"))]
schema = TableSchema("t", tuple(columns), ("kind", "n"), ("kind",), "id")
lake = Lake.create(open_storage({str(tmp_path)!r} + "/lake"), config={{}})
change = Change()
change.create_table(schema)
rows = [("a" if i % 3 else "b", i if i % 7 else None, f"name {{i}}", uuid.UUID(int=i)) for i in range(5000)]
change.append_rows("t", rows)
lake.commit(lambda snapshot: change, op="x")
"""
    reading = f"""
import sys, uuid
from lakebutler.lake import Lake, open_storage
snapshot = Lake.open(open_storage({str(tmp_path)!r} + "/lake")).snapshot()
assert snapshot.find("t", ("kind", "n"), ("a", 4)) == [("a", 4, "name 4", uuid.UUID(int=4))]
assert snapshot.find("t", ("id",), (uuid.UUID(int=9),))[0][2] == "name 9"
print([name for name in ("pandas", "pyarrow.compute", "duckdb") if name in sys.modules])
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    done = subprocess.run([sys.executable, "-c", reading], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
