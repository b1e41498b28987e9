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


def tile(axes: Axes, row: int, column: int, side: int = 8) -> np.ndarray:
    """One picture in rows of pictures, which are a white line of one pixel apart."""
    y, x = row * (side + 1), column * (side + 1)
    return picture(axes)[y : y + side, x : x + side]


def crops(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 3, 8, 8), dtype=np.uint8)
