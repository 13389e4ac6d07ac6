# SPDX-License-Identifier: BSD-3-Clause
"""Skymaps: how the sky is divided into tracts and patches."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "SkyMap",
    "SkyMapDefinition",
    "load_skymap",
    "register_skymap",
    "registered_skymap",
    "skymap_names",
]

_HOMES = {
    "SkyMap": "skymap",
    "SkyMapDefinition": "definition",
    "load_skymap": "definition",
    "register_skymap": "register",
    "registered_skymap": "register",
    "skymap_names": "definition",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
