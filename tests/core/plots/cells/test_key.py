"""Scale bars against the size of a pixel, and the colours of channels against those that are drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pcip_core.plots.cells.gallery import crop_montage, dendrogram_gallery, gallery, row_gallery
from pcip_core.plots.cells.key import Scale, channel_colours
from pcip_core.plots.cells.montage import composite
from pcip_core.plots.cells.units import unit_figure
from pcip_core.plots.scores.mismatch import mismatch_pairs
from pcip_core.spec.loading import load_screen
from tests.conftest import write_tiny_screen
from tests.core.plots.crop_pictures import CHANNELS, PROTEIN, TITLE, crops, rendered
from tests.core.plots.reading import legend

SCALE = Scale(0.5, "µm")  # 8 px of a crop are 4 µm


def test_the_size_of_a_pixel_is_the_specs_or_said_to_be_a_pixel(tmp_path: Path) -> None:
    text = write_tiny_screen(tmp_path, plates=1, crops={"window_px": 32, "size_px": 16})
    screen = load_screen(text)
    assert Scale.of_field(screen) == Scale(1.0, "px", "field")
    assert Scale.of_crop(screen) == Scale(2.0, "px", "field")
    measured = replace(screen, pixel_um=0.25)
    assert Scale.of_field(measured) == Scale(0.25, "µm")
    assert Scale.of_crop(measured) == Scale(0.5, "µm")  # a window of 32 px is resized to 16 px
    whole = replace(measured, crops=replace(screen.crops, window_px=None))
    assert Scale.of_crop(whole) == Scale(1.0, "px", "crop")


@pytest.mark.parametrize("per_px", [0.0137, 0.2, 1.0, 37.0])
def test_a_bar_is_as_long_as_its_text_says(per_px: float) -> None:
    for width in (16, 64, 2048):
        length, text = Scale(per_px, "µm").bar(width)
        assert float(text.removesuffix(" µm")) == pytest.approx(length * per_px)
        assert 0.15 * width <= length <= 0.4 * width


def test_the_key_has_the_colours_of_the_composite() -> None:
    for channels in (CHANNELS, ("dna", "tag"), ("tag",), ("a", "b", "c", "tag")):
        colours = channel_colours(channels, channels[-1:])
        assert list(colours) == list(channels)
        for index, name in enumerate(channels):
            bright = np.zeros((len(channels), 1, 1), np.uint8)
            bright[index] = 255
            assert composite(bright, channels, channels[-1:])[0, 0] == pytest.approx(colours[name], abs=1e-3)


def every_gallery() -> dict[str, Figure]:
    pixels = crops(4)
    tree = np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 2.0, 2.0], [4.0, 5.0, 3.0, 4.0]])
    look = {"channels": CHANNELS, "protein": PROTEIN}
    return {
        "gallery": gallery(pixels, CHANNELS, PROTEIN, [""] * 4, TITLE, scale=SCALE),
        "rows": row_gallery([("A", pixels), ("B", pixels[:1])], CHANNELS, PROTEIN, TITLE, scale=SCALE),
        "montage": crop_montage(pixels, CHANNELS, PROTEIN, TITLE, scale=SCALE),
        "units": unit_figure(pixels, pixels, np.ones((2, 3, 8, 8)), CHANNELS, PROTEIN, TITLE, scale=SCALE),
        "mismatch": mismatch_pairs(
            pixels, pixels, pixels[:, :1] / 255, TITLE, **look, labels=[("a", "b")] * 4, scale=SCALE
        ),
        "dendrogram": dendrogram_gallery(
            tree, pixels, TITLE, **look, cluster=np.array([1, 1, 2, 2]), shown={1: [0], 2: [2]}, scale=SCALE
        ),
    }


def test_every_gallery_has_a_key_and_a_bar_of_the_stated_length() -> None:
    for name, figure in every_gallery().items():
        entries = legend(rendered(figure))
        assert entries[:3] == list(CHANNELS), name
        assert entries[-1] == "scale bar: 1 µm", name
        bars = [
            patch
            for axes in figure.axes
            for patch in axes.patches
            if isinstance(patch, Rectangle) and to_rgb(patch.get_facecolor()[:3]) == (1, 1, 1)
        ]
        assert [bar.get_width() for bar in bars] == [2.0], name  # 1 µm is two px
