# SPDX-License-Identifier: BSD-3-Clause
"""Going back: the change that turns the newest version into an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lakebutler.lake.change import Change
from lakebutler.lake.diff import ADDED, diff_state, diff_table
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.tags import RETIRED, TAG

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["KEPT", "restoring"]

KEPT = (TAG, RETIRED)
"""Kinds of state that are about versions, and stay as they are."""

Adjust = Callable[[str, "pa.Table"], "pa.Table"]


def restoring(snapshot: Snapshot, target: Snapshot, adjust: Adjust | None = None) -> Change | None:
    """Return the change that makes everything but the tags as it was at a version.

    Parameters
    ----------
    snapshot : `Snapshot`
        The newest version.
    target : `Snapshot`
        What to go back to.
    adjust : callable, optional
        Given the name of a table and rows that come back, returns what comes back.

    Returns
    -------
    change : `Change` or `None`
        `None` if nothing differs.  Tables stay, if empty.  It is built again if
        anything at all is committed before it.
    """
    change = Change()
    for table in snapshot.schemas():
        _restore_table(change, snapshot, target, table, adjust)
    for item in diff_state(snapshot, target):
        if item.kind not in KEPT:
            change.set(item.kind, item.name, item.after)
    if not change:
        return None
    change.exclusive = True
    return change


def _restore_table(
    change: Change, snapshot: Snapshot, target: Snapshot, table: str, adjust: Adjust | None
) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = snapshot.schemas()[table]
    key = tuple(dict.fromkeys([*schema.sort, *([schema.id] if schema.id else [])])) or schema.names
    delta = diff_table(snapshot, target, table, key)
    if not delta.num_rows:
        return
    fresh = pc.equal(delta.column("_change"), ADDED)
    back = delta.filter(fresh).select(list(schema.names))
    hit = delta.filter(pc.invert(fresh)).select(list(key))
    if hit.num_rows:
        keys = list(dict.fromkeys(zip(*(column.to_pylist() for column in hit.columns), strict=True)))
        change.delete(table, key, keys)
        # Whatever else stands under such a key goes with it, and comes back as it was.
        back = back.slice(0, 0) if table not in target.schemas() else _all_of(target, table, key, hit, back)
    if back.num_rows:
        back = adjust(table, back) if adjust is not None else back
        change.append_table(table, pa.table(back.columns, schema=schema.arrow))


def _all_of(target: Snapshot, table: str, key: tuple[str, ...], hit: pa.Table, back: pa.Table) -> pa.Table:
    """Return the rows that come back: those under a key that goes, and the new ones under others."""
    from lakebutler.lake.engine import run
    from lakebutler.lake.relation import quote, shape

    schema = target.schemas()[table]
    names = ", ".join(f"r.{quote(name)}" for name in schema.names)
    equal = " AND ".join(f"r.{quote(n)} IS NOT DISTINCT FROM k.{quote(n)}" for n in key)
    distinct = run(target, f"SELECT DISTINCT {', '.join(map(quote, key))} FROM hit", {"hit": hit})
    again = target.match(table, key, distinct, list(schema.names)).select(list(schema.names))
    others = run(
        target,
        f"SELECT {names} FROM back r WHERE NOT EXISTS (SELECT 1 FROM keys k WHERE {equal})",
        {"back": back, "keys": distinct},
    )
    import pyarrow as pa

    return pa.concat_tables([shape(again, schema.arrow), shape(others, schema.arrow)])
