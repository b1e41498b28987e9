"""What the figure of a unit shows."""

from __future__ import annotations

import numpy as np

from pcip_core.plots.cells.units import overlay, unit_figure
from tests.core.plots.reading import TITLE, ticks, title_of

CHANNELS = ("nucleus", "protein")


def test_a_row_of_the_highest_their_maps_by_channel_and_the_lowest() -> None:
    crops = np.random.default_rng(0).integers(0, 255, (5, 2, 16, 16)).astype(np.uint8)
    figure = unit_figure(crops, crops[:3], np.ones((2, 2, 16, 16)), CHANNELS, ("protein",), TITLE)
    (axes,) = figure.axes
    assert ticks(axes, "y") == ["highest", "without nucleus", "without protein", "lowest"]
    assert len(axes.images) == 5 + 2 + 2 + 3
    assert title_of(figure) == TITLE


def test_without_maps_or_cells() -> None:
    crops = np.zeros((2, 2, 16, 16), np.uint8)
    figure = unit_figure(crops, crops, np.zeros((0, 2, 16, 16)), CHANNELS, ("protein",), TITLE)
    assert ticks(figure.axes[0], "y") == ["highest", "lowest"]
    nothing = unit_figure(crops[:0], crops[:0], np.zeros((0, 2, 16, 16)), CHANNELS, ("protein",), TITLE)
    assert nothing.axes[0].texts[0].get_text() == "no scores"


def test_drops_are_orange_rises_violet_and_unchanged_pixels_grey() -> None:
    grey = np.full((1, 3), 102, np.uint8)
    orange, violet, same = overlay(grey, np.array([[2.0, -1.0, 0.0]]), largest=2.0)[0]
    assert orange[0] > orange[1] > orange[2]
    assert violet[2] > violet[0] > violet[1]
    np.testing.assert_allclose(same, 102 / 255)
    np.testing.assert_allclose(overlay(grey, np.zeros((1, 3)), largest=0.0), 102 / 255)
