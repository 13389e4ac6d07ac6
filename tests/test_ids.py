# SPDX-License-Identifier: BSD-3-Clause
"""Dataset ids: sorted random ones, and ones that are the same everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122, UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.dimensions import DataCoordinate, DimensionUniverse
from lakebutler.ids import (
    NAMESPACE,
    DatasetIdGenEnum,
    dataset_uuid5,
    make_dataset_id,
    make_dataset_ids,
    pack_dataset_ids,
    run_timestamp,
    uuid7,
    uuid7s,
    uuid_from_int,
)
from tests.dimensions.facts import FACTS


def data_id(values: dict) -> DataCoordinate:
    return DataCoordinate.standardize(values, universe=DimensionUniverse())


@pytest.mark.parametrize("fact", FACTS["ids"], ids=lambda fact: fact["by_run"][:8])
def test_computed_ids_are_those_of_the_field(fact: dict) -> None:
    coordinate = data_id(fact["values"])
    names, values = coordinate.dimensions.required_names, [coordinate.required_values]
    for mode, expected in (
        (DatasetIdGenEnum.DATAID_TYPE, fact["by_type"]),
        (DatasetIdGenEnum.DATAID_TYPE_RUN, fact["by_run"]),
    ):
        assert str(make_dataset_id(mode, fact["run"], fact["type"], coordinate)) == expected
        assert [str(i) for i in make_dataset_ids(mode, fact["run"], fact["type"], names, values)] == [
            expected
        ]


def test_a_raw_has_the_id_that_it_has_in_every_repository() -> None:
    coordinate = data_id({"instrument": "a", "exposure": 4, "detector": 3})
    made = make_dataset_id(DatasetIdGenEnum.DATAID_TYPE_RUN, "run/x", "raw", coordinate)
    assert made == UUID("a4dbbccb-bb9f-58ed-b69a-172dbb687b64")


def test_implied_values_do_not_change_a_computed_id() -> None:
    short = data_id({"instrument": "a", "visit": 4})
    full = data_id({"instrument": "a", "visit": 4, "band": "r", "day_obs": 20200101, "physical_filter": "f"})
    assert full.hasFull()
    ids = {make_dataset_id(DatasetIdGenEnum.DATAID_TYPE, "x", "t", d) for d in (short, full)}
    assert len(ids) == 1


@given(st.text())
def test_the_hash_is_that_of_the_standard_library(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    made = dataset_uuid5(text)
    assert made == uuid5(NAMESPACE, text)
    assert (made.version, made.variant) == (5, RFC_4122)


@given(st.integers(0, 2**128 - 1))
def test_a_uuid_made_without_checks_is_a_uuid(value: int) -> None:
    made = uuid_from_int(value)
    assert made == UUID(int=value)
    assert hash(made) == hash(UUID(int=value))
    assert str(made) == str(UUID(int=value))
    assert made.is_safe is UUID(int=value).is_safe


def test_random_ids_are_of_version_7_and_carry_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid7()
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= after + 1


def test_random_ids_ascend_and_are_never_made_twice() -> None:
    made = uuid7s(20_000)
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert len({i.int & ((1 << 62) - 1) for i in made}) == len(made)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_does_not_repeat_the_randomness_of_its_parent() -> None:
    code = (
        "import os, sys; from lakebutler.ids import uuid7; uuid7(); r, w = os.pipe(); child = os.fork()\n"
        "low = [uuid7().int & ((1 << 62) - 1) for _ in range(50)]\n"
        "if child == 0:\n    os.write(w, repr(low).encode()); os._exit(0)\n"
        "os.waitpid(child, 0); theirs = eval(os.read(r, 10**6)); sys.exit(bool(set(low) & set(theirs)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_many_random_ids_need_one_row_each() -> None:
    assert len(make_dataset_ids(DatasetIdGenEnum.UNIQUE, "r", "t", ("instrument",), [("a",)] * 7)) == 7


def test_packed_ids_are_the_same_without_objects() -> None:
    names, values = ("instrument", "detector"), [("a", i) for i in range(300)]
    made = make_dataset_ids(DatasetIdGenEnum.DATAID_TYPE_RUN, "r", "t", names, values)
    assert pack_dataset_ids("r", "t", names, values) == b"".join(one.bytes for one in made)
    assert pack_dataset_ids("r", "t", names, []) == b""


def test_values_that_look_like_formats_are_plain_text() -> None:
    coordinate = data_id({"instrument": "%s%d{0}", "detector": 1})
    made = make_dataset_id(DatasetIdGenEnum.DATAID_TYPE_RUN, "100%", "t", coordinate)
    assert made == uuid5(NAMESPACE, "dataset_type=t,run=100%,detector=1,instrument=%s%d{0}")


def test_the_time_in_a_run_name_is_utc() -> None:
    when = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert run_timestamp(when) == "20240203T040506Z"
    assert run_timestamp(when.astimezone(timezone(timedelta(hours=-7)))) == "20240203T040506Z"
    assert datetime.strptime(run_timestamp(), "%Y%m%dT%H%M%SZ")
