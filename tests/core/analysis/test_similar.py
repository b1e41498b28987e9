"""Nearest points against scikit-learn, and a rare pattern found from one example."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from pcip_core.analysis.similar import nearest, recall
from pcip_core.errors import EvaluationError


def test_one_seed_equals_scikit_learn() -> None:
    points = np.random.default_rng(0).normal(size=(200, 9)) * np.arange(1, 10)
    scaled = StandardScaler().fit_transform(points)
    distances, rows = NearestNeighbors(n_neighbors=13).fit(scaled).kneighbors(scaled[[17]])
    for by in ("mean", "least"):
        found = nearest(points, [17], 12, by=by)  # type: ignore[arg-type]
        assert found.rows.tolist() == rows[0, 1:].tolist()
        assert found.distances == pytest.approx(distances[0, 1:])


def test_several_seeds_by_their_mean_or_by_the_nearest_of_them() -> None:
    points = np.array([[0.0], [10], [1], [5], [9.5], [30], [-20]])
    assert nearest(points, [0, 1], 2).rows.tolist() == [3, 2]
    assert nearest(points, [1, 0, 1], 3, by="least").rows.tolist() == [4, 2, 3]
    assert len(nearest(points, [0, 1], 100).rows) == 5


def rare(seed: int, step: float) -> tuple[np.ndarray, np.ndarray]:
    """2,000 proteins of 12 patterns in 40 features, 20 of them of a rare pattern near one of the others."""
    rng = np.random.default_rng(seed)
    pattern = rng.integers(0, 12, 2000)
    centres = rng.normal(size=(12, 40)) * 1.5
    points = centres[pattern] + rng.normal(size=(2000, 40)) * 0.5
    rows = rng.choice(2000, 20, replace=False)
    offset = rng.normal(size=40)
    points[rows] = centres[0] + step * offset / np.linalg.norm(offset) + rng.normal(size=(20, 40)) * 0.5
    return points, rows


def test_a_rare_pattern_is_found_from_one_seed() -> None:
    """The paper found 13 of about 20 among the 32 nearest to one protein: a recall of 0.65 or so."""
    one, three, chance = [], [], []
    for seed in range(6):
        points, rows = rare(seed, step=4)
        found = recall(nearest(points, rows[:1], 32).rows, rows, rows[:1], of=2000)
        one.append(found["recall"])
        chance.append(found["chance"])
        three.append(recall(nearest(points, rows[:3], 32).rows, rows, rows[:3], of=2000)["recall"])
    assert chance == pytest.approx([32 / 1999] * 6)
    assert np.mean(one) > 0.6
    assert np.mean(three) > np.mean(one)


def test_recall_counts_what_is_not_a_seed() -> None:
    found = recall(np.array([4, 5, 6, 7]), [1, 4, 5, 9], [1], of=101)
    assert found == {"recall": pytest.approx(2 / 3), "precision": 0.5, "chance": 0.04}
    with pytest.raises(EvaluationError, match="all of them seeds"):
        recall(np.array([2]), [1], [1], of=5)


def test_seeds_that_are_not_there_are_told() -> None:
    points = np.zeros((5, 2))
    for seeds, n in (([], 1), ([5], 1), ([-1], 1), ([0], 0)):
        with pytest.raises(EvaluationError, match="each a row of the points"):
            nearest(points, seeds, n)
    points[1, 1] = np.nan
    with pytest.raises(EvaluationError, match="columns 1;"):
        nearest(points, [0], 1)
