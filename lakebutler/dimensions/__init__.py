# SPDX-License-Identifier: BSD-3-Clause
"""Dimensions and data IDs: how datasets are told apart."""

from lakebutler.dimensions.columns import ColumnSpec
from lakebutler.dimensions.coordinate import DataCoordinate, DataId, DataIdValue
from lakebutler.dimensions.elements import (
    Dimension,
    DimensionCombination,
    DimensionElement,
    GovernorDimension,
    SkyPixDimension,
)
from lakebutler.dimensions.group import DimensionGroup
from lakebutler.dimensions.named import NamedValueSet, NameSet
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.dimensions.skypix import SkyPixSystem
from lakebutler.dimensions.topology import TopologicalFamily, TopologicalSpace
from lakebutler.dimensions.universe import DimensionUniverse

__all__ = [
    "ColumnSpec",
    "DataCoordinate",
    "DataId",
    "DataIdValue",
    "Dimension",
    "DimensionCombination",
    "DimensionElement",
    "DimensionGroup",
    "DimensionRecord",
    "DimensionUniverse",
    "GovernorDimension",
    "NameSet",
    "NamedValueSet",
    "SkyPixDimension",
    "SkyPixSystem",
    "TopologicalFamily",
    "TopologicalSpace",
]
