"""Means of groups against adding up row by row."""

from __future__ import annotations

import numpy as np

from pcip_core.features.means import group_means


def test_means_are_those_of_adding_row_by_row() -> None:
    rng = np.random.default_rng(0)
    group = rng.permutation(np.concatenate([np.arange(40), rng.integers(0, 40, 960)]))
    features = (1000 + rng.normal(size=(1000, 7))).astype(np.float32)
    sums, counts = np.zeros((40, 7)), np.zeros(40, int)
    for row, number in zip(features, group, strict=True):
        sums[number] += row
        counts[number] += 1

    means, found = group_means(features, group)

    np.testing.assert_array_equal(found, counts)
    np.testing.assert_allclose(means, sums / counts[:, None], rtol=1e-14)


def test_a_single_group() -> None:
    means, counts = group_means(np.array([[1.0, 2.0], [3.0, 6.0]], np.float32), np.zeros(2, int))
    assert means.tolist() == [[2.0, 4.0]]
    assert counts.tolist() == [2]
