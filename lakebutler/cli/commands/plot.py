# SPDX-License-Identifier: BSD-3-Clause
"""``plot``: pictures of what a repository holds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from lakebutler.cli.names import one_dataset_type
from lakebutler.cli.options import Selection, as_of_option, collections_option
from lakebutler.cli.refine import split_names
from lakebutler.cli.select import select_datasets
from lakebutler.cli.session import Session, pass_session
from lakebutler.cli.verb import Verb
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

__all__ = ["plot"]

_ENDINGS = (".png", ".svg", ".pdf")


@click.command("plot", cls=Verb)
@click.argument("what", type=click.Choice(["focal-plane"]))
@click.option("--exposure", type=int, help="The exposure to draw.")
@click.option("--visit", type=int, help="The visit to draw.")
@click.option(
    "--instrument", metavar="NAME", help="Whose exposure or visit, if there are several instruments."
)
@click.option(
    "-d", "--dataset-type", default="raw", show_default=True, help="Images to draw, one per detector."
)
@collections_option("Collections to search: names or globs; all by default.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="The picture: .png, .svg or .pdf; by default named after the exposure.",
)
@as_of_option
@pass_session
def plot(
    session: Session,
    *,
    what: str,
    exposure: int | None,
    visit: int | None,
    instrument: str | None,
    dataset_type: str,
    collections: tuple[str, ...],
    output: str | None,
) -> None:
    """Draw a picture of WHAT: the focal plane with the images of one exposure or visit."""
    if (exposure is None) == (visit is None):
        raise click.UsageError("give either --exposure or --visit", click.get_current_context())
    name, number = ("exposure", exposure) if visit is None else ("visit", visit)
    target = output or f"{what}-{number}.png"
    if os.path.splitext(target)[1].lower() not in _ENDINGS:
        raise FileFormatError(f"{target}: a picture's name ends in {', '.join(_ENDINGS)}")
    butler = session.butler()
    kind = one_dataset_type(butler, dataset_type)
    if not {name, "detector"} <= set(kind.dimensions.names):
        raise InvalidQueryError(f"{dataset_type!r} is not one image for each {name} and detector")
    where = f"{name} = {number}" + (f" AND instrument = '{instrument}'" if instrument else "")
    found = select_datasets(butler, Selection((dataset_type,), split_names(collections), where=where))
    if not found:
        raise DatasetNotFoundError(f"no {dataset_type} of {name} {number}")
    refs = list({ref.dataId["detector"]: ref for ref in found[0][1]}.values())
    from lakebutler.viz.focal_plane import save_focal_plane

    tiles = _tiles(butler, refs, session.watcher())
    camera = refs[0].dataId["instrument"]
    save_focal_plane(
        tiles, target, title=f"{camera} {name} {number}", subtitle=f"{len(tiles)} × {dataset_type}"
    )
    click.echo(target)


def _tiles(butler: Butler, refs: list[DatasetRef], progress: Progress) -> list[Tile]:
    from lakebutler.instruments.camera import load_camera
    from lakebutler.instruments.geometry import detector_corners, without_overscan
    from lakebutler.viz.focal_plane import Tile

    camera = load_camera(str(refs[0].dataId["instrument"]))
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
        pixels = without_overscan(detector.placement, _pixels(butler.get(ref), ref))
        tiles.append(Tile(detector.name, corners, pixels=pixels))
        progress.advance()
    progress.finish()
    return tiles


def _pixels(image: Any, ref: DatasetRef) -> Any:
    data = getattr(image, "data", image)
    if getattr(data, "ndim", 0) != 2:
        raise FileFormatError(f"{ref.datasetType.name} {ref.dataId} is no image with two axes")
    return data
