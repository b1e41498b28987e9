"""What the pictures of scores by class and by k show."""

from __future__ import annotations

import numpy as np

from pcip_core.plots.scores.classes import accuracy_by_k, recall_by_class
from tests.core.plots.reading import TITLE, drawn, heat, intervals, legend, score, ticks


def test_recall_is_sorted_by_overall_accuracy_which_comes_first() -> None:
    rows = [
        score("classic", 0.4),
        score("inpainting", 0.8),
        score("classic", 0.3, label="Golgi", metric="recall", n=1012),
        score("classic", 0.5, label="ER", metric="recall"),
        score("inpainting", 0.9, label="ER", metric="recall"),
        score("new", 0.6, label="ER", metric="recall"),
        score("classic", 0.1, label="ER", metric="precision"),
    ]
    axes = recall_by_class(rows, TITLE).axes[0]
    assert ticks(axes, "x") == ["inpainting", "classic", "new"]
    assert ticks(axes, "y") == ["balanced accuracy", "ER", "Golgi (n = 1,012)"]
    nan = np.nan
    np.testing.assert_allclose(heat(axes), [[80, 40, nan], [90, 50, 60], [nan, 30, nan]])
    assert sorted(text.get_text() for text in axes.texts) == ["30", "40", "50", "60", "80", "90"]


def test_accuracy_over_k_in_the_order_of_the_numbers() -> None:
    rows = [score("classic", value, parameter=f"k={k}") for k, value in ((11, 0.5), (5, 0.4), (50, 0.3))]
    rows += [score("inpainting", 0.9, parameter="k=5"), score("classic", 0.99, parameter="C=1")]
    rows += [score("classic", 0.98, parameter="k=1", metric="recall", label="ER")]
    figure = accuracy_by_k(rows, TITLE)
    lines = drawn(figure.axes[0])
    assert lines == {"inpainting": ([5], [0.9]), "classic": ([5, 11, 50], [0.4, 0.5, 0.3])}
    assert ticks(figure.axes[0], "x") == ["5", "11", "50"]
    assert legend(figure) == ["inpainting", "classic"]
    assert not figure.legends


def test_many_lines_have_the_legend_outside() -> None:
    figure = accuracy_by_k([score(f"set {index}", 0.5) for index in range(7)], TITLE)
    assert len(figure.legends) == 1
    assert len(legend(figure)) == 7


def test_chance_and_intervals_are_drawn() -> None:
    rows = [score("classic", 0.5, parameter=f"k={k}", low=0.4, high=0.7) for k in (1, 11)]
    rows.append(score("inpainting", 0.6, low=None, high=None))
    figure = accuracy_by_k(rows, TITLE, classes=5)
    axes = figure.axes[0]
    assert drawn(axes)["chance (1/5)"][1] == [0.2, 0.2]
    assert intervals(axes) == {(1, 0.4, 0.7), (11, 0.4, 0.7)}
    assert legend(figure)[-1] == "chance (1/5)"
