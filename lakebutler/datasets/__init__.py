# SPDX-License-Identifier: BSD-3-Clause
"""Dataset types, references, storage classes: what datasets are."""

from lakebutler.datasets.dataset_ref import DatasetRef, make_refs
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.file_dataset import FileDataset
from lakebutler.datasets.provenance import DatasetProvenance

__all__ = ["DatasetProvenance", "DatasetRef", "DatasetType", "FileDataset", "make_refs"]
