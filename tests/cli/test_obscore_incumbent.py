# SPDX-License-Identifier: BSD-3-Clause
"""ObsCore of a real export, beside what ``lsst.daf.butler`` writes into its own obscore table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lakebutler import Butler
from tests.butler import incumbent

SCRIPT = """
import sqlite3
export, files = sys.argv[1:]
config = Config()
managers = ("registry", "managers", "obscore")
config[(*managers, "cls")] = "lsst.daf.butler.registry.obscore._manager.ObsCoreLiveTableManager"
kind = {"dataproduct_type": "image", "o_ucd": "phot.count", "access_format": "image/fits"}
config[(*managers, "config")] = {
    "namespace": "daf_butler_obscore", "version": 0, "collection_type": "RUN", "collections": [],
    "facility_name": "Subaru", "obs_collection": "X",
    "dataset_types": {
        "raw": {**kind, "calib_level": 1, "obs_id_fmt": "{records[exposure].obs_id}"},
        "calexp": {**kind, "calib_level": 2, "obs_id_fmt": "{records[visit].name}"},
    },
    "spectral_ranges": {"HSC-R": [543e-9, 693e-9], "HSC-I": [690e-9, 842e-9]},
}
Butler.makeRepo("theirs", config=config)
Butler.from_config("theirs", writeable=True).import_(filename=export, directory=files, transfer="direct")
connection = sqlite3.connect("theirs/gen3.sqlite3")
connection.row_factory = sqlite3.Row
print(json.dumps([dict(row) for row in connection.execute("SELECT * FROM obscore")], default=str))
"""
EQUAL = ("dataproduct_type", "target_name", "t_exptime", "em_min", "em_max", "o_ucd", "access_format",
         "facility_name", "instrument_name")  # fmt: skip


def key(row: dict[str, object]) -> tuple[object, ...]:
    """Observation, level and place."""
    corners = str(row["s_region"] or "").split()[2:]
    return (row["obs_id"], row["calib_level"], *(round(float(word), 3) for word in corners))


def test_rows_are_those_of_the_incumbent(shared_data: Path, tmp_path: Path) -> None:
    export = shared_data / "exports/jointcal_hsc_exports.yaml"
    for name in re.findall(r"path: (\S+)", export.read_text()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    theirs = {key(row): row for row in incumbent.run(SCRIPT, export, tmp_path, where=tmp_path)}
    with Butler.from_config(Butler.makeRepo(tmp_path / "ours"), writeable=True) as butler:
        butler.import_(filename=str(export), directory=str(tmp_path), transfer="direct")
        asked = "SELECT * FROM obscore WHERE lb_dataset_type IN ('raw', 'calexp')"
        ours = {key(row): row for row in butler.sql(asked).to_arrow_table().to_pylist()}
    assert set(ours) == set(theirs)
    assert len(ours) == 40
    for where, row in theirs.items():
        mine = ours[where]
        assert {name: mine[name] for name in EQUAL} == {name: row[name] for name in EQUAL}
        for name in ("t_min", "t_max"):
            assert mine[name] == pytest.approx(row[name], abs=1e-10, rel=0)  # days
        if row["s_region"] is None:  # theirs say nothing, ours where the telescope pointed
            assert (row["s_ra"], mine["s_ra"] is None) == (None, False)
            continue
        # Their middle and diameter are of the bounding circle, ours about the mean of the corners.
        for name in ("s_ra", "s_dec", "s_fov"):
            assert mine[name] == pytest.approx(row[name], abs=5e-4, rel=0)
        assert [float(w) for w in mine["s_region"].split()[2:]] == pytest.approx(
            [float(w) for w in row["s_region"].split()[2:]], abs=1e-6, rel=0
        )
        assert mine["s_region"].split()[:2] == row["s_region"].split()[:2] == ["POLYGON", "ICRS"]
