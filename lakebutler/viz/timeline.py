# SPDX-License-Identifier: BSD-3-Clause
"""Exposures against time: a row for each night, a bar for each exposure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Bar", "draw_timeline", "save_timeline"]

_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#997700", "#332288")
_INK = "#1d2530"
_EDGE = "#5b6472"
_MOST_LABELS = 40
_THINNEST = 0.0015  # of the width: an exposure of a second is to be seen, too


@dataclass(frozen=True, slots=True)
class Bar:
    """One exposure.

    Attributes
    ----------
    night : `str`
        Which row it is in.
    begin_h, end_h : `float`
        When it was taken, in hours since a start common to all nights.
    word : `str`
        What colours it.
    """

    night: str
    begin_h: float
    end_h: float
    word: str


def draw_timeline(bars: Sequence[Bar], *, title: str = "", label: str = "", hours: str = "hours") -> Figure:
    """Draw exposures against time.

    Parameters
    ----------
    bars : sequence of `Bar`
        The exposures; nights come in the order of their names, the first at the top.
    title : `str`, optional
        What stands above.
    label : `str`, optional
        What the colours mean.
    hours : `str`, optional
        What the hours are counted from.

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
    from matplotlib.patches import Patch

    if not bars:
        raise ValueError("no exposures to draw")
    nights = sorted({bar.night for bar in bars})
    rows = {night: row for row, night in enumerate(nights)}
    words = list(dict.fromkeys(bar.word for bar in bars))
    colours = {word: _COLOURS[i % len(_COLOURS)] for i, word in enumerate(words)}
    low, high = min(bar.begin_h for bar in bars), max(bar.end_h for bar in bars)
    span = max(high - low, 1 / 60)
    figure = Figure(figsize=(11.0, min(14.0, 2.2 + 0.34 * len(nights))), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for word, colour in colours.items():
        for night in {bar.night for bar in bars if bar.word == word}:
            mine = [b for b in bars if b.word == word and b.night == night]
            spans = [(b.begin_h, max(b.end_h - b.begin_h, _THINNEST * span)) for b in mine]
            axes.broken_barh(spans, (rows[night] - 0.36, 0.72), facecolor=colour, edgecolor="none")
    axes.set_xlim(low - 0.02 * span, high + 0.02 * span)
    axes.set_ylim(len(nights) - 0.4, -0.6)
    step = -(-len(nights) // _MOST_LABELS)
    axes.set_yticks(range(0, len(nights), step), nights[::step])
    axes.set_xlabel(hours, color=_INK)
    axes.tick_params(colors=_INK, labelsize=8.5, width=0.6)
    axes.grid(axis="x", color="#d8dde4", linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color(_EDGE)
        spine.set_linewidth(0.6)
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=_INK)
    handles = [Patch(facecolor=colour, label=word) for word, colour in colours.items()]
    axes.legend(
        handles=handles, title=label or None, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False
    )
    return figure


def save_timeline(
    bars: Sequence[Bar],
    path: str | os.PathLike[str],
    *,
    title: str = "",
    label: str = "",
    hours: str = "hours",
) -> None:
    """Draw exposures against time and write the picture to a file.

    Parameters
    ----------
    bars : sequence of `Bar`
        The exposures.
    path : `str` or path-like
        PNG, SVG or PDF, by its ending.
    title, label, hours : `str`, optional
        As for `draw_timeline`.
    """
    draw_timeline(bars, title=title, label=label, hours=hours).savefig(path)
