# SPDX-License-Identifier: BSD-3-Clause
"""Where the files of datasets are, and whether they are there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lakebutler.butler.bulk import find_files
from lakebutler.butler.existence import DatasetExistence
from lakebutler.butler.finding import DataId, FindingButler
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datastore.records import FileRecord
from lakebutler.errors import DatasetNotFoundError, MissingDatasetTypeError

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

__all__ = ["DatasetRefURIs", "LocatingButler"]


class DatasetRefURIs(NamedTuple):
    """Addresses of a dataset's files.

    Attributes
    ----------
    primaryURI : `lsst.resources.ResourcePath`
        The file; `None` for a dataset in parts.
    componentURIs : `dict` [`str`, `lsst.resources.ResourcePath`]
        Files of components that are stored one by one.
    """

    primaryURI: ResourcePath | None
    componentURIs: dict[str, ResourcePath]


class LocatingButler(FindingButler):
    """The verbs of `Butler` that are about files."""

    def getURI(
        self,
        datasetRefOrType: DatasetRef | DatasetType | str,
        /,
        dataId: DataId = None,
        *,
        predict: bool = False,
        collections: str | Sequence[str] | None = None,
        run: str | None = None,
        **kwargs: Any,
    ) -> ResourcePath:
        """Address of a dataset's file.

        Parameters
        ----------
        datasetRefOrType : `DatasetRef`, `DatasetType` or `str`
            The dataset, or its type.
        dataId : `DataCoordinate` or mapping, optional
            Its data ID, with a type.
        predict : `bool`, optional
            Whether to say where a dataset that does not exist would be written;
            such an address ends in ``#predicted``.
        collections : `str` or sequence of `str`, optional
            Where to look, in order; the default collections if not given.
        run : `str`, optional
            Run to predict for; the default run if not given.
        **kwargs
            More of the data ID.

        Returns
        -------
        uri : `lsst.resources.ResourcePath`
            The address.

        Raises
        ------
        DatasetNotFoundError
            Raised if there is no such dataset and ``predict`` is false.
        DatasetTypeNotSupportedError
            Raised if the dataset is in parts, each in a file; it is a `RuntimeError`.
        """
        return self._datastore.uri(
            *self._located(datasetRefOrType, dataId, collections, kwargs, predict=predict, run=run)
        )

    def _located(
        self,
        datasetRefOrType: DatasetRef | DatasetType | str,
        dataId: DataId,
        collections: str | Sequence[str] | None,
        kwargs: Mapping[str, Any],
        *,
        predict: bool,
        run: str | None,
    ) -> tuple[DatasetRef, FileRecord | None]:
        """A dataset and its record; `None` if it is only predicted."""
        try:
            ref, file = self._found(datasetRefOrType, dataId, collections, None, kwargs)
            if file is not None or not predict:
                return ref, self._record(ref, file)
        except DatasetNotFoundError:
            if not predict:
                raise
        if isinstance(datasetRefOrType, DatasetRef):
            return datasetRefOrType, None
        kind = self._registry.dataset_type(datasetRefOrType)
        exact = self._registry.expand(self._resolve(kind, dataId, kwargs)[0])
        target = run or self.run
        if target is None:
            from lakebutler.errors import NoDefaultCollectionError

            raise NoDefaultCollectionError("cannot predict an address without a run", hint="pass run=")
        return DatasetRef(kind, exact, run=target), None

    def getURIs(
        self,
        datasetRefOrType: DatasetRef | DatasetType | str,
        /,
        dataId: DataId = None,
        *,
        predict: bool = False,
        collections: str | Sequence[str] | None = None,
        run: str | None = None,
        **kwargs: Any,
    ) -> DatasetRefURIs:
        """Addresses of a dataset's files; arguments as for `getURI`.

        Returns
        -------
        uris : `DatasetRefURIs`
            ``primaryURI``, the file, and ``componentURIs``, those of components
            that are stored one by one; can be unpacked into the two.
        """
        located = self._located(datasetRefOrType, dataId, collections, kwargs, predict=predict, run=run)
        return DatasetRefURIs(*self._datastore.uris(*located))

    def get_many_uris(
        self, refs: Iterable[DatasetRef], predict: bool = False, allow_missing: bool = False
    ) -> dict[DatasetRef, DatasetRefURIs]:
        """Addresses of the files of many datasets.

        Parameters
        ----------
        refs : iterable of `DatasetRef`
            The datasets.
        predict : `bool`, optional
            Whether to say where a dataset without a file would be written.
        allow_missing : `bool`, optional
            Whether to leave out datasets without a file; otherwise they are an
            error.

        Returns
        -------
        uris : `dict` [`DatasetRef`, `DatasetRefURIs`]
            Addresses by dataset.

        Raises
        ------
        DatasetNotFoundError
            Raised if a dataset has no file, unless that is allowed or predicted.
        """
        given = list(refs)
        result: dict[DatasetRef, DatasetRefURIs] = {}
        for ref, file in zip(given, find_files(self._registry, given), strict=True):
            if file is not None:
                result[ref] = DatasetRefURIs(*self._datastore.uris(ref, FileRecord._make(file)))
            elif predict:
                result[ref] = DatasetRefURIs(*self._datastore.uris(ref, None))
            elif not allow_missing:
                self._record(ref, self._registry.file_of(ref))  # says what is missing
        return result

    def get_datastore_names(self) -> tuple[str, ...]:
        """Names of the places that hold the files: one, made of the root."""
        return (f"FileDatastore@{self._repository.root}",)

    def get_datastore_roots(self) -> dict[str, ResourcePath | None]:
        """Roots of the places that hold the files, by name."""
        from lsst.resources import ResourcePath

        root = ResourcePath(self._repository.root, forceDirectory=True, forceAbsolute=True)
        return dict.fromkeys(self.get_datastore_names(), root)

    def retrieveArtifacts(
        self,
        refs: Iterable[DatasetRef],
        destination: str | os.PathLike[str] | ResourcePath,
        transfer: str = "auto",
        preserve_path: bool = True,
        overwrite: bool = False,
    ) -> list[ResourcePath]:
        """Bring the files of datasets to a directory, verified.

        Parameters
        ----------
        refs : iterable of `DatasetRef`
            The datasets; a component brings the files of its composite.
        destination : `str` or path-like or `lsst.resources.ResourcePath`
            A directory, made if need be, or the URL of a prefix.
        transfer : `str`, optional
            ``auto`` and ``copy`` copy; ``link``, ``hardlink``, ``symlink`` and
            ``relsymlink`` link, on the local disk.
        preserve_path : `bool`, optional
            Whether the directories that the files are in come too.
        overwrite : `bool`, optional
            Whether files that are there may be replaced.

        Returns
        -------
        files : `list` [`lsst.resources.ResourcePath`]
            Where the files are now; a file with several datasets comes once.

        Raises
        ------
        DatasetNotFoundError
            Raised if a dataset has no file.
        RepositoryExistsError
            Raised if a file is there already; it is a `FileExistsError`.
        """
        from lakebutler.butler.retrieve import retrieve_artifacts

        given = [ref.makeCompositeRef() if ref.isComponent() else ref for ref in refs]
        files = find_files(self._registry, given)
        found = [
            (ref, self._record(ref, file if file is not None else self._registry.file_of(ref)))
            for ref, file in zip(given, files, strict=True)
        ]
        return retrieve_artifacts(
            self._datastore,
            found,
            destination,
            transfer=transfer,
            preserve_path=preserve_path,
            overwrite=overwrite,
        )

    def exists(
        self,
        dataset_ref_or_type: DatasetRef | DatasetType | str,
        /,
        data_id: DataId = None,
        *,
        full_check: bool = True,
        collections: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> DatasetExistence:
        """Whether a dataset exists, and where it was found.

        Parameters
        ----------
        dataset_ref_or_type : `DatasetRef`, `DatasetType` or `str`
            The dataset, or its type.
        data_id : `DataCoordinate` or mapping, optional
            Its data ID, with a type.
        full_check : `bool`, optional
            Whether to look for the file, too.
        collections : `str` or sequence of `str`, optional
            Where to look, in order; the default collections if not given.
        **kwargs
            More of the data ID.

        Returns
        -------
        existence : `DatasetExistence`
            True if the dataset can be read; what names a dataset type, or a value in
            the data ID, that does not exist is unrecognized.
        """
        try:
            _, file = self._found(dataset_ref_or_type, data_id, collections, None, kwargs)
        except (DatasetNotFoundError, MissingDatasetTypeError):
            return DatasetExistence.UNRECOGNIZED
        if file is None:
            return DatasetExistence.RECORDED
        if not full_check:
            return DatasetExistence.KNOWN
        if self._datastore.exists(FileRecord._make(file)):
            return DatasetExistence.VERIFIED
        return DatasetExistence.RECORDED | DatasetExistence.DATASTORE

    def stored(self, ref: DatasetRef) -> bool:
        """Whether a dataset's file is there."""
        return self.stored_many([ref])[ref]

    def stored_many(self, refs: Iterable[DatasetRef]) -> dict[DatasetRef, bool]:
        """Which datasets' files are there.

        Parameters
        ----------
        refs : iterable of `DatasetRef`
            The datasets.

        Returns
        -------
        stored : `dict` [`DatasetRef`, `bool`]
            One for each.
        """
        given = list(refs)
        return {
            ref: file is not None and self._datastore.exists(FileRecord._make(file))
            for ref, file in zip(given, find_files(self._registry, given), strict=True)
        }
