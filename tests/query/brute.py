# SPDX-License-Identifier: BSD-3-Clause
"""What a query must find, computed from the scenario with loops: no SQL, no plan, no parser."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lakebutler.dimensions.universe import DimensionUniverse
from tests.query.scenario import CERTIFIED, CHAINS, COLLECTIONS, DATASET_TYPES, DATASETS, RECORDS, TAGS, nsec

Row = dict[str, Any]
Condition = Callable[[Row], bool | None]

MIN, MAX = 0, 4_102_444_800_000_000_000
KINDS = dict(COLLECTIONS)
TYPE_DIMENSIONS = {name: dimensions for name, dimensions, _ in DATASET_TYPES}

_KEYS = {"instrument": "name", "physical_filter": "name", "group": "name", "skymap": "name"}
_RELATIONS = ("visit_definition", "visit_system_membership")


def records(element: str) -> list[dict[str, Any]]:
    """Records of an element, with ``timespan`` as a pair of nanoseconds."""
    rows = next((rows for name, rows in RECORDS if name == element), [])
    found = []
    for row in rows:
        span = row.get("span")
        facts = {k: v for k, v in row.items() if k != "span"}
        facts["timespan"] = None if span is None else (nsec(span[0]), nsec(span[1]))
        if element not in _RELATIONS:
            facts.setdefault(element, row[_KEYS.get(element, "id")])
        found.append(facts)
    return found


def rows(universe: DimensionUniverse, names: Iterable[str]) -> Iterator[Row]:
    """Every combination of dimension values that belong together, with all facts.

    A row has a value for each dimension, and each field as ``element.field``.
    """
    group = universe.conform(names)
    tables = [(name, records(name)) for name in group.names if universe[name].has_own_table]
    tables += [
        (name, records(name)) for name in _RELATIONS if set(universe[name].required.names) <= set(group.names)
    ]
    bands = {record["band"] for record in records("physical_filter")}
    free = [{"band": band} for band in sorted(bands)] if "band" in group.names else [{}]
    for start in free:
        yield from _extend(universe, dict(start), tables)


def _extend(
    universe: DimensionUniverse, row: Row, tables: list[tuple[str, list[dict[str, Any]]]]
) -> Iterator[Row]:
    if not tables:
        yield row
        return
    (name, found), rest = tables[0], tables[1:]
    element = universe[name]
    shared = [*element.required.names, *element.implied.names]
    for record in found:
        if all(key not in row or row[key] == record[key] for key in shared):
            more = {key: record[key] for key in shared}
            facts = {f"{name}.{field}": value for field, value in record.items()}
            yield from _extend(universe, {**row, **more, **facts, f"{name}.": True}, rest)


def fact(row: Row, name: str) -> Any:
    """Value of a column, `None` where the record leaves it open."""
    return row.get(name)


# ------------------------------------------------------------------- collections


def flatten(names: Iterable[str]) -> list[str]:
    """Expand chains, each collection once."""
    found: dict[str, None] = {}
    for name in names:
        if name in CHAINS:
            found.update(dict.fromkeys(flatten(CHAINS[name])))
        else:
            found[name] = None
    return list(found)


def memberships(dataset_type: str, collection: str) -> list[tuple[tuple[Any, ...], str, tuple[int, int]]]:
    """Data ID, run and validity of each dataset of a type in a collection."""
    if KINDS[collection] == "RUN":
        return [
            (value, run, (MIN, MAX))
            for name, run, values in DATASETS
            if name == dataset_type and run == collection
            for value in values
        ]
    if KINDS[collection] == "TAGGED":
        members = [m for tag, found in TAGS if tag == collection for m in found]
        return [(value, run, (MIN, MAX)) for name, run, value in members if name == dataset_type]
    result = []
    for calibration, (begin, end), found in CERTIFIED:
        span = (MIN if begin is None else nsec(begin), MAX if end is None else nsec(end))
        if calibration == collection:
            result += [(value, run, span) for name, run, value in found if name == dataset_type]
    return result


# ----------------------------------------------------------------------- queries


def data_ids(
    universe: DimensionUniverse, result: Iterable[str], used: Iterable[str], where: Condition
) -> set[Any]:
    """Required values of the data IDs that a query finds."""
    wanted = universe.conform(result)
    return {
        tuple(row[name] for name in wanted.required)
        for row in rows(universe, {*wanted.names, *used})
        if where(row) is True
    }


FINEST = ("exposure", "visit", "day_obs")


def datasets(
    universe: DimensionUniverse,
    dataset_type: str,
    collections: Iterable[str],
    used: Iterable[str],
    where: Condition,
    *,
    find_first: bool,
) -> set[tuple[tuple[Any, ...], str]] | None:
    """Data ID and run of the datasets that a query finds; `None` if the answer is ambiguous.

    Calibrations are those valid at the time of the finest observation in the
    query; the first collection counts among what satisfies the condition.
    """
    own = universe.conform(TYPE_DIMENSIONS[dataset_type])
    group = universe.conform({*own.names, *used})
    keys = TYPE_DIMENSIONS[dataset_type]
    path = flatten(collections)
    calibrations = any(KINDS[name] == "CALIBRATION" for name in path)
    when = next((name for name in FINEST if name in group.names), None) if not own.temporal else None
    found: dict[tuple[Any, ...], list[tuple[int, tuple[Any, ...], str]]] = {}
    all_members = [
        (rank, member) for rank, name in enumerate(path) for member in memberships(dataset_type, name)
    ]
    for row in rows(universe, group.names):
        for rank, (value, run, span) in all_members:
            if any(row[key] != v for key, v in zip(keys, value, strict=True)):
                continue
            if when is not None and calibrations and not _valid(span, row[f"{when}.timespan"]):
                continue
            seen = {**row, f"{dataset_type}.run": run, f"{dataset_type}.collection": path[rank]}
            seen[f"{dataset_type}.timespan"] = span
            if where(seen) is not True:
                continue
            key = tuple(row[name] for name in (group if calibrations else own).required)
            found.setdefault(key, []).append((rank, value, run))
    chosen = set()
    for candidates in found.values():
        best = min(rank for rank, _, _ in candidates)
        chosen |= {(value, run) for rank, value, run in candidates if rank == best or not find_first}
    if find_first and len({value for value, _ in chosen}) < len(chosen):
        return None
    return chosen


def _valid(span: tuple[int, int], when: tuple[int, int] | None) -> bool:
    return span == (MIN, MAX) or bool(overlaps(span, when))


# ---------------------------------------------------------- three-valued operations


def overlaps(a: tuple[int, int] | None, b: tuple[int, int] | None) -> bool | None:
    if a is None or b is None:
        return None
    return a[0] < b[1] and b[0] < a[1] and a[0] < a[1] and b[0] < b[1]


def and_(values: Iterable[bool | None]) -> bool | None:
    found = list(values)
    return False if False in found else None if None in found else True


def or_(values: Iterable[bool | None]) -> bool | None:
    found = list(values)
    return True if True in found else None if None in found else False


def not_(value: bool | None) -> bool | None:
    return None if value is None else not value
