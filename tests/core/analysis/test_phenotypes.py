"""Phenotypes against known states, scikit-learn and loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import pdist
from sklearn.cluster import AgglomerativeClustering
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.preprocessing import StandardScaler

from pcip_core.analysis.phenotypes import phenotypes, principal_components, sample_of
from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.features.blocks import columns_of

SIZES = (40, 25, 10)


def clouds(seed: int = 0, step: float = 9.0) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Features, ids and true states of cells in three clouds, in random order."""
    rng = np.random.default_rng(seed)
    state = rng.permutation(np.repeat([0, 1, 2], SIZES))
    features = rng.normal(size=(75, 12))
    features[:, :9] += step * np.repeat(np.eye(3), 3, axis=1)[state]
    features[:, 11] = 7
    return features, [f"cell_{row:03d}" for row in range(75)], state


@pytest.mark.parametrize("components", [None, 3])
def test_clusters_are_the_true_states(components: int | None) -> None:
    features, cells, state = clouds()
    found = phenotypes(features, cells, components=components)
    assert adjusted_rand_score(state, found.cluster) > 0.95
    assert [len(one.cells) for one in found.phenotypes] == list(SIZES)
    assert [one.share for one in found.phenotypes] == pytest.approx(np.array(SIZES) / 75)
    for one in found.phenotypes:
        assert set(one.cells) == {cells[row] for row in np.flatnonzero(found.cluster == one.cluster)}
    none = phenotypes(np.random.default_rng(0).normal(size=(75, 12)), cells)
    assert abs(adjusted_rand_score(state, none.cluster)) < 0.1


def test_the_number_is_that_of_the_best_silhouette() -> None:
    features, cells, _ = clouds()
    found = phenotypes(features, cells, most=5)
    points = StandardScaler().fit_transform(features)
    for number, value in found.silhouettes.items():
        labels = AgglomerativeClustering(number, linkage="ward").fit_predict(points)
        assert value == pytest.approx(silhouette_score(points, labels))
    assert sorted(found.silhouettes) == [2, 3, 4, 5]
    assert len(found.phenotypes) == max(found.silhouettes, key=lambda k: found.silhouettes[k]) == 3
    given = phenotypes(features, cells, clusters=2)
    assert len(given.phenotypes) == 2
    assert given.silhouettes == {}
    assert len(phenotypes(features, cells, least_silhouette=0.99).phenotypes) == 1


def test_representatives_are_medoids() -> None:
    features, cells, _ = clouds()
    found = phenotypes(features, cells, representatives=4)
    points = StandardScaler().fit_transform(features)
    for one in found.phenotypes:
        members = np.flatnonzero(found.cluster == one.cluster)
        cost = {m: sum(np.linalg.norm(points[m] - points[o]) for o in members) for m in members}
        assert one.rows == sorted(cost, key=lambda m: cost[m])[:4]
        assert one.representatives == [cells[row] for row in one.rows]


def test_leaves_lie_in_the_best_order() -> None:
    features, cells, _ = clouds()
    found = phenotypes(features, cells)
    points = StandardScaler().fit_transform(features)

    def walk(order: np.ndarray) -> float:
        return float(np.linalg.norm(np.diff(points[order], axis=0), axis=1).sum())

    assert sorted(found.leaves) == list(range(75))
    assert walk(found.leaves) < walk(leaves_list(linkage(pdist(points), "ward")))
    changes = np.count_nonzero(np.diff(found.cluster[found.leaves]))
    assert changes == 2  # every cluster is one stretch of the leaves


def test_columns_are_scaled_by_the_reference() -> None:
    """A column that hardly varies on the screen counts little; by the cells' own scale it would hide the two."""
    rng = np.random.default_rng(0)
    state = rng.permutation(np.repeat([0, 1], 20))
    features = rng.normal(size=(40, 60)) * 0.02
    features[:, 0] = state + rng.normal(size=40) * 0.05
    cells = [str(row) for row in range(40)]
    reference = rng.normal(size=(500, 60))
    with_screen = phenotypes(features, cells, reference=columns_of(reference), clusters=2)
    alone = phenotypes(features, cells, clusters=2)
    assert adjusted_rand_score(state, with_screen.cluster) == 1
    assert adjusted_rand_score(state, alone.cluster) < 0.7


def test_components_are_those_of_pca() -> None:
    features, _, _ = clouds()
    expected = PCA(4, svd_solver="full").fit_transform(features)
    assert np.abs(principal_components(features, 4)) == pytest.approx(np.abs(expected))


def test_the_plane_is_that_of_pca_of_the_scaled_cells() -> None:
    features, cells, _ = clouds()
    plane = phenotypes(features, cells).plane
    expected = PCA(2, svd_solver="full").fit_transform(StandardScaler().fit_transform(features))
    assert np.abs(plane) == pytest.approx(np.abs(expected))
    assert (plane.max(0) >= -plane.min(0)).all()  # the farthest cell is on the positive side
    flat = phenotypes(features[:, :1], cells).plane
    alone = StandardScaler().fit_transform(features[:, :1])[:, 0]
    assert np.abs(flat[:, 0]) == pytest.approx(np.abs(alone))
    assert not flat[:, 1].any()


def test_a_sample_depends_on_the_seed_and_each_cells_own_id() -> None:
    cells = [f"cell_{row}" for row in range(400)]
    chosen = {cells[place] for place in sample_of(cells, 100)}
    assert len(chosen) == 100
    backwards = cells[::-1]
    assert {backwards[place] for place in sample_of(backwards, 100)} == chosen
    fewer = [cell for cell in cells if cell in chosen or int(cell[5:]) % 2]
    assert {fewer[place] for place in sample_of(fewer, 100)} == chosen  # others only came between
    again = {cells[place] for place in sample_of(cells, 100, seed=1)}
    assert 5 < len(chosen & again) < 60  # 25 expected of two draws of a quarter
    assert sample_of(cells, 400).tolist() == list(range(400))


def test_cells_that_are_all_the_same_are_one_phenotype() -> None:
    found = phenotypes(np.ones((6, 3)), list("abcdef"))
    assert len(found.phenotypes) == 1
    assert found.phenotypes[0].share == 1


def test_what_cannot_be_clustered_is_told() -> None:
    features, cells, _ = clouds()
    with pytest.raises(EvaluationError, match="2 cells, 2 to 6 clusters"):
        phenotypes(features[:2], cells[:2])
    with pytest.raises(EvaluationError, match="75 cells, 76 clusters"):
        phenotypes(features, cells, clusters=76)
    with pytest.raises(ShapeError, match="74 cells"):
        phenotypes(features, cells[1:])
    features[4, 5] = np.inf
    with pytest.raises(EvaluationError, match="columns 5;"):
        phenotypes(features, cells)
