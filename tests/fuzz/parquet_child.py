# SPDX-License-Identifier: BSD-3-Clause
"""Looks into a lake whose data file has been mutated, its digest made to fit: ``FOLDER COUNT SEED``."""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from lakebutler.errors import ButlerError
from lakebutler.lake.engine import query
from lakebutler.lake.lake import Lake
from lakebutler.lake.naming import log_path, seal
from lakebutler.lake.storage import open_storage
from tests.fuzz.test_fuzz import parquet_mutants
from tests.lake.helpers import DATA_ID, NAME, bulk, commit, fresh, row


def make(root: Path) -> Path:
    """A lake with one data file, which is that of the corpus."""
    lake = fresh(root)
    commit(lake, lambda change: change.append_table(NAME, bulk([row(v) for v in range(1100)])))
    lake.close()
    return max((root / "registry/data" / NAME).iterdir(), key=lambda path: path.stat().st_size)


def put_in(root: Path, file: Path, data: bytes) -> None:
    file.write_bytes(data)
    path = root / log_path(1)
    entry = json.loads(path.read_bytes())
    entry.pop("sha256")
    (body,) = [action["add"] for action in entry["actions"] if "add" in action]
    body.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    path.write_bytes(seal(json.dumps(entry)))


def main() -> None:
    root, ends = Path(sys.argv[1]) / "repo", Counter[str]()
    resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
    file = make(root)
    for data in parquet_mutants(int(sys.argv[2]), int(sys.argv[3]), file.read_bytes()):
        put_in(root, file, data)
        ends[outcome(root)] += 1
    found: dict[str, Any] = {**ends, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    print(json.dumps(found))


def outcome(root: Path) -> str:
    """Each way of looking, one after the other."""
    refused = False
    steps = (
        lambda s: s.find(NAME, DATA_ID, row(500)[:5]),
        lambda s: s.find(NAME, ("id",), (row(3)[6],)),
        lambda s: s.scan(NAME),
        lambda s: query(s, f"SELECT count(*), max(path), min(id) FROM {NAME}"),
    )
    lake = Lake.open(open_storage(root))
    for step in steps:
        try:
            step(lake.snapshot())
        except ButlerError:
            refused = True
        except Exception as error:
            return f"{type(error).__name__}: {error!s:.150}"
    lake.close()
    return "refused" if refused else "fine"


if __name__ == "__main__":
    main()
