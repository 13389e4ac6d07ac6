# SPDX-License-Identifier: BSD-3-Clause
"""What is known of a dataset: registered, stored, its file there."""

from __future__ import annotations

import enum

__all__ = ["DatasetExistence"]


class DatasetExistence(enum.Flag):
    """Where a dataset was found; true only if it can be retrieved."""

    UNRECOGNIZED = 0
    """Nobody knows it."""

    RECORDED = enum.auto()
    """The registry knows it."""

    DATASTORE = enum.auto()
    """A file is recorded for it."""

    _ARTIFACT = enum.auto()

    _ASSUMED = enum.auto()

    KNOWN = RECORDED | DATASTORE | _ASSUMED
    """Recorded with a file, which was not looked for."""

    VERIFIED = RECORDED | DATASTORE | _ARTIFACT
    """Recorded with a file, which is there."""

    def __bool__(self) -> bool:
        return self in (DatasetExistence.KNOWN, DatasetExistence.VERIFIED)
