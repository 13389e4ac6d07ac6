# SPDX-License-Identifier: BSD-3-Clause
"""Dimension records of older universes of the field, brought into the universe of a repository.

Version 1 dropped ``seeing``; 2 made visits belong to many visit systems; 6 made ``group``
and ``day_obs`` dimensions.  The others only added columns and dimensions.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lakebutler.butler.exchange.import_yaml import tai_nsec
from lakebutler.dimensions.arrow import records_to_table, table_to_records
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import DimensionValueError, RepositoryFormatError
from lakebutler.timespan import MAX_NSEC, MIN_NSEC, Timespan

__all__ = ["check_universe", "migrate_dimensions", "migrate_records", "to_records"]

Rows = list[dict[str, Any]]


def check_universe(namespace: Any, version: Any, universe: DimensionUniverse, what: str) -> int:
    """Refuse what comes from a universe that cannot be migrated.

    Parameters
    ----------
    namespace, version : `str`, `int`
        Where it comes from.
    universe : `DimensionUniverse`
        The repository's dimensions.
    what : `str`
        What it is, for the message.

    Returns
    -------
    version : `int`
        Its version.

    Raises
    ------
    RepositoryFormatError
        Raised if it is another universe, or a newer one.
    """
    if namespace != universe.namespace:
        raise RepositoryFormatError(
            f"{what} is of dimension universe {namespace!r}, this repository of {universe.namespace!r}",
            hint="data IDs of one mean nothing in the other",
        )
    if type(version) is not int or version < 0:
        raise RepositoryFormatError(f"{what}: {version!r} is no version of a universe")
    if version > universe.version:
        raise RepositoryFormatError(
            f"{what} is of dimension universe version {version}, this repository of {universe.version}",
            hint="make a repository with the newer universe, or update lakebutler",
        )
    return version


def migrate_dimensions(names: Sequence[str], version: int) -> list[str]:
    """Dimensions of a dataset type of an older universe.

    Parameters
    ----------
    names : sequence of `str`
        Its dimensions there.
    version : `int`
        Version of that universe.

    Returns
    -------
    names : `list` [`str`]
        Its dimensions here.
    """
    if version < 2 and "visit" in names:
        return [name for name in names if name != "visit_system"]
    return list(names)


def migrate_records(
    found: Mapping[str, Rows], version: int, universe: DimensionUniverse, given: Iterable[str] = ()
) -> dict[str, Rows]:
    """Bring records of an older universe into this one.

    Parameters
    ----------
    found : mapping
        Values by field, by element; they are changed.
    version : `int`
        Version of their universe.
    universe : `DimensionUniverse`
        The repository's dimensions.
    given : iterable of `str`, optional
        Elements to leave out of what is made anew.

    Returns
    -------
    records : `dict`
        Values by field, by element.
    """
    result: dict[str, Rows] = {name: rows for name, rows in found.items() if rows}
    if universe.namespace != "daf_butler" or version >= universe.version:
        return result
    if version < 1 <= universe.version:
        _drop_seeing(result)
    if version < 2 <= universe.version:
        _split_visit_system(result)
    if version < 6 <= universe.version:
        _make_groups(result)
        _make_days(result)
    for name in given:
        result.pop(name, None)
    return result


def _drop_seeing(records: dict[str, Rows]) -> None:
    for row in records.get("visit", ()):
        row.pop("seeing", None)
        if row.get("day_obs") is None:
            begin = row.get("datetime_begin", row.get("timespan_begin"))
            row["day_obs"] = _day_of(begin)


def _day_of(begin: Any) -> int | None:
    """Date, by TAI: the offset of the observatory's day is not known."""
    if begin is None:
        return None
    nsec = begin if type(begin) is int else tai_nsec(begin)
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=nsec // 86_400_000_000_000)
    return date.year * 10000 + date.month * 100 + date.day


def _split_visit_system(records: dict[str, Rows]) -> None:
    members = records.setdefault("visit_system_membership", [])
    for row in records.get("visit", ()):
        if (system := row.pop("visit_system", None)) is not None:
            members.append({"instrument": row["instrument"], "visit_system": system, "visit": row["id"]})
    if not members:
        del records["visit_system_membership"]
    for row in records.get("visit_definition", ()):
        row.pop("visit_system", None)


def _make_groups(records: dict[str, Rows]) -> None:
    groups: dict[tuple[Any, Any], dict[str, Any]] = {
        (row["instrument"], row["name"]): row for row in records.get("group", ())
    }
    for row in records.get("exposure", ()):
        row.pop("group_id", None)
        name = row.pop("group_name", row.get("group"))
        row["group"] = name
        if name is not None:
            groups.setdefault((row["instrument"], name), {"instrument": row["instrument"], "name": name})
    if groups:
        records["group"] = list(groups.values())


def _make_days(records: dict[str, Rows]) -> None:
    days: dict[tuple[Any, Any], dict[str, Any]] = {
        (row["instrument"], row["id"]): row for row in records.get("day_obs", ())
    }
    for element in ("exposure", "visit"):
        for row in records.get(element, ()):
            day = row.get("day_obs")
            if day is not None:
                days.setdefault((row["instrument"], day), {"instrument": row["instrument"], "id": day})
    if days:
        records["day_obs"] = list(days.values())


def to_records(
    rows: Rows, element_name: str, universe: DimensionUniverse, what: str
) -> list[DimensionRecord]:
    """Make records of values by field, checked.

    Parameters
    ----------
    rows : `list` [`dict`]
        Values; a timespan also as ``datetime_begin`` and ``datetime_end``, or as
        ``timespan_begin`` and ``timespan_end`` in nanoseconds.  They are changed.
    element_name : `str`
        The element.
    universe : `DimensionUniverse`
        The repository's dimensions.
    what : `str`
        Where they come from, for messages.

    Returns
    -------
    records : `list` [`DimensionRecord`]
        One for each.

    Raises
    ------
    RepositoryFormatError
        Raised if a value does not fit.
    """
    if element_name not in universe.elements.names:
        raise RepositoryFormatError(
            f"{what}: there is no dimension or relation {element_name!r} here",
            hint=universe.suggest(element_name),
        )
    element = universe[element_name]
    if not element.has_own_table:
        return []
    if element.temporal is not None:
        for row in rows:
            _join_timespan(row, "datetime_begin", "datetime_end", tai_nsec, what)
            _join_timespan(row, "timespan_begin", "timespan_end", int, what)
    try:
        return table_to_records(element, records_to_table(element, rows))
    except (DimensionValueError, KeyError, TypeError) as error:
        message = getattr(error, "message", None) or str(error)
        raise RepositoryFormatError(
            f"{what}: {element_name} records: {message}", hint=getattr(error, "hint", None)
        ) from error


def _join_timespan(
    row: dict[str, Any], first: str, last: str, convert: Callable[[Any], int], what: str
) -> None:
    if first not in row and last not in row:
        return
    begin, end = row.pop(first, None), row.pop(last, None)
    if begin is None and end is None:
        row.setdefault("timespan", None)
        return
    try:
        low = MIN_NSEC if begin is None else convert(begin)
        high = MAX_NSEC if end is None else convert(end)
    except (TypeError, ValueError) as error:
        raise RepositoryFormatError(f"{what}: {error}") from None
    row["timespan"] = Timespan.from_nsec(low, high) if low < high else Timespan.makeEmpty()
