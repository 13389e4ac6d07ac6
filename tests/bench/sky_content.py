# SPDX-License-Identifier: BSD-3-Clause
"""A survey of any size with real geometry: raws of HSC, visits with all regions, a skymap of the whole sky.

Pointings lie on a golden spiral in a cap whose area grows with their number, so that
each place in it has been visited five times, whatever the size: a question about one
patch or tract has the same answer in number.
"""

from __future__ import annotations

import math
from pathlib import Path

from lakebutler import Butler, DatasetType
from lakebutler.instruments import define_visits, load_camera, register_instrument
from lakebutler.instruments.skymaps import SkyMapDefinition, load_skymap, register_skymap
from lakebutler.lake.change import Change
from lakebutler.registry.schema import dataset_layout
from lakebutler.timespan import Timespan
from tests.bench.trust import BLOCK, raws_table

CAMERA, DETECTORS, RUN, SKYMAP = "HSC", 112, "HSC/raw/all", "hsc_rings_v1"
CENTER = (150.0, 2.0)
VISITS_EACH = 5
FIELD_DEG2 = 1.77


def pointing(number: int, count: int) -> tuple[float, float]:
    """Right ascension and declination of one of many pointings, in degrees."""
    sphere = 4.0 * math.pi * math.degrees(1.0) ** 2
    part = min(count * FIELD_DEG2 / VISITS_EACH / sphere, 1.0)
    height = 1.0 - 2.0 * part * (number + 0.5) / count
    angle = number * math.radians(137.50776405)
    away = math.sqrt(max(0.0, 1.0 - height * height))
    x, y, z = height, away * math.cos(angle), away * math.sin(angle)
    ra, dec = map(math.radians, CENTER)
    x, z = x * math.cos(dec) - z * math.sin(dec), x * math.sin(dec) + z * math.cos(dec)
    x, y = x * math.cos(ra) - y * math.sin(ra), x * math.sin(ra) + y * math.cos(ra)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.asin(max(-1.0, min(1.0, z))))


def skymap() -> SkyMapDefinition:
    """Give the parameters of the skymap."""
    return SkyMapDefinition.from_facts(load_skymap(SKYMAP)[1])


def fill_sky(root: Path, size: int) -> None:
    """Make a repository with so many raws and the regions of all of them.

    Parameters
    ----------
    root : `pathlib.Path`
        A directory that is not there yet.
    size : `int`
        How many raws; one region for each.
    """
    import numpy as np

    camera = load_camera(CAMERA)
    count = -(-size // DETECTORS)
    butler = Butler.from_config(Butler.makeRepo(root), writeable=True)
    register_instrument(butler, camera)
    insert = butler.registry.insertDimensionData
    days = -(-count // 1000)
    insert("day_obs", *({"instrument": CAMERA, "id": 20200000 + n} for n in range(days)))
    insert("group", *({"instrument": CAMERA, "name": f"g{n}"} for n in range(days)))
    filters = [f.name for f in camera.filters][:5]
    for first in range(0, count, 20_000):
        insert("exposure", *(_exposure(n, count, filters) for n in range(first, min(first + 20_000, count))))
    define_visits(butler, camera)
    register_skymap(butler, SKYMAP, skymap())
    dimensions = ["instrument", "exposure", "detector"]
    kind = DatasetType("raw", dimensions, "StructuredDataDict", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    butler.collections.register(RUN)
    layout = dataset_layout(kind.dimensions)
    source = np.random.default_rng(1)
    for first in range(0, size, BLOCK):
        numbers = np.arange(first, min(first + BLOCK, size))
        table = raws_table(layout.schema.arrow, numbers, source, CAMERA, RUN)
        change = Change()
        change.append_table(layout.table, table)
        butler._repository.lake.commit(lambda snapshot, change=change: change, op="ingest")
    butler._repository.lake.checkpoint()
    butler.close()


def _exposure(number: int, count: int, filters: list[str]) -> dict[str, object]:
    ra, dec = pointing(number, count)
    begin = 1_600_000_000_000_000_000 + number * 40_000_000_000
    return {
        "instrument": CAMERA,
        "id": number,
        "obs_id": f"HSCA{number:08d}",
        "physical_filter": filters[number % len(filters)],
        "group": f"g{number // 1000}",
        "day_obs": 20200000 + number // 1000,
        "exposure_time": 30.0,
        "observation_type": "science",
        "tracking_ra": ra,
        "tracking_dec": dec,
        "sky_angle": number * 7.0 % 360.0,
        "timespan": Timespan.from_nsec(begin, begin + 30_000_000_000),
    }
