"""Pairwise distances of proteins with the same term, relative to chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pcip_core.plots.style import LEGEND_INCHES, add_legend, add_title, colour, marker, no_scores

METRIC = "normalized_pairwise_distance"
X_LABEL = "normalized average pairwise distance\n(negative: closer than chance)"
OVERALL = "overall"
LINES = {"same_line": "same cell line", "different_line": "different cell lines"}


def pairwise_distances(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Draw the distance of each term (row) with each feature set, with intervals (paper, Figure 2B).

    Args:
        rows: feature_set, protocol, label (a term, or None for all terms), metric, value, low and high (None: no
            interval). Only protocol `any_line` and metric `normalized_pairwise_distance` are drawn.
        title: title of the figure; states if images are simulated.

    >>> row = {"feature_set": "intensity", "protocol": "any_line", "label": None, "metric": METRIC, "value": -0.5}
    >>> figure = pairwise_distances([row | {"low": None, "high": None}], "example")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['overall']
    """
    chosen = [row for row in rows if row["protocol"] == "any_line" and row["metric"] == METRIC]
    if not chosen:
        return no_scores(title)
    labels = sorted({row["label"] for row in chosen if row["label"] is not None})
    terms = [None, *labels] if any(row["label"] is None for row in chosen) else labels
    sets = list(dict.fromkeys(row["feature_set"] for row in chosen))
    inches = max(0.26, 0.09 * len(sets)) * len(terms) + 1.4
    figure = Figure(figsize=(6.5 + LEGEND_INCHES, max(3.0, inches)), layout="constrained")
    add_title(figure, title)
    axes = figure.add_subplot()
    for index, name in enumerate(sets):
        shift = 0.7 * ((index + 0.5) / len(sets) - 0.5)
        of_set = [row for row in chosen if row["feature_set"] == name]
        _dots(axes, of_set, [terms.index(row["label"]) + shift for row in of_set], index, name)
    axes.set_yticks(range(len(terms)), [OVERALL if term is None else term for term in terms], fontsize=8)
    if terms[0] is None:
        axes.get_yticklabels()[0].set_fontweight("bold")
    for line in range(len(terms) - 1):
        axes.axhline(line + 0.5, color="lightgrey", linewidth=0.6, zorder=0)
    _finish(axes, len(terms))
    add_legend(figure, [axes], outside=True)  # dots may lie anywhere
    return figure


def pairwise_by_line(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Draw two connected dots per feature set: pairs of the same cell line, and of different ones (paper, Table 2).

    Args:
        rows: as for `pairwise_distances`; only rows without label, of protocols `same_line` and `different_line`, are
            drawn.
        title: title of the figure; states if images are simulated.
    """
    chosen = [
        row for row in rows if row["protocol"] in LINES and row["metric"] == METRIC and row["label"] is None
    ]
    if not chosen:
        return no_scores(title)
    sets = list(dict.fromkeys(row["feature_set"] for row in chosen))
    figure = Figure(figsize=(6.5 + LEGEND_INCHES, max(3.0, 0.36 * len(sets) + 1.6)), layout="constrained")
    add_title(figure, title)
    axes = figure.add_subplot()
    for line, name in enumerate(sets):
        ends = [row["value"] for row in chosen if row["feature_set"] == name]
        axes.plot(ends, [line] * len(ends), color="grey", linewidth=1.2, zorder=1)
    for index, (protocol, label) in enumerate(LINES.items()):
        of_line = [row for row in chosen if row["protocol"] == protocol]
        shift = 0.1 * (
            2 * index - 1
        )  # shifts only the interval; the dots stay on the line that connects them
        places = [sets.index(row["feature_set"]) for row in of_line]
        if of_line:
            _dots(axes, of_line, places, index, label, interval_shift=shift)
    axes.set_yticks(range(len(sets)), sets, fontsize=8)
    _finish(axes, len(sets))
    add_legend(figure, [axes], outside=True)  # dots may lie anywhere
    return figure


def _dots(
    axes: Axes,
    rows: Sequence[Mapping[str, Any]],
    places: Sequence[float],
    index: int,
    label: str,
    *,
    interval_shift: float = 0.0,
) -> None:
    """Draw one dot per row at its position on the y axis, with its interval if it has one."""
    values = [row["value"] for row in rows]
    axes.plot(
        values, places, linestyle="", color=colour(index), marker=marker(index), markersize=5, label=label
    )
    known = [
        (place + interval_shift, row["low"], row["high"])
        for place, row in zip(places, rows, strict=True)
        if row["low"] is not None and row["high"] is not None
    ]
    if known:
        y, low, high = zip(*known, strict=True)
        axes.hlines(y, low, high, color=colour(index), linewidth=1.4, alpha=0.7)


def _finish(axes: Axes, lines: int) -> None:
    """Draw the zero line and the x label, and put the first row on top."""
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":", zorder=0)
    axes.set_ylim(lines - 0.5, -0.5)
    axes.set_xlabel(X_LABEL, fontsize=9)
