# SPDX-License-Identifier: BSD-3-Clause
"""Turning a change into the actions of an entry: rows into JSON, or into Parquet files."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakebutler.errors import StorageError, StorageUncertainError
from lakebutler.lake.change import Change
from lakebutler.lake.entry import (
    Action,
    AddFile,
    CreateTable,
    DataFile,
    Delete,
    DeleteFile,
    Rows,
    SetState,
    encode_action,
    encode_rows,
)
from lakebutler.lake.naming import DATA, dump
from lakebutler.lake.protocol import Footprint, footprint
from lakebutler.lake.schema import TableSchema
from lakebutler.lake.segment import PARQUET_KEY
from lakebutler.lake.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FileWriter", "Prepared", "prepare"]

INLINE_ROWS = 1000
INLINE_BYTES = 256 * 1024
GROUP_ROWS = 16384
OWN_FILE_ROWS = 50_000
MOST_FILE_ROWS = 1_000_000

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A change that only lacks its number.

    Parameters
    ----------
    actions : sequence of `Action`
        What it does; its files are written.
    text : `str`
        The same as JSON.
    footprint : `Footprint`
        What it does and relies on.
    expect : mapping
        What it relies on, as JSON.
    """

    actions: Sequence[Action]
    text: str
    footprint: Footprint
    expect: Mapping[str, Any]

    @property
    def paths(self) -> list[str]:
        """The files that it names."""
        return [a.file.path for a in self.actions if isinstance(a, AddFile | DeleteFile)] + [
            a.empty.path for a in self.actions if isinstance(a, CreateTable)
        ]


def prepare(change: Change, schemas: Mapping[str, TableSchema], writer: FileWriter) -> Prepared:
    """Write the files of a change and return what its entry will say.

    Parameters
    ----------
    change : `Change`
        What to commit.
    schemas : mapping
        Schemas of the tables there are, by name.
    writer : `FileWriter`
        What to write files with.
    """
    change.check(schemas)
    schemas = {**schemas, **change.tables} if change.tables else schemas
    actions: list[Action] = [
        CreateTable(schema, writer.write_file(schema, schema.arrow.empty_table()))
        for schema in change.tables.values()
    ]
    texts = [dump(encode_action(action, schemas)) for action in actions]
    for action, text in _small_or_file(change, schemas, writer):
        actions.append(action)
        texts.append(text)
    for made in (SetState(kind, name, value) for (kind, name), value in change.sets.items()):
        actions.append(made)
        texts.append(dump(encode_action(made, schemas)))
    for other in change.internal:
        actions.append(other)
        texts.append(dump(encode_action(other, schemas)))
    return Prepared(
        actions,
        f"[{','.join(texts)}]",
        footprint(actions, schemas, change.touches, change.requires),
        _expect(change, schemas),
    )


def _small_or_file(
    change: Change, schemas: Mapping[str, TableSchema], writer: FileWriter
) -> Iterator[tuple[Action, str]]:
    """Yield the rows and deletes of a change, each in the entry or in files, with its JSON."""
    small: list[tuple[Action, str, int]] = []
    large: list[Action] = []
    for given in _row_actions(change):
        count = len(given.rows) if isinstance(given, Rows) else len(given.keys)
        if given.table in change.bulk and isinstance(given, Rows):
            continue
        if count > INLINE_ROWS:
            large.append(given)
            continue
        small.append((given, dump(encode_action(given, schemas)), count))
    small.sort(key=lambda item: len(item[1]))
    rows = sum(count for *_, count in small)
    size = sum(len(text) for _, text, _ in small)
    while small and (rows > INLINE_ROWS or size > INLINE_BYTES):
        action, text, count = small.pop()
        large.append(action)
        rows, size = rows - count, size - len(text)
    yield from ((action, text) for action, text, _ in small)
    for action in large:
        for made in _into_file(action, schemas, writer):
            yield made, dump(encode_action(made, schemas))
    for table, tables in change.bulk_deletes.items():
        for keys in tables:
            gone = _deleted(schemas[table], keys, writer)
            yield gone, dump(encode_action(gone, schemas))
    for table in change.bulk:
        for file in writer.write_bulk(change, schemas[table]):
            added = AddFile(table, file)
            yield added, dump(encode_action(added, schemas))


def _row_actions(change: Change) -> Iterator[Rows | Delete]:
    for table, by_columns in change.deletes.items():
        for columns, keys in by_columns.items():
            yield Delete(table, columns, list(keys))
    for table in change.row_tables():
        rows = change.rows(table)
        if rows:
            yield Rows(table, rows)


def _into_file(action: Action, schemas: Mapping[str, TableSchema], writer: FileWriter) -> Iterator[Action]:
    from lakebutler.lake.sorting import rows_to_table

    if isinstance(action, Delete):
        schema = schemas[action.table]
        yield _deleted(schema, rows_to_table(schema, action.keys, action.columns), writer)
    elif isinstance(action, Rows):
        schema = schemas[action.table]
        for file in writer.write_rows(schema, rows_to_table(schema, action.rows)):
            yield AddFile(action.table, file)


def _deleted(schema: TableSchema, keys: pa.Table, writer: FileWriter) -> DeleteFile:
    """Write keys of rows that go."""
    from lakebutler.lake.sorting import sort_table

    columns = tuple(keys.column_names)
    ordered = sort_table(schema, keys, columns).table
    return DeleteFile(schema.name, columns, writer.write_file(schema, ordered, columns))


class FileWriter:
    """Writes the files of one commit, and knows which it wrote.

    Parameters
    ----------
    storage : `Storage`
        Where to write.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._written: dict[str, None] = {}
        self._bulk: dict[str, tuple[pa.Table, list[DataFile]]] = {}

    def write_bulk(self, change: Change, schema: TableSchema) -> list[DataFile]:
        """Write the rows that a change adds in bulk, unless they were written just so before."""
        import pyarrow as pa

        from lakebutler.lake.sorting import rows_to_table

        parts = list(change.bulk[schema.name])
        rows = change.rows(schema.name)
        if rows:
            parts.append(rows_to_table(schema, rows))
        data = pa.concat_tables(parts) if len(parts) > 1 else parts[0]
        known = self._bulk.get(schema.name)
        if known is not None and known[0].equals(data):
            return known[1]
        files = list(self.write_rows(schema, data))
        self._bulk[schema.name] = (data, files)
        return files

    def write_rows(
        self, schema: TableSchema, data: pa.Table, version: int | None = None
    ) -> Iterator[DataFile]:
        """Write rows into as few files as is good: a large scope has its own.

        Parameters
        ----------
        schema : `TableSchema`
            Shape of the table.
        data : `pyarrow.Table`
            The rows, in any order.
        version : `int`, optional
            Tombstones of later versions hit the rows; that of the entry by default.
        """
        import pyarrow as pa

        from lakebutler.lake.sorting import sort_table

        done = sort_table(schema, data)
        rest, rest_scopes, start = [], [], 0
        for scope, count in done.scopes:
            part = done.table.slice(start, count)
            start += count
            if count < OWN_FILE_ROWS:
                rest.append(part)
                rest_scopes.append((scope, count))
                continue
            for first in range(0, count, MOST_FILE_ROWS):
                piece = part.slice(first, MOST_FILE_ROWS)
                yield self.write_file(schema, piece, None, ((scope, piece.num_rows),), version)
        if rest:
            whole = done.table if len(rest) == len(done.scopes) else pa.concat_tables(rest).combine_chunks()
            yield self.write_file(schema, whole, None, tuple(rest_scopes), version)

    def write_file(
        self,
        schema: TableSchema,
        data: pa.Table,
        sort: Sequence[str] | None = None,
        scopes: tuple[tuple[Key, int], ...] = (),
        version: int | None = None,
    ) -> DataFile:
        """Write sorted rows into one new file.

        Parameters
        ----------
        schema : `TableSchema`
            Shape of the table.
        data : `pyarrow.Table`
            The rows, in order.
        sort : sequence of `str`, optional
            The sort columns, if not those of the schema.
        scopes : `tuple`, optional
            Pairs of a scope and the number of its rows.
        version : `int`, optional
            See `write_rows`.
        """
        names = schema.sort if sort is None else tuple(sort)
        starts = list(range(0, data.num_rows, GROUP_ROWS))
        edges = _keys_at(data, names, [*starts, data.num_rows - 1] if starts else [])
        first = dump({"first": [list(row) for row in encode_rows(schema, names, edges[:-1])]})
        content = _parquet(data, first)
        digest = hashlib.sha256(content).hexdigest()
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = f"{DATA}{schema.name}/{now}-{uuid.uuid4().hex}.parquet"
        self._written[path] = None
        self._store(path, content)
        self.storage.keep(path, content, digest)
        ends = (edges[0], edges[-1]) if edges else ((), ())
        return DataFile(path, data.num_rows, len(content), digest, version, scopes, *ends)

    def _store(self, path: str, content: bytes) -> None:
        """Write a file under a name that nobody else uses: what is there already is ours."""
        try:
            self.storage.create(path, content)
        except FileExistsError:
            return  # a request that was sent again on the way has met the first one
        except StorageUncertainError:
            if not self.storage.remote:
                raise
            self.storage.write(path, content)

    def discard(self, keep: Iterable[str] = ()) -> None:
        """Remove the files that were written and are not part of what was committed."""
        paths = [path for path in self._written if path not in set(keep)]
        with suppress(StorageError, OSError):
            self.storage.delete(paths)
        self._written = {}


def _parquet(data: pa.Table, first: str) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(
        data.replace_schema_metadata({**(data.schema.metadata or {}), PARQUET_KEY: first.encode()}),
        sink,
        compression="zstd",
        row_group_size=GROUP_ROWS,
        use_dictionary=_repetitive(data),
        write_statistics=True,
    )
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _keys_at(data: pa.Table, names: Sequence[str], places: Sequence[int]) -> list[Key]:
    if not places or not names:
        return []
    picked = data.select(list(names)).take(list(places))
    return list(zip(*(picked.column(i).to_pylist() for i in range(picked.num_columns)), strict=True))


def _repetitive(data: pa.Table) -> list[str]:
    """Return the columns whose values repeat, told by a few of them."""
    import pyarrow as pa

    step = max(1, data.num_rows // 512)
    sample = data.take(list(range(0, data.num_rows, step))) if data.num_rows > 512 else data
    out = []
    for name in data.column_names:
        column = sample.column(name)
        if isinstance(column.type, pa.BaseExtensionType) or pa.types.is_boolean(column.type):
            continue
        if column.null_count == len(column) or len(column.unique()) <= 0.5 * len(column):
            out.append(name)
    return out


def _expect(change: Change, schemas: Mapping[str, TableSchema]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if change.touches:
        out["touch"] = {
            table: [
                list(encode_rows(schemas[table], schemas[table].scope[: len(scope)], [scope])[0])
                for scope in sorted(scopes, key=repr)
            ]
            for table, scopes in sorted(change.touches.items())
        }
    if change.requires:
        out["require"] = sorted(map(list, change.requires))
    return out
