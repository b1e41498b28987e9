"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pcip_core.plots.style import add_title, no_scores

MAX_FULL = 12
"""Maximum number of classes for percentages in all cells; with more classes, only the diagonal has them."""


def confusion_matrix(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Draw a confusion matrix: the share of each true class (row) that is predicted as each class (column), in %.

    Args:
        rows: label, predicted and n; the n of equal pairs are summed. A class without a true cell has a row of zeros.
        title: title of the figure; states if images are simulated.

    >>> figure = confusion_matrix([{"label": "nucleus", "predicted": "vacuole", "n": 3}], "example")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0', '100', '0', '0']
    """
    classes = sorted({str(row[key]) for row in rows for key in ("label", "predicted")})
    if not classes:
        return no_scores(title)
    place = {name: index for index, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)))
    for row in rows:
        counts[place[str(row["label"])], place[str(row["predicted"])]] += row["n"]
    cells = counts.sum(axis=1)
    shares = counts / np.maximum(cells[:, None], 1)

    size = 0.42 * len(classes)
    figure = Figure(figsize=(max(4.5, size + 3.2), max(3.6, size + 2.2)), layout="constrained")
    add_title(figure, title)
    axes = figure.add_subplot()
    image = axes.imshow(100 * shares, cmap="cividis", vmin=0, vmax=100)
    for (true, predicted), share in np.ndenumerate(shares):
        if len(classes) <= MAX_FULL or true == predicted:
            colour = "black" if share > 0.55 else "white"
            axes.text(
                predicted, true, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=colour
            )
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    named = [f"{name} (n = {n:,.0f})" for name, n in zip(classes, cells, strict=True)]
    axes.set_yticks(range(len(classes)), named, fontsize=8)
    axes.set(xlabel="predicted class", ylabel="true class (cells)")
    figure.colorbar(image, ax=axes, label="% of the cells of the true class", shrink=0.8)
    return figure
