"""Recall of each class, and accuracy against the number of neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pcip_core.plots.scores.chance import draw_chance, draw_intervals
from pcip_core.plots.style import LEGEND_INCHES, add_legend, add_title, colour, marker, no_scores, wide_legend

OVERALL = "balanced accuracy"


def recall_by_class(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Draw a heat map of the recall of each class (row) with each feature set (paper, Figure 2A).

    The first row is the balanced accuracy over all classes. Feature sets are sorted by it, best first, and those
    without it last. Missing scores are grey. Numbers are in per cent, as the scale is.

    Args:
        rows: rows of one protocol and one parameter: feature_set, label, metric and value, with metric
            `balanced_accuracy` if label is None and otherwise `recall`, and n, the number of cells, where it is known.
            Other metrics are ignored.
        title: title of the figure; states if images are simulated.

    >>> row = {"feature_set": "intensity", "label": "nucleus", "metric": "recall", "value": 0.5}
    >>> [label.get_text() for label in recall_by_class([row], "example").axes[0].get_yticklabels()]
    ['balanced accuracy', 'nucleus']
    """
    overall: dict[str, float] = {}
    recalls: dict[tuple[str, str], float] = {}
    cells: dict[str, int] = {}
    for row in rows:
        if row["metric"] == "balanced_accuracy" and row["label"] is None:
            overall[row["feature_set"]] = row["value"]
        elif row["metric"] == "recall" and row["label"] is not None:
            recalls[row["label"], row["feature_set"]] = row["value"]
            cells[row["label"]] = max(cells.get(row["label"], 0), row.get("n") or 0)
    names = dict.fromkeys([*overall, *(name for _, name in recalls)])
    sets = sorted(names, key=lambda name: -overall.get(name, -1.0))
    if not sets:
        return no_scores(title)
    classes = sorted({label for label, _ in recalls})
    values = np.array(
        [
            [overall.get(name, np.nan) for name in sets],
            *([recalls.get((label, name), np.nan) for name in sets] for label in classes),
        ]
    )

    figure = Figure(
        figsize=(max(5.0, 0.42 * len(sets) + 3.2), max(3.0, 0.28 * len(values) + 2.2)), layout="constrained"
    )
    add_title(figure, title)
    axes = figure.add_subplot()
    axes.set_facecolor("lightgrey")
    image = axes.imshow(np.ma.masked_invalid(100 * values), cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (line, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(
                column,
                line,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="black" if value > 0.55 else "white",
                fontweight="bold" if line == 0 else "normal",
            )
    axes.axhline(0.5, color="white", linewidth=3)
    axes.set_xticks(range(len(sets)), sets, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    named = [f"{label} (n = {cells[label]:,})" if cells[label] else label for label in classes]
    axes.set_yticks(range(len(values)), [OVERALL, *named], fontsize=8)
    axes.get_yticklabels()[0].set_fontweight("bold")
    figure.colorbar(image, ax=axes, label="recall, % of the cells", shrink=0.8)
    return figure


def accuracy_by_k(rows: Sequence[Mapping[str, Any]], title: str, *, classes: int = 0) -> Figure:
    """Draw the balanced accuracy against the number of neighbours, one line per feature set, best first in the legend.

    Thin vertical lines are the intervals of scores that have one.

    Args:
        rows: rows of one protocol: feature_set, parameter, label, metric and value. Rows with a label, with another
            metric, or with a parameter not of the form `k=11` are ignored.
        title: title of the figure; states if images are simulated.
        classes: number of classes, for the line of chance; 0: no such line.

    >>> row = {"feature_set": "intensity", "parameter": "k=11", "label": None, "metric": "balanced_accuracy"}
    >>> accuracy_by_k([row | {"value": 0.5}], "example").axes[0].get_xlabel()
    'nearest neighbours'
    """
    lines: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        number = str(row["parameter"]).removeprefix("k=")
        if row["metric"] == "balanced_accuracy" and row["label"] is None and number.isdecimal():
            lines.setdefault(row["feature_set"], {})[int(number)] = row
    if not lines:
        return no_scores(title)
    ranked = sorted(lines, key=lambda name: -max(row["value"] for row in lines[name].values()))
    numbers = sorted({k for points in lines.values() for k in points})
    outside = wide_legend(len(lines) + (classes > 1))
    height = max(3.4, 0.19 * len(lines) + 0.6) if outside else 3.4
    figure = Figure(figsize=(5 + outside * LEGEND_INCHES, height), layout="constrained")
    add_title(figure, title)
    axes = figure.add_subplot()
    for index, name in enumerate(ranked):
        x = sorted(lines[name])
        drawn = [lines[name][k] for k in x]
        y = [row["value"] for row in drawn]
        axes.plot(x, y, color=colour(index), marker=marker(index), markersize=4.5, label=name)
        draw_intervals(axes, x, drawn, colour(index))
    draw_chance(axes, classes)
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.set(xlabel="nearest neighbours", ylabel="balanced accuracy", ylim=(0, 1))
    add_legend(figure, [axes])
    return figure
