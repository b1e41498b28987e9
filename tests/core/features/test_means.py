"""Means of groups against adding up row by row."""

from __future__ import annotations

import numpy as np
import polars as pl

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
    """Keys of one and of two columns, each of several images; cells of images without a key are excluded."""
    rng = np.random.default_rng(1)
    image = np.concatenate([np.arange(90), rng.integers(0, 90, 910)])
    features = (1000 + rng.normal(size=(1000, 7))).astype(np.float32)
    proteins = [f"protein {row % 40:02d}" if row % 40 != 3 else None for row in range(90)]
    lines = [None if row % 40 == 5 else "line" for row in range(90)]
    for keys in (pl.DataFrame({"protein": proteins}), pl.DataFrame({"protein": proteins, "line": lines})):
        wanted = sorted({key for key in keys.rows() if None not in key})

        groups, means = means_by_image(features, image, keys)

        assert groups.drop("n_cells").rows() == wanted
        for key, mean, count in zip(wanted, means, groups["n_cells"], strict=True):
            members = np.array([keys.row(each) == key for each in image])
            assert count == members.sum()
            np.testing.assert_allclose(mean, features[members].astype(np.float64).mean(0), rtol=1e-14)


def test_no_image_with_a_key() -> None:
    for proteins in ([], [None, None]):
        features, image = np.ones((len(proteins), 5), np.float32), np.arange(len(proteins))
        keys = pl.DataFrame({"protein": proteins}, schema={"protein": pl.String})
        groups, means = means_by_image(features, image, keys)
        assert groups.is_empty()
        assert means.shape == (0, 5)
