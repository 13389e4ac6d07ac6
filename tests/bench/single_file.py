# SPDX-License-Identifier: BSD-3-Clause
"""Figures of the single file, for ``docs/design/004-single-file.md``.

::

    python -m tests.bench.single_file append     # what one more member costs, in tar and in zip
    python -m tests.bench.single_file put        # Butler.put into a lake file and into a directory
    python -m tests.bench.single_file pack 1e6   # packing and opening
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAME = "datastore/HSC/runs/RC2/w_2026_01/calexp/{0:06d}/calexp_HSC_{1:08d}-0123456789ab.fits"


def timed(action: Callable[[int], object], times: int) -> str:
    """Median and 95th percentile, in milliseconds."""
    taken = []
    for number in range(times):
        begin = time.perf_counter()
        action(number)
        taken.append(1e3 * (time.perf_counter() - begin))
    taken.sort()
    return f"median {statistics.median(taken):8.3f} ms, p95 {taken[int(0.95 * times)]:8.3f} ms"


def lake_of(path: Path, members: int) -> None:
    from lakebutler.lake.container.builder import ContainerBuilder

    with ContainerBuilder(str(path)) as builder:
        builder.add("registry/format.json", b"{}")
        builder.begin_many()
        for n in range(members):
            builder.add(NAME.format(n // 100, n), b'{"a": 1}')
        builder.finish()


def appends(folder: Path) -> None:
    """One publish of two small members, with and without the disk; one member in a zip."""
    from lakebutler.lake.container import lock as container_lock
    from lakebutler.lake.container.writer import ContainerWriter

    print(f"one sync of the disk here: {_sync_cost(folder)}")
    for members in (100, 10_000, 100_000, 1_000_000):
        path = folder / "x.lake"
        lake_of(path, members)
        writer = ContainerWriter(str(path))

        def publish(number: int, writer: ContainerWriter = writer) -> None:
            with writer.exclusive():
                writer.add(f"datastore/new/{number}.json", b'{"a": 1}')
                writer.add(f"registry/log/{number:020d}.json", b"x" * 900)
                writer.publish()

        print(f"tar {members:8d} members, durable:      {timed(publish, 400)}")
        durable = container_lock.LockedFile.sync
        container_lock.LockedFile.sync = lambda self: None  # type: ignore[method-assign]
        print(f"tar {members:8d} members, without sync: {timed(lambda n: publish(n + 1000), 2000)}")
        container_lock.LockedFile.sync = durable  # type: ignore[method-assign]
        writer.close()
        path.unlink()
    for members in (100, 10_000, 100_000):
        path = folder / "x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for n in range(members):
                archive.writestr(NAME.format(n // 100, n), b'{"a": 1}')
        size = path.stat().st_size

        def append(number: int, path: Path = path) -> None:
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(f"registry/log/{number:020d}.json", b"x" * 900)

        with zipfile.ZipFile(path, "a") as archive:
            directory = size - archive.start_dir
        result = timed(append, 5 if members > 50_000 else 20)
        print(f"zip {members:8d} members, without sync: {result}, rewrites {directory} bytes")
        path.unlink()


def _sync_cost(folder: Path) -> str:
    descriptor = os.open(folder / "sync", os.O_CREAT | os.O_RDWR)
    try:

        def write(number: int) -> None:
            os.pwrite(descriptor, b"x" * 3000, 3000 * number)
            os.fdatasync(descriptor)

        return timed(write, 300)
    finally:
        os.close(descriptor)


def fill(root: Path) -> Any:
    from lakebutler import Butler, DatasetType

    Butler.makeRepo(root)
    butler = Butler(root, run="u/bench")
    add = butler.registry.insertDimensionData
    add("instrument", {"name": "Cam"})
    add("detector", *({"instrument": "Cam", "id": i, "full_name": f"d{i}"} for i in range(2000)))
    kind = DatasetType("t", ["instrument", "detector"], "StructuredDataDict", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    return butler


def puts(folder: Path) -> None:
    """Two kinds of place, in turns, so that a busy machine is the same for both."""
    butlers = {"directory": fill(folder / "repo"), "lake file": fill(folder / "x.lake")}
    taken: dict[str, list[float]] = {name: [] for name in butlers}
    for number in range(600):
        for name, butler in butlers.items():
            begin = time.perf_counter()
            butler.put({"a": number}, "t", instrument="Cam", detector=number)
            taken[name].append(1e3 * (time.perf_counter() - begin))
    gets: dict[str, list[float]] = {name: [] for name in butlers}
    for number in range(600):
        for name, butler in butlers.items():
            begin = time.perf_counter()
            butler.get("t", instrument="Cam", detector=number)
            gets[name].append(1e3 * (time.perf_counter() - begin))
    for name in butlers:
        put, got = sorted(taken[name]), sorted(gets[name])
        print(
            f"{name}: put median {statistics.median(put):.2f} ms, p95 {put[570]:.2f} ms;"
            f" get median {statistics.median(got):.3f} ms"
        )


def packs(folder: Path, count: int) -> None:
    """Pack the registry of a repository with so many datasets, and open what was made."""
    from lakebutler import Butler
    from lakebutler.butler.maintenance.pack import pack

    _bulk(folder / "repo", count)
    begin = time.perf_counter()
    done = pack(folder / "repo", folder / "x.lake", registry_only=True)
    taken = time.perf_counter() - begin
    print(f"pack of the registry of {done.left} datasets: {taken:.2f} s, {done.bytes} bytes")

    def opening(root: Path) -> Callable[[int], None]:
        def act(number: int) -> None:
            Butler(root).close()

        return act

    Butler(folder / "x.lake").close()
    for name in ("x.lake", "repo"):
        print(f"open {name:8s}: {timed(opening(folder / name), 20)}")


def _bulk(root: Path, count: int) -> None:
    import numpy as np
    import pyarrow as pa

    from lakebutler.lake.change import Change
    from lakebutler.registry.schema import dataset_layout

    butler = fill(root)
    kind = butler.registry.getDatasetType("t")
    schema = dataset_layout(kind.dimensions).schema
    numbers = np.arange(count)
    ids = np.random.default_rng(1).bytes(16 * count)
    texts = {"dataset_type": "t", "collection": "big", "instrument": "Cam", "run": "big", "formatter": "json",
             "storage_class": "StructuredDataDict"}  # fmt: skip
    given: dict[str, Any] = {name: pa.array([text] * count) for name, text in texts.items()}
    given["detector"] = pa.array(numbers)
    given["size"] = pa.array(np.full(count, 8))
    given["path"] = pa.array([NAME.format(n // 100, n) for n in range(count)])
    arrays = []
    for field in schema.arrow:
        if field.name == "id":
            storage = pa.array([ids[16 * k : 16 * k + 16] for k in range(count)], pa.binary(16))
            arrays.append(pa.ExtensionArray.from_storage(pa.uuid(), storage))
        else:
            arrays.append(given.get(field.name, pa.nulls(count, field.type)).cast(field.type))
    change = Change()
    change.create_table(schema)
    change.append_table(schema.name, pa.Table.from_arrays(arrays, schema=schema.arrow))
    butler.registry.registerRun("big")
    butler._repository.lake.commit(lambda snapshot: change, op="ingest")
    butler.close()


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    with tempfile.TemporaryDirectory(prefix="single-file-") as folder:
        match what:
            case "append":
                appends(Path(folder))
            case "put":
                puts(Path(folder))
            case "pack":
                packs(Path(folder), int(float(sys.argv[2])))
            case _:
                print(__doc__)


if __name__ == "__main__":
    main()
