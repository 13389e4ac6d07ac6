# SPDX-License-Identifier: BSD-3-Clause
"""Every verb of the field's ``butler`` command, and every option of it, is ours or has its reason."""

from __future__ import annotations

import json
import os
import subprocess

import click
import pytest

from lakebutler.cli.main import lakebutler

LISTED = """
import json
import click
from lsst.daf.butler.cli.butler import cli

def names(command):
    options = [p for p in command.params if isinstance(p, click.Option)]
    options = [p for p in options if not p.name.startswith("option_section")]  # headings of its help
    return [name for p in options for name in (*p.opts, *p.secondary_opts)]

context = click.Context(cli)
verbs = {name: names(cli.get_command(context, name)) for name in cli.list_commands(context)}
print(json.dumps({"": names(cli), **verbs}))
"""

GRAPHS = {
    "aggregate-graph",
    "ingest-graph",
    "provenance-report",
    "retrieve-artifacts-for-quanta",
    "transfer-from-graph",
    "zip-from-graph",
}
"""Verbs of ``pipe_base`` about quantum graphs; they are there only where it is installed."""

REASONS = {
    ("", "--log-file"): "standard error can be sent to any file",
    ("", "--log-label"): "as above",
    ("", "--log-tty"): "as above",
    ("", "--no-log-tty"): "as above",
    ("", "--long-log"): "as above",
    ("create", "--outfile"): "the configuration of a repository lies in its root",
    ("create", "-f"): "as above",
    ("ingest-zip", "--no-dry-run"): "not to give --dry-run is enough",
    ("transfer-datasets", "--no-dry-run"): "not to give --dry-run is enough",
}
"""Options that are not ours, and why."""


@pytest.fixture(scope="module")
def theirs() -> dict[str, list[str]]:
    """Options of the field's verbs."""
    python = os.environ.get("PY_daf_butler")  # noqa: SIM112 (the name that the benchmarks have)
    if not python:
        pytest.skip("PY_daf_butler does not name a Python with lsst-daf-butler")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["PYTHONPATH"] = os.environ.get("PYTHONPATH_daf_butler", "")  # noqa: SIM112 (goes with it)
    command = [python, "-c", LISTED]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_verb_of_the_field_is_there(theirs: dict[str, list[str]]) -> None:
    context = click.Context(lakebutler)
    missing = {name for name in theirs if name and lakebutler.get_command(context, name) is None}
    assert len(theirs) > 20
    assert missing <= GRAPHS


def test_every_option_of_the_field_is_there_or_has_its_reason(theirs: dict[str, list[str]]) -> None:
    context = click.Context(lakebutler)
    missing = set()
    for name, options in theirs.items():
        command = lakebutler.get_command(context, name) if name else lakebutler
        if command is not None:
            own = [p for p in command.params if isinstance(p, click.Option)]
            ours = {text for p in own for text in (*p.opts, *p.secondary_opts)}
            ours |= set(command.get_help_option_names(click.Context(command)))
            missing |= {(name, option) for option in options if option not in ours}
    assert missing == {known for known in REASONS if known[1] in theirs.get(known[0], ())}
