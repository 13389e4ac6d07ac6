# SPDX-License-Identifier: BSD-3-Clause
"""``clone``."""

from __future__ import annotations

import click

from lakebutler.cli.options import as_of_option, collections_option, where_option
from lakebutler.cli.refine import split_names
from lakebutler.cli.session import Session, counted, pass_session, say
from lakebutler.cli.verb import Verb

__all__ = ["clone"]


@click.command("clone", cls=Verb)
@click.argument("target")
@as_of_option
@click.option("-d", "--dataset-type", multiple=True, metavar="NAMES", help="Only these: names or globs.")
@collections_option("Only datasets in these: names or globs.")
@where_option("Only datasets that fulfil this condition.")
@pass_session
def clone(
    session: Session,
    *,
    target: str,
    dataset_type: tuple[str, ...],
    collections: tuple[str, ...],
    where: str | None,
) -> None:
    """Copy one version of the repository to TARGET: a new directory, file or URL.

    With -d, --collections or --where only the datasets chosen, with the dimension records, dataset types and
    collections that they need. The copy begins a history of its own, which says what it was copied from.
    """
    from lakebutler.butler.maintenance import clone as cloning

    subset = None
    if dataset_type or collections or where:
        subset = cloning.Subset(
            split_names(dataset_type) or ("*",), split_names(collections) or ("*",), where or ""
        )
    done = cloning.clone(
        session.repository(), target, as_of=session.as_of, subset=subset, progress=session.watcher()
    )
    click.echo(
        f"{done.root}: version {done.version}, {counted(done.datasets, 'dataset')} in "
        f"{counted(done.files, 'file')}, {done.bytes} bytes"
    )
    if done.outside:
        say(f"the files of {counted(done.outside, 'dataset')} stayed outside, where they were")
