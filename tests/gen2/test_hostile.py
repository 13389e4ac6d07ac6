# SPDX-License-Identifier: BSD-3-Clause
"""Old repositories that want to do harm: they are refused, or told of, in a line."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from lakebutler.cli.main import lakebutler
from lakebutler.errors import RepositoryFormatError
from lakebutler.gen2.convert import plan_gen2
from lakebutler.gen2.discover import ancestors, find_gen2
from lakebutler.gen2.options import Options

HSC = "lsst.obs.hsc.HscMapper"
BIAS = "BIAS/2013-11-03/NONE/BIAS-2013-11-03-{}.fits"


@pytest.fixture
def calibs(sparse: Callable[..., Path]) -> Path:
    root = sparse("hsc", [(BIAS.format("005"), 5)])
    (root / "_mapper").write_text(HSC)
    (root / "calibRegistry.sqlite3").touch()
    return root


def reasons(root: Path, **more: object) -> dict[str, str]:
    report = plan_gen2(root, Options(**more)).report  # type: ignore[arg-type]
    return {row["path"]: row["reason"] for row in report.not_converted()}


def test_pipes_and_sockets_are_told_and_never_opened(calibs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = (calibs / BIAS.format("006")).parent
    os.mkfifo(calibs / BIAS.format("006"))
    monkeypatch.chdir(place)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("BIAS-2013-11-03-007.fits")
        (calibs / BIAS.format("008")).symlink_to("BIAS-2013-11-03-006.fits")
        (calibs / BIAS.format("009")).symlink_to("/dev/null")
        found = reasons(calibs)
    for number in ("006", "007", "008", "009"):
        assert found[BIAS.format(number)] == "neither a file nor a directory"


@pytest.mark.parametrize("name", ["repositoryCfg.yaml", "deepCoadd/skyMap.pickle"])
def test_a_pipe_in_the_place_of_a_configuration_does_not_block(calibs: Path, name: str) -> None:
    (calibs / name).parent.mkdir(exist_ok=True)
    os.mkfifo(calibs / name)
    coadd = calibs / "deepCoadd-results/HSC-R/0/1,1/calexp-HSC-R-0-1,1.fits"
    coadd.parent.mkdir(parents=True)
    coadd.touch()
    with pytest.raises(RepositoryFormatError, match=r"no plain file|no skymap is told"):
        plan_gen2(calibs)


def test_names_that_play_with_the_terminal_or_with_lines(calibs: Path, tmp_path: Path) -> None:
    place = (calibs / BIAS.format("005")).parent
    names = [
        "BIAS-2013-11-03-\x1b[2J.fits",
        "BIAS-2013-11-03-00\n6.fits",
        "BIAS-2013-11-03-007.fits\n",
        "a" * 255,
    ]
    for name in names:
        (place / name).touch()
    done = CliRunner().invoke(lakebutler, ["convert-gen2", str(calibs), str(tmp_path / "new"), "-n"])
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    assert "\\x1b[2J.fits" in done.stderr
    found = reasons(calibs)
    for name in names:
        assert found[f"{place.relative_to(calibs)}/{name}"] == "no template fits"


def test_links_out_of_the_root_are_followed_to_files_as_the_old_ingest_made_them(
    calibs: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.fits").touch()
    (calibs / BIAS.format("006")).symlink_to(tmp_path / "elsewhere.fits")
    (calibs / "BIAS/2013-11-04").symlink_to(tmp_path)
    report = plan_gen2(calibs).report
    converted = {row["path"] for row in report.files().to_pylist() if row["status"] == "converted"}
    assert converted == {BIAS.format("005"), BIAS.format("006")}


def hostile_registry(path: Path, script: str) -> None:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def test_views_and_triggers_of_a_registry_are_not_read_or_run(calibs: Path) -> None:
    script = """
        CREATE TABLE bias (id INTEGER PRIMARY KEY, ccd INT, calibDate TEXT, validStart TEXT, validEnd TEXT);
        INSERT INTO bias VALUES (1, 5, '2013-11-03', '2013-01-01', '2014-01-01');
        CREATE VIEW dark AS WITH RECURSIVE n(validStart) AS (SELECT 1 UNION ALL SELECT validStart + 1 FROM n)
            SELECT validStart, validStart AS validEnd FROM n;
        CREATE TRIGGER t AFTER INSERT ON bias BEGIN SELECT load_extension('x'); END;
        CREATE TABLE "flat""; DROP TABLE bias; --" (validStart TEXT, validEnd TEXT);
    """
    hostile_registry(calibs / "calibRegistry.sqlite3", script)
    before = (calibs / "calibRegistry.sqlite3").read_bytes()
    plan = plan_gen2(calibs)
    (part,) = plan.parts
    assert len(part.certified.positions) == 1
    assert (calibs / "calibRegistry.sqlite3").read_bytes() == before
    (calibs / "registry.sqlite3").write_bytes(b"")
    hostile_registry(calibs / "registry.sqlite3", "CREATE VIEW raw AS SELECT 1 AS visit;")
    with pytest.raises(RepositoryFormatError, match="has no table of raws, but nothing"):
        plan_gen2(calibs)


def test_a_registry_with_a_huge_schema_is_refused(calibs: Path) -> None:
    script = ";".join(f"CREATE TABLE t{i} (validStart, validEnd)" for i in range(1001))
    hostile_registry(calibs / "calibRegistry.sqlite3", f"BEGIN; {script}; COMMIT;")
    with pytest.raises(RepositoryFormatError, match="more than 1000 tables"):
        plan_gen2(calibs)


def test_values_of_any_kind_in_a_registry(calibs: Path) -> None:
    script = """
        CREATE TABLE bias (ccd, calibDate, validStart, validEnd);
        INSERT INTO bias VALUES (x'ff00', x'ff', x'ff', NULL), (1e300, 7, -1, 'never'),
            (NULL, NULL, NULL, NULL), (5, '2013-11-03', '9999-99-99', '2014-01-01'),
            ('5', '2013-11-03', '2013-01-01', '2014-01-01T25:00');
        CREATE TABLE raw (visit, ccd, filter, taiObs, expTime);
        INSERT INTO raw VALUES (x'00', 1, 'HSC-R', 'x', 'y'), ('text', 2, NULL, NULL, NULL),
            (9223372036854775807, 3, x'ff', 1e300, -1);
    """
    hostile_registry(calibs / "calibRegistry.sqlite3", script)
    (calibs / "registry.sqlite3").write_bytes((calibs / "calibRegistry.sqlite3").read_bytes())
    raw = calibs / "F/2013-06-17/00533/HSC-R/HSC-9223372036854775807-003.fits"
    raw.parent.mkdir(parents=True)
    raw.touch()
    report = plan_gen2(calibs, Options(headers=False)).report
    assert report.totals()["converted"] == 1
    assert "bias: 2 rows have no validity range that can be read; not certified" in report.notes


def test_parents_without_end_and_twice_at_every_step(tmp_path: Path) -> None:
    for i in range(60):
        (tmp_path / f"r{i}").mkdir()
        parents = f"[../r{i + 1}, ../r{i + 1}, ../r{i + 1}]" if i < 59 else "[]"
        text = f"!RepositoryCfg_v1\n_mapper: {HSC}\n_parents: {parents}\n"
        (tmp_path / f"r{i}/repositoryCfg.yaml").write_text(text)
    assert len(list(ancestors(find_gen2(tmp_path / "r0")))) == 59
    for i in range(300):
        (tmp_path / f"p{i}").mkdir()
        (tmp_path / f"p{i}/_parent").symlink_to(f"../p{i + 1}")
    with pytest.raises(RepositoryFormatError, match="more than 100 parents"):
        find_gen2(tmp_path / "p0")


def test_a_level_of_pixels_that_nobody_can_count(sparse: Callable[..., Path]) -> None:
    root = sparse("hsc", [("ref_cats/cat/131072.fits", 5)])
    (root / "_mapper").write_text(HSC)
    (root / "ref_cats/cat/config.py").write_text("config.dataset_config.indexer['HTM'].depth=99999999\n")
    plan = plan_gen2(root)
    assert [part.dimensions for part in plan.parts] == [("htm7",)]


def test_one_odd_number_does_not_hide_the_headers_of_others(obs_test: Path) -> None:
    odd = obs_test / "raw/raw_v99999999999999999999_fg.fits.gz"
    odd.write_bytes(b"")
    plan = plan_gen2(obs_test, Options(registry=False))
    assert {record["id"] for record in plan.records["exposure"]} == {1, 2, 3}
    assert "too large a number" in reasons(obs_test)["raw/raw_v99999999999999999999_fg.fits.gz"]


def test_a_root_whose_name_is_not_text(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(root)
    with open(root + b"/_mapper", "w") as file:
        file.write(HSC)
    done = CliRunner().invoke(lakebutler, ["convert-gen2", os.fsdecode(root), str(tmp_path / "new")])
    assert done.exit_code != 0
    assert "is not in UTF-8" in done.output + str(done.exception)
