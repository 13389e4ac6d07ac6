# SPDX-License-Identifier: BSD-3-Clause
"""Footprints on the sky, with tracts and patches: a field, a cap, or the whole sphere.

What fits into a circle of 60 degrees is drawn on the plane that touches the sky at its
middle (gnomonic up to 8 degrees, equal areas beyond), what does not in Mollweide's
projection, turned so that the seam lies where nothing is.  Right ascension grows to the left.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebutler.viz.outline import all_densified, enclosing, positions
from lakebutler.viz.style import (
    EDGE,
    EMPTY,
    GRID,
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
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Sky", "draw_sky", "save_sky"]

_GNOMONIC_DEG = 8.0
_PLANE_DEG = 60.0
_MANY = 400
_MOST_LABELS = 80
_STEP_DEG = 2.0
_FAINT = "#8a94a3"


@dataclass(frozen=True)
class Sky:
    """What is to be drawn.

    Attributes
    ----------
    footprints : sequence of `numpy.ndarray`, each (n, 3)
        Outlines as unit vectors, see `lakebutler.viz.outline.outlines`.
    values : sequence of `float`, `str` or `None`
        What colours each.
    tracts, patches : sequence of `tuple` [`str`, `numpy.ndarray`]
        Names and outlines.
    """

    footprints: Sequence[Floats]
    values: Sequence[Value]
    tracts: Sequence[tuple[str, Floats]] = ()
    patches: Sequence[tuple[str, Floats]] = ()


def draw_sky(
    sky: Sky, *, title: str = "", subtitle: str = "", label: str = "", size_in: float = 8.0
) -> Figure:
    """Draw footprints.

    Parameters
    ----------
    sky : `Sky`
        The footprints, tracts and patches; the view holds the footprints, or the tracts and patches
        where there are none.
    title, subtitle : `str`, optional
        What stands above.
    label : `str`, optional
        What the colours mean.
    size_in : `float`, optional
        Width of the picture in inches, without the legend.

    Returns
    -------
    figure : `matplotlib.figure.Figure`
        Not attached to any window.

    Raises
    ------
    ValueError
        Raised if there is nothing to draw.
    """
    shown = list(sky.footprints) or [outline for _, outline in (sky.patches or sky.tracts)]
    if not shown:
        raise ValueError("no regions to draw")
    centre, radius = enclosing(shown)
    colours = choose_colours(sky.values, label)
    make = _Plane if radius <= _PLANE_DEG else _Globe
    view = make(shown, centre, radius, size_in, bool(colours.words) or colours.scale is not None)
    _draw_footprints(view, sky.footprints, colours)
    _draw_outlines(view, sky.patches, colour=_FAINT, width=0.5, size=6.5, corner=False)
    _draw_outlines(view, sky.tracts, colour=INK, width=1.1, size=9.0, corner=True)
    show_legend(view.axes, colours)
    if colours.scale is not None:
        show_scale(view.figure, view.axes, colours.scale, label)
    view.finish(title, subtitle)
    return view.figure


def save_sky(sky: Sky, path: str | os.PathLike[str], **options: Any) -> None:
    """Draw footprints and write the picture to a file.

    Parameters
    ----------
    sky : `Sky`
        What to draw.
    path : `str` or path-like
        PNG, SVG or PDF, by its ending.
    **options
        As for `draw_sky`.
    """
    save_figure(draw_sky(sky, **options), path)


def _draw_footprints(view: Any, footprints: Sequence[Floats], colours: Colours) -> None:
    """All polygons as one collection: 10,000 of them take a second or two."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    drawn = [
        (polygon, EMPTY if colour is None else colour, EDGE if colour is None else colour)
        for places, colour in zip(view.polygons(footprints), colours.of, strict=True)
        for polygon in places
    ]
    # Where many lie on each other, each is faint, so that all are seen.
    layers = sum(_area(polygon) for polygon, _, _ in drawn) / _area_of_box(view)
    fill, line = min(0.35, max(0.012, 0.9 / (1.0 + layers))), min(0.95, max(0.25, 4.0 / (1.0 + layers)))
    view.axes.add_collection(
        PolyCollection(
            [polygon for polygon, _, _ in drawn],
            facecolors=[to_rgba(face, fill) for _, face, _ in drawn],
            edgecolors=[to_rgba(edge, line) for _, _, edge in drawn],
            linewidths=0.3 if len(drawn) > _MANY else 0.8,
            zorder=2,
        ),
        autolim=False,
    )


def _area(polygon: Floats) -> float:
    """Area of a polygon in the plane."""
    x, y = polygon.T
    return abs(float(x[:-1] @ y[1:] - x[1:] @ y[:-1] + x[-1] * y[0] - x[0] * y[-1])) / 2.0


def _area_of_box(view: Any) -> float:
    wide, tall = (view.high - view.low).tolist()
    return float(wide * tall)


def _draw_outlines(
    view: Any, outlines: Sequence[tuple[str, Floats]], *, colour: str, width: float, size: float, corner: bool
) -> None:
    """Outlines, with their names where there is room: in the middle, or in the upper left corner."""
    from matplotlib.collections import PolyCollection
    from matplotlib.patheffects import withStroke

    found = view.polygons([outline for _, outline in outlines])
    places = [(name, p) for (name, _), parts in zip(outlines, found, strict=True) for p in parts]
    view.axes.add_collection(
        PolyCollection(
            [polygon for _, polygon in places], facecolors="none", edgecolors=colour, linewidths=width,
            zorder=4 if corner else 3,
        ),
        autolim=False,
    )  # fmt: skip
    inside = [(name, *place) for name, polygon in places if (place := _room(view, polygon, name, size))]
    if len(inside) > _MOST_LABELS:
        return
    halo = [withStroke(linewidth=1.8, foreground="white", alpha=0.8)]
    for name, low, high in inside:
        x, y = (low[0], high[1]) if corner else ((low + high) / 2.0)
        view.axes.annotate(
            name, (x, y), (0.4 * size, -0.4 * size) if corner else (0, 0), textcoords="offset points",
            color=colour, fontsize=size, ha="left" if corner else "center", va="top" if corner else "center",
            zorder=6 if corner else 5, path_effects=halo,
        )  # fmt: skip


def _room(view: Any, polygon: Floats, name: str, size_pt: float) -> tuple[Floats, Floats] | None:
    """Box of the part of a polygon that is seen, if its name fits in."""
    import numpy as np

    low, high = np.maximum(polygon.min(axis=0), view.low), np.minimum(polygon.max(axis=0), view.high)
    unit = view.width_pt / float((view.high - view.low)[0])
    wide, tall = ((high - low) * unit).tolist()
    return (low, high) if wide > 0.75 * size_pt * (len(name) + 1) and tall > 2.0 * size_pt else None


class _Plane:
    """The plane that touches the sky at the middle of what is shown."""

    def __init__(
        self, shown: Sequence[Floats], centre: Floats, radius_deg: float, size_in: float, legend: bool
    ) -> None:
        import numpy as np
        from astropy.visualization.wcsaxes import WCSAxes  # noqa: F401 - registers its projection
        from astropy.wcs import WCS

        name = "TAN" if radius_deg <= _GNOMONIC_DEG else "ZEA"
        ra, dec = (float(v) for v in positions(centre))
        self._scale = max(radius_deg, 1e-4) / 500.0
        self._wcs = WCS(naxis=2)
        self._wcs.wcs.ctype = [f"RA---{name}", f"DEC--{name}"]
        self._wcs.wcs.crval = [ra, dec]
        self._wcs.wcs.crpix = [0.5, 0.5]
        self._wcs.wcs.cdelt = [-self._scale, self._scale]
        self._wcs.wcs.cunit = ["deg", "deg"]
        self._wcs.wcs.radesys = "ICRS"
        self._centre, self._limit = centre, math.cos(math.radians(89.0 if name == "TAN" else 175.0))
        points = np.concatenate([polygon for places in self.polygons(shown) for polygon in places])
        low, high = points.min(axis=0), points.max(axis=0)
        side = np.maximum(high - low, 1.0)
        # No threads: the picture is at most twice as wide as high, and one and a half times as high as wide.
        wanted = np.maximum(side, [side[1] / 1.5, side[0] / 2.0])
        grow = (wanted - side) / 2.0 + 0.05 * side.max()
        self.low, self.high = low - grow, high + grow
        wide, tall = (self.high - self.low).tolist()
        self.width_pt = 72.0 * size_in
        self.figure = new_figure(size_in + (1.6 if legend else 0.4), size_in * tall / wide + 1.0)
        self.axes: Any = self.figure.add_subplot(projection=self._wcs)
        self.axes.set_xlim(self.low[0], self.high[0])
        self.axes.set_ylim(self.low[1], self.high[1])
        self.axes.set_aspect("equal")
        away_deg = math.degrees(math.acos(min(1.0, abs(float(centre[2])))))
        self._polar = away_deg < 0.9 * radius_deg
        self._south = float(centre[2]) < 0.0
        self._radius_deg = radius_deg

    def polygons(self, outlines: Sequence[Floats]) -> list[list[Floats]]:
        """Places of each outline; none if a part of it is on the far side."""
        import numpy as np

        if not outlines:
            return []
        dense = all_densified(outlines, _STEP_DEG)
        points = np.concatenate(dense)
        ends = np.cumsum([len(outline) for outline in dense])
        seen = np.minimum.reduceat(points @ self._centre, np.concatenate([[0], ends[:-1]])) >= self._limit
        places = np.stack(self._wcs.wcs_world2pix(*positions(points), 0), axis=-1)
        parts = np.split(places, ends[:-1])
        return [[part] if good else [] for part, good in zip(parts, seen.tolist(), strict=True)]

    def finish(self, title: str, subtitle: str) -> None:
        """Axes in degrees, and the net of right ascension and declination."""
        self.axes.set_facecolor("white")
        width_deg = 1000.0 * self._scale
        form = (
            "d.dddd" if width_deg < 0.05 else "d.dd" if width_deg < 2.0 else "d.d" if width_deg < 8.0 else "d"
        )
        self.axes.coords.grid(color=GRID, linewidth=0.6)
        for axis, name in zip(self.axes.coords, ("RA [deg]", "Dec [deg]"), strict=True):
            axis.set_major_formatter(form)
            axis.set_axislabel(name, color=INK, fontsize=10)
            axis.set_ticklabel(color=INK, size=8.5, exclude_overlapping=True)
            axis.set_ticks(color=EDGE, width=0.6)
        self.axes.coords.frame.set_color(EDGE)
        self.axes.coords.frame.set_linewidth(0.6)
        if self._polar:
            self._mark_pole()
        tidy(self.axes, title, subtitle, lift_pt=14.0 if self._polar else 0.0)

    def _mark_pole(self) -> None:
        """Meridians every 30 degrees, named at the frame; circles of declination, named along one of them."""
        import numpy as np
        from astropy import units as u

        longitude, latitude = self.axes.coords
        longitude.set_ticks(np.arange(0, 360, 30) * u.deg)
        longitude.set_ticklabel_position("lbt")
        longitude.set_axislabel("RA and Dec [deg]", color=INK, fontsize=10)
        longitude.set_axislabel_position("b")
        latitude.set_ticklabel_visible(False)
        latitude.set_ticks_visible(False)
        latitude.set_axislabel(" ")
        step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if self._radius_deg < 4 * s)
        sign = -1.0 if self._south else 1.0
        latitude.set_ticks(sign * (90.0 - step * np.arange(1, 9)) * u.deg)
        for i in range(1, 5):
            dec = sign * (90.0 - step * i)
            x, y = (float(v) for v in self._wcs.wcs_world2pix(45.0, dec, 0))
            if self.low[0] < x < self.high[0] and self.low[1] < y < self.high[1]:
                self.axes.text(
                    x, y, f"{dec:g}°", fontsize=7.5, color=EDGE, ha="center", va="center", zorder=5
                )


class _Globe:
    """The whole sky in Mollweide's projection."""

    def __init__(
        self, shown: Sequence[Floats], centre: Floats, radius_deg: float, size_in: float, legend: bool
    ) -> None:
        import numpy as np

        del centre, radius_deg
        self._middle_deg = _far_from_gap(positions(np.concatenate(shown))[0])
        self.low, self.high = np.array([-2.06, -1.04]), np.array([2.06, 1.04])
        self.width_pt = 72.0 * size_in
        self.figure = new_figure(size_in + (1.6 if legend else 0.4), size_in * 0.5 + 1.0)
        self.axes: Axes = self.figure.add_subplot()
        self.axes.set_aspect("equal")
        self.axes.set_xlim(self.low[0], self.high[0])
        self.axes.set_ylim(self.low[1], self.high[1])
        self.axes.axis("off")

    def _project(self, turn_deg: Any, dec_deg: Any) -> Floats:
        """Mollweide: 2 t + sin 2t = pi sin(dec), x = -2 turn cos(t) / pi, y = sin t (Snyder 1987, p. 251)."""
        import numpy as np

        goal = math.pi * np.sin(np.radians(dec_deg))
        # Near the poles, where steps of Newton's are slow, the first term of the series is close.
        near = np.sign(goal) * (math.pi / 2 - np.cbrt(6.0 * (math.pi - np.abs(goal))) / 2.0)
        theta = np.where(np.abs(dec_deg) > 45.0, near, np.radians(np.asarray(dec_deg, dtype=float) * 0.8))
        for _ in range(8):
            slope = 2.0 + 2.0 * np.cos(2.0 * theta)
            step = (2.0 * theta + np.sin(2.0 * theta) - goal) / np.where(slope > 1e-9, slope, np.inf)
            theta = np.clip(theta - step, -math.pi / 2, math.pi / 2)
        return np.stack([-np.asarray(turn_deg) / 90.0 * np.cos(theta), np.sin(theta)], axis=-1)

    def polygons(self, outlines: Sequence[Floats]) -> list[list[Floats]]:
        """Places of each outline: two where it lies across the seam, and up to the pole if it holds one."""
        return [self._polygons(outline) for outline in all_densified(outlines, _STEP_DEG)]

    def _polygons(self, outline: Floats) -> list[Floats]:
        import numpy as np

        ra, dec = positions(outline)
        turn = np.degrees(np.unwrap(np.radians((ra - self._middle_deg + 180.0) % 360.0 - 180.0)))
        last = turn[-1] + (turn[0] - turn[-1] + 180.0) % 360.0 - 180.0
        if abs(last - turn[0]) > 180.0:  # it goes around a pole
            pole = math.copysign(90.0, float(dec.mean()))
            up = pole - (pole - dec[0]) * np.linspace(1.0, 0.0, 40) ** 3  # meridians bend near the poles
            turn = np.concatenate([turn, np.full(40, last), np.full(40, turn[0])])
            dec = np.concatenate([dec, up, up[::-1]])
        found = []
        for shift in (-360.0, 0.0, 360.0):
            moved = turn + shift
            if moved.max() > -180.0 and moved.min() < 180.0:
                found.append(self._project(np.clip(moved, -180.0, 180.0), dec))
        return found

    def finish(self, title: str, subtitle: str) -> None:
        """The outline of the sky, and the net of right ascension and declination."""
        import numpy as np
        from matplotlib.patheffects import withStroke

        halo = [withStroke(linewidth=1.8, foreground="white", alpha=0.8)]
        along = np.linspace(-90.0, 90.0, 181)
        for turn in range(-180, 181, 30):
            edge = abs(turn) == 180
            line = self._project(np.full(181, float(turn)), along)
            self.axes.plot(*line.T, color=EDGE if edge else GRID, linewidth=0.8 if edge else 0.6, zorder=1)
            if not edge:
                x, y = self._project(float(turn), 0.0).tolist()
                text = f"{(turn + self._middle_deg) % 360:g}°"
                self.axes.text(
                    x,
                    y - 0.012,
                    text,
                    fontsize=7.5,
                    color=EDGE,
                    ha="center",
                    va="top",
                    zorder=5,
                    path_effects=halo,
                )
        for dec in range(-60, 61, 30):
            line = self._project(np.linspace(-180.0, 180.0, 181), np.full(181, float(dec)))
            self.axes.plot(*line.T, color=GRID, linewidth=0.6, zorder=1)
            x, y = line[0].tolist()
            self.axes.text(
                x + 0.03, y, f"{dec:+d}°" if dec else "0°", fontsize=7.5, color=EDGE, ha="left", va="center"
            )
        tidy(self.axes, title, subtitle)


def _far_from_gap(ra_deg: Floats) -> float:
    """Middle right ascension, a multiple of 15, that puts the seam into the widest gap."""
    import numpy as np

    taken = np.unique(np.round(ra_deg) % 360.0)
    gaps = np.diff(np.concatenate([taken, taken[:1] + 360.0]))
    widest = int(gaps.argmax())
    seam = taken[widest] + gaps[widest] / 2.0
    return float(round((seam + 180.0) / 15.0) * 15 % 360)
