# SPDX-License-Identifier: BSD-3-Clause
"""Which geometry of a camera is valid when, as collections of a repository have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lakebutler.butler.bulk import find_files
from lakebutler.errors import DatasetNotFoundError, MissingDatasetTypeError
from lakebutler.instruments.calibrations.names import CAMERA_TYPE
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.timespan import Timespan

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["CertifiedCameras"]


class CertifiedCameras:
    """The ``camera`` datasets of an instrument in some collections.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    instrument : `str`
        The camera.
    collections : sequence of `str`
        Where to look, in order; chains are looked into.

    Attributes
    ----------
    notes : `list` [`str`]
        What was there and could not be used.

    Raises
    ------
    FileFormatError
        Raised if a camera that is there is damaged.
    """

    def __init__(self, butler: Butler, instrument: str, collections: Sequence[str]) -> None:
        self.notes: list[str] = []
        self._found: list[tuple[Timespan, Camera]] = []
        if not collections:
            return
        try:
            kind = butler.get_dataset_type(CAMERA_TYPE)
        except MissingDatasetTypeError:
            return
        if set(kind.dimensions.required) != {"instrument"}:
            self.notes.append(f"dataset type {CAMERA_TYPE!r} is none of a camera's geometry here")
            return
        places = butler.registry.queryCollections(list(collections), flattenChains=True)
        found = [
            a
            for a in butler.registry.queryDatasetAssociations(kind, places)
            if a.ref.dataId["instrument"] == instrument
        ]
        refs = list({a.ref.id: a.ref for a in found}.values())
        cameras: dict[object, Camera] = {}
        for ref, row in zip(refs, find_files(butler._registry, refs), strict=True):
            if row is None:
                raise DatasetNotFoundError(
                    f"the {CAMERA_TYPE} in run {ref.run!r} is registered without a file"
                )
            if row.formatter == CAMERA_TYPE:
                cameras[ref.id] = replace(butler.get(ref), source=f"{CAMERA_TYPE} in run {ref.run}")
            else:
                self.notes.append(
                    f"the {CAMERA_TYPE} in run {ref.run} is of another kind ({row.formatter}): not used"
                )
        order = {name: position for position, name in enumerate(places)}
        for association in sorted(found, key=lambda a: order[a.collection]):
            if association.ref.id in cameras:
                span = association.timespan or Timespan(None, None)
                self._found.append((span, cameras[association.ref.id]))

    def valid_for(self, timespan: Timespan | None) -> Camera | None:
        """Find the camera that is valid when an exposure begins.

        Parameters
        ----------
        timespan : `Timespan` or `None`
            The exposure's; `None` if that is not known.

        Returns
        -------
        camera : `Camera` or `None`
            That of the first collection that has one; `None` if none has.
        """
        moment = Timespan(None, None)
        if timespan is not None and not timespan.isEmpty():
            moment = Timespan.from_nsec(timespan.nsec[0], timespan.nsec[0] + 1)
        return next((camera for span, camera in self._found if span.contains(moment)), None)
