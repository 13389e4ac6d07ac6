# SPDX-License-Identifier: BSD-3-Clause
"""One version of a repository, into one file and out of it."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from lakebutler.butler.maintenance.directory_builder import DirectoryBuilder
from lakebutler.config import CONFIG_NAME, ExternalTrust, normalise_root, not_a_repository, parse_repo_config
from lakebutler.datasets.stored_parts import with_parts
from lakebutler.datastore.container_files import files_beside
from lakebutler.datastore.files import CHUNK, Content, Files
from lakebutler.datastore.local import LocalFiles
from lakebutler.datastore.opening import open_files
from lakebutler.datastore.paths import Allowed, check_stored_path
from lakebutler.errors import (
    DatasetNotFoundError,
    FileIntegrityError,
    NotARepositoryError,
    RepositoryCorruptError,
    RepositoryError,
    StorageError,
)
from lakebutler.lake.checkpoint import load_state, write_checkpoint
from lakebutler.lake.container.builder import ContainerBuilder
from lakebutler.lake.container.reader import check_members
from lakebutler.lake.expired import missing_file
from lakebutler.lake.history import extend_state
from lakebutler.lake.lake import Lake
from lakebutler.lake.log import boundary
from lakebutler.lake.naming import FORMAT, VIEWS, boundary_path, log_path
from lakebutler.lake.segment import SegmentStore
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.state import LakeState
from lakebutler.lake.storage import Storage, open_storage
from lakebutler.lake.storage.file import FileStorage
from lakebutler.lake.storage.memory import MemoryStorage
from lakebutler.lake.views import views_sql
from lakebutler.progress import NullProgress, Progress
from lakebutler.registry.schema import DATASET_PREFIX, check_tables
from lakebutler.registry.views import repository_views

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Packed", "pack", "unpack"]

_LOG_AT_ONCE = 200
_FILES_AT_ONCE = 64
_ROWS_AT_ONCE = 8192
_IN_MEMORY = 32 << 20


@dataclass(frozen=True)
class Packed:
    """What was copied.

    Attributes
    ----------
    path : `str`
        What was made.
    version : `int`
        Version of the repository that is in it.
    sha256 : `str`
        Root hash of the version: digest of its log entry, and through it of the whole
        log.
    proved : `bool`
        Whether the log was followed from its first entry to this one.
    files : `int`
        Files of datasets that were copied.
    bytes : `int`
        What was made, in bytes.
    outside : `int`
        Datasets whose files lie outside of the repository, and stayed there.
    left : `int`
        Datasets whose files were left out, because only the registry was wanted.
    """

    path: str
    version: int
    sha256: str
    proved: bool
    files: int
    bytes: int
    outside: int
    left: int = 0


class Builder(Protocol):
    """What a version can be copied into."""

    def begin_many(self) -> None:
        """Say that files follow in the order of their paths."""

    def add(self, path: str, data: bytes) -> None:
        """Add a file."""

    def add_stream(self, path: str, size: int, parts: Iterable[bytes]) -> None:
        """Add a file of which not everything is in memory."""

    def finish(self) -> int:
        """Make it durable and visible; return its size in bytes."""


def pack(
    root: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    as_of: int | str | datetime | None = None,
    registry_only: bool = False,
    expect: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Packed:
    """Copy one version of a repository into a new file.

    Parameters
    ----------
    root : `str` or path-like
        The repository: a directory, a lake file, or a URL.
    target : `str` or path-like
        The local file to be made, ``survey.lake``.
    as_of : `int`, `str` or `datetime.datetime`, optional
        Which version; the newest by default.
    registry_only : `bool`, optional
        Leave out the files of datasets.
    expect : `str`, optional
        The root hash that the version must have.
    storage_options : mapping, optional
        Options for fsspec where the root is a URL.
    progress : `Progress`, optional
        Told of every file.

    Returns
    -------
    packed : `Packed`
        What was copied.

    Raises
    ------
    RepositoryExistsError
        Raised if there is something at the target.
    RepositoryCorruptError
        Raised if the repository is damaged, or is not the one that was expected.
    FileIntegrityError
        Raised if a dataset's file is not the one that was stored.
    """
    place = normalise_root(target)
    if "://" in place:
        raise StorageError(f"a lake file is made on a local disk, not at {place}", hint="copy it there then")
    storage = open_storage(normalise_root(root), storage_options=storage_options)
    source = _Source(storage, as_of, expect, storage_options)
    with closing(source.lake), ContainerBuilder(place, private=source.private) as builder:
        return _copy(source, builder, place, registry_only, progress or NullProgress())


def unpack(
    lake_file: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    as_of: int | str | datetime | None = None,
    expect: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Packed:
    """Make an ordinary repository directory of a lake file, checking every byte.

    Parameters
    ----------
    lake_file : `str` or path-like
        The file, or its URL.
    target : `str` or path-like
        The local directory to be made.
    as_of : `int`, `str` or `datetime.datetime`, optional
        Which version; the newest by default.
    expect : `str`, optional
        The root hash that the version must have.
    storage_options : mapping, optional
        Options for fsspec where the file is at a URL.
    progress : `Progress`, optional
        Told of every file.

    Returns
    -------
    unpacked : `Packed`
        What was copied.

    Raises
    ------
    RepositoryExistsError
        Raised if there is something at the target.
    NotARepositoryError
        Raised if the file is no lake file.
    RepositoryCorruptError
        Raised if it is damaged, or is not the one that was expected.
    FileIntegrityError
        Raised if a dataset's file is not the one that was stored.
    """
    place, from_ = normalise_root(target), normalise_root(lake_file)
    if "://" in place:
        raise StorageError(f"a lake file is unpacked on a local disk, not at {place}")
    storage = open_storage(from_, storage_options=storage_options)
    if not isinstance(storage, FileStorage):
        raise NotARepositoryError(
            f"{from_} is no lake file" + (", but a directory" if os.path.isdir(from_) else "")
        )
    source = _Source(storage, as_of, expect, storage_options)
    if not storage.remote:
        check_members(storage.container)
    with closing(source.lake), DirectoryBuilder(place, private=source.private) as builder:
        left = _lacks_files(source)
        return _copy(source, builder, place, left, progress or NullProgress())


class _Source:
    """The version that is copied.

    Parameters
    ----------
    storage : `Storage`
        The repository.
    as_of, expect, storage_options
        As for `pack`.
    """

    def __init__(
        self,
        storage: Storage,
        as_of: int | str | datetime | None,
        expect: str | None,
        storage_options: Mapping[str, Any] | None,
    ) -> None:
        self.storage = storage
        try:
            self.lake = Lake.open(storage, views=repository_views)
        except NotARepositoryError:
            raise not_a_repository(storage.url) from None
        self.snapshot = self.lake.snapshot() if as_of is None else self.lake.as_of(as_of)
        check_tables(self.snapshot.schemas(), storage.url)
        if expect is not None and expect.lower() != self.snapshot.sha256:
            raise RepositoryCorruptError(
                f"{storage.url} is not what was expected: the root hash of its version"
                f" {self.snapshot.version} is {self.snapshot.sha256}"
            )
        self.state, self.proved = self._read_state(prove=expect is not None)
        self.config = self._optional(CONFIG_NAME)
        settings = (
            parse_repo_config(self.config or b"", f"{storage.url}/{CONFIG_NAME}").get("datastore") or {}
        )
        self.private = bool(settings.get("private"))
        self.files = self._open_files(storage_options)

    def _read_state(self, *, prove: bool) -> tuple[LakeState, bool]:
        """Return the state, and whether it comes from the whole log."""
        version = self.snapshot.version
        segments = SegmentStore(self.storage, missing_file)
        if prove:
            with suppress(RepositoryError):
                state = LakeState(segments)
                extend_state(state, self.storage, version)
                return state, True
        state = load_state(segments, version)
        extend_state(state, self.storage, version)
        return state, False

    def _optional(self, path: str) -> bytes | None:
        try:
            return self.storage.read(path)
        except FileNotFoundError:
            return None

    def _open_files(self, storage_options: Mapping[str, Any] | None) -> Files:
        files = files_beside(self.storage) or open_files(
            self.storage.url, storage_options or {}, private=False
        )
        if isinstance(files, LocalFiles):
            files.allowed = Allowed(ExternalTrust(self.lake.repo_id).prefixes())
        return files


def _copy(source: _Source, builder: Builder, place: str, registry_only: bool, progress: Progress) -> Packed:
    version = source.snapshot.version
    progress.start("copying the registry", None)
    for path, data in _registry(source):
        builder.add(path, data)
        progress.advance()
    progress.finish()
    inside, outside = _count_files(source.snapshot)
    count = 0
    if inside and not registry_only:
        table = dataset_files(source.snapshot)
        count = table.num_rows
        progress.start("copying files of datasets", count)
        builder.begin_many()
        for path, content in _contents(source, table):
            if content.data is not None:
                builder.add(path, content.data)
            else:
                builder.add_stream(path, content.size, _parts(content))
            progress.advance()
        progress.finish()
    size, sha256 = builder.finish(), source.snapshot.sha256
    left = inside if registry_only else 0
    return Packed(place, version, sha256, source.proved, count, size, outside, left)


# ---------------------------------------------------------------------- registry


def _registry(source: _Source) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the registry, what an opening needs first."""
    storage, version = source.storage, source.snapshot.version
    yield FORMAT, storage.read(FORMAT)
    if source.config is not None:
        yield CONFIG_NAME, source.config
    checkpoint = _checkpoint(source.state)
    yield from checkpoint.items()
    removed = boundary(storage)
    try:
        yield log_path(version), storage.read(log_path(version))
    except FileNotFoundError:
        if removed < version:
            raise RepositoryCorruptError(
                f"{log_path(version)} is missing in {storage.url}", hint="look with: lakebutler verify"
            ) from None
    views = views_sql(source.snapshot.schemas(), repository_views(source.snapshot))
    yield VIEWS, views.encode()
    for path, size, sha256 in _data_files(checkpoint):
        yield path, _checked(storage, path, size, sha256)
    if 0 <= removed <= version:
        yield boundary_path(removed), b""
    yield from _log(storage, max(removed + 1, 0), version)


def _checkpoint(state: LakeState) -> dict[str, bytes]:
    """Return the files of a checkpoint, the hint first."""
    scratch = MemoryStorage(f"checkpoint-{uuid.uuid4().hex}")
    path = write_checkpoint(state, scratch)
    hint = path.rpartition("/")[0] + "/_last"
    files = {name: scratch.read(name) for name in (hint, path)}
    scratch.delete(list(files))
    return files


def _data_files(checkpoint: Mapping[str, bytes]) -> Iterator[tuple[str, int, str]]:
    """Yield path, size and digest of the files that a checkpoint names."""
    first = next(data for path, data in checkpoint.items() if path.endswith(".json")).split(b"\n", 1)[0]
    for table in json.loads(first)["tables"]:
        for file in (*table["files"], *table["deletes"]):
            yield file["path"], file["bytes"], file["sha256"]


def _checked(storage: Storage, path: str, size: int, sha256: str) -> bytes:
    try:
        data = storage.read(path)
    except FileNotFoundError:
        raise RepositoryCorruptError(f"{path} is missing in {storage.url}") from None
    if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
        raise RepositoryCorruptError(
            f"{path} in {storage.url} is not the file that was committed (its checksum differs)",
            hint="restore this file from a copy of the repository",
        )
    return data


def _log(storage: Storage, first: int, version: int) -> Iterator[tuple[str, bytes]]:
    """Yield the entries before a version, as far back as there are any."""
    for start in range(first, version, _LOG_AT_ONCE):
        paths = [log_path(number) for number in range(start, min(start + _LOG_AT_ONCE, version))]
        try:
            yield from zip(paths, storage.read_many(paths), strict=True)
        except FileNotFoundError:
            for path in paths:
                with suppress(FileNotFoundError):
                    yield path, storage.read(path)


# --------------------------------------------------------------- files of datasets


def dataset_files(snapshot: Snapshot) -> pa.Table:
    """Return the files that the datasets of a version have in the repository.

    Parameters
    ----------
    snapshot : `Snapshot`
        The version.

    Returns
    -------
    files : `pyarrow.Table`
        Columns ``path``, ``size`` and ``checksum``, each file once, in order.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = ("path", "size", "checksum")
    parts = []
    for table in snapshot.schemas():
        if table.startswith(DATASET_PREFIX):
            found = snapshot.scan(table, columns=columns)
            parts.append(with_parts(found.filter(pc.is_valid(found.column("path")))))
    whole = pa.concat_tables(parts) if parts else pa.table({name: [] for name in columns})
    if pa.types.is_dictionary(whole.schema.field("path").type):
        whole = whole.set_column(0, "path", whole.column("path").cast(pa.string()))
    if whole.num_rows < 2:
        return whole
    whole = whole.sort_by("path").combine_chunks()
    paths = whole.column("path")
    new = pc.not_equal(paths.slice(1), paths.slice(0, len(paths) - 1))
    return whole.filter(pa.chunked_array([pa.array([True]), *new.chunks]))


def _count_files(snapshot: Snapshot) -> tuple[int, int]:
    """Count the datasets with a file in the repository, and those with one elsewhere."""
    inside = outside = 0
    for table in snapshot.schemas():
        if table.startswith(DATASET_PREFIX):
            found = snapshot.scan(table, columns=("path", "uri"))
            inside += found.num_rows - found.column("path").null_count
            outside += found.num_rows - found.column("uri").null_count
    return inside, outside


def _contents(source: _Source, table: pa.Table) -> Iterator[tuple[str, Content]]:
    """Yield the files of a table, in order, checked as far as they are in memory."""

    def fetch(row: Mapping[str, Any]) -> tuple[str, Content]:
        return row["path"], _open(source, row)

    rows = (row for batch in table.to_batches(_ROWS_AT_ONCE) for row in batch.to_pylist())
    if not source.storage.remote:
        yield from map(fetch, rows)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        while window := [row for _, row in zip(range(_FILES_AT_ONCE), rows, strict=False)]:
            yield from pool.map(fetch, window)


def _open(source: _Source, row: Mapping[str, Any]) -> Content:
    path = check_stored_path(row["path"])
    try:
        content = source.files.read(path, _IN_MEMORY)
    except FileNotFoundError:
        raise DatasetNotFoundError(
            f"the file {path} of a dataset is missing in {source.storage.url}",
            hint="remove the dataset, or copy the registry only",
        ) from None
    except OSError as error:
        if isinstance(error, RepositoryError | PermissionError):
            raise
        raise StorageError(f"cannot read {path} in {source.storage.url}: {error.strerror}") from error
    digest = hashlib.sha256(content.data) if content.data is not None else None
    if digest is None and row["checksum"] is not None and content.stream is not None:
        digest = hashlib.sha256()
        while part := content.stream.read(CHUNK):
            digest.update(part)
        content.stream.seek(0)
    good = row["checksum"] is None or digest is None or row["checksum"] == f"sha256:{digest.hexdigest()}"
    if content.size != row["size"] or not good:
        _close(content)
        raise FileIntegrityError(
            f"the file {path} in {source.storage.url} is not the one that was stored", hint="nothing was made"
        )
    return content


def _parts(content: Content) -> Iterator[bytes]:
    """Yield the content of an open file, and close it."""
    assert content.stream is not None
    try:
        while part := content.stream.read(CHUNK):
            yield part
    finally:
        _close(content)


def _close(content: Content) -> None:
    if content.stream is not None:
        content.stream.close()
    if content.temporary:
        with suppress(OSError):
            os.unlink(content.path or "")


def _lacks_files(source: _Source) -> bool:
    """Whether a lake file was packed without the files of datasets."""
    assert isinstance(source.storage, FileStorage)
    there = next(iter(source.storage.container.scan("datastore/", "datastore0")), None)
    return there is None and _count_files(source.snapshot)[0] > 0
