"""Standardization of features."""

from __future__ import annotations

import numpy as np


def standardize(features: np.ndarray) -> np.ndarray:
    """Scale each column to mean 0 and standard deviation 1: (n, d) -> (n, d) float64. Constant columns become 0.

    >>> standardize(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    centred = features - features.mean(0, dtype=np.float64)
    spread = centred.std(0)
    centred /= np.where(spread > 0, spread, 1.0)
    return centred
