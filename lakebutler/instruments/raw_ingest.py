# SPDX-License-Identifier: BSD-3-Clause
"""Ingest raw files: read headers, decide everything in Python, write one commit.

What is already in the repository is looked up once for the whole batch.  New days,
groups and exposures, and all datasets, go into one transaction, so that a batch is
there as a whole or not at all; files that cannot be used are in the report with their
reason and do not keep the others out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.file_dataset import FileDataset
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.errors import ButlerUserError, HeaderError, InstrumentError, MissingDatasetTypeError
from lakebutler.ids import DatasetIdGenEnum
from lakebutler.instruments.camera import Camera, camera_names, load_camera
from lakebutler.instruments.file_search import find_files
from lakebutler.instruments.headers import FileResult, read_files
from lakebutler.instruments.ingest_plan import Accepted, Batch, in_order, judge_records, sort_files
from lakebutler.instruments.ingest_report import FileReport, FileStatus, IngestReport
from lakebutler.instruments.instrument import raw_run_name
from lakebutler.instruments.observation import Observation, day_obs_record, group_record
from lakebutler.progress import NullProgress, Progress

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["ingest_raws"]

_DIMENSIONS = ("instrument", "exposure", "detector")


def ingest_raws(
    butler: Butler,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    run: str | None = None,
    transfer: str | None = "auto",
    processes: int = 1,
    regex: str | None = None,
    fail_fast: bool = False,
    update_records: bool = False,
    skip_existing: bool = True,
    instrument: str | os.PathLike[str] | Camera | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Ingest raw files of registered cameras.

    Parameters
    ----------
    butler : `Butler`
        A writeable repository.
    paths : `str`, path-like or iterable of them
        Files, directories, globs or URLs.
    run : `str`, optional
        Run to ingest into; default: ``<camera>/raw/all``.
    transfer : `str`, optional
        How files get into the repository, as for `Butler.ingest`.
    processes : `int`, optional
        Processes that read headers.
    regex : `str`, optional
        What names of files in directories have to contain; default: FITS files.
    fail_fast : `bool`, optional
        Raise on the first file that cannot be used, before anything is ingested.
    update_records : `bool`, optional
        Replace registered exposure records that differ from the headers.
    skip_existing : `bool`, optional
        Pass over raws that are there already instead of rejecting their files.
    instrument : `str`, path-like or `Camera`, optional
        Only this camera: a name, or a camera file of the user's.  Default: every
        registered instrument whose camera is known.
    progress : `Progress`, optional
        Told of every file.

    Returns
    -------
    report : `IngestReport`
        What became of every file.

    Raises
    ------
    InstrumentError
        Raised if the instrument is not registered, or none is, or all files are of
        one that is not.
    HeaderError
        Raised with ``fail_fast`` for the first file that cannot be used.
    """
    watch = progress or NullProgress()
    names = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    cameras = _wanted_cameras(butler, instrument)
    files = find_files(names, regex)
    batch = sort_files(_read(files, cameras, processes, fail_fast=fail_fast, watch=watch))
    _refuse_strangers(batch, len(files))
    changes = _Changes(butler, batch, {c.name: c for c in cameras}, run)
    new, changed = changes.judge(update=update_records)
    changes.look_up(skip_existing=skip_existing)
    if fail_fast:
        _raise_first(batch.reports)
    watch.start("ingesting", len(changes.todo))
    with butler.transaction():
        changes.write_records(new, changed)
        changes.write_datasets(transfer)
    watch.advance(len(changes.todo))
    watch.finish()
    return IngestReport(
        files=in_order(batch, changes.decided()),
        run=", ".join(changes.runs()) or run or "",
        datasets=sum(len(refs) for _, refs in changes.todo),
        exposures_added=len(new),
        exposures_updated=len(changed),
    )


# ---------------------------------------------------------------------- cameras


def _wanted_cameras(butler: Butler, instrument: str | os.PathLike[str] | Camera | None) -> list[Camera]:
    registered = {record.name for record in butler.query_dimension_records("instrument", explain=False)}
    if instrument is not None:
        camera = instrument if isinstance(instrument, Camera) else load_camera(instrument)
        if camera.name not in registered:
            given = camera.name if isinstance(instrument, Camera) else os.fspath(instrument)
            raise _not_registered(camera.name, given)
        return [camera]
    if not registered:
        known = ", ".join(camera_names())
        raise InstrumentError(
            "no instrument is registered in this repository",
            hint=f"lakebutler register-instrument NAME  (known: {known})",
        )
    cameras = []
    for name in sorted(registered):
        try:
            cameras.append(load_camera(name))
        except InstrumentError:
            continue  # an instrument without a camera file here: its files cannot be recognised
    if not cameras:
        raise InstrumentError(
            f"no camera file is known for the registered instruments ({', '.join(sorted(registered))})",
            hint="name one: --instrument path/to/camera.yaml",
        )
    return cameras


def _not_registered(name: str, given: str) -> InstrumentError:
    return InstrumentError(
        f"instrument {name!r} is not registered in this repository",
        hint=f"lakebutler register-instrument {given}",
    )


def _refuse_strangers(batch: Batch, count: int) -> None:
    """Raise if every file is of one known camera that is not registered."""
    names = set(batch.strangers.values())
    if len(names) == 1 and len(batch.strangers) == count and names <= set(camera_names()):
        name = names.pop()
        raise _not_registered(name, name)


# ---------------------------------------------------------------------- reading


def _read(
    files: Sequence[str], cameras: Sequence[Camera], processes: int, *, fail_fast: bool, watch: Progress
) -> Iterable[FileResult]:
    watch.start("reading headers", len(files))
    for result in read_files(files, cameras, processes=processes):
        watch.advance()
        if fail_fast and not result.observations:
            raise HeaderError(f"{result.path}: {result.reason}")
        yield result
    watch.finish()


def _raise_first(reports: Mapping[int, FileReport]) -> None:
    for position in sorted(reports):
        report = reports[position]
        raise HeaderError(f"{report.path}: {report.reason}")


# ---------------------------------------------------------------------- changes


class _Changes:
    """What a batch adds to a repository.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    batch : `Batch`
        The files.
    cameras : `Mapping`
        Cameras by name.
    run : `str` or `None`
        Run for all, instead of one per camera.
    """

    def __init__(self, butler: Butler, batch: Batch, cameras: Mapping[str, Camera], run: str | None) -> None:
        self.butler = butler
        self.batch = batch
        self.cameras = cameras
        self.run = run
        self.todo: list[tuple[Accepted, list[DatasetRef]]] = []
        self.skipped: list[Accepted] = []
        self.types: dict[str, DatasetType] = {}

    def judge(self, *, update: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Compare exposure records with the registered ones, all looked up at once."""
        stored: dict[tuple[str, int], Mapping[str, Any]] = {}
        by_instrument: dict[str, list[int]] = {}
        for name, exposure in self.batch.first:
            by_instrument.setdefault(name, []).append(exposure)
        for name, exposures in by_instrument.items():
            found = self.butler.query_dimension_records(
                "exposure",
                instrument=name,
                where="exposure IN (ids)",
                bind={"ids": exposures},
                explain=False,
                limit=None,
            )
            stored |= {(name, record.id): record.toDict() for record in found}
        return judge_records(self.batch, stored, update=update)

    def look_up(self, *, skip_existing: bool) -> None:
        """Find out which raws are there already, all at once."""
        refs = [self.refs(file) for file in self.batch.accepted]
        flat = [ref for part in refs for ref in part]
        present = self.butler.existing(flat)
        for file, part in zip(list(self.batch.accepted), refs, strict=True):
            missing = [ref for ref in part if ref.id not in present]
            if len(missing) == len(part) or (missing and skip_existing):
                self.todo.append((file, missing))
            elif skip_existing:
                self.skipped.append(file)
            else:
                there = next(ref for ref in part if ref.id in present)
                self.batch.reject([file], f"detector {there.dataId['detector']} is already in run {there.run}")

    def refs(self, file: Accepted) -> list[DatasetRef]:
        """Make the references of the datasets in a file."""
        camera = self.cameras[file.exposure_key[0]]
        kind = self.dataset_type(camera)
        run = self.run or raw_run_name(camera)
        return [
            DatasetRef(
                kind,
                DataCoordinate.from_required_values(kind.dimensions, _required_values(kind, o)),
                run=run,
                id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN,
            )
            for o in file.observations
        ]

    def dataset_type(self, camera: Camera) -> DatasetType:
        """Look up the dataset type of a camera's raws, or define it."""
        facts = camera.raw
        kind = self.types.get(facts.dataset_type)
        if kind is None:
            try:
                kind = self.butler.get_dataset_type(facts.dataset_type)
            except MissingDatasetTypeError:
                dimensions = self.butler.dimensions.conform(_DIMENSIONS)
                kind = DatasetType(facts.dataset_type, dimensions, facts.storage_class)
            if set(kind.dimensions.required) != set(_DIMENSIONS):
                raise ButlerUserError(
                    f"dataset type {kind.name!r} has dimensions {', '.join(kind.dimensions.required)}; "
                    f"raws need {', '.join(_DIMENSIONS)}"
                )
            self.types[facts.dataset_type] = kind
        return kind

    def write_records(self, new: Sequence[Mapping[str, Any]], changed: Sequence[Mapping[str, Any]]) -> None:
        """Insert days, groups and exposures."""
        registry = self.butler.registry
        wanted = {(r["instrument"], r["id"]) for r in (*new, *changed)}
        firsts = [o for key, o in self.batch.first.items() if key in wanted]
        days = {(o.instrument, o.day_obs): day_obs_record(o) for o in firsts}
        groups = {(o.instrument, o.group): group_record(o) for o in firsts}
        if days:
            registry.insertDimensionData("day_obs", *days.values(), skip_existing=True)
        if groups:
            registry.insertDimensionData("group", *groups.values(), skip_existing=True)
        if new:
            registry.insertDimensionData("exposure", *new, skip_existing=True)
        if changed:
            registry.insertDimensionData("exposure", *changed, replace=True)

    def write_datasets(self, transfer: str | None) -> None:
        """Ingest the files."""
        for kind in self.types.values():
            self.butler.registry.registerDatasetType(kind)
        if not self.todo:
            return
        files = [FileDataset(file.path, refs, self.formatter(file, refs)) for file, refs in self.todo]
        self.butler.ingest(*files, transfer=transfer, skip_existing=True)

    def formatter(self, file: Accepted, refs: Sequence[DatasetRef]) -> str | list[str]:
        """Say how to read each dataset of a file."""
        key = self.cameras[file.exposure_key[0]].raw.formatter
        if not file.units:
            return key
        units = {o.detector: unit for o, unit in zip(file.observations, file.units, strict=True)}
        return [f"{key}?hdu={units[ref.dataId['detector']]}" for ref in refs]

    def decided(self) -> list[tuple[Accepted, FileReport]]:
        """Say what became of the files that were not rejected."""
        done = [(file, file.report(FileStatus.INGESTED)) for file, _ in self.todo]
        return done + [(file, file.report(FileStatus.PRESENT)) for file in self.skipped]

    def runs(self) -> list[str]:
        """Runs of all usable files."""
        return list(
            dict.fromkeys(self.run or raw_run_name(self.cameras[f.exposure_key[0]]) for f in self.batch.accepted)
        )


def _required_values(kind: DatasetType, observation: Observation) -> tuple[Any, ...]:
    values = {
        "instrument": observation.instrument,
        "exposure": observation.exposure_id,
        "detector": observation.detector,
    }
    return tuple(values[name] for name in kind.dimensions.required)
