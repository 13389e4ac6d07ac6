# SPDX-License-Identifier: BSD-3-Clause
"""Amplifiers of a detector put together for a quick look, as their headers say.

``DATASEC`` says which pixels of an image are light, ``DETSEC`` where they are in the detector;
a range that runs backwards turns the image over (conventions of NOAO, widely used).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["mosaic", "section"]

_SECTION = re.compile(r"\s*\[\s*(\d{1,6})\s*:\s*(\d{1,6})\s*,\s*(\d{1,6})\s*:\s*(\d{1,6})\s*\]\s*")
_MOST_PIXELS = 40_000_000


def section(text: Any) -> tuple[int, int, int, int] | None:
    """Read a section such as ``[1:512,2000:1]``.

    Parameters
    ----------
    text
        Value of a header.

    Returns
    -------
    section : `tuple` [`int`] or `None`
        First and last column, first and last row, from 1; `None` for anything else.
    """
    found = _SECTION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    x0, x1, y0, y1 = map(int, found.groups())
    return (x0, x1, y0, y1) if min(x0, x1, y0, y1) >= 1 else None


def mosaic(images: Iterable[tuple[NDArray[Any], Mapping[str, Any]]]) -> NDArray[Any] | None:
    """Put images together.

    Parameters
    ----------
    images : iterable of `tuple`
        Pixels, (h, w), and header of each.

    Returns
    -------
    whole : `numpy.ndarray` of `float`, (h, w), or `None`
        NaN where there is no image; `None` if no header says where its image belongs.
    """
    import numpy as np

    parts = []
    for data, header in images:
        source, target = section(header.get("DATASEC")), section(header.get("DETSEC"))
        if source is None or target is None or getattr(data, "ndim", 0) != 2:
            continue
        pixels = _turned(data[_span(*source[2:]), _span(*source[:2])], source, target)
        columns, rows = _span(*target[:2]), _span(*target[2:])
        if pixels.shape == (rows.stop - rows.start, columns.stop - columns.start):
            parts.append((pixels, rows, columns))
    if not parts:
        return None
    height, width = max(rows.stop for _, rows, _ in parts), max(columns.stop for *_, columns in parts)
    if height * width > _MOST_PIXELS:
        return None
    whole: NDArray[Any] = np.full((height, width), np.nan, dtype=np.float32)
    for pixels, rows, columns in parts:
        whole[rows, columns] = pixels
    return whole


def _span(first: int, last: int) -> slice:
    return slice(min(first, last) - 1, max(first, last))


def _turned(
    pixels: NDArray[Any], source: tuple[int, int, int, int], target: tuple[int, int, int, int]
) -> NDArray[Any]:
    over_x = (source[0] > source[1]) != (target[0] > target[1])
    over_y = (source[2] > source[3]) != (target[2] > target[3])
    return pixels[:: -1 if over_y else 1, :: -1 if over_x else 1]
