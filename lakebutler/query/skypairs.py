# SPDX-License-Identifier: BSD-3-Clause
"""All pairs of records whose regions overlap, as an Arrow table."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.lake import engine
from lakebutler.lake.relation import relation
from lakebutler.lake.select import Allowed
from lakebutler.query.expression import Operation
from lakebutler.query.expression_sql import quote
from lakebutler.query.plan import sky_keys
from lakebutler.query.regions import Regions, kept_pairs
from lakebutler.query.sky import Pairs, Side, few_pairs, sides
from lakebutler.query.skyindex import index_table
from lakebutler.registry.overlaps import overlap_schema
from lakebutler.registry.schema import dimension_schema, dimension_table

if TYPE_CHECKING:
    import pyarrow as pa

    from lakebutler.lake.snapshot import Snapshot

__all__ = ["pairs_table"]

_FEW = 20_000
"""Regions of one side that are looked up in the index of the other."""
_ALL = 10**9


def pairs_table(
    snapshot: Snapshot,
    op: Operation,
    universe: DimensionUniverse,
    allowed: Mapping[str, Allowed],
    known: Pairs | None = None,
) -> pa.Table:
    """Find all pairs that overlap.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to read.
    op : `Operation`
        A ``sky`` operation.
    universe : `DimensionUniverse`
        The repository's dimensions.
    allowed : mapping [`str`, `Allowed`]
        What dimensions may be: pairs of others may be left out.
    known : `Pairs`, optional
        The pairs, if they were found before.

    Returns
    -------
    pairs : `pyarrow.Table`
        The dimensions of both, each pair once.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    left, right = sides(op, universe)
    names = sky_keys(op, universe)
    most = _FEW
    if not (left.stored and right.stored):
        most = _ALL  # a pixel's region follows from its number: there is nothing to join
    pairs = known if known is not None else few_pairs(snapshot, left, right, allowed, most)
    if pairs is None:
        pairs = _all_pairs(snapshot, left, right, allowed)
    columns = {name: pairs.left.column(name) for name in left.keys}
    columns |= {name: pairs.right.column(name) for name in right.keys}
    made = pa.table(columns) if columns else pa.table({"one": pa.array([1] * pairs.left.num_rows, pa.int8())})
    shared = [name for name in left.keys if name in right.keys]
    if shared:
        same = [pc.equal(pairs.left.column(name), pairs.right.column(name)) for name in shared]
        made = made.filter(functools.reduce(pc.and_, same))
    return made.select(list(names)) if names else made


def _all_pairs(snapshot: Snapshot, left: Side, right: Side, allowed: Mapping[str, Allowed]) -> Pairs:
    import pyarrow as pa

    records = [_records(snapshot, side, allowed) for side in (left, right)]
    tables: dict[str, pa.Table] = {}
    parts = []
    for number, (side, data) in enumerate(zip((left, right), records, strict=True)):
        name = f"r{number}"
        tables[name] = data.select(list(side.keys)).append_column(
            "number", pa.array(range(data.num_rows), pa.int64())
        )
        keys = ", ".join(map(quote, side.keys))
        parts.append(
            f'(SELECT number, cell, "begin", "end" FROM {_index(snapshot, side, name, tables)} '
            f"JOIN {name} USING ({keys}))"
        )
    sql = (
        f"SELECT DISTINCT a.number AS a, b.number AS b FROM {parts[0]} a JOIN {parts[1]} b "
        'ON a.cell = b.cell AND a."begin" < b."end" AND b."begin" < a."end" ORDER BY 1, 2'
    )
    found = engine.run(snapshot, sql, tables)
    regions = [Regions(data.column("region").to_pylist()) for data in records]
    numbers = (found.column(name).to_numpy() for name in ("a", "b"))
    one, two = (pa.array(values) for values in kept_pairs(*regions, *numbers, near=False))
    return Pairs(records[0].select(list(left.keys)).take(one), records[1].select(list(right.keys)).take(two))


def _records(snapshot: Snapshot, side: Side, allowed: Mapping[str, Allowed]) -> pa.Table:
    """Keys and regions of one side."""
    import pyarrow.compute as pc

    assert side.element is not None
    where = {
        name: sorted(known.values)
        for name in side.keys
        if (known := allowed.get(name)) is not None and known.values is not None
    }
    data = snapshot.scan(dimension_table(side.element.name), (*side.keys, "region"), where)
    schema = dimension_schema(side.element)
    assert schema.column("region").type == "binary"
    return data.filter(pc.is_valid(data.column("region"))).combine_chunks()


def _index(snapshot: Snapshot, side: Side, name: str, tables: dict[str, pa.Table]) -> str:
    """SQL of the index of one side."""
    assert side.element is not None
    schema = overlap_schema(side.element)
    if schema.name in snapshot.schemas():
        made = relation(snapshot, schema.name, label=f"{name}i")
        tables.update(made.tables)
        return f"({made.sql})"
    tables[f"{name}i"] = index_table(snapshot, side.element)
    return f"{name}i"
