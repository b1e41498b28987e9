"""Features of many cells as one: the mean of each group (protein, image)."""

from __future__ import annotations

import numpy as np


def group_means(features: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean features of groups of cells.

    Args:
        features: (n, d).
        group: (n,) number of each cell's group, 0 to g - 1; each group has a cell.

    Returns:
        (g, d) float64, and (g,) the cells of each group.
    """
    counts, order = np.bincount(group), np.argsort(group, kind="stable")
    ends = counts.cumsum()
    sums = np.zeros((len(counts), features.shape[1]))
    for number, (start, end) in enumerate(zip(ends - counts, ends, strict=True)):
        sums[number] = features[order[start:end]].sum(0, dtype=np.float64)  # np.add.at takes 30 times as long
    return sums / counts[:, None], counts
