# SPDX-License-Identifier: BSD-3-Clause
"""What a plan is made of: datasets in columns, records, collections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakebutler.gen2.calibrations import Certified
from lakebutler.gen2.report import Report
from lakebutler.gen2.visits import Visits
from lakebutler.instruments.skymaps.definition import SkyMapDefinition

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Part", "Plan"]


@dataclass
class Part:
    """Datasets of one type in one repository.

    Attributes
    ----------
    name, dimensions, storage_class : `str`, `tuple` [`str`], `str`
        The dataset type.
    is_calibration : `bool`
        Whether it can be certified.
    formatter : `str`
        What reads its files.
    root : `str`
        Where the paths begin.
    table : `pyarrow.Table`
        Columns ``path``, ``run``, the dimensions, and maybe ``unit``.
    certified : `Certified`
        Validity ranges.
    """

    name: str
    dimensions: tuple[str, ...]
    storage_class: str
    formatter: str
    root: str
    table: pa.Table
    is_calibration: bool = False
    certified: Certified = field(default_factory=Certified)


@dataclass
class Plan:
    """All that is to be written.

    Attributes
    ----------
    records : `dict` [`str`, `list` [`dict`]]
        Dimension records by element.
    parts : `list` [`Part`]
        Datasets.
    chains : `dict` [`str`, `tuple` [`str`]]
        Chains with their children.
    calibrations : `str`
        The collection in which calibrations are certified.
    skymaps : `dict` [`str`, `SkyMapDefinition`]
        Skymaps that are to be registered.
    visits : `Visits` or `None`
        Visits that are to be defined; `None` if there are no exposures.
    report : `Report`
        What becomes of every file.
    """

    report: Report
    calibrations: str
    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    skymaps: dict[str, SkyMapDefinition] = field(default_factory=dict)
    visits: Visits | None = None
