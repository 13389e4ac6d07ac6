# SPDX-License-Identifier: BSD-3-Clause
"""Ingest raw files: read headers, decide everything in Python, write one commit.

What is already in the repository is looked up once for the whole batch.  New days,
groups and exposures, all datasets, and what became of every file go into one
transaction, so that a batch is there as a whole or not at all; files that cannot be used
are in the report with their reason and do not keep the others out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lakebutler.errors import HeaderError, InstrumentError
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.cameras.find import camera_names, load_camera
from lakebutler.instruments.headers.file import FileResult
from lakebutler.instruments.headers.parallel import read_files
from lakebutler.instruments.headers.repository_fixes import with_repository_fixes
from lakebutler.instruments.headers.sidecars import Sidecars
from lakebutler.instruments.headers.translate import require_translator
from lakebutler.instruments.raws.changes import RawChanges
from lakebutler.instruments.raws.file_search import find_files
from lakebutler.instruments.raws.plan import Batch, in_order, sort_files
from lakebutler.instruments.raws.report import FileReport, IngestReport, printable
from lakebutler.instruments.raws.report_table import record_files
from lakebutler.lake.collector import collector_paused
from lakebutler.progress import NullProgress, Progress

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["ingest_raws"]


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
    search_indexes: bool = True,
    progress: Progress | None = None,
) -> IngestReport:
    """Ingest raw files of registered cameras.

    Parameters
    ----------
    butler : `Butler`
        A writeable repository.
    paths : `str`, path-like or iterable of them
        Files, directories, globs or URLs.  An ``_index.json`` stands for the files it
        describes.
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
    search_indexes : `bool`, optional
        Look for an ``_index.json`` in every directory that files are taken from.
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
    registered = _registered(butler)
    cameras, notes = _wanted_cameras(registered, instrument)
    cameras = with_repository_fixes(butler, cameras)
    found: list[str] = []
    with collector_paused():
        sidecars = Sidecars(cameras, find_files(names, regex, found), search_indexes=search_indexes)
    results = list(_read(sidecars, cameras, processes, fail_fast=fail_fast, watch=watch))
    with collector_paused():  # all that is made from here on lives to the end
        batch = sort_files(results)
        _refuse_strangers(batch, len(sidecars.files), registered)
        changes = RawChanges(butler, batch, {c.name: c for c in cameras}, run)
        changes.judge(update=update_records, skip_existing=skip_existing)
        if fail_fast:
            _raise_first(batch.reports)
        return _committed(
            changes, transfer, (*notes, *dict.fromkeys(found), *map(printable, sidecars.notes)), watch
        )


def _committed(
    changes: RawChanges, transfer: str | None, notes: tuple[str, ...], watch: Progress
) -> IngestReport:
    """Commit what was decided, and say what became of every file."""
    watch.start("ingesting", len(changes.todo))
    reports = in_order(changes.batch, changes.decided())
    used = ", ".join(changes.runs()) or changes.run or ""
    changes.commit(transfer, lambda: record_files(changes.butler, reports, used))
    watch.advance(len(changes.todo))
    watch.finish()
    return IngestReport(
        files=reports,
        run=used,
        datasets=sum(len(refs) for _, refs in changes.todo),
        exposures_added=len(changes.new_exposures),
        exposures_updated=len(changes.changed_exposures),
        notes=notes,
    )


# ---------------------------------------------------------------------- cameras


def _registered(butler: Butler) -> set[str]:
    found = butler.query_dimension_records("instrument", explain=False, limit=None)
    return {str(record.toDict()["name"]) for record in found}


def _wanted_cameras(
    registered: set[str], instrument: str | os.PathLike[str] | Camera | None
) -> tuple[list[Camera], tuple[str, ...]]:
    """Choose cameras; what the user may have to know about the choice is a note."""
    if instrument is not None:
        camera = instrument if isinstance(instrument, Camera) else load_camera(instrument)
        if camera.name not in registered:
            given = camera.name if isinstance(instrument, Camera) else os.fspath(instrument)
            raise _not_registered(camera.name, given)
        return [camera], ()
    if not registered:
        known = ", ".join(camera_names())
        raise InstrumentError(
            "no instrument is registered in this repository",
            hint=f"lakebutler register-instrument NAME  (known: {known})",
        )
    cameras, unknown = [], []
    for name in sorted(registered):
        try:
            cameras.append(load_camera(name))
        except InstrumentError:
            unknown.append(name)
    if not cameras:
        raise InstrumentError(
            f"no camera file is known for the registered instruments ({', '.join(unknown)})",
            hint="name one: --instrument path/to/camera.yaml",
        )
    note = f"no camera file is known for {', '.join(unknown)}: its raws are not recognised"
    return cameras, (note,) if unknown else ()


def _not_registered(name: str, given: str) -> InstrumentError:
    return InstrumentError(
        f"instrument {name!r} is not registered in this repository",
        hint=f"lakebutler register-instrument {given}",
    )


def _refuse_strangers(batch: Batch, count: int, registered: set[str]) -> None:
    """Raise if every file is of one known camera that is not registered."""
    names = set(batch.strangers.values())
    if len(names) == 1 and len(batch.strangers) == count and names <= set(camera_names()) - registered:
        name = names.pop()
        raise _not_registered(name, name)


# ---------------------------------------------------------------------- reading


def _read(
    sidecars: Sidecars, cameras: Sequence[Camera], processes: int, *, fail_fast: bool, watch: Progress
) -> Iterator[FileResult]:
    """Read what stands beside the files, and the headers of those beside which nothing does."""
    watch.start("reading headers", len(sidecars.files))
    with collector_paused():
        beside = [sidecars.read(path) for path in sidecars.files]
    missing = [path for path, known in zip(sidecars.files, beside, strict=True) if known is None]
    for camera in cameras if missing else ():
        require_translator(camera)
    headers = iter(read_files(missing, cameras, processes=processes))
    for known in beside:
        result = next(headers) if known is None else known
        watch.advance()
        if fail_fast and not result.observations:
            raise HeaderError(printable(f"{result.path}: {result.reason}"))
        yield result
    watch.finish()


def _raise_first(reports: Mapping[int, FileReport]) -> None:
    for position in sorted(reports):
        report = reports[position]
        raise HeaderError(f"{report.path}: {report.reason}")
