"""One solution of the protein map: a tree, the clusters of its cut, and the clusters with given names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pcip_core.clustering import tree as trees
from pcip_core.clustering.clusters import cut_height, cut_number, members_of, named_cut
from pcip_core.clustering.linkage import Method, cluster_tree
from pcip_core.clustering.picks import picked_nodes, rows_by_name
from pcip_core.clustering.proteins import Proteins
from pcip_core.clustering.silhouettes import silhouette_number, summary_numbers
from pcip_core.features.scaling import standardize
from pcip_core.spec.analyses import Clustering


@dataclass(frozen=True)
class Solution:
    """A tree of proteins and its clusters.

    Attributes:
        points: (n, d) standardized means of the proteins.
        tree: (n - 1, 4) linkage matrix, its leaves in order.
        cut: name -> node of each cluster of the cut.
        picked: name -> node of each cluster with a given name.
    """

    points: np.ndarray
    tree: np.ndarray
    cut: dict[str, int]
    picked: dict[str, int]

    @property
    def clusters(self) -> dict[str, np.ndarray]:
        """Name -> rows of each cluster; where a given name and a number have the same node, the name."""
        names = {node: name for nodes in (self.cut, self.picked) for name, node in nodes.items()}
        return {name: members_of(self.tree, node) for node, name in names.items()}


def solve(
    proteins: Proteins,
    *,
    method: Method,
    settings: Clustering,
    picks: Mapping[Any, Sequence[str] | int],
) -> Solution:
    """Cluster proteins by one method, cut the tree and find the clusters with given names.

    Args:
        proteins: the rows.
        method: the method of `cluster_tree`.
        settings: the cut: at the height for this method, otherwise into `number` clusters, otherwise into the
            number of `summary_numbers` that `silhouette_number` chooses.
        picks: as for `picked_nodes`.

    Raises:
        ClusterError: as for `cluster_tree` and `picked_nodes`.

    >>> proteins = Proteins(["A", "B", "C"], ["A", "B", "C"], np.array([[0.0], [1.0], [10.0]]))
    >>> solution = solve(proteins, method="average", settings=Clustering(number=2), picks={})
    >>> {name: sorted(rows.tolist()) for name, rows in solution.clusters.items()}
    {'1': [2], '2': [0, 1]}
    """
    n = len(proteins.names)
    points = standardize(proteins.means)
    tree = trees.ordered(cluster_tree(proteins.means, method=method), points)
    if method in settings.heights:
        nodes = cut_height(tree, settings.heights[method])
    elif settings.number is not None:
        nodes = cut_number(tree, min(settings.number, n))
    else:
        numbers = summary_numbers(n, most=settings.most)
        nodes = cut_number(tree, silhouette_number(points, tree, numbers).number)
    return Solution(points, tree, named_cut(nodes), picked_nodes(tree, proteins.names, picks))


def cluster_table(tree: np.ndarray, members: pl.DataFrame, nodes: Mapping[str, int]) -> pl.DataFrame:
    """One row per cluster and member: a member is in each cluster above it, so nested clusters have rows each.

    Args:
        tree: (n - 1, 4) linkage matrix.
        members: n rows, in the order of the tree's rows, with the column `member`, the distinct name of each, and
            any others.
        nodes: name -> node of each cluster.

    Returns:
        The columns of `members`, `node` (name of the cluster), `parent` (name of the smallest other cluster that
        contains it; null without one), `height` (in the tree), `size` (number of members) and `tree_node`;
        clusters in the order of the leaves, larger ones first, and their members in the order of the leaves.

    Raises:
        ClusterError: the number of members differs from the number of leaves, members are repeated, or a node is not
            in the tree.
    """
    rows_by_name(tree, members["member"].to_list())
    rows = {node: members_of(tree, node) for node in nodes.values()}
    above, span, height = trees.parents(tree), trees.spans(tree), trees.heights(tree)
    name_of = {node: name for name, node in nodes.items()}
    ordered = sorted(name_of, key=lambda node: (span[node, 0], -len(rows[node])))
    parents = [
        next((name_of[high] for high in trees.path_to_root(above, node)[1:] if high in name_of), None)
        for node in ordered
    ]
    clusters = pl.DataFrame(
        {
            "node": [name_of[node] for node in ordered],
            "parent": parents,
            "height": height[ordered],
            "size": [len(rows[node]) for node in ordered],
            "tree_node": ordered,
            "row": [rows[node].tolist() for node in ordered],
        },
        schema_overrides={
            **{"node": pl.String, "parent": pl.String, "size": pl.Int64, "tree_node": pl.Int64},
            "row": pl.List(pl.Int64),
        },
    ).explode("row")
    return pl.concat([members[clusters["row"]], clusters.drop("row")], how="horizontal")


def tree_table(tree: np.ndarray, names: Sequence[str]) -> pl.DataFrame:
    """Make one row per node of a tree, including leaves, from which SQL can compute any cut."""
    above, span = trees.parents(tree), trees.spans(tree)
    nodes = pl.DataFrame(
        {
            "tree_node": np.arange(len(above)),
            "parent": above,
            "height": trees.heights(tree),
            "size": trees.sizes(tree),
            "first_leaf": span[:, 0],
            "member": [*names, *[None] * (len(above) - len(names))],
        },
        schema_overrides={"member": pl.String},
    )
    return nodes.with_columns(parent=pl.when(pl.col("parent") >= 0).then("parent"))
