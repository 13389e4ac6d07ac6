# SPDX-License-Identifier: BSD-3-Clause
"""``write-curated-calibrations``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lakebutler.cli import complete
from lakebutler.cli.failure import USER_ERROR
from lakebutler.cli.options import message_option, parse_time, transfer_option
from lakebutler.cli.output import Listing, emit, format_options
from lakebutler.cli.session import Session, pass_session, say
from lakebutler.cli.verb import Verb

if TYPE_CHECKING:
    from lakebutler.instruments.calibrations.report import CurationReport

__all__ = ["write_curated_calibrations"]

_SHOWN = 20
"""How many files are listed one by one for a person."""


@click.command("write-curated-calibrations", cls=Verb)
@click.argument("instrument", shell_complete=complete.cameras)
@click.argument("labels", nargs=-1)
@click.option("--from", "directory", metavar="DIRECTORY", help="Where the files of calibrations are.")
@click.option(
    "--collection", metavar="NAME", help="Calibration collection; INSTRUMENT/calib[/LABELS...] by default."
)
@click.option(
    "--label",
    "more_labels",
    metavar="NAME",
    multiple=True,
    help="A word for the names of collections, such as a ticket; after LABELS.",
)
@click.option("--prefix", metavar="NAME", help="What names of collections begin with, not INSTRUMENT.")
@click.option("--camera/--no-camera", default=True, help="Write the geometry of the camera, too.")
@click.option("--validity-begin", metavar="TIME", help="Begin of the camera's validity (TAI, ISO 8601).")
@click.option("--validity-end", metavar="TIME", help="End of the camera's validity (TAI, ISO 8601).")
@click.option("--update", is_flag=True, help="Replace validity ranges that are there and differ.")
@click.option("--report", is_flag=True, help="List what became of every file, in the chosen format.")
@transfer_option("auto")
@format_options
@message_option
@pass_session
@click.pass_context
def write_curated_calibrations(
    ctx: click.Context,
    session: Session,
    *,
    instrument: str,
    labels: tuple[str, ...],
    directory: str | None,
    collection: str | None,
    more_labels: tuple[str, ...],
    prefix: str | None,
    camera: bool,
    validity_begin: str | None,
    validity_end: str | None,
    update: bool,
    report: bool,
    transfer: str,
    output: str,
) -> None:
    """Write the geometry of INSTRUMENT and its curated calibrations, with their validity, in one commit.

    Files lie as in the obs_*_data packages: TYPE/DETECTOR/[FILTER/]DATE.ecsv; each is valid until the next.
    A file that cannot be used is named with its reason, and the rest goes in; the exit code is then 2.
    """
    from lakebutler.instruments.calibrations.write import write_curated_calibrations as write
    from lakebutler.timespan import Timespan

    validity = Timespan(
        parse_time(validity_begin, "--validity-begin"), parse_time(validity_end, "--validity-end")
    )
    butler = session.butler(writeable=True)
    result = write(
        butler,
        instrument,
        directory,
        collection=collection,
        labels=(*labels, *more_labels),
        prefix=prefix,
        camera=camera,
        camera_validity=validity,
        update=update,
        transfer=transfer,
    )
    if report or output != "auto":
        columns = ("path", "status", "reason", "type", "detector", "physical_filter", "run", "validity")
        emit(Listing(columns, [tuple(row.values()) for row in result.rows()]), output)
    else:
        _summarise(result)
    if result.refused:
        ctx.exit(USER_ERROR)


def _summarise(result: CurationReport) -> None:
    for file in result.refused[:_SHOWN]:
        say(f"{file.path}: {file.reason}")
    if len(result.refused) > _SHOWN:
        say(f"... and {len(result.refused) - _SHOWN} more; --report lists all")
    for note in result.notes:
        say(note)
    click.echo(f"{result.collection}: {result}")
