# SPDX-License-Identifier: BSD-3-Clause
"""Sets and tables of dimension records."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakebutler import (
    Butler,
    DataCoordinate,
    DimensionNameError,
    DimensionRecord,
    DimensionRecordSet,
    DimensionRecordTable,
    DimensionUniverse,
    DimensionValueError,
)

UNIVERSE = DimensionUniverse()
DETECTOR = UNIVERSE["detector"]


def detectors(*numbers: int, purpose: str = "SCIENCE") -> list[DimensionRecord]:
    return [DETECTOR.RecordClass(instrument="Cam", id=i, full_name=f"D{i}", purpose=purpose) for i in numbers]


def data_id(number: int) -> DataCoordinate:
    return DataCoordinate.standardize(instrument="Cam", detector=number, universe=UNIVERSE)


def test_a_set_has_each_data_id_once_in_the_order_of_coming() -> None:
    found = DimensionRecordSet("detector", detectors(3, 1, 2, 1), universe=UNIVERSE)
    assert [record.id for record in found] == [3, 1, 2]
    assert found.element is DETECTOR
    assert data_id(2) in found
    assert detectors(2)[0] in found
    assert data_id(4) not in found
    assert "detector" not in found
    found.update(detectors(2, purpose="WAVEFRONT"), replace=False)
    assert found.find(data_id(2)).purpose == "SCIENCE"
    found.update(detectors(2, purpose="WAVEFRONT"))
    assert found.find(data_id(2)).purpose == "WAVEFRONT"
    found.discard(data_id(7))
    found.remove(data_id(1))
    with pytest.raises(KeyError):
        found.remove(data_id(1))
    assert found.pop().id == 2
    assert len(found) == 1


def test_sets_are_compared_and_joined_by_data_id() -> None:
    one, two = (DimensionRecordSet(DETECTOR, detectors(*n)) for n in ((1, 2, 3), (2, 3, 4)))
    assert [r.id for r in one.intersection(two)] == [2, 3]
    assert [r.id for r in one.difference(two)] == [1]
    assert {r.id for r in one.union(two)} == {1, 2, 3, 4}
    assert not one.issubset(two)
    assert one.intersection(two).issubset(two)
    assert one.issuperset(one.difference(two))
    assert one.difference(two).isdisjoint(two)
    assert one == DimensionRecordSet(DETECTOR, detectors(3, 2, 1))
    assert one != two
    with pytest.raises(DimensionValueError, match="band"):
        one.union(DimensionRecordSet(UNIVERSE["band"]))


def test_what_is_not_in_a_set_can_be_made() -> None:
    found = DimensionRecordSet(DETECTOR, detectors(1))
    with pytest.raises(LookupError, match="no detector record of instrument='Cam', detector=5"):
        found.find(data_id(5))
    made = found.find(
        data_id(5), lambda kind, values: kind(instrument=values[0], id=values[1], full_name="D5")
    )
    assert made in found
    with pytest.raises(DimensionValueError, match="detector"):
        found.find(DataCoordinate.standardize(band="r", universe=UNIVERSE))
    with pytest.raises(DimensionValueError, match="band"):
        found.add(UNIVERSE["band"].RecordClass(name="r"))
    with pytest.raises(DimensionNameError, match="universe"):
        DimensionRecordSet("detector")


def test_a_table_gives_its_records_back() -> None:
    records = detectors(5, 6, 7, 8)
    table = DimensionRecordTable(DETECTOR, records, batch_size=3)
    assert list(table) == records
    assert [r.full_name for r in table] == ["D5", "D6", "D7", "D8"]
    assert table[-1].id == 8
    assert [r.id for r in table[1:3]] == [6, 7]
    with pytest.raises(IndexError):
        table[4]
    table.extend(detectors(9))
    assert table.column("detector").to_pylist() == table.column("id").to_pylist() == [5, 6, 7, 8, 9]
    again = DimensionRecordTable(table=table.to_arrow(), universe=UNIVERSE)
    assert again.element is DETECTOR
    assert list(again) == list(table)
    with pytest.raises(DimensionNameError):
        DimensionRecordTable(records=records)


def test_pages_of_a_query_are_sets_and_tables(tmp_path: Path) -> None:
    Butler.makeRepo(tmp_path / "repo")
    with Butler.from_config(tmp_path / "repo", writeable=True) as butler:
        butler.registry.insertDimensionData("instrument", {"name": "Cam"})
        butler.registry.insertDimensionData("detector", *detectors(*range(300)))
        with butler.query() as query:
            found = query.dimension_records("detector").where(instrument="Cam").order_by("detector")
            sets, tables = list(found.iter_set_pages()), list(found.iter_table_pages())
            records = list(found)
    assert len(records) == 300
    assert [record for page in sets for record in page] == records
    assert [record for page in tables for record in page] == records
    assert {type(page) for page in (*sets, *tables)} == {DimensionRecordSet, DimensionRecordTable}
