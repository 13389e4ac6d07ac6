# SPDX-License-Identifier: BSD-3-Clause
"""``register-instrument`` and ``ingest-raws``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lakebutler.cli import complete
from lakebutler.cli.failure import USER_ERROR
from lakebutler.cli.options import message_option, transfer_option
from lakebutler.cli.output import Listing, emit, format_options
from lakebutler.cli.session import Session, counted, pass_session, say
from lakebutler.cli.verb import Verb

if TYPE_CHECKING:
    from lakebutler.instruments.raws.report import IngestReport

__all__ = ["ingest_raws", "register_instrument"]

_SHOWN = 20
"""How many rejected files are listed one by one for a person."""


@click.command("register-instrument", cls=Verb)
@click.argument("instrument", nargs=-1, required=True, shell_complete=complete.cameras)
@click.option("--update", is_flag=True, help="Change records that are there and differ.")
@message_option
@pass_session
def register_instrument(session: Session, *, instrument: tuple[str, ...], update: bool) -> None:
    """Register each INSTRUMENT with its detectors and filters.

    INSTRUMENT is the name of a camera (HSC, DECam, ...) or the path of a camera description of your own.
    """
    from lakebutler.instruments.cameras.find import load_camera
    from lakebutler.instruments.cameras.register import register_instrument as register

    cameras = [load_camera(name) for name in instrument]
    butler = session.butler(writeable=True)
    for camera in cameras:
        added = register(butler, camera, update=update)
        detectors, filters = (
            counted(len(camera.detectors), "detector"),
            counted(len(camera.filters), "filter"),
        )
        word = "registered" if any(added.values()) else "already registered"
        click.echo(f"{word}: {camera.name} ({detectors}, {filters})")


@click.command("ingest-raws", cls=Verb, paths=True)
@click.argument("locations", nargs=-1, required=True)
@click.option("--output-run", metavar="NAME", help="Run to ingest into; INSTRUMENT/raw/all by default.")
@click.option(
    "--regex", metavar="PATTERN", help="Which names to take from directories; FITS files by default."
)
@click.option("-j", "--processes", type=click.IntRange(min=1), default=1, help="Processes that read headers.")
@click.option("--fail-fast", is_flag=True, help="Ingest nothing if a file cannot be ingested.")
@click.option("--update-records", is_flag=True, help="Change exposure records that are there and differ.")
@click.option(
    "--instrument", metavar="NAME", help="Only files of this camera: a name, or a description of your own."
)
@click.option(
    "--skip-existing/--no-skip-existing",
    default=True,
    help="Pass over raws that are there, or name them as rejected.",
)
@click.option(
    "--search-indexes/--no-search-indexes",
    default=True,
    help="Look for an _index.json beside the files, and read it instead of their headers.",
)
@click.option(
    "--track-file-attrs/--no-track-file-attrs",
    default=True,
    expose_value=False,
    help="No effect: sizes of files are always recorded.",
)
@click.option("--report", is_flag=True, help="List what became of every file, in the chosen format.")
@transfer_option("auto")
@format_options
@message_option
@pass_session
@click.pass_context
def ingest_raws(
    ctx: click.Context,
    session: Session,
    *,
    locations: tuple[str, ...],
    output_run: str | None,
    regex: str | None,
    processes: int,
    fail_fast: bool,
    update_records: bool,
    instrument: str | None,
    skip_existing: bool,
    search_indexes: bool,
    report: bool,
    transfer: str,
    output: str,
) -> None:
    """Ingest raw files: LOCATIONS are files, globs, or directories that are searched.

    A file that cannot be ingested is named with its reason, and the rest goes in; the exit code is then 2.
    What became of every file is kept: lakebutler sql "FROM ingest_report".
    """
    from lakebutler.instruments.raws.ingest import ingest_raws as ingest

    butler = session.butler(writeable=True)
    result = ingest(
        butler,
        locations,
        run=output_run,
        regex=regex,
        processes=processes,
        fail_fast=fail_fast,
        update_records=update_records,
        skip_existing=skip_existing,
        instrument=instrument,
        search_indexes=search_indexes,
        transfer=transfer,
        progress=session.watcher(),
    )
    if report or output != "auto":
        rows = [tuple(row.values()) for row in result.rows()]
        columns = ("path", "status", "reason", "instrument", "exposure", "detectors")
        emit(Listing(columns, rows), output)
    else:
        _summarise(result)
    if result.rejected:
        ctx.exit(USER_ERROR)


def _summarise(result: IngestReport) -> None:
    for file in result.rejected[:_SHOWN]:
        say(f"{file.path}: {file.reason}")
    if len(result.rejected) > _SHOWN:
        say(f"... and {len(result.rejected) - _SHOWN} more; --report lists all")
    for note in result.notes:
        say(note)
    click.echo(f"{result.run or 'nothing'}: {counted(result.datasets, 'dataset')} ingested; {result}")
