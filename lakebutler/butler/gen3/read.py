# SPDX-License-Identifier: BSD-3-Clause
"""What a registry of the field holds, as a bundle of columns in our universe."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakebutler.butler.exchange.import_bundle import Collection, dataset_table
from lakebutler.butler.exchange.import_migrate import (
    check_universe,
    migrate_dimensions,
    migrate_records,
    to_records,
)
from lakebutler.butler.exchange.import_records import Incoming, IncomingFile
from lakebutler.butler.exchange.parts import IncomingPart
from lakebutler.butler.gen3.database import Gen3Database, columns_of, quoted
from lakebutler.butler.gen3.place import Gen3Place
from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import RepositoryFormatError
from lakebutler.registry.schema import DatasetLayout
from lakebutler.timespan import MAX_NSEC, MIN_NSEC

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Gen3Content", "read_gen3"]

_KINDS = {
    1: CollectionType.RUN,
    2: CollectionType.TAGGED,
    3: CollectionType.CHAINED,
    4: CollectionType.CALIBRATION,
}
_OLD_IDS = uuid.UUID("4d4851f4-2890-4d41-8779-5f38a3f5062b")
_WHOLE = ("__NULL_STRING__", "")


@dataclass
class Gen3Content:
    """What was read.

    Attributes
    ----------
    incoming : `Incoming`
        Records, types, collections, datasets, memberships and files.
    version : `int`
        Version of its universe.
    disassembled : `int`
        Datasets that are in parts, each in a file.
    passed_over : `Counter`
        What has no place here, by kind.
    """

    incoming: Incoming = field(default_factory=Incoming)
    version: int = 0
    disassembled: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Type:
    made: DatasetType
    tags: str
    calibrations: str | None


def read_gen3(database: Gen3Database, place: Gen3Place, universe: DimensionUniverse) -> Gen3Content:
    """Read a registry.

    Parameters
    ----------
    database : `Gen3Database`
        Open.
    place : `Gen3Place`
        Where its files are.
    universe : `DimensionUniverse`
        The universe to migrate to.

    Returns
    -------
    content : `Gen3Content`
        All of it.

    Raises
    ------
    RepositoryFormatError
        Raised if it is no registry of the field, or of a newer universe.
    """
    if not database.columns("butler_attributes"):
        raise RepositoryFormatError(
            f"{database.name} is no registry of lsst.daf.butler: it has no table butler_attributes"
        )
    reader = _Reader(database, place, universe)
    reader.read_records()
    reader.read_collections()
    reader.read_datasets()
    return reader.content


class _Reader:
    """Reads one registry."""

    def __init__(self, database: Gen3Database, place: Gen3Place, universe: DimensionUniverse) -> None:
        self.database = database
        self.place = place
        self.universe = universe
        self.content = Gen3Content()
        self.bundle = self.content.incoming.bundle
        self.collections: dict[int, str] = {}

    def fail(self, message: str) -> RepositoryFormatError:
        """Make an error that names the database."""
        return RepositoryFormatError(f"{self.database.name}: {message}")

    # --------------------------------------------------------------------- records

    def read_records(self) -> None:
        """Read the dimension records, migrated."""
        rows = self.database.rows("SELECT value FROM butler_attributes WHERE name = 'config:dimensions.json'")
        try:
            config = json.loads(rows[0][0])
            elements = list(config["elements"])
        except (IndexError, ValueError, KeyError, TypeError):
            raise self.fail("it does not say what its dimensions are") from None
        self.content.version = check_universe(
            config.get("namespace", "daf_butler"), config.get("version"), self.universe, self.database.name
        )
        found = {}
        for name in elements:
            columns = self.database.columns(name)
            if columns:
                found[name] = self._element(name, columns)
        for name, values in migrate_records(found, self.content.version, self.universe).items():
            made = to_records(values, name, self.universe, self.database.name)
            if made:
                self.bundle.add_records(self.universe[name], made)

    def _element(self, name: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        begin, end = self.database.timespan("")
        names = [c for c in columns if c not in ("timespan", "timespan_begin", "timespan_end")]
        chosen = [quoted(c) for c in names]
        if len(names) < len(columns):
            names += ["timespan_begin", "timespan_end"]
            chosen += [begin, end]
        rows = [
            dict(zip(names, row, strict=True))
            for row in self.database.rows(f"SELECT {', '.join(chosen)} FROM {quoted(name)}")
        ]
        for column in ("region", "hash"):
            if column in names:
                for row in rows:
                    row[column] = self._bytes(row[column], name)
        return rows

    def _bytes(self, value: Any, name: str) -> bytes | None:
        if value is None or isinstance(value, bytes):
            return value
        if isinstance(value, memoryview):
            return bytes(value)
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise self.fail(f"{name} has bytes that are not in base64") from None

    # ----------------------------------------------------------------- collections

    def read_collections(self) -> None:
        """Read collections of all types, and chains."""
        types: dict[int, CollectionType] = {}
        docs: dict[int, str | None] = {}
        for key, name, kind, doc in self.database.rows(
            "SELECT collection_id, name, type, doc FROM collection"
        ):
            if kind not in _KINDS:
                raise self.fail(f"collection {name!r} is of unknown type {kind!r}")
            self.collections[key], types[key], docs[key] = name, _KINDS[kind], doc
        children: dict[int, list[str]] = {}
        for parent, child in self.database.rows(
            "SELECT parent, child FROM collection_chain ORDER BY parent, position"
        ):
            children.setdefault(parent, []).append(self.collections[child])
        for key, name in self.collections.items():
            chain = tuple(dict.fromkeys(children.get(key, ())))
            self.bundle.collections[name] = Collection(types[key], docs[key] or None, chain)

    # -------------------------------------------------------------------- datasets

    def _types(self) -> dict[int, _Type]:
        graphs: dict[int, list[str]] = {}
        for key, name in self.database.rows(
            "SELECT dimension_graph_id, dimension_name FROM dimension_graph_definition"
        ):
            graphs.setdefault(key, []).append(name)
        types = {}
        for key, name, storage_class, graph, tags, calibrations in self.database.rows(
            "SELECT id, name, storage_class, dimensions_key, tag_association_table,"
            " calibration_association_table FROM dataset_type"
        ):
            if "." in name:  # old registries have the components, too
                self.content.passed_over["dataset types of components"] += 1
                continue
            made = DatasetType(
                name,
                migrate_dimensions(graphs.get(graph, []), self.content.version),
                storage_class,
                universe=self.universe,
                isCalibration=calibrations is not None,
            )
            types[key] = _Type(made, tags, calibrations)
            self.bundle.types[name] = made
        return types

    def read_datasets(self) -> None:
        """Read datasets with their files, and memberships; a statement for each table and type."""
        stores = [(root, t) for root, t in self.place.datastores if self.database.columns(t)]
        for key, kind in self._types().items():
            self._read_type(key, kind, stores)

    def _read_type(self, key: int, kind: _Type, stores: Sequence[tuple[str, str]]) -> None:
        names = list(kind.made.dimensions.required)
        there = set(self.database.columns(kind.tags))
        if not set(names) <= there:
            raise self.fail(f"{kind.tags} has no column {min(set(names) - there)!r}")
        dims = "".join(f", t.{quoted(name)}" for name in names)
        base = (
            f"SELECT d.id, d.ingest_date, d.run_id, t.collection_id{dims}%s FROM {quoted(kind.tags)} t"
            f" JOIN dataset d ON d.id = t.dataset_id%s WHERE t.dataset_type_id = {int(key)}"
        )
        n = 4 + len(names)
        self._read_own(kind, names, base, n, stores)
        rows = base % ("", "") + " AND t.collection_id <> d.run_id"
        columns = columns_of(self.database.chunks(rows), n)
        self._add_members(kind.made, names, columns, None)
        if kind.calibrations is not None:
            begin, end = self.database.timespan("t.")
            sql = base.replace(quoted(kind.tags), quoted(kind.calibrations))
            columns = columns_of(self.database.chunks(sql % (f", {begin}, {end}", "")), n + 2)
            self._add_members(kind.made, names, columns[:n], (columns[n], columns[n + 1]))

    def _read_own(
        self,
        kind: _Type,
        names: Sequence[str],
        base: str,
        n: int,
        stores: Sequence[tuple[str, str]],
    ) -> None:
        select, join, places = "", "", []
        for i, (root, table) in enumerate(stores):
            whole = ", ".join(f"'{value}'" for value in _WHOLE)
            select += f", f{i}.path, f{i}.formatter, f{i}.storage_class, f{i}.file_size"
            join += (
                f" LEFT JOIN {quoted(table)} f{i} ON f{i}.dataset_id = d.id"
                f" AND (f{i}.component IN ({whole}) OR f{i}.component IS NULL)"
            )
            places.append(root)
        sql = base % (select, join) + " AND t.collection_id = d.run_id"
        columns = columns_of(self.database.chunks(sql), n + 4 * len(places))
        layout, table = self._table(kind.made, names, columns[:n])
        start = self.bundle.datasets[layout].num_rows if layout in self.bundle.datasets else 0
        self.bundle.add_table("datasets", layout, table)
        lacking = self._add_files(layout, start, columns[n:], places, table.num_rows)
        if lacking:
            rows = {one: start + i for i, one in enumerate(columns[0])}
            self._add_parts(kind, layout, rows, stores)

    def _add_files(
        self,
        layout: DatasetLayout,
        start: int,
        columns: Sequence[list[Any]],
        places: Sequence[str],
        count: int,
    ) -> int:
        """Note the files; a file with several datasets comes once.  Gives the number of datasets without."""
        files: dict[tuple[str, str], list[int]] = {}
        facts: dict[tuple[str, str], tuple[str | None, int | None]] = {}
        lacking = 0
        for i in range(count):
            for store, root in enumerate(places):
                path, formatter, _, size = (columns[4 * store + j][i] for j in range(4))
                if path is None:
                    continue
                place = _placed(root, path)
                key = (place, formatter)
                files.setdefault(key, []).append(start + i)
                facts[key] = (formatter, size if size is not None and size >= 0 else None)
                break
            else:
                lacking += 1
        self.content.incoming.files += [
            IncomingFile(place, facts[place, f][0], layout, tuple(rows), facts[place, f][1], None)
            for (place, f), rows in files.items()
        ]
        return lacking

    def _add_parts(
        self, kind: _Type, layout: DatasetLayout, rows: dict[Any, int], stores: Sequence[tuple[str, str]]
    ) -> None:
        """Note the files of datasets that are in parts, each of one component."""
        name = kind.made.name
        done: set[int] = set()
        for root, table in stores:
            whole = ", ".join(f"'{value}'" for value in _WHOLE)
            found = self.database.rows(
                f"SELECT f.dataset_id, f.component, f.path, f.formatter, f.storage_class, f.file_size"
                f" FROM {quoted(table)} f"
                f" JOIN dataset d ON d.id = f.dataset_id JOIN dataset_type y ON y.id = d.dataset_type_id"
                f" WHERE f.component NOT IN ({whole}) AND y.name = '{name}'"
                " ORDER BY f.dataset_id, f.component"
            )
            here = set()
            for one, component, path, formatter, storage_class, size in found:
                row = rows.get(one)
                if row is None or row in done:  # of no run, or another datastore of the chain has it
                    continue
                here.add(row)
                part = IncomingPart(component, storage_class, kind.made.storageClass_name)
                known = size if size is not None and size >= 0 else None
                self.content.incoming.files.append(
                    IncomingFile(_placed(root, path), formatter, layout, (row,), known, part=part)
                )
            done |= here
        self.content.disassembled += len(done)

    def _table(
        self, made: DatasetType, names: Sequence[str], columns: Sequence[list[Any]]
    ) -> tuple[DatasetLayout, pa.Table]:
        import pyarrow as pa

        ids, dates, runs, _, *keys = columns
        kinds = {
            n: pa.string() if made.dimensions.universe.dimensions[n].primary_key.pytype is str else pa.int64()
            for n in names
        }
        return dataset_table(
            made,
            [self.collections[run] for run in runs],
            pa.array(_raw_ids(ids), pa.binary(16)),
            {name: pa.array(values, kinds[name]) for name, values in zip(names, keys, strict=True)},
            _dates(dates),
        )

    def _add_members(
        self,
        made: DatasetType,
        names: Sequence[str],
        columns: Sequence[list[Any]],
        spans: tuple[list[Any], list[Any]] | None,
    ) -> None:
        import pyarrow as pa

        if not columns[0]:
            return
        layout, table = self._table(made, names, columns)
        new: dict[str, pa.Array] = {
            "collection": pa.array([self.collections[key] for key in columns[3]], pa.string())
        }
        if spans is not None:
            new["valid_begin"] = pa.array([MIN_NSEC if v is None else v for v in spans[0]], pa.int64())
            new["valid_end"] = pa.array([MAX_NSEC if v is None else v for v in spans[1]], pa.int64())
        for name, values in new.items():
            at = table.schema.get_field_index(name)
            table = table.set_column(at, table.schema.field(at), values)
        self.bundle.add_table("members", layout, table)


def _placed(root: str, path: str) -> str:
    return path if "://" in path or path.startswith("/") else f"{root.rstrip('/')}/{path}"


def _raw_ids(values: Sequence[Any]) -> list[bytes]:
    """IDs as bytes; of SQLite as hexadecimal digits, of PostgreSQL as UUIDs, of very old ones as numbers."""
    if values and isinstance(values[0], uuid.UUID):
        return [value.bytes for value in values]
    if values and isinstance(values[0], int):
        return [uuid.uuid3(_OLD_IDS, str(value)).bytes for value in values]
    return [bytes.fromhex(value) for value in values]


def _dates(values: Sequence[Any]) -> pa.Array:
    """Times of ingest: TAI nanoseconds, or UTC as a text or time."""
    import pyarrow as pa

    kind = pa.timestamp("us", "UTC")
    if not values:
        return pa.array([], kind)
    if isinstance(values[0], int):
        from astropy.time import Time

        seconds = Time([value / 1e9 for value in values], format="unix_tai", scale="tai").utc.unix
        return (
            pa.array([round(value * 1e6) for value in seconds], pa.int64())
            .cast(pa.timestamp("us"))
            .cast(kind)
        )
    times = [datetime.fromisoformat(v) if isinstance(v, str) else v for v in values]
    return pa.array([t if t.tzinfo is not None else t.replace(tzinfo=UTC) for t in times], kind)
