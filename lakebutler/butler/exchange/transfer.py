# SPDX-License-Identifier: BSD-3-Clause
"""Datasets from one repository into another: rows as columns, files, one commit."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lakebutler.butler.exchange.agreement import check_agreement
from lakebutler.butler.exchange.export_records import (
    Keys,
    dataset_rows,
    find_records,
    keys_of_data_ids,
    keys_of_table,
)
from lakebutler.butler.exchange.import_bundle import Bundle, Collection, merge_plain
from lakebutler.butler.exchange.import_files import Target, add_incoming, make_refs
from lakebutler.butler.exchange.import_merge import find_present
from lakebutler.butler.exchange.import_records import Incoming, IncomingFile
from lakebutler.butler.exchange.parts import each_file
from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.stored_parts import is_parts
from lakebutler.datastore.records import FileRecord
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.errors import (
    ArgumentError,
    InconsistentUniverseError,
    MissingDatasetTypeError,
    StorageError,
    known_names,
)
from lakebutler.lake.collector import collector_paused
from lakebutler.registry.dataset_rows import FILE_COLUMNS
from lakebutler.registry.schema import DatasetLayout

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MODES", "transfer_datasets", "transfer_records"]

MODES = ("auto", "copy", "direct", "hardlink", "link", "relsymlink", "symlink")
"""How files can travel; the source keeps its own always."""


def transfer_datasets(
    target: Target,
    source: Target,
    refs: Iterable[DatasetRef],
    *,
    transfer: str | None,
    skip_missing: bool,
    register_dataset_types: bool,
    transfer_dimensions: bool,
    dry_run: bool,
) -> list[DatasetRef]:
    """Transfer datasets; see `Butler.transfer_from`.

    Parameters
    ----------
    target, source : `Target`
        The two repositories.
    refs, transfer, skip_missing, register_dataset_types, transfer_dimensions, dry_run
        As for `Butler.transfer_from`.

    Returns
    -------
    added : `list` [`DatasetRef`]
        Those that are new here.
    """
    mode = _check(target, source, transfer)
    given = [ref.makeCompositeRef() if ref.isComponent() else ref for ref in refs]
    if not given:
        return []
    snapshot = source.registry.snapshot
    tables = dataset_rows(snapshot, given)
    bundle = Bundle(types=_types(target, source, tables, register=register_dataset_types))
    names = {run for table in tables.values() for run in table.column("run").unique().to_pylist()}
    bundle.collections = {name: Collection(CollectionType.RUN) for name in sorted(names)}
    if transfer_dimensions:
        keys: Keys = {}
        for layout, table in tables.items():
            keys_of_table(keys, _group(source, table, layout), table)
        bundle.records = find_records(snapshot, source.registry.universe, keys)
    with _Scratch() as scratch, collector_paused():
        incoming = Incoming(bundle)
        for layout, table in tables.items():
            _add(incoming, target, source, layout, table, skip_missing=skip_missing, scratch=scratch)
        if not incoming.bundle.datasets:
            return []
        types = {**bundle.types, **_registered(target, tables)}
        incoming.known = {ref.id.bytes: ref for ref in given}
        added = [
            ref
            for layout, table in bundle.datasets.items()
            for ref in make_refs(layout, table, None, types, incoming.known)
        ]
        if not dry_run:
            _prune(bundle)
            add_incoming(target, incoming, mode, op="transfer")
    return added


def transfer_records(target: Target, source: Target, given: Iterable[DatasetRef | DataCoordinate]) -> None:
    """Transfer dimension records; see `Butler.transfer_dimension_records_from`.

    Parameters
    ----------
    target, source : `Target`
        The two repositories.
    given : iterable of `DatasetRef` or `DataCoordinate`
        Data IDs.
    """
    _require_same_universe(target, source)
    session = target.repository.session
    session.require_writeable("transfer dimension records")
    data_ids = {one.dataId if isinstance(one, DatasetRef) else one for one in given}
    for one in data_ids:
        if not isinstance(one, DataCoordinate):
            raise ArgumentError(
                f"{one!r} is neither a dataset reference nor a data ID",
                hint="make a data ID of it with registry.expandDataId",
            )
    if not data_ids:
        return
    universe = source.registry.universe
    records = find_records(source.registry.snapshot, universe, keys_of_data_ids(data_ids))
    build = merge_plain(Bundle(records=records), target.registry.records, target.registry.universe)
    session.execute(build, op="transfer-dimension-records")


# -------------------------------------------------------------------------- checks


def _check(target: Target, source: Target, transfer: str | None) -> str:
    target.repository.session.require_writeable("transfer datasets")
    _require_same_universe(target, source)
    mode = transfer if transfer is not None else "direct"
    if mode not in MODES:
        raise StorageError(
            f"datasets cannot be transferred with transfer={transfer!r}: the source keeps its files",
            hint=known_names(mode, MODES, what="modes"),
        )
    return mode


def _require_same_universe(target: Target, source: Target) -> None:
    here, there = target.registry.universe, source.registry.universe
    if not here.isCompatibleWith(there):
        raise InconsistentUniverseError(
            f"the repositories have different dimensions: {here!r} here, {there!r} there",
            hint="export as YAML and import, which migrates",
        )


def _types(
    target: Target, source: Target, tables: dict[DatasetLayout, pa.Table], *, register: bool
) -> dict[str, DatasetType]:
    """Types that are to be registered; refuses those that are missing or defined differently."""
    new = {}
    for table in tables.values():
        for name in table.column("dataset_type").unique().to_pylist():
            theirs = source.registry.dataset_type(name)
            ours = target.registry.types.find(target.registry.snapshot, name)
            if ours is None and not register:
                raise MissingDatasetTypeError(
                    f"dataset type {name!r} is not registered here",
                    hint="pass register_dataset_types=True (--register-dataset-types)",
                )
            if ours is None:
                new[name] = theirs
            else:
                check_agreement(ours, theirs)
    return new


def _registered(target: Target, tables: dict[DatasetLayout, pa.Table]) -> dict[str, DatasetType]:
    names = {n for table in tables.values() for n in table.column("dataset_type").unique().to_pylist()}
    found = {name: target.registry.types.find(target.registry.snapshot, name) for name in names}
    return {name: kind for name, kind in found.items() if kind is not None}


def _group(source: Target, table: pa.Table, layout: DatasetLayout) -> DimensionGroup:
    group = source.registry.dataset_type(table.column("dataset_type")[0].as_py()).dimensions
    assert tuple(group.required) == layout.dimensions
    return group


# ----------------------------------------------------------------------- gathering


class _Scratch:
    """A directory for files on their way, made when it is needed."""

    def __init__(self) -> None:
        self._place: Path | None = None
        self._count = 0

    def take(self, found: str, name: str) -> str:
        """Move a file here, under a name of its own."""
        if self._place is None:
            self._place = Path(tempfile.mkdtemp(prefix="lakebutler-"))
        self._count += 1
        return str(shutil.move(found, self._place / f"{self._count}-{name}"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._place is not None:
            shutil.rmtree(self._place, ignore_errors=True)


def _add(
    incoming: Incoming,
    target: Target,
    source: Target,
    layout: DatasetLayout,
    table: pa.Table,
    *,
    skip_missing: bool,
    scratch: _Scratch,
) -> None:
    """Add the datasets of one table that are new here, with the places of their files."""
    import numpy as np
    import pyarrow as pa

    present = find_present(target.registry.snapshot, layout, table)
    done = present.same & present.stored
    columns = [table.column(name).to_pylist() for name in FILE_COLUMNS]
    records = [FileRecord._make(row) for row in zip(*columns, strict=True)]
    filed = np.array([r.path is not None or r.uri is not None for r in records], bool)
    exists = filed.copy()
    wanted = np.flatnonzero(filed & ~done).tolist()
    places = dict(zip(wanted, _places(source, [records[i] for i in wanted]), strict=True))
    exists[wanted] = _exist(source, [records[i] for i in wanted], list(places.values()))
    keep = ~done & (exists if skip_missing else ~present.same | exists)
    rows = np.flatnonzero(keep).tolist()
    start = incoming.bundle.datasets[layout].num_rows if layout in incoming.bundle.datasets else 0
    incoming.bundle.add_table("datasets", layout, _bare(table.take(pa.array(rows, pa.int64()))))
    files: dict[tuple[str | None, str | None], list[int]] = {}
    for position, row in enumerate(rows, start):
        if exists[row]:
            files.setdefault((records[row].path, records[row].uri), []).append(position)
    for positions in files.values():
        row = rows[positions[0] - start]
        for part, record in each_file(records[row]):
            place = places[row] if part is None else source.repository.datastore.local_path(record)
            place = place or _fetched(source, record, scratch, partial(_ref, source, layout, table, row))
            incoming.files.append(
                IncomingFile(
                    place,
                    record.formatter,
                    layout,
                    tuple(positions),
                    record.size,
                    record.checksum,
                    record.path is None,
                    part,
                )
            )


def _places(source: Target, records: list[FileRecord]) -> list[str | None]:
    """Local paths of files; `None` for those that are elsewhere, and of datasets in parts."""
    local_path = source.repository.datastore.local_path
    return [None if is_parts(r.path) or is_parts(r.uri) else local_path(r) for r in records]


def _exist(source: Target, records: list[FileRecord], places: list[str | None]) -> list[bool]:
    """Whether files are there; one that is there with another size is not missing, but damaged."""
    datastore = source.repository.datastore
    there = [place is not None and os.path.exists(place) for place in places]
    far = [i for i, place in enumerate(places) if place is None]
    for i in [i for i in far if records[i].parts is not None]:
        files = records[i].files
        some = [datastore.local_path(file) for file in files]
        if None not in some:
            there[i] = all(os.path.exists(place) for place in some if place is not None)
            far.remove(i)
    for i, found in zip(far, datastore.exists_many([records[i] for i in far]), strict=True):
        there[i] = found
    return there


def _bare(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    for name in FILE_COLUMNS:
        at = table.schema.get_field_index(name)
        kind = table.schema.field(at)
        table = table.set_column(at, kind, pa.nulls(table.num_rows, kind.type))
    return table


def _ref(source: Target, layout: DatasetLayout, table: pa.Table, row: int) -> DatasetRef:
    name = table.column("dataset_type")[row].as_py()
    return make_refs(layout, table, [row], {name: source.registry.dataset_type(name)})[0]


def _fetched(source: Target, record: FileRecord, scratch: _Scratch, make: Callable[[], DatasetRef]) -> str:
    """Where a file that is not local can be taken from: its URI, or a copy."""
    if record.path is None:
        return record.uri or ""
    found = source.repository.datastore.get(make(), record, storage_class="Path")
    return scratch.take(str(found), record.path.rpartition("/")[2])


def _prune(bundle: Bundle) -> None:
    """Leave out the runs of which no dataset is new."""
    used = {run for table in bundle.datasets.values() for run in table.column("run").unique().to_pylist()}
    bundle.collections = {name: kind for name, kind in bundle.collections.items() if name in used}
