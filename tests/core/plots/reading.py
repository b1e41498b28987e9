"""Rows of scores to draw, and what a figure shows, read back from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

TITLE = "yeast (simulated images)"
Row = dict[str, Any]


def score(feature_set: str, value: float, **other: Any) -> Row:
    return {
        "feature_set": feature_set,
        "value": value,
        "protocol": "leave_one_image_out",
        "parameter": "k=11",
        "label": None,
        "metric": "balanced_accuracy",
        **other,
    }


def distance(feature_set: str, value: float, label: str | None = None, **other: Any) -> Row:
    bounds = {"low": value - 0.5, "high": value + 0.25, "metric": "normalized_pairwise_distance"}
    return {
        "feature_set": feature_set,
        "value": value,
        "label": label,
        "protocol": "any_line",
        **bounds,
        **other,
    }


def heat(axes: Axes) -> np.ndarray:
    array = axes.images[0].get_array()
    assert array is not None
    return np.ma.filled(np.ma.asarray(array, float), np.nan)


def ticks(axes: Axes, which: str) -> list[str]:
    labels = axes.get_xticklabels() if which == "x" else axes.get_yticklabels()
    return [label.get_text() for label in labels]


def legend(figure: Figure) -> list[str]:
    found = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [text.get_text() for one in found if one is not None for text in one.get_texts()]


def drawn(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """x and y of each line that has a name."""
    return {
        str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata()))  # type: ignore[arg-type]
        for line in axes.lines
        if not str(line.get_label()).startswith("_")
    }


def title_of(figure: Figure) -> str:
    return figure.get_suptitle()
