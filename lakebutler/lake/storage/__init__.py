# SPDX-License-Identifier: BSD-3-Clause
"""Where the files of a lake lie: a directory, an object store, memory, or one file."""

from lakebutler.lake.storage.base import FileInfo, Storage, check_path
from lakebutler.lake.storage.open import open_storage

__all__ = ["FileInfo", "Storage", "check_path", "open_storage"]
