"""Clusters of a tree: cuts, and the smallest clade around given rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pcip_core.clustering import tree as trees
from pcip_core.errors import ClusterError


def cut_height(tree: np.ndarray, height: float) -> np.ndarray:
    """(k,) nodes of the clusters left after all merges up to this height, in the order of the leaves.

    The same partition as scipy's `fcluster` by `distance`.
    """
    return _after_merges(tree, int(np.searchsorted(tree[:, 2], height, side="right")))


def cut_number(tree: np.ndarray, number: int) -> np.ndarray:
    """(number,) nodes of the clusters when this number is left, in the order of the leaves.

    The same partition as scipy's `fcluster` by `maxclust`, except if heights tie: then scipy leaves fewer.

    Raises:
        ClusterError: the number is below 1 or above the leaves.
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
    """The nodes without a parent after the first merges."""
    made = len(tree) + 1 + merges
    above = trees.parents(tree)[:made]
    nodes = np.flatnonzero((above < 0) | (above >= made))
    return nodes[trees.spans(tree)[nodes, 0].argsort()]


def labels_of(tree: np.ndarray, nodes: Sequence[int] | np.ndarray) -> np.ndarray:
    """(n,) for each row the number of its node among these, from 1: of nested nodes the smallest; 0 in none."""
    order, span, size = trees.leaf_order(tree), trees.spans(tree), trees.sizes(tree)
    labels = np.zeros(len(order), int)
    for place in sorted(range(len(nodes)), key=lambda place: -size[nodes[place]]):
        start, stop = span[nodes[place]]
        labels[order[start:stop]] = place + 1
    return labels


def members_of(tree: np.ndarray, node: int) -> np.ndarray:
    """Rows under a node, in the order of the leaves.

    Raises:
        ClusterError: the tree has no such node.
    """
    last = 2 * len(tree)
    if not 0 <= node <= last:
        raise ClusterError(
            "node of a tree",
            found=str(node),
            required=f"0 to {last}: the leaves, then the merges",
            remedy="Take a node's number from this tree.",
        )
    start, stop = trees.spans(tree)[node]
    return trees.leaf_order(tree)[start:stop]


def smallest_clade(tree: np.ndarray, seeds: Iterable[int]) -> tuple[int, np.ndarray]:
    """The lowest node above all the seeds ("find more like these"), and the rows under it in leaf order.

    Raises:
        ClusterError: there is no seed, or a seed is no row of the tree.
    """
    wanted = sorted(set(map(int, seeds)))
    n = len(tree) + 1
    if not wanted or wanted[0] < 0 or wanted[-1] >= n:
        raise ClusterError(
            "seeds of a clade",
            found=f"rows {wanted}",
            required=f"one or more rows from 0 to {n - 1}",
            remedy="Pass rows that were clustered.",
        )
    above = trees.parents(tree)
    node = wanted[0]
    for seed in wanted[1:]:
        path = set(trees.path_to_root(above, seed))
        while node not in path:
            node = int(above[node])
    return node, members_of(tree, node)


def named_cut(nodes: Iterable[int]) -> dict[str, int]:
    """Nodes of a cut under the names 1, 2, ... in their order."""
    return {str(place): int(node) for place, node in enumerate(nodes, 1)}
