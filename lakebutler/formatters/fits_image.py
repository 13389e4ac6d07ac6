# SPDX-License-Identifier: BSD-3-Clause
"""FITS images as astropy `~astropy.nddata.CCDData`.

Raw files are read as they are: integers with an offset as the unsigned integers
they stand for, tile-compressed and gzipped images unpacked.  The header is that of
the image's HDU with the primary header behind it; where a file has several images and
none is asked for, the component ``header`` is the primary header.  An image without BUNIT is in ADU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, ClassVar

from lakebutler.errors import FileFormatError
from lakebutler.formatters.fits import (
    HEADER_STYLE,
    add_facts,
    native,
    open_fits,
    parse_hdu,
    pick_hdu,
    require_whole,
)
from lakebutler.formatters.fits_ccddata import (
    COMPANIONS,
    MASK_NAMES,
    UNCERTAINTY_NAMES,
    ccddata_to_hdus,
    make_mask,
    make_uncertainty,
    make_unit,
    make_wcs,
)
from lakebutler.formatters.fits_section import parse_section
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["FitsImageFormatter"]

_ALIASES = {"image": "data", "variance": "uncertainty", "metadata": "header"}


class FitsImageFormatter(Formatter):
    """An image with header, world coordinates, mask and uncertainty.

    Option and parameter ``hdu`` say which HDU is the image where a file has
    several.  Parameter ``bbox`` is ``(x_min, y_min, x_end, y_end)`` in pixels counted
    from 0, ends excluded; ``section`` is a FITS section ``"[x1:x2,y1:y2]"`` counted
    from 1, ends included, or a tuple of slices in numpy order.  Of a local file only
    that part is read, and the world coordinates are shifted with it.
    """

    key = "fits_image"
    extension = ".fits"
    extensions = (".fit", ".fits.gz", ".fits.fz", ".fz", ".fts")
    family = "fits"
    components = frozenset({"data", "mask", "uncertainty", "wcs", "header", *_ALIASES})
    parameters = frozenset({"bbox", "section", "hdu"})
    options: ClassVar[Mapping[str, Callable[[str], Any]]] = {"hdu": parse_hdu}
    provenance_style = HEADER_STYLE

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read an image, a part of it, or one component."""
        self.check_request(component, parameters)
        wanted = parameters or {}
        component = _ALIASES.get(component or "", component)
        with open_fits(source) as hdus:
            which = wanted.get("hdu", self.chosen.get("hdu"))
            if component == "header" and which is None and len(_images(hdus)) != 1:
                return hdus[0].header.copy()
            hdu = _find_image(hdus, which)
            header = _header(hdus, hdu)
            if component == "header":
                return header
            section = parse_section(wanted.get("bbox"), wanted.get("section"), hdu.shape)
            if component == "wcs":
                wcs = make_wcs(header)
                return wcs if section is None or wcs is None else wcs[section]
            if component == "mask":
                return _mask(hdus, section)
            if component == "uncertainty":
                return _uncertainty(hdus, section)
            data = _pixels(hdu, section)
            if component == "data":
                return data
            return _assemble(hdus, header, data, section)

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write an image: the pixels first, mask and uncertainty behind them."""
        ccddata_to_hdus(obj).writeto(file, output_verify="silentfix+ignore")

    def with_provenance(self, obj: Any, facts: Mapping[str, str | int | float | bool]) -> Any:
        """Give the image with another header."""
        from astropy.nddata import CCDData

        copied = CCDData(obj, copy=False)
        copied.meta = add_facts(obj.meta.copy(), facts)
        return copied


def _assemble(hdus: Any, header: Any, data: Any, section: Any) -> Any:
    from astropy.nddata import CCDData

    wcs = make_wcs(header)
    if wcs is not None and section is not None:
        wcs = wcs[section]
    image = CCDData(data, unit=make_unit(header.get("BUNIT")), meta=header)
    if len(hdus) > 1:
        image.mask = _mask(hdus, section)
        image.uncertainty = _uncertainty(hdus, section)
        if "PSFIMAGE" in hdus:
            image.psf = _pixels(require_whole(hdus["PSFIMAGE"]), None)
    image.wcs = wcs
    return image


def _find_image(hdus: Any, which: int | str | None) -> Any:
    if which is not None:
        hdu = pick_hdu(hdus, which)
        if not _is_image(hdu):
            raise FileFormatError(f"HDU {which!r} of the FITS file is no image")
        return hdu
    images = _images(hdus)
    if not images:
        raise FileFormatError("the FITS file has no image", hint="storageClass='HDUList' reads it whole")
    if len(images) > 1:
        names = ", ".join(f"{i} {hdu.name}".strip() for i, hdu in images[:8])
        raise FileFormatError(
            f"the FITS file has {len(images)} images",
            hint=f"say which with the parameter hdu ({names}{', …' if len(images) > 8 else ''}), "
            "or read all with storageClass='HDUList'",
        )
    return require_whole(images[0][1])


def _images(hdus: Any) -> list[tuple[int, Any]]:
    if _is_image(hdus[0]):
        return [(0, hdus[0])]
    return [(i, hdu) for i, hdu in enumerate(hdus) if _is_image(hdu) and hdu.name not in COMPANIONS]


def _is_image(hdu: Any) -> bool:
    return bool(hdu.is_image) and len(hdu.shape) >= 2 and hdu.size > 0


def _header(hdus: Any, hdu: Any) -> Any:
    header = hdu.header.copy()
    for keyword in ("BSCALE", "BZERO"):  # the pixels are given as what they stand for
        header.remove(keyword, ignore_missing=True)
    if hdu is not hdus[0]:
        primary = hdus[0].header.copy(strip=True)
        for keyword in ("INHERIT", "EXTNAME", "EXTVER", "CHECKSUM", "DATASUM", "EXTEND"):
            primary.remove(keyword, ignore_missing=True, remove_all=True)
        header.extend(primary, unique=True, update=False)
    return header


def _pixels(hdu: Any, section: Any) -> Any:
    return native(hdu.data if section is None else hdu.section[section])


def _companion(hdus: Any, names: tuple[str, ...]) -> Any:
    for hdu in hdus[1:]:
        if hdu.name in names and _is_image(hdu):
            return require_whole(hdu)
    return None


def _mask(hdus: Any, section: Any) -> Any:
    hdu = _companion(hdus, MASK_NAMES)
    return None if hdu is None else make_mask(_pixels(hdu, section), hdu.header)


def _uncertainty(hdus: Any, section: Any) -> Any:
    hdu = _companion(hdus, UNCERTAINTY_NAMES)
    return None if hdu is None else make_uncertainty(_pixels(hdu, section), hdu.header)
