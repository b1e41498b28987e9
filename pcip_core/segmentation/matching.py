"""Matching of segmented cells to true cells."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist


def matched(truth: np.ndarray, detected: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Match two sets of positions one to one: as many pairs as possible, with the least sum of distances.

    Args:
        truth: (t, 2) y and x, px.
        detected: (d, 2) y and x, px.
        distance: largest distance of a pair, px.

    Returns:
        (pairs,) rows of `truth` and (pairs,) rows of `detected`.

    >>> matched(np.array([[0, 0], [0, 8]]), np.array([[0, 7], [0, 15], [9, 90]]), distance=10)
    (array([0, 1]), array([0, 1]))
    """
    apart = cdist(truth.reshape(-1, 2), detected.reshape(-1, 2))
    cost = np.where(apart <= distance, apart, 1e6)  # so high that every possible pair is preferred
    rows, columns = linear_sum_assignment(cost)
    near = cost[rows, columns] < 1e6
    return rows[near], columns[near]


def centres(labels: np.ndarray) -> np.ndarray:
    """Centres of mass of the objects of a label image (labels 1..n): (n, 2) y and x, px.

    >>> centres(np.array([[1, 1, 0], [0, 0, 2]])).tolist()
    [[0.0, 0.5], [1.0, 2.0]]
    """
    numbers = np.arange(1, int(labels.max()) + 1)
    return np.array(ndimage.center_of_mass(labels > 0, labels, numbers)).reshape(-1, 2)


def overlaps(truth: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """Intersection over union of the objects of two label images (labels 1..t and 1..d): (t, d).

    >>> overlaps(np.array([[1, 1, 1, 0], [2, 2, 0, 0]]), np.array([[1, 1, 0, 0], [2, 2, 2, 2]])).round(2).tolist()
    [[0.67, 0.0], [0.0, 0.5]]
    """
    rows, columns = int(truth.max()) + 1, int(detected.max()) + 1
    both = truth.astype(np.int64).ravel() * columns + detected.ravel()
    common = np.bincount(both, minlength=rows * columns).reshape(rows, columns)
    union = common.sum(1)[:, None] + common.sum(0)[None] - common
    return (common / np.maximum(union, 1))[1:, 1:]


def crowded(labels: np.ndarray, within: int = 3) -> np.ndarray:
    """Whether another object lies within this many px of each object: (largest label + 1,) bool.

    >>> crowded(np.array([[1, 0, 2, 0, 0, 0, 0, 3]])).tolist()
    [False, True, True, False]
    """
    window = 2 * within + 1
    highest = ndimage.maximum_filter(labels, window)
    lowest = ndimage.minimum_filter(np.where(labels > 0, labels, labels.max() + 1), window)
    alone = np.ones(int(labels.max()) + 1, bool)
    alone[labels[(labels > 0) & ((highest != labels) | (lowest != labels))]] = False
    return ~alone
