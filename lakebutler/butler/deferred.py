# SPDX-License-Identifier: BSD-3-Clause
"""A dataset that was found, to be read later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.dimensions.coordinate import DataCoordinate

__all__ = ["DeferredDatasetHandle", "Reader"]


class Reader(Protocol):
    """What can read a dataset: a `Butler`, or what stands in for one."""

    def get(
        self,
        datasetRefOrType: DatasetRef,
        /,
        *,
        parameters: Mapping[str, Any] | None = None,
        storageClass: str | None = None,
    ) -> Any:
        """Read a dataset; see `Butler.get`."""


@dataclass(frozen=True)
class DeferredDatasetHandle:
    """Handle of a dataset that is read when asked for.

    Attributes
    ----------
    butler : `Reader`
        Reads it.
    ref : `DatasetRef`
        Which dataset.
    parameters : mapping or `None`
        Parameters of every read.
    storageClass : `str` or `None`
        Storage class to convert to.
    """

    butler: Reader
    ref: DatasetRef
    parameters: Mapping[str, Any] | None = None
    storageClass: str | None = None

    def get(
        self,
        *,
        component: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        storageClass: str | None = None,
    ) -> Any:
        """Read the dataset.

        Parameters
        ----------
        component : `str`, optional
            A component of it only.
        parameters : mapping, optional
            Parameters of this read, besides those of the handle.
        storageClass : `str`, optional
            Storage class to convert to.

        Returns
        -------
        obj : object
            The dataset.
        """
        ref = self.ref.makeComponentRef(component) if component is not None else self.ref
        merged = {**(self.parameters or {}), **(parameters or {})}
        chosen = storageClass or (self.storageClass if component is None else None)
        return self.butler.get(ref, parameters=merged or None, storageClass=chosen)

    @property
    def dataId(self) -> DataCoordinate:
        """Data ID of the dataset."""
        return self.ref.dataId
