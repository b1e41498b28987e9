"""Clusters of a tree: cuts, clades picked by name, and what lies near a seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pcip_core.clustering import tree as trees
from pcip_core.errors import ClusterError


def cut_height(tree: np.ndarray, height: float) -> np.ndarray:
    """(k,) nodes of the clusters left when all merges up to this height are made, in the order of the leaves.

    The same partition as scipy's `fcluster` by `distance`.
    """
    return _after_merges(tree, int(np.searchsorted(tree[:, 2], height, side="right")))


def cut_number(tree: np.ndarray, number: int) -> np.ndarray:
    """(number,) nodes of the clusters left when just so many are, in the order of the leaves.

    The same partition as scipy's `fcluster` by `maxclust`, but where heights tie: there scipy leaves fewer.

    Raises:
        ClusterError: the number is below 1 or above the leaves.
    """
    n = len(tree) + 1
    if not 1 <= number <= n:
        raise ClusterError(
            "number of clusters",
            found=str(number),
            required=f"1 to {n}, the leaves of the tree",
            remedy="Ask for another number of clusters.",
        )
    return _after_merges(tree, n - number)


def _after_merges(tree: np.ndarray, merges: int) -> np.ndarray:
    """The nodes without a parent after the first merges."""
    made = len(tree) + 1 + merges
    above = trees.parents(tree)[:made]
    nodes = np.flatnonzero((above < 0) | (above >= made))
    return nodes[trees.spans(tree)[nodes, 0].argsort()]


def labels_of(tree: np.ndarray, nodes: Sequence[int] | np.ndarray) -> np.ndarray:
    """(n,) for each row the place of its node among these, from 1; 0 in none, of nested ones the smallest."""
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
        ClusterError: no seed, or one that is no row of the tree.
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


def clade_sizes(tree: np.ndarray, seeds: Sequence[int], rows: Iterable[int]) -> list[int]:
    """For each row, the number of rows in the smallest clade that holds it and all the seeds."""
    return [len(smallest_clade(tree, [*seeds, row])[1]) for row in rows]


def picked_nodes(
    tree: np.ndarray, members: Sequence[str], picks: Mapping[Any, Sequence[str] | int]
) -> dict[str, int]:
    """The nodes that a user has named.

    Args:
        tree: (n - 1, 4) linkage matrix.
        members: (n,) name of each row, such as its protein.
        picks: name -> two members or more, for the smallest clade that has them all, or a node's number.
            Names may nest in any depth (A, A1), in any order.

    Returns:
        name -> node, in the order of the picks.

    Raises:
        ClusterError: a member that is unknown, members of one name, two picks of one name or one node, fewer
            than two members, or a number that is no merge of this tree.
    """
    row = _rows_by_name(tree, members)
    nodes: dict[str, int] = {}
    for key, defined in picks.items():
        name, where = str(key), f"cluster {key}"
        if isinstance(defined, int) and not isinstance(defined, bool):
            members_of(tree, defined)
            node = defined
        else:
            several = isinstance(defined, Sequence) and not isinstance(defined, str)
            seeds: list[Any] = list(defined) if several else [defined]  # type: ignore[arg-type]
            unknown = [seed for seed in seeds if seed not in row]
            if unknown:
                raise ClusterError(
                    where,
                    found=f"{', '.join(map(str, unknown[:5]))} among what defines it",
                    required="members of this tree, or a node's number",
                    remedy="Correct the name, or take out a member that has too few cells.",
                )
            node = smallest_clade(tree, [row[seed] for seed in seeds])[0] if seeds else 0
        if node <= len(tree):
            raise ClusterError(
                where,
                found="one member or none",
                required="two members or more, or the number of a merge",
                remedy="Add a member; the smallest clade that has them all is taken.",
            )
        taken = [other for other, number in nodes.items() if number == node or other == name]
        if taken:
            raise ClusterError(
                where,
                found=f"the node {node}, and {taken[0]} is a pick of this name or node",
                required="a name and a node for each pick",
                remedy="Rename one, leave one out, or define one by members that lie further apart.",
            )
        nodes[name] = node
    return nodes


def _rows_by_name(tree: np.ndarray, members: Sequence[str]) -> dict[str, int]:
    row = {name: place for place, name in enumerate(members)}
    if len(members) != len(tree) + 1 or len(row) != len(members):
        raise ClusterError(
            "members of a tree",
            found=f"{len(members)} names, {len(row)} of them distinct",
            required=f"{len(tree) + 1} distinct names, one a leaf",
            remedy="Cluster one row a protein, and pass the names in the order of the rows.",
        )
    return row


def cluster_rows(
    tree: np.ndarray, members: Sequence[str], nodes: Mapping[str, int], *, solution: str
) -> list[dict[str, Any]]:
    """Rows of the table `clusters`: a member is in each named node above it, so nested ones have their own rows.

    Args:
        tree: (n - 1, 4) linkage matrix.
        members: (n,) name of each row.
        nodes: name -> node, of `picked_nodes`, or of a cut (`named_cut`).
        solution: of which tree, such as `ward`.

    Returns:
        member, solution, node (its name), parent (name of the smallest other one that holds it; None), height
        (of the tree), size (members) and tree_node (its number); nodes in the order of the leaves, larger
        ones first, and their members in the order of the leaves.

    Raises:
        ClusterError: names of members are not one a leaf and distinct, or a node is not in the tree.
    """
    _rows_by_name(tree, members)
    above, span, height = trees.parents(tree), trees.spans(tree), trees.heights(tree)
    name_of = {node: name for name, node in nodes.items()}
    leaves = {node: members_of(tree, node) for node in name_of}
    rows = []
    for node in sorted(name_of, key=lambda node: (span[node, 0], -len(leaves[node]))):
        over = next((name_of[high] for high in trees.path_to_root(above, node)[1:] if high in name_of), None)
        rows += [
            {
                "member": members[leaf],
                "solution": solution,
                "node": name_of[node],
                "parent": over,
                "height": float(height[node]),
                "size": len(leaves[node]),
                "tree_node": node,
            }
            for leaf in leaves[node]
        ]
    return rows


def named_cut(nodes: Iterable[int]) -> dict[str, int]:
    """Nodes of a cut under the names 1, 2, ... in their order."""
    return {str(place): int(node) for place, node in enumerate(nodes, 1)}
