"""Random crops to draw, and what axes show of them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

TITLE = "U-2 OS (simulated images)"
CHANNELS, PROTEIN = ("nucleus", "microtubules", "protein"), ("protein",)


def rendered(figure: Figure) -> Figure:
    FigureCanvasAgg(figure).draw()
    return figure


def picture(axes: Axes) -> np.ndarray:
    array = axes.images[0].get_array()
    assert array is not None
    return np.asarray(array)


def tile(axes: Axes, row: int, column: int, side: int = 8) -> np.ndarray | None:
    """One picture in rows of pictures with a gap of one pixel; None if there is none."""
    y, x = row * (side + 1) - 0.5, column * (side + 1) - 0.5
    extents = [tuple(map(float, image.get_extent())) for image in axes.images]
    if (x, x + side, y + side, y) not in extents:
        return None
    return np.asarray(axes.images[extents.index((x, x + side, y + side, y))].get_array())


def crops(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 3, 8, 8), dtype=np.uint8)
