# SPDX-License-Identifier: BSD-3-Clause
"""What a batch of raws changes, decided without files or a repository."""

from __future__ import annotations

from typing import Any

import pytest

from lakebutler.instruments.headers.file import FileResult
from lakebutler.instruments.headers.observation import Observation, exposure_record
from lakebutler.instruments.raws.plan import differences, in_order, judge_records, sort_files
from lakebutler.instruments.raws.report import FileReport, FileStatus, IngestReport
from lakebutler.timespan import Timespan

BASE = Observation(
    instrument="Cam",
    exposure_id=1,
    detector=0,
    obs_id="o1",
    physical_filter="g",
    group="1",
    day_obs=20260314,
    day_obs_offset_s=43200,
    begin_nsec=1_773_518_437_000_000_000,
    end_nsec=1_773_518_497_000_000_000,
    exposure_time_s=60.0,
    dark_time_s=61.0,
    observation_type="science",
    observation_reason="science",
    seq_num=1,
    seq_start=1,
    seq_end=1,
    target_name="M 42",
    science_program="p",
    tracking_ra_deg=10.0,
    tracking_dec_deg=20.0,
    sky_angle_deg=0.0,
    azimuth_deg=1.0,
    zenith_angle_deg=2.0,
    has_simulated=False,
    can_see_sky=True,
)


def file_of(path: str, *detectors: int, **changes: Any) -> FileResult:
    return FileResult(path, tuple(BASE._replace(detector=d, **changes) for d in detectors))


def test_files_of_one_exposure_belong_together() -> None:
    batch = sort_files([file_of("a", 0), file_of("b", 1), file_of("c", 0, exposure_id=2)])
    assert [f.path for f in batch.accepted] == ["a", "b", "c"]
    assert sorted(batch.first) == [("Cam", 1), ("Cam", 2)]
    assert not batch.reports


def test_what_could_not_be_read_keeps_its_reason() -> None:
    batch = sort_files([FileResult("x", reason="not a FITS file"), file_of("a", 0)])
    assert batch.reports[0] == FileReport("x", FileStatus.REJECTED, "not a FITS file")
    assert [f.position for f in batch.accepted] == [1]


def test_the_same_detector_twice_is_taken_once() -> None:
    batch = sort_files([file_of("a", 0, 1), file_of("b", 1)])
    assert [f.path for f in batch.accepted] == ["a"]
    assert batch.reports[1].reason == "exposure 1 detector 1 is already in a"


def test_a_detector_that_contradicts_its_exposure_is_rejected() -> None:
    batch = sort_files([file_of("a", 0), file_of("b", 1, physical_filter="r")])
    assert batch.reports[1].reason == "physical_filter is 'r', but 'g' in another file of exposure 1"
    assert batch.reports[1].exposure == 1


def test_small_things_may_differ_between_detectors() -> None:
    batch = sort_files([file_of("a", 0), file_of("b", 1, dark_time_s=61.2, azimuth_deg=1.1)])
    assert len(batch.accepted) == 2
    assert batch.first["Cam", 1].dark_time_s == 61.0


def test_a_new_exposure_is_to_be_inserted() -> None:
    new, changed = judge_records(sort_files([file_of("a", 0)]), {}, update=False)
    assert (new, changed) == ([exposure_record(BASE)], [])


def test_an_exposure_registered_likewise_needs_nothing() -> None:
    batch = sort_files([file_of("a", 0)])
    assert judge_records(batch, {("Cam", 1): exposure_record(BASE)}, update=False) == ([], [])
    assert len(batch.accepted) == 1


def test_an_exposure_registered_differently_rejects_all_its_files() -> None:
    batch = sort_files([file_of("a", 0), file_of("b", 1), file_of("c", 0, exposure_id=2, obs_id="o2")])
    stored = {("Cam", 1): exposure_record(BASE) | {"target_name": "M 43"}}
    new, changed = judge_records(batch, stored, update=False)
    assert [r["id"] for r in new] == [2]
    assert not changed
    assert [f.path for f in batch.accepted] == ["c"]
    for position in (0, 1):
        assert batch.reports[position].reason == (
            "exposure 1 is registered differently: target_name 'M 43', header says 'M 42' "
            "(--update-records replaces it)"
        )


def test_with_update_the_record_is_replaced_and_the_files_go_in() -> None:
    batch = sort_files([file_of("a", 0)])
    stored = {("Cam", 1): exposure_record(BASE) | {"target_name": None, "sky_angle": 3.0}}
    assert judge_records(batch, stored, update=True) == ([], [exposure_record(BASE)])
    assert len(batch.accepted) == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tracking_ra": 10.0 + 1e-12}, []),
        ({"tracking_ra": 10.1}, ["tracking_ra 10.1, header says 10.0"]),
        ({"dark_time": None}, ["dark_time nothing, header says 61.0"]),
        ({"timespan": Timespan.from_nsec(BASE.begin_nsec + 400, BASE.end_nsec)}, []),
    ],
)
def test_records_are_compared_as_numbers_and_times(change: dict[str, Any], expected: list[str]) -> None:
    assert differences(exposure_record(BASE), exposure_record(BASE) | change) == expected


def test_a_bias_is_one_nanosecond_long() -> None:
    record = exposure_record(BASE._replace(end_nsec=BASE.begin_nsec))
    assert record["timespan"].nsec == (BASE.begin_nsec, BASE.begin_nsec + 1)


def test_the_report_keeps_the_order_of_the_files_and_counts_them() -> None:
    batch = sort_files([file_of("a", 0), FileResult("x", reason="empty file"), file_of("c", 1)])
    first, last = batch.accepted
    decided = [(last, last.report(FileStatus.PRESENT)), (first, first.report(FileStatus.INGESTED))]
    report = IngestReport(in_order(batch, decided), "Cam/raw/all", datasets=1)
    assert [f.path for f in report.files] == ["a", "x", "c"]
    assert report.counts == {"ingested": 1, "present": 1, "rejected": 1}
    assert report.reasons() == {"empty file": 1}
    assert str(report) == "3 files: 1 ingested, 1 present, 1 rejected"
    table = report.to_arrow()
    assert table.column("status").to_pylist() == ["ingested", "rejected", "present"]
    assert table.column("exposure").to_pylist() == [1, None, 1]
