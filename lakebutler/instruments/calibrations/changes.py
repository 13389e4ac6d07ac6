# SPDX-License-Identifier: BSD-3-Clause
"""What curated calibrations change in a repository: compared with what is there, one commit."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakebutler.butler.bulk import find_files
from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.file_dataset import FileDataset
from lakebutler.datastore.files import stream_checksum
from lakebutler.datastore.paths import file_uri
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.errors import (
    ButlerError,
    CollectionTypeError,
    MissingCollectionError,
    MissingDatasetTypeError,
)
from lakebutler.instruments.calibrations.files import CuratedFile
from lakebutler.instruments.calibrations.names import CAMERA_TYPE, CURATED_TYPES, CalibrationNames
from lakebutler.instruments.calibrations.report import CuratedReport, CuratedStatus
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.cameras.stored import geometry_of
from lakebutler.timespan import Timespan

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler
    from lakebutler.registry.dataset_rows import FileRow

__all__ = ["CuratedChanges", "Item"]

_ANOTHER = "give it a collection of its own with a label"
_UPDATE = "--update makes it as the files say"


@dataclass(frozen=True, slots=True)
class Item:
    """One dataset that there should be.

    Attributes
    ----------
    dataset_type : `str`
        Its type.
    data_id : `Mapping`
        Its data ID without the instrument.
    run : `str`
        Where it belongs.
    validity : `Timespan`
        When it is valid.
    content : `CuratedFile` or `Camera`
        What it holds.
    """

    dataset_type: str
    data_id: Mapping[str, int | str]
    run: str
    validity: Timespan
    content: CuratedFile | Camera

    def report(self, status: CuratedStatus, reason: str = "") -> CuratedReport:
        """Say what became of it.

        Parameters
        ----------
        status : `CuratedStatus`
            What became of it.
        reason : `str`, optional
            Why.

        Returns
        -------
        report : `CuratedReport`
            The report.
        """
        if isinstance(self.content, CuratedFile):
            return self.content.report(status, reason, self.run)
        name = self.content.source or self.content.name
        return CuratedReport(name, status, reason, self.dataset_type, self.run, self.data_id, self.validity)


class CuratedChanges:
    """Compare datasets with what is registered, and make it so.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    camera : `Camera`
        Whose calibrations they are; a registered instrument.
    names : `CalibrationNames`
        Names of the collections.
    items : sequence of `Item`
        What there should be.

    Attributes
    ----------
    reports : `list` [`CuratedReport`]
        What becomes of every item.
    """

    def __init__(
        self, butler: Butler, camera: Camera, names: CalibrationNames, items: Sequence[Item]
    ) -> None:
        self.butler = butler
        self.camera = camera
        self.collection = names.calibration
        self.items = items
        self.reports: list[CuratedReport] = []
        self._types: dict[str, DatasetType] = {}
        self._new: list[tuple[Item, DatasetRef]] = []
        self._ended: dict[tuple[str, Timespan], set[DatasetRef]] = {}
        self._certified: dict[tuple[str, Timespan], list[DatasetRef]] = {}

    # ------------------------------------------------------------------ looking

    def judge(self, *, update: bool) -> None:
        """Compare the items with what is registered.

        Parameters
        ----------
        update : `bool`
            Whether validity ranges that differ are replaced.

        Raises
        ------
        CollectionTypeError
            Raised if the calibration collection is one of another type.
        """
        self._check_collection()
        known = self._registered_values()
        by_type: dict[str, list[Item]] = {}
        for item in self.items:
            absent = next((d for d, v in item.data_id.items() if v not in known[d]), None)
            if absent is not None:
                reason = f"{absent.replace('_', ' ')} {item.data_id[absent]} is not registered here"
                self.reports.append(item.report(CuratedStatus.REJECTED, reason))
            else:
                by_type.setdefault(item.dataset_type, []).append(item)
        for name, items in by_type.items():
            registered = self._registered_type(name)
            kind = registered or self._defined_type(name)
            if set(kind.dimensions.required) != set(_dimensions(name)) or not kind.isCalibration():
                reason = f"dataset type {name!r} is registered with other dimensions, or as no calibration"
                self.reports += [item.report(CuratedStatus.CONFLICT, reason) for item in items]
                continue
            self._types[name] = kind
            runs = {item.run for item in items}
            stored, valid = ({}, {}) if registered is None else self._stored(kind, runs)
            self._judge_type(kind, items, stored, valid, update=update)

    def _check_collection(self) -> None:
        try:
            found = self.butler.collections.get_info(self.collection).type
        except MissingCollectionError:
            return
        if found is not CollectionType.CALIBRATION:
            raise CollectionTypeError(
                f"collection {self.collection!r} is there already, as a {found.name} collection",
                hint="a label (--label) or --collection gives the calibrations another one",
            )

    def _registered_values(self) -> dict[str, set[Any]]:
        found: dict[str, set[Any]] = {}
        for element in {name for item in self.items for name in item.data_id}:
            records = self.butler.query_dimension_records(
                element, instrument=self.camera.name, explain=False, limit=None
            )
            found[element] = {record.dataId[element] for record in records}
        return found

    def _registered_type(self, name: str) -> DatasetType | None:
        try:
            return self.butler.get_dataset_type(name)
        except MissingDatasetTypeError:
            return None

    def _defined_type(self, name: str) -> DatasetType:
        storage_class = "Camera" if name == CAMERA_TYPE else CURATED_TYPES[name].storage_class
        group = self.butler.dimensions.conform(_dimensions(name))
        return DatasetType(name, group, storage_class, isCalibration=True)

    def _judge_type(
        self,
        kind: DatasetType,
        items: Sequence[Item],
        stored: Mapping[Any, DatasetRef],
        valid: Mapping[Hashable, Sequence[tuple[DatasetRef, Timespan]]],
        *,
        update: bool,
    ) -> None:
        present = [stored.get((item.run, self._key(item))) for item in items]
        refs = [ref for ref in present if ref is not None]
        files = dict(zip(refs, find_files(self.butler._registry, refs), strict=True))
        for item, ref in zip(items, present, strict=True):
            reason = "" if ref is None else self._difference(item, ref, files[ref])
            if reason:
                self.reports.append(
                    item.report(CuratedStatus.CONFLICT, f"{reason} in run {item.run}; {_ANOTHER}")
                )
                continue
            now = valid.get(self._key(item), [])
            self.reports.append(self._place(kind, item, ref, now, update=update))

    def _key(self, item: Item) -> Hashable:
        return tuple(sorted(item.data_id.items()))

    def _stored(
        self, kind: DatasetType, runs: Iterable[str]
    ) -> tuple[dict[Any, DatasetRef], dict[Hashable, list[tuple[DatasetRef, Timespan]]]]:
        """Find the datasets of a type in runs, by run and data ID, and what is certified, by data ID."""
        stored: dict[Any, DatasetRef] = {}
        valid: dict[Hashable, list[tuple[DatasetRef, Timespan]]] = {}
        places = self._existing({*runs, self.collection})
        for found in self.butler.registry.queryDatasetAssociations(kind, places):
            values = dict(found.ref.dataId.required)
            if values.pop("instrument") != self.camera.name:
                continue
            key = tuple(sorted(values.items()))
            if found.timespan is not None:
                valid.setdefault(key, []).append((found.ref, found.timespan))
            else:
                stored[found.collection, key] = found.ref
        return stored, valid

    def _existing(self, names: Iterable[str]) -> list[str]:
        found = []
        for name in sorted(names):
            try:
                self.butler.collections.get_info(name)
            except MissingCollectionError:
                continue
            found.append(name)
        return found

    def _difference(self, item: Item, ref: DatasetRef, row: FileRow | None) -> str:
        """Say in what a registered dataset differs from what it should be."""
        if row is None:
            return "it is registered without a file"
        try:
            if isinstance(item.content, Camera):
                same = self.butler.get(ref) == geometry_of(item.content)
                return "" if same else "another geometry is there"
            return "" if self._same_content(item.content.path, ref, row) else "another content is there"
        except ButlerError as err:
            return f"what is there cannot be read ({err.message})"

    def _same_content(self, path: Path, ref: DatasetRef, row: FileRow) -> bool:
        if row.size != path.stat().st_size:
            return False
        if row.checksum is not None:
            return row.checksum == _checksum(path)
        if row.uri == file_uri(str(path.absolute())):
            return True  # it is this file
        return bool(self.butler.get(ref, storageClass="Bytes") == path.read_bytes())

    def _place(
        self,
        kind: DatasetType,
        item: Item,
        ref: DatasetRef | None,
        now: Sequence[tuple[DatasetRef, Timespan]],
        *,
        update: bool,
    ) -> CuratedReport:
        """Decide on the validity of an item, given what is valid now for its data ID."""
        overlapping = [(other, span) for other, span in now if span.overlaps(item.validity)]
        if ref is not None and overlapping == [(ref, item.validity)]:
            return item.report(CuratedStatus.PRESENT)
        reason = ""
        if overlapping:
            other, span = overlapping[0]
            what = "it is" if other == ref else f"the one in run {other.run} is"
            reason = f"{what} certified in {self.collection} for {span}"
            if not update:
                return item.report(CuratedStatus.CONFLICT, f"{reason}; {_UPDATE}")
            ended = {item.validity, *(span for other, span in now if other == ref)}
            for gone in ended:
                self._ended.setdefault((kind.name, gone), set()).add(ref or overlapping[0][0])
        status = CuratedStatus.CERTIFIED
        if ref is None:
            values = {"instrument": self.camera.name, **item.data_id}
            required = tuple(values[name] for name in kind.dimensions.required)
            ref = DatasetRef(
                kind, DataCoordinate.from_required_values(kind.dimensions, required), run=item.run
            )
            self._new.append((item, ref))
            status = CuratedStatus.WRITTEN
        self._certified.setdefault((kind.name, item.validity), []).append(ref)
        return item.report(status, f"before, {reason}" if reason else "")

    # ------------------------------------------------------------------ writing

    def commit(self, transfer: str | None) -> None:
        """Write datasets and validity: one commit, or nothing if there is nothing to do.

        Parameters
        ----------
        transfer : `str` or `None`
            How files get into the repository.
        """
        if not self._certified:
            return
        butler = self.butler
        with butler.transaction(message=f"curated calibrations of {self.camera.name}"):
            for kind in self._types.values():
                butler.registry.registerDatasetType(kind)
            butler.collections.register(self.collection, CollectionType.CALIBRATION)
            self._write(transfer)
            for (name, span), refs in self._ended.items():
                data_ids = [ref.dataId for ref in refs]
                butler.registry.decertify(self.collection, name, span, dataIds=data_ids)
            for (_, span), group in self._certified.items():
                butler.registry.certify(self.collection, group, span)

    def _write(self, transfer: str | None) -> None:
        files = []
        for item, ref in self._new:
            if isinstance(item.content, Camera):
                self.butler.collections.register(item.run, CollectionType.RUN)
                self.butler.put(geometry_of(item.content), ref)
            else:
                files.append(FileDataset(str(item.content.path.absolute()), [ref], item.content.formatter))
        self.butler.ingest(*files, transfer=transfer)


def _dimensions(name: str) -> tuple[str, ...]:
    return ("instrument",) if name == CAMERA_TYPE else ("instrument", *CURATED_TYPES[name].dimensions)


def _checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return stream_checksum(stream)
