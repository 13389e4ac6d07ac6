# SPDX-License-Identifier: BSD-3-Clause
"""``create`` and ``log``."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

import click

from lakebutler.cli.files import read_yaml_mapping
from lakebutler.cli.options import Ask, listing_options
from lakebutler.cli.output import Listing, finish
from lakebutler.cli.refine import limit_rows, refine
from lakebutler.cli.session import Session, pass_session
from lakebutler.cli.verb import Verb
from lakebutler.config import is_lake_file
from lakebutler.errors import FileFormatError, RepositoryFormatError

if TYPE_CHECKING:
    from lakebutler.lake.entry import Entry

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
@click.option(
    "--override",
    is_flag=True,
    expose_value=False,
    help="No effect: what the seed configuration says always holds.",
)
@pass_session
@click.pass_context
def create(
    ctx: click.Context,
    session: Session,
    seed_config: str | None,
    dimension_config: str | None,
) -> None:
    """Make an empty repository at REPO: a directory that is empty or new, a file x.lake, or a URL."""
    if session.repo is None and session.positional is None:
        raise click.UsageError("missing argument 'REPO': where the repository is to be", ctx)
    from lakebutler.butler.butler import Butler

    place = session.repository()
    config = read_yaml_mapping(seed_config) if seed_config is not None else None
    dimensions = read_yaml_mapping(dimension_config) if dimension_config is not None else None
    if "://" not in place and os.path.isfile(place) and not is_lake_file(place):
        raise NotADirectoryError(20, "not a directory", place)
    try:
        Butler.makeRepo(place, config=config, dimensionConfig=dimensions)
    except RepositoryFormatError as exc:  # of a file that the user gave
        given = ", ".join(file for file in (seed_config, dimension_config) if file is not None)
        raise FileFormatError(f"{given}: {exc.message}", hint=exc.hint) from None
    butler = Butler.from_config(place)
    universe = butler.dimensions
    click.echo(f"created {place} (dimensions {universe.namespace} version {universe.version})")
    click.echo(f"next: lakebutler -R {shlex.quote(place)} register-instrument HSC")


@click.command("log", cls=Verb)
@listing_options("SQL condition over the columns, as in \"op = 'put'\".")
@pass_session
def log(
    session: Session,
    ask: Ask,
) -> None:
    """List the commits of the repository, newest first."""
    columns = ("version", "time", "who", "op", "message", "tags")
    early = abs(ask.limit) if ask.limit and ask.where is None and not ask.order_by else None
    butler = session.butler()
    names: dict[int, list[str]] = {}
    for tag in butler.tags():
        names.setdefault(tag.version, []).append(tag.name)
    rows = [(*_log_row(entry), names.get(entry.version, [])) for entry in butler.history(early)]
    listing = limit_rows(refine(Listing(columns, rows), where=ask.where, order_by=ask.order_by), ask.limit)
    finish(listing, ask.output, nothing="no commit found", exit_code=ask.exit_code)


def _log_row(entry: Entry) -> tuple[Any, ...]:
    writer = entry.header.writer
    who = "@".join(str(writer[key]) for key in ("user", "host") if writer.get(key))
    return entry.version, entry.time, who, entry.op, entry.message
