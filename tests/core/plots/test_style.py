"""Titles and plots without scores, alike in all figures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from matplotlib.figure import Figure

from pcip_core.plots.pictures import preview
from pcip_core.plots.scatter import embedding_scatter
from pcip_core.plots.scores.benchmarks import accuracy_by_layer, accuracy_by_vgg_layer
from pcip_core.plots.scores.classes import accuracy_by_k, recall_by_class
from pcip_core.plots.scores.confusion import confusion_matrix
from pcip_core.plots.scores.pairwise import pairwise_by_line, pairwise_distances
from tests.core.plots.reading import TITLE, distance, score, title_of


@pytest.mark.parametrize(
    "draw",
    [
        confusion_matrix,
        recall_by_class,
        accuracy_by_k,
        accuracy_by_layer,
        accuracy_by_vgg_layer,
        pairwise_distances,
        pairwise_by_line,
        embedding_scatter,
    ],
)
def test_nothing_to_draw_says_so(draw: Callable[..., Figure]) -> None:
    figure = draw([], TITLE)
    assert [text.get_text() for text in figure.axes[0].texts] == ["no scores"]
    assert title_of(figure) == TITLE
    assert preview(figure)[8:12] == b"WEBP"


def test_rows_of_other_kinds_are_nothing_to_draw() -> None:
    other = [score("classic", 0.5, metric="recall", label="ER"), score("classic", 0.5, metric="accuracy")]
    assert accuracy_by_layer(other, TITLE).axes[0].texts[0].get_text() == "no scores"
    assert (
        accuracy_by_k([score("classic", 0.5, parameter="C=1")], TITLE).axes[0].texts[0].get_text()
        == "no scores"
    )
    same = [distance("classic", -1, protocol="same_line")]
    assert pairwise_distances(same, TITLE).axes[0].texts[0].get_text() == "no scores"


def test_a_title_wider_than_the_figure_is_wrapped_not_cut() -> None:
    rows = [{"label": "ER", "predicted": "ER", "n": 1}]
    figure = confusion_matrix(
        rows, "a long title of a screen, its protocol and its parameter " * 3 + "(simulated images)"
    )
    preview(figure)
    (title,) = (text for text in figure.texts if text.get_text() == title_of(figure))
    box = title.get_window_extent()
    assert "(simulated images)" in title_of(figure)
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    assert box.y1 <= figure.bbox.height
    assert box.y0 >= figure.axes[0].get_window_extent().y1
