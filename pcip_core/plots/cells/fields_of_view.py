"""Where the phenotypes of one protein's cells lie in their fields of view (paper, Figure 6A)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from pcip_core.plots.style import add_title, colour, no_scores

_COLUMNS = 3
_PANEL_INCHES = 3.0
_DARKEST, _BRIGHTEST = 0.5, 99.8  # percentiles of a picture that are black and white


@dataclass(frozen=True)
class FieldOfView:
    """One panel.

    Attributes:
        name: written above.
        size: height and width, px.
        places: (n, 2) y and x of its cells, px.
        cluster: (n,) their phenotypes, from 1.
        captions: (n,) short texts beside them, "" for most.
        pixels: (height, width) of the protein channel, or None where it cannot be read.
    """

    name: str
    size: tuple[int, int]
    places: np.ndarray
    cluster: np.ndarray
    captions: Sequence[str]
    pixels: np.ndarray | None


def phenotype_fields(
    fields: Sequence[FieldOfView], title: str, *, radius_px: float, legend: Mapping[int, str]
) -> Figure:
    """Fields of view with a ring around each cell in the colour of its phenotype.

    The protein channel is grey, each field from its own darkest to its brightest pixels, by the square root:
    the phenotypes of one protein differ in brightness too, and the faint one would else be black.

    Args:
        fields: one a panel.
        title: written above; says where images are simulated.
        radius_px: of the rings, in pixels of the field.
        legend: phenotype -> what it is called.
    """
    if not fields:
        return no_scores(title)
    columns = min(len(fields), _COLUMNS)
    lines = -(-len(fields) // columns)
    height = _PANEL_INCHES * max(one.size[0] / one.size[1] for one in fields) + 0.25
    figure = Figure(figsize=(columns * _PANEL_INCHES + 1.7, lines * height + 0.4), layout="constrained")
    add_title(figure, title)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(fields) :]:
        axes.set_axis_off()
    for axes, one in zip(grid, fields, strict=False):
        _draw(axes, one, radius_px)
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=8, markerfacecolor="none", markeredgewidth=2,
               markeredgecolor=colour(number - 1), label=name)
        for number, name in sorted(legend.items())
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8)
    return figure


def _draw(axes: Axes, one: FieldOfView, radius: float) -> None:
    height, width = one.size
    if one.pixels is None:
        axes.set_facecolor("0.15")
    else:
        low, high = np.percentile(one.pixels, (_DARKEST, _BRIGHTEST))
        unit = np.clip((one.pixels - low) / max(high - low, 1e-9), 0, 1)
        axes.imshow(np.sqrt(unit), cmap="gray", vmin=0, vmax=1)
    for (y, x), number, caption in zip(one.places, one.cluster, one.captions, strict=True):
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
    axes.set_title(one.name, fontsize=8)
