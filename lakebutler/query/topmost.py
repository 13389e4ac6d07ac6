# SPDX-License-Identifier: BSD-3-Clause
"""The first rows in the order of a dimension, without looking at all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lakebutler.lake.extreme import nth_value
from lakebutler.query.columns import ColumnRef
from lakebutler.query.expression import Constant, Operation, conjunction
from lakebutler.query.narrow import conjuncts, narrowed
from lakebutler.query.plan import Plan
from lakebutler.registry.schema import dataset_layout, dimension_table

if TYPE_CHECKING:
    from lakebutler.lake.snapshot import Snapshot

__all__ = ["bounded"]

_MOST = 1000


def bounded(plan: Plan, snapshot: Snapshot) -> Plan | None:
    """Add a condition that leaves the first rows of a limited, ordered query.

    Parameters
    ----------
    plan : `Plan`
        The query.
    snapshot : `Snapshot`
        The state to read.

    Returns
    -------
    plan : `Plan` or `None`
        The same with a bound for the dimension that its order begins with.  If it has as
        many rows as the limit allows, these are the query's; else the bound was too tight.
        `None` if no bound is easily found.
    """
    if plan.limit is None or not 0 < plan.limit <= _MOST or not plan.order_by:
        return None
    first = plan.order_by[0]
    column = first.column
    if not isinstance(column, ColumnRef) or column.kind != "dimension" or column.type != "int":
        return None
    found = _source(plan)
    if found is None:
        return None
    table, fixed = found
    if table not in snapshot.schemas() or column.owner not in snapshot.schemas()[table].sort:
        return None
    value = nth_value(snapshot, table, fixed, column.owner, plan.limit, greatest=first.descending)
    if value is None:
        return None
    bound = Operation(">=" if first.descending else "<=", (column, Constant(value, "int")), "bool")
    return replace(plan, where=conjunction([*conjuncts(plan.where), bound]))


def _source(plan: Plan) -> tuple[str, dict[str, frozenset[Any]]] | None:
    """Return the one table whose rows are the result, and the values that are fixed."""
    allowed = narrowed(plan.where)
    if any(known.values is None for known in allowed.values()):
        return None
    if len(list(conjuncts(plan.where))) > len(allowed) or plan.skies or plan.uploads or plan.overlaps:
        return None
    fixed = {name: known.values for name, known in allowed.items() if known.values is not None}
    if len(plan.searches) == 1 and plan.target is not None and not plan.target.has_validity:
        path = frozenset(name for name, _ in plan.target.path)
        fixed |= {"dataset_type": frozenset((plan.target.name,)), "collection": path}
        return dataset_layout(plan.target.dimensions).table, fixed
    if not plan.searches and plan.element is not None:
        return dimension_table(plan.element), fixed
    return None
