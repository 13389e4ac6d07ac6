# SPDX-License-Identifier: BSD-3-Clause
"""Queries that come down to a few rows, answered without DuckDB.

Starting DuckDB on a query costs more than many a question is worth.  Here each
relation of a plan is narrowed by the values that the condition, and the relations
narrowed before, leave to its sort columns.  If all of them come down to a few
rows, these are joined here; else DuckDB is asked, with the same plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from lakebutler.dimensions.elements import DimensionElement
from lakebutler.lake.select import Allowed, estimate, select, select_table
from lakebutler.query.columns import ColumnRef
from lakebutler.query.evaluate import NotHere, Row, compiled, name_of, supported
from lakebutler.query.expression import Bound, Operation, columns_of
from lakebutler.query.expression_sql import UNBOUNDED
from lakebutler.query.joins import DatasetSearch, Upload
from lakebutler.query.narrow import conjuncts, narrowed
from lakebutler.query.plan import Plan, sky_keys
from lakebutler.query.sky import Pairs, few_pairs, sides
from lakebutler.registry.schema import dataset_layout, dimension_table

if TYPE_CHECKING:
    from lakebutler.lake.snapshot import Snapshot

__all__ = ["MOST", "Rows", "few_rows", "picker", "suits"]

MOST = 4000
"""Rows of one relation, or of the join, beyond which DuckDB is faster."""
_MOST_VALUES = 1000
_FEW_RECORDS = 30
_MOST_VALID = 100_000
"""Rows of calibrations that are read to find those valid at some time."""


@dataclass(slots=True)
class Rows:
    """Rows with names for their columns.

    Parameters
    ----------
    names : `tuple` [`str`]
        The columns: dimensions, and ``owner.field``.
    rows : `list` [`tuple`]
        Their values.
    """

    names: tuple[str, ...]
    rows: list[Row]

    def index(self) -> dict[str, int]:
        """Where each column is."""
        return {name: i for i, name in enumerate(self.names)}


def suits(plan: Plan) -> bool:
    """Whether a plan can be answered here if it comes down to a few rows: pure.

    Parameters
    ----------
    plan : `Plan`
        The plan.

    Returns
    -------
    suits : `bool`
        Whether everything in it can be evaluated here.
    """
    bounds = [*plan.overlaps, *(order.column for order in plan.order_by)]
    if plan.where is not None:
        bounds.append(plan.where)
    return all(map(supported, bounds))


def few_rows(plan: Plan, snapshot: Snapshot, learnt: dict[Operation, Pairs] | None = None) -> Rows | None:
    """Answer a plan if it comes down to a few rows.

    Parameters
    ----------
    plan : `Plan`
        A plan that `suits`.
    snapshot : `Snapshot`
        The state to read.
    learnt : `dict` [`Operation`, `Pairs`], optional
        Takes the pairs of regions that were found but are too many to go on with.

    Returns
    -------
    rows : `Rows` or `None`
        What is joined and satisfies the condition, ranked and in order but not
        yet distinct; `None` if these are too many, or DuckDB must be asked.
    """
    try:
        return _Answer(plan, snapshot, {} if learnt is None else learnt).rows()
    except NotHere:
        return None


class _Relation(ABC):
    """One relation of a plan, before or after it was narrowed."""

    names: tuple[str, ...] = ()

    def __init__(self, table: str | None, keys: Sequence[str]) -> None:
        self.table = table
        self.missing = table is None
        self.keys = tuple(keys)
        self.found: Rows | None = None
        self.tried: tuple[dict[str, Allowed], tuple[int, int] | None] | None = None

    @abstractmethod
    def read(self, snapshot: Snapshot, allowed: dict[str, Allowed], most: int) -> Rows | None:
        """Return its rows, or `None` if they are more than that."""

    def completed(self, snapshot: Snapshot, found: Rows) -> Rows:
        """Add what was not read of rows of which few are left."""
        return found

    def size(self, snapshot: Snapshot, allowed: dict[str, Allowed]) -> int:
        """Rows there are at most."""
        assert self.table is not None
        return estimate(snapshot, self.table, {**allowed, **self.fixed()})

    def fixed(self) -> dict[str, Allowed]:
        return {}


class _Datasets(_Relation):
    def __init__(self, plan: Plan, search: DatasetSearch, tables: Collection[str]) -> None:
        layout = dataset_layout(search.dimensions)
        super().__init__(layout.table if layout.table in tables and search.path else None, layout.dimensions)
        self.search = search
        self.whole = search.is_result or plan.uses(search)
        name = search.name
        facts = ("dataset_id", "run", "collection", "ingest_date", "timespan") if self.whole else ()
        self.names = (*layout.dimensions, *(f"{name}.{fact}" for fact in facts))
        self.columns = layout.dimensions
        if self.whole:
            self.columns += ("id", "run", "collection", "ingest_date", "valid_begin", "valid_end")

    def fixed(self) -> dict[str, Allowed]:
        path = frozenset(name for name, _ in self.search.path)
        return {"dataset_type": Allowed(frozenset((self.search.name,))), "collection": Allowed(path)}

    def read(self, snapshot: Snapshot, allowed: dict[str, Allowed], most: int) -> Rows | None:
        assert self.table is not None
        rows = select(snapshot, self.table, {**allowed, **self.fixed()}, self.columns, most)
        if rows is None:
            return None
        if not self.whole:
            return Rows(self.names, list(dict.fromkeys(rows)))
        return self._named(rows)

    def read_valid(
        self, snapshot: Snapshot, allowed: dict[str, Allowed], window: tuple[int, int], most: int
    ) -> Rows | None:
        """Read what is valid some time in a window, among many that are not."""
        import pyarrow.compute as pc

        assert self.table is not None
        wanted = {**allowed, **self.fixed()}
        low, high = window
        table = select_table(
            snapshot,
            self.table,
            wanted,
            self.columns,
            _MOST_VALID,
            keep=lambda r: (r[-2] is None or r[-2] < high) and (r[-1] is None or r[-1] > low),
        )
        if table is None:
            return None
        begin, end = (table.column(name) for name in ("valid_begin", "valid_end"))
        early = pc.fill_null(pc.less(begin, high), True)
        found = table.filter(pc.and_(early, pc.fill_null(pc.greater(end, low), True)))
        if found.num_rows > most:
            return None
        return self._named(list(zip(*(c.to_pylist() for c in found.columns), strict=True)))

    def _named(self, rows: list[Row]) -> Rows:
        low, high = UNBOUNDED
        made = [
            (*row[:-2], (low if row[-2] is None else row[-2], high if row[-1] is None else row[-1]))
            for row in rows
        ]
        return Rows(self.names, made)


class _Records(_Relation):
    def __init__(self, plan: Plan, element: DimensionElement, tables: Collection[str]) -> None:
        table = dimension_table(element.name)
        super().__init__(table if table in tables else None, element.required.names)
        self.whole = plan.element == element.name
        bounds = [*plan.overlaps, *plan.columns, *(order.column for order in plan.order_by)]
        if plan.where is not None:
            bounds.append(plan.where)
        used = (c for bound in bounds for c in columns_of(bound))
        fields = dict.fromkeys(c.field for c in used if c.kind == "element" and c.owner == element.name)
        keys = (*element.required.names, *element.implied.names)
        self.columns: tuple[str, ...] = keys
        for field in fields:
            self.columns += ("timespan_begin", "timespan_end") if field == "timespan" else (field,)
        self.names = (*keys, *(f"{element.name}.{field}" for field in fields))
        places = {name: i for i, name in enumerate(self.columns)}
        self._plain = [(places[n], -1) for n in keys]
        for field in fields:
            if field == "timespan":
                self._plain.append((places["timespan_begin"], places["timespan_end"]))
            else:
                self._plain.append((places[field], -1))

    def read(self, snapshot: Snapshot, allowed: dict[str, Allowed], most: int) -> Rows | None:
        assert self.table is not None
        rows = select(snapshot, self.table, allowed, self.columns, most)
        if rows is None or all(second < 0 for _, second in self._plain):
            return None if rows is None else Rows(self.names, rows)
        plain = self._plain
        made = [
            tuple([row[i] if j < 0 else (None if row[i] is None else (row[i], row[j])) for i, j in plain])
            for row in rows
        ]
        return Rows(self.names, made)

    def completed(self, snapshot: Snapshot, found: Rows) -> Rows:
        """Read the whole records, where these are the result."""
        if not self.whole:
            return found
        assert self.table is not None
        n = len(self.keys)
        if len(found.rows) <= _FEW_RECORDS:
            records = {row[:n]: snapshot.find(self.table, self.keys, row[:n])[0] for row in found.rows}
        else:
            allowed = {
                name: Allowed(frozenset([row[i] for row in found.rows])) for i, name in enumerate(self.keys)
            }
            read = select(snapshot, self.table, allowed, snapshot.schemas()[self.table].names, 10**9) or []
            take = snapshot.schemas()[self.table].getter(self.keys)
            records = {take(record): record for record in read}
        return Rows((*found.names, "#record"), [(*row, records[row[:n]]) for row in found.rows])


class _Given(_Relation):
    """Data IDs that the caller gave."""

    def __init__(self, upload: Upload) -> None:
        super().__init__(None, tuple(upload.dimensions.required))
        self.names = self.keys
        self.missing = False
        self.upload = upload

    def size(self, snapshot: Snapshot, allowed: dict[str, Allowed]) -> int:
        """How many were given."""
        return len(self.upload.rows)

    def read(self, snapshot: Snapshot, allowed: dict[str, Allowed], most: int) -> Rows | None:
        rows = self.upload.rows
        return Rows(self.names, list(rows)) if len(rows) <= most else None


class _Union(_Relation):
    """Values of a dimension without a table: those that another's records have."""

    def __init__(self, name: str, target: str, tables: Collection[str]) -> None:
        table = dimension_table(target)
        super().__init__(table if table in tables else None, ())
        self.names = (name,)

    def read(self, snapshot: Snapshot, allowed: dict[str, Allowed], most: int) -> Rows | None:
        assert self.table is not None
        rows = select(snapshot, self.table, {}, self.names, most)
        return (
            None if rows is None else Rows(self.names, [r for r in dict.fromkeys(rows) if r[0] is not None])
        )


class _Sky(_Relation):
    """Pairs of records whose regions overlap."""

    def __init__(
        self, plan: Plan, op: Operation, tables: Collection[str], learnt: dict[Operation, Pairs]
    ) -> None:
        self.op, self.learnt = op, learnt
        universe = plan.dimensions.universe
        super().__init__(None, sky_keys(op, universe))
        self.names = self.keys
        self.sides = sides(op, universe)
        stored = [side.element.name for side in self.sides if side.stored and side.element is not None]
        self.missing = not all(dimension_table(name) in tables for name in stored)
        self.fixed_side = any(side.element is None for side in self.sides)

    def size(self, snapshot: Snapshot, allowed: dict[str, Allowed]) -> int:
        """Unknown: after all that can be told; a region that is given tells something itself."""
        return MOST if self.fixed_side else 10**9

    def read(self, snapshot: Snapshot, allowed: dict[str, Allowed], most: int) -> Rows | None:
        left, right = self.sides
        pairs = few_pairs(snapshot, left, right, allowed, most)
        if pairs is None:
            return None
        if pairs.left.num_rows > most:
            self.learnt[self.op] = pairs
            return None
        names = (*left.keys, *right.keys)
        columns = [pairs.left.column(name).to_pylist() for name in left.keys]
        columns += [pairs.right.column(name).to_pylist() for name in right.keys]
        rows = list(zip(*columns, strict=True)) if columns else [()] * pairs.left.num_rows
        if len(set(names)) < len(names):
            return Rows(self.names, _agreeing(names, self.names, rows))
        return Rows(self.names, rows)


def _agreeing(names: tuple[str, ...], wanted: tuple[str, ...], rows: list[Row]) -> list[Row]:
    """Rows in which columns of the same name have the same value, each once."""
    first = [names.index(name) for name in wanted]
    same = [(i, names.index(name)) for i, name in enumerate(names) if names.index(name) < i]
    return [tuple([row[i] for i in first]) for row in rows if all(row[i] == row[j] for i, j in same)]


class _Answer:
    def __init__(self, plan: Plan, snapshot: Snapshot, learnt: dict[Operation, Pairs]) -> None:
        self.plan = plan
        self.snapshot = snapshot
        self.parts: list[Bound] = [*plan.overlaps, *conjuncts(plan.where)]
        self.allowed = narrowed(plan.where)
        universe = plan.dimensions.universe
        tables = snapshot.schemas()
        self.relations: list[_Relation] = [_Datasets(plan, search, tables) for search in plan.searches]
        self.relations += [_Records(plan, universe[name], tables) for name in plan.elements]
        self.relations += [_Given(upload) for upload in plan.uploads]
        self.relations += [_Sky(plan, op, tables, learnt) for op in plan.skies]
        for name in plan.unions:
            target = universe.dimensions[name].implied_union_target
            assert target is not None
            self.relations.append(_Union(name, target.name, tables))

    def rows(self) -> Rows | None:
        if any(relation.missing for relation in self.relations):
            return Rows(self._all_names(), [])
        if not self._narrow():
            return None
        joined = self._join()
        if joined is None:
            return None
        return self._rank(joined)

    def _all_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for relation in self.relations for name in relation.names))

    # -- narrowing

    def _narrow(self) -> bool:
        """Read each relation as soon as what is known leaves a few rows of it."""
        waiting = {id(r): r for r in self.relations}
        sizes = {key: r.size(self.snapshot, self.allowed) for key, r in waiting.items()}
        while waiting:
            order = sorted(waiting.values(), key=lambda r: (not self._single(r), sizes[id(r)]))
            for relation in order:
                if self._read(relation, sizes[id(relation)]):
                    del waiting[id(relation)]
                    break
            else:
                if not self._narrowed_again():
                    return False
        return True

    def _narrowed_again(self) -> bool:
        """Pass what was learnt since on to what was read before; whether that leaves less."""
        shorter = False
        for relation in self.relations:
            found = relation.found
            if found is None:
                continue
            rows = found.rows
            for i, name in enumerate(found.names):
                if name in self.allowed:
                    rows = _kept(rows, i, self.allowed[name])
            if len(rows) < len(found.rows):
                relation.found = Rows(found.names, rows)
                self._learn(relation.found)
                shorter = True
        return shorter

    def _single(self, relation: _Relation) -> bool:
        """Whether one row at most can be left."""
        found = (self.allowed.get(name) for name in relation.keys)
        return all(a is not None and a.values is not None and len(a.values) == 1 for a in found)

    def _read(self, relation: _Relation, size: int) -> bool:
        known = {name: self.allowed[name] for name in relation.keys if name in self.allowed}
        window = self._window(relation)
        if relation.tried == (known, window):
            return False
        relation.tried = (known, window)
        governors = self.plan.dimensions.universe.governor_dimensions.names
        if size <= MOST or set(known) - set(governors):
            found = relation.read(self.snapshot, known, MOST)
        else:
            found = None
        if found is None and window is not None and isinstance(relation, _Datasets):
            found = relation.read_valid(self.snapshot, known, window, MOST)
        if found is None:
            return False
        found = relation.completed(self.snapshot, self._filtered(found))
        relation.found = found
        self._learn(found)
        return True

    def _learn(self, found: Rows) -> None:
        """Take in the values that dimensions have in a relation."""
        for place, name in enumerate(found.names):
            if "." in name or name.startswith("#"):
                continue
            different = frozenset([row[place] for row in found.rows]) - {None}
            if len(different) <= _MOST_VALUES:
                values = Allowed(different)
                self.allowed[name] = values.meet(self.allowed[name]) if name in self.allowed else values

    def _window(self, relation: _Relation) -> tuple[int, int] | None:
        """When calibrations must be valid, if the observations are known."""
        if not isinstance(relation, _Datasets) or not relation.whole:
            return None
        for op in self.plan.overlaps:
            names = [name_of(operand) for operand in op.operands if isinstance(operand, ColumnRef)]
            own = f"{relation.search.name}.timespan"
            if own not in names or len(names) != 2:
                continue
            (other,) = (name for name in names if name != own)
            for known in self.relations:
                if known.found is not None and other in known.found.names:
                    place = known.found.names.index(other)
                    spans = [row[place] for row in known.found.rows if row[place] is not None]
                    low = min((span[0] for span in spans), default=UNBOUNDED[0])
                    return low, max((span[1] for span in spans), default=low + 1)
        return None

    def _filtered(self, found: Rows) -> Rows:
        """Apply what can be told from these columns alone, and is not yet."""
        index = found.index()
        left = []
        for part in self.parts:
            names = {name_of(c) for c in columns_of(part)}
            if names and names <= index.keys():
                test = compiled(part, index)
                found = Rows(found.names, [row for row in found.rows if test(row) is True])
            else:
                left.append(part)
        self.parts = left
        return found

    # -- joining

    def _join(self) -> Rows | None:
        waiting = [(relation, found) for relation in self.relations if (found := relation.found) is not None]
        joined = Rows((), [()])
        while waiting:
            have = set(joined.names)
            best = min(waiting, key=lambda pair: (*_growth(pair[0], have), len(pair[1].rows)))
            waiting.remove(best)
            made = _joined(joined, best[1])
            if made is None:
                return None
            joined = made
        index = joined.index()
        tests = [compiled(part, index) for part in self.parts]
        if tests:
            joined.rows = [row for row in joined.rows if all(test(row) is True for test in tests)]
        return joined

    # -- ranking

    def _rank(self, found: Rows) -> Rows:
        plan, target = self.plan, self.plan.target
        if plan.ranking is None or target is None:
            return found
        groups = {
            "search": target.dimensions.required,
            "rows": plan.result.required,
            "times": plan.dimensions.required,
        }
        index = found.index()
        keys = [index[name] for name in groups[plan.ranking] if name in index]
        where = index[f"{target.name}.collection"]
        ranks = {name: i for i, (name, _) in enumerate(target.path)}
        best: dict[Row, int] = {}
        for row in found.rows:
            key = tuple([row[i] for i in keys])
            rank = ranks[row[where]]
            if rank < best.get(key, len(ranks)):
                best[key] = rank
        return Rows(
            found.names, [r for r in found.rows if ranks[r[where]] == best[tuple([r[i] for i in keys])]]
        )


def _growth(relation: _Relation, have: set[str]) -> tuple[bool, int]:
    """Order in which relations are joined: first what can add no row, then by the keys they share.

    Visits and exposures share the filter and the day, which many have; what
    says which belong together comes between them.
    """
    keys = set(relation.keys)
    return not (keys and keys <= have), -len(keys & have)


def _kept(rows: list[Row], place: int, known: Allowed) -> list[Row]:
    """Rows in which a column has no value, or one that is allowed."""
    values = known.values
    if values is not None:
        return [row for row in rows if row[place] in values or row[place] is None]
    return [row for row in rows if row[place] is None or known.has(row[place])]


def _joined(left: Rows, right: Rows) -> Rows | None:
    shared = [name for name in right.names if name in set(left.names)]
    fresh = [i for i, name in enumerate(right.names) if name not in set(left.names)]
    a, b = left.index(), right.index()
    left_key, right_key, rest = (
        picker([a[n] for n in shared]),
        picker([b[n] for n in shared]),
        picker(fresh),
    )
    found: dict[Row, list[Row]] = {}
    for row in right.rows:
        key = right_key(row)
        if None not in key:
            found.setdefault(key, []).append(rest(row))
    out: list[Row] = []
    for row in left.rows:
        more = found.get(left_key(row))
        if more is not None:
            out.extend([row + extra for extra in more])
            if len(out) > 10 * MOST:
                return None
    return Rows((*left.names, *(right.names[i] for i in fresh)), out)


def picker(places: Sequence[int]) -> Callable[[Row], Row]:
    """Make the function that takes some values of a row.

    Parameters
    ----------
    places : sequence of `int`
        Which values.

    Returns
    -------
    pick : callable
        From a row to a tuple.
    """
    if len(places) > 1:
        return itemgetter(*places)
    if places:
        (place,) = places
        return lambda row: (row[place],)
    return lambda row: ()
