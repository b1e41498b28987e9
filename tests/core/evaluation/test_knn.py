"""kNN and its scores against scikit-learn, label for label."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.evaluation.knn import leave_one_out_knn
from pcip_core.evaluation.scores import knn_scores
from pcip_core.features.scaling import standardize

KS = (1, 5, 11, 25, 50)


def data(n: int = 160) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    labels = rng.choice(["ER", "Golgi", "cytosol", "nucleus"], n, p=[0.1, 0.2, 0.3, 0.4])
    shift = np.unique(labels, return_inverse=True)[1][:, None]
    features = (rng.normal(size=(n, 7)) + 0.6 * shift) * np.array([1, 10, 0.1, 3, 1, 1, 5])
    return features.astype(np.float32), labels, rng.integers(0, 12, n)


@pytest.mark.parametrize("grouped", [False, True])
def test_equals_scikit_learn_label_for_label(*, grouped: bool) -> None:
    features, labels, groups = data()
    points = StandardScaler().fit_transform(features.astype(np.float64))
    predicted = leave_one_out_knn(features, labels, ks=KS, groups=groups if grouped else None)
    for k in KS:
        for cell in range(len(labels)):
            others = np.flatnonzero(groups != groups[cell] if grouped else np.arange(len(labels)) != cell)
            model = KNeighborsClassifier(k, algorithm="brute").fit(points[others], labels[others])
            assert predicted[k][cell] == model.predict(points[cell : cell + 1])[0], (k, cell)


def test_a_constant_column_has_no_effect() -> None:
    features, labels, _ = data()
    wider = np.concatenate([features, np.full((len(features), 1), 7.0, np.float32)], axis=1)
    assert (standardize(wider)[:, -1] == 0).all()
    assert (leave_one_out_knn(wider, labels)[11] == leave_one_out_knn(features, labels)[11]).all()


def test_scores_equal_scikit_learn() -> None:
    features, labels, groups = data()
    predicted = leave_one_out_knn(features, labels, ks=(5, 11), groups=groups)
    rows = knn_scores(features, labels, groups=groups, ks=(5, 11)).rows
    value = {(row["parameter"], row["metric"], row["label"]): row["value"] for row in rows}
    assert len(value) == len(rows) == 2 * (2 + 4)
    for k in (5, 11):
        assert value[f"k={k}", "accuracy", None] == accuracy_score(labels, predicted[k])
        balanced = balanced_accuracy_score(labels, predicted[k])
        assert value[f"k={k}", "balanced_accuracy", None] == pytest.approx(balanced)
        for name in np.unique(labels):
            recall = recall_score(labels, predicted[k], labels=[name], average=None)[0]
            assert value[f"k={k}", "recall", name] == pytest.approx(recall)
    assert {row["n"] for row in rows if row["label"] == "ER"} == {int((labels == "ER").sum())}


def test_features_without_information_score_chance() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2, 3], 250)
    rows = knn_scores(rng.normal(size=(1000, 5)), labels, groups=None, ks=(11,)).rows
    balanced = next(row["value"] for row in rows if row["metric"] == "balanced_accuracy")
    assert balanced == pytest.approx(0.25, abs=0.05)


def test_invalid_arguments_raise() -> None:
    features, labels, groups = data()
    with pytest.raises(EvaluationError, match=r"benchmark\.ks"):
        leave_one_out_knn(features, labels, ks=(160,))
    with pytest.raises(EvaluationError, match="neighbours"):
        leave_one_out_knn(features, labels, ks=(11,), groups=np.zeros(len(labels)))
    with pytest.raises(ShapeError):
        leave_one_out_knn(features, labels[1:])
    features[3, 2] = np.nan
    with pytest.raises(EvaluationError, match="1 cell with NaN"):
        leave_one_out_knn(features, labels)
    assert len(groups) == len(labels)
