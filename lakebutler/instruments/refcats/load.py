# SPDX-License-Identifier: BSD-3-Clause
"""Look up a reference catalogue by region: one table, whatever it is cut into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lakebutler.errors import DatasetNotFoundError, DimensionValueError, FileFormatError, InvalidQueryError
from lakebutler.instruments.refcats.naming import REFCATS_CHAIN, pixels_of
from lakebutler.instruments.refcats.positions import find_positions, positions_deg
from lakebutler.query.geometry import region_bytes, region_of_value

if TYPE_CHECKING:
    import pyarrow as pa

    from lakebutler.butler.butler import Butler
    from lakebutler.datasets.dataset_ref import DatasetRef
    from lakebutler.dimensions.coordinate import DataCoordinate

__all__ = ["load_refcat"]


def load_refcat(
    butler: Butler,
    name: str,
    region: Any = None,
    *,
    data_id: DataCoordinate | Mapping[str, Any] | None = None,
    collections: str | Iterable[str] = REFCATS_CHAIN,
    columns: Iterable[str] | None = None,
    ra: str | None = None,
    dec: str | None = None,
    units: str | None = None,
    storage_class: str = "ArrowAstropy",
) -> Any:
    """Read the rows of a catalogue that lie in a region.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    name : `str`
        The catalogue: a dataset type whose only dimension is one of pixels of the sky.
    region : `lsst.sphgeom.Region`, `astropy.coordinates.SkyCoord` or `str`, optional
        Where to look; text is an IVOA POS string in degrees: ``CIRCLE ra dec radius``,
        ``RANGE ra1 ra2 dec1 dec2`` or ``POLYGON ra1 dec1 ra2 dec2 ra3 dec3 …``.
    data_id : `DataCoordinate` or mapping, optional
        Instead of it: the region of this data ID, of a visit and detector, or a patch.
    collections : `str` or iterable of `str`, optional
        Where the catalogue is.
    columns : iterable of `str`, optional
        Columns to read; all by default.
    ra, dec, units : `str`, optional
        Columns of positions and their unit, where they are neither noted at ingest nor known
        by their names; see `find_positions`.
    storage_class : `str`, optional
        Kind of table to return: ``ArrowAstropy``, ``ArrowTable``, ``DataFrame`` and so on.

    Returns
    -------
    rows : `astropy.table.Table` or as ``storage_class`` says
        Rows whose position is in the region or on its edge; in the order of the pixels.

    Raises
    ------
    DatasetTypeError
        Raised if this is no reference catalogue.
    DatasetNotFoundError
        Raised if no part of the catalogue is in the collections.
    DimensionValueError
        Raised if the data ID has no region.
    FileFormatError
        Raised if shards do not go together, or have no positions.
    InvalidQueryError
        Raised if the region is none.

    Notes
    -----
    Pixels that touch the region are found by a query; a table without rows is the answer
    where they hold none in it.
    """
    import pyarrow as pa

    from lakebutler.datasets.storage_class import StorageClassFactory

    kind = butler.get_dataset_type(name)
    pixels = pixels_of(kind).name
    place = _region(butler, region, data_id)
    where = collections if isinstance(collections, str) else list(collections)
    refs = butler.query_datasets(
        name, where, where=f"{pixels}.region OVERLAPS place", bind={"place": place}, explain=False, limit=None
    )
    wanted = None if columns is None else list(dict.fromkeys(columns))
    asked = {"ra": ra, "dec": dec, "units": units}
    refs.sort(key=lambda ref: int(ref.dataId[pixels]))
    parts = [_inside(butler, ref, place, wanted, asked) for ref in refs]
    if not parts:  # the columns, at least
        some = butler.query_datasets(name, where, limit=1, explain=False)
        if not some:
            raise DatasetNotFoundError(f"there is nothing of catalogue {name!r} in {where}")
        parts = [_inside(butler, some[0], place, wanted, asked).slice(0, 0)]
    for ref, part in zip(refs, parts, strict=False):
        if not part.schema.equals(parts[0].schema):
            raise FileFormatError(
                f"{name}: {pixels} {ref.dataId[pixels]} has other columns than {refs[0].dataId[pixels]}",
                hint="name those that all have: columns=",
            )
    table = pa.concat_tables(parts)
    return StorageClassFactory().getStorageClass(storage_class).coerce(table)


def _region(butler: Butler, region: Any, data_id: DataCoordinate | Mapping[str, Any] | None) -> Any:
    from lsst.sphgeom import Region

    if (region is None) == (data_id is None):
        raise InvalidQueryError("give either a region or a data ID")
    if data_id is not None:
        found = butler.registry.expandDataId(data_id).region
        if found is None:
            raise DimensionValueError(f"{dict(data_id)} has no region")
        return found
    if isinstance(region, str):
        try:
            return Region.decode(region_bytes("REGION", (region,)))
        except ValueError as error:
            raise InvalidQueryError(
                f"{region!r} is no region: {error}", hint="CIRCLE ra dec radius, all in degrees"
            ) from None
    encoded = region_of_value(region)
    if encoded is None:
        raise InvalidQueryError(f"a {type(region).__name__} is no region on the sky")
    return Region.decode(encoded)


def _inside(
    butler: Butler, ref: DatasetRef, place: Any, wanted: list[str] | None, asked: Mapping[str, str | None]
) -> pa.Table:
    """Rows of one shard that are in the region."""
    import numpy as np
    import pyarrow as pa

    table = _rows(butler, ref)
    where = f"{ref.datasetType.name} {ref.dataId}"
    positions = find_positions(table.schema, where, **asked)
    ra_deg, dec_deg = positions_deg(table, positions)
    known = np.isfinite(ra_deg)
    inside = np.zeros(len(ra_deg), dtype=bool)
    inside[known] = place.contains(np.radians(ra_deg[known]), np.radians(dec_deg[known]))
    missing = [name for name in wanted or () if name not in table.column_names]
    if missing:
        raise FileFormatError(f"{where}: there is no column {missing[0]!r}")
    return (table if wanted is None else table.select(wanted)).filter(pa.array(inside))


def _rows(butler: Butler, ref: DatasetRef) -> pa.Table:
    """One shard; catalogues of ``lsst.meas.algorithms`` are FITS tables."""
    from lakebutler.datasets.storage_class import StorageClassFactory

    known, name = StorageClassFactory(), ref.datasetType.storageClass_name
    if name in known and "parquet" in known.getStorageClass(name).formatters:
        return butler.get(ref, storageClass="ArrowTable")
    return known.getStorageClass("ArrowTable").coerce(butler.get(ref, storageClass="AstropyTable"))
