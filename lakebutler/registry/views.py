# SPDX-License-Identifier: BSD-3-Clause
"""Views named as a person would call them: ``raw``, ``exposure``, ``collection``.

The same SQL serves ``views.sql`` for plain DuckDB and ``Butler.sql``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.views import STATE_VIEW, View
from lakebutler.registry.schema import DATASET_PREFIX, DIMENSION_PREFIX, group_of_table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["query_views", "repository_views", "view_names"]

_FIXED = ("collection", "collection_chain", "dataset_type", "membership", "dataset")

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
        Over the lake's tables and its state view.
    """
    views = _state_views()
    tables = snapshot.schemas()
    taken = {view.name for view in views} | {"membership", "dataset"}
    for table in sorted(tables):
        if table.startswith(DIMENSION_PREFIX):
            name = table.removeprefix(DIMENSION_PREFIX)
            taken.add(name)
            views.append(_dimension_view(name, table, [c.name for c in tables[table].columns]))
    if DIMENSION_PREFIX + "physical_filter" in tables and "band" not in taken:
        taken.add("band")
        views.append(
            View(
                "band",
                f"SELECT DISTINCT band FROM {_quote(DIMENSION_PREFIX + 'physical_filter')} WHERE band IS NOT NULL",
                "bands of all physical filters",
            )
        )
    holders = {group: table for table, group in _groups(tables).items()}
    views += _all_datasets(sorted(holders.values()))
    for name, value in sorted(snapshot.state("dataset_type").items()):
        holder = holders.get(tuple(value["dimensions"]))
        if holder is not None:
            views.append(_dataset_view(name, view_name(name, taken), holder, value["dimensions"]))
    return views


def view_name(dataset_type: str, taken: set[str]) -> str:
    """Name of a dataset type's view.

    Parameters
    ----------
    dataset_type : `str`
        The dataset type.
    taken : `set` [`str`]
        Names of other views.

    Returns
    -------
    name : `str`
        The type's own name, or with ``_dataset`` behind it where that is taken.
    """
    lowered = {name.casefold() for name in taken}
    return f"{dataset_type}_dataset" if dataset_type.casefold() in lowered else dataset_type


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
            f"SELECT name, value->>'type' AS type, value->>'doc' AS doc FROM {state} WHERE kind = 'collection'",
            "collections: RUN, TAGGED, CALIBRATION, CHAINED",
        ),
        View(
            "collection_chain",
            "SELECT name AS parent, unnest(range(1, CAST(json_array_length(value, '$.children') AS BIGINT) + 1)) AS position, "
            "unnest(CAST(value->'children' AS VARCHAR[])) AS child "
            f"FROM {state} WHERE kind = 'collection' AND value->>'type' = 'CHAINED'",
            "members of chains, in search order",
        ),
        View(
            "dataset_type",
            "SELECT name, CAST(value->'dimensions' AS VARCHAR[]) AS dimensions, "
            "value->>'storage_class' AS storage_class, CAST(value->'is_calibration' AS BOOLEAN) AS is_calibration "
            f"FROM {state} WHERE kind = 'dataset_type'",
            "dataset types and their required dimensions",
        ),
    ]


def _dimension_view(name: str, table: str, columns: list[str]) -> View:
    extra = ""
    if "timespan_begin" in columns:
        extra = ", make_timestamp_ns(timespan_begin) AS begin_tai, make_timestamp_ns(timespan_end) AS end_tai"
    return View(
        name, f"SELECT *{extra} FROM {_quote(table)}", f"records of the dimension {name}; times are TAI"
    )


def _all_datasets(tables: list[str]) -> list[View]:
    if not tables:
        return []
    datasets = " UNION ALL ".join(
        "SELECT id, dataset_type, run, ingest_date, path, uri, size, checksum "
        f"FROM {_quote(table)} WHERE collection = run"
        for table in tables
    )
    membership = " UNION ALL ".join(
        f"SELECT collection, dataset_type, id, run, valid_begin, valid_end FROM {_quote(table)}"
        for table in tables
    )
    return [
        View("dataset", datasets, "datasets of all types"),
        View("membership", membership, "which dataset is in which collection; validity in TAI nanoseconds"),
    ]


def _dataset_view(name: str, view: str, table: str, dimensions: list[str]) -> View:
    columns = ", ".join(_quote(d) for d in dimensions)
    return View(
        view,
        f"SELECT id, run{', ' if columns else ''}{columns}, ingest_date, path, uri, formatter, storage_class, size, "
        f"checksum FROM {_quote(table)} WHERE dataset_type = {_text(name)} AND collection = run",
        f"datasets of type {name}, one row each",
    )


def view_names(snapshot: Snapshot) -> list[str]:
    """Names of the views of a repository.

    Parameters
    ----------
    snapshot : `Snapshot`
        Its tables and state.

    Returns
    -------
    names : `list` [`str`]
        By name.
    """
    return sorted(view.name for view in repository_views(snapshot))


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
    import json

    import pyarrow as pa

    rows: list[tuple[str, str, str]] = []
    for kind in ("collection", "dataset_type"):
        rows += [(kind, name, json.dumps(value)) for name, value in snapshot.state(kind).items()]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return pa.table([pa.array(c, pa.string()) for c in columns], names=["kind", "name", "value"])
