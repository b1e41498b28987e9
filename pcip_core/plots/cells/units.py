"""What a unit responds to: the cells that drive it most and least, and where in them its response comes from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from pcip_core.plots.cells.key import KEY_INCHES, Scale, add_key, draw_bar
from pcip_core.plots.cells.montage import composite
from pcip_core.plots.cells.tiles import add_rows
from pcip_core.plots.style import add_title, no_scores

_CROP_INCHES = 0.95
_LABEL_INCHES = 1.35
_DROP, _RISE = (1.0, 0.6, 0.0), (0.8, 0.35, 1.0)  # orange, violet: no colours of channels


def unit_figure(
    highest: np.ndarray,
    lowest: np.ndarray,
    maps: np.ndarray,
    channels: tuple[str, ...],
    protein: tuple[str, ...],
    title: str,
    *,
    scale: Scale | None = None,
) -> Figure:
    """Draw the cells with the highest responses, below them the occlusion maps of the first of them, then the lowest.

    In a map, the channel is grey; orange marks pixels without which the response drops, violet those without which
    it rises. The strength of the colour is relative to the largest change in any channel of that cell.

    Args:
        highest: (n, C, S, S) uint8 crops, the highest first.
        lowest: (m, C, S, S) uint8 crops, the lowest first.
        maps: (k, C, S, S) drops of the first k of `highest`; k may be 0.
        channels, protein: names of the C channels, and of the protein channels.
        title: title of the figure; states if images are simulated.
        scale: size of a pixel of the crops; None: no scale bar.

    >>> crops = np.zeros((2, 1, 8, 8), np.uint8)
    >>> figure = unit_figure(crops, crops, np.zeros((1, 1, 8, 8)), ("protein",), ("protein",), "example")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['highest', 'without protein', 'lowest']
    """
    if not len(highest):
        return no_scores(title)
    rows: list[tuple[str, Sequence[np.ndarray]]] = [("highest", list(composite(highest, channels, protein)))]
    for index, name in enumerate(channels):
        tinted = [
            overlay(crop[index], drop[index], largest=float(np.abs(drop).max()))
            for crop, drop in zip(highest, maps, strict=False)
        ]
        rows += [(f"without {name}", tinted)] if tinted else []
    rows.append(("lowest", list(composite(lowest, channels, protein))))
    columns = max(len(pictures) for _, pictures in rows)
    size = (columns * _CROP_INCHES + _LABEL_INCHES, len(rows) * (_CROP_INCHES + 0.05) + 0.6 + KEY_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    add_title(figure, title)
    axes = add_rows(figure, rows)
    bar = "" if scale is None else draw_bar(axes, scale, highest.shape[-1])
    marks = {"value drops without it": _DROP, "value rises without it": _RISE} if len(maps) else {}
    add_key(figure, channels, protein, bar=bar, marks=marks)
    return figure


def overlay(channel: np.ndarray, drop: np.ndarray, *, largest: float) -> np.ndarray:
    """Tint a channel by the drop of the response: (S, S) uint8 and (S, S) -> (S, S, 3) in [0, 1].

    >>> overlay(np.full((1, 1), 255, np.uint8), np.array([[2.0]]), largest=2.0).round(1).tolist()
    [[[1.0, 0.7, 0.2]]]
    """
    grey = np.repeat(channel[..., None].astype(np.float64) / 255, 3, axis=-1)
    strength = np.clip(np.abs(drop) / largest, 0, 1)[..., None] * 0.75 if largest > 0 else np.zeros((1, 1, 1))
    colour = np.where(drop[..., None] > 0, np.array(_DROP), np.array(_RISE))
    return np.asarray(grey * (1 - strength) + colour * strength)
