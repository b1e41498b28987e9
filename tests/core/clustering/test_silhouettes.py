"""The number of clusters by the silhouette, against scikit-learn's silhouettes and known clouds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from pcip_core.clustering.clusters import cut_number, labels_of
from pcip_core.clustering.linkage import cluster_tree
from pcip_core.clustering.silhouettes import silhouette_number, summary_numbers
from pcip_core.clustering.tree import ordered
from pcip_core.errors import ClusterError
from pcip_core.features.scaling import standardize


@pytest.mark.parametrize("method", ["ward", "maximum_likelihood", "average"])
def test_the_scores_are_scikit_learns_and_the_number_is_that_of_the_clouds(method: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(9), 40)  # more rows than a block of distances
    points = standardize((3 * rng.normal(size=(9, 20)))[labels] + rng.normal(size=(360, 20)))
    tree = ordered(cluster_tree(points, method=method), points)  # type: ignore[arg-type]
    found = silhouette_number(points, tree, range(2, 30))
    assert found.number == 9 or (method == "average" and found.number == 10)  # which splits a single row off
    for number, score in found.scores.items():
        expected = silhouette_score(points, labels_of(tree, cut_number(tree, number)))
        assert score == pytest.approx(expected, abs=1e-5)


def test_finer_clusters_are_preferred_only_while_they_are_as_well_separated() -> None:
    same = np.zeros((6, 3))
    assert set(silhouette_number(same, cluster_tree(same, method="ward"), [2, 3, 4]).scores.values()) == {0.0}
    outlier = np.array([[0.0], [0.1], [5.0], [5.1], [9.0]])
    found = silhouette_number(outlier, cluster_tree(outlier, method="ward"), [2, 3, 4])
    assert found.number == 3
    assert max(found.scores, key=found.scores.__getitem__) == 3
    rows = np.array([[0.0], [1.0], [10.0], [11.0], [20.0], [21.0], [20.4], [21.4]])
    scores = silhouette_number(rows, cluster_tree(rows, method="ward"), [2, 3, 4]).scores
    close = [number for number, score in scores.items() if score >= max(scores.values()) - 0.03]
    assert silhouette_number(rows, cluster_tree(rows, method="ward"), [2, 3, 4]).number == max(close)


def test_numbers_of_a_summary() -> None:
    assert summary_numbers(58, most=20) == range(3, 21)
    assert summary_numbers(3) == range(2, 3)
    assert summary_numbers(10, most=500) == range(3, 10)
    for numbers in ([], [1, 2], [2, 6]):
        with pytest.raises(ClusterError, match="numbers from 2 to 5"):
            silhouette_number(np.zeros((6, 1)), np.zeros((5, 4)), numbers)
