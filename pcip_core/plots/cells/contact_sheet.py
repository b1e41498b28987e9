"""Fields of view with the outlines of their cells, to judge a segmentation by eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from scipy.ndimage import grey_dilation
from skimage.segmentation import find_boundaries

from pcip_core.crops.shard import CutField
from pcip_core.plots.cells.montage import composite
from pcip_core.plots.style import add_title
from pcip_core.spec.screen import Screen

ACCEPTED, REJECTED = "#ffffff", "#ff3cff"  # outlines
_SIDE = 900  # px of a panel, at most; a smaller field is enlarged to about this
_COLUMNS = 3
_PANEL_INCHES = 4.5
_DARKEST, _BRIGHTEST = 0.5, 99.8  # percentiles of a plane that are black and white
_LONGEST_BAR = 0.25  # of the width of a field


@dataclass(frozen=True)
class Panel:
    """One field: its title, its size in px, and its colours with the outlines drawn in, (h, w, 3) uint8."""

    title: str
    height: int
    width: int
    colours: np.ndarray


def panel(screen: Screen, cut: CutField, passing: int) -> Panel:
    """Draw the channels of a field and the outlines of its cells.

    Each channel reaches from its darkest to its brightest pixels, on a square-root scale.

    Args:
        screen: the spec.
        cut: the field, its label image and its cells.
        passing: number of cells that pass, for the title.
    """
    height, width = cut.planes.shape
    down = -(-max(height, width) // _SIDE)
    up = max(1, _SIDE // max(height, width))
    channels = screen.crop_channels
    planes = np.stack([_unit(_enlarged(_reduced(cut.planes[name], down), up)) for name in channels])
    colours = composite(planes, channels, screen.protein)
    labels = _enlarged(cut.labels[::down, ::down][: planes.shape[1] // up, : planes.shape[2] // up], up)
    outlines = find_boundaries(labels, mode="thick")
    inside = grey_dilation(labels, size=3)  # the outlines have a pixel on each side of the border
    accepted = np.isin(inside, cut.cells.label)
    colours[outlines & accepted] = to_rgb(ACCEPTED)
    colours[outlines & ~accepted] = to_rgb(REJECTED)
    found = len(cut.cells.label) + len(cut.cells.rejected)
    title = f"{cut.planes.field.field_id}: {found} cells found, {passing} pass"
    return Panel(title, height, width, (colours * 255).astype(np.uint8))


def _reduced(plane: np.ndarray, factor: int) -> np.ndarray:
    """Means of blocks of factor x factor px; incomplete blocks are left out."""
    if factor == 1:
        return plane.astype(np.float32)
    height, width = (side // factor for side in plane.shape)
    blocks = plane[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return blocks.mean((1, 3), dtype=np.float32)


def _enlarged(plane: np.ndarray, factor: int) -> np.ndarray:
    return plane.repeat(factor, 0).repeat(factor, 1) if factor > 1 else plane


def _unit(plane: np.ndarray) -> np.ndarray:
    low, high = np.percentile(plane, (_DARKEST, _BRIGHTEST))
    return np.sqrt(np.clip((plane - low) / max(high - low, 1e-9), 0, 1))


def contact_sheet(screen: Screen, panels: Sequence[Panel]) -> Figure:
    """Draw panels side by side, each with a scale bar and a square of the size of the crop window.

    Args:
        screen: the spec, for the title, the channels and the window.
        panels: one or more fields.
    """
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    tallest = max(each.height / each.width for each in panels)
    size = (max(columns * _PANEL_INCHES, 6.0), rows * (_PANEL_INCHES * tallest + 0.25) + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    add_title(figure, f"{screen.title}: cells found by {screen.segmentation.method} in {len(panels)} fields")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, each in zip(grid, panels, strict=False):
        _draw(axes, each, screen.crops.window_px)
    outlines = {"outline: cell that passes": ACCEPTED, "outline: rejected": REJECTED}
    colours = {name: _colour(screen, name) for name in screen.crop_channels}
    handles = [
        Line2D([], [], linestyle="", marker="s", markersize=9, markerfacecolor=colour, markeredgecolor="black",
               label=name)
        for name, colour in (colours | outlines).items()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)
    return figure


def _colour(screen: Screen, name: str) -> tuple[float, ...]:
    """The colour of a channel in the composite."""
    channels = screen.crop_channels
    bright = np.zeros((len(channels), 1, 1), np.float32)
    bright[channels.index(name)] = 1
    return tuple(composite(bright, channels, screen.protein)[0, 0].tolist())


def _draw(axes: Axes, each: Panel, window: int | None) -> None:
    axes.imshow(each.colours, extent=(0, each.width, each.height, 0), interpolation="nearest")
    axes.set_title(each.title, fontsize=8)
    bar = _bar_px(each.width)
    margin = 0.03 * each.width
    right, bottom = each.width - margin, each.height - margin
    axes.add_patch(Rectangle((right - bar, bottom - margin / 3), bar, margin / 3, color="white"))
    style = {
        "color": "white",
        "fontsize": 8,
        "bbox": {"facecolor": "black", "alpha": 0.6, "pad": 1, "linewidth": 0},
    }
    axes.text(right - bar / 2, bottom - margin, f"{bar} px", ha="center", va="bottom", **style)
    if window is not None and window < min(each.width, each.height):
        axes.add_patch(
            Rectangle(
                (margin, bottom - window), window, window, fill=False, edgecolor="white", linestyle="--"
            )
        )
        axes.text(margin, bottom - window - margin / 3, f"window {window} px", va="bottom", **style)


def _bar_px(width: int) -> int:
    """The longest of 1, 2, 5, 10, ... px that is not longer than a quarter of the width."""
    lengths = [factor * 10**power for power in range(5) for factor in (1, 2, 5)]
    return max([length for length in lengths if length <= _LONGEST_BAR * width], default=1)
