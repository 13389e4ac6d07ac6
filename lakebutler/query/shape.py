# SPDX-License-Identifier: BSD-3-Clause
"""From a few joined rows to a result: columns chosen, made distinct, in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.query.direct import Rows, few_rows, picker, suits
from lakebutler.query.evaluate import NotHere, Row, compiled, name_of
from lakebutler.query.expression import Operation
from lakebutler.query.plan import Order, Plan
from lakebutler.query.sky import Pairs
from lakebutler.query.sql import ANSWERS
from lakebutler.query.topmost import bounded
from lakebutler.registry.schema import dimension_schema

if TYPE_CHECKING:
    from lakebutler.lake.snapshot import Snapshot

__all__ = ["few_answers"]

_FIELDS = {"id": "dataset_id"}


def few_answers(
    plan: Plan,
    snapshot: Snapshot,
    extra: Sequence[str] = (),
    learnt: dict[Operation, Pairs] | None = None,
) -> Rows | None:
    """Answer a query without DuckDB, if it comes down to a few rows.

    Parameters
    ----------
    plan : `Plan`
        The query.
    snapshot : `Snapshot`
        The state to read.
    extra : sequence of `str`, optional
        Columns of the result's dataset search besides the dimensions.
    learnt : `dict` [`Operation`, `Pairs`], optional
        As for `lakebutler.query.direct.few_rows`.

    Returns
    -------
    rows : `Rows` or `None`
        The columns of `lakebutler.query.sql.select_sql`; `None` if DuckDB is to
        be asked.
    """
    if not suits(plan):
        return None
    first = bounded(plan, snapshot)
    if first is not None:
        found = _answers(first, snapshot, extra, learnt)
        if found is not None and len(found.rows) == plan.limit:
            return found
    return _answers(plan, snapshot, extra, learnt)


def _answers(
    plan: Plan, snapshot: Snapshot, extra: Sequence[str], learnt: dict[Operation, Pairs] | None
) -> Rows | None:
    found = few_rows(plan, snapshot, learnt)
    if found is None:
        return None
    try:
        rows = _distinct(plan, found, extra) if plan.distinct or plan.ranking == "times" else None
        if rows is None:
            rows = _plain(plan, found, extra)
    except NotHere:
        return None
    if plan.limit is not None:
        rows.rows = rows.rows[: plan.limit]
    return _with_spans(plan, rows)


def _with_spans(plan: Plan, rows: Rows) -> Rows:
    """Give each timespan among the fields two columns, as in SQL."""
    for ref in plan.columns:
        if ref.type == "timespan":
            i = rows.names.index(str(ref))
            rows.names = (*rows.names[:i], f"{ref}.begin", f"{ref}.end", *rows.names[i + 1 :])
            rows.rows = [(*r[:i], *(r[i] or (None, None)), *r[i + 1 :]) for r in rows.rows]
    return rows


def _columns(plan: Plan, found: Rows, extra: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """Names of the result's columns, and where they are."""
    index = found.index()
    names = [name for name in plan.result.data_coordinate_keys if name in index]
    places = [index[name] for name in names]
    if plan.target is not None:
        for name in extra:
            names.append(name)
            places.append(index[f"{plan.target.name}.{_FIELDS.get(name, name)}"])
    for ref in plan.columns:
        names.append(str(ref))
        places.append(index[name_of(ref)])
    return tuple(names), places


def _record_columns(plan: Plan) -> tuple[str, ...] | None:
    if plan.element is None:
        return None
    element = plan.dimensions.universe[plan.element]
    if not element.has_own_table:
        return None
    return tuple(column.name for column in dimension_schema(element).columns)


def _plain(plan: Plan, found: Rows, extra: Sequence[str]) -> Rows:
    names, places = _columns(plan, found, extra)
    rows = found.rows
    if plan.order_by:
        index = found.index()
        terms = [compiled(order.column, index) for order in plan.order_by]
        rows = _sorted(rows, [[term(row) for row in rows] for term in terms], plan.order_by)
    records = _record_columns(plan)
    if records is not None:
        place = found.index()["#record"] if rows else 0
        return Rows(records, [row[place] for row in rows])
    return Rows(names, [tuple([row[i] for i in places]) for row in rows])


def _distinct(plan: Plan, found: Rows, extra: Sequence[str]) -> Rows:
    """Each combination once, in the place of the least (or greatest) of its rows."""
    index = found.index()
    names, places = _columns(plan, found, extra)
    records = _record_columns(plan)
    chosen = places if records is None or not found.rows else [index["#record"]]
    keys = places
    times = plan.ranking == "times"
    answer = index[f"{plan.target.name}.dataset_id"] if times and plan.target is not None else -1
    if times:
        keys = places[: len(places) - len(extra) - len(plan.columns)]
    elif records is not None:
        keys = [index[name] for name in plan.dimensions.universe[str(plan.element)].required.names]
    if not plan.order_by and not times and records is None:
        return Rows(names, list(dict.fromkeys(map(picker(places), found.rows))))
    terms = [compiled(order.column, index) for order in plan.order_by]
    first: dict[Row, Row] = {}
    least: dict[Row, list[Any]] = {}
    answers: dict[Row, set[Any]] = {}
    for row in found.rows:
        key = tuple([row[i] for i in keys])
        if key not in first:
            first[key] = tuple([row[i] for i in chosen])
            least[key] = [term(row) for term in terms]
        elif terms:
            known = least[key]
            for i, (term, order) in enumerate(zip(terms, plan.order_by, strict=True)):
                known[i] = _better(known[i], term(row), max if order.descending else min)
        if times:
            answers.setdefault(key, set()).add(row[answer])
    groups = list(first)
    if terms:
        columns = [[least[key][i] for key in groups] for i in range(len(terms))]
        groups = _sorted(groups, columns, plan.order_by)
    if records is not None:
        return Rows(records, [first[key][0] for key in groups])
    if times:
        return Rows((*names, ANSWERS), [(*first[key], len(answers[key])) for key in groups])
    return Rows(names, [first[key] for key in groups])


def _better(known: Any, other: Any, choose: Callable[..., Any]) -> Any:
    if known is None or other is None:
        return other if known is None else known
    return choose(known, other)


def _sorted(rows: list[Any], columns: Sequence[Sequence[Any]], terms: Sequence[Order]) -> list[Any]:
    """Sort by several columns, what has no value last."""
    order = list(range(len(rows)))
    for values, term in reversed(list(zip(columns, terms, strict=True))):
        if any(isinstance(value, float) and math.isnan(value) for value in values):
            raise NotHere
        there = [i for i in order if values[i] is not None]
        there.sort(key=values.__getitem__, reverse=term.descending)
        order = [*there, *(i for i in order if values[i] is None)]
    return [rows[i] for i in order]
