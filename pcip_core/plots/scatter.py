"""Maps of cells or images in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pcip_core.plots.style import add_title, colour, marker, no_scores

UNLABELLED = "unlabelled"


def embedding_scatter(panels: Sequence[tuple[str, np.ndarray, np.ndarray]], title: str) -> Figure:
    """Small multiples of maps with one legend (paper, Figure 3 and Supplementary Figure 3).

    A class has the same colour and marker in every panel. Points without label are grey, below the others;
    those that are not finite are left out.

    Args:
        panels: name, (n, 2) places, and (n,) labels as strings, "" where there is none.
        title: written above; says where images are simulated.
    """
    if not any(len(places) for _, places, _ in panels):
        return no_scores(title)
    classes = sorted({str(label) for _, _, labels in panels for label in labels} - {""})
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
    grey = False
    for axes, (name, places, labels) in zip(grid, panels, strict=False):
        labels = np.asarray(labels, dtype=str)
        finite = np.isfinite(places).all(axis=1)
        size = float(np.clip(12000 / max(len(places), 1), 2, 14))
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
                    color=colour(index),
                    marker=marker(index),
                    linewidths=0,
                    rasterized=True,
                    label=label,
                )
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=9)
    entries = [(label, colour(index), marker(index)) for index, label in enumerate(classes)]
    entries += [(UNLABELLED, "lightgrey", "o")] if grey else []
    handles = [
        Line2D([], [], linestyle="", color=shade, marker=shape, markersize=5, label=label)
        for label, shade, shape in entries
    ]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8)
    return figure
