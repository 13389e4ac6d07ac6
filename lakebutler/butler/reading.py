# SPDX-License-Identifier: BSD-3-Clause
"""Find and read datasets."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.butler.base import ButlerBase
from lakebutler.butler.deferred import DeferredDatasetHandle
from lakebutler.butler.existence import DatasetExistence
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datastore.records import FileRecord
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.errors import DatasetNotFoundError
from lakebutler.registry.dataset_rows import FileRow, file_of
from lakebutler.timespan import Timespan

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

__all__ = ["ReadingButler"]

DataId = DataCoordinate | Mapping[str, Any] | None


class ReadingButler(ButlerBase):
    """The reading verbs of `Butler`."""

    def get_dataset_type(self, name: str) -> DatasetType:
        """Look up a registered dataset type.

        Parameters
        ----------
        name : `str`
            Its name.

        Returns
        -------
        dataset_type : `DatasetType`
            The type.

        Raises
        ------
        MissingDatasetTypeError
            Raised if there is none.
        """
        return self._registry.dataset_type(name)

    def get_dataset(
        self,
        id: uuid.UUID | str,
        *,
        storage_class: str | None = None,
        dimension_records: bool = False,
        datastore_records: bool = False,
    ) -> DatasetRef | None:
        """Find a dataset by its ID.

        Parameters
        ----------
        id : `uuid.UUID` or `str`
            The ID.
        storage_class : `str`, optional
            Storage class that the reference is to have.
        dimension_records, datastore_records : `bool`, optional
            Accepted as the field's interface has them; references have their
            dimension records anyway, file records stay in the registry.

        Returns
        -------
        ref : `DatasetRef` or `None`
            `None` if there is none with this ID.
        """
        del dimension_records, datastore_records
        found = self._registry.by_id(id if isinstance(id, uuid.UUID) else uuid.UUID(str(id)))
        if found is None:
            return None
        return found[0].overrideStorageClass(storage_class) if storage_class else found[0]

    def find_dataset(
        self,
        dataset_type: DatasetType | str,
        data_id: DataId = None,
        *,
        collections: str | Sequence[str] | None = None,
        timespan: Timespan | None = None,
        storage_class: str | None = None,
        dimension_records: bool = False,
        datastore_records: bool = False,
        **kwargs: Any,
    ) -> DatasetRef | None:
        """Find the first dataset of a type and data ID.

        Parameters
        ----------
        dataset_type : `DatasetType` or `str`
            The type.
        data_id : `DataCoordinate` or mapping, optional
            Its data ID.
        collections : `str` or sequence of `str`, optional
            Where to look, in order; the default collections if not given.
        timespan : `Timespan`, optional
            When a calibration must be valid.
        storage_class : `str`, optional
            Storage class that the reference is to have.
        dimension_records, datastore_records : `bool`, optional
            Accepted as the field's interface has them.
        **kwargs
            More of the data ID.

        Returns
        -------
        ref : `DatasetRef` or `None`
            With a full data ID; `None` if there is none.
        """
        del dimension_records, datastore_records
        kind = self._registry.dataset_type(dataset_type)
        with self._session.held():
            exact, when = self._resolve(kind, data_id, kwargs)
            path = self._search_path(collections)
            found = self._registry.find(
                kind, exact.required_values, path, timespan if timespan is not None else when
            )
            if found is None:
                return None
            ref = self._registry.to_found(kind, *found)[0]
        return ref.overrideStorageClass(storage_class) if storage_class else ref

    def _found(
        self,
        target: DatasetRef | DatasetType | str,
        data_id: DataId,
        collections: str | Sequence[str] | None,
        timespan: Timespan | None,
        keywords: Mapping[str, Any],
    ) -> tuple[DatasetRef, FileRow | None]:
        """Find a dataset that must be there, and its file."""
        if isinstance(target, DatasetRef):
            if data_id is not None or keywords:
                from lakebutler.errors import DimensionValueError

                raise DimensionValueError("a DatasetRef has its data ID: none may be given beside it")
            return target, self._registry.file_of(target)
        kind = self._registry.dataset_type(target)
        with self._session.held():
            exact, when = self._resolve(kind, data_id, keywords)
            path = self._search_path(collections)
            found = self._registry.find(
                kind, exact.required_values, path, timespan if timespan is not None else when
            )
            if found is None:
                self._registry.expand(exact)  # names a value that does not exist
                names = ", ".join(name for name, _ in path) or "no collection"
                wanted = timespan if timespan is not None else when
                valid = f" that is valid in {wanted}" if wanted is not None and kind.isCalibration() else ""
                raise DatasetNotFoundError(
                    f"there is no {kind.name} with data ID {exact}{valid} in {names}",
                    hint="query_datasets shows what there is; collections= says where to look",
                )
            layout, row = found
            # Reading needs no implied values: the file is found by the row.
            ref = DatasetRef(
                kind, exact, run=row[layout.index("run")], id=row[layout.index("id")], conform=False
            )
            return ref, file_of(layout, row)

    def get(
        self,
        datasetRefOrType: DatasetRef | DatasetType | str,
        /,
        dataId: DataId = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        collections: str | Sequence[str] | None = None,
        storageClass: str | None = None,
        timespan: Timespan | None = None,
        **kwargs: Any,
    ) -> Any:
        """Read a dataset.

        Parameters
        ----------
        datasetRefOrType : `DatasetRef`, `DatasetType` or `str`
            The dataset, or its type; ``type.component`` reads a component.
        dataId : `DataCoordinate` or mapping, optional
            Its data ID, with a type.
        parameters : mapping, optional
            What to read of it, as its storage class allows.
        collections : `str` or sequence of `str`, optional
            Where to look, in order; the default collections if not given.
        storageClass : `str`, optional
            Storage class to convert to.
        timespan : `Timespan`, optional
            When a calibration must be valid.
        **kwargs
            More of the data ID.

        Returns
        -------
        obj : object
            The dataset.

        Raises
        ------
        DatasetNotFoundError
            Raised if there is no such dataset.
        FileIntegrityError
            Raised if its file is not the one that was written.
        FileNotFoundError
            Raised if its file is missing.
        """
        ref, file = self._found(datasetRefOrType, dataId, collections, timespan, kwargs)
        record = self._record(ref, file)
        return self._datastore.get(
            ref,
            record,
            component=ref.datasetType.component(),
            parameters=parameters,
            storage_class=storageClass,
        )

    def getDeferred(
        self,
        datasetRefOrType: DatasetRef | DatasetType | str,
        /,
        dataId: DataId = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        collections: str | Sequence[str] | None = None,
        storageClass: str | None = None,
        timespan: Timespan | None = None,
        **kwargs: Any,
    ) -> DeferredDatasetHandle:
        """Find a dataset, to read it later; arguments as for `get`.

        Returns
        -------
        handle : `DeferredDatasetHandle`
            Reads it.

        Raises
        ------
        DatasetNotFoundError
            Raised if there is no such dataset, or it is not stored.
        """
        ref, file = self._found(datasetRefOrType, dataId, collections, timespan, kwargs)
        self._record(ref, file)
        return DeferredDatasetHandle(self, ref, parameters, storageClass)

    def _record(self, ref: DatasetRef, file: FileRow | None) -> FileRecord:
        if file is None:
            raise DatasetNotFoundError(
                f"{ref.datasetType.name} {ref.dataId} in run {ref.run!r} is registered but has no file",
                hint="it was never stored, or its file was removed",
            )
        return FileRecord._make(file)

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
        """
        try:
            ref, file = self._found(datasetRefOrType, dataId, collections, None, kwargs)
            if file is not None or not predict:
                return self._datastore.uri(ref, self._record(ref, file))
        except DatasetNotFoundError:
            if not predict:
                raise
        if isinstance(datasetRefOrType, DatasetRef):
            return self._datastore.uri(datasetRefOrType, None)
        kind = self._registry.dataset_type(datasetRefOrType)
        exact = self._resolve(kind, dataId, kwargs)[0]
        target = run or self.run
        if target is None:
            from lakebutler.errors import NoDefaultCollectionError

            raise NoDefaultCollectionError("cannot predict an address without a run", hint="pass run=")
        return self._datastore.uri(DatasetRef(kind, exact, run=target), None)

    def getURIs(
        self,
        datasetRefOrType: DatasetRef | DatasetType | str,
        /,
        dataId: DataId = None,
        **kwargs: Any,
    ) -> tuple[ResourcePath, dict[str, ResourcePath]]:
        """Addresses of a dataset's files; arguments as for `getURI`.

        Returns
        -------
        primary : `lsst.resources.ResourcePath`
            The file.
        components : `dict`
            Files of components, if they are stored one by one.
        """
        return self.getURI(datasetRefOrType, dataId, **kwargs), {}

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
            True if the dataset can be read.
        """
        try:
            _, file = self._found(dataset_ref_or_type, data_id, collections, None, kwargs)
        except DatasetNotFoundError:
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
        result: dict[DatasetRef, bool] = {}
        for ref in refs:
            try:
                file = self._registry.file_of(ref)
            except DatasetNotFoundError:
                file = None
            result[ref] = file is not None and self._datastore.exists(FileRecord._make(file))
        return result
