# SPDX-License-Identifier: BSD-3-Clause
"""Write ``docs/cli.md`` from the command line itself; ``--check`` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lakebutler.cli import failure
from lakebutler.cli.main import SECTIONS, lakebutler

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
WIDTH = 100

INTRODUCTION = """\
# The command line

<!-- Written by tools/cli_reference.py from the program itself; do not edit. -->

## Which repository

The verbs and the order of their arguments are those of the incumbent's `butler`:
`lakebutler query-datasets REPO raw`. REPO may be left out; the repository is then, in
this order,

1. `-R REPO` / `--repo REPO`, before or after the verb: then no argument is taken for REPO;
2. the first argument, where it is one: it is a path or a URL (`./r`, `../r`, `/r`, `~/r`,
   `s3://bucket/r`), or a directory that holds a repository, or there is one argument more
   than the verb takes;
3. the environment variable `LAKEBUTLER_REPO`;
4. the nearest one at or above the current directory, as git does it. If it is above, one
   line on standard error says which.

For `retrieve-artifacts` and `ingest-raws`, whose own first argument is a path, only an
existing repository is taken for REPO. `create` takes REPO from `-R` or its argument only.

## What comes out

Listings are tables on a terminal and tab-separated when piped; `--json` is one array with
one object to a line, `--csv` is RFC 4180, `--tsv` and `--table` force the others. Results
go to standard output, everything else to standard error. Every listing has `--where`,
`--order-by NAME,-NAME` and `--limit`. Progress bars show on a terminal only
(`--progress` / `--no-progress`).

## The TAB key

`eval "$(_LAKEBUTLER_COMPLETE=bash_source lakebutler)"` in `~/.bashrc` (`zsh_source` and
`fish_source` for the others) lets TAB offer verbs, options, and the collections, dataset
types and dimensions of the repository at hand.

## Exit codes

"""


def help_of(command: click.Command, name: str) -> str:
    """The help text of a command, as a terminal of a fixed width shows it."""
    context = click.Context(command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
    context.help_option_names = ["-h", "--help"]
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def page() -> str:
    """The whole page."""
    table = (failure.__doc__ or "").split("\n\n", 1)[1].splitlines()
    rows = [line for line in table if line[:1].isdigit()]
    parts = [INTRODUCTION, "| code | meaning |\n|---|---|\n"]
    parts += [f"| {row.split(None, 1)[0]} | {row.split(None, 1)[1].replace('``', '`')} |\n" for row in rows]
    parts.append(f"\n## The program\n\n```text\n{help_of(lakebutler, 'lakebutler')}\n```\n")
    context = click.Context(lakebutler, info_name="lakebutler")
    for title, verbs in SECTIONS.items():
        parts.append(f"\n## {title}\n")
        for verb in verbs:
            command = lakebutler.get_command(context, verb)
            assert command is not None
            parts.append(f"\n### {verb}\n\n```text\n{help_of(command, f'lakebutler {verb}')}\n```\n")
    return "".join(parts)


def main() -> None:
    """Write the page, or say whether it is as it should be."""
    text = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text() != text:
            raise SystemExit(
                "docs/cli.md is not what the command line says; run: python tools/cli_reference.py"
            )
        return
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
