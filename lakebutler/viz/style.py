# SPDX-License-Identifier: BSD-3-Clause
"""What all pictures share: colours that colour-blind people tell apart, frames, legends."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "DPI",
    "EDGE",
    "EMPTY",
    "GRID",
    "INK",
    "Colours",
    "Value",
    "choose_colours",
    "new_figure",
    "save_figure",
    "show_legend",
    "show_scale",
    "tidy",
]

INK = "#1d2530"
EDGE = "#5b6472"
GRID = "#d8dde4"
EMPTY = "#eceff3"
DPI = 140

_PALETTE = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#997700", "#332288")
"""Tol 2021, Colour schemes, SRON/EPS/TN/09-002: "bright", and two of "high-contrast" and "muted"."""
_BANDS = {
    "u": "#332288", "g": "#228833", "r": "#ee6677", "i": "#ccbb44", "z": "#aa3377", "y": "#66ccee",
}  # fmt: skip
"""The same colours for the same bands in every picture."""
_MOST_WORDS = 24
_SCALE = "viridis"

Value = float | str | None


@dataclass(frozen=True)
class Colours:
    """Colours for some values.

    Attributes
    ----------
    of : `list`
        One for each value; `None` for no value.
    label : `str`
        What they mean.
    words : `dict` [`str`, colour]
        For words: their colours, in the order of the legend.
    scale : `matplotlib.cm.ScalarMappable` or `None`
        For numbers: what a colour bar shows.
    """

    of: list[Any]
    label: str = ""
    words: dict[str, Any] = field(default_factory=dict)
    scale: Any = None


def choose_colours(values: Sequence[Value], label: str = "") -> Colours:
    """Choose colours: a scale for numbers, one for each of several words.

    Parameters
    ----------
    values : sequence of `float`, `str` or `None`
        The values; if one is a word, all are taken as words.
    label : `str`, optional
        What they mean.

    Returns
    -------
    colours : `Colours`
        The colours.
    """
    known = [v for v in values if v is not None]
    if known and all(_is_number(v) for v in known):
        return _numbers(values, label)
    words = _ordered({str(v) for v in known})
    table = dict(zip(words, _several(words), strict=True))
    return Colours([None if v is None else table[str(v)] for v in values], label, table)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(values: Sequence[Value], label: str) -> Colours:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    numbers = [float(v) if v is not None and math.isfinite(float(v)) else None for v in values]
    finite = [v for v in numbers if v is not None] or [0.0]
    low, high = min(finite), max(finite)
    norm = Normalize(low, high) if high > low else Normalize(low - 0.5, high + 0.5)
    paint = colormaps[_SCALE]
    of = [None if v is None else paint(norm(v)) for v in numbers]
    return Colours(of, label, scale=ScalarMappable(norm, paint))


def _ordered(words: set[str]) -> list[str]:
    """Bands by wavelength, numbers by size, the rest by the alphabet."""
    if words <= set(_BANDS):
        return [band for band in _BANDS if band in words]
    return sorted(words, key=lambda w: (0, int(w), w) if w.isdecimal() and len(w) < 30 else (1, 0, w))


def _several(words: Sequence[str]) -> list[Any]:
    from matplotlib import colormaps

    if set(words) <= set(_BANDS):
        return [_BANDS[word] for word in words]
    if len(words) <= len(_PALETTE):
        return list(_PALETTE[: len(words)])
    return [colormaps[_SCALE](i / (len(words) - 1)) for i in range(len(words))]


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """Make a figure that belongs to no window; sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG, SVG or PDF, by the ending of the path, with all that stands beside its axes."""
    figure.savefig(path, bbox_inches="tight", pad_inches=0.15)


def show_legend(axes: Axes, colours: Colours) -> None:
    """Write what the words mean beside the axes, to the right."""
    from matplotlib.patches import Patch

    if not colours.words:
        return
    shown = list(colours.words.items())[:_MOST_WORDS]
    handles = [Patch(facecolor=colour, edgecolor=EDGE, linewidth=0.6, label=word) for word, colour in shown]
    if len(colours.words) > _MOST_WORDS:
        handles.append(Patch(alpha=0.0, label=f"… {len(colours.words) - _MOST_WORDS} more"))
    axes.legend(
        handles=handles,
        title=colours.label or None,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        borderaxespad=0.0,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )


def show_scale(figure: Figure, axes: Axes, scale: Any, label: str) -> None:
    """Draw the colour bar of numbers beside the axes, to the right."""
    place = axes.inset_axes((1.03, 0.0, 0.03, 1.0))
    bar = figure.colorbar(scale, cax=place)
    bar.set_label(label, color=INK, fontsize=10)
    place.ticklabel_format(axis="y", useOffset=False, style="plain")
    bar.outline.set_edgecolor(EDGE)
    bar.outline.set_linewidth(0.6)
    place.tick_params(labelsize=8.5, colors=INK, width=0.6)


def tidy(axes: Axes, title: str = "", subtitle: str = "", *, lift_pt: float = 0.0) -> None:
    """Give axes the frame and the titles of all pictures, these so many points higher than usual."""
    axes.tick_params(colors=INK, labelsize=8.5, width=0.6)
    for spine in axes.spines.values():
        spine.set_color(EDGE)
        spine.set_linewidth(0.6)
    for text, above, size, weight, colour in (
        (title, 24 if subtitle else 10, 13, "bold", INK),
        (subtitle, 8, 9.5, "normal", EDGE),
    ):
        if text:
            axes.annotate(
                text, (0, 1), (0, above + lift_pt), xycoords="axes fraction", textcoords="offset points",
                fontsize=size, fontweight=weight, color=colour, annotation_clip=False,
            )  # fmt: skip
