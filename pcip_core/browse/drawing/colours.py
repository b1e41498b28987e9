"""The colours of the points of a map: by density, by a column, by labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from matplotlib import colormaps

from pcip_core.browse.drawing.raster import Layer
from pcip_core.plots.style import shade

PLAIN = (58, 84, 130)
GREY = (190, 190, 190)
_MOST_GROUPS = 12
_TABLE = np.rint(colormaps["viridis"](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)
_LOWEST, _HIGHEST = 1, 99  # percentiles of a number at the ends of the colours


@dataclass(frozen=True)
class Colouring:
    """The colours of n points.

    Attributes:
        group: (n,) number of the group of each point, -1 for others; None where all are alike, or coloured by a number.
        palette: (groups, 3) uint8.
        values: (n, 3) uint8 where points are coloured by a number.
        legend: entries for the page: `{"name", "colour", "count"}` of groups; of a number `{"from", "to", "colours"}`.
    """

    group: np.ndarray | None = None
    palette: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.uint8))
    values: np.ndarray | None = None
    legend: Sequence[dict[str, Any]] = ()

    @property
    def is_plain(self) -> bool:
        """Whether all points have one colour."""
        return self.group is None and self.values is None

    def layers(self, points: np.ndarray) -> list[Layer]:
        """The layers of some points: those without a group below the others."""
        if self.values is not None:
            return [Layer(points, self.values[points])]
        if self.group is None:  # plain
            return [Layer(points, np.array(PLAIN, np.uint8))]
        of_points = self.group[points]
        named = points[of_points >= 0]
        layers = [Layer(points[of_points < 0], np.array(GREY, np.uint8))]
        return [
            *layers,
            Layer(named, self.palette[self.group[named]], larger=1 if len(layers[0].rows) else 0),
        ]


def by_values(values: pl.Series) -> Colouring:
    """Colours by a column: by a number, or by the most frequent of its texts.

    >>> by_values(pl.Series(["a", "b", "a", None])).legend[0]["name"]
    'a'
    """
    if values.dtype.is_numeric():
        return by_number(values.cast(pl.Float64).fill_null(np.nan).to_numpy())
    names = values.cast(pl.String).fill_null("")
    frequent = names.alias("name").to_frame().filter(pl.col("name") != "").group_by("name").len()
    kept = frequent.sort("len", "name", descending=[True, False])["name"].head(_MOST_GROUPS).to_list()
    return by_label(_codes(names, kept), kept)


def by_number(values: np.ndarray) -> Colouring:
    """Colours by a number, from its 1st to its 99th percentile; grey where it is NaN."""
    known = np.isfinite(values)
    low, high = np.percentile(values[known], (_LOWEST, _HIGHEST)) if known.any() else (0.0, 1.0)
    place = np.clip((np.where(known, values, low) - low) / max(high - low, 1e-12) * 255, 0, 255)
    colours = _TABLE[place.astype(np.uint8)]
    colours[~known] = GREY
    ends = {"from": float(low), "to": float(high), "colours": [_hex(row) for row in _TABLE[::51]]}
    return Colouring(values=colours, legend=[ends])


def by_label(code: np.ndarray, names: Sequence[str]) -> Colouring:
    """Colours by groups.

    Args:
        code: (n,) number of each point's group, -1 for none.
        names: the groups.
    """
    palette = np.array([colour_of(number) for number in range(len(names))], np.uint8).reshape(-1, 3)
    counts = np.bincount(code[code >= 0], minlength=len(names)).tolist()
    legend = [
        {"name": name, "colour": _hex(colour), "count": count}
        for name, colour, count in zip(names, palette, counts, strict=True)
    ]
    others = int((code < 0).sum())
    if others:
        legend.append({"name": None, "colour": _hex(GREY), "count": others})
    return Colouring(group=code, palette=palette, legend=legend)


def colour_of(number: int) -> tuple[int, int, int]:
    """The colour of a group."""
    red, green, blue = shade(number)
    return round(red * 255), round(green * 255), round(blue * 255)


def hex_of(number: int) -> str:
    """The same as the page writes it.

    >>> hex_of(0)
    '#0072b2'
    """
    return _hex(colour_of(number))


def _hex(colour: Sequence[int] | np.ndarray) -> str:
    return "#" + "".join(f"{int(band):02x}" for band in colour)


def _codes(names: pl.Series, kept: Sequence[str]) -> np.ndarray:
    number = dict(zip(kept, range(len(kept)), strict=True))
    codes = names.replace_strict(number, default=-1, return_dtype=pl.Int32)
    return codes.to_numpy()
