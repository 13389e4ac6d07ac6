# SPDX-License-Identifier: BSD-3-Clause
"""Logical tables of the registry as tables of the lake.

Datasets of all types with the same required dimensions share one table, sorted
by (dataset type, collection, data ID): a search for one type in one collection
reads one contiguous stretch.  Membership stands in the same table: a row whose
``collection`` equals its ``run`` is the dataset itself and has the file's record;
other rows say that the dataset is also in a TAGGED or CALIBRATION collection.
``docs/design/002-grouping.md`` has the measurements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lakebutler.dimensions.arrow import element_columns
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import RepositoryCorruptError
from lakebutler.lake.schema import Column, TableSchema

__all__ = [
    "DATASET_PREFIX",
    "DIMENSION_PREFIX",
    "DatasetLayout",
    "check_tables",
    "dataset_layout",
    "dimension_schema",
    "dimension_table",
    "group_of_table",
]

DATASET_PREFIX = "dataset_"
DIMENSION_PREFIX = "dimension_"

_BEFORE = (Column("dataset_type", "string", False), Column("collection", "string", False))
_AFTER = (
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


def check_tables(schemas: Mapping[str, TableSchema], where: str) -> None:
    """Refuse a repository whose tables of datasets are of another shape.

    Parameters
    ----------
    schemas : mapping
        All its tables, by name.
    where : `str`
        Where it is, for the message.

    Raises
    ------
    RepositoryCorruptError
        Raised if one is.
    """
    for table, schema in schemas.items():
        if not table.startswith(DATASET_PREFIX):
            continue
        columns, last = schema.columns, len(schema.columns) - len(_AFTER)
        if last < len(_BEFORE) or columns[: len(_BEFORE)] != _BEFORE or columns[last:] != _AFTER:
            raise RepositoryCorruptError(f"{where}: the table {table!r} is none of datasets")


@dataclass(frozen=True)
class DatasetLayout:
    """Where each column of a dataset table stands in a row tuple.

    Attributes
    ----------
    schema : `TableSchema`
        The lake's table.
    dimensions : `tuple` [`str`]
        Required dimensions, in the table's order.
    key_columns : `tuple` [`str`]
        Dataset type, collection and dimensions: unique among rows that are no
        calibration memberships.
    """

    schema: TableSchema
    dimensions: tuple[str, ...]
    key_columns: tuple[str, ...]

    @property
    def table(self) -> str:
        """Name of the lake's table."""
        return self.schema.name

    @property
    def n_key(self) -> int:
        """Number of key columns; they come first in a row."""
        return len(self.key_columns)

    @property
    def n_reference(self) -> int:
        """Number of leading columns that are enough for a reference; the file comes behind."""
        return self.n_key + _AFTER_INDEX["run"] + 1

    def index(self, column: str) -> int:
        """Position of one of the fixed columns behind the dimensions.

        Parameters
        ----------
        column : `str`
            Name of the column.

        Returns
        -------
        index : `int`
            Its position in a row tuple.
        """
        return self.n_key + _AFTER_INDEX[column]


_AFTER_INDEX = {column.name: i for i, column in enumerate(_AFTER)}


@lru_cache(maxsize=4096)
def dataset_layout(group: DimensionGroup) -> DatasetLayout:
    """Table that holds the datasets with these dimensions.

    Parameters
    ----------
    group : `DimensionGroup`
        Dimensions of a dataset type.

    Returns
    -------
    layout : `DatasetLayout`
        The table and its columns.
    """
    names = tuple(group.required)
    columns = tuple(Column(name, _key_type(group, name), False) for name in names)
    keys = ("dataset_type", "collection", *names)
    schema = TableSchema(
        name=DATASET_PREFIX + ("_".join(names) if names else "global"),
        columns=(*_BEFORE, *columns, *_AFTER),
        sort=("dataset_type", "collection", *_sort_order(group.universe, names)),
        scope=("dataset_type", "collection"),
        id="id",
    )
    return DatasetLayout(schema=schema, dimensions=names, key_columns=keys)


def _sort_order(universe: DimensionUniverse, required: Sequence[str]) -> list[str]:
    """Put what people ask for a piece of first: an exposure, a visit, a patch; then the rest.

    The datasets of one exposure then lie side by side, those of one detector apart; so do
    the regions of one visit.
    """
    dimensions = [universe.dimensions[name] for name in required]
    governors = [d.name for d in dimensions if d.name in universe.governor_dimensions.names]
    later = [d for d in dimensions if d.name not in governors]
    regions = universe.skypix_dimensions.names
    later.sort(key=lambda d: d.spatial is None and d.temporal is None and d.name not in regions)
    return [*governors, *(d.name for d in later)]


def group_of_table(table: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Required dimensions of a dataset table, from its columns.

    Parameters
    ----------
    table : `str`
        Name of the lake's table; for the message only.
    columns : sequence of `str`
        Its column names.

    Returns
    -------
    names : `tuple` [`str`]
        The dimension columns.
    """
    fixed = len(_AFTER)
    if len(columns) < len(_BEFORE) + fixed:
        raise RepositoryCorruptError(f"the repository's table {table!r} is none of datasets")
    return tuple(columns[len(_BEFORE) : len(columns) - fixed])


def _key_type(group: DimensionGroup, name: str) -> str:
    kind = group.universe.dimensions[name].primary_key.type
    return "int64" if kind == "int" else "string"


def dimension_table(element: str) -> str:
    """Name of the lake's table of an element's records.

    Parameters
    ----------
    element : `str`
        Name of the dimension element.

    Returns
    -------
    table : `str`
        Name of the table.
    """
    return DIMENSION_PREFIX + element


@lru_cache(maxsize=1024)
def dimension_schema(element: DimensionElement) -> TableSchema:
    """Table that holds the records of a dimension element.

    Parameters
    ----------
    element : `DimensionElement`
        An element that has records of its own.

    Returns
    -------
    schema : `TableSchema`
        Sorted by the element's required dimensions, a visit before a detector.
    """
    keys = tuple(element.required.names)
    columns = tuple(Column(name, kind, name not in keys) for name, kind in element_columns(element))
    sort = tuple(_sort_order(element.universe, keys))
    return TableSchema(
        name=dimension_table(element.name),
        columns=columns,
        sort=sort,
        scope=sort[: min(1, len(sort) - 1)],
        id=None,
    )
