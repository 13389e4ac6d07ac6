# SPDX-License-Identifier: BSD-3-Clause
"""``--where``, ``--order-by`` and ``--limit`` for listings that no query makes.

Collections, dataset types and the log are short lists.  Their ``--where`` is a
SQL condition over the columns shown, evaluated by DuckDB.
"""

from __future__ import annotations

from collections.abc import Sequence

from lakebutler.cli.output import Listing, plain
from lakebutler.errors import InvalidQueryError, known_names

__all__ = ["limit_rows", "refine", "split_names"]


def split_names(values: Sequence[str]) -> tuple[str, ...]:
    """Split comma-separated values of an option that may be repeated.

    Parameters
    ----------
    values : sequence of `str`
        As typed, one per occurrence.

    Returns
    -------
    names : `tuple` [`str`, ...]
        In order, without empty ones.
    """
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


def limit_rows(listing: Listing, limit: int, offset: int = 0) -> Listing:
    """Keep some rows.

    Parameters
    ----------
    listing : `Listing`
        All rows.
    limit : `int`
        How many to keep; 0 means all.  A negative one keeps as many.
    offset : `int`, optional
        How many to skip first.

    Returns
    -------
    listing : `Listing`
        The rows kept.
    """
    end = offset + abs(limit) if limit else None
    return Listing(listing.columns, listing.rows[offset:end], listing.title)


def refine(listing: Listing, *, where: str | None, order_by: Sequence[str]) -> Listing:
    """Filter and order a listing.

    Parameters
    ----------
    listing : `Listing`
        All rows.
    where : `str` or `None`
        SQL condition over the columns.
    order_by : sequence of `str`
        Names of columns, each with a ``-`` before it for descending order.

    Returns
    -------
    listing : `Listing`
        What is left.

    Raises
    ------
    InvalidQueryError
        Raised if a name is no column or the condition makes no sense.
    """
    rows = list(listing.rows)
    if where is not None:
        rows = _filter(listing.columns, rows, where)
    for name in reversed(order_by):
        column = name.removeprefix("-")
        if column not in listing.columns:
            raise InvalidQueryError(
                f"no column {column!r} in --order-by", hint=known_names(column, listing.columns)
            )
        index = listing.columns.index(column)
        rows.sort(key=lambda row, i=index: (row[i] is None, row[i]), reverse=name.startswith("-"))  # type: ignore[misc]
    return Listing(listing.columns, rows, listing.title)


def _filter(columns: tuple[str, ...], rows: list[tuple[object, ...]], where: str) -> list[tuple[object, ...]]:
    import duckdb
    import pyarrow as pa

    options = {"enable_external_access": "false", "lock_configuration": "true"}
    data = {name: [plain(row[i]) for row in rows] for i, name in enumerate(columns)}
    table = pa.table({**data, "__row": pa.array(range(len(rows)), pa.int64())})
    with duckdb.connect(":memory:", config=options) as connection:
        connection.register("listing", table)
        try:
            kept = connection.execute(
                f"SELECT __row FROM listing WHERE ({where}\n) ORDER BY __row"
            ).fetchall()
        except duckdb.Error as exc:
            lines = [line for line in str(exc).splitlines() if line.strip() and not line.startswith("LINE")]
            shown = ", ".join(columns)
            raise InvalidQueryError(
                f"in --where {where!r}: {lines[0]}", hint=f"it is SQL over the columns {shown}"
            ) from None
    return [rows[number] for (number,) in kept]
