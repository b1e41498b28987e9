"""Rows of pictures in one axes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from pcip_core.plots.cells.gallery import row_gallery
from pcip_core.plots.cells.montage import composite
from pcip_core.plots.cells.tiles import add_rows
from pcip_core.plots.training import inpainting_preview
from pcip_core.training.tracker import Preview
from tests.core.plots.crop_pictures import CHANNELS, PROTEIN, TITLE, crops, rendered, tile
from tests.core.plots.reading import ticks


def test_rows_of_unequal_length_are_white_at_their_end_and_named_at_their_centres() -> None:
    rng = np.random.default_rng(0)
    grey, coloured = rng.random((3, 8, 8)), rng.random((2, 8, 8, 3))
    axes = add_rows(Figure(), [("a", grey), ("b", coloured)], columns=["x", "y", "z"], notes=["r", "s"])
    for column in range(3):
        assert np.array_equal(tile(axes, 0, column), np.stack([grey[column]] * 3, -1))
    for column in range(2):
        assert np.array_equal(tile(axes, 1, column), coloured[column])
    assert tile(axes, 1, 2) is None
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 26.5), (17.5, -0.5))  # 3 x 2 pictures and their gaps
    assert axes.get_yticks().tolist() == [3.5, 12.5]
    assert axes.get_xticks().tolist() == [3.5, 12.5, 21.5]
    assert (ticks(axes, "y"), ticks(axes, "x")) == (["a", "b"], ["x", "y", "z"])


def test_a_gallery_of_rows_shows_the_composites_with_the_name_of_each_row() -> None:
    pixels = crops(3)
    figure = rendered(row_gallery([("A", pixels), ("B\nU-2 OS", pixels[:1])], CHANNELS, PROTEIN, TITLE))
    axes = figure.axes[0]
    for column, crop in enumerate(pixels):
        assert np.allclose(tile(axes, 0, column), composite(crop, CHANNELS, PROTEIN))
    assert tile(axes, 1, 1) is None
    assert ticks(axes, "y") == ["A", "B\nU-2 OS"]


def test_a_preview_shows_the_prediction_above_the_true_protein() -> None:
    pixels = crops(2) / np.float32(255)
    preview = Preview(
        source=pixels, target=pixels[::-1], prediction=pixels[:, :1], channels=CHANNELS, protein=PROTEIN
    )
    axes = rendered(inpainting_preview(preview, TITLE)).axes[0]
    assert ticks(axes, "y") == ["source", "target markers", "predicted protein", "true protein"]
    markers = pixels[::-1].copy()
    markers[:, 2] = 0
    for column in range(2):
        assert np.allclose(tile(axes, 0, column), composite(pixels[column], CHANNELS, PROTEIN))
        assert np.allclose(tile(axes, 1, column), composite(markers[column], CHANNELS, PROTEIN))
        assert np.allclose(tile(axes, 2, column), pixels[column, 0][..., None])
        assert np.allclose(tile(axes, 3, column), pixels[1 - column, 2][..., None])
