"""Maps of plates: one square per well, coloured by a measure of its fields."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib import colormaps
from matplotlib.figure import Figure

from pcip_core.plots.style import add_title

_WELL = re.compile(r"([A-Za-z]{1,2})0*([1-9]\d?)")
_IN_A_LINE = 24  # images without wells
_SIZES = ((8, 12), (16, 24), (32, 48))
_COLOURS = colormaps["viridis"]
_EMPTY, _FLAG = (0.93, 0.93, 0.93), (0.9, 0.0, 0.0)
_PANEL_PX, _MARGIN_PX, _PX_PER_INCH = 240, 54, 110
_HEADING, _PLACES = 9.5, 7.5  # sizes of text in points; a page shows the figure at about 0.7 of its size
_LEAST_SQUARE, _MOST_SQUARE = 5, 20  # px

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

    If these are equal, it is the whole range, so that a few other values are still seen.

    Args:
        values: `channel`, `measure` and `value` of each well.
    """
    ranges = values.group_by("channel", "measure").agg(
        low=pl.col("value").quantile(0.02),
        high=pl.col("value").quantile(0.98),
        least=pl.col("value").min(),
        most=pl.col("value").max(),
    )
    return {
        (row["channel"], row["measure"]): (
            (row["low"], row["high"]) if row["low"] < row["high"] else (row["least"], row["most"])
        )
        for row in ranges.iter_rows(named=True)
        if row["low"] is not None
    }


def plate_maps(values: pl.DataFrame, title: str, limits: Limits) -> Figure:
    """Draw one plate: a panel per channel and measure. Wells with a flagged field have a red frame.

    All panels are one picture, because axes for each of them would take seconds to draw.

    Args:
        values: one row per well (or image), channel and measure: `well`, `channel`, `measure`, `value`, `flagged`.
            Without wells, images stand in lines in their order.
        title: title of the figure.
        limits: from `colour_limits`.

    >>> rows = {"well": ["A01", "B02"], "channel": ["dna"] * 2, "measure": ["cells"] * 2, "value": [3.0, 9.0]}
    >>> figure = plate_maps(pl.DataFrame({**rows, "flagged": [False, True]}), "P1", {("dna", "cells"): (3.0, 9.0)})
    >>> [text.get_text() for text in figure.axes[0].texts][:2]
    ['dna: cells\\n(3 to 9)', 'A']
    """
    places, size, named = _places(values["well"].unique(maintain_order=True).to_list())
    square = int(np.clip(_PANEL_PX // size[1], _LEAST_SQUARE, _MOST_SQUARE))
    height, width = size[0] * square, size[1] * square
    panels = values.group_by("channel", "measure", maintain_order=True)
    grid = _grid(values)
    rows, columns = (max(place[axis] for place in grid.values()) + 1 for axis in (0, 1))
    step_y, step_x = height + _MARGIN_PX, max(width, _PANEL_PX) + _MARGIN_PX  # for the text above
    mosaic = np.ones((rows * step_y + _MARGIN_PX, columns * step_x + _MARGIN_PX, 3), np.float32)
    inches = (mosaic.shape[1] / _PX_PER_INCH, mosaic.shape[0] / _PX_PER_INCH)
    figure = Figure(figsize=(max(inches[0], 4.0), inches[1] + 0.4))
    axes = figure.add_axes((0, 0, 1, inches[1] / (inches[1] + 0.4)))
    axes.set_axis_off()
    for (channel, measure), part in panels:
        key = (str(channel), str(measure))
        y, x = grid[key][0] * step_y + _MARGIN_PX, grid[key][1] * step_x + _MARGIN_PX
        low, high = limits.get(key, (0.0, 1.0))
        mosaic[y : y + height, x : x + width] = _panel(part, places, size, square, (low, high))
        heading = f"{key[0]}: {key[1]}\n({low:.3g} to {high:.3g})".removeprefix(": ")
        axes.text(x, y - 4, heading, fontsize=_HEADING, linespacing=1.0)
        if named and grid[key][1] == 0:
            for row in range(0, size[0], max(1, size[0] // 8)):
                axes.text(
                    x - 3, y + (row + 0.5) * square, _letters(row), fontsize=_PLACES, ha="right", va="center"
                )
        if named and grid[key][0] in (0, rows - 1):
            below = y + height + 2
            for column in range(0, size[1], max(1, size[1] // 6)):
                middle = x + (column + 0.5) * square
                axes.text(middle, below, str(column + 1), fontsize=_PLACES, ha="center", va="top")
    axes.imshow(mosaic, interpolation="nearest", aspect="equal")
    add_title(figure, title)
    return figure


def _places(wells: list[str]) -> tuple[dict[str, tuple[int, int]], tuple[int, int], bool]:
    """Well -> row and column; rows and columns of the plate; whether these are wells."""
    places = {well: place for well in wells if (place := place_of(well)) is not None}
    if len(places) < len(wells):
        places = {well: divmod(number, _IN_A_LINE) for number, well in enumerate(wells)}
        return places, (-(-len(wells) // _IN_A_LINE), min(len(wells), _IN_A_LINE)), False
    rows, columns = (max(place[axis] for place in places.values()) + 1 for axis in (0, 1))
    size = next((size for size in _SIZES if rows <= size[0] and columns <= size[1]), (rows, columns))
    return places, size, True


def _grid(values: pl.DataFrame) -> dict[tuple[str, str], tuple[int, int]]:
    """(channel, measure) -> row and column of its panel: a row per channel, one measure below the other."""
    keys = values.select("channel", "measure").unique(maintain_order=True).rows()
    channels = list(dict.fromkeys(channel for channel, _ in keys))
    measures = list(
        dict.fromkeys(measure for channel, measure in keys if channel) or dict.fromkeys(["cells"])
    )
    grid: dict[tuple[str, str], tuple[int, int]] = {}
    for channel, measure in keys:
        column = measures.index(measure) if measure in measures else 0
        grid[channel, measure] = channels.index(channel), column
    return grid


def _panel(
    part: pl.DataFrame,
    places: Mapping[str, tuple[int, int]],
    size: tuple[int, int],
    square: int,
    limits: tuple[float, float],
) -> np.ndarray:
    """The picture of one measure: (rows * square, columns * square, 3) in 0..1."""
    wells = np.tile(np.array(_EMPTY, np.float32), (*size, 1))
    flagged = np.zeros(size, bool)
    low, span = limits[0], limits[1] - limits[0]
    for well, value, flag in part.select("well", "value", "flagged").iter_rows():
        if value is not None:
            wells[places[well]] = _COLOURS((value - low) / span if span > 0 else 0.5)[:3]
        flagged[places[well]] = flag
    picture = wells.repeat(square, 0).repeat(square, 1)
    inner = np.ones((square, square), bool)
    inner[-1], inner[:, -1] = False, False
    picture[~np.tile(inner, size)] = 1  # lines between the wells
    frame = inner.copy()
    frame[1:-2, 1:-2] = False
    picture[np.tile(frame, size) & flagged.repeat(square, 0).repeat(square, 1)] = _FLAG
    return picture


def _letters(row: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    return chr(ord("A") + row) if row < 26 else f"A{chr(ord('A') + row - 26)}"
