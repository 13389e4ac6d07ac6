# SPDX-License-Identifier: BSD-3-Clause
"""``register-skymap`` and ``query-patches``."""

from __future__ import annotations

import click

from lakebutler.cli import complete
from lakebutler.cli.options import Ask, listing_options, message_option
from lakebutler.cli.output import Listing, finish
from lakebutler.cli.refine import limit_rows, refine
from lakebutler.cli.session import Session, counted, pass_session
from lakebutler.cli.verb import Verb

__all__ = ["query_patches", "register_skymap"]


@click.command("register-skymap", cls=Verb)
@click.argument("skymap", required=False, shell_complete=complete.skymaps)
@click.option(
    "-C",
    "--config-file",
    metavar="FILE",
    help="Parameters of the skymap, as YAML or JSON.",
)
@click.option(
    "-c",
    "--config",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="One parameter, such as numRings=120 or cells.cellBorder=0; these come last.",
)
@click.option("--name", metavar="NAME", help="What the skymap is called in this repository.")
@click.option("--run", metavar="NAME", default="skymaps", help="Run that keeps the definition.")
@message_option
@pass_session
def register_skymap(
    session: Session,
    *,
    skymap: str | None,
    config_file: str | None,
    settings: tuple[str, ...],
    name: str | None,
    run: str,
) -> None:
    """Register SKYMAP, or one of your own, with all its tracts and patches.

    SKYMAP is hsc_rings_v1, latiss_v1, lsst_cells_v1 or lsst_cells_v2.
    """
    from lakebutler.instruments.skymaps.definition import SkyMapDefinition, load_skymap, with_settings
    from lakebutler.instruments.skymaps.register import register_skymap as register

    if skymap is not None and config_file is not None:
        raise click.UsageError("SKYMAP and --config-file exclude each other.")
    source = config_file or skymap
    if source is None and not settings:
        raise click.UsageError("Say which SKYMAP, or give its --config-file.")
    called, facts = load_skymap(source) if source else (None, {})
    definition = SkyMapDefinition.from_facts(with_settings(facts, settings), source or "skymap")
    chosen = name or called
    if chosen is None:
        raise click.UsageError("A skymap needs a name: --name, or 'name' in the file.")
    added = register(session.butler(writeable=True), chosen, definition, run=run, progress=session.watcher())
    if not added["skymap"]:
        click.echo(f"already registered: {chosen}")
        return
    tracts = counted(added["tract"], "tract")
    click.echo(f"registered: {chosen} ({tracts}, {added['patch']} patches; digest {definition.sha1.hex()})")


@click.command("query-patches", cls=Verb)
@click.option("--position", metavar="RA DEC", nargs=2, type=float, required=True, help="Where, in degrees.")
@click.option("--skymap", metavar="NAME", help="Only of this skymap; all by default.")
@listing_options("SQL condition over the columns, as in 'own'.")
@pass_session
def query_patches(session: Session, *, position: tuple[float, float], skymap: str | None, ask: Ask) -> None:
    """List the tracts and patches that hold a position, those whose border does included.

    Of each skymap one of them is its own: the patch that the position belongs to. That is empty where the
    parameters of the skymap are not kept in the repository.
    """
    from lakebutler.instruments.skymaps.find import patches_at

    rows = patches_at(session.butler(), position, skymap)
    columns = ("skymap", "tract", "patch", "cell_x", "cell_y", "own")
    listing = refine(Listing(columns, rows), where=ask.where, order_by=ask.order_by)
    finish(limit_rows(listing, ask.limit), ask.output, nothing="no patch there", exit_code=ask.exit_code)
