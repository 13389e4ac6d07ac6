# SPDX-License-Identifier: BSD-3-Clause
"""``sql``: any SELECT over the repository, answered by DuckDB."""

from __future__ import annotations

import sys
from typing import Any

import click

from lakebutler.cli.options import as_of_option
from lakebutler.cli.output import Listing, finish, format_options
from lakebutler.cli.session import Session, pass_session
from lakebutler.cli.verb import Verb

__all__ = ["sql"]


@click.command("sql", cls=Verb)
@click.argument("query", required=False)
@click.option("--limit", type=click.IntRange(min=0), default=0, help="How many rows at most; 0 means all.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if nothing was found.")
@as_of_option
@format_options
@pass_session
def sql(session: Session, query: str | None, limit: int, exit_code: bool, output: str) -> None:
    """Answer a SQL QUERY over the repository ('-' reads it from standard input).

    Tables are dataset types (raw, flat), dimensions (visit, detector), collection and dataset.
    Without QUERY, lists them.
    """
    text = sys.stdin.read() if query == "-" else query
    if text is None:
        text = "SELECT table_name AS name FROM information_schema.tables ORDER BY ALL"
    if not text.strip():
        raise click.UsageError("the query is empty", click.get_current_context())
    from lakebutler.butler.querying import sql_table

    table = sql_table(session.butler(), text)
    listing = _listing_of(table.slice(0, limit) if limit else table)
    finish(listing, output, nothing="no rows", exit_code=exit_code)


def _listing_of(table: Any) -> Listing:
    columns = [column.to_pylist() for column in table.columns]
    return Listing(_distinct(table.column_names), list(zip(*columns, strict=True)))


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Column names made distinct as DuckDB does it in sub-queries: ``id``, ``id_1``."""
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 0
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        result.append(candidate)
    return tuple(result)
