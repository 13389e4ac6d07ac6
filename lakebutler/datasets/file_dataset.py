# SPDX-License-Identifier: BSD-3-Clause
"""A file, and the datasets that it holds: what ingest takes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import DatasetTypeError

__all__ = ["FileDataset"]


class FileDataset:
    """A file, and the datasets that it holds.

    Parameters
    ----------
    path : `str`, `os.PathLike` or `lsst.resources.ResourcePath`
        Where the file is: an absolute path or URI, or a path relative to the
        root of the repository.
    refs : `DatasetRef` or iterable of `DatasetRef`
        The datasets in it, one at least.
    formatter : `str`, optional
        Key of the formatter that reads the file; the default one of the storage
        class if not given.

    Raises
    ------
    DatasetTypeError
        If there are no datasets.
    """

    __slots__ = ("formatter", "path", "refs")

    path: Any
    """Where the file is."""

    refs: list[DatasetRef]
    """The datasets in it."""

    formatter: Any
    """Key of the formatter that reads the file."""

    def __init__(
        self,
        path: Any,
        refs: DatasetRef | Iterable[DatasetRef],
        formatter: Any = None,
    ) -> None:
        self.path = path
        self.refs = [refs] if isinstance(refs, DatasetRef) else list(refs)
        self.formatter = formatter
        if not self.refs:
            raise DatasetTypeError(f"file {path!s} is given without datasets")

    def location(self) -> str:
        """Where the file is, as text.

        Returns
        -------
        location : `str`
            Path or URI.
        """
        if isinstance(self.path, str):
            return self.path
        if isinstance(self.path, os.PathLike):
            return str(os.fspath(self.path))
        return str(self.path)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FileDataset):
            return NotImplemented
        return (
            self.location() == other.location()
            and self.refs == other.refs
            and self.formatter == other.formatter
        )

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: FileDataset) -> bool:
        if not isinstance(other, FileDataset):
            return NotImplemented
        return self.location() < other.location()

    def __repr__(self) -> str:
        tail = f", formatter={self.formatter!r}" if self.formatter is not None else ""
        return f"FileDataset({self.path!r}, {self.refs!r}{tail})"

    def to_simple(self, minimal: bool = False) -> dict[str, Any]:
        """Convert to what JSON can hold.

        Parameters
        ----------
        minimal : `bool`, optional
            If `True`, the ids of the datasets only.

        Returns
        -------
        simple : `dict`
            ``path``, ``refs`` and, if there is one, ``formatter``.
        """
        simple: dict[str, Any] = {
            "refs": [ref.to_simple(minimal) for ref in self.refs],
            "path": self.location(),
        }
        if self.formatter is not None:
            simple["formatter"] = self.formatter if isinstance(self.formatter, str) else str(self.formatter)
        return simple

    @classmethod
    def from_simple(cls, simple: Mapping[str, Any], universe: DimensionUniverse | None = None) -> FileDataset:
        """Convert back from what JSON can hold.

        Parameters
        ----------
        simple : `~collections.abc.Mapping`
            What `to_simple` gave, not minimal.
        universe : `DimensionUniverse`, optional
            Where the dimensions belong; the universe of the field if not given.

        Returns
        -------
        dataset : `FileDataset`
            The file and its datasets.
        """
        refs = [DatasetRef.from_simple(ref, universe) for ref in simple["refs"]]
        return cls(simple["path"], refs, simple.get("formatter"))
