# SPDX-License-Identifier: BSD-3-Clause
"""``import``, ``export``, ``export-calibs``, ``ingest-zip``, ``transfer-datasets`` and ``convert-gen3``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from lakebutler.cli import complete
from lakebutler.cli.failure import NOTHING_FOUND
from lakebutler.cli.names import match_collections, match_dataset_types
from lakebutler.cli.options import (
    Selection,
    as_of_option,
    message_option,
    selection_options,
    transfer_option,
)
from lakebutler.cli.output import Listing, emit
from lakebutler.cli.refine import split_names
from lakebutler.cli.select import select_datasets
from lakebutler.cli.session import Session, counted, pass_session, say
from lakebutler.cli.verb import Verb
from lakebutler.errors import RepositoryExistsError

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler
    from lakebutler.datasets.dataset_ref import DatasetRef

__all__ = ["convert_gen3", "export", "export_calibs", "import_", "ingest_zip", "transfer_datasets"]

_EXPORT_MODES = click.Choice(["auto", "copy", "direct", "hardlink", "link", "relsymlink", "symlink"])
_FORMATS = click.Choice(["yaml", "parquet"])


@click.command("import", cls=Verb, paths=True)
@click.argument("directory")
@transfer_option("auto")
@click.option("--export-file", metavar="FILE", help="The export; export.yaml in DIRECTORY by default.")
@click.option(
    "-s",
    "--skip-dimensions",
    multiple=True,
    metavar="NAMES",
    help="Dimensions and relations whose records are left out.",
    shell_complete=complete.dimensions,
)
@click.option(
    "--track-file-attrs/--no-track-file-attrs", default=True, help="Record size and checksum of each file."
)
@click.option("--without-datastore", is_flag=True, help="Register the datasets without their files.")
@message_option
@pass_session
def import_(
    session: Session,
    *,
    directory: str,
    transfer: str,
    export_file: str | None,
    skip_dimensions: tuple[str, ...],
    track_file_attrs: bool,
    without_datastore: bool,
) -> None:
    """Add what an export in DIRECTORY holds, in one commit: all or nothing.

    Exports of lsst.daf.butler (YAML, every version) and of lakebutler (YAML, Parquet). What is there already
    in the same form is passed over, so that an import can be repeated.
    """
    allowed = [os.path.abspath(directory)] if "://" not in directory else [directory]
    with session.butler(writeable=True, allow_external=allowed) as butler:
        before = butler.version
        butler.import_(
            directory=directory,
            filename=_export_file(directory, export_file),
            transfer=transfer,
            skip_dimensions=split_names(skip_dimensions),
            record_validation_info=track_file_attrs,
            without_datastore=without_datastore,
        )
        after = butler.version
    click.echo(f"{directory}: " + (f"imported as version {after}" if after > before else "nothing new"))


def _export_file(directory: str, given: str | None) -> str | None:
    """Which export: what is given, or a Parquet export where there is no YAML."""
    if given is not None or "://" in directory:
        return given
    parquet = os.path.join(directory, "export.parquet")
    if os.path.isdir(parquet) and not os.path.exists(os.path.join(directory, "export.yaml")):
        return "export.parquet"
    return None


@click.command("export", cls=Verb, paths=True)
@click.argument("directory")
@selection_options()
@as_of_option
@click.option(
    "-t", "--transfer", type=_EXPORT_MODES, default="copy", show_default=True, help="How files travel."
)
@click.option(
    "--format",
    "format_",
    type=_FORMATS,
    default="yaml",
    show_default=True,
    help="YAML, which lsst.daf.butler imports, or Parquet, for large exports.",
)
@click.option("--export-file", metavar="FILE", help="Name of the export in DIRECTORY.")
@pass_session
@click.pass_context
def export(
    ctx: click.Context,
    session: Session,
    *,
    directory: str,
    selection: Selection,
    transfer: str,
    format_: str,
    export_file: str | None,
    exit_code: bool,
) -> None:
    """Export the datasets found to DIRECTORY, with all that they need.

    Dimension records, dataset types and runs come with them; so do the collections searched, with what they
    say of these datasets.
    """
    with session.butler() as butler:
        refs = [ref for _, several in select_datasets(butler, selection) for ref in several]
        names = match_collections(butler, selection.collections or ("*",))
        chosen = butler.collections.query(names, flatten_chains=True, include_chains=True)
        with butler.export(
            directory=directory, filename=export_file, format=format_, transfer=transfer
        ) as context:
            stored = context.stored(refs)
            context.saveDatasets(stored)
            for name in chosen:
                context.saveCollection(name)
    click.echo(f"{directory}: {counted(len(stored), 'dataset')}, {counted(len(chosen), 'collection')}")
    if len(stored) < len(refs):
        say(f"left out: {counted(len(refs) - len(stored), 'dataset')} without a file")
    if exit_code and not stored:
        ctx.exit(NOTHING_FOUND)


@click.command("export-calibs", cls=Verb, paths=True)
@click.argument("directory")
@click.argument("collections", nargs=-1, shell_complete=complete.collections)
@click.option(
    "-d",
    "--dataset-type",
    multiple=True,
    metavar="NAMES",
    help="Dataset types: names or globs; all calibrations by default.",
    shell_complete=complete.dataset_types,
)
@click.option(
    "-t", "--transfer", type=_EXPORT_MODES, default="auto", show_default=True, help="How files travel."
)
@as_of_option
@pass_session
def export_calibs(
    session: Session,
    *,
    directory: str,
    collections: tuple[str, ...],
    dataset_type: tuple[str, ...],
    transfer: str,
) -> None:
    """Export certified calibrations of COLLECTIONS to DIRECTORY, which must not exist yet."""
    if "://" not in directory and os.path.lexists(directory):
        raise RepositoryExistsError(f"{directory} is there already", hint="choose a new directory")
    with session.butler() as butler:
        types = [
            t for t in match_dataset_types(butler, split_names(dataset_type) or ("*",)) if t.isCalibration()
        ]
        names = match_collections(butler, split_names(collections) or ("*",))
        chosen = butler.collections.query_info(names, flatten_chains=True, include_chains=True)
        chosen = [info for info in chosen if info.type.name in ("CALIBRATION", "CHAINED")]
        refs: dict[DatasetRef, None] = {}
        for info in chosen:
            if info.type.name == "CALIBRATION":
                refs.update(dict.fromkeys(_certified(butler, info.name, [t.name for t in types])))
        with butler.export(directory=directory, format="yaml", transfer=transfer) as context:
            stored = context.stored(refs)
            context.saveDatasets(stored)
            for name in _with_children(butler, [info.name for info in chosen]):
                context.saveCollection(name)
    rows = sorted((ref.datasetType.name, ref.run, str(ref.id)) for ref in stored)
    if len(stored) < len(refs):
        say(f"left out: {counted(len(refs) - len(stored), 'dataset')} without a file")
    emit(Listing(("type", "run", "id"), rows))


def _certified(butler: Butler, collection: str, types: list[str]) -> list[DatasetRef]:
    return [
        ref
        for name in types
        for ref in butler.query_datasets(name, collection, find_first=False, explain=False)
    ]


def _with_children(butler: Butler, names: list[str]) -> list[str]:
    """Chains can only be imported with what they hold."""
    return list(butler.collections.query(names, flatten_chains=True, include_chains=True))


@click.command("ingest-zip", cls=Verb, paths=True)
@click.argument("zip_file", metavar="ZIP")
@click.option(
    "-t",
    "--transfer",
    type=click.Choice(["auto", "copy", "move"]),
    default="auto",
    show_default=True,
    help="auto and copy unpack the zip; move removes it afterwards.",
)
@click.option(
    "--transfer-dimensions/--no-transfer-dimensions",
    default=True,
    show_default=True,
    help="Add the dimension records that the zip has.",
)
@click.option("--skip-existing", is_flag=True, help="Pass over datasets that are there already.")
@click.option("--dry-run/--no-dry-run", help="Only check.")
@message_option
@pass_session
def ingest_zip(
    session: Session,
    *,
    zip_file: str,
    transfer: str,
    transfer_dimensions: bool,
    skip_existing: bool,
    dry_run: bool,
) -> None:
    """Add the datasets in ZIP, which retrieve-artifacts --zip made, here or in lsst.daf.butler."""
    with session.butler(writeable=True) as butler:
        butler.ingest_zip(
            zip_file,
            transfer,
            transfer_dimensions=transfer_dimensions,
            skip_existing=skip_existing,
            dry_run=dry_run,
        )
        version = butler.version
    click.echo(f"{zip_file}: " + ("nothing was changed" if dry_run else f"version {version}"))


@click.command("transfer-datasets", cls=Verb, paths=True)
@click.argument("dest")
@selection_options(order_by=True)
@as_of_option
@click.option(
    "-t", "--transfer", type=_EXPORT_MODES, default="auto", show_default=True, help="How files travel."
)
@click.option(
    "--register-dataset-types/--no-register-dataset-types",
    default=True,
    show_default=True,
    help="Register dataset types that are missing in DEST.",
)
@click.option(
    "--transfer-dimensions/--no-transfer-dimensions",
    default=True,
    show_default=True,
    help="Add dimension records that are missing in DEST.",
)
@click.option("--dry-run/--no-dry-run", help="Only say what would be transferred.")
@message_option
@pass_session
@click.pass_context
def transfer_datasets(
    ctx: click.Context,
    session: Session,
    *,
    dest: str,
    selection: Selection,
    transfer: str,
    register_dataset_types: bool,
    transfer_dimensions: bool,
    dry_run: bool,
    exit_code: bool,
) -> None:
    """Transfer the datasets found to the repository DEST; IDs and runs are kept."""
    from lakebutler.butler.butler import Butler

    with session.butler() as source, Butler.from_config(dest, writeable=True) as target:
        target.repository.session.note = session.message
        refs = [ref for _, several in select_datasets(source, selection) for ref in several]
        added = target.transfer_from(
            source,
            refs,
            transfer,
            register_dataset_types=register_dataset_types,
            transfer_dimensions=transfer_dimensions,
            dry_run=dry_run,
        )
    verb = "would be transferred" if dry_run else "transferred"
    click.echo(f"{dest}: {len(added)} of {counted(len(refs), 'dataset')} {verb}")
    if exit_code and not refs:
        ctx.exit(NOTHING_FOUND)


@click.command("convert-gen3")
@click.argument("source")
@click.argument("dest")
@click.option(
    "-t",
    "--transfer",
    type=click.Choice(["direct", "copy", "hardlink", "link", "relsymlink", "symlink"]),
    default="direct",
    show_default=True,
    help="What happens to the files; direct leaves them where they are.",
)
@click.option("--root", metavar="DIR", help="Where the files are, if SOURCE does not say.")
@click.option(
    "--allow-external",
    multiple=True,
    metavar="PREFIX",
    help="A directory or URL prefix outside SOURCE that its files may lie in.",
)
@pass_session
def convert_gen3(
    session: Session,
    *,
    source: str,
    dest: str,
    transfer: str,
    root: str | None,
    allow_external: tuple[str, ...],
) -> None:
    """Convert SOURCE, a repository of lsst.daf.butler, to the repository DEST.

    SOURCE is its directory, its SQLite file, or the postgresql:// URL of its registry; nothing is ever
    written there. IDs, runs, tags, validity ranges and chains are kept; dimension records of older
    universes are migrated. A conversion that was broken off goes on when it is repeated.
    """
    from lakebutler.butler.gen3.convert import convert_gen3 as convert

    done = convert(
        source,
        dest,
        transfer=transfer,
        root=root,
        allow_external=allow_external,
        progress=session.watcher(),
    )
    click.echo(
        f"{done.root}: {counted(done.datasets, 'dataset')} in {counted(done.files, 'file')}, "
        f"{counted(done.memberships, 'membership')}, {counted(done.collections, 'collection')}, "
        f"{counted(done.types, 'dataset type')}, {counted(done.records, 'dimension record')} "
        f"(universe {done.universe_version})"
    )
    if done.missing:
        say(f"{counted(len(done.missing), 'file')} missing or of another size, such as {done.missing[0]}")
        say("their datasets are registered without a file; repeat the conversion when they are there")
    if done.disassembled:
        say(f"{counted(done.disassembled, 'dataset')} in parts, a file for each component")
    for what, number in done.passed_over.items():
        say(f"passed over: {number} {what}")
