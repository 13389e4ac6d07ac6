# SPDX-License-Identifier: BSD-3-Clause
"""``plot``: pictures of what a repository holds."""

from __future__ import annotations

import os
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from lakebutler.cli.names import one_dataset_type
from lakebutler.cli.options import Selection, as_of_option, collections_option
from lakebutler.cli.refine import split_names
from lakebutler.cli.select import select_datasets, with_only_governors
from lakebutler.cli.session import Session, counted, pass_session
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
@click.argument("what", type=click.Choice(["focal-plane", "timeline"]))
@click.option("--exposure", type=int, help="The exposure to draw.")
@click.option("--visit", type=int, help="The visit to draw.")
@click.option(
    "--instrument", metavar="NAME", help="Whose exposure or visit, if there are several instruments."
)
@click.option(
    "-d", "--dataset-type", default="raw", show_default=True, help="Images to draw, one per detector."
)
@collections_option("Collections to search: names or globs; all by default.")
@click.option("--where", metavar="EXPRESSION", help="timeline: which exposures; all by default.")
@click.option(
    "--colour",
    default="physical_filter",
    show_default=True,
    metavar="COLUMN",
    help="timeline: what colours the exposures, as physical_filter or target_name.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="The picture: .png, .svg or .pdf; by default named after what it shows.",
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
    where: str | None,
    colour: str,
    output: str | None,
) -> None:
    """Draw a picture of WHAT.

    focal-plane: the images of one exposure or visit, where their detectors sit.
    timeline: exposures against time, a row for each day of observing.
    """
    if what == "timeline":
        if exposure is not None or visit is not None:
            raise click.UsageError("a timeline takes --where, no exposure", click.get_current_context())
        _plot_timeline(session.butler(), _picture(output or "timeline.png"), where, instrument, colour)
        return
    if where is not None:
        raise click.UsageError("--where is for a timeline", click.get_current_context())
    if (exposure is None) == (visit is None):
        raise click.UsageError("give either --exposure or --visit", click.get_current_context())
    name, number = ("exposure", exposure) if visit is None else ("visit", visit)
    target = _picture(output or f"{what}-{number}.png")
    butler = session.butler()
    kind = one_dataset_type(butler, dataset_type)
    if not {name, "detector"} <= set(kind.dimensions.names):
        raise InvalidQueryError(f"{dataset_type!r} is not one image for each {name} and detector")
    chosen = f"{name} = {number}" + (f" AND instrument = '{instrument}'" if instrument else "")
    found = select_datasets(butler, Selection((dataset_type,), split_names(collections), where=chosen))
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


def _picture(target: str) -> str:
    if os.path.splitext(target)[1].lower() not in _ENDINGS:
        raise FileFormatError(f"{target}: a picture's name ends in {', '.join(_ENDINGS)}")
    return target


def _plot_timeline(
    butler: Butler, target: str, where: str | None, instrument: str | None, colour: str
) -> None:
    from lakebutler.butler.querying import sql_table
    from lakebutler.viz.timeline import Bar, save_timeline

    table = sql_table(
        butler, "SELECT * FROM exposure WHERE timespan_end > timespan_begin ORDER BY timespan_begin"
    )
    if colour not in table.column_names:
        raise InvalidQueryError(
            f"an exposure has no {colour!r}", hint=known_names(colour, table.column_names)
        )
    limits: dict[str, Any] = {"instrument": instrument} if instrument else {}
    asked = with_only_governors(butler, where)
    found = asked.query_data_ids("exposure", where=where or "", explain=False, **limits)
    chosen = {(data_id["instrument"], data_id["exposure"]) for data_id in found}
    names = ("instrument", "exposure", "day_obs", "timespan_begin", "timespan_end", colour)
    columns = [table.column(name).to_pylist() for name in names]
    taken = [row for row in zip(*columns, strict=True) if row[:2] in chosen]
    if not taken:
        raise DatasetNotFoundError("no exposure with a time fits")
    cameras = sorted({row[0] for row in taken})
    bars = []
    for camera, _, number, begin, end, word in taken:
        day = str(number)
        try:
            midnight = (date.fromisoformat(day) - date(1970, 1, 1)).days * 24
        except ValueError:
            raise InvalidQueryError(f"{camera}: day_obs {day} is no date YYYYMMDD") from None
        night = day if len(cameras) == 1 else f"{camera} {day}"
        bars.append(Bar(night, begin / 3.6e12 - midnight, end / 3.6e12 - midnight, str(word)))
    save_timeline(
        bars,
        target,
        title=f"{', '.join(cameras)}: {counted(len(bars), 'exposure')}",
        label=colour,
        hours="hours since 0:00 TAI of the day of observing",
    )
    click.echo(target)


def _tiles(butler: Butler, refs: list[DatasetRef], progress: Progress) -> list[Tile]:
    from lakebutler.instruments.cameras.find import load_camera
    from lakebutler.instruments.cameras.geometry import detector_corners, without_overscan
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
