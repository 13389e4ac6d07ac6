# SPDX-License-Identifier: BSD-3-Clause
"""The detectors of one exposure, where they sit in the focal plane.

Each detector is a tile with its corners in mm, coloured by a number, by a word, or
showing its pixels.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebutler.viz.style import (
    EDGE,
    EMPTY,
    INK,
    Colours,
    Value,
    choose_colours,
    new_figure,
    save_figure,
    show_legend,
    show_scale,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["Tile", "binned", "draw_focal_plane", "save_focal_plane"]

_DARK = "#10151c"
_QUICK_LOOK_PX = 512  # pixels shown across a detector at most


@dataclass(frozen=True, slots=True)
class Tile:
    """One detector of the picture.

    Attributes
    ----------
    name : `str`
        What is written on it.
    corners_mm : sequence of (x, y)
        Focal-plane corners of pixels (left, low), (right, low), (right, high),
        (left, high), in mm.
    value : `float`, `str` or `None`
        What colours it.
    pixels : `numpy.ndarray`, optional
        Image, first axis up; shown instead of a colour.
    """

    name: str
    corners_mm: Sequence[Sequence[float]]
    value: Value = None
    pixels: NDArray[Any] | None = None


def draw_focal_plane(
    tiles: Sequence[Tile], *, title: str = "", subtitle: str = "", label: str = "", names: bool = True
) -> Figure:
    """Draw detectors in focal-plane coordinates.

    Parameters
    ----------
    tiles : sequence of `Tile`
        The detectors.
    title, subtitle : `str`, optional
        What stands above.
    label : `str`, optional
        What the colours mean, with its unit.
    names : `bool`, optional
        Whether to write the detectors' names.

    Returns
    -------
    figure : `matplotlib.figure.Figure`
        Not attached to any window.

    Raises
    ------
    ValueError
        Raised if there is nothing to draw.
    """
    if not tiles:
        raise ValueError("no detectors to draw")
    extent = _extent(tiles)
    wide = (extent[2] - extent[0]) / (extent[3] - extent[1])
    figure = new_figure(min(11.0, max(6.0, 6.0 * wide + 1.6)), 7.2, None)
    axes = figure.add_axes((0.1, 0.08, 0.74, 0.82))
    with_pixels = [t for t in tiles if t.pixels is not None]
    colours = Colours([None] * len(tiles))
    if with_pixels:
        axes.set_facecolor(_DARK)
        show_scale(figure, axes, _show_pixels(axes, with_pixels), label or "counts")
    else:
        colours = choose_colours([t.value for t in tiles], label)
        show_legend(axes, colours)
        if colours.scale is not None:
            show_scale(figure, axes, colours.scale, label)
    _outline(axes, tiles, colours.of, dark=bool(with_pixels), names=names)
    _frame(axes, extent, title, subtitle)
    return figure


def save_focal_plane(tiles: Sequence[Tile], path: str | os.PathLike[str], **options: Any) -> None:
    """Draw detectors and write the picture to a file.

    Parameters
    ----------
    tiles : sequence of `Tile`
        The detectors.
    path : `str` or path-like
        PNG, SVG or PDF, by its ending.
    **options
        As for `draw_focal_plane`.
    """
    save_figure(draw_focal_plane(tiles, **options), path)


def _extent(tiles: Sequence[Tile]) -> tuple[float, float, float, float]:
    xs = [corner[0] for tile in tiles for corner in tile.corners_mm]
    ys = [corner[1] for tile in tiles for corner in tile.corners_mm]
    return min(xs), min(ys), max(xs), max(ys)


# ---------------------------------------------------------------------- colours


def _show_pixels(axes: Axes, tiles: Sequence[Tile]) -> Any:
    """Place the images with one stretch for all; return something a colour bar can show."""
    import numpy as np
    from astropy.visualization import ZScaleInterval
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.transforms import Affine2D

    images = [binned(np.asarray(tile.pixels)) for tile in tiles]
    finite = np.concatenate([image[np.isfinite(image)].ravel()[::7] for image in images])
    low, high = ZScaleInterval().get_limits(finite) if finite.size else (0.0, 1.0)
    norm = Normalize(low, high if high > low else low + 1.0)
    for tile, image in zip(tiles, images, strict=True):
        (x0, y0), (x1, y1), _, (x3, y3) = tile.corners_mm
        height, width = image.shape
        place = Affine2D.from_values(
            (x1 - x0) / width, (y1 - y0) / width, (x3 - x0) / height, (y3 - y0) / height, x0, y0
        )
        axes.imshow(
            image,
            cmap="gray",
            norm=norm,
            origin="lower",
            extent=(0, width, 0, height),
            transform=place + axes.transData,
            interpolation="nearest",
            zorder=1,
        )
    return ScalarMappable(norm, "gray")


def binned(image: NDArray[Any]) -> NDArray[Any]:
    """Make an image small enough to be shown.

    Parameters
    ----------
    image : `numpy.ndarray`, (h, w)
        Pixels.

    Returns
    -------
    small : `numpy.ndarray` of `float`
        Means over squares of pixels, of those that are numbers, at most 512 a side; what is left over
        at the edges is dropped.
    """
    import warnings

    import numpy as np

    found = np.asarray(image, dtype=np.float32)
    step = math.ceil(max(found.shape) / _QUICK_LOOK_PX)
    height, width = (size // step * step for size in found.shape) if step else (0, 0)
    if step <= 1 or not height or not width:  # small, or a strip
        return found[:: max(1, step), :: max(1, step)]
    squares = found[:height, :width].reshape(height // step, step, width // step, step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a square without any number is none
        small: NDArray[Any] = np.nanmean(squares, axis=(1, 3))
    return small


# --------------------------------------------------------------------- outlines


def _outline(axes: Axes, tiles: Sequence[Tile], colours: Sequence[Any], *, dark: bool, names: bool) -> None:
    from matplotlib.patches import Polygon

    for tile, colour in zip(tiles, colours, strict=True):
        fill = colour if colour is not None else "none" if dark else EMPTY
        corners = [tuple(c) for c in tile.corners_mm]
        axes.add_patch(Polygon(corners, facecolor=fill, edgecolor=EDGE, linewidth=0.6, zorder=2))
        if names:
            _write_name(axes, tile, colour, len(tiles))


def _write_name(axes: Axes, tile: Tile, fill: Any, count: int) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patheffects import withStroke

    xs, ys = [c[0] for c in tile.corners_mm], [c[1] for c in tile.corners_mm]
    size = 11.0 if count <= 12 else 7.0 if count <= 70 else 5.0
    if tile.pixels is not None:  # out of the way of the stars: upper left corner as drawn
        x = min(xs) + 0.035 * (max(xs) - min(xs))
        y = max(ys) - 0.03 * (max(ys) - min(ys))
        halo = [withStroke(linewidth=2.0, foreground=_DARK)]
        axes.text(
            x, y, tile.name, color="#ffd166", fontsize=size, ha="left", va="top", zorder=4, path_effects=halo
        )
        return
    red, green, blue = to_rgb(fill) if fill is not None else (1.0, 1.0, 1.0)
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55  # ITU-R BT.601 luma
    narrow = (max(xs) - min(xs)) < 0.7 * (max(ys) - min(ys))
    axes.text(
        (min(xs) + max(xs)) / 2,
        (min(ys) + max(ys)) / 2,
        tile.name,
        color=INK if bright else "white",
        fontsize=size,
        ha="center",
        va="center",
        rotation=90 if narrow and count > 12 else 0,
        zorder=4,
    )


def _frame(axes: Axes, extent: tuple[float, float, float, float], title: str, subtitle: str) -> None:
    low_x, low_y, high_x, high_y = extent
    margin = 0.03 * max(high_x - low_x, high_y - low_y)
    axes.set_xlim(low_x - margin, high_x + margin)
    axes.set_ylim(low_y - margin, high_y + margin)
    axes.set_aspect("equal")
    axes.set_xlabel("focal plane x [mm]", color=INK)
    axes.set_ylabel("focal plane y [mm]", color=INK)
    tidy(axes, title, subtitle)
