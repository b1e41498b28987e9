"""Maps of plates: one square per well, coloured by a measure of its fields."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pcip_core.plots.style import add_title

_WELL = re.compile(r"([A-Za-z]{1,2})0*([1-9]\d?)")
_IN_A_LINE = 24  # images without wells
_SIZES = ((8, 12), (16, 24), (32, 48))
_PANEL = (2.5, 1.75)  # inches

Limits = Mapping[tuple[str, str], tuple[float, float]]


def place_of(well: str | None) -> tuple[int, int] | None:
    """Row and column of a well, from 0; None if the text is no well.

    >>> place_of("B03"), place_of("AF48"), place_of("7")
    ((1, 2), (31, 47), None)
    """
    match = _WELL.fullmatch(well or "")
    if match is None:
        return None
    row = 0
    for letter in match[1].upper():
        row = row * 26 + ord(letter) - ord("A") + 1
    return row - 1, int(match[2]) - 1


def colour_limits(values: pl.DataFrame) -> dict[tuple[str, str], tuple[float, float]]:
    """(channel, measure) -> the range of its colours over all plates: from the 2nd to the 98th percentile.

    Args:
        values: `channel`, `measure` and `value` of each well.
    """
    ranges = values.group_by("channel", "measure").agg(
        low=pl.col("value").quantile(0.02), high=pl.col("value").quantile(0.98)
    )
    return {
        (row["channel"], row["measure"]): (row["low"], row["high"])
        for row in ranges.iter_rows(named=True)
        if row["low"] is not None
    }


def plate_maps(values: pl.DataFrame, title: str, limits: Limits) -> Figure:
    """Draw one plate: a row per channel, a column per measure. Wells with a flagged field have a red frame.

    Args:
        values: one row per well (or image), channel and measure: `well`, `channel`, `measure`, `value`, `flagged`.
            Without wells, images stand in lines in their order.
        title: title of the figure.
        limits: from `colour_limits`.

    >>> rows = {"well": ["A01", "B02"], "channel": ["dna"] * 2, "measure": ["cells"] * 2, "value": [3.0, 9.0]}
    >>> figure = plate_maps(pl.DataFrame({**rows, "flagged": [False, True]}), "P1", {("dna", "cells"): (3.0, 9.0)})
    >>> figure.axes[0].get_title()
    'dna: cells'
    """
    wells = values["well"].unique(maintain_order=True).to_list()
    places = {well: place_of(well) for well in wells}
    in_lines = any(place is None for place in places.values())
    if in_lines:
        places = {well: divmod(number, _IN_A_LINE) for number, well in enumerate(wells)}
    known = [place for place in places.values() if place is not None]
    size = _plate_size(known) if not in_lines else (known[-1][0] + 1, min(len(known), _IN_A_LINE))
    channels = values["channel"].unique(maintain_order=True).to_list()
    measures = values["measure"].unique(maintain_order=True).to_list()
    figure = Figure(
        figsize=(_PANEL[0] * len(measures), _PANEL[1] * len(channels) + 0.4), layout="constrained"
    )
    panels = figure.subplots(len(channels), len(measures), squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for (channel, measure), part in values.group_by("channel", "measure", maintain_order=True):
        axes = panels[channels.index(channel), measures.index(measure)]
        axes.set_axis_on()
        _draw(axes, part, places, size, limits.get((str(channel), str(measure))), named=not in_lines)
        axes.set_title(f"{channel}: {measure}".removeprefix(": "), fontsize=7)
    add_title(figure, title)
    return figure


def _plate_size(places: list[tuple[int, int]]) -> tuple[int, int]:
    """Rows and columns of the smallest plate that has these wells."""
    rows, columns = (max((place[axis] for place in places), default=0) + 1 for axis in (0, 1))
    return next((size for size in _SIZES if rows <= size[0] and columns <= size[1]), (rows, columns))


def _draw(
    axes: Axes,
    part: pl.DataFrame,
    places: Mapping[str, tuple[int, int] | None],
    size: tuple[int, int],
    limits: tuple[float, float] | None,
    *,
    named: bool,
) -> None:
    image = np.full(size, np.nan)
    for row in part.iter_rows(named=True):
        place = places[row["well"]]
        if place is None:
            continue
        image[place] = np.nan if row["value"] is None else row["value"]
        if row["flagged"]:
            square = (place[1] - 0.5, place[0] - 0.5)
            axes.add_patch(Rectangle(square, 1, 1, fill=False, edgecolor="red", linewidth=1))
    low, high = limits or (0.0, 1.0)
    axes.set_facecolor("#eeeeee")
    drawn = axes.imshow(image, cmap="viridis", vmin=low, vmax=high if high > low else low + 1, aspect="auto")
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.06, pad=0.02)
    bar.ax.tick_params(labelsize=6)
    if named:
        rows, columns = (range(0, count, step) for count, step in zip(size, _steps(size), strict=True))
        axes.set_xticks(list(columns), [str(column + 1) for column in columns], fontsize=6)
        axes.set_yticks(list(rows), [_letters(row) for row in rows], fontsize=6)
    else:
        axes.set(xticks=[], yticks=[])


def _steps(size: tuple[int, int]) -> tuple[int, int]:
    return max(1, size[0] // 8), max(1, size[1] // 6)


def _letters(row: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    return chr(ord("A") + row) if row < 26 else f"A{chr(ord('A') + row - 26)}"
