# SPDX-License-Identifier: BSD-3-Clause
"""``plot sky``: footprints of data IDs or datasets, with tracts and patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.cli.plots.columns import data_id_values, dataset_values, refs_with_records
from lakebutler.cli.select import with_only_governors
from lakebutler.cli.session import counted, listed, say
from lakebutler.errors import DatasetNotFoundError, DimensionNameError, InvalidQueryError

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler
    from lakebutler.dimensions.coordinate import DataCoordinate
    from lakebutler.viz.style import Value

__all__ = ["FOOTPRINTS", "plot_sky"]

FOOTPRINTS = ("visit_detector_region", "visit", "patch", "tract")
"""Elements whose regions can be drawn."""

_MOST_FOOTPRINTS = 200_000
_MOST_TRACTS = 3000
_FEW_TRACTS = 6


def plot_sky(
    butler: Butler,
    target: str,
    *,
    footprints: str | None,
    dataset_type: str | None,
    collections: tuple[str, ...],
    where: str | None,
    instrument: str | None,
    skymap: str | None,
    patches: bool | None,
    colour: str | None,
) -> None:
    """Draw footprints.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    target : `str`
        The picture.
    footprints : `str` or `None`
        One of `FOOTPRINTS`; by default visits if there are any, else patches.
    dataset_type : `str` or `None`
        Instead: the datasets of this type.
    collections : `tuple` [`str`]
        Where these are; all by default.
    where, instrument : `str` or `None`
        Which data IDs or datasets.
    skymap : `str` or `None`
        Whose tracts are drawn; the only one by default.
    patches : `bool` or `None`
        Whether to draw patches; by default if tracts are few.
    colour : `str` or `None`
        Column that colours the footprints; the band by default.

    Raises
    ------
    DatasetNotFoundError
        Raised if nothing with a region fits.
    InvalidQueryError
        Raised if there is no such column, or footprints are too many to draw.
    """
    from lakebutler.viz.outline import outlines
    from lakebutler.viz.sky import Sky, save_sky

    if dataset_type is not None:
        what, data_ids, values = _datasets(butler, dataset_type, collections, where, instrument, colour)
    else:
        what, data_ids, values = _data_ids(butler, footprints, where, instrument, skymap, colour)
    regions = _regions(butler, data_ids)
    placed = [(region, v) for region, v in zip(regions, values, strict=True) if region is not None]
    if not placed:
        raise DatasetNotFoundError(f"no {what} with a region fits")
    shown = outlines([region for region, _ in placed])
    own = "tract" in data_ids[0].dimensions.names
    tracts, inner = _tracts(butler, shown, skymap, patches, own=own and dataset_type is None)
    names = sorted({str(d[n]) for d in data_ids for n in ("instrument", "skymap") if n in d.dimensions.names})
    save_sky(
        Sky(shown, [value for _, value in placed], tracts, inner),
        target,
        title=listed(names),
        subtitle=f"{counted(len(placed), what.replace('_', ' '))}",
        label=colour or ("band" if any(v is not None for v in values) else ""),
    )


def _datasets(
    butler: Butler,
    name: str,
    collections: tuple[str, ...],
    where: str | None,
    instrument: str | None,
    colour: str | None,
) -> tuple[str, list[DataCoordinate], list[Value]]:
    refs = refs_with_records(butler, name, collections, where, instrument)
    _check_count(len(refs))
    values = _values(lambda column: dataset_values(butler, refs, column), len(refs), colour)
    return f"{name} dataset", [ref.dataId for ref in refs], values


def _data_ids(
    butler: Butler,
    footprints: str | None,
    where: str | None,
    instrument: str | None,
    skymap: str | None,
    colour: str | None,
) -> tuple[str, list[DataCoordinate], list[Value]]:
    element = footprints or next(
        (e for e in ("visit", "patch") if butler.query_dimension_records(e, limit=1, explain=False)), "tract"
    )
    asked = with_only_governors(butler, where)
    limits: dict[str, Any] = {}
    if instrument and "instrument" in butler.dimensions[element].required:
        limits["instrument"] = instrument
    if skymap and "skymap" in butler.dimensions[element].required:
        limits["skymap"] = skymap
    with asked.query() as query:
        if where:
            query = query.where(where)
        if limits:
            query = query.where(**limits)
        data_ids = list(query.data_ids(butler.dimensions[element].minimal_group).with_dimension_records())
    _check_count(len(data_ids))
    return element, data_ids, _values(lambda column: data_id_values(data_ids, column), len(data_ids), colour)


def _values(read: Any, count: int, colour: str | None) -> list[Value]:
    """Values of a column; of the band, where none is named and there is one."""
    try:
        found: list[Value] = read(colour or "band")
    except InvalidQueryError:
        if colour is not None:
            raise
        return [None] * count
    return found


def _regions(butler: Butler, data_ids: Sequence[DataCoordinate]) -> list[bytes | None]:
    """Regions of data IDs; an exposure is where its first visit is."""
    from lakebutler.butler.querying import sql_table

    dimensions = data_ids[0].dimensions.names if data_ids else frozenset()
    if "exposure" not in dimensions or "visit" in dimensions:
        return [None if d.region is None else d.region.encode() for d in data_ids]
    element = "visit_detector_region" if "detector" in dimensions else "visit"
    names = ("instrument", "exposure", *(("detector",) if "detector" in dimensions else ()))
    table = sql_table(
        butler,
        f"SELECT {', '.join(names)}, region FROM visit_definition JOIN {element} USING (instrument, visit) "
        "WHERE region IS NOT NULL ORDER BY visit DESC",
    )
    *keys, found = (column.to_pylist() for column in table.columns)
    place = dict(zip(zip(*keys, strict=True), found, strict=True))
    return [place.get(tuple(d[n] for n in names)) for d in data_ids]


def _check_count(count: int) -> None:
    if count > _MOST_FOOTPRINTS:
        raise InvalidQueryError(f"{count} footprints are too many for a picture", hint="--where chooses some")


def _tracts(
    butler: Butler, shown: Sequence[Any], skymap: str | None, patches: bool | None, *, own: bool
) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Names and outlines of the tracts and patches that the view may hold."""
    from lakebutler.viz.outline import outlines, view_circle

    names = [str(r.dataId["skymap"]) for r in butler.query_dimension_records("skymap", explain=False)]
    if skymap is not None and skymap not in names:
        raise DimensionNameError(
            f"there is no skymap {skymap!r}", hint=f"there are {', '.join(sorted(names)) or 'none'}"
        )
    if own or (skymap is None and len(names) != 1):
        return [], []
    bind = {"view": view_circle(shown)}
    limits: dict[str, Any] = {"skymap": skymap or names[0], "bind": bind, "limit": None, "explain": False}

    def named(element: str) -> list[tuple[str, Any]]:
        records: list[Any] = butler.query_dimension_records(
            element, where=f"{element}.region OVERLAPS view", **limits
        )
        regions = outlines([record.region.encode() for record in records])
        return [(str(record.id), outline) for record, outline in zip(records, regions, strict=True)]

    tracts = named("tract")
    if len(tracts) > _MOST_TRACTS:
        say(f"{len(tracts)} tracts are not drawn")
        return [], []
    wanted = len(tracts) <= _FEW_TRACTS if patches is None else patches
    return tracts, named("patch") if wanted else []
