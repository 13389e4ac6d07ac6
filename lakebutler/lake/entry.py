# SPDX-License-Identifier: BSD-3-Clause
"""One log entry: what it holds and how it is written as JSON."""

from __future__ import annotations

import base64
import json
import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lakebutler.errors import RepositoryCorruptError, RepositoryFormatError
from lakebutler.lake.naming import dump, is_data_path, log_path, seal, unseal
from lakebutler.lake.schema import TableSchema

__all__ = [
    "ENTRY_FORMAT",
    "Action",
    "AddFile",
    "CreateTable",
    "DataFile",
    "Delete",
    "DeleteFile",
    "Entry",
    "Fold",
    "Header",
    "RemoveFile",
    "Rows",
    "SetState",
    "decode_rows",
    "decode_time",
    "encode_action",
    "encode_entry",
    "encode_rows",
    "encode_time",
    "file_json",
    "parse_action",
    "parse_entry",
    "parse_file",
]

ENTRY_FORMAT = 1


@dataclass(frozen=True, slots=True)
class DataFile:
    """One immutable Parquet file.

    Parameters
    ----------
    path : `str`
        Relative to the root of the repository.
    rows : `int`
        How many rows it has.
    bytes : `int`
        Its size.
    sha256 : `str`
        Its digest, 64 hexadecimal digits.
    version : `int`, optional
        Tombstones of later versions hit its rows.  `None` in an entry stands for
        the version of that entry.
    scopes : `tuple`
        Pairs of a scope (a tuple of values) and the number of its rows.
    first, last : `tuple`
        Values of the sort columns in the first and in the last row.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    version: int | None = None
    scopes: tuple[tuple[tuple[Any, ...], int], ...] = ()
    first: tuple[Any, ...] = ()
    last: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class CreateTable:
    """A table comes into being, with an empty file of its shape."""

    schema: TableSchema
    empty: DataFile


@dataclass(frozen=True, slots=True)
class AddFile:
    """Rows are added that lie in a file."""

    table: str
    file: DataFile


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows are added that lie in the entry."""

    table: str
    rows: Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Delete:
    """Rows of earlier versions whose columns equal one of the keys go."""

    table: str
    columns: tuple[str, ...]
    keys: Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """As `Delete`, with the keys in a file."""

    table: str
    columns: tuple[str, ...]
    file: DataFile


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """A file is no longer part of a table, its rows being elsewhere."""

    table: str
    path: str


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows that entries up to a version added to a table now lie in a file."""

    table: str
    through: int


@dataclass(frozen=True, slots=True)
class SetState:
    """A named value is set, or removed if it is None."""

    kind: str
    name: str
    value: Any


Action = CreateTable | AddFile | Rows | Delete | DeleteFile | RemoveFile | Fold | SetState


@dataclass(frozen=True, slots=True)
class Header:
    """What an entry says about itself.

    Parameters
    ----------
    version : `int`
        Its number.
    txid : `str`
        Transaction id, unique to one call of `Lake.commit`.
    prev_txid, prev_sha256 : `str`
        Transaction id and digest of the entry before; empty for version 0.
    base : `int`
        Version that the commit was built on.
    time : `datetime.datetime`
        When, UTC; later than that of the entry before.
    writer : mapping
        Who: ``lib``, ``user``, ``host``, ``pid``.
    op : `str`
        Which verb.
    message : `str`
        What the writer said.
    expect : mapping
        What the writer's checks relied on.
    """

    version: int
    txid: str
    prev_txid: str
    prev_sha256: str
    base: int
    time: datetime
    writer: Mapping[str, Any]
    op: str
    message: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One committed version.

    Parameters
    ----------
    header : `Header`
        What it says about itself.
    actions : sequence of mapping
        What it does, as in the JSON; see `parse_action`.
    sha256 : `str`
        Its digest, which the next entry repeats.
    """

    header: Header
    actions: Sequence[Mapping[str, Any]]
    sha256: str

    @property
    def version(self) -> int:
        """Its number."""
        return self.header.version

    @property
    def txid(self) -> str:
        """Its transaction id."""
        return self.header.txid

    @property
    def time(self) -> datetime:
        """When it was committed, UTC."""
        return self.header.time

    @property
    def op(self) -> str:
        """Which verb made it."""
        return self.header.op

    @property
    def message(self) -> str:
        """What the writer said."""
        return self.header.message

    @property
    def writer(self) -> Mapping[str, Any]:
        """Who made it."""
        return self.header.writer


# ------------------------------------------------------------------------ values


def encode_time(time: datetime) -> str:
    """Write a UTC time as ISO 8601 with microseconds and ``Z``."""
    return time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def decode_time(text: str) -> datetime:
    """Read what `encode_time` wrote."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return time.replace(tzinfo=UTC) if not time.utcoffset() else time.astimezone(UTC)


def _encode_float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


_ENCODE: Mapping[str, Callable[[Any], Any]] = {
    "uuid": str,
    "binary": lambda value: base64.b64encode(value).decode(),
    "timestamp": encode_time,
    "float64": _encode_float,
}
_DECODE: Mapping[str, Callable[[Any], Any]] = {
    "uuid": uuid.UUID,
    "binary": lambda value: base64.b64decode(value, validate=True),
    "timestamp": decode_time,
    "float64": float,
}
_PLAIN: Mapping[str, type] = {"string": str, "int64": int, "bool": bool}


def encode_rows(
    schema: TableSchema, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> list[Sequence[Any]]:
    """Turn rows, or keys over some columns, into what JSON can hold."""
    types = [schema.columns[schema.position[name]].type for name in columns]
    special = [(i, _ENCODE[kind]) for i, kind in enumerate(types) if kind in _ENCODE]
    if not special:
        return list(rows)
    out: list[Sequence[Any]] = []
    for row in rows:
        values = list(row)
        for i, encode in special:
            if values[i] is not None:
                values[i] = encode(values[i])
        out.append(values)
    return out


def decode_rows(
    schema: TableSchema, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> list[tuple[Any, ...]]:
    """Turn what `encode_rows` made back into rows.

    Raises
    ------
    ValueError, TypeError
        Raised if these are no rows of the table.
    """
    types = [schema.columns[schema.position[name]].type for name in columns]
    special = [(i, _DECODE[kind]) for i, kind in enumerate(types) if kind in _DECODE]
    plain = [(i, _PLAIN[kind]) for i, kind in enumerate(types) if kind in _PLAIN]
    out = []
    for row in rows:
        if len(row) != len(types):
            raise ValueError(f"a row of {schema.name!r} has {len(row)} values, not {len(types)}")
        values = list(row)
        for i, exact in plain:
            if type(values[i]) is not exact and values[i] is not None:
                raise ValueError(f"{values[i]!r} is no {types[i]} in a row of {schema.name!r}")
        for i, decode in special:
            if values[i] is not None:
                values[i] = decode(values[i])
        out.append(tuple(values))
    return out


# ----------------------------------------------------------------------- actions


def file_json(schema: TableSchema, columns: Sequence[str], file: DataFile) -> dict[str, Any]:
    """Return the JSON form of a data file that is sorted by some columns."""
    out: dict[str, Any] = {"path": file.path, "rows": file.rows, "bytes": file.bytes, "sha256": file.sha256}
    if file.version is not None:
        out["version"] = file.version
    if file.scopes:
        scopes = encode_rows(schema, schema.scope, [scope for scope, _ in file.scopes])
        out["scopes"] = [[list(s), n] for s, (_, n) in zip(scopes, file.scopes, strict=True)]
    if file.rows and file.first:
        out["first"], out["last"] = map(list, encode_rows(schema, columns, [file.first, file.last]))
    return out


def parse_file(schema: TableSchema, columns: Sequence[str], data: Mapping[str, Any]) -> DataFile:
    """Read the JSON form of a data file that is sorted by some columns.

    Raises
    ------
    KeyError, TypeError, ValueError
        Raised if it is not well formed.
    """
    if not is_data_path(data["path"]):
        raise ValueError(f"{data['path']!r} is no name of a data file")
    version = data.get("version")
    numbers = [data["rows"], data["bytes"], 0 if version is None else version]
    if any(type(n) is not int or n < 0 for n in numbers) or type(data["sha256"]) is not str:
        raise ValueError(f"the description of {data['path']!r} makes no sense")
    scopes = data.get("scopes", [])
    values = decode_rows(schema, schema.scope, [s for s, _ in scopes])
    pair = decode_rows(schema, columns, [data["first"], data["last"]]) if "first" in data else [(), ()]
    return DataFile(
        data["path"],
        numbers[0],
        numbers[1],
        data["sha256"],
        version,
        tuple((v, int(n)) for v, (_, n) in zip(values, scopes, strict=True)),
        pair[0],
        pair[1],
    )


def encode_action(action: Action, schemas: Mapping[str, TableSchema]) -> dict[str, Any]:
    """Return the JSON form of an action."""
    match action:
        case SetState(kind, name, value):
            return {"set": {"kind": kind, "name": name, "value": value}}
        case Rows(table, rows):
            schema = schemas[table]
            return {"rows": {"table": table, "rows": encode_rows(schema, schema.names, rows)}}
        case Delete(table, columns, keys):
            values = encode_rows(schemas[table], columns, keys)
            return {"delete": {"table": table, "columns": columns, "keys": values}}
        case AddFile(table, file):
            return {"add": {"table": table, **file_json(schemas[table], schemas[table].sort, file)}}
        case DeleteFile(table, columns, file):
            body = file_json(schemas[table], columns, file)
            return {"delete_file": {"table": table, "columns": columns, **body}}
        case RemoveFile(table, path):
            return {"remove": {"table": table, "path": path}}
        case Fold(table, through):
            return {"fold": {"table": table, "through": through}}
        case CreateTable(schema, empty):
            return {"create_table": {**schema.to_json(), "empty": file_json(schema, schema.sort, empty)}}


def parse_action(data: Mapping[str, Any], schemas: Mapping[str, TableSchema]) -> Action:
    """Read the JSON form of an action.

    Parameters
    ----------
    data : mapping
        One member of the ``actions`` of an entry.
    schemas : mapping
        Schemas of the tables there are, by name.

    Raises
    ------
    lakebutler.errors.RepositoryFormatError
        Raised if there is no such kind of action.
    KeyError, TypeError, ValueError
        Raised if it is not well formed.
    """
    if len(data) != 1:
        raise ValueError("an action needs exactly one kind")
    ((kind, body),) = data.items()
    match kind:
        case "set":
            if not isinstance(body["kind"], str) or not isinstance(body["name"], str):
                raise TypeError("a value has no name")
            return SetState(body["kind"], body["name"], body["value"])
        case "rows":
            schema = schemas[body["table"]]
            return Rows(schema.name, decode_rows(schema, schema.names, body["rows"]))
        case "delete":
            schema, columns = schemas[body["table"]], tuple(body["columns"])
            return Delete(schema.name, columns, decode_rows(schema, columns, body["keys"]))
        case "add":
            schema = schemas[body["table"]]
            return AddFile(schema.name, parse_file(schema, schema.sort, body))
        case "delete_file":
            schema, columns = schemas[body["table"]], tuple(body["columns"])
            return DeleteFile(schema.name, columns, parse_file(schema, columns, body))
        case "remove":
            return RemoveFile(schemas[body["table"]].name, body["path"])
        case "fold":
            return Fold(schemas[body["table"]].name, int(body["through"]))
        case "create_table":
            schema = TableSchema.from_json(body)
            return CreateTable(schema, parse_file(schema, schema.sort, body["empty"]))
        case _:
            raise RepositoryFormatError(
                f"this version of lakebutler does not know what {kind!r} in a log entry means",
                hint="the repository was written by a newer version; upgrade lakebutler",
            )


# ----------------------------------------------------------------------- entries


def encode_entry(header: Header, actions_text: str) -> bytes:
    """Write an entry; the actions come as JSON text so that a retry need not repeat them."""
    head: dict[str, Any] = {
        "format": ENTRY_FORMAT,
        "version": header.version,
        "txid": header.txid,
        "prev": {"txid": header.prev_txid, "sha256": header.prev_sha256},
        "base": header.base,
        "time": encode_time(header.time),
        "writer": header.writer,
        "op": header.op,
        "message": header.message,
    }
    if header.expect:
        head["expect"] = header.expect
    return seal(f'{dump(head)[:-1]},"actions":{actions_text}}}')


def parse_entry(data: bytes, version: int, url: str) -> Entry:
    """Check and read the entry of a version.

    Raises
    ------
    lakebutler.errors.RepositoryCorruptError
        Raised if the file is not what was committed as this version.
    lakebutler.errors.RepositoryFormatError
        Raised if it is of a newer format.
    """
    where = f"{log_path(version)} in {url}"
    digest = unseal(data, where)
    try:
        raw = json.loads(data)
        _check_format(raw["format"], where)
        header = Header(
            raw["version"],
            raw["txid"],
            raw["prev"]["txid"],
            raw["prev"]["sha256"],
            raw["base"],
            decode_time(raw["time"]),
            raw["writer"],
            raw["op"],
            raw["message"],
            raw.get("expect", {}),
        )
        actions = raw["actions"]
        sane = header.version == version and all(isinstance(action, dict) for action in actions)
        texts = (header.txid, header.prev_txid, header.prev_sha256, header.op, header.message)
        plain = isinstance(header.writer, dict) and all(isinstance(text, str) for text in texts)
    except RepositoryFormatError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RepositoryCorruptError(f"{where} makes no sense: {error!r}") from None
    if not sane:
        raise RepositoryCorruptError(f"{where} says that it is version {header.version!r:.40}")
    if not plain:
        raise RepositoryCorruptError(f"{where} makes no sense: its head is not that of an entry")
    return Entry(header, actions, digest)


def _check_format(number: object, where: str) -> None:
    if number != ENTRY_FORMAT:
        raise RepositoryFormatError(
            f"{where} is of format {number!r}, this version reads {ENTRY_FORMAT}",
            hint="the repository was written by a newer version; upgrade lakebutler",
        )
