"""What the pictures of scores share: colours, dashes, legends, and the figure that has nothing to show."""

from __future__ import annotations

import re
import textwrap

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
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
_TITLE_CHARACTER_INCHES = 0.078


def colour(index: int) -> str:
    """Of the series at this place; repeats after the palette, so the marker has to change then."""
    return PALETTE[index % len(PALETTE)]


def shade(index: int) -> tuple[float, float, float]:
    """Of the class at this place where markers are too small to tell: as `colour`, then half way to white."""
    red, green, blue = to_rgb(colour(index))
    white = 0.5 if (index // len(PALETTE)) % 2 else 0.0
    return (red + (1 - red) * white, green + (1 - green) * white, blue + (1 - blue) * white)


def marker(index: int) -> str:
    """Of the series at this place; no colour meets the same marker again within 81 series."""
    return MARKERS[(index + index // len(PALETTE)) % len(MARKERS)]


def add_title(figure: Figure, title: str) -> None:
    """Above the figure, over several lines where it is wider than that; what is in parentheses stays whole."""
    whole = re.sub(r"\([^)]*\)", lambda found: found[0].replace(" ", "\u00a0"), title)
    lines = textwrap.wrap(whole, max(20, int(figure.get_figwidth() / _TITLE_CHARACTER_INCHES)))
    figure.suptitle("\n".join(lines).replace("\u00a0", " "), fontsize=10)


def no_scores(title: str) -> Figure:
    """A figure that says that there is nothing to show."""
    figure = Figure(figsize=(4.2, 2), layout="constrained")
    add_title(figure, title)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no scores", ha="center", va="center", color="dimgrey", transform=axes.transAxes)
    return figure


def wide_legend(entries: int) -> bool:
    """Whether a legend with so many entries goes outside the panels."""
    return entries > MAX_INSIDE


def add_legend(figure: Figure, panels: list[Axes], *, outside: bool | None = None) -> None:
    """One legend of all panels: in the last panel, or right of them all if `outside`.

    By default outside if it has more than 6 entries. A figure is made `LEGEND_INCHES` wider for that by its caller.
    """
    entries: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    handles, labels = list(entries.values()), list(entries)
    if wide_legend(len(labels)) if outside is None else outside:
        figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    elif labels:
        panels[-1].legend(handles, labels, frameon=False, fontsize=8)
