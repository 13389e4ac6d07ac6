# SPDX-License-Identifier: BSD-3-Clause
"""The uncertainty of an image, alone, as FITS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from lakebutler.errors import FileFormatError
from lakebutler.formatters.fits import open_fits, require_whole
from lakebutler.formatters.fits_ccddata import UNCERTAINTY_NAMES, make_uncertainty, uncertainty_hdu
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["FitsUncertaintyFormatter"]


class FitsUncertaintyFormatter(Formatter):
    """An uncertainty with its kind and unit, as an image's file has it behind the pixels."""

    key = "fits_uncertainty"
    extension = ".fits"

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the first HDU that has the name of an uncertainty."""
        import numpy

        self.check_request(component, parameters)
        with open_fits(source) as hdus:
            for hdu in hdus:
                if hdu.name in UNCERTAINTY_NAMES and hdu.is_image and hdu.size > 0:
                    require_whole(hdu)
                    values = numpy.array(hdu.data, dtype=hdu.data.dtype.newbyteorder("="))
                    return make_uncertainty(values, hdu.header)
        raise FileFormatError("the FITS file has no uncertainty")

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write it behind an empty primary HDU."""
        from astropy.io import fits

        fits.HDUList([fits.PrimaryHDU(), uncertainty_hdu(obj)]).writeto(file)
