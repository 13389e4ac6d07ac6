# SPDX-License-Identifier: BSD-3-Clause
"""Find datasets: by type and data ID through collections, or by their IDs."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lakebutler.butler.base import ButlerBase
from lakebutler.butler.bulk import find_many
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datastore.records import FileRecord
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.errors import DataIdValueError, DatasetNotFoundError
from lakebutler.registry.dataset_rows import FileRow, file_of
from lakebutler.timespan import Timespan

__all__ = ["DataId", "FindingButler"]

DataId = DataCoordinate | Mapping[str, Any] | None
"""What may stand where a data ID is asked for."""


class FindingButler(ButlerBase):
    """The finding verbs of `Butler`."""

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
        with self._session.held():
            found = self._registry.by_id(_uuid(id))
        if found is None:
            return None
        return found[0].overrideStorageClass(storage_class) if storage_class else found[0]

    def get_many_datasets(self, ids: Iterable[uuid.UUID | str]) -> list[DatasetRef]:
        """Find datasets by their IDs.

        Parameters
        ----------
        ids : iterable of `uuid.UUID` or `str`
            The IDs.

        Returns
        -------
        refs : `list` [`DatasetRef`]
            Those that there are, with full data IDs.
        """
        with self._session.held():
            return find_many(self._registry, [_uuid(one) for one in ids])

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
        with self._session.held():
            kind = self._registry.dataset_type(dataset_type)
            exact, when = self._resolve(kind, data_id, kwargs)
            path = self._search_path(collections)
            valid = timespan if timespan is not None else when
            found = self._registry.find(kind, exact.required_values, path, valid, file=False)
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
        with self._session.held():
            kind = self._registry.dataset_type(target)
            exact, when = self._resolve(kind, data_id, keywords)
            path = self._search_path(collections)
            found = self._registry.find(
                kind, exact.required_values, path, timespan if timespan is not None else when
            )
            if found is None:
                try:
                    self._registry.expand(exact)
                except DataIdValueError as exc:  # names a value that does not exist
                    raise DatasetNotFoundError(
                        f"there is no {kind.name} with data ID {exact}: {exc.message}", hint=exc.hint
                    ) from None
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

    def _record(self, ref: DatasetRef, file: FileRow | None) -> FileRecord:
        if file is None:
            raise DatasetNotFoundError(
                f"{ref.datasetType.name} {ref.dataId} in run {ref.run!r} is registered but has no file",
                hint="it was never stored, or its file was removed",
            )
        return FileRecord._make(file)


def _uuid(value: uuid.UUID | str) -> uuid.UUID:
    if isinstance(value, uuid.UUID):
        return value
    try:
        return uuid.UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise DataIdValueError(
            f"{value!r} is no dataset ID", hint="give a UUID, or its hexadecimal text"
        ) from None
