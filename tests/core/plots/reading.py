"""Rows of scores to draw, and what a figure shows, read back from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
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


def intervals(axes: Axes) -> set[tuple[float, float, float]]:
    """x, lower and upper end of each vertical line."""
    lines = [one for one in axes.collections if isinstance(one, LineCollection)]
    return {
        (float(start[0]), float(start[1]), float(end[1]))
        for one in lines
        for start, end in one.get_segments()
    }


def overlaps_the_title(figure: Figure) -> bool:
    """Whether a legend of the figure lies over its title, as drawn."""
    figure.canvas.draw()
    (title,) = (text for text in figure.texts if text.get_text() == figure.get_suptitle())
    box = title.get_window_extent()
    return any(box.overlaps(each.get_window_extent()) for each in figure.legends)


def title_of(figure: Figure) -> str:
    return figure.get_suptitle()
