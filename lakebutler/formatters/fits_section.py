# SPDX-License-Identifier: BSD-3-Clause
"""Parts of an image: boxes and FITS sections as slices of an array."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lakebutler.errors import FileFormatError

__all__ = ["parse_section"]

_FITS = re.compile(r"\[?\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]?")


def parse_section(bbox: Any, section: Any, shape: Sequence[int]) -> tuple[slice, ...] | None:
    """Turn what a caller may give into slices of an image.

    Parameters
    ----------
    bbox : sequence of four `int`, or box, or `None`
        ``(x_min, y_min, x_end, y_end)``, pixels counted from 0, ends excluded; or an
        object with ``beginX``, ``beginY``, ``endX``, ``endY`` such as an LSST box.
    section : `str` or sequence of `slice`, or `None`
        FITS ``[x1:x2,y1:y2]``, pixels counted from 1, ends included; or slices in
        the order of the array's axes.
    shape : sequence of `int`
        Shape of the array.

    Returns
    -------
    slices : `tuple` [`slice`] or `None`
        One per axis, inside the image; `None` for all of it.

    Raises
    ------
    FileFormatError
        Raised if it cannot be understood or does not lie in the image.
    """
    if bbox is None and section is None:
        return None
    if bbox is not None and section is not None:
        raise FileFormatError("give either bbox or section, not both")
    if bbox is not None:
        slices = _from_bbox(bbox)
    elif isinstance(section, str):
        slices = _from_text(section)
    else:
        slices = _from_slices(section, shape)
    slices = (*(slice(0, n) for n in shape[: len(shape) - len(slices)]), *slices)
    for part, size in zip(slices, shape, strict=True):
        if not 0 <= part.start < part.stop <= size:
            x = " by ".join(str(n) for n in reversed(shape))
            given = bbox if bbox is not None else section
            raise FileFormatError(f"the section {given} does not lie in the image of {x} pixels")
    return slices


def _from_bbox(bbox: Any) -> tuple[slice, ...]:
    if hasattr(bbox, "beginX"):
        bbox = (bbox.beginX, bbox.beginY, bbox.endX, bbox.endY)
    try:
        x0, y0, x1, y1 = (int(value) for value in bbox)
    except (TypeError, ValueError):
        raise FileFormatError(
            f"bbox must be (x_min, y_min, x_end, y_end), not {bbox!r}", hint="pixels from 0, ends excluded"
        ) from None
    return (slice(y0, y1), slice(x0, x1))


def _from_text(section: str) -> tuple[slice, ...]:
    match = _FITS.fullmatch(section.strip())
    if match is None:
        raise FileFormatError(f"the section {section!r} cannot be read", hint="write it as '[x1:x2,y1:y2]'")
    x1, x2, y1, y2 = (int(group) for group in match.groups())
    return (slice(y1 - 1, y2), slice(x1 - 1, x2))


def _from_slices(section: Any, shape: Sequence[int]) -> tuple[slice, ...]:
    parts = tuple(section) if isinstance(section, list | tuple) else (section,)
    if len(parts) > len(shape) or not all(isinstance(part, slice) for part in parts):
        raise FileFormatError(f"the section {section!r} is neither text nor slices of the image")
    if any(part.step not in (None, 1) for part in parts):
        raise FileFormatError(f"the section {section!r} leaves pixels out; only whole boxes can be read")
    whole = parts + (slice(None),) * (len(shape) - len(parts))
    return tuple(slice(*part.indices(size)[:2]) for part, size in zip(whole, shape, strict=True))
