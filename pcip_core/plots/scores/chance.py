"""The accuracy by chance, and intervals of accuracies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes


def classes_of(rows: Iterable[Mapping[str, Any]]) -> int:
    """The number of classes that nearest neighbours were scored on: those with a recall.

    >>> classes_of([{"classifier": "knn", "metric": "recall", "label": "nucleus"}])
    1
    """
    return len(
        {row["label"] for row in rows if row.get("classifier") == "knn" and row["metric"] == "recall"}
        - {None}
    )


def draw_chance(axes: Axes, classes: int) -> None:
    """Draw the balanced accuracy of guesses that do not look at the features: one over the number of classes."""
    if classes > 1:
        axes.axhline(1 / classes, color="dimgrey", linestyle=":", label=f"chance (1/{classes})", zorder=0)


def draw_intervals(axes: Axes, x: Sequence[float], rows: Sequence[Mapping[str, Any]], color: str) -> None:
    """Draw the interval of each score that has one, as a thin vertical line."""
    known = [
        (place, row["low"], row["high"])
        for place, row in zip(x, rows, strict=True)
        if row.get("low") is not None and row.get("high") is not None
    ]
    if known:
        places, low, high = zip(*known, strict=True)
        axes.vlines(places, low, high, color=color, linewidth=1.2, alpha=0.6)
