# SPDX-License-Identifier: BSD-3-Clause
"""Parquet: tables of pandas, Arrow, astropy and numpy, all through Arrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from lakebutler.errors import FileFormatError, known_names
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["ParquetFormatter"]


class ParquetFormatter(Formatter):
    """An Arrow table; what pandas and astropy know beyond it stands in its schema.

    Parameter ``columns`` reads some columns only (a name or several); ``filters``
    only the rows that pass, as ``pyarrow.parquet.read_table`` describes it.
    Component ``schema`` and ``columns`` give the Arrow schema, ``rowcount`` the
    number of rows; none of them reads the rows.
    """

    key = "parquet"
    extension = ".parquet"
    extensions = (".parq", ".pq")
    family = "parquet"
    provenance_style = ("LSST.BUTLER", ".")
    components = frozenset({"columns", "rowcount", "schema"})
    parameters = frozenset({"columns", "filters"})

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read an Arrow table, its schema or its number of rows."""
        import pyarrow
        import pyarrow.parquet as pq

        self.check_request(component, parameters)
        wanted = parameters or {}
        given = pyarrow.BufferReader(source.read()) if source.in_memory else source.path
        with pq.ParquetFile(given) as file:
            if component == "rowcount":
                return file.metadata.num_rows
            schema = file.schema_arrow
            if component is not None:
                return schema
            columns = _columns(wanted.get("columns"), schema)
            if wanted.get("filters") is None:
                return file.read(columns=columns, use_pandas_metadata=True)
        if source.in_memory:
            given = pyarrow.BufferReader(source.read())
        filters = wanted["filters"]
        return pq.read_table(given, columns=columns, filters=filters, use_pandas_metadata=True)

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write a table of any of the known kinds, compressed with zstd."""
        import pyarrow.parquet as pq

        pq.write_table(_as_arrow(obj), file, compression="zstd")

    def with_provenance(self, obj: Any, facts: Mapping[str, str | int | float | bool]) -> Any:
        """Give the table with more metadata in its schema."""
        table = _as_arrow(obj)
        metadata = dict(table.schema.metadata or {})
        return table.replace_schema_metadata(
            {**metadata, **{key: str(value) for key, value in facts.items()}}
        )


def _as_arrow(obj: Any) -> Any:
    import pyarrow

    if isinstance(obj, pyarrow.Table):
        return obj
    from lakebutler.datasets.storage_class import StorageClassFactory

    try:
        return StorageClassFactory().getStorageClass("ArrowTable").coerce(obj)
    except TypeError as exc:
        raise FileFormatError(f"Parquet cannot hold this object: {exc}") from None


def _columns(asked: Any, schema: Any) -> list[str] | None:
    if asked is None:
        return None
    names = [asked] if isinstance(asked, str) else list(asked)
    for name in names:
        if name not in schema.names:
            raise FileFormatError(
                f"the table has no column {name!r}", hint=known_names(str(name), schema.names, what="columns")
            )
    return names
