"""Positions of the phenotypes of a protein in fields of view (paper, Figure 6A)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from pcip_core.plots.cells.key import Scale, draw_bar
from pcip_core.plots.style import add_title, colour, no_scores

_COLUMNS = 3
_PANEL_INCHES = 3.0
_DARKEST, _BRIGHTEST = 0.5, 99.8  # percentiles of the image that are black and white


@dataclass(frozen=True)
class FieldOfView:
    """One panel.

    Attributes:
        name: title of the panel.
        size: height and width, px.
        places: (n, 2) y and x of its cells, px.
        cluster: (n,) phenotype of each cell, from 1.
        captions: (n,) short texts beside the cells, "" for most.
        pixels: (height, width) the protein channel, or None if it cannot be read.
    """

    name: str
    size: tuple[int, int]
    places: np.ndarray
    cluster: np.ndarray
    captions: Sequence[str]
    pixels: np.ndarray | None


def phenotype_fields(
    fields: Sequence[FieldOfView],
    title: str,
    *,
    radius_px: float,
    legend: Mapping[int, str],
    scale: Scale | None = None,
) -> Figure:
    """Draw fields of view with a circle around each cell in the colour of its phenotype.

    The protein channel is grey, from the darkest to the brightest pixels of each field, on a square-root scale. The
    phenotypes of a protein also differ in brightness, and a faint phenotype would otherwise be black.

    Args:
        fields: one field per panel.
        title: title of the figure; states if images are simulated.
        radius_px: radius of the circles, px of the field.
        legend: phenotype -> its name.
        scale: size of a pixel of the fields; None: no scale bars.

    >>> field = FieldOfView("A01, field 1", (50, 50), np.array([[20.0, 30.0]]), np.array([1]), [""], None)
    >>> figure = phenotype_fields([field], "example", radius_px=5, legend={1: "nuclear"})
    >>> figure.axes[0].get_title()
    'A01, field 1'
    """
    if not fields:
        return no_scores(title)
    columns = min(len(fields), _COLUMNS)
    lines = -(-len(fields) // columns)
    height = _PANEL_INCHES * max(field.size[0] / field.size[1] for field in fields) + 0.25
    figure = Figure(figsize=(columns * _PANEL_INCHES + 1.7, lines * height + 0.4), layout="constrained")
    add_title(figure, title)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(fields) :]:
        axes.set_axis_off()
    for axes, field in zip(grid, fields, strict=False):
        _draw(axes, field, radius_px)
        if scale is not None:
            _bar(axes, field.size, scale)
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=8, markerfacecolor="none", markeredgewidth=2,
               markeredgecolor=colour(number - 1), label=name)
        for number, name in sorted(legend.items())
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8)
    return figure


def _bar(axes: Axes, size: tuple[int, int], scale: Scale) -> None:
    """A scale bar at the lower right of a field, with its length below the field, where it covers no cell."""
    height, width = size
    side = min(height, width)
    left, top = width - side - 0.5, height - side - 0.5
    text = draw_bar(axes, scale, side, left=left, top=top, longest=0.25)
    axes.set_xlabel(f"scale bar: {text}", loc="right", fontsize=7)


def _draw(axes: Axes, field: FieldOfView, radius: float) -> None:
    height, width = field.size
    if field.pixels is None:
        axes.set_facecolor("0.15")
    else:
        low, high = np.percentile(field.pixels, (_DARKEST, _BRIGHTEST))
        unit = np.clip((field.pixels - low) / max(high - low, 1e-9), 0, 1)
        axes.imshow(np.sqrt(unit), cmap="gray", vmin=0, vmax=1)
    for (y, x), number, caption in zip(field.places, field.cluster, field.captions, strict=True):
        tint = colour(int(number) - 1)
        ring = Circle((x, y), radius, fill=False, edgecolor=tint, linewidth=1.5)
        ring.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        axes.add_patch(ring)
        if caption:
            text = axes.text(x + radius, y - radius, caption, color=tint, fontsize=9, weight="bold",
                             ha="center", va="center", clip_on=True)  # fmt: skip
            text.set_path_effects([withStroke(linewidth=2, foreground="white")])
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
    axes.set_aspect("equal")
    axes.set_title(field.name, fontsize=8)
