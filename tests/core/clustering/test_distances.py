"""Distances between all rows against scipy."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import pdist, squareform

from pcip_core.clustering.distances import condensed_distances


def test_distances_are_those_of_scipy_also_of_nearly_equal_rows() -> None:
    rng = np.random.default_rng(0)
    points = 1000 + rng.normal(size=(700, 20))
    points[5] = points[600]
    points[6] = points[601] + 1e-7
    expected = pdist(points)
    assert np.allclose(condensed_distances(points), expected, rtol=1e-6, atol=0)
    assert squareform(condensed_distances(points))[5, 600] == 0
