"""What the pictures of scores share: colours, dashes, legends, and the figure that has nothing to show."""

from __future__ import annotations

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#8C6D1F", "#6A3D9A")
"""Okabe and Ito's colours without yellow, which is faint on white, with brown and violet instead."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHES: tuple[tuple[int, tuple[int, ...]], ...] = (
    (0, (5, 2)),
    (0, (2, 1)),
    (0, (7, 2, 1, 2)),
    (0, (1, 1)),
    (0, (4, 1, 1, 1, 1, 1)),
)
MAX_INSIDE = 6
LEGEND_INCHES = 2.2
"""By which a figure grows for a legend outside."""


def colour(index: int) -> str:
    """Of the series at this place; repeats after the palette, so the marker has to change then."""
    return PALETTE[index % len(PALETTE)]


def marker(index: int) -> str:
    """Of the series at this place; no colour meets the same marker again within 81 series."""
    return MARKERS[(index + index // len(PALETTE)) % len(MARKERS)]


def no_scores(title: str) -> Figure:
    """A figure that says that there is nothing to show."""
    figure = Figure(figsize=(4.2, 2), layout="constrained")
    figure.suptitle(title, fontsize=10, wrap=True)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no scores", ha="center", va="center", color="dimgrey", transform=axes.transAxes)
    return figure


def wide_legend(entries: int) -> bool:
    """Whether a legend with so many entries goes outside the panels."""
    return entries > MAX_INSIDE


def add_legend(figure: Figure, panels: list[Axes]) -> None:
    """One legend of all panels: in the last panel, or right of them all if it has more than 6 entries."""
    entries: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if wide_legend(len(entries)):
        figure.legend(
            list(entries.values()), list(entries), loc="outside right center", frameon=False, fontsize=8
        )
    elif entries:
        panels[-1].legend(list(entries.values()), list(entries), frameon=False, fontsize=8)
