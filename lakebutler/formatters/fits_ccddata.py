# SPDX-License-Identifier: BSD-3-Clause
"""What a `~astropy.nddata.CCDData` is in FITS, and back.

Layout: primary HDU with the pixels, then ``MASK``, ``UNCERT`` and ``PSFIMAGE`` where
there are such, as astropy itself writes it; so astropy reads our files and we read
its.  ``MASK`` and ``VARIANCE`` of the LSST pipelines are understood too.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from lakebutler.errors import FileFormatError

__all__ = [
    "COMPANIONS",
    "MASK_NAMES",
    "UNCERTAINTY_NAMES",
    "ccddata_to_hdus",
    "image_header",
    "make_mask",
    "make_uncertainty",
    "make_unit",
    "make_wcs",
    "uncertainty_hdu",
]

MASK_NAMES = ("MASK",)
UNCERTAINTY_NAMES = ("UNCERT", "VARIANCE")
COMPANIONS = frozenset(
    {*MASK_NAMES, *UNCERTAINTY_NAMES, "PSFIMAGE", "DQ", "ERR", "FLAGS", "IVAR", "VAR", "WEIGHT", "WGT", "WHT"}
)

_KINDS = {
    "StdDevUncertainty": "StdDevUncertainty",
    "VarianceUncertainty": "VarianceUncertainty",
    "InverseVariance": "InverseVariance",
    "UnknownUncertainty": "UnknownUncertainty",
}
_WCS_CARD = re.compile(
    r"(CTYPE|CRVAL|CRPIX|CUNIT|CDELT|CROTA|CNAME|CRDER|CSYER)\d+|(CD|PC|PV|PS)\d+_\d+|WCSAXES|WCSNAME"
    r"|LONPOLE|LATPOLE|(A|B|AP|BP)_(ORDER|DMAX|\d+_\d+)"
)


def make_unit(text: Any) -> Any:
    """Make the unit of an image.

    Parameters
    ----------
    text : `str` or `None`
        BUNIT.

    Returns
    -------
    unit : `astropy.units.UnitBase`
        ADU if there is none; an unrecognised unit keeps its text.
    """
    from astropy import units

    name = str(text or "").strip()
    if not name:
        return units.adu
    for candidate in (name, name.lower()):
        try:
            return units.Unit(candidate)
        except (ValueError, TypeError):
            continue
    return units.Unit(name, parse_strict="silent")


def make_wcs(header: Any) -> Any:
    """Make world coordinates from a header.

    Parameters
    ----------
    header : `astropy.io.fits.Header`
        Header of an image.

    Returns
    -------
    wcs : `astropy.wcs.WCS` or `None`
        `None` if the header has none or what it has makes no sense.
    """
    if "CTYPE1" not in header:
        return None
    from astropy.wcs import WCS, FITSFixedWarning, WcsError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            return WCS(header)
        except (WcsError, ValueError, KeyError, MemoryError, TypeError, AssertionError) as exc:
            warnings.warn(f"the world coordinates in the FITS header make no sense: {exc}", stacklevel=2)
            return None


def make_mask(pixels: Any, header: Any) -> Any:
    """Make a mask from its HDU.

    Parameters
    ----------
    pixels : `numpy.ndarray`
        The HDU's data.
    header : `astropy.io.fits.Header`
        The HDU's header.

    Returns
    -------
    mask : `numpy.ndarray`
        Booleans, or bits where the mask had several planes.
    """
    if header.get("MASKTYPE", "bool") == "bool" and pixels.dtype.itemsize == 1:
        return pixels.astype(bool)
    return pixels


def make_uncertainty(pixels: Any, header: Any) -> Any:
    """Make an uncertainty from its HDU.

    Parameters
    ----------
    pixels : `numpy.ndarray`
        The HDU's data.
    header : `astropy.io.fits.Header`
        The HDU's header; UTYPE says what the values are.

    Returns
    -------
    uncertainty : `astropy.nddata.NDUncertainty`
        Of the kind that was written.
    """
    from astropy import nddata

    default = "VarianceUncertainty" if header.get("EXTNAME") == "VARIANCE" else "StdDevUncertainty"
    kind = _KINDS.get(str(header.get("UTYPE", default)), "UnknownUncertainty")
    unit = make_unit(header["BUNIT"]) if header.get("BUNIT") else None
    return getattr(nddata, kind)(pixels, unit=unit, copy=False)


def ccddata_to_hdus(image: Any) -> Any:
    """Make the HDUs of an image.

    Parameters
    ----------
    image : `astropy.nddata.CCDData`
        The image.

    Returns
    -------
    hdus : `astropy.io.fits.HDUList`
        To be written.

    Raises
    ------
    FileFormatError
        Raised if the image has something that FITS or we cannot hold.
    """
    import numpy
    from astropy.io import fits

    if getattr(image, "flags", None) is not None:
        raise FileFormatError(
            "an image with flags cannot be written", hint="put the flags in the mask's bits"
        )
    hdus = fits.HDUList([fits.PrimaryHDU(_storable(image.data), header=image_header(image))])
    if image.mask is not None:
        mask = numpy.broadcast_to(numpy.asarray(image.mask), image.data.shape)
        hdu = fits.ImageHDU(mask.astype(numpy.uint8) if mask.dtype == bool else _storable(mask), name="MASK")
        hdu.header["MASKTYPE"] = (
            "bool" if mask.dtype == bool else "bits",
            "true or false, or planes of bits",
        )
        hdus.append(hdu)
    if image.uncertainty is not None:
        hdus.append(uncertainty_hdu(image.uncertainty))
    if getattr(image, "psf", None) is not None:
        hdus.append(fits.ImageHDU(_storable(image.psf), name="PSFIMAGE"))
    return hdus


def _storable(array: Any) -> Any:
    import numpy

    array = numpy.asarray(array)
    kind = array.dtype
    if kind.kind not in "iuf" or kind.itemsize > 8 or kind == numpy.float16:
        raise FileFormatError(f"a FITS image cannot hold dtype {kind}")
    return array


def uncertainty_hdu(uncertainty: Any) -> Any:
    """Make the HDU of an uncertainty.

    Parameters
    ----------
    uncertainty : `astropy.nddata.NDUncertainty`
        The uncertainty.

    Returns
    -------
    hdu : `astropy.io.fits.ImageHDU`
        Named ``UNCERT``; ``UTYPE`` says what the values are.

    Raises
    ------
    FileFormatError
        Raised if its kind or its values cannot be written.
    """
    from astropy.io import fits

    kind = type(uncertainty).__name__
    if kind not in _KINDS:
        raise FileFormatError(f"an uncertainty of type {kind} cannot be written", hint=", ".join(_KINDS))
    hdu = fits.ImageHDU(_storable(uncertainty.array), name="UNCERT")
    hdu.header["UTYPE"] = (kind, "what the values are")
    if uncertainty.unit is not None:
        hdu.header["BUNIT"] = _unit_text(uncertainty.unit)
    return hdu


def _unit_text(unit: Any) -> str:
    try:
        return str(unit.to_string("fits"))
    except (ValueError, AttributeError):
        return str(unit.to_string())


def image_header(image: Any) -> Any:
    """Make the FITS header of an image, with its unit and world coordinates.

    Parameters
    ----------
    image : `astropy.nddata.CCDData`
        The image.

    Returns
    -------
    header : `astropy.io.fits.Header`
        A new one.

    Raises
    ------
    FileFormatError
        Raised if one header cannot hold all.
    """
    from astropy.io import fits

    header = _as_header(image.meta)
    for keyword in ("BZERO", "BSCALE", "BLANK", "CHECKSUM", "DATASUM"):
        header.remove(keyword, ignore_missing=True, remove_all=True)
    if image.unit is not None and ("BUNIT" not in header or make_unit(header["BUNIT"]) != image.unit):
        header["BUNIT"] = _unit_text(image.unit)
    elif "BUNIT" not in header:
        header["BUNIT"] = ""
    if image.wcs is None:
        for keyword in [k for k in header if _WCS_CARD.fullmatch(k)]:
            header.remove(keyword, remove_all=True)
        return header
    if any(getattr(image.wcs, name, None) is not None for name in ("cpdis1", "cpdis2", "det2im1", "det2im2")):
        raise FileFormatError("world coordinates with distortion tables cannot be written in one header")
    cards = image.wcs.to_header(relax=True)
    known = make_wcs(header)
    if known is not None and known.to_header(relax=True) == cards and known.naxis == image.wcs.naxis:
        return header
    for keyword in [k for k in header if _WCS_CARD.fullmatch(k)]:
        header.remove(keyword, remove_all=True)
    header.update(fits.Header([card for card in cards.cards if card.keyword != "COMMENT"]))
    return header


def _as_header(meta: Any) -> Any:
    from astropy.io import fits
    from astropy.io.fits.verify import VerifyWarning

    if isinstance(meta, fits.Header):
        return meta.copy(strip=True)
    header = fits.Header()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VerifyWarning)
        for key, value in meta.items():
            try:
                header[key] = value
            except (ValueError, TypeError) as exc:
                raise FileFormatError(f"a FITS header cannot hold {key!r}: {exc}") from None
    return header
