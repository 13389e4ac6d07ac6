# SPDX-License-Identifier: BSD-3-Clause
"""Figures of the lake itself: commits, many of them, opening over S3, verification, very many datasets.

::

    python tests/bench/trust.py commits --work /fast/disk      # one writer, eight writers
    python tests/bench/trust.py many --size 50000 --work ...   # so many single puts: open, find, compact
    python tests/bench/trust.py s3 --size 1000000 --work ...   # requests to open, cold and warm
    python tests/bench/trust.py verify --work ...              # megabytes of files verified per second
    python tests/bench/trust.py dedupe --size 10000000 ...     # a batch of 1e5 against so many
    python tests/bench/trust.py scale --size 100000000 ...     # open, find, count, query, memory
"""

from __future__ import annotations

import argparse
import datetime
import multiprocessing
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from lakebutler import Butler, DatasetRef, DatasetType  # noqa: E402 - the path comes first
from lakebutler.lake.change import Change  # noqa: E402
from lakebutler.lake.lake import Lake  # noqa: E402
from lakebutler.lake.schema import Column, TableSchema  # noqa: E402
from lakebutler.lake.storage import open_storage  # noqa: E402
from lakebutler.registry.dataset_rows import FileRow  # noqa: E402
from lakebutler.registry.schema import dataset_layout  # noqa: E402

CAMERA, DETECTORS, RUN = "BenchCam", 112, "BenchCam/raw/all"
BLOCK = 1_000_000
Figures = Iterator[tuple[str, float]]


def milliseconds(action: Callable[[], Any], times: int = 5) -> float:
    """Least time that an action takes."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        action()
        taken.append(1e3 * (time.perf_counter() - begin))
    return min(taken)


def peak_mb() -> float:
    """Most memory this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ------------------------------------------------------------------------- commits

SIMPLE = TableSchema(
    "dataset",
    (Column("type", "string"), Column("run", "string"), Column("n", "int64"), Column("path", "string")),
    ("type", "run", "n"),
    ("type", "run"),
)


def _one(lake: Lake, run: str, number: int) -> None:
    change = Change()
    change.append_rows(
        "dataset", [("json", run, number, f"datastore/{run}/json/{number}/json_{number}.json")]
    )
    change.touch("dataset", ("json", run))
    lake.commit(lambda snapshot: change, op="put")


def _writer(root: str, run: str, count: int, barrier: Any, queue: Any) -> None:
    lake = Lake.open(open_storage(root))
    _one(lake, run, -1)
    barrier.wait()
    slowest = 0.0
    for number in range(count):
        begin = time.perf_counter()
        _one(lake, run, number)
        slowest = max(slowest, time.perf_counter() - begin)
    queue.put(slowest)


def commits(work: Path, size: int) -> Figures:
    """Commits of one row each, flushed to the disk."""
    create = Change()
    create.create_table(SIMPLE)
    lake = Lake.create(open_storage(str(work / "commits")), config={}, change=create)
    taken = []
    for number in range(500):
        begin = time.perf_counter()
        _one(lake, "one", number)
        taken.append(1e3 * (time.perf_counter() - begin))
    yield "one writer, ms (median)", statistics.median(taken)
    yield "one writer, ms (95th percentile)", sorted(taken)[475]
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(9), context.Queue()
    arguments = [(str(work / "commits"), f"run{n}", 200, barrier, queue) for n in range(8)]
    processes = [context.Process(target=_writer, args=one) for one in arguments]
    for process in processes:
        process.start()
    barrier.wait()
    begin = time.perf_counter()
    slowest = max(queue.get() for _ in processes)
    yield "eight writers together, commits/s", 1600 / (time.perf_counter() - begin)
    yield "eight writers, slowest commit, ms", 1e3 * slowest
    for process in processes:
        process.join()
    found = Lake.open(open_storage(str(work / "commits"))).snapshot()
    there = sum(len(found.find("dataset", ("type", "run"), ("json", f"run{n}"))) - 1 for n in range(8))
    yield "eight writers, lost", 1600 - there


# -------------------------------------------------------------------- many commits


def _camera(root: Path, exposures: int) -> tuple[Butler, DatasetType]:
    Butler.makeRepo(root)
    butler = Butler.from_config(root, writeable=True)
    add = butler.registry.insertDimensionData
    common = {"instrument": CAMERA}
    add("instrument", {"name": CAMERA, "class_name": "bench.Camera", "detector_max": DETECTORS})
    add("physical_filter", *({**common, "name": f"B-{b}", "band": b} for b in "grizy"))
    add("detector", *({**common, "id": d, "full_name": f"D{d:03d}"} for d in range(DETECTORS)))
    add("day_obs", *({**common, "id": 20200000 + n} for n in range(-(-exposures // 1000))))
    add("group", *({**common, "name": f"g{n}"} for n in range(0, exposures, 1000)))
    for first in range(0, exposures, 100_000):
        some = range(first, min(first + 100_000, exposures))
        add("exposure", *(_exposure(n) for n in some))
    kind = DatasetType("raw", ["instrument", "exposure", "detector"], "StructuredDataDict",
                       universe=butler.dimensions)  # fmt: skip
    butler.registry.registerDatasetType(kind)
    butler.collections.register(RUN)
    return butler, kind


def _exposure(n: int) -> dict[str, Any]:
    return {
        "instrument": CAMERA,
        "id": n,
        "obs_id": f"B{n}",
        "physical_filter": f"B-{'grizy'[n % 5]}",
        "group": f"g{n // 1000 * 1000}",
        "day_obs": 20200000 + n // 1000,
        "exposure_time": 30.0,
    }


def many(work: Path, size: int) -> Figures:
    """So many commits of one put each: what `Butler.put` commits, without the files."""
    root = work / "many"
    butler, kind = _camera(root, -(-size // DETECTORS))
    sync, os.fsync = os.fsync, lambda descriptor: None
    try:
        for n in range(size):
            data_id = butler.registry.expandDataId(
                instrument=CAMERA, exposure=n // DETECTORS, detector=n % DETECTORS
            )
            ref = DatasetRef(kind, data_id, run=RUN)
            path = f"datastore/{RUN}/raw/{n}/{ref.id.hex[:12]}.json"
            file = FileRow(path, None, "json", "StructuredDataDict", 30, "sha256:" + 64 * "0")
            butler._registry.add_one(ref, file, op="put", new_id=True)
    finally:
        os.fsync = sync
    butler.close()
    yield from _opened(root, size, "after the puts")
    butler = Butler.from_config(root, writeable=True)
    begin = time.perf_counter()
    butler._repository.lake.compact(everything=True)
    yield "compaction of what was left, s", time.perf_counter() - begin
    butler._repository.lake.checkpoint()
    butler.close()
    yield from _opened(root, size, "compacted")
    yield from _uncompacted(work, size)


def _opened(root: Path, size: int, when: str) -> Figures:
    yield f"open in process, {when}, ms", milliseconds(lambda: Butler.from_config(root).close(), 10)
    butler = Butler.from_config(root, collections=[RUN])
    source = random.Random(1)
    ids = [divmod(source.randrange(size), DETECTORS) for _ in range(300)]

    def find() -> None:
        for exposure, detector in ids:
            if butler.find_dataset("raw", instrument=CAMERA, exposure=exposure, detector=detector) is None:
                raise RuntimeError("a dataset is lost")

    find()
    yield f"find_dataset, {when}, ms", milliseconds(find) / len(ids)
    butler.close()


def _uncompacted(work: Path, size: int) -> Figures:
    """The same rows in so many entries of a lake that was never compacted meanwhile."""
    create = Change()
    create.create_table(SIMPLE)
    lake = Lake.create(open_storage(str(work / "entries")), config={}, change=create)
    lake._tend = lambda done, snapshot: None  # type: ignore[method-assign]
    sync, os.fsync = os.fsync, lambda descriptor: None
    try:
        for n in range(size):
            _one(lake, f"run{n % 7}", n)
    finally:
        os.fsync = sync
    lake = Lake.open(open_storage(str(work / "entries")))
    begin = time.perf_counter()
    lake.compact(everything=True)
    yield f"compaction of {size:,} commits at once, s", time.perf_counter() - begin
    if sum(lake.snapshot().scopes("dataset").values()) != size:
        raise RuntimeError("rows are lost")


# ------------------------------------------------------------------------ bulk rows


def fill(root: Path, size: int, *, log: bool = False) -> None:
    """Make a repository with so many raws, one file for the detectors of an exposure."""
    import numpy as np

    butler, kind = _camera(root, -(-size // DETECTORS))
    layout = dataset_layout(kind.dimensions)
    random_bytes = np.random.default_rng(1)
    for first in range(0, size, BLOCK):
        table = raws_table(layout.schema.arrow, np.arange(first, min(first + BLOCK, size)), random_bytes)
        change = Change()
        change.append_table(layout.table, table)
        butler._repository.lake.commit(lambda snapshot, change=change: change, op="ingest")
        if log:
            print(f"{first + len(table):,} of {size:,}", file=sys.stderr, flush=True)
    butler._repository.lake.checkpoint()
    butler.close()


def raws_table(schema: Any, numbers: Any, source: Any, camera: str = CAMERA, run: str = RUN) -> Any:
    """Rows of raws with some numbers, as a table of datasets has them."""
    import numpy as np
    import pyarrow as pa

    count = len(numbers)

    def text(value: str) -> Any:
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([value]))

    exposures = numbers // DETECTORS
    first, last = int(exposures[0]), int(exposures[-1])
    files = pa.array([f"file:///data/{camera}/{n:010d}.fits" for n in range(first, last + 1)])
    known: dict[str, Any] = {
        "dataset_type": text("raw"),
        "collection": text(run),
        "instrument": text(camera),
        "exposure": pa.array(exposures),
        "detector": pa.array(numbers % DETECTORS),
        "id": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), count, [None, pa.py_buffer(source.bytes(16 * count))]
        ),
        "run": text(run),
        "ingest_date": pa.array(np.full(count, 1_700_000_000_000_000)),
        "uri": pa.DictionaryArray.from_arrays(pa.array((exposures - first).astype(np.int32)), files),
        "formatter": text("json"),
        "storage_class": text("StructuredDataDict"),
        "size": pa.array(np.full(count, 33_000_000)),
    }
    arrays = []
    for field in schema:
        column = known.get(field.name, pa.nulls(count, field.type))
        if field.name == "id":
            column = pa.ExtensionArray.from_storage(field.type, column)
        elif column.type != field.type:
            column = column.cast(field.type)
        arrays.append(column)
    return pa.Table.from_arrays(arrays, schema=schema)


def dedupe(work: Path, size: int) -> Figures:
    """Deciding what of a batch of 100,000 is there already, half of it being new."""
    root = work / f"raws-{size}"
    if not root.exists():
        fill(root, size)
    butler = Butler.from_config(root)
    kind = butler.get_dataset_type("raw")
    source = random.Random(2)
    old = source.sample(range(size), 50_000)
    numbers = [*old, *range(size, size + 50_000)]
    refs = []
    for n in numbers:
        data_id = butler.registry.expandDataId(instrument=CAMERA, exposure=0, detector=0)
        values = (CAMERA, n % DETECTORS, n // DETECTORS)
        data_id = type(data_id).from_required_values(kind.dimensions, values)
        refs.append(DatasetRef(kind, data_id, run=RUN, id=uuid.uuid4()))
    from lakebutler.registry.datasets import compare

    snapshot, layout = butler._registry.snapshot, dataset_layout(kind.dimensions)
    begin = time.perf_counter()
    verdict = compare(snapshot, layout, refs)
    yield f"a batch of 100,000 against {size:,}, first time, s", time.perf_counter() - begin
    yield "the same again, s", milliseconds(lambda: compare(snapshot, layout, refs), 3) / 1e3
    if len(verdict.conflicting) != 50_000:
        raise RuntimeError(f"{len(verdict.conflicting)} conflicts were found, not 50,000")
    butler.close()


def scale(work: Path, size: int) -> Figures:
    """One repository of very many datasets."""
    root = work / f"raws-{size}"
    if not root.exists():
        begin = time.perf_counter()
        fill(root, size, log=True)
        yield "building it, s", time.perf_counter() - begin
    bytes_ = sum(path.stat().st_size for path in (root / "registry").rglob("*") if path.is_file())
    yield "registry, bytes per dataset", bytes_ / size
    begin = time.perf_counter()
    butler = Butler.from_config(root, collections=[RUN])
    yield "open, first time, ms", 1e3 * (time.perf_counter() - begin)
    yield "open again, ms", milliseconds(lambda: Butler.from_config(root).close())
    source = random.Random(1)
    ids = [divmod(source.randrange(size), DETECTORS) for _ in range(200)]

    def find(pairs: list[tuple[int, int]]) -> None:
        for exposure, detector in pairs:
            if butler.find_dataset("raw", instrument=CAMERA, exposure=exposure, detector=detector) is None:
                raise RuntimeError("a dataset is lost")

    begin = time.perf_counter()
    find(ids[:1])
    yield "first find_dataset, ms", 1e3 * (time.perf_counter() - begin)
    find(ids)
    yield "find_dataset, ms", milliseconds(lambda: find(ids), 3) / len(ids)
    where = f"instrument='{CAMERA}' AND exposure IN ({ids[7][0]}, {ids[8][0]})"
    yield (
        "query of two exposures, ms",
        milliseconds(lambda: butler.query_datasets("raw", where=where, limit=None), 3),
    )
    yield "memory so far, MB", peak_mb()
    with butler.query() as query:
        raws = query.datasets("raw", collections=RUN)
        begin = time.perf_counter()
        counted = raws.count()
        yield "count of all, s", time.perf_counter() - begin
        begin = time.perf_counter()
        in_band = raws.where(f"instrument='{CAMERA}' AND band='i'").count()
        yield "count of one band, s", time.perf_counter() - begin
    if counted != size or not 0 < in_band < size:
        raise RuntimeError(f"{counted} datasets were counted, {in_band} in one band")
    yield "peak memory, MB", peak_mb()
    butler.close()


# ------------------------------------------------------------------ S3, verification


def s3(work: Path, size: int) -> Figures:
    """Requests that opening a repository of so many datasets takes."""
    from tests.lake.test_storage_s3 import Counting
    from tests.s3server import S3Server

    root = work / f"raws-{size}"
    if not root.exists():
        fill(root, size)
    shutil.rmtree(work / "cache", ignore_errors=True)
    os.environ["XDG_CACHE_HOME"] = str(work / "cache")
    with S3Server(work / "seaweed") as server:
        target = server.root()
        storage = open_storage(target.url, storage_options=target.storage_options)
        for path in sorted((root / "registry").rglob("*")):
            if path.is_file() and path.name != "lock":
                storage.write(str(path.relative_to(root)), path.read_bytes())
        for when in ("cold", "warm"):
            opened = open_storage(target.url, storage_options=target.storage_options)
            counting = Counting(opened)
            begin = time.perf_counter()
            Lake.open(opened).snapshot(refresh=False)
            yield f"open {size:,} datasets over S3, {when} cache, ms", 1e3 * (time.perf_counter() - begin)
            yield f"requests for that, {when} cache", len(counting.made)


def verify(work: Path, size: int) -> Figures:
    """Verification of files of a gigabyte together."""
    root = work / "verify"
    Butler.makeRepo(root)
    butler = Butler.from_config(root, run="u/bytes", writeable=True)
    butler.registry.insertDimensionData("instrument", {"name": CAMERA})
    butler.registry.insertDimensionData(
        "detector", *({"instrument": CAMERA, "id": d, "full_name": f"D{d}"} for d in range(32))
    )
    kind = DatasetType("blob", ["instrument", "detector"], "Bytes", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    block = random.Random(1).randbytes(1 << 20) * 32
    for d in range(32):
        butler.put(block, kind, instrument=CAMERA, detector=d)
    butler.close()
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "lakebutler", "verify", str(root)], cwd=ROOT, capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    yield "verify 1 GiB, the command as a whole, MB/s", 1024 / (time.perf_counter() - begin) * 1.048576


MEASUREMENTS = {f.__name__: f for f in (commits, many, s3, verify, dedupe, scale)}
SIZES = {"many": 50_000, "s3": 1_000_000, "dedupe": 10_000_000, "scale": 100_000_000}


def main() -> None:
    """Measure one thing and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=MEASUREMENTS)
    parser.add_argument("--size", type=int)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    for name in ("commits", "many", "entries", "verify"):
        shutil.rmtree(args.work / name, ignore_errors=True)
    print(f"{args.what}, {datetime.date.today()}, load {os.getloadavg()[0]:.1f}")
    for name, value in MEASUREMENTS[args.what](args.work, args.size or SIZES.get(args.what, 0)):
        print(f"{name}: {value:.4g}", flush=True)


if __name__ == "__main__":
    main()
