# SPDX-License-Identifier: BSD-3-Clause
"""Dimension records as rows of the lake and as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from types import NoneType
from typing import TYPE_CHECKING, Any

from lakebutler.dimensions.columns import ColumnSpec, check_range, forbidden_characters
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.records import DimensionRecord, encode_region
from lakebutler.errors import DimensionValueError
from lakebutler.timespan import Timespan

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
        As for making a record.
    """
    import pyarrow as pa

    types = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
    types["binary"] = pa.binary()
    schema = pa.schema([(name, types[kind]) for name, kind in element_columns(element)])
    columns = _columns_of_mappings(element, records)
    if columns is None:
        rows = records_to_rows(element, records)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _columns_of_mappings(element: DimensionElement, records: Sequence[Any]) -> list[Sequence[Any]] | None:
    """Check plain dictionaries column by column; `None` if they need to be looked at one by one."""
    layout = element.RecordClass.layout
    if set(map(type, records)) != {dict}:
        return None
    if not set().union(*records) <= set(element.schema.names):
        return None
    columns: list[Sequence[Any]] = []
    for column in layout.plain:
        values = _check_column(column, [record.get(column.name) for record in records])
        if values is None:
            return None
        columns.append(values)
    if layout.region >= 0:
        regions = [record.get("region") for record in records]
        if any(
            isinstance(r, str) or not (r is None or type(r) is bytes or hasattr(r, "encode")) for r in regions
        ):
            return None
        columns.append([encode_region(region) for region in regions])
    if layout.timespan >= 0:
        spans = [record.get("timespan") for record in records]
        if not set(map(type, spans)) <= {Timespan, NoneType}:
            return None
        bounds = [(None, None) if span is None else span.nsec for span in spans]
        columns += [[begin for begin, _ in bounds], [end for _, end in bounds]]
    return columns


def _check_column(column: ColumnSpec, values: list[Any]) -> list[Any] | None:
    """Check values of one column at once; `None` if some may not fit."""
    kinds = set(map(type, values))
    if not kinds <= {column.pytype, NoneType} or (NoneType in kinds and not column.nullable):
        return None
    given = [value for value in values if value is not None] if NoneType in kinds else values
    if not given:
        return values
    if column.type == "string":
        if column.length is not None and max(map(len, given)) > column.length:
            return None
        return None if forbidden_characters("".join(given)) else values
    if column.type == "int":
        return values if check_range(min(given)) and check_range(max(given)) else None
    if column.type == "float":
        return [None if value is None or isnan(value) else value for value in values]
    if column.type == "hash" and column.length is not None and max(map(len, given)) > column.length:
        return None
    return values


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
