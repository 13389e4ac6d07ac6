# SPDX-License-Identifier: BSD-3-Clause
"""What comes into a repository from elsewhere, in columns, and how it is merged: one change.

Every way in ends here: exports, other repositories, zips.  Nothing is looked up, checked
or added one dataset at a time.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import ConflictingDefinitionError, MissingCollectionError
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry import collections, dataset_types
from lakebutler.registry.dataset_rows import FILE_COLUMNS, FileRow
from lakebutler.registry.dimension_records import RecordCache, insert_records
from lakebutler.registry.schema import DatasetLayout, dataset_layout
from lakebutler.registry.session import Build

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Bundle", "Collection", "dataset_table", "member_table", "merge_plain", "with_files"]


@dataclass(frozen=True)
class Collection:
    """A collection to be registered.

    Attributes
    ----------
    kind : `CollectionType`
        Its type.
    doc : `str` or `None`
        What it is for; `None` leaves what is there.
    children : `tuple` [`str`]
        Of a chain.
    """

    kind: CollectionType
    doc: str | None = None
    children: tuple[str, ...] = ()


@dataclass
class Bundle:
    """What is to be added.

    Attributes
    ----------
    records : `dict` [`str`, `list` [`DimensionRecord`]]
        By element.
    types : `dict` [`str`, `DatasetType`]
        By name.
    collections : `dict` [`str`, `Collection`]
        By name.
    datasets : `dict` [`DatasetLayout`, `pyarrow.Table`]
        Rows of the datasets themselves, in the columns of their table.
    members : `dict` [`DatasetLayout`, `pyarrow.Table`]
        Rows that say that datasets are in tags and calibration collections.
    """

    records: dict[str, list[DimensionRecord]] = field(default_factory=dict)
    types: dict[str, DatasetType] = field(default_factory=dict)
    collections: dict[str, Collection] = field(default_factory=dict)
    datasets: dict[DatasetLayout, pa.Table] = field(default_factory=dict)
    members: dict[DatasetLayout, pa.Table] = field(default_factory=dict)

    def count(self) -> int:
        """Number of datasets."""
        return sum(table.num_rows for table in self.datasets.values())

    def add_table(self, kind: str, layout: DatasetLayout, table: pa.Table) -> None:
        """Add rows to ``datasets`` or ``members``.

        Parameters
        ----------
        kind : `str`
            Which of the two.
        layout : `DatasetLayout`
            Where they belong.
        table : `pyarrow.Table`
            The rows.
        """
        import pyarrow as pa

        if not table.num_rows:
            return
        tables: dict[DatasetLayout, pa.Table] = getattr(self, kind)
        present = tables.get(layout)
        tables[layout] = table if present is None else pa.concat_tables([present, table])

    def add_records(self, element: DimensionElement, records: Iterable[DimensionRecord]) -> None:
        """Add dimension records; the same one twice counts once.

        Parameters
        ----------
        element : `DimensionElement`
            Of which element.
        records : iterable of `DimensionRecord`
            The records.

        Raises
        ------
        ConflictingDefinitionError
            Raised if two have one key and differ.
        """
        kept = self.records.setdefault(element.name, [])
        n = len(element.required)
        known = {record.to_row()[:n]: record for record in kept}
        for record in records:
            other = known.setdefault(record.to_row()[:n], record)
            if other is record:
                kept.append(record)
            elif other != record:
                raise ConflictingDefinitionError(
                    f"two {element.name} records with the key {record.to_row()[:n]} differ",
                    hint="what is to be added contradicts itself",
                )


def merge_plain(
    bundle: Bundle,
    cache: RecordCache,
    universe: DimensionUniverse,
    skip: Iterable[str] = (),
) -> Build:
    """Operation that adds everything but datasets: records, types and collections.

    Parameters
    ----------
    bundle : `Bundle`
        What is to be added.
    cache : `RecordCache`
        Records known already.
    universe : `DimensionUniverse`
        The repository's dimensions.
    skip : iterable of `str`, optional
        Elements whose records are left out.

    Returns
    -------
    build : callable
        Records that are there already stay as they are; a type or a collection that is
        there in another form is an error.
    """
    left_out = set(skip)

    def build(snapshot: Snapshot) -> Change | None:
        whole, working = Change(), snapshot

        def then(change: Change | None) -> None:
            nonlocal working
            if change is not None:
                working = working.apply(change)
                whole.extend(change)

        for element in universe.elements:
            records = bundle.records.get(element.name)
            if records and element.name not in left_out:
                then(insert_records(working, cache, element, records, skip_existing=True))
        for dataset_type in bundle.types.values():
            then(dataset_types.register_dataset_type(working, dataset_type))
        for name, collection in bundle.collections.items():
            then(collections.register_collection(working, name, collection.kind, collection.doc))
            if collection.doc and working.state(collections.KIND)[name].get("doc") != collection.doc:
                then(collections.set_documentation(working, name, collection.doc))
        for name, collection in bundle.collections.items():
            if collection.kind is CollectionType.CHAINED:
                _require_children(working, name, collection)
                then(collections.edit_chain(working, name, "redefine", collection.children))
        return whole or None

    return build


def _require_children(snapshot: Snapshot, name: str, chain: Collection) -> None:
    known = snapshot.state(collections.KIND)
    for child in chain.children:
        if child not in known:
            raise MissingCollectionError(
                f"the chain {name!r} has the child {child!r}, which comes with it as little as it is there",
                hint=f"register {child!r} first, or import what holds it",
            )


# ------------------------------------------------------------------------- columns


def dataset_table(
    dataset_type: DatasetType,
    run: str | Sequence[str],
    ids: Sequence[uuid.UUID] | pa.Array,
    keys: Mapping[str, Any],
    when: datetime.datetime | pa.Array,
) -> tuple[DatasetLayout, pa.Table]:
    """Make rows of datasets that have no files yet.

    Parameters
    ----------
    dataset_type : `DatasetType`
        Their type.
    run : `str` or sequence of `str`
        Their run, or that of each.
    ids : sequence of `uuid.UUID` or `pyarrow.Array`
        Their IDs; as an array, of 16 bytes each.
    keys : mapping
        A column for each required dimension.
    when : `datetime.datetime` or `pyarrow.Array`
        Time of ingest, or that of each.

    Returns
    -------
    layout : `DatasetLayout`
        The table they belong in.
    table : `pyarrow.Table`
        Its rows.
    """
    import pyarrow as pa

    from lakebutler.registry.dataset_rows import uuid_array

    layout = dataset_layout(dataset_type.dimensions)
    schema = layout.schema.arrow
    n = len(ids)
    id_type = schema.field("id").type
    if isinstance(ids, pa.Array | pa.ChunkedArray):
        raw = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
        id_column = raw if raw.type == id_type else pa.ExtensionArray.from_storage(id_type, raw)
    else:
        id_column = uuid_array(ids)
    runs = pa.repeat(run, n) if isinstance(run, str) else _array(run, pa.string())
    date = schema.field("ingest_date").type
    given = {
        "dataset_type": pa.repeat(dataset_type.name, n),
        "collection": runs,
        "id": id_column,
        "run": runs,
        "ingest_date": _array(when, date)
        if isinstance(when, pa.Array | pa.ChunkedArray)
        else pa.repeat(pa.scalar(when, date), n),
    }
    columns = []
    for column in schema:
        if column.name in layout.dimensions:
            columns.append(_array(keys[column.name], column.type))
        else:
            columns.append(given.get(column.name))
    arrays = [pa.nulls(n, f.type) if c is None else c for c, f in zip(columns, schema, strict=True)]
    return layout, pa.table(arrays, schema=schema)


def _array(values: Any, kind: Any) -> Any:
    import pyarrow as pa

    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values if values.type == kind else values.cast(kind)
    return pa.array(values, kind)


def with_files(layout: DatasetLayout, table: pa.Table, files: Sequence[FileRow | None]) -> pa.Table:
    """Give rows of datasets their files.

    Parameters
    ----------
    layout : `DatasetLayout`
        Their table.
    table : `pyarrow.Table`
        Rows without files.
    files : sequence of `FileRow` or `None`
        The file of each.

    Returns
    -------
    table : `pyarrow.Table`
        The rows with them.
    """
    import pyarrow as pa

    none = FileRow(None, None, None, None, None, None)
    columns = zip(*[none if file is None else file for file in files], strict=True)
    for name, column in zip(FILE_COLUMNS, columns, strict=False):
        at = layout.index(name)
        kind = table.schema.field(at)
        table = table.set_column(at, kind, pa.array(column, kind.type))
    return table


def member_table(
    datasets: pa.Table,
    positions: Sequence[int] | pa.Array,
    collection: str | pa.Array,
    begin: Any = None,
    end: Any = None,
) -> pa.Table:
    """Make rows that say that datasets are in collections.

    Parameters
    ----------
    datasets : `pyarrow.Table`
        Rows of datasets.
    positions : sequence of `int` or `pyarrow.Array`
        Which of them.
    collection : `str` or `pyarrow.Array`
        The collection, or that of each.
    begin, end : `int` or `pyarrow.Array`, optional
        Validity range, TAI nanoseconds, of a calibration collection.

    Returns
    -------
    table : `pyarrow.Table`
        The rows.
    """
    import pyarrow as pa

    chosen = datasets.take(_array(positions, pa.int64()))
    n = chosen.num_rows
    new = {
        "collection": pa.repeat(collection, n) if isinstance(collection, str) else collection,
        "valid_begin": begin,
        "valid_end": end,
        **dict.fromkeys(FILE_COLUMNS),
    }
    for name, value in new.items():
        kind = chosen.schema.field(name)
        if value is None:
            column = pa.nulls(n, kind.type)
        elif isinstance(value, int):
            column = pa.repeat(pa.scalar(value, kind.type), n)
        else:
            column = _array(value, kind.type)
        chosen = chosen.set_column(chosen.schema.get_field_index(name), kind, column)
    return chosen
