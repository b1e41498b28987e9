"""Maps of cells or images in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from pcip_core.plots.style import PALETTE, add_title, class_numbers, marker, no_scores, shade

UNLABELLED = "unlabelled"
LEAST_MARKER = 8
"""Smallest area, in square points, at which markers can be distinguished."""


def panels_of(points: pl.DataFrame) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """A table of maps as the panels of `embedding_scatter`, one panel per feature set.

    Args:
        points: one row per point with `feature_set`, `x`, `y` and `label`, which may be null.
    """
    return [
        (
            str(panel["feature_set"][0]),
            panel.select("x", "y").to_numpy(),
            panel["label"].fill_null("").to_numpy().astype(str),
        )
        for panel in points.partition_by("feature_set", maintain_order=True)
    ]


def embedding_scatter(
    panels: Sequence[tuple[str, np.ndarray, np.ndarray]], title: str, every: Sequence[str] = ()
) -> Figure:
    """Draw maps side by side with a common legend (paper, Figure 3 and Supplementary Figure 3).

    A class has the same colour and marker in every panel. Large numbers of points are drawn as small dots, because
    markers cannot be distinguished at that size. If there are more classes than colours, the remaining classes have
    lighter colours, and the number of each class in the legend is written at the median of its points. Points without
    a label are grey, below the others. Points that are not finite are omitted.

    Args:
        panels: name, (n, 2) coordinates, and (n,) labels as strings, "" for none.
        title: title of the figure; states if images are simulated.
        every: all classes of the screen, by which colours are chosen; by default those of the panels.

    >>> places = np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> figure = embedding_scatter([("conv3", places, np.array(["nucleus", ""]))], "example")
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['nucleus', 'unlabelled']
    """
    if not any(len(places) for _, places, _ in panels):
        return no_scores(title)
    classes = sorted({str(label) for _, _, labels in panels for label in labels} - {""})
    number_of = class_numbers(classes, every)
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    lines = -(-len(panels) // columns)
    legend_inches = 0.19 * (len(classes) + 1) + 0.5
    figure = Figure(
        figsize=(3.2 * columns + 1.9, max(3.2 * lines + 0.3, legend_inches)), layout="constrained"
    )
    add_title(figure, title)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    sizes = [float(np.clip(12000 / max(len(places), 1), 2, 14)) for _, places, _ in panels]
    shapes = [marker(number_of[label]) if min(sizes) >= LEAST_MARKER else "o" for label in classes]
    tints = [shade(number_of[label]) for label in classes]
    with_numbers = max(map(number_of.__getitem__, classes), default=0) >= len(PALETTE)
    grey = False
    for size, axes, (name, places, labels) in zip(sizes, grid, panels, strict=False):
        labels = np.asarray(labels, dtype=str)
        finite = np.isfinite(places).all(axis=1)
        bare = finite & (labels == "")
        if bare.any():
            grey = True
            axes.scatter(
                *places[bare].T, s=size, color="lightgrey", linewidths=0, rasterized=True, label=UNLABELLED
            )
        for index, label in enumerate(classes):
            these = finite & (labels == label)
            if these.any():
                axes.scatter(
                    *places[these].T,
                    s=size,
                    color=tints[index],
                    marker=shapes[index],
                    linewidths=0,
                    rasterized=True,
                    label=label,
                )
            if these.any() and with_numbers:
                _write(axes, np.median(places[these], axis=0), str(index + 1))
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=9)
    entries = [
        (f"{index + 1}  {label}" if with_numbers else label, tints[index], shapes[index])
        for index, label in enumerate(classes)
    ]
    entries += [(UNLABELLED, to_rgb("lightgrey"), "o")] if grey else []
    handles = [
        Line2D([], [], linestyle="", color=tint, marker=shape, markersize=5, label=label)
        for label, tint, shape in entries
    ]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8)
    return figure


def _write(axes: Axes, place: np.ndarray, text: str) -> None:
    """Write text that is readable on points of any colour."""
    written = axes.text(
        place[0], place[1], text, fontsize=7, weight="bold", ha="center", va="center", clip_on=True
    )
    written.set_path_effects([withStroke(linewidth=2, foreground="white")])
