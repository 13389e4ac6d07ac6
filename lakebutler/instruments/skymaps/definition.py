# SPDX-License-Identifier: BSD-3-Clause
"""The parameters of a skymap: read from YAML, checked, written, and their digest.

Names, units and defaults of parameters are those of ``lsst.skymap``, and so is the digest
by which two skymaps are known to be the same.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lakebutler.errors import FileFormatError, known_names

__all__ = ["KINDS", "Builder", "SkyMapDefinition", "load_skymap", "skymap_names", "with_settings"]

KINDS: Mapping[str, str] = {
    "rings": "RingsSkyMap",
    "discrete": "DiscreteSkyMap",
    "equatorial": "EquatSkyMap",
    "healpix": "HealpixSkyMap",
    "dodeca": "DodecaSkyMap",
}
"""Kinds of skymap, and the names under which they enter the digest."""

_ZENITHAL = ("TAN", "STG")
_COMMON = {
    "kind": "",
    "tractOverlap": 1.0,
    "pixelScale": 0.333,
    "projection": "STG",
    "rotation": 0.0,
    "tractBuilder": "legacy",
    "legacy": {},
    "cells": {},
}
_OF_KIND: Mapping[str, Mapping[str, Any]] = {
    "rings": {"numRings": None, "raStart": 0.0},
    "discrete": {"raList": None, "decList": None, "radiusList": None},
    "equatorial": {"numTracts": 4, "decRange": [-1.25, 1.25], "projection": "CEA"},
    "healpix": {"log2NSide": 0, "nest": False, "rotation": 45.0},
    "dodeca": {"withTractsOnPoles": False, "tractOverlap": 3.5, "pixelScale": 0.2},
}
_OF_BUILDER: Mapping[str, Mapping[str, Any]] = {
    "legacy": {"patchInnerDimensions": [4000, 4000], "patchBorder": 100},
    "cells": {
        "cellInnerDimensions": [150, 150],
        "cellBorder": 50,
        "numCellsPerPatchInner": 20,
        "numCellsInPatchBorder": 1,
    },
}
_BORDER_OF_KIND = {"dodeca": 250}
_KNOWN = Path(__file__).with_name("known.yaml")
_MOST_RINGS = 10_000
_MOST_LOG2 = 9


@dataclass(frozen=True, slots=True)
class Builder:
    """How a tract is cut into patches.

    Attributes
    ----------
    kind : `str`
        ``legacy`` or ``cells``.
    inner : `tuple` [`int`, `int`]
        Pixels of a patch that are its own, in x and y.
    border : `int`
        Pixels around them that it shares with its neighbours.
    clipped : `bool`
        Whether patches end where the tract does.
    packed : `bytes`
        What enters the digest.
    facts : `Mapping`
        The parameters by name.
    """

    kind: str
    inner: tuple[int, int]
    border: int
    clipped: bool
    packed: bytes
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SkyMapDefinition:
    """The parameters of a skymap.

    Attributes
    ----------
    kind : `str`
        One of `KINDS`.
    pixel_scale_arcsec : `float`
        Size of a pixel at the centre of a tract.
    tract_overlap_deg : `float`
        How far a tract reaches beyond its own part of the sky.
    projection : `str`
        ``TAN``, ``STG`` or, of the equatorial kind, ``CEA``.
    rotation_deg : `float`
        Angle of the pixel grid.
    builder : `Builder`
        How tracts are cut into patches.
    own : `Mapping`
        The parameters of the kind, by name.
    """

    kind: str
    pixel_scale_arcsec: float
    tract_overlap_deg: float
    projection: str
    rotation_deg: float
    builder: Builder
    own: Mapping[str, Any]

    @classmethod
    def from_facts(cls, facts: Any, source: str = "skymap") -> SkyMapDefinition:
        """Check parameters.

        Parameters
        ----------
        facts : `Mapping`
            Parameters by name, as a configuration file has them.
        source : `str`, optional
            Where they are from, for messages.

        Returns
        -------
        definition : `SkyMapDefinition`
            The definition.

        Raises
        ------
        FileFormatError
            Raised if a parameter is unknown, missing or wrong.
        """
        reader = _Reader(facts, source)
        kind = reader.choice("kind", tuple(KINDS))
        own = _OF_KIND[kind]
        reader.known({**_COMMON, **own})
        defaults = {**_COMMON, **own}
        return cls(
            kind=kind,
            pixel_scale_arcsec=reader.number("pixelScale", defaults, least=1e-6, most=3600.0),
            tract_overlap_deg=reader.number("tractOverlap", defaults, least=0.0, most=10.0),
            projection=reader.choice(
                "projection", (*_ZENITHAL, "CEA") if kind == "equatorial" else _ZENITHAL, defaults
            ),
            rotation_deg=reader.number("rotation", defaults),
            builder=_builder(reader, kind),
            own=_own(kind, reader, defaults),
        )

    @property
    def facts(self) -> dict[str, Any]:
        """All parameters by name, defaults included, as JSON and YAML can hold them."""
        return {
            "kind": self.kind,
            "tractOverlap": self.tract_overlap_deg,
            "pixelScale": self.pixel_scale_arcsec,
            "projection": self.projection,
            "rotation": self.rotation_deg,
            **self.own,
            "tractBuilder": self.builder.kind,
            self.builder.kind: dict(self.builder.facts),
        }

    @property
    def sha1(self) -> bytes:
        """Digest of the parameters, as ``lsst.skymap`` computes it."""
        common = struct.pack(
            "<dd3sd",
            self.tract_overlap_deg,
            self.pixel_scale_arcsec,
            self.projection.encode(),
            self.rotation_deg,
        )
        content = KINDS[self.kind].encode() + self.builder.packed + common + self._packed()
        return hashlib.sha1(content, usedforsecurity=False).digest()

    def _packed(self) -> bytes:
        own = self.own
        if self.kind == "rings":
            return struct.pack("<id", own["numRings"], own["raStart"])
        if self.kind == "equatorial":
            return struct.pack("<i2d", own["numTracts"], *own["decRange"])
        if self.kind == "healpix":
            return struct.pack("<i?", own["log2NSide"], own["nest"])
        if self.kind == "dodeca":
            return struct.pack("<?", own["withTractsOnPoles"])
        values = [v for name in ("raList", "decList", "radiusList") for v in own[name]]
        return struct.pack(f"<{len(values)}d", *values)


class _Reader:
    """Takes values out of a mapping, and says where one is wrong."""

    def __init__(self, facts: Any, source: str) -> None:
        if not isinstance(facts, Mapping):
            kind = type(facts).__name__
            raise FileFormatError(f"{source}: a skymap is a mapping of parameters, not {kind}")
        self.facts = facts
        self.source = source

    def fault(self, text: str, hint: str | None = None) -> FileFormatError:
        return FileFormatError(f"{self.source}: {text}", hint=hint)

    def known(self, names: Mapping[str, Any]) -> None:
        for name in self.facts:
            if name not in names:
                hint = known_names(str(name), list(names))
                raise self.fault(f"there is no parameter {name!r} here", hint)

    def value(self, name: str, defaults: Mapping[str, Any]) -> Any:
        found = self.facts.get(name, defaults.get(name))
        if found is None:
            raise self.fault(f"{name} is missing")
        return found

    def choice(self, name: str, choices: tuple[str, ...], defaults: Mapping[str, Any] | None = None) -> str:
        found = self.value(name, defaults or {})
        if found not in choices:
            raise self.fault(f"{name} {found!r} is none of {', '.join(choices)}")
        return str(found)

    def truth(self, name: str, defaults: Mapping[str, Any]) -> bool:
        found = self.value(name, defaults)
        if not isinstance(found, bool):
            raise self.fault(f"{name} {found!r} is neither true nor false")
        return found

    def number(
        self, name: str, defaults: Mapping[str, Any], *, least: float = -math.inf, most: float = math.inf
    ) -> float:
        return self._number(name, self.value(name, defaults), least, most)

    def _number(self, name: str, found: Any, least: float, most: float) -> float:
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise self.fault(f"{name} {found!r} is no number")
        if not least <= found <= most:
            raise self.fault(f"{name} {found!r} is not from {least:g} to {most:g}")
        return float(found)

    def integer(self, name: str, defaults: Mapping[str, Any], least: int, most: int) -> int:
        found = self.value(name, defaults)
        return self._integer(name, found, least, most)

    def _integer(self, name: str, found: Any, least: int, most: int) -> int:
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            raise self.fault(f"{name} {found!r} is no whole number from {least} to {most}")
        return found

    def numbers(
        self, name: str, defaults: Mapping[str, Any], least: float, most: float, count: int | None = None
    ) -> list[float]:
        found = self.value(name, defaults)
        if not isinstance(found, list | tuple) or (count is not None and len(found) != count):
            raise self.fault(f"{name} {found!r} is no list of {count or ''} numbers".replace("  ", " "))
        return [self._number(name, v, least, most) for v in found]

    def integers(self, name: str, defaults: Mapping[str, Any], least: int, most: int) -> tuple[int, int]:
        found = self.value(name, defaults)
        if not isinstance(found, list | tuple) or len(found) != 2:
            raise self.fault(f"{name} {found!r} is no list of 2 numbers")
        x, y = (self._integer(name, v, least, most) for v in found)
        return x, y


def _builder(reader: _Reader, of_kind: str) -> Builder:
    kind = reader.choice("tractBuilder", tuple(_OF_BUILDER), _COMMON)
    part = _Reader(reader.facts.get(kind, {}), f"{reader.source}: {kind}")
    defaults = _OF_BUILDER[kind]
    part.known(defaults)
    if kind == "legacy":
        inner = part.integers("patchInnerDimensions", defaults, 1, 10**6)
        usual = _BORDER_OF_KIND.get(of_kind, defaults["patchBorder"])
        border = part.integer("patchBorder", {"patchBorder": usual}, 0, 10**6)
        facts: dict[str, Any] = {"patchInnerDimensions": list(inner), "patchBorder": border}
        return Builder(kind, inner, border, True, struct.pack("<3i", *inner, border), facts)
    cell = part.integers("cellInnerDimensions", defaults, 1, 10**5)
    own = part.integer("cellBorder", defaults, 0, 10**5)
    count = part.integer("numCellsPerPatchInner", defaults, 1, 10**4)
    around = part.integer("numCellsInPatchBorder", defaults, 0, 10**4)
    facts = {
        "cellInnerDimensions": list(cell),
        "cellBorder": own,
        "numCellsPerPatchInner": count,
        "numCellsInPatchBorder": around,
    }
    packed = struct.pack("<5i", *cell, own, count, around)
    return Builder(kind, (cell[0] * count, cell[1] * count), around * cell[0] + own, False, packed, facts)


def _own(kind: str, reader: _Reader, defaults: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "rings":
        rings = reader.integer("numRings", defaults, 1, _MOST_RINGS)
        return {"numRings": rings, "raStart": reader.number("raStart", defaults)}
    if kind == "equatorial":
        decs = reader.numbers("decRange", defaults, -90.0, 90.0, 2)
        if decs[0] >= decs[1]:
            raise reader.fault(f"decRange {decs!r} does not begin below its end")
        return {"numTracts": reader.integer("numTracts", defaults, 1, 10_000), "decRange": decs}
    if kind == "healpix":
        order = reader.integer("log2NSide", defaults, 0, _MOST_LOG2)
        return {"log2NSide": order, "nest": reader.truth("nest", defaults)}
    if kind == "dodeca":
        return {"withTractsOnPoles": reader.truth("withTractsOnPoles", defaults)}
    lists = {
        "raList": reader.numbers("raList", defaults, -360.0, 360.0),
        "decList": reader.numbers("decList", defaults, -90.0, 90.0),
        "radiusList": reader.numbers("radiusList", defaults, 1e-6, 30.0),
    }
    if not lists["raList"] or len({len(values) for values in lists.values()}) != 1:
        raise reader.fault("raList, decList and radiusList need one value for each tract")
    return lists


@lru_cache(maxsize=1)
def _known() -> Mapping[str, Mapping[str, Any]]:
    import yaml

    found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(_KNOWN.read_text("utf-8"))
    return found


def skymap_names() -> tuple[str, ...]:
    """Name the skymaps that come with the package.

    Returns
    -------
    names : `tuple` [`str`]
        As `load_skymap` takes them.
    """
    return tuple(sorted(_known()))


def load_skymap(name: str | os.PathLike[str]) -> tuple[str | None, dict[str, Any]]:
    """Read a skymap that comes with the package, or a configuration file.

    Parameters
    ----------
    name : `str` or path-like
        A name of `skymap_names`, or the path of a YAML or JSON file.

    Returns
    -------
    name : `str` or `None`
        What the skymap is called, if that is said.
    facts : `dict`
        Its parameters, for `SkyMapDefinition.from_facts`.

    Raises
    ------
    FileFormatError
        Raised if there is none, or it cannot be read.
    """
    text = os.fspath(name)
    if text in _known():
        return text, dict(_known()[text])
    if text.endswith(".py"):
        raise FileFormatError(
            f"{text} is a program, and configurations are not run here",
            hint="write its values as YAML: 'numRings: 120' for config.skyMap['rings'].numRings = 120",
        )
    if not text.endswith((".yaml", ".yml", ".json")):
        raise FileFormatError(f"there is no skymap {text!r}", hint=known_names(text, list(_known())))
    import yaml

    try:
        facts = yaml.safe_load(Path(text).read_text("utf-8"))
    except FileNotFoundError:
        raise FileFormatError(f"there is no file {text}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise FileFormatError(f"{text}: not valid YAML: {' '.join(str(err).split())[:200]}") from None
    if not isinstance(facts, dict):
        raise FileFormatError(f"{text}: a skymap is a mapping of parameters, not {type(facts).__name__}")
    called = facts.pop("name", None)
    if called is not None and not isinstance(called, str):
        raise FileFormatError(f"{text}: name {called!r} is no text")
    return called, facts


def with_settings(facts: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Set some parameters by text.

    Parameters
    ----------
    facts : `Mapping`
        Parameters by name.
    settings : iterable of `str`
        Each ``name=value``, the value in YAML; a dot leads into a nested mapping.

    Returns
    -------
    facts : `dict`
        With these set.

    Raises
    ------
    FileFormatError
        Raised if a setting is none.
    """
    import yaml

    found = {key: dict(value) if isinstance(value, Mapping) else value for key, value in facts.items()}
    for setting in settings:
        path, equals, text = setting.partition("=")
        *parents, last = path.strip().split(".")
        if not equals or not last or len(parents) > 1:
            raise FileFormatError(f"{setting!r} is no setting", hint="such as numRings=120")
        place = found.setdefault(parents[0], {}) if parents else found
        if not isinstance(place, dict):
            raise FileFormatError(f"{setting!r}: {parents[0]} has no parameters of its own")
        try:
            place[last] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise FileFormatError(f"{setting!r}: the value is not valid YAML") from None
    return found
