# SPDX-License-Identifier: BSD-3-Clause
"""A dataset in a collection."""

from __future__ import annotations

from typing import NamedTuple

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.timespan import Timespan

__all__ = ["DatasetAssociation"]


class DatasetAssociation(NamedTuple):
    """A dataset's membership in a collection.

    Attributes
    ----------
    ref : `DatasetRef`
        The dataset.
    collection : `str`
        A collection that holds it.
    timespan : `Timespan` or `None`
        When it is valid there, in a CALIBRATION collection; `None` elsewhere.
    """

    ref: DatasetRef
    collection: str
    timespan: Timespan | None
