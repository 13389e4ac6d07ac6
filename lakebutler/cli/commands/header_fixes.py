# SPDX-License-Identifier: BSD-3-Clause
"""``add-header-fixes``, ``query-header-fixes`` and ``remove-header-fixes``."""

from __future__ import annotations

import json

import click

from lakebutler.cli.options import Ask, listing_options, message_option
from lakebutler.cli.output import Listing, finish
from lakebutler.cli.refine import limit_rows, refine
from lakebutler.cli.session import Session, pass_session
from lakebutler.cli.verb import Verb

__all__ = ["add_header_fixes", "query_header_fixes", "remove_header_fixes"]


@click.command("add-header-fixes", cls=Verb, paths=True)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--replace", is_flag=True, help="Put them in the place of others of their names.")
@message_option
@pass_session
def add_header_fixes(session: Session, *, files: tuple[str, ...], replace: bool) -> None:
    """Add fixes of wrong headers to the repository; ingest-raws applies them.

    FILES are YAML or JSON, or directories of them: lists of fixes, or correction files called
    INSTRUMENT-OBSERVATION.yaml with nothing but cards and values.
    """
    from lakebutler.instruments.headers.repository_fixes import add_header_fixes as add
    from lakebutler.instruments.headers.repository_fixes import read_fix_file

    fixes = [fix for file in files for fix in read_fix_file(file)]
    added = add(session.butler(writeable=True), fixes, replace_existing=replace)
    click.echo(f"header fixes: {added} added, {len(fixes) - added} there already")


@click.command("query-header-fixes", cls=Verb)
@click.option("--instrument", metavar="NAME", help="Only those for this camera.")
@listing_options("SQL condition over the columns, as in \"name LIKE 'exp%'\".")
@pass_session
def query_header_fixes(session: Session, *, instrument: str | None, ask: Ask) -> None:
    """List the fixes of wrong headers in the repository."""
    from lakebutler.instruments.cameras.header_fixes import fix_to_facts
    from lakebutler.instruments.headers.repository_fixes import query_header_fixes as query

    columns = ("name", "instrument", "file", "when", "set", "properties", "reason")
    rows = []
    for fix in query(session.butler(), instrument):
        facts = fix_to_facts(fix)
        values = (facts.get(column, "") for column in columns)
        rows.append(tuple(json.dumps(v) if isinstance(v, dict) else v for v in values))
    listing = limit_rows(refine(Listing(columns, rows), where=ask.where, order_by=ask.order_by), ask.limit)
    finish(listing, ask.output, nothing="no header fix found", exit_code=ask.exit_code)


@click.command("remove-header-fixes", cls=Verb)
@click.argument("names", nargs=-1, required=True)
@message_option
@pass_session
def remove_header_fixes(session: Session, *, names: tuple[str, ...]) -> None:
    """Remove the fixes called NAMES from the repository."""
    from lakebutler.instruments.headers.repository_fixes import remove_header_fixes as remove

    remove(session.butler(writeable=True), names)
    click.echo(f"header fixes: {len(names)} removed")
