# SPDX-License-Identifier: BSD-3-Clause
"""Cameras: their descriptions, their headers, and the ingest of their raw files."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "Camera",
    "IngestReport",
    "Observation",
    "build_demo",
    "camera_names",
    "define_visits",
    "ingest_raws",
    "load_camera",
    "register_instrument",
    "write_curated_calibrations",
]

_HOMES = {
    "Camera": "cameras.camera",
    "IngestReport": "raws.report",
    "Observation": "headers.observation",
    "build_demo": "demo.build",
    "camera_names": "cameras.find",
    "define_visits": "visits.define",
    "ingest_raws": "raws.ingest",
    "load_camera": "cameras.find",
    "register_instrument": "cameras.register",
    "write_curated_calibrations": "calibrations.write",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
