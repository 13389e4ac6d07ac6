# SPDX-License-Identifier: BSD-3-Clause
"""Fixes of wrong headers: in camera files, in a repository, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from astropy.io import fits
from click.testing import CliRunner

from lakebutler import Butler
from lakebutler.cli.main import lakebutler
from lakebutler.errors import ConflictingDefinitionError, HeaderError, InstrumentError
from lakebutler.instruments import ingest_raws, load_camera
from lakebutler.instruments.cameras.header_fixes import FixTable, fix_from_facts, fix_to_facts
from lakebutler.instruments.headers.repository_fixes import (
    add_header_fixes,
    query_header_fixes,
    read_fix_file,
    remove_header_fixes,
)

HEADER = {"OBSID": "X_1", "DAYOBS": "20250310", "SEQNUM": 7, "ROTPA": 100.0, "FILTER": "", "A": "abc"}


def mended(*facts: dict[str, Any], header: dict[str, Any] = HEADER, path: str = "/d/a.fits") -> Any:
    fixes = tuple(fix_from_facts({"name": str(i)} | f, instrument="C") for i, f in enumerate(facts))
    return FixTable(fixes).mended(header, path)


@pytest.mark.parametrize(
    ("when", "applies"),
    [
        ({"OBSID": "X_1"}, True),
        ({"OBSID": "X_2"}, False),
        ({"SEQNUM": 7}, True),
        ({"DAYOBS": 20250310}, True),
        ({"DAYOBS": [20250309, 20250310]}, True),
        ({"DAYOBS": {"from": 20250310, "to": 20250310}}, True),
        ({"DAYOBS": {"after": 20250310}}, False),
        ({"DAYOBS": {"before": 20250310}}, False),
        ({"A": {"after": "abb", "before": "abd"}}, True),
        ({"FILTER": {"present": False}}, True),
        ({"FILTER": {"present": True}}, False),
        ({"FILTER": ""}, True),
        ({"NONE": {"present": False}}, True),
        ({"NONE": "x"}, False),
        ({"NONE": {"like": "*"}}, False),
        ({"A": {"like": "a?c", "unlike": "*d"}}, True),
        ({"A": {"unlike": "a*"}}, False),
        ({"A": {"same": "OBSID"}}, False),
        ({"A": {"same": "A"}}, True),
        ({"OBSID": "X_1", "SEQNUM": 8}, False),
    ],
)
def test_conditions(when: dict[str, Any], applies: bool) -> None:
    assert (mended({"when": when, "set": {"NEW": 1}})[0].get("NEW") == 1) is applies


def test_a_fix_may_ask_for_the_name_of_the_file() -> None:
    assert "NEW" in mended({"file": "a.*", "set": {"NEW": 1}})[0]
    assert "NEW" not in mended({"file": "b.*", "set": {"NEW": 1}})[0]


@pytest.mark.parametrize(
    ("change", "value"),
    [
        (5, 5),
        (None, None),
        ({"add": -90}, 10.0),
        ({"times": 2, "add": 1}, 201.0),
        ({"add": 100, "wrap": [-180, 180]}, -160.0),
        ({"copy": "A"}, "abc"),
        ({"copy": "A", "until": "b"}, "a"),
        ({"copy": "NONE"}, None),
    ],
)
def test_changes(change: Any, value: Any) -> None:
    header = mended({"when": {"OBSID": "X_1"}, "set": {"ROTPA": change}})[0]
    assert header.get("ROTPA") == value


def test_the_header_given_is_not_changed_and_fixes_build_on_each_other() -> None:
    before = dict(HEADER)
    first = {"when": {"FILTER": ""}, "set": {"FILTER": "r", "A": {"copy": "FILTER"}}}
    second = {"when": {"FILTER": {"like": "r"}}, "set": {"FILTER": {"copy": "OBSID"}}}
    header = mended(first, second)[0]
    assert (header["FILTER"], header["A"]) == ("X_1", "")
    assert before == HEADER
    assert mended({"when": {"SEQNUM": 9}, "set": {"A": 1}})[0] is HEADER


def test_a_number_is_needed_to_compute_with() -> None:
    with pytest.raises(HeaderError, match="A is 'abc', not a number"):
        mended({"when": {"SEQNUM": 7}, "set": {"A": {"add": 1}}})


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ([], "expected a mapping"),
        ({"set": {"A": 1}}, "when or file is needed"),
        ({"when": {"A": 1}}, "set or properties is needed"),
        ({"when": {"A": 1}, "sett": {}}, "unknown word 'sett'"),
        ({"when": {"A": {"likes": "x"}}, "set": {"A": 1}}, "when: A: unknown word 'likes'"),
        ({"when": {"A": {}}, "set": {"A": 1}}, "when: A: is empty"),
        ({"when": {"A": {"like": "x" * 300}}, "set": {"A": 1}}, "longer than 200"),
        ({"when": {"A": 1}, "set": {"A": {"eval": "1"}}}, "set: A: unknown word 'eval'"),
        ({"when": {"A": 1}, "set": {"A": [1]}}, "no plain value"),
        ({"when": {"A": 1}, "set": {"A": {"wrap": [2, 1]}}}, "wrap is [low, high]"),
        ({"when": {"A": 1}, "properties": {"detector": 1}}, "unknown property 'detector'"),
        ({"when": {"A": 1}, "properties": {"datetime_begin": "soon"}}, "is no isot time"),
    ],
)
def test_what_is_no_fix_is_one_line(facts: Any, message: str) -> None:
    with pytest.raises(InstrumentError) as caught:
        fix_from_facts(facts, instrument="C")
    assert message in str(caught.value)


def test_facts_and_fix_are_the_same() -> None:
    facts = {
        "name": "n",
        "instrument": "C",
        "when": {"A": [1]},
        "set": {"B": None},
        "file": "*.fits",
        "reason": "so",
    }
    assert fix_to_facts(fix_from_facts(facts)) == facts


def test_the_fixes_of_the_cameras_mend_their_headers() -> None:
    table = load_camera("LSSTCam").fix_table
    assert table.mended({"DAYOBS": "20250401", "ROTPA": 10.0}, "")[0]["ROTPA"] == -80.0
    assert table.mended({"DAYOBS": "20250422", "SEQNUM": 250, "ROTPA": -10.0}, "")[0]["ROTPA"] == 170.0
    assert table.mended({"DAYOBS": "20250422", "SEQNUM": 251, "ROTPA": -10.0}, "")[0]["ROTPA"] == -10.0
    assert table.mended({"DAYOBS": "20250714", "SEQNUM": 300, "VIGN_MIN": "NO"}, "")[0]["VIGN_MIN"] == "FULLY"
    early = {"MJD-OBS": 58741.76, "GROUPID": "bias_0027_0100", "DATE-END": "x", "SHUTTIME": 3.0}
    assert load_camera("LATISS").fix_table.mended(early, "")[0] == {
        "MJD-OBS": 58741.76, "GROUPID": "bias_0027_0100", "IMGTYPE": "bias",
    }  # fmt: skip
    named = {"MJD-OBS": 58741.76, "GROUPID": "FLAT"}
    assert load_camera("LATISS").fix_table.mended(named, "")[0] == {"MJD-OBS": 58741.76, "IMGTYPE": "FLAT"}


# --------------------------------------------------------------- in a repository


@pytest.fixture
def wrong(tmp_path: Path, simulated: tuple[Path, ...]) -> Path:
    """A raw of the demo camera whose filter no camera has."""
    path = tmp_path / "night" / simulated[0].name
    path.parent.mkdir()
    with fits.open(simulated[0]) as file:
        file[0].header["FILTER"] = "mystery"
        file.writeto(path)
    return path


def of_filter(value: str, **more: Any) -> Any:
    return fix_from_facts(
        {"name": "filter", "when": {"FILTER": "mystery"}, "set": {"FILTER": value}, **more},
        instrument="DemoCam",
    )


def test_a_wrong_header_is_mended_by_the_repository(
    wrong: Path, repository_with: Callable[..., Butler], simulated: tuple[Path, ...]
) -> None:
    butler = repository_with("DemoCam")
    (report,) = ingest_raws(butler, wrong, transfer="direct").rejected
    assert report.reason == "DemoCam has no filter 'mystery'"
    spelling = fits.getheader(simulated[0])["FILTER"]
    assert add_header_fixes(butler, [of_filter(spelling)]) == 1
    assert add_header_fixes(butler, [of_filter(spelling)]) == 0
    assert ingest_raws(butler, wrong, transfer="direct").counts["ingested"] == 1
    (record,) = butler.query_dimension_records("exposure", instrument="DemoCam")
    assert record.toDict()["physical_filter"] == load_camera("DemoCam").filter(spelling).name


def test_a_translated_value_is_replaced_and_records_are_updated(
    repository_with: Callable[..., Butler], simulated: tuple[Path, ...]
) -> None:
    butler = repository_with("DemoCam")
    ingest_raws(butler, simulated[0], transfer="direct")
    (before,) = butler.query_dimension_records("exposure", instrument="DemoCam")
    facts = {
        "name": "target",
        "file": simulated[0].name,
        "properties": {"object": "M31", "exposure_time": 12},
    }
    add_header_fixes(butler, [fix_from_facts(facts, instrument="DemoCam")])
    (refused,) = ingest_raws(butler, simulated[0], transfer="direct").rejected
    assert "--update-records" in refused.reason
    ingest_raws(butler, simulated[0], transfer="direct", update_records=True)
    (after,) = butler.query_dimension_records("exposure", instrument="DemoCam")
    assert [r.toDict()["target_name"] == "M31" for r in (before, after)] == [False, True]


def test_a_name_is_taken_once(repository_with: Callable[..., Butler]) -> None:
    butler = repository_with("DemoCam")
    add_header_fixes(butler, [of_filter("r")])
    with pytest.raises(ConflictingDefinitionError, match="another header fix 'filter'"):
        add_header_fixes(butler, [of_filter("g")])
    add_header_fixes(butler, [of_filter("g")], replace_existing=True)
    assert [fix.cards for fix in query_header_fixes(butler)] == [{"FILTER": "g"}]
    with pytest.raises(InstrumentError, match="no header fix 'fliter'"):
        remove_header_fixes(butler, ["fliter"])
    remove_header_fixes(butler, ["filter"])
    assert query_header_fixes(butler) == ()


def test_correction_files_of_the_translators_are_fixes(tmp_path: Path) -> None:
    (tmp_path / "LATISS-AT_O_20190329_000022.yaml").write_text("EXPTIME: 0.0\nIMGTYPE: bias\n")
    (tmp_path / "HSC-HSCA00042600.yaml").write_text("EXP-ID: HSCE00042600\n")
    (tmp_path / "notes.txt").write_text("no fix")
    hsc, latiss = read_fix_file(tmp_path)
    assert (latiss.instrument, latiss.when) == ("LATISS", {"OBSID": "AT_O_20190329_000022"})
    assert latiss.cards == {"EXPTIME": 0.0, "IMGTYPE": "bias"}
    assert (hsc.instrument, hsc.when) == ("HSC", {"EXP-ID": "HSCA00042600"})


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not valid YAML"), ("5", "expected a mapping"), ("A: 1", "neither 'set' nor")]
)
def test_other_files_are_not(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InstrumentError) as caught:
        read_fix_file(tmp_path / "x.yaml")
    assert message in str(caught.value)


def test_nothing_in_a_fix_file_runs(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f"- !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    with pytest.raises(InstrumentError, match="not valid YAML"):
        read_fix_file(tmp_path / "x.yaml")
    assert not (tmp_path / "made").exists()


def test_from_the_command_line(tmp_path: Path, repository_with: Callable[..., Butler]) -> None:
    root = repository_with("DemoCam").root
    path = tmp_path / "fixes.yaml"
    path.write_text(yaml.safe_dump([fix_to_facts(of_filter("r", reason="misspelt"))]))

    def run(*words: str) -> str:
        result = CliRunner().invoke(lakebutler, ["-R", str(root), *words])
        assert result.exit_code == 0, result.output
        return result.output

    assert run("add-header-fixes", str(path)) == "header fixes: 1 added, 0 there already\n"
    (row,) = json.loads(run("query-header-fixes", "--json"))
    assert (row["name"], json.loads(row["set"]), row["reason"]) == ("filter", {"FILTER": "r"}, "misspelt")
    assert run("remove-header-fixes", "filter") == "header fixes: 1 removed\n"
