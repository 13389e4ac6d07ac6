# SPDX-License-Identifier: BSD-3-Clause
"""What a repository knows about the file of a dataset."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FileRecord"]


class FileRecord(NamedTuple):
    """Where the file of a dataset is, how to read it, and how to know that it is the one."""

    path: str | None
    """Path relative to the repository's root, ``/``-separated; `None` for an external file."""

    uri: str | None
    """Absolute URI of a file that stayed outside; `None` for a file inside."""

    formatter: str
    """Key of the formatter, with its options."""

    storage_class: str
    """Name of the storage class it was written with."""

    size: int
    """Size in bytes."""

    checksum: str | None
    """``sha256:<hex>``, or `None` where the file was not written by us."""
