# SPDX-License-Identifier: BSD-3-Clause
"""The same random queries on the same small repository, here and in lsst.daf.butler.

::

    PY_daf_butler=…/bin/python python tests/bench/differential.py [COUNT [SEED]] [--write FILE]

Prints how many answers are the same, how many differ for each reason that is
known, and in full those that differ for none (exit code 1).  ``--write`` keeps
agreed answers as the cases of ``tests/query/test_agreed.py``.  Without
``PY_daf_butler`` it says so and does nothing.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ASKING = ROOT / "tests" / "query" / "asking.py"
sys.path.insert(0, str(ASKING.parent))

from asking import Request, generate  # noqa: E402

CALIBRATIONS = {"calib", "calib2", "calibs"}


def ask(python: str, package: str, place: Path, requests: list[Request]) -> list[Any]:
    """Fill a repository and ask it, in an interpreter of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    name = package.replace(".", "_")
    repository, wanted, answers = (str(place / f"{name}{end}") for end in ("", ".wanted", ".answers"))
    Path(wanted).write_text(json.dumps(requests))
    for step in ("fill", wanted):
        command = [python, str(ASKING), package, repository, step, answers]
        subprocess.run(command, check=True, env=environment, capture_output=step == "fill")
    found: list[Any] = json.loads(Path(answers).read_text())
    return found


def reason(request: Request, ours: Any, theirs: Any) -> str | None:
    """Say why two answers differ, if that is known; each is explained in docs/differences.md."""
    if isinstance(ours, dict):
        if isinstance(theirs, dict):
            return "both refuse"
        return None
    searched = [request.get("collections", []), *(c for _, c in request.get("joins", []))]
    timed = any(CALIBRATIONS & set(names) for names in searched)
    if isinstance(theirs, dict):
        if theirs["error"] == "CalibrationLookupError" and timed:
            return "one dataset valid in several rows is no ambiguity"
        return None
    more = [row for row in ours if row not in theirs]
    fewer = [row for row in theirs if row not in ours]
    if request.get("dataset_type") == "coadd" and "exposure" in request["where"] and not more:
        return "patches and exposures are related by the regions of visits"
    if not more and not fewer:
        return "each result once"
    if timed and not fewer and request["kind"] == "datasets" and request["find_first"] is False:
        return "find_first=False keeps every dataset"
    if timed and not fewer:
        return "always valid includes an unknown time"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", nargs="?", type=int, default=400)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    other = os.environ.get("PY_daf_butler")  # noqa: SIM112 (the name that the benchmark has)
    if not other:
        print("PY_daf_butler is not set: nothing to compare with")
        return 0
    requests = generate(options.count, options.seed)
    with tempfile.TemporaryDirectory() as place:
        ours = ask(sys.executable, "lakebutler", Path(place), requests)
        theirs = ask(other, "lsst.daf.butler", Path(place), requests)
    counts: collections.Counter[str] = collections.Counter()
    agreed = []
    for request, mine, yours in zip(requests, ours, theirs, strict=True):
        why = "the same" if mine == yours else reason(request, mine, yours)
        counts[why or "UNEXPLAINED"] += 1
        if why is None:
            print(json.dumps(request), "\n  here: ", json.dumps(mine), "\n  there:", json.dumps(yours))
        elif mine == yours and 0 < len(mine) <= 6:
            agreed.append({**request, "answer": mine})
    for why, count in counts.most_common():
        print(f"{count:5d}  {why}")
    if options.write:
        options.write.write_text("[\n" + ",\n".join(json.dumps(case) for case in agreed[:150]) + "\n]\n")
    return 1 if counts["UNEXPLAINED"] else 0


if __name__ == "__main__":
    sys.exit(main())
