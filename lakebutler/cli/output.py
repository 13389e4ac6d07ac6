# SPDX-License-Identifier: BSD-3-Clause
"""Listings as a table for a person, or as JSON, CSV or TSV for a program.

On a terminal a listing is an aligned table; piped, it is tab-separated with one
header line; ``--json`` is one array of objects, one object to a line; ``--csv``
is RFC 4180.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Any, Literal

import click

from lakebutler.cli.failure import NOTHING_FOUND
from lakebutler.cli.session import say

__all__ = ["FORMATS", "Listing", "emit", "finish", "fold_widths", "format_options", "merge", "plain"]

FORMATS = ("auto", "table", "json", "csv", "tsv")

_RICH_ROWS = 500
"""Above so many rows a table is aligned without rich, which lays out all rows at once and slowly."""

_WIDEST_CELL = 60
_NEVER_FOLDED = 12
_CHUNK = 1000


@dataclass(frozen=True)
class Listing:
    """Rows with names for their columns.

    Parameters
    ----------
    columns : `tuple` [`str`, ...]
        Names of the columns.
    rows : sequence of `tuple`
        Values: text, numbers, booleans, `None`, UUIDs, times, bytes, lists.
    title : `str`, optional
        A line above the table, for a person only.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    title: str | None = None

    def records(self) -> Iterable[dict[str, Any]]:
        """Rows as mappings."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)


def format_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json``, ``--csv``, ``--tsv`` and ``--table`` to a verb, as argument ``output``.

    Parameters
    ----------
    function : callable
        The verb.

    Returns
    -------
    function : callable
        The same, with the options.
    """
    helps = {
        "json": "One JSON array of objects, one to a line.",
        "csv": "Comma-separated, with a header line.",
        "tsv": "Tab-separated, with a header line (the default when piped).",
        "table": "An aligned table (the default on a terminal).",
    }

    @functools.wraps(function)
    def gathered(*args: Any, **kwargs: Any) -> Any:
        chosen = [name for name in helps if kwargs.pop(f"as_{name}")]
        if len(chosen) > 1:
            raise click.UsageError(
                f"--{chosen[0]} and --{chosen[1]} exclude each other", click.get_current_context()
            )
        return function(*args, output=chosen[0] if chosen else "auto", **kwargs)

    result: Callable[..., Any] = gathered
    for name, text in reversed(helps.items()):
        result = click.option(f"--{name}", f"as_{name}", is_flag=True, help=text)(result)
    return result


def emit(listings: Listing | Sequence[Listing], output: str = "auto") -> int:
    """Print listings to standard output.

    Parameters
    ----------
    listings : `Listing` or sequence of `Listing`
        What to print.  Formats for programs merge several into one.
    output : `str`, optional
        One of `FORMATS`.

    Returns
    -------
    rows : `int`
        How many rows were printed.
    """
    several = [listings] if isinstance(listings, Listing) else list(listings)
    if output == "auto":
        output = "table" if sys.stdout.isatty() else "tsv"
    writer = {"json": _write_json, "csv": _write_csv, "tsv": _write_tsv}.get(output)
    if writer is not None:
        writer(merge(several))
    else:
        for number, listing in enumerate(several):
            if number:
                click.echo()
            _write_table(listing)
    return sum(len(listing.rows) for listing in several)


def finish(listings: Listing | Sequence[Listing], output: str, *, nothing: str, exit_code: bool) -> None:
    """Print listings, and say so if there is nothing in them.

    Parameters
    ----------
    listings : `Listing` or sequence of `Listing`
        What to print.
    output : `str`
        One of `FORMATS`.
    nothing : `str`
        The line on standard error if no row was found.
    exit_code : `bool`
        Whether finding nothing ends the program with code 1.
    """
    if not emit(listings, output):
        say(nothing)
        if exit_code:
            click.get_current_context().exit(NOTHING_FOUND)


def merge(listings: Sequence[Listing]) -> Listing:
    """Make one listing of several, with the union of their columns.

    Parameters
    ----------
    listings : sequence of `Listing`
        Any number.

    Returns
    -------
    listing : `Listing`
        Columns in order of first appearance; what a row does not have is `None`.
    """
    if len(listings) == 1:
        return listings[0]
    columns = tuple(dict.fromkeys(name for listing in listings for name in listing.columns))
    rows = [
        tuple(record.get(name) for name in columns) for listing in listings for record in listing.records()
    ]
    return Listing(columns, rows)


def plain(value: Any) -> Any:
    """Turn a value into one that JSON has.

    Parameters
    ----------
    value : object
        A cell.

    Returns
    -------
    plain : object
        Text, number, boolean, `None`, list or mapping of such.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _one_line(value: Any) -> str:
    """A cell that stays in its row and cannot play tricks with the terminal."""
    text = _text(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _echo_chunks(lines: Iterable[str]) -> None:
    """Print many pieces of text with few calls."""
    iterator = iter(lines)
    while chunk := "".join(islice(iterator, _CHUNK)):
        click.echo(chunk, nl=False)


def _write_json(listing: Listing) -> None:
    def lines() -> Iterator[str]:
        for number, record in enumerate(listing.records()):
            line = json.dumps({key: plain(value) for key, value in record.items()}, ensure_ascii=False)
            if not line.isprintable():
                line = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
            yield f",\n {line}" if number else f"[{line}"
        yield "]\n" if listing.rows else "[]\n"

    _echo_chunks(lines())


def _write_csv(listing: Listing) -> None:
    def lines() -> Iterator[str]:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\r\n")
        for row in chain([listing.columns], listing.rows):
            writer.writerow([_text(value) for value in row])
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()

    _echo_chunks(lines())


def _write_tsv(listing: Listing) -> None:
    _echo_chunks(
        "\t".join(_one_line(value) for value in row) + "\n" for row in chain([listing.columns], listing.rows)
    )


def _write_table(listing: Listing) -> None:
    if listing.title:
        click.echo(listing.title)
    if sys.stdout.isatty() and len(listing.rows) <= _RICH_ROWS and os.environ.get("TERM") != "dumb":
        _write_rich(listing)
    else:
        _write_aligned(listing)


def _write_rich(listing: Listing) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    cells = [[_cell(value) for value in row] for row in listing.rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(listing.columns)]
    folded = fold_widths(widths, console.width - 2 * len(widths))
    if folded is None:
        _write_records(listing.columns, cells)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for index, name in enumerate(listing.columns):
        right = any(_is_number(row[index]) for row in listing.rows)
        side: Literal["left", "right"] = "right" if right else "left"
        table.add_column(name, justify=side, overflow="fold", width=folded[index])
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def fold_widths(widths: Sequence[int], room: int) -> list[int] | None:
    """Find widths of columns that fit, folding the widest ones most.

    Parameters
    ----------
    widths : sequence of `int`
        What each column would take.
    room : `int`
        What there is for all.

    Returns
    -------
    widths : `list` [`int`] or `None`
        What each column gets; `None` if that would be unreadable.
    """
    result = list(widths)
    while sum(result) > room:
        widest = max(result)
        if widest <= _NEVER_FOLDED:
            return None
        result[result.index(widest)] -= 1
    return result


def _write_records(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """One line for each value, as psql does it where a table would be too wide."""
    width = max(map(len, columns), default=0)
    for number, row in enumerate(cells):
        if number:
            click.echo()
        for name, cell in zip(columns, row, strict=True):
            click.echo(f"{name.ljust(width)}  {cell}".rstrip())


def _write_aligned(listing: Listing) -> None:
    cells = [[_cell(value) for value in row] for row in listing.rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(listing.columns)]
    right = [any(_is_number(row[i]) for row in listing.rows) for i in range(len(widths))]

    def line(texts: Sequence[str]) -> str:
        parts = [t.rjust(w) if r else t.ljust(w) for t, w, r in zip(texts, widths, right, strict=True)]
        return "  ".join(parts).rstrip()

    click.echo(line(listing.columns))
    click.echo("  ".join("-" * width for width in widths))
    _echo_chunks(f"{line(row)}\n" for row in cells)


def _cell(value: Any) -> str:
    """A value as a person reads it: times to the second, long text cut."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    text = _one_line(value)
    return text if len(text) <= _WIDEST_CELL else text[: _WIDEST_CELL - 1] + "…"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
