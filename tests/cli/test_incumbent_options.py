# SPDX-License-Identifier: BSD-3-Clause
"""Every subcommand of the field's command line is here, with all its options and arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lakebutler.cli.main import lakebutler
from tests.butler import incumbent

LISTING = """
import click
from lsst.daf.butler.cli.butler import cli
context = click.Context(cli)
found = {}
for name in cli.list_commands(context):
    command = cli.get_command(context, name)
    options = [p for p in command.params if isinstance(p, click.Option)]
    names = sorted(n for p in options for n in p.opts + p.secondary_opts)
    found[name] = [names, [p.name for p in command.params if isinstance(p, click.Argument)]]
print(json.dumps(found))
"""

OF_PIPELINES = {
    "aggregate-graph",
    "ingest-graph",
    "provenance-report",
    "retrieve-artifacts-for-quanta",
    "transfer-from-graph",
    "zip-from-graph",
}
"""Plug-ins of lsst-pipe-base, where it is installed: they are about files of quantum graphs."""

WITHOUT = {
    "create": {"-f", "--outfile"},  # a repository carries all it needs, in its root
}
"""Options that we leave out, and why."""


def ours(name: str) -> tuple[set[str], list[str]]:
    command = lakebutler.get_command(click.Context(lakebutler), name)
    assert command is not None, f"there is no {name}"
    options = {
        option
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    return options, [p.name or "" for p in command.params if isinstance(p, click.Argument)]


def test_every_subcommand_of_the_field_has_its_options_and_arguments(tmp_path: Path) -> None:
    table: dict[str, Any] = incumbent.run(LISTING, where=tmp_path)
    names = set(table) - OF_PIPELINES
    assert len(names) >= 23
    for name in sorted(names):
        options, arguments = table[name]
        own, places = ours(name)
        lacking = {o for o in options if not o.startswith("--option-section-")} - own
        assert lacking == WITHOUT.get(name, set()), f"{name} lacks {sorted(lacking)}"
        assert len(places) == len(arguments), f"{name} takes {places}, not {arguments}"
