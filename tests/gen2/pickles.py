# SPDX-License-Identifier: BSD-3-Clause
"""Pickles of skymaps as the old software wrote them."""

from __future__ import annotations

import pickle
import sys
import types
from typing import Any

PROGRAM = """
import lsst.skymap.discreteSkyMap
assert type(config) is lsst.skymap.discreteSkyMap.DiscreteSkyMapConfig, 'config is of another type'
# border between patch inner and outer bbox (pixels)
config.patchBorder=100
config.patchInnerDimensions=[4000, 4000]
config.pixelScale=0.168
config.projection='TAN'
config.rotation=0.0
config.tractOverlap=0.0
config.raList=[320.4, 10.0]
config.decList=[0.3, -20.0]
config.radiusList=[0.2, 0.4]
"""
"""The configuration of a skymap of two discs, as it was saved."""


def skymap_pickle(name: str, program: str, *rest: Any, protocol: int = 2) -> bytes:
    """A pickle as the old software wrote them: class, configuration as a program, version."""
    package = types.ModuleType("lsst.pex.config.config")
    home = types.ModuleType(f"lsst.skymap.{name[0].lower()}{name[1:]}")

    def unreduce(cls: type, stream: bytes) -> None:
        raise AssertionError("a configuration was run")

    unreduce.__module__, unreduce.__qualname__ = package.__name__, "unreduceConfig"
    package.unreduceConfig = unreduce  # type: ignore[attr-defined]
    config = type(f"{name}Config", (), {"__module__": home.__name__})
    config.__reduce__ = lambda self: (unreduce, (config, program.encode()))  # type: ignore[assignment,method-assign]
    skymap = type(name, (), {"__module__": home.__name__})
    skymap.__reduce__ = lambda self: (skymap, (config(), *rest))  # type: ignore[assignment,method-assign]
    setattr(home, name, skymap)
    setattr(home, f"{name}Config", config)
    modules = {module.__name__: module for module in (package, home)}
    parents = {".".join(key.split(".")[:n]) for key in modules for n in range(1, key.count(".") + 1)} - set(
        sys.modules
    )
    modules |= {key: types.ModuleType(key) for key in parents}
    sys.modules.update(modules)
    try:
        return pickle.dumps(skymap(), protocol)
    finally:
        for key in modules:
            del sys.modules[key]
