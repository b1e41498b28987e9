"""What the picture of a confusion matrix shows."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.plots.scores.confusion import confusion_matrix
from tests.core.plots.reading import TITLE, heat, ticks, title_of


def test_rows_are_shares_of_the_true_class() -> None:
    rows = [
        {"label": "ER", "predicted": "ER", "n": 3},
        {"label": "ER", "predicted": "Golgi", "n": 1},
        {"label": "Golgi", "predicted": "Golgi", "n": 4},
        {"label": "Golgi", "predicted": "ER", "n": 2},
        {"label": "Golgi", "predicted": "Vacuole", "n": 2},  # never a true class here
    ]
    figure = confusion_matrix(rows, TITLE)
    axes = figure.axes[0]
    np.testing.assert_allclose(heat(axes), [[75, 25, 0], [25, 50, 25], [0, 0, 0]])
    assert ticks(axes, "x") == ["ER", "Golgi", "Vacuole"]
    assert ticks(axes, "y") == ["ER (n = 4)", "Golgi (n = 8)", "Vacuole (n = 0)"]
    # x is the predicted class, y the true one
    assert {text.get_position(): text.get_text() for text in axes.texts}[1, 0] == "25"
    assert len(axes.texts) == 9
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class (cells)")
    assert title_of(figure) == TITLE


@pytest.mark.parametrize(("classes", "cells"), [(12, 144), (13, 13), (18, 18)])
def test_many_classes_have_numbers_on_the_diagonal_only(classes: int, cells: int) -> None:
    names = [f"class {index:02}" for index in range(classes)]
    rows = [{"label": name, "predicted": name, "n": 1} for name in names]
    texts = confusion_matrix(rows, TITLE).axes[0].texts
    assert len(texts) == cells
    assert {text.get_text() for text in texts if len(set(text.get_position())) == 1} == {"100"}
