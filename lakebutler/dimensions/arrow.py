# SPDX-License-Identifier: BSD-3-Clause
"""Dimension records as rows of the lake and as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.errors import DimensionValueError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "element_columns",
    "record_from_row",
    "record_to_row",
    "records_from_rows",
    "records_to_rows",
    "records_to_table",
    "table_to_records",
]


def element_columns(element: DimensionElement) -> list[tuple[str, str]]:
    """Columns of the table of an element's records.

    Parameters
    ----------
    element : `DimensionElement`
        The element.

    Returns
    -------
    columns : `list` [`tuple` [`str`, `str`]]
        Name and type (of `lakebutler.lake.schema.Column`), in the order of a
        row.  The required dimensions come first, the element's own value last
        among them, each under the name of its dimension; then the implied
        dimensions, alternate keys and metadata; then ``region`` (bytes of
        lsst-sphgeom), ``timespan_begin`` and ``timespan_end`` (nanoseconds of
        TAI since 1970), if the element has them.
    """
    layout = element.RecordClass.layout
    return list(zip(layout.names, layout.types, strict=True))


def record_to_row(element: DimensionElement, record: DimensionRecord) -> tuple[Any, ...]:
    """Convert a record to a row.

    Parameters
    ----------
    element : `DimensionElement`
        The element.
    record : `DimensionRecord`
        The record.

    Returns
    -------
    row : `tuple`
        Values of `element_columns`.
    """
    if record.definition is not element and record.definition != element:
        raise DimensionValueError(f"a {record.definition.name} record is no {element.name} record")
    return record.to_row()


def record_from_row(element: DimensionElement, row: tuple[Any, ...]) -> DimensionRecord:
    """Convert a row to a record.

    Parameters
    ----------
    element : `DimensionElement`
        The element.
    row : `tuple`
        Values of `element_columns`.

    Returns
    -------
    record : `DimensionRecord`
        The record.
    """
    return element.RecordClass.from_row(row)


def records_from_rows(element: DimensionElement, rows: Iterable[tuple[Any, ...]]) -> list[DimensionRecord]:
    """Convert rows to records.

    Parameters
    ----------
    element : `DimensionElement`
        The element.
    rows : iterable of `tuple`
        Values of `element_columns`.

    Returns
    -------
    records : `list` [`DimensionRecord`]
        One for each row.
    """
    return list(map(element.RecordClass.from_row, rows))


def records_to_rows(
    element: DimensionElement, records: Iterable[DimensionRecord | Mapping[str, Any]]
) -> list[tuple[Any, ...]]:
    """Convert records to rows.

    Parameters
    ----------
    element : `DimensionElement`
        The element.
    records : iterable of `DimensionRecord` or mapping
        Records, or values by field as its class accepts them.

    Returns
    -------
    rows : `list` [`tuple`]
        Values of `element_columns`, checked.
    """
    made = []
    cls = element.RecordClass
    for record in records:
        if not isinstance(record, DimensionRecord):
            record = cls(**record)
        elif record.definition != element:
            raise DimensionValueError(f"a {record.definition.name} record is no {element.name} record")
        made.append(record._row)
    return made


def records_to_table(
    element: DimensionElement, records: Sequence[DimensionRecord | Mapping[str, Any]]
) -> pa.Table:
    """Convert many records to a table.

    Parameters
    ----------
    element : `DimensionElement`
        The element.
    records : sequence of `DimensionRecord` or mapping
        Records, or values by field as its class accepts them.

    Returns
    -------
    table : `pyarrow.Table`
        Columns of `element_columns`.

    Raises
    ------
    DimensionNameError, DimensionValueError
        As for making a record; the message says which one.
    """
    import pyarrow as pa

    rows = records_to_rows(element, records)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(element_columns(element))
    types = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
    types["binary"] = pa.binary()
    schema = pa.schema([(name, types[kind]) for name, kind in element_columns(element)])
    return pa.Table.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
    )


def table_to_records(element: DimensionElement, table: pa.Table) -> list[DimensionRecord]:
    """Convert a table to records.

    Parameters
    ----------
    element : `DimensionElement`
        The element.
    table : `pyarrow.Table`
        Has the columns of `element_columns` at least.

    Returns
    -------
    records : `list` [`DimensionRecord`]
        One for each row.
    """
    columns = [table.column(name).to_pylist() for name, _ in element_columns(element)]
    return records_from_rows(element, zip(*columns, strict=True))
