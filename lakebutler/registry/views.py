# SPDX-License-Identifier: BSD-3-Clause
"""Views named as a person would call them: ``raw``, ``exposure``, ``collection``.

The same SQL serves ``views.sql`` for plain DuckDB and ``Butler.sql``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import FileFormatError
from lakebutler.lake.schema import Column
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.views import STATE_VIEW, View
from lakebutler.registry.obscore import ObsCoreSources, obscore_sql
from lakebutler.registry.obscore_config import OBSCORE_SETTING, parse_obscore
from lakebutler.registry.schema import (
    DATASET_PREFIX,
    DIMENSION_PREFIX,
    dataset_layout,
    dimension_schema,
    group_of_table,
)
from lakebutler.registry.values import dataset_types_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["query_views", "repository_views", "view_names"]

_RESERVED = "lake_"
"""Names in ``views.sql`` that are the lake's own begin like this."""

_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "uuid": "UUID",
    "binary": "BLOB",
    "timestamp": "TIMESTAMPTZ",
}

_CATALOGUE = re.compile(r"(?i)\b(show|describe|information_schema|duckdb_\w+|sqlite_master|pg_catalog)\b")


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def repository_views(snapshot: Snapshot) -> list[View]:
    """Views of a repository.

    Parameters
    ----------
    snapshot : `Snapshot`
        Its tables and state; no rows are read.

    Returns
    -------
    views : `list` [`View`]
        Over the lake's tables and its state view.  Those of dimensions are there
        before there are any records.
    """
    views = _state_views()
    tables = snapshot.schemas()
    views += _dimension_views(snapshot)
    holders = {group: table for table, group in _groups(tables).items()}
    views += _all_datasets(sorted(holders.values()))
    types = dataset_types_of(snapshot)
    views += _obscore_view(snapshot, types)
    names = view_names(sorted(types), {view.name for view in views} | set(tables) | {STATE_VIEW})
    for name, value in sorted(types.items()):
        holder = holders.get(tuple(value["dimensions"]))
        if holder is not None:
            views.append(_dataset_view(name, names[name], holder, value["dimensions"]))
    return views


def view_names(dataset_types: Sequence[str], taken: Iterable[str]) -> dict[str, str]:
    """Name the views of dataset types.

    Parameters
    ----------
    dataset_types : sequence of `str`
        The dataset types.
    taken : iterable of `str`
        Names of other views and tables.

    Returns
    -------
    names : `dict` [`str`, `str`]
        For each type its own name, or with ``_dataset`` behind it where that is
        taken.  DuckDB does not tell upper from lower case.
    """
    lowered = {name.casefold() for name in taken}
    chosen: dict[str, str] = {}
    waiting = []
    for name in dataset_types:
        if name.casefold() in lowered or name.casefold().startswith(_RESERVED):
            waiting.append(name)
        else:
            lowered.add(name.casefold())
            chosen[name] = name
    for name in waiting:
        view = f"{name}_dataset"
        while view.casefold() in lowered:
            view += "_dataset"
        lowered.add(view.casefold())
        chosen[name] = view
    return chosen


def _dimension_views(snapshot: Snapshot) -> list[View]:
    tables = snapshot.schemas()
    views = {
        name: _dimension_view(name, _quote(table), [c.name for c in tables[table].columns])
        for table in sorted(tables)
        if (name := table.removeprefix(DIMENSION_PREFIX)) != table
    }
    config = snapshot.state("config").get("dimensions")
    for element in _universe(json.dumps(config, sort_keys=True)).elements if config else ():
        if element.has_own_table and element.name not in views:
            columns = dimension_schema(element).columns
            views[element.name] = _dimension_view(element.name, _empty(columns), [c.name for c in columns])
        elif element.implied_union_target is not None:
            views[element.name] = _union_view(element, tables)
    return list(views.values())


def _obscore_view(snapshot: Snapshot, types: Mapping[str, Any]) -> list[View]:
    """The view ``obscore``, or none where its configuration cannot be read."""
    tables = snapshot.schemas()
    settings = snapshot.state("config")
    universe = (
        _universe(json.dumps(settings["dimensions"], sort_keys=True)) if "dimensions" in settings else None
    )

    def records(name: str) -> tuple[str, Sequence[str]]:
        if (table := DIMENSION_PREFIX + name) in tables:
            return _quote(table), [c.name for c in tables[table].columns]
        if universe is None or name not in {element.name for element in universe.elements}:
            return "", ()
        columns = dimension_schema(universe[name]).columns
        return _empty(columns), [c.name for c in columns]

    try:
        config = parse_obscore(settings.get(OBSCORE_SETTING) or {}, OBSCORE_SETTING)
    except FileFormatError:  # reading it anew or exporting says what is wrong
        return []
    sql = obscore_sql(ObsCoreSources(_groups(tables), types, records), config)
    return [View("obscore", sql, "datasets as observations: IVOA ObsCore 1.1; t_min and t_max are UTC")]


@lru_cache(maxsize=8)
def _universe(config: str) -> DimensionUniverse:
    return DimensionUniverse(json.loads(config))


def _union_view(element: DimensionElement, tables: Mapping[str, Any]) -> View:
    assert element.implied_union_target is not None
    name, target = _quote(element.name), element.implied_union_target.name
    table = DIMENSION_PREFIX + target
    sql = f"SELECT DISTINCT {name} FROM {_quote(table)} WHERE {name} IS NOT NULL"
    if table not in tables:
        sql = f"SELECT CAST(NULL AS VARCHAR) AS {name} WHERE false"
    return View(element.name, sql, f"values of {element.name} of all {target} records")


def _empty(columns: Iterable[Column]) -> str:
    nulls = ", ".join(f"CAST(NULL AS {_TYPES[column.type]}) AS {_quote(column.name)}" for column in columns)
    return f"(SELECT {nulls} WHERE false)"


def _groups(tables: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        table: group_of_table(table, [c.name for c in schema.columns])
        for table, schema in tables.items()
        if table.startswith(DATASET_PREFIX)
    }


def _state_views() -> list[View]:
    state = _quote(STATE_VIEW)
    return [
        View(
            "collection",
            "SELECT name, value->>'type' AS type, value->>'doc' AS doc "
            f"FROM {state} WHERE kind = 'collection'",
            "collections: RUN, TAGGED, CALIBRATION, CHAINED",
        ),
        View(
            "collection_chain",
            "SELECT name AS parent, "
            "unnest(range(1, CAST(json_array_length(value, '$.children') AS BIGINT) + 1)) AS position, "
            "unnest(CAST(value->'children' AS VARCHAR[])) AS child "
            f"FROM {state} WHERE kind = 'collection' AND (value->>'type') = 'CHAINED'",
            "members of chains, in search order",
        ),
        View(
            "dataset_type",
            "SELECT name, CAST(value->'dimensions' AS VARCHAR[]) AS dimensions, "
            "value->>'storage_class' AS storage_class, "
            "CAST(value->'is_calibration' AS BOOLEAN) AS is_calibration "
            f"FROM {state} WHERE kind = 'dataset_type'",
            "dataset types and their required dimensions",
        ),
    ]


def _dimension_view(name: str, relation: str, columns: list[str]) -> View:
    extra = ""
    if "timespan_begin" in columns:
        extra = ", make_timestamp_ns(timespan_begin) AS begin_tai, make_timestamp_ns(timespan_end) AS end_tai"
    return View(name, f"SELECT *{extra} FROM {relation}", f"records of the dimension {name}; times are TAI")


def _all_datasets(tables: list[str]) -> list[View]:
    if tables:
        sources = [_quote(table) for table in tables]
    else:
        sources = [_empty(dataset_layout(DimensionUniverse().empty).schema.columns)]
    datasets = " UNION ALL ".join(
        "SELECT id, dataset_type, run, ingest_date, path, uri, size, checksum "
        f"FROM {source} WHERE collection = run"
        for source in sources
    )
    membership = " UNION ALL ".join(
        f"SELECT collection, dataset_type, id, run, valid_begin, valid_end FROM {source}"
        for source in sources
    )
    return [
        View("dataset", datasets, "datasets of all types"),
        View("membership", membership, "which dataset is in which collection; validity in TAI nanoseconds"),
    ]


def _dataset_view(name: str, view: str, table: str, dimensions: list[str]) -> View:
    columns = ", ".join(_quote(d) for d in dimensions)
    return View(
        view,
        f"SELECT id, run{', ' if columns else ''}{columns}, ingest_date, path, uri, formatter, "
        f"storage_class, size, checksum FROM {_quote(table)} "
        f"WHERE dataset_type = {_text(name)} AND collection = run",
        f"datasets of type {name}, one row each",
    )


def query_views(snapshot: Snapshot, sql: str) -> tuple[dict[str, pa.Table], dict[str, str]]:
    """What a user's SQL may name besides the lake's tables.

    Parameters
    ----------
    snapshot : `Snapshot`
        What is queried.
    sql : `str`
        The query; only what it names is made.

    Returns
    -------
    tables : `dict` [`str`, `pyarrow.Table`]
        Tables to register.
    views : `dict` [`str`, `str`]
        Views to make: SQL by name.
    """
    lowered = sql.casefold()
    everything = bool(_CATALOGUE.search(sql))
    views = {
        view.name: view.sql
        for view in repository_views(snapshot)
        if everything or view.name.casefold() in lowered
    }
    tables = {}
    if STATE_VIEW in lowered or any(STATE_VIEW in text for text in views.values()):
        tables[STATE_VIEW] = _state_table(snapshot)
    return tables, views


def _state_table(snapshot: Snapshot) -> pa.Table:
    import pyarrow as pa

    rows: list[tuple[str, str, str]] = []
    for kind in ("collection", "dataset_type"):
        rows += [(kind, name, json.dumps(value)) for name, value in snapshot.state(kind).items()]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return pa.table([pa.array(c, pa.string()) for c in columns], names=["kind", "name", "value"])
