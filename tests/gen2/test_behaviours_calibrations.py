# SPDX-License-Identifier: BSD-3-Clause
"""Behaviours G15, G16, G17, G28 and G30: validity ranges, certified as the old look-up meant them."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler import Butler
from lakebutler.errors import ConflictingDefinitionError
from lakebutler.gen2.convert import convert_gen2, plan_gen2
from lakebutler.gen2.options import Options
from lakebutler.gen2.validity import DAY, ValidityRow, parse_time, resolve
from lakebutler.timespan import Timespan

Row = tuple[int, int, int]


def ranges(rows: Sequence[Row], **policies: Any) -> list[Row]:
    """Resolve ranges in days."""
    made = [ValidityRow(("k",), b * DAY, e * DAY, item, (item,)) for item, b, e in rows]
    return sorted((r.item, r.begin // DAY, r.end // DAY) for r in resolve(made, **policies).ranges)


def certified(plan: Any, kind: str) -> dict[tuple[Any, ...], list[tuple[int, int]]]:
    """Ranges of a type by file and data ID."""
    found: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    for part in plan.parts:
        if part.name == kind:
            keys = list(zip(*[part.table.column(d).to_pylist() for d in part.dimensions], strict=True))
            paths = part.table.column("path").to_pylist()
            c = part.certified
            for i, begin, end in zip(c.positions, c.begins, c.ends, strict=True):
                found.setdefault((paths[i], *keys[i]), []).append((begin, end))
    return found


def test_g15_dates_and_times_are_read() -> None:
    day = (date(2013, 1, 31) - date(1970, 1, 1)).days * DAY
    assert parse_time("2013-01-31") == day
    assert parse_time("2013-01-31", end=True) == day + DAY
    assert parse_time("2013-01-31T00:00:00") == parse_time("2013-01-31T00:00:00", end=True) == day
    assert parse_time("2013-01-31 19:00:00.5") == day + 19 * 3600 * 10**9 + 5 * 10**8
    assert parse_time("2013-01-31T04:52:34.895201920Z") == day + 17554_895201920
    for bad in ("", "2013-02-30", "yesterday", "2013-1-1", None, 20130131, "2013-01-31T25:00"):
        assert parse_time(bad) is None


def test_g15_the_728_gaps_of_a_day_close(ci_hsc: Callable[..., Path]) -> None:
    root = ci_hsc()
    plan = plan_gen2(root, Options(curated=True))
    by_detector: dict[int, list[tuple[int, int]]] = {}
    for (_, detector, _), spans in certified(plan, "defects").items():
        by_detector.setdefault(detector, []).extend(spans)
    assert len(by_detector) == 112
    meets = 0
    for spans in by_detector.values():
        spans.sort()
        for before, after in pairwise(spans):
            assert before[1] <= after[0]
            meets += before[1] == after[0]
    assert meets == 728
    assert sum(len(spans) for spans in by_detector.values()) == 840
    assert "defects: 728 gaps of one day close, since ends are inclusive" in plan.report.notes


def test_g15_gaps_and_overlaps_by_policy() -> None:
    assert ranges([(1, 0, 10), (2, 11, 20)]) == [(1, 0, 11), (2, 11, 20)]
    assert ranges([(1, 0, 10), (2, 11, 20)], gaps="keep") == [(1, 0, 10), (2, 11, 20)]
    assert ranges([(1, 0, 10), (2, 13, 20)]) == [(1, 0, 10), (2, 13, 20)], "longer gaps are gaps"
    assert ranges([(1, 0, 10), (2, 4, 20)]) == [(1, 0, 4), (2, 4, 20)]
    assert ranges([(1, 0, 10), (2, 4, 20)], overlaps="midpoint") == [(1, 0, 7), (2, 7, 20)]
    enclosed = [(1, 0, 4), (1, 6, 20), (2, 4, 6)]
    assert ranges([(1, 0, 20), (2, 4, 6)]) == enclosed, "what lies behind the enclosed range stays"
    assert ranges([(1, 0, 20), (2, 4, 6)], overlaps="midpoint") == enclosed
    refused = resolve(
        [ValidityRow((7,), 0, 10 * DAY, 1), ValidityRow((7,), 4 * DAY, 20 * DAY, 2)], overlaps="fail"
    ).refused
    assert refused == ["7: an overlap of 6 d from 1970-01-05"]
    changes = resolve([ValidityRow((7,), 0, 10 * DAY, 1), ValidityRow((7,), 4 * DAY, 20 * DAY, 2)]).changes
    assert [(c.item, c.what, c.after) for c in changes] == [(1, "overlap cut", ((0, 4 * DAY),))]


rows_of_ranges = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 30)).map(lambda p: (p[0], p[0] + p[1])), max_size=12
)


@given(rows_of_ranges, st.sampled_from(["close", "keep"]), st.sampled_from(["next-start", "midpoint"]))
def test_g15_ranges_never_overlap_and_cover_what_was_covered(
    spans: list[tuple[int, int]], gaps: Any, overlaps: Any
) -> None:
    rows = [ValidityRow(("k",), b * DAY, e * DAY, i, (i,)) for i, (b, e) in enumerate(spans)]
    done = resolve(rows, gaps=gaps, overlaps=overlaps)
    ordered = sorted(done.ranges, key=lambda r: r.begin)
    for before, after in pairwise(ordered):
        assert before.end <= after.begin
    for day in range(92):
        at = day * DAY + DAY // 3
        valid = {i for i, (b, e) in enumerate(spans) if b * DAY <= at < e * DAY}
        now = {r.item for r in done.ranges if r.begin <= at < r.end}
        if valid:
            assert now <= valid
            assert len(now) == 1
        elif gaps == "keep":
            assert not now
    whole = {(r.item, r.begin, r.end) for r in done.ranges}
    kept = {(i, b * DAY, e * DAY) for i, (b, e) in enumerate(spans)} & whole
    assert len(kept) + len({c.item for c in done.changes}) == len(spans), "every change is listed"


def test_g15_what_is_forbidden_is_told_before_anything_is_written(
    ci_hsc: Callable[..., Path], tmp_path: Path, registry_of: Callable[..., Path]
) -> None:
    root = ci_hsc()
    path = root / "CALIB/calibRegistry.sqlite3"
    path.unlink()
    bias = {"filter": "NONE", "ccd": 5, "calibDate": "2013-11-03", "validStart": "2013-01-01"}
    registry_of(
        path,
        bias=[
            {**bias, "validEnd": "2014-01-01"},
            {**bias, "validStart": "2013-06-01", "validEnd": "2015-01-01"},
        ],
    )
    dest = tmp_path / "new"
    with pytest.raises(ConflictingDefinitionError, match="1 validity ranges of bias are not permitted"):
        convert_gen2(root, dest, Options(overlaps="fail"))
    assert not dest.exists()
    done = convert_gen2(root, dest, Options())
    assert done.written is not None
    assert [c["what"] for c in done.report.changes] == ["overlap cut"]


def test_g16_duplicates_odd_dates_and_missing_partners(
    ci_hsc: Callable[..., Path], registry_of: Callable[..., Path]
) -> None:
    one = [ValidityRow((1,), 0, DAY, 10, (0, "old")), ValidityRow((1,), 0, DAY, 11, (1, "new"))]
    assert [r.item for r in resolve(one).ranges] == [11]
    assert [(c.item, c.what) for c in resolve(one).changes] == [(10, "duplicate")]
    root = ci_hsc()
    plan = plan_gen2(root, Options())
    assert sum(len(s) for s in certified(plan, "sky").values()) == 32, (
        "their dates lie outside of their ranges"
    )
    path = root / "CALIB/calibRegistry.sqlite3"
    path.unlink()
    row = {"filter": "NONE", "ccd": 5, "calibDate": "2013-11-03T00:00:00"}
    good = {**row, "validStart": "2013-01-01", "validEnd": "9999-12-31"}
    registry_of(path, bias=[good, {**good, "ccd": 99}, {**good, "ccd": 6, "validEnd": "never"}])
    plan = plan_gen2(root, Options())
    (span,) = certified(plan, "bias").values()
    assert Timespan.from_nsec(*span[0]).end is None, "a year beyond what can be said is without end"
    notes = "\n".join(plan.report.notes)
    assert "bias: 1 of 3 rows of the registry are of files that are not there" in notes
    assert "bias: 14 files are in no row of the registry" in notes
    assert "bias: 1 rows have no validity range that can be read" in notes
    assert "the registry has no table flat: not certified" in notes
    assert [c["what"] for c in plan.report.changes] == ["unbounded beyond 1970 to 2100"]


def test_g17_historic_schemas_give_the_same_where_rows_are_equal(
    ci_hsc: Callable[..., Path], fragment: Callable[[str], Path]
) -> None:
    root = ci_hsc()
    found, texts = {}, {}
    for version in ("0", "2", "3"):
        source = fragment(f"ci_hsc_calib/calibRegistry_{version}.sqlite3")
        shutil.copyfile(source, root / "CALIB/calibRegistry.sqlite3")
        plan = plan_gen2(root, Options())
        with contextlib.closing(sqlite3.connect(source)) as connection:
            for kind in ("bias", "dark", "flat"):
                found[version, kind] = certified(plan, kind)
                texts[version, kind] = set(
                    connection.execute(f"SELECT ccd, filter, calibDate, validStart, validEnd FROM {kind}")
                )
    for kind in ("bias", "dark", "flat"):
        assert found["2", kind] == found["3", kind]
        assert texts["2", kind] == texts["3", kind]
        assert found["3", kind]
        for ccd, band, when, start, end in texts["0", kind]:
            at = [
                v
                for k, v in found["0", kind].items()
                if f"-{ccd:03d}.fits" in k[0] and when in k[0] and (kind != "flat" or band in k)
            ]
            expected = (parse_time(start), parse_time(end, end=True))
            assert [expected] in at or not at


def test_g17_tables_and_columns_of_other_schemas(fragment: Callable[[str], Path], tmp_path: Path) -> None:
    from lakebutler.gen2.registry import read_calibrations, read_raws

    elixir = read_calibrations(str(fragment("testdata_cfht/calibRegistry.sqlite3")))
    assert {kind: len(table) for kind, table in elixir.items()} == {
        "dark": 27,
        "bias": 115,
        "flat": 570,
        "fringe": 176,
    }
    assert set(read_calibrations(str(fragment("suprimecam/calibRegistry.sqlite3")))) == {
        "bias",
        "dark",
        "flat",
        "fringe",
    }
    raws = read_raws(str(fragment("suprimecam/registry.sqlite3")))
    assert (raws.exposure_key, raws.detector_key, len(raws)) == ("visit", "ccd", 1)
    path = tmp_path / "registry.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE x (id INTEGER, visit INT, ccd INT, filter TEXT, expTime DOUBLE)")
        connection.execute("CREATE TABLE x_visit (visit INT, filter TEXT)")
        connection.execute("CREATE TABLE x_skyTile (id INTEGER, skyTile INTEGER)")
        connection.execute("INSERT INTO x VALUES (1, 788033, 17, 'r', 30.0)")
        connection.commit()
    raws = read_raws(str(path))
    assert raws.columns["visit"] == (788033,)


def test_g17_a_registry_that_names_its_files(
    manifest: Callable[..., Any], sparse: Callable[..., Path], fragment: Callable[[str], Path]
) -> None:
    """CFHT: the template fits any path; the registry says which files are what."""
    source = fragment("testdata_cfht/calibRegistry.sqlite3")
    with contextlib.closing(sqlite3.connect(source)) as connection:
        paths = {
            kind: [
                row[0] for row in connection.execute(f"SELECT DISTINCT path FROM {kind} WHERE ccdNum = 18")
            ]
            for kind in ("bias", "flat")
        }
    root = sparse("cfht", [(path, 100) for some in paths.values() for path in some] + [("other/x.fits", 1)])
    (root / "_mapper").write_text("lsst.obs.cfht.MegacamMapper")
    shutil.copyfile(source, root / "calibRegistry.sqlite3")
    plan = plan_gen2(root, Options())
    counts = {c.dataset_type: c for c in plan.report.counts}
    assert counts["bias"].files == len(paths["bias"])
    assert counts["flat"].files == len(paths["flat"])
    assert counts["bias"].certified == counts["bias"].datasets
    spans = sorted(span for some in certified(plan, "bias").values() for span in some)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert spans


def test_g28_curated_types_come_only_on_request(ci_hsc: Callable[..., Path]) -> None:
    root = ci_hsc()
    plain = plan_gen2(root, Options()).report
    assert plain.totals()["converted"] == 96
    assert ("skipped", "written from curated data instead; --curated converts it", 841) in [
        row[:3] for row in plain.reasons()
    ]
    assert plan_gen2(root, Options(curated=True)).report.totals()["converted"] == 937
    named = plan_gen2(root, Options(types=("defects",))).report
    assert named.totals()["converted"] == 840


def lookup(
    connection: sqlite3.Connection, kind: str, when: str, ccd: int, band: str | None
) -> list[tuple[str, ...]]:
    """Look a calibration up as the old middleware did: a comparison of texts."""
    where = "? BETWEEN validStart AND validEnd AND ccd = ?"
    values: list[Any] = [when, ccd]
    if band is not None:
        where += " AND filter = ?"
        values.append(band)
    return connection.execute(f"SELECT calibDate FROM {kind} WHERE {where}", values).fetchall()


def test_g30_the_same_calibration_as_the_old_look_up(
    ci_hsc: Callable[..., Path], registry_of: Callable[..., Path], tmp_path: Path
) -> None:
    """For every raw for which the old look-up gave one calibration, the new one gives the same."""
    days = [date(2013, 1, 15) + timedelta(days=17 * i) for i in range(40)] + [
        date(2014, 4, 2),
        date(2014, 5, 2),
    ]
    raws, files = [], []
    for number, day in enumerate(days):
        for ccd in (0, 5, 23):
            band = ("HSC-R", "HSC-I")[number % 2]
            visit = 900000 + 2 * number
            raws.append(
                {
                    "visit": visit,
                    "ccd": ccd,
                    "filter": band,
                    "dateObs": day.isoformat(),
                    "taiObs": day.isoformat(),
                    "expTime": 30.0,
                    "field": "F",
                    "pointing": 533,
                    "dataType": "OBJECT",
                }
            )
            files.append((f"F/{day.isoformat()}/00533/{band}/HSC-{visit:07d}-{ccd:03d}.fits", 10))
    root = ci_hsc(files)
    registry_of(root / "registry.sqlite3", raw=raws)
    done = convert_gen2(root, tmp_path / "new", Options(curated=True, headers=False))
    assert done.report.totals()["converted"] == 937 + len(files)
    asked = answered = 0
    with (
        Butler.from_config(tmp_path / "new", collections="HSC/defaults") as butler,
        contextlib.closing(sqlite3.connect(root / "CALIB/calibRegistry.sqlite3")) as connection,
    ):
        refs = butler.query_datasets("raw", limit=None)
        assert len(refs) == len(raws)
        for raw in raws:
            begin = parse_time(raw["taiObs"])
            assert begin is not None
            for kind in ("bias", "dark", "flat", "sky", "defects"):
                band = raw["filter"] if kind in ("flat", "sky") else None
                old = lookup(connection, kind, raw["taiObs"], raw["ccd"], band)
                asked += 1
                if len(old) != 1:
                    continue
                answered += 1
                more = {"physical_filter": band} if band else {}
                found = butler.find_dataset(
                    kind,
                    instrument="HSC",
                    detector=raw["ccd"],
                    timespan=Timespan.from_nsec(begin, begin + 30 * 10**9),
                    **more,
                )
                assert found is not None
                stamp = old[0][0].removesuffix("T00:00:00").replace("-", "")
                assert found.run == f"HSC/calib/{stamp}T000000Z"
    assert answered > 150
    assert asked == len(raws) * 5
