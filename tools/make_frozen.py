# SPDX-License-Identifier: BSD-3-Clause
"""Make ``formats/frozen/v1``: a small repository of format version 1, and what it answers.

It is made once for each version of the format and then never changed: later versions of
lakebutler must open it and give the same answers (``tests/lake/test_frozen.py``).

    python tools/make_frozen.py formats/frozen/v1
"""

from __future__ import annotations

import getpass
import gzip
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lakebutler import Butler, CollectionType, DatasetType, Timespan  # noqa: E402

CAM = "Cam"
RUNS = ("u/one", "u/two")
WHERE = (
    "detector.purpose = 'SCIENCE' AND detector > 0",
    "detector IN (1..3:2)",
    "detector.full_name LIKE 'S0%' AND NOT detector = 2",
)
SQL = (
    "SELECT run, count(*) AS n, min(detector) AS low, max(detector) AS up FROM bias GROUP BY run ORDER BY 1",
    "SELECT name, type FROM collection ORDER BY name",
    "SELECT detector, full_name, purpose FROM detector ORDER BY detector",
)


def when(day: int) -> Any:
    """Midnight of a day in January 2025."""
    from astropy.time import Time

    return Time(f"2025-01-{day:02d}T00:00:00", scale="tai")


def fill(root: str) -> None:
    """Make a history with all that the format has."""
    import numpy as np
    import pyarrow as pa

    Butler.makeRepo(root, config={"description": "frozen at format version 1"})
    with Butler.from_config(root, run=RUNS[0]) as butler:
        registry = butler.registry
        registry.insertDimensionData("instrument", {"name": CAM, "detector_max": 6})
        rows = (
            {"id": i, "full_name": f"S{i:02d}", "purpose": "SCIENCE" if i < 4 else "GUIDE"} for i in range(6)
        )
        registry.insertDimensionData("detector", *({"instrument": CAM, **row} for row in rows))
        filters = ({"instrument": CAM, "name": f"{band}-filter", "band": band} for band in "gr")
        registry.insertDimensionData("physical_filter", *filters)
        for name, dimensions, storage_class, calibration in (
            ("bias", ["instrument", "detector"], "StructuredDataDict", True),
            ("flat", ["instrument", "detector", "physical_filter"], "NumpyArray", True),
            ("table", ["instrument"], "ArrowTable", False),
            ("label", [], "Text", False),
        ):
            registry.registerDatasetType(
                DatasetType(
                    name, dimensions, storage_class, universe=butler.dimensions, isCalibration=calibration
                )
            )
        with butler.transaction(message="the first night"):
            biases = [butler.put({"level": i}, "bias", instrument=CAM, detector=i) for i in range(6)]
            for i in range(2):
                butler.put(np.arange(4.0) + i, "flat", instrument=CAM, detector=i, physical_filter="g-filter")
        butler.put(pa.table({"a": [1, 2], "b": ["x", None]}), "table", instrument=CAM)
        butler.put("hello", "label")
        for name, kind in (("tagged", "TAGGED"), ("calib", "CALIBRATION"), ("chain", "CHAINED")):
            butler.collections.register(name, CollectionType[kind])
        registry.associate("tagged", biases[:3])
        registry.certify("calib", biases[:4], Timespan(when(1), when(10)))
        butler.tag("night-1", message="before the mistake")
        registry.removeDatasets(biases[4:])
        butler.repository.lake.compact(everything=True)
        butler.repository.lake.checkpoint()
    with Butler.from_config(root, run=RUNS[1]) as butler:
        with butler.transaction():
            again = [butler.put({"level": 10 + i}, "bias", instrument=CAM, detector=i) for i in range(2)]
        butler.registry.certify("calib", again, Timespan(when(10), None))
        butler.registry.decertify("calib", "bias", Timespan(when(1), when(3)))
        butler.collections.redefine_chain("chain", [RUNS[1], "tagged", RUNS[0]])
        butler.registry.disassociate("tagged", biases[2:3])


def answers(root: str | Path, *, past: bool = True) -> dict[str, Any]:
    """Ask everything, in a form that JSON has."""
    out: dict[str, Any] = {}
    with Butler.from_config(root, collections=["chain"]) as butler:
        out["version"], out["repo_id"] = butler.version, butler.repository.lake.repo_id
        out["root"] = butler.repository.session.snapshot.sha256
        out["history"] = [[e.version, e.op, e.message, e.time.isoformat()] for e in butler.history()]
        out["tags"] = [[t.name, t.version, t.sha256, t.message] for t in butler.tags()]
        out["collections"] = [
            [i.name, i.type.name, list(i.children)] for i in butler.collections.query_info("*")
        ]
        out["types"] = sorted(
            [t.name, list(t.dimensions.required), t.storageClass_name, t.isCalibration()]
            for t in butler.registry.queryDatasetTypes()
        )
        out["found"] = {name: list(datasets(butler, name)) for name in ("bias", "flat", "table", "label")}
        out["where"] = {text: sorted(found(butler, text)) for text in WHERE}
        out["sql"] = {text: butler.sql(text).to_arrow_table().to_pylist() for text in SQL}
        out["calibrations"] = [
            calibration(butler, day, detector) for day in (2, 5, 12) for detector in (0, 3)
        ]
        out["diff"] = summary(butler)
    if past:
        with Butler.from_config(root, as_of="night-1") as butler:
            refs = butler.query_datasets("bias", RUNS[0], explain=False)
            out["past"] = sorted([str(ref.id), butler.get(ref)["level"]] for ref in refs)
    return out


def datasets(butler: Butler, name: str) -> Iterator[list[Any]]:
    """Every dataset of a type: id, run, data ID, where its file is, and what it holds."""
    refs = butler.query_datasets(name, RUNS, find_first=False, explain=False)
    for ref in sorted(refs, key=lambda ref: str(ref.id)):
        path = str(butler.getURI(ref)).rpartition("datastore/")[2]
        values = {key: ref.dataId[key] for key in ref.dimensions.required}
        content = butler.get(ref)
        if hasattr(content, "to_pydict"):
            content = content.to_pydict()
        yield [
            str(ref.id),
            ref.run,
            values,
            path,
            content.tolist() if hasattr(content, "tolist") else content,
        ]


def found(butler: Butler, where: str) -> list[list[Any]]:
    """Biases of the chain that a condition holds for."""
    refs = butler.query_datasets("bias", "chain", where=where, instrument=CAM, explain=False)
    return [[ref.run, ref.dataId["detector"]] for ref in refs]


def calibration(butler: Butler, day: int, detector: int) -> list[Any]:
    """Which bias is valid on a day."""
    ref = butler.find_dataset(
        "bias",
        instrument=CAM,
        detector=detector,
        collections="calib",
        timespan=Timespan(when(day), when(day + 1)),
    )
    return [day, detector, None if ref is None else str(ref.id)]


def summary(butler: Butler) -> list[Any]:
    """What has changed since the tag."""
    counts = butler.diff("night-1").counts
    return sorted([c.kind, c.change, c.name, c.collection or "", c.count] for c in counts)


def main() -> None:
    """Make it at the place that is given."""
    socket.gethostname = lambda: "frozen"
    getpass.getuser = lambda: "frozen"
    place = Path(sys.argv[1])
    place.mkdir(parents=True)
    fill(str(place / "repo"))
    from lakebutler.butler.maintenance.pack import pack

    (place / "repo/registry/.lock").unlink(missing_ok=True)
    pack(place / "repo", place / "repo.lake")
    data = (place / "repo.lake").read_bytes()
    (place / "repo.lake.gz").write_bytes(gzip.compress(data, mtime=0))
    (place / "repo.lake").unlink()
    text = json.dumps(answers(place / "repo"), indent=1, ensure_ascii=False, sort_keys=True)
    (place / "answers.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
