"""The key of pictures of cells: the colour of each channel, and the length of the scale bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from pcip_core.plots.cells.montage import composite
from pcip_core.spec.screen import Screen

_LONGEST = 0.4  # of the width of a picture
KEY_INCHES = 0.3
"""Additional height of a figure for its key."""


@dataclass(frozen=True)
class Scale:
    """The size of a pixel of a picture.

    Attributes:
        per_px: size of one pixel of the picture, in units.
        unit: `µm`, or `px` where the spec has no size of a pixel.
        of: what the px are pixels of: `field` or `crop`; empty for µm.
    """

    per_px: float
    unit: str
    of: str = ""

    @classmethod
    def of_field(cls, screen: Screen) -> Scale:
        """The size of a pixel of the fields, as the spec says."""
        if screen.pixel_um is None:
            return cls(1.0, "px", "field")
        return cls(screen.pixel_um, "µm")

    @classmethod
    def of_crop(cls, screen: Screen) -> Scale:
        """The size of a pixel of the crops. Crops of whole images have no common size: their own px count.

        >>> from types import SimpleNamespace as Some
        >>> Scale.of_crop(Some(pixel_um=0.2, crops=Some(window_px=96, size_px=64)))
        Scale(per_px=0.30000000000000004, unit='µm', of='')
        """
        crops, field = screen.crops, cls.of_field(screen)
        if crops.window_px is None:
            return cls(1.0, "px", "crop")
        return cls(field.per_px * crops.window_px / crops.size_px, field.unit, field.of)

    def bar(self, width_px: float, *, longest: float = _LONGEST) -> tuple[float, str]:
        """The scale bar of a picture: its length in px of the picture, and the text that states it.

        The length is the longest of 1, 2, 5, 10, ... units that is not longer than a share of the width.

        >>> Scale(0.3, "µm").bar(64), Scale(1.5, "px", "field").bar(64)
        ((16.666666666666668, '5 µm'), (13.333333333333334, '20 px of the field'))
        """
        lengths = [factor * 10.0**power for power in range(-3, 6) for factor in (1, 2, 5)]
        length = max(
            [each for each in lengths if each <= longest * width_px * self.per_px], default=lengths[0]
        )
        return length / self.per_px, f"{length:g} {self.unit}" + (f" of the {self.of}" if self.of else "")

    def width(self, width_px: float) -> str:
        """The width of a picture as text.

        >>> Scale(0.3, "µm").width(64)
        '19.2 µm'
        """
        return f"{width_px * self.per_px:.3g} {self.unit}" + (f" of the {self.of}" if self.of else "")


def channel_colours(channels: Sequence[str], protein: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """Channel -> its colour in a composite, in the order of the channels.

    >>> channel_colours(("dna", "tag"), ("tag",))["dna"]
    (1.0, 0.2, 0.15)
    """
    if not channels:
        return {}
    bright = np.eye(len(channels), dtype=np.float32)[..., None, None]
    colours = composite(bright, tuple(channels), tuple(protein))[:, 0, 0]
    return {
        name: (round(red, 3), round(green, 3), round(blue, 3))
        for name, (red, green, blue) in zip(channels, colours.astype(float).tolist(), strict=True)
    }


def add_key(
    figure: Figure,
    channels: Sequence[str],
    protein: Sequence[str],
    *,
    bar: str = "",
    marks: dict[str, Any] | None = None,
) -> None:
    """Add a legend below all panels: a square per channel, the length of the scale bar, and further marks.

    Args:
        figure: a figure that the caller has made `KEY_INCHES` higher; with a constrained layout, or with axes above.
        channels, protein: names of the channels, and of the protein channels.
        bar: text of the scale bar; none by default.
        marks: name -> colour of further squares.
    """
    colours = channel_colours(channels, protein) | (marks or {})
    handles: list[Line2D] = [
        Line2D([], [], linestyle="", marker="s", markersize=7, markerfacecolor=colour, markeredgecolor="black",
               markeredgewidth=0.5, label=name)
        for name, colour in colours.items()
    ]  # fmt: skip
    if bar:
        handles.append(Line2D([], [], color="black", linewidth=2.5, label=f"scale bar: {bar}"))
    widest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, int(figure.get_figwidth() / (0.35 + 0.075 * widest)))
    figure.legend(
        handles=handles,
        loc="outside lower center" if figure.get_layout_engine() is not None else "lower center",
        ncols=min(columns, len(handles)),
        frameon=False,
        fontsize=7,
        handlelength=1.2,
        columnspacing=1.2,
    )


def draw_bar(
    axes: Axes,
    scale: Scale,
    side: int,
    *,
    left: float = -0.5,
    top: float = -0.5,
    longest: float = _LONGEST,
) -> str:
    """Draw a scale bar at the lower right of a picture, white with a black border; return the text of its length.

    Args:
        axes: whose units are px of the picture.
        scale: size of a pixel.
        side: width and height of the picture, px.
        left, top: upper left corner of the picture.
        longest: greatest length, as a share of the side.
    """
    length, text = scale.bar(side, longest=longest)
    height, margin = max(side / 32, 0.5), side / 16
    axes.add_patch(
        Rectangle(
            (left + side - margin - length, top + side - margin - height), length, height,
            facecolor="white", edgecolor="black", linewidth=0.4, zorder=5,
        )
    )  # fmt: skip
    return text
