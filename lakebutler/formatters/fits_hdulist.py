# SPDX-License-Identifier: BSD-3-Clause
"""FITS files whole, as astropy `~astropy.io.fits.HDUList` in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, ClassVar

from lakebutler.errors import FileFormatError
from lakebutler.formatters.fits import HEADER_STYLE, add_facts, open_fits, parse_hdu, pick_hdu, require_whole
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["FitsHduListFormatter"]


class FitsHduListFormatter(Formatter):
    """All HDUs of a file, in memory: there is nothing to close.

    Parameter and option ``hdu`` read one HDU only; the list then has the primary
    header and it.  Component ``primary_header`` is the header of the first HDU,
    ``header`` that of ``hdu``, by default of the first.
    """

    key = "fits_hdulist"
    extension = ".fits"
    extensions = (".fit", ".fits.gz", ".fits.fz", ".fz", ".fts")
    family = "fits"
    components = frozenset({"primary_header", "header"})
    parameters = frozenset({"hdu"})
    options: ClassVar[Mapping[str, Callable[[str], Any]]] = {"hdu": parse_hdu}
    provenance_style = HEADER_STYLE

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read all HDUs, one of them, or a header."""
        from astropy.io import fits

        self.check_request(component, parameters)
        which = (parameters or {}).get("hdu", self.chosen.get("hdu"))
        with open_fits(source) as hdus:
            if component == "primary_header":
                return hdus[0].header.copy()
            if component == "header":
                return pick_hdu(hdus, 0 if which is None else which).header.copy()
            if which is None:
                chosen = list(hdus)
            else:
                hdu = pick_hdu(hdus, which)
                chosen = [hdu] if hdu is hdus[0] else [fits.PrimaryHDU(header=_bare(hdus[0].header)), hdu]
            return fits.HDUList([_detach(require_whole(hdu)) for hdu in chosen])

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write HDUs, one HDU, a header or world coordinates."""
        hdus = _as_hdus(obj)
        hdus.writeto(file, output_verify="silentfix+ignore")

    def with_provenance(self, obj: Any, facts: Mapping[str, str | int | float | bool]) -> Any:
        """Give the list with another primary header."""
        from astropy.io import fits

        first, *others = _as_hdus(obj)
        primary = fits.PrimaryHDU(first.data, header=first.header.copy())
        add_facts(primary.header, facts)
        return fits.HDUList([primary, *others])


def _detach(hdu: Any) -> Any:
    """Copy an HDU with its data, so that nothing is left of the open file."""
    if getattr(hdu, "_theap", 0) and hdu.header.get("PCOUNT"):
        return _from_bytes(hdu)
    copied = hdu.copy()
    _ = copied.data
    return copied


def _from_bytes(hdu: Any) -> Any:
    """Read a table with columns of variable length anew: a copy of it would lose its heap."""
    from astropy.io import fits

    place = hdu.fileinfo()
    place["file"].seek(place["hdrLoc"])
    memory = io.BytesIO()
    fits.PrimaryHDU().writeto(memory)
    memory.write(place["file"].read(place["datLoc"] + place["datSpan"] - place["hdrLoc"]))
    memory.seek(0)
    made = fits.open(memory, memmap=False, lazy_load_hdus=False)[1]
    _ = made.data
    return made


def _bare(header: Any) -> Any:
    return header.copy(strip=True)


def _as_hdus(obj: Any) -> Any:
    from astropy.io import fits

    if isinstance(obj, fits.HDUList):
        return obj
    if isinstance(obj, fits.Header):
        return fits.HDUList([fits.PrimaryHDU(header=obj.copy(strip=True))])
    if isinstance(obj, fits.PrimaryHDU):
        return fits.HDUList([obj])
    if hasattr(obj, "fileinfo") and hasattr(obj, "header"):
        return fits.HDUList([fits.PrimaryHDU(), obj])
    if hasattr(obj, "to_fits"):
        return obj.to_fits(relax=True)
    raise FileFormatError(f"a FITS file cannot hold an object of type {type(obj).__name__}")
