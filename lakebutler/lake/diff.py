# SPDX-License-Identifier: BSD-3-Clause
"""What differs between two versions, table by table, by set operations in DuckDB.

Files that both versions share cancel out and are not read, but for the rows of
theirs that deletes between the two have hit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebutler.lake.engine import run
from lakebutler.lake.relation import Relation, quote, relation
from lakebutler.lake.schema import TableSchema
from lakebutler.lake.segment import FileSegment
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.sorting import rows_to_table
from lakebutler.lake.table import Slot

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ADDED", "CHANGED", "REMOVED", "StateChange", "diff_state", "diff_table"]

ADDED, REMOVED, CHANGED = "added", "removed", "changed"


@dataclass(frozen=True, slots=True)
class StateChange:
    """A named value that differs.

    Parameters
    ----------
    kind, name : `str`
        Which value.
    before, after : object
        What it was and what it is; `None` where there is none.
    """

    kind: str
    name: str
    before: Any
    after: Any

    @property
    def change(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        return ADDED if self.before is None else REMOVED if self.after is None else CHANGED


def diff_state(a: Snapshot, b: Snapshot) -> list[StateChange]:
    """Return the named values that differ, by kind and name."""
    out = []
    for kind in sorted({*a.kinds(), *b.kinds()}):
        before, after = dict(a.state(kind)), dict(b.state(kind))
        for name in sorted({*before, *after}):
            old, new = before.get(name), after.get(name)
            if old != new:
                out.append(StateChange(kind, name, old, new))
    return out


def diff_table(a: Snapshot, b: Snapshot, table: str, key: Sequence[str]) -> pa.Table:
    """Return the rows of a table that differ.

    Parameters
    ----------
    a, b : `Snapshot`
        The two versions, of one repository and without open transactions.
    table : `str`
        Name of the table; it need not be in both.
    key : sequence of `str`
        Columns that say what a row is about: where a row went and one with the
        same key came, the row has changed.

    Returns
    -------
    rows : `pyarrow.Table`
        ``_change`` (``added``, ``removed`` or ``changed``); ``_fields``, the columns
        that changed; and all columns of the table, of the row in ``b``, or in ``a`` if
        there is none in ``b``.  In no particular order.
    """
    import pyarrow as pa

    schema = b.schemas().get(table) or a.schemas()[table]
    target = pa.schema(
        [pa.field("_change", pa.string()), pa.field("_fields", pa.list_(pa.string())), *schema.arrow]
    )
    parts = list(_parts(a, b, table))
    if not parts:
        return target.empty_table()
    names = ", ".join(quote(name) for name in schema.names)
    union = " UNION ALL ".join(f"SELECT {names}, {sign} AS _side FROM ({part.sql})" for sign, part in parts)
    tables = {name: data for _, part in parts for name, data in part.tables.items()}
    # What is there several times on one side is counted, so that copies cancel out one by one.
    summed = f"SELECT {names}, sum(_side)::BIGINT AS _sum FROM ({union}) GROUP BY ALL HAVING sum(_side) <> 0"
    delta = f"SELECT {names}, sign(_sum) AS _side, unnest(range(abs(_sum))) AS _copy FROM ({summed})"
    sql = _paired(schema, tuple(key), delta)
    found = run(b, sql, tables)
    columns = [_as(found.column(i), field.type) for i, field in enumerate(target)]
    return pa.table(columns, schema=target)


def _as(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    if column.type.equals(wanted):
        return column
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(wanted)


def _paired(schema: TableSchema, key: tuple[str, ...], delta: str) -> str:
    """Return SQL that pairs the rows that went with those that came, by their key."""
    on = " AND ".join(f"o.{quote(n)} IS NOT DISTINCT FROM n.{quote(n)}" for n in key)
    twins = ", ".join(quote(n) for n in key)
    rest = [name for name in schema.names if name not in key]
    fields = ", ".join(f"CASE WHEN o.{quote(n)} IS DISTINCT FROM n.{quote(n)} THEN '{n}' END" for n in rest)
    fields = f"list_filter([{fields}], lambda x: x IS NOT NULL)" if rest else "[]::VARCHAR[]"
    best = ", ".join(
        f"CASE WHEN n._side IS NULL THEN o.{quote(n)} ELSE n.{quote(n)} END AS {quote(n)}"
        for n in schema.names
    )
    # Rows with one key are numbered, so that each pairs with one at most.
    numbered = f"SELECT *, row_number() OVER (PARTITION BY {twins}) AS _twin FROM delta"
    return (
        f"WITH delta AS MATERIALIZED ({delta}), "
        f"o AS ({numbered} WHERE _side < 0), n AS ({numbered} WHERE _side > 0) "
        f"SELECT CASE WHEN o._side IS NULL THEN '{ADDED}' WHEN n._side IS NULL THEN '{REMOVED}' "
        f"ELSE '{CHANGED}' END, "
        f"CASE WHEN o._side IS NULL OR n._side IS NULL THEN []::VARCHAR[] ELSE {fields} END, {best} "
        f"FROM o FULL JOIN n ON {on} AND o._twin = n._twin"
    )


# ------------------------------------------------------- what needs to be compared


def _parts(a: Snapshot, b: Snapshot, table: str) -> Iterator[tuple[int, Relation]]:
    """Yield what the two sides have that does not cancel out at sight: -1 for a, 1 for b."""
    mine = {_mark(slot): slot for slot in _slots(a, table)}
    theirs = {_mark(slot): slot for slot in _slots(b, table)}
    shared = mine.keys() & theirs.keys()
    for side, snapshot, slots in ((-1, a, mine), (1, b, theirs)):
        if table in snapshot.schemas():
            own = [slot for mark, slot in slots.items() if mark not in shared]
            yield side, _renamed(relation(snapshot, table, slots=own), f"side{side}.")
    if shared:
        yield from _hit(a, b, table, [mine[mark] for mark in shared])


def _hit(a: Snapshot, b: Snapshot, table: str, slots: list[Slot]) -> Iterator[tuple[int, Relation]]:
    """Yield the rows of shared files that deletes between the two versions hit."""
    (older, newer), side = ((a, b), -1) if a.version <= b.version else ((b, a), 1)
    view = newer.view(table)
    layer, stamp = view.layers[0]
    conditions: list[str] = []
    keys = Relation("")
    for number, (columns, found) in enumerate(layer.tombstones.between(older.version, stamp).items()):
        name = f"{table}#keys{number}"
        keys.tables[name] = rows_to_table(view.schema, [key for key, _ in found], columns)
        conditions.append(_exists(quote(name), columns))
    for slot in layer.deletes:
        if older.version < slot.begin <= stamp and isinstance(slot.segment, FileSegment):
            source = "read_parquet('" + slot.segment.local().replace("'", "''") + "')"
            conditions.append(_exists(source, slot.columns))
    if not conditions:
        return
    source_rows = relation(older, table, slots=slots)
    inline = f"{table}#rows"  # rows in no file are compared elsewhere
    if inline in source_rows.tables:
        source_rows.tables[inline] = source_rows.tables[inline].slice(0, 0)
    source_rows.sql = f"SELECT f.* FROM ({source_rows.sql}) f WHERE {' OR '.join(conditions)}"
    source_rows.tables.update(keys.tables)
    yield side, _renamed(source_rows, "shared.")


def _exists(source: str, columns: Sequence[str]) -> str:
    equal = " AND ".join(f"f.{quote(n)} IS NOT DISTINCT FROM d.{quote(n)}" for n in columns)
    return f"EXISTS (SELECT 1 FROM {source} d WHERE {equal})"


def _slots(snapshot: Snapshot, table: str) -> list[Slot]:
    if table not in snapshot.schemas():
        return []
    if snapshot.overlay_key:
        raise ValueError("an open transaction cannot be compared")
    return [slot for _, slot in snapshot.view(table).segments()]


def _mark(slot: Slot) -> tuple[str, int]:
    assert isinstance(slot.segment, FileSegment)
    return slot.segment.file.path, slot.version


def _renamed(source: Relation, prefix: str) -> Relation:
    """Return the same with other names for its Arrow tables, so that two can stand in one query."""
    sql, tables = source.sql, {}
    for name, data in source.tables.items():
        sql = sql.replace(quote(name), quote(prefix + name))
        tables[prefix + name] = data
    return Relation(sql, tables, source.paths)
