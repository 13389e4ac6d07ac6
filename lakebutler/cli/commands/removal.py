# SPDX-License-Identifier: BSD-3-Clause
"""``prune-datasets``, ``remove-runs``, ``remove-collections`` and ``remove-dataset-type``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from lakebutler.cli import complete
from lakebutler.cli.confirm import confirm_options, go_ahead
from lakebutler.cli.names import is_glob, match_collections, match_dataset_types
from lakebutler.cli.options import Selection, message_option
from lakebutler.cli.output import Listing, emit
from lakebutler.cli.refine import split_names
from lakebutler.cli.rows import dataset_listing
from lakebutler.cli.select import select_datasets
from lakebutler.cli.session import Session, counted, pass_session, say
from lakebutler.cli.verb import Verb
from lakebutler.errors import CollectionTypeError, OrphanedRecordError

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler
    from lakebutler.collections.collection import CollectionInfo
    from lakebutler.datasets.dataset_ref import DatasetRef
    from lakebutler.datasets.dataset_type import DatasetType

__all__ = ["prune_datasets", "remove_collections", "remove_dataset_type", "remove_runs"]


@click.command("prune-datasets", cls=Verb)
@click.argument("collections", nargs=-1, shell_complete=complete.collections)
@click.option(
    "--datasets", multiple=True, metavar="NAMES", help="Dataset types: names or globs; all by default."
)
@click.option("--find-all", is_flag=True, help="Every dataset, not only the first of each type and data ID.")
@click.option("--where", metavar="EXPRESSION", help="Condition on dimensions and their fields.")
@click.option(
    "--disassociate", multiple=True, metavar="TAG", help="Take the datasets out of these tagged collections."
)
@click.option(
    "--purge", metavar="RUN", help="Remove the datasets altogether, of RUN or of the runs in COLLECTIONS."
)
@click.option("--unstore", is_flag=True, help="Remove their files (the default); they stay registered.")
@confirm_options
@click.option("-q", "--quiet", is_flag=True, help="Say nothing, and do not ask.")
@message_option
@pass_session
def prune_datasets(
    session: Session,
    *,
    collections: tuple[str, ...],
    datasets: tuple[str, ...],
    find_all: bool,
    where: str | None,
    disassociate: tuple[str, ...],
    purge: str | None,
    unstore: bool,
    dry_run: bool,
    confirm: bool,
    quiet: bool,
) -> None:
    """Remove datasets found in COLLECTIONS: their files, their tags, or the datasets altogether.

    COLLECTIONS are names; with --find-all globs too. What is found is shown first; it is removed in one
    commit. Files outside the repository, and files that another dataset or a tagged version needs, stay.
    """
    names, tags = split_names(collections), split_names(disassociate)
    _check(names, tags, purge=purge, find_all=find_all, dry_run=dry_run, quiet=quiet)
    butler = session.butler(writeable=not dry_run)
    searched = names or ((purge,) if purge else ())
    if purge:
        searched = _runs_of(butler, searched)
    selection = Selection(split_names(datasets), tuple(searched), where, find_first=not find_all)
    found = select_datasets(butler, selection)
    refs = _affected(butler, found, stored_only=not (purge or tags))
    if not refs:
        say("no dataset found")
        return
    what = _action(tags, purge=purge, unstore=unstore)
    if not quiet:
        for kind, several in found:
            shown = [ref for ref in several if ref in refs]
            if shown:
                emit(dataset_listing(kind, shown))
    if not go_ahead(
        f"{what} {counted(len(refs), 'dataset')}?", dry_run=dry_run, confirm=confirm and not quiet
    ):
        return
    butler.pruneDatasets(
        refs,
        disassociate=bool(tags or purge),
        tags=tags,
        unstore=bool(unstore or purge or not tags),
        purge=bool(purge),
    )
    if not quiet:
        click.echo(f"{counted(len(refs), 'dataset')}: {_done(tags, purge=purge, unstore=unstore)}")


def _check(
    names: Sequence[str],
    tags: Sequence[str],
    *,
    purge: str | None,
    find_all: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    if purge and tags:
        raise click.UsageError("--purge and --disassociate exclude each other: a purge takes all tags away")
    if not names and not purge:
        raise click.UsageError("missing argument 'COLLECTIONS' (or --purge RUN)")
    if not find_all and any(map(is_glob, names)):
        raise click.UsageError("globs among COLLECTIONS need --find-all: they have no search order")
    if quiet and dry_run:
        raise click.UsageError("--quiet and --dry-run exclude each other")


def _action(tags: Sequence[str], *, purge: str | None, unstore: bool) -> str:
    if purge:
        return "remove altogether, with their files,"
    text = f"take out of {', '.join(tags)}" if tags else ""
    if unstore or not tags:
        text += (" and " if text else "") + "remove the files of"
    return text


def _done(tags: Sequence[str], *, purge: str | None, unstore: bool) -> str:
    if purge:
        return "removed"
    parts = [f"taken out of {', '.join(tags)}"] if tags else []
    return " and ".join([*parts, *(["unstored"] if unstore or not tags else [])])


def _runs_of(butler: Butler, names: Sequence[str]) -> tuple[str, ...]:
    """The runs among collections; chains are expanded."""
    from lakebutler.collections.collection import CollectionType

    match_collections(butler, names)  # names the missing one
    runs = butler.collections.query(list(names), CollectionType.RUN, flatten_chains=True)
    if not runs:
        raise CollectionTypeError(f"there is no run among {', '.join(names)}", hint="only runs are purged")
    return tuple(runs)


def _affected(
    butler: Butler, found: Sequence[tuple[DatasetType, Sequence[DatasetRef]]], *, stored_only: bool
) -> dict[DatasetRef, None]:
    """The datasets found; only those with a file where nothing but files is removed."""
    refs = dict.fromkeys(ref for _, several in found for ref in several)
    if not stored_only:
        return refs
    kept = butler.get_many_uris(refs, allow_missing=True)
    return {ref: None for ref in refs if ref in kept}


@click.command("remove-runs", cls=Verb)
@click.argument("collection", shell_complete=complete.collections)
@confirm_options
@click.option("--force", is_flag=True, help="Take the runs out of chains, too, without being asked.")
@message_option
@pass_session
def remove_runs(session: Session, *, collection: str, dry_run: bool, confirm: bool, force: bool) -> None:
    """Remove the runs that match COLLECTION (a name or a glob), with their datasets and files."""
    from lakebutler.collections.collection import CollectionType

    butler = session.butler(writeable=not dry_run)
    infos = _matching(butler, collection)
    runs = [info for info in infos if info.type is CollectionType.RUN]
    if not runs:
        raise CollectionTypeError(
            f"there is no run among {', '.join(info.name for info in infos)}",
            hint="remove-collections removes other collections",
        )
    counts = _counts(butler, [info.name for info in runs])
    rows = [(info.name, counts.get(info.name, 0), sorted(info.parents or ())) for info in runs]
    emit(Listing(("run", "datasets", "chains"), rows))
    parents = sorted({parent for info in runs for parent in info.parents or ()})
    if parents and not (confirm or force or dry_run):
        raise OrphanedRecordError(
            f"the runs are in the chains {', '.join(parents)}", hint="--force takes them out of these"
        )
    question = f"remove {counted(len(runs), 'run')} with {counted(sum(counts.values()), 'dataset')}"
    question += f", and take them out of {', '.join(parents)}?" if parents else "?"
    if go_ahead(question, dry_run=dry_run, confirm=confirm):
        butler.removeRuns([info.name for info in runs], unlink_from_chains=bool(parents))
        click.echo(f"{counted(len(runs), 'run')} removed")


def _matching(butler: Butler, pattern: str) -> Sequence[CollectionInfo]:
    return butler.collections.query_info(
        match_collections(butler, split_names([pattern])), include_parents=True
    )


def _counts(butler: Butler, runs: Sequence[str]) -> dict[str, int]:
    """Number of datasets of runs, in one question."""
    marks = ", ".join("?" for _ in runs)
    sql = f"SELECT collection, count(*) FROM membership WHERE collection IN ({marks}) GROUP BY collection"
    return dict(butler.sql(sql, list(runs)).fetchall())


@click.command("remove-collections", cls=Verb)
@click.argument("collection", shell_complete=complete.collections)
@confirm_options
@click.option(
    "--remove-from-parents", is_flag=True, help="Take the collections out of the chains that they are in."
)
@message_option
@pass_session
def remove_collections(
    session: Session, *, collection: str, dry_run: bool, confirm: bool, remove_from_parents: bool
) -> None:
    """Remove the collections that match COLLECTION (a name or a glob), but no runs; datasets stay."""
    from lakebutler.collections.collection import CollectionType

    butler = session.butler(writeable=not dry_run)
    infos = _matching(butler, collection)
    doomed = [info for info in infos if info.type is not CollectionType.RUN]
    kept = [info.name for info in infos if info.type is CollectionType.RUN]
    if kept:
        say(f"not removed, as they are runs (remove-runs does that): {', '.join(kept)}")
    if not doomed:
        return
    rows = [(info.name, info.type.name, sorted(info.parents or ())) for info in doomed]
    emit(Listing(("name", "type", "chains"), rows))
    if go_ahead(f"remove {counted(len(doomed), 'collection')}?", dry_run=dry_run, confirm=confirm):
        _remove(butler, doomed, unlink=remove_from_parents)
        click.echo(f"{counted(len(doomed), 'collection')} removed")


def _remove(butler: Butler, doomed: Sequence[CollectionInfo], *, unlink: bool) -> None:
    gone = {info.name for info in doomed}
    with butler.transaction():
        for info in doomed:
            for parent in sorted(info.parents or ()):
                if unlink or parent in gone:
                    butler.collections.remove_from_chain(parent, info.name)
        for info in doomed:
            butler.collections.x_remove(info.name)


@click.command("remove-dataset-type", cls=Verb)
@click.argument("dataset_type_name", nargs=-1, required=True, shell_complete=complete.dataset_types)
@confirm_options
@message_option
@pass_session
def remove_dataset_type(
    session: Session, *, dataset_type_name: tuple[str, ...], dry_run: bool, confirm: bool
) -> None:
    """Remove the dataset types that match DATASET_TYPE_NAME (names or globs); there must be no datasets."""
    butler = session.butler(writeable=not dry_run)
    kinds = match_dataset_types(butler, split_names(dataset_type_name))
    rows = [(kind.name, kind.storageClass_name, list(kind.dimensions.required)) for kind in kinds]
    emit(Listing(("name", "storage_class", "dimensions"), rows))
    if go_ahead(f"remove {counted(len(kinds), 'dataset type')}?", dry_run=dry_run, confirm=confirm):
        butler.registry.removeDatasetType(tuple(kind.name for kind in kinds))
        click.echo(f"{counted(len(kinds), 'dataset type')} removed")
