# SPDX-License-Identifier: BSD-3-Clause
"""The picture of exposures against time has a bar for each, where it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.image import imread

from lakebutler.viz.timeline import Bar, draw_timeline, save_timeline

BARS = [Bar("20250101", 1.0, 2.0, "g"), Bar("20250101", 3.0, 3.5, "r"), Bar("20250103", 1.5, 1.6, "g")]


def test_bars_stand_at_their_night_and_time_in_the_colour_of_their_word() -> None:
    axes = draw_timeline(BARS, title="Cam", label="filter").axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["20250101", "20250103"]
    drawn = {}
    for collection in axes.collections:
        for path, colour in zip(collection.get_paths(), collection.get_facecolor(), strict=True):
            box = path.get_extents()
            place = (round((box.y0 + box.y1) / 2), round(box.x0, 6), round(box.x1, 6))
            drawn[place] = tuple(colour)
    assert set(drawn) == {(0, 1.0, 2.0), (0, 3.0, 3.5), (1, 1.5, 1.6)}
    assert drawn[0, 1.0, 2.0] == drawn[1, 1.5, 1.6] != drawn[0, 3.0, 3.5]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["g", "r"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first night at the top


def test_numbers_have_a_scale_and_missing_values_are_drawn() -> None:
    bars = [Bar("1", 0.0, 1.0, 30.0), Bar("1", 1.0, 2.0, 60.0), Bar("1", 2.0, 3.0, None)]
    axes = draw_timeline(bars, label="exposure_time").axes[0]
    assert axes.child_axes[0].get_ylim() == (30.0, 60.0)
    (drawn,) = axes.collections
    assert len({tuple(colour) for colour in drawn.get_facecolor()}) == 3


def test_it_is_written_and_nothing_is_no_picture(tmp_path: Path) -> None:
    save_timeline(BARS, tmp_path / "a.png")
    assert len({tuple(pixel) for pixel in imread(tmp_path / "a.png").reshape(-1, 4)}) > 3
    save_timeline(BARS, tmp_path / "a.svg", title="a title")
    assert "</svg>" in (tmp_path / "a.svg").read_text()
    with pytest.raises(ValueError, match="no exposures"):
        draw_timeline([])
