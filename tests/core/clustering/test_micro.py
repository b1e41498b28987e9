"""Small groups of rows before a tree, against the tree of all rows and against planted clusters."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from pcip_core.clustering.clusters import cut_number, labels_of
from pcip_core.clustering.linkage import MOST_ROWS, cluster_tree
from pcip_core.clustering.micro import micro_clusters
from pcip_core.errors import ClusterError, EvaluationError
from pcip_core.features.scaling import standardize


@pytest.fixture
def planted() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), (150, 300, 450, 600, 500))
    points = 2 * rng.normal(size=(5, 12))[labels] + 0.5 * rng.normal(size=(2000, 12))
    return points, labels


def test_a_tree_of_groups_finds_the_clusters_that_a_tree_of_all_rows_finds(
    planted: tuple[np.ndarray, np.ndarray],
) -> None:
    features, labels = planted
    means, _, of_row = micro_clusters(features, most=200)
    tree, whole = cluster_tree(means, method="ward", scale=False), cluster_tree(features, method="ward")

    found = labels_of(tree, cut_number(tree, 5))[of_row]

    assert adjusted_rand_score(labels_of(whole, cut_number(whole, 5)), found) > 0.99
    assert adjusted_rand_score(labels, found) > 0.99


def test_groups_have_the_means_and_counts_of_their_rows(planted: tuple[np.ndarray, np.ndarray]) -> None:
    features, _ = planted
    means, counts, of_row = micro_clusters(features, most=100)
    points = standardize(features)
    assert len(means) <= 100
    assert counts.min() >= 1
    for group in range(len(means)):
        assert counts[group] == (of_row == group).sum()
        np.testing.assert_allclose(means[group], points[of_row == group].mean(0), atol=1e-5)


def test_few_rows_are_their_own_groups_and_the_tree_is_that_of_all(
    planted: tuple[np.ndarray, np.ndarray],
) -> None:
    features = planted[0][::10]
    means, counts, of_row = micro_clusters(features, most=200)
    assert counts.tolist() == [1] * 200
    assert of_row.tolist() == list(range(200))
    ours = cluster_tree(means, method="ward", scale=False)
    np.testing.assert_allclose(ours[:, 2], cluster_tree(features, method="ward")[:, 2], rtol=1e-4)


def test_the_same_seed_gives_the_same_groups(planted: tuple[np.ndarray, np.ndarray]) -> None:
    one, other = (micro_clusters(planted[0], most=50, seed=3)[2] for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("rows", "most"), [(1, 10), (10, 1), (10, MOST_ROWS + 1)])
def test_what_makes_no_groups_is_refused(rows: int, most: int) -> None:
    with pytest.raises(ClusterError):
        micro_clusters(np.zeros((rows, 3)), most=most)


def test_a_feature_that_is_not_finite_is_refused() -> None:
    with pytest.raises(EvaluationError):
        micro_clusters(np.array([[1.0], [np.nan], [2.0]]), most=2)
