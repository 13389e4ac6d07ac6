# SPDX-License-Identifier: BSD-3-Clause
"""Write datasets: files first, made durable, then one commit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from lakebutler.butler import ingest as ingesting
from lakebutler.butler.base import ButlerBase
from lakebutler.butler.pending import Batch
from lakebutler.butler.types import type_to_write
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.file_dataset import FileDataset
from lakebutler.datasets.provenance import DatasetProvenance
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.errors import (
    DimensionValueError,
    NoDefaultCollectionError,
)
from lakebutler.registry.dataset_rows import FileRow

__all__ = ["WritingButler"]


_OUTSIDE = {"direct": False, "split": False, "link": True, "symlink": True, "relsymlink": True}
"""Transfer modes that can leave a file outside, and whether the repository then has a link to it."""


class WritingButler(ButlerBase):
    """The writing verbs of `Butler`."""

    @contextlib.contextmanager
    def transaction(self, *, message: str = "") -> Iterator[None]:
        """Make one commit of everything inside the block, or nothing.

        Parameters
        ----------
        message : `str`, optional
            A line to record with the commit.

        Notes
        -----
        What the block writes is seen by this butler at once and by others when
        the block ends.  If it raises, rows and files are undone together.  No
        lock is held meanwhile.
        """
        outermost = not self._session.in_transaction
        mark = self._pending.mark()
        committing = False
        try:
            with self._session.transaction(message=message):
                yield
                if outermost:
                    self._pending.sync()
                    committing = True
        except BaseException as failure:
            if committing:
                self._pending.failed(mark, failure)
            else:
                self._pending.undo(mark)
            raise
        if outermost:
            self._pending.done()

    def put(
        self,
        obj: Any,
        datasetRefOrType: DatasetRef | DatasetType | str,
        /,
        dataId: DataCoordinate | Mapping[str, Any] | None = None,
        *,
        run: str | None = None,
        provenance: DatasetProvenance | None = None,
        **kwargs: Any,
    ) -> DatasetRef:
        """Write an object as a dataset.

        Parameters
        ----------
        obj : object
            What to write; it must fit the storage class.
        datasetRefOrType : `DatasetRef`, `DatasetType` or `str`
            Type of the dataset; or a reference, whose ID is kept.
        dataId : `DataCoordinate` or mapping, optional
            Its data ID, with a type.
        run : `str`, optional
            Run to write to; the default run if not given.
        provenance : `DatasetProvenance`, optional
            Where the dataset comes from, written with it where its format can.
        **kwargs
            More of the data ID.

        Returns
        -------
        ref : `DatasetRef`
            The dataset, with a full data ID.

        Raises
        ------
        ConflictingDefinitionError
            Raised if the run has a dataset of this type and data ID.
        StorageClassError
            Raised if the object does not fit the storage class.
        """
        self._session.require_writeable("put a dataset")
        with self._session.held():
            ref, kind = self._reference(datasetRefOrType, dataId, run, kwargs)
            # Refuse before anything is written; the commit checks again.
            self._registry.check_free(ref)
        stored = ref if ref.datasetType is kind else ref.overrideStorageClass(kind.storageClass_name)
        record = self._datastore.put(obj, stored, provenance=provenance)
        written = [part.path for part in record.files if part.path is not None]
        new_id = not isinstance(datasetRefOrType, DatasetRef)
        self._commit(Batch([ref], [FileRow(*record)], written), op="put", new_id=new_id)
        return ref

    def _reference(
        self,
        target: DatasetRef | DatasetType | str,
        data_id: DataCoordinate | Mapping[str, Any] | None,
        run: str | None,
        keywords: Mapping[str, Any],
    ) -> tuple[DatasetRef, DatasetType]:
        """What is to be put, and its type as registered."""
        if isinstance(target, DatasetRef):
            if data_id is not None or keywords:
                raise DimensionValueError("a DatasetRef has its data ID: none may be given beside it")
            if run is not None and run != target.run:
                raise DimensionValueError(f"the reference is to run {target.run!r}, not {run!r}")
            registered = type_to_write(self._registry, target.datasetType, "put")
            if target.dataId.hasRecords():
                return target, registered
            return target.expanded(self._registry.expand(target.dataId)), registered
        registered = type_to_write(self._registry, target, "put")
        kind = registered if isinstance(target, str) else target
        chosen = run if run is not None else self.run
        if chosen is None:
            raise NoDefaultCollectionError(
                f"cannot put {kind.name}: no run is given, and the butler has no default",
                hint="pass run=, or open the butler with run=",
            )
        exact = self._resolve(kind, data_id, keywords)[0]
        return DatasetRef(kind, self._registry.expand(exact), run=chosen, conform=False), registered

    def _commit(
        self,
        batch: Batch,
        *,
        op: str,
        skip_existing: bool = False,
        create_runs: bool = False,
        new_id: bool = False,
    ) -> None:
        """Make files durable and commit their rows; undo the files if that fails."""
        nested = self._session.in_transaction
        mark = self._pending.mark()
        self._pending.add(batch)
        try:
            if not nested:
                self._pending.sync(mark)
            if len(batch.refs) == 1 and not skip_existing and not create_runs:
                self._registry.add_one(batch.refs[0], batch.files[0], op=op, new_id=new_id)
            else:
                self._registry.add(
                    batch.refs,
                    batch.files,
                    op=op,
                    skip_existing=skip_existing,
                    create_runs=create_runs,
                    skipped=batch.skipped,
                )
        except Exception as failure:
            self._pending.failed(mark, failure)
            raise
        except BaseException:
            if not nested:  # else it is undone with the transaction
                self._pending.forget(mark)
            raise
        if not nested:
            self._pending.done(mark)

    def ingest(
        self,
        *datasets: FileDataset,
        transfer: str | None = "auto",
        record_validation_info: bool = True,
        skip_existing: bool = False,
    ) -> None:
        """Add files that exist as datasets, in one commit.

        Parameters
        ----------
        *datasets : `FileDataset`
            Files, each with the datasets it holds.
        transfer : `str` or `None`, optional
            What happens to the files: `None` (they lie inside the repository
            already), ``auto`` (in place if inside, else copied), ``copy``,
            ``move``, ``direct`` (they stay where they are), ``split`` (in place
            if inside, else direct), ``link``, ``hardlink``, ``symlink`` or
            ``relsymlink``.
        record_validation_info : `bool`, optional
            Accepted as the field's interface has it; sizes are always recorded.
        skip_existing : `bool`, optional
            Whether to pass over datasets that are there already.

        Raises
        ------
        ConflictingDefinitionError
            Raised if a data ID is taken; nothing is added then.
        FileNotFoundError
            Raised if a file is missing; nothing is added then.
        """
        del record_validation_info
        self._session.require_writeable("ingest files")
        if not datasets:
            return
        with self._session.held():
            batch = ingesting.prepare(self._registry, datasets, skip_existing=skip_existing)
        if not batch.files:
            return
        root = self._repository.root
        if transfer == "direct" and ingesting.any_inside(batch.files, root):
            transfer = "split"  # what lies inside is named relative to the root, so that it moves with it
        if transfer in _OUTSIDE:
            self._allow(ingesting.outside(batch.files, root, resolve=_OUTSIDE[transfer]))
        done = self._datastore.ingest(batch.files, transfer)
        rows = ingesting.spread(batch, done.records)
        moves = {
            record.path or "": original for record, original in zip(done.records, done.moves, strict=False)
        }
        self._commit(
            Batch(batch.refs, rows, done.written, moves),
            op="ingest",
            skip_existing=skip_existing,
            create_runs=True,
        )

    def _allow(self, directories: set[str]) -> None:
        """Remember that this user's datasets may lie in these places."""
        if directories:
            self._repository.trust.allow(directories)
            self._datastore.allow_external(directories)
