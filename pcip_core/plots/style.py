"""Common style of the figures: colours, markers, dashes, titles, legends, and the figure without data."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#8C6D1F", "#6A3D9A")
"""The colours of Okabe and Ito, with brown and violet instead of yellow, which is faint on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHES: tuple[tuple[int, tuple[int, ...]], ...] = (
    (0, (5, 2)),
    (0, (2, 1)),
    (0, (7, 2, 1, 2)),
    (0, (1, 1)),
    (0, (4, 1, 1, 1, 1, 1)),
)
MAX_INSIDE = 4
_REASON = 60  # characters per line of a reason
LEGEND_INCHES = 2.2
"""Additional width of a figure for a legend outside the panels."""
_TITLE_CHARACTER_INCHES = 0.078


def colour(index: int) -> str:
    """Return the colour of a series. Colours repeat after the palette, where the marker changes.

    >>> colour(0), colour(9)
    ('#0072B2', '#0072B2')
    """
    return PALETTE[index % len(PALETTE)]


def shade(index: int) -> tuple[float, float, float]:
    """Return the colour of a class if markers are too small to distinguish: as `colour`, then lighter colours."""
    red, green, blue = to_rgb(colour(index))
    white = 0.5 if (index // len(PALETTE)) % 2 else 0.0
    return (red + (1 - red) * white, green + (1 - green) * white, blue + (1 - blue) * white)


def marker(index: int) -> str:
    """Return the marker of a series. Pairs of colour and marker are unique for 81 series.

    >>> marker(0), marker(9)
    ('o', 's')
    """
    return MARKERS[(index + index // len(PALETTE)) % len(MARKERS)]


def add_title(figure: Figure, title: str) -> None:
    """Add a title, wrapped to the width of the figure. Text in parentheses is not broken."""
    whole = re.sub(r"\([^)]*\)", lambda match: match[0].replace(" ", "\u00a0"), title)
    lines = textwrap.wrap(whole, max(20, int(figure.get_figwidth() / _TITLE_CHARACTER_INCHES)))
    figure.suptitle("\n".join(lines).replace("\u00a0", " "), fontsize=10)


def class_numbers(shown: Iterable[str], classes: Sequence[str] = ()) -> dict[str, int]:
    """Class -> its number, by which `shade` and `marker` give it the same colour in all figures and on all pages.

    Args:
        shown: the classes of a figure.
        classes: all classes of the screen; others that are shown follow in alphabetical order.

    >>> class_numbers(["nucleus", "golgi"], ["cytosol", "nucleus"])
    {'cytosol': 0, 'nucleus': 1, 'golgi': 2}
    """
    return {name: number for number, name in enumerate(dict.fromkeys([*classes, *sorted(set(shown))]))}


def no_scores(title: str, reason: str = "") -> Figure:
    """Make a figure that states that there are no scores, and the reason."""
    figure = Figure(figsize=(4.2, 2 + 0.14 * len(textwrap.wrap(reason, _REASON))), layout="constrained")
    add_title(figure, title)
    axes = figure.add_subplot()
    axes.set_axis_off()
    text = "\n".join(["no scores", *textwrap.wrap(reason, _REASON)])
    axes.text(0.5, 0.5, text, ha="center", va="center", color="dimgrey", transform=axes.transAxes)
    return figure


def wide_legend(entries: int) -> bool:
    """Whether a legend with this number of entries is placed outside the panels."""
    return entries > MAX_INSIDE


def add_legend(figure: Figure, panels: list[Axes], *, outside: bool | None = None) -> None:
    """Add a common legend of all panels: in the last panel, or if `outside` to the right of all panels.

    By default, a legend with more than 4 entries is outside, where it hides no curve. The caller then makes the figure
    `LEGEND_INCHES` wider.
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
