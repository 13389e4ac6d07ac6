# SPDX-License-Identifier: BSD-3-Clause
"""``config-dump`` and ``config-validate``."""

from __future__ import annotations

from typing import IO, Any

import click

from lakebutler.cli import complete
from lakebutler.cli.refine import split_names
from lakebutler.cli.session import Session, pass_session, say
from lakebutler.cli.verb import Verb
from lakebutler.errors import FileFormatError, ValidationError, known_names

__all__ = ["config_dump", "config_validate"]


@click.command("config-dump", cls=Verb)
@click.option("-s", "--subset", metavar="KEY", help="Only this part, as in '.datastore.templates'.")
@click.option("-p", "--searchpath", multiple=True, expose_value=False, help="No effect: nothing is included.")
@click.option("--file", type=click.File("w"), default="-", help="Where to write; standard output by default.")
@pass_session
def config_dump(session: Session, *, subset: str | None, file: IO[str]) -> None:
    """Write the repository's configuration: its butler.yaml, and where it is."""
    import yaml

    repository = session.butler().repository
    config: dict[str, Any] = {"root": repository.root, **repository.config}
    value: Any = config
    if subset is not None:
        separator = subset[0] if not subset[0].isalnum() else "."
        for key in filter(None, subset.split(separator)):
            if not isinstance(value, dict) or key not in value:
                choices = [str(k) for k in value] if isinstance(value, dict) else []
                raise FileFormatError(
                    f"the configuration has no {subset!r}", hint=known_names(key, choices, what="keys")
                )
            value = value[key]
    file.write(yaml.safe_dump(value, sort_keys=False).removesuffix("...\n"))


@click.command("config-validate", cls=Verb)
@click.option("-q", "--quiet", is_flag=True, help="Do not list the problems.")
@click.option(
    "-d",
    "--dataset-type",
    multiple=True,
    metavar="NAMES",
    help="Only these dataset types: names or globs.",
    shell_complete=complete.dataset_types,
)
@click.option("-i", "--ignore", multiple=True, metavar="NAMES", help="Dataset types to pass over.")
@pass_session
@click.pass_context
def config_validate(
    ctx: click.Context,
    session: Session,
    *,
    quiet: bool,
    dataset_type: tuple[str, ...],
    ignore: tuple[str, ...],
) -> None:
    """Check that datasets of the registered types can be stored with the repository's configuration.

    Exit code 1 if not.
    """
    names = split_names(dataset_type)
    try:
        session.butler().validateConfiguration(
            datasetTypeNames=names or None, ignore=split_names(ignore) or None
        )
    except ValidationError as problems:
        if not quiet:
            for line in problems.message.splitlines():
                click.echo(line)
        say("the configuration does not fit its dataset types")
        ctx.exit(1)
    if not quiet:
        click.echo("no problem found")
