# SPDX-License-Identifier: BSD-3-Clause
"""A versioned store of many tables; it knows no astronomy.

One numbered, exclusively created log entry is one atomic commit over all tables.
Rows lie in immutable Parquet files or, when few, in the entry itself.  The
on-disk format is written down in ``formats/README.md``.

Heavy libraries (numpy, pyarrow, duckdb, s3fs) are imported when a table is first
touched, not when a repository is opened.
"""

from __future__ import annotations

from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.schema import Column, TableSchema
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.storage import FileInfo, Storage, open_storage

__all__ = ["Change", "Column", "FileInfo", "Lake", "Snapshot", "Storage", "TableSchema", "open_storage"]
