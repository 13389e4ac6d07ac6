# SPDX-License-Identifier: BSD-3-Clause
"""Plans run by DuckDB, over the files that can have rows for them and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakebutler.errors import InvalidQueryError
from lakebutler.lake import engine
from lakebutler.lake.relation import relation
from lakebutler.lake.select import Allowed
from lakebutler.lake.sorting import rows_to_table
from lakebutler.query.direct import few_rows, suits
from lakebutler.query.expression import Operation
from lakebutler.query.expression_sql import quote
from lakebutler.query.joins import DatasetSearch, Upload
from lakebutler.query.narrow import narrowed
from lakebutler.query.plan import Plan, keep_collections
from lakebutler.query.sky import Pairs
from lakebutler.query.skypairs import pairs_table
from lakebutler.query.sql import Statement, any_sql, count_sql, select_sql
from lakebutler.registry.schema import dataset_layout

if TYPE_CHECKING:
    import pyarrow as pa

    from lakebutler.lake.snapshot import Snapshot

__all__ = ["any_row", "batches", "count_rows", "searchable", "select_rows"]

_MOST_SCOPES = 2000
Learnt = Mapping[Operation, Pairs]


@dataclass
class _Sources:
    """The relations of a plan as SQL over files and Arrow tables."""

    plan: Plan
    snapshot: Snapshot
    learnt: Mapping[Operation, Pairs]
    tables: dict[str, pa.Table] = field(default_factory=dict)
    _made: dict[Any, str] = field(default_factory=dict)

    def __call__(self, table: str | Operation | Upload, search: DatasetSearch | None) -> str:
        if isinstance(table, Operation):
            return self._pairs(table)
        if isinstance(table, Upload):
            return self._given(table)
        key: Any = (table, search.name, search.path) if search is not None else (table,)
        if key not in self._made:
            scopes = None
            if search is not None and len(search.path) <= _MOST_SCOPES:
                scopes = [(search.name, name) for name, _ in search.path]
            made = relation(self.snapshot, table, scopes=scopes, label=f"s{len(self._made)}")
            self.tables.update(made.tables)
            self._made[key] = f"({made.sql}) AS {quote(table)}" if search is not None else f"({made.sql})"
        return self._made[key]

    def _pairs(self, op: Operation) -> str:
        if op not in self._made:
            name = f"s{len(self._made)}#pairs"
            universe = self.plan.dimensions.universe
            known = self.learnt.get(op)
            self.tables[name] = pairs_table(self.snapshot, op, universe, self.allowed, known)
            self._made[op] = quote(name)
        return self._made[op]

    def _given(self, upload: Upload) -> str:
        if upload not in self._made:
            name = f"s{len(self._made)}#given"
            names = tuple(upload.dimensions.required)
            schema = dataset_layout(upload.dimensions).schema
            if names:
                self.tables[name] = rows_to_table(schema, upload.rows, names)
            else:
                import pyarrow as pa

                self.tables[name] = pa.table({"one": pa.array([1] * len(upload.rows), pa.int8())})
            self._made[upload] = quote(name)
        return self._made[upload]

    @cached_property
    def allowed(self) -> dict[str, Allowed]:
        """What the condition leaves of dimensions."""
        return narrowed(self.plan.where)


def searchable(plan: Plan, snapshot: Snapshot) -> Plan:
    """Pass over collections that hold nothing of what is searched in them.

    Parameters
    ----------
    plan : `Plan`
        The plan.
    snapshot : `Snapshot`
        The state to read.

    Returns
    -------
    plan : `Plan`
        With shorter search paths, and the same result.
    """
    tables = snapshot.schemas()
    holds = []
    for search in plan.searches:
        table = dataset_layout(search.dimensions).table
        if table in tables:
            scopes = snapshot.scopes(table)
            holds += [(search.name, name) for name, _ in search.path if (search.name, name) in scopes]
    return keep_collections(plan, holds)


def select_rows(plan: Plan, snapshot: Snapshot, extra: Sequence[str], learnt: Learnt) -> pa.Table:
    """Read the rows of a plan; see `lakebutler.query.sql.select_sql`.

    Parameters
    ----------
    plan : `Plan`
        The plan.
    snapshot : `Snapshot`
        The state to read.
    extra : sequence of `str`
        Columns of the result's dataset search besides the dimensions.
    learnt : mapping [`Operation`, `Pairs`]
        Pairs of regions that are known already.

    Returns
    -------
    rows : `pyarrow.Table`
        The rows.
    """
    sources = _Sources(plan, snapshot, learnt)
    statement = select_sql(plan, snapshot.schemas(), extra=extra, source=sources)
    return _run(snapshot, statement, sources)


def batches(
    plan: Plan, snapshot: Snapshot, extra: Sequence[str], learnt: Learnt, size: int
) -> Iterator[pa.Table]:
    """Read the rows of a plan a part at a time.

    Parameters
    ----------
    plan : `Plan`
        The plan.
    snapshot : `Snapshot`
        The state to read.
    extra : sequence of `str`
        Columns of the result's dataset search besides the dimensions.
    learnt : mapping [`Operation`, `Pairs`]
        Pairs of regions that are known already.
    size : `int`
        Rows of a part.

    Yields
    ------
    rows : `pyarrow.Table`
        One part.
    """
    sources = _Sources(plan, snapshot, learnt)
    statement = select_sql(plan, snapshot.schemas(), extra=extra, source=sources)
    try:
        yield from engine.stream(snapshot, statement.sql, sources.tables, statement.parameters, size=size)
    except InvalidQueryError as exc:
        raise _plainer(exc) from None


def count_rows(plan: Plan, snapshot: Snapshot, learnt: Learnt) -> tuple[int, int]:
    """Count the rows of a plan.

    Parameters
    ----------
    plan : `Plan`
        The plan.
    snapshot : `Snapshot`
        The state to read.
    learnt : mapping [`Operation`, `Pairs`]
        Pairs of regions that are known already.

    Returns
    -------
    count : `int`
        How many.
    answers : `int`
        The greatest number of datasets found for a data ID that is to have one.
    """
    sources = _Sources(plan, snapshot, learnt)
    statement = count_sql(plan, snapshot.schemas(), source=sources)
    (row,) = _run(snapshot, statement, sources).to_pylist()
    count, *answers = row.values()
    return int(count), int(answers[0] or 1) if answers else 1


def any_row(plan: Plan, snapshot: Snapshot) -> bool:
    """Whether a plan has any row.

    Parameters
    ----------
    plan : `Plan`
        The plan.
    snapshot : `Snapshot`
        The state to read.

    Returns
    -------
    any : `bool`
        Whether it has.
    """
    learnt: dict[Operation, Pairs] = {}
    found = few_rows(plan, snapshot, learnt) if suits(plan) else None
    if found is not None:
        return bool(found.rows)
    sources = _Sources(plan, snapshot, learnt)
    statement = any_sql(plan, snapshot.schemas(), source=sources)
    return bool(_run(snapshot, statement, sources).num_rows)


def _run(snapshot: Snapshot, statement: Statement, sources: _Sources) -> pa.Table:
    try:
        return engine.run(snapshot, statement.sql, sources.tables, statement.parameters)
    except InvalidQueryError as exc:
        raise _plainer(exc) from None


def _plainer(exc: InvalidQueryError) -> InvalidQueryError:
    if exc.message.startswith("Out of Range Error"):
        return InvalidQueryError("a number in the condition leaves the range of 64-bit integers")
    return exc
