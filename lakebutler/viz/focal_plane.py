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

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["Tile", "draw_focal_plane", "save_focal_plane"]

_EDGE = "#5b6472"
_EMPTY = "#eceff3"
_INK = "#1d2530"
_DARK = "#10151c"
_WORDS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#997700", "#332288")
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
    value: float | str | None = None
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not tiles:
        raise ValueError("no detectors to draw")
    low_x, low_y, high_x, high_y = _extent(tiles)
    wide = (high_x - low_x) / (high_y - low_y)
    figure = Figure(figsize=(min(11.0, max(6.0, 6.0 * wide + 1.6)), 7.2), dpi=140, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.09, 0.08, 0.76, 0.82))
    with_pixels = [t for t in tiles if t.pixels is not None]
    numbers = [float(t.value) for t in tiles if isinstance(t.value, int | float) and math.isfinite(t.value)]
    if with_pixels:
        axes.set_facecolor(_DARK)
        _colour_bar(figure, axes, _show_pixels(axes, with_pixels), label or "counts")
        colours: dict[str, Any] = {}
    elif numbers:
        colours = _number_colours(figure, axes, tiles, numbers, label)
    else:
        colours = _word_colours(axes, tiles, label)
    _outline(axes, tiles, colours, dark=bool(with_pixels), names=names)
    _frame(axes, (low_x, low_y, high_x, high_y), title, subtitle)
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
    draw_focal_plane(tiles, **options).savefig(path)


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

    images = []
    for tile in tiles:
        image = np.asarray(tile.pixels, dtype=np.float32)
        step = max(1, math.ceil(max(image.shape) / _QUICK_LOOK_PX))
        images.append(image[::step, ::step])
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


def _number_colours(
    figure: Figure, axes: Axes, tiles: Sequence[Tile], numbers: Sequence[float], label: str
) -> dict[str, Any]:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    low, high = min(numbers), max(numbers)
    norm = Normalize(low, high) if high > low else Normalize(low - 0.5, high + 0.5)
    scale = ScalarMappable(norm, colormaps["viridis"])
    _colour_bar(figure, axes, scale, label)
    return {
        t.name: colormaps["viridis"](norm(float(t.value)))
        for t in tiles
        if isinstance(t.value, int | float) and math.isfinite(t.value)
    }


def _word_colours(axes: Axes, tiles: Sequence[Tile], label: str) -> dict[str, Any]:
    from matplotlib.patches import Patch

    words = list(dict.fromkeys(str(t.value) for t in tiles if t.value is not None))
    table = {word: _WORDS[i % len(_WORDS)] for i, word in enumerate(words)}
    if table:
        axes.legend(
            handles=[Patch(facecolor=colour, edgecolor=_EDGE, label=word) for word, colour in table.items()],
            title=label or None,
            loc="upper left",
            bbox_to_anchor=(1.02, 1.0),
            frameon=False,
            fontsize=9,
        )
    return {t.name: table[str(t.value)] for t in tiles if t.value is not None}


def _colour_bar(figure: Figure, axes: Axes, scale: Any, label: str) -> None:
    place = axes.inset_axes((1.025, 0.0, 0.03, 1.0))
    bar = figure.colorbar(scale, cax=place)
    bar.set_label(label, color=_INK, fontsize=10)
    bar.outline.set_edgecolor(_EDGE)
    bar.outline.set_linewidth(0.6)
    place.tick_params(labelsize=8.5, colors=_INK, width=0.6)


# --------------------------------------------------------------------- outlines


def _outline(axes: Axes, tiles: Sequence[Tile], colours: dict[str, Any], *, dark: bool, names: bool) -> None:
    from matplotlib.patches import Polygon

    for tile in tiles:
        fill = "none" if tile.pixels is not None else colours.get(tile.name, "none" if dark else _EMPTY)
        axes.add_patch(
            Polygon(
                [tuple(c) for c in tile.corners_mm], facecolor=fill, edgecolor=_EDGE, linewidth=0.6, zorder=2
            )
        )
    if names:
        for tile in tiles:
            _write_name(axes, tile, colours.get(tile.name), len(tiles))


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
        color=_INK if bright else "white",
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
    axes.set_xlabel("focal plane x [mm]", color=_INK)
    axes.set_ylabel("focal plane y [mm]", color=_INK)
    axes.tick_params(colors=_INK, labelsize=8.5, width=0.6)
    for spine in axes.spines.values():
        spine.set_color(_EDGE)
        spine.set_linewidth(0.6)
    if title:
        axes.annotate(
            title, (0, 1), (0, 24 if subtitle else 10), xycoords="axes fraction", textcoords="offset points",
            fontsize=14, fontweight="bold", color=_INK, annotation_clip=False,
        )  # fmt: skip
    if subtitle:
        axes.annotate(
            subtitle, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points",
            fontsize=9.5, color=_EDGE, annotation_clip=False,
        )  # fmt: skip
