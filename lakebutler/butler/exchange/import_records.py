# SPDX-License-Identifier: BSD-3-Clause
"""An export file of the field, version 1, as a bundle of columns and a list of files."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lakebutler.butler.exchange.import_bundle import Bundle, Collection, dataset_table, member_table
from lakebutler.butler.exchange.import_migrate import (
    check_universe,
    migrate_dimensions,
    migrate_records,
    to_records,
)
from lakebutler.butler.exchange.import_yaml import tai_nsec
from lakebutler.butler.exchange.parts import IncomingPart, check_part
from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.columns import ColumnSpec, fit_key
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import (
    ButlerError,
    ConflictingDatasetTypeError,
    MissingDatasetTypeError,
    RepositoryFormatError,
    known_names,
)
from lakebutler.registry.schema import DatasetLayout
from lakebutler.timespan import MAX_NSEC, MIN_NSEC, Timespan

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMAT_VERSION", "OWN_FORMATTER", "Incoming", "IncomingFile", "read_document"]

FORMAT_VERSION = (1, 0, 2)
"""Version of the export format that is read and written."""

OWN_FORMATTER = "lakebutler_formatter"
"""Our key of a file's formatter, beside the name that the field has for it."""

_OLD_IDS = uuid.UUID("4d4851f4-2890-4d41-8779-5f38a3f5062b")
_ENTRIES = ("dimension", "collection", "run", "dataset_type", "dataset", "associations")


class IncomingFile(NamedTuple):
    """A file that comes with datasets."""

    path: str
    """Path as it stands in the export, or URI."""

    formatter: str | None
    """Name of what reads it."""

    layout: DatasetLayout
    """Table of its datasets."""

    rows: Sequence[int]
    """Their rows there."""

    size: int | None = None
    """Size in bytes, where it is known."""

    checksum: str | None = None
    """Checksum, where it is known."""

    stays: bool = False
    """Whether the file stays where it is even if others are copied (``auto``)."""

    part: IncomingPart | None = None
    """Which part of its datasets it is, where these are in parts."""


@dataclass
class Incoming:
    """What an export holds.

    Attributes
    ----------
    bundle : `Bundle`
        All but the files.
    files : `list` [`IncomingFile`]
        The files.
    known : `dict` [`bytes`, `DatasetRef`]
        References of its datasets that there are already, by ID.
    """

    bundle: Bundle = field(default_factory=Bundle)
    files: list[IncomingFile] = field(default_factory=list)
    known: dict[bytes, DatasetRef] = field(default_factory=dict)


def read_document(document: Any, universe: DimensionUniverse, registered: Any, what: str) -> Incoming:
    """Read what `lakebutler.butler.exchange.import_yaml.load_yaml` made of an export.

    Parameters
    ----------
    document : object
        The file's content.
    universe : `DimensionUniverse`
        The repository's dimensions.
    registered : callable
        Finds a dataset type of the repository by name; `None` if there is none.
    what : `str`
        Name of the file, for messages.

    Returns
    -------
    incoming : `Incoming`
        What it holds, migrated to the universe.

    Raises
    ------
    RepositoryFormatError
        Raised if it is no export, or one of a newer format or universe.
    """
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        raise RepositoryFormatError(f"{what} is no export of a repository: it has no list 'data'")
    _check_version(document.get("version"), what)
    version = check_universe(
        document.get("universe_namespace", "daf_butler"), document.get("universe_version", 0), universe, what
    )
    reader = _Reader(universe, registered, version, what)
    try:
        return reader.read(document["data"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, ButlerError):
            raise
        raise RepositoryFormatError(f"{what}: {reader.place}: this is no valid entry ({error!r})") from error


def _check_version(value: Any, what: str) -> None:
    known = ".".join(map(str, FORMAT_VERSION))
    if value == 0 and type(value) is int:
        return
    parts = str(value).split(".") if isinstance(value, str) else []
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise RepositoryFormatError(f"{what}: {value!r} is no version of the export format")
    major, minor, _ = map(int, parts)
    if major != FORMAT_VERSION[0] or minor > FORMAT_VERSION[1]:
        raise RepositoryFormatError(
            f"{what} is of version {value} of the export format; {known} is the newest that is known",
            hint="a newer lakebutler may read it",
        )


class _Reader:
    """Gathers the entries of one export."""

    def __init__(self, universe: DimensionUniverse, registered: Any, version: int, what: str) -> None:
        self.universe = universe
        self.registered = registered
        self.version = version
        self.what = what
        self.place = "data"
        self.incoming = Incoming()
        self.when = datetime.datetime.now(datetime.UTC)
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.where: dict[uuid.UUID, tuple[DatasetLayout, int]] = {}
        self.sizes: dict[DatasetLayout, int] = {}
        self.seen: set[tuple[str, bytes]] = set()

    def read(self, entries: Sequence[Mapping[str, Any]]) -> Incoming:
        """Read all: types first, then records and collections, datasets, memberships."""
        by_kind: dict[str, list[tuple[int, Mapping[str, Any]]]] = {kind: [] for kind in _ENTRIES}
        for i, entry in enumerate(entries):
            self.place = f"data[{i}]"
            kind = entry["type"]
            if kind not in by_kind:
                raise self.fail(f"unknown type {kind!r}", known_names(str(kind), _ENTRIES))
            by_kind[kind].append((i, entry))
        readers = {
            "dataset_type": self._dataset_type,
            "dimension": self._dimension,
            "run": self._run,
            "collection": self._collection,
            "dataset": self._dataset,
            "associations": self._associations,
        }
        for kind, reader in readers.items():
            for i, entry in by_kind[kind]:
                self.place = f"data[{i}] ({kind})"
                reader(entry)
            if kind == "dimension":
                self._finish_records()
        return self.incoming

    def fail(self, message: str, hint: str | None = None) -> RepositoryFormatError:
        """Make an error that names the entry."""
        return RepositoryFormatError(f"{self.what}: {self.place}: {message}", hint=hint)

    def _dataset_type(self, entry: Mapping[str, Any]) -> None:
        made = DatasetType(
            entry["name"],
            migrate_dimensions(entry["dimensions"], self.version),
            entry["storage_class"],
            universe=self.universe,
            isCalibration=bool(entry.get("is_calibration", False)),
        )
        other = self.incoming.bundle.types.setdefault(made.name, made)
        if other != made:
            raise ConflictingDatasetTypeError(
                f"{self.what} defines dataset type {made.name!r} twice, differently"
            )

    def _dimension(self, entry: Mapping[str, Any]) -> None:
        records = entry["records"]
        if not isinstance(records, list) or not all(type(record) is dict for record in records):
            raise self.fail("'records' must be a list of mappings")
        self.rows.setdefault(entry["element"], []).extend(dict(record) for record in records)

    def _finish_records(self) -> None:
        self.place = "dimension records"
        for name, rows in migrate_records(self.rows, self.version, self.universe).items():
            made = to_records(rows, name, self.universe, self.what)
            self.incoming.bundle.add_records(self.universe[name], made)
        self.rows.clear()

    def _run(self, entry: Mapping[str, Any]) -> None:
        self.incoming.bundle.collections.setdefault(entry["name"], Collection(CollectionType.RUN))

    def _collection(self, entry: Mapping[str, Any]) -> None:
        kind = CollectionType.from_name(entry["collection_type"])
        children: list[str] = []
        if kind is CollectionType.CHAINED:
            # Old files restrict children to some dataset types, which nobody supports any more.
            children = [child if isinstance(child, str) else child[0] for child in entry["children"]]
        self.incoming.bundle.collections[entry["name"]] = Collection(kind, entry.get("doc"), tuple(children))

    # ------------------------------------------------------------------- datasets

    def _type(self, name: str) -> DatasetType:
        found = self.incoming.bundle.types.get(name)
        if found is None:
            found = self.registered(name)
        if found is None:
            raise MissingDatasetTypeError(
                f"{self.what}: {self.place}: dataset type {name!r} is defined neither there nor here",
                hint="register it first",
            )
        made: DatasetType = found
        return made

    def _dataset(self, entry: Mapping[str, Any]) -> None:
        dataset_type, run = self._type(entry["dataset_type"]), entry["run"]
        if not isinstance(run, str):
            raise self.fail("'run' must be a name")
        ids: list[uuid.UUID] = []
        data_ids: list[Mapping[str, Any]] = []
        files: list[tuple[str, str | None, int, int]] = []
        parts = _Parts(dataset_type.storageClass_name)
        for record in entry["records"]:
            some = [_uuid(value) for value in _listed(record["dataset_id"])]
            path, formatter = record.get("path"), record.get("formatter")
            if not (path is None or isinstance(path, str)) or not (
                formatter is None or isinstance(formatter, str)
            ):
                raise self.fail("'path' and 'formatter' must be texts")
            if record.get("component") is not None:
                some = parts.add(record, some, len(ids), self.fail)
                path = None
            elif len(some) > 1 and self._repeats(path, some):
                continue
            if path:
                files.append((path, record.get(OWN_FORMATTER, formatter), len(ids), len(some)))
            ids += some
            values = (
                _listed(record["data_id"])[: len(some)] if parts.has(record) else _listed(record["data_id"])
            )
            if len(values) != len(some):
                raise self.fail(f"{len(some)} dataset IDs, but {len(values)} data IDs")
            data_ids += values
        if not ids:
            return
        keys = self._keys(dataset_type, data_ids)
        layout, table = dataset_table(dataset_type, run, ids, keys, self.when)
        start = self.sizes.get(layout, 0)
        self.sizes[layout] = start + len(ids)
        self.incoming.bundle.add_table("datasets", layout, table)
        self.where.update({one: (layout, start + i) for i, one in enumerate(ids)})
        self.incoming.files += [
            IncomingFile(path, formatter, layout, tuple(range(start + first, start + first + count)))
            for path, formatter, first, count in files
        ]
        self.incoming.files += parts.files(layout, start)

    def _repeats(self, path: str | None, ids: list[uuid.UUID]) -> bool:
        """A file with several datasets is written once for each of them."""
        key = (path or "", b"".join(sorted(one.bytes for one in ids)))
        if key in self.seen:
            return True
        self.seen.add(key)
        return False

    def _keys(self, dataset_type: DatasetType, data_ids: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
        import pyarrow as pa

        keys = {}
        for name in dataset_type.dimensions.required:
            spec = self.universe.dimensions[name].primary_key
            column = [data_id.get(name) for data_id in data_ids]
            keys[name] = pa.array(self._fitted(dataset_type, spec, name, column))
        return keys

    def _fitted(self, dataset_type: DatasetType, spec: ColumnSpec, name: str, column: list[Any]) -> list[Any]:
        if set(map(type, column)) == {spec.pytype}:
            return column
        try:
            return [fit_key(spec, value) for value in column]
        except (TypeError, ValueError) as error:
            raise self.fail(f"{name} of a data ID of {dataset_type.name!r} {error}") from None

    # ---------------------------------------------------------------- memberships

    def _associations(self, entry: Mapping[str, Any]) -> None:
        name, kind = entry["collection"], CollectionType.from_name(entry["collection_type"])
        self.incoming.bundle.collections.setdefault(name, Collection(kind))
        if kind is CollectionType.TAGGED:
            self._members(name, entry["dataset_ids"], None, None)
            return
        if kind is not CollectionType.CALIBRATION:
            raise self.fail(f"nothing can be put into a collection of type {kind.name}")
        gathered: dict[DatasetLayout, tuple[list[int], list[int], list[int]]] = {}
        for validity in entry["validity_ranges"]:
            begin, end = self._span(validity)
            for layout, row in self._placed(validity["dataset_ids"], name):
                rows, begins, ends = gathered.setdefault(layout, ([], [], []))
                rows.append(row)
                begins.append(begin)
                ends.append(end)
        for layout, (rows, begins, ends) in gathered.items():
            self._add_members(layout, rows, name, begins, ends)

    def _span(self, validity: Mapping[str, Any]) -> tuple[int, int]:
        timespan = validity.get("timespan")
        if isinstance(timespan, Timespan):
            begin, end = timespan.nsec
        else:
            begin = MIN_NSEC if validity["begin"] is None else tai_nsec(validity["begin"])
            end = MAX_NSEC if validity["end"] is None else tai_nsec(validity["end"])
        if begin >= end:
            raise self.fail("a validity range is empty")
        return begin, end

    def _placed(self, values: Iterable[Any], name: str) -> list[tuple[DatasetLayout, int]]:
        ids = [_uuid(value) for value in values]
        try:
            return [self.where[one] for one in ids]
        except KeyError as error:
            raise self.fail(
                f"dataset {error.args[0]} is to be in {name!r}, but the file does not hold it"
            ) from None

    def _members(self, name: str, values: Iterable[Any], begin: None, end: None) -> None:
        gathered: dict[DatasetLayout, list[int]] = {}
        for layout, row in self._placed(values, name):
            gathered.setdefault(layout, []).append(row)
        for layout, rows in gathered.items():
            self._add_members(layout, rows, name, begin, end)

    def _add_members(self, layout: DatasetLayout, rows: list[int], name: str, begin: Any, end: Any) -> None:
        datasets = self.incoming.bundle.datasets[layout]
        table = member_table(datasets, rows, name, begin, end)
        self.incoming.bundle.add_table("members", layout, table)


class _Parts:
    """Files of components, in one entry of datasets."""

    def __init__(self, composite: str) -> None:
        self._composite = composite
        self._rows: dict[uuid.UUID, int] = {}
        self._files: list[tuple[str, str | None, IncomingPart, tuple[int, ...]]] = []

    def has(self, record: Mapping[str, Any]) -> bool:
        """Whether a record is that of a component."""
        return record.get("component") is not None

    def add(self, record: Mapping[str, Any], ids: list[uuid.UUID], count: int, fail: Any) -> list[uuid.UUID]:
        """Note a file; gives the datasets that are new, to be counted from a row on."""
        path, component, storage_class = (record.get(k) for k in ("path", "component", "storage_class"))
        if not (isinstance(path, str) and isinstance(component, str) and isinstance(storage_class, str)):
            raise fail("a component has 'path', 'component' and 'storage_class', which are texts")
        new = [one for one in ids if one not in self._rows]
        if new and len(new) != len(ids):
            raise fail("the files of components have different datasets")
        self._rows.update({one: row for row, one in enumerate(new, count)})
        part = check_part(IncomingPart(component, storage_class, self._composite), path)
        formatter = record.get(OWN_FORMATTER, record.get("formatter"))
        self._files.append((path, formatter, part, tuple(self._rows[one] for one in ids)))
        return new

    def files(self, layout: DatasetLayout, start: int) -> list[IncomingFile]:
        """The files, with the rows of their datasets in a table."""
        return [
            IncomingFile(path, formatter, layout, tuple(start + row for row in rows), part=part)
            for path, formatter, part, rows in self._files
        ]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _uuid(value: Any) -> uuid.UUID:
    """ID of a dataset; very old files count them, and the field makes UUIDs of the numbers."""
    if isinstance(value, uuid.UUID):
        return value
    if type(value) is int:
        return uuid.uuid3(_OLD_IDS, str(value))
    return uuid.UUID(hex=value)
