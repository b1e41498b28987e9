"""What the picture of mismatched pairs shows."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.errors import ShapeError
from pcip_core.plots.cells.montage import composite
from pcip_core.plots.scores.mismatch import mismatch_pairs
from tests.core.plots.crop_pictures import CHANNELS, PROTEIN, TITLE, crops, rendered, tile
from tests.core.plots.reading import ticks


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
    axes = figure.axes[0]
    titles = ["source", "target markers", "prediction", "its protein", "truth", "its protein"]
    assert ticks(axes, "x") == titles
    markers, inpainted = targets / 255.0, targets / 255.0
    markers[:, 2] = 0
    inpainted[:, 2] = np.clip(predictions[:, 0], 0, 1)
    for row in range(2):
        shown = [tile(axes, row, column) for column in range(6)]
        expected = (sources[row], markers[row], inpainted[row], targets[row])
        for column, pixels in zip((0, 1, 2, 4), expected, strict=True):
            assert shown[column] == pytest.approx(composite(pixels, CHANNELS, PROTEIN), abs=1e-6)
        for column, grey in zip((3, 5), (predictions[row, 0], targets[row, 2] / 255.0), strict=True):
            unit = (grey - grey.min()) / (grey.max() - grey.min())
            assert shown[column] == pytest.approx(np.stack([unit] * 3, -1), abs=1e-6)
    assert ticks(axes, "y") == ["Cytosol", "Golgi"]
    assert ticks(axes.child_axes[0], "y") == ["Golgi\nr 0.9", "Cytosol\nr 0.8"]
    empty = mismatch_pairs(
        sources[:0], targets[:0], predictions[:0], TITLE, channels=CHANNELS, protein=PROTEIN, labels=[]
    )
    assert empty.axes[0].texts[0].get_text() == "no scores"
    with pytest.raises(ShapeError, match="2 sources, 1 target,"):
        mismatch_pairs(sources, targets[1:], predictions, TITLE, **options)
