# SPDX-License-Identifier: BSD-3-Clause
"""FITS tables as astropy `~astropy.table.Table`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, ClassVar

from lakebutler.errors import FileFormatError
from lakebutler.formatters.fits import HEADER_STYLE, open_fits, parse_hdu, pick_hdu, require_whole
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["FitsTableFormatter"]


class FitsTableFormatter(Formatter):
    """An astropy table with units, descriptions, masks, times and coordinates.

    Option ``hdu`` says which HDU is the table where a file has several.
    """

    key = "fits_table"
    extension = ".fits"
    extensions = (".fit", ".fits.gz", ".fts")
    family = "fits"
    provenance_style = HEADER_STYLE
    options: ClassVar[Mapping[str, Callable[[str], Any]]] = {"hdu": parse_hdu}

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the table."""
        from astropy.io import fits
        from astropy.table import Table
        from astropy.units import UnitsWarning

        self.check_request(component, parameters)
        which = self.chosen.get("hdu")
        with open_fits(source) as hdus:
            if which is not None:
                hdu = pick_hdu(hdus, which)
            else:
                hdu = next((h for h in hdus if isinstance(h, fits.BinTableHDU | fits.TableHDU)), None)
            if hdu is None or not isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
                raise FileFormatError(
                    "the FITS file has no table", hint="storageClass='HDUList' reads it whole"
                )
            require_whole(hdu)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnitsWarning)
                return Table.read(hdu, format="fits", character_as_bytes=False, astropy_native=True)

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write a table."""
        from astropy.io.fits.verify import VerifyWarning
        from astropy.table import Table
        from astropy.units import UnitsWarning

        if not isinstance(obj, Table):
            raise FileFormatError(f"a FITS table is made of an astropy table, not of {type(obj).__name__}")
        for name in obj.colnames:
            if getattr(obj[name], "dtype", None) is not None and obj[name].dtype.hasobject:
                raise FileFormatError(f"a FITS table cannot hold the column {name!r} of Python objects")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnitsWarning)
            warnings.simplefilter("ignore", VerifyWarning)  # long keywords become HIERARCH cards
            obj.write(file, format="fits")

    def with_provenance(self, obj: Any, facts: Mapping[str, str | int | float | bool]) -> Any:
        """Give the table with more metadata."""
        copied = obj.copy(copy_data=False)
        copied.meta.update(facts)
        return copied
