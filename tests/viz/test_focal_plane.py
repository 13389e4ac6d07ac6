# SPDX-License-Identifier: BSD-3-Clause
"""The picture of a focal plane shows what it is given, where it belongs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.patches import Polygon

from lakebutler.viz.focal_plane import Tile, draw_focal_plane, save_focal_plane


def square(x: float, y: float, size: float = 1.0) -> list[tuple[float, float]]:
    return [(x, y), (x + size, y), (x + size, y + size), (x, y + size)]


def patches(figure: object) -> list[Polygon]:
    return [p for p in figure.axes[0].patches if isinstance(p, Polygon)]  # type: ignore[attr-defined]


def test_every_detector_is_outlined_and_named() -> None:
    figure = draw_focal_plane(
        [Tile("A", square(0, 0)), Tile("B", square(2, 0))], title="Cam", subtitle="night"
    )
    assert [p.get_xy()[:4].tolist() for p in patches(figure)] == [
        [list(c) for c in square(0, 0)],
        [list(c) for c in square(2, 0)],
    ]
    written = {t.get_text() for t in figure.axes[0].texts}
    assert written == {"A", "B", "Cam", "night"}


def test_numbers_are_colours_on_one_scale_with_its_bar() -> None:
    tiles = [Tile("A", square(0, 0), 1.0), Tile("B", square(2, 0), 3.0), Tile("C", square(4, 0), None)]
    figure = draw_focal_plane(tiles, label="seeing [px]")
    low, high, empty = [p.get_facecolor() for p in patches(figure)]
    assert low != high
    assert empty not in (low, high)
    bar = figure.axes[0].child_axes[0]
    assert bar.get_ylim() == (1.0, 3.0)
    assert bar.get_ylabel() == "seeing [px]"


def test_equal_or_missing_numbers_are_drawn_too() -> None:
    draw_focal_plane([Tile("A", square(0, 0), 2.0), Tile("B", square(2, 0), float("nan"))])
    draw_focal_plane([Tile("A", square(0, 0), float("nan"))])


def test_words_are_colours_with_a_legend() -> None:
    tiles = [Tile("A", square(0, 0), "N"), Tile("B", square(2, 0), "S"), Tile("C", square(4, 0), "N")]
    figure = draw_focal_plane(tiles, label="half")
    a, b, c = [p.get_facecolor() for p in patches(figure)]
    assert a == c != b
    legend = figure.axes[0].get_legend()
    assert [t.get_text() for t in legend.get_texts()] == ["N", "S"]


@pytest.mark.parametrize(
    ("corners", "bright"),
    [
        (square(0, 0), (0.75, 0.25)),  # pixel x grows to the right, y up
        ([(1, 1), (0, 1), (0, 0), (1, 0)], (0.25, 0.75)),  # turned by 180 degrees
        ([(1, 0), (1, 1), (0, 1), (0, 0)], (0.75, 0.75)),  # turned by 90 degrees
    ],
    ids=["level", "half turn", "quarter turn"],
)
def test_pixels_stand_where_their_detector_does(
    corners: list[tuple[float, float]], bright: tuple[float, float]
) -> None:
    pixels = np.zeros((10, 10))
    pixels[0:5, 5:10] = 100.0  # low y, high x
    figure = draw_focal_plane([Tile("A", corners, pixels=pixels)], names=False)
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba()) / 255.0  # type: ignore[attr-defined]
    for x, y in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)):
        column, row = figure.axes[0].transData.transform((x, y))
        shade = picture[picture.shape[0] - round(row), round(column), 0]
        assert bool(shade > 0.9) is ((x, y) == bright)


def test_masked_pixels_do_not_spoil_the_stretch() -> None:
    pixels = np.full((20, 20), np.nan)
    pixels[:, :10] = np.linspace(5, 6, 200).reshape(20, 10)
    figure = draw_focal_plane([Tile("A", square(0, 0), pixels=pixels)])
    low, high = figure.axes[0].child_axes[0].get_ylim()
    assert 4.5 < low < high < 6.5
    draw_focal_plane([Tile("A", square(0, 0), pixels=np.full((4, 4), np.nan))])


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_ending_chooses_the_format(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"plane.{ending}"
    save_focal_plane([Tile("A", square(0, 0))], path)
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(start)


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="no detectors"):
        draw_focal_plane([])
