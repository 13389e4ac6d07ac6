# SPDX-License-Identifier: BSD-3-Clause
"""What a batch of raws changes in a repository: looked up once, written in one commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from lakebutler.butler import ingest as ingesting
from lakebutler.butler.pending import Batch as PendingBatch
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.file_dataset import FileDataset
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.errors import ButlerError, DatasetTypeError, MissingDatasetTypeError
from lakebutler.ids import DatasetIdGenEnum, make_dataset_ids
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.cameras.register import raw_run_name
from lakebutler.instruments.headers.observation import Observation, day_obs_record, group_record
from lakebutler.instruments.raws.plan import Accepted, Batch, judge_records
from lakebutler.instruments.raws.report import FileReport, FileStatus
from lakebutler.registry.datasets import compare
from lakebutler.registry.schema import dataset_layout

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["RawChanges"]

_DIMENSIONS = ("instrument", "exposure", "detector")
_FIELDS = {"instrument": "instrument", "exposure": "exposure_id", "detector": "detector"}
_MODE = DatasetIdGenEnum.DATAID_TYPE_RUN
# Ways of transfer after which a dataset's bytes may lie outside the repository.
_LEAVES_OUTSIDE = frozenset({"direct", "split", "link", "symlink", "relsymlink"})


class RawChanges:
    """What a batch adds to a repository.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    batch : `Batch`
        The files.
    cameras : `Mapping` [`str`, `Camera`]
        Cameras by name.
    run : `str` or `None`
        Run for all, instead of one per camera.

    Attributes
    ----------
    todo : `list` [`tuple`]
        Files to ingest, each with the references that are new.
    skipped : `list` [`Accepted`]
        Files whose datasets are all there already.
    new_exposures, changed_exposures : `list` [`DimensionRecord`]
        Exposure records to insert and to replace.
    """

    def __init__(self, butler: Butler, batch: Batch, cameras: Mapping[str, Camera], run: str | None) -> None:
        self.butler = butler
        self.batch = batch
        self.cameras = cameras
        self.run = run
        self.todo: list[tuple[Accepted, list[DatasetRef]]] = []
        self.skipped: list[Accepted] = []
        self.new_exposures: list[DimensionRecord] = []
        self.changed_exposures: list[DimensionRecord] = []
        self._types: dict[str, DatasetType] = {}

    # ------------------------------------------------------------------ looking

    def judge(self, *, update: bool, skip_existing: bool) -> None:
        """Compare the batch with what is registered.

        Parameters
        ----------
        update : `bool`
            Whether differing exposure records are to be replaced.
        skip_existing : `bool`
            Whether raws that are there already are passed over.

        Raises
        ------
        DatasetTypeError
            Raised if the dataset type of the raws has other dimensions.
        """
        new, changed = judge_records(self.batch, self._stored_exposures(), update=update)
        self.new_exposures, self.changed_exposures = self._fitting(new), self._fitting(changed)
        references = self._references()
        present, taken = self._present([ref for _, refs in references for ref in refs])
        if not present and not taken:
            self.todo = references
            return
        for file, refs in references:
            missing = [ref for ref in refs if ref.id not in present]
            clash = next((ref for ref in refs if ref.id in taken), None)
            if clash is not None:
                reason = f"{clash.datasetType.name} of detector {clash.dataId['detector']}: {taken[clash.id]}"
                self.batch.reject([file], reason)
            elif len(missing) == len(refs) or (missing and skip_existing):
                self.todo.append((file, missing))
            elif skip_existing:
                self.skipped.append(file)
            else:
                there = next(ref for ref in refs if ref.id in present)
                self.batch.reject(
                    [file], f"detector {there.dataId['detector']} is already in run {there.run}"
                )

    def _fitting(self, rows: Sequence[Mapping[str, Any]]) -> list[DimensionRecord]:
        """Make the records of exposures; the files of one that does not fit are rejected."""
        make, fitting = self.butler.dimensions["exposure"].RecordClass, []
        for row in rows:
            try:
                fitting.append(make(**row))
            except ButlerError as err:
                key = row["instrument"], row["id"]
                files = [file for file in self.batch.accepted if file.exposure_key == key]
                self.batch.reject(files, err.message)
        return fitting

    def _stored_exposures(self) -> dict[tuple[str, int], Mapping[str, Any]]:
        """Look up the exposures of the batch by number, and by name, which is theirs alone."""
        wanted: dict[str, list[Observation]] = {}
        for (name, _), first in self.batch.first.items():
            wanted.setdefault(name, []).append(first)
        stored: dict[tuple[str, int], Mapping[str, Any]] = {}
        for name, firsts in wanted.items():
            found = self.butler.query_dimension_records(
                "exposure",
                instrument=name,
                where="exposure IN (ids) OR exposure.obs_id IN (names)",
                bind={"ids": [o.exposure_id for o in firsts], "names": [o.obs_id for o in firsts]},
                explain=False,
                limit=None,
            )
            stored |= {(name, row["id"]): row for row in (record.toDict() for record in found)}
        return stored

    def _present(self, refs: Sequence[DatasetRef]) -> tuple[set[Any], dict[Any, str]]:
        """Find the datasets that are there, and those whose place another one has taken."""
        if not refs:
            return set(), {}
        present: set[Any] = set()
        taken: dict[Any, str] = {}
        for kind in self._types.values():
            part = [ref for ref in refs if ref.datasetType is kind]
            verdict = compare(self.butler._registry.snapshot, dataset_layout(kind.dimensions), part)
            present |= {part[i].id for i in verdict.same}
            taken |= {part[i].id: verdict.reason(i) for i in verdict.conflicting}
        return present, taken

    def _references(self) -> list[tuple[Accepted, list[DatasetRef]]]:
        """Make the references of all datasets, camera by camera."""
        by_camera: dict[str, list[Accepted]] = {}
        for file in self.batch.accepted:
            by_camera.setdefault(file.observations[0].instrument, []).append(file)
        found: dict[int, list[DatasetRef]] = {}
        make = DataCoordinate.from_required_values
        for name, files in by_camera.items():
            kind, run = self._dataset_type(self.cameras[name]), self._run_of(self.cameras[name])
            group = kind.dimensions
            values_of = attrgetter(*[_FIELDS[dimension] for dimension in group.required])
            values = [values_of(o) for file in files for o in file.observations]
            ids = make_dataset_ids(_MODE, run, kind.name, tuple(group.required), values)
            refs = iter(
                [
                    DatasetRef(kind, make(group, value), run=run, id=own, conform=False)
                    for value, own in zip(values, ids, strict=True)
                ]
            )
            for file in files:
                found[file.position] = [next(refs) for _ in file.observations]
        return [(file, found[file.position]) for file in self.batch.accepted]

    def _run_of(self, camera: Camera) -> str:
        return self.run or raw_run_name(camera)

    def _dataset_type(self, camera: Camera) -> DatasetType:
        """Look up the dataset type of a camera's raws, or define it."""
        name = camera.raw.dataset_type
        kind = self._types.get(name)
        if kind is None:
            try:
                kind = self.butler.get_dataset_type(name)
            except MissingDatasetTypeError:
                kind = DatasetType(
                    name, self.butler.dimensions.conform(_DIMENSIONS), camera.raw.storage_class
                )
            if set(kind.dimensions.required) != set(_DIMENSIONS):
                raise DatasetTypeError(
                    f"dataset type {name!r} is registered with dimensions "
                    f"{', '.join(kind.dimensions.required)}; raws need {', '.join(_DIMENSIONS)}"
                )
            self._types[name] = kind
        return kind

    # ------------------------------------------------------------------ writing

    def commit(self, transfer: str | None, report: Callable[[], None] = lambda: None) -> None:
        """Write records, datasets and a report: one commit, or nothing if nothing happened.

        Parameters
        ----------
        transfer : `str` or `None`
            How files get into the repository.
        report : callable, optional
            Writes what became of the files.
        """
        rejected = any(file.status is FileStatus.REJECTED for file in self.batch.reports.values())
        if not (self.todo or self.new_exposures or self.changed_exposures or rejected):
            return
        with self.butler.transaction(message=f"{len(self.todo)} raw files"):
            self._write_records()
            if self.todo:
                for kind in self._types.values():
                    self.butler.registry.registerDatasetType(kind)
                self._write_datasets(transfer)
            report()

    def _write_records(self) -> None:
        registry, new, changed = self.butler.registry, self.new_exposures, self.changed_exposures
        wanted = {record.to_row()[:2] for record in (*new, *changed)}
        firsts = [o for key, o in self.batch.first.items() if key in wanted]
        days = {(o.instrument, o.day_obs): day_obs_record(o) for o in firsts}
        groups = {(o.instrument, o.group): group_record(o) for o in firsts}
        for element, rows in (("day_obs", days.values()), ("group", groups.values()), ("exposure", new)):
            if rows:
                registry.insertDimensionData(element, *rows, skip_existing=True)
        if changed:
            registry.insertDimensionData("exposure", *changed, replace=True)

    def _write_datasets(self, transfer: str | None) -> None:
        """Ingest the files; where one holds several detectors, each row says in which unit."""
        butler = self.butler
        own_keys: dict[Any, str] = {}
        keys = {name: camera.raw.formatter for name, camera in self.cameras.items()}
        files = []
        for file, refs in self.todo:
            key = keys[file.observations[0].instrument]
            files.append(FileDataset(file.path, refs, key))
            if file.units:
                units = {o.detector: unit for o, unit in zip(file.observations, file.units, strict=True)}
                own_keys |= {ref.id: f"{key}?hdu={units[int(ref.dataId['detector'])]}" for ref in refs}
        if not own_keys:
            butler.ingest(*files, transfer=transfer, skip_existing=True)
            return
        if transfer in _LEAVES_OUTSIDE:
            butler._allow(ingesting.outside(files, butler.root))
        # As Butler.ingest, with a formatter for each dataset instead of each file.
        offered = ingesting.prepare(butler._registry, files, skip_existing=True)
        done = butler._datastore.ingest(offered.files, transfer)
        rows = ingesting.spread(offered, done.records)
        rows = [
            row._replace(formatter=own_keys.get(ref.id, row.formatter))
            for ref, row in zip(offered.refs, rows, strict=True)
        ]
        moves = {
            record.path or "": original for record, original in zip(done.records, done.moves, strict=False)
        }
        butler._commit(
            PendingBatch(offered.refs, rows, done.written, moves),
            op="ingest",
            skip_existing=True,
            create_runs=True,
        )

    # ---------------------------------------------------------------- reporting

    def decided(self) -> list[tuple[Accepted, FileReport]]:
        """Say what became of the files that were not rejected.

        Returns
        -------
        decided : `list` [`tuple` [`Accepted`, `FileReport`]]
            The reports.
        """
        done = [(file, file.report(FileStatus.INGESTED)) for file, _ in self.todo]
        return done + [(file, file.report(FileStatus.PRESENT)) for file in self.skipped]

    def runs(self) -> list[str]:
        """Name the runs of all usable files.

        Returns
        -------
        runs : `list` [`str`]
            Each once.
        """
        names = dict.fromkeys([file.observations[0].instrument for file in self.batch.accepted])
        return list(dict.fromkeys(self._run_of(self.cameras[name]) for name in names))
