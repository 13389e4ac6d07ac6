# SPDX-License-Identifier: BSD-3-Clause
"""Exposures against time: a row for each night, a bar for each exposure."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebutler.viz.style import (
    GRID,
    INK,
    Value,
    choose_colours,
    new_figure,
    save_figure,
    show_legend,
    show_scale,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Bar", "draw_timeline", "save_timeline"]

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
    value : `float`, `str` or `None`
        What colours it.
    """

    night: str
    begin_h: float
    end_h: float
    value: Value


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
    if not bars:
        raise ValueError("no exposures to draw")
    nights = sorted({bar.night for bar in bars})
    colours = choose_colours([bar.value for bar in bars], label)
    low, high = min(bar.begin_h for bar in bars), max(bar.end_h for bar in bars)
    span = max(high - low, 1 / 60)
    figure = new_figure(11.0, min(14.0, 2.2 + 0.34 * len(nights)))
    axes = figure.add_subplot()
    rows: dict[str, list[tuple[Bar, Any]]] = defaultdict(list)
    for bar, colour in zip(bars, colours.of, strict=True):
        rows[bar.night].append((bar, GRID if colour is None else colour))
    for row, night in enumerate(nights):
        spans = [(b.begin_h, max(b.end_h - b.begin_h, _THINNEST * span)) for b, _ in rows[night]]
        paint = [colour for _, colour in rows[night]]
        axes.broken_barh(spans, (row - 0.36, 0.72), facecolor=paint, edgecolor="none")
    axes.set_xlim(low - 0.02 * span, high + 0.02 * span)
    axes.set_ylim(len(nights) - 0.4, -0.6)
    step = -(-len(nights) // _MOST_LABELS)
    axes.set_yticks(range(0, len(nights), step), nights[::step])
    axes.set_xlabel(hours, color=INK)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    tidy(axes, title)
    show_legend(axes, colours)
    if colours.scale is not None:
        show_scale(figure, axes, colours.scale, label)
    return figure


def save_timeline(bars: Sequence[Bar], path: str | os.PathLike[str], **options: str) -> None:
    """Draw exposures against time and write the picture to a file.

    Parameters
    ----------
    bars : sequence of `Bar`
        The exposures.
    path : `str` or path-like
        PNG, SVG or PDF, by its ending.
    **options
        As for `draw_timeline`.
    """
    save_figure(draw_timeline(bars, **options), path)
