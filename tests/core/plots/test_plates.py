"""Maps of plates: where wells stand, which colour they have, and which of them have a frame."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pcip_core.plots.plates import _FLAG, _panel, _places, colour_limits, plate_maps


@pytest.mark.parametrize(
    ("wells", "size", "named"),
    [
        (["A01", "H12"], (8, 12), True),
        (["a1", "P24"], (16, 24), True),
        (["AF48"], (32, 48), True),
        (["A01", "x"], (1, 2), False),
        ([f"image {number}" for number in range(30)], (2, 24), False),
    ],
)
def test_plates_have_the_size_of_their_wells(wells: list[str], size: tuple[int, int], *, named: bool) -> None:
    places, found, are_wells = _places(wells)
    assert (found, are_wells) == (size, named)
    assert len(set(places.values())) == len(wells)


def test_a_well_has_its_colour_and_a_flagged_one_a_frame() -> None:
    part = pl.DataFrame(
        {"well": ["A01", "A02", "B01"], "value": [0.0, 10.0, None], "flagged": [False, True, False]}
    )
    places = {"A01": (0, 0), "A02": (0, 1), "B01": (1, 0)}
    picture = _panel(part, places, (2, 3), 10, (0.0, 10.0))
    assert picture.shape == (20, 30, 3)
    np.testing.assert_allclose(picture[4, 4], (0.267, 0.005, 0.329), atol=0.01)  # the least of viridis
    np.testing.assert_allclose(picture[4, 14], (0.993, 0.906, 0.144), atol=0.01)
    np.testing.assert_allclose(picture[0, 10], _FLAG, atol=1e-6)
    assert np.ptp(picture[12:18, 2:8]) < 1e-6, "a well without a value is grey"
    assert (picture[9] == 1).all(), "a line between the rows"


def test_colours_are_those_of_all_plates_and_constant_values_are_drawn() -> None:
    values = pl.DataFrame(
        {
            "well": ["A01", "A02"] * 2,
            "channel": ["", "", "dna", "dna"],
            "measure": ["cells", "cells", "background", "background"],
            "value": [1.0, 3.0, 5.0, 5.0],
            "flagged": [False] * 4,
        }
    )
    limits = colour_limits(values)
    assert limits["dna", "background"] == (5.0, 5.0)
    figure = plate_maps(values, "plate", limits)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "cells\n(1 to 3)" in texts
    assert "dna: background\n(5 to 5)" in texts


def test_one_well_that_differs_from_all_others_is_seen() -> None:
    keys = {"channel": "", "measure": "cells"}
    values = pl.DataFrame([{**keys, "value": 9.0}] * 99 + [{**keys, "value": 8.0}])
    assert colour_limits(values) == {("", "cells"): (8.0, 9.0)}


@pytest.mark.parametrize("wells", [["A01", "H12"], ["first", "second"]], ids=["plate", "two images"])
def test_headings_do_not_overlap(wells: list[str]) -> None:
    measures = ["saturated", "focus_slope", "focus_laplacian", "background", "signal_to_noise"]
    values = pl.DataFrame(
        [
            {"well": well, "channel": "nucleus", "measure": name, "value": 0.000123, "flagged": False}
            for name in measures
            for well in wells
        ]
    )
    figure = plate_maps(values, "plate", colour_limits(values))
    FigureCanvasAgg(figure).draw()
    headings = [text for text in figure.axes[0].texts if text.get_text().startswith("nucleus: ")]
    boxes = [text.get_window_extent() for text in headings]
    assert len(boxes) == len(measures)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert boxes[-1].x1 <= figure.bbox.x1
    top = figure.bbox.y1 - 0.4 * figure.dpi  # below the title
    assert all(box.y1 <= top for box in boxes)
