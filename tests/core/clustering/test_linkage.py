"""Trees against merging by comparing all pairs each time, against scipy's, and on clouds of known truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import adjusted_rand_score

from pcip_core.clustering.linkage import METHODS, cluster_tree
from pcip_core.clustering.tree import leaf_order, ordered
from pcip_core.errors import ClusterError, EvaluationError, ShapeError
from pcip_core.features.scaling import standardize
from tests.core.clustering.clouds import clouds, unions


def scatter(rows: np.ndarray) -> float:
    return float(np.square(rows - rows.mean(0)).sum())


def naive(
    points: np.ndarray, criterion: Callable[[list[list[int]]], float]
) -> list[tuple[frozenset[int], float]]:
    """Greedy merging: the criterion of every partition one merge away; the unions, and the criterion then."""
    parts = [[row] for row in range(len(points))]
    merges = []
    while len(parts) > 1:
        options = []
        for i in range(len(parts)):
            for j in range(i):
                rest = [part for place, part in enumerate(parts) if place not in (i, j)]
                options.append((criterion([*rest, parts[i] + parts[j]]), rest, parts[i] + parts[j]))
        value, rest, union = min(options, key=lambda option: option[0])
        parts = [*rest, union]
        merges.append((frozenset(union), value))
    return merges


@pytest.mark.parametrize(
    ("n", "columns", "regularization"), [(2, 3, 1), (18, 2, 0.05), (22, 6, 1), (22, 40, 0.3)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_maximum_likelihood_makes_the_best_merge_each_time(
    n: int, columns: int, regularization: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    points = standardize(rng.normal(size=(n, columns)) * rng.choice([0.2, 1, 3], size=(n, 1)))
    added = regularization * scatter(points) / points.size

    def criterion(parts: list[list[int]]) -> float:
        return sum(
            len(part) * columns * np.log(scatter(points[part]) / (len(part) * columns) + added)
            for part in parts
        )

    merges = naive(points, criterion)
    tree = cluster_tree(points, method="maximum_likelihood", regularization=regularization)
    assert unions(tree) == [union for union, _ in merges]
    lost = [(value - criterion([[row] for row in range(n)])) / 2 for _, value in merges]
    assert np.allclose(tree[:, 2], lost)


def test_the_same_merges_when_slots_are_dropped() -> None:
    """Above 64 clusters arrays are compacted; truth by the closed loss of each pair, still over all pairs."""
    points, _ = clouds(spreads=(0.2, 1, 2), apart=2, columns=4, each=70)
    points = standardize(points)
    columns, added = 4, 0.1 * scatter(points) / points.size
    means, counts, within = points.copy(), np.ones(len(points)), np.zeros(len(points))
    under = [frozenset([row]) for row in range(len(points))]
    found = []

    def term(rows: np.ndarray, spread: np.ndarray) -> np.ndarray:
        return 0.5 * rows * columns * np.log(spread / (rows * columns) + added)

    while len(under) > 1:
        both = np.add.outer(counts, counts)
        between = np.multiply.outer(counts, counts) / both * squareform(pdist(means, "sqeuclidean"))
        loss = term(both, np.add.outer(within, within) + between)
        loss -= np.add.outer(term(counts, within), term(counts, within))
        np.fill_diagonal(loss, np.inf)
        i, j = sorted(np.unravel_index(loss.argmin(), loss.shape))
        within[i] += within[j] + between[i, j]
        means[i] = (counts[i] * means[i] + counts[j] * means[j]) / both[i, j]
        counts[i] = both[i, j]
        under[i] = under[i] | under[j]
        found.append(under[i])
        under.pop(j)
        means, counts, within = np.delete(means, j, 0), np.delete(counts, j), np.delete(within, j)
    tree = cluster_tree(points, method="maximum_likelihood", regularization=0.1)
    assert unions(tree) == found


def test_one_variance_for_all_clusters_is_ward() -> None:
    points = standardize(np.random.default_rng(3).normal(size=(16, 3)))

    def criterion(parts: list[list[int]]) -> float:
        within = sum(scatter(points[part]) for part in parts)
        return points.size * np.log(within / points.size) if within else -np.inf

    tree = cluster_tree(points, method="ward")
    assert unions(tree) == [union for union, _ in naive(points, criterion)]
    assert unions(tree) == unions(hierarchy.linkage(points, "ward"))


@pytest.mark.parametrize("method", ["ward", "average"])
def test_ward_and_average_are_those_of_scipy(method: str) -> None:
    features, _ = clouds(spreads=(1, 2), apart=2, columns=30, each=300)
    expected = hierarchy.linkage(standardize(features), method)
    found = cluster_tree(features.astype(np.float64), method=method)  # type: ignore[arg-type]
    assert unions(found) == unions(expected)
    assert np.allclose(found, expected, rtol=1e-5 if method == "average" else 1e-12, atol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_a_tree_does_not_depend_on_the_unit(method: str, size: float) -> None:
    """Squares of such numbers are outside of float32."""
    points, _ = clouds(spreads=(1, 2), apart=2, columns=5)
    before = points.copy()
    tree = cluster_tree(points, method=method, scale=False)  # type: ignore[arg-type]
    assert np.array_equal(points, before)
    other = cluster_tree(points * size, method=method, scale=False)  # type: ignore[arg-type]
    assert unions(other) == unions(tree)
    unit = 1 if method == "maximum_likelihood" else size
    assert np.allclose(other[:, 2] / unit, tree[:, 2], atol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", ["clouds", "equal rows", "constant", "two", "one column"])
def test_trees_are_valid_and_heights_never_fall(method: str, case: str) -> None:
    features, _ = clouds(spreads=(0.1, 1, 4), apart=1, columns=8)
    features = {
        "clouds": features,
        "equal rows": np.repeat(features[::10], 10, axis=0),
        "constant": np.ones((9, 3)),
        "two": features[:2],
        "one column": features[:, :1],
    }[case]
    tree = cluster_tree(features, method=method, regularization=0.2)  # type: ignore[arg-type]
    assert hierarchy.is_valid_linkage(tree)
    assert hierarchy.is_monotonic(tree)
    assert tree[-1, 3] == len(features)
    assert np.array_equal(tree, cluster_tree(features, method=method, regularization=0.2))  # type: ignore[arg-type]
    hierarchy.dendrogram(tree, no_plot=True)
    assert sorted(leaf_order(ordered(tree, standardize(features), most_optimal=0))) == list(
        range(len(features))
    )


def test_maximum_likelihood_beats_ward_where_variances_differ() -> None:
    scores: dict[str, list[float]] = {"ward": [], "maximum_likelihood": []}
    for seed in range(5):
        points, labels = clouds(spreads=(0.2, 0.2, 2, 2, 0.5), apart=1, columns=20, seed=seed)
        for method in scores:
            tree = cluster_tree(points, method=method, scale=False)  # type: ignore[arg-type]
            scores[method].append(adjusted_rand_score(labels, hierarchy.fcluster(tree, 5, "maxclust")))
    assert np.mean(scores["maximum_likelihood"]) > np.mean(scores["ward"]) + 0.05
    assert np.mean(scores["maximum_likelihood"]) > 0.8


def test_many_columns_do_not_make_a_chain() -> None:
    points, labels = clouds(spreads=(1, 1, 1), apart=0.4, columns=300)
    tree = cluster_tree(points, method="maximum_likelihood")
    assert adjusted_rand_score(labels, hierarchy.fcluster(tree, 3, "maxclust")) > 0.95


def test_what_cannot_be_clustered_is_an_error() -> None:
    features = np.random.default_rng(0).normal(size=(6, 3))
    with pytest.raises(ClusterError, match="1 row of 3 columns; required: 2 to 20,000 rows"):
        cluster_tree(features[:1])
    with pytest.raises(ClusterError, match="Cluster proteins instead of cells"):
        cluster_tree(np.broadcast_to(features[:1], (20_001, 3)))
    with pytest.raises(ClusterError, match="method 'single'"):
        cluster_tree(features, method="single")  # type: ignore[arg-type]
    with pytest.raises(ClusterError, match="regularization above 0"):
        cluster_tree(features, regularization=0)
    with pytest.raises(ShapeError, match="one row of features"):
        cluster_tree(features[0])
    with pytest.raises(ShapeError, match="a tree of 6 leaves"):
        ordered(cluster_tree(features), features[:5])
    features[2, 1] = np.inf
    with pytest.raises(EvaluationError, match="1 cell with NaN or infinite"):
        cluster_tree(features)
