# SPDX-License-Identifier: BSD-3-Clause
"""Dimension records: checked when made, kept as rows, written and read, in bulk."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsst import sphgeom

from lakebutler.dimensions import DimensionRecord, DimensionUniverse
from lakebutler.dimensions.arrow import (
    element_columns,
    record_from_row,
    record_to_row,
    records_to_rows,
    records_to_table,
    table_to_records,
)
from lakebutler.errors import DimensionNameError, DimensionValueError, InconsistentDataIdError
from lakebutler.timespan import Timespan

UNIVERSE = DimensionUniverse()
STORED = [e.name for e in UNIVERSE.elements if e.has_own_table]
Detector = UNIVERSE["detector"].RecordClass
Visit = UNIVERSE["visit"].RecordClass
CIRCLE = sphgeom.Circle(sphgeom.UnitVector3d(0, 0, 1), sphgeom.Angle.fromDegrees(1))
VISIT = {"instrument": "HSC", "id": 4, "name": "four", "physical_filter": "HSC-R", "day_obs": 20200101}

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_categories=("C",)), max_size=16)
VALUES = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "string": TEXT,
    "hash": st.binary(max_size=40),
    "region": st.floats(0.01, 90).map(
        lambda r: sphgeom.Circle(sphgeom.UnitVector3d(1, 0, 0), sphgeom.Angle.fromDegrees(r))
    ),
    "timespan": st.builds(Timespan.from_nsec, st.integers(0, 10**18), st.integers(0, 4 * 10**18)),
}


@st.composite
def field_values(draw: st.DrawFn, name: str) -> dict[str, Any]:
    values = {}
    for column in UNIVERSE[name].schema:
        strategy = VALUES[column.type]
        values[column.name] = draw(st.none() | strategy if column.nullable else strategy)
    return values


@pytest.mark.parametrize("name", STORED)
@given(data=st.data())
def test_a_record_survives_every_way_out_and_back(name: str, data: st.DataObject) -> None:
    element = UNIVERSE[name]
    values = data.draw(field_values(name))
    record = element.RecordClass(**values)
    assert record.toDict() == values
    assert record_from_row(element, record_to_row(element, record)) == record
    assert element.RecordClass.from_json(record.to_json()) == record
    assert element.RecordClass(**record.toDict()) == record
    assert pickle.loads(pickle.dumps(record)) == record
    assert copy.deepcopy(record) is record
    assert hash(pickle.loads(pickle.dumps(record))) == hash(record)
    assert table_to_records(element, records_to_table(element, [record, record])) == [record, record]
    assert records_to_table(element, [record]) == records_to_table(element, [values])
    assert dict(record.dataId.required) == {
        dim: values[field] for dim, field in zip(element.required.names, element.key_fields, strict=True)
    }


def test_columns_stand_under_the_names_of_their_dimensions() -> None:
    assert element_columns(UNIVERSE["detector"]) == [
        ("instrument", "string"), ("detector", "int64"), ("full_name", "string"), ("name_in_raft", "string"),
        ("raft", "string"), ("purpose", "string"),
    ]  # fmt: skip
    assert element_columns(UNIVERSE["visit"])[:5] == [
        ("instrument", "string"), ("visit", "int64"), ("day_obs", "int64"), ("physical_filter", "string"),
        ("name", "string"),
    ]  # fmt: skip
    assert element_columns(UNIVERSE["visit"])[-3:] == [
        ("region", "binary"), ("timespan_begin", "int64"), ("timespan_end", "int64"),
    ]  # fmt: skip
    assert element_columns(UNIVERSE["skymap"])[:2] == [("skymap", "string"), ("hash", "binary")]
    assert element_columns(UNIVERSE["htm7"]) == [("htm7", "int64")]


@pytest.mark.parametrize("name", STORED)
def test_every_column_name_is_used_once_and_keys_come_first(name: str) -> None:
    columns = [column for column, _ in element_columns(UNIVERSE[name])]
    assert len(set(columns)) == len(columns)
    assert columns[: len(UNIVERSE[name].required)] == list(UNIVERSE[name].required.names)


# ------------------------------------------------------------------------- making


def test_the_key_can_be_called_by_the_dimension() -> None:
    record = Detector(instrument="HSC", detector=1, full_name="x")
    assert record == Detector(instrument="HSC", id=1, full_name="x")
    assert record.id == record.get("detector") == record.get("id") == 1
    assert record.get("nothing", 5) == 5
    with pytest.raises(InconsistentDataIdError, match="detector=1, but id=2"):
        Detector(instrument="HSC", detector=1, id=2, full_name="x")


def test_what_is_left_out_is_missing() -> None:
    record = Visit(**VISIT)
    assert record.region is None
    assert record.timespan is None
    assert record.exposure_time is None
    assert record.toDict()["seq_num"] is None


def test_values_of_numpy_become_those_of_python() -> None:
    record = Visit(
        **VISIT | {"id": numpy.int32(4), "exposure_time": numpy.float32(2.5), "seq_num": numpy.uint8(7)}
    )
    assert [type(v) for v in (record.id, record.exposure_time, record.seq_num)] == [int, float, int]
    exposure = UNIVERSE["exposure"].RecordClass(
        instrument="HSC", id=1, obs_id="o", physical_filter="f", group="g", day_obs=1,
        can_see_sky=numpy.bool_(False), has_simulated=1, exposure_time=3,
    )  # fmt: skip
    assert exposure.can_see_sky is False
    assert exposure.has_simulated is True
    assert exposure.exposure_time == 3.0


def test_a_float_that_is_no_number_is_missing() -> None:
    assert Visit(**VISIT, azimuth=float("nan")).azimuth is None
    assert records_to_table(UNIVERSE["visit"], [VISIT | {"azimuth": float("nan")}])["azimuth"].null_count == 1
    assert Visit(**VISIT, azimuth=float("inf")).azimuth == float("inf")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"id": "4"}, "id of visit record must be an integer, not str '4'"),
    ({"id": True}, "id of visit record must be an integer, not bool True"),
    ({"id": 4.0}, "id of visit record must be an integer, not float 4.0"),
    ({"id": None}, "id of visit record is missing"),
    ({"id": 2**63}, "id of visit record must fit a 64-bit integer"),
    ({"name": None}, "name of visit record is missing"),
    ({"name": 5}, "name of visit record must be a string, not int 5"),
    ({"name": "x" * 65}, "name of visit record has 65 characters, 64 are allowed"),
    ({"instrument": "x" * 33}, "instrument of visit record has 33 characters, 32 are allowed"),
    ({"name": "a\nb"}, r"name of visit record holds the character U\+000A"),
    ({"name": "a\x00b"}, r"name of visit record holds the character U\+0000"),
    ({"name": "a\u202eb"}, r"name of visit record holds the character U\+202E"),
    ({"name": "a\ud800b"}, r"name of visit record holds the character U\+D800"),
    ({"exposure_time": "long"}, "exposure_time of visit record must be a number, not str 'long'"),
    ({"exposure_time": True}, "exposure_time of visit record must be a number, not bool"),
    ({"region": "circle"}, "region of visit record must be a region of lsst.sphgeom, not str"),
    ({"region": 5}, "region of visit record must be a region of lsst.sphgeom, not int"),
    ({"timespan": (1, 2)}, "timespan of visit record must be a Timespan, not tuple"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=lambda value: ascii(value)[:60])
def test_a_value_that_does_not_fit_is_named(change: dict, message: str) -> None:
    with pytest.raises(DimensionValueError, match=message):
        Visit(**VISIT | change)
    with pytest.raises(DimensionValueError, match=message):
        records_to_table(UNIVERSE["visit"], [VISIT, VISIT | change])
    with pytest.raises(DimensionValueError, match=message):
        records_to_rows(UNIVERSE["visit"], [VISIT | change])


def test_an_unknown_field_is_named_with_the_nearest() -> None:
    with pytest.raises(DimensionNameError, match="no field 'exposure_tim'\ndid you mean 'exposure_time'"):
        Visit(**VISIT, exposure_tim=4)
    with pytest.raises(DimensionNameError, match="no field 'exposure_tim'"):
        records_to_table(UNIVERSE["visit"], [VISIT | {"exposure_tim": 4}])


def test_a_hash_is_bytes_of_bounded_length() -> None:
    skymap = UNIVERSE["skymap"].RecordClass
    assert skymap(name="m", hash=bytearray(b"abc")).hash == b"abc"
    with pytest.raises(DimensionValueError, match="hash of skymap record has 41 bytes, 40 are allowed"):
        skymap(name="m", hash=b"x" * 41)
    with pytest.raises(DimensionValueError, match="must be bytes, not str"):
        skymap(name="m", hash="abc")
    with pytest.raises(DimensionValueError, match="hexadecimal"):
        skymap.from_simple({"definition": "skymap", "record": {"name": "m", "hash": "xyz"}})


def test_a_record_cannot_be_changed() -> None:
    record = Visit(**VISIT)
    for name in ("id", "region", "anything"):
        with pytest.raises(AttributeError):
            setattr(record, name, 1)


def test_records_are_of_the_element_they_say() -> None:
    record = Detector(instrument="HSC", id=1, full_name="x")
    assert isinstance(record, DimensionRecord)
    assert record.definition is UNIVERSE["detector"]
    assert record != Visit(**VISIT)
    assert record != "x"
    with pytest.raises(DimensionValueError, match="detector record is no visit record"):
        record_to_row(UNIVERSE["visit"], record)
    with pytest.raises(DimensionValueError, match="detector record is no visit record"):
        records_to_table(UNIVERSE["visit"], [record])
    with pytest.raises(DimensionValueError, match="no visit record"):
        Visit.from_simple(record.to_simple())


def test_a_data_id_of_a_record_is_full_if_the_record_says_enough() -> None:
    physical_filter = UNIVERSE["physical_filter"].RecordClass(instrument="HSC", name="HSC-R", band="r")
    assert physical_filter.dataId.hasFull()
    assert str(physical_filter.dataId) == "{instrument: 'HSC', physical_filter: 'HSC-R', band: 'r'}"
    assert not Visit(**VISIT).dataId.hasFull()
    assert Visit(**VISIT).dataId == {"instrument": "HSC", "visit": 4}


def test_regions_are_objects_again_when_asked_for() -> None:
    record = Visit(**VISIT, region=CIRCLE)
    assert record.region == CIRCLE
    assert record.to_row()[-3] == CIRCLE.encode()
    assert Visit(**VISIT, region=CIRCLE.encode()) == record
    pixel = UNIVERSE["healpix3"].RecordClass(id=5)
    assert pixel.region == sphgeom.HealpixPixelization(3).pixel(5)
    assert UNIVERSE["healpix3"].RecordClass.from_json(pixel.to_json()) == pixel


def test_a_timespan_can_be_split_into_times() -> None:
    record = Visit(**VISIT, timespan=Timespan.from_nsec(10**18, 10**18 + 5))
    split = record.toDict(splitTimespan=True)
    assert "timespan" not in split
    assert split["datetime_begin"] == record.timespan.begin
    assert split["datetime_end"] == record.timespan.end
    assert Visit(**VISIT).toDict(splitTimespan=True)["datetime_begin"] is None


def test_an_empty_batch_is_an_empty_table() -> None:
    table = records_to_table(UNIVERSE["visit"], [])
    assert table.num_rows == 0
    assert table.column_names == [name for name, _ in element_columns(UNIVERSE["visit"])]
    assert table_to_records(UNIVERSE["visit"], table) == []


def test_a_batch_may_mix_records_and_dictionaries_and_both_names_of_the_key() -> None:
    element = UNIVERSE["detector"]
    rows = [
        {"instrument": "HSC", "id": 1, "full_name": "a"},
        {"instrument": "HSC", "detector": 2, "full_name": "b"},
        Detector(instrument="HSC", id=3, full_name="c"),
    ]
    assert records_to_table(element, rows)["detector"].to_pylist() == [1, 2, 3]
    assert records_to_table(element, rows[:2])["detector"].to_pylist() == [1, 2]


def test_a_record_is_shown_line_by_line() -> None:
    record = Detector(instrument="<b>", id=1, full_name="x")
    assert str(record).splitlines()[:3] == ["detector:", "  instrument: '<b>'", "  id: 1"]
    assert repr(record).startswith("detector.RecordClass(instrument='<b>', id=1, full_name='x'")
    assert "&lt;b&gt;" in record._repr_html_()
    assert Detector.__doc__
    assert Detector.full_name.__doc__
