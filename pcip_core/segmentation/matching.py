"""Which found cells are which true cells."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist


def matched(truth: np.ndarray, found: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Pair positions one to one, as many as possible within a distance, the nearest ones first.

    Args:
        truth: (t, 2) y and x, px.
        found: (f, 2).
        distance: two that are farther apart are no pair, px.

    Returns:
        (pairs,) rows of `truth` and (pairs,) rows of `found`.
    """
    apart = cdist(truth.reshape(-1, 2), found.reshape(-1, 2))
    cost = np.where(apart <= distance, apart, 1e6)  # so dear that no pair within reach is given up for it
    rows, columns = linear_sum_assignment(cost)
    near = cost[rows, columns] < 1e6
    return rows[near], columns[near]


def centres(labels: np.ndarray) -> np.ndarray:
    """Centres of mass of the objects of a label image (labels 1..n): (n, 2) y and x, px."""
    numbers = np.arange(1, int(labels.max()) + 1)
    return np.array(ndimage.center_of_mass(labels > 0, labels, numbers)).reshape(-1, 2)


def crowded(labels: np.ndarray, within: int = 3) -> np.ndarray:
    """Whether each object has another within so many px: (largest label + 1,) bool."""
    window = 2 * within + 1
    highest = ndimage.maximum_filter(labels, window)
    lowest = ndimage.minimum_filter(np.where(labels > 0, labels, labels.max() + 1), window)
    alone = np.ones(int(labels.max()) + 1, bool)
    alone[labels[(labels > 0) & ((highest != labels) | (lowest != labels))]] = False
    return ~alone
