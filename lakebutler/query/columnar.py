# SPDX-License-Identifier: BSD-3-Clause
"""Results as columns for pandas, polars and astropy, without an object per row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakebutler.errors import ButlerUserError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["astropy_table", "pandas_frame", "polars_frame", "with_text_ids"]


def with_text_ids(table: pa.Table) -> pa.Table:
    """Turn UUIDs into texts, all at once.

    Parameters
    ----------
    table : `pyarrow.Table`
        Any table.

    Returns
    -------
    table : `pyarrow.Table`
        With strings of 36 characters in the place of UUIDs.
    """
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if field.type == pa.uuid():
            texts = _texts(table.column(place))
            table = table.set_column(place, field.name, texts)
    return table


def _texts(column: pa.ChunkedArray) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    n = len(column)
    if column.null_count or not n:
        return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
    raw = b"".join(
        bytes(c.storage.buffers()[1])[16 * c.storage.offset : 16 * (c.storage.offset + len(c))]
        for c in column.chunks
        if len(c)
    )
    digits = np.frombuffer(raw.hex().encode(), np.uint8).reshape(n, 32)
    texts = np.full((n, 36), ord("-"), np.uint8)
    for to, start, end in ((0, 0, 8), (9, 8, 12), (14, 12, 16), (19, 16, 20), (24, 20, 32)):
        texts[:, to : to + end - start] = digits[:, start:end]
    offsets = np.arange(0, 36 * n + 1, 36, dtype=np.int64)
    made = pa.LargeStringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(texts))
    return made.cast(pa.string()) if n < 50_000_000 else made


def pandas_frame(table: pa.Table) -> Any:
    """Make a pandas data frame.

    Parameters
    ----------
    table : `pyarrow.Table`
        A result.

    Returns
    -------
    frame : `pandas.DataFrame`
        With IDs as texts.  Integers and truths of which some are missing are of the types of
        pandas that have a missing value, ``Int64`` and ``boolean``: no number is rounded.
    """
    import pyarrow as pa

    pandas = _needed("pandas")
    whole = {pa.int8(): pandas.Int8Dtype, pa.int16(): pandas.Int16Dtype, pa.int32(): pandas.Int32Dtype}
    whole |= {pa.int64(): pandas.Int64Dtype, pa.bool_(): pandas.BooleanDtype}
    table = with_text_ids(table)
    frame = table.to_pandas(types_mapper=lambda kind: whole[kind]() if kind in whole else None)
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.type in whole and not column.null_count:
            frame[field.name] = frame[field.name].astype(whole[field.type]().numpy_dtype)
    return frame


def polars_frame(table: pa.Table) -> Any:
    """Make a polars data frame.

    Parameters
    ----------
    table : `pyarrow.Table`
        A result.

    Returns
    -------
    frame : `polars.DataFrame`
        With IDs as texts.
    """
    return _needed("polars").from_arrow(with_text_ids(table))


def astropy_table(table: pa.Table) -> Any:
    """Make an astropy table; what has no value is masked.

    Parameters
    ----------
    table : `pyarrow.Table`
        A result.

    Returns
    -------
    table : `astropy.table.Table`
        With IDs as texts, and times of ingest as UTC microseconds of numpy.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    from astropy.table import MaskedColumn, Table

    made = Table()
    table = with_text_ids(table)
    for field, column in zip(table.schema, table.columns, strict=True):
        mask = column.is_null().to_numpy() if column.null_count else None
        if pa.types.is_string(field.type):
            values = column.fill_null("").to_numpy().astype(str) if len(column) else np.zeros(0, "U1")
        elif pa.types.is_binary(field.type):
            values = column.to_numpy()
        elif pa.types.is_timestamp(field.type):
            numbers = pc.cast(column.cast(pa.timestamp("us")), pa.int64())
            values = numbers.fill_null(0).to_numpy().astype("datetime64[us]")
        elif column.null_count:
            zero = False if pa.types.is_boolean(field.type) else 0
            values = column.fill_null(zero).to_numpy()
        else:
            values = column.to_numpy()
        made[field.name] = values if mask is None else MaskedColumn(values, mask=mask)
    return made


def _needed(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise ButlerUserError(
            f"{name} is not installed", hint=f"install it: pip install {name}; or use to_arrow()"
        ) from None
