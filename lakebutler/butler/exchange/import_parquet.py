# SPDX-License-Identifier: BSD-3-Clause
"""Exports in our own format, read back as a bundle of columns."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakebutler.butler.exchange.export_parquet import EXPORT_NAME, MANIFEST, PARQUET_VERSION
from lakebutler.butler.exchange.import_bundle import Collection
from lakebutler.butler.exchange.import_migrate import check_universe
from lakebutler.butler.exchange.import_records import Incoming, IncomingFile
from lakebutler.butler.exchange.parts import IncomingPart
from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.stored_parts import is_parts, parts_of
from lakebutler.dimensions.arrow import records_to_table
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import (
    ButlerError,
    DatasetNotFoundError,
    FileIntegrityError,
    RepositoryFormatError,
    StorageError,
)
from lakebutler.registry.dataset_rows import FILE_COLUMNS
from lakebutler.registry.schema import DatasetLayout, dataset_layout

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_parquet_export"]

_FILE = re.compile(r"[A-Za-z0-9_]{1,200}\.parquet")


def read_parquet_export(place: str, universe: DimensionUniverse) -> Incoming:
    """Read an export that `lakebutler.butler.exchange.export_parquet` wrote.

    Parameters
    ----------
    place : `str`
        Directory or URL.
    universe : `DimensionUniverse`
        The repository's dimensions.

    Returns
    -------
    incoming : `Incoming`
        What it holds.

    Raises
    ------
    RepositoryFormatError
        Raised if it is no export of ours, a newer one, or of another universe.
    FileIntegrityError
        Raised if a file of it is not the one that was written.
    """
    manifest = _manifest(place, universe)
    incoming = Incoming()
    try:
        for name, value in manifest["dataset_types"].items():
            incoming.bundle.types[name] = DatasetType(
                name,
                value["dimensions"],
                value["storage_class"],
                universe=universe,
                isCalibration=bool(value["is_calibration"]),
            )
        for name, value in manifest["collections"].items():
            incoming.bundle.collections[name] = Collection(
                CollectionType.from_name(value["type"]), value["doc"], tuple(value["children"])
            )
        for table in manifest["tables"]:
            _add(incoming, place, universe, table)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, ButlerError):
            raise
        raise RepositoryFormatError(f"{place}/{MANIFEST}: this is no manifest of ours ({error!r})") from error
    return incoming


def _read(place: str, name: str) -> bytes:
    where = f"{place.rstrip('/')}/{name}"
    try:
        if "://" not in place:
            with open(where, "rb") as stream:
                return stream.read()
        import fsspec

        with fsspec.open(where, "rb") as remote:
            data: bytes = remote.read()
            return data
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetNotFoundError(f"{where} is missing", hint="an export is its whole directory") from None
    except OSError as error:
        raise StorageError(f"cannot read {where}: {error.strerror or error}") from error


def _manifest(place: str, universe: DimensionUniverse) -> Mapping[str, Any]:
    data = _read(place, MANIFEST)
    try:
        manifest = json.loads(data)
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict) or manifest.get("format") != EXPORT_NAME:
        raise RepositoryFormatError(f"{place} is no export of lakebutler: {MANIFEST} does not say so")
    version = manifest.get("version")
    if version != PARQUET_VERSION:
        raise RepositoryFormatError(
            f"{place} is of version {version!r} of our export format; {PARQUET_VERSION} is known",
            hint="a newer lakebutler may read it",
        )
    there = check_universe(
        manifest.get("universe_namespace"), manifest.get("universe_version"), universe, place
    )
    if there != universe.version:
        raise RepositoryFormatError(
            f"{place} is of dimension universe version {there}, this repository of {universe.version}",
            hint="export as YAML, which is migrated",
        )
    return manifest


def _load(place: str, table: Mapping[str, Any]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = table["file"]
    if not isinstance(name, str) or not _FILE.fullmatch(name):
        raise RepositoryFormatError(f"{place}/{MANIFEST} names {name!r}, which cannot be a file of it")
    data = _read(place, name)
    if hashlib.sha256(data).hexdigest() != table["sha256"]:
        raise FileIntegrityError(f"{place}/{name} is not the file that was written: its checksum differs")
    try:
        return pq.read_table(pa.BufferReader(data))
    except pa.ArrowInvalid as error:
        raise RepositoryFormatError(f"{place}/{name}: {error}") from error


def _add(incoming: Incoming, place: str, universe: DimensionUniverse, table: Mapping[str, Any]) -> None:
    import pyarrow as pa

    data = _load(place, table)
    if table["kind"] == "dimension":
        _add_records(incoming, universe, table["element"], data, f"{place}/{table['file']}")
        return
    layout = dataset_layout(universe.conform(table["dimensions"]))
    try:
        rows = data.select(layout.schema.arrow.names).cast(layout.schema.arrow)
    except (KeyError, pa.ArrowInvalid) as error:
        raise RepositoryFormatError(f"{place}/{table['file']}: {error}") from error
    if table["kind"] == "membership":
        for name in ("valid_begin", "valid_end"):  # both or neither
            if rows.column(name).null_count != rows.column("valid_begin").null_count:
                raise RepositoryFormatError(f"{place}/{table['file']}: half of a validity range is missing")
        incoming.bundle.add_table("members", layout, _bare(rows))
        return
    if table["kind"] != "dataset":
        raise RepositoryFormatError(f"{place}/{MANIFEST} names a table of unknown kind {table['kind']!r}")
    start = incoming.bundle.datasets[layout].num_rows if layout in incoming.bundle.datasets else 0
    incoming.bundle.add_table("datasets", layout, _bare(rows))
    incoming.files += _files(layout, rows, start)


def _bare(rows: pa.Table) -> pa.Table:
    """Rows without files."""
    import pyarrow as pa

    for name in FILE_COLUMNS:
        at = rows.schema.get_field_index(name)
        kind = rows.schema.field(at)
        rows = rows.set_column(at, kind, pa.nulls(rows.num_rows, kind.type))
    return rows


def _files(layout: DatasetLayout, rows: pa.Table, start: int) -> list[IncomingFile]:
    names = ("path", "uri", "formatter", "size", "checksum")
    columns = [rows.column(name).to_pylist() for name in names]
    classes = rows.column("storage_class")
    several: dict[str, list[int]] = {}
    files: list[IncomingFile] = []
    at: dict[str, int] = {}
    for i, (path, uri, formatter, size, checksum) in enumerate(zip(*columns, strict=True), start):
        place = path if path is not None else uri
        if place is None:
            continue
        if is_parts(place):
            for name, part in parts_of(place).items():
                which = IncomingPart(name, part.storage_class, classes[i - start].as_py())
                there = part.path if part.path is not None else part.uri or ""
                some = (there, part.formatter, layout, (i,), part.size, part.checksum)
                files.append(IncomingFile(*some, part=which))
            continue
        known = at.setdefault(place, len(files))
        if known < len(files):  # a file with several datasets
            several.setdefault(place, list(files[known].rows)).append(i)
            continue
        files.append(IncomingFile(place, formatter, layout, (i,), size, checksum))
    for place, positions in several.items():
        files[at[place]] = files[at[place]]._replace(rows=tuple(positions))
    return files


def _add_records(
    incoming: Incoming, universe: DimensionUniverse, name: str, data: pa.Table, where: str
) -> None:
    from lakebutler.dimensions.arrow import table_to_records

    if name not in universe.elements.names or not universe[name].has_own_table:
        raise RepositoryFormatError(f"{where}: there is no dimension or relation {name!r} here")
    element = universe[name]
    try:
        records = table_to_records(element, data)
        layout = element.RecordClass.layout
        values = [
            {c.name: row[i] for i, c in enumerate(layout.plain)} for row in (r.to_row() for r in records)
        ]
        records_to_table(element, values)  # checks them as those of any caller
    except (KeyError, TypeError, ValueError) as error:
        raise RepositoryFormatError(f"{where}: {getattr(error, 'message', error)}") from error
    incoming.bundle.add_records(element, records)
