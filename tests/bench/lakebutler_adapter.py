# SPDX-License-Identifier: BSD-3-Clause
"""Our half of the paired benchmark: the names that its workloads ask an adapter for."""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any

from lakebutler import (
    Butler,
    CollectionType,
    DataCoordinate,
    DatasetIdGenEnum,
    DatasetRef,
    DatasetType,
    FileDataset,
    Timespan,
)

__all__ = [
    "Butler",
    "CollectionType",
    "DataCoordinate",
    "DatasetIdGenEnum",
    "DatasetRef",
    "DatasetType",
    "FileDataset",
    "Timespan",
]

NAME = "lakebutler_adapter"
JSON_FORMATTER = "json"

# Run by `create_open` in a fresh interpreter: {root} is substituted.
OPEN_SNIPPET = """
import time
t0 = time.perf_counter()
from lakebutler import Butler
t1 = time.perf_counter()
b = Butler.from_config({root!r}, writeable={writeable})
t2 = time.perf_counter()
r = b.collections.query("*")
t3 = time.perf_counter()
import json, resource
print(json.dumps(dict(imports=t1 - t0, open=t2 - t1, first_query=t3 - t2,
    rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))
"""


def versions() -> dict[str, str]:
    """Versions of what is measured."""
    names = ("lakebutler", "duckdb", "pyarrow", "numpy", "astropy", "lsst-sphgeom")
    return {name: importlib.metadata.version(name) for name in names if _installed(name)}


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def make_repo(root: str) -> None:
    """Make a repository in which ``bench_json`` is written as JSON, as in the other half."""
    Butler.makeRepo(root, config={"datastore": {"formatters": {"bench_json": JSON_FORMATTER}}})


def make_repo_default(root: str) -> None:
    """Make a repository."""
    Butler.makeRepo(root)


def open_repo(root: str, **kwargs: Any) -> Butler:
    """Open a repository, for writing unless told otherwise."""
    kwargs.setdefault("writeable", True)
    return Butler.from_config(root, **kwargs)


def registry_bytes(root: str) -> int:
    """Bytes of everything below ``registry/``."""
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(os.path.join(root, "registry"))
        for name in names
    )


def timespan(begin_nsec: int, end_nsec: int) -> Timespan:
    """Timespan from TAI nanoseconds since 1970."""
    return Timespan.from_nsec(begin_nsec, end_nsec)


def import_refs(butler: Butler, refs: list[DatasetRef], *, expand: bool = True) -> None:
    """Register datasets with given IDs, those that are there already too."""
    del expand
    butler._registry.add(refs, None, op="import", skip_existing=True)


def is_lock_error(exc: BaseException) -> bool:
    """Whether an error is about locking."""
    return "locked" in str(exc).lower() or "busy" in str(exc).lower()
