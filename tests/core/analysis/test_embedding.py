"""UMAP: what is near stays near, and the same seed draws the same map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from pcip_core.analysis.embedding import evenly_from_groups, protein_map, umap_embedding
from pcip_core.errors import EvaluationError


def clouds(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds of 40 vectors; one column is constant, and one is a thousand times as large as the others."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], 40)
    features = rng.normal(size=(120, 10)) + 4 * np.eye(3, 10)[labels]
    features[:, 9] = 7
    features[:, 8] *= 1000
    return features.astype(np.float32), labels


def test_what_is_alike_lies_together() -> None:
    features, labels = clouds()
    places = umap_embedding(features, neighbours=15)
    assert places.shape == (120, 2)
    order = np.random.default_rng(0).permutation(120)
    known, asked = order[:60], order[60:]
    knn = KNeighborsClassifier(5).fit(places[known], labels[known])
    assert knn.score(places[asked], labels[asked]) > 0.95
    shuffled = KNeighborsClassifier(5).fit(places[known], np.random.default_rng(1).permutation(labels[known]))
    assert shuffled.score(places[asked], labels[asked]) < 0.7


def test_the_seed_decides_the_map() -> None:
    features, _ = clouds()
    maps = [umap_embedding(features, neighbours=10, seed=seed) for seed in (1, 1, 2)]
    assert np.array_equal(maps[0], maps[1])
    assert not np.array_equal(maps[0], maps[2])


def test_too_few_vectors_and_values_that_are_not_finite_are_errors() -> None:
    features, _ = clouds()
    with pytest.raises(EvaluationError, match="31 vectors; required: 32 or more"):
        umap_embedding(features[:31])
    features[3, 2] = np.nan
    with pytest.raises(EvaluationError, match="1 cell with NaN"):
        umap_embedding(features)


def test_torch_has_as_many_threads_afterwards_as_before() -> None:
    """Else a training after a map would differ in its last bits from one before."""
    before = torch.get_num_threads()
    umap_embedding(clouds()[0], neighbours=10)
    assert torch.get_num_threads() == before


def test_proteins_have_20_neighbours_or_half_of_them_and_8_are_the_fewest() -> None:
    features, _ = clouds()
    assert np.array_equal(protein_map(features, seed=3), umap_embedding(features, neighbours=20, seed=3))
    assert np.array_equal(
        protein_map(features[:8], seed=3), umap_embedding(features[:8], neighbours=4, seed=3)
    )
    with pytest.raises(EvaluationError, match="7 proteins; required: 8 to 20,000"):
        protein_map(features[:7])
    with pytest.raises(EvaluationError, match="20,001 proteins"):
        protein_map(np.zeros((20_001, 2)))


def test_a_sample_has_cells_of_all_groups_at_equal_steps() -> None:
    group = np.array([2, 0, 0, 2, 0, 0, 0, 1])
    assert evenly_from_groups(group, 100).tolist() == [1, 2, 4, 5, 6, 7, 0, 3]
    assert evenly_from_groups(group, 9).tolist() == [1, 4, 6, 7, 0, 3]  # three of each at most
    assert evenly_from_groups(group, 2).tolist() == [1, 0]  # the first and the last group
    assert evenly_from_groups(np.zeros(0, int), 5).tolist() == []
    many = np.random.default_rng(0).integers(0, 40, 5000)
    rows = evenly_from_groups(many, 400)
    assert np.array_equal(np.bincount(many[rows]), np.full(40, 10))
    assert len(set(rows.tolist())) == 400
