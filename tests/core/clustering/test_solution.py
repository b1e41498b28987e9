"""Solutions of the protein map: their cuts against scipy's, their tables against a loop over nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.cluster import hierarchy
from sklearn.metrics import adjusted_rand_score

from pcip_core.clustering.clusters import cut_number, labels_of, members_of, named_cut, smallest_clade
from pcip_core.clustering.linkage import cluster_tree
from pcip_core.clustering.proteins import Proteins
from pcip_core.clustering.solution import Solution, cluster_table, solve, tree_table
from pcip_core.clustering.tree import leaf_order
from pcip_core.errors import ClusterError
from pcip_core.spec.analyses import Clustering
from tests.core.clustering.clouds import LINE, NAMES, clouds, unions

MEMBERS = pl.DataFrame({"member": NAMES, "protein": [name.lower() for name in NAMES]})


def proteins_in_clouds() -> tuple[Proteins, np.ndarray]:
    points, labels = clouds(spreads=(1.0, 1.0, 1.0), apart=4.0, columns=12, each=20)
    names = [f"P{row:02d}" for row in range(60)]
    return Proteins(names, names, points), labels


def solved(settings: Clustering, picks: dict[Any, Any] | None = None) -> Solution:
    return solve(proteins_in_clouds()[0], method="ward", settings=settings, picks=picks or {})


def cut_labels(solution: Solution) -> np.ndarray:
    return labels_of(solution.tree, list(solution.cut.values()))


def test_the_tree_is_scipys_of_standardized_means_and_the_cut_as_the_settings_say() -> None:
    proteins, labels = proteins_in_clouds()
    points = (proteins.means - proteins.means.mean(0)) / proteins.means.std(0)
    tree = hierarchy.linkage(points, "ward")
    solution = solved(Clustering(number=4))
    assert solution.points == pytest.approx(points, abs=1e-5)
    assert solution.tree[:, 2] == pytest.approx(tree[:, 2], rel=1e-3)
    assert adjusted_rand_score(cut_labels(solution), hierarchy.fcluster(tree, 4, "maxclust")) == 1
    height = tree[-5, 2] + 1e-6
    by_height = solved(Clustering(number=4, heights={"ward": height}))
    assert len(by_height.cut) == 5
    assert adjusted_rand_score(cut_labels(by_height), hierarchy.fcluster(tree, height, "distance")) == 1
    chosen = solved(Clustering())
    assert adjusted_rand_score(cut_labels(chosen), labels) == 1  # as many as there are clouds
    assert len(solved(Clustering(number=100)).cut) == 60


def test_a_given_name_wins_over_the_number_of_the_cut() -> None:
    _, labels = proteins_in_clouds()
    of_cloud = [f"P{row:02d}" for row in np.flatnonzero(labels == 1)]
    solution = solved(Clustering(number=3), {"middle": of_cloud})
    assert solution.picked["middle"] in solution.cut.values()
    clusters = solution.clusters
    assert len(clusters) == 3
    assert set(clusters["middle"]) == set(np.flatnonzero(labels == 1))
    assert list(solution.cut) == ["1", "2", "3"]


def test_rows_of_nested_clusters() -> None:
    tree = cluster_tree(LINE)
    rows = {"A1": [0, 1], "A": [0, 1, 2, 3], "B": [4, 5], "all": list(range(8))}
    nodes = {name: smallest_clade(tree, own)[0] for name, own in rows.items()}
    table = cluster_table(tree, MEMBERS, nodes)
    assert table.height == 8 + 4 + 2 + 2
    for name, parent in (("all", None), ("A", "all"), ("A1", "A"), ("B", "all")):
        own = table.filter(node=name)
        assert own["member"].to_list() == [NAMES[row] for row in leaf_order(tree) if row in rows[name]]
        assert own["protein"].to_list() == [member.lower() for member in own["member"]]
        columns = ["parent", "size", "tree_node", "height"]
        expected = (parent, len(rows[name]), nodes[name], tree[nodes[name] - 8, 2])
        assert own.select(columns).unique().rows() == [expected]
    assert table["node"].to_list()[:8] == ["all"] * 8  # the largest first


def test_rows_of_a_cut() -> None:
    tree = cluster_tree(LINE)
    table = cluster_table(tree, MEMBERS, named_cut(cut_number(tree, 2)))
    assert sorted(table["member"]) == sorted(NAMES)
    assert table["node"].to_list() == ["1"] * 4 + ["2"] * 4
    assert table["parent"].null_count() == 8
    assert cluster_table(tree, MEMBERS, {}).schema == table.schema


def test_rows_of_a_tree_are_its_nodes() -> None:
    tree = cluster_tree(LINE)
    table, order = tree_table(tree, NAMES), leaf_order(tree).tolist()
    assert table["member"].to_list() == [*NAMES, *[None] * 7]
    leaves = [frozenset([row]) for row in range(8)] + unions(tree)
    for row, below in zip(table.iter_rows(named=True), leaves, strict=True):
        assert row["size"] == len(below)
        assert set(order[row["first_leaf"] : row["first_leaf"] + row["size"]]) == below
        assert row["height"] == (tree[row["tree_node"] - 8, 2] if len(below) > 1 else 0)
        above = [node for node, other in enumerate(leaves) if below < other]
        assert row["parent"] == min(above, key=lambda node: len(leaves[node]), default=None)


def test_members_and_nodes_must_be_those_of_the_tree() -> None:
    tree = cluster_tree(LINE)
    with pytest.raises(ClusterError, match="7 names"):
        cluster_table(tree, MEMBERS[:7], {})
    with pytest.raises(ClusterError, match="required: 0 to 14"):
        cluster_table(tree, MEMBERS, {"A": 15})
    assert members_of(tree, 14).tolist() == leaf_order(tree).tolist()
