# SPDX-License-Identifier: BSD-3-Clause
"""What one commit does: a builder that knows nothing of versions or files."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.lake.entry import Action
from lakebutler.lake.naming import dump
from lakebutler.lake.schema import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Change", "cast_column", "key_rows"]

Key = tuple[Any, ...]
_MANY_KEYS = 1000


class Change:
    """What one commit does to the tables and the state.

    Everything in one change happens at once: a delete hits rows of earlier
    versions only, wherever it stands among the other calls.  To do one thing
    after another in one commit, make a change of each and join them with
    `extend`.

    Attributes
    ----------
    exclusive : `bool`
        The checks behind this change looked at everything: it is built again if
        any other commit comes first.
    """

    def __init__(self) -> None:
        self._dirty = True
        self.tables: dict[str, TableSchema] = {}
        self.sets: dict[tuple[str, str], Any] = {}
        self.requires: set[tuple[str, str]] = set()
        self.exclusive = False
        self.touches: dict[str, set[Key]] = {}
        self.deletes: dict[str, dict[tuple[str, ...], dict[Key, None]]] = {}
        self.bulk_deletes: dict[str, list[pa.Table]] = {}
        self.bulk: dict[str, list[pa.Table]] = {}
        self.internal: list[Action] = []
        self._rows: dict[str, list[Key | None]] = {}
        self._checked: dict[str, int] = {}
        self._schemas: dict[str, TableSchema] = {}
        self._own: dict[tuple[str, tuple[str, ...]], _OwnIndex] = {}

    def __bool__(self) -> bool:
        deletes = self.deletes or self.bulk_deletes
        return bool(self.tables or self.sets or deletes or self.bulk or self._rows or self.internal)

    def __repr__(self) -> str:
        parts = [f"{len(rows)} rows of {table}" for table, rows in self._rows.items()]
        parts += [f"{sum(t.num_rows for t in bulk)} rows of {table}" for table, bulk in self.bulk.items()]
        parts += [f"{sum(map(len, d.values()))} deletes from {table}" for table, d in self.deletes.items()]
        parts += [
            f"{sum(k.num_rows for k in keys)} deletes from {table}"
            for table, keys in self.bulk_deletes.items()
        ]
        parts += [f"{len(self.sets)} values"] if self.sets else []
        parts += [f"table {name}" for name in self.tables]
        return f"<Change: {', '.join(parts) or 'nothing'}>"

    # ------------------------------------------------------------------ building

    def create_table(self, schema: TableSchema) -> None:
        """Make a table."""
        self._dirty = True
        self.tables[schema.name] = schema

    def append_rows(self, table: str, rows: Sequence[Key]) -> None:
        """Add rows, each a tuple in the order of the columns.

        Values are Python's: `str`, `int`, `float`, `bool`, `uuid.UUID`, `bytes`,
        `datetime.datetime` with a time zone, or `None`.
        """
        self._dirty = True
        if len(rows):
            self._rows.setdefault(table, []).extend(rows)

    def append_table(self, table: str, data: pa.Table) -> None:
        """Add many rows; a nullable column that is missing is null throughout."""
        self._dirty = True
        if data.num_rows:
            self.bulk.setdefault(table, []).append(data)

    def delete(self, table: str, columns: tuple[str, ...], keys: Iterable[Key]) -> None:
        """Remove the rows of earlier versions whose columns equal one of the keys."""
        self._dirty = True
        if not columns:
            raise ValueError("a delete needs at least one column")
        wanted = dict.fromkeys(map(tuple, keys))
        if wanted:
            self.deletes.setdefault(table, {}).setdefault(tuple(columns), {}).update(wanted)

    def delete_table(self, table: str, keys: pa.Table) -> None:
        """Remove the rows of earlier versions whose columns equal those of a row of a table of keys.

        Many keys go into a file as they are, without a tuple for each.
        """
        if keys.num_rows <= _MANY_KEYS:
            self.delete(table, tuple(keys.column_names), key_rows(keys))
            return
        self._dirty = True
        self.bulk_deletes.setdefault(table, []).append(keys)

    def set(self, kind: str, name: str, value: Any) -> None:
        """Set a named value, one that JSON can hold; `None` removes it."""
        self._dirty = True
        self.sets[kind, name] = value

    def touch(self, table: str, scope: Key) -> None:
        """Say that the checks behind this change looked at the rows of a scope.

        If another commit adds or removes rows there first, the change is built again.
        A scope that is cut short stands for all that begin so.
        """
        self._dirty = True
        self.touches.setdefault(table, set()).add(tuple(scope))

    def require(self, kind: str, name: str) -> None:
        """Say that the checks behind this change looked at a named value."""
        self.requires.add((kind, name))

    def extend(self, later: Change) -> None:
        """Let another change happen after this one, both in the same commit.

        The deletes of the later change hit the rows of this one as well.  Both
        must have been applied to a snapshot (`Snapshot.apply`) before.
        """
        self._dirty = True
        self._schemas.update(later._schemas)
        for table, by_columns in later.deletes.items():
            for columns, keys in by_columns.items():
                self._drop(table, columns, keys)
                self.delete(table, columns, keys)
        for table, tables in later.bulk_deletes.items():
            for gone in tables:
                if table in self._rows or table in self.bulk:
                    self._drop(table, tuple(gone.column_names), dict.fromkeys(key_rows(gone)))
                self.bulk_deletes.setdefault(table, []).append(gone)
        self.tables.update(later.tables)
        for table in later._rows:
            checked = self._checked.get(table, 0) == len(self._rows.get(table, ()))
            self.append_rows(table, later.rows(table))
            if checked and later._checked.get(table, 0) == len(later._rows[table]):
                self._checked[table] = len(self._rows[table])
        for table, bulk in later.bulk.items():
            self.bulk.setdefault(table, []).extend(bulk)
        self.sets.update(later.sets)
        self.requires |= later.requires
        self.exclusive |= later.exclusive
        for table, scopes in later.touches.items():
            self.touches.setdefault(table, set()).update(scopes)
        self.internal.extend(later.internal)

    # ------------------------------------------------------------------- reading

    def rows(self, table: str) -> list[Key]:
        """Rows that are added one by one."""
        rows = self._rows.get(table, [])
        return [row for row in rows if row is not None]

    def row_tables(self) -> Iterator[str]:
        """Tables that rows are added to one by one."""
        return iter(self._rows)

    def row_count(self) -> int:
        """Number of rows and keys that are in this change one by one."""
        deletes = sum(len(keys) for by in self.deletes.values() for keys in by.values())
        return sum(map(len, self._rows.values())) + deletes

    # ------------------------------------------------------------------ checking

    def check(self, schemas: Mapping[str, TableSchema]) -> None:
        """Bring every value to exactly the type of its column.

        Parameters
        ----------
        schemas : mapping
            Schemas of the tables there are, by name.

        Raises
        ------
        KeyError
            Raised if there is no such table or column.
        TypeError, ValueError
            Raised if a value does not fit.
        """
        if not self._dirty:
            return
        named = {*self._rows, *self.bulk, *self.deletes, *self.bulk_deletes, *self.touches}
        for table in named - self._schemas.keys():
            schema = self.tables.get(table) or schemas.get(table)
            if schema is None:
                raise KeyError(f"there is no table {table!r}")
            self._schemas[table] = schema
        for table, rows in self._rows.items():
            done = self._checked.get(table, 0)
            if done < len(rows):
                check_row = self._schemas[table].check_row
                rows[done:] = [None if row is None else check_row(row) for row in rows[done:]]
                self._checked[table] = len(rows)
        for table, bulk in self.bulk.items():
            self.bulk[table] = [_conform(self._schemas[table], data) for data in bulk]
        for table, by_columns in self.deletes.items():
            check_key = self._schemas[table].check_key
            for columns, keys in by_columns.items():
                self._schemas[table].getter(columns)
                if not _all_exact(self._schemas[table], columns, keys):
                    by_columns[columns] = {check_key(columns, key): None for key in keys}
        for table, tables in self.bulk_deletes.items():
            self.bulk_deletes[table] = [_conform_keys(self._schemas[table], keys) for keys in tables]
        for (kind, name), value in self.sets.items():
            dump([kind, name, value])
        self._dirty = False

    def _drop(self, table: str, columns: tuple[str, ...], keys: Mapping[Key, None]) -> None:
        """Take rows of this change out again."""
        rows = self._rows.get(table)
        if not rows and table not in self.bulk:
            return
        schema = self._schemas.get(table) or self.tables.get(table)
        if schema is None:
            raise ValueError("apply a change to a snapshot before extending another with it")
        if rows:
            own = self._own.setdefault((table, columns), _OwnIndex(schema, columns))
            for place in own.find(rows, keys):
                rows[place] = None
        if table in self.bulk:
            left = (_without(schema, data, columns, keys) for data in self.bulk[table])
            self.bulk[table] = [data for data in left if data.num_rows]
            if not self.bulk[table]:
                del self.bulk[table]


def _all_exact(schema: TableSchema, columns: tuple[str, ...], keys: Mapping[Key, None]) -> bool:
    """Whether many keys are seen at once to be of exactly the types of their columns."""
    if len(keys) < _MANY_KEYS or {*map(len, keys)} != {len(columns)}:
        return False
    for name, values in zip(columns, zip(*keys, strict=True), strict=True):
        kinds = set(map(type, values))
        if len(kinds) != 1:
            return False
        if schema.column(name).type == "uuid" and kinds == {uuid.UUID}:
            continue
        few = set(values)
        if len(few) > _MANY_KEYS or any(schema.check_key((name,), (v,))[0] is not v for v in few):
            return False
    return True


class _OwnIndex:
    """Where in a growing list of rows the keys over some columns stand."""

    def __init__(self, schema: TableSchema, columns: tuple[str, ...]) -> None:
        self._getter = schema.getter(columns)
        self._known = 0
        self._places: dict[Key, list[int]] = {}

    def find(self, rows: Sequence[Key | None], keys: Iterable[Key]) -> list[int]:
        for place in range(self._known, len(rows)):
            row = rows[place]
            if row is not None:
                self._places.setdefault(self._getter(row), []).append(place)
        self._known = len(rows)
        return [place for key in keys for place in self._places.get(key, ())]


def _without(
    schema: TableSchema, data: pa.Table, columns: tuple[str, ...], keys: Mapping[Key, None]
) -> pa.Table:
    import pyarrow as pa

    data = _conform(schema, data)
    values = zip(*(data.column(name).to_pylist() for name in columns), strict=True)
    keep = [value not in keys for value in values]
    return data if all(keep) else data.filter(pa.array(keep))


def _conform(schema: TableSchema, data: pa.Table) -> pa.Table:
    """Bring an Arrow table to exactly the columns of a schema."""
    import pyarrow as pa

    target = schema.arrow
    if data.schema.equals(target):
        return data
    unknown = [name for name in data.column_names if name not in schema.position]
    if unknown or len(set(data.column_names)) != data.num_columns:
        raise ValueError(f"table {schema.name!r} has no column {unknown or data.column_names}")
    out = []
    for field in target:
        if field.name not in data.column_names:
            if not field.nullable:
                raise ValueError(f"column {field.name!r} of {schema.name!r} cannot be missing")
            out.append(pa.nulls(data.num_rows, field.type))
            continue
        column = data.column(field.name)
        if not field.nullable and column.null_count:
            raise ValueError(f"column {field.name!r} of {schema.name!r} cannot be null")
        out.append(cast_column(schema, field.name, column))
    return pa.table(out, schema=target)


def _conform_keys(schema: TableSchema, keys: pa.Table) -> pa.Table:
    """Bring a table of keys to exactly the types of the columns."""
    import pyarrow as pa

    schema.getter(tuple(keys.column_names))
    target = pa.schema([schema.arrow.field(name) for name in keys.column_names])
    if keys.schema.equals(target):
        return keys
    return pa.table([cast_column(schema, f.name, keys.column(f.name)) for f in target], schema=target)


def key_rows(keys: pa.Table) -> Iterator[Key]:
    """Yield the rows of a table of keys."""
    return zip(*(column.to_pylist() for column in keys.columns), strict=True)


def cast_column(schema: TableSchema, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bring an Arrow column to exactly the type of a column of a table.

    Raises
    ------
    TypeError
        Raised if it cannot hold such values.
    """
    import pyarrow as pa

    target = schema.arrow.field(name).type
    if column.type.equals(target):
        return column
    if pa.types.is_timestamp(target) and pa.types.is_timestamp(column.type) and column.type.tz is None:
        raise TypeError(f"column {name!r} of {schema.name!r} needs times with a time zone")
    try:
        if target == pa.uuid():
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                import uuid

                raw = [None if v is None else uuid.UUID(v).bytes for v in column.to_pylist()]
                return pa.chunked_array([pa.array(raw, pa.binary(16)).cast(target)])
            return column.cast(pa.binary(16)).cast(target)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        return column.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, TypeError) as error:
        raise TypeError(f"column {name!r} of {schema.name!r} cannot hold {column.type}: {error}") from None
