# SPDX-License-Identifier: BSD-3-Clause
"""A synthetic repository's datasets, the same for every way of grouping them into tables.

One run of raws (a single large type), and runs of processing with all the other
types in each: a few large ones, many small ones (sizes fall as 1 / rank), over
twelve groups of dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

DETECTORS, PATCHES = 112, 81
BANDS = ("g", "i", "r", "u", "y", "z")
INSTRUMENT, SKYMAP = "HSC", "rings_v1"
RAW = "raw"
RAW_SHARE = 0.15

DIMENSIONS: Mapping[str, str] = {
    "band": "string",
    "instrument": "string",
    "skymap": "string",
    "detector": "int64",
    "physical_filter": "string",
    "tract": "int64",
    "patch": "int64",
    "visit": "int64",
    "exposure": "int64",
    "healpix7": "int64",
}
"""Every dimension that occurs, with its type."""

GROUPS: tuple[tuple[str, ...], ...] = (
    ("instrument", "detector", "exposure"),
    ("instrument", "detector", "visit"),
    ("band", "skymap", "tract", "patch"),
    ("skymap", "tract", "patch"),
    ("instrument", "visit"),
    ("instrument", "skymap", "tract", "patch", "visit"),
    (),
    ("skymap", "tract"),
    ("instrument", "detector", "physical_filter"),
    ("instrument", "detector"),
    ("band", "skymap", "tract"),
    ("healpix7",),
)
"""Required dimensions of the dataset types."""

_TURNS = (1, 2, 1, 0, 3, 1, 6, 2, 4, 1, 5, 6, 7, 0, 8, 2, 9, 10, 1, 11)
_BASES = {"exposure": 900_000, "visit": 900_000, "tract": 9000, "healpix7": 100_000, "detector": 0}


@dataclass(frozen=True)
class Kind:
    """One dataset type: its name, its dimensions, and how many datasets a run has of it."""

    name: str
    dimensions: tuple[str, ...]
    per_run: int


@dataclass(frozen=True)
class Batch:
    """The datasets of one run: a table for each group of dimensions, sorted by type and data ID."""

    run: str
    tables: Mapping[tuple[str, ...], pa.Table]
    slices: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Content:
    """A repository's datasets, made run by run.

    Parameters
    ----------
    types, datasets, runs : `int`
        About how many; a type has at least one dataset in each run.
    """

    types: int
    datasets: int
    runs: int
    kinds: tuple[Kind, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self._kinds()))

    def _kinds(self) -> Iterator[Kind]:
        yield Kind(RAW, GROUPS[0], int(self.datasets * RAW_SHARE))
        groups = [GROUPS[_TURNS[i % len(_TURNS)]] for i in range(self.types - 1)]
        weights = [1 / (i + 1) if group else 0.0 for i, group in enumerate(groups)]
        wanted = self.datasets * (1 - RAW_SHARE) / (self.runs - 1)
        for i, (group, weight) in enumerate(zip(groups, weights, strict=True)):
            yield Kind(f"product_{i:04d}", group, max(1, round(wanted * weight / sum(weights))))

    def run_name(self, number: int) -> str:
        """Name of a run; the first is that of the raws."""
        return "HSC/raw/all" if number == 0 else f"HSC/runs/RC2/w_2026_{number:02d}"

    def kinds_of(self, number: int) -> tuple[Kind, ...]:
        """The types that a run has datasets of."""
        return self.kinds[:1] if number == 0 else self.kinds[1:]

    def batch(self, number: int) -> Batch:
        """Make the datasets of one run."""
        random = np.random.default_rng(number)
        run = self.run_name(number)
        by_group: dict[tuple[str, ...], list[Kind]] = {}
        for kind in sorted(self.kinds_of(number), key=lambda k: k.name):
            by_group.setdefault(kind.dimensions, []).append(kind)
        tables, slices = {}, {}
        for group, kinds in by_group.items():
            start = 0
            for kind in kinds:
                slices[kind.name] = (start, kind.per_run)
                start += kind.per_run
            parts = [_rows(kind, run, random) for kind in kinds]
            tables[group] = pa.concat_tables(parts).combine_chunks()
        return Batch(run, tables, slices)

    def total(self) -> int:
        """Number of datasets."""
        return sum(k.per_run * (1 if k.name == RAW else self.runs - 1) for k in self.kinds)


def data_ids(dimensions: tuple[str, ...], count: int) -> dict[str, np.ndarray[Any, Any]]:
    """Values of each dimension for so many different data IDs, in the order of the data IDs."""
    limits = {"detector": DETECTORS, "patch": PATCHES, "band": len(BANDS), "physical_filter": len(BANDS)}
    grows = next((name for name in _BASES if name in dimensions), "")
    rest = np.arange(count)
    values: dict[str, np.ndarray[Any, Any]] = {}
    for name in dimensions:
        if name in limits and name != grows:
            values[name] = rest % limits[name]
            rest = rest // limits[name]
    for name in dimensions:
        if name == grows:
            values[name] = rest + _BASES[name]
        elif name not in values:
            values[name] = np.zeros(count, dtype=np.int64)
    texts = {"instrument": [INSTRUMENT], "skymap": [SKYMAP], "band": list(BANDS)}
    texts["physical_filter"] = [f"HSC-{band.upper()}" for band in BANDS]
    made = {n: np.array(texts[n], dtype=object)[values[n]] if n in texts else values[n] for n in dimensions}
    codes = [made[n].astype(str) if n in texts else made[n] for n in reversed(dimensions)]
    order = np.lexsort(codes or [rest])
    return {name: column[order] for name, column in made.items()}


def _rows(kind: Kind, run: str, random: np.random.Generator) -> pa.Table:
    n = kind.per_run
    ids = random.bytes(16 * n)
    digests = random.bytes(32 * n).hex()
    dimensions = data_ids(kind.dimensions, n)
    texts = ["_".join(map(str, row)) for row in zip(*dimensions.values(), strict=True)] or [""] * n
    tails = [ids[16 * i + 10 : 16 * i + 16].hex() for i in range(n)]
    folder, raw = f"{run}/{kind.name}", kind.name == RAW
    names = (f"{kind.name}_{text}-{tail}.fits" for text, tail in zip(texts, tails, strict=True))
    paths = [f"{folder}/{text[:12]}/{name}" for text, name in zip(texts, names, strict=True)]
    uuids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), n, [None, pa.py_buffer(ids)])
    when = pa.scalar(datetime(2026, 11, 1, tzinfo=UTC), pa.timestamp("us", tz="UTC"))
    columns: dict[str, Any] = {
        "dataset_type": pa.repeat(kind.name, n),
        "collection": pa.repeat(run, n),
        **{name: pa.array(v.tolist(), _ARROW[DIMENSIONS[name]]) for name, v in dimensions.items()},
        "valid_begin": pa.nulls(n, pa.int64()),
        "valid_end": pa.nulls(n, pa.int64()),
        "id": pa.ExtensionArray.from_storage(pa.uuid(), uuids),
        "run": pa.repeat(run, n),
        "ingest_date": pa.repeat(when, n),
        "path": pa.nulls(n, pa.string()) if raw else pa.array(paths),
        "uri": pa.array([f"file:///archive/{path}" for path in paths]) if raw else pa.nulls(n, pa.string()),
        "formatter": pa.repeat("fits_image" if dimensions else "yaml", n),
        "storage_class": pa.repeat("CCDData" if dimensions else "StructuredDataDict", n),
        "size": pa.array(random.integers(1000, 40_000_000, n)),
        "checksum": pa.nulls(n, pa.string())
        if raw
        else pa.array([f"sha256:{digests[64 * i : 64 * i + 64]}" for i in range(n)]),
    }
    return pa.table(columns)


_ARROW = {"string": pa.string(), "int64": pa.int64()}
