# SPDX-License-Identifier: BSD-3-Clause
"""Why a query found nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lakebutler.errors import InvalidQueryError
from lakebutler.query.columns import ColumnRef
from lakebutler.query.execute import any_row
from lakebutler.query.expression import Constant, Operation
from lakebutler.query.joins import DatasetSearch
from lakebutler.query.plan import Plan
from lakebutler.registry.schema import dataset_layout, dimension_table

if TYPE_CHECKING:
    from lakebutler.lake.snapshot import Snapshot
    from lakebutler.query.request import Request

__all__ = ["holders", "why_empty"]


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
    plan = request.plan(skip_implied=True)
    reasons = [*_searches(plan, snapshot), *_governors(plan, snapshot)]
    if execute and not reasons:
        reasons = _conditions(request, plan, snapshot)
        if reasons and plan.skies:
            pairs = ((getattr(o, "owner", "the region given") for o in op.operands) for op in plan.skies)
            reasons += [f"the regions of {one} and {two} would have to overlap" for one, two in pairs]
    return reasons


def _searches(plan: Plan, snapshot: Snapshot) -> list[str]:
    reasons = []
    for search in plan.searches:
        names = [name for name, _ in search.path]
        held = holders(snapshot, search)
        if not set(names) & set(held):
            shown = ", ".join(repr(n) for n in names[:5]) or "no collection"
            more = f" and {len(names) - 5} more collections" if len(names) > 5 else ""
            known = (
                f"; there are some in {', '.join(sorted(held)[:5])}" if held else "; there are none anywhere"
            )
            reasons.append(f"no {search.name} datasets in {shown}{more}{known}")
    return reasons


def holders(snapshot: Snapshot, search: DatasetSearch) -> list[str]:
    """Collections that hold datasets of a type.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    search : `DatasetSearch`
        A search for the type.

    Returns
    -------
    names : `list` [`str`]
        The collections, in or out of the search path.
    """
    table = dataset_layout(search.dimensions).table
    if table not in snapshot.schemas():
        return []
    scopes = snapshot.scopes(table).items()
    return [collection for (kind, collection), rows in scopes if kind == search.name and rows > 0]


def _governors(plan: Plan, snapshot: Snapshot) -> list[str]:
    """Governor values that do not exist, among those that must hold."""
    reasons = []
    parts = (
        plan.where.operands
        if isinstance(plan.where, Operation) and plan.where.name == "and"
        else (plan.where,)
    )
    governors = plan.dimensions.universe.governor_dimensions.names
    for part in parts:
        if not isinstance(part, Operation) or part.name not in ("=", "in"):
            continue
        names = [o.owner for o in part.operands if isinstance(o, ColumnRef) and o.kind == "dimension"]
        values = [o.value for o in part.operands if isinstance(o, Constant)]
        if len(names) != 1 or names[0] not in governors or len(values) + 1 != len(part.operands):
            continue
        table = dimension_table(names[0])
        known: list[str] = []
        if table in snapshot.schemas():
            known = sorted(snapshot.scan(table, (names[0],)).column(names[0]).to_pylist())
        if not set(values) & set(known):
            wanted = " or ".join(repr(value) for value in values[:5])
            shown = ", ".join(map(str, known[:8])) or "none"
            reasons.append(f"there is no {names[0]} {wanted} (known: {shown})")
    return reasons


def _any(plan: Plan, snapshot: Snapshot) -> bool:
    return any_row(plan, snapshot)


def _part(request: Request, snapshot: Snapshot) -> bool:
    """Whether a part of a query finds anything; one that makes no sense alone is not to blame."""
    try:
        return _any(request.plan(skip_implied=True), snapshot)
    except InvalidQueryError:
        return True


def _conditions(request: Request, plan: Plan, snapshot: Snapshot) -> list[str]:
    if request.limit == 0:
        return ["the limit is 0"]
    if _any(plan, snapshot):
        return []
    request = replace(request, order_by=(), limit=None)
    bare = replace(request, conditions=(), data_id={})
    if not _part(bare, snapshot):
        names = [*plan.elements, *(search.name for search in plan.searches)]
        return [f"nothing is left once {', '.join(names)} are joined, even without conditions"]
    if plan.overlaps and _any(replace(plan, overlaps=()), snapshot):
        shown = "; ".join(f"{a.owner} at the time of {b.owner}" for a, b in map(_sides, plan.overlaps))
        return [f"nothing is valid when it would have to be: {shown}"]
    return _parts(request, bare, snapshot) or ["no row satisfies all of the conditions together"]


def _parts(request: Request, bare: Request, snapshot: Snapshot) -> list[str]:
    """Find the parts of a condition that leave nothing, each with the governors it needs."""
    governors = request.dimensions.universe.governor_dimensions.names
    known = {name: value for name, value in request.data_id.items() if name in governors}
    reasons = []
    for name, value in request.data_id.items():
        if not _part(replace(bare, data_id={**known, name: value}), snapshot):
            reasons.append(f"nothing has {name}={value!r}")
    if reasons:
        return reasons
    shown = ", ".join(f"{name}={value!r}" for name, value in request.data_id.items())
    if not _part(replace(bare, data_id=request.data_id), snapshot):
        return [f"nothing has all of {shown}"]
    for text, values in request.conditions:
        condition = ((text, values),)
        if not _part(replace(bare, data_id=known, conditions=condition), snapshot):
            reasons.append(f"nothing satisfies: {text}")
        elif shown and not _part(replace(bare, data_id=request.data_id, conditions=condition), snapshot):
            reasons.append(f"nothing with {shown} satisfies: {text}")
    return reasons


def _sides(overlap: Operation) -> tuple[ColumnRef, ColumnRef]:
    first, second = overlap.operands
    assert isinstance(first, ColumnRef)
    assert isinstance(second, ColumnRef)
    return first, second
