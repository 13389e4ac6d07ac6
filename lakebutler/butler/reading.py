# SPDX-License-Identifier: BSD-3-Clause
"""Read datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lakebutler.butler.deferred import DeferredDatasetHandle
from lakebutler.butler.finding import DataId, FindingButler
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.timespan import Timespan

__all__ = ["ReadingButler"]


class ReadingButler(FindingButler):
    """The reading verbs of `Butler`."""

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
