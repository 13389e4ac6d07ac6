# SPDX-License-Identifier: BSD-3-Clause
"""Why a data file is not there: its version was let go of, or the repository is damaged."""

from __future__ import annotations

from contextlib import suppress

from lakebutler.errors import RepositoryError, SnapshotExpiredError
from lakebutler.lake.checkpoint import LATEST, load_state
from lakebutler.lake.history import extend_state
from lakebutler.lake.log import boundary
from lakebutler.lake.references import layer_files
from lakebutler.lake.segment import SegmentStore, damaged
from lakebutler.lake.storage import Storage

__all__ = ["missing_file"]


def missing_file(storage: Storage, path: str) -> RepositoryError:
    """Make the error for a data file that is not there.

    Parameters
    ----------
    storage : `Storage`
        The repository.
    path : `str`
        The file.

    Returns
    -------
    error : `SnapshotExpiredError` or `RepositoryCorruptError`
        The first where versions were removed and the newest one does not need the file.
    """
    with suppress(RepositoryError):
        if boundary(storage) >= 0 and not _needed(storage, path):
            return SnapshotExpiredError(
                f"the version that is read is no longer kept in {storage.url}: a vacuum removed {path}",
                hint="open the repository again; a version that has a tag is kept",
            )
    return damaged(storage, path)


def _needed(storage: Storage, path: str) -> bool:
    segments = SegmentStore(storage)
    state = load_state(segments, LATEST)
    extend_state(state, storage)
    version = state.head.version
    return any(file.path == path for layer in state.tables.values() for file in layer_files(layer, version))
