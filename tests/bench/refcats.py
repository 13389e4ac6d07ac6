# SPDX-License-Identifier: BSD-3-Clause
"""Reference catalogues: cut into pixels of the sky, and looked up.

::

    python tests/bench/refcats.py --work /fast/disk --rows 1000000,4000000 --pixels htm5

The catalogue covers the sky evenly and has 13 columns in four Parquet files.  Times are CPU
seconds of this process, wall-clock times stand beside them; ``look-up`` is a circle of 1
degree, in milliseconds, the mean of 20 others after a first one.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lakebutler import Butler
from lakebutler.instruments.refcats import ingest_refcat, load_refcat

FILES = 4


def write_catalogue(place: Path, rows: int) -> None:
    """Stars evenly over the sky, in a process of its own, so that its memory does not count."""
    if child := os.fork():
        os.waitpid(child, 0)
        return
    place.mkdir()
    rng = np.random.default_rng(1)
    for number in range(FILES):
        count = rows // FILES
        columns = {
            "id": np.arange(count) + number * count,
            "ra": rng.uniform(0, 360, count),
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, count))),
        }
        columns |= {f"magnitude_{i}": rng.normal(20, 1, count) for i in range(10)}
        pq.write_table(pa.table(columns), place / f"{number}.parquet")
    os._exit(0)


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default=None)
    parser.add_argument("--rows", default="1000000,4000000")
    parser.add_argument("--pixels", default="htm5")
    arguments = parser.parse_args()
    names = ["rows", "pixels", "shards", "CPU s", "wall s", "load", "peak MB", "look-up ms", "rows found"]
    print("| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")
    for rows in map(int, arguments.rows.split(",")):
        work = Path(tempfile.mkdtemp(dir=arguments.work))
        write_catalogue(work / "catalogue", rows)
        with Butler.from_config(Butler.makeRepo(work / "repo"), writeable=True) as butler:
            cpu, wall = time.process_time(), time.perf_counter()
            report = ingest_refcat(butler, "stars", work / "catalogue", pixels=arguments.pixels, scratch=work)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            found = len(load_refcat(butler, "stars", "CIRCLE 10 20 1"))
            begin = time.process_time()
            for i in range(20):
                found += len(load_refcat(butler, "stars", f"CIRCLE {17 * i} {3 * i - 30} 1"))
            each = (time.process_time() - begin) / 20 * 1e3
        load = os.getloadavg()[0]
        values = [rows, arguments.pixels, report.shards, cpu, wall, load, round(peak), each, found // 21]
        print(
            "| " + " | ".join(f"{v:.1f}" if isinstance(v, float) else str(v) for v in values) + " |",
            flush=True,
        )
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
