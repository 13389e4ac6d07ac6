# SPDX-License-Identifier: BSD-3-Clause
"""Requests without a repository: what planning needs, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lakebutler.collections.collection import CollectionType
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.query.joins import DatasetSearch
from lakebutler.query.plan import Plan
from lakebutler.query.request import Request

UNIVERSE = DimensionUniverse()

DIMENSIONS = {
    "raw": ["instrument", "exposure", "detector"],
    "calexp": ["instrument", "visit", "detector"],
    "warp": ["skymap", "tract", "patch", "visit"],
    "bias": ["instrument", "detector"],
    "dark": ["instrument", "detector"],
    "flat": ["instrument", "detector", "physical_filter"],
    "coadd": ["skymap", "tract", "patch", "band"],
    "refcat": ["htm7"],
    "config": [],
}


def search(name: str, *path: str, result: bool = False, find_first: bool = True) -> DatasetSearch:
    """A search; collections are runs unless their names begin with ``calib`` or ``tag``."""
    kinds = {"calib": CollectionType.CALIBRATION, "tag": CollectionType.TAGGED}
    typed = tuple(
        (p, next((k for s, k in kinds.items() if p.startswith(s)), CollectionType.RUN)) for p in path
    )
    return DatasetSearch(name, UNIVERSE.conform(DIMENSIONS[name]), typed, find_first, result)


def request(
    dimensions: Iterable[str],
    where: str = "",
    *searches: DatasetSearch,
    bind: dict[str, Any] | None = None,
    data_id: dict[str, Any] | None = None,
    **more: Any,
) -> Request:
    found = Request(dimensions=UNIVERSE.conform(dimensions), joined=UNIVERSE.empty, searches=searches, **more)
    return found.where([where], bind or {}, data_id or {})


def plan(dimensions: Iterable[str], where: str = "", *searches: DatasetSearch, **more: Any) -> Plan:
    return request(dimensions, where, *searches, **more).plan()


def datasets(found: DatasetSearch, where: str = "", *others: DatasetSearch, **more: Any) -> Plan:
    return plan(found.dimensions.names, where, found, *others, **more)
