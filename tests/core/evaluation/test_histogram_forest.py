"""The histogram forest against exhaustive search and against scikit-learn's forest."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from pcip_core.evaluation.classifiers import cross_validated
from pcip_core.evaluation.histogram_forest import _best_split, bin_edges, binned, forest_probabilities


def gini_after(values: np.ndarray, cut: int, classes: np.ndarray, weight: np.ndarray) -> float:
    """Gini impurity of both sides of a cut, each multiplied by its weight."""
    left, total = values <= cut, 0.0
    for side in (left, ~left):
        shares = np.bincount(classes[side], weight[side]) / weight[side].sum()
        total += weight[side].sum() * (1 - (shares**2).sum())
    return total


@pytest.mark.parametrize("cells", [7, 48, 49, 300])  # sorted by insertion, and by counting
def test_a_split_is_the_best_of_all(cells: int) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        bins = rng.integers(0, 12, (5, cells)).astype(np.uint8)
        bins[0] = 3  # constant: never chosen
        classes, weight = rng.integers(0, 4, cells), rng.uniform(0.5, 2, cells)
        feature, cut = _best_split(
            *(bins, np.arange(cells), classes, weight, np.bincount(classes, weight, 4)),
            *(np.arange(5), 5, rng, np.empty(cells, np.int64)),
        )
        all_cuts = {
            (column, at): gini_after(bins[column], at, classes, weight)
            for column in range(1, 5)
            for at in np.unique(bins[column])[:-1]
        }
        assert gini_after(bins[feature], cut, classes, weight) == pytest.approx(min(all_cuts.values()))


def test_features_are_drawn_until_one_can_divide_and_cut_in_the_middle() -> None:
    bins = np.zeros((50, 6), np.uint8)
    bins[33] = [0, 0, 0, 9, 9, 9]
    classes = np.array([0, 0, 0, 1, 1, 1])
    found = _best_split(
        *(bins, np.arange(6), classes, np.ones(6), np.full(2, 3.0)),
        *(np.arange(50), 1, np.random.default_rng(0), np.empty(6, np.int64)),
    )
    assert found == (33, 4)  # between bins 0 and 9


def test_bins_hold_equal_numbers_of_cells_and_few_values_each_have_one() -> None:
    values = np.random.default_rng(0).permutation(10_240).astype(np.float32)
    counts = np.bincount(binned(values[:, None], [bin_edges(values)])[0])
    assert counts.tolist() == [40] * 256
    few = np.float32([5, 5, 7, -2, 7, 100])
    assert binned(few[:, None], [bin_edges(few)])[0].tolist() == [1, 1, 2, 0, 2, 3]
    assert bin_edges(np.ones(5)).tolist() == []


def test_balanced_accuracy_is_that_of_scikit_learn_within_the_spread_of_seeds() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(["ER", "Golgi", "nucleus"], 500, p=[0.2, 0.3, 0.5])
    shift = np.unique(labels, return_inverse=True)[1][:, None] * np.linspace(0.6, 0, 10)
    features = (rng.normal(size=(500, 10)) + shift).astype(np.float32)
    both = [
        [
            np.mean(
                cross_validated(
                    features, labels, classifier=classifier, trees=25, seed=seed, folds=3
                ).balanced_accuracies
            )
            for seed in range(3)
        ]
        for classifier in ("forest", "histogram_forest")
    ]
    theirs, ours = np.mean(both, axis=1)
    spread = np.std(both, axis=1, ddof=1).max()  # also of the folds, which the seed draws
    assert abs(ours - theirs) < 3 * spread
    assert ours > 0.5  # chance: a third


def test_probabilities_are_shares_of_trees_where_cells_cannot_be_told_apart() -> None:
    training, classes = np.zeros((400, 3), np.float32), np.arange(400) % 4 // 3  # a quarter are of class 1
    settings = {"trees": 50, "max_features": 1.0, "seed": 0}
    equal = forest_probabilities(training, classes, training[:1], weights=np.ones(2), **settings)
    assert equal == pytest.approx(np.array([[0.75, 0.25]]), abs=0.02)
    balanced = forest_probabilities(training, classes, training[:1], weights=np.array([1.0, 3.0]), **settings)
    assert balanced == pytest.approx(np.array([[0.5, 0.5]]), abs=0.02)


def test_the_number_of_threads_does_not_change_the_result() -> None:
    rng = np.random.default_rng(0)
    training, classes = rng.normal(size=(300, 6)).astype(np.float32), rng.integers(0, 3, 300)
    one, three = (
        forest_probabilities(
            training,
            classes,
            training,
            weights=np.ones(3),
            trees=10,
            max_features=0.5,
            seed=7,
            threads=threads,
        )
        for threads in (1, 3)
    )
    assert np.array_equal(one, three)
    assert (one.argmax(1) == classes).mean() > 0.9  # most trees have seen the cell


def test_the_same_cells_are_divided_by_scikit_learn() -> None:
    """One tree with all features, on cells that only one feature divides: the same prediction for each cell."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 3)).astype(np.float32)
    classes = (features[:, 1] > 0.3).astype(np.int64)
    other = rng.normal(size=(200, 3)).astype(np.float32)
    ours = forest_probabilities(
        features, classes, other, weights=np.ones(2), trees=30, max_features=1.0, seed=0
    ).argmax(1)
    theirs = (
        RandomForestClassifier(30, max_features=1.0, random_state=0).fit(features, classes).predict(other)
    )
    assert (ours == theirs).mean() > 0.98
