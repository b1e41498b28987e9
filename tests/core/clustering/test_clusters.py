"""Cuts against scipy's, and clades against a loop over every node."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster import hierarchy
from sklearn.metrics import adjusted_rand_score

from pcip_core.clustering.clusters import (
    clade_sizes,
    cut_height,
    cut_number,
    labels_of,
    members_of,
    smallest_clade,
)
from pcip_core.clustering.linkage import METHODS, cluster_tree
from pcip_core.clustering.tree import leaf_order, ordered
from pcip_core.errors import ClusterError, EvaluationError
from pcip_core.features.scaling import standardize
from tests.core.clustering.clouds import LINE


def random_tree(method: str = "ward", n: int = 40) -> np.ndarray:
    return cluster_tree(np.random.default_rng(0).normal(size=(n, 4)), method=method)  # type: ignore[arg-type]


def under(tree: np.ndarray) -> list[set[int]]:
    rows = [{row} for row in range(len(tree) + 1)]
    for left, right in tree[:, :2].astype(int):
        rows.append(rows[left] | rows[right])
    return rows


@pytest.mark.parametrize("method", METHODS)
def test_cuts_are_those_of_fcluster(method: str) -> None:
    tree = random_tree(method)
    for number in (1, 2, 3, 7, 39, 40):
        labels = labels_of(tree, cut_number(tree, number))
        expected = hierarchy.fcluster(tree, number, "maxclust")
        assert len(np.unique(labels)) == number
        assert adjusted_rand_score(labels, expected) == 1
    for height in (-1.0, 0.0, *tree[[0, 5, 20, 38], 2], tree[10, 2] + 1e-9, tree[-1, 2] + 1):
        labels = labels_of(tree, cut_height(tree, height))
        assert adjusted_rand_score(labels, hierarchy.fcluster(tree, height, "distance")) == 1


def test_clusters_are_numbered_from_the_first_leaf() -> None:
    tree = ordered(random_tree(), standardize(np.random.default_rng(0).normal(size=(40, 4))))
    labels = labels_of(tree, cut_number(tree, 6))
    assert (np.diff(labels[leaf_order(tree)]) >= 0).all()
    assert set(labels) == set(range(1, 7))


def test_of_nested_nodes_a_row_has_the_smallest() -> None:
    tree = cluster_tree(LINE)
    inner, outer = smallest_clade(tree, [0, 1])[0], smallest_clade(tree, [0, 3])[0]
    assert labels_of(tree, [inner, outer]).tolist() == [1, 1, 2, 2, 0, 0, 0, 0]
    assert labels_of(tree, [outer, inner]).tolist() == [2, 2, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("method", METHODS)
def test_the_smallest_clade_by_looking_at_every_node(method: str) -> None:
    tree = random_tree(method)
    nodes, rng = under(tree), np.random.default_rng(1)
    for count in (1, 2, 2, 2, 3, 5, 40):
        seeds = rng.permutation(40)[:count]
        expected = min((node for node in nodes if node >= set(seeds)), key=len)
        node, members = smallest_clade(tree, seeds)
        assert set(members) == nodes[node] == expected


def test_sizes_are_those_of_the_clades_around_each_row_and_the_seeds() -> None:
    tree = cluster_tree(LINE)
    sizes = clade_sizes(tree, [0], range(8))
    assert sizes[:4] == [1, 2, 4, 4]
    assert sizes[4:] == [8] * 4
    assert clade_sizes(tree, [0, 4], [1, 5]) == [8, 8]


def test_what_is_not_in_the_tree_is_an_error() -> None:
    tree = cluster_tree(LINE)
    with pytest.raises(ClusterError, match="rows from 0 to 7"):
        smallest_clade(tree, [1, 8])
    with pytest.raises(ClusterError, match="one or more rows"):
        smallest_clade(tree, [])
    with pytest.raises(ClusterError, match="required: 0 to 14"):
        members_of(tree, -1)
    with pytest.raises(ClusterError, match="1 to 8"):
        cut_number(tree, 9)
    with pytest.raises(ClusterError, match="1 row of 1 column"):
        cluster_tree(LINE[:1])
    with pytest.raises(EvaluationError, match="NaN"):
        cluster_tree(np.where(LINE == 20, np.nan, LINE))
