# SPDX-License-Identifier: BSD-3-Clause
"""Header translators of our own, for cameras that astro-metadata-translator does not know.

They are classes of astro-metadata-translator and are registered with it when the module
that has them is imported; `lakebutler.instruments.headers.translate` does that when a camera asks
for one.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["OWN_TRANSLATORS"]

OWN_TRANSLATORS: Mapping[str, str] = {
    "LSSTCam": "lakebutler.instruments.headers.translators.lsst",
    "LSSTCam-imSim": "lakebutler.instruments.headers.translators.imsim",
    "LSSTCamSim": "lakebutler.instruments.headers.translators.lsst",
    "LSSTComCam": "lakebutler.instruments.headers.translators.lsst",
    "LSSTComCamSim": "lakebutler.instruments.headers.translators.lsst",
    "LSST_LATISS": "lakebutler.instruments.headers.translators.lsst",
}
"""Name of each translator, and the module that has it."""
