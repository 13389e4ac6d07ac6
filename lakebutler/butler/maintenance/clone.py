# SPDX-License-Identifier: BSD-3-Clause
"""A consistent copy of one version, whole or of some datasets with what they need."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakebutler.butler.butler import Butler
from lakebutler.butler.maintenance.verify import StoredFile, files_of_rows
from lakebutler.config import CONFIG_NAME, has_repository, normalise_root
from lakebutler.datastore.container_files import ContainerFiles, files_beside
from lakebutler.datastore.files import CHUNK, Files, checksum_of
from lakebutler.datastore.opening import open_files
from lakebutler.datastore.paths import check_stored_path
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import (
    DatasetNotFoundError,
    EmptyQueryResultError,
    FileIntegrityError,
    RepositoryExistsError,
    StorageError,
)
from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.restore import KEPT
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.storage import open_storage
from lakebutler.progress import NullProgress, Progress
from lakebutler.registry.overlaps import OVERLAP_PREFIX
from lakebutler.registry.schema import DATASET_PREFIX, DIMENSION_PREFIX, dimension_table, group_of_table
from lakebutler.registry.views import repository_views

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Cloned", "Subset", "clone"]

_IN_MEMORY = 32 << 20
_AT_ONCE = 256


@dataclass(frozen=True)
class Subset:
    """Which datasets to copy.

    Parameters
    ----------
    dataset_types : sequence of `str`, optional
        Names and globs.
    collections : sequence of `str`, optional
        Names and globs.
    where : `str`, optional
        Condition, as for queries.
    """

    dataset_types: Sequence[str] = ("*",)
    collections: Sequence[str] = ("*",)
    where: str = ""


@dataclass(frozen=True)
class Cloned:
    """What was copied.

    Parameters
    ----------
    root : `str`
        The new repository.
    version : `int`
        Version of the original.
    sha256 : `str`
        Digest of that version, and through it of its history.
    datasets, files, bytes, outside : `int`
        How much; ``outside`` are datasets whose files stayed outside of the original.
    """

    root: str
    version: int
    sha256: str
    datasets: int
    files: int
    bytes: int
    outside: int


@dataclass
class _Copy:
    """What is to be in the copy."""

    snapshot: Snapshot
    tables: dict[str, pa.Table] = field(default_factory=dict)
    states: dict[tuple[str, str], Any] = field(default_factory=dict)


def clone(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    as_of: int | str | datetime | None = None,
    subset: Subset | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Cloned:
    """Copy one version of a repository to a new place.

    Parameters
    ----------
    source, target : `str` or path-like
        The repository, and an empty place: directories, lake files or URLs.
    as_of : `int`, `str` or `datetime.datetime`, optional
        Which version; the newest by default.
    subset : `Subset`, optional
        Which datasets; all by default.  Dimension records, dataset types and collections
        that they need come with them, and no others.
    storage_options : mapping, optional
        Options for fsspec where a place is a URL.
    progress : `Progress`, optional
        Told of every file.

    Returns
    -------
    cloned : `Cloned`
        What was copied.

    Notes
    -----
    The copy is a repository of its own: it begins with one version, which says what it
    was copied from, and has an identity of its own.  Every file is compared with its
    record on the way, and the copy is there only when all of them are.  Files outside of
    the original are referred to as before.

    Raises
    ------
    RepositoryExistsError
        Raised if there is something at the target.
    FileIntegrityError, DatasetNotFoundError
        Raised if a dataset's file is not the one that was stored; there is no copy then.
    """
    place = normalise_root(target)
    _refuse_what_is_there(place, storage_options)
    with _opened(source, as_of, storage_options) as butler:
        snapshot = butler.repository.session.snapshot
        copy = _whole(snapshot) if subset is None else _some(butler, snapshot, subset)
        rows = [data for table, data in copy.tables.items() if table.startswith(DATASET_PREFIX)]
        stored = list(files_of_rows(snapshot, rows))
        storage = open_storage(place, storage_options=storage_options)
        beside = files_beside(storage)
        if beside is None and "://" not in place:
            os.makedirs(place, exist_ok=True)
        files = beside or open_files(place, dict(storage_options or {}), private=False)
        written: list[str] = []
        try:
            _copy_files(butler.repository.datastore.files, files, stored, written, progress or NullProgress())
            with suppress(FileNotFoundError):
                storage.create(CONFIG_NAME, butler.repository.lake.storage.read(CONFIG_NAME))
            _create(copy, butler, storage)
        except BaseException:
            with suppress(StorageError):
                files.delete(written)
                storage.delete([CONFIG_NAME])
            raise
        return Cloned(
            place,
            snapshot.version,
            snapshot.sha256,
            sum(_own(data) for data in rows),
            len(stored),
            sum(one.size for one in stored),
            sum(_own(_outside(data)) for data in rows),
        )


def _opened(source: str | os.PathLike[str], as_of: Any, storage_options: Mapping[str, Any] | None) -> Any:
    """Open the original at one version, whatever others do to it meanwhile."""
    if as_of is None:
        with closing(Butler.from_config(source, storage_options=storage_options)) as newest:
            as_of = newest.version
    return Butler.from_config(source, as_of=as_of, storage_options=storage_options)


def _refuse_what_is_there(place: str, storage_options: Mapping[str, Any] | None) -> None:
    if has_repository(place, storage_options):
        raise RepositoryExistsError(f"{place}: there is a repository already", hint="choose another place")
    if "://" not in place and os.path.lexists(place) and not (os.path.isdir(place) and not os.listdir(place)):
        raise RepositoryExistsError(f"{place} is not empty", hint="choose an empty or a new directory")


def _own(data: pa.Table) -> int:
    """How many rows are datasets, not memberships."""
    import pyarrow.compute as pc

    return int(pc.sum(pc.equal(data.column("collection"), data.column("run"))).as_py() or 0)


def _outside(data: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    return data.filter(pc.is_valid(data.column("uri")))


def _create(copy: _Copy, butler: Butler, storage: Any) -> None:
    change = Change()
    for table, data in copy.tables.items():
        change.create_table(copy.snapshot.schemas()[table])
        change.append_table(table, data)
    for (kind, name), value in copy.states.items():
        if kind != "config":
            change.set(kind, name, value)
    config = {name: value for (kind, name), value in copy.states.items() if kind == "config"}
    origin = {
        "repo_id": butler.repository.lake.repo_id,
        "version": copy.snapshot.version,
        "sha256": copy.snapshot.sha256,
    }
    message = f"clone of version {origin['version']} of {origin['repo_id']}"
    config["cloned_from"] = origin
    Lake.create(storage, config=config, change=change, message=message, views=repository_views).close()


# ------------------------------------------------------------------------- files


def _copy_files(
    source: Files, target: Files, stored: Sequence[StoredFile], written: list[str], progress: Progress
) -> None:
    """Copy files, each compared with its record, and make them durable."""
    from concurrent.futures import ThreadPoolExecutor

    progress.start("copying files", len(stored))
    at_once = 16 if source.local_path("x") is None or target.local_path("x") is None else 1
    with ThreadPoolExecutor(1 if isinstance(target, ContainerFiles) else at_once) as pool:
        for start in range(0, len(stored), _AT_ONCE):
            some = stored[start : start + _AT_ONCE]
            written.extend(pool.map(lambda one: _copy_file(source, target, one), some))
            progress.advance(len(some))
    target.sync(written)
    progress.finish()


def _copy_file(source: Files, target: Files, stored: StoredFile) -> str:
    path = check_stored_path(stored.path)
    try:
        content = source.read(path, _IN_MEMORY)
    except FileNotFoundError:
        raise DatasetNotFoundError(
            f"{path} of {stored.dataset_type} in {stored.run} is missing: this version cannot be copied whole"
        ) from None
    if content.data is not None:
        size, checksum = len(content.data), checksum_of(content.data)
        _compare(stored, size, checksum)
        name = target.create(path, content.data)
    else:
        assert content.stream is not None
        with tempfile.NamedTemporaryFile(prefix="lakebutler-") as scratch, content.stream:
            shutil.copyfileobj(content.stream, scratch, CHUNK)
            scratch.flush()
            made = target.bring(scratch.name, path, "copy")
        if content.temporary:
            with suppress(OSError):
                os.unlink(content.path or "")
        name = made.path
        try:
            _compare(stored, made.size, made.checksum)
        except FileIntegrityError:
            target.delete([name])
            raise
    if name != path:
        target.delete([name])
        raise RepositoryExistsError(f"{target.url} has a file {path} already", hint="choose an empty place")
    return name


def _compare(stored: StoredFile, size: int, checksum: str | None) -> None:
    if size != stored.size or (stored.checksum is not None and checksum != stored.checksum):
        raise FileIntegrityError(
            f"{stored.path} of {stored.dataset_type} in {stored.run} is not the file that was stored",
            hint="lakebutler verify lists everything that is damaged",
        )


# ----------------------------------------------------------------------- choosing


def _whole(snapshot: Snapshot) -> _Copy:
    copy = _Copy(snapshot)
    for table in snapshot.schemas():
        copy.tables[table] = snapshot.scan(table)
    for kind in snapshot.kinds():
        if kind not in KEPT:
            copy.states.update({(kind, name): value for name, value in snapshot.state(kind).items()})
    return copy


def _some(butler: Butler, snapshot: Snapshot, subset: Subset) -> _Copy:
    """Choose datasets, and what they need."""
    chosen = _chosen_ids(butler, subset)
    copy = _whole(snapshot)
    kept_types, kept_collections = set(), set()
    asked = set(butler.collections.query(list(subset.collections), flatten_chains=True))
    for table in [name for name in copy.tables if name.startswith(DATASET_PREFIX)]:
        rows = _rows_of(copy.tables[table], chosen, asked)
        copy.tables[table] = rows
        kept_types |= set(rows.column("dataset_type").unique().to_pylist())
        kept_collections |= set(rows.column("collection").unique().to_pylist())
    _keep_collections(copy, kept_collections)
    for kind, name in [key for key in copy.states if key[0] == "dataset_type"]:
        if name not in kept_types:
            del copy.states[kind, name]
    _keep_records(copy, butler.dimensions)
    return copy


def _chosen_ids(butler: Butler, subset: Subset) -> Any:
    import pyarrow as pa

    ids: set[bytes] = set()
    for dataset_type in butler.registry.queryDatasetTypes(list(subset.dataset_types)):
        found = butler.query_datasets(
            dataset_type, list(subset.collections), find_first=False, where=subset.where, explain=False
        )
        ids.update(ref.id.bytes for ref in found)
    if not ids:
        raise EmptyQueryResultError(["no dataset is chosen: there would be nothing in the copy"])
    return pa.array(sorted(ids), pa.binary(16))


def _rows_of(data: pa.Table, ids: Any, collections: Collection[str]) -> pa.Table:
    """Return the rows of some datasets, and their memberships in some collections."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = data.column("id")
    storage = pa.chunked_array([chunk.storage for chunk in column.chunks], pa.binary(16))
    own = pc.equal(data.column("collection"), data.column("run"))
    wanted = pc.is_in(data.column("collection"), pa.array(sorted(collections), pa.string()))
    return data.filter(pc.and_(pc.is_in(storage, ids), pc.or_(own, wanted)))


def _keep_collections(copy: _Copy, kept: set[str]) -> None:
    """Keep collections, and the chains that lead to them."""
    known = {name: value for (kind, name), value in copy.states.items() if kind == "collection"}
    grown = True
    while grown:
        more = {n for n, value in known.items() if n not in kept and kept & set(value.get("children", ()))}
        kept |= more
        grown = bool(more)
    for name, value in known.items():
        if name not in kept:
            del copy.states["collection", name]
        elif "children" in value:
            children = [child for child in value["children"] if child in kept]
            copy.states["collection", name] = {**value, "children": children}


def _keep_records(copy: _Copy, universe: DimensionUniverse) -> None:
    """Keep the dimension records that the data IDs of the chosen datasets lead to."""
    kept: dict[str, set[tuple[Any, ...]]] = {}
    for table, data in copy.tables.items():
        if table.startswith(DATASET_PREFIX):
            _note(kept, universe, group_of_table(table, data.column_names), data)
    done: set[str] = set()
    elements = [e for e in universe.elements if dimension_table(e.name) in copy.tables]
    for element in reversed(list(elements)):  # what others depend on comes later
        if element.name in universe.dimensions.names:
            table = dimension_table(element.name)
            copy.tables[table] = _with_keys(
                copy.tables[table], element.required.names, kept.get(element.name, set())
            )
            names = [*element.required.names, *(i.name for i in element.implied)]
            _note(kept, universe, names, copy.tables[table])
            done.add(table)
    for element in elements:
        table = dimension_table(element.name)
        if table not in done:
            for dimension in element.required:
                if dimension_table(dimension.name) in copy.tables:
                    keys = kept.get(dimension.name, set())
                    copy.tables[table] = _with_keys(copy.tables[table], dimension.required.names, keys)
    for element in elements:
        index = OVERLAP_PREFIX + element.name
        if index in copy.tables:
            required = list(element.required.names)
            there = set(_keys(copy.tables[dimension_table(element.name)], required))
            copy.tables[index] = _with_keys(copy.tables[index], required, there)
    known = (DATASET_PREFIX, DIMENSION_PREFIX, OVERLAP_PREFIX)
    assert all(table.startswith(known) for table in copy.tables)


def _note(
    kept: dict[str, set[tuple[Any, ...]]], universe: DimensionUniverse, names: Sequence[str], data: pa.Table
) -> None:
    """Take in the keys of dimensions that rows name."""
    for name in names:
        if name in universe.dimensions.names:
            required = list(universe.dimensions[name].required.names)
            if set(required) <= set(data.column_names):
                kept.setdefault(name, set()).update(_keys(data, required))


def _keys(data: pa.Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    distinct = data.select(list(names)).group_by(list(names)).aggregate([])
    keys = zip(*(distinct.column(name).to_pylist() for name in names), strict=True)
    return (key for key in keys if None not in key)


def _with_keys(data: pa.Table, names: Collection[str], keys: set[tuple[Any, ...]]) -> pa.Table:
    import pyarrow as pa

    values = zip(*(data.column(name).to_pylist() for name in names), strict=True)
    return data.filter(pa.array([key in keys for key in values], pa.bool_()))
