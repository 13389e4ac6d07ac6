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
]

_HOMES = {
    "Camera": "camera",
    "IngestReport": "ingest_report",
    "Observation": "observation",
    "build_demo": "demo",
    "camera_names": "camera",
    "define_visits": "visits",
    "ingest_raws": "raw_ingest",
    "load_camera": "camera",
    "register_instrument": "instrument",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
