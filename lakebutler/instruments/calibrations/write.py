# SPDX-License-Identifier: BSD-3-Clause
"""Write the calibrations that people keep as files, and the camera's geometry."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakebutler.errors import InvalidQueryError
from lakebutler.instruments.calibrations.changes import CuratedChanges, Item
from lakebutler.instruments.calibrations.files import CuratedFile, find_curated
from lakebutler.instruments.calibrations.names import CAMERA_TYPE, CalibrationNames
from lakebutler.instruments.calibrations.report import CuratedReport, CurationReport
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.cameras.find import load_camera
from lakebutler.instruments.cameras.register import require_registered
from lakebutler.timespan import Timespan

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["write_curated_calibrations"]


def write_curated_calibrations(
    butler: Butler,
    instrument: str | os.PathLike[str] | Camera,
    directory: str | os.PathLike[str] | None = None,
    *,
    collection: str | None = None,
    labels: str | Sequence[str] = (),
    prefix: str | None = None,
    camera: bool = True,
    camera_validity: Timespan | None = None,
    update: bool = False,
    transfer: str | None = "auto",
) -> CurationReport:
    """Write the camera's geometry, and curated calibrations from a directory.

    Parameters
    ----------
    butler : `Butler`
        A writeable repository.
    instrument : `str`, path-like or `Camera`
        A registered camera: its name, a camera file of the user's, or the camera itself.
    directory : `str` or path-like, optional
        Where the files are, as in the ``obs_*_data`` packages:
        ``<type>/<detector>/[<filter>/]<begin of validity>.ecsv``.  Default: only the
        camera's geometry is written.
    collection : `str`, optional
        The calibration collection; default: ``<instrument>/calib[/<label>...]``.
    labels : `str` or sequence of `str`, optional
        Words for the names of collections, such as a ticket.
    prefix : `str`, optional
        What names of collections begin with instead of the instrument.
    camera : `bool`, optional
        Whether to write the camera's geometry, as dataset type ``camera``.
    camera_validity : `Timespan`, optional
        When that is valid; default: always.
    update : `bool`, optional
        Replace validity ranges that are there and differ.
    transfer : `str` or `None`, optional
        How files get into the repository, as for `Butler.ingest`.

    Returns
    -------
    report : `CurationReport`
        What became of every file.

    Raises
    ------
    InstrumentError
        Raised if the camera is not known or not registered, or if there is no such
        directory, or nothing of the camera in it.
    CollectionTypeError
        Raised if the calibration collection is one of another type.

    Notes
    -----
    All is one commit.  A file is valid from the date it is named for to the next one of its
    type, detector and filter, in UTC, as ``lsst.obs.base`` has it.
    """
    known = instrument if isinstance(instrument, Camera) else load_camera(instrument)
    require_registered(butler, known)
    names = CalibrationNames.of(known.name, collection, labels, prefix)
    items: list[Item] = []
    others: list[CuratedReport] = []
    notes: tuple[str, ...] = ()
    if camera:
        items.append(_camera_item(known, names, camera_validity))
    if directory is not None:
        files, others = find_curated(known, Path(directory))
        items += [_file_item(file, names) for file in files]
    elif camera:
        notes = ("no directory of files is given: only the camera's geometry is written",)
    changes = CuratedChanges(butler, known, names, items)
    changes.judge(update=update)
    changes.commit(transfer)
    own = [r for r in changes.reports if r.dataset_type == CAMERA_TYPE]
    rest = [r for r in (*changes.reports, *others) if r.dataset_type != CAMERA_TYPE]
    return CurationReport(names.calibration, (*own, *sorted(rest, key=lambda r: r.path)), notes)


def _file_item(file: CuratedFile, names: CalibrationNames) -> Item:
    return Item(file.dataset_type, file.data_id, names.curated(file.calib_date), file.validity, file)


def _camera_item(camera: Camera, names: CalibrationNames, validity: Timespan | None) -> Item:
    span = Timespan(None, None) if validity is None else validity
    if span.isEmpty():
        raise InvalidQueryError("the camera's range of validity is empty", hint="its begin must come first")
    begin = span.begin
    run = names.unbounded if begin is None else names.curated(begin.utc.to_datetime())  # type: ignore[union-attr]
    return Item(CAMERA_TYPE, {}, run, span, camera)
