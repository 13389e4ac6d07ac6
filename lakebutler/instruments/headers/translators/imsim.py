# SPDX-License-Identifier: BSD-3-Clause
"""Translator of the headers that imSim makes.

Source of the rules: ``translators/imsim.py`` of lsst/obs_lsst at 0e84d755 (2026-04-10),
restated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import astropy.units as u
from astro_metadata_translator.translators.helpers import tracking_from_degree_headers
from astropy.coordinates import AltAz, Angle, SkyCoord

from lakebutler.instruments.headers.translators.lsst import LsstTranslator, remembered

__all__ = ["ImSimTranslator"]


class ImSimTranslator(LsstTranslator):
    """Images of the LSST Camera made by imSim; they have no card INSTRUME."""

    name = "LSSTCam-imSim"
    supported_instrument = "LSSTCam-imSim"
    camera = "LSSTCam-imSim"
    _const_map: ClassVar[dict[str, Any]] = {
        "instrument": "LSSTCam-imSim",
        "telescope": "Simonyi Survey Telescope",
        "boresight_rotation_coord": "sky",
        "has_simulated_content": True,
        "object": "UNKNOWN",
        "pressure": None,
        "relative_humidity": 40.0,
        "temperature": None,
    }

    @classmethod
    def can_translate(cls, header: Mapping[str, Any], filename: str | None = None) -> bool:  # noqa: ARG003
        """Tell whether a header is of imSim."""
        return header.get("TESTTYPE") == "IMSIM" and header.get("INSTRUME") is None

    def on_telescope(self) -> bool:
        """Tell that the camera is on its telescope."""
        return True

    def to_exposure_id(self) -> int:
        """Give the number of the exposure."""
        return int(self.need("OBSID"))

    def _raft_and_slot(self) -> tuple[str, str]:
        raft, _, slot = str(self.need("CHIPID")).partition("_")
        return raft, slot

    def to_detector_group(self) -> str:
        """Give the raft."""
        return self._raft_and_slot()[0]

    def to_detector_name(self) -> str:
        """Give the place in the raft."""
        return self._raft_and_slot()[1]

    def to_physical_filter(self) -> str:
        """Give the filter: the band, and the release of its throughput."""
        return f"{self.need('FILTER')}_sim_1.4"

    @remembered
    def to_boresight_rotation_angle(self) -> Angle:
        """Give the angle of the camera on the sky."""
        return Angle((90.0 - float(self.need("ROTANGLE"))) * u.deg)

    @remembered
    def to_tracking_radec(self) -> SkyCoord | None:
        """Give the pointing."""
        return tracking_from_degree_headers(self, ("RADESYS",), (("RATEL", "DECTEL"),))

    @remembered
    def to_altaz_begin(self) -> AltAz | None:
        """Give nothing: these headers have no horizontal coordinates."""
        return None
