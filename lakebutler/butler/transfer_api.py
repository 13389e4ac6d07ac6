# SPDX-License-Identifier: BSD-3-Clause
"""The verbs of `Butler` that carry datasets from one repository to another."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from lakebutler.butler.base import ButlerBase
from lakebutler.butler.import_files import Target

if TYPE_CHECKING:
    from lakebutler.butler.export_context import RepoExportContext

__all__ = ["TransferringButler"]


class TransferringButler(ButlerBase):
    """Import, export and transfer."""

    def _target(self) -> Target:
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
        from lakebutler.butler.export_context import export_context

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
        from lakebutler.butler.import_api import import_export

        import_export(
            self._target(),
            directory=directory,
            filename=filename,
            format=format,
            transfer=transfer,
            skip_dimensions=skip_dimensions,
            without_datastore=without_datastore,
        )
