"""What the picture of accuracy by label against accuracy by plate shows."""

from __future__ import annotations

from pcip_core.plots.scores.batch_effects import label_against_plate
from tests.core.plots.reading import TITLE, drawn, legend


def test_a_point_per_set_and_an_arrow_to_its_corrected_copy() -> None:
    by_label = {"inpainting_conv3": 0.8, "inpainting_conv3_by_plate": 0.75, "classic": 0.6, "intensity": 0.2}
    by_plate = {"inpainting_conv3": 0.5, "inpainting_conv3_by_plate": 0.26, "classic": 0.4}
    figure = label_against_plate(by_label, by_plate, TITLE, chance=0.25, label="localization")
    axes = figure.axes[0]
    points = drawn(axes)
    assert points.pop("chance by plate") == ([0.25, 0.25], [0, 1])
    assert points == {name: ([by_plate[name]], [by_label[name]]) for name in by_plate}
    (arrow,) = [text for text in axes.texts if text.get_text() == ""]
    assert arrow.xy == (0.26, 0.75)  # type: ignore[attr-defined]
    assert arrow.get_position() == (0.5, 0.8)
    assert axes.get_ylabel() == "balanced accuracy by localization"
    assert legend(figure) == ["chance by plate", *by_plate]


def test_no_common_set_has_no_points() -> None:
    figure = label_against_plate({"classic": 0.3}, {}, TITLE, chance=0.5, label="localization")
    assert figure.axes[0].texts[0].get_text() == "no scores"
