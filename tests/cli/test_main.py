# SPDX-License-Identifier: BSD-3-Clause
"""The program around the verbs: help, usage errors, exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import lakebutler
from lakebutler import errors
from lakebutler.cli import failure
from lakebutler.cli.main import SECTIONS
from tests.cli.running import call, succeed

VERBS = [verb for verbs in SECTIONS.values() for verb in verbs]


def test_the_help_names_every_verb_with_what_it_does() -> None:
    text = succeed("--help").out
    for verb in VERBS:
        assert re.search(rf"^  {verb} +\S+ \S+", text, re.MULTILINE), verb


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_for_itself_and_for_each_option(verb: str) -> None:
    text = succeed(verb, "--help").out
    assert text.startswith(f"Usage: lakebutler {verb} ")
    from lakebutler.cli.main import lakebutler as group

    command = group.get_command(click.Context(group), verb)
    assert command is not None
    assert command.help
    assert not [p.opts for p in command.params if isinstance(p, click.Option) and not p.help]


@pytest.mark.parametrize("verb", [v for v in VERBS if v.startswith("query-") or v == "log"])
def test_every_listing_has_the_same_options(verb: str) -> None:
    text = succeed(verb, "--help").out
    for option in ("--json", "--csv", "--limit", "--order-by", "--where", "--exit-code"):
        assert option in text


def test_the_version_is_the_package_s() -> None:
    assert succeed("--version").out == f"lakebutler {lakebutler.__version__}\n"


def test_no_verb_at_all_shows_the_help_and_is_a_usage_error() -> None:
    result = call()
    assert result.code == 2
    assert "query-datasets" in result.err


@pytest.mark.parametrize(
    ("arguments", "named", "suggested"),
    [
        (["query-datasts"], "'query-datasts'", "'query-datasets'"),
        (["ingest-raw"], "'ingest-raw'", "'ingest-raws'"),
        (["CREATE", "x"], "'CREATE'", "'create'"),
        (["zzz"], "'zzz'", "lakebutler --help"),
        (["--rep", "x", "log"], "--rep", "--repo"),
        (["query-datasets", "--wher", "visit=1"], "--wher", "--where"),
        (["query-datasets", "--limit", "many"], "many", "query-datasets --help"),
        (["query-datasets", "--limit"], "--limit", "query-datasets --help"),
        (["query-datasets", "--offset", "-1", "--limit", "1"], "-1", "query-datasets --help"),
        (["query-datasets", "--offset", "1"], "--offset", "query-datasets --help"),
        (["query-datasets", "--json=yes"], "--json", "query-datasets --help"),
        (["query-collections", "--chains", "forest"], "forest", "'tree'"),
        (["query-collections", "--collection-type", "ruun"], "ruun", "'run'"),
        (["query-dimension-records"], "ELEMENT", "query-dimension-records --help"),
        (["query-data-ids"], "DIMENSIONS", "query-data-ids --help"),
        (["query-data-ids", "visit", "--datasets", "raw"], "--collections", "query-data-ids --help"),
        (["register-dataset-type", "onlyname"], "STORAGE_CLASS", "register-dataset-type --help"),
        (["collection-chain"], "PARENT", "collection-chain --help"),
        (["collection-chain", "parent"], "CHILDREN", "collection-chain --help"),
        (["collection-chain", "parent", "a", "--mode", "invert"], "invert", "'redefine'"),
        (["certify-calibrations", "a", "b"], "DATASET_TYPE_NAME", "certify-calibrations --help"),
        (["associate"], "COLLECTION", "associate --help"),
        (["retrieve-artifacts"], "DESTINATION", "retrieve-artifacts --help"),
        (["retrieve-artifacts", "out", "-t", "teleport"], "teleport", "'copy'"),
        (["ingest-files", "raw", "run"], "TABLE_FILE", "ingest-files --help"),
        (["ingest-files", "raw", "run", "t.csv", "--id-generation-mode", "dice"], "dice", "unique"),
        (["ingest-files", "raw", "run", "t.csv", "--data-id", "detector"], "'detector'", "key=value"),
        (["register-instrument"], "INSTRUMENT", "register-instrument --help"),
        (["ingest-raws"], "LOCATIONS", "ingest-raws --help"),
        (["create"], "REPO", "create --help"),
        (["create", "a", "b"], "b", "create --help"),
        (["-R", "a", "create", "b"], "'b'", "create --help"),
        (["--log-level", "LOUD", "log"], "LOUD", "lakebutler --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_call_is_a_short_usage_error(
    arguments: list[str], named: str, suggested: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.code == 2
    assert result.out == ""
    lines = result.err.splitlines()
    assert lines[0].startswith("error: ")
    assert named in result.err
    assert suggested.lower() in result.err.lower()
    assert len(lines) <= 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.MissingCollectionError("x"), 2),
        (errors.NotARepositoryError("x"), 2),
        (errors.SnapshotNotFoundError("x"), 2),
        (errors.ReadOnlyButlerError("x"), 2),
        (errors.ConflictingDefinitionError("x"), 3),
        (errors.RepositoryExistsError("x"), 3),
        (errors.ConflictingDatasetTypeError("x"), 3),
        (errors.CommitConflictError("x"), 3),
        (errors.RepositoryCorruptError("x"), 4),
        (errors.StorageError("x"), 4),
        (FileNotFoundError(2, "No such file or directory", "f"), 2),
        (PermissionError(13, "Permission denied", "f"), 2),
        (OSError(28, "No space left on device", "f"), 4),
        (KeyboardInterrupt(), 130),
        (click.UsageError("x"), 2),
        (ZeroDivisionError("division by zero"), 4),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_an_exit_code_says_what_kind_of_failure_it_was(error: BaseException, code: int) -> None:
    assert failure.exit_code(error) == code


def test_a_message_has_its_hint_last_and_names_the_file() -> None:
    lines = failure.message_lines(
        errors.MissingCollectionError("no collection 'a'", hint="did you mean 'b'?")
    )
    assert lines == ["error: no collection 'a'", "did you mean 'b'?"]
    assert failure.message_lines(FileNotFoundError(2, "No such file", "f.csv")) == [
        "error: f.csv: No such file"
    ]


def test_a_fault_of_ours_is_a_line_too_and_points_to_the_traceback() -> None:
    lines = failure.message_lines(ZeroDivisionError("division by zero"))
    assert lines[0] == "error: ZeroDivisionError: division by zero"
    assert "-v" in lines[1]


def test_a_name_in_a_message_cannot_play_tricks_with_the_terminal() -> None:
    result = call("\x1b[2Jquery")
    assert result.code == 2
    assert "\x1b" not in result.err


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lakebutler", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_traceback_is_shown_with_verbose_only(tmp_path: Path) -> None:
    place = str(tmp_path / "nosuch")
    quiet, loud = run("-R", place, "log"), run("-v", "-R", place, "log")
    assert quiet.returncode == loud.returncode == 2
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr
    assert loud.stderr.endswith(quiet.stderr)
    assert place in quiet.stderr
    assert run("log", "-v", "-R", place).stderr.endswith(quiet.stderr)


def test_a_reader_that_goes_away_early_is_no_error() -> None:
    script = f"{sys.executable} -m lakebutler --help | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    assert result.returncode == 0
