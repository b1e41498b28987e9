"""Points to cluster, and trees of them."""

from __future__ import annotations

import numpy as np
from scipy.cluster import hierarchy

NAMES = ["MKI67", "NCL", "EN1", "ETV4", "SRRM2", "SON", "TP53", "ACTB"]
LINE = np.array([[0.0], [1], [3], [3.5], [20], [21], [30], [31.5]])
"""((0 1) (2 3)) and ((4 5) (6 7)) by any method."""


def clouds(
    *, spreads: tuple[float, ...], apart: float, columns: int, seed: int = 0, each: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian clouds with standard deviations of their own around random centres."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(spreads)), each)
    centres = apart * rng.normal(size=(len(spreads), columns))
    return centres[labels] + np.array(spreads)[labels, None] * rng.normal(size=(len(labels), columns)), labels


def unions(tree: np.ndarray) -> list[frozenset[int]]:
    """The leaves under each merge."""
    n = len(tree) + 1
    under = [frozenset([row]) for row in range(n)]
    for left, right in tree[:, :2].astype(int):
        under.append(under[left] | under[right])
    return under[n:]


def made_tree(n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Random points and their tree, by scipy."""
    points = np.random.default_rng(3).normal(size=(n, 5))
    return points, hierarchy.linkage(points, "ward")
