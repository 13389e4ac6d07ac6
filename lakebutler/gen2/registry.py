# SPDX-License-Identifier: BSD-3-Clause
"""Registries of old repositories: SQLite files of many schemas, opened to be read only.

Tables and columns differ from camera to camera and from year to year; what is asked for
is found by the names it is known by.  Nothing is ever written, not even a journal.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from lakebutler.errors import RepositoryFormatError

__all__ = ["CalibTable", "RawRows", "read_calibrations", "read_raws"]

_BOOKKEEPING = "sqlite_"
_MOST_TABLES = 1000
_EXPOSURE = ("visit", "expid")
_DETECTOR = ("ccdnum", "ccd", "detector", "num")


@dataclass(frozen=True)
class RawRows:
    """What a registry says of raws.

    Attributes
    ----------
    source : `str`
        The file.
    columns : mapping
        Values by lower-case name, one for each row of the table of raws.
    visits : mapping
        The same of the table of visits; empty if there is none.
    """

    source: str
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    visits: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def exposure_key(self) -> str | None:
        """Column with the number of the exposure."""
        return next((name for name in _EXPOSURE if _whole(self.columns.get(name))), None)

    @property
    def detector_key(self) -> str | None:
        """Column with the number of the detector."""
        return next((name for name in _DETECTOR if name in self.columns), None)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


def _whole(values: Sequence[Any] | None) -> bool:
    """Whether there are numbers: some registries have texts under the same name."""
    return bool(values) and isinstance(next((v for v in values or () if v is not None), None), int)


@dataclass(frozen=True)
class CalibTable:
    """What a registry of calibrations says of one type.

    Attributes
    ----------
    dataset_type : `str`
        Name of the table.
    columns : mapping
        Values by lower-case name, one for each row.
    """

    dataset_type: str
    columns: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


@contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    if not os.path.isfile(path):
        raise RepositoryFormatError(f"there is no registry {path}")
    connection = sqlite3.connect(f"file:{quote(os.path.abspath(path))}?mode=ro&immutable=1", uri=True)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        yield connection
    except sqlite3.Error as error:
        raise RepositoryFormatError(
            f"the registry {path} cannot be read: {error}",
            hint="is it a whole SQLite file?  Restore it, or move it away to convert without it",
        ) from None
    finally:
        connection.close()


def _tables(connection: sqlite3.Connection) -> dict[str, list[str]]:
    query = f"SELECT name FROM sqlite_master WHERE type = 'table' LIMIT {_MOST_TABLES + 1}"
    names = [row[0] for row in connection.execute(query)]
    if len(names) > _MOST_TABLES:
        raise sqlite3.DatabaseError(f"it has more than {_MOST_TABLES} tables")
    return {
        name: [row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(name)})")]
        for name in names
        if not name.startswith(_BOOKKEEPING)
    }


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _read(connection: sqlite3.Connection, table: str, names: Sequence[str]) -> dict[str, Sequence[Any]]:
    chosen = ", ".join(_quoted(name) for name in names)
    rows = connection.execute(f"SELECT {chosen} FROM {_quoted(table)} ORDER BY rowid").fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return {name.lower(): column for name, column in zip(names, columns, strict=True)}


def read_raws(path: str) -> RawRows:
    """Read what a registry says of raws.

    Parameters
    ----------
    path : `str`
        The SQLite file.

    Returns
    -------
    rows : `RawRows`
        Its raws.

    Raises
    ------
    RepositoryFormatError
        Raised if it cannot be read, or has no table of raws.
    """
    with _opened(path) as connection:
        tables = _tables(connection)
        name = _raw_table(tables)
        if name is None:
            raise RepositoryFormatError(
                f"the registry {path} has no table of raws, but {', '.join(sorted(tables)) or 'nothing'}",
                hint="a table 'raw' with a column 'visit' or 'expId' is needed; --no-registry does without",
            )
        visits = f"{name}_visit"
        return RawRows(
            path,
            _read(connection, name, tables[name]),
            _read(connection, visits, tables[visits]) if tables.get(visits) else {},
        )


def _raw_table(tables: Mapping[str, Sequence[str]]) -> str | None:
    """The table of raws: that of this name, or the one with a table of visits beside it."""
    fit = [
        name
        for name, columns in tables.items()
        if not name.lower().endswith(("_visit", "_skytile")) and {c.lower() for c in columns} & set(_EXPOSURE)
    ]
    if "raw" in fit:
        return "raw"
    beside = [name for name in fit if f"{name}_visit" in tables]
    return next(iter([*beside, *fit]), None)


def read_calibrations(path: str) -> dict[str, CalibTable]:
    """Read a registry of calibrations.

    Parameters
    ----------
    path : `str`
        The SQLite file.

    Returns
    -------
    tables : `dict` [`str`, `CalibTable`]
        By dataset type; tables without validity ranges are none.
    """
    with _opened(path) as connection:
        found = {}
        for name, columns in _tables(connection).items():
            lower = {column.lower() for column in columns}
            if {"validstart", "validend"} <= lower:
                found[name] = CalibTable(name, _read(connection, name, columns))
        return found
