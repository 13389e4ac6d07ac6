# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints: the whole state at a version, so that opening need not read the whole log.

A checkpoint is a pure function of the log, so that any number of writers may make
the same one at once.  It is a sealed file of JSON lines: first what is always
needed, then one line for each table that has rows outside of files, which is only
read when the table is; then a line that closes the file.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lakebutler.errors import RepositoryCorruptError, RepositoryError, RepositoryFormatError
from lakebutler.lake.entry import (
    DataFile,
    decode_rows,
    decode_time,
    encode_rows,
    encode_time,
    file_json,
    parse_file,
)
from lakebutler.lake.naming import CHECKPOINT, LAST, checkpoint_path, dump, seal, unseal
from lakebutler.lake.schema import TableSchema
from lakebutler.lake.segment import FileSegment, SegmentStore
from lakebutler.lake.state import Head, LakeState, Origin
from lakebutler.lake.storage import Storage
from lakebutler.lake.table import TableLayer

__all__ = [
    "LATEST",
    "checkpoint_lines",
    "last_checkpoint",
    "listed_checkpoints",
    "load_state",
    "parse_checkpoint",
    "prune_checkpoints",
    "read_checkpoint",
    "write_checkpoint",
]

CHECKPOINT_FORMAT = 1
LATEST = 10**19
"""A version above all, to ask for the newest checkpoint that is listed."""

_LINE = re.compile(rb'\{"table":"([A-Za-z_][A-Za-z0-9_]*)","count":(\d+),')
_KEEP = 2
_MILESTONE = 5000


# ----------------------------------------------------------------------- writing


def write_checkpoint(state: LakeState, storage: Storage, *, hint: bool = True) -> str:
    """Write the newest version of a state as a checkpoint.

    Parameters
    ----------
    state : `LakeState`
        What to write.
    storage : `Storage`
        The repository.
    hint : `bool`, optional
        Whether it is the newest of the repository, so that the hint is to name it.

    Returns
    -------
    path : `str`
        Where it is.
    """
    version = state.head.version
    text = "\n".join(checkpoint_lines(state))
    path = checkpoint_path(version, uuid.uuid4().hex)
    storage.write(path, seal(text))
    if hint:
        storage.write(LAST, dump({"version": version, "path": path}).encode() + b"\n")
    return path


def checkpoint_lines(state: LakeState) -> Iterator[str]:
    """Yield the lines of a checkpoint of the newest version of a state, not yet sealed."""
    head = state.head
    version = head.version
    tables, rows = [], []
    for layer in state.tables.values():
        tables.append(_table_json(layer, version))
        lines = layer.store_lines(version)
        if lines:
            count = sum(len(part) for _, part in lines)
            rows.append(dump({"table": layer.schema.name, "count": count, "rows": lines}))
    values = [
        [kind, name, value] for kind, known in state.values.items() for name, value in known.items_at(version)
    ]
    yield dump(
        {
            "format": CHECKPOINT_FORMAT,
            "version": version,
            "txid": head.txid,
            "entry_sha256": head.sha256,
            "time": encode_time(head.time),
            "tables": tables,
            "state": values,
        }
    )
    yield from rows
    yield dump({"end": version})


def _table_json(layer: TableLayer, version: int) -> dict[str, Any]:
    schema = layer.schema
    files = [
        file_json(schema, schema.sort, replace(slot.segment.file, version=slot.version))
        for slot in layer.live_slots(version)
        if isinstance(slot.segment, FileSegment)
    ]
    keys, deletes = layer.needed_deletes(version)
    return {
        "schema": schema.to_json(),
        "files": files,
        "folded": layer.folded,
        "tombstones": [
            {
                "columns": columns,
                "keys": encode_rows(schema, columns, [key for key, _ in pairs]),
                "versions": [when for _, when in pairs],
            }
            for columns, pairs in keys.items()
        ],
        "deletes": [
            {
                "columns": slot.columns,
                **file_json(schema, slot.columns, replace(slot.segment.file, version=slot.begin)),
            }
            for slot in deletes
            if isinstance(slot.segment, FileSegment)
        ],
    }


def prune_checkpoints(storage: Storage, needed: Collection[int] = ()) -> list[str]:
    """Remove the checkpoints that newer ones have made needless.

    Some of the past are kept, so that it can still be opened fast.

    Parameters
    ----------
    storage : `Storage`
        The repository.
    needed : collection of `int`, optional
        Versions whose checkpoints stay: the log no longer leads to them.
    """
    known = sorted(listed_checkpoints(storage), reverse=True)
    doomed, kept = [], set()
    for place, (version, path) in enumerate(known):
        milestone = version // _MILESTONE
        if place >= _KEEP and milestone in kept and version not in needed:
            doomed.append(path)
        else:
            kept.add(milestone)
    storage.delete(doomed)
    return doomed


# ----------------------------------------------------------------------- reading


def last_checkpoint(storage: Storage) -> tuple[int, str] | None:
    """Return version and path of the newest checkpoint, as far as the hint tells."""
    try:
        raw = json.loads(storage.read(LAST))
        version, path = int(raw["version"]), str(raw["path"])
    except (FileNotFoundError, KeyError, TypeError, ValueError, RecursionError):
        return None
    known = _parse_name(path)
    return (version, path) if known == version else None


def load_state(segments: SegmentStore, at_most: int | None = None) -> LakeState:
    """Return the state at the newest checkpoint that can be read; an empty one if there is none.

    Parameters
    ----------
    segments : `SegmentStore`
        The data files.
    at_most : `int`, optional
        Only checkpoints up to this version.
    """
    storage = segments.storage
    tried = None
    if at_most is None:
        hinted = last_checkpoint(storage)
        if hinted is None:
            # No hint: a young repository, or one that lost it.
            hinted = max(listed_checkpoints(storage), default=None)
        if hinted is None:
            return LakeState(segments)
        tried = hinted[1]
        with suppress(RepositoryCorruptError, FileNotFoundError):
            return read_checkpoint(segments, *hinted)
    for version, path in sorted(listed_checkpoints(storage), reverse=True):
        if path != tried and (at_most is None or version <= at_most):
            with suppress(RepositoryCorruptError, FileNotFoundError):
                return read_checkpoint(segments, version, path)
    return LakeState(segments)


def read_checkpoint(segments: SegmentStore, version: int, path: str) -> LakeState:
    """Return the state at one checkpoint.

    Raises
    ------
    lakebutler.errors.RepositoryCorruptError
        Raised if it is not what was written.
    lakebutler.errors.RepositoryFormatError
        Raised if it is of a newer format.
    """
    data = segments.storage.read(path)
    state = parse_checkpoint(segments, version, path, data)
    state.origin = Origin(path, data)
    return state


def parse_checkpoint(segments: SegmentStore, version: int, path: str, data: bytes) -> LakeState:
    """Return the state that the content of a checkpoint describes; see `read_checkpoint`."""
    where = f"{path} in {segments.storage.url}"
    unseal(data, where)
    first, *lines = data.split(b"\n")
    try:
        raw = json.loads(first)
        _check_format(raw["format"], where)
        return _build(segments, raw, lines, version)
    except RepositoryError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RepositoryCorruptError(f"{where} makes no sense: {error!r}") from None


def _check_format(number: object, where: str) -> None:
    if number != CHECKPOINT_FORMAT:
        raise RepositoryFormatError(
            f"{where} is of format {number!r}, this version reads {CHECKPOINT_FORMAT}",
            hint="the repository was written by a newer version; upgrade lakebutler",
        )


def _build(segments: SegmentStore, raw: dict[str, Any], lines: list[bytes], version: int) -> LakeState:
    state = LakeState(segments)
    state.head = Head(raw["version"], raw["txid"], raw["entry_sha256"], decode_time(raw["time"]))
    state.base = version
    if state.head.version != version:
        raise ValueError(f"it says that it is of version {state.head.version}")
    layers = [_build_layer(segments, table, version) for table in raw["tables"]]
    state.tables = {layer.schema.name: layer for layer in layers}
    state.schemas = {layer.schema.name: layer.schema for layer in layers}
    for kind, name, value in raw["state"]:
        if not isinstance(kind, str) or not isinstance(name, str):
            raise TypeError("a value has no name")
        state.values_of(kind).set(name, value, version)
    for line in lines:
        if line.startswith(b'{"table":"'):
            name, count = _line_head(line)
            state.tables[name].load_later(_loader(state.tables[name].schema, line), count)
    return state


def _line_head(line: bytes) -> tuple[str, int]:
    found = _LINE.match(line)
    if found is None:
        raise ValueError("a line of rows does not say of which table")
    return found.group(1).decode(), int(found.group(2))


def _loader(schema: TableSchema, line: bytes) -> Any:
    def load() -> list[tuple[int, list[tuple[Any, ...]]]]:
        try:
            raw = json.loads(line)["rows"]
            return [(int(version), decode_rows(schema, schema.names, rows)) for version, rows in raw]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise RepositoryCorruptError(
                f"a checkpoint's rows of {schema.name!r} make no sense: {error!r}"
            ) from None

    return load


def _build_layer(segments: SegmentStore, raw: dict[str, Any], version: int) -> TableLayer:
    schema = TableSchema.from_json(raw["schema"])
    layer = TableLayer(schema)
    layer.folded = int(raw["folded"])
    for data in raw["files"]:
        file = parse_file(schema, schema.sort, data)
        layer.add_segment(segments.segment(schema, file), version, _own_version(file))
    for group in raw["tombstones"]:
        columns = tuple(group["columns"])
        for key, when in zip(decode_rows(schema, columns, group["keys"]), group["versions"], strict=True):
            layer.tombstones.add(columns, (key,), int(when))
    for data in raw["deletes"]:
        columns = tuple(data["columns"])
        file = parse_file(schema, columns, data)
        layer.note_delete_segment(segments.segment(schema, file, columns), columns, _own_version(file))
    return layer


def _own_version(file: DataFile) -> int:
    if file.version is None:
        raise ValueError(f"{file.path} has no version")
    return file.version


def listed_checkpoints(storage: Storage) -> Iterator[tuple[int, str]]:
    """Yield version and path of the checkpoints there are."""
    for info in storage.list(CHECKPOINT):
        version = _parse_name(info.path)
        if version is not None:
            yield version, info.path


def _parse_name(path: str) -> int | None:
    name = path.removeprefix(CHECKPOINT)
    good = path.startswith(CHECKPOINT) and name.endswith(".json") and name[:20].isdigit() and "/" not in name
    return int(name[:20]) if good and len(name) > 26 else None
