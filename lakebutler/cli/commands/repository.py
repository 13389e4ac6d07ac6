# SPDX-License-Identifier: BSD-3-Clause
"""``create`` and ``log``."""

from __future__ import annotations

import shlex

import click

from lakebutler.cli.files import read_yaml_mapping
from lakebutler.cli.options import Ask, listing_options
from lakebutler.cli.output import Listing, finish
from lakebutler.cli.refine import limit_rows, refine
from lakebutler.cli.session import Session, pass_session
from lakebutler.cli.verb import Verb

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
    config = read_yaml_mapping(seed_config) if seed_config is not None else None
    dimensions = read_yaml_mapping(dimension_config) if dimension_config is not None else None
    Butler.makeRepo(place, config=config, dimensionConfig=dimensions)
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
    columns = ("version", "time", "who", "op", "message")
    rows = [
        (entry.version, entry.time, entry.who, entry.op, entry.message)
        for entry in session.butler().history()
    ]
    listing = limit_rows(refine(Listing(columns, rows), where=ask.where, order_by=ask.order_by), ask.limit)
    finish(listing, ask.output, nothing="no commit found", exit_code=ask.exit_code)
