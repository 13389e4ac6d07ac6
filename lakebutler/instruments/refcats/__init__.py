# SPDX-License-Identifier: BSD-3-Clause
"""Reference catalogues: cut into pixels of the sky, and looked up by region."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["REFCATS_CHAIN", "RefcatReport", "ingest_refcat", "load_refcat", "refcat_run"]

_HOMES = {
    "REFCATS_CHAIN": "naming",
    "RefcatReport": "ingest",
    "ingest_refcat": "ingest",
    "load_refcat": "load",
    "refcat_run": "naming",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
