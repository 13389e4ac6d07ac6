# SPDX-License-Identifier: BSD-3-Clause
"""Files that come with a bundle: found, brought in, and committed with their datasets."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from types import MappingProxyType
from typing import TYPE_CHECKING

from lakebutler.butler import ingest as ingesting
from lakebutler.butler.exchange.import_bundle import Bundle, with_files
from lakebutler.butler.exchange.import_merge import find_present, merge
from lakebutler.butler.exchange.import_records import Incoming, IncomingFile
from lakebutler.butler.exchange.parts import IncomingPart, part_ref
from lakebutler.butler.pending import Batch, Pending
from lakebutler.butler.repository import Repository
from lakebutler.config import normalise_root
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.file_dataset import FileDataset
from lakebutler.datastore.ingest import Ingested
from lakebutler.datastore.paths import Allowed, file_uri
from lakebutler.datastore.records import FileRecord
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.errors import ExternalFileError, FileFormatError, FileIntegrityError
from lakebutler.registry.dataset_rows import FileRow, uuid_bytes
from lakebutler.registry.registry import Registry
from lakebutler.registry.schema import DatasetLayout
from lakebutler.registry.session import Build

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Target", "add_incoming", "commit_batch", "make_refs", "place_paths"]

_NAMELESS = frozenset({None, "direct", "split"})
"""Transfer modes that give no file a new name."""

_OUTSIDE = {"direct": False, "split": False, "link": True, "symlink": True, "relsymlink": True}
"""Transfer modes that can leave a file outside, and whether the repository then has a link to it."""

_WITNESSES = 50

_NONE_KNOWN: Mapping[bytes, DatasetRef] = MappingProxyType({})


@dataclass(frozen=True)
class Target:
    """The repository that something comes into.

    Attributes
    ----------
    repository : `Repository`
        Open for writing.
    registry : `Registry`
        Its registry.
    pending : `Pending`
        What its open transaction has done to files.
    """

    repository: Repository
    registry: Registry
    pending: Pending


def place_paths(
    files: Sequence[IncomingFile], directory: str | os.PathLike[str] | None, target: Target
) -> list[IncomingFile]:
    """Say where files are; what leads out of their directory is refused.

    Parameters
    ----------
    files : sequence of `IncomingFile`
        Files with paths as the export has them.
    directory : `str` or path-like or `None`
        Where relative paths begin; `None` for the repository itself.
    target : `Target`
        What the files come into; where this user lets its datasets lie outside, absolute
        paths may lead.

    Returns
    -------
    files : `list` [`IncomingFile`]
        With absolute paths or URIs where there is a directory.

    Raises
    ------
    ExternalFileError
        Raised if a path leads anywhere else: it is the export that says so, not the caller.
    """
    base = None if directory is None else normalise_root(directory)
    prefix = (base if base is not None else target.repository.root).rstrip("/") + "/"
    given = target.repository.opening.allow_external
    own = () if isinstance(given, bool) else (given,) if isinstance(given, str) else tuple(given)
    allowed = Allowed(True if given is True else (*own, *target.repository.trust.prefixes())).permits
    placed = []
    for file in files:
        path = file.path
        if "://" in path or path.startswith("/"):
            uri = path if "://" in path else file_uri(os.path.normpath(path))
            inside = path.startswith((prefix, file_uri(prefix) if "://" not in prefix else prefix))
            if (not inside or "/../" in path) and not allowed(uri):
                raise _outside(path)
            if path.startswith("file:///") and "%" not in path:
                file = file._replace(path=path[7:])  # the same, and sooner looked at
            placed.append(file)
            continue
        if path.startswith("../") or "/../" in path or path == ".." or path.endswith("/.."):
            raise _outside(path)
        placed.append(file if base is None else file._replace(path=prefix + path))
    return placed


def _outside(path: str) -> ExternalFileError:
    return ExternalFileError(
        f"the export refers to {path}, which is not in its directory",
        hint="if that is right, open the butler with allow_external=[...]",
    )


def make_refs(
    layout: DatasetLayout,
    table: pa.Table,
    rows: Sequence[int] | None,
    types: dict[str, DatasetType],
    known: Mapping[bytes, DatasetRef] = _NONE_KNOWN,
) -> list[DatasetRef]:
    """Make references of rows.

    Parameters
    ----------
    layout : `DatasetLayout`
        Their table.
    table : `pyarrow.Table`
        Rows of datasets.
    rows : sequence of `int` or `None`
        Which; `None` for all.
    types : `dict`
        Dataset types by name.
    known : mapping, optional
        References by ID; those that say the same as their rows are taken.

    Returns
    -------
    refs : `list` [`DatasetRef`]
        One for each.
    """
    import pyarrow as pa

    chosen = table if rows is None else table.take(pa.array(rows, pa.int64()))
    columns = [chosen.column(name).to_pylist() for name in ("dataset_type", "run")]
    columns.append(uuid_bytes(chosen.column("id")))
    keys = zip(*[chosen.column(name).to_pylist() for name in layout.dimensions], strict=True)
    refs = []
    for name, run, dataset_id, values in zip(
        *columns, keys if layout.dimensions else repeat(()), strict=False
    ):
        dataset_type = types[name]
        ref = known.get(dataset_id)
        if (
            ref is None
            or ref.run != run
            or ref.dataId.required_values != values
            or (ref.datasetType is not dataset_type and ref.datasetType != dataset_type)
        ):
            data_id = DataCoordinate.from_required_values(dataset_type.dimensions, values)
            ref = DatasetRef(dataset_type, data_id, run=run, id=uuid.UUID(bytes=dataset_id), conform=False)
        refs.append(ref)
    return refs


def add_incoming(
    target: Target,
    incoming: Incoming,
    transfer: str | None,
    *,
    op: str,
    message: str = "",
    skip_elements: Iterable[str] = (),
) -> int:
    """Bring in the files of what comes, and commit all of it at once.

    Parameters
    ----------
    target : `Target`
        The repository.
    incoming : `Incoming`
        Bundle and files; paths placed.
    transfer : `str` or `None`
        What happens to the files; see `Butler.ingest`.
    op : `str`
        The verb to record.
    message : `str`, optional
        A line to record with it.
    skip_elements : iterable of `str`, optional
        Elements whose records are left out.

    Returns
    -------
    count : `int`
        Number of files brought in.
    """
    registry, session = target.registry, target.repository.session
    session.require_writeable(op)
    bundle = incoming.bundle
    with session.held() as snapshot:
        merge(bundle, registry.records, registry.universe, skip_elements=skip_elements)(snapshot)  # refuses
        files = _missing(target, bundle, incoming.files)
    batch = _bring(target, incoming, files, transfer)
    build = merge(bundle, registry.records, registry.universe, skip_elements=skip_elements)
    commit_batch(target, build, batch, op, message)
    return len(files)


def commit_batch(target: Target, build: Build, batch: Batch, op: str, message: str = "") -> None:
    """Make files durable and commit; undo the files if that fails.

    Parameters
    ----------
    target : `Target`
        The repository.
    build : callable
        The operation.
    batch : `Batch`
        What was done to files.
    op : `str`
        The verb to record.
    message : `str`, optional
        A line to record with it.
    """
    session, pending = target.repository.session, target.pending
    nested = session.in_transaction
    mark = pending.mark()
    pending.add(batch)
    try:
        if not nested:
            pending.sync(mark)
        session.execute(build, op=op, message=message)
    except Exception as failure:
        pending.failed(mark, failure)
        raise
    except BaseException:
        if not nested:  # else it is undone with the transaction
            pending.forget(mark)
        raise
    if not nested:
        pending.done(mark)


def _missing(target: Target, bundle: Bundle, files: Sequence[IncomingFile]) -> list[IncomingFile]:
    """Files of which at least one dataset is not stored yet."""
    snapshot = target.registry.snapshot
    stored = {
        layout.table: find_present(snapshot, layout, table).stored
        for layout, table in bundle.datasets.items()
    }
    if not any(flags.any() for flags in stored.values()):
        return list(files)
    lists = {name: flags.tolist() for name, flags in stored.items()}
    return [file for file in files if not all(lists[file.layout.table][row] for row in file.rows)]


def _types(target: Target, bundle: Bundle) -> dict[str, DatasetType]:
    types = dict(bundle.types)
    for table in bundle.datasets.values():
        for name in table.column("dataset_type").unique().to_pylist():
            if name not in types:
                types[name] = target.registry.dataset_type(name)
    return types


def _bring(target: Target, incoming: Incoming, files: Sequence[IncomingFile], transfer: str | None) -> Batch:
    if not files:
        return Batch([], [], [])
    bundle = incoming.bundle
    repository = target.repository
    types = _types(target, bundle)
    given = _file_datasets(incoming, files, types, named=transfer not in _NAMELESS)
    if transfer == "direct" and ingesting.any_inside(given, repository.root):
        transfer = "split"
    if transfer in _OUTSIDE:
        _allow(repository, ingesting.outside(given, repository.root, resolve=_OUTSIDE[transfer]))
    done = _ingest(repository, given, files, transfer)
    try:
        _compare(files, done)
        rows = _file_rows(bundle, files, done)
        for layout, table in bundle.datasets.items():
            bundle.datasets[layout] = with_files(layout, table, rows[layout.table])
    except BaseException:
        repository.datastore.rollback(done.written)
        raise
    moves = {record.path or "": original for record, original in zip(done.records, done.moves, strict=False)}
    refs, found_files = _witnesses(bundle, files, rows, types) if done.written else ([], [])
    return Batch(refs, found_files, done.written, moves)


def _file_rows(
    bundle: Bundle, files: Sequence[IncomingFile], done: Ingested
) -> dict[str, list[FileRow | None]]:
    """What each row of each table is to say of its file, or of its parts."""
    rows: dict[str, list[FileRow | None]] = {
        layout.table: [None] * table.num_rows for layout, table in bundle.datasets.items()
    }
    parts: dict[tuple[str, str, int], dict[str, FileRecord]] = {}
    for file, record in zip(files, done.records, strict=True):
        table, found = file.layout.table, FileRow._make(record)
        if found.checksum is None and file.checksum is not None:
            found = found._replace(checksum=file.checksum)
        if file.part is None:
            for row in file.rows:
                rows[table][row] = found
            continue
        one = FileRecord._make(found)._replace(storage_class=file.part.storage_class)
        for row in file.rows:
            some = parts.setdefault((table, file.part.composite, row), {})
            if some.setdefault(file.part.component, one) is not one:
                raise FileFormatError(f"{file.path}: a dataset has the part {file.part.component!r} twice")
    for (table, composite, row), some in parts.items():
        if rows[table][row] is not None:
            raise FileFormatError("a dataset is both one file and in parts", hint="nothing was added")
        rows[table][row] = FileRow._make(FileRecord.of_parts(some, composite))
    return rows


def _ingest(
    repository: Repository, given: Sequence[FileDataset], files: Sequence[IncomingFile], transfer: str | None
) -> Ingested:
    """Bring in all; those that stay are only noted, whatever happens to the others."""
    staying = [i for i, file in enumerate(files) if file.stays] if transfer == "auto" else []
    if not staying:
        return repository.datastore.ingest(given, transfer)
    outside = [given[i] for i in staying]
    _allow(repository, ingesting.outside(outside, repository.root))
    noted = repository.datastore.ingest(outside, "direct")
    rest = sorted(set(range(len(given))) - set(staying))
    brought = repository.datastore.ingest([given[i] for i in rest], transfer)
    by_place = dict(zip([*staying, *rest], [*noted.records, *brought.records], strict=True))
    return Ingested([by_place[i] for i in range(len(given))], brought.written, brought.moves)


def _allow(repository: Repository, places: set[str]) -> None:
    """Remember that this user's datasets may lie in these places."""
    if places:
        repository.trust.allow(places)
        repository.datastore.allow_external(places)


def _compare(files: Sequence[IncomingFile], done: Ingested) -> None:
    """Refuse files that are not the ones that were promised."""
    for file, record in zip(files, done.records, strict=True):
        if (file.size is not None and record.size != file.size) or (
            file.checksum is not None and record.checksum is not None and record.checksum != file.checksum
        ):
            raise FileIntegrityError(
                f"{file.path} is not the file that was stored: size or checksum differ",
                hint="nothing was added; look at the original with lakebutler verify",
            )


def _file_datasets(
    incoming: Incoming, files: Sequence[IncomingFile], types: dict[str, DatasetType], *, named: bool
) -> list[FileDataset]:
    """Files as the datastore takes them: with all their references where it has to name them."""
    bundle = incoming.bundle
    if not named:
        samples: dict[tuple[str, str, IncomingPart | None], list[DatasetRef]] = {}
        names = {
            layout.table: table.column("dataset_type").to_pylist()
            for layout, table in bundle.datasets.items()
        }
        made = []
        for file in files:
            place = file.layout.table
            key = (place, names[place][file.rows[0]], file.part)
            sample = samples.get(key)
            if sample is None:
                table = bundle.datasets[file.layout]
                sample = make_refs(file.layout, table, [file.rows[0]], types)
                sample = samples[key] = _named_by(file, sample)
            made.append(FileDataset(file.path, sample, file.formatter))
        return made
    wanted: dict[str, list[int]] = {}
    for file in files:
        wanted.setdefault(file.layout.table, []).extend(file.rows)
    refs: dict[str, dict[int, DatasetRef]] = {}
    for layout, table in bundle.datasets.items():
        rows = wanted.get(layout.table, [])
        made_refs = make_refs(layout, table, rows, types, incoming.known)
        refs[layout.table] = dict(zip(rows, made_refs, strict=True))
    return [
        FileDataset(f.path, _named_by(f, [refs[f.layout.table][row] for row in f.rows]), f.formatter)
        for f in files
    ]


def _named_by(file: IncomingFile, refs: list[DatasetRef]) -> list[DatasetRef]:
    """References that a file is named after: those of components, where it is of one."""
    part = file.part
    return refs if part is None else [part_ref(ref, part) for ref in refs]


def _witnesses(
    bundle: Bundle,
    files: Sequence[IncomingFile],
    rows: dict[str, list[FileRow | None]],
    types: dict[str, DatasetType],
) -> tuple[list[DatasetRef], list[FileRow]]:
    """Some datasets with files that were made, by which one sees whether a commit landed."""
    chosen: dict[DatasetLayout, list[int]] = {}
    for file in files[:: max(1, len(files) // _WITNESSES)]:
        if rows[file.layout.table][file.rows[0]] is not None:
            chosen.setdefault(file.layout, []).append(file.rows[0])
    refs: list[DatasetRef] = []
    found: list[FileRow] = []
    for layout, places in chosen.items():
        refs += make_refs(layout, bundle.datasets[layout], places, types)
        found += [row for place in places if (row := rows[layout.table][place]) is not None]
    return refs, found
