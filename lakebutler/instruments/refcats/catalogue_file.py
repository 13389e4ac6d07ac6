# SPDX-License-Identifier: BSD-3-Clause
"""Files of a catalogue, read in batches of rows: Parquet, FITS, ECSV."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lakebutler.errors import FileFormatError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ENDINGS", "catalogue_files", "read_batches"]

_PARQUET = (".parquet", ".parq", ".pq")
_FITS = (".fits", ".fit", ".fits.gz")
_ECSV = (".ecsv", ".ecsv.gz")
ENDINGS = (*_PARQUET, *_FITS, *_ECSV)
"""Endings of files that can be read."""

_ROWS = 262_144
_BLOCK_BYTES = 16_000_000
_LONGEST_HEADER = 4_000_000


def catalogue_files(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """List the files of a catalogue.

    Parameters
    ----------
    paths : iterable of `str` or path-like
        Files, and directories whose files (not those deeper) are taken by their names.

    Returns
    -------
    files : `list` [`str`]
        Each once, in the order given; those of a directory by name.

    Raises
    ------
    FileFormatError
        Raised if there is none, or one that cannot be read by its name.
    """
    found: dict[str, None] = {}
    for path in (os.fspath(path) for path in paths):
        if os.path.isdir(path):
            inside = sorted(n for n in os.listdir(path) if n.lower().endswith(ENDINGS))
            if not inside:
                raise FileFormatError(f"{path}: no file here ends in {', '.join(ENDINGS)}")
            found |= dict.fromkeys(os.path.join(path, name) for name in inside)
        elif not path.lower().endswith(ENDINGS):
            raise FileFormatError(f"{path}: a catalogue's name ends in {', '.join(ENDINGS)}")
        elif not os.path.isfile(path):
            raise FileFormatError(f"there is no file {path}")
        else:
            found[path] = None
    if not found:
        raise FileFormatError("no file of a catalogue is given")
    return list(found)


def read_batches(path: str) -> Iterator[pa.Table]:
    """Read a file in batches of rows.

    Parameters
    ----------
    path : `str`
        One of those that `catalogue_files` lists.

    Yields
    ------
    batch : `pyarrow.Table`
        Rows; units of columns are in ``unit`` of their metadata.  At least one batch,
        which has no rows if the file has none.

    Raises
    ------
    FileFormatError
        Raised if the file cannot be read.
    """
    import pyarrow as pa
    from astropy.io.fits.verify import VerifyError
    from yaml import YAMLError

    name = path.lower()
    reader = _parquet if name.endswith(_PARQUET) else _fits if name.endswith(_FITS) else _ecsv
    try:
        yield from reader(path)
    except FileFormatError:
        raise
    except (
        pa.ArrowException,
        OSError,
        EOFError,
        VerifyError,
        YAMLError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
        RecursionError,
    ) as error:  # what readers raise on files that are broken
        reason = " ".join(str(error).split()).removeprefix(path).lstrip(": ") or type(error).__name__
        raise FileFormatError(f"{path}: cannot be read as a table: {reason[:300]}") from None


def _parquet(path: str) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=True) as file:
        schema = _plain(file.schema_arrow)
        empty = True
        for batch in file.iter_batches(batch_size=_ROWS):
            empty = False
            yield pa.Table.from_batches([batch]).cast(schema)
        if empty:
            yield schema.empty_table()


def _plain(schema: pa.Schema) -> pa.Schema:
    """The columns with their units; dictionaries differ from file to file, so there are none."""
    import pyarrow as pa

    metadata = dict(schema.metadata or {})
    units = _astropy_units(metadata.get(b"table_meta_yaml"))
    fields = []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        unit = units.get(field.name)
        notes = {**(field.metadata or {}), **({b"unit": unit.encode()} if unit else {})}
        fields.append(pa.field(field.name, kind, field.nullable, metadata=notes or None))
    kept = {k: v for k, v in metadata.items() if k not in (b"pandas", b"ARROW:schema")}
    return pa.schema(fields, metadata=kept or None)


def _astropy_units(text: bytes | None) -> dict[str, str]:
    """Units in what astropy's writer of Parquet notes in the schema."""
    from astropy.table import meta

    if text is None:
        return {}
    try:
        described = meta.get_header_from_yaml(text.decode().split("\n")).get("datatype", ())
    except meta.YamlParseError:
        raise ValueError("what astropy noted cannot be read") from None
    return {str(c["name"]): str(c["unit"]) for c in described if c.get("unit")}


def _fits(path: str) -> Iterator[pa.Table]:
    import warnings

    from astropy.io import fits
    from astropy.table import Table

    from lakebutler.datasets.storage_class import StorageClassFactory

    arrow = StorageClassFactory().getStorageClass("ArrowTable")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path, memmap=True, lazy_load_hdus=True) as hdus:
            hdu = next((h for h in hdus if isinstance(h, fits.BinTableHDU | fits.TableHDU)), None)
            if hdu is None:
                raise FileFormatError(f"{path}: the file has no table")
            count = int(hdu.header["NAXIS2"])
            schema = None
            for first in range(0, max(count, 1), _ROWS):
                part = type(hdu)(hdu.data[first : first + _ROWS], hdu.header.copy())
                table = arrow.coerce(Table.read(part, format="fits", character_as_bytes=False))
                schema = schema or table.schema
                yield table.cast(schema)


def _ecsv(path: str) -> Iterator[pa.Table]:
    from pyarrow import csv

    lines, said = _ecsv_header(path)
    schema, delimiter = _ecsv_schema(path, said)
    types = {field.name: field.type for field in schema}
    reader = csv.open_csv(
        path,
        csv.ReadOptions(block_size=_BLOCK_BYTES, skip_rows=lines),
        csv.ParseOptions(delimiter=delimiter, newlines_in_values=False),
        csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=["", "null"],  # the latter in files of Gaia's archive
            strings_can_be_null=True,
            true_values=["True", "true", "1"],
            false_values=["False", "false", "0"],
        ),
    )
    import pyarrow as pa

    with reader:
        empty = True
        for batch in reader:
            empty = False
            yield pa.Table.from_batches([batch]).cast(schema)
        if empty:
            yield schema.empty_table()


def _ecsv_header(path: str) -> tuple[int, Any]:
    """Number of lines before the names of the columns, and what they say."""
    import yaml

    text: list[str] = []
    unpacked = gzip.open if path.lower().endswith(".gz") else open
    with unpacked(path, "rt", encoding="utf-8") as stream:
        size = 0
        for line in stream:
            size += len(line)
            if not line.startswith("#") or size > _LONGEST_HEADER:
                break
            text.append(line[1:].removeprefix(" "))
    if not text or not text[0].startswith("%ECSV"):
        raise FileFormatError(f"{path}: the file does not begin with '# %ECSV'")
    try:
        return len(text), yaml.safe_load("".join(text[1:]))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{path}: its header cannot be read: {reason}") from None


def _ecsv_schema(path: str, said: Any) -> tuple[pa.Schema, str]:
    import pyarrow as pa

    columns = said.get("datatype") if isinstance(said, dict) else None
    if not isinstance(columns, list) or not all(isinstance(c, dict) and "name" in c for c in columns):
        raise FileFormatError(f"{path}: its header lists no columns with names")
    fields = []
    for column in columns:
        name, kind = str(column["name"]), str(column.get("datatype"))
        if "subtype" in column or kind not in _ECSV_TYPES:
            raise FileFormatError(
                f"{path}: column {name!r} is of type {column.get('subtype', kind)}, no plain value",
                hint="write the table as Parquet",
            )
        unit = column.get("unit")
        fields.append(pa.field(name, _ECSV_TYPES[kind], metadata={"unit": str(unit)} if unit else None))
    delimiter = said.get("delimiter", " ")
    if delimiter not in (" ", ","):
        raise FileFormatError(f"{path}: its delimiter is {delimiter!r}, neither a space nor a comma")
    return pa.schema(fields), delimiter


_ECSV_TYPES = {
    "bool": "bool",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float16": "float",
    "float32": "float",
    "float64": "double",
    "string": "string",
}
"""Arrow's names of the types of ECSV."""
