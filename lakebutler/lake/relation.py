# SPDX-License-Identifier: BSD-3-Clause
"""A table at a snapshot as SQL."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakebutler.lake.segment import FileSegment, MemorySegment, Segment
from lakebutler.lake.sorting import rows_to_table
from lakebutler.lake.table import DeleteSlot, Slot, TableLayer, TableView

if TYPE_CHECKING:
    import pyarrow as pa

    from lakebutler.lake.tables import Tables

__all__ = ["Relation", "deletes", "quote", "relation", "shape"]

Key = tuple[Any, ...]


@dataclass(slots=True)
class Relation:
    """A table at a snapshot, for DuckDB.

    Parameters
    ----------
    sql : `str`
        A ``SELECT``.
    tables : `dict`
        Arrow tables to register, by name.
    paths : `list` [`str`]
        Local files that it reads.
    """

    sql: str
    tables: dict[str, pa.Table] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)


def quote(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def relation(
    snapshot: Tables,
    table: str,
    columns: Sequence[str] | None = None,
    scopes: Iterable[Key] | None = None,
    slots: Sequence[Slot] | None = None,
    *,
    label: str | None = None,
    filters: Mapping[str, list[Any]] | None = None,
) -> Relation:
    """Return SQL that gives the rows of a table.

    Parameters
    ----------
    snapshot : `Tables`
        Which version.
    table : `str`
        Name of the table.
    columns : sequence of `str`, optional
        Which columns; all by default.
    scopes : iterable, optional
        Leave out files that have no row of these scopes; rows of other scopes
        may still be in what is returned.
    slots : sequence of `Slot`, optional
        Only these of the segments of the committed layer, instead of all.
    label : `str`, optional
        What the names of the Arrow tables begin with; the table's name by default.
    filters : mapping, optional
        Values that columns must have, for which the caller filters what is returned:
        deletes that hit no such row are left out, so that other rows may be there which
        were deleted.
    """
    label = table if label is None else label
    filters = filters or {}
    view = snapshot.view(table)
    names = list(columns) if columns is not None else list(view.schema.names)
    out = Relation("")
    wanted = ", ".join(f"f.{quote(name)}" for name in names)
    parts: list[str] = []
    groups: dict[tuple[int, int], list[Slot]] = {}
    stamps = [_delete_stamps(layer, stamp) for layer, stamp in view.layers]
    for place, slot in view.segments(scopes) if slots is None else ((0, slot) for slot in slots):
        groups.setdefault((place, bisect_right(stamps[place], slot.version)), []).append(slot)
    for number, ((place, _), alike) in enumerate(groups.items()):
        anti = list(_anti(view, place, alike[0].version, filters, f"{label}#{number}", out))
        sources = _sources(alike, f"{label}#{number}", out)
        parts.extend(f"SELECT {wanted} FROM {source} f" + "".join(anti) for source in sources)
    rows = view.memory_rows()
    if rows or not parts:
        name = f"{label}#rows"
        out.tables[name] = rows_to_table(view.schema, rows)
        parts.append(f"SELECT {wanted} FROM {quote(name)} f")
    out.sql = " UNION ALL ".join(parts)
    return out


def _delete_stamps(layer: TableLayer, stamp: int) -> list[int]:
    if not layer.may_delete:
        return []
    noted = (s for known in layer.tombstones.keys.values() for stamps in known.values() for s in stamps)
    return sorted({s for s in (*noted, *(d.begin for d in layer.deletes)) if s <= stamp})


def _sources(slots: Sequence[Slot], prefix: str, out: Relation) -> Iterator[str]:
    files = []
    for number, slot in enumerate(slots):
        if isinstance(slot.segment, FileSegment):
            files.append(slot.segment.local())
        elif isinstance(slot.segment, MemorySegment):
            name = f"{prefix}#{number}"
            out.tables[name] = slot.segment.sorted
            yield quote(name)
    if files:
        out.paths.extend(files)
        yield f"read_parquet([{', '.join(map(_text, files))}])"


def _anti(
    view: TableView,
    place: int,
    version: int,
    filters: Mapping[str, list[Any]],
    prefix: str,
    out: Relation,
) -> Iterator[str]:
    """Yield the conditions that leave out rows that were deleted."""
    word = " WHERE "
    for number, (columns, gone) in enumerate(deletes(view, place, version, filters)):
        name = f"{prefix}#gone{number}"
        if isinstance(gone, Segment):
            source = next(_sources([Slot(gone, 0, 0)], name, out))
        else:
            out.tables[name] = rows_to_table(view.schema, gone, columns)
            source = quote(name)
        yield f"{word}NOT EXISTS (SELECT 1 FROM {source} d WHERE {_equal(columns)})"
        word = " AND "


def deletes(
    view: TableView, place: int, version: int, filters: Mapping[str, list[Any]]
) -> Iterator[tuple[tuple[str, ...], list[Key] | Segment]]:
    """Yield the keys of what was deleted that can hit rows of a version which a filter lets pass."""
    for number, (layer, stamp) in enumerate(view.layers[place:]):
        after = version if number == 0 else -1
        found = layer.tombstones.between(after, stamp) if layer.tombstones.latest > after else {}
        for columns, pairs in found.items():
            keys = [key for key, _ in pairs]
            for i, name in enumerate(columns):
                if name in filters:
                    keys = [key for key in keys if key[i] in filters[name]]
            if keys:
                yield columns, keys
        for slot in layer.deletes:
            if after < slot.begin <= stamp and _can_hit(slot, filters):
                yield slot.columns, slot.segment


def _can_hit(slot: DeleteSlot, filters: Mapping[str, list[Any]]) -> bool:
    """Whether a file of deleted keys has one that a filter lets pass, by its columns with few values."""
    if not isinstance(slot.segment, FileSegment):
        return True
    for name in slot.columns:
        if name in filters:
            few = slot.segment.few_values(name)
            if few is not None and few.isdisjoint(filters[name]):
                return False
    return True


def _equal(columns: Sequence[str], left: str = "f", right: str = "d") -> str:
    pairs = ((f"{left}.{quote(name)}", f"{right}.{quote(name)}") for name in columns)
    return " AND ".join(f"{a} IS NOT DISTINCT FROM {b}" for a, b in pairs)


def shape(data: pa.Table, target: pa.Schema) -> pa.Table:
    """Bring a result to the types that were promised."""
    import pyarrow as pa

    columns = []
    for place, wanted in enumerate(target):
        column = data.column(place)
        if not column.type.equals(wanted.type):
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            column = column.cast(wanted.type)
        columns.append(column)
    return pa.table(columns, schema=target)
