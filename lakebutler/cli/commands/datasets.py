# SPDX-License-Identifier: BSD-3-Clause
"""``register-dataset-type``, ``ingest-files`` and ``retrieve-artifacts``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from lakebutler.cli import complete
from lakebutler.cli.failure import NOTHING_FOUND
from lakebutler.cli.files import read_table
from lakebutler.cli.names import one_dataset_type
from lakebutler.cli.options import (
    Selection,
    as_of_option,
    message_option,
    parse_data_id,
    selection_options,
    transfer_option,
)
from lakebutler.cli.output import Listing, emit
from lakebutler.cli.refine import split_names
from lakebutler.cli.retrieve import retrieve
from lakebutler.cli.select import select_datasets
from lakebutler.cli.session import Session, counted, pass_session
from lakebutler.cli.verb import Verb

if TYPE_CHECKING:
    from lakebutler.datasets.dataset_ref import DatasetRef
    from lakebutler.datasets.dataset_type import DatasetType

__all__ = ["ingest_files", "register_dataset_type", "retrieve_artifacts"]


@click.command("register-dataset-type", cls=Verb)
@click.argument("dataset_type")
@click.argument("storage_class", shell_complete=complete.storage_classes)
@click.argument("dimensions", nargs=-1, shell_complete=complete.dimensions)
@click.option("--is-calibration/--no-is-calibration", default=False, help="Whether it may be certified.")
@message_option
@pass_session
def register_dataset_type(
    session: Session,
    *,
    dataset_type: str,
    storage_class: str,
    dimensions: tuple[str, ...],
    is_calibration: bool,
) -> None:
    """Register a dataset type by its name, STORAGE_CLASS and DIMENSIONS."""
    from lakebutler.datasets.dataset_type import DatasetType
    from lakebutler.datasets.storage_class import StorageClassFactory

    StorageClassFactory().getStorageClass(storage_class)  # a misspelt one would only fail at the first put
    butler = session.butler(writeable=True)
    new = DatasetType(
        dataset_type,
        split_names(dimensions),
        storage_class,
        universe=butler.dimensions,
        isCalibration=is_calibration,
    )
    registered = butler.registry.registerDatasetType(new)
    shown = ", ".join(new.dimensions.required) or "no dimensions"
    click.echo(
        f"{'registered' if registered else 'already registered'}: {dataset_type} ({storage_class}; {shown})"
    )


@click.command("ingest-files", cls=Verb)
@click.argument("dataset_type")
@click.argument("run", shell_complete=complete.collections)
@click.argument("table_file")
@click.option(
    "--formatter", help="Key of the formatter that reads the files; by default that of the storage class."
)
@click.option(
    "--id-generation-mode",
    type=click.Choice(["UNIQUE", "DATAID_TYPE", "DATAID_TYPE_RUN"], case_sensitive=False),
    default="UNIQUE",
    show_default=True,
    help="How the datasets get their ids.",
)
@click.option("--data-id", multiple=True, metavar="KEY=VALUE", help="Data ID values that all files share.")
@click.option(
    "--prefix",
    metavar="DIR",
    help="Where relative paths in the table begin; the current directory by default.",
)
@click.option(
    "--track-file-attrs/--no-track-file-attrs", default=True, help="Record size and checksum of each file."
)
@transfer_option("auto")
@message_option
@pass_session
def ingest_files(
    session: Session,
    *,
    dataset_type: str,
    run: str,
    table_file: str,
    formatter: str | None,
    id_generation_mode: str,
    data_id: tuple[str, ...],
    prefix: str | None,
    track_file_attrs: bool,
    transfer: str,
) -> None:
    """Ingest the files named in TABLE_FILE as datasets DATASET_TYPE in RUN.

    TABLE_FILE is a table (CSV, ECSV, FITS, ...): the first column is the path or URL of a file, the others
    are data ID values, named after dimensions. Dimension records must exist already.
    """
    from lakebutler.datasets.file_dataset import FileDataset

    fixed = parse_data_id(data_id)
    butler = session.butler(writeable=True)
    found = one_dataset_type(butler, dataset_type)
    names, rows = read_table(table_file)
    refs = _refs_by_path(found, run, names, rows, fixed, id_generation_mode, prefix or os.getcwd())
    files = [FileDataset(path=path, refs=several, formatter=formatter) for path, several in refs.items()]
    butler.ingest(*files, transfer=transfer, record_validation_info=track_file_attrs)
    click.echo(f"{run}: {len(files)} {dataset_type} ingested ({transfer})")


def _refs_by_path(
    dataset_type: DatasetType,
    run: str,
    names: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    fixed: dict[str, Any],
    mode: str,
    prefix: str,
) -> dict[str, list[DatasetRef]]:
    from lakebutler.datasets.dataset_ref import DatasetRef
    from lakebutler.dimensions.coordinate import DataCoordinate
    from lakebutler.ids import DatasetIdGenEnum

    generation = DatasetIdGenEnum[mode.upper()]
    refs: dict[str, list[DatasetRef]] = {}
    for path, *values in rows:
        place = str(path) if "://" in str(path) else os.path.join(prefix, str(path))
        data_id = dict(zip(names[1:], values, strict=True)) | fixed
        coordinate = DataCoordinate.standardize(data_id, dimensions=dataset_type.dimensions)
        refs.setdefault(place, []).append(
            DatasetRef(dataset_type, coordinate, run, id_generation_mode=generation)
        )
    return refs


@click.command("retrieve-artifacts", cls=Verb, paths=True)
@click.argument("destination")
@selection_options(order_by=True)
@as_of_option
@transfer_option("auto")
@click.option("-v", "--verbose", is_flag=True, help="List the files made.")
@click.option(
    "--preserve-path/--no-preserve-path", default=True, help="Keep the directories of the repository."
)
@click.option("--clobber/--no-clobber", default=False, help="Overwrite files that exist.")
@click.option("--zip/--no-zip", "as_zip", default=False, help="Put the files into one zip, for ingest-zip.")
@pass_session
@click.pass_context
def retrieve_artifacts(
    ctx: click.Context,
    session: Session,
    *,
    destination: str,
    selection: Selection,
    transfer: str,
    verbose: bool,
    preserve_path: bool,
    clobber: bool,
    as_zip: bool,
    exit_code: bool,
) -> None:
    """Copy the files of the datasets found to DESTINATION."""
    butler = session.butler()
    refs = [ref for _, several in select_datasets(butler, selection) for ref in several]
    made: list[str] = []
    if refs and as_zip:
        made = [butler.retrieve_artifacts_zip(refs, destination, overwrite=clobber).ospath]
    elif refs:
        made = retrieve(
            butler,
            refs,
            destination,
            transfer=transfer,
            preserve_path=preserve_path,
            overwrite=clobber,
            progress=session.watcher(),
        )
    if verbose:
        emit(Listing(("file",), [(path,) for path in made]))
    click.echo(f"{destination}: {counted(len(made), 'file')} of {counted(len(refs), 'dataset')}")
    if exit_code and not refs:
        ctx.exit(NOTHING_FOUND)
