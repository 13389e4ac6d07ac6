# SPDX-License-Identifier: BSD-3-Clause
"""Collections: how datasets are put together and searched."""

from lakebutler.collections.collection import CollectionInfo, CollectionType
from lakebutler.collections.names import check_collection_name

__all__ = ["CollectionInfo", "CollectionType", "check_collection_name"]
