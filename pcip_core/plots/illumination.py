"""Mean fields before and after the correction of their illumination."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pcip_core.plots.style import add_title

_PANEL = 1.9  # inches
_LIMITS = (0.6, 1.4)
_MOST = 8  # columns


def mean_fields(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Draw the mean field of each channel and profile before and after correction, each relative to its mean.

    Args:
        rows: of the table `illumination`; at most the first eight with mean fields are drawn.
        title: title of the figure.

    >>> figure = mean_fields([{"channel": "protein", "mean_before": [1.0] * 4, "mean_after": [1.0] * 4}], "my_screen")
    >>> len(figure.axes)
    3
    """
    drawn = [row for row in rows if row.get("mean_before") and row.get("mean_after")][:_MOST]
    columns = max(len(drawn), 1)
    figure = Figure(figsize=(_PANEL * max(columns, 2) + 1.1, 2 * _PANEL + 0.9), layout="constrained")
    panels = figure.subplots(2, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for column, row in enumerate(drawn):
        name = f"{row['channel']} {row.get('shard') or ''}".strip()
        for axes, when in zip(panels[:, column], ("before", "after"), strict=True):
            values = np.asarray(row[f"mean_{when}"], np.float64)
            side = math.isqrt(values.size)
            relative = values.reshape(side, side) / (values.mean() or 1.0)
            image = axes.imshow(relative, cmap="RdBu_r", vmin=_LIMITS[0], vmax=_LIMITS[1])
            axes.set_title(f"{name}\n{when}: {relative.min():.2f} to {relative.max():.2f}", fontsize=7)
            if column == 0 and when == "before":
                figure.colorbar(image, ax=panels, label="relative to the mean", shrink=0.7)
    add_title(figure, f"{title}: mean fields")
    return figure
