"""Means of groups against a plain loop."""

from __future__ import annotations

import numpy as np

from pcip_core.features.means import group_means


def test_means_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    features = (1e4 + rng.normal(size=(60, 4))).astype(np.float32)
    group = rng.permutation(np.repeat(np.arange(6), (1, 4, 10, 15, 20, 10)))
    means, counts = group_means(features, group)
    for one in range(6):
        assert counts[one] == (group == one).sum()
        assert np.allclose(means[one], features[group == one].astype(np.float64).mean(0), rtol=1e-12)
