"""Rows of small pictures in one axes, because one axes per picture takes long to draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_GAP = 16  # the gap between pictures is this fraction of their side


def add_rows(
    figure: Figure,
    rows: Sequence[tuple[str, Sequence[np.ndarray]]],
    *,
    columns: Sequence[str] = (),
    notes: Sequence[str] = (),
    upright: bool = False,
) -> Axes:
    """Draw rows of pictures, with the name of each row at its left.

    Args:
        figure: a figure without axes.
        rows: name, possibly with several lines, and pictures from left to right: (S, S, 3) colour, or (S, S)
            grey, float in [0, 1]. Rows may differ in length.
        columns: names above the columns; none by default.
        notes: texts at the right of the rows; none by default.
        upright: whether names read from below, to use less width.

    >>> axes = add_rows(Figure(), [("cell 1", np.zeros((2, 4, 4)))])
    >>> [label.get_text() for label in axes.get_yticklabels()]
    ['cell 1']
    """
    side = next(len(picture) for _, pictures in rows for picture in pictures)
    axes = figure.add_subplot(frame_on=False)
    for line, (_, pictures) in enumerate(rows):
        for place, picture in enumerate(
            pictures
        ):  # one by one: matplotlib resamples a whole figure as floats
            y, x = (edge - 0.5 for edge in corner(line, place, side))
            coloured = np.broadcast_to(picture if picture.ndim == 3 else picture[..., None], (side, side, 3))
            extent = (x, x + side, y + side, y)
            axes.imshow(np.clip(coloured, 0, 1), interpolation="nearest", extent=extent)
    bottom, right = corner(len(rows), max(len(pictures) for _, pictures in rows), side)
    axes.set(xlim=(-0.5, right - 0.5), ylim=(bottom - 0.5, -0.5))
    centres = [corner(line, 0, side)[0] + side / 2 - 0.5 for line in range(len(rows))]
    axes.set_yticks(centres, [name for name, _ in rows], fontsize=8, va="center")
    axes.tick_params(length=0, labelrotation=90 if upright else 0, axis="y")
    axes.set_xticks([corner(0, place, side)[1] + side / 2 - 0.5 for place in range(len(columns))], columns)
    axes.xaxis.set_tick_params(length=0, labelsize=9, top=True, labeltop=True, labelbottom=False)
    if notes:
        noted = axes.secondary_yaxis("right")
        noted.set_yticks(centres, notes, fontsize=7, va="center")
        noted.tick_params(length=0)
        noted.spines["right"].set_visible(False)
    return axes


def corner(row: int, column: int, side: int) -> tuple[int, int]:
    """The upper left pixel (y, x) of a picture in the figure of `add_rows`."""
    step = side + max(side // _GAP, 1)
    return row * step, column * step
