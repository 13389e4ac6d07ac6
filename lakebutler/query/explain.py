# SPDX-License-Identifier: BSD-3-Clause
"""Why a query found nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lakebutler.errors import InvalidQueryError
from lakebutler.lake import engine
from lakebutler.query.sql import count_sql
from lakebutler.registry.schema import dataset_layout, dimension_table

if TYPE_CHECKING:
    from lakebutler.lake.snapshot import Snapshot
    from lakebutler.query.request import Request

__all__ = ["why_empty"]


def why_empty(request: Request, snapshot: Snapshot, *, execute: bool = True) -> list[str]:
    """Find out which part of a query leaves nothing.

    Parameters
    ----------
    request : `Request`
        The query.
    snapshot : `Snapshot`
        The state it reads.
    execute : `bool`, optional
        Whether to run parts of the query.

    Returns
    -------
    reasons : `list` [`str`]
        One a line, the most telling first; empty if there are rows.
    """
    reasons = _searches(request, snapshot)
    if execute and not reasons:
        reasons = _conditions(request, snapshot)
    return reasons


def _searches(request: Request, snapshot: Snapshot) -> list[str]:
    reasons = []
    for search in request.searches:
        names = [name for name, _ in search.path]
        table = dataset_layout(search.dimensions).table
        held: dict[str, int] = {}
        if table in snapshot.schemas():
            for (kind, collection), rows in snapshot.scopes(table).items():
                if kind == search.name and rows > 0:
                    held[collection] = rows
        if not set(names) & set(held):
            shown = ", ".join(repr(n) for n in names[:5]) or "no collection"
            where = f"; there are some in {', '.join(sorted(held)[:5])}" if held else "; there are none anywhere"
            reasons.append(f"no {search.name} datasets in {shown}{where}")
    for name, value in request.data_id.items():
        if name in request.dimensions.universe.governor_dimensions.names:
            table = dimension_table(name)
            known = [] if table not in snapshot.schemas() else snapshot.scan(table, (name,)).column(name).to_pylist()
            if value not in known:
                shown = ", ".join(map(str, known[:8])) or "none"
                reasons.append(f"there is no {name} {value!r} (known: {shown})")
    return reasons


def _count(request: Request, snapshot: Snapshot) -> int:
    """Rows of a part of a query, up to one; a part that makes no sense alone is not to blame."""
    try:
        statement = count_sql(replace(request, order_by=(), limit=1).plan(), snapshot.schemas())
    except InvalidQueryError:
        return 1
    return int(engine.query(snapshot, statement.sql, statement.parameters).column(0)[0].as_py())


def _conditions(request: Request, snapshot: Snapshot) -> list[str]:
    if _count(request, snapshot):
        return []
    bare = replace(request, conditions=(), data_id={})
    if not _count(bare, snapshot):
        names = ", ".join(n for n in request.dimensions.elements if request.dimensions.universe[n].has_own_table)
        return [f"nothing is left once the records of {names} are joined, even without conditions"]
    reasons = []
    for name in request.data_id:
        rest = {k: v for k, v in request.data_id.items() if k == name}
        if not _count(replace(bare, data_id=rest), snapshot):
            reasons.append(f"nothing has {name}={request.data_id[name]!r}")
    fixed = replace(request, conditions=())
    for text, values in request.conditions:
        if not _count(replace(fixed, conditions=((text, values),)), snapshot):
            reasons.append(f"nothing satisfies: {text}")
    return reasons or ["no row satisfies all of the conditions together"]
