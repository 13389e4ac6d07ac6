# SPDX-License-Identifier: BSD-3-Clause
"""Results with fields of dimensions and datasets side by side."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from types import EllipsisType
from typing import Any, NamedTuple, Self

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import InvalidQueryError, known_names
from lakebutler.query.attach import attach_records
from lakebutler.query.columns import DATASET_FIELDS, ColumnRef
from lakebutler.query.results import QueryResults
from lakebutler.timespan import Timespan

__all__ = ["GeneralQueryResults", "GeneralResultTuple", "field_names"]

_KINDS = {
    "int": "int64",
    "string": "string",
    "float": "float64",
    "bool": "bool",
    "hash": "binary",
    "region": "binary",
    "uuid": "uuid",
    "datetime": "timestamp",
}


class GeneralResultTuple(NamedTuple):
    """One row, with the objects that its values are those of.

    Attributes
    ----------
    data_id : `DataCoordinate`
        Its data ID.
    refs : `list` [`DatasetRef`]
        Its datasets, of the types asked for.
    raw_row : `dict`
        Its values by name.
    """

    data_id: DataCoordinate
    refs: list[DatasetRef]
    raw_row: dict[str, Any]


class GeneralQueryResults(QueryResults[dict[str, Any]]):
    """Rows of values by name: dimensions, and fields as ``owner.field``."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        columns = self.plan().columns
        for names, rows in self._parts():
            for row in rows:
                yield _objects(dict(zip(names, row, strict=True)), columns)

    def iter_tuples(self, *dataset_types: DatasetType) -> Iterator[GeneralResultTuple]:
        """Iterate over rows with their data IDs and datasets.

        Parameters
        ----------
        *dataset_types : `DatasetType`
            Types whose ``dataset_id`` and ``run`` are among the fields.

        Yields
        ------
        row : `GeneralResultTuple`
            One row.
        """
        columns = {str(column) for column in self.plan().columns}
        for kind in dataset_types:
            for field in ("dataset_id", "run"):
                if f"{kind.name}.{field}" not in columns:
                    raise InvalidQueryError(
                        f"{kind.name}.{field} is not among the fields",
                        hint=f"ask for {kind.name}.{field} too",
                    )
        keys = tuple(self.dimensions.data_coordinate_keys)
        rows = list(self)
        data_ids = [
            DataCoordinate.from_full_values(self.dimensions, tuple([row[name] for name in keys]))
            for row in rows
        ]
        if self._request.with_records:
            data_ids = attach_records(self._snapshot, self.dimensions, data_ids)
        for row, data_id in zip(rows, data_ids, strict=True):
            refs = [
                DatasetRef(
                    kind,
                    data_id.subset(kind.dimensions),
                    run=row[f"{kind.name}.run"],
                    id=row[f"{kind.name}.dataset_id"],
                    conform=False,
                )
                for kind in dataset_types
            ]
            yield GeneralResultTuple(data_id, refs, row)

    def with_dimension_records(self) -> Self:
        """Let the data IDs that `iter_tuples` gives carry their records."""
        return self._with(replace(self._request, with_records=True))

    @property
    def has_dimension_records(self) -> bool:
        """Whether the data IDs carry their records."""
        return self._request.with_records

    def _column_types(self) -> dict[str, str]:
        types = super()._column_types()
        for column in self.plan().columns:
            if column.type == "timespan":
                types |= {f"{column}.begin": "int64", f"{column}.end": "int64"}
            else:
                types[str(column)] = _KINDS[column.type]
        return types


def _objects(row: dict[str, Any], columns: Iterable[ColumnRef]) -> dict[str, Any]:
    """Turn timespans and regions into what Python calls them."""
    for column in columns:
        name = str(column)
        if column.type == "timespan":
            begin, end = row.pop(f"{name}.begin"), row.pop(f"{name}.end")
            row[name] = None if begin is None else Timespan.from_nsec(begin, end)
        elif column.type == "region" and row[name] is not None:
            from lsst.sphgeom import Region

            row[name] = Region.decode(row[name])
    return row


def field_names(
    universe: DimensionUniverse,
    names: Iterable[str],
    dimension_fields: Mapping[str, Collection[str]] | None,
    dataset_fields: Mapping[str, Collection[str] | EllipsisType] | None,
) -> tuple[list[str], list[str]]:
    """Gather the fields that a general query is to have.

    Parameters
    ----------
    universe : `DimensionUniverse`
        The repository's dimensions.
    names : iterable of `str`
        Fields as ``owner.field``.
    dimension_fields : mapping or `None`
        Fields by element.
    dataset_fields : mapping or `None`
        Fields by dataset type; ``...`` for those that make a reference.

    Returns
    -------
    fields : `list` [`str`]
        Each once.
    dataset_types : `list` [`str`]
        Types of which there are fields.
    """
    found: dict[str, None] = {}
    kinds: dict[str, None] = {}
    for name in names:
        found[name] = None
        owner, _, field = name.rpartition(".")
        if owner and owner not in universe and field in DATASET_FIELDS:
            kinds[owner] = None
    for element, fields in (dimension_fields or {}).items():
        found.update(dict.fromkeys(f"{element}.{field}" for field in sorted(fields)))
    for kind, chosen in (dataset_fields or {}).items():
        wanted = ["dataset_id", "run"] if isinstance(chosen, EllipsisType) else sorted(chosen)
        for field in wanted:
            if field not in DATASET_FIELDS:
                raise InvalidQueryError(
                    f"datasets have no field {field!r}",
                    hint=known_names(field, DATASET_FIELDS, what="fields of datasets"),
                )
            found[f"{kind}.{field}"] = None
        if wanted:
            kinds[kind] = None
    return list(found), list(kinds)
