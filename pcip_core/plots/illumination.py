"""Mean fields before and after the correction of their illumination."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from pcip_core.plots.style import add_title

_PANEL = 1.9  # inches
_LIMITS = (0.6, 1.4)


def mean_fields(means: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> Figure:
    """Draw the mean field of each channel before and after correction, each relative to its mean.

    Args:
        means: channel -> mean field before and after, each (n, n).
        title: title of the figure.

    >>> figure = mean_fields({"protein": (np.ones((4, 4)), np.ones((4, 4)))}, "my_screen")
    >>> len(figure.axes)
    3
    """
    columns = max(len(means), 1)
    figure = Figure(figsize=(_PANEL * columns + 1.1, 2 * _PANEL + 0.9), layout="constrained")
    panels = figure.subplots(2, columns, squeeze=False)
    image = None
    for column, (name, pair) in enumerate(means.items()):
        for row, (values, when) in enumerate(zip(pair, ("before", "after"), strict=True)):
            axes = panels[row, column]
            relative = values / (values.mean() or 1.0)
            image = axes.imshow(relative, cmap="RdBu_r", vmin=_LIMITS[0], vmax=_LIMITS[1])
            axes.set(xticks=[], yticks=[])
            axes.set_title(f"{name}, {when}: {relative.min():.2f} to {relative.max():.2f}", fontsize=7)
    if image is not None:
        figure.colorbar(image, ax=panels, label="relative to the mean", shrink=0.7)
    add_title(figure, f"{title}: mean fields")
    return figure
