# SPDX-License-Identifier: BSD-3-Clause
"""``define-visits``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lakebutler.cli import complete
from lakebutler.cli.failure import USER_ERROR
from lakebutler.cli.names import match_collections
from lakebutler.cli.options import collections_option, message_option, where_option
from lakebutler.cli.output import Listing, emit, format_options
from lakebutler.cli.session import Session, counted, pass_session, say
from lakebutler.cli.verb import Verb

if TYPE_CHECKING:
    from lakebutler.instruments.visits.report import VisitReport, VisitsReport

__all__ = ["define_visits"]

_SHOWN = 20
"""How many visits of a kind are listed one by one for a person."""


@click.command("define-visits", cls=Verb)
@click.argument("instrument", shell_complete=complete.cameras)
@collections_option("Only exposures with raws in these collections; a camera certified there is used.")
@where_option("Only exposures for which this holds.")
@click.option(
    "--update-records/--no-update-records",
    default=False,
    help="Replace visits that differ from what their exposures say; remove those that none define.",
)
@click.option(
    "--incremental/--no-incremental",
    default=False,
    help="Only look at exposures that no visit has yet, and at the visits that they change.",
)
@click.option("--raw-name", metavar="NAME", default="raw", help="Dataset type of the raws.")
@click.option(
    "--visit-system",
    "systems",
    metavar="NAME",
    multiple=True,
    help="one-to-one, by-group-metadata or by-seq-start-end; those of the camera by default.",
)
@click.option(
    "--merge-exposures",
    is_flag=True,
    help="Let regions hold all exposures of a visit, instead of being those of the first.",
)
@click.option("--padding", metavar="PIXELS", type=float, help="Pixels added around each detector.")
@click.option("--report", is_flag=True, help="List what became of every visit, in the chosen format.")
@format_options
@message_option
@pass_session
@click.pass_context
def define_visits(
    ctx: click.Context,
    session: Session,
    *,
    instrument: str,
    collections: tuple[str, ...],
    where: str | None,
    update_records: bool,
    incremental: bool,
    raw_name: str,
    systems: tuple[str, ...],
    merge_exposures: bool,
    padding: float | None,
    report: bool,
    output: str,
) -> None:
    """Define visits from the exposures of INSTRUMENT, with their regions on the sky.

    A visit that is there and differs, or that cannot be, is named with the reason, and stays as it is; the
    others are defined, and the exit code is then 2.
    """
    from lakebutler.instruments.visits.define import define_visits as define

    butler = session.butler(writeable=True)
    result = define(
        butler,
        instrument,
        where=where or "",
        collections=match_collections(butler, collections) if collections else None,
        raw_name=raw_name,
        systems=systems or None,
        update_records=update_records,
        incremental=incremental,
        merge_exposures=merge_exposures,
        padding_px=padding,
        progress=session.watcher(),
    )
    if report or output != "auto":
        columns = ("visit", "status", "exposures", "region", "reason")
        emit(Listing(columns, [tuple(row.values()) for row in result.rows()]), output)
    else:
        _summarise(result, update_records)
    if result.conflicts:
        ctx.exit(USER_ERROR)


def _summarise(result: VisitsReport, updated: bool) -> None:
    from lakebutler.instruments.visits.report import VisitStatus

    _show(result.conflicts, "conflict")
    _show(result.with_status(VisitStatus.CHANGED), "changed")
    _show(result.with_status(VisitStatus.REMOVED), "removed")
    for note in result.notes[:_SHOWN]:
        say(note)
    for why, count in result.skipped.items():
        say(f"{counted(count, 'exposure')} left out: {why}")
    if result.without_region:
        numbers = ", ".join(str(v.visit) for v in result.without_region[:3])
        visits = counted(len(result.without_region), "visit")
        say(f"{visits} without a pointing, so without regions: {numbers}")
    if result.conflicts and not updated:
        say("--update-records replaces what differs, and removes visits that exposures no longer define")
    click.echo(f"{result.instrument}: {result}; {counted(result.regions, 'detector region')}")


def _show(visits: tuple[VisitReport, ...], word: str) -> None:
    for visit in visits[:_SHOWN]:
        say(f"visit {visit.visit}: {word}: {visit.reason}")
    if len(visits) > _SHOWN:
        say(f"... and {len(visits) - _SHOWN} more; --report lists all")
