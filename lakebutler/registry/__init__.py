# SPDX-License-Identifier: BSD-3-Clause
"""The registry: dimension records, dataset types, collections and datasets as tables of the lake.

What ``lsst.daf.butler.registry`` offers by name can be imported from here, but for what
stands above the registry: ``Registry``, the class of `Butler.registry`, ``RegistryDefaults``
and ``CollectionSummary`` are imported from `lakebutler`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakebutler.errors import (
    ArgumentError,
    CollectionError,
    CollectionExpressionError,
    CollectionTypeError,
    ConflictingDefinitionError,
    DataIdError,
    DataIdValueError,
    DatasetTypeError,
    DatasetTypeExpressionError,
    DimensionNameError,
    InconsistentDataIdError,
    MissingCollectionError,
    MissingDatasetTypeError,
    MissingSpatialOverlapError,
    NoDefaultCollectionError,
    OrphanedRecordError,
    RegistryConsistencyError,
    RegistryError,
    UnsupportedIdGeneratorError,
    UserExpressionError,
    UserExpressionSyntaxError,
)

if TYPE_CHECKING:
    from lakebutler.collections.collection import CollectionType

__all__ = [
    "ArgumentError",
    "CollectionError",
    "CollectionExpressionError",
    "CollectionType",
    "CollectionTypeError",
    "ConflictingDefinitionError",
    "DataIdError",
    "DataIdValueError",
    "DatasetTypeError",
    "DatasetTypeExpressionError",
    "DimensionNameError",
    "InconsistentDataIdError",
    "MissingCollectionError",
    "MissingDatasetTypeError",
    "MissingSpatialOverlapError",
    "NoDefaultCollectionError",
    "OrphanedRecordError",
    "RegistryConsistencyError",
    "RegistryError",
    "UnsupportedIdGeneratorError",
    "UserExpressionError",
    "UserExpressionSyntaxError",
]

_ABOVE = ("CollectionSummary", "Registry", "RegistryDefaults")


_LATER = {"CollectionType": "lakebutler.collections.collection"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_LATER[name]), name)
        return value
    where = f": it is lakebutler.{name}" if name in _ABOVE else ""
    raise AttributeError(f"module 'lakebutler.registry' has no attribute {name!r}{where}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
