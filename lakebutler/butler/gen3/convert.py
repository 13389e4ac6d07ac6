# SPDX-License-Identifier: BSD-3-Clause
"""A repository of the field becomes one of ours; the source is only read.

With files that stay where they are it is one commit.  Files that are copied come in
batches, each with its datasets in one commit: who repeats a conversion that was broken off
goes on where it ended.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakebutler.butler.butler import Butler
from lakebutler.butler.exchange.import_bundle import Bundle
from lakebutler.butler.exchange.import_files import Target, add_incoming, place_paths
from lakebutler.butler.exchange.import_records import Incoming, IncomingFile
from lakebutler.butler.gen3.database import Gen3Database, SqliteRegistry
from lakebutler.butler.gen3.place import Gen3Place, find_gen3
from lakebutler.butler.gen3.read import Gen3Content, read_gen3
from lakebutler.butler.pending import Pending
from lakebutler.config import has_repository
from lakebutler.datastore.paths import local_path_of_uri
from lakebutler.errors import StorageError, known_names
from lakebutler.progress import NullProgress, Progress
from lakebutler.registry.registry import Registry
from lakebutler.registry.schema import DatasetLayout

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MODES", "Converted", "convert_gen3"]

MODES = ("direct", "copy", "hardlink", "link", "symlink", "relsymlink")
"""What can happen to the files; the source keeps them always."""

_MEMBER = "#zip-path="
"""What stands between a zip and the name of a member in the path of a file."""

_FILES_AT_ONCE = 5000
_BYTES_AT_ONCE = 4 << 30


@dataclass(frozen=True)
class Converted:
    """What a conversion did.

    Attributes
    ----------
    root : `str`
        The new repository.
    universe_version : `int`
        Version of the source's universe.
    records, types, collections, datasets, memberships : `int`
        How much the source holds.
    files : `int`
        Files that were found.
    missing : `tuple` [`str`]
        Files that the source names, but does not have; their datasets are registered
        without, and get them when the conversion is repeated with the files there.
    disassembled : `int`
        Datasets that are in parts, each in a file; one of which a part is missing has no file.
    passed_over : mapping
        What has no place here, by kind.
    """

    root: str
    universe_version: int
    records: int
    types: int
    collections: int
    datasets: int
    memberships: int
    files: int
    missing: tuple[str, ...]
    disassembled: int
    passed_over: Mapping[str, int] = field(default_factory=dict)


def convert_gen3(
    source: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    *,
    transfer: str = "direct",
    root: str | None = None,
    allow_external: bool | Sequence[str] = (),
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    batch: int = _FILES_AT_ONCE,
) -> Converted:
    """Convert a repository of ``lsst.daf.butler``.

    Parameters
    ----------
    source : `str` or path-like
        Its directory or ``butler.yaml``, its SQLite file, or the URL of its database.
    dest : `str` or path-like
        The new repository; made if it is not there.
    transfer : `str`, optional
        What happens to the files: ``direct`` (they stay where they are), ``copy``,
        ``hardlink``, ``link``, ``symlink`` or ``relsymlink``.
    root : `str`, optional
        Where the files are, if the configuration does not say.
    allow_external : `bool` or sequence of `str`, optional
        Directories and URL prefixes outside the source that its files may lie in.
    storage_options : mapping, optional
        Options for fsspec where ``dest`` is a URL.
    progress : `Progress`, optional
        Told of every batch of files.
    batch : `int`, optional
        How many files are committed at a time where they are copied.

    Returns
    -------
    converted : `Converted`
        What was done.

    Raises
    ------
    NotARepositoryError
        Raised if there is no repository of the field.
    RepositoryFormatError
        Raised if it is of a newer universe, or cannot be read.
    ConflictingDefinitionError
        Raised if the new repository has something else under the same name or ID.
    """
    if transfer not in MODES:
        raise StorageError(
            f"a repository cannot be converted with transfer={transfer!r}: the source stays as it is",
            hint=known_names(transfer, MODES, what="modes"),
        )
    place = find_gen3(source, root=root)
    with _opened(place) as database:  # before anything is made
        if not has_repository(dest, storage_options):
            Butler.makeRepo(dest, storage_options=storage_options)
        with Butler.from_config(
            dest, writeable=True, storage_options=storage_options, allow_external=allow_external
        ) as butler:
            content = read_gen3(database, place, butler.dimensions)
            database.close()
            return _add(butler, place, content, transfer, progress or NullProgress(), batch)


def _opened(place: Gen3Place) -> Gen3Database:
    if place.is_sqlite:
        return SqliteRegistry(place.database)
    from lakebutler.butler.gen3.postgres import PostgresRegistry

    return PostgresRegistry(place.database, place.namespace)


def _add(
    butler: Butler, place: Gen3Place, content: Gen3Content, transfer: str, progress: Progress, batch: int
) -> Converted:
    repository = butler.repository
    registry = Registry(repository.session, repository.universe)
    target = Target(repository, registry, Pending(repository.datastore, registry))
    incoming = content.incoming
    bundle = incoming.bundle
    own = [root for root, _ in place.datastores]
    placed: list[IncomingFile] = []
    for file in incoming.files:
        inside = next((root for root in own if file.path.startswith(root.rstrip("/") + "/")), None)
        placed += place_paths([file], inside, target)
    zipped = [file for file in placed if _MEMBER in file.path]
    present, missing = _parted([file for file in placed if _MEMBER not in file.path])
    converted = Converted(
        repository.root,
        content.version,
        sum(map(len, bundle.records.values())),
        len(bundle.types),
        len(bundle.collections),
        bundle.count(),
        sum(table.num_rows for table in bundle.members.values()),
        len(present) + len(zipped),
        tuple(file.path for file in missing),
        content.disassembled,
        dict(content.passed_over),
    )
    message = f"converted from {place.name}"
    if transfer == "direct":
        add_incoming(target, Incoming(bundle, present), "direct", op="convert-gen3", message=message)
    progress.start("bringing in files", len(zipped) if transfer == "direct" else len(present) + len(zipped))
    for part in _batches(bundle, present, batch) if transfer != "direct" else ():
        add_incoming(target, part, transfer, op="convert-gen3", message=message)
        progress.advance(len(part.files))
    for some in _parts(zipped, batch):
        with tempfile.TemporaryDirectory(prefix="lakebutler-") as scratch:
            part = _of_files(bundle, _unpacked(some, scratch))
            add_incoming(target, part, "copy", op="convert-gen3", message=message)
        progress.advance(len(some))
    progress.finish()
    return converted


def _unpacked(files: Sequence[IncomingFile], scratch: str) -> list[IncomingFile]:
    """Files that the source keeps inside of zips, each unpacked under a name of ours."""
    archives: dict[str, zipfile.ZipFile] = {}
    unpacked = []
    try:
        for i, file in enumerate(files):
            place, _, fragment = file.path.partition("#")
            member = unquote(fragment.removeprefix(_MEMBER.lstrip("#")))
            local = local_path_of_uri(place) if place.startswith("file://") else place
            if local not in archives:
                archives[local] = zipfile.ZipFile(local)
            ending = os.path.splitext(member)[1]
            target = os.path.join(scratch, f"{i}{ending if ending[1:].isalnum() else ''}")
            with archives[local].open(member) as incoming, open(target, "xb") as outgoing:
                shutil.copyfileobj(incoming, outgoing, 1 << 20)
            unpacked.append(file._replace(path=target))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise StorageError(f"cannot unpack {file.path}: {error}") from None
    finally:
        for archive in archives.values():
            archive.close()
    return unpacked


def _parted(files: Sequence[IncomingFile]) -> tuple[list[IncomingFile], list[IncomingFile]]:
    """Files that are there, with the size that was recorded, and those that are not.

    The parts of a dataset are there together, or not at all.
    """
    present, missing = [], []
    lacking: set[tuple[str, int]] = set()
    for file in files:
        local = local_path_of_uri(file.path) if file.path.startswith("file://") else file.path
        if "://" in local:
            present.append(file)
            continue
        try:
            size = os.stat(local).st_size
        except OSError:
            size = None
        if size is not None and file.size in (None, size):
            present.append(file)
        else:
            missing.append(file)
            if file.part is not None:
                lacking.update((file.layout.table, row) for row in file.rows)
    if lacking:
        useless = [f for f in present if f.part is not None and (f.layout.table, f.rows[0]) in lacking]
        unused = set(map(id, useless))
        present = [file for file in present if id(file) not in unused]
    return present, missing


def _batches(bundle: Bundle, files: Sequence[IncomingFile], batch: int) -> Iterator[Incoming]:
    """Records, types and collections; then files with their datasets; then all the rest."""
    import numpy as np

    yield Incoming(Bundle(bundle.records, bundle.types, bundle.collections))
    filed = {layout.table: np.zeros(table.num_rows, bool) for layout, table in bundle.datasets.items()}
    for part in _parts(files, batch):
        for file in part:
            filed[file.layout.table][list(file.rows)] = True
        yield _of_files(bundle, part)
    rest = {}
    for layout in bundle.datasets:
        rows = np.flatnonzero(~filed[layout.table]).tolist()
        if rows:
            rest[layout] = _take(bundle.datasets[layout], rows)
    yield Incoming(Bundle(datasets=rest, members=bundle.members))


def _of_files(bundle: Bundle, files: Sequence[IncomingFile]) -> Incoming:
    """Some files with their datasets."""
    some: dict[DatasetLayout, list[int]] = {}
    moved: list[IncomingFile] = []
    last: tuple[DatasetLayout, Sequence[int]] | None = None
    for file in files:
        rows = some.setdefault(file.layout, [])
        if file.part is not None and last == (file.layout, file.rows):  # the next part of the same
            moved.append(file._replace(rows=moved[-1].rows))
            continue
        last = (file.layout, file.rows) if file.part is not None else None
        moved.append(file._replace(rows=tuple(range(len(rows), len(rows) + len(file.rows)))))
        rows += file.rows
    datasets = {layout: _take(bundle.datasets[layout], rows) for layout, rows in some.items()}
    return Incoming(Bundle(datasets=datasets), moved)


def _parts(files: Sequence[IncomingFile], batch: int) -> Iterator[list[IncomingFile]]:
    part: list[IncomingFile] = []
    size = 0
    for file in files:
        full = len(part) >= batch or size >= _BYTES_AT_ONCE
        if full and not (
            file.part is not None and (file.layout, file.rows) == (part[-1].layout, part[-1].rows)
        ):
            yield part
            part, size = [], 0
        part.append(file)
        size += file.size or 0
    if part:
        yield part


def _take(table: pa.Table, rows: Sequence[int]) -> pa.Table:
    import pyarrow as pa

    return table.take(pa.array(rows, pa.int64()))
