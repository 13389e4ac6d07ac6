# SPDX-License-Identifier: BSD-3-Clause
"""Files that an interrupted conversion has brought in, found again.

The name of a file in a repository ends in a part of its dataset's ID, and IDs of converted
datasets follow from what they are: so the names are the same in the next attempt.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from lakebutler.datastore.files import CHUNK, stream_checksum

__all__ = ["Leftover", "Leftovers"]

_ID = 12


class Leftover(NamedTuple):
    """A file that is there already."""

    path: str
    size: int
    checksum: str | None


class Leftovers:
    """Files below the root of a repository, looked up by directory.

    Parameters
    ----------
    root : `str`
        The repository; where it is not on this disk nothing is found.
    transfer : `str`
        How files are brought in: links must lead to the source.
    """

    def __init__(self, root: str, transfer: str) -> None:
        self._root = "" if "://" in root else root.rstrip("/")
        self._links = transfer in ("link", "hardlink", "symlink", "relsymlink")
        self._listed: dict[str, list[str]] = {}

    def find(self, predicted: str, source: str) -> Leftover | None:
        """Find the file that was made of a source.

        Parameters
        ----------
        predicted : `str`
            Path that its dataset would get.
        source : `str`
            The original.

        Returns
        -------
        found : `Leftover` or `None`
            `None` if there is none, or it is not whole.
        """
        directory, _, name = predicted.rpartition("/")
        stem, dash, rest = name.rpartition("-")
        if not self._root or not dash:
            return None
        beginning = stem + dash + rest[:_ID]
        for candidate in self._names(directory):
            if candidate.startswith(beginning):
                found = self._same(f"{directory}/{candidate}", source)
                if found is not None:
                    return found
        return None

    def _names(self, directory: str) -> list[str]:
        if directory not in self._listed:
            try:
                self._listed[directory] = sorted(os.listdir(f"{self._root}/{directory}"))
            except OSError:
                self._listed[directory] = []
        return self._listed[directory]

    def _same(self, path: str, source: str) -> Leftover | None:
        place = f"{self._root}/{path}"
        try:
            if self._links:
                size = os.stat(source).st_size
                return Leftover(path, size, None) if os.path.samefile(place, source) else None
            size = os.stat(source).st_size
            if os.path.islink(place) or os.stat(place).st_size != size:
                return None
            mine, theirs = _checksum(place), _checksum(source)
        except OSError:
            return None
        return Leftover(path, size, mine) if mine == theirs else None


def _checksum(path: str) -> str:
    with open(path, "rb", buffering=CHUNK) as stream:
        return stream_checksum(stream)
