"""What the picture of accuracy by label against accuracy by plate shows."""

from __future__ import annotations

from pcip_core.plots.scores.batch_effects import label_against_plate
from tests.core.plots.reading import TITLE, drawn, legend


def test_a_point_per_set_and_an_arrow_to_its_corrected_copy() -> None:
    by_label = {"inpainting_conv3": 0.8, "inpainting_conv3_by_plate": 0.75, "classic": 0.6, "intensity": 0.2}
    excess = {"inpainting_conv3": 0.25, "inpainting_conv3_by_plate": -0.01, "classic": 0.2}
    figure = label_against_plate(by_label, excess, TITLE, label="localization")
    axes = figure.axes[0]
    points = drawn(axes)
    assert points.pop("no plate effect") == ([0, 0], [0, 1])
    assert points == {name: ([excess[name]], [by_label[name]]) for name in excess}
    (arrow,) = [text for text in axes.texts if text.get_text() == ""]
    assert arrow.xy == (-0.01, 0.75)  # type: ignore[attr-defined]
    assert arrow.get_position() == (0.25, 0.8)
    assert axes.get_ylabel() == "balanced accuracy by localization"
    assert legend(figure) == ["no plate effect", *excess]


def test_no_common_set_has_no_points() -> None:
    figure = label_against_plate({"classic": 0.3}, {}, TITLE, label="localization")
    assert figure.axes[0].texts[0].get_text() == "no scores"
