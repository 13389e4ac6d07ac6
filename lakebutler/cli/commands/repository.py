# SPDX-License-Identifier: BSD-3-Clause
"""``create`` and ``log``."""

from __future__ import annotations

import shlex
from typing import Any

import click

from lakebutler.cli.options import Ask, listing_options
from lakebutler.cli.output import Listing, finish
from lakebutler.cli.refine import limit_rows, refine
from lakebutler.cli.session import Session, pass_session
from lakebutler.cli.verb import Verb
from lakebutler.errors import FileFormatError

__all__ = ["create", "log"]


@click.command("create", cls=Verb, new=True)
@click.option("--seed-config", metavar="FILE", help="YAML with settings of the repository, instead of none.")
@click.option(
    "--dimension-config", metavar="FILE", help="YAML with a dimension universe, instead of the default one."
)
@click.option(
    "--standalone",
    is_flag=True,
    expose_value=False,
    help="No effect: a repository always carries all it needs.",
)
@pass_session
@click.pass_context
def create(
    ctx: click.Context,
    session: Session,
    seed_config: str | None,
    dimension_config: str | None,
) -> None:
    """Make an empty repository at REPO: a directory that is empty or does not exist, or a URL."""
    if session.repo is None and session.positional is None:
        raise click.UsageError("missing argument 'REPO': where the repository is to be", ctx)
    from lakebutler.butler.butler import Butler

    place = session.repository()
    Butler.makeRepo(place, config=_read_yaml(seed_config), dimensionConfig=_read_yaml(dimension_config))
    butler = Butler.from_config(place)
    universe = butler.dimensions
    click.echo(f"created {place} (dimensions {universe.namespace} version {universe.version})")
    click.echo(f"next: lakebutler -R {shlex.quote(place)} register-instrument HSC")


def _read_yaml(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    import yaml

    with open(path, "rb") as stream:
        try:
            content = yaml.safe_load(stream)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as exc:
            raise FileFormatError(f"{path}: not valid YAML: {' '.join(str(exc).split())[:200]}") from None
    if not isinstance(content, dict):
        raise FileFormatError(f"{path}: must be a mapping, not {type(content).__name__}")
    return content


@click.command("log", cls=Verb)
@listing_options("SQL condition over the columns, as in \"op = 'put'\".")
@pass_session
def log(
    session: Session,
    ask: Ask,
) -> None:
    """List the commits of the repository, newest first."""
    columns = ("version", "time", "who", "op", "message")
    rows = [
        (entry.version, entry.time, entry.who, entry.op, entry.message)
        for entry in session.butler().history()
    ]
    listing = limit_rows(refine(Listing(columns, rows), where=ask.where, order_by=ask.order_by), ask.limit)
    finish(listing, ask.output, nothing="no commit found", exit_code=ask.exit_code)
