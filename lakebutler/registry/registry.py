# SPDX-License-Identifier: BSD-3-Clause
"""What a repository knows, read and changed through one session on the lake.

`Registry` has the operations in the terms of this package; the façade with the
field's method names stands in `lakebutler.butler`.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lakebutler.collections.collection import CollectionInfo, CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import ConflictingDatasetTypeError, DatasetNotFoundError, DatasetTypeExpressionError
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry import associate as tags
from lakebutler.registry import calibrations, collections, dataset_types, datasets
from lakebutler.registry.dataset_rows import FileRow, file_of, row_to_ref
from lakebutler.registry.dimension_records import (
    RecordCache,
    check_exist,
    expand,
    insert_records,
    sync_record,
)
from lakebutler.registry.long_paths import LongPaths
from lakebutler.registry.schema import DatasetLayout, dataset_layout
from lakebutler.registry.session import Session
from lakebutler.timespan import Timespan

__all__ = ["Found", "Registry", "now"]

Found = tuple[DatasetRef, FileRow | None]
"""A dataset and its file, `None` if it is not stored."""


def now() -> datetime.datetime:
    """The time to record, UTC."""
    return datetime.datetime.now(datetime.UTC)


class Registry:
    """Operations on what a repository knows.

    Parameters
    ----------
    session : `Session`
        Access to the lake.
    universe : `DimensionUniverse`
        The repository's dimensions.
    """

    def __init__(self, session: Session, universe: DimensionUniverse) -> None:
        self.session = session
        self.universe = universe
        self.types = dataset_types.DatasetTypes(universe)
        self.records = RecordCache(universe)
        self._long_paths = LongPaths()
        self._paths: dict[tuple[str, ...], tuple[Snapshot, list[tuple[str, CollectionType]]]] = {}

    @property
    def snapshot(self) -> Snapshot:
        """The state to read now."""
        return self.session.snapshot

    # ------------------------------------------------------------ dataset types

    def dataset_type(self, name: str | DatasetType) -> DatasetType:
        """Look up a registered dataset type.

        Parameters
        ----------
        name : `str` or `DatasetType`
            The type, or its name (a component's too).

        Returns
        -------
        dataset_type : `DatasetType`
            The type as registered; a given object keeps its storage class.

        Raises
        ------
        MissingDatasetTypeError
            Raised if there is none.
        """
        if isinstance(name, str):
            return self.types.get(self.snapshot, name)
        if not isinstance(name, DatasetType):
            raise DatasetTypeExpressionError(
                f"a dataset type is given by name, not as {type(name).__name__} {name!r}",
                hint="give one name, or a DatasetType",
            )
        registered = self.types.get(self.snapshot, name.name)
        if registered.dimensions != name.dimensions:
            raise ConflictingDatasetTypeError(
                f"dataset type {name.name!r} is registered with dimensions "
                f"{', '.join(registered.dimensions.required)}, not {', '.join(name.dimensions.required)}",
                hint=f"use the registered type: get_dataset_type({name.name!r})",
            )
        return name

    def register_dataset_type(self, dataset_type: DatasetType) -> bool:
        """Register a dataset type; false if the same is registered already."""
        if self.types.find(self.snapshot, dataset_type.name) == dataset_type:
            self.session.require_writeable("register a dataset type")
            return False
        before = self.snapshot.state(dataset_types.KIND).get(dataset_type.name)
        self.session.execute(
            lambda s: dataset_types.register_dataset_type(s, dataset_type), op="register-dataset-type"
        )
        return before is None

    # -------------------------------------------------------------- collections

    def register_collection(self, name: str, kind: CollectionType, doc: str | None = None) -> bool:
        """Register a collection; false if it is there already."""
        fresh = False

        def build(snapshot: Snapshot) -> Change | None:
            nonlocal fresh
            change = collections.register_collection(snapshot, name, kind, doc)
            fresh = change is not None
            return change

        self.session.execute(build, op="register-collection")
        return fresh

    def edit_chain(self, parent: str, mode: str, children: Sequence[str], *, flatten: bool = False) -> None:
        """Edit a chain: ``redefine``, ``prepend``, ``extend`` or ``remove``."""

        def build(snapshot: Snapshot) -> Change | None:
            names = collections.flatten(snapshot, children) if flatten else list(children)
            return collections.edit_chain(snapshot, parent, mode, names)

        self.session.execute(build, op="collection-chain")

    def collection_info(self, name: str, *, parents: bool = False, summary: bool = False) -> CollectionInfo:
        """Describe a collection."""
        return collections.collection_info(
            self.snapshot, name, include_parents=parents, include_summary=summary
        )

    def collection_infos(
        self, names: Iterable[str], *, parents: bool = False, summary: bool = False
    ) -> list[CollectionInfo]:
        """Describe many collections."""
        snapshot = self.snapshot
        infos = [collections.collection_info(snapshot, name, include_summary=summary) for name in names]
        if not parents:
            return infos
        above = collections.all_parents(snapshot)
        return [replace(info, parents=frozenset(above.get(info.name, ()))) for info in infos]

    def search_path(self, names: Iterable[str]) -> list[tuple[str, CollectionType]]:
        """Expand chains to the collections that hold datasets, with their types.

        Parameters
        ----------
        names : iterable of `str`
            Collections in search order; names only, no globs.

        Returns
        -------
        path : `list` [`tuple` [`str`, `CollectionType`]]
            Each once, in search order; not to be changed.
        """
        snapshot = self.snapshot
        given = tuple(names)
        known = self._paths.get(given)
        if known is not None and known[0] is snapshot:
            return known[1]
        path = [
            (name, collections.collection_type(snapshot, name))
            for name in collections.flatten(snapshot, given)
        ]
        if len(self._paths) >= 64:
            self._paths.clear()
        self._paths[given] = (snapshot, path)
        return path

    # --------------------------------------------------------------- dimensions

    def insert_records(
        self,
        element: DimensionElement,
        records: Sequence[DimensionRecord],
        *,
        replace: bool,
        skip_existing: bool,
    ) -> None:
        """Insert dimension records, all or none."""
        self.session.execute(
            lambda s: insert_records(
                s, self.records, element, records, replace=replace, skip_existing=skip_existing
            ),
            op="insert-dimension-data",
        )

    def sync_record(
        self, element: DimensionElement, record: DimensionRecord, *, update: bool
    ) -> bool | dict[str, Any]:
        """Make sure that there is a record; see `lakebutler.registry.dimension_records.sync_record`."""
        outcome: bool | dict[str, Any] = False

        def build(snapshot: Snapshot) -> Change | None:
            nonlocal outcome
            change, outcome = sync_record(snapshot, self.records, element, record, update=update)
            return change

        self.session.execute(build, op="sync-dimension-data")
        return outcome

    def expand(
        self, data_id: DataCoordinate, records: Mapping[str, DimensionRecord | None] | None = None
    ) -> DataCoordinate:
        """Find everything that follows from a data ID."""
        return expand(self.snapshot, self.records, data_id, records=records)

    # ----------------------------------------------------------------- datasets

    def add(
        self,
        refs: Sequence[DatasetRef],
        files: Sequence[FileRow] | None,
        *,
        op: str,
        skip_existing: bool = False,
        create_runs: bool = False,
        skipped: list[DatasetRef] | None = None,
    ) -> None:
        """Add datasets in one commit, all or none.

        Parameters
        ----------
        refs : sequence of `DatasetRef`
            The datasets.
        files : sequence of `FileRow`, optional
            Their files, one each.
        op : `str`
            The verb to record.
        skip_existing : `bool`, optional
            Whether to pass over those that are there already.
        create_runs : `bool`, optional
            Whether to register runs that do not exist.
        skipped : `list` [`DatasetRef`], optional
            Those that were passed over are put into it when the commit is made.
        """
        when = now()
        cache: dict[str, Any] = {}
        files_by_id = None if files is None else files

        def build(snapshot: Snapshot) -> Change | None:
            if skipped is not None:
                skipped.clear()
            for positions in datasets.group_refs(refs).values():
                group = refs[positions[0]].datasetType.dimensions
                check_exist(
                    snapshot, self.records, group, [refs[i].dataId.required_values for i in positions]
                )
            return datasets.insert_datasets(
                snapshot,
                refs,
                files_by_id,
                when,
                skip_existing=skip_existing,
                create_runs=create_runs,
                table_cache=cache,
                on_same=None if skipped is None else skipped.extend,
            )

        self.session.execute(build, op=op)

    def check_free(self, ref: DatasetRef) -> None:
        """Refuse a dataset whose run does not exist, or has its data ID already."""
        datasets.check_free(self.snapshot, ref)

    def add_one(self, ref: DatasetRef, file: FileRow, *, op: str, new_id: bool = False) -> None:
        """Add one dataset in one commit; ``new_id`` says that its ID was made just for it."""
        when = now()

        def build(snapshot: Snapshot) -> Change:
            check_exist(snapshot, self.records, ref.datasetType.dimensions, [ref.dataId.required_values])
            return datasets.insert_one(snapshot, ref, file, when, new_id=new_id)

        self.session.execute(build, op=op, together=True)

    def present(self, refs: Sequence[DatasetRef]) -> set[int]:
        """Positions of the datasets that are there already, under the same ID, with files.

        Raises
        ------
        ConflictingDefinitionError
            Raised if a data ID is taken by another dataset in its run.
        """
        snapshot = self.snapshot
        result: set[int] = set()
        for layout, positions in datasets.group_refs(refs).items():
            part = refs if len(positions) == len(refs) else [refs[i] for i in positions]
            verdict = datasets.compare(snapshot, layout, part)
            if verdict.conflicting:
                first = verdict.conflicting[0]
                raise datasets.conflict(part, verdict.conflicting, verdict.reason(first))
            waiting = datasets.unstored(snapshot, layout, part, verdict.same)
            result.update(positions[i] for i in verdict.same if i not in waiting)
        return result

    def find(
        self,
        dataset_type: DatasetType,
        values: tuple[Any, ...],
        path: Sequence[tuple[str, CollectionType]],
        timespan: Timespan | None = None,
        *,
        file: bool = True,
    ) -> tuple[DatasetLayout, tuple[Any, ...]] | None:
        """Find the first dataset of a type and data ID in a list of collections.

        Parameters
        ----------
        dataset_type : `DatasetType`
            The type.
        values : `tuple`
            Values of its required dimensions.
        path : sequence of `tuple` [`str`, `CollectionType`]
            Collections in search order, no chains.
        timespan : `Timespan`, optional
            When a calibration must be valid.
        file : `bool`, optional
            Whether the row has to have the columns of the file.

        Returns
        -------
        found : `tuple` or `None`
            The table and the row of the dataset itself.
        """
        snapshot = self.snapshot
        layout = dataset_layout(dataset_type.dimensions)
        name = dataset_type.nameAndComponent()[0]
        width = None if file else layout.n_reference
        for collection, kind in self._long_paths.worth_asking(snapshot, layout, name, path, values):
            if kind is CollectionType.CALIBRATION:
                row = calibrations.find_calibration(snapshot, layout, name, collection, values, timespan)
            else:
                row = datasets.find_row(snapshot, layout, name, collection, values, width)
            if row is None:
                continue
            run = row[layout.index("run")]
            if run != collection:
                dataset_id = row[layout.index("id")]
                row = datasets.find_row(snapshot, layout, name, run, values, width)
                if row is None or row[layout.index("id")] != dataset_id:
                    continue
            return layout, row
        return None

    def row_of(self, ref: DatasetRef) -> tuple[DatasetLayout, tuple[Any, ...]]:
        """Find the row of a dataset.

        Parameters
        ----------
        ref : `DatasetRef`
            The dataset.

        Returns
        -------
        layout : `DatasetLayout`
            Its table.
        row : `tuple`
            Its row.

        Raises
        ------
        DatasetNotFoundError
            Raised if the repository does not hold it.
        """
        layout = dataset_layout(ref.datasetType.dimensions)
        name = ref.datasetType.nameAndComponent()[0]
        row = datasets.find_row(self.snapshot, layout, name, ref.run, ref.dataId.required_values)
        if row is None or row[layout.index("id")] != ref.id:
            raise DatasetNotFoundError(
                f"{name} {ref.dataId} (ID {ref.id}) is not in run {ref.run!r}",
                hint="the dataset was removed, or belongs to another repository",
            )
        return layout, row

    def file_of(self, ref: DatasetRef) -> FileRow | None:
        """File of a dataset; `None` if it is registered but not stored."""
        layout, row = self.row_of(ref)
        return file_of(layout, row)

    def by_id(self, dataset_id: uuid.UUID) -> Found | None:
        """Find a dataset by its ID."""
        snapshot = self.snapshot
        found = datasets.find_by_id(snapshot, dataset_id)
        if found is None:
            return None
        dataset_type = self.types.get(snapshot, found[1][0])
        return self.to_found(dataset_type, dataset_layout(dataset_type.dimensions), found[1])

    def to_found(self, dataset_type: DatasetType, layout: DatasetLayout, row: tuple[Any, ...]) -> Found:
        """Make a reference with a full data ID from a row, and the file if the row has it."""
        values = row[2 : layout.n_key]
        data_id = DataCoordinate.from_required_values(dataset_type.dimensions, values)
        ref = row_to_ref(layout, dataset_type, row, self.expand(data_id))
        return ref, file_of(layout, row) if len(row) > layout.n_reference else None

    # -------------------------------------------------------------- memberships

    def associate(self, collection: str, refs: Sequence[DatasetRef], *, replace: bool = True) -> None:
        """Put datasets into a TAGGED collection."""
        when = now()
        self.session.execute(
            lambda s: tags.associate(s, collection, refs, when, replace=replace), op="associate"
        )

    def disassociate(self, collection: str, refs: Sequence[DatasetRef]) -> None:
        """Take datasets out of a TAGGED collection."""
        self.session.execute(lambda s: tags.disassociate(s, collection, refs), op="disassociate")

    def certify(self, collection: str, refs: Sequence[DatasetRef], timespan: Timespan) -> None:
        """Declare calibrations valid in a range."""
        when = now()
        self.session.execute(
            lambda s: calibrations.certify(s, collection, refs, timespan, when), op="certify"
        )

    def decertify(
        self,
        collection: str,
        dataset_type: DatasetType,
        timespan: Timespan,
        data_ids: Sequence[DataCoordinate] | None = None,
    ) -> None:
        """Take a range out of the validity of calibrations."""
        self.session.execute(
            lambda s: calibrations.decertify(s, collection, dataset_type, timespan, data_ids), op="decertify"
        )

    def remove_collection(self, name: str) -> None:
        """Remove a collection; a RUN only if nothing else holds its datasets."""
        self.session.execute(lambda s: collections.remove_collection(s, name), op="remove-collection")
