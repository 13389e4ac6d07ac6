# SPDX-License-Identifier: BSD-3-Clause
"""Dataset types of two repositories: whether datasets of one can be read as datasets of the other."""

from __future__ import annotations

from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.errors import ConflictingDatasetTypeError

__all__ = ["check_agreement"]

PLAIN = frozenset({"dict", "list"})
"""Python types that can hold anything: whether such an object can be converted, only it can tell."""


def check_agreement(ours: DatasetType, theirs: DatasetType) -> None:
    """Refuse datasets whose type is defined differently here.

    Parameters
    ----------
    ours : `DatasetType`
        As it is registered here.
    theirs : `DatasetType`
        As it is where the datasets come from; of the same name.

    Raises
    ------
    ConflictingDatasetTypeError
        Raised if the dimensions differ, or only one is a calibration, or if what the
        other storage class holds cannot always become what ours holds.
    """
    if ours.dimensions.required != theirs.dimensions.required:
        mine, other = (", ".join(kind.dimensions.required) or "none" for kind in (ours, theirs))
        problem = f"has dimensions {mine} here, {other} there"
    elif ours.isCalibration() != theirs.isCalibration():
        mine, other = ("a calibration" if k.isCalibration() else "no calibration" for k in (ours, theirs))
        problem = f"is {mine} here, {other} there"
    elif not _readable(ours, theirs):
        problem = f"has storage class {ours.storageClass_name} here, {theirs.storageClass_name} there"
    else:
        return
    raise ConflictingDatasetTypeError(
        f"dataset type {ours.name!r} {problem}",
        hint="register it here as it is there, or choose another name",
    )


def _readable(ours: DatasetType, theirs: DatasetType) -> bool:
    if ours.storageClass_name == theirs.storageClass_name:
        return True
    kind = DatasetType(
        ours.name, ours.dimensions, theirs.storageClass_name, isCalibration=ours.isCalibration()
    )
    if not ours.is_compatible_with(kind):
        return False
    held = theirs.storageClass
    table = "pyarrow.Table" in held.converters
    return held.pytype_name not in PLAIN or table or held.pytype_name == ours.storageClass.pytype_name
