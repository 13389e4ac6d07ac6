# SPDX-License-Identifier: BSD-3-Clause
"""What the FITS formatters share: opening files, and saying what is wrong with them."""

from __future__ import annotations

import gzip
import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lakebutler.errors import FileFormatError
from lakebutler.formatters.formatter import Source

__all__ = [
    "HEADER_STYLE",
    "MAX_UNPACKED",
    "add_facts",
    "native",
    "open_fits",
    "parse_hdu",
    "pick_hdu",
    "require_whole",
]

MAX_UNPACKED = 8 << 30
"""Largest size, in bytes, of a gzipped file once unpacked."""

HEADER_STYLE = ("LSST BUTLER", " ")
"""Prefix and separator of provenance in headers, as the incumbent writes it."""

_GZIP = b"\x1f\x8b"
_CHUNK = 16 << 20
_LONGEST_FACT = 80 - len("HIERARCH ") - len("=''") - 1


def parse_hdu(text: str) -> int | str:
    """Parse the name of an HDU.

    Parameters
    ----------
    text : `str`
        Its number, counted from 0, or its EXTNAME.

    Returns
    -------
    hdu : `int` or `str`
        What astropy takes as an index.
    """
    return int(text) if text.isdecimal() else text


@contextmanager
def open_fits(source: Source) -> Iterator[Any]:
    """Open a FITS file, gzipped or not.

    Parameters
    ----------
    source : `Source`
        The file's content.

    Yields
    ------
    hdus : `astropy.io.fits.HDUList`
        Its HDUs, loaded when asked for; usable inside the context only.
    """
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyUserWarning

    with source.open() as stream:
        if stream.read(2) == _GZIP:
            stream.seek(0)
            stream = io.BytesIO(_unpack(stream))
        stream.seek(0)
        with warnings.catch_warnings():
            # Raw files are rarely clean; a short one is found by `require_whole`.
            warnings.simplefilter("ignore", AstropyUserWarning)
            with fits.open(stream, mode="readonly", memmap=False, lazy_load_hdus=True) as hdus:
                yield hdus


def _unpack(stream: Any) -> bytes:
    parts = []
    total = 0
    with gzip.GzipFile(fileobj=stream) as unzipped:
        while part := unzipped.read(_CHUNK):
            parts.append(part)
            total += len(part)
            if total > MAX_UNPACKED:
                raise FileFormatError(f"the gzipped file unpacks to more than {MAX_UNPACKED} bytes")
    return b"".join(parts)


def require_whole(hdu: Any) -> Any:
    """Check that the file does not end before an HDU does.

    Parameters
    ----------
    hdu : HDU
        One HDU of an open file.

    Returns
    -------
    hdu : HDU
        The same.

    Raises
    ------
    FileFormatError
        Raised if its data are cut off.
    """
    place = hdu.fileinfo()
    if place is not None and place["file"] is not None:
        end = place["datLoc"] + hdu.size
        have = place["file"].size
        if have is not None and have < end:
            raise FileFormatError(
                f"the FITS file is truncated: HDU {hdu.name or hdu.ver} needs {end} bytes, there are {have}"
            )
    return hdu


def pick_hdu(hdus: Any, which: int | str) -> Any:
    """Get one HDU.

    Parameters
    ----------
    hdus : `astropy.io.fits.HDUList`
        An open file.
    which : `int` or `str`
        Number, counted from 0, or EXTNAME.

    Returns
    -------
    hdu : HDU
        It is whole.

    Raises
    ------
    FileFormatError
        Raised if there is none.
    """
    try:
        return require_whole(hdus[which])
    except (KeyError, IndexError):
        names = ", ".join(f"{i} {hdu.name}".strip() for i, hdu in enumerate(hdus))
        raise FileFormatError(f"the FITS file has no HDU {which!r}", hint=f"there are: {names}") from None


def native(array: Any) -> Any:
    """Give an array in this machine's byte order.

    Parameters
    ----------
    array : `numpy.ndarray` or `None`
        FITS data are big-endian.

    Returns
    -------
    array : `numpy.ndarray` or `None`
        Equal values.
    """
    if array is None or array.dtype.isnative:
        return array
    return array.astype(array.dtype.newbyteorder("="))


def add_facts(header: Any, facts: Mapping[str, str | int | float | bool]) -> Any:
    """Add provenance to a header.

    Parameters
    ----------
    header : mutable mapping
        Changed in place.
    facts : mapping
        Keys of several words, and values.  A text too long for its card is left
        out; ids always fit.

    Returns
    -------
    header : mutable mapping
        The same.
    """
    for key, value in facts.items():
        if not isinstance(value, str) or len(key) + len(value) <= _LONGEST_FACT:
            header[f"HIERARCH {key}"] = value
    return header
