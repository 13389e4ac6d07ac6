# SPDX-License-Identifier: BSD-3-Clause
"""All verbs of an open repository together; `Butler` adds how one is opened."""

from __future__ import annotations

from lakebutler.butler.exchange.transfer_api import TransferringButler
from lakebutler.butler.locating import LocatingButler
from lakebutler.butler.metrics import MeasuringButler
from lakebutler.butler.prune import PruningButler
from lakebutler.butler.query_all import ManyTypesButler
from lakebutler.butler.reading import ReadingButler
from lakebutler.butler.versions import VersioningButler
from lakebutler.butler.writing import WritingButler

__all__ = ["ButlerVerbs"]


class ButlerVerbs(
    ReadingButler,
    LocatingButler,
    WritingButler,
    PruningButler,
    MeasuringButler,
    ManyTypesButler,
    VersioningButler,
    TransferringButler,
):
    """The verbs of `Butler`, on a repository that is open."""
