"""What the fields of view with their phenotypes show."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from pcip_core.plots.cells.fields_of_view import FieldOfView, phenotype_fields
from pcip_core.plots.style import colour
from tests.core.plots.crop_pictures import TITLE, picture, rendered


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
