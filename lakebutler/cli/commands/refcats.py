# SPDX-License-Identifier: BSD-3-Clause
"""``ingest-refcat`` and ``query-refcat``."""

from __future__ import annotations

from typing import Any

import click

from lakebutler.cli import complete
from lakebutler.cli.names import one_dataset_type
from lakebutler.cli.options import Ask, listing_options, message_option, parse_data_id
from lakebutler.cli.output import Listing, finish
from lakebutler.cli.refine import limit_rows, refine, split_names
from lakebutler.cli.session import Session, counted, pass_session, say
from lakebutler.cli.verb import Verb
from lakebutler.errors import FileFormatError

__all__ = ["ingest_refcat", "query_refcat"]

_UNITS = ("deg", "rad", "hourangle")
_FORMATS = {
    ".parquet": "parquet",
    ".fits": "fits",
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".vot": "votable",
}


@click.command("ingest-refcat", cls=Verb)
@click.argument("name")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--pixels",
    metavar="NAME",
    default="htm7",
    show_default=True,
    help="What to cut by, as htm7 or healpix5; any level.",
)
@click.option("--ra", metavar="COLUMN", help="Column of right ascensions; found by usual names.")
@click.option("--dec", metavar="COLUMN", help="Column of declinations.")
@click.option("--units", type=click.Choice(_UNITS), help="Their unit; what the file says by default.")
@click.option(
    "--storage-class",
    metavar="NAME",
    default="ArrowAstropy",
    show_default=True,
    help="What the shards are when read; they are kept as Parquet.",
    shell_complete=complete.storage_classes,
)
@click.option("--update", is_flag=True, help="Replace the catalogue if it is there.")
@click.option("--skip-invalid", is_flag=True, help="Leave out rows without a position.")
@click.option("--scratch", metavar="DIRECTORY", help="Where temporary files go, as large as the catalogue.")
@message_option
@pass_session
def ingest_refcat(session: Session, /, *, name: str, files: tuple[str, ...], **options: Any) -> None:
    """Cut the catalogue in FILE... into pixels of the sky, and put it into the run refcats/NAME.

    Files are Parquet, FITS or ECSV, or directories of them, with the same columns; they may be larger than
    memory. The run becomes a member of the chain refcats. It is one commit.
    """
    from lakebutler.instruments.refcats.ingest import ingest_refcat as ingest

    report = ingest(session.butler(writeable=True), name, files, progress=session.watcher(), **options)
    if report.left_out:
        say(f"{counted(report.left_out, 'row')} without a position left out")
    if report.replaced:
        say(f"{counted(report.replaced, 'dataset')} of before replaced")
    shards = counted(report.shards, "dataset")
    rows, read = counted(report.rows, "row"), counted(report.files, "file")
    click.echo(f"{report.run}: {rows} of {read} in {shards} of {report.pixels}")


@click.command("query-refcat", cls=Verb)
@click.argument("name", shell_complete=complete.dataset_types)
@click.option("--circle", metavar="RA DEC RADIUS", nargs=3, type=float, help="Where to look, in degrees.")
@click.option(
    "--region",
    metavar="POS",
    help="IVOA POS: 'CIRCLE ra dec radius', 'RANGE ra1 ra2 dec1 dec2' or 'POLYGON …'.",
)
@click.option(
    "--data-id", multiple=True, metavar="KEY=VALUE", help="The region of this visit, tract or patch."
)
@click.option("--columns", metavar="NAMES", multiple=True, help="Columns to read; all by default.")
@click.option(
    "--collections",
    metavar="NAMES",
    multiple=True,
    default=("refcats",),
    show_default=True,
    help="Where the catalogue is.",
    shell_complete=complete.collections,
)
@click.option("--ra", metavar="COLUMN", help="Column of right ascensions, if it is not known.")
@click.option("--dec", metavar="COLUMN", help="Column of declinations.")
@click.option("--units", type=click.Choice(_UNITS), help="Their unit.")
@click.option(
    "-o", "--output-file", metavar="FILE", help="Write .parquet, .fits, .ecsv, .csv or .vot instead."
)
@listing_options("SQL condition over the columns, as in 'g < 20'.")
@pass_session
def query_refcat(
    session: Session,
    /,
    *,
    name: str,
    circle: tuple[float, float, float] | None,
    region: str | None,
    data_id: tuple[str, ...],
    columns: tuple[str, ...],
    collections: tuple[str, ...],
    output_file: str | None,
    ask: Ask,
    **positions: str | None,
) -> None:
    """Read the rows of the catalogue NAME that lie in a circle, a region, or that of a data ID."""
    from lakebutler.instruments.refcats.load import load_refcat

    if (circle is not None) + (region is not None) + bool(data_id) != 1:
        raise click.UsageError("give one of --circle, --region and --data-id", click.get_current_context())
    if output_file is not None and (ask.where is not None or ask.order_by or ask.limit):
        raise click.UsageError(
            "--where, --order-by and --limit are for listings, not for -o", click.get_current_context()
        )
    ending = "" if output_file is None else output_file[output_file.rfind(".") :].lower()
    if output_file is not None and ending not in _FORMATS:
        raise FileFormatError(f"{output_file}: a table's name ends in {', '.join(_FORMATS)}")
    butler = session.butler()
    table = load_refcat(
        butler,
        one_dataset_type(butler, name).name,
        "CIRCLE {} {} {}".format(*circle) if circle is not None else region,
        data_id=parse_data_id(data_id) if data_id else None,
        collections=split_names(collections),
        columns=split_names(columns) or None,
        storage_class="ArrowAstropy" if output_file is not None else "ArrowTable",
        **positions,
    )
    if output_file is not None:
        table.write(output_file, format=_FORMATS[ending], overwrite=True)
        say(f"{output_file}: {counted(len(table), 'row')}")
        return
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    listing = refine(Listing(tuple(table.column_names), rows), where=ask.where, order_by=ask.order_by)
    nothing = f"no row of {name} there"
    finish(limit_rows(listing, ask.limit), ask.output, nothing=nothing, exit_code=ask.exit_code)
