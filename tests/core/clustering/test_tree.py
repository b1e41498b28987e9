"""Trees: their nodes, and the order of their leaves, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist

from pcip_core.clustering.linkage import cluster_tree
from pcip_core.clustering.tree import from_nodes, heights, leaf_order, ordered, parents, sizes, spans
from pcip_core.errors import ClusterError
from tests.core.clustering.clouds import clouds, made_tree, unions


def neighbours_apart(points: np.ndarray, order: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(points[order], axis=0), axis=1).sum())


def test_the_optimal_order_is_that_of_scipy() -> None:
    points, _ = clouds(spreads=(1, 2, 1), apart=2, columns=5, each=20)
    tree = cluster_tree(points, scale=False)
    expected = hierarchy.leaves_list(hierarchy.optimal_leaf_ordering(tree, pdist(points)))
    best = ordered(tree, points)
    assert np.array_equal(leaf_order(best), expected)
    assert unions(best) == unions(tree)
    rotated = ordered(tree, points, most_optimal=0)
    assert unions(rotated) == unions(tree)
    assert neighbours_apart(points, expected) <= neighbours_apart(points, leaf_order(rotated))


def test_above_the_limit_the_child_with_the_lower_mean_comes_first() -> None:
    points, _ = clouds(spreads=(1, 2, 1), apart=2, columns=5)
    rotated = ordered(cluster_tree(points), points, most_optimal=0)
    _, _, axes = np.linalg.svd(points - points.mean(0))
    place = points @ axes[0] * np.sign(axes[0][np.abs(axes[0]).argmax()])
    under = [frozenset([row]) for row in range(len(points))] + unions(rotated)
    for left, right in rotated[:, :2].astype(int):
        assert place[list(under[left])].mean() <= place[list(under[right])].mean() + 1e-9


def test_nodes_of_a_tree() -> None:
    points, _ = clouds(spreads=(1, 2, 1), apart=2, columns=5, each=10)
    tree = cluster_tree(points)
    under = [frozenset([row]) for row in range(30)] + unions(tree)
    order, above, span = leaf_order(tree), parents(tree), spans(tree)
    assert sizes(tree).tolist() == [len(node) for node in under]
    for node, rows in enumerate(under):
        assert set(order[span[node, 0] : span[node, 1]]) == rows
        assert above[node] == min((up for up in range(30, 59) if under[up] > rows), default=-1)


def nodes_of(tree: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "parent": parents(tree),
        "height": heights(tree),
        "size": sizes(tree),
        "first_leaf": spans(tree)[:, 0],
    }


def test_a_tree_from_its_nodes_is_the_tree() -> None:
    _, tree = made_tree()
    swapped = tree.copy()
    swapped[4, :2] = swapped[4, 1::-1]  # the order of leaves is kept, also another than linkage gives
    again = from_nodes(**nodes_of(swapped))
    assert np.array_equal(again, swapped)
    assert np.array_equal(leaf_order(again), hierarchy.leaves_list(swapped))


@pytest.mark.parametrize("damage", ["lost", "no pair"])
def test_nodes_that_are_no_tree(damage: str) -> None:
    nodes = nodes_of(made_tree()[1])
    if damage == "lost":
        nodes = {name: values[:-1] for name, values in nodes.items()}
    else:
        nodes["parent"] = np.where(np.arange(len(nodes["parent"])) == 0, nodes["parent"][5], nodes["parent"])
    with pytest.raises(ClusterError, match="do not form a binary tree"):
        from_nodes(**nodes)
