# SPDX-License-Identifier: BSD-3-Clause
"""What a repository knows about the file of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

from lakebutler.datasets.stored_parts import is_parts, join_parts, parts_of

__all__ = ["IN_PARTS", "FileRecord"]

IN_PARTS = "components"
"""What stands for the formatter of a dataset in parts: each part has its own."""


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

    @property
    def parts(self) -> Mapping[str, FileRecord] | None:
        """Files of the components of a dataset in parts; `None` for one with one file."""
        text = self.path if is_parts(self.path) else self.uri if is_parts(self.uri) else None
        if text is None:
            return None
        return {name: FileRecord._make(part) for name, part in parts_of(text).items()}

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """Its files: this one, or those of the components."""
        parts = self.parts
        return (self,) if parts is None else tuple(parts.values())

    @classmethod
    def of_parts(cls, parts: Mapping[str, FileRecord], storage_class: str) -> Self:
        """Make the record of a dataset in parts.

        Parameters
        ----------
        parts : mapping [`str`, `FileRecord`]
            Files by component.
        storage_class : `str`
            Storage class of the composite.

        Returns
        -------
        record : `FileRecord`
            One record for all.
        """
        path, uri = join_parts(parts)
        return cls(path, uri, IN_PARTS, storage_class, sum(part.size for part in parts.values()), None)
