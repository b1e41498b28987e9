"""The order of the leaves of a tree, and its nodes.

Nodes are numbered as in scipy: leaves 0 to n - 1 in the order of the rows, then merge i as n + i.
"""

from __future__ import annotations

import numpy as np
from scipy.cluster import hierarchy

from pcip_core.clustering.distances import condensed_distances
from pcip_core.errors import ClusterError, ShapeError
from pcip_core.words import many

MOST_OPTIMAL = 500
"""Maximum number of leaves for the optimal order, which takes less than a second; 1,500 leaves take 30 s."""


def ordered(tree: np.ndarray, points: np.ndarray, *, most_optimal: int = MOST_OPTIMAL) -> np.ndarray:
    """Order the leaves of a tree by swapping children, so that neighbouring leaves are similar.

    Up to `most_optimal` leaves, the order minimizes the sum of Euclidean distances between neighbours (scipy's
    `optimal_leaf_ordering`). Otherwise, children are sorted by their mean along the first principal component of all
    rows: at each node, the child with the lower mean comes first. Both orders are deterministic; the sign of the
    component is such that its largest loading is positive.

    Args:
        tree: (n - 1, 4) linkage matrix.
        points: (n, d) standardized rows that were clustered.
        most_optimal: maximum number of leaves for the optimal order.

    Returns:
        (n - 1, 4) linkage matrix with the same nodes, whose `leaves_list` is the order.

    Raises:
        ShapeError: points and tree differ in the number of rows.

    >>> points = np.array([[0.0], [1.0], [10.0]])
    >>> tree = np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 5.0, 3.0]])
    >>> leaf_order(ordered(tree, points, most_optimal=0)).tolist()
    [0, 1, 2]
    """
    n = len(tree) + 1
    if len(points) != n:
        raise ShapeError(
            "order of leaves",
            found=f"{many(len(points), 'row')}, and a tree of {n} leaves",
            required="one row per leaf",
            remedy="Pass the rows from which the tree was computed.",
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
    """Compute the coordinates on the first principal component: (n,)."""
    centred = points - points.mean(0, dtype=np.float64)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    return centred @ (axis * np.sign(axis[np.abs(axis).argmax()]))


def from_nodes(
    parent: np.ndarray, height: np.ndarray, size: np.ndarray, first_leaf: np.ndarray
) -> np.ndarray:
    """Restore the linkage matrix, (n - 1, 4), from the nodes in the table `cluster_trees`, with the order of leaves.

    Args:
        parent: (2n - 1,) parent of each node; -1 for the root.
        height, size, first_leaf: (2n - 1,) of each node.

    Raises:
        ClusterError: a merge does not have two children, or the leaves do not come first.
    """
    n = (len(parent) + 1) // 2
    pairs = np.lexsort((first_leaf, parent))[1:].reshape(-1, 2) if len(parent) % 2 else np.empty((0, 2), int)
    if len(pairs) != n - 1 or (parent[pairs] != np.arange(n, 2 * n - 1)[:, None]).any():
        raise ClusterError(
            "tree of proteins",
            found=f"{len(parent)} nodes that do not form a binary tree",
            required="n leaves, then n - 1 nodes with two children each",
            remedy="Materialize the asset `clusters` again.",
        )
    return np.column_stack([pairs, height[n:], size[n:]]).astype(np.float64)


def leaf_order(tree: np.ndarray) -> np.ndarray:
    """Return the rows in the order of the leaves: (n,).

    >>> leaf_order(np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 5.0, 3.0]])).tolist()
    [2, 0, 1]
    """
    return np.asarray(hierarchy.leaves_list(tree))


def sizes(tree: np.ndarray) -> np.ndarray:
    """Return the number of leaves under each node: (2n - 1,)."""
    return np.concatenate([np.ones(len(tree) + 1, int), tree[:, 3].astype(int)])


def heights(tree: np.ndarray) -> np.ndarray:
    """Return the height of each node: (2n - 1,); 0 for leaves."""
    return np.concatenate([np.zeros(len(tree) + 1), tree[:, 2]])


def parents(tree: np.ndarray) -> np.ndarray:
    """Return the parent of each node: (2n - 1,); -1 for the root.

    >>> parents(np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 5.0, 3.0]])).tolist()
    [3, 3, 4, 4, -1]
    """
    n = len(tree) + 1
    above = np.full(2 * n - 1, -1)
    above[tree[:, :2].astype(int)] = np.arange(n, 2 * n - 1)[:, None]
    return above


def spans(tree: np.ndarray) -> np.ndarray:
    """Return where the leaves of each node start and stop in `leaf_order`: (2n - 1, 2)."""
    n, size = len(tree) + 1, sizes(tree)
    start = np.zeros(2 * n - 1, int)
    for merge in range(n - 2, -1, -1):
        left, right = int(tree[merge, 0]), int(tree[merge, 1])
        start[left] = start[n + merge]
        start[right] = start[n + merge] + size[left]
    return np.stack([start, start + size], axis=1)


def path_to_root(above: np.ndarray, node: int) -> list[int]:
    """Return a node and all its ancestors."""
    path = [node]
    while above[path[-1]] >= 0:
        path.append(int(above[path[-1]]))
    return path
