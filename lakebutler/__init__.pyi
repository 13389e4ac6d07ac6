# SPDX-License-Identifier: BSD-3-Clause
from lakebutler.butler.butler import Butler as Butler
from lakebutler.butler.butler import SpecificButlerDataset as SpecificButlerDataset
from lakebutler.butler.collections_api import ButlerCollections as ButlerCollections
from lakebutler.butler.defaults import RegistryDefaults as RegistryDefaults
from lakebutler.butler.deferred import DeferredDatasetHandle as DeferredDatasetHandle
from lakebutler.butler.exchange.export_context import RepoExportContext as RepoExportContext
from lakebutler.butler.existence import DatasetExistence as DatasetExistence
from lakebutler.butler.finding import DataId as DataId
from lakebutler.butler.index import ParsedButlerDatasetURI as ParsedButlerDatasetURI
from lakebutler.butler.metrics import ButlerMetrics as ButlerMetrics
from lakebutler.butler.registry_api import ButlerRegistry as Registry  # noqa: F401
from lakebutler.butler.summary import CollectionSummary as CollectionSummary
from lakebutler.collections.collection import (
    CollectionInfo as CollectionInfo,
)
from lakebutler.collections.collection import (
    CollectionType as CollectionType,
)
from lakebutler.datasets.association import DatasetAssociation as DatasetAssociation
from lakebutler.datasets.dataset_ref import DatasetRef as DatasetRef
from lakebutler.datasets.dataset_type import DatasetType as DatasetType
from lakebutler.datasets.delegate import (
    DatasetComponent as DatasetComponent,
)
from lakebutler.datasets.delegate import (
    StorageClassDelegate as StorageClassDelegate,
)
from lakebutler.datasets.file_dataset import FileDataset as FileDataset
from lakebutler.datasets.provenance import DatasetProvenance as DatasetProvenance
from lakebutler.datasets.storage_class import (
    StorageClass as StorageClass,
)
from lakebutler.datasets.storage_class import (
    StorageClassFactory as StorageClassFactory,
)
from lakebutler.dimensions.coordinate import DataCoordinate as DataCoordinate
from lakebutler.dimensions.elements import Dimension as Dimension
from lakebutler.dimensions.elements import DimensionElement as DimensionElement
from lakebutler.dimensions.elements import GovernorDimension as GovernorDimension
from lakebutler.dimensions.elements import SkyPixDimension as SkyPixDimension
from lakebutler.dimensions.group import DimensionGroup as DimensionGroup
from lakebutler.dimensions.record_sets import DimensionRecordSet as DimensionRecordSet
from lakebutler.dimensions.record_sets import DimensionRecordTable as DimensionRecordTable
from lakebutler.dimensions.records import DimensionRecord as DimensionRecord
from lakebutler.dimensions.universe import DimensionUniverse as DimensionUniverse
from lakebutler.errors import *
from lakebutler.formatters.formatter import Formatter as Formatter
from lakebutler.ids import DatasetId as DatasetId
from lakebutler.ids import DatasetIdGenEnum as DatasetIdGenEnum
from lakebutler.timespan import Timespan as Timespan

__version__: str
