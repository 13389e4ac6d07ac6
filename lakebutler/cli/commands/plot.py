# SPDX-License-Identifier: BSD-3-Clause
"""``plot``: pictures of what a repository holds."""

from __future__ import annotations

from typing import Any

import click

from lakebutler.cli.options import as_of_option, collections_option
from lakebutler.cli.plots.columns import check_picture
from lakebutler.cli.plots.sky import FOOTPRINTS
from lakebutler.cli.session import Session, pass_session
from lakebutler.cli.verb import Verb

__all__ = ["plot"]

_OWN = {
    "focal-plane": {"exposure", "visit", "dataset_type", "collections", "sql"},
    "sky": {"dataset_type", "collections", "where", "footprints", "skymap", "patches"},
    "timeline": {"where"},
}
"""Options of each picture, beside those that all have."""


@click.command("plot", cls=Verb)
@click.argument("what", type=click.Choice(sorted(_OWN)))
@click.option("--exposure", type=int, help="focal-plane: the exposure to draw.")
@click.option("--visit", type=int, help="focal-plane: the visit to draw.")
@click.option("--sql", metavar="QUERY", help="focal-plane: instead, a query of detector and value.")
@click.option(
    "--instrument", metavar="NAME", help="Whose exposures, visits or detectors, if there are several."
)
@click.option(
    "-d",
    "--dataset-type",
    metavar="NAME",
    help="focal-plane: datasets to draw, one for each detector; raw by default. sky: draw the footprints of "
    "these datasets.",
)
@collections_option("Collections to search: names or globs; all by default.")
@click.option("--where", metavar="EXPRESSION", help="timeline, sky: which; all by default.")
@click.option(
    "--footprints",
    type=click.Choice(FOOTPRINTS),
    help="sky: what to draw; by default visits if there are any, else patches.",
)
@click.option("--skymap", metavar="NAME", help="sky: draw tracts of this skymap; the only one by default.")
@click.option("--patches/--no-patches", default=None, help="sky: draw patches; by default if tracts are few.")
@click.option(
    "--colour",
    metavar="COLUMN",
    help="What colours the picture: a dimension, a field of a record such as exposure_time or "
    "detector.purpose, or a column of obscore. By default the filter (timeline), the band (sky), the pixels "
    "(focal-plane).",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="The picture: .png, .svg or .pdf; by default named after what it shows.",
)
@as_of_option
@pass_session
def plot(session: Session, /, *, what: str, output: str | None, **options: Any) -> None:
    """Draw a picture of WHAT.

    focal-plane: the images of one exposure or visit where their detectors sit, or a value for each detector.
    sky: footprints of visits, patches or datasets, with tracts and patches.
    timeline: exposures against time, a row for each day of observing.
    """
    for name, value in options.items():
        if name not in _OWN[what] | {"instrument", "colour"} and value not in (None, ()):
            raise click.UsageError(
                f"plot {what} has no --{name.replace('_', '-')}", click.get_current_context()
            )
    draw = {"focal-plane": _focal_plane, "sky": _sky, "timeline": _timeline}[what]
    click.echo(draw(session, output, **options))


def _focal_plane(session: Session, output: str | None, **options: Any) -> str:
    from lakebutler.cli.plots.focal_plane import plot_focal_plane, plot_query

    given = [(name, options[name]) for name in ("exposure", "visit", "sql") if options[name] is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --exposure, --visit and --sql", click.get_current_context())
    (name, value), colour = given[0], options["colour"]
    target = check_picture(output or ("focal-plane.png" if name == "sql" else f"focal-plane-{value}.png"))
    if name == "sql":
        if colour is not None:
            raise click.UsageError("the second column of --sql is the colour", click.get_current_context())
        plot_query(session.butler(), target, value, options["instrument"])
        return target
    plot_focal_plane(
        session.butler(),
        target,
        number=(name, value),
        instrument=options["instrument"],
        dataset_type=options["dataset_type"] or "raw",
        collections=options["collections"],
        colour=colour,
        progress=session.watcher(),
    )
    return target


def _sky(session: Session, output: str | None, **options: Any) -> str:
    from lakebutler.cli.plots.sky import plot_sky

    if options["footprints"] is not None and options["dataset_type"] is not None:
        raise click.UsageError("give --footprints or --dataset-type", click.get_current_context())
    target = check_picture(output or "sky.png")
    names = _OWN["sky"] | {"instrument", "colour"}
    plot_sky(session.butler(), target, **{name: options[name] for name in names})
    return target


def _timeline(session: Session, output: str | None, **options: Any) -> str:
    from lakebutler.cli.plots.timeline import plot_timeline

    target = check_picture(output or "timeline.png")
    plot_timeline(
        session.butler(),
        target,
        where=options["where"],
        instrument=options["instrument"],
        colour=options["colour"] or "physical_filter",
    )
    return target
