# SPDX-License-Identifier: BSD-3-Clause
"""The examples of docs/sql.md give the same through butler.sql and in plain DuckDB."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from lakebutler import Butler, CollectionType, DatasetType
from lakebutler.timespan import Timespan
from tests.query.test_sky import PATCHES, TRACTS, VISITS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sql.md"
EXAMPLES = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
DAY, HOUR = 20089 * 86_400 * 10**9, 3600 * 10**9


def fill(butler: Butler) -> None:
    insert = butler.registry.insertDimensionData
    cam, sky_map = {"instrument": "Cam"}, {"skymap": "map"}
    insert("instrument", {"name": "Cam"})
    insert("physical_filter", {**cam, "name": "r1", "band": "r"}, {**cam, "name": "g1", "band": "g"})
    insert("day_obs", {**cam, "id": 20250101})
    insert("detector", *({**cam, "id": d, "full_name": f"D{d}"} for d in range(2)))
    insert("group", *({**cam, "name": f"g{e}"} for e in range(4)))
    begins = [DAY + e * HOUR // 3 for e in range(4)]
    exposures = [
        {**cam, "id": e, "obs_id": f"o{e}", "group": f"g{e}", "day_obs": 20250101, "exposure_time": 30.0 + e,
         "physical_filter": "r1" if e % 2 else "g1", "observation_type": "science", "target_name": f"T{e}",
         "timespan": Timespan.from_nsec(begin, begin + 30 * 10**9)}
        for e, begin in enumerate(begins)
    ]  # fmt: skip
    insert("exposure", *exposures)
    common = {**cam, "physical_filter": "r1", "day_obs": 20250101}
    insert("visit", *({**common, "id": v, "name": f"v{v}", "region": VISITS[v]} for v in range(4)))
    insert("skymap", {"name": "map", "hash": b"0" * 20})
    insert("tract", *({**sky_map, "id": t, "region": r} for t, r in TRACTS.items()))
    patches = [
        {**sky_map, "tract": t, "id": p, "cell_x": p, "cell_y": 0, "region": r}
        for (t, p), r in PATCHES.items()
    ]
    insert("patch", *patches)
    raw = DatasetType("raw", ["exposure", "detector"], "StructuredDataDict", universe=butler.dimensions)
    bias = DatasetType(
        "bias", ["detector"], "StructuredDataDict", isCalibration=True, universe=butler.dimensions
    )
    for kind in (raw, bias):
        butler.registry.registerDatasetType(kind)
    for run in ("one", "two"):
        butler.collections.register(run)
        for e in range(2 + (run == "two")):
            butler.put({"e": e}, "raw", {**cam, "exposure": e, "detector": 0}, run=run)
    butler.collections.register("main", CollectionType.CHAINED)
    butler.collections.redefine_chain("main", ["two", "one"])
    butler.collections.register("calib", CollectionType.CALIBRATION)
    refs = [butler.put({"d": d}, "bias", {**cam, "detector": d}, run="one") for d in range(2)]
    butler.registry.certify("calib", refs, Timespan.from_nsec(begins[1], begins[3]))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = str(tmp_path_factory.mktemp("page") / "repo")
    Butler.makeRepo(place)
    with Butler.from_config(place, writeable=True) as butler:
        fill(butler)
    return place


PLAIN = """
import json, os, pathlib, sys, duckdb
os.chdir(sys.argv[1])
duckdb.sql("SET TimeZone = 'UTC'")
duckdb.sql(pathlib.Path("registry/views.sql").read_text())
assert "lakebutler" not in sys.modules
asked = [f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({text})" for text in json.load(sys.stdin)]
print(json.dumps([duckdb.sql(text).fetchall() for text in asked]))
"""


def test_the_examples_give_the_same_in_plain_duckdb(root: str) -> None:
    assert len(EXAMPLES) == 11
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, root],
        input=json.dumps(EXAMPLES),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with Butler.from_config(root) as butler:
        for text, plain in zip(EXAMPLES, json.loads(done.stdout), strict=True):
            rows = butler.sql(f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({text})").fetchall()
            ours = [list(row) for row in rows]
            assert ours == plain, text
            assert ours, text


def test_the_examples_answer_what_they_say(root: str) -> None:
    with Butler.from_config(root) as butler:
        answers = [butler.sql(text).to_arrow_table().to_pydict() for text in EXAMPLES]
    assert answers[0]["raws"] == [3, 2]
    assert answers[1]["seconds"] == [62.0, 64.0]
    assert list(zip(answers[2]["exposure"], answers[2]["detector"], strict=True)) == [
        (0, 1),
        (1, 1),
        (2, 1),
        (3, 0),
        (3, 1),
    ]
    assert answers[3]["exposure"] == [1, 1, 2, 2]
    assert answers[4]["child"] == ["two", "one"]
    assert answers[5]["run"] == ["two", "two", "two"]
    with Butler.from_config(root) as butler:
        exact = butler.query_data_ids(["visit", "patch"], where="instrument='Cam' AND skymap='map'")
    near = set(zip(answers[6]["visit"], answers[6]["tract"], answers[6]["patch"], strict=True))
    assert {(d["visit"], d["tract"], d["patch"]) for d in exact} <= near
    assert answers[7]["exposure"] == [0, 1, 2]
    assert answers[8]["datasets"] == [2, 2, 3]
    assert answers[9]["idle_seconds"][:3] == [1170.0, 1170.0, 1170.0]


def test_columns_have_the_same_types_and_instants_in_plain_duckdb(root: str) -> None:
    text = "SELECT typeof(ingest_date), typeof(id), min(ingest_date), max(ingest_date) FROM raw GROUP BY ALL"
    with duckdb.connect() as plain, Butler.from_config(root) as butler:
        plain.execute(f"SET file_search_path = '{root}'")
        plain.execute(Path(root, "registry/views.sql").read_text())
        plain.execute("SET TimeZone = 'America/New_York'")
        assert plain.sql(text).fetchall() == butler.sql(text).fetchall()
        (row,) = butler.sql("SELECT ingest_date FROM raw LIMIT 1").fetchall()
    assert abs(datetime.now(UTC).replace(tzinfo=None) - row[0]) < timedelta(hours=1)
