# SPDX-License-Identifier: BSD-3-Clause
"""Astropy tables as Arrow tables and back.

Units, descriptions, table metadata and mixin columns (times, coordinates,
quantities) travel the way astropy's own Parquet writer does it: as the YAML text
``table_meta_yaml`` in the schema's metadata, which astropy's restricted loader
reads.  Columns of more than one dimension become Arrow fixed-size lists, masked
values become nulls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakebutler.errors import StorageClassError

if TYPE_CHECKING:
    import pyarrow
    from astropy.table import Table

__all__ = ["arrow_to_astropy", "astropy_to_arrow"]

META_KEY = b"table_meta_yaml"


def astropy_to_arrow(table: Table) -> pyarrow.Table:
    """Turn an astropy table into an Arrow table.

    Parameters
    ----------
    table : `astropy.table.Table`
        Any astropy table.

    Returns
    -------
    table : `pyarrow.Table`
        The same columns; units and the rest in the schema's metadata.
    """
    import pyarrow
    from astropy.table import meta, serialize
    from astropy.utils.data_info import serialize_context_as

    with serialize_context_as("parquet"):
        flat = serialize.represent_mixins_as_columns(table)
    arrays = [_column_to_arrow(flat[name]) for name in flat.colnames]
    fields = []
    for name, array in zip(flat.colnames, arrays, strict=True):
        unit = flat[name].info.unit
        metadata = {"unit": str(unit)} if unit is not None else None
        fields.append(pyarrow.field(name, array.type, metadata=metadata))
    yaml = "\n".join(meta.get_yaml_from_table(flat)).encode()
    return pyarrow.table(arrays, schema=pyarrow.schema(fields, metadata={META_KEY: yaml}))


def _column_to_arrow(column: Any) -> Any:
    import numpy
    import pyarrow

    mask = numpy.ma.getmaskarray(column) if hasattr(column, "mask") else None
    values = numpy.asarray(column)
    if values.dtype.kind not in "OUS":
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.ndim > 1:
        width = int(numpy.prod(values.shape[1:]))
        flat_mask = None if mask is None or not mask.any() else mask.reshape(-1)
        flat = pyarrow.array(numpy.ascontiguousarray(values).reshape(-1), mask=flat_mask)
        array = pyarrow.FixedSizeListArray.from_arrays(flat, width)
        if values.ndim > 2:
            shape = values.shape[1:]
            array = _nest(flat, shape)
        return array
    if values.dtype.kind == "S":
        text = numpy.char.decode(values, "utf-8", "surrogateescape")
        try:
            return pyarrow.array(text, mask=mask)
        except UnicodeEncodeError:
            return pyarrow.array(values.tolist(), type=pyarrow.binary(), mask=mask)
    if mask is not None and not mask.any():
        mask = None
    return pyarrow.array(values, mask=mask)


def _nest(flat: Any, shape: tuple[int, ...]) -> Any:
    import pyarrow

    for width in reversed(shape):
        flat = pyarrow.FixedSizeListArray.from_arrays(flat, width)
    return flat


def arrow_to_astropy(table: pyarrow.Table) -> Table:
    """Turn an Arrow table into an astropy table.

    Parameters
    ----------
    table : `pyarrow.Table`
        Any Arrow table; the pandas index of one, if it has a name, is a column.

    Returns
    -------
    table : `astropy.table.Table`
        Columns with nulls are masked columns; units and metadata are restored
        where the table came from astropy.

    Raises
    ------
    StorageClassError
        Raised if the metadata cannot be understood.
    """
    from astropy.table import Table

    names = [name for name in table.column_names if not name.startswith("__index_level_")]
    result = Table({name: _column_to_numpy(table[name]) for name in names}, copy=False)
    text = (table.schema.metadata or {}).get(META_KEY)
    if text is not None:
        return _restore(result, text.decode())
    for field in table.schema:
        unit = (field.metadata or {}).get(b"unit")
        if unit and field.name in result.colnames:
            result[field.name].unit = unit.decode()
    return result


def _restore(table: Table, text: str) -> Table:
    from astropy.table import meta, serialize
    from yaml import YAMLError

    try:
        header = meta.get_header_from_yaml(text.split("\n"))
    except (meta.YamlParseError, YAMLError, ValueError, KeyError, RecursionError) as exc:
        raise StorageClassError(f"the astropy metadata of the table cannot be read: {exc}") from None
    for described in header.get("datatype", ()):
        column = table.columns.get(described["name"])
        if column is None:
            continue
        for attribute in ("unit", "description", "format", "meta"):
            if described.get(attribute) is not None:
                setattr(column.info, attribute, described[attribute])
    table.meta = dict(header.get("meta") or {})
    if "__serialized_columns__" not in table.meta:
        return table
    wanted = table.meta["__serialized_columns__"]
    missing = [name for name in wanted if not _complete(wanted[name], table.colnames)]
    for name in missing:
        del wanted[name]
    return serialize._construct_mixins_from_columns(table)


def _complete(description: Any, names: list[str]) -> bool:
    """Whether all columns that a mixin is made of were read."""
    if not isinstance(description, dict):
        return True
    if description.get("__class__") == "astropy.table.table.SerializedColumn" or "name" in description:
        name = description.get("name")
        return not isinstance(name, str) or name in names
    return all(_complete(value, names) for value in description.values())


def _column_to_numpy(column: Any) -> Any:
    import numpy
    import pyarrow

    array = column.combine_chunks() if isinstance(column, pyarrow.ChunkedArray) else column
    if isinstance(array, pyarrow.ChunkedArray):
        array = pyarrow.concat_arrays(array.chunks)
    kind = array.type
    if pyarrow.types.is_fixed_size_list(kind) and not array.null_count:
        inner = _column_to_numpy(array.flatten())
        return inner.reshape((len(array), kind.list_size, *inner.shape[1:]))
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
        filled = array.fill_null("") if array.null_count else array
        values = numpy.asarray(filled.to_pylist(), dtype="U") if len(array) else numpy.zeros(0, "U1")
    elif array.null_count and not pyarrow.types.is_nested(kind):
        values = array.fill_null(pyarrow.scalar(0).cast(kind)).to_numpy(zero_copy_only=False)
    else:
        values = array.to_numpy(zero_copy_only=False)
    if not array.null_count:
        return values
    mask = array.is_null().to_numpy(zero_copy_only=False)
    return numpy.ma.MaskedArray(values, mask=mask)
