# SPDX-License-Identifier: BSD-3-Clause
"""Registries of the field in PostgreSQL: read in one read-only transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from lakebutler.butler.gen3.auth import find_credentials
from lakebutler.butler.gen3.database import CHUNK, Gen3Database
from lakebutler.errors import RepositoryFormatError, StorageError

__all__ = ["PostgresRegistry"]


class PostgresRegistry(Gen3Database):
    """A registry in PostgreSQL.

    Parameters
    ----------
    url : `str`
        ``postgresql://host/database``; the password comes from ``~/.lsst/db-auth.yaml``,
        from the URL, or from where the PostgreSQL client looks for it.
    namespace : `str` or `None`
        Schema that the tables are in.

    Raises
    ------
    StorageError
        Raised if there is no driver, or no answer.
    """

    def __init__(self, url: str, namespace: str | None) -> None:
        try:
            import psycopg
        except ImportError:
            raise StorageError(
                "reading a registry in PostgreSQL needs psycopg", hint="pip install 'lakebutler[postgres]'"
            ) from None
        self._error = psycopg.Error
        self.name, whole = _addresses(url)
        try:
            self._connection = psycopg.connect(whole, autocommit=False)
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
            with self._connection.cursor() as cursor:
                if namespace is not None:
                    cursor.execute("SELECT set_config('search_path', %s, false)", (_identifier(namespace),))
                cursor.execute("SELECT current_schema()")
                found = cursor.fetchone()
        except psycopg.Error as error:
            raise StorageError(f"cannot read {self.name}: {str(error).strip().splitlines()[0]}") from None
        self._schema = found[0] if found is not None else None

    def columns(self, table: str) -> list[str]:
        """Names of the columns of a table; none if there is no such table."""
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT column_name FROM information_schema.columns"
                " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
                (self._schema, table),
            )
            return [row[0] for row in cursor]

    def chunks(self, sql: str) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of a statement, many at a time, from a cursor of the server."""
        try:
            with self._connection.cursor(name="lakebutler") as cursor:
                cursor.itersize = CHUNK
                cursor.execute(sql.encode())
                while rows := cursor.fetchmany(CHUNK):
                    yield rows
        except self._error as error:
            raise RepositoryFormatError(
                f"{self.name}: {str(error).strip().splitlines()[0]}", hint="this is no registry that is known"
            ) from None

    def timespan(self, prefix: str) -> tuple[str, str]:
        """Expressions for the bounds of a range of integers; empty ones end before they begin."""
        column = f"{prefix}timespan"
        return (
            f"CASE WHEN isempty({column}) THEN 1 ELSE lower({column}) END",
            f"CASE WHEN isempty({column}) THEN 0 ELSE upper({column}) END",
        )

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _addresses(url: str) -> tuple[str, str]:
    """URL for messages, and URL with the credentials."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    shown = urlunsplit(parts._replace(netloc=host))
    if parts.password is not None:
        return shown, url
    username, password = find_credentials(url)
    username = username or parts.username
    if username is None:
        return shown, url
    login = quote(username, safe="") + (f":{quote(password, safe='')}" if password else "")
    return shown, urlunsplit(parts._replace(netloc=f"{login}@{host}"))
