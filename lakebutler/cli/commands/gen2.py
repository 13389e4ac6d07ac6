# SPDX-License-Identifier: BSD-3-Clause
"""``convert-gen2``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lakebutler.cli.output import Listing, emit, format_options
from lakebutler.cli.session import Session, counted, pass_session, say

if TYPE_CHECKING:
    from lakebutler.gen2.convert import Conversion

__all__ = ["convert_gen2"]

_SHOWN = 20
"""How many changes and differences are listed one by one for a person."""


def _numbers(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> frozenset[int] | None:
    """Read lists of numbers and ranges: ``1,3,10..20``."""
    if not value:
        return None
    found: set[int] = set()
    for text in ",".join(value).split(","):
        first, dots, last = text.strip().partition("..")
        try:
            found.update(range(int(first), int(last or first) + 1) if dots else [int(first)])
        except ValueError:
            raise click.BadParameter(f"{text!r} is no number and no range 1..9", ctx, parameter) from None
    return frozenset(found)


def _names(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """Read pairs ``OLD=NEW``."""
    pairs = [text.partition("=") for text in value]
    for old, equals, new in pairs:
        if not (old and equals and new):
            raise click.BadParameter(f"{old!r} is no pair OLD=NEW", ctx, parameter)
    return {old: new for old, _, new in pairs}


@click.command("convert-gen2")
@click.argument("root")
@click.argument("dest")
@click.option(
    "-t",
    "--transfer",
    type=click.Choice(["direct", "copy", "hardlink", "link", "relsymlink", "symlink"]),
    default="direct",
    show_default=True,
    help="What happens to the files; direct leaves them where they are.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Only report what would be done.")
@click.option("--mapper", metavar="NAME", help="The mapper's class, where the repository does not say.")
@click.option("--layout", metavar="FILE", help="A YAML file that says where files stand.")
@click.option("--calib-root", metavar="DIR", help="Where the calibrations are, if ROOT does not say.")
@click.option("--label", metavar="NAME", help="Part of the names of collections of calibrations.")
@click.option("--curated", is_flag=True, help="Convert defects and other curated types, too.")
@click.option(
    "--gaps",
    type=click.Choice(["close", "keep", "fail"]),
    default="close",
    show_default=True,
    help="Gaps of up to a day between validity ranges.",
)
@click.option(
    "--overlaps",
    type=click.Choice(["next-start", "midpoint", "fail"]),
    default="next-start",
    show_default=True,
    help="Overlaps of validity ranges: where the earlier one ends.",
)
@click.option(
    "--trust",
    type=click.Choice(["header", "registry"]),
    default="header",
    show_default=True,
    help="Who is right where a header and the registry differ.",
)
@click.option("--headers/--no-headers", default=True, help="Read a header of each exposure.")
@click.option("--registry/--no-registry", default=True, help="Read the registry of raws.")
@click.option("--types", multiple=True, metavar="GLOB", help="Only these dataset types.")
@click.option("--without", multiple=True, metavar="GLOB", help="Not these dataset types.")
@click.option("--visits", multiple=True, metavar="N,N..M", callback=_numbers, help="Only these visits.")
@click.option("--detectors", multiple=True, metavar="N,N..M", callback=_numbers, help="Only these detectors.")
@click.option("--tracts", multiple=True, metavar="N,N..M", callback=_numbers, help="Only these tracts.")
@click.option(
    "--skymap",
    metavar="NAME[=FILE]",
    help="The skymap of tracts and patches, if the files of ROOT do not tell it, or what it is called.",
)
@click.option(
    "--define-visits/--no-define-visits",
    default=True,
    help="Define visits of all exposures of the sky, with their regions.",
)
@click.option(
    "--count-unopened",
    is_flag=True,
    help="List the files in directories that no template leads to, too; else these directories are named.",
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="OLD=NEW",
    callback=_names,
    help="What a filter is called here.",
)
@click.option("--rerun", "reruns", multiple=True, metavar="GLOB", help="Only these reruns; all by default.")
@click.option("--parents/--no-parents", default=True, help="Convert the parents of ROOT, too.")
@click.option(
    "--report",
    "listed",
    type=click.Choice(["types", "files", "changes", "differences", "all"]),
    default="types",
    show_default=True,
    help="What is printed; all is one JSON object.",
)
@format_options
@pass_session
def convert_gen2(
    session: Session, /, *, root: str, dest: str, dry_run: bool, listed: str, output: str, **given: Any
) -> None:
    """Convert ROOT, a repository of lsst.daf.persistence (Gen2), into the repository DEST.

    Calibrations, reruns and parents come along. Nothing is ever written to ROOT, nothing of it is imported
    or unpickled. All is one commit; repeated, it does nothing, and after an interruption it goes on. What
    became of every file is kept in DEST as dataset gen2_conversion_report.
    """
    from lakebutler.gen2.convert import convert_gen2 as convert
    from lakebutler.gen2.options import Options

    if not given["reruns"]:
        given["reruns"] = ("*",)
    done = convert(root, dest, Options(**given), dry_run=dry_run, progress=session.watcher())
    if listed == "all":
        click.echo(json.dumps(done.report.to_json(), indent=1))
    else:
        emit(_listing(done, listed), output)
    _summarise(done)


def _listing(done: Conversion, listed: str) -> Listing:
    report = done.report
    if listed == "types":
        columns = ("repository", "dataset_type", "files", "datasets", "certified", "skipped")
        return Listing(columns, [tuple(count) for count in report.counts])
    if listed == "files":
        table = report.files()
        return Listing(
            tuple(table.column_names), list(zip(*[c.to_pylist() for c in table.columns], strict=True))
        )
    rows = report.changes if listed == "changes" else report.differences
    names = {
        "changes": ("dataset_type", "data_id", "what", "registry", "certified"),
        "differences": ("exposure", "what", "registry", "header", "taken"),
    }[listed]
    return Listing(names, [tuple(row[name] for name in names) for row in rows])


def _summarise(done: Conversion) -> None:
    """Tell a person the rest, on standard error."""
    report = done.report
    totals = ", ".join(f"{number} {status}" for status, number in report.totals().items() if number)
    opened = "1 directory" if report.opened == 1 else f"{report.opened} directories"
    say(f"{report.source} ({report.camera}): {totals}; {opened} opened")
    for status, reason, number, path in report.reasons()[:_SHOWN]:
        say(f"  {number} {status}: {reason} ({path})")
    if report.changes:
        say(f"{counted(len(report.changes), 'change')} of validity; --report changes lists all")
    if report.differences:
        say(
            f"{counted(len(report.differences), 'difference')} between registry and headers; "
            "--report differences lists all"
        )
    for note in report.notes:
        say(f"note: {note}")
    if done.written is not None and done.written.visits_differ:
        differ = counted(done.written.visits_differ, "visit")
        say(f"{differ} registered otherwise, left so; lakebutler define-visits --update-records")
    if done.written is None:
        say("dry run: nothing was written")
    elif done.written.report_run is None:
        say(
            f"{done.root}: all {counted(done.written.present, 'dataset')} are there already, nothing was done"
        )
    else:
        resumed = (
            f" ({done.written.resumed} files had been brought in before)" if done.written.resumed else ""
        )
        new = counted(done.written.datasets, "new dataset")
        say(f"{done.root}: {new}{resumed}; report in {done.written.report_run}")
