# SPDX-License-Identifier: BSD-3-Clause
"""``plot focal-plane``: the detectors of one exposure, or a value for each detector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakebutler.cli.names import one_dataset_type
from lakebutler.cli.plots.columns import dataset_values, plain_value, refs_with_records
from lakebutler.errors import (
    DatasetNotFoundError,
    FileFormatError,
    InstrumentError,
    InvalidQueryError,
    known_names,
)
from lakebutler.progress import Progress

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler
    from lakebutler.datasets.dataset_ref import DatasetRef
    from lakebutler.viz.focal_plane import Tile
    from lakebutler.viz.style import Value

__all__ = ["plot_focal_plane", "plot_query"]


def plot_focal_plane(
    butler: Butler,
    target: str,
    *,
    number: tuple[str, int],
    instrument: str | None,
    dataset_type: str,
    collections: tuple[str, ...],
    colour: str | None,
    progress: Progress,
) -> None:
    """Draw the images of one exposure or visit, or a column of their datasets, where detectors sit.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    target : `str`
        The picture.
    number : `tuple`
        ``exposure`` or ``visit``, and which.
    instrument : `str` or `None`
        Whose, if there are several.
    dataset_type : `str`
        Datasets, one for each detector.
    collections : `tuple` [`str`]
        Where; all by default.
    colour : `str` or `None`
        Column that colours them; `None` for their pixels.
    progress : `Progress`
        Told of each image.

    Raises
    ------
    DatasetNotFoundError
        Raised if there is no such dataset.
    InvalidQueryError
        Raised if the type is not one dataset for each detector, or there is no such column.
    """
    from lakebutler.viz.focal_plane import save_focal_plane

    name, value = number
    kind = one_dataset_type(butler, dataset_type)
    if not {name, "detector"} <= set(kind.dimensions.names):
        raise InvalidQueryError(f"{dataset_type!r} is not one image for each {name} and detector")
    found = refs_with_records(butler, dataset_type, collections, f"{name} = {value}", instrument)
    if not found:
        of = f" of {instrument}" if instrument else ""
        raise DatasetNotFoundError(f"no {dataset_type} of {name} {value}{of}")
    refs = list({ref.dataId["detector"]: ref for ref in found}.values())
    camera = str(refs[0].dataId["instrument"])
    if colour is None:
        tiles = _pixel_tiles(butler, camera, refs, progress)
    else:
        values = dataset_values(butler, refs, colour)
        detectors = (int(ref.dataId["detector"]) for ref in refs)
        tiles = _value_tiles(camera, dict(zip(detectors, values, strict=True)))
    subtitle = f"{len(refs)} × {dataset_type}"
    save_focal_plane(tiles, target, title=f"{camera} {name} {value}", subtitle=subtitle, label=colour or "")


def plot_query(butler: Butler, target: str, sql: str, instrument: str | None) -> None:
    """Draw what a query says of each detector.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    target : `str`
        The picture.
    sql : `str`
        A query of two columns: number of a detector, and a value.
    instrument : `str` or `None`
        Whose detectors, if there are several instruments.

    Raises
    ------
    InvalidQueryError
        Raised if the query gives something else.
    InstrumentError
        Raised if it is not clear which instrument.
    """
    from lakebutler.butler.querying import sql_table
    from lakebutler.viz.focal_plane import save_focal_plane

    table = sql_table(butler, sql)
    if table.num_columns != 2:
        raise InvalidQueryError(
            f"the query gives {table.num_columns} columns", hint="a detector's number, and what colours it"
        )
    detectors, values = (column.to_pylist() for column in table.columns)
    if not detectors or not all(isinstance(d, int) for d in detectors):
        raise InvalidQueryError("the first column of the query holds no numbers of detectors")
    if len(set(detectors)) < len(detectors):
        raise InvalidQueryError("the query gives several values for a detector", hint="GROUP BY detector")
    camera = instrument or _only_instrument(butler)
    label = table.column_names[1]
    tiles = _value_tiles(camera, dict(zip(detectors, map(plain_value, values), strict=True)))
    save_focal_plane(
        tiles, target, title=camera, subtitle=f"{label} of {len(detectors)} detectors", label=label
    )


def _only_instrument(butler: Butler) -> str:
    names = [str(r.dataId["instrument"]) for r in butler.query_dimension_records("instrument", explain=False)]
    if len(names) != 1:
        raise InstrumentError(
            "say which --instrument", hint=f"there are {', '.join(sorted(names)) or 'none'}"
        )
    return names[0]


def _value_tiles(camera_name: str, values: Mapping[int, Value]) -> list[Tile]:
    """All detectors of a camera; those without a value are drawn empty."""
    from lakebutler.instruments.cameras.find import load_camera
    from lakebutler.instruments.cameras.geometry import detector_corners
    from lakebutler.viz.focal_plane import Tile

    tiles = []
    for detector in load_camera(camera_name).detectors:
        if detector.placement is not None:
            corners = [tuple(map(float, corner)) for corner in detector_corners(detector.placement)]
            tiles.append(Tile(detector.name, corners, values.get(detector.id)))
    if not tiles:
        raise InstrumentError(f"{camera_name} says nothing about where its detectors are")
    return tiles


def _pixel_tiles(butler: Butler, camera_name: str, refs: list[DatasetRef], progress: Progress) -> list[Tile]:
    from lakebutler.instruments.cameras.find import load_camera
    from lakebutler.instruments.cameras.geometry import detector_corners, without_overscan
    from lakebutler.viz.focal_plane import Tile, binned

    camera = load_camera(camera_name)
    detectors = {detector.id: detector for detector in camera.detectors}
    tiles = []
    progress.start("reading images", len(refs))
    for ref in refs:
        detector = detectors.get(int(ref.dataId["detector"]))
        if detector is None or detector.placement is None:
            raise InstrumentError(
                f"{camera.name} says nothing about where detector {ref.dataId['detector']} is",
                hint=known_names(
                    str(ref.dataId["detector"]), (str(i) for i, d in detectors.items() if d.placement)
                ),
            )
        corners = [tuple(map(float, corner)) for corner in detector_corners(detector.placement)]
        pixels = without_overscan(detector.placement, _pixels(butler, ref))
        tiles.append(Tile(detector.name, corners, pixels=binned(pixels)))
        progress.advance()
    progress.finish()
    return tiles


def _pixels(butler: Butler, ref: DatasetRef) -> Any:
    """The image of a detector; one of several amplifiers is put together as their headers say."""
    from lakebutler.viz.mosaic import mosaic

    try:
        image = butler.get(ref)
    except FileFormatError:
        try:
            hdus = butler.get(ref, storageClass="HDUList")
        except FileFormatError:
            hdus = []
        whole = mosaic((hdu.data, hdu.header) for hdu in hdus if getattr(hdu, "is_image", False))
        if whole is None:
            raise
        return whole
    data = getattr(image, "data", image)
    if getattr(data, "ndim", 0) != 2:
        raise FileFormatError(f"{ref.datasetType.name} {ref.dataId} is no image with two axes")
    return data
