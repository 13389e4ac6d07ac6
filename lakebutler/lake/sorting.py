# SPDX-License-Identifier: BSD-3-Clause
"""Putting rows in order, and counting them by scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebutler.lake.buffers import numbers, validity
from lakebutler.lake.group import flat
from lakebutler.lake.schema import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Sorted", "count_scopes", "rows_to_table", "sort_table"]

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Sorted:
    """Rows in order.

    Parameters
    ----------
    table : `pyarrow.Table`
        The rows.
    scopes : `tuple`
        Pairs of a scope and the number of its rows, in order.
    """

    table: pa.Table
    scopes: tuple[tuple[Key, int], ...]


def sort_table(schema: TableSchema, data: pa.Table, sort: Sequence[str] | None = None) -> Sorted:
    """Put rows in the order of the sort columns, null first.

    Parameters
    ----------
    schema : `TableSchema`
        Shape of the table.
    data : `pyarrow.Table`
        The rows.
    sort : sequence of `str`, optional
        Columns to sort by, if not those of the schema.
    """
    import numpy as np

    names = schema.sort if sort is None else tuple(sort)
    codes = [code for name in names for code in _codes(schema.column(name).type, flat(data.column(name)))]
    if codes and data.num_rows > 1 and not _is_sorted(codes):
        data = data.take(np.lexsort(codes[::-1]))
    scopes = count_scopes(schema, data) if sort is None else ()
    return Sorted(data.combine_chunks(), tuple(scopes))


def count_scopes(schema: TableSchema, data: pa.Table) -> list[tuple[Key, int]]:
    """Count the rows of each scope in sorted rows."""
    import numpy as np

    if not data.num_rows:
        return []
    if not schema.scope:
        return [((), data.num_rows)]
    changes = np.zeros(data.num_rows, dtype=bool)
    changes[0] = True
    for name in schema.scope:
        for code in _codes(schema.column(name).type, flat(data.column(name))):
            changes[1:] |= code[1:] != code[:-1]
    starts = np.flatnonzero(changes)
    counts = np.diff(np.append(starts, data.num_rows))
    picked = data.select(list(schema.scope)).take(starts)
    values = zip(*(picked.column(i).to_pylist() for i in range(picked.num_columns)), strict=True)
    return list(zip(values, counts.tolist(), strict=True))


def rows_to_table(schema: TableSchema, rows: Sequence[Key], names: Sequence[str] | None = None) -> pa.Table:
    """Turn rows, or keys over some columns, into an Arrow table."""
    import pyarrow as pa

    wanted = schema.names if names is None else tuple(names)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(wanted)
    arrays = []
    for name, values in zip(wanted, columns, strict=True):
        field = schema.arrow.field(name)
        if field.type == pa.uuid():
            if None in values:
                some = [None if v is None else v.int.to_bytes(16, "big") for v in values]
                raw = pa.array(some, pa.binary(16))
            else:
                joined = b"".join([v.int.to_bytes(16, "big") for v in values])
                raw = pa.FixedSizeBinaryArray.from_buffers(
                    pa.binary(16), len(values), [None, pa.py_buffer(joined)]
                )
            arrays.append(pa.ExtensionArray.from_storage(field.type, raw))
        else:
            arrays.append(pa.array(values, field.type))
    target = schema.arrow if names is None else pa.schema([schema.arrow.field(n) for n in wanted])
    return pa.table(arrays, schema=target)


def _codes(kind: str, column: pa.Array) -> list[Any]:
    """Return arrays whose order, one after the other, is that of the column."""
    if kind == "uuid" and not column.null_count:
        return _halves(column.storage)
    if kind in ("string", "binary", "uuid"):
        return [_ranks(column.storage if kind == "uuid" else column)]
    import numpy as np

    values, valid = numbers(column), validity(column)
    return [values] if valid is None else [valid, np.where(valid, values, 0)]


def _halves(column: pa.FixedSizeBinaryArray) -> list[Any]:
    """Return the first and the last eight bytes of each of 16, as numbers."""
    import numpy as np

    buffer = column.buffers()[1]
    whole = np.frombuffer(buffer, ">u8", 2 * len(column), 16 * column.offset).reshape(-1, 2)
    return [whole[:, 0].astype(np.uint64), whole[:, 1].astype(np.uint64)]


def _ranks(column: pa.Array) -> Any:
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    values = column.dictionary.to_pylist()
    order = sorted(range(len(values)), key=values.__getitem__)
    rank = np.zeros(len(values) + 1, np.int64)
    rank[np.asarray(order, dtype=np.int64)] = np.arange(1, len(values) + 1)
    indices, valid = numbers(column.indices), validity(column.indices)
    return rank[indices if valid is None else np.where(valid, indices, len(values))]


def _is_sorted(codes: Sequence[Any]) -> bool:
    import numpy as np

    open_rows = np.ones(len(codes[0]) - 1, dtype=bool)
    for code in codes:
        before, after = code[:-1], code[1:]
        if (open_rows & (before > after)).any():
            return False
        open_rows &= before == after
    return True
