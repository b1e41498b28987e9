"""Columns of features on one scale."""

from __future__ import annotations

import numpy as np


def standardize(features: np.ndarray) -> np.ndarray:
    """Each column with mean 0 and standard deviation 1 (constant columns become 0): (n, d) float64."""
    centred = features - features.mean(0, dtype=np.float64)
    spread = centred.std(0)
    centred /= np.where(spread > 0, spread, 1.0)
    return centred
