# SPDX-License-Identifier: BSD-3-Clause
"""A dataset type as a caller gives it, held against the one that is registered."""

from __future__ import annotations

from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.errors import ConflictingDatasetTypeError, DatasetTypeError
from lakebutler.registry.registry import Registry

__all__ = ["type_to_write"]


def type_to_write(registry: Registry, given: str | DatasetType, verb: str) -> DatasetType:
    """Find the registered type of datasets that are to be written.

    Parameters
    ----------
    registry : `Registry`
        Where it is registered.
    given : `str` or `DatasetType`
        The type, or its name; an object may have another storage class that can
        be converted to the registered one.
    verb : `str`
        What is to be done, for messages.

    Returns
    -------
    registered : `DatasetType`
        The type as registered: what is stored is always of its storage class.

    Raises
    ------
    MissingDatasetTypeError
        Raised if there is none of this name.
    DatasetTypeError
        Raised for a component.
    ConflictingDatasetTypeError
        Raised if the given type does not fit the registered one.
    """
    kind = registry.dataset_type(given)
    if kind.component() is not None:
        raise DatasetTypeError(
            f"cannot {verb} a component ({kind.name})",
            hint=f"{verb} the whole {kind.nameAndComponent()[0]!r}",
        )
    if isinstance(given, str):
        return kind
    registered = registry.dataset_type(given.name)
    if given is registered or registered.is_compatible_with(given):
        return registered
    if given.isCalibration() != registered.isCalibration():
        what = "no calibration type" if given.isCalibration() else "a calibration type"
        raise ConflictingDatasetTypeError(
            f"dataset type {given.name!r} is registered as {what}; the one given is not the same",
            hint=f"use the registered type: get_dataset_type({given.name!r})",
        )
    raise ConflictingDatasetTypeError(
        f"dataset type {given.name!r} is registered with storage class {registered.storageClass_name!r}, "
        f"which {given.storageClass_name!r} cannot be converted to",
        hint=f"use the registered type: get_dataset_type({given.name!r})",
    )
