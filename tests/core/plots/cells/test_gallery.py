"""What galleries of cells and of phenotypes show."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from pcip_core.analysis.phenotypes import phenotypes
from pcip_core.errors import ShapeError
from pcip_core.plots.cells.gallery import dendrogram_gallery, gallery
from pcip_core.plots.cells.montage import composite
from pcip_core.plots.style import colour
from tests.core.plots.crop_pictures import CHANNELS, PROTEIN, TITLE, crops, picture, rendered


def test_gallery_shows_each_crop_with_its_caption() -> None:
    pixels = crops(5)
    captions = [f"cell {row}" for row in range(5)]
    figure = rendered(gallery(pixels, CHANNELS, PROTEIN, captions, TITLE, columns=3))
    assert len(figure.axes) == 6
    for axes, crop, caption in zip(figure.axes, pixels, captions, strict=False):
        assert picture(axes) == pytest.approx(composite(crop, CHANNELS, PROTEIN))
        assert axes.get_xlabel() == caption
    assert not figure.axes[5].axison
    grey = rendered(gallery(pixels, CHANNELS, PROTEIN, captions, TITLE, alone=True))
    assert np.array_equal(picture(grey.axes[2]), pixels[2, 2])
    assert gallery(pixels[:0], CHANNELS, PROTEIN, [], TITLE).axes[0].texts[0].get_text() == "no scores"
    with pytest.raises(ShapeError, match="5 crops, 4 captions"):
        gallery(pixels, CHANNELS, PROTEIN, captions[1:], TITLE)


def test_dendrogram_joins_crops_to_their_leaves() -> None:
    rng = np.random.default_rng(0)
    state = rng.permutation(np.repeat([0, 1], [14, 6]))
    features = rng.normal(size=(20, 6)) + 9 * state[:, None]
    found = phenotypes(features, [str(row) for row in range(20)], clusters=2, representatives=2)
    pixels = crops(20)
    shown = {one.cluster: one.rows for one in found.phenotypes}
    figure = rendered(
        dendrogram_gallery(
            found.linkage, pixels, TITLE, channels=CHANNELS, protein=PROTEIN, cluster=found.cluster,
            shown=shown, names={1: "cytosol"}, captions={shown[1][0]: "a"},
        )
    )  # fmt: skip
    top, *below = figure.axes
    assert {text.get_text() for text in top.texts} == {"cytosol\n70%", "2\n30%"}
    assert len(top.lines) == 19
    tints = [to_hex(line.get_color()) for line in top.lines]
    assert tints.count(colour(0).lower()) == 13  # joints within the 14 cells
    assert tints.count(colour(1).lower()) == 5
    assert tints.count(to_hex("dimgrey")) == 1
    order = [int(leaf) for leaf in found.leaves]
    cells = sorted((row for rows in shown.values() for row in rows), key=order.index)
    assert len(below) == 4
    for axes, cell in zip(below, cells, strict=True):
        assert picture(axes) == pytest.approx(composite(pixels[cell], CHANNELS, PROTEIN))
        assert to_hex(axes.spines["top"].get_edgecolor()) == colour(int(found.cluster[cell]) - 1).lower()
    assert [axes.get_xlabel() for axes in below] == ["a" if cell == shown[1][0] else "" for cell in cells]
    joined = [(line.xy1[0], line.axesB) for line in figure.artists]  # type: ignore[attr-defined]
    assert joined == [(10 * order.index(cell) + 5, axes) for cell, axes in zip(cells, below, strict=True)]
    with pytest.raises(ShapeError, match="20 leaves, 19 crops"):
        dendrogram_gallery(
            found.linkage,
            pixels[1:],
            TITLE,
            channels=CHANNELS,
            protein=PROTEIN,
            cluster=found.cluster,
            shown=shown,
        )
