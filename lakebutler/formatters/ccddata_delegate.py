# SPDX-License-Identifier: BSD-3-Clause
"""Images taken apart: pixels, mask, uncertainty, world coordinates and header, each in its file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lakebutler.datasets.delegate import StorageClassDelegate
from lakebutler.errors import FileFormatError
from lakebutler.formatters.fits_ccddata import image_header, make_unit
from lakebutler.formatters.fits_section import parse_section

__all__ = ["CCDDataDelegate"]

_STORED = ("data", "mask", "uncertainty", "wcs", "header")
_ALIASES = {"image": "data", "variance": "uncertainty", "metadata": "header"}
"""Names that the LSST pipelines have for the same."""

_LARGE = 1 << 31
"""Pixels along each axis of an image of which only the world coordinates are known."""


class CCDDataDelegate(StorageClassDelegate):
    """Takes a `~astropy.nddata.CCDData` apart.

    Its unit is kept in the header.  Files of the LSST pipelines, whose components have other
    names, are put together too.
    """

    def storedComponents(self) -> tuple[str, ...]:
        """Give one name for each."""
        return tuple(name for name in _STORED if name in self.storageClass.components)

    def getComponent(self, composite: Any, componentName: str) -> Any:
        """Take pixels, mask, uncertainty, world coordinates or header out of an image."""
        import numpy

        name = _ALIASES.get(componentName, componentName)
        if name == "header":
            if getattr(composite, "flags", None) is not None or getattr(composite, "psf", None) is not None:
                raise FileFormatError(
                    "an image with flags or a PSF has no component for them",
                    hint="write it as one file: datastore: composites: disassembled: false",
                )
            return image_header(composite)
        if name == "data":
            return numpy.asarray(composite.data)
        if name == "mask" and composite.mask is not None:
            return numpy.broadcast_to(numpy.asarray(composite.mask), composite.data.shape)
        return super().getComponent(composite, name)

    def assemble(self, components: Mapping[str, Any], pytype: type | None = None) -> Any:
        """Make an image; without pixels it cannot be made."""
        from astropy.nddata import CCDData

        parts = {_ALIASES.get(name, name): part for name, part in components.items()}
        if parts.get("data") is None:
            raise FileFormatError("an image without pixels cannot be put together")
        header = parts.get("header")
        header = header.copy(strip=True) if header is not None else None
        unit = make_unit(header.get("BUNIT") if header is not None else None)
        image = (pytype or CCDData)(parts["data"], unit=unit, meta=header)
        image.mask = parts.get("mask")
        image.uncertainty = parts.get("uncertainty")
        image.wcs = parts.get("wcs")
        return image

    def handleParameters(self, inMemoryDataset: Any, parameters: Mapping[str, Any] | None = None) -> Any:
        """Cut out what ``bbox`` or ``section`` names."""
        slices = _section(parameters or {}, inMemoryDataset.data.shape)
        return inMemoryDataset if slices is None else inMemoryDataset[slices]

    def handleComponentParameters(
        self, componentName: str, component: Any, parameters: Mapping[str, Any]
    ) -> Any:
        """Cut a component as the image would be cut."""
        name = _ALIASES.get(componentName, componentName)
        if name == "header":
            _section(parameters, (_LARGE, _LARGE))  # refuses what makes no sense
            return component
        array = component.array if name == "uncertainty" else component
        shape = (_LARGE,) * component.naxis if name == "wcs" else array.shape
        slices = _section(parameters, shape)
        return component if slices is None else component[slices]

    @classmethod
    def selectResponsibleComponent(cls, derivedComponent: str, fromComponents: Collection[str | None]) -> str:
        """Find the same under its other name."""
        for pair in _ALIASES.items():
            if derivedComponent in pair:
                other = pair[1 - pair.index(derivedComponent)]
                if other in fromComponents:
                    return other
        raise ValueError(f"{derivedComponent!r} is not among {sorted(map(str, fromComponents))}")

    def deriveComponent(self, derivedComponent: str, componentName: str, component: Any) -> Any:
        """Give the component: it only has another name."""
        return component


def _section(parameters: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[slice, ...] | None:
    for name in parameters:
        if name not in ("bbox", "section"):
            raise FileFormatError(
                f"an image in parts has no parameter {name!r}", hint="bbox and section cut a part out"
            )
    return parse_section(parameters.get("bbox"), parameters.get("section"), shape)
