# SPDX-License-Identifier: BSD-3-Clause
"""Dataset references to rows of a dataset table and back."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from functools import cached_property
from itertools import repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate, required_values
from lakebutler.registry.schema import DatasetLayout

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FILE_COLUMNS",
    "FileRow",
    "NO_FILE",
    "RefColumns",
    "batch_rows",
    "batch_table",
    "file_of",
    "key_table",
    "row_to_ref",
    "uuid_array",
    "uuid_bytes",
]


class FileRow(NamedTuple):
    """The file columns of a dataset's row.

    Attributes
    ----------
    path : `str` or `None`
        File inside the repository, relative to its root.
    uri : `str` or `None`
        Address of a file outside; exclusive with ``path``.
    formatter : `str` or `None`
        Key of the formatter that reads it.
    storage_class : `str` or `None`
        Storage class it was written as.
    size : `int` or `None`
        Bytes.
    checksum : `str` or `None`
        ``sha256:`` and the digest in hexadecimal.
    """

    path: str | None
    uri: str | None
    formatter: str | None
    storage_class: str | None
    size: int | None
    checksum: str | None


NO_FILE = FileRow(None, None, None, None, None, None)
"""A dataset that is registered but not stored."""

FILE_COLUMNS = FileRow._fields


def file_of(layout: DatasetLayout, row: Sequence[Any]) -> FileRow | None:
    """Take the file's record out of a row.

    Parameters
    ----------
    layout : `DatasetLayout`
        The table.
    row : sequence
        A full row.

    Returns
    -------
    file : `FileRow` or `None`
        `None` if the dataset is not stored.
    """
    start = layout.index("path")
    file = FileRow._make(row[start : start + len(FILE_COLUMNS)])
    return file if file.path is not None or file.uri is not None else None


def row_to_ref(
    layout: DatasetLayout, dataset_type: DatasetType, row: Sequence[Any], data_id: DataCoordinate
) -> DatasetRef:
    """Make the reference of a row.

    Parameters
    ----------
    layout : `DatasetLayout`
        The table.
    dataset_type : `DatasetType`
        Type of the dataset.
    row : sequence
        A full row.
    data_id : `DataCoordinate`
        Its data ID.

    Returns
    -------
    ref : `DatasetRef`
        The reference.
    """
    return DatasetRef(
        dataset_type, data_id, run=row[layout.index("run")], id=row[layout.index("id")], conform=False
    )


def batch_rows(
    refs: Sequence[DatasetRef],
    files: Sequence[FileRow],
    when: datetime.datetime,
    *,
    collection: str | None = None,
    validity: tuple[int, int] | None = None,
) -> list[tuple[Any, ...]]:
    """Make rows of a small batch.

    Parameters
    ----------
    refs : sequence of `DatasetRef`
        Datasets of types that live in this table.
    files : sequence of `FileRow`
        Their files, one each.
    when : `datetime.datetime`
        Time of ingest.
    collection : `str`, optional
        Collection the rows say membership in; each dataset's run by default.
    validity : `tuple` [`int`, `int`], optional
        Validity range of a calibration membership, TAI nanoseconds.

    Returns
    -------
    rows : `list` [`tuple`]
        In the schema's column order.
    """
    begin, end = validity if validity is not None else (None, None)
    return [
        (
            ref.datasetType.name,
            ref.run if collection is None else collection,
            *ref.dataId.required_values,
            begin,
            end,
            ref.id,
            ref.run,
            when,
            *file,
        )
        for ref, file in zip(refs, files, strict=True)
    ]


class RefColumns:
    """What a batch of references says, column by column; each column is made once, when it is asked for.

    Parameters
    ----------
    layout : `DatasetLayout`
        The table that their types live in.
    refs : sequence of `DatasetRef`
        The datasets; at least one.
    """

    def __init__(self, layout: DatasetLayout, refs: Sequence[DatasetRef]) -> None:
        self.layout = layout
        self.refs = refs

    @cached_property
    def types(self) -> list[DatasetType]:
        """The dataset types, each once (two equal ones may be two objects)."""
        kinds = list(map(attrgetter("datasetType"), self.refs))
        return list(dict(zip(map(id, kinds), kinds, strict=True)).values())

    @cached_property
    def names(self) -> list[str]:
        """Names of the dataset types."""
        if len(self.types) == 1:
            return [self.types[0].name] * len(self.refs)
        return list(map(attrgetter("datasetType.name"), self.refs))

    @cached_property
    def runs(self) -> list[str]:
        """Runs."""
        return list(map(attrgetter("run"), self.refs))

    @cached_property
    def scopes(self) -> set[tuple[str, str]]:
        """Pairs of a dataset type and a run."""
        if len(self.types) == 1:
            return {(self.types[0].name, run) for run in set(self.runs)}
        return set(zip(self.names, self.runs, strict=True))

    @cached_property
    def values(self) -> list[tuple[Any, ...]]:
        """Values of the required dimensions."""
        return required_values(list(map(attrgetter("dataId"), self.refs)))

    @cached_property
    def ids(self) -> Any:
        """IDs, as an Arrow array."""
        return uuid_array([ref.id for ref in self.refs])

    @cached_property
    def keys(self) -> list[Any]:
        """Values of the required dimensions, an Arrow array for each dimension."""
        import pyarrow as pa

        schema = self.layout.schema.arrow
        columns = zip(*self.values, strict=True)
        return [
            pa.array(column, schema.field(name).type)
            for name, column in zip(self.layout.dimensions, columns, strict=False)
        ]

    def take(self, places: Sequence[int]) -> RefColumns:
        """Columns of some of the references.

        Parameters
        ----------
        places : sequence of `int`
            Their places in this batch.
        """
        return RefColumns(self.layout, [self.refs[i] for i in places])


def batch_table(
    layout: DatasetLayout,
    refs: Sequence[DatasetRef] | RefColumns,
    files: Sequence[FileRow] | None,
    when: datetime.datetime,
    *,
    collection: str | None = None,
    validity: tuple[int, int] | None = None,
) -> pa.Table:
    """Make the rows of a large batch as an Arrow table.

    Parameters
    ----------
    layout : `DatasetLayout`
        The table.
    refs : sequence of `DatasetRef`, or `RefColumns`
        Datasets of types that live in this table; at least one.
    files : sequence of `FileRow`, optional
        Their files, one each; none by default.
    when : `datetime.datetime`
        Time of ingest.
    collection : `str`, optional
        Collection the rows say membership in; each dataset's run by default.
    validity : `tuple` [`int`, `int`], optional
        Validity range of a calibration membership, TAI nanoseconds.

    Returns
    -------
    table : `pyarrow.Table`
        In the schema's column order.
    """
    import pyarrow as pa

    batch = refs if isinstance(refs, RefColumns) else RefColumns(layout, refs)
    n = len(batch.refs)
    schema = layout.schema.arrow
    columns: list[Any] = [
        _strings(batch.names),
        _strings(batch.runs) if collection is None else pa.repeat(collection, n),
        *batch.keys,
    ]
    begin, end = validity if validity is not None else (None, None)
    columns += [_constant(begin, n, pa.int64()), _constant(end, n, pa.int64())]
    columns.append(batch.ids)
    columns.append(_strings(batch.runs))
    columns.append(_constant(when, n, schema.field("ingest_date").type))
    if files is None:
        columns += [pa.nulls(n, schema.field(name).type) for name in FILE_COLUMNS]
    else:
        for name, column in zip(FILE_COLUMNS, zip(*files, strict=True), strict=True):
            columns.append(pa.array(column, schema.field(name).type))
    return pa.table([_as(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def key_table(
    layout: DatasetLayout, refs: Sequence[DatasetRef] | RefColumns, collection: str | None = None
) -> pa.Table:
    """Make the keys of a batch as an Arrow table, for a bulk look-up.

    Parameters
    ----------
    layout : `DatasetLayout`
        The table.
    refs : sequence of `DatasetRef`, or `RefColumns`
        The datasets.
    collection : `str`, optional
        Collection to look in; each dataset's run by default.

    Returns
    -------
    keys : `pyarrow.Table`
        The table's key columns.
    """
    import pyarrow as pa

    batch = refs if isinstance(refs, RefColumns) else RefColumns(layout, refs)
    schema = layout.schema.arrow
    columns: list[Any] = [
        _strings(batch.names),
        _strings(batch.runs) if collection is None else pa.repeat(collection, len(batch.refs)),
        *batch.keys,
    ]
    fields = [schema.field(name) for name in layout.key_columns]
    return pa.table([_as(c, f.type) for c, f in zip(columns, fields, strict=True)], schema=pa.schema(fields))


def uuid_array(ids: Sequence[uuid.UUID]) -> Any:
    """Make an Arrow array of UUIDs.

    Parameters
    ----------
    ids : sequence of `uuid.UUID`
        The values.

    Returns
    -------
    array : `pyarrow.Array`
        Of Arrow's UUID type.
    """
    import pyarrow as pa

    to_bytes: Any = int.to_bytes
    raw = b"".join(map(to_bytes, map(attrgetter("int"), ids), repeat(16), repeat("big")))
    storage = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(raw)])
    return pa.ExtensionArray.from_storage(pa.uuid(), storage)


def uuid_bytes(column: Any) -> list[bytes]:
    """Return the values of an Arrow column of UUIDs, 16 bytes each, without an object of `uuid`.

    Parameters
    ----------
    column : `pyarrow.ChunkedArray`
        Of Arrow's UUID type, without nulls.
    """
    return [value for chunk in column.chunks for value in chunk.storage.to_pylist()]


def _strings(values: Sequence[str]) -> Any:
    import pyarrow as pa

    if len(set(values)) == 1:
        return pa.repeat(values[0], len(values))
    return pa.array(values, pa.string())


def _constant(value: Any, n: int, kind: Any) -> Any:
    import pyarrow as pa

    return pa.nulls(n, kind) if value is None else pa.repeat(pa.scalar(value, kind), n)


def _as(column: Any, kind: Any) -> Any:
    return column if column.type == kind else column.cast(kind)
