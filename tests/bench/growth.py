# SPDX-License-Identifier: BSD-3-Clause
"""Our own figures as a repository grows: costs of single operations, opening, memory, many writers.

Each measurement is a process of its own::

    python tests/bench/growth.py points --size 1000000 --work /fast/disk
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lakebutler_adapter import (  # noqa: E402 - the path comes first
    OPEN_SNIPPET,
    Butler,
    DataCoordinate,
    DatasetIdGenEnum,
    DatasetRef,
    DatasetType,
    FileDataset,
    make_repo,
    open_repo,
    registry_bytes,
    timespan,
)

from lakebutler.registry.dataset_rows import FileRow  # noqa: E402

INSTRUMENT, DETECTORS, FILTERS = "BenchCam", 112, ("g", "r", "i", "z", "y")
T0, DAY, EXPOSURES_A_NIGHT = 1_577_836_800_000_000_000, 86_400_000_000_000, 100
CHUNK = 100_000
PRODUCTS, RUNS = 10, 5
RAW_SHARE = 0.5
RAW_RUN = "raw/all"
OBJECT = {"a": 1, "b": [1.5, 2.5], "c": "text"}
DIMENSIONS = ("instrument", "exposure", "detector")


def memory_mb() -> float:
    """Memory of this process now, in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mb() -> float:
    """Most memory this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ------------------------------------------------------------------ the repository


def raw_count(size: int) -> int:
    """How many of so many datasets are raws."""
    return int(size * RAW_SHARE)


def per_run(size: int) -> int:
    """How many datasets each product has in each run."""
    return (size - raw_count(size)) // (PRODUCTS * RUNS)


def build(root: Path, size: int) -> None:
    """Make a repository with so many datasets.

    Half are raws with files outside, one file for the 112 detectors of an exposure;
    the others are of ten types in five runs, with rows as `Butler.put` makes them.
    """
    shutil.rmtree(root, ignore_errors=True)
    make_repo(str(root))
    butler = open_repo(str(root))
    exposures = -(-raw_count(size) // DETECTORS)
    _insert_dimensions(butler, exposures)
    _ingest_raws(butler, root.with_name(root.name + "-files"), raw_count(size))
    for product in range(PRODUCTS):
        kind = _register(butler, f"product_{product}")
        for run in range(RUNS):
            _add_products(butler, kind, f"u/run{run}", per_run(size))
    butler.close()


def _insert_dimensions(butler: Butler, exposures: int) -> None:
    insert = butler.registry.insertDimensionData
    nights = -(-exposures // EXPOSURES_A_NIGHT)
    common = {"instrument": INSTRUMENT}
    limits = {"visit_max": 10**8, "exposure_max": 10**8, "detector_max": DETECTORS, "visit_system": 0}
    insert("instrument", {"name": INSTRUMENT, "class_name": "bench.Camera", **limits})
    insert("physical_filter", *({**common, "name": f"BC-{b}", "band": b} for b in FILTERS))
    insert(
        "detector",
        *({**common, "id": d, "full_name": f"D{d:03d}", "purpose": "SCIENCE"} for d in range(DETECTORS)),
    )
    spans = ((20200000 + k, timespan(T0 + k * DAY, T0 + (k + 1) * DAY)) for k in range(nights))
    insert("day_obs", *({**common, "id": day, "timespan": span} for day, span in spans))
    insert("group", *({**common, "name": f"g{i}"} for i in range(exposures)))
    insert("exposure", *(_exposure(i) for i in range(exposures)))


def _exposure(i: int) -> dict[str, Any]:
    night, number = divmod(i, EXPOSURES_A_NIGHT)
    begin = T0 + night * DAY + number * 300_000_000_000
    return {
        "instrument": INSTRUMENT,
        "id": 1000 + i,
        "obs_id": f"BC{i:08d}",
        "physical_filter": f"BC-{FILTERS[i % len(FILTERS)]}",
        "group": f"g{i}",
        "day_obs": 20200000 + night,
        "exposure_time": 200.0,
        "observation_type": "science",
        "seq_num": number,
        "target_name": f"F{i // 10}",
        "timespan": timespan(begin, begin + 200_000_000_000),
    }


def _data_id(butler: Butler, i: int) -> DataCoordinate:
    exposure, detector = divmod(i, DETECTORS)
    values = {"instrument": INSTRUMENT, "exposure": 1000 + exposure, "detector": detector}
    return DataCoordinate.standardize(values, universe=butler.dimensions)


def _register(butler: Butler, name: str) -> DatasetType:
    kind = DatasetType(name, DIMENSIONS, "StructuredDataDict", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    return kind


def _add_products(butler: Butler, kind: DatasetType, run: str, count: int) -> None:
    """Register datasets as if they had been put: rows like those of `Butler.put`, but no files."""
    source = random.Random(f"{kind.name} {run}")
    butler.collections.register(run)
    mode = DatasetIdGenEnum.DATAID_TYPE_RUN
    ids = (_data_id(butler, i) for i in range(count))
    refs = [DatasetRef(kind, i, run=run, id_generation_mode=mode) for i in ids]
    files = []
    for ref in refs:
        name = "_".join(map(str, ref.dataId.required_values))
        path = f"datastore/{run}/{kind.name}/{name}/{kind.name}_{name}-{ref.id.hex[:12]}.json"
        checksum = f"sha256:{source.randbytes(32).hex()}"
        files.append(FileRow(path, None, "json", "StructuredDataDict", source.randrange(10**6), checksum))
    butler._registry.add(refs, files, op="put")


def _ingest_raws(butler: Butler, files: Path, count: int) -> None:
    kind = _register(butler, "raw")
    butler.collections.register(RAW_RUN)
    files.mkdir(parents=True, exist_ok=True)
    mode = DatasetIdGenEnum.DATAID_TYPE_RUN
    step = CHUNK // DETECTORS * DETECTORS
    for start in range(0, count, step):
        batch = []
        for first in range(start, min(start + step, count), DETECTORS):
            path = files / f"{1000 + first // DETECTORS}.json"
            path.write_text(json.dumps({"exposure": 1000 + first // DETECTORS, "values": [1, 2, 3]}))
            ids = [_data_id(butler, i) for i in range(first, min(first + DETECTORS, count))]
            refs = [DatasetRef(kind, i, run=RAW_RUN, id_generation_mode=mode) for i in ids]
            batch.append(FileDataset(path=str(path), refs=refs, formatter="json"))
        butler.ingest(*batch, transfer="direct")


# -------------------------------------------------------------------- measurements


def sample(size: int, count: int) -> list[dict[str, Any]]:
    """Data IDs of some raws."""
    source = random.Random(1)
    picked = [divmod(source.randrange(raw_count(size)), DETECTORS) for _ in range(count)]
    return [{"instrument": INSTRUMENT, "exposure": 1000 + e, "detector": d} for e, d in picked]


def products(size: int, count: int) -> list[tuple[str, str, dict[str, Any]]]:
    """Type, run and data ID of some datasets of all the products."""
    source = random.Random(2)
    out = []
    for _ in range(count):
        exposure, detector = divmod(source.randrange(per_run(size)), DETECTORS)
        data_id = {"instrument": INSTRUMENT, "exposure": 1000 + exposure, "detector": detector}
        out.append((f"product_{source.randrange(PRODUCTS)}", f"u/run{source.randrange(RUNS)}", data_id))
    return out


def each_ms(action: Callable[[Any], Any], values: list[Any]) -> float:
    """Milliseconds that an action takes, the mean over some values, least of three passes."""
    passes = []
    for _ in range(3):
        begin = time.perf_counter()
        for value in values:
            action(value)
        passes.append(1e3 * (time.perf_counter() - begin) / len(values))
    return min(passes)


def points(root: Path, size: int, count: int) -> Iterator[tuple[str, float]]:
    """Reading one dataset after another, and queries that return few rows."""
    with open_repo(str(root), writeable=False, collections=[RAW_RUN]) as butler:
        ids = sample(size, count)
        yield "memory after opening, MB", memory_mb()
        begin = time.perf_counter()
        butler.get("raw", ids[0])
        yield "first get, ms", 1e3 * (time.perf_counter() - begin)
        refs = [butler.find_dataset("raw", i) for i in ids]
        yield "find_dataset, ms", each_ms(lambda i: butler.find_dataset("raw", i), ids)
        yield "get by data ID, ms", each_ms(lambda i: butler.get("raw", i), ids)
        yield "get by reference, ms", each_ms(butler.get, refs)
        yield "get_dataset by ID, ms", each_ms(lambda r: butler.get_dataset(r.id), refs)
        yield "exists, ms", each_ms(lambda i: butler.exists("raw", i), ids)
        some = products(size, count)
        find = lambda one: butler.find_dataset(one[0], one[2], collections=one[1])  # noqa: E731
        if not all(map(find, some)):
            raise RuntimeError("a product is not found")
        yield "find_dataset among all types and runs, ms", each_ms(find, some)
        one = "instrument='BenchCam' AND exposure={exposure} AND detector={detector}"
        few = [one.format(**i) for i in ids[:20]]
        yield "query_datasets for one, ms", each_ms(lambda w: butler.query_datasets("raw", where=w), few)
        few = ["instrument='BenchCam' AND exposure={exposure}".format(**i) for i in ids[:20]]
        yield (
            "query_datasets for an exposure, ms",
            each_ms(lambda w: butler.query_datasets("raw", where=w), few),
        )
        yield "peak memory, opened and queried, MB", peak_mb()


def everything(root: Path, size: int, count: int) -> Iterator[tuple[str, float]]:
    """Queries that touch every row."""
    with open_repo(str(root), writeable=False) as butler:
        begin = time.perf_counter()
        with butler.query() as query:
            found = query.datasets("raw", collections=RAW_RUN).count()
        yield "count of all raws, ms", 1e3 * (time.perf_counter() - begin)
        where = "instrument='BenchCam' AND band='i'"
        begin = time.perf_counter()
        with butler.query() as query:
            query.datasets("raw", collections=RAW_RUN).where(where).count()
        yield "count of raws in one band, ms", 1e3 * (time.perf_counter() - begin)
        yield "peak memory, counted, MB", peak_mb()
        begin = time.perf_counter()
        refs = butler.query_datasets("raw", RAW_RUN, limit=None)
        yield "query_datasets for all raws, k/s", len(refs) / (time.perf_counter() - begin) / 1e3
        yield "peak memory with all of these references, MB", peak_mb()
        if not len(refs) == found == raw_count(size):
            raise RuntimeError(f"{len(refs)} references, {found} counted, {raw_count(size)} ingested")


def writing(root: Path, size: int, count: int) -> Iterator[tuple[str, float]]:
    """Putting one dataset after another, in a copy that shares the files."""
    with _copy(root) as copy, open_repo(str(copy), run="u/bench") as butler:
        _register(butler, "bench_json")
        ids = [{**i, "detector": d} for d, i in zip(range(DETECTORS), sample(size, DETECTORS), strict=True)]
        times = []
        for data_id in ids:
            begin = time.perf_counter()
            butler.put(OBJECT, "bench_json", data_id)
            times.append(1e3 * (time.perf_counter() - begin))
        yield "put, durable, ms (median)", statistics.median(times)
        butler.collections.register("u/transaction")
        begin = time.perf_counter()
        with butler.transaction():
            for data_id in ids:
                butler.put(OBJECT, "bench_json", data_id, run="u/transaction")
        yield "put inside one transaction, ms", 1e3 * (time.perf_counter() - begin) / len(ids)


def opening(root: Path, size: int, count: int) -> Iterator[tuple[str, float]]:
    """Opening, here and in new processes."""
    open_repo(str(root), writeable=False).close()
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        open_repo(str(root), writeable=False).close()
        times.append(1e3 * (time.perf_counter() - begin))
    yield "open in process, ms", min(times)
    first = "b.query_datasets('raw', 'raw/all', instrument='BenchCam', exposure=1000, detector=5)"
    cold = OPEN_SNIPPET.format(root=str(root), writeable=False)
    yield "cold process to first query of collections, s", _process(cold)
    yield (
        "cold process to first query of datasets, s",
        _process(cold.replace('b.collections.query("*")', first)),
    )


def _process(code: str) -> float:
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=_environment())
        times.append(time.perf_counter() - begin)
    return min(times)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def writers(root: Path, size: int, count: int) -> Iterator[tuple[str, float]]:
    """Eight processes putting at once; every dataset must be there afterwards."""
    processes = 8
    context = multiprocessing.get_context("spawn")
    with _copy(root) as copy:
        with open_repo(str(copy)) as butler:
            _register(butler, "bench_json")
            for number in range(processes):
                butler.collections.register(f"many/{number}")
        barrier, queue = context.Barrier(processes + 1), context.Queue()
        arguments = [
            (str(copy), f"many/{n}", sample(size, min(count, 100)), barrier, queue) for n in range(processes)
        ]
        started = [context.Process(target=_putting, args=one) for one in arguments]
        for process in started:
            process.start()
        barrier.wait()
        begin = time.perf_counter()
        done = [queue.get() for _ in started]
        seconds = time.perf_counter() - begin
        for process in started:
            process.join()
        with open_repo(str(copy), writeable=False) as butler:
            found = butler.query_datasets("bench_json", "many/*", find_first=False, limit=None)
    yield "8 processes putting, puts/s", sum(n for n, _ in done) / seconds
    yield "8 processes putting, slowest put, ms", max(slowest for _, slowest in done)
    yield "8 processes putting, lost", sum(n for n, _ in done) - len({ref.id for ref in found})


def _putting(root: str, run: str, ids: list[dict[str, Any]], barrier: Any, queue: Any) -> None:
    done, slowest, seen = 0, 0.0, set()
    with open_repo(root, run=run) as butler:
        barrier.wait()
        for data_id in ids:
            if tuple(data_id.values()) in seen:
                continue
            seen.add(tuple(data_id.values()))
            begin = time.perf_counter()
            butler.put(OBJECT, "bench_json", data_id)
            slowest = max(slowest, 1e3 * (time.perf_counter() - begin))
            done += 1
    queue.put((done, slowest))


class _copy:
    """A copy of a repository for the time of a block; what never changes is shared."""

    def __init__(self, root: Path) -> None:
        self.root, self.copy = root, root.with_name(f"{root.name}-copy-{os.getpid()}")

    def __enter__(self) -> Path:
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.root, self.copy, copy_function=os.link)
        return self.copy

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.copy)


MEASUREMENTS = {f.__name__: f for f in (points, everything, writing, opening, writers)}


# ------------------------------------------------------------------------ together


def measure(work: Path, sizes: list[int], count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Measure repositories of several sizes in turns; return the least of each by size."""
    out: dict[str, dict[str, float]] = {str(size): {} for size in sizes}
    for size in sizes:
        root = work / f"growth-{size}"
        begin = time.perf_counter()
        child(["build", "--size", str(size), "--work", str(work)])
        out[str(size)]["building it, s"] = time.perf_counter() - begin
        out[str(size)]["registry, MB"] = registry_bytes(str(root)) / 1e6
    for _ in range(rounds):
        for name in MEASUREMENTS:
            for size in sizes:
                print(f"growth: {name} with {size:,} datasets", file=sys.stderr, flush=True)
                found = child([name, "--size", str(size), "--count", str(count), "--work", str(work)])
                best = out[str(size)]
                for text, value in found.items():
                    better = max if text.endswith("/s") or "lost" in text else min
                    best[text] = better(value, best.get(text, value))
    return out


def child(arguments: list[str]) -> dict[str, float]:
    """Do one measurement in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        capture_output=True,
        text=True,
        env=_environment(),
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{arguments[0]} broke off: {last}", file=sys.stderr)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(found)


def table(results: dict[str, dict[str, float]]) -> str:
    """Format the figures as Markdown."""
    sizes = list(results)
    out = ["| | " + " | ".join(f"{int(size):,} datasets" for size in sizes) + " | factor |"]
    out.append("|---|" + "---:|" * (len(sizes) + 1))
    for name in dict.fromkeys(name for found in results.values() for name in found):
        values = [results[size].get(name) for size in sizes]
        cells = ["–" if v is None else f"{v:,.0f}" if v >= 100 or v == 0 else f"{v:.3g}" for v in values]
        known = values[0] and values[-1] is not None and len(values) > 1
        factor = f"{values[-1] / values[0]:.2f}" if known else "–"
        out.append(f"| {name} | {' | '.join(cells)} | {factor} |")
    return "\n".join(out)


def main() -> None:
    """Do one measurement and print each figure as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["build", *MEASUREMENTS])
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--count", type=int, default=500, help="single operations of a kind")
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    root = args.work / f"growth-{args.size}"
    if args.what == "build":
        build(root, args.size)
        return
    for name, value in MEASUREMENTS[args.what](root, args.size, args.count):
        print(json.dumps([name, value]), flush=True)


if __name__ == "__main__":
    main()
