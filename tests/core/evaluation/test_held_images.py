"""Scores on held images, against plain loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from pcip_core.evaluation.classifiers import cross_validated
from pcip_core.evaluation.held_images import held_classifier_scores, held_knn_scores
from pcip_core.evaluation.scores import Scored


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features of which the last column is constant, labels, held cells, and the features standardized."""
    rng = np.random.default_rng(1)
    labels = np.array(list("abc"))[rng.integers(0, 3, 150)]
    features = rng.normal(size=(150, 4)) + np.unique(labels, return_inverse=True)[1][:, None]
    features[:, 3] = 2
    points = features[:, :3]
    return features, labels, rng.random(150) < 0.3, (points - points.mean(0)) / points.std(0)


def value(scored: Scored, metric: str, label: str | None = None) -> float:
    (row,) = [row for row in scored.rows if row["metric"] == metric and row["label"] == label]
    return row["value"]


@pytest.mark.parametrize("k", [1, 5])
def test_held_cells_have_neighbours_among_the_others_only(k: int) -> None:
    features, labels, held, points = data()
    scored = held_knn_scores(features, labels, held, feature_set="s", ks=(k,))
    model = KNeighborsClassifier(k).fit(points[~held], labels[~held])
    hit = model.predict(points[held]) == labels[held]
    assert value(scored, "accuracy") == pytest.approx(hit.mean())
    for label in "abc":
        assert value(scored, "recall", label) == pytest.approx(hit[labels[held] == label].mean())
    assert sum(row["n"] for row in scored.confusion) == held.sum()
    assert scored.exclusions["columns_constant"] == 1


def test_classifiers_are_fitted_to_the_others() -> None:
    features, labels, held, points = data()
    settings = {"feature_set": "s", "classifier": "forest", "trees": 50, "seed": 0}
    scored = held_classifier_scores(features, labels, held, **settings)
    done = cross_validated(points, labels, classifier="forest", held=held, trees=50, seed=0)
    hit = done.predicted[held] == labels[held]
    assert value(scored, "accuracy") == pytest.approx(hit.mean(), abs=2 / held.sum())  # columns are rounded
    assert {row["parameter"] for row in scored.rows} == {"trees=50"}

    def predictions(scores: Scored) -> dict[str, int]:
        classes = {row["predicted"] for row in scores.confusion}
        return {
            name: sum(row["n"] for row in scores.confusion if row["predicted"] == name) for name in classes
        }

    other = np.where(held, np.roll(labels, 1), labels)  # the labels of held cells decide no prediction
    assert predictions(held_classifier_scores(features, other, held, **settings)) == predictions(scored)
    assert predictions(scored) == {name: int((done.predicted[held] == name).sum()) for name in "abc"}
