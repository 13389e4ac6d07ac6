# SPDX-License-Identifier: BSD-3-Clause
"""Files that were written and wait for their commit, and what becomes of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.stored_parts import paths_of
from lakebutler.datastore.datastore import Datastore
from lakebutler.datastore.paths import stored_path_problem
from lakebutler.errors import CommitUnknownError, RepositoryError, StorageError
from lakebutler.lake.tags import tagged_versions
from lakebutler.registry.dataset_rows import FileRow
from lakebutler.registry.registry import Registry
from lakebutler.registry.removal import MEMBER, needed_paths

__all__ = ["Batch", "Pending"]

_WITNESSES = 50


@dataclass
class Batch:
    """What one operation did to files.

    Attributes
    ----------
    refs : sequence of `DatasetRef`
        Its datasets.
    files : sequence of `FileRow`
        Their files, one each.
    written : `list` [`str`]
        Files that were made, relative to the root.
    moves : mapping
        Originals that are to be removed after the commit, by the file made of each.
    skipped : `list` [`DatasetRef`]
        Datasets that turned out to be there already when the commit was made.
    doomed : `list` [`str`]
        Files of datasets that were removed, to go after the commit.
    """

    refs: Sequence[DatasetRef]
    files: Sequence[FileRow]
    written: list[str]
    moves: Mapping[str, str] = field(default_factory=dict)
    skipped: list[DatasetRef] = field(default_factory=list)
    doomed: list[str] = field(default_factory=list)

    def needless(self) -> set[str]:
        """Files that were made for datasets that were there already."""
        if not self.skipped:
            return set()
        skipped = {ref.id for ref in self.skipped}
        kept = zip(self.refs, self.files, strict=True)
        used = set(paths_of(file.path for ref, file in kept if ref.id not in skipped and file.path))
        return {path for path in self.written if path not in used}

    def witnesses(self) -> Iterator[tuple[DatasetRef, FileRow]]:
        """Some of the datasets with files that were made; by them one sees whether a commit landed."""
        if self.written:
            step = max(1, len(self.refs) // _WITNESSES)
            yield from zip(self.refs[::step], self.files[::step], strict=True)


class _OfThread(threading.local):
    """What one thread has done."""

    batches: list[Batch] | None = None


class Pending:
    """What the open transaction of a butler, or its only operation, has done to files.

    Parameters
    ----------
    datastore : `Datastore`
        Where the files are.
    registry : `Registry`
        Where a commit is seen.
    """

    def __init__(self, datastore: Datastore, registry: Registry) -> None:
        self._datastore = datastore
        self._registry = registry
        self._mine = _OfThread()

    @property
    def _batches(self) -> list[Batch]:
        batches = self._mine.batches
        if batches is None:
            batches = self._mine.batches = []
        return batches

    def add(self, batch: Batch) -> None:
        """Note what an operation did."""
        self._batches.append(batch)

    def mark(self) -> int:
        """How much there is now."""
        return len(self._batches)

    def sync(self, mark: int = 0) -> None:
        """Make the files that were made since a mark durable."""
        self._datastore.sync([path for batch in self._batches[mark:] for path in batch.written])

    def done(self, mark: int = 0) -> None:
        """The commit landed: remove originals, what was made in vain, and files of what was removed."""
        batches = self._take(mark)
        moves: list[str] = []
        needless: set[str] = set()
        for batch in batches:
            gone = batch.needless()
            needless |= gone
            moves += [original for path, original in batch.moves.items() if path not in gone]
        if needless:
            self._remove(sorted(needless))
        self._datastore.finish(moves)
        doomed = [path for batch in batches for path in batch.doomed]
        if doomed:
            with suppress(RepositoryError):  # the commit has landed; what stays behind is an orphan
                self._remove(self._unneeded(doomed))

    def _unneeded(self, doomed: Sequence[str]) -> list[str]:
        """Those of some files that neither the newest version nor one with a tag refers to."""
        lake = self._registry.session.lake
        newest = lake.snapshot()
        paths = {path.partition(MEMBER)[0] for path in doomed}
        paths = {path for path in paths if stored_path_problem(path) is None}
        for version in [newest.version, *sorted(tagged_versions(newest))]:
            if paths:
                snapshot = newest if version == newest.version else lake.as_of(version)
                paths -= needed_paths(snapshot, sorted(paths))
        return sorted(paths)

    def forget(self, mark: int) -> None:
        """Leave the files that were made since a mark as they are."""
        self._take(mark)

    def undo(self, mark: int) -> None:
        """Remove the files that were made since a mark; nothing refers to them."""
        self._remove([path for batch in self._take(mark) for path in batch.written])

    def failed(self, mark: int, failure: BaseException) -> None:
        """The commit failed: remove the files that were made since a mark, if it cannot have landed.

        A file too many is an orphan that nobody sees; a file too few is a lost
        dataset.  After an interrupt, or where the store gave no answer, files stay.

        Parameters
        ----------
        mark : `int`
            What `mark` gave.
        failure : exception
            How it ended.
        """
        if (
            isinstance(failure, CommitUnknownError)
            or not isinstance(failure, Exception)
            or self._landed(mark)
        ):
            self.forget(mark)
        else:
            self.undo(mark)

    def _take(self, mark: int) -> list[Batch]:
        taken = self._batches[mark:]
        del self._batches[mark:]
        return taken

    def _remove(self, paths: Sequence[str]) -> None:
        with suppress(StorageError):  # what stays behind is an orphan
            self._datastore.rollback(paths)

    def _landed(self, mark: int) -> bool:
        try:
            return any(
                self._knows(ref, file) for batch in self._batches[mark:] for ref, file in batch.witnesses()
            )
        except Exception:  # noqa: BLE001 - whatever it is, nobody can tell
            return True

    def _knows(self, ref: DatasetRef, file: FileRow) -> bool:
        try:
            found = self._registry.file_of(ref)
        except LookupError:
            return False
        return found is not None and found.path is not None and found.path == file.path
