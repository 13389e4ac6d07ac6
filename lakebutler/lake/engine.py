# SPDX-License-Identifier: BSD-3-Clause
"""DuckDB over a snapshot.

Two kinds of connection.  `run` is for SQL that this package composed itself.
`query` and `lazy` are for SQL that a user typed: its connection can read the files of the
snapshot and nothing else, cannot be unlocked, and takes statements that read
only (DuckDB's own lock-down would still let ``COPY`` overwrite a file that it may
read).
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakebutler.errors import InvalidQueryError, RepositoryCorruptError
from lakebutler.lake.relation import quote, relation

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakebutler.lake.tables import Tables

__all__ = ["connect", "lazy", "query", "run", "stream"]

_LOCK_DOWN = (
    "SET temp_directory = ''",  # a directory for it could be read, and written to
    "SET enable_external_access = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET python_enable_replacements = false",
    "SET lock_configuration = true",
)
_PREPARE = ("SET TimeZone = 'UTC'", "SET arrow_lossless_conversion = true")
_EXPLAIN = re.compile(r"\s*explain(\s+analyze)?\s+", re.IGNORECASE)
_MOST_CONNECTIONS = 4

_connections: OrderedDict[Any, duckdb.DuckDBPyConnection] = OrderedDict()
_inner: list[duckdb.DuckDBPyConnection] = []
_lock = threading.RLock()
_left_behind: list[object] = []


def _after_fork() -> None:
    """Forget the connections of the parent process: their threads are not in this one.

    They are kept, as closing them would wait for these threads.
    """
    global _lock  # noqa: PLW0603
    _left_behind.extend((*_inner, *_connections.values()))
    _inner.clear()
    _connections.clear()
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def run(
    snapshot: Tables,
    sql: str,
    tables: Mapping[str, pa.Table],
    params: Mapping[str, Any] | Sequence[Any] | None = None,
) -> pa.Table:
    """Run SQL that this package composed.

    Parameters
    ----------
    snapshot : `Tables`
        What is read, for messages.
    sql : `str`
        One ``SELECT``.
    tables : mapping
        Arrow tables it reads, by name.
    params : mapping or sequence, optional
        Values of its parameters.
    """
    cursor = _cursor()
    try:
        for name, data in tables.items():
            cursor.register(name, data)
        return _result(cursor, sql, params, snapshot)
    finally:
        cursor.close()


def stream(
    snapshot: Tables,
    sql: str,
    tables: Mapping[str, pa.Table],
    params: Mapping[str, Any] | Sequence[Any] | None = None,
    *,
    size: int,
) -> Iterator[pa.Table]:
    """Run SQL that this package composed, and read its result a part at a time.

    Parameters
    ----------
    snapshot : `Tables`
        What is read, for messages.
    sql : `str`
        One ``SELECT``.
    tables : mapping
        Arrow tables it reads, by name.
    params : mapping or sequence, optional
        Values of its parameters.
    size : `int`
        Rows of a part.

    Yields
    ------
    part : `pyarrow.Table`
        The next rows.
    """
    import pyarrow as pa

    cursor = _cursor()
    try:
        for name, data in tables.items():
            cursor.register(name, data)
        with _told(snapshot):
            made = cursor.sql(sql, params=params) if params else cursor.sql(sql)
            reader = iter(made.to_arrow_reader(size))
        while True:
            with _told(snapshot):
                batch = next(reader, None)
            if batch is None:
                return
            yield pa.Table.from_batches([batch])
    finally:
        cursor.close()


def _cursor() -> duckdb.DuckDBPyConnection:
    with _lock:
        if not _inner:
            _inner.append(_open())
        return _inner[0].cursor()


def connect(snapshot: Tables, tables: Iterable[str] | None = None) -> duckdb.DuckDBPyConnection:
    """Return a connection with a view for each table of a snapshot.

    It reads the files of these tables and nothing else, and its configuration is
    locked.  It is kept and shared: do not close it, and do not hand it to code that
    may run ``COPY``; `query` is for that.

    Parameters
    ----------
    snapshot : `Tables`
        Which version.
    tables : iterable of `str`, optional
        Which tables; all by default.
    """
    wanted = tuple(sorted(snapshot.schemas() if tables is None else tables))
    key = (snapshot.segments.number, snapshot.version, snapshot.sha256, snapshot.overlay_key, wanted)
    with _lock:
        found = _connections.get(key)
        if found is not None:
            _connections.move_to_end(key)
            return found
        made = _connections[key] = _views(snapshot, wanted)
        while len(_connections) > _MOST_CONNECTIONS:
            _connections.popitem(last=False)
        return made


def query(
    snapshot: Tables,
    sql: str,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    tables: Mapping[str, pa.Table] | None = None,
    views: Mapping[str, str] | None = None,
) -> pa.Table:
    """Run SQL that a user typed; it can read the tables of the snapshot and nothing else.

    Parameters
    ----------
    snapshot : `Tables`
        Which version.
    sql : `str`
        One statement that reads.
    params : sequence or mapping, optional
        Values of its parameters.
    tables : mapping, optional
        More tables it may read, by name.
    views : mapping, optional
        More views it may read: SQL by name.

    Raises
    ------
    lakebutler.errors.InvalidQueryError
        Raised if DuckDB refuses it or it does more than read.
    """
    with _lock:
        connection = connect(snapshot, _named(snapshot, sql, views or {}))
        _only_reads(connection, sql)
        with _registered(connection, tables or {}, views or {}):
            return _result(connection, sql, params, snapshot)


def lazy(
    snapshot: Tables,
    sql: str,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    tables: Mapping[str, pa.Table] | None = None,
    views: Mapping[str, str] | None = None,
) -> duckdb.DuckDBPyRelation:
    """Prepare SQL that a user typed, to be run when its rows are asked for.

    The relation has a connection of its own, locked down like that of `query`.

    Parameters
    ----------
    snapshot, sql, params, tables, views
        As for `query`.

    Raises
    ------
    lakebutler.errors.InvalidQueryError
        Raised if DuckDB refuses it or it does more than read.
    """
    connection = _views(snapshot, _named(snapshot, sql, views or {}))
    _only_reads(connection, sql)
    _register(connection, tables or {}, views or {})
    with _told(snapshot):
        return connection.sql(sql, params=params) if params else connection.sql(sql)


def _named(snapshot: Tables, sql: str, views: Mapping[str, str]) -> list[str]:
    """Return the tables that a statement may speak of."""
    words = {word.casefold() for word in re.findall(r"\w+", " ".join([sql, *views.values()]))}
    if words & {"duckdb_views", "information_schema", "show", "duckdb_tables", "sqlite_master"}:
        return sorted(snapshot.schemas())
    return sorted(name for name in snapshot.schemas() if name.casefold() in words)


def _open() -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(":memory:")
    for statement in _PREPARE:
        connection.execute(statement)
    if int(duckdb.__version__.partition(".")[0]) < 2:
        # DuckDB 1.5 cannot push the keys of a join into an Arrow table where they are UUIDs.
        connection.execute("SET disabled_optimizers = 'join_filter_pushdown'")
    return connection


def _views(snapshot: Tables, tables: Sequence[str]) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = _open()
    paths: list[str] = []
    for table in tables:
        made = relation(snapshot, table)
        for name, data in made.tables.items():
            connection.register(name, data)
        paths.extend(made.paths)
        try:
            connection.execute(f"CREATE TEMP VIEW {quote(table)} AS {_in_utc(snapshot, table)} ({made.sql})")
        except (duckdb.Error, UnicodeDecodeError) as error:
            raise RepositoryCorruptError(
                f"table {table!r} of {snapshot.segments.storage.url} cannot be read: {_first_line(error)}"
            ) from error
    quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in dict.fromkeys(paths))
    connection.execute(f"SET allowed_paths = [{quoted}]")
    for statement in _LOCK_DOWN:
        connection.execute(statement)
    return connection


@contextmanager
def _registered(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table], views: Mapping[str, str]
) -> Iterator[None]:
    try:
        _register(connection, tables, views)
        yield
    finally:
        for name in views:
            connection.execute(f"DROP VIEW IF EXISTS {quote(name)}")
        for name in tables:
            connection.unregister(name)


def _in_utc(snapshot: Tables, table: str) -> str:
    """Select everything, times without a zone: they are UTC, as in ``views.sql``."""
    columns = snapshot.schemas()[table].columns
    names = [quote(column.name) for column in columns if column.type == "timestamp"]
    times = ", ".join(f"make_timestamp(epoch_us({name})) AS {name}" for name in names)
    return f"SELECT * REPLACE ({times}) FROM" if times else "FROM"


def _register(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table], views: Mapping[str, str]
) -> None:
    for name, data in tables.items():
        connection.register(name, data)
    for name, text in views.items():
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {quote(name)} AS {text}")


def _only_reads(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    import duckdb

    try:
        statements = connection.extract_statements(sql)
        if len(statements) == 1 and statements[0].type == duckdb.StatementType.EXPLAIN:
            # What is looked at has to be the end of what will run: nothing may stand before the word.
            begin = _EXPLAIN.match(sql)
            statements = connection.extract_statements(sql[begin.end() :]) if begin else []
    except duckdb.Error as error:
        raise InvalidQueryError(_first_line(error)) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise InvalidQueryError(
            "only one statement that reads can be run on a repository", hint="begin it with SELECT"
        )


def _result(connection: duckdb.DuckDBPyConnection, sql: str, params: Any, snapshot: Tables) -> pa.Table:
    with _told(snapshot):
        relation_ = connection.sql(sql, params=params) if params else connection.sql(sql)
        return relation_.to_arrow_table()


@contextmanager
def _told(snapshot: Tables) -> Iterator[None]:
    """Tell what went wrong in terms of the repository."""
    import duckdb

    try:
        yield
    except (duckdb.IOException, duckdb.InternalException) as error:
        raise RepositoryCorruptError(
            f"a table of {snapshot.segments.storage.url} cannot be read: {_first_line(error)}"
        ) from error
    except duckdb.Error as error:
        raise InvalidQueryError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
