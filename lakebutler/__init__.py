# SPDX-License-Identifier: BSD-3-Clause
"""A data butler for astronomy on a versioned data lake.

The public names are those of ``__all__``.  All but the errors are loaded when they
are first used (PEP 562), so that ``import lakebutler`` imports nothing heavy;
type checkers find them in ``__init__.pyi``.
"""

from __future__ import annotations

from typing import Any

from lakebutler import errors
from lakebutler.errors import *

__version__ = "0.1.0"

# where each name is; behind a colon its name there, if that is another
_HOMES: dict[str, str] = {
    "Butler": "lakebutler.butler.butler",
    "ButlerCollections": "lakebutler.butler.collections_api",
    "ButlerMetrics": "lakebutler.butler.metrics",
    "CollectionInfo": "lakebutler.collections.collection",
    "CollectionSummary": "lakebutler.butler.summary",
    "CollectionType": "lakebutler.collections.collection",
    "DataCoordinate": "lakebutler.dimensions.coordinate",
    "DataId": "lakebutler.butler.finding",
    "DatasetAssociation": "lakebutler.datasets.association",
    "DatasetComponent": "lakebutler.datasets.delegate",
    "DatasetExistence": "lakebutler.butler.existence",
    "DatasetId": "lakebutler.ids",
    "DatasetIdGenEnum": "lakebutler.ids",
    "DatasetProvenance": "lakebutler.datasets.provenance",
    "DatasetRef": "lakebutler.datasets.dataset_ref",
    "DatasetType": "lakebutler.datasets.dataset_type",
    "DeferredDatasetHandle": "lakebutler.butler.deferred",
    "Dimension": "lakebutler.dimensions.elements",
    "DimensionElement": "lakebutler.dimensions.elements",
    "DimensionGroup": "lakebutler.dimensions.group",
    "DimensionRecord": "lakebutler.dimensions.records",
    "DimensionRecordSet": "lakebutler.dimensions.record_sets",
    "DimensionRecordTable": "lakebutler.dimensions.record_sets",
    "DimensionUniverse": "lakebutler.dimensions.universe",
    "FileDataset": "lakebutler.datasets.file_dataset",
    "Formatter": "lakebutler.formatters.formatter",
    "GovernorDimension": "lakebutler.dimensions.elements",
    "ParsedButlerDatasetURI": "lakebutler.butler.index",
    "Registry": "lakebutler.butler.registry_api:ButlerRegistry",
    "RegistryDefaults": "lakebutler.butler.defaults",
    "RepoExportContext": "lakebutler.butler.exchange.export_context",
    "SkyPixDimension": "lakebutler.dimensions.elements",
    "SpecificButlerDataset": "lakebutler.butler.butler",
    "StorageClass": "lakebutler.datasets.storage_class",
    "StorageClassDelegate": "lakebutler.datasets.delegate",
    "StorageClassFactory": "lakebutler.datasets.storage_class",
    "Timespan": "lakebutler.timespan",
}

__all__ = [*_HOMES, *errors.__all__, "__version__"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'lakebutler' has no attribute {name!r}")
    from importlib import import_module

    module, _, other = home.partition(":")
    value = getattr(import_module(module), other or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
