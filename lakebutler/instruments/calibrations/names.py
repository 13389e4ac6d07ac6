# SPDX-License-Identifier: BSD-3-Clause
"""What curated calibrations are called: dataset types and collections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from lakebutler.errors import CollectionNameError

__all__ = ["CAMERA_TYPE", "CURATED_TYPES", "CalibrationNames", "CuratedType"]


class CuratedType(NamedTuple):
    """A dataset type of curated calibrations.

    Attributes
    ----------
    dimensions : `tuple` [`str`]
        Besides the instrument, in the order of the directories.
    storage_class : `str`
        What its datasets are in Python.
    """

    dimensions: tuple[str, ...]
    storage_class: str


_DETECTOR = ("detector",)
_FILTER = ("physical_filter",)

CURATED_TYPES: Mapping[str, CuratedType] = {
    "bfk": CuratedType(_DETECTOR, "BrighterFatterKernel"),
    "crosstalk": CuratedType(_DETECTOR, "CrosstalkCalib"),
    "defects": CuratedType(_DETECTOR, "Defects"),
    "linearizer": CuratedType(_DETECTOR, "Linearizer"),
    "manual_defects": CuratedType(_DETECTOR, "Defects"),
    "qe_curve": CuratedType(_DETECTOR, "QECurve"),
    "transmission_atmosphere": CuratedType((), "TransmissionCurve"),
    "transmission_filter": CuratedType(_FILTER, "TransmissionCurve"),
    "transmission_optics": CuratedType((), "TransmissionCurve"),
    "transmission_sensor": CuratedType(_DETECTOR, "TransmissionCurve"),
    "transmission_system": CuratedType(_DETECTOR + _FILTER, "TransmissionCurve"),
}
"""Dataset types by name, which is that of their directory, too."""

CAMERA_TYPE = "camera"
"""Dataset type of a camera's geometry; its storage class is ``Camera``."""


@dataclass(frozen=True, slots=True)
class CalibrationNames:
    """Names of the collections, as ``lsst.obs.base`` makes them.

    Attributes
    ----------
    prefix : `str`
        What all begin with: the instrument, or what stands in for it.
    labels : `tuple` [`str`]
        Words that tell one set of calibrations from another, such as a ticket.
    collection : `str` or `None`
        Another name for the calibration collection.
    """

    prefix: str
    labels: tuple[str, ...] = ()
    collection: str | None = None

    def __post_init__(self) -> None:
        for word in (self.prefix, *self.labels):
            if not word or word.strip("/") != word:
                raise CollectionNameError(f"{word!r} cannot be a part of the name of a collection")

    def _join(self, *parts: str) -> str:
        return "/".join((self.prefix, "calib", *self.labels, *parts))

    @property
    def calibration(self) -> str:
        """The CALIBRATION collection, ``<instrument>/calib[/<label>...]``."""
        return self.collection or self._join()

    @property
    def unbounded(self) -> str:
        """The run of datasets that are always valid, ``<instrument>/calib[/<label>...]/unbounded``."""
        return self._join("unbounded")

    def curated(self, date: datetime) -> str:
        """Name the run of the calibrations of one date.

        Parameters
        ----------
        date : `datetime.datetime`
            The date, UTC.

        Returns
        -------
        run : `str`
            ``<instrument>/calib[/<label>...]/curated/<YYYYMMDDThhmmssZ>``.
        """
        return self._join("curated", f"{date:%Y%m%dT%H%M%S}Z")

    @classmethod
    def of(
        cls,
        instrument: str,
        collection: str | None = None,
        labels: str | Sequence[str] = (),
        prefix: str | None = None,
    ) -> CalibrationNames:
        """Make the names from what a caller gives.

        Parameters
        ----------
        instrument : `str`
            The camera.
        collection : `str`, optional
            Name of the calibration collection.
        labels : `str` or sequence of `str`, optional
            Words for the names of collections.
        prefix : `str`, optional
            What names begin with instead of the instrument.

        Returns
        -------
        names : `CalibrationNames`
            The names.
        """
        words = (labels,) if isinstance(labels, str) else tuple(labels)
        return cls(prefix or instrument, words, collection)
