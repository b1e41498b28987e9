"""What the pictures of scores between compartments, phenotypes and mismatched pairs show."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pcip_core.analysis.phenotypes import phenotypes
from pcip_core.errors import ShapeError
from pcip_core.plots.cells.fields_of_view import FieldOfView, phenotype_fields
from pcip_core.plots.cells.gallery import dendrogram_gallery, gallery
from pcip_core.plots.cells.montage import composite
from pcip_core.plots.scores.mismatch import mismatch_pairs
from pcip_core.plots.style import colour
from pcip_core.plots.violins import compartment_violins

TITLE = "U-2 OS (simulated images)"
CHANNELS, PROTEIN = ("nucleus", "microtubules", "protein"), ("protein",)


def rendered(figure: Figure) -> Figure:
    FigureCanvasAgg(figure).draw()
    return figure


def picture(axes: Axes) -> np.ndarray:
    array = axes.images[0].get_array()
    assert array is not None
    return np.asarray(array)


def crops(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 3, 8, 8), dtype=np.uint8)


def test_violins_show_quartiles_and_every_cell_of_the_examples() -> None:
    rng = np.random.default_rng(0)
    groups = [("A only", rng.normal(-1, 0.3, 80)), ("both", np.append(rng.normal(size=50), np.nan)),
              ("B only", rng.normal(1, 0.3, 60))]  # fmt: skip
    examples = [("P1", rng.normal(size=12)), ("P2", rng.normal(size=7))]
    figure = rendered(compartment_violins(groups, TITLE, examples))
    axes = figure.axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["A only\nn = 80", "both\nn = 50", "B only\nn = 60", "P1\nn = 12", "P2\nn = 7"]
    points = [np.asarray(part.get_offsets()) for part in axes.collections if len(part.get_offsets())]
    dots = [part for part in points if len(part) in (12, 7)]
    for place, (_, values), part in zip((3, 4), examples, dots, strict=True):
        assert np.sort(part[:, 1]) == pytest.approx(np.sort(values))
        assert np.abs(part[:, 0] - place).max() < 0.5  # none stands at another image
    medians = [part[0, 1] for part in points if part.shape == (1, 2) and part[0].any()]
    expected = [np.nanmedian(values) for _, values in groups]
    assert all(any(found == pytest.approx(one) for found in medians) for one in expected)
    assert figure.get_suptitle() == TITLE


def test_violins_of_few_cells_are_dots_and_of_none_say_so() -> None:
    figure = rendered(compartment_violins([("A only", np.array([1.0, 2])), ("both", np.full(5, 3.0))], TITLE))
    assert [len(part.get_offsets()) for part in figure.axes[0].collections] == [2, 5]
    empty = rendered(compartment_violins([("A only", np.array([np.nan]))], TITLE))
    assert empty.axes[0].texts[0].get_text() == "no scores"


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


def test_fields_ring_each_cell_in_the_colour_of_its_phenotype() -> None:
    pixels = np.random.default_rng(0).gamma(2, 100, (60, 90))
    places = np.array([[10.0, 20.0], [40.0, 70.0], [55.0, 30.0]])
    seen = FieldOfView("well A, field 1", (60, 90), places, np.array([1, 2, 1]), ["", "b", ""], pixels)
    unseen = FieldOfView("well B", (60, 90), places[:1], np.array([2]), [""], None)
    figure = rendered(
        phenotype_fields([seen, unseen], TITLE, radius_px=6, legend={1: "1 (75%)", 2: "2 (25%)"})
    )
    first, second = figure.axes
    low, high = np.percentile(pixels, (0.5, 99.8))
    assert picture(first) == pytest.approx(np.sqrt(np.clip((pixels - low) / (high - low), 0, 1)))
    for axes, one in ((first, seen), (second, unseen)):
        assert axes.get_title() == one.name
        assert axes.get_xlim() == (-0.5, 89.5)
        assert axes.get_ylim() == (59.5, -0.5)  # y from the top
        rings = [(*patch.center, patch.radius, to_hex(patch.get_edgecolor())) for patch in axes.patches]  # type: ignore[attr-defined]
        expected = [
            (x, y, 6, colour(n - 1).lower()) for (y, x), n in zip(one.places, one.cluster, strict=True)
        ]
        assert rings == expected
    assert [text.get_text() for text in first.texts] == ["b"]
    assert not second.images
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1 (75%)", "2 (25%)"]
    assert phenotype_fields([], TITLE, radius_px=6, legend={}).axes[0].texts[0].get_text() == "no scores"


def test_mismatched_pairs_show_markers_without_protein_and_the_prediction_in_its_place() -> None:
    sources, targets = crops(2), crops(4)[2:]
    predictions = np.random.default_rng(1).uniform(-0.2, 1.3, (2, 1, 8, 8)).astype(np.float32)
    options = {
        "channels": CHANNELS,
        "protein": PROTEIN,
        "labels": [("Cytosol", "Golgi"), ("Golgi", "Cytosol")],
    }
    figure = rendered(
        mismatch_pairs(sources, targets, predictions, TITLE, **options, notes=["r 0.9", "r 0.8"])
    )
    titles = ["source", "target markers", "prediction", "its protein", "truth", "its protein"]
    assert [axes.get_title() for axes in figure.axes[:6]] == titles
    markers, inpainted = targets / 255.0, targets / 255.0
    markers[:, 2] = 0
    inpainted[:, 2] = np.clip(predictions[:, 0], 0, 1)
    for row in range(2):
        line = figure.axes[6 * row : 6 * row + 6]
        coloured, alone = [line[place] for place in (0, 1, 2, 4)], [line[place] for place in (3, 5)]
        expected = (sources[row], markers[row], inpainted[row], targets[row])
        for axes, one in zip(coloured, expected, strict=True):
            assert picture(axes) == pytest.approx(composite(one, CHANNELS, PROTEIN), abs=1e-6)
        for axes, grey in zip(alone, (predictions[row, 0], targets[row, 2] / 255.0), strict=True):
            assert picture(axes) == pytest.approx(grey, abs=1e-6)
            assert axes.images[0].get_clim() == pytest.approx((grey.min(), grey.max()))
    assert figure.axes[6].get_ylabel() == "Golgi"
    assert figure.axes[11].get_ylabel() == "Cytosol\nr 0.8"
    empty = mismatch_pairs(
        sources[:0], targets[:0], predictions[:0], TITLE, channels=CHANNELS, protein=PROTEIN, labels=[]
    )
    assert empty.axes[0].texts[0].get_text() == "no scores"
    with pytest.raises(ShapeError, match="2 sources, 1 targets"):
        mismatch_pairs(sources, targets[1:], predictions, TITLE, **options)
