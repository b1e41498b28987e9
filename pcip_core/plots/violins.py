"""Scores of single cells between two compartments, as violins (paper, Figure 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from pcip_core.plots.style import add_title, colour, no_scores

_DOTS_HALF_WIDTH = 0.28  # of the dots of an image


def compartment_violins(
    groups: Sequence[tuple[str, np.ndarray]],
    title: str,
    examples: Sequence[tuple[str, np.ndarray]] = (),
    *,
    ylabel: str = "log(distance to first / distance to second)",
    lines: Sequence[float] = (0.0,),
) -> Figure:
    """Draw violins of groups of cells and, to their right, the cells of selected images as dots.

    As in the paper, the box is the interquartile range and the white dot the median. Groups with fewer than three cells
    or with constant values are drawn as dots. Values that are not finite are omitted.

    Args:
        groups: name, such as `cytosol only`, and (n,) scores; from left to right.
        title: title of the figure; states if images are simulated.
        examples: name of an image, and (n,) scores of all its cells.
        ylabel: name of the score, for the axis.
        lines: scores at which to draw thin horizontal lines.

    >>> figure = compartment_violins([("nucleus only", np.array([-1.0, 0.0, 1.0]))], "example")
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['nucleus only\\nn = 3']
    """
    shown = [(name, _finite(values)) for name, values in groups]
    dotted = [(name, _finite(values)) for name, values in examples]
    if not any(len(values) for _, values in [*shown, *dotted]):
        return no_scores(title)
    figure = Figure(figsize=(1.3 + 1.05 * len(shown) + 0.85 * len(dotted), 3.9), layout="constrained")
    add_title(figure, title)
    axes = figure.add_subplot()
    for height in lines:
        axes.axhline(height, color="lightgrey", linewidth=0.8, zorder=0)
    for index, (_, values) in enumerate(shown):
        if len(values) < 3 or np.ptp(values) == 0:
            axes.scatter(np.full(len(values), index), values, s=9, color=colour(index), zorder=3)
            continue
        drawn = axes.violinplot(values, positions=[index], widths=0.85, showextrema=False)
        for body in cast(list[PolyCollection], drawn["bodies"]):
            body.set(facecolor=colour(index), edgecolor="none", alpha=0.75)
        low, median, high = np.percentile(values, [25, 50, 75])
        axes.vlines(index, low, high, color="black", linewidth=5, zorder=2)
        axes.scatter([index], [median], s=14, color="white", zorder=3)
    for index, (_, values) in enumerate(dotted, len(shown)):
        axes.scatter(index + _beside(values), values, s=9, color="black", linewidths=0, zorder=3)
    if dotted and shown:
        axes.axvline(len(shown) - 0.5, color="grey", linewidth=0.8)
    names = [f"{name}\nn = {len(values)}" for name, values in [*shown, *dotted]]
    axes.set_xticks(range(len(names)), names, fontsize=8, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylabel(ylabel, fontsize=9)
    return figure


def _finite(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return values[np.isfinite(values)]


def _beside(values: np.ndarray) -> np.ndarray:
    """Compute fixed horizontal shifts, so that dots of similar height do not overlap."""
    turns = np.array([0.0, 0.5, -0.5, 1.0, -1.0])
    shift = np.empty(len(values))
    shift[np.argsort(values, kind="stable")] = turns[np.arange(len(values)) % len(turns)]
    return shift * _DOTS_HALF_WIDTH
