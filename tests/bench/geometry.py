# SPDX-License-Identifier: BSD-3-Clause
"""Visits with the regions of all their detectors, and skymaps with all their patches.

::

    python tests/bench/geometry.py --work /fast/disk --visits 100,1000,10000 --rings 8,26,82

Times are CPU seconds of this process (``time.process_time``), so that a busy machine shows
the same; wall-clock times stand beside them.  Exposures are spread over the sky and have
the 205 detectors of LSSTCam (``--camera`` for others); ``again`` is the same call when all
visits are there, ``one more`` defines a further exposure with ``incremental=True``.
Skymaps are of rings, with 100 patches in each tract; ``find`` is one position to its tract
and patch, in microseconds, by arithmetic, and ``query`` in milliseconds, by the repository.
"""

from __future__ import annotations

import argparse
import math
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lakebutler import Butler
from lakebutler.instruments import load_camera, register_instrument
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.skymaps import SkyMap, SkyMapDefinition, register_skymap
from lakebutler.instruments.visits.define import define_visits
from lakebutler.timespan import Timespan


def timed(act: Callable[[], Any]) -> tuple[float, float, Any]:
    """CPU and wall-clock seconds that something takes, and what it gives."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = act()
    return time.process_time() - cpu, time.perf_counter() - wall, found


def exposure(camera: Camera, number: int) -> dict[str, Any]:
    """One exposure of many: points on a golden spiral over the sphere."""
    begin = 1_760_000_000_000_000_000 + number * 40_000_000_000
    return {
        "instrument": camera.name,
        "id": 2025101000000 + number,
        "obs_id": f"MC_O_{number:08d}",
        "physical_filter": camera.filters[0].name,
        "group": str(number),
        "day_obs": 20251010,
        "exposure_time": 30.0,
        "dark_time": 30.5,
        "observation_type": "science",
        "observation_reason": "survey",
        "seq_num": number,
        "seq_start": number,
        "seq_end": number,
        "target_name": "field",
        "science_program": "BLOCK-1",
        "tracking_ra": number * 137.50776405 % 360.0,
        "tracking_dec": math.degrees(math.asin((number * 0.61803398875 % 1.0) * 2.0 - 1.0)),
        "sky_angle": number * 7.0 % 360.0,
        "azimuth": number % 360.0,
        "zenith_angle": 30.0,
        "has_simulated": True,
        "can_see_sky": True,
        "timespan": Timespan.from_nsec(begin, begin + 30_000_000_000),
    }


def repository(root: Path, camera: Camera, count: int) -> Butler:
    """Make a repository with exposures that are no visits yet."""
    butler = Butler.from_config(Butler.makeRepo(root), writeable=True)
    register_instrument(butler, camera)
    insert = butler.registry.insertDimensionData
    insert("day_obs", {"instrument": camera.name, "id": 20251010})
    insert("group", *({"instrument": camera.name, "name": str(i)} for i in range(count + 1)))
    insert("exposure", *(exposure(camera, i) for i in range(count)))
    return butler


def row(values: Sequence[object]) -> str:
    """One line of a table."""
    return "| " + " | ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in values) + " |"


def measure_visits(work: Path, camera: Camera, sizes: Sequence[int]) -> None:
    """Define visits of growing numbers of exposures."""
    columns = ["exposures", "regions", "CPU s", "wall s", "us/region", "again", "one more", "MB", "peak MB"]
    print(row(columns))
    print("|---" * len(columns) + "|")
    for count in sizes:
        root = Path(tempfile.mkdtemp(dir=work))
        butler = repository(root, camera, count)
        cpu, wall, report = timed(lambda: define_visits(butler, camera))  # noqa: B023
        again, _, _ = timed(lambda: define_visits(butler, camera))  # noqa: B023
        butler.registry.insertDimensionData("exposure", exposure(camera, count))
        more, _, _ = timed(lambda: define_visits(butler, camera, incremental=True))  # noqa: B023
        size = sum(p.stat().st_size for p in root.rglob("*") if p.is_file()) / 1e6
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        each = cpu / report.regions * 1e6
        values = [count, report.regions, cpu, wall, each, again, more, round(size), round(peak)]
        print(row(values), flush=True)
        butler.close()
        shutil.rmtree(root)


def measure_skymaps(work: Path, rings: Sequence[int]) -> None:
    """Register skymaps with growing numbers of patches, and find positions in them."""
    columns = ["rings", "tracts", "patches", "CPU s", "wall s", "us/patch", "find us", "query ms", "MB"]
    print(row(columns))
    print("|---" * len(columns) + "|")
    for count in rings:
        root = Path(tempfile.mkdtemp(dir=work))
        butler = Butler.from_config(Butler.makeRepo(root), writeable=True)
        scale = 180.0 / (count + 1) * 3600.0 / 39_000
        facts = {"kind": "rings", "numRings": count, "projection": "TAN", "tractOverlap": 0.0}
        definition = SkyMapDefinition.from_facts(facts | {"pixelScale": scale})
        cpu, wall, added = timed(lambda: register_skymap(butler, "bench", definition))  # noqa: B023
        skymap = SkyMap(definition)
        places = [(i * 137.5 % 360.0, i * 0.17 - 80.0) for i in range(1000)]
        skymap.findTract((0.0, 0.0))
        find, _, _ = timed(lambda: [skymap.findTract(p).findPatch(p) for p in places])  # noqa: B023
        where = "patch.region OVERLAPS POINT(ra, dec)"

        def ask() -> None:
            for ra, dec in places[:20]:  # noqa: B023
                bind = {"ra": ra, "dec": dec}
                butler.query_data_ids(["patch"], where=where, bind=bind, skymap="bench")  # noqa: B023

        ask()  # the first question reads what the others find in memory
        query, _, _ = timed(ask)
        size = sum(p.stat().st_size for p in root.rglob("*") if p.is_file()) / 1e6
        each = cpu / added["patch"] * 1e6
        values = [count, added["tract"], added["patch"], cpu, wall, each, find * 1e3, query * 50, round(size)]
        print(row(values), flush=True)
        butler.close()
        shutil.rmtree(root)


def main() -> None:
    """Measure, and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default=None)
    parser.add_argument("--camera", default="LSSTCam")
    parser.add_argument("--visits", default="100,1000,10000")
    parser.add_argument("--rings", default="8,26,82")
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(dir=arguments.work))
    try:
        sizes = [int(n) for n in arguments.visits.split(",") if n]
        measure_visits(work, load_camera(arguments.camera), sizes)
        print()
        measure_skymaps(work, [int(n) for n in arguments.rings.split(",") if n])
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
