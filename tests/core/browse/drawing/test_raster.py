"""Pictures of maps, against loops over points."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.browse.drawing import raster
from pcip_core.browse.drawing.raster import Layer, View, picture, pixels_of


def test_each_point_is_in_the_pixel_that_a_loop_finds() -> None:
    xy = np.random.default_rng(0).uniform(-1, 3, (400, 2)).astype(np.float32)
    xy[7] = np.nan
    view = View(0, 2, -0.5, 1, 40, 30)
    wanted = {}
    for place, (x, y) in enumerate(xy.tolist()):
        column, row = (x - 0) / 2 * 40, (1 - y) / 1.5 * 30
        if 0 <= column < 40 and 0 <= row < 30:
            wanted[place] = int(row) * 40 + int(column)
    shown, pixels = pixels_of(xy, view)
    assert dict(zip(shown.tolist(), pixels.tolist(), strict=True)) == wanted


def test_dense_pixels_have_the_mean_colour_and_are_more_opaque(monkeypatch) -> None:
    monkeypatch.setattr(raster, "_STAMPS", ())  # as with many points: no discs
    xy = np.array([[0.5, 0.5]] * 3 + [[1.5, 0.5]])
    colours = np.array([[255, 0, 0], [0, 0, 0], [0, 0, 0], [0, 90, 0]], np.uint8)
    drawn = picture(xy, View(0, 3, 0, 1, 3, 1), [Layer(np.arange(4), colours)])[0]
    assert drawn[:, :3].tolist()[:2] == [[85, 0, 0], [0, 90, 0]]
    assert drawn[0, 3] > drawn[1, 3] > 0 == drawn[2, 3]


def test_few_points_are_discs_that_end_at_the_border() -> None:
    drawn = picture(
        np.array([[0.0, 1.0]]), View(0, 1, 0, 1, 50, 50), [Layer(np.arange(1), np.array([9, 8, 7], np.uint8))]
    )
    seen = np.argwhere(drawn[..., 3])
    assert seen.max() == 4
    assert (0, 0) in {tuple(each) for each in seen.tolist()}
    assert np.unique(drawn[drawn[..., 3] > 0][:, :3], axis=0).tolist() == [[9, 8, 7]]


@pytest.mark.parametrize("n", [3, 4_000])  # added one by one, and by whole planes
def test_discs_are_what_a_loop_over_points_adds(n: int) -> None:
    rng = np.random.default_rng(n)
    view, radius = View(0, 1, 0, 1, 30, 20), 2
    y, x = rng.integers(0, 20, n), rng.integers(0, 30, n)
    weight = rng.integers(0, 256, n).astype(np.uint8)
    counts, sums = np.zeros((24, 34)), np.zeros((24, 34))  # with a margin
    for row, column, each in zip(y, x, weight.tolist(), strict=True):
        for dy, dx in ((dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if dy**2 + dx**2 < 8):
            counts[row + 2 + dy, column + 2 + dx] += 1
            sums[row + 2 + dy, column + 2 + dx] += each
    made = raster._sums(y * 30 + x, [None, weight], view, radius)
    for plane, wanted in zip(made, (counts, sums), strict=True):
        assert plane.reshape(20, 30).tolist() == wanted[2:-2, 2:-2].tolist()


def test_later_layers_cover_earlier_ones() -> None:
    layers = [Layer(np.array([0]), np.array(rgb, np.uint8)) for rgb in ((0, 0, 0), (200, 200, 200))]
    drawn = picture(np.array([[0.5, 0.5]]), View(0, 1, 0, 1, 9, 9), layers)
    assert drawn[4, 4, 0] > 170


def test_an_empty_layer_draws_nothing() -> None:
    assert not picture(
        np.zeros((3, 2)), View(1, 2, 1, 2, 5, 5), [Layer(np.arange(3), np.zeros(3, np.uint8))]
    ).any()
