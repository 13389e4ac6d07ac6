# SPDX-License-Identifier: BSD-3-Clause
"""Datasets, data IDs and dimension records as listings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.cli.output import Listing

if TYPE_CHECKING:
    from lakebutler.datasets.dataset_ref import DatasetRef
    from lakebutler.datasets.dataset_type import DatasetType
    from lakebutler.dimensions.coordinate import DataCoordinate
    from lakebutler.dimensions.elements import DimensionElement
    from lakebutler.dimensions.records import DimensionRecord

__all__ = ["data_id_listing", "dataset_listing", "record_listing"]


def dataset_listing(
    dataset_type: DatasetType, refs: Sequence[DatasetRef], uris: Sequence[str] | None = None
) -> Listing:
    """List datasets of one type.

    Parameters
    ----------
    dataset_type : `DatasetType`
        Their type.
    refs : sequence of `DatasetRef`
        The datasets.
    uris : sequence of `str`, optional
        Where each one lies.

    Returns
    -------
    listing : `Listing`
        Columns ``type run id``, the data ID, and ``uri`` where known.
    """
    keys = _keys(dataset_type.dimensions, [ref.dataId for ref in refs])
    columns = ("type", "run", "id", *keys, *(("uri",) if uris is not None else ()))
    rows = []
    for number, ref in enumerate(refs):
        tail = (uris[number],) if uris is not None else ()
        rows.append((dataset_type.name, ref.run, ref.id, *_values(ref.dataId, keys), *tail))
    return Listing(columns, rows)


def data_id_listing(dimensions: Any, data_ids: Sequence[DataCoordinate]) -> Listing:
    """List data IDs.

    Parameters
    ----------
    dimensions : `DimensionGroup`
        What they identify.
    data_ids : sequence of `DataCoordinate`
        The data IDs.

    Returns
    -------
    listing : `Listing`
        One column for each key.
    """
    keys = _keys(dimensions, data_ids)
    return Listing(keys, [_values(data_id, keys) for data_id in data_ids])


def record_listing(element: DimensionElement, records: Iterable[DimensionRecord]) -> Listing:
    """List dimension records.

    Parameters
    ----------
    element : `DimensionElement`
        What they describe.
    records : iterable of `DimensionRecord`
        The records.

    Returns
    -------
    listing : `Listing`
        One column for each field; a timespan has two, a region is written as
        IVOA text (degrees).
    """
    columns: tuple[str, ...] = ()
    rows = []
    for record in records:
        cells = _record_cells(record)
        columns = columns or tuple(cells)
        rows.append(tuple(cells.values()))
    if not columns:
        columns = tuple(element.required.names)
    return Listing(columns, rows)


def _keys(dimensions: Any, data_ids: Sequence[DataCoordinate]) -> tuple[str, ...]:
    full = all(data_id.hasFull() for data_id in data_ids)
    return tuple(dimensions.data_coordinate_keys) if full else tuple(dimensions.required)


def _values(data_id: DataCoordinate, keys: tuple[str, ...]) -> tuple[Any, ...]:
    mapping = data_id.mapping if data_id.hasFull() else data_id.required
    return tuple(mapping[key] for key in keys)


def _record_cells(record: DimensionRecord) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name, value in record.toDict().items():
        if name == "timespan":
            bounds = (None, None) if value is None else value.nsec
            cells["timespan.begin"], cells["timespan.end"] = map(_moment, bounds)
        elif name == "region":
            cells["region"] = None if value is None else _region_text(value)
        else:
            cells[name] = value
    return cells


def _moment(nsec: int | None) -> str | None:
    """A bound of a timespan in TAI, ISO 8601; `None` where it is unbounded."""
    from datetime import UTC, datetime, timedelta

    from lakebutler.timespan import MAX_NSEC, MIN_NSEC

    if nsec is None or nsec <= MIN_NSEC or nsec >= MAX_NSEC:
        return None
    seconds, rest = divmod(nsec, 1_000_000_000)
    moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}" + (f".{rest:09d}".rstrip("0") if rest else "")


def _region_text(region: Any) -> str:
    try:
        return str(region.to_ivoa_pos())
    except (TypeError, RuntimeError, NotImplementedError):  # IVOA has no word for compound regions
        return str(region)
