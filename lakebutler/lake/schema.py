# SPDX-License-Identifier: BSD-3-Clause
"""What a table is: its columns, their types, and how its rows are ordered."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["COLUMN_TYPES", "SQL_TYPES", "Column", "TableSchema"]

COLUMN_TYPES = ("string", "int64", "float64", "bool", "uuid", "binary", "timestamp")
"""Types a column may have; ``timestamp`` is microseconds, UTC."""

SQL_TYPES: Mapping[str, str] = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "uuid": "UUID",
    "binary": "BLOB",
    "timestamp": "TIMESTAMPTZ",
}
"""DuckDB's name of each column type."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}\Z")
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : `str`
        Letters, digits and underscores, not beginning with a digit.
    type : `str`
        One of `COLUMN_TYPES`.
    nullable : `bool`, optional
        Whether a row may have no value here.
    """

    name: str
    type: str
    nullable: bool = True

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(f"{self.name!r} cannot be the name of a column")
        if self.type not in COLUMN_TYPES:
            raise ValueError(f"column {self.name!r} has the unknown type {self.type!r}")


@dataclass(frozen=True)
class TableSchema:
    """The shape of a table.

    Parameters
    ----------
    name : `str`
        Letters, digits and underscores, not beginning with a digit.
    columns : `tuple` [`Column`]
        The columns, in the order of the values in a row.
    sort : `tuple` [`str`]
        Order of the rows in a file; look-ups go by any leading part of it.
    scope : `tuple` [`str`]
        Leading part of ``sort`` whose distinct values are recorded for every
        file: what is pruned by and what conflicts are found by.
    id : `str`, optional
        A ``uuid`` column with a look-up index of its own.

    Raises
    ------
    ValueError
        Raised if these do not fit together.
    """

    name: str
    columns: tuple[Column, ...]
    sort: tuple[str, ...]
    scope: tuple[str, ...]
    id: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(f"{self.name!r} cannot be the name of a table")
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "sort", tuple(self.sort))
        object.__setattr__(self, "scope", tuple(self.scope))
        names = [column.name for column in self.columns]
        if not names or len({name.casefold() for name in names}) != len(names):
            raise ValueError(f"table {self.name!r} needs columns with distinct names")
        unknown = [name for name in self.sort if name not in names]
        if unknown or len(set(self.sort)) != len(self.sort):
            raise ValueError(f"table {self.name!r} cannot be sorted by {self.sort!r}")
        if self.scope != self.sort[: len(self.scope)]:
            raise ValueError(
                f"scope {self.scope!r} of {self.name!r} does not lead its sort order {self.sort!r}"
            )
        if self.id is not None and (self.id not in names or self.column(self.id).type != "uuid"):
            raise ValueError(f"the id {self.id!r} of table {self.name!r} is not one of its uuid columns")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Where in a row each column stands."""
        return {name: i for i, name in enumerate(self.names)}

    def column(self, name: str) -> Column:
        """Return one column.

        Raises
        ------
        KeyError
            Raised if there is none of this name.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name!r} has no column {name!r}")

    @cached_property
    def _prefixes(self) -> dict[tuple[str, ...], tuple[int, ...]]:
        return {self.sort[:n]: tuple(range(n)) for n in range(1, len(self.sort) + 1)}

    def prefix(self, columns: tuple[str, ...]) -> tuple[int, ...]:
        """Say how these columns are a leading part of the sort order.

        Parameters
        ----------
        columns : `tuple` [`str`]
            Names, in any order.

        Returns
        -------
        places : `tuple` [`int`]
            For each column of the leading part, its place among ``columns``; empty if they
            are not one.
        """
        places = self._prefixes.get(columns)
        if places is None:
            lead = self.sort[: len(columns)]
            places = tuple(map(columns.index, lead)) if columns and set(lead) == set(columns) else ()
            self._prefixes[columns] = places
        return places

    def getter(self, columns: tuple[str, ...]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
        """Return the function that takes these columns out of a row."""
        made = self._getters.get(columns)
        if made is None:
            places = []
            for name in columns:
                if name not in self.position:
                    raise KeyError(f"table {self.name!r} has no column {name!r}")
                places.append(self.position[name])
            made = self._getters[columns] = _make_getter(places)
        return made

    @cached_property
    def _getters(self) -> dict[tuple[str, ...], Callable[[tuple[Any, ...]], tuple[Any, ...]]]:
        return {}

    @cached_property
    def _checks(self) -> tuple[tuple[type, bool, Callable[[Any], bool] | None], ...]:
        return tuple((_EXACT[c.type], c.nullable, _PASSES.get(c.type)) for c in self.columns)

    def check_row(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the row with each value as exactly the type of its column.

        Raises
        ------
        TypeError
            Raised if a value cannot be one of its column.
        ValueError
            Raised if there are too many or too few values, or null where none
            may be.
        """
        checks = self._checks
        if len(row) != len(checks):
            raise ValueError(f"a row of {self.name!r} has {len(checks)} values, not {len(row)}")
        for value, (exact, nullable, passes) in zip(row, checks, strict=True):
            if type(value) is exact:
                if passes is None or passes(value):
                    continue
            elif value is None and nullable:
                continue
            break
        else:
            return row if type(row) is tuple else tuple(row)
        return tuple(self._coerce(i, value) for i, value in enumerate(row))

    def _coerce(self, i: int, value: Any) -> Any:
        column = self.columns[i]
        if value is None:
            if column.nullable:
                return None
            raise ValueError(f"column {column.name!r} of {self.name!r} cannot be null")
        try:
            return _COERCE[column.type](value)
        except (TypeError, ValueError, OverflowError) as error:
            raise TypeError(
                f"{value!r} is no {column.type} for column {column.name!r} of {self.name!r}: {error}"
            ) from None

    def check_key(self, columns: tuple[str, ...], key: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a key over these columns with each value as exactly its type.

        Raises
        ------
        TypeError
            Raised if a value cannot be one of its column.
        ValueError
            Raised if there are too many or too few values.
        """
        if len(key) != len(columns):
            raise ValueError(
                f"a key over {columns!r} of {self.name!r} has {len(columns)} values, not {len(key)}"
            )
        checks, position = self._checks, self.position
        for name, value in zip(columns, key, strict=True):
            exact, _, passes = checks[position[name]]
            if value is not None and (type(value) is not exact or not (passes is None or passes(value))):
                break
        else:
            return key if type(key) is tuple else tuple(key)
        return tuple(
            None if value is None else self._coerce(position[name], value)
            for name, value in zip(columns, key, strict=True)
        )

    @cached_property
    def arrow(self) -> pa.Schema:
        """The columns as an Arrow schema."""
        import pyarrow as pa

        return pa.schema([pa.field(c.name, arrow_type(c.type), nullable=c.nullable) for c in self.columns])

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that a log entry carries."""
        return {
            "name": self.name,
            "columns": [{"name": c.name, "type": c.type, "nullable": c.nullable} for c in self.columns],
            "sort": list(self.sort),
            "scope": list(self.scope),
            "id": self.id,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TableSchema:
        """Read the JSON form.

        Raises
        ------
        KeyError, TypeError, ValueError
            Raised if it is not one.
        """
        columns = tuple(Column(c["name"], c["type"], bool(c["nullable"])) for c in data["columns"])
        return cls(data["name"], columns, tuple(data["sort"]), tuple(data["scope"]), data["id"])


def arrow_type(name: str) -> pa.DataType:
    """Arrow's type for one of `COLUMN_TYPES`."""
    import pyarrow as pa

    match name:
        case "uuid":
            return pa.uuid()
        case "timestamp":
            return pa.timestamp("us", tz="UTC")
        case "bool":
            return pa.bool_()
        case _:
            return getattr(pa, name)()


def _make_getter(places: list[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda row: tuple([row[i] for i in places])


def _to_str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    text = str(value)
    text.encode()
    return text


def _to_int(value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError("not an integer")
    number = int(value)
    if number not in _INT64:
        raise OverflowError("beyond 64 bits")
    return number


def _to_float(value: Any) -> float:
    if isinstance(value, str | bytes | bool):
        raise TypeError("not a number")
    return float(value)


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    raise TypeError("not a truth value")


def _to_uuid(value: Any) -> uuid.UUID:
    if isinstance(value, uuid.UUID):
        return value
    raise TypeError("not a UUID")


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError("not bytes")


def _to_datetime(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError("not a datetime")
    if value.tzinfo is UTC and type(value) is datetime:
        return value
    if value.tzinfo is None:
        raise ValueError("it has no time zone")
    moved = value.astimezone(UTC)
    return datetime(
        moved.year, moved.month, moved.day, moved.hour, moved.minute, moved.second, moved.microsecond, UTC
    )


_EXACT: Mapping[str, type] = {
    "string": str,
    "int64": int,
    "float64": float,
    "bool": bool,
    "uuid": uuid.UUID,
    "binary": bytes,
    "timestamp": datetime,
}
_COERCE: Mapping[str, Callable[[Any], Any]] = {
    "string": _to_str,
    "int64": _to_int,
    "float64": _to_float,
    "bool": _to_bool,
    "uuid": _to_uuid,
    "binary": _to_bytes,
    "timestamp": _to_datetime,
}
_PASSES: Mapping[str, Callable[[Any], bool]] = {
    "string": str.isascii,
    "int64": lambda value: -(2**63) <= value < 2**63,
    "timestamp": lambda value: value.tzinfo is UTC,
}
