# SPDX-License-Identifier: BSD-3-Clause
"""Four ways of grouping the datasets of many types into tables of the lake.

Each is a choice of tables, on the same lake: what differs is the grouping alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
from grouping_content import DIMENSIONS, Batch, Content, Kind

from lakebutler.lake import Column, Snapshot, TableSchema

BEFORE = (Column("dataset_type", "string", False), Column("collection", "string", False))
REST = (
    Column("valid_begin", "int64"),
    Column("valid_end", "int64"),
    Column("id", "uuid", False),
    Column("run", "string", False),
    Column("ingest_date", "timestamp"),
    Column("path", "string"),
    Column("uri", "string"),
    Column("formatter", "string"),
    Column("storage_class", "string"),
    Column("size", "int64"),
    Column("checksum", "string"),
)
SHOWN = ("id", "run", "path", "uri", "size")
Key = tuple[Any, ...]


def dimension_columns(names: Iterable[str], *, nullable: bool = False) -> tuple[Column, ...]:
    """Columns for dimensions."""
    return tuple(Column(name, DIMENSIONS[name], nullable) for name in names)


class Layout(ABC):
    """One way of grouping."""

    letter: str
    title: str

    def __init__(self, content: Content) -> None:
        self.content = content
        self.kinds: Mapping[str, Kind] = {kind.name: kind for kind in content.kinds}

    @abstractmethod
    def schemas(self) -> Iterator[TableSchema]:
        """Yield the tables."""

    @abstractmethod
    def split(self, batch: Batch) -> Iterator[tuple[str, pa.Table]]:
        """Yield the rows of a run for each table."""

    @abstractmethod
    def table(self, kind: Kind) -> str:
        """Name of the table with the data IDs of a type."""

    @abstractmethod
    def where(self, kind: Kind, run: str | None = None) -> dict[str, str]:
        """What the scope columns of that table are for a type, and a run."""

    def key(self, kind: Kind, run: str, data_id: Key) -> tuple[tuple[str, ...], Key]:
        """Sort columns of that table that a data ID stands in, and its values there."""
        where = self.where(kind, run)
        return (*where, *kind.dimensions), (*where.values(), *data_id)

    def find(self, snapshot: Snapshot, kind: Kind, run: str, data_id: Key) -> list[Key]:
        """Find the whole row of a dataset by our own look-up."""
        return snapshot.find(self.table(kind), *self.key(kind, run, data_id))

    def find_id(self, snapshot: Snapshot, wanted: Any) -> list[Key]:
        """Find the whole row of a dataset by its ID alone."""
        for table in snapshot.schemas():
            found = snapshot.find(table, ("id",), (wanted,))
            if found:
                return found
        return []

    def count(self, snapshot: Snapshot, kind: Kind) -> int:
        """Count the datasets of a type from what the manifest says."""
        scopes = snapshot.scopes(self.table(kind))
        runs = (self.content.run_name(number) for number in range(self.content.runs))
        return sum(scopes.get(tuple(self.where(kind, run).values()), 0) for run in runs)

    def sql(self, kind: Kind) -> str:
        """Return SQL for the datasets of a type, over the lake's tables."""
        names = ", ".join(f'"{name}"' for name in (*kind.dimensions, *SHOWN))
        where = " AND ".join(f"{name} = '{value}'" for name, value in self.where(kind).items())
        return f'SELECT {names} FROM "{self.table(kind)}"{" WHERE " + where if where else ""}'

    def count_sql(self) -> str:
        """Return SQL that counts the datasets of each type, over the lake's tables."""
        parts = [f'SELECT dataset_type, count(*) n FROM "{s.name}" GROUP BY 1' for s in self.schemas()]
        return " UNION ALL ".join(parts)


class PerGroup(Layout):
    """One table per dimension group."""

    letter, title = "b", "a table per dimension group"

    def schemas(self) -> Iterator[TableSchema]:
        for group in dict.fromkeys(kind.dimensions for kind in self.content.kinds):
            columns = (*BEFORE, *dimension_columns(group), *REST)
            sort = ("dataset_type", "collection", *group)
            yield TableSchema(self._name(group), columns, sort, sort[:2], "id")

    @staticmethod
    def _name(group: tuple[str, ...]) -> str:
        return "dataset_" + ("_".join(group) or "global")

    def split(self, batch: Batch) -> Iterator[tuple[str, pa.Table]]:
        for group, rows in batch.tables.items():
            yield self._name(group), rows

    def table(self, kind: Kind) -> str:
        return self._name(kind.dimensions)

    def where(self, kind: Kind, run: str | None = None) -> dict[str, str]:
        return {"dataset_type": kind.name} | ({"collection": run} if run else {})


class PerType(Layout):
    """One table per dataset type, one file for each type and run."""

    letter, title = "a", "a table per dataset type"

    def schemas(self) -> Iterator[TableSchema]:
        for kind in self.content.kinds:
            columns = (BEFORE[1], *dimension_columns(kind.dimensions), *REST)
            sort = ("collection", *kind.dimensions)
            yield TableSchema(self.table(kind), columns, sort, sort[:1], "id")

    def split(self, batch: Batch) -> Iterator[tuple[str, pa.Table]]:
        for group, rows in batch.tables.items():
            for name, (start, count) in batch.slices.items():
                if self.kinds[name].dimensions == group:
                    yield f"type_{name}", rows.slice(start, count).drop_columns(["dataset_type"])

    def table(self, kind: Kind) -> str:
        return f"type_{kind.name}"

    def where(self, kind: Kind, run: str | None = None) -> dict[str, str]:
        return {"collection": run} if run else {}

    def count_sql(self) -> str:
        names = ((kind.name, self.table(kind)) for kind in self.content.kinds)
        return " UNION ALL ".join(
            f"SELECT '{name}' dataset_type, count(*) n FROM \"{t}\"" for name, t in names
        )


class Monolithic(Layout):
    """One table with a nullable column for every dimension."""

    letter, title = "c", "one table for all"

    def schemas(self) -> Iterator[TableSchema]:
        columns = (*BEFORE, *dimension_columns(DIMENSIONS, nullable=True), *REST)
        sort = ("dataset_type", "collection", *DIMENSIONS)
        yield TableSchema("dataset", columns, sort, sort[:2], "id")

    def split(self, batch: Batch) -> Iterator[tuple[str, pa.Table]]:
        yield "dataset", pa.concat_tables(batch.tables.values(), promote_options="default")

    def table(self, kind: Kind) -> str:
        return "dataset"

    def where(self, kind: Kind, run: str | None = None) -> dict[str, str]:
        return {"dataset_type": kind.name} | ({"collection": run} if run else {})

    def key(self, kind: Kind, run: str, data_id: Key) -> tuple[tuple[str, ...], Key]:
        values = dict(zip(kind.dimensions, data_id, strict=True))
        whole = (values.get(name) for name in DIMENSIONS)
        return ("dataset_type", "collection", *DIMENSIONS), (kind.name, run, *whole)


class ThinAndTypes(Layout):
    """One table with the identity and the file of each dataset, and one per type with the data IDs."""

    letter, title = "d", "a thin table and a table per type"

    def schemas(self) -> Iterator[TableSchema]:
        sort = ("dataset_type", "run", "id")
        yield TableSchema("dataset", (BEFORE[0], *REST[2:]), sort, sort[:2], "id")
        for kind in self.content.kinds:
            columns = (BEFORE[1], *dimension_columns(kind.dimensions), *REST[:3])
            keys = ("collection", *kind.dimensions)
            yield TableSchema(self.table(kind), columns, keys, keys[:1])

    def split(self, batch: Batch) -> Iterator[tuple[str, pa.Table]]:
        thin = [rows.select([BEFORE[0].name, *(c.name for c in REST[2:])]) for rows in batch.tables.values()]
        yield "dataset", pa.concat_tables(thin)
        for group, rows in batch.tables.items():
            for name, (start, count) in batch.slices.items():
                if self.kinds[name].dimensions == group:
                    part = rows.slice(start, count)
                    yield f"type_{name}", part.select(["collection", *group, *(c.name for c in REST[:3])])

    def table(self, kind: Kind) -> str:
        return f"type_{kind.name}"

    def where(self, kind: Kind, run: str | None = None) -> dict[str, str]:
        return {"collection": run} if run else {}

    def find(self, snapshot: Snapshot, kind: Kind, run: str, data_id: Key) -> list[Key]:
        keys = super().find(snapshot, kind, run, data_id)
        columns = ("dataset_type", "run", "id")
        return [row for key in keys for row in snapshot.find("dataset", columns, (kind.name, run, key[-1]))]

    def find_id(self, snapshot: Snapshot, wanted: Any) -> list[Key]:
        return snapshot.find("dataset", ("id",), (wanted,))

    def sql(self, kind: Kind) -> str:
        names = ", ".join([*(f'k."{name}"' for name in kind.dimensions), *(f"d.{name}" for name in SHOWN)])
        return (
            f'SELECT {names} FROM "{self.table(kind)}" k JOIN dataset d '
            f"ON d.id = k.id AND d.run = k.collection WHERE d.dataset_type = '{kind.name}'"
        )

    def count_sql(self) -> str:
        return "SELECT dataset_type, count(*) n FROM dataset GROUP BY 1"


LAYOUTS: Mapping[str, type[Layout]] = {
    layout.letter: layout for layout in (PerType, PerGroup, Monolithic, ThinAndTypes)
}
