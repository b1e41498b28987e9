"""Means of groups against adding up row by row."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.errors import ShapeError
from pcip_core.features.means import group_means, means_of_parts


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


@pytest.mark.parametrize("part", [1, 7, 300, 1000])
def test_means_of_parts_are_those_of_all_cells_at_once(part: int) -> None:
    """Groups of text and of pairs, spread over the parts; cells without one are left out."""
    rng = np.random.default_rng(1)
    number = rng.integers(0, 40, 1000)
    features = (1000 + rng.normal(size=(1000, 7))).astype(np.float32)
    kept = number != 3
    distinct, group = np.unique(number[kept], return_inverse=True)
    expected, cells = group_means(features[kept], group)
    for name in (lambda row: f"protein {row:02d}", lambda row: (f"protein {row:02d}", "line")):
        groups = [name(row) if row != 3 else None for row in number]
        parts = ((features[at : at + part], groups[at : at + part]) for at in range(0, 1000, part))

        found, means, counts = means_of_parts(parts)

        assert found == [name(row) for row in distinct]
        np.testing.assert_array_equal(counts, cells)
        np.testing.assert_allclose(means, expected, rtol=1e-14)


def test_parts_without_a_cell() -> None:
    for groups in ([], [None, None]):
        found, means, counts = means_of_parts([(np.ones((len(groups), 5), np.float32), groups)])
        assert found == []
        assert means.shape == (0, 5)
        assert counts.shape == (0,)


def test_parts_that_do_not_go_together() -> None:
    whole = (np.ones((2, 5), np.float32), ["a", "b"])
    for other in ((np.ones((2, 4), np.float32), ["a", "b"]), (np.ones((2, 5), np.float32), ["a"])):
        with pytest.raises(ShapeError, match=r"found features \(2, .\).*required: \(., 5\)"):
            means_of_parts([whole, other])
