# SPDX-License-Identifier: BSD-3-Clause
"""The program ``lakebutler``: finds the verb, runs it, and fails in one to three lines."""

from __future__ import annotations

import importlib
import keyword
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from lakebutler import __version__
from lakebutler.cli.failure import FAULT, exit_code, message_lines
from lakebutler.cli.session import Session, say
from lakebutler.errors import did_you_mean

__all__ = ["SECTIONS", "lakebutler", "main"]

SECTIONS: dict[str, dict[str, str]] = {
    "Make and fill a repository": {
        "create": "repository",
        "register-instrument": "instruments",
        "register-dataset-type": "datasets",
        "add-header-fixes": "header_fixes",
        "remove-header-fixes": "header_fixes",
        "ingest-raws": "instruments",
        "define-visits": "visits",
        "write-curated-calibrations": "calibrations",
        "register-skymap": "skymaps",
        "ingest-refcat": "refcats",
        "ingest-files": "datasets",
        "ingest-zip": "exchange",
        "import": "exchange",
        "convert-gen3": "exchange",
        "convert-gen2": "gen2",
    },
    "Ask it": {
        "query-collections": "query_collections",
        "query-dataset-types": "query_collections",
        "query-datasets": "query_data",
        "query-data-ids": "query_data",
        "query-dimension-records": "query_data",
        "query-header-fixes": "header_fixes",
        "query-refcat": "refcats",
        "query-patches": "skymaps",
        "sql": "sql",
        "log": "repository",
    },
    "Arrange what it holds": {
        "collection-chain": "collections",
        "associate": "collections",
        "certify-calibrations": "collections",
        "retrieve-artifacts": "datasets",
    },
    "Take things out of it": {
        "prune-datasets": "removal",
        "remove-runs": "removal",
        "remove-collections": "removal",
        "remove-dataset-type": "removal",
    },
    "Keep its history": {
        "tag": "versions",
        "diff": "versions",
        "restore": "versions",
        "verify": "maintenance",
        "gc": "maintenance",
        "vacuum": "maintenance",
        "compact": "maintenance",
        "checkpoint": "maintenance",
        "tune-skypix": "tune_skypix",
        "clone": "clone",
        "config-dump": "settings",
        "config-validate": "settings",
    },
    "Carry it": {
        "export": "exchange",
        "export-calibs": "exchange",
        "export-obscore": "obscore",
        "obscore-config": "obscore",
        "transfer-datasets": "exchange",
        "pack": "pack",
        "unpack": "pack",
    },
    "See it": {
        "demo": "demo",
        "plot": "plot",
    },
}
"""Verbs by section of the help, with the module of `lakebutler.cli.commands` that each lives in."""

_MODULES = {verb: module for verbs in SECTIONS.values() for verb, module in verbs.items()}


class Verbs(click.Group):
    """The verbs, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all verbs."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        module = _MODULES.get(cmd_name)
        if module is None:
            return None
        commands = importlib.import_module(f"lakebutler.cli.commands.{module}")
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(commands, f"{name}_" if keyword.iskeyword(name) else name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which ones come near."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in _MODULES and not ctx.resilient_parsing:
            near = [repr(verb) for verb in did_you_mean(name, _MODULES)]
            raise click.UsageError(
                f"no verb {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs, section by section."""
        width = max(map(len, _MODULES))
        for title, verbs in SECTIONS.items():
            rows = []
            for verb in verbs:
                command = self.get_command(ctx, verb)
                if command is not None and not command.hidden:
                    rows.append((verb.ljust(width), command.get_short_help_str(formatter.width - width - 6)))
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The repository is found from -R, the argument REPO, LAKEBUTLER_REPO, or upward from the current "
    "directory, in this order.",
)
@click.option(
    "-R", "--repo", metavar="REPO", help="The repository: a directory or a URL such as s3://bucket/prefix."
)
@click.option("-v", "--verbose", is_flag=True, help="Show tracebacks and details.")
@click.option("--progress/--no-progress", default=None, help="Show progress bars (default: on a terminal).")
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], case_sensitive=False),
    default="WARNING",
    help="What the library's log may say.",
)
@click.version_option(__version__, message="lakebutler %(version)s")
@click.pass_context
def lakebutler(
    ctx: click.Context, repo: str | None, verbose: bool, progress: bool | None, log_level: str
) -> None:
    """A data butler for astronomy on a versioned data lake."""
    session = ctx.ensure_object(Session)
    session.repo, session.verbose, session.progress = repo, verbose, progress
    _set_up_logging("DEBUG" if verbose and log_level == "WARNING" else log_level.upper(), verbose)


def _set_up_logging(level: str, verbose: bool) -> None:
    import logging
    import warnings

    logging.basicConfig(
        stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING
    )
    logging.getLogger("lakebutler").setLevel(level)
    if not verbose and not sys.warnoptions:
        warnings.simplefilter("ignore")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program.

    Parameters
    ----------
    arguments : sequence of `str`, optional
        Command line without the program's name; `sys.argv` by default.

    Raises
    ------
    SystemExit
        Always; the code is that of `lakebutler.cli.failure`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    session = Session()
    try:
        code: Any = lakebutler.main(given, prog_name="lakebutler", standalone_mode=False, obj=session)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        raise SystemExit(exit_code(error)) from None
    except BrokenPipeError:
        # Whoever read our output (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except (
        Exception,
        KeyboardInterrupt,
    ) as error:  # the last resort: whatever it is becomes a line and a code
        _report(error, verbose=session.verbose)
        raise SystemExit(exit_code(error)) from None
    raise SystemExit(code if isinstance(code, int) else 0)


def _report(error: BaseException, *, verbose: bool) -> None:
    try:
        if verbose and not isinstance(error, click.ClickException):
            traceback.print_exception(error)
        for line in message_lines(error):
            say(line)
    except OSError:
        raise SystemExit(FAULT) from None
