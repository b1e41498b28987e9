"""The order of a tree's leaves, and its nodes.

Nodes are numbered as in scipy: leaves 0 to n - 1 in the order of the rows, then merge i as n + i.
"""

from __future__ import annotations

import numpy as np
from scipy.cluster import hierarchy

from pcip_core.clustering.distances import condensed_distances
from pcip_core.errors import ClusterError, ShapeError

MOST_OPTIMAL = 500
"""Leaves up to which the optimal order is computed: under a second; half a minute at 1,500."""


def ordered(tree: np.ndarray, points: np.ndarray, *, most_optimal: int = MOST_OPTIMAL) -> np.ndarray:
    """The same tree with children swapped so that neighbouring leaves are alike.

    Up to `most_optimal` leaves the order is the one with the least sum of Euclidean distances between
    neighbours (scipy's `optimal_leaf_ordering`). Above it, children are rotated by their mean: at each node
    the child with the lower mean along the first principal component of all rows comes first. Both are
    deterministic; the component points to where its largest loading is positive.

    Args:
        tree: (n - 1, 4) linkage matrix.
        points: (n, d) the rows as they were clustered, standardized.

    Returns:
        (n - 1, 4) linkage matrix with the same nodes; `leaves_list` of it is the order.

    Raises:
        ShapeError: points and tree differ in the number of rows.
    """
    n = len(tree) + 1
    if len(points) != n:
        raise ShapeError(
            "order of leaves",
            found=f"{len(points)} rows, and a tree of {n} leaves",
            required="one row a leaf",
            remedy="Pass the rows that the tree was made of.",
        )
    if n <= most_optimal:
        return np.asarray(hierarchy.optimal_leaf_ordering(tree, condensed_distances(points)))
    place = _along_first_component(points)
    total, size = np.concatenate([place, np.zeros(n - 1)]), sizes(tree)
    children, rotated = tree[:, :2].astype(int), tree.copy()
    for merge, (left, right) in enumerate(children):
        total[n + merge] = total[left] + total[right]
    mean = total / size
    swapped = mean[children[:, 0]] > mean[children[:, 1]]
    rotated[swapped, :2] = tree[swapped, 1::-1]
    return rotated


def _along_first_component(points: np.ndarray) -> np.ndarray:
    """(n,) coordinates on the first principal component."""
    centred = points - points.mean(0, dtype=np.float64)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    return centred @ (axis * np.sign(axis[np.abs(axis).argmax()]))


def from_nodes(
    parent: np.ndarray, height: np.ndarray, size: np.ndarray, first_leaf: np.ndarray
) -> np.ndarray:
    """(n - 1, 4) linkage matrix of nodes as the table `cluster_trees` has them; the order of leaves is kept.

    Args:
        parent: (2n - 1,) the node above each; -1 for the root.
        height, size, first_leaf: (2n - 1,) of each node.

    Raises:
        ClusterError: a node has not two below it, or leaves do not come first.
    """
    n = (len(parent) + 1) // 2
    pairs = np.lexsort((first_leaf, parent))[1:].reshape(-1, 2) if len(parent) % 2 else np.empty((0, 2), int)
    if len(pairs) != n - 1 or (parent[pairs] != np.arange(n, 2 * n - 1)[:, None]).any():
        raise ClusterError(
            "tree of proteins",
            found=f"{len(parent)} nodes that are no tree of pairs",
            required="n leaves, then n - 1 nodes of two each",
            remedy="Materialize the asset `clusters` again.",
        )
    return np.column_stack([pairs, height[n:], size[n:]]).astype(np.float64)


def leaf_order(tree: np.ndarray) -> np.ndarray:
    """(n,) rows from the first leaf to the last, without recursion."""
    return np.asarray(hierarchy.leaves_list(tree))


def sizes(tree: np.ndarray) -> np.ndarray:
    """(2n - 1,) leaves under each node."""
    return np.concatenate([np.ones(len(tree) + 1, int), tree[:, 3].astype(int)])


def heights(tree: np.ndarray) -> np.ndarray:
    """(2n - 1,) height of each node; 0 for leaves."""
    return np.concatenate([np.zeros(len(tree) + 1), tree[:, 2]])


def parents(tree: np.ndarray) -> np.ndarray:
    """(2n - 1,) the node above each node; -1 for the root."""
    n = len(tree) + 1
    above = np.full(2 * n - 1, -1)
    above[tree[:, :2].astype(int)] = np.arange(n, 2 * n - 1)[:, None]
    return above


def spans(tree: np.ndarray) -> np.ndarray:
    """(2n - 1, 2) where each node's leaves start and stop in `leaf_order`."""
    n, size = len(tree) + 1, sizes(tree)
    start = np.zeros(2 * n - 1, int)
    for merge in range(n - 2, -1, -1):
        left, right = int(tree[merge, 0]), int(tree[merge, 1])
        start[left] = start[n + merge]
        start[right] = start[n + merge] + size[left]
    return np.stack([start, start + size], axis=1)


def path_to_root(above: np.ndarray, node: int) -> list[int]:
    """The node and all above it."""
    path = [node]
    while above[path[-1]] >= 0:
        path.append(int(above[path[-1]]))
    return path
