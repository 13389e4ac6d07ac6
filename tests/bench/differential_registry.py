# SPDX-License-Identifier: BSD-3-Clause
"""Random questions about real registries, asked here and of lsst.daf.butler; many are about the sky.

::

    PY_daf_butler=…/bin/python python tests/bench/differential_registry.py [COUNT [SEED]]

Each export of ``$LAKEBUTLER_SHARED/data/registry`` is imported by both. Prints how
many answers are the same, and how many differ for each reason that is known; those
that differ for none are printed in full (exit code 1).
"""

from __future__ import annotations

import argparse
import collections
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
REGISTRIES = {
    "hsc": ["hsc-rc2-subset.yaml"],
    "small": ["base.yaml", "datasets.yaml", "spatial.yaml"],
}
NAMES = {
    "hsc": ("HSC", "hsc_rings_v1", [384, 1262, 23914, 26028, 27090, 1300], [9615, 9813], (150.1, 2.2, 1.5)),
    "small": ("Cam1", "SkyMap1", [1, 2], [0, 1], (0.0, 0.0, 3.0)),
}
BANDS = {"hsc": ["g", "r", "i", "z", "y"], "small": ["g", "r"]}
DIMENSIONS = [
    ["visit"],
    ["visit", "detector"],
    ["visit", "tract"],
    ["visit", "patch"],
    ["visit", "detector", "tract"],
    ["visit", "detector", "patch"],
    ["detector"],
    ["tract"],
    ["patch"],
    ["physical_filter", "visit"],
    ["htm7", "visit"],
    ["htm7", "tract"],
]
ELEMENTS = ["visit", "detector", "tract", "patch", "visit_detector_region", "physical_filter", "day_obs"]
COARSE = ("visit.region OVERLAPS tract.region", "visit.region OVERLAPS patch.region")
Request = dict[str, Any]


def generate(which: str, count: int, seed: int) -> list[Request]:
    """Make random requests, the same ones each time."""
    rng = random.Random(seed)
    instrument, skymap, visits, tracts, (ra, dec, size) = NAMES[which]

    def place() -> tuple[float, float]:
        return round(ra + rng.uniform(-size, size), 4), round(dec + rng.uniform(-size, size), 4)

    def region() -> str:
        x, y = place()
        form = rng.randrange(4)
        if form == 0:
            return f"REGION('CIRCLE {x} {y} {round(10 ** rng.uniform(-2, 0.3), 3)}')"
        if form == 1:
            return f"POINT({x}, {y})"
        if form == 2:
            return f"POLYGON({x}, {y}, {x + 0.3:.4f}, {y}, {x + 0.1:.4f}, {y + 0.4:.4f})"
        return f"BOX({x}, {y}, 0.4, 0.3)"

    def condition() -> str:
        form = rng.randrange(12)
        if form < 3:
            element = rng.choice(["visit", "visit_detector_region", "tract", "patch"])
            return f"{element}.region OVERLAPS {region()}"
        if form == 3:
            return f"visit IN ({', '.join(map(str, rng.sample(visits, min(3, len(visits)))))})"
        if form == 4:
            return f"tract = {rng.choice(tracts)}"
        if form == 5:
            return f"tract = {rng.choice(tracts)} AND patch IN ({rng.randrange(40)}..{rng.randrange(40, 81)})"
        if form == 6:
            return f"detector IN ({rng.randrange(5)}..{rng.randrange(5, 60)}:{rng.randint(1, 4)})"
        if form == 7:
            return f"band = '{rng.choice(BANDS[which])}'"
        if form == 8:
            return rng.choice(COARSE)
        if form == 9:
            return f"visit.exposure_time {rng.choice('<>')} {rng.choice([30, 50, 100, 250])}"
        if form == 10:
            return f"NOT (visit.region OVERLAPS {region()})"
        return f"(visit.region OVERLAPS {region()} OR detector = {rng.randrange(8)})"

    requests: list[Request] = []
    for _ in range(count):
        parts = [f"instrument = '{instrument}'", f"skymap = '{skymap}'"]
        parts += [condition() for _ in range(rng.randint(1, 3))]
        request: Request = {"where": " AND ".join(parts)}
        if rng.random() < 0.75:
            request |= {"kind": "data_ids", "dimensions": rng.choice(DIMENSIONS)}
        else:
            request |= {"kind": "records", "element": rng.choice(ELEMENTS)}
        requests.append(request)
    return requests


def answer(butler: Any, request: Request) -> Any:
    """Required values of the rows in order, or the name of the error."""
    try:
        if request["kind"] == "data_ids":
            rows = butler.query_data_ids(
                request["dimensions"], where=request["where"], explain=False, limit=None
            )
        else:
            found = butler.query_dimension_records(
                request["element"], where=request["where"], explain=False, limit=None
            )
            rows = [record.dataId for record in found]
        if "keep" in request:
            rows = {row.subset(request["keep"]) for row in rows}
        return sorted([list(row.required_values) for row in rows], key=json.dumps)
    except Exception as exc:
        return {"error": type(exc).__name__, "text": str(exc)[:200]}


def witness(request: Request) -> Request | None:
    """Make a question whose answer the field gives right, and from which the right answer follows."""
    where = request["where"]
    parts = where.split(" AND ")
    kept = [part for part in parts if part not in COARSE]
    named = [name for name in ("tract", "patch") if f"visit.region OVERLAPS {name}.region" in parts]
    if named:
        named.append("visit")
    elif "patch.region OVERLAPS" in where:
        named = ["patch"]
    else:
        return None
    element = request.get("element")
    own = {"visit_detector_region": ["visit", "detector"]}.get(element, [element])
    keep = request.get("dimensions", own)
    where = " AND ".join(kept)
    return {"kind": "data_ids", "where": where, "dimensions": [*keep, *named], "keep": keep}


def ask(package: str, which: str, root: str, wanted: str, answers: str) -> None:
    """Import a registry and ask; run by either interpreter."""
    warnings.simplefilter("ignore")
    butler_class = importlib.import_module(package).Butler
    butler_class.makeRepo(root)
    butler = butler_class.from_config(root, writeable=True)
    folder = shared() / "data" / "registry"
    for name in REGISTRIES[which]:
        butler.import_(filename=str(folder / name), without_datastore=True)
    butler = butler_class.from_config(root, writeable=False)
    begin = time.process_time()
    found = [answer(butler, request) for request in json.loads(Path(wanted).read_text())]
    asked = [witness(request) for request in json.loads(Path(wanted).read_text())]
    witnesses = [None if request is None else answer(butler, request) for request in asked]
    print(f"{package}, {which}: {len(found)} answers in {time.process_time() - begin:.1f} s of CPU time")
    Path(answers).write_text(json.dumps([found, witnesses]))


def shared() -> Path:
    """Where the registries are."""
    return Path(os.environ.get("LAKEBUTLER_SHARED", str(ROOT.parent / "shared")))


def reason(request: Request, ours: Any, theirs: Any, told: Any) -> str | None:
    """Say why two answers differ, if that is known; each is explained in docs/differences.md."""
    where = request["where"]
    if isinstance(theirs, dict):
        if isinstance(ours, dict):
            return "both refuse"
        if "NOT (" in where or " OR " in where or "htm7" in request.get("dimensions", []):
            return "an overlap under OR or NOT, or with pixels, is answered here only"
        if theirs["error"] == "OperationalError" and where.count("region OVERLAPS") > 1:
            return "several overlaps at once are an error of the database there"
        return None
    if isinstance(ours, dict):
        return None
    mine, yours = set(map(tuple, ours)), set(map(tuple, theirs))
    known = set(map(tuple, told)) if isinstance(told, list) else None
    if mine == known:  # what the field itself answers where the dimensions are named
        if any(part in where for part in COARSE):
            return "a coarse overlap does not switch the finer one off"
        return "a patch of the condition is joined, not only its tract"
    if "BOX(" in where and mine < yours:
        return "a box that does not touch, though the coarse test of lsst-sphgeom cannot tell"
    if "htm7" in request.get("dimensions", []) and " OVERLAPS " in where and mine > yours:
        return "pixels of the visit, not only those of the region given"
    if mine == yours:
        return "each result once"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", nargs="?", type=int, default=200)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    options = parser.parse_args()
    other = os.environ.get("PY_daf_butler")  # noqa: SIM112 (the name that the benchmark has)
    if not other:
        print("PY_daf_butler is not set: nothing to compare with")
        return 0
    unexplained = 0
    for which in REGISTRIES:
        requests = generate(which, options.count, options.seed)
        found = []
        with tempfile.TemporaryDirectory() as place:
            wanted = Path(place) / "wanted"
            wanted.write_text(json.dumps(requests))
            for python, package in ((sys.executable, "lakebutler"), (other, "lsst.daf.butler")):
                root, answers = (
                    str(Path(place) / f"{package.replace('.', '_')}{end}") for end in ("", ".json")
                )
                command = [python, __file__, "--ask", package, which, root, str(wanted), answers]
                environment = {**os.environ, "PYTHONPATH": str(ROOT)}
                subprocess.run(command, check=True, env=environment)
                found.append(json.loads(Path(answers).read_text()))
        counts: collections.Counter[str] = collections.Counter()
        rows = 0
        (here, _), (there, told) = found
        for request, mine, yours, third in zip(requests, here, there, told, strict=True):
            why = "the same" if mine == yours else reason(request, mine, yours, third)
            counts[why or "UNEXPLAINED"] += 1
            rows += len(mine) if mine == yours else 0
            if why is None:
                print(json.dumps(request), "\n  here: ", str(mine)[:300], "\n  there:", str(yours)[:300])
        print(f"{which}: {rows} rows in answers that are the same")
        for why, count in counts.most_common():
            print(f"{count:5d}  {why}")
        unexplained += counts["UNEXPLAINED"]
    return 1 if unexplained else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ask"]:
        ask(*sys.argv[2:])
    else:
        sys.exit(main())
