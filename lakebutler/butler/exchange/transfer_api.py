# SPDX-License-Identifier: BSD-3-Clause
"""The verbs of `Butler` that carry datasets from one repository to another."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from lakebutler.butler.base import ButlerBase
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.dimensions.coordinate import DataCoordinate

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

    from lakebutler.butler.exchange.export_context import RepoExportContext
    from lakebutler.butler.exchange.import_files import Target

__all__ = ["TransferringButler"]


class TransferringButler(ButlerBase):
    """Import, export and transfer."""

    def _target(self) -> Target:
        from lakebutler.butler.exchange.import_files import Target

        return Target(self._repository, self._registry, self._pending)

    def export(
        self,
        *,
        directory: str | os.PathLike[str] | None = None,
        filename: str | os.PathLike[str] | None = None,
        format: str | None = None,
        transfer: str | None = None,
    ) -> AbstractContextManager[RepoExportContext]:
        """Export datasets, collections and dimension records.

        Parameters
        ----------
        directory : `str` or path-like, optional
            Where files go, and the export if its name is relative.
        filename : `str` or path-like, optional
            The export; ``export.yaml`` or ``export.parquet`` if not given.
        format : `str`, optional
            ``yaml`` (what ``lsst.daf.butler`` imports) or ``parquet`` (ours, for large
            exports); told by the name if not given.
        transfer : `str`, optional
            What happens to the files: `None` (they stay; the export has their paths
            inside the repository), ``direct`` (they stay; it has their addresses),
            ``copy`` or ``auto``, ``link``, ``hardlink``, ``symlink``, ``relsymlink``.

        Returns
        -------
        context : context manager
            Gives a `RepoExportContext` with ``saveDatasets``, ``saveCollection``,
            ``saveDataIds`` and ``saveDimensionData``.  The export is written when the
            block ends; if the block fails, there is none.
        """
        from lakebutler.butler.exchange.export_context import export_context

        return export_context(
            self._target(), directory=directory, filename=filename, format=format, transfer=transfer
        )

    def import_(
        self,
        *,
        directory: str | os.PathLike[str] | None = None,
        filename: Any = None,
        format: str | None = None,
        transfer: str | None = None,
        skip_dimensions: Iterable[Any] | None = None,
        record_validation_info: bool = True,
        without_datastore: bool = False,
    ) -> None:
        """Add what an export holds, in one commit.

        Parameters
        ----------
        directory : `str` or path-like, optional
            Where the files of the datasets are, and the export if its name is relative.
        filename : `str` or path-like or file-like, optional
            The export: YAML of ``lsst.daf.butler`` or of `export`, or a directory of our
            Parquet format.  ``export.yaml`` or ``export.parquet`` if not given.
        format : `str`, optional
            ``yaml`` or ``parquet``; told by the name if not given.
        transfer : `str`, optional
            What happens to the files; see `ingest`.  `None`: they lie inside the
            repository already.
        skip_dimensions : iterable of `str` or `DimensionElement`, optional
            Elements whose records are left out.
        record_validation_info : `bool`, optional
            Accepted as the field's interface has it; sizes are always recorded.
        without_datastore : `bool`, optional
            Whether to register the datasets without their files.

        Raises
        ------
        RepositoryFormatError
            Raised if it is no export, or of a newer format or universe.
        ConflictingDefinitionError
            Raised if something of the same name, ID, data ID or validity is there already
            and differs.  What is there in the same form is passed over, so that an import
            can be repeated.
        FileNotFoundError
            Raised if a file is missing.

        Notes
        -----
        All of it is added, or nothing.  Names of formatters and storage classes are kept as
        they are; they matter only when a dataset is read.
        """
        del record_validation_info
        from lakebutler.butler.exchange.import_api import import_export

        import_export(
            self._target(),
            directory=directory,
            filename=filename,
            format=format,
            transfer=transfer,
            skip_dimensions=skip_dimensions,
            without_datastore=without_datastore,
        )

    def transfer_from(
        self,
        source_butler: TransferringButler,
        source_refs: Iterable[DatasetRef],
        transfer: str | None = "auto",
        skip_missing: bool = True,
        register_dataset_types: bool = False,
        transfer_dimensions: bool = False,
        dry_run: bool = False,
    ) -> list[DatasetRef]:
        """Add datasets of another repository to this one, in one commit.

        Parameters
        ----------
        source_butler : `Butler`
            Where they are; it stays as it is.
        source_refs : iterable of `DatasetRef`
            The datasets; their IDs and runs are kept.
        transfer : `str`, optional
            What happens to the files: ``auto`` (those inside the other repository are
            copied, those outside stay), ``copy``, ``direct`` (all stay where they are),
            ``link``, ``hardlink``, ``symlink``, ``relsymlink``.
        skip_missing : `bool`, optional
            Whether datasets without a file are left out; otherwise they are registered.
        register_dataset_types : `bool`, optional
            Whether to register dataset types that are not registered here.
        transfer_dimensions : `bool`, optional
            Whether to add the dimension records that the data IDs lead to.
        dry_run : `bool`, optional
            Whether only to say what would be added.

        Returns
        -------
        added : `list` [`DatasetRef`]
            The datasets that are new here; those that were here already are passed over.

        Raises
        ------
        MissingDatasetTypeError
            Raised if a dataset type is not registered here.
        ConflictingDefinitionError
            Raised if a data ID or an ID is taken by another dataset, or if a dataset type
            is defined differently here: other dimensions, a calibration in one only, or a
            storage class whose datasets cannot be read as ours; nothing is added then.
        DataIdValueError
            Raised if dimension records are missing here.
        """
        from lakebutler.butler.exchange.transfer import transfer_datasets

        return transfer_datasets(
            self._target(),
            source_butler._target(),
            source_refs,
            transfer=transfer,
            skip_missing=skip_missing,
            register_dataset_types=register_dataset_types,
            transfer_dimensions=transfer_dimensions,
            dry_run=dry_run,
        )

    def transfer_dimension_records_from(
        self, source_butler: TransferringButler, source_refs: Iterable[DatasetRef | DataCoordinate]
    ) -> None:
        """Add the dimension records of another repository that data IDs lead to.

        Parameters
        ----------
        source_butler : `Butler`
            Where they are.
        source_refs : iterable of `DatasetRef` or `DataCoordinate`
            Data IDs; also the records that are populated with theirs come, such as the
            definitions and regions of visits.  Records that are here stay as they are.
        """
        from lakebutler.butler.exchange.transfer import transfer_records

        transfer_records(self._target(), source_butler._target(), source_refs)

    def retrieve_artifacts_zip(
        self,
        refs: Iterable[DatasetRef],
        destination: str | os.PathLike[str],
        overwrite: bool = True,
    ) -> ResourcePath:
        """Put the files of datasets into a zip, with an index that says what they are.

        Parameters
        ----------
        refs : iterable of `DatasetRef`
            The datasets.
        destination : `str` or path-like
            A directory, made if need be.
        overwrite : `bool`, optional
            Whether a zip of the same content may be replaced.

        Returns
        -------
        zip : `lsst.resources.ResourcePath`
            The zip; ``lsst.daf.butler`` can ingest it, too.

        Raises
        ------
        DatasetNotFoundError
            Raised if there are no datasets, or one has no file.
        """
        from lakebutler.butler.exchange.artifact_zip import retrieve_zip

        return retrieve_zip(self._target(), refs, destination, overwrite=overwrite)

    def ingest_zip(
        self,
        zip_file: str | os.PathLike[str],
        transfer: str = "auto",
        *,
        transfer_dimensions: bool = False,
        dry_run: bool = False,
        skip_existing: bool = False,
    ) -> None:
        """Add the datasets in a zip that `retrieve_artifacts_zip` made, here or in the field.

        Parameters
        ----------
        zip_file : `str` or path-like
            The zip: a local file or a URL.
        transfer : `str`, optional
            ``auto`` and ``copy`` unpack it; ``move`` removes the zip afterwards.
        transfer_dimensions : `bool`, optional
            Whether to add the dimension records that the zip has.
        dry_run : `bool`, optional
            Whether only to check.
        skip_existing : `bool`, optional
            Whether to pass over datasets that are here already; otherwise they are an error.

        Raises
        ------
        FileFormatError
            Raised if it is no such zip, or has members that no such zip has: names that
            lead elsewhere, links, duplicates, bombs.  Nothing is written then.
        ConflictingDefinitionError
            Raised if a dataset is here already, or its data ID is taken, or its type is
            defined differently here.

        Notes
        -----
        Dataset types that are not registered here are registered as the zip defines them.
        """
        from lakebutler.butler.exchange.artifact_zip import ingest_zip

        ingest_zip(
            self._target(),
            zip_file,
            transfer=transfer,
            transfer_dimensions=transfer_dimensions,
            dry_run=dry_run,
            skip_existing=skip_existing,
        )
