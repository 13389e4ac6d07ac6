# SPDX-License-Identifier: BSD-3-Clause
"""``export-obscore`` and ``obscore-config``."""

from __future__ import annotations

import click

from lakebutler.cli import complete
from lakebutler.cli.files import read_yaml_mapping
from lakebutler.cli.names import match_collections, match_dataset_types
from lakebutler.cli.options import as_of_option, collections_option
from lakebutler.cli.refine import split_names
from lakebutler.cli.session import Session, counted, pass_session, say
from lakebutler.cli.verb import Verb

__all__ = ["export_obscore", "obscore_config"]


@click.command("export-obscore", cls=Verb, paths=True)
@click.argument("out")
@click.option(
    "-d",
    "--dataset-type",
    multiple=True,
    metavar="NAMES",
    help="Only these dataset types: names or globs.",
    shell_complete=complete.dataset_types,
)
@collections_option("Only datasets in these collections: names or globs; all by default.")
@as_of_option
@pass_session
def export_obscore(
    session: Session, *, out: str, dataset_type: tuple[str, ...], collections: tuple[str, ...]
) -> None:
    """Write the datasets as observations to OUT, in the columns of IVOA ObsCore 1.1.

    OUT ends in .parquet, .csv, .ecsv, .fits, .vot or .xml (VOTable). The same rows are the view 'obscore'
    of the verb sql. What is a product, of which level, is a matter of obscore-config.
    """
    from lakebutler.butler.exchange.export_obscore import export_obscore as write

    butler = session.butler()
    types = [t.name for t in match_dataset_types(butler, split_names(dataset_type))] if dataset_type else []
    names = match_collections(butler, split_names(collections)) if collections else []
    count = write(butler, out, dataset_types=types, collections=names)
    say(f"{out}: {counted(count, 'observation')}")


@click.command("obscore-config", cls=Verb, paths=True)
@click.argument("file", required=False)
@click.option("--default", "default", is_flag=True, help="Return to the default.")
@pass_session
def obscore_config(session: Session, *, file: str | None, default: bool) -> None:
    """Show what the repository says in ObsCore, or keep what the YAML FILE says.

    Parts that FILE leaves out are the default's: publisher, obs_collection, spectral_ranges, facilities,
    dataset_types, storage_classes.
    """
    import yaml

    from lakebutler.butler.exchange import export_obscore as obscore

    if file is not None and default:
        raise click.UsageError("give either FILE or --default", click.get_current_context())
    butler = session.butler(writeable=file is not None or default)
    if file is None and not default:
        click.echo(yaml.safe_dump(dict(obscore.obscore_config(butler)), sort_keys=False), nl=False)
        return
    obscore.set_obscore_config(butler, None if file is None else read_yaml_mapping(file), file or "default")
    say("the view obscore follows it from now on")
