# SPDX-License-Identifier: BSD-3-Clause
"""Columns that can colour a picture: of data IDs, of their records, of ObsCore."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.cli.names import match_collections, one_dataset_type
from lakebutler.cli.refine import split_names
from lakebutler.cli.select import with_only_governors
from lakebutler.errors import FileFormatError, InvalidQueryError, known_names

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler
    from lakebutler.datasets.dataset_ref import DatasetRef
    from lakebutler.dimensions.coordinate import DataCoordinate
    from lakebutler.viz.style import Value

__all__ = ["check_picture", "data_id_values", "dataset_values", "plain_value", "refs_with_records"]

_ENDINGS = (".png", ".svg", ".pdf")
_NO_COLOURS = ("region", "timespan", "hash")


def check_picture(target: str) -> str:
    """Refuse the name of a picture that has none of the known endings.

    Parameters
    ----------
    target : `str`
        The file.

    Returns
    -------
    target : `str`
        The same.

    Raises
    ------
    FileFormatError
        Raised for other endings.
    """
    if os.path.splitext(target)[1].lower() not in _ENDINGS:
        raise FileFormatError(f"{target}: a picture's name ends in {', '.join(_ENDINGS)}")
    return target


def plain_value(value: Any) -> Value:
    """Turn a value of a table into one that colours can be chosen for.

    Parameters
    ----------
    value : object
        A number, a word, a truth or `None`; anything else is taken as text.

    Returns
    -------
    value : `float`, `str` or `None`
        Numbers stay numbers.
    """
    if value is None or (isinstance(value, int | float | str) and not isinstance(value, bool)):
        return value
    return str(value)


def data_id_values(data_ids: Sequence[DataCoordinate], column: str) -> list[Value]:
    """Read a column for some data IDs.

    Parameters
    ----------
    data_ids : sequence of `DataCoordinate`
        With their records, all of the same dimensions.
    column : `str`
        A dimension, a field of one of the records (the first that has it, the finest first),
        or ``element.field``.

    Returns
    -------
    values : `list`
        One for each.

    Raises
    ------
    InvalidQueryError
        Raised if there is no such column.
    """
    if not data_ids:
        return []
    first = data_ids[0]
    if column in first.dimensions.names:
        return [None if d[column] is None else str(d[column]) for d in data_ids]  # names, even if of digits
    element, dot, field = column.rpartition(".")
    for name, known in _fields(first):
        if field == known and (not dot or element == name):
            return [plain_value(getattr(d.records[name], known, None)) for d in data_ids]
    names = {*first.dimensions.names, *(field for _, field in _fields(first))}
    raise InvalidQueryError(f"there is no {column!r} to colour by", hint=known_names(column, sorted(names)))


def _fields(data_id: DataCoordinate) -> Iterator[tuple[str, str]]:
    """Fields of the records of a data ID, those of the finest first."""
    for name in reversed(list(data_id.dimensions.elements)):
        record = data_id.records[name]
        for field in record.toDict() if record is not None else ():
            if field not in _NO_COLOURS:
                yield name, field


def dataset_values(butler: Butler, refs: Sequence[DatasetRef], column: str) -> list[Value]:
    """Read a column for some datasets.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    refs : sequence of `DatasetRef`
        With the records of their data IDs, all of one dataset type.
    column : `str`
        As for `data_id_values`, or a column of the view ``obscore``.

    Returns
    -------
    values : `list`
        One for each.

    Raises
    ------
    InvalidQueryError
        Raised if there is no such column.
    """
    from lakebutler.butler.querying import sql_table
    from lakebutler.registry.obscore import OBSCORE_COLUMNS

    try:
        return data_id_values([ref.dataId for ref in refs], column)
    except InvalidQueryError:
        if column not in {c.name for c in OBSCORE_COLUMNS}:
            raise
    table = sql_table(
        butler, f'SELECT lb_id, "{column}" FROM obscore WHERE lb_dataset_type = ?', [refs[0].datasetType.name]
    )
    ids, values = (table.column(i).to_pylist() for i in range(2))
    found = dict(zip(map(str, ids), values, strict=True))
    return [plain_value(found.get(str(ref.id))) for ref in refs]


def refs_with_records(
    butler: Butler, name: str, collections: Sequence[str], where: str | None, instrument: str | None
) -> list[DatasetRef]:
    """Find the datasets of a type, with their records.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    name : `str`
        The dataset type.
    collections : sequence of `str`
        Where, names or globs; everywhere if empty.
    where, instrument : `str` or `None`
        Which.

    Returns
    -------
    refs : `list` [`DatasetRef`]
        All that fit.
    """
    kind = one_dataset_type(butler, name)
    asked = with_only_governors(butler, where)
    limits: dict[str, Any] = {}
    if instrument and "instrument" in kind.dimensions.names:
        limits["instrument"] = instrument
    return asked.query_datasets(
        kind,
        match_collections(butler, split_names(collections)) if collections else "*",
        find_first=False,
        where=where or "",
        with_dimension_records=True,
        limit=None,
        explain=False,
        **limits,
    )
