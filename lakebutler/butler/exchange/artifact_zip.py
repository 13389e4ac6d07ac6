# SPDX-License-Identifier: BSD-3-Clause
"""Datasets in a zip file, as the field carries them: files, and an index that says what they are.

The index ``_butler_zip_index.json`` is version V1 of the field's.  A zip from elsewhere is not
trusted: names that could lead anywhere are refused before anything is written, sizes are
limited by what the zip says of itself, and every member is unpacked under a name of ours.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakebutler.butler.exchange.agreement import check_agreement
from lakebutler.butler.exchange.export_records import dataset_rows, find_records, keys_of_table
from lakebutler.butler.exchange.export_yaml import FOREIGN_FORMATTERS
from lakebutler.butler.exchange.import_bundle import Bundle, Collection, dataset_table
from lakebutler.butler.exchange.import_files import Target, add_incoming, make_refs
from lakebutler.butler.exchange.import_merge import find_present
from lakebutler.butler.exchange.import_migrate import check_universe, to_records
from lakebutler.butler.exchange.import_records import OWN_FORMATTER, Incoming, IncomingFile
from lakebutler.butler.exchange.parts import IncomingPart, check_part, each_file
from lakebutler.collections.collection import CollectionType
from lakebutler.config import place_text
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datastore.records import FileRecord
from lakebutler.datastore.template import escape
from lakebutler.dimensions.columns import fit_key
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import (
    ButlerError,
    ConflictingDefinitionError,
    DatasetNotFoundError,
    FileFormatError,
    RepositoryExistsError,
    StorageError,
)
from lakebutler.ids import NAMESPACE
from lakebutler.registry.dataset_rows import FILE_COLUMNS
from lakebutler.registry.registry import now

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

__all__ = ["INDEX_NAME", "ingest_zip", "retrieve_zip"]

INDEX_NAME = "_butler_zip_index.json"

_OTHER = "lsst.daf.butler.formatters.file.FileFormatter"
_MAX_INDEX = 1 << 30
_MAX_RATIO = 200
"""A member may grow by this factor when it is unpacked; what grows more is a bomb."""

_FREE = 64 << 20
"""Members up to this size may grow as they like."""

_File = tuple[IncomingPart | None, FileRecord]
"""A file, and which part of its datasets it is."""

_NAME = re.compile(r"[^\x00-\x1f\x7f/\\:]{1,255}")


# ------------------------------------------------------------------------- writing


def retrieve_zip(
    source: Target, refs: Iterable[DatasetRef], destination: str | os.PathLike[str], *, overwrite: bool = True
) -> ResourcePath:
    """Put the files of datasets into a zip; see `Butler.retrieve_artifacts_zip`.

    Parameters
    ----------
    source : `Target`
        The repository.
    refs : iterable of `DatasetRef`
        The datasets.
    destination : `str` or path-like
        A local directory, made if need be.
    overwrite : `bool`, optional
        Whether a zip of the same name may be replaced.

    Returns
    -------
    zip : `lsst.resources.ResourcePath`
        The zip; its name follows from the names of the files in it.
    """
    from lsst.resources import ResourcePath

    given = [ref.makeCompositeRef() if ref.isComponent() else ref for ref in refs]
    if not given:
        raise DatasetNotFoundError("there are no datasets to put into a zip")
    directory = os.path.abspath(place_text(destination))
    files = _files(source, given)
    names = _member_names(files)
    name = f"{uuid.uuid5(NAMESPACE, ','.join(sorted(names.values())))}.zip"
    place = os.path.join(directory, name)
    if os.path.lexists(place) and not overwrite:
        raise RepositoryExistsError(f"{place} is there already", hint="pass overwrite=True")
    partial = os.path.join(directory, f".{name}.{os.getpid()}.part")
    try:
        os.makedirs(directory, exist_ok=True)
        with zipfile.ZipFile(partial, "x", allowZip64=True) as archive:
            index = json.dumps(_index(source, files, names), separators=(",", ":"), ensure_ascii=False)
            archive.writestr(INDEX_NAME, index + "\n", compress_type=zipfile.ZIP_DEFLATED)
            for (part, record), several in files.items():
                _write_member(source, archive, record, several[0], names[part, record])
        os.replace(partial, place)
    except OSError as error:
        if isinstance(error, ButlerError):
            raise
        raise StorageError(f"cannot write {place}: {error.strerror or error}") from error
    finally:
        if os.path.lexists(partial):
            os.unlink(partial)
    return ResourcePath(place, forceDirectory=False)


def _write_member(
    source: Target, archive: zipfile.ZipFile, record: FileRecord, ref: DatasetRef, name: str
) -> None:
    """Write one file, compared with its record."""
    datastore = source.repository.datastore
    found = datastore.get(ref, record, storage_class="Path")
    try:
        archive.write(found, name)
    finally:
        if datastore.local_path(record) is None:  # it came from elsewhere, into a file of its own
            found.unlink(missing_ok=True)


def _files(source: Target, refs: Sequence[DatasetRef]) -> dict[_File, list[DatasetRef]]:
    """Datasets by their files."""
    files: dict[_File, list[DatasetRef]] = {}
    for layout, table in dataset_rows(source.registry.snapshot, refs).items():
        names = table.column("dataset_type").unique().to_pylist()
        types = {name: source.registry.dataset_type(name) for name in names}
        made = make_refs(layout, table, None, types)
        records = zip(*(table.column(name).to_pylist() for name in FILE_COLUMNS), strict=True)
        for ref, row in zip(made, records, strict=True):
            record = FileRecord._make(row)
            if record.path is None and record.uri is None:
                raise DatasetNotFoundError(
                    f"{ref.datasetType.name} {ref.dataId} in {ref.run!r} has no file",
                    hint="choose datasets that are stored",
                )
            for part, file in each_file(record):
                files.setdefault((part, file), []).append(ref)
    return files


def _member_names(files: Mapping[_File, Sequence[DatasetRef]]) -> dict[_File, str]:
    names: dict[_File, str] = {}
    taken = {INDEX_NAME.casefold()}
    for file, refs in files.items():
        record = file[1]
        end = (record.path or record.uri or "").partition("?")[0].rpartition("/")[2]
        end = end if _NAME.fullmatch(end) else escape(end)
        name = f"{str(refs[0].id)[:8]}-{end}"
        if name.casefold() in taken:  # IDs that were made in the same second begin alike
            name = f"{refs[0].id}-{end}"
        taken.add(name.casefold())
        names[file] = name
    return names


def _index(
    source: Target, files: Mapping[_File, Sequence[DatasetRef]], names: Mapping[_File, str]
) -> dict[str, Any]:
    universe = source.registry.universe
    refs = list({ref.id: ref for several in files.values() for ref in several}.values())
    types = {ref.datasetType.name: ref.datasetType for ref in refs}
    keys: dict[str, set[tuple[Any, ...]]] = {}
    for layout, table in dataset_rows(source.registry.snapshot, refs).items():
        name = table.column("dataset_type")[0].as_py()
        assert tuple(types[name].dimensions.required) == layout.dimensions
        keys_of_table(keys, types[name].dimensions, table)
    records = find_records(source.registry.snapshot, universe, keys)
    return {
        "index_version": "V1",
        "refs": {
            "container_version": "V1",
            "universe_version": universe.version,
            "universe_namespace": universe.namespace,
            "dataset_types": {
                name: {
                    "name": name,
                    "storageClass": kind.storageClass_name,
                    "dimensions": list(kind.dimensions.required),
                    "parentStorageClass": None,
                    "isCalibration": kind.isCalibration(),
                }
                for name, kind in types.items()
            },
            "compact_refs": {
                str(ref.id): {
                    "dataset_type_name": ref.datasetType.name,
                    "run": ref.run,
                    "data_id": dict(
                        zip(ref.dataId.dimensions.required, ref.dataId.required_values, strict=True)
                    ),
                }
                for ref in refs
            },
            "dimension_records": _serialized(universe, types.values(), records),
        },
        "artifact_map": {
            names[file]: {
                "info": _info(*file),
                "ids": [str(ref.id) for ref in several],
            }
            for file, several in files.items()
        },
    }


def _serialized(
    universe: DimensionUniverse,
    types: Iterable[DatasetType],
    records: Mapping[str, Sequence[DimensionRecord]],
) -> dict[str, list[list[Any]]]:
    """Records as lists; the field wants every element of the data IDs, also those without a table."""
    made = {
        name: [list(record.to_simple()["record"].values()) for record in some]
        for name, some in records.items()
    }
    for name in {name for kind in types for name in kind.dimensions.elements}:
        element = universe[name]
        if name in made or name in universe.skypix_dimensions.names:
            continue
        target = element.implied_union_target
        found = {getattr(record, name) for record in records.get(target.name, ())} if target else set()
        made[name] = [[value] for value in sorted(found - {None})]
    return made


def _info(part: IncomingPart | None, record: FileRecord) -> dict[str, Any]:
    own = "." not in record.formatter.partition("?")[0]
    info = {
        "formatter": FOREIGN_FORMATTERS.get(record.formatter, _OTHER) if own else record.formatter,
        "path": record.path if record.path is not None else record.uri,
        "storage_class": record.storage_class,
        "component": part.component if part is not None else None,
        "checksum": None,
        "file_size": record.size,
    }
    return info | {OWN_FORMATTER: record.formatter} if own else info


# ------------------------------------------------------------------------- reading


def ingest_zip(
    target: Target,
    zip_file: str | os.PathLike[str],
    *,
    transfer: str = "auto",
    transfer_dimensions: bool = False,
    dry_run: bool = False,
    skip_existing: bool = False,
) -> int:
    """Add the datasets in a zip; see `Butler.ingest_zip`.

    Parameters
    ----------
    target : `Target`
        The repository.
    zip_file, transfer, transfer_dimensions, dry_run, skip_existing
        As for `Butler.ingest_zip`.

    Returns
    -------
    count : `int`
        Number of datasets that are new.
    """
    target.repository.session.require_writeable("ingest a zip")
    if transfer not in ("auto", "copy", "move"):
        raise StorageError(
            f"a zip cannot be ingested with transfer={transfer!r}: its files are unpacked",
            hint="modes: auto, copy, move",
        )
    place = place_text(zip_file)
    with _local_zip(target, place) as local, _opened(local) as archive:
        members = _checked_members(archive, local)
        incoming = _read_index(target, archive, members, local, records=transfer_dimensions)
        count = _only_new(target, incoming, skip_existing=skip_existing)
        if dry_run or not count:
            return count
        with tempfile.TemporaryDirectory(prefix="lakebutler-") as scratch:
            incoming.files[:] = [
                file._replace(path=_unpack(archive, members[file.path], os.path.join(scratch, str(i))))
                for i, file in enumerate(incoming.files)
            ]
            add_incoming(target, incoming, "copy", op="ingest-zip")
    if transfer == "move" and "://" not in place:
        os.unlink(place)
    return count


@contextmanager
def _local_zip(target: Target, place: str) -> Iterator[str]:
    if place.startswith("file://"):
        from lakebutler.datastore.paths import local_path_of_uri

        place = local_path_of_uri(place)
    if "://" not in place:
        yield place
        return
    import fsspec

    same = target.repository.root.partition("://")[0] == place.partition("://")[0]
    options = dict(target.repository.opening.storage_options or {}) if same else {}
    with tempfile.TemporaryDirectory(prefix="lakebutler-") as scratch:
        local = os.path.join(scratch, "artifacts.zip")
        try:
            with fsspec.open(place, "rb", **options) as incoming, open(local, "wb") as outgoing:
                shutil.copyfileobj(incoming, outgoing, 1 << 20)
        except FileNotFoundError:
            raise DatasetNotFoundError(f"there is no zip {place}") from None
        yield local


@contextmanager
def _opened(place: str) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(place)
    except FileNotFoundError:
        raise DatasetNotFoundError(f"there is no zip {place}") from None
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise FileFormatError(f"{place} is no zip: {error}") from None
    except OSError as error:
        raise StorageError(f"cannot read {place}: {error.strerror or error}") from None
    with archive:
        try:
            yield archive
        except zipfile.BadZipFile as error:
            raise FileFormatError(f"{place} is damaged: {error}") from None


def _checked_members(archive: zipfile.ZipFile, place: str) -> dict[str, zipfile.ZipInfo]:
    """Members by name; refuses names and sizes that no zip of datasets has."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename
        problem = None
        if name in members:
            problem = "occurs twice"
        elif not _NAME.fullmatch(name) or name in (".", "..") or info.orig_filename != name:
            problem = "is not the name of a file"
        elif info.external_attr >> 28 not in (0, 8):
            problem = "is no regular file"
        elif info.flag_bits & 1:
            problem = "is encrypted"
        elif info.file_size > max(_FREE, _MAX_RATIO * info.compress_size):
            problem = f"grows from {info.compress_size} to {info.file_size} bytes when it is unpacked"
        if problem is not None:
            raise FileFormatError(f"{place} is refused: its member {name[:100]!r} {problem}")
        members[name] = info
    if INDEX_NAME not in members or members[INDEX_NAME].file_size > _MAX_INDEX:
        raise FileFormatError(
            f"{place} is no zip of datasets: it has no {INDEX_NAME}",
            hint="retrieve-artifacts --zip makes one",
        )
    return members


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str) -> str:
    with archive.open(info) as incoming, open(place, "xb") as outgoing:
        shutil.copyfileobj(incoming, outgoing, 1 << 20)
    return place


def _read_index(
    target: Target,
    archive: zipfile.ZipFile,
    members: Mapping[str, zipfile.ZipInfo],
    place: str,
    *,
    records: bool,
) -> Incoming:
    try:
        index = json.loads(archive.read(members[INDEX_NAME]))
        if index["index_version"] != "V1" or index["refs"]["container_version"] != "V1":
            raise FileFormatError(f"{place}: its index is of version {index['index_version']!r}; V1 is known")
        return _gather(target, index, members, place, records=records)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, ButlerError):
            raise
        raise FileFormatError(f"{place}: its index is malformed ({error!r})") from error


def _gather(
    target: Target,
    index: Mapping[str, Any],
    members: Mapping[str, zipfile.ZipInfo],
    place: str,
    *,
    records: bool,
) -> Incoming:
    refs = index["refs"]
    universe = target.registry.universe
    version = check_universe(refs["universe_namespace"], refs["universe_version"], universe, place)
    incoming = Incoming(Bundle())
    bundle = incoming.bundle
    if records and refs.get("dimension_records"):
        if version != universe.version:
            raise FileFormatError(
                f"{place}: its dimension records are of universe version {version}, not {universe.version}",
                hint="leave out transfer_dimensions, and import the records in another way",
            )
        for name, rows in refs["dimension_records"].items():
            if name in universe.elements.names and universe[name].has_own_table:
                bundle.add_records(
                    universe[name], to_records(_rows(target, name, rows), name, universe, place)
                )
    where: dict[str, tuple[Any, int]] = {}
    by_type: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for one, ref in refs["compact_refs"].items():
        by_type.setdefault(ref["dataset_type_name"], []).append((one, ref))
    for name, several in by_type.items():
        _add_type(
            target, incoming, _dataset_type(target, bundle, refs["dataset_types"][name]), several, where
        )
    runs = sorted({ref["run"] for ref in refs["compact_refs"].values()})
    bundle.collections = {run: Collection(CollectionType.RUN) for run in runs}
    classes = {
        one: str(refs["dataset_types"][ref["dataset_type_name"]]["storageClass"])
        for one, ref in refs["compact_refs"].items()
    }
    _add_artifacts(incoming, index["artifact_map"], members, where, classes, place)
    return incoming


def _dataset_type(target: Target, bundle: Bundle, given: Mapping[str, Any]) -> DatasetType:
    """The type as it is registered here; as the index defines it, if it is to be registered."""
    name, calibration = given["name"], given["isCalibration"]
    if not isinstance(name, str) or not isinstance(calibration, bool):
        raise TypeError(f"dataset type {name!r}, isCalibration {calibration!r}")
    theirs = DatasetType(
        name,
        target.registry.universe.conform(given["dimensions"]),
        str(given["storageClass"]),
        isCalibration=calibration,
    )
    ours = target.registry.types.find(target.registry.snapshot, name)
    if ours is None:
        bundle.types[name] = theirs
        return theirs
    check_agreement(ours, theirs)
    return ours


def _rows(target: Target, name: str, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Values of records by field; bytes are written in hexadecimal digits, timespans as two numbers."""
    fields = target.registry.universe[name].RecordClass.layout.fields
    made = []
    for row in rows:
        values = {column.name: value for column, value in zip(fields, row, strict=True)}
        for column in fields:
            value = values[column.name]
            if value is not None and column.type in ("region", "hash"):
                values[column.name] = bytes.fromhex(value)
            elif column.type == "timespan":
                span = values.pop(column.name) or (None, None)
                values["timespan_begin"], values["timespan_end"] = span
        made.append(values)
    return made


def _add_type(
    target: Target,
    incoming: Incoming,
    dataset_type: DatasetType,
    several: Sequence[tuple[str, Mapping[str, Any]]],
    where: dict[str, tuple[Any, int]],
) -> None:
    import pyarrow as pa

    keys = {}
    for name in dataset_type.dimensions.required:
        spec = target.registry.universe.dimensions[name].primary_key
        keys[name] = pa.array([fit_key(spec, ref["data_id"][name]) for _, ref in several])
    ids = [uuid.UUID(one) for one, _ in several]
    runs = [ref["run"] for _, ref in several]
    layout, table = dataset_table(dataset_type, runs, ids, keys, now())
    start = incoming.bundle.datasets[layout].num_rows if layout in incoming.bundle.datasets else 0
    incoming.bundle.add_table("datasets", layout, table)
    where.update({one: (layout, start + i) for i, (one, _) in enumerate(several)})


def _add_artifacts(
    incoming: Incoming,
    artifacts: Mapping[str, Any],
    members: Mapping[str, zipfile.ZipInfo],
    where: Mapping[str, tuple[Any, int]],
    classes: Mapping[str, str],
    place: str,
) -> None:
    for name, artifact in artifacts.items():
        info = artifact["info"]
        if name not in members:
            raise FileFormatError(f"{place}: its index names {name[:100]!r}, which is not in it")
        part = None
        if info.get("component") is not None:
            kinds = {classes[one] for one in artifact["ids"]}
            if len(kinds) != 1:
                raise FileFormatError(f"{place}: {name!r} has datasets of different storage classes")
            part = IncomingPart(str(info["component"]), str(info["storage_class"]), kinds.pop())
            check_part(part, f"{place}: {name!r}")
        if members[name].file_size != info["file_size"]:
            raise FileFormatError(f"{place}: {name!r} has not the size that the index says")
        formatter = info.get(OWN_FORMATTER) or info["formatter"]
        layouts = {where[one][0] for one in artifact["ids"]}
        if len(layouts) != 1:
            raise FileFormatError(f"{place}: {name!r} has datasets of different dimensions")
        rows = sorted(where[one][1] for one in artifact["ids"])
        incoming.files.append(
            IncomingFile(name, str(formatter), layouts.pop(), tuple(rows), int(info["file_size"]), part=part)
        )


def _only_new(target: Target, incoming: Incoming, *, skip_existing: bool) -> int:
    """Number of datasets that are not stored here yet; others are an error unless they are to be skipped."""
    new = 0
    for layout, table in incoming.bundle.datasets.items():
        stored = find_present(target.registry.snapshot, layout, table).stored
        there = int(stored.sum())
        if there and not skip_existing:
            row = table.slice(int(stored.argmax()), 1).to_pylist()[0]
            raise ConflictingDefinitionError(
                f"{row['dataset_type']} {row['id']} of the zip is in run {row['run']!r} already"
                + (f" (and {there - 1} more)" if there > 1 else ""),
                hint="pass skip_existing=True to add the rest",
            )
        new += table.num_rows - there
    if new:
        kept = {
            layout: find_present(target.registry.snapshot, layout, table).stored
            for layout, table in incoming.bundle.datasets.items()
        }
        incoming.files[:] = [f for f in incoming.files if not all(kept[f.layout][row] for row in f.rows)]
    return new
