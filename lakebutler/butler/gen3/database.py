# SPDX-License-Identifier: BSD-3-Clause
"""Reading a registry of the field: a few SQL statements, each of a whole table."""

from __future__ import annotations

import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Self
from urllib.parse import quote

from lakebutler.errors import RepositoryFormatError, StorageError

__all__ = ["Gen3Database", "SqliteRegistry", "columns_of", "quoted"]

CHUNK = 50_000
"""Rows fetched at a time."""


def quoted(name: str) -> str:
    """Write a name as SQL has it.

    Parameters
    ----------
    name : `str`
        Name of a table or column.

    Returns
    -------
    quoted : `str`
        In double quotes.
    """
    return '"' + name.replace('"', '""') + '"'


class Gen3Database(ABC):
    """A registry of the field, open for reading."""

    name: str
    """How to call it in messages."""

    @abstractmethod
    def columns(self, table: str) -> list[str]:
        """Names of the columns of a table; none if there is no such table."""

    @abstractmethod
    def chunks(self, sql: str) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of a statement, many at a time."""

    @abstractmethod
    def timespan(self, prefix: str) -> tuple[str, str]:
        """Expressions for the bounds of a timespan; ``prefix`` stands before the columns."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        return [row for chunk in self.chunks(sql) for row in chunk]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class SqliteRegistry(Gen3Database):
    """A registry in an SQLite file, opened so that nothing is ever written.

    Parameters
    ----------
    path : `str`
        The file.

    Raises
    ------
    StorageError
        Raised if it cannot be read, or is being written to.
    """

    def __init__(self, path: str) -> None:
        self.name = path
        self._closed = False
        for ending in ("-wal", "-journal"):
            if os.path.exists(path + ending) and os.path.getsize(path + ending):
                raise StorageError(
                    f"{path} is in use, or was not closed: there is a {os.path.basename(path)}{ending}",
                    hint="wait, or open it once with the program that wrote it",
                )
        try:
            self._before = self._mark()
            self._connection = sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"cannot read {path}: {error}") from None

    def _mark(self) -> tuple[int, int, int]:
        found = os.stat(self.name)
        return found.st_size, found.st_mtime_ns, found.st_ino

    def columns(self, table: str) -> list[str]:
        """Names of the columns of a table; none if there is no such table."""
        return [row[1] for row in self._connection.execute(f"PRAGMA table_info({quoted(table)})")]

    def chunks(self, sql: str) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of a statement, many at a time."""
        try:
            cursor = self._connection.execute(sql)
            while rows := cursor.fetchmany(CHUNK):
                yield rows
        except sqlite3.Error as error:
            raise RepositoryFormatError(
                f"{self.name}: {error}", hint="this is no registry that is known"
            ) from None

    def timespan(self, prefix: str) -> tuple[str, str]:
        """Expressions for the bounds of a timespan."""
        return f"{prefix}timespan_begin", f"{prefix}timespan_end"

    def close(self) -> None:
        """Let go of the file; refuse what was read if somebody wrote to it meanwhile."""
        if self._closed:
            return
        self._closed = True
        self._connection.close()
        if self._mark() != self._before:
            raise StorageError(
                f"{self.name} was written to while it was read", hint="try again when nobody does"
            )


def columns_of(chunks: Iterator[Sequence[tuple[Any, ...]]], n: int) -> list[list[Any]]:
    """Turn rows into columns.

    Parameters
    ----------
    chunks : iterator
        Rows, many at a time.
    n : `int`
        Number of columns.

    Returns
    -------
    columns : `list` [`list`]
        One list for each.
    """
    columns: list[list[Any]] = [[] for _ in range(n)]
    for rows in chunks:
        for column, values in zip(columns, zip(*rows, strict=True), strict=True):
            column.extend(values)
    return columns
