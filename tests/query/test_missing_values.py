# SPDX-License-Identifier: BSD-3-Clause
"""What is missing, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from lsst.sphgeom import Angle, Circle, LonLat, UnitVector3d

from lakebutler import Butler, Timespan
from tests.query.conftest import by_duckdb


@pytest.mark.parametrize("duckdb", [False, True])
def test_a_value_that_is_given_is_not_missing(butler: Butler, duckdb: bool) -> None:
    region = Circle(UnitVector3d(LonLat.fromDegrees(1, 2)), Angle.fromDegrees(1))
    binds = {"r": region, "s": Timespan.from_nsec(3, 5)}
    every = {d["exposure"] for d in butler.query_data_ids("exposure", instrument="A")}
    with by_duckdb() if duckdb else pytest.MonkeyPatch.context():
        for value in ("POINT(1, 2)", "(T'2025-01-01', NULL)", ":r", ":s", "T'2025-01-01'", "'x'"):
            for test, wanted in ((f"{value} IS NULL", set()), (f"{value} IS NOT NULL", every)):
                found = butler.query_data_ids(
                    "exposure", where=test, bind=binds, instrument="A", explain=False
                )
                assert {d["exposure"] for d in found} == wanted
        half = "(NULL, exposure.timespan.end) IS NULL"
        found = butler.query_data_ids("exposure", where=half, instrument="A", explain=False)
        null = "exposure.timespan IS NULL"
        assert set(found) == set(butler.query_data_ids("exposure", where=null, instrument="A", explain=False))


def test_what_is_not_a_number_is_missing(butler: Butler) -> None:
    times = butler.query_dimension_records("exposure", where="exposure_time > 0", instrument="A")
    assert times
    huge = "exposure_time * 1e308 * 10"

    def found(test: str) -> set[Any]:
        where = f"instrument = 'A' AND exposure_time > 0 AND {test}"
        return {d["exposure"] for d in butler.query_data_ids("exposure", where=where, explain=False)}

    every = {record.dataId["exposure"] for record in times}
    for test in (f"{huge} - {huge} > 5", f"-({huge} - {huge}) > 5", f"{huge} - {huge} IN (5)"):
        assert found(test) == found(f"NOT ({test})") == set()
    assert found(f"({huge} - {huge}) IS NULL") == every
    assert found(f"{huge} > 5") == found(f"({huge}) IS NOT NULL") == every
