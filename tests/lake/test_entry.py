# SPDX-License-Identifier: BSD-3-Clause
"""What is written in an entry is what is read from it."""

from __future__ import annotations

import json
import math
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.errors import RepositoryCorruptError
from lakebutler.lake.entry import (
    AddFile,
    CreateTable,
    DataFile,
    Delete,
    DeleteFile,
    Fold,
    Header,
    RemoveFile,
    Rows,
    SetState,
    decode_rows,
    decode_time,
    encode_action,
    encode_entry,
    encode_rows,
    encode_time,
    parse_action,
    parse_entry,
)
from lakebutler.lake.naming import dump, is_data_path, seal, unseal
from lakebutler.lake.schema import Column, TableSchema
from tests.lake.helpers import DATASET, NAME, SMALL, row

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
ANY = TableSchema(
    "any",
    (
        Column("s", "string"),
        Column("i", "int64"),
        Column("f", "float64"),
        Column("b", "bool"),
        Column("u", "uuid"),
        Column("y", "binary"),
        Column("t", "timestamp"),
    ),
    ("s", "i"),
    ("s",),
    "u",
)
ROWS = st.tuples(
    *(
        st.none() | values
        for values in (
            TEXTS,
            st.integers(-(2**63), 2**63 - 1),
            st.floats(),
            st.booleans(),
            st.uuids(),
            st.binary(),
            TIMES,
        )
    )
)


def same(a: Any, b: Any) -> bool:
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


@given(st.lists(ROWS, max_size=5))
def test_rows_survive_json(rows: list[tuple[Any, ...]]) -> None:
    text = dump(encode_rows(ANY, ANY.names, rows))
    back = decode_rows(ANY, ANY.names, json.loads(text))
    assert len(back) == len(rows)
    assert all(same(a, b) for one, two in zip(rows, back, strict=True) for a, b in zip(one, two, strict=True))
    assert all(
        type(a) is type(b) for one, two in zip(rows, back, strict=True) for a, b in zip(one, two, strict=True)
    )


@given(st.lists(ROWS, max_size=5))
def test_rows_survive_arrow(rows: list[tuple[Any, ...]]) -> None:
    from lakebutler.lake.sorting import rows_to_table

    table = rows_to_table(ANY, rows)
    assert table.schema.equals(ANY.arrow)
    back = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    assert all(same(a, b) for one, two in zip(rows, back, strict=True) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(
    "bad",
    [
        [[1, 2]],
        [["a", "1", None, None, None, None, None]],
        [["a", 1, None, 3, None, None, None]],
        [3],
        [None],
    ],
)
def test_what_are_no_rows_is_refused(bad: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        decode_rows(ANY, ANY.names, bad)


@given(TIMES)
def test_times_survive(time: datetime) -> None:
    assert decode_time(encode_time(time)) == time
    assert decode_time(encode_time(time)).tzinfo is UTC


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        decode_time("2026-01-01T00:00:00")
    assert decode_time("2026-01-01T01:00:00+01:00") == datetime(2026, 1, 1, tzinfo=UTC)


FILE = DataFile(
    "registry/data/t/a.parquet", 5, 99, "0" * 64, 3, ((("raw", "r"), 5),), row(1)[:6], row(2, begin=4)[:6]
)
ACTIONS = [
    CreateTable(SMALL, DataFile("registry/data/small/e.parquet", 0, 9, "1" * 64)),
    AddFile(NAME, FILE),
    Rows(NAME, [row(1), row(2)]),
    Delete(NAME, ("id", "visit"), [(row(1)[6], 1), (row(2)[6], None)]),
    DeleteFile(NAME, ("visit",), DataFile("registry/data/t/d.parquet", 2, 9, "2" * 64, None, (), (1,), (7,))),
    RemoveFile(NAME, "registry/data/t/a.parquet"),
    Fold(NAME, 7),
    SetState("collection", "ü/x", {"a": [1, None, "ü"]}),
    SetState("collection", "gone", None),
]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: type(a).__name__)
def test_actions_survive(action: Any) -> None:
    schemas = {NAME: DATASET, "small": SMALL}
    assert parse_action(json.loads(dump(encode_action(action, schemas))), schemas) == action


def test_an_entry_survives() -> None:
    header = Header(
        7, "t", "p", "d" * 64, 6, datetime(2026, 1, 1, tzinfo=UTC), {"user": "ü"}, "put", "hé\n", {"x": 1}
    )
    texts = [dump(encode_action(action, {NAME: DATASET, "small": SMALL})) for action in ACTIONS]
    data = encode_entry(header, f"[{','.join(texts)}]")
    entry = parse_entry(data, 7, "here")
    assert entry.header == header
    assert len(entry.actions) == len(ACTIONS)
    assert data[-67:-3].decode() == entry.sha256
    assert json.loads(data)["sha256"] == entry.sha256
    assert data.count(b"\n") == 1
    with pytest.raises(RepositoryCorruptError, match="says that it is version 7"):
        parse_entry(data, 8, "here")


@given(st.binary(max_size=300), st.integers(0, 10**6), st.integers(0, 7))
def test_a_seal_notices_every_flipped_bit(content: bytes, place: int, bit: int) -> None:
    text = dump({"x": content.hex()})
    data = bytearray(seal(text))
    digest = unseal(bytes(data), "file")
    assert json.loads(bytes(data)) == {"x": content.hex(), "sha256": digest}
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(RepositoryCorruptError, match="file"):
        unseal(bytes(data), "file")


@given(st.binary(max_size=200))
def test_bytes_that_nobody_sealed_are_refused(data: bytes) -> None:
    with pytest.raises(RepositoryCorruptError):
        unseal(data, "file")
    with pytest.raises(RepositoryCorruptError):
        parse_entry(data, 0, "here")


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("registry/data/t/20261122T070000Z-ab.parquet", True),
        ("registry/data/t/x/y.parquet", False),
        ("registry/data/../t/y.parquet", False),
        ("registry/data/t/..parquet", False),
        ("registry/data/t/.parquet", False),
        ("/registry/data/t/y.parquet", False),
        ("registry/data/t/y.parquet\n", False),
        ("registry/log/y.parquet", False),
        ("registry/data/t/" + "y" * 700 + ".parquet", False),
        (None, False),
        (3, False),
    ],
)
def test_names_of_data_files(path: Any, good: bool) -> None:
    assert is_data_path(path) is good


# --------------------------------------------------------------------------- schemas


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Column("a b", "string"),
        lambda: Column("a", "text"),
        lambda: Column("", "string"),
        lambda: TableSchema("a-b", ANY.columns, ("s",), ()),
        lambda: TableSchema("t", (), (), ()),
        lambda: TableSchema("t", (Column("a", "string"), Column("A", "string")), ("a",), ()),
        lambda: TableSchema("t", ANY.columns, ("nope",), ()),
        lambda: TableSchema("t", ANY.columns, ("s", "s"), ()),
        lambda: TableSchema("t", ANY.columns, ("s", "i"), ("i",)),
        lambda: TableSchema("t", ANY.columns, ("s",), (), "i"),
        lambda: TableSchema("t", ANY.columns, ("s",), (), "nope"),
    ],
)
def test_a_shape_that_does_not_fit_together_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"cannot|needs|lead|not one of|unknown type"):
        wrong()


def test_a_schema_survives_json() -> None:
    for schema in (ANY, SMALL, DATASET):
        assert TableSchema.from_json(json.loads(dump(schema.to_json()))) == schema


def test_values_are_brought_to_their_type() -> None:
    import numpy as np

    zone = timezone(timedelta(hours=2))
    given_ = (
        np.str_("x"),
        np.int32(3),
        2,
        np.True_,
        uuid.UUID(int=1),
        bytearray(b"y"),
        datetime(2026, 1, 1, 2, tzinfo=zone),
    )
    wanted = ("x", 3, 2.0, True, uuid.UUID(int=1), b"y", datetime(2026, 1, 1, tzinfo=UTC))
    made = ANY.check_row(given_)
    assert made == wanted
    assert [type(value) for value in made] == [type(value) for value in wanted]
    assert ANY.check_row(wanted) is wanted
    assert ANY.check_row([None] * 7) == (None,) * 7  # type: ignore[arg-type]
    assert ANY.check_key(("i", "s"), (np.int8(1), "ü")) == (1, "ü")


@pytest.mark.parametrize("value", [3, b"x", "\ud800", True])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        ANY.check_row((value, None, None, None, None, None, None))


@pytest.mark.parametrize("value", ["3", 3.0, True, 2**63, -(2**63) - 1])
def test_what_is_no_integer_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        ANY.check_row((None, value, None, None, None, None, None))
