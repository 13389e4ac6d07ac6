# SPDX-License-Identifier: BSD-3-Clause
"""How queries grow with the repository: measured from 10,000 datasets on, and drawn.

::

    python tests/bench/query_growth.py --work /fast/disk --sizes 10000,100000,1000000,10000000
    python tests/bench/query_growth.py --draw docs/images/query-growth.svg --work /fast/disk

The repositories are those of ``trust.py`` (one camera of 112 detectors, an exposure after the
other), each question asked in one new process for each size; CPU time, the least of several.
What overlaps a patch or a tract is asked of those of ``sky_content.py``: as many raws of HSC,
five visits to each place, a skymap of the whole sky.  The figures are kept in
``query-growth.json`` beside the picture.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lakebutler import Butler  # noqa: E402
from lakebutler.instruments.skymaps import SkyMap  # noqa: E402
from tests.bench import sky_content  # noqa: E402
from tests.bench.trust import CAMERA, DETECTORS, RUN, fill  # noqa: E402

SIZES = "10000,100000,1000000,10000000"
DRAWN = {
    "open": "open",
    "find": "find_dataset",
    "exposure": "datasets of one exposure",
    "range": "ten exposures, one band, five detectors",
    "last": "the last 100 in order",
    "patch": "what overlaps one patch",
    "tract": "what overlaps one tract",
    "raws": "raws in one tract",
    "count": "count of all",
    "band": "count of one band",
    "arrow": "all as Arrow",
}
LINES = ("-", "--", ":")


def least(ask: Callable[[], Any], times: int) -> float:
    """Least CPU time of a question, in milliseconds."""
    found = []
    for _ in range(times):
        begin = time.process_time()
        ask()
        found.append(1e3 * (time.process_time() - begin))
    return min(found)


def peak_mb() -> float:
    """Memory this process has had at most, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make(work: Path, size: int) -> None:
    """Make the repositories of a size that are not there."""
    if not (work / f"raws-{size}").exists():
        fill(work / f"raws-{size}", size)
    if not (work / f"sky-{size}").exists():
        sky_content.fill_sky(work / f"sky-{size}", size)


def measure(work: Path, size: int) -> dict[str, float]:
    """Ask a repository of so many datasets."""
    root = work / f"raws-{size}"
    out = {"open": least(lambda: Butler.from_config(root).close(), 5)}
    butler = Butler.from_config(root, collections=[RUN])
    middle = size // DETECTORS // 2
    camera = f"instrument='{CAMERA}'"

    def asked(where: str, **more: Any) -> Callable[[], Any]:
        return lambda: butler.query_datasets("raw", where=where, **{"limit": None, **more})

    out["find"] = least(lambda: butler.find_dataset("raw", instrument=CAMERA, exposure=middle, detector=3), 5)
    out["exposure"] = least(asked(f"{camera} AND exposure = {middle}"), 5)
    near = f"{camera} AND exposure IN ({middle}..{middle + 9}) AND band = 'i' AND detector < 5"
    out["range"] = least(asked(near), 5)
    out["last"] = least(asked(camera, order_by=["-exposure", "detector"], limit=100), 5)
    out["memory of these, MB"] = peak_mb()
    with butler.query() as query:
        raws = query.datasets("raw", collections=RUN)
        out["count"] = least(raws.count, 3)
        out["band"] = least(raws.where(f"{camera} AND band = 'i'").count, 2)
        out["memory with counts, MB"] = peak_mb()
        if size <= 10_000_000:
            out["arrow"] = least(raws.to_arrow, 2 if size <= 1_000_000 else 1)
            out["memory with all as Arrow, MB"] = peak_mb()
    butler.close()
    return out


def measure_sky(root: Path) -> dict[str, float]:
    """Ask a repository what overlaps what, in the middle of its survey."""
    butler = Butler.from_config(root, collections=[sky_content.RUN])
    found = SkyMap(sky_content.skymap()).findTract(sky_content.CENTER)
    dimensions = ["visit", "detector", "tract", "patch"]
    tract = f"instrument='{sky_content.CAMERA}' AND skymap='{sky_content.SKYMAP}' AND tract={found.id}"
    patch = f"{tract} AND patch={found.findPatch(sky_content.CENTER)}"

    return {
        "patch": least(lambda: butler.query_data_ids(dimensions, where=patch, limit=None), 5),
        "tract": least(lambda: butler.query_data_ids(dimensions, where=tract, limit=None), 5),
        "raws": least(lambda: butler.query_datasets("raw", where=f"{tract} AND visit > 0", limit=None), 5),
        "pairs in the tract": len(butler.query_data_ids(dimensions, where=tract, limit=None)),
        "memory of overlaps, MB": peak_mb(),
    }


def draw(figures: dict[str, dict[str, float]], target: Path) -> None:
    """Draw all questions over the number of datasets, both logarithmic."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "lakebutler"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8.5, 5.2), layout="constrained")
    sizes = sorted(map(int, figures))
    for number, (name, title) in enumerate(DRAWN.items()):
        points = [(size, figures[str(size)][name]) for size in sizes if name in figures[str(size)]]
        if points:
            axes.plot(*zip(*points, strict=True), LINES[number % 3], marker="o", ms=4, label=title)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("datasets in the repository")
    axes.set_ylabel("CPU time, ms")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def main() -> int:
    """Measure each size in a process of its own, or draw what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="a directory on a local disk")
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--draw", type=Path, metavar="PICTURE")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        what, _, place = options.one.partition(":")
        if what == "fill":
            make(options.work, int(place))
        else:
            made = measure(options.work, int(place)) if what == "size" else measure_sky(Path(place))
            print(json.dumps(made))
        return 0
    kept = options.work / "query-growth.json"
    if options.draw:
        draw(json.loads(kept.read_text()), options.draw)
        options.draw.with_suffix(".json").write_text(kept.read_text())
        return 0
    figures = json.loads(kept.read_text()) if kept.exists() else {}
    for size in map(int, options.sizes.split(",")):
        for one in (f"fill:{size}", f"size:{size}", f"sky:{options.work / f'sky-{size}'}"):
            command = [sys.executable, __file__, "--work", str(options.work), "--one", one]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures.setdefault(str(size), {}).update(json.loads(done.stdout or "{}"))
        kept.write_text(json.dumps(figures, indent=1) + "\n")
        for name, value in figures[str(size)].items():
            print(f"{size:>11,}  {name:<28} {value:10.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
