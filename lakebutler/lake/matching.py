# SPDX-License-Identifier: BSD-3-Clause
"""Bulk reads of a table: what matches keys, what a filter leaves, the values of a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from lakebutler.lake.group import flat
from lakebutler.lake.relation import deletes, quote, relation, shape
from lakebutler.lake.schema import TableSchema
from lakebutler.lake.segment import FileSegment, MemorySegment, Segment
from lakebutler.lake.sorting import rows_to_table
from lakebutler.lake.table import Slot, TableView

if TYPE_CHECKING:
    import pyarrow as pa

    from lakebutler.lake.tables import Tables

__all__ = ["distinct", "match", "scan"]

Key = tuple[Any, ...]
Range = tuple[int | None, int | None]
_FEW_KEYS = 40
_MOST_SCOPES = 2000
_MOST_COMPARED = 200_000


def match(
    snapshot: Tables,
    table: str,
    columns: tuple[str, ...],
    keys: pa.Table,
    select: Sequence[str] | None,
    where: Mapping[str, Any],
) -> pa.Table:
    """Return the rows whose columns equal a row of ``keys``; see `Snapshot.match`."""
    import pyarrow as pa

    schema = snapshot.view(table).schema
    names = list(select) if select is not None else list(schema.names)
    keys = _conform_keys(schema, columns, keys)
    filters = _filters(schema, where)
    target = pa.schema([*(schema.arrow.field(name) for name in names), pa.field("_key", pa.int64())])
    if not keys.num_rows:
        return target.empty_table()
    if keys.num_rows <= _FEW_KEYS and (schema.prefix(columns) or columns == (schema.id,)):
        return _match_few(snapshot, table, columns, keys, names, filters, target)
    from lakebutler.lake.engine import run

    columns, fixed = _part_off(columns, keys)
    if any(value not in filters.get(name, (value,)) for name, value in fixed.items()):
        return target.empty_table()
    filters = {**filters, **{name: [value] for name, value in fixed.items()}}
    if columns == (schema.id,):
        found = _match_ids(snapshot.view(table), keys, names, filters)
        if found is not None:
            return shape(found, target)
    source = relation(
        snapshot,
        table,
        list(dict.fromkeys([*names, *columns, *filters])),
        _scopes(schema, filters),
        filters=filters,
    )
    keyed = keys.select(columns).append_column("_key", pa.array(range(keys.num_rows), pa.int64()))
    nulls = {name for name in columns if keys.column(name).null_count}
    on = " AND ".join(
        f"f.{quote(n)} {'IS NOT DISTINCT FROM' if n in nulls else '='} k.{quote(n)}" for n in columns
    )
    condition, values = _condition(filters)
    wanted = ", ".join(f"f.{quote(name)}" for name in names)
    wanted += ", k._key" if wanted else "k._key"
    sql = f'SELECT {wanted} FROM ({source.sql}) f JOIN "#keys" k ON {on}{condition}'
    return shape(run(snapshot, sql, {**source.tables, "#keys": keyed}, values), target)


def _match_ids(
    view: TableView, keys: pa.Table, names: Sequence[str], filters: Mapping[str, list[Any]]
) -> pa.Table | None:
    """Compare ids without an engine, or return `None` where rows are many or some were deleted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = view.schema
    found = list(view.segments(_scopes(schema, filters)))
    if sum(slot.segment.rows for _, slot in found) > _MOST_COMPARED or _any_deleted(view, found, filters):
        return None
    assert schema.id is not None
    wanted = flat(keys.column(schema.id)).storage
    if wanted.null_count or pc.count_distinct(wanted).as_py() < len(wanted):
        return None
    columns = list(dict.fromkeys([*names, schema.id]))
    data = _undeleted(view, found, columns, filters)
    places = pc.index_in(flat(data.column(schema.id)).storage, value_set=wanted)
    data = data.select(list(names)).append_column("_key", places.cast(pa.int64()))
    return data.filter(places.is_valid())


def _part_off(columns: tuple[str, ...], keys: pa.Table) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Take out the columns with one value in all keys: a filter is cheaper than a join."""
    import pyarrow as pa

    fixed = {}
    for name in columns[:-1]:
        values = keys.column(name)
        if pa.types.is_string(values.type) or pa.types.is_integer(values.type):
            found = values.unique()
            if len(found) == 1 and found[0].is_valid:
                fixed[name] = found[0].as_py()
    return tuple(name for name in columns if name not in fixed), fixed


def _match_few(
    snapshot: Tables,
    table: str,
    columns: tuple[str, ...],
    keys: pa.Table,
    names: Sequence[str],
    filters: Mapping[str, list[Any]],
    target: pa.Schema,
) -> pa.Table:
    import pyarrow as pa

    schema = snapshot.view(table).schema
    getter = schema.getter(tuple(names))
    tests = [(schema.position[name], values) for name, values in filters.items()]
    rows, numbers = [], []
    wanted = zip(*(keys.column(name).to_pylist() for name in columns), strict=True)
    for number, key in enumerate(wanted):
        for row in snapshot.find(table, columns, key):
            if all(row[i] in values for i, values in tests):
                rows.append(getter(row))
                numbers.append(number)
    found = rows_to_table(schema, rows, names)
    return pa.table([*found.columns, pa.array(numbers, pa.int64())], schema=target)


def scan(
    snapshot: Tables,
    table: str,
    columns: Sequence[str] | None,
    where: Mapping[str, Any],
    within: Mapping[str, Range],
) -> pa.Table:
    """Return rows; see `Snapshot.scan`."""
    import pyarrow as pa

    view = snapshot.view(table)
    schema = view.schema
    names = list(columns) if columns is not None else list(schema.names)
    filters = _filters(schema, where)
    target = pa.schema([schema.arrow.field(name) for name in names])
    scopes = _scopes(schema, filters)
    needed = list(dict.fromkeys([*names, *filters, *within]))
    found = [pair for pair in view.segments(scopes) if _has_within(pair[1].segment, within)]
    if _any_deleted(view, found, filters):
        from lakebutler.lake.engine import run

        slots = [slot for place, slot in found if place == 0]
        above = len(slots) < len(found)
        source = relation(snapshot, table, needed, scopes, None if above else slots, filters=filters)
        condition, values = _condition(filters)
        condition += _range_condition(within)
        wanted = ", ".join(f"f.{quote(name)}" for name in names) or "1"
        sql = f"SELECT {wanted} FROM ({source.sql}) f{condition.replace(' AND ', ' WHERE ', 1)}"
        return shape(run(snapshot, sql, source.tables, values), target)
    data = _undeleted(view, found, list(dict.fromkeys([*names, *within])), filters)
    for name, bounds in within.items():
        data = data.filter(_fits(data.column(name), bounds))
    return data.select(names)


def _has_within(segment: Segment, within: Mapping[str, Range]) -> bool:
    """Whether a segment may have rows whose numbers are in ranges, by the least and the greatest."""
    if not isinstance(segment, FileSegment):
        return True
    for name, (low, high) in within.items():
        least, greatest = segment.bounds(name)
        if least is None or (low is not None and greatest < low) or (high is not None and least > high):
            return False
    return True


def _fits(column: pa.ChunkedArray, bounds: Range) -> Any:
    """Which numbers are in a range."""
    import pyarrow.compute as pc

    fits = pc.is_valid(column)
    low, high = bounds
    if low is not None:
        fits = pc.and_(fits, pc.greater_equal(column, low))
    return fits if high is None else pc.and_(fits, pc.less_equal(column, high))


def _range_condition(within: Mapping[str, Range]) -> str:
    """Return ranges as SQL that begins with AND."""
    text = ""
    for name, (low, high) in within.items():
        text += f" AND f.{quote(name)} IS NOT NULL"
        text += "" if low is None else f" AND f.{quote(name)} >= {int(low)}"
        text += "" if high is None else f" AND f.{quote(name)} <= {int(high)}"
    return text


def _undeleted(
    view: TableView,
    found: Iterable[tuple[int, Slot]],
    names: Sequence[str],
    filters: Mapping[str, list[Any]],
) -> pa.Table:
    """Read the rows of segments that a filter lets pass, and of memory, where none was deleted."""
    import pyarrow as pa

    schema = view.schema
    target = pa.schema([schema.arrow.field(name) for name in names])
    parts = [_read(schema, slot, names, filters) for _, slot in found]
    rows = _filter_rows(schema, view.memory_rows(), filters)
    if rows:
        getter = schema.getter(tuple(names))
        parts.append(rows_to_table(schema, [getter(row) for row in rows], names))
    return pa.concat_tables([target.empty_table(), *(shape(part, target) for part in parts)])


def distinct(snapshot: Tables, table: str, column: str, where: Mapping[str, Any]) -> set[Any]:
    """Return the values of a sort column; see `Snapshot.distinct`."""
    view = snapshot.view(table)
    schema = view.schema
    filters = _filters(schema, where)
    found = list(view.segments(_scopes(schema, filters)))
    if _any_deleted(view, found, filters):
        return set(scan(snapshot, table, [column], where, {}).column(0).unique().to_pylist())
    place = schema.position[column]
    out = {row[place] for row in _filter_rows(schema, view.memory_rows(), filters)}
    for _, slot in found:
        out |= _distinct(schema, slot.segment, column, filters)
    return out


def _any_deleted(
    view: TableView, found: Iterable[tuple[int, Slot]], filters: Mapping[str, list[Any]]
) -> bool:
    """Whether rows of segments may have been deleted which a filter lets pass."""
    if not any(layer.may_delete for layer, _ in view.layers):
        return False
    versions = {(place, slot.version) for place, slot in found}
    return any(True for pair in versions for _ in deletes(view, *pair, filters))


def _distinct(
    schema: TableSchema, segment: Segment, column: str, filters: Mapping[str, list[Any]]
) -> set[Any]:
    """Return the values in one segment, of which only row groups with several are read."""
    if not isinstance(segment, FileSegment):
        assert isinstance(segment, MemorySegment)
        return set(_filter(schema, segment.sorted, filters).column(column).unique().to_pylist())
    n = segment.sort.index(column) + 1
    names = segment.sort[:n]
    needed = list(dict.fromkeys([*names, *filters]))
    keys = segment.constants(n) if len(needed) == n else []
    out = {key[-1] for key in keys if key is not None and _is_in(filters, names, key)}
    groups: list[int | None] = [g for g, key in enumerate(keys) if key is None] if keys else [None]
    for group in groups:
        data = _filter(schema, segment.read(group, needed), filters)
        out.update(data.column(column).unique().to_pylist())
    return out


def _is_in(filters: Mapping[str, list[Any]], names: Sequence[str], key: Key) -> bool:
    return all(value in filters.get(name, (value,)) for name, value in zip(names, key, strict=True))


def _read(
    schema: TableSchema, slot: Slot, names: Sequence[str], filters: Mapping[str, list[Any]]
) -> pa.Table:
    """Read the rows of a segment that a filter lets pass, only around them where that is easily told."""
    import pyarrow as pa

    segment = slot.segment
    if not isinstance(segment, FileSegment):
        assert isinstance(segment, MemorySegment)
        return _filter(schema, segment.sorted, filters).select(list(names))
    prefix: Key = ()
    for name in segment.sort:
        if len(filters.get(name, ())) != 1:
            break
        prefix = (*prefix, filters[name][0])
    n = len(prefix)
    rest = {name: values for name, values in filters.items() if name not in segment.sort[:n]}
    needed = list(dict.fromkeys([*names, *rest])) or [segment.sort[0]]
    if not prefix or (segment.first and segment.first[:n] == prefix == segment.last[:n]):
        data = segment.read(None, needed)
    else:
        ranges = segment.ranges(prefix)
        parts = [segment.read(group, needed).slice(low, high - low) for group, low, high in ranges]
        data = pa.concat_tables(parts) if parts else segment.read(None, needed).slice(0, 0)
    return _filter(schema, data, rest).select(list(names))


def _filter(schema: TableSchema, data: pa.Table, filters: Mapping[str, list[Any]]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, values in filters.items():
        column = data.column(name)
        wanted = rows_to_table(schema, [(value,) for value in values], (name,)).column(0)
        if isinstance(wanted.type, pa.BaseExtensionType):
            column = pa.chunked_array([c.storage for c in column.chunks], wanted.type.storage_type)
            wanted = pa.chunked_array([c.storage for c in wanted.chunks], wanted.type.storage_type)
        value_set = wanted.combine_chunks()
        if pa.types.is_dictionary(column.type):
            masks = [pc.is_in(c.dictionary, value_set=value_set).take(c.indices) for c in column.chunks]
            data = data.filter(pa.chunked_array(masks, pa.bool_()).fill_null(None in values))
        else:
            data = data.filter(pc.is_in(column, value_set=value_set))
    return data


def _filter_rows(schema: TableSchema, rows: list[Key], filters: Mapping[str, list[Any]]) -> list[Key]:
    for name, values in filters.items():
        place = schema.position[name]
        if len(values) > 20:
            wanted = set(values)
            rows = [row for row in rows if row[place] in wanted]
        else:
            rows = [row for row in rows if row[place] in values]
    return rows


def _filters(schema: TableSchema, where: Mapping[str, Any]) -> dict[str, list[Any]]:
    out = {}
    for name, wanted in where.items():
        values = list(wanted) if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
        if name not in schema.position:
            raise KeyError(f"table {schema.name!r} has no column {name!r}")
        out[name] = [schema.check_key((name,), (value,))[0] for value in dict.fromkeys(values)]
    return out


def _scopes(schema: TableSchema, filters: Mapping[str, list[Any]]) -> list[Key] | None:
    """Return the scopes that a filter leaves, or `None` if that is not told."""
    lists = [filters.get(name) for name in schema.scope]
    total = 1
    for values in lists:
        if values is None:
            return None
        total *= len(values)
    if total > _MOST_SCOPES or not lists:
        return None
    return list(product(*(values for values in lists if values is not None)))


def _condition(filters: Mapping[str, list[Any]]) -> tuple[str, dict[str, Any]]:
    """Return the filter as SQL that begins with AND, and the values of its parameters."""
    text, values = "", {}
    for i, (name, wanted) in enumerate(filters.items()):
        places = []
        for j, value in enumerate(wanted):
            if value is not None:
                values[f"w{i}_{j}"] = value
                places.append(f"$w{i}_{j}")
        column = f"f.{quote(name)}"
        parts = [f"{column} IN ({', '.join(places)})"] if places else []
        parts += [f"{column} IS NULL"] if None in wanted else []
        text += f" AND ({' OR '.join(parts) or 'FALSE'})"
    return text, values


def _conform_keys(schema: TableSchema, columns: tuple[str, ...], keys: pa.Table) -> pa.Table:
    """Bring the keys to the types of the table's columns."""
    import pyarrow as pa

    from lakebutler.lake.change import cast_column

    out = [cast_column(schema, name, keys.column(name)) for name in columns]
    return pa.table(out, names=list(columns))
