"""Means of groups against adding up row by row."""

from __future__ import annotations

import numpy as np

from pcip_core.features.means import group_means, means_by_image


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


def test_means_by_key_are_those_of_the_cells_of_its_images() -> None:
    """Keys of text and of pairs, each of several images; cells of images without one are left out."""
    rng = np.random.default_rng(1)
    image = np.concatenate([np.arange(90), rng.integers(0, 90, 910)])
    features = (1000 + rng.normal(size=(1000, 7))).astype(np.float32)
    for name in (lambda row: f"protein {row:02d}", lambda row: (f"protein {row:02d}", "line")):
        keys = [name(row % 40) if row % 40 != 3 else None for row in range(90)]

        found, means, counts = means_by_image(features, image, keys)

        assert found == [name(row) for row in range(40) if row != 3]
        for key, mean, count in zip(found, means, counts, strict=True):
            own = np.array([keys[each] == key for each in image])
            assert count == own.sum()
            np.testing.assert_allclose(mean, features[own].astype(np.float64).mean(0), rtol=1e-14)


def test_no_image_with_a_key() -> None:
    for keys in ([], [None, None]):
        features, image = np.ones((len(keys), 5), np.float32), np.arange(len(keys))
        found, means, counts = means_by_image(features, image, keys)
        assert found == []
        assert means.shape == (0, 5)
        assert counts.shape == (0,)
