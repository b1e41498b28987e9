"""Clusters of a tree: cuts, and the smallest clade that contains given rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pcip_core.clustering import tree as trees
from pcip_core.errors import ClusterError


def cut_height(tree: np.ndarray, height: float) -> np.ndarray:
    """Cut a tree at a height: (k,) nodes of the clusters after all merges up to it, in the order of the leaves.

    The partition is that of scipy's `fcluster` by `distance`.

    >>> tree = np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 5.0, 3.0]])
    >>> cut_height(tree, 2.0).tolist()
    [2, 3]
    """
    return _after_merges(tree, int(np.searchsorted(tree[:, 2], height, side="right")))


def cut_number(tree: np.ndarray, number: int) -> np.ndarray:
    """Cut a tree into a given number of clusters: (number,) nodes, in the order of the leaves.

    The partition is that of scipy's `fcluster` by `maxclust`, except for tied heights, where scipy returns fewer
    clusters.

    Raises:
        ClusterError: the number is below 1 or above the number of leaves.

    >>> tree = np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 5.0, 3.0]])
    >>> cut_number(tree, 2).tolist(), labels_of(tree, cut_number(tree, 2)).tolist()
    ([2, 3], [2, 2, 1])
    """
    n = len(tree) + 1
    if not 1 <= number <= n:
        raise ClusterError(
            "number of clusters",
            found=str(number),
            required=f"1 to {n}, the leaves of the tree",
            remedy="Choose another number of clusters.",
        )
    return _after_merges(tree, n - number)


def _after_merges(tree: np.ndarray, merges: int) -> np.ndarray:
    """Return the nodes without a parent after the first merges, in the order of the leaves."""
    made = len(tree) + 1 + merges
    above = trees.parents(tree)[:made]
    nodes = np.flatnonzero((above < 0) | (above >= made))
    return nodes[trees.spans(tree)[nodes, 0].argsort()]


def labels_of(tree: np.ndarray, nodes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Label each row by the position, from 1, of its smallest node among `nodes`: (n,); 0 for rows in none."""
    order, span, size = trees.leaf_order(tree), trees.spans(tree), trees.sizes(tree)
    labels = np.zeros(len(order), int)
    for place in sorted(range(len(nodes)), key=lambda place: -size[nodes[place]]):
        start, stop = span[nodes[place]]
        labels[order[start:stop]] = place + 1
    return labels


def members_of(tree: np.ndarray, node: int) -> np.ndarray:
    """Return the rows under a node, in the order of the leaves.

    Raises:
        ClusterError: the tree does not have this node.

    >>> members_of(np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 5.0, 3.0]]), 3).tolist()
    [0, 1]
    """
    last = 2 * len(tree)
    if not 0 <= node <= last:
        raise ClusterError(
            "node of a tree",
            found=str(node),
            required=f"0 to {last}: the leaves, then the merges",
            remedy="Use the number of a node of this tree.",
        )
    start, stop = trees.spans(tree)[node]
    return trees.leaf_order(tree)[start:stop]


def smallest_clade(tree: np.ndarray, seeds: Iterable[int]) -> tuple[int, np.ndarray]:
    """Find the lowest node above all seeds, and the rows under it in the order of the leaves.

    Raises:
        ClusterError: there is no seed, or a seed is not a row of the tree.

    >>> node, rows = smallest_clade(np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 5.0, 3.0]]), [0, 1])
    >>> node, rows.tolist()
    (3, [0, 1])
    """
    wanted = sorted(set(map(int, seeds)))
    n = len(tree) + 1
    if not wanted or wanted[0] < 0 or wanted[-1] >= n:
        raise ClusterError(
            "seeds of a clade",
            found=f"rows {wanted}",
            required=f"one or more rows from 0 to {n - 1}",
            remedy="Pass clustered rows.",
        )
    above = trees.parents(tree)
    node = wanted[0]
    for seed in wanted[1:]:
        path = set(trees.path_to_root(above, seed))
        while node not in path:
            node = int(above[node])
    return node, members_of(tree, node)


def clade_sizes(tree: np.ndarray, seeds: Sequence[int], rows: Iterable[int]) -> list[int]:
    """For each row, the number of rows in the smallest clade that holds it and all the seeds."""
    return [len(smallest_clade(tree, [*seeds, row])[1]) for row in rows]


def named_cut(nodes: Iterable[int]) -> dict[str, int]:
    """Name the nodes of a cut 1, 2, ... in their order.

    >>> named_cut([7, 3])
    {'1': 7, '2': 3}
    """
    return {str(place): int(node) for place, node in enumerate(nodes, 1)}
