# SPDX-License-Identifier: BSD-3-Clause
"""G30 with times of day: what SQLite finds for each raw is what the new repository finds, or it is listed."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler
from lakebutler.gen2.convert import convert_gen2, plan_gen2
from lakebutler.gen2.options import Options
from lakebutler.gen2.validity import DAY, ValidityRow, resolve

QUERY = "SELECT DISTINCT calibDate FROM bias WHERE ccd = ? AND ? BETWEEN validStart AND validEnd"

Range = tuple[int, str, str, str]
"""Detector, date, first and last time of a bias."""


def day(number: int) -> str:
    return str(date(2014, 1, 1) + timedelta(days=number))


@pytest.fixture
def with_biases(
    sparse: Callable[..., Path], registry_of: Callable[..., Path]
) -> Callable[[Sequence[str], Sequence[Range]], Path]:
    """Make a repository of raws at some times, and of biases with some ranges."""

    def make(times: Sequence[str], ranges: Sequence[Range], **more: Any) -> Path:
        detectors = sorted({ccd for ccd, *_ in ranges})
        raws = [
            {
                "visit": 2 * number,
                "ccd": ccd,
                "filter": "HSC-R",
                "dateObs": when[:10],
                "taiObs": when,
                "expTime": 30.0,
                "field": "F",
                "pointing": 1,
                "dataType": "OBJECT",
                **more,
            }
            for number, when in enumerate(times, 1)
            for ccd in detectors
        ]
        files = [
            (f"F/{r['dateObs']}/00001/HSC-R/HSC-{r['visit']:07d}-{r['ccd']:03d}.fits", 9) for r in raws
        ] + [(f"CALIB/BIAS/{when}/NONE/BIAS-{when}-{ccd:03d}.fits", 9) for ccd, when, *_ in ranges]
        root = sparse("hsc", files)
        (root / "_mapper").write_text("lsst.obs.hsc.HscMapper")
        registry_of(root / "registry.sqlite3", raw=raws)
        names = ("ccd", "calibDate", "validStart", "validEnd")
        rows = [{"filter": "NONE", **dict(zip(names, row, strict=True))} for row in ranges]
        registry_of(root / "CALIB/calibRegistry.sqlite3", bias=rows)
        return root

    return make


def random_ranges(chosen: random.Random) -> list[Range]:
    """Ranges that overlap, enclose each other and leave gaps; for each of some detectors others."""
    ranges: list[Range] = []
    for ccd in range(16):
        for when in chosen.sample(range(45), chosen.randrange(2, 7)):
            begin = max(0, when - chosen.randrange(3))
            end = begin + chosen.randrange(1, 25)
            first = day(begin) + chosen.choice(("", "", "", "T12:00:00"))
            last = day(end) + chosen.choice(("", "", "", "T23:00:00"))
            ranges.append((ccd, day(when), first, last))
    return ranges


@pytest.mark.parametrize(
    ("seed", "form", "overlaps"),
    [
        (1, "date", "next-start"),
        (2, "time", "next-start"),
        (3, "midnight", "next-start"),
        (4, "both", "next-start"),
        (5, "time", "midpoint"),
    ],
)
def test_g30_times_of_day_and_what_sqlite_finds(
    with_biases: Callable[..., Path], tmp_path: Path, seed: int, form: str, overlaps: Any
) -> None:
    chosen = random.Random(seed)
    times = []
    for number in range(1, 40):
        clock = f"T{chosen.randrange(23):02d}:{chosen.randrange(60):02d}:01.5"
        kind = chosen.choice(("date", "time")) if form == "both" else form
        times.append(day(number) + {"date": "", "time": clock, "midnight": "T00:00:00"}[kind])
    ranges = random_ranges(chosen)
    root = with_biases(times, ranges)
    done = convert_gen2(root, tmp_path / "new", Options(headers=False, overlaps=overlaps))
    listed = {row["data_id"]: row["what"] for row in done.report.changes if row["what"].startswith("raw ")}
    assert set(listed.values()) <= {"raw had none"}, "where it gave one, the same is found"
    with Butler.from_config(tmp_path / "new") as butler:
        spans = {r.id: r.timespan for r in butler.query_dimension_records("exposure", instrument="HSC")}
        one_of = several = last_days = 0
        with contextlib.closing(sqlite3.connect(root / "CALIB/calibRegistry.sqlite3")) as connection:
            for number, when in enumerate(times, 1):
                for ccd in sorted({ccd for ccd, *_ in ranges}):
                    old = [row[0] for row in connection.execute(QUERY, (ccd, when))]
                    if len(old) > 1:
                        several += 1
                        continue
                    new = butler.find_dataset(
                        "bias",
                        instrument="HSC",
                        detector=ccd,
                        collections="HSC/calib",
                        timespan=spans[2 * number],
                    )
                    where = f"exposure {2 * number} detector {ccd}"
                    assert (not old and new is not None) == (where in listed)
                    if old:
                        one_of += 1
                        assert new is not None
                        assert new.run == f"HSC/calib/{old[0].replace('-', '')}T000000Z"
                    last_days += where in listed
    assert one_of > 200
    assert several > 50
    assert last_days == len(listed)
    notes = "\n".join(done.report.notes)
    assert f"bias: {several} raws get one calibration at most, where Gen2's look-up gave several" in notes
    assert (f"bias: {last_days} raws get a calibration, where Gen2's look-up gave none" in notes) == (
        last_days > 0
    )


def _date(path: str) -> str:
    """The date of ``BIAS/DATE/...``; words stay."""
    return path.split("/")[1] if "/" in path else path


def changes_of(root: Path, **options: Any) -> list[tuple[str, str, str, str]]:
    """Raws that do not get what they got: data ID, what, old and new, by their dates."""
    report = plan_gen2(root, Options(headers=False, **options)).report
    return [
        (row["data_id"], row["what"], _date(row["registry"]), _date(row["certified"]))
        for row in report.changes
        if row["what"].startswith("raw ")
    ]


def test_g30_the_last_day_belongs_to_a_range_unless_another_has_it(with_biases: Callable[..., Path]) -> None:
    """As texts 2014-01-20T16:00:00 comes behind 2014-01-20, where the second one ends."""
    enclosing: Range = (50, "2014-01-02", "2014-01-01", "2014-03-01")
    enclosed: Range = (50, "2014-01-11", "2014-01-10", "2014-01-20")
    root = with_biases(["2014-01-20T16:00:00"], [enclosing, enclosed])
    assert changes_of(root) == []
    assert changes_of(root, overlaps="midpoint") == []
    (part,) = [p for p in plan_gen2(root, Options(headers=False)).parts if p.name == "bias"]
    names = [part.table.column("path")[i].as_py().split("/")[1] for i in part.certified.positions]
    days = [(b // DAY, e // DAY) for b, e in zip(part.certified.begins, part.certified.ends, strict=True)]
    first = (date(2014, 1, 1) - date(1970, 1, 1)).days
    assert sorted((n, b - first, e - first) for n, (b, e) in zip(names, days, strict=True)) == [
        ("2014-01-02", 0, 9),
        ("2014-01-02", 19, 60),
        ("2014-01-11", 9, 19),
    ]


def test_g15_a_last_day_is_parted_as_the_old_look_up_parted_it() -> None:
    def parted(*rows: tuple[int, int, int, int | None], **policies: Any) -> list[tuple[int, float, float]]:
        made = [
            ValidityRow(("k",), b * DAY, e * DAY, i, (i,), None if d is None else d * DAY)
            for i, b, e, d in rows
        ]
        return sorted((r.item, r.begin / DAY, r.end / DAY) for r in resolve(made, **policies).ranges)

    assert parted((1, 0, 10, 9)) == [(1, 0, 10)], "alone it has its last day"
    assert parted((1, 0, 10, 9), (2, 10, 20, 19)) == [(1, 0, 10), (2, 10, 20)]
    assert parted((1, 0, 10, 9), (2, 9, 20, 19), overlaps="midpoint") == [(1, 0, 9), (2, 9, 20)]
    assert parted((1, 0, 10, 9), (2, 5, 20, 19), overlaps="midpoint") == [(1, 0, 7), (2, 7, 20)]
    assert parted((1, 0, 10, 9), (2, 0, 9, None)) == [(1, 9, 10), (2, 0, 9)]
    assert parted((1, 0, 10, None), (2, 0, 10, 9)) == [(1, 9, 10), (2, 0, 9)]


def test_g30_raws_that_get_another_none_or_several_are_listed(
    with_biases: Callable[..., Path],
) -> None:
    both: list[Range] = [
        (50, "2014-01-02", "2014-01-01", "2014-01-14"),
        (50, "2014-01-15", "2014-01-15T00:00:00", "2014-01-20T12:00:00"),
        (50, "2014-01-25", "2014-01-25", "some day"),
    ]
    times = [
        "2014-01-14T23:59:50",  # behind the text of the end; the exposure goes on into the next range
        "2014-01-15 08:00:00",  # as a text before the T: it had none
        "2014-01-20T12:00:00",  # the very end, which is ours no more
        "2014-01-26",  # a range that only texts can compare
    ]
    root = with_biases(times, both)
    assert changes_of(root) == [
        ("exposure 2 detector 50", "raw had none", "none", "2 of them"),
        ("exposure 4 detector 50", "raw had none", "none", "2014-01-15"),
        ("exposure 6 detector 50", "raw gets none", "2014-01-15", "none"),
        ("exposure 8 detector 50", "raw gets none", "2014-01-25", "none"),
    ]
    both[0] = (50, "2014-01-02", "2014-01-01", "2014-01-15")
    root = with_biases(times[:1], both)
    assert changes_of(root) == [("exposure 2 detector 50", "raw gets several", "2014-01-02", "2 of them")]
    notes = plan_gen2(root, Options(headers=False)).report.notes
    assert any(note.startswith("bias: 1 raws do not get the calibration") for note in notes)


def test_g30_what_is_compared_is_what_the_mapper_compared(
    with_biases: Callable[..., Path], tmp_path: Path
) -> None:
    """DECam's look-up compared the column date; a layout says such things."""
    ranges: list[Range] = [
        (50, "2014-01-02", "2014-01-01", "2014-01-10"),
        (50, "2014-01-15", "2014-01-11", "2014-01-20"),
    ]
    root = with_biases(["2014-01-11T04:00:00"], ranges, date="2014-01-10")
    assert changes_of(root) == []
    own = tmp_path / "own.yaml"
    own.write_text("base: hsc\ncamera: HSC\nobs_time: date\n")
    expected = ("exposure 2 detector 50", "raw gets another", "2014-01-02", "2014-01-15")
    assert changes_of(root, layout=str(own)) == [expected]


@pytest.mark.parametrize("absurd", [1e300, 1e12, -1e300, "long", b"x"])
def test_g9_an_absurd_time_of_one_exposure_is_a_row_of_the_report(
    with_biases: Callable[..., Path], tmp_path: Path, absurd: object
) -> None:
    root = with_biases(
        ["2014-01-20T16:00:00", "2014-01-21"], [(50, "2014-01-02", "2014-01-01", "2014-03-01")]
    )
    with contextlib.closing(sqlite3.connect(root / "registry.sqlite3")) as connection:
        connection.execute("UPDATE raw SET expTime = ? WHERE visit = 2", (absurd,))
        connection.commit()
    done = convert_gen2(root, tmp_path / "new", Options(headers=False))
    assert done.report.totals()["converted"] == 2
    assert ("skipped", "neither a registry nor a header tells of exposure 2", 1) in [
        row[:3] for row in done.report.reasons()
    ]
    assert any("1 exposures of the registry could not be used" in note for note in done.report.notes)


@pytest.mark.parametrize("detector", ["²", "9" * 5000, "٥٠"])
def test_odd_numbers_of_a_detector_are_rows_without_a_file(
    with_biases: Callable[..., Path], detector: str
) -> None:
    root = with_biases(["2014-01-20"], [(50, "2014-01-02", "2014-01-01", "2014-03-01")])
    with contextlib.closing(sqlite3.connect(root / "CALIB/calibRegistry.sqlite3")) as connection:
        names = "filter, calibDate, validStart, validEnd"
        connection.execute(f"INSERT INTO bias (ccd, {names}) SELECT ?, {names} FROM bias", (detector,))
        connection.commit()
    notes = plan_gen2(root, Options(headers=False)).report.notes
    assert "bias: 1 of 2 rows of the registry are of files that are not there" in notes
