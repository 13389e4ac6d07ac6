# SPDX-License-Identifier: BSD-3-Clause
"""Plays a scenario and says on standard output which steps are done; runs under ``strace``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lakebutler import Butler
from lakebutler.datastore import durable
from lakebutler.datastore import local as datastore_local
from lakebutler.lake import writer
from lakebutler.lake.container import lock as container_lock
from lakebutler.lake.storage import local as storage_local
from tests.fault.world import RUN, SCENARIOS

PLANTS = ("nothing is synced", "directories are not synced", "datasets are not synced")


def plant_bug(plant: str) -> None:
    """Leave out what a power cut would need."""
    if plant == "nothing is synced":
        os.fsync = os.fdatasync = lambda descriptor: None
        datastore_local.sync_everything = lambda directory, count: True
    elif plant == "directories are not synced":
        storage_local._sync_folder = container_lock.sync_folder = lambda folder: None
        datastore_local.sync_everything = lambda directory, count: False
        datastore_local.sync_directories = lambda paths: None
    elif plant == "datasets are not synced":
        datastore_local.LocalFiles.sync = lambda self, paths: None


def main(name: str, place: str, sources: str, plant: str) -> None:
    """Play."""
    writer.INLINE_ROWS = 10
    assert durable.FEW
    plant_bug(plant)
    butler = Butler(place, run=RUN, writeable=True)
    for step in SCENARIOS[name]:
        step(butler, Path(sources))
        os.write(1, b"ACK\n")
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
