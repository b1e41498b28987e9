"""Fields of view with the outlines of their cells, to judge a segmentation by eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from scipy.ndimage import grey_dilation
from skimage.segmentation import find_boundaries

from pcip_core.crops.shard import CutField
from pcip_core.plots.cells.key import Scale, channel_colours
from pcip_core.plots.cells.montage import composite
from pcip_core.plots.style import add_title
from pcip_core.spec.screen import Screen
from pcip_core.words import many, verb

ACCEPTED, REJECTED = "#ffffff", "#ff3cff"  # outlines
_WINDOWS = 8  # side of the part of a field that is shown, in crop windows, at most
_SIDE = 900  # px of a panel, at most; a smaller part is enlarged to about this
_COLUMNS = 3
_PANEL_INCHES = 4.5
_ENTRY_INCHES = 1.9  # of the legend
_DARKEST, _BRIGHTEST = 0.5, 99.8  # percentiles of a plane
_OF_FIELDS = (
    75  # percentile of the fields' brightest values that is white; a saturated field leaves others visible
)
_LONGEST_BAR = 0.25  # of the width of a part


@dataclass(frozen=True)
class Panel:
    """A part of a field.

    Attributes:
        title: title of the panel.
        extent: left, right, bottom and top of the part in the field, px.
        planes: (C, h, w) float32 channels of the crops, reduced or enlarged.
        limits: (C, 2) dark and bright value of each channel in the whole part.
        accepted, rejected: (h, w) bool, outlines of the cells that pass and of the others.
    """

    title: str
    extent: tuple[int, int, int, int]
    planes: np.ndarray
    limits: np.ndarray
    accepted: np.ndarray
    rejected: np.ndarray


def panel(screen: Screen, cut: CutField, passing: int) -> Panel:
    """Take the part of a field that has the most cells, at most 8 crop windows wide, and the outlines of its cells.

    Args:
        screen: the spec.
        cut: the field, its label image and its cells.
        passing: number of cells that pass, for the title.
    """
    height, width = cut.planes.shape
    top, left, side = _part(cut, screen.crops.window_px)
    part = np.s_[top : top + side, left : left + side]
    labels = cut.labels[part]
    down = -(-max(labels.shape) // _SIDE)
    up = max(1, _SIDE // max(labels.shape))
    planes = np.stack(
        [_enlarged(_reduced(cut.planes[name][part], down), up) for name in screen.crop_channels]
    )
    labels = labels[::down, ::down][: planes.shape[1] // up, : planes.shape[2] // up]
    labels = _enlarged(labels, up)
    outlines = find_boundaries(labels, mode="thick")
    inside = grey_dilation(labels, size=3)  # a thick outline has a pixel on each side of the border
    accepted = np.isin(inside, cut.cells.label)
    found = len(cut.cells.label) + len(cut.cells.rejected)
    bottom, right = min(top + side, height), min(left + side, width)
    shown = "" if bottom - top == height and right - left == width else f" (part at y {top}, x {left})"
    return Panel(
        f"{cut.planes.field.field_id}: {many(found, 'cell')} found, {passing} {verb(passing, 'pass')}{shown}",
        (left, right, bottom, top),
        planes,
        np.stack([np.percentile(plane, (_DARKEST, _BRIGHTEST)) for plane in planes]),
        outlines & accepted,
        outlines & ~accepted,
    )


def _part(cut: CutField, window: int | None) -> tuple[int, int, int]:
    """Top, left and side of the square of `_WINDOWS` windows with the most cells, of 5 x 5 places; or of the field."""
    height, width = cut.planes.shape
    side = max(height, width) if window is None else window * _WINDOWS
    tops, lefts = (np.linspace(0, max(extent - side, 0), 5).astype(int) for extent in (height, width))
    y, x = cut.cells.y_px, cut.cells.x_px

    def cells(corner: tuple[int, int]) -> int:
        return int(
            (
                (np.abs(y - corner[0] - side / 2) < side / 2) & (np.abs(x - corner[1] - side / 2) < side / 2)
            ).sum()
        )

    top, left = max(((int(top), int(left)) for top in tops for left in lefts), key=cells)
    return top, left, side


def _reduced(plane: np.ndarray, factor: int) -> np.ndarray:
    """Means of blocks of factor x factor px; incomplete blocks are left out."""
    if factor == 1:
        return plane.astype(np.float32)
    height, width = (side // factor for side in plane.shape)
    blocks = plane[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return blocks.mean((1, 3), dtype=np.float32)


def _enlarged(plane: np.ndarray, factor: int) -> np.ndarray:
    return plane.repeat(factor, 0).repeat(factor, 1) if factor > 1 else plane


def contact_sheet(screen: Screen, panels: Sequence[Panel]) -> Figure:
    """Draw panels side by side, each with a scale bar and a square of the size of the crop window.

    Each channel has one scale in all panels, by square roots, so that empty fields are dark.

    Args:
        screen: the spec, for the title, the channels and the window.
        panels: one or more fields.
    """
    limits = np.stack([each.limits for each in panels])  # (panels, C, 2)
    low, high = np.median(limits[..., 0], 0), np.percentile(limits[..., 1], _OF_FIELDS, 0)
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    tallest = max(each.planes.shape[1] / each.planes.shape[2] for each in panels)
    size = (max(columns * _PANEL_INCHES, 6.0), rows * (_PANEL_INCHES * tallest + 0.25) + 1.1)
    figure = Figure(figsize=size, layout="constrained")
    fields = many(len(panels), "field")
    add_title(figure, f"{screen.title}: cells found by {screen.segmentation.method} in {fields}")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, each in zip(grid, panels, strict=False):
        unit = (each.planes - low[:, None, None]) / np.maximum(high - low, 1e-9)[:, None, None]
        colours = composite(np.sqrt(np.clip(unit, 0, 1)), screen.crop_channels, screen.protein)
        colours[each.accepted], colours[each.rejected] = to_rgb(ACCEPTED), to_rgb(REJECTED)
        _draw(axes, each, colours, screen.crops.window_px, Scale.of_field(screen))
    outlines = {"outline: cell that passes": ACCEPTED, "outline: rejected": REJECTED}
    marks: dict[str, Any] = dict(channel_colours(screen.crop_channels, screen.protein))
    handles = [
        Line2D([], [], linestyle="", marker="s", markersize=9, markerfacecolor=colour, markeredgecolor="black",
               label=name)
        for name, colour in (marks | outlines).items()
    ]  # fmt: skip
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=int(size[0] / _ENTRY_INCHES),
        frameon=False,
        fontsize=8,
    )
    return figure


def _draw(axes: Axes, each: Panel, colours: np.ndarray, window: int | None, scale: Scale) -> None:
    left, right, bottom, top = each.extent
    axes.imshow(colours, extent=each.extent, interpolation="nearest")
    axes.set_title(each.title, fontsize=8)
    width = right - left
    bar, length = scale.bar(width, longest=_LONGEST_BAR)
    margin = 0.03 * width
    x, y = right - margin, bottom - margin
    axes.add_patch(Rectangle((x - bar, y - margin / 3), bar, margin / 3, color="white"))
    box = {"facecolor": "black", "alpha": 0.6, "pad": 1, "linewidth": 0}
    style: dict[str, Any] = {"color": "white", "fontsize": 8, "bbox": box, "va": "bottom"}
    axes.text(x - bar / 2, y - margin, length.removesuffix(" of the field"), ha="center", **style)
    if window is not None and window < min(width, bottom - top):
        corner = (left + margin, y - window)
        axes.add_patch(Rectangle(corner, window, window, fill=False, edgecolor="white", linestyle="--"))
        axes.text(corner[0], corner[1] - margin / 3, f"window {window} px", **style)
