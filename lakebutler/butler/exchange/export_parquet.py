# SPDX-License-Identifier: BSD-3-Clause
"""Exports in our own format: a directory of Parquet files and one JSON file that names them.

``docs/exchange.md`` describes it.  Columns are those of the repository, so that nothing is
converted value by value.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakebutler.butler.exchange.import_bundle import Bundle
from lakebutler.dimensions.arrow import records_to_table
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import StorageError
from lakebutler.registry.schema import DatasetLayout

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["EXPORT_NAME", "MANIFEST", "PARQUET_VERSION", "write_parquet_export"]

MANIFEST = "manifest.json"
EXPORT_NAME = "lakebutler export"
PARQUET_VERSION = 1


def write_parquet_export(place: str, universe: DimensionUniverse, bundle: Bundle) -> None:
    """Write an export as Parquet.

    Parameters
    ----------
    place : `str`
        A directory or URL that does not exist yet.
    universe : `DimensionUniverse`
        The repository's dimensions.
    bundle : `Bundle`
        What is to be written.

    Raises
    ------
    StorageError
        Raised if it cannot be written; there is nothing at the place then.
    """
    if "://" in place:
        import tempfile

        import fsspec

        with tempfile.TemporaryDirectory(prefix="lakebutler-") as scratch:
            local = os.path.join(scratch, "export")
            os.mkdir(local)
            _write(local, universe, bundle)
            filesystem, path = fsspec.core.url_to_fs(place)
            filesystem.put(local + "/", path.rstrip("/") + "/", recursive=True)
        return
    parent, _, name = place.rstrip("/").rpartition("/")
    partial = f"{parent}/.{name}.{uuid.uuid4().hex[:8]}.part"
    try:
        os.makedirs(partial)
        _write(partial, universe, bundle)
        os.rename(partial, place)
    except OSError as error:
        raise StorageError(f"cannot write {place}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(directory: str, universe: DimensionUniverse, bundle: Bundle) -> None:
    tables = []
    for name, records in bundle.records.items():
        data = records_to_table(universe[name], records)
        tables.append(_table(directory, f"dimension_{name}", data) | {"kind": "dimension", "element": name})
    kinds: tuple[tuple[str, Mapping[DatasetLayout, pa.Table]], ...] = (
        ("dataset", bundle.datasets),
        ("membership", bundle.members),
    )
    for kind, by_layout in kinds:
        for layout, data in by_layout.items():
            prefix = "" if kind == "dataset" else "membership_"
            made = _table(directory, prefix + layout.table, data)
            tables.append(made | {"kind": kind, "dimensions": list(layout.dimensions)})
    manifest = {
        "format": EXPORT_NAME,
        "version": PARQUET_VERSION,
        "universe_namespace": universe.namespace,
        "universe_version": universe.version,
        "dataset_types": {
            name: {
                "dimensions": list(kind.dimensions.required),
                "storage_class": kind.storageClass_name,
                "is_calibration": kind.isCalibration(),
            }
            for name, kind in bundle.types.items()
        },
        "collections": {
            name: {"type": c.kind.name, "doc": c.doc, "children": list(c.children)}
            for name, c in bundle.collections.items()
        },
        "tables": tables,
    }
    with open(os.path.join(directory, MANIFEST), "w", encoding="utf-8") as stream:
        json.dump(manifest, stream, indent=1, ensure_ascii=False)
        stream.write("\n")


def _table(directory: str, name: str, data: pa.Table) -> dict[str, Any]:
    import pyarrow.parquet as pq

    path = os.path.join(directory, f"{name}.parquet")
    pq.write_table(data, path, compression="zstd", row_group_size=131_072)
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"file": f"{name}.parquet", "rows": data.num_rows, "sha256": digest}
